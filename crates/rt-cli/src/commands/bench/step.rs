//! `recall bench step`: one whole training step, node by node.

use super::clock::{process_seconds, thread_seconds};
use super::{Row, kind, measure_ceilings, report};
use crate::args::{BenchStep, Global};
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::eval::peak_memory_bytes;
use rt_models::{Config, Device, Loss, ModelKind, StepBench, StepSizes};
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &BenchStep) -> Done {
    if args.runs == 0 {
        return Err(Fail::user("--runs 0: at least one run is needed"));
    }
    let device = crate::commands::open(global)?;
    let mut rows: Vec<Row> = Vec::new();
    for model in &args.model {
        let kind: ModelKind = model.parse()?;
        for (&history, &dim, &vocab) in triples(&args.history, &args.dim, &args.vocab) {
            for &batch in &args.batch {
                let mut config = Config::new(kind);
                for pair in ["dropout=0", "history_dropout=0", "skip=false", "ema=0"] {
                    config.set_pair(pair)?;
                }
                config.set("history", &history.to_string())?;
                config.set("windows", &history.to_string())?;
                config.set("dim", &dim.to_string())?;
                config.set("batch", &batch.to_string())?;
                if kind == ModelKind::YoutubeDnn && config.loss == Loss::Full && vocab > FULL {
                    // A step's work with the full softmax grows with batch times vocabulary.
                    config.set("loss", "sampled")?;
                }
                for pair in &args.set {
                    config.set_pair(pair)?;
                }
                let sizes = StepSizes {
                    users: vocab,
                    items: vocab,
                    active_items: args.active,
                    user_columns: args.user_columns,
                };
                rows.push(one(&device, &config, sizes, args.runs, global.seed)?);
            }
        }
    }
    let ceilings = measure_ceilings(&device, &mut rows)?;
    say!("{}", device.name());
    for pair in rows.windows(2) {
        say!("{} costs {:.2} x {}", pair[1].id, pair[1].ms / pair[0].ms, pair[0].id);
    }
    report(global, "bench step", &device, rows, &ceilings)
}

/// Rows of an item table up to which a YoutubeDNN is timed with the full softmax, where no loss is set.
const FULL: usize = 20_000;

/// All combinations, the last list fastest.
fn triples<'a>(
    a: &'a [usize],
    b: &'a [usize],
    c: &'a [usize],
) -> impl Iterator<Item = (&'a usize, &'a usize, &'a usize)> {
    a.iter().flat_map(move |a| b.iter().flat_map(move |b| c.iter().map(move |c| (a, b, c))))
}

fn one(device: &Device, config: &Config, sizes: StepSizes, runs: usize, seed: u64) -> Done<Row> {
    let mut bench = StepBench::new(device, config, sizes, seed)?;
    for _ in 0..3 {
        bench.run()?;
    }
    bench.synchronize()?;
    let (mut seconds, mut host) = (Vec::new(), Vec::new());
    let cpu = process_seconds();
    let all = Instant::now();
    for _ in 0..runs {
        let start = Instant::now();
        let thread = thread_seconds();
        bench.run()?;
        // What the calling thread does before it waits: on a GPU all of the host's work.
        host.push(thread_seconds() - thread);
        bench.synchronize()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let host_ms = 1e3 * median(host);
    let wall = all.elapsed().as_secs_f64();
    let cpu = process_seconds() - cpu;
    let nodes = bench.tape().nodes();
    let mut by_node = vec![0.0; nodes.len()];
    // The softmax over all pairs grows with the batch's square: its share stands apart.
    let (mut softmax, mut rest) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut parts = [0.0, 0.0];
        for (node, s) in bench.run_timed()? {
            by_node[node] += s / runs as f64;
            parts[usize::from(nodes[node].op == "softmax_loss")] += s;
        }
        rest.push(1e3 * parts[0]);
        softmax.push(1e3 * parts[1]);
    }
    let (loss_ms, rest_ms) = (median(softmax), median(rest));
    let total: f64 = by_node.iter().sum();
    let mut t = output::table(&["node", "phase", "op", "shape", "ms", "share", "GB/s", "GFLOP/s"]);
    let mut list = Vec::new();
    for (n, s) in nodes.iter().zip(&by_node).filter(|(_, s)| **s > 0.0) {
        let shape = n.outputs.first().map_or_else(String::new, |(_, [r, c])| format!("{r}x{c}"));
        let phase = format!("{:?}", n.phase).to_lowercase();
        t.add_row(vec![
            n.node.to_string(),
            phase.clone(),
            n.op.clone(),
            shape.clone(),
            format!("{:.3}", s * 1e3),
            format!("{:.1} %", 100.0 * s / total),
            format!("{:.1}", n.bytes / s / 1e9),
            format!("{:.1}", n.flops / s / 1e9),
        ]);
        list.push(serde_json::json!({"node": n.node, "phase": phase, "op": n.op, "shape": shape, "ms": s * 1e3, "share": s / total}));
    }
    say!("{t}");
    let cost = bench.tape().cost();
    let shape = format!("{}x{}of{}x{}", config.batch, config.history, sizes.items, config.dim);
    let id = format!("step/{}/{}/{shape}", bench.model().name(), kind(device));
    let mut row = Row::new(id, seconds, cost.bytes, cost.flops);
    row.peak_memory_bytes = peak_memory_bytes();
    row.cpu_ms = Some(cpu / wall * row.ms);
    let examples = config.step_examples() as f64 / row.ms * 1e3;
    let [planned, unshared] = bench.program().temporary_bytes();
    let [users_seen, items_seen] = bench.distinct_ids();
    say!("{users_seen} distinct users and {items_seen} distinct items a step");
    say!(
        "{:.2} ms a step (softmax {loss_ms:.2} ms; process CPU time {:.2} ms, calling thread {host_ms:.3} ms, {:.2} us a dispatch), {examples:.0} examples/s, {} dispatches, temporaries {:.1} MB ({:.1} MB unshared), peak memory {} MB",
        row.ms,
        cpu / wall * row.ms,
        1e3 * host_ms / bench.program().dispatches().max(1) as f64,
        bench.program().dispatches(),
        planned as f64 / 1e6,
        unshared as f64 / 1e6,
        row.peak_memory_bytes.unwrap_or(0) >> 20
    );
    let loss = bench.losses()?;
    if loss.iter().any(|l| !l.is_finite()) {
        return Err(Fail::machine("a step's loss is not finite"));
    }
    row.more.insert("examples_per_second".into(), examples.into());
    row.more.insert("host_ms".into(), host_ms.into());
    row.more.insert("softmax_ms".into(), loss_ms.into());
    row.more.insert("rest_ms".into(), rest_ms.into());
    row.more.insert("distinct_users".into(), users_seen.into());
    row.more.insert("distinct_items".into(), items_seen.into());
    row.more.insert("dispatches".into(), bench.program().dispatches().into());
    row.more.insert("temporary_bytes".into(), planned.into());
    row.more.insert("nodes".into(), list.into());
    Ok(row)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
