//! `recall bench step`: one whole training step, node by node.

use super::ceilings::Ceilings;
use super::{Row, kind, print};
use crate::args::{BenchStep, Global};
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::eval::peak_memory_bytes;
use rt_models::{Config, Device, ModelKind, StepBench, StepSizes};
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &BenchStep) -> Done {
    if args.runs == 0 {
        return Err(Fail::user("--runs 0: at least one run is needed"));
    }
    let kind: ModelKind = args.model.parse()?;
    let device = crate::commands::open(global)?;
    let ceilings = Ceilings::measure(&device)?;
    let mut rows = Vec::new();
    for &vocab in &args.vocab {
        for &batch in &args.batch {
            let mut config = Config::new(kind);
            config.set("dropout", "0")?;
            config.set("history_dropout", "0")?;
            config.set("skip", "false")?;
            config.set("windows", "50")?;
            config.set("batch", &batch.to_string())?;
            for pair in &args.set {
                config.set_pair(pair)?;
            }
            let sizes = StepSizes { users: vocab, items: vocab, user_columns: args.user_columns };
            rows.push(one(&device, &config, sizes, args.runs, global.seed, &ceilings)?);
        }
    }
    say!("{}", device.name());
    print(&rows, &ceilings);
    for pair in rows.windows(2) {
        say!("{} costs {:.2} x {}", pair[1].id, pair[1].ms / pair[0].ms, pair[0].id);
    }
    let mut more = serde_json::Map::new();
    more.insert("ceilings".into(), serde_json::to_value(ceilings).map_err(|e| Fail::machine(e.to_string()))?);
    output::write_json(global, "bench step", output::device_name(&device), None, rows, more)
}

fn one(device: &Device, config: &Config, sizes: StepSizes, runs: usize, seed: u64, ceilings: &Ceilings) -> Done<Row> {
    let mut bench = StepBench::new(device, config, sizes, seed)?;
    for _ in 0..3 {
        bench.run()?;
    }
    bench.synchronize()?;
    let mut seconds = Vec::new();
    let cpu = process_seconds();
    let all = Instant::now();
    for _ in 0..runs {
        let start = Instant::now();
        bench.run()?;
        bench.synchronize()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let wall = all.elapsed().as_secs_f64();
    let cpu = process_seconds() - cpu;
    let nodes = bench.tape().nodes();
    let mut by_node = vec![0.0; nodes.len()];
    for _ in 0..runs {
        for (node, s) in bench.run_timed()? {
            by_node[node] += s / runs as f64;
        }
    }
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
    let shape = format!("{}of{}x{}", config.batch, sizes.items, config.dim);
    let id = format!("step/{}/{}/{shape}", bench.model().name(), kind(device));
    let mut row = Row::new(id, seconds, cost.bytes, cost.flops, ceilings);
    row.peak_memory_bytes = peak_memory_bytes();
    let examples = config.batch as f64 / row.ms * 1e3;
    let [planned, unshared] = bench.program().temporary_bytes();
    say!(
        "{:.2} ms a step (process CPU time {:.2} ms), {examples:.0} examples/s, {} dispatches, temporaries {:.1} MB ({:.1} MB unshared), peak memory {} MB",
        row.ms,
        cpu / wall * row.ms,
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
    row.more.insert("cpu_ms".into(), (cpu / wall * row.ms).into());
    row.more.insert("dispatches".into(), bench.program().dispatches().into());
    row.more.insert("temporary_bytes".into(), planned.into());
    row.more.insert("nodes".into(), list.into());
    Ok(row)
}

/// CPU seconds of this process, all threads; 0 where the system does not say.
fn process_seconds() -> f64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    let after = text.rsplit(')').next().unwrap_or("");
    let ticks = |i: usize| after.split_whitespace().nth(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
