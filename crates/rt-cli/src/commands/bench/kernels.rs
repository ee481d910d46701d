//! `recall bench kernels`: every kernel of a training step, alone, at the shapes that training uses and at awkward ones.
//!
//! Kernels are recorded on small tapes, so that what is timed is what training runs; new ids each run.

use super::clock::process_seconds;
use super::{Row, kind, measure_ceilings, plot, report};
use crate::args::{BenchKernels, Global};
use crate::fail::{Done, Fail};
use rand::Rng;
use rt_kernels::Kernel;
use rt_kernels::philox::{PhiloxRng, key};
use rt_models::Device;
use rt_tensor::{
    Activation, BagOptions, Init, Negatives, NodeInfo, Optimizer, PositiveVar, SoftmaxSpec, Step, Store, Tape, Var,
};

/// A tape to time: name, tape, and inputs of ids (name, number, below which).
struct Case {
    shape: String,
    tape: Tape,
    ids: Vec<(&'static str, usize, u32)>,
    /// A run takes seconds.
    large: bool,
}

/// Runs that the CPU time is the median of, at most.
const CPU_RUNS: usize = 5;

pub(crate) fn run(global: &Global, args: &BenchKernels) -> Done {
    if args.runs == 0 {
        return Err(Fail::user("--runs 0: at least one run is needed"));
    }
    if let Some(path) = &args.plot {
        plot::check(path)?;
    }
    let device = crate::commands::open(global)?;
    let other = if args.no_naive { None } else { Some(other(&device)?) };
    let mut rows = Vec::new();
    for case in cases(args.large)? {
        let runs = if case.large { args.runs.min(3) } else { args.runs };
        let main = time(&device, &case, args, runs, global.seed)?;
        // A naive variant takes seconds where the main one takes milliseconds: a few runs tell enough.
        let mut second = match &other {
            Some(other) if !main.is_empty() && !case.large => {
                let second = time(other, &case, args, args.runs.min(3), global.seed)?;
                // Of a kernel that has one variant, nothing stands beside it.
                second.into_iter().filter(|o| main.iter().all(|m| m.row.id != o.row.id)).collect()
            }
            _ => Vec::new(),
        };
        for mut row in main {
            let twin = second.iter().position(|o| o.node == row.node).map(|i| second.swap_remove(i).row);
            if let Some(twin) = &twin {
                row.row.more.insert("times_naive".into(), (twin.ms / row.row.ms).into());
            }
            rows.push(row.row);
            rows.extend(twin);
        }
    }
    if rows.is_empty() {
        return Err(Fail::user(format!("--filter {}: no kernel's id contains it", args.filter)));
    }
    let ceilings = measure_ceilings(&device, &mut rows)?;
    say!("{}", device.name());
    if let Some(path) = &args.plot {
        plot::write(path, &device.name(), &rows, &ceilings)?;
        say!("roofline plot: {}", path.display());
    }
    report(global, "bench kernels", &device, rows, &ceilings)
}

/// The name of the variant of a kernel that a device runs.
fn variant(device: &Device, kernel: Option<&dyn Kernel>) -> &'static str {
    let _ = kernel; // in a build without the GPU
    match device {
        Device::Cpu(cpu) if cpu.is_naive() => "naive",
        Device::Cpu(_) => "main",
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => kernel.map_or(rt_kernels::Variant::Portable, |kernel| gpu.variant_of(kernel)).name(),
    }
}

/// What the main variants stand beside: plain loops on the CPU; on a GPU the portable variants.
fn other(device: &Device) -> Done<Device> {
    match device {
        Device::Cpu(_) => Ok(Device::Cpu(rt_kernels::CpuDevice::naive()?)),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            let products = Some(rt_kernels::Variant::Portable);
            let options = rt_kernels::GpuOptions { default_limits: true, products, ..Default::default() };
            Ok(Device::open_gpu(gpu.index(), options)?)
        }
    }
}

/// A timed node of a case.
struct Timed {
    node: usize,
    row: Row,
}

fn time(device: &Device, case: &Case, args: &BenchKernels, runs: usize, seed: u64) -> Done<Vec<Timed>> {
    let nodes = case.tape.nodes();
    let variants: Vec<&str> = case.tape.kernels().map(|kernel| variant(device, kernel)).collect();
    let id = |n: &NodeInfo, variant: &str| format!("{}/{variant}/{}/{}", n.op, kind(device), shape(case, n));
    let wanted = |n: &NodeInfo| {
        // A filter that names the main variant brings the one beside it along.
        id(n, variants[n.node]).contains(&args.filter) || id(n, "main").contains(&args.filter)
    };
    if !nodes.iter().any(wanted) {
        return Ok(Vec::new());
    }
    let store = Store::new(device, case.tape.params(), seed)?;
    let mut program = case.tape.compile(&store)?;
    let (mut seconds, mut cpu) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
    // A few more runs for the CPU time: to read its clock around each node is work of its own.
    for run in 0..=runs + runs.min(CPU_RUNS) {
        for (name, n, below) in &case.ids {
            let mut rng = PhiloxRng::at(key(seed ^ run as u64), [0, run as u32, 0, 7]);
            let ids: Vec<u32> =
                (0..*n).map(|_| 1 + ((u64::from(rng.next_u32()) * u64::from(below - 1)) >> 32) as u32).collect();
            program.write_u32(name, &ids)?;
        }
        let step = Step::new(run as u32 + 1, seed, 0, 1 << 20).with_rates(1e-3, 1e-3, 0.9, 0.999);
        if run > runs {
            for (node, s) in program.run_clocked(&step, &process_seconds)? {
                cpu[node].push(s);
            }
            continue;
        }
        for (node, s) in program.run_timed(&step)? {
            if run > 0 {
                seconds[node].push(s);
            }
        }
    }
    let mut timed: Vec<Timed> = Vec::new();
    for ((n, s), mut cpu) in nodes.iter().zip(seconds).zip(cpu).filter(|((n, s), _)| !s.is_empty() && wanted(n)) {
        let mut row = Row::new(id(n, variants[n.node]), s, n.bytes, n.flops);
        cpu.sort_by(f64::total_cmp);
        row.cpu_ms = cpu.get(cpu.len() / 2).map(|s| s * 1e3);
        row.peak_memory_bytes = rt_models::eval::peak_memory_bytes();
        // What a backward pass runs once more (dropout) is one line.
        if timed.iter().all(|t| t.row.id != row.id) {
            timed.push(Timed { node: n.node, row });
        }
    }
    Ok(timed)
}

/// The shape in a node's id: the case's, but for a product its own, m x k x n.
fn shape(case: &Case, n: &NodeInfo) -> String {
    match n.outputs.first() {
        Some((_, [rows, cols])) if n.op == "gemm" => {
            format!("{rows}x{:.0}x{cols}", n.flops / (2 * rows * cols).max(1) as f64)
        }
        _ => case.shape.clone(),
    }
}

/// The cases; `large` adds those whose runs take seconds.
fn cases(large: bool) -> Done<Vec<Case>> {
    let normal = Init::Normal(0.05);
    let mut out = Vec::new();
    // Embeddings: bag, gather, grouping, updates.
    for (rows, vocab, dim, rule, name) in [
        (4096, 1_000_000, 64, Optimizer::adam(), "adam"),
        (4096, 1_000_000, 64, Optimizer::adagrad_rows(), "adagrad"),
        (257, 1_009, 33, Optimizer::adam(), "adam"),
    ] {
        let mut t = Tape::new();
        let table = t.table("table", vocab, dim, normal)?;
        let items = t.input_ids("items", rows * 50, 1);
        let slices: Vec<u32> = (0..rows as u32).flat_map(|i| [i * 50, 50]).collect();
        let slice = t.constant_ids(&slices, rows, 2)?;
        let options = BagOptions { windows: vec![50], mean: true, zones: false, max_len: 50, mask: None, hole: None };
        let y = t.bag(table, items, slice, &options)?;
        finish(&mut t, y)?;
        t.optimize(&rule)?;
        let shape = format!("{rows}x50of{vocab}x{dim},{name}");
        out.push(Case { shape, tape: t, ids: vec![("items", rows * 50, vocab as u32)], large: false });
    }
    // Histories by position: maxima, learned weights, weighted sums.
    for (rows, vocab, dim) in [(1024, 100_000, 64), (257, 1_009, 33)] {
        let mut t = Tape::new();
        let table = t.table("table", vocab, dim, normal)?;
        let items = t.input_ids("items", rows * 50, 1);
        let slices: Vec<u32> = (0..rows as u32).flat_map(|i| [i * 50, 50]).collect();
        let slice = t.constant_ids(&slices, rows, 2)?;
        let times: Vec<u32> = (0..rows as u32 * 50).map(|i| i * 977).collect();
        let times = t.constant_ids(&times, rows * 50, 1)?;
        let ids = t.history_ids(items, vocab, slice, 50, None, None)?;
        let x = t.gather(table, ids)?;
        let (scores, rates) = (t.param("scores", [1, 100], Init::Slopes(2))?, t.param("rates", [1, 2], normal)?);
        let gaps = t.history_gaps(times, slice, 50)?;
        let (by_position, by_gap) =
            (t.history_weights(ids, rows, scores, None)?, t.history_weights(ids, rows, rates, Some(gaps))?);
        let largest = t.max_pool(x, ids, rows, &[1, 5, 50], false)?;
        let parts = [largest, t.weighted_pool(x, by_position)?, t.weighted_pool(x, by_gap)?];
        let y = t.concat(&parts)?;
        finish(&mut t, y)?;
        t.optimize(&Optimizer::sgd())?;
        let shape = format!("{rows}x50of{vocab}x{dim}");
        out.push(Case { shape, tape: t, ids: vec![("items", rows * 50, vocab as u32)], large: false });
    }
    for (rows, vocab, dim) in [(65_536, 1_000_000, 64), (1_001, 5_003, 48)] {
        let mut t = Tape::new();
        let table = t.table("table", vocab, dim, normal)?;
        let ids = t.input_ids("ids", rows, 1);
        let y = t.gather(table, ids)?;
        let z = t.l2_normalize(y)?;
        finish(&mut t, z)?;
        t.optimize(&Optimizer::sgd())?;
        out.push(Case {
            shape: format!("{rows}of{vocab}x{dim}"),
            tape: t,
            ids: vec![("ids", rows, vocab as u32)],
            large: false,
        });
    }
    // Layers: GEMM in three forms, bias, activation, dropout.
    for (m, k, n) in [(4096, 256, 128), (4096, 128, 64), (1024, 496, 128), (1024, 1024, 1024), (1023, 77, 65)] {
        let mut t = Tape::new();
        let x = t.param("x", [m, k], normal)?;
        let (w, b) = (t.param("w", [k, n], normal)?, t.param("b", [1, n], Init::Zeros)?);
        let h = t.linear(x, w, Some(b), None, Activation::Relu)?;
        let h = t.dropout(h, 0.1, 0)?;
        finish(&mut t, h)?;
        out.push(Case { shape: format!("{m}x{k}x{n}"), tape: t, ids: Vec::new(), large: false });
    }
    // Softmax over candidates.
    let many = [(16_384, 16_384, 64), (65_536, 65_536, 64)];
    let usual = [(1024, 1024, 64), (4096, 4096, 64), (1024, 3616, 64), (777, 1001, 48)];
    for (rows, candidates, dim) in usual.into_iter().chain(many.into_iter().filter(|_| large)) {
        let mut t = Tape::new();
        let users = t.param("users", [rows, dim], Init::Normal(0.125))?;
        let vectors = t.param("items", [candidates, dim], Init::Normal(0.125))?;
        let ids = t.input_ids("ids", candidates, 1);
        let targets = t.input_ids("targets", rows, 1);
        let weight = t.constant(&vec![1.0 / rows as f32; rows], rows, 1)?;
        let logq = t.constant(&vec![-7.0; candidates], candidates, 1)?;
        let positive = if rows == candidates {
            PositiveVar::Diagonal
        } else {
            PositiveVar::Label(t.constant_ids(
                &(0..rows as u32).map(|i| i % candidates as u32).collect::<Vec<_>>(),
                rows,
                1,
            )?)
        };
        let loss = t.softmax_loss(&SoftmaxSpec {
            users,
            weight,
            candidates: Negatives { vectors, logq: Some(logq), ids: Some(ids) },
            positive,
            mask_hits: Some(targets),
            scale: 10.0,
            correct_positive: false,
            smoothing: 0.0,
            mask: None,
        })?;
        let loss = t.sum(loss)?;
        t.output("loss", loss);
        t.backward(loss)?;
        t.optimize(&Optimizer::sgd())?;
        let inputs = vec![("ids", candidates, 100_000), ("targets", rows, 100_000)];
        out.push(Case { shape: format!("{rows}x{candidates}x{dim}"), tape: t, ids: inputs, large: rows > 4096 });
    }
    // Lists of negatives.
    for (rows, k, dim) in [(2048, 4, 64), (333, 7, 20)] {
        let mut t = Tape::new();
        let (u, v) = (t.param("u", [rows, dim], normal)?, t.param("v", [rows * k, dim], normal)?);
        let z = t.group_dot(u, v, 10.0)?;
        let weight = t.constant(&vec![1.0 / rows as f32; rows], rows, 1)?;
        let a = t.list_softmax(z, weight, None, None, false, 0.0)?;
        let b = t.bce_with_logits(z, weight, None)?;
        let rows_loss = t.add(a, b)?;
        let loss = t.sum(rows_loss)?;
        t.output("loss", loss);
        t.backward(loss)?;
        t.optimize(&Optimizer::adam())?;
        out.push(Case { shape: format!("{rows}x{k}x{dim}"), tape: t, ids: Vec::new(), large: false });
    }
    // Draws.
    let mut t = Tape::new();
    let uniform = t.draw_uniform(65_536, 1, 1_000_000, 0)?;
    let mask = t.history_mask(65_536, 2, 0.1, 1)?;
    t.output("uniform", uniform);
    t.output("mask", mask);
    out.push(Case { shape: "65536".into(), tape: t, ids: Vec::new(), large: false });
    Ok(out)
}

/// A loss for a value: the sum of its rows' products with a constant.
fn finish(t: &mut Tape, y: Var) -> Done {
    let [rows, cols] = t.shape(y);
    let ones = t.constant(&vec![1e-3; rows * cols], rows, cols)?;
    let z = t.group_dot(y, ones, 1.0)?;
    let loss = t.sum(z)?;
    t.output("loss", loss);
    Ok(t.backward(loss)?)
}
