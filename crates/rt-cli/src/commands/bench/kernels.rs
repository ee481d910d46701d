//! `recall bench kernels`: every kernel of a training step, alone, at the shapes that training uses and at awkward ones.
//!
//! Kernels are recorded on small tapes, so that what is timed is what training runs; new ids each run.

use super::ceilings::Ceilings;
use super::{Row, kind, print};
use crate::args::{BenchKernels, Global};
use crate::fail::{Done, Fail};
use crate::output;
use rt_kernels::philox;
use rt_models::Device;
use rt_tensor::{Activation, BagOptions, Init, Negatives, Optimizer, PositiveVar, SoftmaxSpec, Step, Store, Tape, Var};

/// A tape to time: name, tape, and inputs of ids (name, number, below which).
struct Case {
    shape: String,
    tape: Tape,
    ids: Vec<(&'static str, usize, u32)>,
}

pub(crate) fn run(global: &Global, args: &BenchKernels) -> Done {
    if args.runs == 0 {
        return Err(Fail::user("--runs 0: at least one run is needed"));
    }
    let device = crate::commands::open(global)?;
    let ceilings = Ceilings::measure(&device)?;
    let mut rows = Vec::new();
    for case in cases()? {
        rows.extend(time(&device, &case, args, global.seed, &ceilings)?);
    }
    if rows.is_empty() {
        return Err(Fail::user(format!("--filter {}: no kernel's id contains it", args.filter)));
    }
    say!("{}", device.name());
    print(&rows, &ceilings);
    let mut more = serde_json::Map::new();
    more.insert("ceilings".into(), serde_json::to_value(ceilings).map_err(|e| Fail::machine(e.to_string()))?);
    output::write_json(global, "bench kernels", output::device_name(&device), None, rows, more)
}

fn time(device: &Device, case: &Case, args: &BenchKernels, seed: u64, ceilings: &Ceilings) -> Done<Vec<Row>> {
    let nodes = case.tape.nodes();
    let id = |op: &str| format!("{op}/main/{}/{}", kind(device), case.shape);
    if !nodes.iter().any(|n| id(&n.op).contains(&args.filter)) {
        return Ok(Vec::new());
    }
    let store = Store::new(device, case.tape.params(), seed)?;
    let mut program = case.tape.compile(&store)?;
    let mut seconds = vec![Vec::new(); nodes.len()];
    for run in 0..=args.runs {
        for (name, n, below) in &case.ids {
            let key = philox::key(seed ^ run as u64);
            let draw = |i: usize| philox::draw(key, run as u32, 7, i as u32);
            let ids: Vec<u32> =
                (0..*n).map(|i| 1 + ((u64::from(draw(i)) * u64::from(below - 1)) >> 32) as u32).collect();
            program.write_u32(name, &ids)?;
        }
        let step = Step::new(run as u32 + 1, seed, 0, 1 << 20).with_rates(1e-3, 1e-3, 0.9, 0.999);
        for (node, s) in program.run_timed(&step)? {
            if run > 0 {
                seconds[node].push(s);
            }
        }
    }
    let timed = nodes.iter().zip(seconds).filter(|(n, s)| !s.is_empty() && id(&n.op).contains(&args.filter));
    Ok(timed.map(|(n, s)| Row::new(id(&n.op), s, n.bytes, n.flops, ceilings)).collect())
}

fn cases() -> Done<Vec<Case>> {
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
        let options = BagOptions { windows: vec![50], mean: true, max_len: 50, mask: None, hole: None };
        let y = t.bag(table, items, slice, &options)?;
        finish(&mut t, y)?;
        t.optimize(&rule)?;
        let shape = format!("{rows}x50of{vocab}x{dim},{name}");
        out.push(Case { shape, tape: t, ids: vec![("items", rows * 50, vocab as u32)] });
    }
    for (rows, vocab, dim) in [(65_536, 1_000_000, 64), (1_001, 5_003, 48)] {
        let mut t = Tape::new();
        let table = t.table("table", vocab, dim, normal)?;
        let ids = t.input_ids("ids", rows, 1);
        let y = t.gather(table, ids)?;
        let z = t.l2_normalize(y)?;
        finish(&mut t, z)?;
        out.push(Case { shape: format!("{rows}of{vocab}x{dim}"), tape: t, ids: vec![("ids", rows, vocab as u32)] });
    }
    // Layers: GEMM in three forms, bias, activation, dropout.
    for (m, k, n) in [(4096, 256, 128), (4096, 128, 64), (1024, 496, 128), (1023, 77, 65)] {
        let mut t = Tape::new();
        let x = t.param("x", [m, k], normal)?;
        let (w, b) = (t.param("w", [k, n], normal)?, t.param("b", [1, n], Init::Zeros)?);
        let h = t.linear(x, w, Some(b), None, Activation::Relu)?;
        let h = t.dropout(h, 0.1, 0)?;
        finish(&mut t, h)?;
        out.push(Case { shape: format!("{m}x{k}x{n}"), tape: t, ids: Vec::new() });
    }
    // Softmax over candidates.
    for (rows, candidates, dim) in [(1024, 1024, 64), (4096, 4096, 64), (1024, 3616, 64), (777, 1001, 48)] {
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
        })?;
        let loss = t.sum(loss)?;
        t.output("loss", loss);
        t.backward(loss)?;
        t.optimize(&Optimizer::sgd())?;
        let inputs = vec![("ids", candidates, 100_000), ("targets", rows, 100_000)];
        out.push(Case { shape: format!("{rows}x{candidates}x{dim}"), tape: t, ids: inputs });
    }
    // Lists of negatives.
    for (rows, k, dim) in [(2048, 4, 64), (333, 7, 20)] {
        let mut t = Tape::new();
        let (u, v) = (t.param("u", [rows, dim], normal)?, t.param("v", [rows * k, dim], normal)?);
        let z = t.group_dot(u, v, 10.0)?;
        let weight = t.constant(&vec![1.0 / rows as f32; rows], rows, 1)?;
        let a = t.list_softmax(z, weight, None, None, false)?;
        let b = t.bce_with_logits(z, weight, None)?;
        let rows_loss = t.add(a, b)?;
        let loss = t.sum(rows_loss)?;
        t.output("loss", loss);
        t.backward(loss)?;
        t.optimize(&Optimizer::adam())?;
        out.push(Case { shape: format!("{rows}x{k}x{dim}"), tape: t, ids: Vec::new() });
    }
    // Draws.
    let mut t = Tape::new();
    let uniform = t.draw_uniform(65_536, 1, 1_000_000, 0)?;
    let mask = t.history_mask(65_536, 2, 0.1, 1)?;
    t.output("uniform", uniform);
    t.output("mask", mask);
    out.push(Case { shape: "65536".into(), tape: t, ids: Vec::new() });
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
