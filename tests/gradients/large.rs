//! Gradients of shapes that kernels treat in another way: products cut in depth, long runs of one id, several panels of a softmax,
//! and products of 16 bits.

use rt_kernels::kernels::{Positive, SoftmaxLoss};
use rt_tensor::{
    Activation, Device, Init, Negatives, Optimizer, PositiveVar, SoftmaxSpec, Step, Store, Tape, Var, check_gradients,
};
use rt_tests::{EPS, bf16_devices, devices, f16_devices, uniform};

/// The sum of a value's cells, each with a weight of its own.
fn weighed(tape: &mut Tape, y: Var) -> Var {
    let [rows, cols] = tape.shape(y);
    let c = tape.constant(&uniform(rows * cols, 5), rows, cols).unwrap();
    let z = tape.group_dot(y, c, 1.0).unwrap();
    tape.sum(z).unwrap()
}

fn hold(what: &str, tape: &Tape, cells: usize) {
    for device in devices() {
        let store = Store::new(device, tape.params(), 5).unwrap();
        let check = check_gradients(tape, &store, &Step::new(2, 5, 0, 300), cells, |_| Ok(())).unwrap();
        assert_eq!(check.fault(), None, "{device:?}: {what}: {check:?}");
        assert!(check.parameters.iter().all(|p| p.cells > 0 && p.skipped == 0), "{device:?}: {what}: {check:?}");
    }
}

#[test]
fn products_cut_in_depth() {
    for (what, m, k, n) in
        [("the gradient of a weight", 1_100, 5, 3), ("a deep layer", 3, 1_300, 4), ("both", 1_030, 1_060, 2)]
    {
        let mut tape = Tape::new();
        let spread = Init::Normal(1.0 / (k as f32).sqrt());
        let x = tape.param("x", [m, k], Init::Normal(1.0)).unwrap();
        let (w, bias) = (tape.param("w", [k, n], spread).unwrap(), tape.param("bias", [1, n], spread).unwrap());
        let y = tape.linear(x, w, Some(bias), None, Activation::Tanh).unwrap();
        let v = tape.param("v", [2, k], spread).unwrap();
        let z = tape.product(x, v).unwrap();
        let all = tape.concat(&[y, z]).unwrap();
        let loss = weighed(&mut tape, all);
        tape.backward(loss).unwrap();
        hold(what, &tape, 8);
    }
}

#[test]
fn runs_of_one_id_that_are_summed_in_chunks() {
    // Ids 1 to 5 so many times, in turn with each other.
    let lengths = [512usize, 513, 1_100, 256, 1];
    let mut left = lengths;
    let mut ids = Vec::new();
    while left.iter().any(|n| *n > 0) {
        for (id, n) in (1u32..).zip(&mut left).filter(|(_, n)| **n > 0) {
            *n -= 1;
            ids.push(id);
        }
    }
    let n = ids.len();
    let mut tape = Tape::new();
    let table = tape.table("table", 7, 5, Init::Normal(0.7)).unwrap();
    let ids = tape.constant_ids(&ids, n, 1).unwrap();
    let x = tape.gather(table, ids).unwrap();
    let y = tape.activation(x, Activation::Tanh).unwrap();
    let one = weighed(&mut tape, y);
    // And a bag of the same table: its entries join the runs.
    let slices: Vec<u32> = (0..40).flat_map(|i| [i * 50, 30]).collect();
    let slices = tape.constant_ids(&slices, 40, 2).unwrap();
    let options = rt_tensor::BagOptions {
        windows: vec![3, usize::MAX],
        mean: true,
        zones: false,
        max_len: 30,
        mask: None,
        hole: None,
    };
    let bag = tape.bag(table, ids, slices, &options).unwrap();
    let two = weighed(&mut tape, bag);
    let loss = tape.add(one, two).unwrap();
    tape.backward(loss).unwrap();
    hold("long runs", &tape, usize::MAX);
}

/// A softmax over `candidates`, whose rows are those of the first panel and of what lies past it: a parameter for each, so that the
/// cells that are checked are of both.
fn softmax_of_panels(candidates: usize, cells: usize) {
    let dim = 3;
    let mut kernel = SoftmaxLoss {
        rows: usize::MAX,
        candidates,
        dim,
        scale: 1.5,
        positive: Positive::Own,
        correct_positive: false,
        mask_hits: false,
        smoothing: 0.1,
    };
    let panel = kernel.panel();
    let past = panel / 2 + 1;
    let rows = panel + past;
    kernel.rows = rows;
    assert!(kernel.panel() < rows, "{candidates} candidates: one panel of {rows} rows");
    let mut tape = Tape::new();
    let mut vectors = |what: &str| {
        let parts = [("in the first panel", panel), ("past the first panel", past)];
        let parts = parts.map(|(at, n)| tape.param(&format!("{what} {at}"), [n, dim], Init::Normal(1.0)).unwrap());
        tape.concat_rows(&parts).unwrap()
    };
    let (users, own) = (vectors("users"), vectors("own"));
    let vectors = tape.param("items", [candidates, dim], Init::Normal(1.0)).unwrap();
    let logq = tape.constant(&uniform(candidates, 3), candidates, 1).unwrap();
    let weight = tape.constant(&vec![1.0 / rows as f32; rows], rows, 1).unwrap();
    let loss = tape
        .softmax_loss(&SoftmaxSpec {
            users,
            weight,
            candidates: Negatives { vectors, logq: Some(logq), ids: None },
            positive: PositiveVar::Own { vectors: own, logq: None },
            mask_hits: None,
            scale: kernel.scale,
            correct_positive: false,
            smoothing: kernel.smoothing,
            mask: None,
        })
        .unwrap();
    let loss = tape.sum(loss).unwrap();
    tape.backward(loss).unwrap();
    hold(&format!("{rows} rows over {candidates} candidates"), &tape, cells);
}

#[test]
fn a_softmax_of_several_panels() {
    softmax_of_panels(40, 16);
}

/// Panels of few rows; a difference takes a pass over 6 million logits, so that few cells are looked at.
#[test]
fn a_softmax_of_several_panels_over_many_candidates() {
    softmax_of_panels(20_000, 1);
}

/// The gradients of `y = x w` with `d loss / d y = c`, read off a step of descent with a rate of 1.
fn layer(device: &Device, [m, k, n]: [usize; 3]) -> [(Vec<f32>, Vec<f32>); 2] {
    let mut tape = Tape::new();
    let x = tape.param("x", [m, k], Init::Normal(1.0)).unwrap();
    let w = tape.param("w", [k, n], Init::Normal(1.0)).unwrap();
    let y = tape.linear(x, w, None, None, Activation::None).unwrap();
    let loss = weighed(&mut tape, y);
    tape.backward(loss).unwrap();
    let optimizer = Optimizer::sgd();
    tape.optimize(&optimizer).unwrap();
    let store = Store::new(device, tape.params(), 5).unwrap();
    let before = ["x", "w"].map(|name| store.get(name).unwrap());
    tape.compile(&store).unwrap().run(&optimizer.rates(Step::new(1, 5, 0, 1), 1.0, 1.0)).unwrap();
    let [x, w] = before;
    [(x, store.get("x").unwrap()), (w, store.get("w").unwrap())]
}

/// Products of 16 bits round the words of both operands by `own` of their size; the sums are f32's.
fn sixteen(devices: &[Device], own: f64) {
    for device in devices {
        // Rows of whole quads: a GPU makes others in f32.
        for shape in [[8, 12, 4], [68, 132, 36], [1_100, 40, 36]] {
            let [m, k, n] = shape;
            let c: Vec<f64> = uniform(m * n, 5).into_iter().map(f64::from).collect();
            let [(x, new_x), (w, new_w)] = layer(device, shape);
            let mut rounded = 0;
            let mut held =
                |what: &str, old: f32, new: f32, terms: &mut dyn Iterator<Item = (f64, f64)>, depth: usize| {
                    let (mut sum, mut size) = (0.0, 0.0);
                    for (a, b) in terms {
                        sum += a * b;
                        size += (a * b).abs();
                    }
                    let got = f64::from(old) - f64::from(new);
                    let off = (got - sum).abs();
                    // Both words rounded, the sums, and the step itself.
                    let f32s = (depth as f64 + 8.0) * EPS * size + 2.0 * EPS * (f64::from(old).abs() + sum.abs());
                    let bound = (2.0 * own + own * own) * size + 1e-7 + f32s;
                    assert!(off <= bound, "{device:?}, {shape:?}, {what}: {got} is not {sum}: {off:e} > {bound:e}");
                    rounded += usize::from(off > f32s + 1e-7);
                };
            for i in 0..m {
                for p in 0..k {
                    let mut terms = (0..n).map(|j| (c[i * n + j], f64::from(w[p * n + j])));
                    held("dx", x[i * k + p], new_x[i * k + p], &mut terms, n);
                }
            }
            for p in 0..k {
                for j in 0..n {
                    let mut terms = (0..m).map(|i| (f64::from(x[i * k + p]), c[i * n + j]));
                    held("dw", w[p * n + j], new_w[p * n + j], &mut terms, m);
                }
            }
            let all = (m + n) * k;
            assert!(rounded * 2 > all, "{device:?}, {shape:?}: only {rounded} of {all} were rounded to 16 bits");
        }
    }
}

/// Where the processor has no instructions for it, `bf16_devices` holds that asking is refused.
#[test]
fn gradients_in_bf16() {
    sixteen(&bf16_devices(), 1.0 / 256.0);
}

/// To nearest it is half of that; WGSL lets a driver take the other neighbour.
#[test]
fn gradients_in_f16() {
    sixteen(&f16_devices(), 1.0 / 1024.0);
}
