//! `recall gradcheck`: every op, and both models with every loss, against finite differences; or random tapes.

use crate::args::{Global, Gradcheck};
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::{Device, check_models};
use rt_tensor::{GradCheck, OpCheck, RandomTape, TOLERANCE, check_ops};

pub(crate) fn run(global: &Global, args: &Gradcheck) -> Done {
    for (asked, flag) in [(global.f16, "f16"), (global.bf16, "bf16")] {
        // They round by 5e-4 and 4e-3: right gradients would be told wrong.
        if asked {
            let what = format!("--{flag}: products in {flag} are not exact to {TOLERANCE:e}, which gradcheck asks");
            return Err(Fail::user(what));
        }
    }
    output::check_json(global)?;
    let device = super::open(global)?;
    let (rows, faults) = match args.random {
        Some(count) => random(global, &device, count)?,
        None => every_op(global, &device)?,
    };
    if faults > 0 {
        return Err(Fail::machine(format!("{faults} checks found wrong gradients")));
    }
    output::write_json(global, "gradcheck", output::device_name(&device), None, rows, serde_json::Map::new())
}

/// Checks the ops one by one, then the models; gives the rows of `--json` and how many failed.
fn every_op(global: &Global, device: &Device) -> Result<(Vec<serde_json::Value>, usize), Fail> {
    let mut checks = check_ops(device, global.seed)?;
    checks.extend(check_models(device, global.seed)?);
    checks.extend(rt_models::text::check_text(device, global.seed)?);
    let mut t = output::table(&["op", "parameters", "cells", "held", "largest error", ""]);
    let mut faults = Vec::new();
    for OpCheck { op, check } in &checks {
        let fault = check.fault();
        let cells: usize = check.parameters.iter().map(|p| p.cells).sum();
        let skipped: usize = check.parameters.iter().map(|p| p.skipped).sum();
        t.add_row(vec![
            op.clone(),
            check.parameters.len().to_string(),
            if skipped == 0 { cells.to_string() } else { format!("{cells} ({skipped} skipped)") },
            check.held.len().to_string(),
            format!("{:.1e}", check.error()),
            if fault.is_none() { "ok".into() } else { "FAILS".into() },
        ]);
        faults.extend(fault.map(|fault| format!("{op}: {fault}")));
    }
    say!("{t}");
    for fault in &faults {
        say!("{fault}");
    }
    say!("{} checks on {}, tolerance {TOLERANCE:e}, {} failed", checks.len(), device.name(), faults.len());
    let row = |c: &OpCheck| row("op", c.op.clone().into(), &c.check);
    Ok((checks.iter().map(row).collect(), faults.len()))
}

/// Checks `count` random tapes; each that fails is printed, with the ops left out that it fails without.
fn random(global: &Global, device: &Device, count: u64) -> Result<(Vec<serde_json::Value>, usize), Fail> {
    let (mut rows, mut faults, mut cells, mut skipped, mut worst) = (Vec::new(), 0, 0, 0, 0.0f64);
    for number in 0..count {
        let tape = RandomTape::new(global.seed.wrapping_add(number));
        let checked = tape.check(device);
        if let Some(fault) = checked.fault() {
            faults += 1;
            let small = tape.shrink(device);
            say!("seed {}: {fault}", tape.seed());
            say!(
                "`recall gradcheck --random 1 --seed {}` makes it again; it fails with {:?} alone:",
                tape.seed(),
                small.ops()
            );
            match small.record() {
                Ok(tape) => say!("{}", tape.listing()),
                Err(e) => say!("{e}"),
            }
        }
        if let Ok(check) = &checked.result {
            cells += check.parameters.iter().map(|p| p.cells).sum::<usize>();
            skipped += check.parameters.iter().map(|p| p.skipped).sum::<usize>();
            worst = worst.max(check.error());
            rows.push(row("seed", tape.seed().into(), check));
        }
    }
    let skipped = if skipped == 0 { String::new() } else { format!(" ({skipped} skipped)") };
    say!(
        "{count} random tapes on {}, {cells} cells{skipped}, largest error {worst:.1e}, {faults} failed",
        device.name()
    );
    Ok((rows, faults))
}

fn row(key: &str, what: serde_json::Value, check: &GradCheck) -> serde_json::Value {
    let parameters = check.parameters.iter().map(
        |p| serde_json::json!({"parameter": p.parameter, "cells": p.cells, "skipped": p.skipped, "error": p.error, "fault": p.fault}),
    );
    let held = check.held.iter().map(|h| serde_json::json!({"value": h.value, "why": h.why}));
    serde_json::json!({
        key: what,
        "error": check.error(),
        "parameters": parameters.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
    })
}
