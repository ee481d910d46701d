//! Matrix products in every form that forward and backward need.

use rt_kernels::kernels::{Activation, Gemm};
use rt_kernels::{Step, Target};
use rt_tests::{EPS, LAYS, Lay, Want, devices_with_checks, f, hold, out_f, run, uniform};

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize, usize)] = &[
    // why it is here              m    n     k
    ("one cell",                   1,   1,    1),
    ("a column",                  65,   1,    3),
    ("a row",                      1,  67,    5),
    ("one short of a tile",       63,  63,   15),
    ("a tile",                    64,  64,   16),
    ("one over a tile",           65,  65,   17),
    ("nothing divides",          130,  33,   77),
    ("a layer on several threads", 300, 128, 100),
    ("deep: cut along k",         37,  40, 2_100),
    ("wide: cut by columns",       9, 700,  130),
];

#[test]
fn every_form_with_bias_addend_and_activation() {
    for &(what, m, n, k) in SIZES {
        let (a, b) = (uniform(m * k, 1), uniform(k * n, 2));
        let (bias, add) = (uniform(n, 3), uniform(m * n, 4));
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let at_a = |i: usize, p: usize| f64::from(if trans_a { a[p * m + i] } else { a[i * k + p] });
            let at_b = |p: usize, j: usize| f64::from(if trans_b { b[j * k + p] } else { b[p * n + j] });
            for (extras, activation) in [
                (false, Activation::None),
                (true, Activation::Relu),
                (true, Activation::Tanh),
                (true, Activation::Sigmoid),
            ] {
                let cell = |c: usize| {
                    let (i, j) = (c / n, c % n);
                    let (mut z, mut size) = (0.0, 0.0);
                    for p in 0..k {
                        let term = at_a(i, p) * at_b(p, j);
                        z += term;
                        size += term.abs();
                    }
                    if extras {
                        z += f64::from(bias[j]) + f64::from(add[c]);
                        size += 2.0;
                    }
                    // Every activation has slope 1 at most; those with an exponential add its error.
                    let bound = (k as f64 + 4.0) * EPS * size + 1e-12;
                    match activation {
                        Activation::None => (z, bound),
                        Activation::Relu => (z.max(0.0), bound),
                        Activation::Tanh => (z.tanh(), bound + 4e-6),
                        Activation::Sigmoid => (1.0 / (1.0 + (-z).exp()), bound + 4e-6),
                    }
                };
                let want = Want::Close((0..m * n).map(cell).collect());
                let (ra, ca) = if trans_a { (k, m) } else { (m, k) };
                let (rb, cb) = if trans_b { (n, k) } else { (k, n) };
                let extra = |t| if extras { t } else { None };
                let reads = [f(&a, ra, ca), f(&b, rb, cb), extra(f(&bias, 1, n)), extra(f(&add, m, n))];
                let kernel = Gemm { m, n, k, trans_a, trans_b, activation };
                let what = format!("{what}, {trans_a} {trans_b} {activation:?}");
                hold(&what, &kernel, &Step::default(), LAYS, &reads, &[out_f(m, n)], &[want]);
            }
        }
    }
}

/// Every variant sums ascending k in one f32 for each cell and cuts k alike, so which of them a device runs cannot be seen.
/// The devices are one adapter, opened so that it runs different variants.
#[test]
fn variants_give_the_same_bits() {
    let gpus: Vec<_> = devices_with_checks().iter().filter(|d| d.target() == Target::Gpu).collect();
    for &(what, m, n, k) in SIZES {
        let (a, b, bias, add) = (uniform(m * k, 1), uniform(k * n, 2), uniform(n, 3), uniform(m * n, 4));
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let (ra, ca) = if trans_a { (k, m) } else { (m, k) };
            let (rb, cb) = if trans_b { (n, k) } else { (k, n) };
            let reads = [f(&a, ra, ca), f(&b, rb, cb), f(&bias, 1, n), f(&add, m, n)];
            for activation in [Activation::None, Activation::Sigmoid] {
                let kernel = Gemm { m, n, k, trans_a, trans_b, activation };
                let bits = |device| run(device, kernel.clone(), &Step::default(), Lay::Strided, &reads, &[out_f(m, n)]);
                for other in gpus.iter().skip(1).filter(|d| d.name() == gpus[0].name()) {
                    assert!(bits(other) == bits(gpus[0]), "{what}, {kernel:?} on {other:?}");
                }
            }
        }
    }
}
