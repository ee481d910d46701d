//! Products that hold their tiles in f16, on adapters that grant it, and that round to bf16, on processors that have it.

use approx::abs_diff_eq;
use rt_kernels::kernels::{Activation, Gemm, Search};
use rt_kernels::{Call, Device, DeviceChoice, Dtype, Operand, Operands, Program, Step};
use rt_tests::{EPS, Lay, Want, bf16_devices, f, f16_devices, floats, hold_on, out_f, out_u, run, uniform};
use std::sync::Arc;

/// How a word of a tile is rounded.
#[derive(Clone, Copy)]
struct Rounding {
    /// By its own size.
    own: f64,
    /// By the largest word of the tile.
    largest: f64,
}

/// 2^-11 to nearest, and WGSL lets a driver take the other neighbour; it may flush f16's subnormal numbers.
const F16: Rounding = Rounding { own: 1.0 / 1024.0, largest: 1.0 / (1 << 28) as f64 };
/// 2^-8 to nearest.
const BF16: Rounding = Rounding { own: 1.0 / 256.0, largest: 0.0 };

const FORMS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

#[rustfmt::skip] // a table
const SIZES: &[(&str, usize, usize, usize)] = &[
    // why it is here                m    n     k
    ("one cell",                     1,   1,    1),
    ("a column",                    65,   1,    3),
    ("a row",                        1,  67,    5),
    ("one short of a tile",         63,  63,   55),
    ("a tile",                      64,  64,   56),
    ("one over a tile",             65,  65,   57),
    ("nothing divides",            130,  33,   77),
    ("two tiles deep and a bit",    70, 129,  113),
    ("deep: cut along k",           37,  40, 2_100),
];

/// The operands of a product, stored as its form wants them.
#[derive(Clone)]
struct Inputs {
    a: Vec<f32>,
    b: Vec<f32>,
    gemm: Gemm,
}

impl Inputs {
    fn new(gemm: Gemm, size_a: f32, size_b: f32) -> Self {
        let times = |x: Vec<f32>, size: f32| x.into_iter().map(|x| x * size).collect();
        let Gemm { m, n, k, .. } = gemm;
        Self { a: times(uniform(m * k, 1), size_a), b: times(uniform(k * n, 2), size_b), gemm }
    }

    fn reads(&self) -> [Option<rt_tests::Tensor>; 2] {
        let Gemm { m, n, k, trans_a, trans_b, .. } = self.gemm;
        let (ra, ca) = if trans_a { (k, m) } else { (m, k) };
        let (rb, cb) = if trans_b { (n, k) } else { (k, n) };
        [f(&self.a, ra, ca), f(&self.b, rb, cb)]
    }

    /// (sum, bound) of each cell, without bias, addend and activation.
    ///
    /// A word x of a tile whose largest is t is held as x + d with |d| <= own |x| + largest t; so a term is off by at most
    /// |a| db + |b| da + da db, which adds up over k. On top of that come f32's roundings: k of the sums, a few of the scale.
    fn sums(&self, round: Rounding) -> Vec<(f64, f64)> {
        let Gemm { m, n, k, trans_a, trans_b, .. } = self.gemm;
        let largest = |x: &[f32]| x.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
        let (top_a, top_b) = (largest(&self.a), largest(&self.b));
        let cell = |c: usize| {
            let (i, j) = (c / n, c % n);
            let (mut z, mut bound) = (0.0, 1e-12 * top_a * top_b);
            for p in 0..k {
                let a = f64::from(self.a[if trans_a { p * m + i } else { i * k + p }]);
                let b = f64::from(self.b[if trans_b { j * k + p } else { p * n + j }]);
                let (da, db) =
                    (round.own * a.abs() + round.largest * top_a, round.own * b.abs() + round.largest * top_b);
                z += a * b;
                bound += a.abs() * db + b.abs() * da + da * db + (k as f64 + 8.0) * EPS * (a * b).abs();
            }
            (z, bound)
        };
        (0..m * n).map(cell).collect()
    }
}

/// [`f16_devices`], and the first of them with wgpu's own checks in its shaders.
#[cfg(feature = "gpu")]
fn devices() -> Vec<Device> {
    let mut devices = f16_devices();
    if let Some(Device::Gpu(gpu)) = devices.first() {
        let options = rt_kernels::GpuOptions { f16: true, checked_shaders: true, ..Default::default() };
        devices.push(Device::open_gpu(gpu.index(), options).unwrap());
    }
    devices
}

/// A CPU-only build has no adapter to add.
#[cfg(not(feature = "gpu"))]
fn devices() -> Vec<Device> {
    f16_devices()
}

#[test]
fn every_form_with_bias_addend_and_activation() {
    for (devices, round) in [(devices(), F16), (bf16_devices(), BF16)] {
        for &(what, m, n, k) in SIZES {
            for (trans_a, trans_b) in FORMS {
                let gemm = Gemm { m, n, k, trans_a, trans_b, activation: Activation::None };
                forms(&devices, round, &format!("{what}, {trans_a} {trans_b}"), &gemm);
            }
        }
    }
}

fn forms(devices: &[Device], round: Rounding, what: &str, gemm: &Gemm) {
    let (m, n) = (gemm.m, gemm.n);
    let (bias, add) = (uniform(n, 3), uniform(m * n, 4));
    let operands = Inputs::new(gemm.clone(), 1.0, 1.0);
    let sums = operands.sums(round);
    for (extras, activation) in
        [(false, Activation::None), (true, Activation::Relu), (true, Activation::Tanh), (true, Activation::Sigmoid)]
    {
        let cell = |(c, (z, bound)): (usize, &(f64, f64))| {
            let more = if extras { f64::from(bias[c % n]) + f64::from(add[c]) } else { 0.0 };
            let (z, bound) = (z + more, bound + 4.0 * EPS * (z.abs() + 2.0));
            // Every activation has slope 1 at most; those with an exponential add its error.
            match activation {
                Activation::None => (z, bound),
                Activation::Relu => (z.max(0.0), bound),
                Activation::Tanh => (z.tanh(), bound + 4e-6),
                Activation::Sigmoid => (1.0 / (1.0 + (-z).exp()), bound + 4e-6),
            }
        };
        let want = Want::Close(sums.iter().enumerate().map(cell).collect());
        let extra = |t| if extras { t } else { None };
        let [a, b] = operands.reads();
        let reads = [a, b, extra(f(&bias, 1, n)), extra(f(&add, m, n))];
        let kernel = Gemm { activation, ..gemm.clone() };
        let lays = &[Lay::Dense, Lay::ByFours, Lay::Strided];
        let what = format!("{what} {activation:?}");
        hold_on(devices, &what, &kernel, &Step::default(), lays, &reads, &[out_f(m, n)], &[want]);
    }
}

/// f16 ends at 65504, and below 2^-24 it has nothing: sizes that neither end holds lose no more than others. bf16 has f32's range.
#[test]
fn sizes_past_the_range_of_f16_lose_nothing() {
    for (size_a, size_b) in [(1e6, 1e-9), (1e-12, 1e-9), (1e30, 1e-20), (3e38, 1e-10), (1e-30, 1e38), (1e18, 1e18)] {
        for (trans_a, trans_b) in FORMS {
            let gemm = Gemm { m: 65, n: 66, k: 120, trans_a, trans_b, activation: Activation::None };
            let operands = Inputs::new(gemm.clone(), size_a, size_b);
            let [a, b] = operands.reads();
            let what = format!("{size_a:e} {size_b:e} {trans_a} {trans_b}");
            let reads = [a, b, None, None];
            for (devices, round) in [(devices(), F16), (bf16_devices(), BF16)] {
                let want = [Want::Close(operands.sums(round))];
                hold_on(&devices, &what, &gemm, &Step::default(), &[Lay::ByFours], &reads, &[out_f(65, 66)], &want);
            }
        }
    }
}

/// What is no number has to be seen, in its row alone: the others keep their precision.
#[test]
fn inf_and_nan_go_on_and_stay_in_their_row() {
    let gemm = Gemm { m: 70, n: 40, k: 60, trans_a: false, trans_b: false, activation: Activation::None };
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut operands = Inputs::new(gemm.clone(), 1e-3, 1.0);
        let whole = operands.clone();
        operands.a[3 * 60 + 7] = broken;
        let in_bf16 = bf16_devices().into_iter().map(|d| (d, BF16));
        for (device, round) in devices().into_iter().map(|d| (d, F16)).chain(in_bf16) {
            let want = whole.sums(round);
            let [a, b] = operands.reads();
            let reads = [a, b, None, None];
            let got = run(&device, gemm.clone(), &Step::default(), Lay::ByFours, &reads, &[out_f(70, 40)]);
            for (c, (got, (z, bound))) in floats(&got[0]).iter().zip(&want).enumerate() {
                if c / 40 == 3 {
                    assert!(!got.is_finite(), "{broken} came out as {got} on {device:?}");
                } else {
                    assert!(
                        abs_diff_eq!(f64::from(*got), z, epsilon = *bound),
                        "{broken}: cell {c} is {got}, not {z}, {device:?}"
                    );
                }
            }
        }
    }
}

/// The shader that runs, and that what does not lie for it has the bits of f32.
#[test]
fn products_in_whole_vec4s_take_it_and_others_stay_f32() {
    for device in devices() {
        assert!(device.name().ends_with(", f16 products"), "{device:?}");
        for (cols, shader) in [(40, "gemm_f16"), (41, "gemm")] {
            let activation = Activation::None;
            let kernel = Arc::new(Gemm { m: 65, n: 65, k: cols, trans_a: false, trans_b: true, activation });
            let matrix = |buffer, rows, cols| Some(Operand::dense(buffer, rows, cols));
            let reads = vec![matrix(0, 65, cols), matrix(1, 65, cols), None, None];
            let operands = Operands { reads, writes: vec![matrix(2, 65, 65)], scratch: vec![] };
            let buffers = [65 * cols, 65 * cols, 65 * 65].map(|n| device.zeros(Dtype::F32, n, "operand").unwrap());
            let program = Program::new(&device, buffers.into(), vec![Call { kernel, operands }]).unwrap();
            assert_eq!(program.launches(), [(0, shader)]);
        }
        let gemm = Gemm { m: 65, n: 40, k: 77, trans_a: false, trans_b: false, activation: Activation::None };
        let [a, b] = Inputs::new(gemm.clone(), 1.0, 1.0).reads();
        let reads = [a, b, None, None];
        let bits = |device: &Device, lay| run(device, gemm.clone(), &Step::default(), lay, &reads, &[out_f(65, 40)]);
        let plain = rt_tests::devices().iter().find(|d| device.name().starts_with(&d.name())).expect("the same, f32");
        assert!(bits(&device, Lay::Strided) == bits(plain, Lay::Strided), "{device:?}");
        assert!(bits(&device, Lay::ByFours) != bits(plain, Lay::ByFours), "{device:?} rounds nothing");
    }
}

#[test]
fn a_cpu_that_rounds_says_so() {
    for device in bf16_devices() {
        assert!(device.name().ends_with(", bf16 products"), "{device:?}");
        let gemm = Gemm { m: 65, n: 40, k: 77, trans_a: false, trans_b: false, activation: Activation::None };
        let [a, b] = Inputs::new(gemm.clone(), 1.0, 1.0).reads();
        let reads = [a, b, None, None];
        let plain = &rt_tests::devices()[0];
        let bits = |device: &Device| run(device, gemm.clone(), &Step::default(), Lay::Dense, &reads, &[out_f(65, 40)]);
        assert!(bits(&device) != bits(plain), "{device:?} rounds nothing");
        // Retrieval does not.
        let search = Search { queries: 30, items: 2_000, dim: 20, k: 50, first: 0, coded: false };
        let reads = [f(&uniform(600, 1), 30, 20), f(&uniform(40_000, 2), 2_000, 20), None, None];
        let writes = [out_f(30, 50), out_u(30, 50)];
        let bits = |device: &Device| run(device, search.clone(), &Step::default(), Lay::Dense, &reads, &writes);
        assert!(bits(&device) == bits(plain), "{device:?} rounds scores");
    }
}

#[test]
fn the_cpu_and_adapters_without_it_are_refused() {
    let refused = |choice| match Device::open_f16(choice) {
        Ok(device) => panic!("{device:?} opened"),
        Err(error) => error.to_string(),
    };
    assert!(refused(DeviceChoice::Cpu).contains("f16"));
    let adapters = Device::adapters();
    let absent = refused(DeviceChoice::GpuIndex(adapters.len()));
    assert!(absent.contains("no such device"), "{absent}");
    if !adapters.iter().any(|a| a.hardware && a.unusable.is_none()) {
        assert!(refused(DeviceChoice::Auto).contains("f16"), "auto takes the CPU");
    }
    for a in adapters.iter().filter(|a| a.unusable.is_none() && !a.grants_f16()) {
        assert!(refused(DeviceChoice::GpuIndex(a.index)).contains("shader-f16"), "{}", a.name);
    }
}
