//! A small app that embeds training: a DSSM from events in memory, then a recommendation.
//!
//! Prints one JSON line with the milliseconds from the start of the process to the end of the first training step.
//! `START`, seconds since 1970, says when the process started; without it `main` is the start.

use rt_models::data::{Dataset, SplitKind, SplitOptions, split};
use rt_models::{Config, Device, DeviceChoice, ModelKind, Query, train};
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// (user, item, time): users of even number like even items.
fn events() -> Vec<(String, String, i64)> {
    let of = |user: u32, n: u32| {
        let item = 2 * ((user / 2 + 3 * n) % 20) + user % 2;
        (user.to_string(), item.to_string(), i64::from(n))
    };
    (0..16).flat_map(|user| (0..6).map(move |n| of(user, n))).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = std::env::var("START").ok().and_then(|s| s.parse().ok()).unwrap_or_else(now);
    let choice = if cfg!(feature = "gpu") { DeviceChoice::Gpu } else { DeviceChoice::Cpu };
    let data = Arc::new(Dataset::from_events(events()));
    let mut split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
    // No validation: all epochs run, and the first report comes right after the first epoch, which is one step.
    split.valid.clear();
    let mut config = Config::new(ModelKind::Dssm);
    for pair in ["epochs=3", "batch=64", "dim=32", "history=10", "user_hidden=64", "item_hidden=64"] {
        config.set_pair(pair)?;
    }
    let device = Device::open(choice, 0)?;
    let mut first = None;
    let (model, report) = train(&device, &config, data, &split, 42, &mut |_| {
        first.get_or_insert_with(|| 1e3 * (now() - start));
        ControlFlow::Continue(())
    })?;
    let user = model.user("4")?;
    let seen = model.history_of(user);
    let best = model.recommend(&Query { user, history: seen, context: &[], times: &[] }, seen, 1)?;
    println!(
        r#"{{"device": "{}", "first_step_ms": {:.2}, "loss": {:?}, "recommended": "{}"}}"#,
        device.name(),
        first.unwrap_or(f64::NAN),
        report.loss,
        best.first().map_or("", |r| r.title.as_str())
    );
    Ok(())
}
