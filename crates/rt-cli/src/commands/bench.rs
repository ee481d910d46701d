//! `recall bench`: kernels at the shapes of training, and whole steps.

mod ceilings;
mod clock;
mod kernels;
mod plot;
mod retrieve;
mod step;

use crate::args::{Bench, BenchWhat, Global};
use crate::fail::Done;

pub(crate) fn run(global: &Global, args: &Bench) -> Done {
    match &args.what {
        BenchWhat::Kernels(args) => kernels::run(global, args),
        BenchWhat::Step(args) => step::run(global, args),
        BenchWhat::Retrieve(args) => retrieve::run(global, args),
    }
}

/// One line of a bench.
#[derive(Debug, Clone, serde::Serialize)]
struct Row {
    id: String,
    /// Bytes and operations of a run.
    #[serde(skip)]
    work: (f64, f64),
    ms: f64,
    ms_min: f64,
    /// CPU time of the process, all threads; `None` where it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms: Option<f64>,
    runs: usize,
    gb_s: f64,
    gflop_s: f64,
    roofline: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
    /// More, by the kind of bench.
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

impl Row {
    /// A row from seconds of several runs and what each run must move and do; its roofline is not known yet.
    fn new(id: String, mut seconds: Vec<f64>, bytes: f64, flops: f64) -> Self {
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
        Self {
            id,
            work: (bytes, flops),
            ms: median * 1e3,
            ms_min: seconds.first().copied().unwrap_or(f64::NAN) * 1e3,
            cpu_ms: None,
            runs: seconds.len(),
            gb_s: bytes / median / 1e9,
            gflop_s: flops / median / 1e9,
            roofline: 0.0,
            peak_memory_bytes: None,
            more: serde_json::Map::new(),
        }
    }
}

/// Measures the ceilings and what share of them the rows reach: the ceiling's time over theirs. After the rows, because
/// its matrices would count in the high-water mark of their memory.
fn measure_ceilings(device: &rt_models::Device, rows: &mut [Row]) -> Done<ceilings::Ceilings> {
    let ceilings = ceilings::Ceilings::measure(device)?;
    for row in rows {
        let (bytes, flops) = row.work;
        let best = bytes / (ceilings.copy_gb_s * 1e9);
        let best = best.max(flops / (ceilings.fma_gflop_s * 1e9));
        row.roofline = (1e3 * best / row.ms).clamp(0.0, 1.0);
    }
    Ok(ceilings)
}

/// Prints the rows and writes `--json`.
fn report(
    global: &Global,
    command: &str,
    device: &rt_models::Device,
    rows: Vec<Row>,
    ceilings: &ceilings::Ceilings,
) -> Done {
    print(&rows, ceilings);
    let mut more = serde_json::Map::new();
    let ceilings = serde_json::to_value(ceilings).map_err(|e| crate::fail::Fail::machine(e.to_string()))?;
    more.insert("ceilings".into(), ceilings);
    crate::output::write_json(global, command, crate::output::device_name(device), None, rows, more)
}

/// `cpu` or `gpu`, for ids.
fn kind(device: &rt_models::Device) -> &'static str {
    match device {
        rt_models::Device::Cpu(_) => "cpu",
        #[cfg(feature = "gpu")]
        rt_models::Device::Gpu(_) => "gpu",
    }
}

fn print(rows: &[Row], ceilings: &ceilings::Ceilings) {
    let mut t = crate::output::table(&[
        "kernel/variant/device/shape",
        "ms",
        "min",
        "CPU ms",
        "GB/s",
        "GFLOP/s",
        "of the ceiling",
    ]);
    for r in rows {
        t.add_row(vec![
            r.id.clone(),
            format!("{:.3}", r.ms),
            format!("{:.3}", r.ms_min),
            r.cpu_ms.map_or_else(String::new, |ms| format!("{ms:.3}")),
            format!("{:.1}", r.gb_s),
            format!("{:.1}", r.gflop_s),
            format!("{:.0} %", 100.0 * r.roofline),
        ]);
    }
    say!("{t}");
    say!(
        "ceilings of this run: copy {:.1} GB/s (read + write), FMA {:.0} GFLOP/s, GEMM 1024^3 {:.0} GFLOP/s",
        ceilings.copy_gb_s,
        ceilings.fma_gflop_s,
        ceilings.gemm_gflop_s
    );
}
