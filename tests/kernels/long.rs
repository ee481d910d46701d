//! Shapes at which one invocation would loop longer than llvmpipe lets it: every device finishes them, or says that it would not.

use rt_kernels::kernels::*;
use rt_kernels::{Call, Device, Kernel, Operand, Operands, Program, Step};
use rt_tests::{Lay, Want, devices, devices_with_checks, f, hold, hold_on, out_f, u};
use std::sync::Arc;

/// Small whole numbers, so that sums are exact.
fn whole(n: usize, most: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % (2 * most + 1)) as f32 - most as f32).collect()
}

#[test]
fn products_of_long_rows() {
    let (m, n, k) = (2, 3, 600_000);
    let (a, b) = (whole(m * k, 1), whole(k * n, 2));
    let cell = |i: usize, j: usize| -> f64 { (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum() };
    let want = (0..m * n).map(|c| cell(c / n, c % n));
    let kernel = Gemm { m, n, k, trans_a: false, trans_b: false, activation: Activation::None };
    let reads = [f(&a, m, k), f(&b, k, n), None, None];
    let (step, outs, want) = (Step::default(), [out_f(m, n)], [Want::within(want, 0.0)]);
    // A software driver takes long for them: its checked and its portable forms have the same loops.
    hold_on(devices(), "k of 600,000", &kernel, &step, &[Lay::Dense], &reads, &outs, &want);
}

#[test]
fn statistics_of_many_rows() {
    let (rows, cols) = (400_000, 2);
    let x: Vec<f32> = (0..rows * cols).map(|i| 0.1 + (i / cols % 2) as f32).collect();
    let mean = f64::from(0.1f32) + 0.5;
    let column = |value: f64, bound: f64| vec![(value, bound); cols];
    let stats = [column(mean, 1e-5), column(0.25, 1e-5), column(1.0 / rows as f64, 1e-9)].concat();
    let reads = [f(&x, rows, cols), f(&vec![1.0; rows], rows, 1)];
    let kernel = BatchNormStats { rows, cols, momentum: 1.0 };
    let outs = [out_f(3, cols), f(&vec![0.0; cols], 1, cols), f(&vec![0.0; cols], 1, cols)];
    let running = [column(mean, 1e-5), column(0.25, 1e-5)];
    let want = [stats, running[0].clone(), running[1].clone()].map(Want::Close);
    hold("statistics", &kernel, &Step::default(), &[Lay::Dense], &reads, &outs, &want);
    // Of a mean of 0.6 and a variance of 0.25: h is -1 or 1, and sum(dy h) is 0.
    let stats: Vec<f32> = [0.6f32, 0.6, 0.25, 0.25, 0.0, 0.0].into();
    let reads = [f(&x, rows, cols), f(&stats, 3, cols), f(&vec![0.1; rows * cols], rows, cols)];
    let level = f64::from(0.1f32) * rows as f64;
    let want = [column(0.0, 0.5), column(level, 1e-5 * level)].concat();
    let kernel = BatchNormSums { rows, cols };
    hold("sums", &kernel, &Step::default(), &[Lay::Dense], &reads, &[out_f(2, cols)], &[Want::Close(want)]);
}

#[test]
fn the_softmax_over_a_large_catalogue() {
    let (rows, candidates, dim) = (2, 150_000, 2);
    // The logit of every candidate is 0 but for the last, which is the positive's.
    let mut v = vec![0.0; candidates * dim];
    v[(candidates - 1) * dim] = 1.0;
    let label = u(&[candidates as u32 - 1; 2], rows, 1);
    let reads = [f(&[1.0, 0.0, 1.0, 0.0], rows, dim), f(&v, candidates, dim), f(&[1.0; 2], rows, 1)];
    let none = || None;
    let [a, b, c] = reads;
    let reads = [a, b, c, none(), none(), none(), label, none(), none(), none()];
    let (positive, correct_positive, mask_hits, smoothing) = (Positive::Label, false, false, 0.0);
    let kernel = SoftmaxLoss { rows, candidates, dim, scale: 3.0, positive, correct_positive, mask_hits, smoothing };
    let others = candidates as f64 - 1.0;
    let loss = (others + 3f64.exp()).ln() - 3.0;
    let own = 3f64.exp() / (others + 3f64.exp()) - 1.0;
    let want = [Want::within([loss; 2], 1e-3), Want::within([3.0 * own, 0.0, 3.0 * own, 0.0], 1e-4)];
    let [loss, du] = want;
    let writes = [out_f(rows, 1), out_f(rows, dim), None, None];
    let want = [loss, du, Want::Nothing, Want::Nothing];
    hold("a catalogue of 150,000", &kernel, &Step::default(), &[Lay::Dense], &reads, &writes, &want);
}

/// What cannot be cut is refused by its name on a software driver, and runs everywhere else.
#[test]
fn what_a_driver_would_not_finish_is_refused() {
    let new = |device: &Device, kernel: Arc<dyn Kernel + Send + Sync>| {
        let signature = kernel.signature();
        let mut buffers = Vec::new();
        let mut place = |slot: &rt_kernels::Slot| {
            if slot.optional {
                return None;
            }
            let (rows, cols) = (slot.rows.unwrap(), slot.cols.unwrap());
            buffers.push(device.zeros(slot.dtype, rows * cols, "an operand").unwrap());
            Some(Operand::dense(buffers.len() - 1, rows, cols))
        };
        let reads = signature.reads.iter().map(&mut place).collect();
        let writes = signature.writes.iter().map(&mut place).collect();
        let operands = Operands { reads, writes, scratch: Vec::new() };
        Program::new(device, buffers, vec![Call { kernel, operands }]).map(drop)
    };
    for device in devices_with_checks() {
        let software = match device {
            Device::Cpu(_) => false,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => !gpu.adapter().hardware,
        };
        let at = |items| new(device, Arc::new(TopK { queries: 1, items, k: 10, first: 0 }));
        assert!(at(800_000).is_ok(), "{device:?}");
        let large = at(2_000_000);
        assert_eq!(large.is_err(), software, "{device:?}: {large:?}");
        if let Err(error) = large {
            let said = error.to_string();
            assert!(said.contains("top_k is too large for") && said.contains("`top_k_select`"), "{said}");
        }
        let rows = Arc::new(BatchNormStats { rows: 1_200_000, cols: 1, momentum: 0.1 });
        assert_eq!(new(device, rows).is_err(), software, "{device:?}");
    }
}

/// Iterations that the dispatch of a shader states, for operands of `any` rows where the kernel leaves them open.
fn stated(kernel: &dyn Kernel, shader: &str, any: usize) -> usize {
    let signature = kernel.signature();
    let place = |slot: &rt_kernels::Slot| Some(Operand::dense(0, slot.rows.unwrap_or(any), slot.cols.unwrap_or(1)));
    let reads = signature.reads.iter().map(place).collect();
    let writes = signature.writes.iter().map(place).collect();
    let scratch = kernel.scratch(rt_kernels::Target::Gpu).iter().map(|n| Operand::dense(0, 1, *n)).collect();
    let list = kernel.dispatches(&Operands { reads, writes, scratch });
    list.iter().find(|d| d.shader == shader).unwrap_or_else(|| panic!("no {shader}")).iterations
}

/// The pass that ends a loop counts as an iteration too, and what no attribute bounds the operands do.
#[test]
fn iterations_are_counted_to_the_pass_that_ends_the_loop() {
    let (rows, n, dim, history) = (2, 100, 100, 100);
    let bag = |max_len, windows: &[usize]| Bag {
        rows,
        dim: 4,
        apart: 4,
        windows: windows.to_vec(),
        max_len,
        mean: false,
        zones: false,
    };
    let all = usize::MAX;
    let backward =
        |max_len| BagBackward { rows, dim: 4, vocab: 9, windows: vec![0], max_len, mean: true, zones: false };
    let list = ListSoftmax { rows, n, mask_hits: false, correct_positive: false, smoothing: 0.0 };
    let windows = vec![3, 0];
    let cases: [(&dyn Kernel, &str, usize); 13] = [
        (&FieldDot { rows, cols: n, fields: 3 }, "field_dot", n + 1),
        (&ClipFactor { n, clip: 1.0 }, "clip_factor", n + 1),
        (&WeightedPool { rows, history, heads: 2, dim: 4 }, "weighted_pool", history + 1),
        (&list, "list_softmax", 4 * n + 4),
        (&MaxPool { rows, history, dim, windows, zones: false }, "max_pool", 3 + 2 + history),
        (&bag(all, &[0]), "bag", 777 + 33),
        (&bag(all, &[1, all]), "bag", 777 + 33),
        (&bag(50, &[0]), "bag", 50 + 33),
        (&bag(50, &[10, 20]), "bag", 21 + 33),
        (&backward(all), "bag_backward", 777 + 67),
        (&backward(50), "bag_backward", 50 + 67),
        (&TopK { queries: 1, items: 5, k: 2, first: 0 }, "top_k_exclude", 777usize.div_ceil(64) + 1),
        (&GroupDotBackward { rows, group: n, dim, scale: 1.0 }, "group_dot_du", n + 1),
    ];
    for (kernel, shader, want) in cases {
        assert_eq!(stated(kernel, shader, 777), want, "{kernel:?}");
    }
    let large = stated(&TopK { queries: 1, items: 5, k: 2, first: 0 }, "top_k_exclude", 1 << 30);
    assert_eq!(large, rt_kernels::MOST_ITERATIONS);
}
