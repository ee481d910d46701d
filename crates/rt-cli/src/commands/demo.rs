//! `recall demo`: the main job on built-in data.

use super::compare::Bench;
use crate::args::Baselines;
use crate::args::{Demo, Global};
use crate::fail::{Done, Fail};
use crate::output;
use rt_data::{SplitKind, SplitOptions, Synthetic};
use rt_models::eval::{Protocol, Row};
use rt_models::{Config, Device, Model, ModelKind, Query, Recommendation, check_out, train};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &Demo) -> Done {
    let folder = |kind: ModelKind| args.out.join(kind.name());
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        check_out(&folder(kind))?;
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Fail::machine(format!("{}: {e}", args.out.display())))?;
    let device = super::open(global)?;
    let start = Instant::now();
    let (data, latent) = Synthetic::parse("synthetic")?.generate();
    let split = rt_data::split(&data, SplitKind::LeaveLastOut, SplitOptions::default())?;
    let prepare_seconds = start.elapsed().as_secs_f64();
    let data = Arc::new(data);
    say!(
        "built-in data: {} users, {} items, {} events; {}",
        data.users.rows() - 1,
        data.items.rows() - 1,
        data.event_item.len(),
        device.name()
    );
    let bench = Bench { device: &device, data: &data, split: &split, baselines: Baselines::All };
    let mut rows = bench.baselines()?;
    let mut models = Vec::new();
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let mut config = Config::new(kind);
        config.set("epochs", "12")?;
        config.set("patience", "2")?;
        let mut progress = output::progress(global, kind.name());
        let (model, report) = train(&device, &config, data.clone(), &split, global.seed, &mut progress)?;
        model.save(&folder(kind))?;
        rows.push(bench.model(&model, Some((&report, prepare_seconds)))?);
        models.push(model);
    }
    rows.push(bench.bound(&latent)?);
    let protocol = Protocol::new(&data, &split, "strict");
    output::print_rows(&rows, &protocol);
    say!("`bound` ranks by the probabilities that the events were drawn from: no model can do better.");

    // The first test user; both models answer, the table shows the first one's.
    let user = split.test.first().map_or(1, |case| case.user);
    let history = models[0].history_of(user).to_vec();
    let query = Query { user, history: &history, times: &models[0].times_of(user), ..Query::default() };
    let best = models[0].recommend(&query, models[0].left_out(&history), 10)?;
    let last: Vec<&str> = history.iter().rev().take(5).map(|item| data.title(*item)).collect();
    say!("\nuser {}, who last chose {}:", data.users.raw(user), last.join("; "));
    super::recommend::print(&best, None);

    let page = args.out.join("report.html");
    output::write_file(&page, &report(&device, &rows, &protocol, &best, data.users.raw(user), &last))?;
    say!("\n{:.1} s; the report is {}, the models stand beside it:", start.elapsed().as_secs_f64(), page.display());
    say!("  recall recommend --model {} --user {}", show(&folder(ModelKind::Dssm)), data.users.raw(user));
    output::write_json(global, "demo", output::device_name(&device), Some(protocol), rows, more(&models[0], &best))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn more(model: &Model, best: &[Recommendation]) -> serde_json::Map<String, serde_json::Value> {
    let mut more = serde_json::Map::new();
    let list =
        best.iter().map(|r| serde_json::json!({"item": r.raw, "title": r.title, "score": r.score, "rank": r.rank}));
    more.insert("recommendations".into(), list.collect());
    more.insert("config".into(), model.config().to_toml().into());
    more
}

/// A page of its own, without anything to load: the table as bars, and the recommendations.
fn report(
    device: &Device,
    rows: &[Row],
    protocol: &Protocol,
    best: &[Recommendation],
    user: &str,
    last: &[&str],
) -> String {
    let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>recall-tape demo</title>\n<style>\n\
         body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111827}\n\
         table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb}\n\
         td:first-child,th:first-child,td.l{text-align:left}svg{width:100%}.n{color:#6b7280;font-size:.9rem}\n\
         </style></head><body>\n<h1>recall-tape: demo</h1>\n",
    );
    let _ = writeln!(
        out,
        "<p class=\"n\">{}, version {}. {} items ranked for {} users, leave-last-out, history masked.</p>",
        escape(&device.name()),
        env!("CARGO_PKG_VERSION"),
        protocol.catalogue,
        protocol.users_tested
    );
    out.push_str("<table><tr><th>model</th><th>HR@10</th><th>HR@50</th><th>HR@100</th><th>NDCG@10</th><th>seconds</th><th>examples/s</th></tr>\n");
    for row in rows {
        let metric = |name: &str| row.metrics.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{} ± {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&row.model),
            metric("HR@10"),
            row.stderr.get("HR@10").map_or_else(String::new, |v| format!("{v:.4}")),
            metric("HR@50"),
            metric("HR@100"),
            metric("NDCG@10"),
            row.seconds.map_or_else(String::new, |s| format!("{s:.1}")),
            row.examples_per_second.map_or_else(String::new, |s| format!("{s:.0}"))
        );
    }
    out.push_str("</table>\n<h2>HR@10</h2>\n");
    let height = rows.len() * 34;
    let _ = writeln!(out, "<svg viewBox=\"0 0 800 {height}\" role=\"img\" aria-label=\"HR@10 by model\">");
    let most = rows.iter().filter_map(|r| r.metrics.get("HR@10")).fold(1e-9, f64::max);
    for (i, row) in rows.iter().enumerate() {
        let value = row.metrics.get("HR@10").unwrap_or(0.0);
        let y = i * 34;
        let colour = match row.model.as_str() {
            "bound" => "#d1d5db",
            "dssm" | "youtube-dnn" => "#2563eb",
            _ => "#93c5fd",
        };
        let _ = writeln!(
            out,
            "<text x=\"120\" y=\"{}\" text-anchor=\"end\" font-size=\"15\">{}</text><rect x=\"130\" y=\"{}\" width=\"{:.1}\" height=\"24\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\" font-size=\"15\">{value:.3}</text>",
            y + 21,
            escape(&row.model),
            y + 4,
            560.0 * value / most,
            138.0 + 560.0 * value / most,
            y + 21
        );
    }
    out.push_str("</svg>\n<p class=\"n\">The bound ranks by the probabilities that the events were drawn from: no model can do better.</p>\n");
    let _ = writeln!(
        out,
        "<h2>Ten items for user {}</h2>\n<p>Last chosen: {}</p>\n<table><tr><th>rank</th><th>item</th><th>score</th></tr>",
        escape(user),
        escape(&last.join("; "))
    );
    for r in best {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"l\">{}</td><td>{:.4}</td></tr>",
            r.rank,
            escape(&r.title),
            r.score
        );
    }
    out.push_str("</table>\n</body></html>\n");
    out
}
