//! `recall synth`: a large made-up log of interactions as Parquet.

use crate::args::{Global, Synth};
use crate::fail::{Done, Fail};
use crate::output;
use rt_data::EventLog;
use rt_models::Device;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &Synth) -> Done {
    output::check_json(global)?;
    for path in std::iter::once(&args.out).chain(&args.searches) {
        // Readers go by the name: under another one the file could not be read again.
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("parquet")) {
            return Err(Fail::user(format!(
                "{}: logs are written as Parquet; name the file NAME.parquet",
                path.display()
            )));
        }
    }
    if args.searches.as_ref() == Some(&args.out) {
        return Err(Fail::user("--searches: is the file of --out; searches need one of their own"));
    }
    let log = EventLog {
        rows: args.rows,
        users: args.users,
        items: args.items,
        row_group: args.row_group,
        seed: global.seed,
    };
    let start = Instant::now();
    let fail = |e| match e {
        rt_data::Error::Io { .. } => Fail::machine(e.to_string()),
        e => Fail::from(e),
    };
    log.write(&args.out).map_err(fail)?;
    if let Some(path) = &args.searches {
        let rows = if args.search_rows == 0 { args.users.saturating_mul(10) } else { args.search_rows };
        log.write_searches(path, rows).map_err(fail)?;
        say!("{rows} searches in {}", path.display());
    }
    let seconds = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&args.out).map_or(0, |meta| meta.len());
    say!(
        "{} rows of {} users and {} items in {}: {:.1} MB, {seconds:.1} s",
        args.rows,
        args.users,
        args.items,
        args.out.display(),
        bytes as f64 / 1e6
    );
    let row = serde_json::json!({ "rows": args.rows, "bytes": bytes, "seconds": seconds });
    let device = output::device_name(&Device::cpu(1)?);
    output::write_json(global, "synth", device, None, vec![row], serde_json::Map::new())
}
