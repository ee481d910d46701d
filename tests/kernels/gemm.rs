//! Matrix products in every form that forward and backward need.

use rt_kernels::kernels::{Activation, Gemm};
use rt_kernels::{Call, Device, Dtype, Kernel, Operand, Operands, Program, Step, Target, Variant};
use rt_tests::{EPS, LAYS, Lay, Want, devices_with_checks, f, hold, out_f, run, uniform};
use std::sync::Arc;

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

/// More cells than a wide tile has, in every way of hanging over its edges.
#[rustfmt::skip] // a table
const WIDE: &[(&str, usize, usize, usize)] = &[
    // why it is here                      m    n    k
    ("a wide tile",                      128, 128,  16),
    ("one over in each",                 129, 129,  17),
    ("one short, k of no whole quad",    127,  66,  31),
    ("half a tile over, k in two parts", 200, 195, 514),
    ("the last part short",               68, 140, 2_070),
];

/// The first adapter, opened with each variant of products that a timing may choose.
#[cfg(feature = "gpu")]
fn forced() -> Vec<Device> {
    use rt_kernels::GpuOptions;
    let Some(Device::Gpu(gpu)) = rt_tests::devices().get(2) else { return Vec::new() };
    let options = |products, checked_shaders| GpuOptions { products, checked_shaders, ..GpuOptions::default() };
    [(Variant::Portable, false), (Variant::Vec4, false), (Variant::Wide, false), (Variant::Wide, true)]
        .map(|(variant, checked)| Device::open_gpu(gpu.index(), options(Some(variant), checked)).unwrap())
        .into()
}

/// A CPU-only build has none.
#[cfg(not(feature = "gpu"))]
fn forced() -> Vec<Device> {
    Vec::new()
}

/// Every variant sums ascending k in one f32 for each cell and cuts k alike, so which of them a device runs cannot be seen: not
/// which kind of adapter it is, nor what it was timed for. The devices are one adapter, opened so that it runs different variants.
#[test]
fn variants_give_the_same_bits() {
    let gpus: Vec<_> = devices_with_checks().iter().filter(|d| d.target() == Target::Gpu).cloned().collect();
    let gpus: Vec<_> = gpus.into_iter().chain(forced()).collect();
    for &(what, m, n, k) in SIZES.iter().chain(WIDE) {
        let (a, b, bias, add) = (uniform(m * k, 1), uniform(k * n, 2), uniform(n, 3), uniform(m * n, 4));
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let (ra, ca) = if trans_a { (k, m) } else { (m, k) };
            let (rb, cb) = if trans_b { (n, k) } else { (k, n) };
            for (extras, activation) in [(true, Activation::Sigmoid), (false, Activation::None)] {
                let extra = |t| if extras { t } else { None };
                let reads = [f(&a, ra, ca), f(&b, rb, cb), extra(f(&bias, 1, n)), extra(f(&add, m, n))];
                let kernel = Gemm { m, n, k, trans_a, trans_b, activation };
                let bits = |device, lay| run(device, kernel.clone(), &Step::default(), lay, &reads, &[out_f(m, n)]);
                for lay in [Lay::Strided, Lay::ByFours] {
                    let want = gpus.first().map(|first| bits(first, lay));
                    for other in gpus.iter().filter(|d| d.name() == gpus[0].name()) {
                        assert!(Some(bits(other, lay)) == want, "{what}, {kernel:?}, {lay:?} on {other:?}");
                    }
                }
            }
        }
    }
}

/// That the variants which a timing may choose run at all where they are asked for, and where they cannot the portable one.
#[test]
fn variants_run_where_operands_lie_for_them() {
    let kernel = |m, n| Gemm { m, n, k: 40, trans_a: false, trans_b: true, activation: Activation::None };
    let shader = |m, n, stride, variant| {
        let operand = |buffer, rows| Some(Operand { buffer, offset: 4, rows, cols: 40, stride });
        let writes = vec![Some(Operand::dense(2, m, n))];
        let operands = Operands { reads: vec![operand(0, m), operand(1, n), None, None], writes, scratch: vec![] };
        kernel(m, n).dispatches_as(&operands, variant)[0].shader
    };
    assert_eq!(shader(65, 65, 40, Variant::Wide), "gemm_wide");
    assert_eq!(shader(64, 300, 44, Variant::Wide), "gemm_vec4", "half of a wide tile");
    assert_eq!(shader(65, 65, 40, Variant::Vec4), "gemm_vec4");
    assert_eq!(shader(65, 65, 41, Variant::Wide), "gemm", "rows at any word");
    assert_eq!(shader(65, 65, 40, Variant::Portable), "gemm");

    for (device, shader) in forced().iter().zip(["gemm", "gemm_vec4", "gemm_wide", "gemm_wide"]) {
        let matrix = |buffer, rows, cols| Some(Operand::dense(buffer, rows, cols));
        let reads = vec![matrix(0, 65, 40), matrix(1, 65, 40), None, None];
        let operands = Operands { reads, writes: vec![matrix(2, 65, 65)], scratch: vec![] };
        let buffers = [65 * 40, 65 * 40, 65 * 65].map(|n| device.zeros(Dtype::F32, n, "operand").unwrap());
        let calls = vec![Call { kernel: Arc::new(kernel(65, 65)), operands }];
        let program = Program::new(device, buffers.into(), calls).unwrap();
        assert_eq!(program.launches(), [(0, shader)]);
    }
}
