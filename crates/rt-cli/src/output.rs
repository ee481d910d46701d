//! Tables, progress and `--json`.

use crate::args::Global;
use crate::fail::{Done, Fail};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use rt_data::{Dataset, LeftOut, Searches, SearchesLeftOut, Severity, Split};
use rt_models::eval::{DeviceName, Protocol, Report, Row};
use rt_models::{Device, Progress};
use serde::Serialize;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::Path;

/// A table with its header; all columns but the first are right-aligned.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Prints the figures of a comparison.
pub(crate) fn print_rows(rows: &[Row], protocol: &Protocol) {
    let mut t = table(&[
        "model",
        "HR@10",
        "±",
        "HR@50",
        "HR@100",
        "NDCG@10",
        "unmasked HR@10",
        "tied",
        "untied",
        "seconds",
        "examples/s",
    ]);
    for row in rows {
        let metric = |name: &str| row.metrics.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
        let part = |s: &Option<rt_models::eval::Segment>| {
            s.as_ref().filter(|s| s.users > 0).map_or_else(String::new, |s| format!("{:.4}", s.hr_at_10))
        };
        let name = match &row.h {
            Some(h) => format!("{} (last {h})", row.model),
            None => row.model.clone(),
        };
        t.add_row(vec![
            name,
            metric("HR@10"),
            row.stderr.get("HR@10").map_or_else(String::new, |v| format!("{v:.4}")),
            metric("HR@50"),
            metric("HR@100"),
            metric("NDCG@10"),
            row.unmasked.get("HR@10").map_or_else(String::new, |v| format!("{v:.4}")),
            part(&row.tied),
            part(&row.untied),
            row.seconds.map_or_else(String::new, |s| format!("{s:.1}")),
            row.examples_per_second.map_or_else(String::new, |s| format!("{s:.0}")),
        ]);
    }
    say!("{t}");
    say!(
        "split {}, mask {} ({}), request time {}, {}{} items ranked, {} users tested; {:.1} % of targets stand in the history{}",
        protocol.split,
        protocol.mask,
        protocol.mask_reason,
        protocol.request_time,
        if protocol.catalogue_of == "all" { "all " } else { "" },
        protocol.catalogue,
        protocol.users_tested,
        100.0 * protocol.targets_in_history,
        match (protocol.targets_left_out, protocol.cases_left_out) {
            (0, _) => String::new(),
            (targets, cases) => format!(
                "; masked and so left out: {targets} target{}, {cases} case{} without another",
                plural(targets),
                plural(cases)
            ),
        }
    );
    if let Some(seen) = protocol.seen_cases {
        say!("{seen} cases have a target that the model was trained on (--allow-seen)");
    }
    if let Some(first) = rows.first() {
        say!(
            "HR@10 by targets with / without a train interaction: {}; cases without a history: {}{}",
            rows.iter()
                .map(|r| {
                    let part = |s: &rt_models::eval::Segment| match s.users {
                        0 => "none".to_owned(),
                        _ => format!("{:.4}", s.hr_at_10),
                    };
                    format!("{} {} / {}", r.model, part(&r.with_train), part(&r.without_train))
                })
                .collect::<Vec<_>>()
                .join(", "),
            first.without_history.users,
            protocol.train_after_test.map_or_else(String::new, |s| format!(
                "; {:.0} % of the training data is later than the test events",
                100.0 * s
            ))
        );
    }
}

/// The ending of a counted noun.
pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Says how many rows are no positives, where there are any.
pub(crate) fn print_left_out(left_out: &LeftOut) {
    let LeftOut { label, rating, dwell, .. } = left_out;
    if label + rating + dwell > 0 {
        say!(
            "rows left out: {label} shown and not clicked, {rating} rated too low, {dwell} with too short a dwell time"
        );
    }
}

/// The same for `--json`.
pub(crate) fn left_out(left_out: &LeftOut) -> serde_json::Value {
    serde_json::json!({ "label": left_out.label, "rating": left_out.rating, "dwell": left_out.dwell, "missing": left_out.missing })
}

/// Says what the reader noticed.
pub(crate) fn note_data(global: &Global, data: &Dataset) {
    data.notes.iter().for_each(|text| note(global, text));
}

/// Says how much of a file of searches is of use.
pub(crate) fn note_searches(global: &Global, searches: Option<&Searches>) {
    let Some(searches) = searches else { return };
    let SearchesLeftOut { of_strangers, strangers, without_words } = searches.left_out;
    let users = (0..searches.users() as u32).filter(|user| !searches.of(*user).is_empty()).count();
    let mut text = format!("{} searches of {users} users", searches.len());
    if of_strangers > 0 {
        text += &format!("; {of_strangers} more, of users without an interaction ({strangers}), left out");
    }
    if without_words > 0 {
        text += &format!("; {without_words} without a letter or digit left out");
    }
    note(global, &text);
}

/// The same for `--json`, where searches were read.
pub(crate) fn insert_searches(more: &mut serde_json::Map<String, serde_json::Value>, searches: Option<&Searches>) {
    let Some(searches) = searches else { return };
    let SearchesLeftOut { of_strangers, strangers, without_words } = searches.left_out;
    let counts = serde_json::json!({
        "rows": searches.len(), "tokens": searches.tokens.rows() - 1, "of_unknown_users": of_strangers,
        "unknown_users": strangers, "without_words": without_words,
    });
    more.insert("searches".into(), counts);
}

/// Warns of each leak that makes a test on this data worthless.
pub(crate) fn warn_of_leaks(global: &Global, data: &Dataset, split: &Split) {
    if global.quiet {
        return;
    }
    for finding in rt_data::audit(data, split).iter().filter(|finding| finding.severity == Severity::Leak) {
        let column = finding.column.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        eprintln!(
            "warning: {}{column}: {} of {} {}; `recall audit` says more",
            finding.check, finding.count, finding.of, finding.what
        );
    }
}

/// Share of the examples from which the target of so many is said.
const HOT: f64 = 0.25;

/// Says which item is the target of a large part of the examples, where one is.
pub(crate) fn note_hot_item(global: &Global, data: &Dataset, split: &Split) {
    let counts = split.target_counts(data);
    let Some((item, &count)) = counts.iter().enumerate().max_by_key(|(_, count)| **count) else { return };
    let share = f64::from(count) / split.examples.len().max(1) as f64;
    if share >= HOT {
        let item = data.items.raw(item as u32);
        note(
            global,
            &format!(
                "item {item} is the target of {:.0} % of the examples: of the other items the model learns the less; \
                 `--set subsample=0.001` leaves most of these examples out",
                100.0 * share
            ),
        );
    }
}

/// Warns where item-kNN was better on validation than a model.
pub(crate) fn warn_below_knn(rows: &[Row], name: &str, own: Option<f64>) {
    let knn = rows.iter().find(|row| row.model == "item-knn").and_then(|row| row.validation_ndcg_10);
    if let (Some(own), Some(knn)) = (own, knn)
        && own < knn
    {
        eprintln!(
            "warning: {name} does not beat item-knn on validation: NDCG@10 {own:.4} against {knn:.4}; {BELOW_POPULAR}"
        );
    }
}

/// The device as `--json` names it.
pub(crate) fn device_name(device: &Device) -> DeviceName {
    let kind = match device {
        Device::Cpu(_) => "cpu",
        #[cfg(feature = "gpu")]
        Device::Gpu(_) => "gpu",
    };
    DeviceName { kind: kind.into(), name: device.name() }
}

/// Can `--json` be written? Asked before the work, so that a failure leaves everything as it was.
pub(crate) fn check_json(global: &Global) -> Done {
    let Some(path) = &global.json else { return Ok(()) };
    let beside = beside(path);
    std::fs::write(&beside, "").map_err(|e| Fail::machine(format!("--json {}: {e}", path.display())))?;
    let _ = std::fs::remove_file(&beside);
    if path.is_dir() {
        return Err(Fail::user(format!("--json {}: is a folder, a file is wanted", path.display())));
    }
    Ok(())
}

/// Where a file is written before it takes its place.
fn beside(path: &Path) -> std::path::PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    beside.into()
}

/// Writes `--json`, whole or not at all.
pub(crate) fn write_json<R: Serialize>(
    global: &Global,
    command: &str,
    device: DeviceName,
    protocol: Option<Protocol>,
    rows: Vec<R>,
    more: serde_json::Map<String, serde_json::Value>,
) -> Done {
    let Some(path) = &global.json else {
        return Ok(());
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let report = Report { command: command.into(), version, seed: global.seed, device, protocol, rows, more };
    let mut text = serde_json::to_string_pretty(&report).map_err(|e| Fail::machine(format!("--json: {e}")))?;
    text.push('\n');
    write_file(path, &text)
}

/// Writes a file beside its place first, so that a failure leaves what stood there.
pub(crate) fn write_file(path: &Path, text: &str) -> Done {
    let refuse = |e: std::io::Error| Fail::machine(format!("{}: {e}", path.display()));
    let beside = beside(path);
    std::fs::write(&beside, text).map_err(refuse)?;
    std::fs::rename(&beside, path).map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        refuse(e)
    })
}

/// A note on stderr.
pub(crate) fn note(global: &Global, text: &str) {
    if !global.quiet {
        eprintln!("note: {text}");
    }
}

/// What is said of a model that does not beat most-popular.
pub(crate) const BELOW_POPULAR: &str = "what may help: fewer examples of hot items (subsample = 0.001), a larger patience, or another \
                                        metric to choose the epoch by (select = HR@100)";

/// Says what of the data nothing was learned from.
pub(crate) fn note_without_negatives(global: &Global, without: usize, examples: usize) {
    if without > 0 {
        note(
            global,
            &format!(
                "{without} of {examples} training examples teach nothing: all that could be a negative of theirs is left out"
            ),
        );
    }
}

/// Shows training: a bar on a terminal, a line an epoch elsewhere.
pub(crate) fn progress<'a>(global: &Global, name: &'a str) -> impl FnMut(&Progress<'_>) -> ControlFlow<()> + use<'a> {
    let terminal = std::io::stderr().is_terminal() && !global.quiet;
    let quiet = global.quiet;
    let bar = if terminal { ProgressBar::new(1) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    let mut warned = quiet;
    move |p: &Progress<'_>| {
        bar.set_prefix(format!("{name} epoch {}/{}", p.epoch, p.epochs));
        bar.set_length(p.steps as u64);
        bar.set_position(p.step as u64);
        bar.set_message(format!("{:.0} examples/s", p.examples_per_second));
        if let Some(loss) = p.loss {
            let valid = p.valid.map_or_else(String::new, |v| format!(", validation {} {v:.4}", p.select));
            let best = if p.best { " *" } else { "" };
            let line = format!(
                "{name} epoch {:>2}: loss {loss:.4}{valid}{best}, {:.0} examples/s",
                p.epoch, p.examples_per_second
            );
            let below = match (p.valid, p.popular) {
                (Some(own), Some(popular)) if own <= popular && !warned => {
                    warned = true;
                    format!(
                        "\nwarning: after epoch {} {name} does not beat most-popular on validation: {} {own:.4} against {popular:.4}; {BELOW_POPULAR}",
                        p.epoch, p.select
                    )
                }
                _ => String::new(),
            };
            if terminal {
                bar.suspend(|| eprintln!("{line}{below}"));
            } else if !quiet {
                eprintln!("{line}{below}");
            }
        }
        ControlFlow::Continue(())
    }
}
