//! The tiled softmax loss and its gradients.

use rt_kernels::kernels::{Positive, SoftmaxLoss};
use rt_kernels::{Device, Step};
use rt_tests::{LAYS, Lay, Want, devices, devices_with_checks, f, hold_on, ids, out_f, u, uniform};

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
        Self {
            u: uniform(rows * dim, 1),
            v: uniform(candidates * dim, 2),
            own: uniform(rows * dim, 3),
            weight: weight.collect(),
            logq,
            own_logq: uniform(rows, 6),
            candidates: if diagonal { targets.clone() } else { ids(candidates, 40, 8) },
            targets,
            // Labels point at candidates that are not padding.
            label: ids(rows, (candidates - padding) as u32, 9),
            kernel,
        }
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
            (q(j) < 1e29 && !hit).then(|| dot(&self.v, j) - q(j))
        };
        let logits: Vec<Option<f64>> = (0..k.candidates).map(logit).collect();
        let own = positive.is_none().then_some(z_positive);
        let all = || logits.iter().flatten().copied().chain(own);
        let top = all().fold(f64::MIN, f64::max);
        let lse = top + all().map(|z| (z - top).exp()).sum::<f64>().ln();
        (lse, z_positive, positive, logits)
    }

    /// loss, du, dv, down.
    fn oracle(&self) -> [Vec<f64>; 4] {
        let SoftmaxLoss { rows, candidates, dim, scale, .. } = self.kernel;
        let (mut loss, mut du, mut dv) = (vec![], vec![0.0; rows * dim], vec![0.0; candidates * dim]);
        let mut down = vec![0.0; rows * dim];
        for i in 0..rows {
            let (lse, z_positive, positive, logits) = self.row(i);
            let w = f64::from(self.weight[i]);
            loss.push(w * (lse - z_positive));
            for (j, z) in logits.iter().enumerate() {
                let one = f64::from(u8::from(positive == Some(j)));
                let g = z.map_or(0.0, |z| f64::from(scale) * w * ((z - lse).exp() - one));
                for c in 0..dim {
                    du[i * dim + c] += g * f64::from(self.v[j * dim + c]);
                    dv[j * dim + c] += g * f64::from(self.u[i * dim + c]);
                }
            }
            if positive.is_none() {
                let g = f64::from(scale) * w * ((z_positive - lse).exp() - 1.0);
                for c in 0..dim {
                    du[i * dim + c] += g * f64::from(self.own[i * dim + c]);
                    down[i * dim + c] = g * f64::from(self.u[i * dim + c]);
                }
            }
        }
        [loss, du, dv, down]
    }

    fn hold(&self, devices: &[Device], what: &str, lays: &[Lay], gradients: bool) {
        let SoftmaxLoss { rows, candidates, dim, scale, positive, mask_hits, .. } = self.kernel;
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
            given(own, f(&self.own_logq, rows, 1)),
        ];
        let [loss, du, dv, down] = self.oracle();
        // A logit is off by its rounding, a probability by as much and by exp's error; a gradient cell sums as many of them as
        // there are candidates (rows), whose weights sum to 2 scale (at most).
        let logit = f64::from(scale) * dim as f64 * 1e-6 + 4e-6;
        let some = |there: bool, rows| if there { out_f(rows, dim) } else { None };
        let want = |there: bool, cells: Vec<f64>, bound| if there { Want::within(cells, bound) } else { Want::Nothing };
        let writes = [out_f(rows, 1), some(gradients, rows), some(gradients, candidates), some(gradients && own, rows)];
        let s = f64::from(scale);
        let want = [
            Want::within(loss, 4.0 * logit),
            want(gradients, du, 4.0 * s * logit),
            want(gradients, dv, 4.0 * s * logit * (rows as f64).sqrt().max(2.0)),
            want(gradients && own, down, 4.0 * s * logit),
        ];
        hold_on(devices, what, &self.kernel, &Step::default(), lays, &reads, &writes, &want);
    }
}

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize, usize, f32)] = &[
    // why it is here              rows candidates dim scale
    ("one row, one candidate",        1,   1,   1,  1.0),
    ("one short of a tile",          63,  63,   3, 10.0),
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
            [(false, false, false), (true, false, true), (true, true, true), (true, true, false)]
        {
            let kernel =
                SoftmaxLoss { rows, candidates, dim, scale, positive: Positive::Diagonal, correct_positive, mask_hits };
            let padding = if logq && rows > 10 { 6 } else { 0 };
            let data = Data::new(kernel, logq, padding);
            data.hold(devices_with_checks(), what, LAYS, true);
            data.hold(devices(), what, &[Lay::Dense], false);
        }
    }
}

#[test]
fn the_catalogue_and_shared_negatives() {
    for (what, rows, candidates, dim) in [
        ("fewer candidates than a tile", 65, 7, 16),
        ("nothing divides", 33, 201, 50),
        ("candidates by thousands: several panels", 300, 20_000, 8),
    ] {
        for positive in [Positive::Label, Positive::Own] {
            for (logq, correct_positive, mask_hits) in [(false, false, false), (true, false, true), (true, true, false)]
            {
                let kernel = SoftmaxLoss { rows, candidates, dim, scale: 8.0, positive, correct_positive, mask_hits };
                // The CPU with one and two threads alone where there are thousands.
                let devices = if candidates > 1000 { &devices()[..2] } else { devices_with_checks() };
                Data::new(kernel, logq, 0).hold(devices, what, &[Lay::Strided], true);
            }
        }
    }
}

#[test]
fn the_oracles_gradients_are_the_differences_of_its_losses() {
    let kernel = SoftmaxLoss {
        rows: 9,
        candidates: 9,
        dim: 4,
        scale: 3.0,
        positive: Positive::Diagonal,
        correct_positive: true,
        mask_hits: true,
    };
    let mut data = Data::new(kernel, true, 1);
    let [_, du, dv, _] = data.oracle();
    for cell in 0..36 {
        for (which, gradient) in [(0, &du), (1, &dv)] {
            let mut value = |shift: f32| {
                let place = if which == 0 { &mut data.u[cell] } else { &mut data.v[cell] };
                let kept = *place;
                *place += shift;
                let moved = f64::from(*place) - f64::from(kept);
                let total: f64 = data.oracle()[0].iter().sum();
                let place = if which == 0 { &mut data.u[cell] } else { &mut data.v[cell] };
                *place = kept;
                (total, moved)
            };
            let ((a, up), (b, down)) = (value(1e-3), value(-1e-3));
            let slope = (a - b) / (up - down);
            assert!((slope - gradient[cell]).abs() < 1e-4, "{which} {cell}: {slope} and {}", gradient[cell]);
        }
    }
}
