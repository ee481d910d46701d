//! The tiled softmax loss and its gradients.

use approx::abs_diff_eq;
use rt_kernels::kernels::{Positive, SoftmaxLoss};
use rt_kernels::{Call, Device, Operand, Operands, Program, Step};
use rt_tests::{
    EPS, LAYS, Lay, Want, bf16_devices, devices, devices_with_checks, f, floats, hold_on, ids, out_f, run, u, uniform,
};
use std::sync::Arc;

/// Everything that a case is made of.
struct Data {
    kernel: SoftmaxLoss,
    u: Vec<f32>,
    v: Vec<f32>,
    own: Vec<f32>,
    weight: Vec<f32>,
    logq: Option<Vec<f32>>,
    own_logq: Vec<f32>,
    candidates: Vec<u32>,
    targets: Vec<u32>,
    label: Vec<u32>,
    mask: Option<Vec<u32>>,
    /// How much the products round a gradient of a logit, by its size.
    rounding: f64,
}

impl Data {
    fn new(kernel: SoftmaxLoss, logq: bool, padding: usize) -> Self {
        let SoftmaxLoss { rows, candidates, dim, .. } = kernel;
        let logq = logq.then(|| {
            let mut q: Vec<f32> = uniform(candidates, 5).iter().map(|q| 3.0 * q - 4.0).collect();
            q[candidates - padding..].fill(1e30);
            q
        });
        let weight = uniform(rows, 4).into_iter().enumerate().map(|(i, w)| if i % 5 == 4 { 0.0 } else { w.abs() });
        let targets = ids(rows, 40, 7);
        let diagonal = kernel.positive == Positive::Diagonal;
        let diagonal_ids = [&targets[..], &ids(candidates, 40, 8)[..candidates.saturating_sub(rows)]].concat();
        Self {
            u: uniform(rows * dim, 1),
            v: uniform(candidates * dim, 2),
            own: uniform(rows * dim, 3),
            weight: weight.collect(),
            logq,
            own_logq: uniform(rows, 6),
            candidates: if diagonal { diagonal_ids } else { ids(candidates, 40, 8) },
            targets,
            // Labels point at candidates that are not padding.
            label: ids(rows, (candidates - padding) as u32, 9),
            mask: None,
            rounding: 0.0,
            kernel,
        }
    }

    /// The same with vectors that bf16 holds as they are: of the products' operands it rounds only the gradients of logits.
    fn for_bf16(mut self) -> Self {
        for x in self.u.iter_mut().chain(&mut self.v) {
            *x = (*x * 128.0).round() / 128.0;
        }
        self.rounding = 1.0 / 256.0;
        self
    }

    /// The same with bits of left out candidates, about half of them; the first row leaves out all, its positive too.
    fn with_mask(mut self) -> Self {
        let words = self.kernel.candidates.div_ceil(32);
        let key = rt_kernels::philox::key(11);
        let draw = |i| rt_kernels::philox::draw(key, 0, 98, i as u32);
        self.mask = Some((0..self.kernel.rows * words).map(|i| if i < words { u32::MAX } else { draw(i) }).collect());
        self
    }

    /// (lse, logit of the positive, its candidate) of a row, and the logit of each candidate: none where masked.
    fn row(&self, i: usize) -> (f64, f64, Option<usize>, Vec<Option<f64>>) {
        let k = &self.kernel;
        let dot = |m: &[f32], j: usize| {
            let pair = self.u[i * k.dim..][..k.dim].iter().zip(&m[j * k.dim..]);
            f64::from(k.scale) * pair.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        let q = |j: usize| self.logq.as_ref().map_or(0.0, |q| f64::from(q[j]));
        let (positive, mut z_positive) = match k.positive {
            Positive::Diagonal => (Some(i), dot(&self.v, i)),
            Positive::Label => (Some(self.label[i] as usize), dot(&self.v, self.label[i] as usize)),
            Positive::Own => (None, dot(&self.own, i)),
        };
        if k.correct_positive {
            z_positive -= match positive {
                Some(j) if q(j) < 1e29 => q(j),
                Some(_) => 0.0,
                None => f64::from(self.own_logq[i]),
            };
        }
        let logit = |j: usize| {
            if positive == Some(j) {
                return Some(z_positive);
            }
            let hit = k.mask_hits && self.candidates[j] == self.targets[i];
            let word = |m: &Vec<u32>| m[i * k.candidates.div_ceil(32) + j / 32];
            let masked = self.mask.as_ref().is_some_and(|m| word(m) >> (j % 32) & 1 != 0);
            (q(j) < 1e29 && !hit && !masked).then(|| dot(&self.v, j) - q(j))
        };
        let logits: Vec<Option<f64>> = (0..k.candidates).map(logit).collect();
        let own = positive.is_none().then_some(z_positive);
        let all = || logits.iter().flatten().copied().chain(own);
        let top = all().fold(f64::MIN, f64::max);
        let lse = top + all().map(|z| (z - top).exp()).sum::<f64>().ln();
        (lse, z_positive, positive, logits)
    }

    /// Largest |terms| that the logit of a row and a vector sums, as the factor of its rounding.
    fn size(&self, i: usize, m: &[f32], j: usize) -> f64 {
        let k = &self.kernel;
        let pair = self.u[i * k.dim..][..k.dim].iter().zip(&m[j * k.dim..]);
        f64::from(k.scale) * pair.map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs()).sum::<f64>()
    }

    /// loss, du, dv, down: (value, bound) of each cell.
    fn oracle(&self) -> [Vec<(f64, f64)>; 4] {
        let SoftmaxLoss { rows, candidates, dim, scale, .. } = self.kernel;
        let s = f64::from(scale);
        // (sum, sum of |terms|, error of the terms) of a cell.
        let mut loss = vec![];
        let mut du = vec![(0.0, 0.0, 0.0); rows * dim];
        let mut dv = vec![(0.0, 0.0, 0.0); candidates * dim];
        let mut down = vec![(0.0, 0.0, 0.0); rows * dim];
        let add = |cell: &mut (f64, f64, f64), (g, off): (f64, f64), x: f32| {
            let x = f64::from(x);
            *cell = (cell.0 + g * x, cell.1 + (g * x).abs(), cell.2 + off * x.abs());
        };
        for i in 0..rows {
            let (lse, z_positive, positive, logits) = self.row(i);
            let w = f64::from(self.weight[i]);
            // Error of a logit: the dot product's, and the rounding of scale and logq (3 or 4 operations).
            let off = |z: f64, size: f64| (dim as f64 + 4.0) * EPS * size + 4.0 * EPS * (z.abs() + 8.0);
            let offs: Vec<f64> =
                logits.iter().enumerate().map(|(j, z)| z.map_or(0.0, |z| off(z, self.size(i, &self.v, j)))).collect();
            let off_positive = match positive {
                Some(j) => offs[j],
                None => off(z_positive, self.size(i, &self.own, i)),
            };
            // exp: 2^-21 on the CPU, (3 + 2 |x|) ULP on a GPU, where x is the logit's distance from the top.
            let near = |z: f64| 2e-6 + 6.0 * EPS * (z - lse).abs();
            // Of the log-sum-exp: errors weighed by probability, the sum's rounding, the logarithm's and the maximum's.
            let counted = logits.iter().flatten().count() as f64 + f64::from(u8::from(positive.is_none()));
            let total: f64 = logits.iter().flatten().sum::<f64>() + if positive.is_none() { z_positive } else { 0.0 };
            let sizes: f64 = logits.iter().flatten().map(|z| z.abs()).sum::<f64>() + z_positive.abs();
            let e = f64::from(self.kernel.smoothing);
            let (mean, kept, spread) = (total / counted, 1.0 - e, e / counted);
            // Of the mean: errors of the logits, and of their sum.
            let off_mean =
                (offs.iter().sum::<f64>() + off_positive) / counted + EPS * (counted + 4.0) * sizes / counted;
            let weighed: f64 =
                logits.iter().zip(&offs).filter_map(|(z, off)| z.map(|z| (z - lse).exp() * (off + near(z)))).sum();
            let own =
                if positive.is_none() { (z_positive - lse).exp() * (off_positive + near(z_positive)) } else { 0.0 };
            let off_lse = weighed + own + candidates as f64 * EPS + 4.0 * EPS * (lse.abs() + 1.0) + 1e-6;
            loss.push((
                w * (lse - kept * z_positive - e * mean),
                w * (off_lse
                    + off_positive
                    + e * off_mean
                    + 8.0 * EPS * (lse.abs() + z_positive.abs() + e * mean.abs())),
            ));
            // Gradient of a logit: p (1 +- r) less one.
            let gradient = |z: f64, off: f64, one: f64| {
                let p = (z - lse).exp();
                let r = (off + off_lse + near(z)).exp_m1();
                let share = p - kept * one - spread;
                (s * w * share, s * w * (p * r + 4.0 * EPS * (p + one + 2.0 * spread) + 1e-37))
            };
            for (j, z) in logits.iter().enumerate() {
                let Some(z) = *z else { continue };
                let g = gradient(z, offs[j], f64::from(u8::from(positive == Some(j))));
                for c in 0..dim {
                    add(&mut du[i * dim + c], g, self.v[j * dim + c]);
                    add(&mut dv[j * dim + c], g, self.u[i * dim + c]);
                }
            }
            if positive.is_none() {
                let g = gradient(z_positive, off_positive, 1.0);
                for c in 0..dim {
                    add(&mut du[i * dim + c], g, self.own[i * dim + c]);
                    add(&mut down[i * dim + c], g, self.u[i * dim + c]);
                }
            }
        }
        let cells = |cells: Vec<(f64, f64, f64)>, terms: usize| {
            let rounds = |size: f64, off: f64| (terms as f64 + 4.0) * EPS * size + self.rounding * (size + off);
            cells.into_iter().map(|(sum, size, off)| (sum, off + rounds(size, off) + 1e-37)).collect()
        };
        [loss, cells(du, candidates + 1), cells(dv, rows), cells(down, 1)]
    }

    /// `outputs`: du, dv, down.
    fn hold(&self, devices: &[Device], what: &str, lays: &[Lay], outputs: [bool; 3]) {
        let SoftmaxLoss { rows, candidates, dim, positive, mask_hits, .. } = self.kernel;
        let given = |there: bool, t| if there { t } else { None };
        let own = positive == Positive::Own;
        let reads = [
            f(&self.u, rows, dim),
            f(&self.v, candidates, dim),
            f(&self.weight, rows, 1),
            self.logq.as_ref().and_then(|q| f(q, candidates, 1)),
            given(mask_hits, u(&self.candidates, candidates, 1)),
            given(mask_hits, u(&self.targets, rows, 1)),
            given(positive == Positive::Label, u(&self.label, rows, 1)),
            given(own, f(&self.own, rows, dim)),
            given(own && self.kernel.correct_positive, f(&self.own_logq, rows, 1)),
            self.mask.as_ref().and_then(|m| u(m, rows, candidates.div_ceil(32))),
        ];
        let there = [true, outputs[0], outputs[1], outputs[2] && own];
        let writes = [rows, rows, candidates, rows].into_iter().zip([1, dim, dim, dim]).zip(there);
        let writes: Vec<_> = writes.map(|((rows, cols), there)| given(there, out_f(rows, cols))).collect();
        let want = self.oracle().into_iter().zip(there);
        let want: Vec<_> = want.map(|(cells, there)| if there { Want::Close(cells) } else { Want::Nothing }).collect();
        let what = format!("{what}, {:?}, {outputs:?}", self.kernel);
        hold_on(devices, &what, &self.kernel, &Step::default(), lays, &reads, &writes, &want);
    }
}

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize, usize, f32)] = &[
    // why it is here              rows candidates dim scale
    ("one row, one candidate",        1,   1,   1,  1.0),
    ("one short of a tile",          63,  63,   3, 10.0),
    ("a tile",                       64,  64, 100, 10.0),
    ("one over a tile",              65,  65,  17,  2.0),
    ("the common width",            100, 100,  64, 10.0),
    ("wider than a tile",            70,  70, 130,  5.0),
    ("several groups of rows",      257, 257,  33,  1.0),
    ("logits that overflow exp",     40,  40,  64, 50.0),
];

#[test]
fn in_batch() {
    for &(what, rows, candidates, dim, scale) in SIZES {
        for (logq, correct_positive, mask_hits) in
            [(false, false, false), (false, false, true), (true, false, true), (true, true, true), (true, true, false)]
        {
            let kernel = SoftmaxLoss {
                rows,
                candidates,
                dim,
                scale,
                positive: Positive::Diagonal,
                correct_positive,
                mask_hits,
                smoothing: 0.0,
            };
            let padding = if logq && rows > 10 { 6 } else { 0 };
            let data = Data::new(kernel, logq, padding);
            data.hold(devices_with_checks(), what, LAYS, [true; 3]);
            data.hold(devices(), what, &[Lay::Dense], [false; 3]);
        }
    }
}

/// Products in bf16: several groups and panels of rows, columns and rows past the micro-kernel's, an odd number of rows, what
/// is left out.
#[test]
fn in_bf16() {
    for (what, rows, candidates, dim) in [
        ("one of each", 1, 1, 1),
        ("nothing divides", 33, 201, 50),
        ("several groups of rows", 257, 300, 33),
        ("wider than a block of columns", 40, 70, 130),
        ("several panels", 300, 20_001, 8),
    ] {
        for (positive, smoothing) in [(Positive::Label, 0.0), (Positive::Own, 0.1), (Positive::Diagonal, 0.1)] {
            for mask_hits in [false, true] {
                let correct_positive = mask_hits;
                let kernel =
                    SoftmaxLoss { rows, candidates, dim, scale: 6.0, positive, correct_positive, mask_hits, smoothing };
                let padding = if mask_hits && candidates > 30 { 6 } else { 0 };
                let data = Data::new(kernel, mask_hits, padding).for_bf16();
                let outputs = if dim == 50 { [false, true, false] } else { [true; 3] };
                data.hold(&bf16_devices(), what, LAYS, outputs);
                data.with_mask().hold(&bf16_devices(), what, &[Lay::Dense], [true; 3]);
            }
        }
    }
}

/// Calls of a program share their scratch: what an earlier one left there, here NaN in all of a longer panel, is not read.
#[test]
fn what_an_earlier_call_left_in_scratch_is_not_read() {
    let kernel = |candidates| SoftmaxLoss {
        rows: 40,
        candidates,
        dim: 8,
        scale: 3.0,
        positive: Positive::Diagonal,
        correct_positive: false,
        mask_hits: false,
        smoothing: 0.0,
    };
    let data = Data::new(kernel(50), false, 0);
    for device in devices().iter().cloned().chain(bf16_devices()) {
        let words = |n, value: f32| device.upload_f32(&vec![value; n], "operand").unwrap();
        let given = |x: &[f32]| device.upload_f32(x, "operand").unwrap();
        let buffers = vec![
            words(40 * 8, f32::NAN),
            words(64 * 8, f32::NAN),
            given(&data.weight),
            words(40, 0.0),
            words(40 * 8, 0.0),
            words(64 * 8, 0.0),
            given(&data.u),
            given(&data.v),
        ];
        let call = |candidates, [u, v]: [usize; 2]| {
            let matrix = |buffer, rows, cols| Some(Operand::dense(buffer, rows, cols));
            let mut reads = vec![matrix(u, 40, 8), matrix(v, candidates, 8), matrix(2, 40, 1)];
            reads.resize(10, None);
            let writes = vec![matrix(3, 40, 1), matrix(4, 40, 8), matrix(5, candidates, 8), None];
            Call { kernel: Arc::new(kernel(candidates)), operands: Operands { reads, writes, scratch: vec![] } }
        };
        let outputs = |calls| {
            let mut program = Program::new(&device, buffers.clone(), calls).unwrap();
            program.run(&Step::default()).unwrap();
            [3, 4, 5].map(|i| device.read_u32(&buffers[i]).unwrap()[..40].to_vec())
        };
        let alone = outputs(vec![call(50, [6, 7])]);
        assert!(alone[0].iter().all(|x| f32::from_bits(*x).is_finite()), "{device:?}");
        assert_eq!(outputs(vec![call(64, [0, 1]), call(50, [6, 7])]), alone, "{device:?}");
    }
}

/// Each of the three products rounds: by more than another order of sums would change.
#[test]
fn in_bf16_each_product_rounds() {
    let positive = Positive::Diagonal;
    let kernel = SoftmaxLoss {
        rows: 70,
        candidates: 90,
        dim: 20,
        scale: 3.0,
        positive,
        correct_positive: false,
        mask_hits: false,
        smoothing: 0.0,
    };
    // (loss, du, dv)
    let outputs = |device: &Device, data: &Data| {
        let mut reads = vec![f(&data.u, 70, 20), f(&data.v, 90, 20), f(&data.weight, 70, 1)];
        reads.resize(10, None);
        let writes = [out_f(70, 1), out_f(70, 20), out_f(90, 20), None];
        run(device, kernel.clone(), &Step::default(), Lay::Dense, &reads, &writes)
    };
    let off = |output: usize, device: &Device, data: &Data| {
        let [got, plain] = [device, &devices()[0]].map(|d| floats(&outputs(d, data)[output]));
        let most = |x: &mut dyn Iterator<Item = f32>| x.fold(0.0f32, |most, x| most.max(x.abs()));
        most(&mut got.iter().zip(&plain).map(|(a, b)| a - b)) / most(&mut plain.iter().copied())
    };
    for device in bf16_devices() {
        let data = Data::new(kernel.clone(), false, 0);
        assert!(off(0, &device, &data) > 1e-4, "logits are not rounded on {device:?}");
        // Logits without rounding: what is off is the other two products' own.
        let data = data.for_bf16();
        assert!(off(0, &device, &data) < 1e-5, "logits of whole 128ths are exact");
        assert!(off(1, &device, &data) > 1e-4, "du is not rounded on {device:?}");
        assert!(off(2, &device, &data) > 1e-4, "dv is not rounded on {device:?}");
    }
}

#[test]
fn the_catalogue_and_shared_negatives() {
    for (what, rows, candidates, dim) in [
        ("fewer candidates than a tile", 65, 7, 16),
        ("nothing divides", 33, 201, 50),
        ("candidates by thousands: several panels", 300, 20_000, 8),
        ("a large catalogue: panels and groups of few rows", 70, 70_001, 3),
    ] {
        for positive in [Positive::Label, Positive::Own] {
            for (logq, correct_positive, mask_hits) in [(false, false, false), (true, false, true), (true, true, false)]
            {
                let kernel = SoftmaxLoss {
                    rows,
                    candidates,
                    dim,
                    scale: 8.0,
                    positive,
                    correct_positive,
                    mask_hits,
                    smoothing: 0.0,
                };
                // The CPU with one and two threads alone where there are thousands.
                let devices = if candidates > 1000 { &devices()[..2] } else { devices_with_checks() };
                Data::new(kernel, logq, 0).hold(devices, what, &[Lay::Strided], [true; 3]);
            }
        }
    }
}

#[test]
fn padding_and_hits_with_labels_and_own_positives() {
    for (rows, candidates, dim, padding) in [(65, 70, 33, 9), (63, 130, 100, 66), (1, 257, 3, 1), (50, 1100, 20, 3)] {
        for positive in [Positive::Label, Positive::Own] {
            for (correct_positive, mask_hits) in [(false, false), (false, true), (true, false), (true, true)] {
                let kernel = SoftmaxLoss {
                    rows,
                    candidates,
                    dim,
                    scale: 6.0,
                    positive,
                    correct_positive,
                    mask_hits,
                    smoothing: 0.0,
                };
                Data::new(kernel, true, padding).hold(devices_with_checks(), "padding", LAYS, [true; 3]);
            }
        }
    }
}

#[test]
fn each_output_alone_and_left_out() {
    for positive in [Positive::Diagonal, Positive::Label, Positive::Own] {
        let (rows, candidates, dim) = (65, 65, 20);
        let (correct_positive, mask_hits) = (true, true);
        let kernel =
            SoftmaxLoss { rows, candidates, dim, scale: 4.0, positive, correct_positive, mask_hits, smoothing: 0.0 };
        let data = Data::new(kernel, true, 2);
        for set in 0..8u8 {
            let outputs = [set & 1 > 0, set & 2 > 0, set & 4 > 0];
            data.hold(devices_with_checks(), "outputs", LAYS, outputs);
        }
    }
}

#[test]
fn smoothing_and_masks() {
    for (what, rows, candidates, dim) in [
        ("one", 1, 1, 1),
        ("one short of a word", 63, 63, 33),
        ("more candidates than rows", 65, 130, 100),
        ("parts", 33, 601, 16),
    ] {
        for positive in [Positive::Diagonal, Positive::Label, Positive::Own] {
            for (smoothing, logq, masked, all) in [
                (0.0, false, true, false),
                (0.1, false, false, false),
                (0.3, true, true, true),
                (1.0, true, false, true),
            ] {
                let (correct_positive, mask_hits) = (all, all);
                let kernel =
                    SoftmaxLoss { rows, candidates, dim, scale: 4.0, positive, correct_positive, mask_hits, smoothing };
                let padding = if logq && rows > 10 { 3 } else { 0 };
                let data = Data::new(kernel, logq, padding);
                let data = if masked { data.with_mask() } else { data };
                data.hold(devices_with_checks(), what, LAYS, [true; 3]);
                data.hold(devices(), what, &[Lay::Dense], [false; 3]);
            }
        }
    }
}

#[test]
fn the_oracles_gradients_are_the_differences_of_its_losses() {
    let all = [Positive::Diagonal, Positive::Label, Positive::Own];
    for (positive, smoothing) in all.into_iter().flat_map(|p| [(p, 0.0), (p, 0.25)]) {
        let (rows, candidates, dim) = (9, 9, 4);
        let (correct_positive, mask_hits) = (true, true);
        let kernel =
            SoftmaxLoss { rows, candidates, dim, scale: 3.0, positive, correct_positive, mask_hits, smoothing };
        let mut data = Data::new(kernel, true, 1);
        if smoothing > 0.0 {
            data = data.with_mask();
        }
        let [_, du, dv, down] = data.oracle();
        for (which, gradient) in [du, dv, down].iter().enumerate() {
            for (cell, (gradient, _)) in gradient.iter().enumerate() {
                let mut value = |shift: f32| {
                    fn place(data: &mut Data, which: usize, cell: usize) -> &mut f32 {
                        match which {
                            0 => &mut data.u[cell],
                            1 => &mut data.v[cell],
                            _ => &mut data.own[cell],
                        }
                    }
                    let kept = *place(&mut data, which, cell);
                    *place(&mut data, which, cell) = kept + shift;
                    let total: f64 = data.oracle()[0].iter().map(|(loss, _)| loss).sum();
                    let moved = f64::from(kept + shift) - f64::from(kept);
                    *place(&mut data, which, cell) = kept;
                    (total, moved)
                };
                let ((a, up), (b, down)) = (value(1e-3), value(-1e-3));
                let slope = (a - b) / (up - down);
                assert!(
                    abs_diff_eq!(slope, gradient, epsilon = 1e-4),
                    "{positive:?} {which} {cell}: {slope} and {gradient}"
                );
            }
        }
    }
}
