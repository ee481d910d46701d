//! `recall gradcheck`: every op, and both models with every loss, against finite differences.

use crate::args::Global;
use crate::fail::{Done, Fail};
use crate::output;
use rt_models::check_models;
use rt_tensor::{TOLERANCE, check_ops};

pub(crate) fn run(global: &Global) -> Done {
    for (asked, flag) in [(global.f16, "f16"), (global.bf16, "bf16")] {
        // They round by 5e-4 and 4e-3: right gradients would be told wrong.
        if asked {
            let what = format!("--{flag}: products in {flag} are not exact to {TOLERANCE:e}, which gradcheck asks");
            return Err(Fail::user(what));
        }
    }
    let device = super::open(global)?;
    let mut checks = check_ops(&device, global.seed)?;
    checks.extend(check_models(&device, global.seed)?);
    checks.extend(rt_models::text::check_text(&device, global.seed)?);
    let mut t = output::table(&["op", "parameters", "cells", "largest error", ""]);
    let mut failed = 0;
    for check in &checks {
        let passes = check.error() <= TOLERANCE;
        failed += usize::from(!passes);
        let cells: usize = check.parameters.iter().map(|p| p.cells).sum();
        t.add_row(vec![
            check.op.clone(),
            check.parameters.len().to_string(),
            cells.to_string(),
            format!("{:.1e}", check.error()),
            if passes { "ok".into() } else { "FAILS".into() },
        ]);
    }
    say!("{t}");
    say!("{} checks on {}, tolerance {TOLERANCE:e}, {failed} failed", checks.len(), device.name());
    let row = |c: &rt_tensor::OpCheck| {
        let parameters = c
            .parameters
            .iter()
            .map(|p| serde_json::json!({"parameter": p.parameter, "cells": p.cells, "error": p.error}));
        serde_json::json!({"op": c.op, "error": c.error(), "parameters": parameters.collect::<Vec<_>>()})
    };
    let rows = checks.iter().map(row).collect();
    if failed > 0 {
        return Err(Fail::machine(format!("{failed} gradients are wrong")));
    }
    output::write_json(global, "gradcheck", output::device_name(&device), None, rows, serde_json::Map::new())
}
