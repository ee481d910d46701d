//! What is no number: rankings leave it out, everything else hands it on.

use rt_kernels::codes::{BOUNDS, Codes, block_words, blocks};
use rt_kernels::kernels::*;
use rt_kernels::{Kernel, Step};
use rt_tests::{
    LAYS, Lay, Tensor, Want, devices_with_checks, f, f16_devices, floats, hold, out_f, out_u, run, u, uniform,
};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

/// NaN of both signs, with the smallest and with all bits of a payload, and minus infinity.
fn unlisted(i: usize) -> f32 {
    let words = [0x7FC0_0000, 0xFFC0_0000, 0x7F80_0001, 0xFF80_0001, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFF80_0000];
    f32::from_bits(words[i % words.len()])
}

#[test]
fn top_k_lists_no_nan_and_no_minus_infinity() {
    let listed = [1.5, -0.0, INF, -2e30, 0.0, f32::MIN, -1e30];
    for (items, k) in [(1, 1), (20, 20), (300, 7), (300, 100), (700, 90)] {
        // Every third item has a score that is listed; the first row has none.
        let score = |q: usize, i: usize| {
            if q > 0 && i % 3 == 1 { listed[i / 3 % listed.len()] } else { unlisted(i + q) }
        };
        let scores: Vec<f32> = (0..2).flat_map(|q| (0..items).map(move |i| score(q, i))).collect();
        let (mut values, mut best) = (vec![-1e30; 2 * k], vec![u32::MAX; 2 * k]);
        let mut want: Vec<(f32, u32)> =
            (0..items).filter(|i| i % 3 == 1).map(|i| (score(1, i) + 0.0, i as u32 + 5)).collect();
        want.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        for (j, (value, id)) in want.into_iter().take(k).enumerate() {
            (values[k + j], best[k + j]) = (value, id);
        }
        let kernel = TopK { queries: 2, items, k, first: 5 };
        let (reads, writes) = ([f(&scores, 2, items), None, None], [out_f(2, k), out_u(2, k)]);
        let want = [Want::floats(values), Want::Exact(best)];
        hold(&format!("{k} of {items}"), &kernel, &Step::default(), LAYS, &reads, &writes, &want);
    }
}

#[test]
fn search_lists_no_nan_and_no_minus_infinity() {
    let (items, dim, k) = (700, 2, 60);
    // The score is the first cell for every query; each tenth item is listed.
    let cell = |i: usize| if i % 10 == 4 { (i % 7) as f32 - 3.0 } else { [NAN, -NAN, -INF][i % 3] };
    let rows: Vec<f32> = (0..items).flat_map(|i| [cell(i), 0.0]).collect();
    let mut list: Vec<(f32, u32)> = (0..items).filter(|i| i % 10 == 4).map(|i| (cell(i), i as u32)).collect();
    list.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
    // More than there are: missing places come last.
    for (queries, k) in [(1, k), (1, 100), (9, k), (9, 100)] {
        let mut full = list.clone();
        full.resize(full.len().max(k), (-1e30, u32::MAX));
        let (values, ids): (Vec<f32>, Vec<u32>) = full[..k].iter().copied().unzip();
        let query: Vec<f32> = (0..queries).flat_map(|_| [1.0, 0.0]).collect();
        let want = [Want::floats(values.repeat(queries)), Want::Exact(ids.repeat(queries))];
        let writes = [out_f(queries, k), out_u(queries, k)];
        let mut reads = vec![f(&query, queries, dim), f(&rows, items, dim), None, None];
        for coded in [false, true] {
            if coded {
                let codes = Codes::of(&rows, dim);
                reads.push(u(&codes.words, blocks(items), block_words(dim)));
                reads.push(f(&codes.bounds, blocks(items), BOUNDS));
            }
            let kernel = Search { queries, items, dim, k, first: 0, coded };
            let what = format!("{k} of {items} for {queries}, coded {coded}");
            hold(&what, &kernel, &Step::default(), LAYS, &reads, &writes, &want);
        }
    }
}

/// Runs a kernel on every device, and checks which cells of each written operand are NaN; `None` is not looked at.
fn spreads(
    what: &str,
    kernel: &(impl Kernel + Clone + Send + Sync + 'static),
    reads: &[Option<Tensor>],
    writes: &[Option<Tensor>],
    odd: &[Option<&dyn Fn(usize) -> bool>],
) {
    assert_eq!(writes.len(), odd.len(), "{what}: outputs");
    for device in devices_with_checks().iter().chain(&f16_devices()) {
        let got = run(device, kernel.clone(), &Step::default(), Lay::Dense, reads, writes);
        for (o, (words, odd)) in got.iter().zip(odd).enumerate() {
            let Some(odd) = odd else { continue };
            for (i, x) in floats(words).iter().enumerate() {
                assert!(x.is_nan() == odd(i), "{what}, {device:?}, output {o}: cell {i} is {x}");
            }
        }
    }
}

const ACTIVATIONS: [Activation; 4] = [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid];

/// Numbers, with NaN of both signs at two places.
fn with_nan(n: usize, at: [usize; 2]) -> Vec<f32> {
    let mut x = uniform(n, 7);
    (x[at[0]], x[at[1]]) = (NAN, -NAN);
    x
}

#[test]
fn activations_and_their_gradients_hand_nan_on() {
    let (rows, cols) = (9, 33);
    let is = |i: usize| i == 5 || i == 200;
    let (x, plain) = (f(&with_nan(rows * cols, [5, 200]), rows, cols), f(&uniform(rows * cols, 3), rows, cols));
    let out = [out_f(rows, cols)];
    for activation in ACTIVATIONS {
        let what = format!("{activation:?}");
        spreads(&what, &ActivationForward { rows, cols, activation }, std::slice::from_ref(&x), &out, &[Some(&is)]);
        let kernel = ActivationBackward { rows, cols, activation };
        let dropout = Dropout { rows, cols, keep_threshold: u32::MAX, scale: 1.0, stream: 1 };
        let fused = DropoutBackward { dropout, activation };
        // From the upstream gradient only where the slope is not zero: all of it where y is positive.
        let positive: Vec<f32> = uniform(rows * cols, 4).iter().map(|y| y.abs() / 2.0 + 0.1).collect();
        let y = f(&positive, rows, cols);
        let from_above = [y.clone(), x.clone()];
        spreads(&what, &kernel, &from_above, &out, &[Some(&is)]);
        spreads(&format!("{what} with dropout"), &fused, &from_above, &out, &[Some(&is)]);
        // A NaN output: the slopes of tanh and sigmoid are NaN there, ReLU lets the gradient through, as it does the value.
        let from_below = [x.clone(), plain.clone()];
        let (relu, curved): (&dyn Fn(usize) -> bool, &dyn Fn(usize) -> bool) = (&|_| false, &is);
        match activation {
            Activation::None => {}
            Activation::Relu => spreads(&what, &kernel, &from_below, &out, &[Some(relu)]),
            Activation::Tanh | Activation::Sigmoid => {
                spreads(&what, &kernel, &from_below, &out, &[Some(curved)]);
                spreads(&format!("{what} with dropout"), &fused, &from_below, &out, &[Some(curved)]);
            }
        }
        if activation == Activation::Relu {
            for device in devices_with_checks() {
                let dx = floats(&run(device, kernel.clone(), &Step::default(), Lay::Dense, &from_below, &out)[0]);
                assert!(dx[5] != 0.0 && dx[200] != 0.0, "{device:?}: {} and {}", dx[5], dx[200]);
            }
        }
    }
    let slope = f(&uniform(cols, 9), 1, cols);
    let reads = [x.clone(), slope.clone()];
    spreads("prelu", &Prelu { rows, cols }, &reads, &out, &[Some(&is)]);
    spreads("gelu", &Gelu { rows, cols }, std::slice::from_ref(&x), &out, &[Some(&is)]);
    spreads("gelu", &GeluBackward { rows, cols }, &[x.clone(), plain.clone()], &out, &[Some(&is)]);
    spreads("gelu", &GeluBackward { rows, cols }, &[plain, x.clone()], &out, &[Some(&is)]);
    let one = [f(&[NAN], 1, 1)];
    spreads(
        "scale by exp(NaN)",
        &ScaleByExp { rows, cols },
        &[slope_rows(rows, cols), one[0].clone()],
        &out,
        &[Some(&|_| true)],
    );
    spreads("clamp", &ClampTop { rows: 1, cols: 1, most: 4.0 }, &[], &one, &[Some(&|_| true)]);
}

fn slope_rows(rows: usize, cols: usize) -> Option<Tensor> {
    f(&uniform(rows * cols, 11), rows, cols)
}

#[test]
fn products_hand_nan_on_through_every_activation() {
    // Whole tiles, part of a tile, and cut along k.
    for (m, n, k) in [(70, 64, 32), (9, 5, 7), (16, 24, 5000)] {
        // Row 3 of a is NaN at one place, and column 2 of the bias.
        let a = f(&with_nan(m * k, [3 * k + k / 2, 3 * k]), m, k);
        let mut bias = uniform(n, 2);
        bias[2] = NAN;
        let (b, bias) = (f(&uniform(k * n, 1), k, n), f(&bias, 1, n));
        for activation in ACTIVATIONS {
            let kernel = Gemm { m, n, k, trans_a: false, trans_b: false, activation };
            let reads = [a.clone(), b.clone(), bias.clone(), None];
            let odd = |i: usize| i / n == 3 || i % n == 2;
            spreads(&format!("{m} x {n} x {k}, {activation:?}"), &kernel, &reads, &[out_f(m, n)], &[Some(&odd)]);
        }
    }
}

#[test]
fn pooling_and_normalisation_hand_nan_on() {
    let (rows, dim) = (5, 70);
    let row = |i: usize| i / dim == 2;
    let x = f(&with_nan(rows * dim, [2 * dim, 2 * dim + 66]), rows, dim);
    let writes = [out_f(rows, dim), out_f(rows, 1)];
    spreads("l2", &L2Normalize { rows, dim }, &[x], &writes, &[Some(&row), Some(&|i| i == 2)]);
    let x = f(&with_nan(rows * dim, [2 * dim, 2 * dim + 66]), rows, dim);
    let (ones, zeros) = (f(&vec![1.0; dim], 1, dim), f(&vec![0.0; dim], 1, dim));
    let (kernel, stats) = (LayerNorm { rows, dim }, out_f(rows, 2));
    let reads = [x.clone(), ones.clone(), zeros.clone()];
    spreads("layer norm", &kernel, &reads, &[out_f(rows, dim), stats], &[Some(&row), Some(&|i| i / 2 == 2)]);
    // Statistics of the columns: mean and variance of the two that have one.
    let kernel = BatchNormStats { rows, cols: dim, momentum: 0.1 };
    let column = |i: usize| i / dim < 2 && [0, 66].contains(&(i % dim));
    let (reads, weight) = (x, f(&vec![1.0; rows], rows, 1));
    let outs = [out_f(3, dim), zeros.clone(), ones];
    spreads("batch norm", &kernel, &[reads, weight], &outs, &[Some(&column), Some(&column), Some(&column)]);
    let two = f(&[NAN, 1.0], 1, 2);
    spreads("l2 of [NaN, 1]", &L2Normalize { rows: 1, dim: 2 }, &[two], &[out_f(1, 2), None], &[Some(&|_| true), None]);

    // Two positions are NaN: the newest counts, and only its column is NaN, from the window on that holds it.
    let (history, dim, windows) = (6, 3, vec![1, 4, usize::MAX]);
    let x = f(&with_nan(history * dim, [2 * dim + 1, 3 * dim + 1]), history, dim);
    let ids = u(&[1; 6], history, 1);
    let kernel = MaxPool { rows: 1, history, dim, windows, zones: false };
    let odd = |i: usize| i == dim + 1 || i == 2 * dim + 1;
    spreads("max", &kernel, &[x.clone(), ids.clone()], &[out_f(1, 9), out_u(1, 9)], &[Some(&odd), None]);
    for device in devices_with_checks() {
        let got = run(
            device,
            kernel.clone(),
            &Step::default(),
            Lay::Dense,
            &[x.clone(), ids.clone()],
            &[out_f(1, 9), out_u(1, 9)],
        );
        assert_eq!(got[1].as_ref().unwrap()[dim + 1], 2, "{device:?}: the newest of two NaN");
    }
    let kernel = HistoryWeights { rows: 1, history, heads: 1, decay: false };
    let param = f(&with_nan(history, [2, 4]), 1, history);
    spreads("weights", &kernel, &[ids, param, None], &[out_f(1, history)], &[Some(&|_| true)]);
}

#[test]
fn losses_and_their_gradients_hand_nan_on() {
    let (rows, n) = (4, 6);
    let row = |i: usize| i / n == 1;
    let first = |i: usize| i == 1;
    // A negative's logit.
    let mut z = uniform(rows * n, 1);
    z[n + 3] = NAN;
    let (z, weight) = (f(&z, rows, n), f(&[1.0; 4], rows, 1));
    let writes = [out_f(rows, 1), out_f(rows, n)];
    for smoothing in [0.0, 0.1] {
        let kernel = ListSoftmax { rows, n, mask_hits: false, correct_positive: false, smoothing };
        spreads("list", &kernel, &[z.clone(), weight.clone(), None, None], &writes, &[Some(&first), Some(&row)]);
    }
    let cell = |i: usize| i == n + 3;
    let reads = [z.clone(), weight.clone(), None, None];
    spreads("bce", &BceWithLogits { rows, n }, &reads, &writes, &[Some(&first), Some(&cell)]);
    for rule in [PairRule::Bpr, PairRule::Hinge { margin: 0.5 }] {
        let odd = |i: usize| i == n || i == n + 3;
        let kernel = Pairwise { rows, n, rule };
        spreads("pairs", &kernel, &[z.clone(), weight.clone(), None], &writes, &[Some(&first), Some(&odd)]);
    }
}

#[test]
fn the_softmax_hands_on_a_nan_that_is_no_rows_positive() {
    let scale = 10.0;
    for (rows, candidates, dim) in [(70, 130, 64), (9, 20, 7)] {
        let u_rows = f(&uniform(rows * dim, 1), rows, dim);
        let weight = f(&vec![1.0; rows], rows, 1);
        let label = u(&vec![2; rows], rows, 1);
        let v = f(&with_nan(candidates * dim, [11 * dim, 11 * dim + 3]), candidates, dim);
        for smoothing in [0.0, 0.1] {
            let kernel = SoftmaxLoss {
                rows,
                candidates,
                dim,
                scale,
                positive: Positive::Label,
                correct_positive: false,
                mask_hits: false,
                smoothing,
            };
            let what = format!("{rows} x {candidates} x {dim}, smoothing {smoothing}");
            let none = || None::<Tensor>;
            let reads = |mask: Option<Tensor>| {
                let (u, v, w, l) = (u_rows.clone(), v.clone(), weight.clone(), label.clone());
                [u, v, w, none(), none(), none(), l, none(), none(), mask]
            };
            let writes = [out_f(rows, 1), out_f(rows, dim), out_f(candidates, dim), None];
            let all: &dyn Fn(usize) -> bool = &|_| true;
            spreads(&what, &kernel, &reads(none()), &writes, &[Some(all), Some(all), None, None]);
            // Left out in the second row, it does not count there.
            let words = candidates.div_ceil(32);
            let mut bits = vec![0; rows * words];
            bits[words] |= 1 << 11;
            let other: &dyn Fn(usize) -> bool = &|i| i != 1;
            let masked = reads(u(&bits, rows, words));
            spreads(&what, &kernel, &masked, &writes, &[Some(other), None, None, None]);
        }
    }
}

#[test]
fn a_candidate_whose_logit_is_nan_is_the_hardest() {
    let (rows, candidates, dim) = (3, 40, 4);
    let (u_rows, v) = (f(&[1.0; 12], rows, dim), f(&with_nan(candidates * dim, [20 * dim, 30 * dim]), candidates, dim));
    let kernel = HardMask {
        rows,
        candidates,
        dim,
        scale: 1.0,
        positive: Positive::Diagonal,
        mask_hits: false,
        from: 1,
        count: 2,
        tile: 1 << 10,
    };
    let reads = [u_rows, v, None, None, None, None, None];
    // The positive's bit and those of the two.
    let want: Vec<u32> = (0..rows).flat_map(|i| [!(1 << i | 1 << 20 | 1 << 30), u32::MAX]).collect();
    hold("hardest", &kernel, &Step::default(), LAYS, &reads, &[out_u(rows, 2)], &[Want::Exact(want)]);
}
