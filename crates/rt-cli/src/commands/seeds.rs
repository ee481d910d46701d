//! `train --seeds`: the same training from several seeds, their mean and deviation.

use crate::fail::{Done, Fail};
use crate::output;
use rt_models::TrainReport;
use rt_models::eval::{Figures, Row, Segment};
use serde_json::{Map, Value, json};

/// Metrics of the printed table.
const SHOWN: [&str; 6] = ["HR@10", "HR@50", "HR@100", "NDCG@10", "NDCG@100", "MRR"];

/// Most trainings of one command.
const MOST: usize = 10_000;

/// One training.
pub(crate) struct Run {
    pub seed: u64,
    pub row: Row,
    pub report: TrainReport,
}

impl Run {
    /// The validation metric of the epoch that was kept.
    pub(crate) fn validation(&self) -> Option<f64> {
        self.report.valid.get(self.report.best_epoch.wrapping_sub(1)).copied()
    }
}

/// The seeds of `count` runs.
pub(crate) fn list(seed: u64, count: usize) -> Done<Vec<u64>> {
    if count == 0 || count > MOST {
        return Err(Fail::user(format!("--seeds {count}: from 1 to {MOST}")));
    }
    let last = seed.checked_add(count as u64 - 1);
    let last = last.ok_or_else(|| Fail::user(format!("--seed {seed} --seeds {count}: the last seed is past 2^64")))?;
    Ok((seed..=last).collect())
}

/// Mean and sample deviation (over n - 1) of each figure that all have.
fn mean_and_deviation(all: &[&Figures]) -> (Figures, Figures) {
    let (mut means, mut deviations) = (Figures::default(), Figures::default());
    for (name, _) in all.first().into_iter().flat_map(|f| f.iter()) {
        let values: Vec<f64> = all.iter().filter_map(|f| f.get(name)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        means.push(name, mean);
        deviations.push(name, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 });
    }
    (means, deviations)
}

/// The row of the mean over all runs.
pub(crate) fn mean(runs: &[Run]) -> Row {
    let of = |pick: fn(&Row) -> &Figures| mean_and_deviation(&runs.iter().map(|r| pick(&r.row)).collect::<Vec<_>>());
    let (metrics, deviation) = of(|row| &row.metrics);
    // Every run has the same cases, so the parts of the mean have their number.
    let part = |pick: fn(&Row) -> &Segment| {
        let all = || runs.iter().map(|r| pick(&r.row));
        let hr_at_10 = all().map(|s| s.hr_at_10).sum::<f64>() / runs.len().max(1) as f64;
        Segment { hr_at_10, ..all().next().copied().unwrap_or_default() }
    };
    let maybe = |pick: fn(&Row) -> Option<&Segment>| {
        let all: Option<Vec<&Segment>> = runs.iter().map(|r| pick(&r.row)).collect();
        let all = all.filter(|all| !all.is_empty())?;
        let hr_at_10 = all.iter().map(|s| s.hr_at_10).sum::<f64>() / all.len() as f64;
        Some(Segment { hr_at_10, ..*all[0] })
    };
    Row {
        model: runs.first().map_or_else(String::new, |r| format!("{} mean", r.row.model)),
        metrics,
        deviation: Some(deviation),
        unmasked: of(|row| &row.unmasked).0,
        coverage: of(|row| &row.coverage).0,
        stderr: of(|row| &row.stderr).0,
        tied: maybe(|row| row.tied.as_ref()),
        untied: maybe(|row| row.untied.as_ref()),
        with_train: part(|row| &row.with_train),
        without_train: part(|row| &row.without_train),
        with_history: part(|row| &row.with_history),
        without_history: part(|row| &row.without_history),
        seeds: Some(runs.iter().map(|r| r.seed).collect()),
        ..Row::default()
    }
}

/// Prints a line for each seed, and the mean.
pub(crate) fn print(runs: &[Run], mean: &Row, select: &str) {
    let header: Vec<&str> = ["seed"].into_iter().chain(SHOWN).chain(["best epoch"]).collect();
    let mut t = output::table(&header);
    let cell = |row: &Row, name: &str| row.metrics.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
    for run in runs {
        let mut line = vec![run.seed.to_string()];
        line.extend(SHOWN.iter().map(|name| cell(&run.row, name)));
        line.push(run.report.best_epoch.to_string());
        t.add_row(line);
    }
    let deviation = |name: &str| mean.deviation.as_ref().and_then(|d| d.get(name)).unwrap_or(0.0);
    let mut line = vec!["mean".to_owned()];
    line.extend(SHOWN.iter().map(|name| match cell(mean, name) {
        text if text.is_empty() => text,
        text => format!("{text} ± {:.4}", deviation(name)),
    }));
    line.push(String::new());
    t.add_row(line);
    say!("\nover {} seeds, chosen by validation {select}; ± is the deviation over seeds:\n{t}", runs.len());
}

/// What `--json` says of each seed. `saved` is the seed of the model that was kept.
pub(crate) fn to_json(runs: &[Run], saved: u64) -> Done<Value> {
    let one = |run: &Run| -> Done<Value> {
        let mut map = Map::new();
        let metrics = serde_json::to_value(&run.row.metrics).map_err(|e| Fail::machine(e.to_string()))?;
        map.insert("seed".into(), run.seed.into());
        map.insert("metrics".into(), metrics);
        map.insert("validation".into(), json!(run.validation()));
        map.insert("best_epoch".into(), run.report.best_epoch.into());
        map.insert("seconds".into(), run.report.seconds.into());
        if let Some(temperature) = run.report.temperature {
            map.insert("temperature".into(), temperature.into());
        }
        map.insert("model_sha256".into(), json!(run.row.model_sha256));
        map.insert("saved".into(), (run.seed == saved).into());
        Ok(Value::Object(map))
    };
    Ok(Value::Array(runs.iter().map(one).collect::<Done<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    #[test]
    fn means_and_deviations() {
        let figures = |x: f64| {
            let mut f = Figures::default();
            f.push("HR@10", x);
            f.push("MRR", 1.0);
            f
        };
        let all = [figures(1.0), figures(2.0), figures(6.0)];
        let (mean, deviation) = mean_and_deviation(&all.iter().collect::<Vec<_>>());
        assert_eq!((mean.get("HR@10"), mean.get("MRR")), (Some(3.0), Some(1.0)));
        assert!(abs_diff_eq!(deviation.get("HR@10").unwrap(), 7f64.sqrt(), epsilon = 1e-12), "{deviation:?}");
        assert_eq!(deviation.get("MRR"), Some(0.0));
        assert_eq!(list(5, 3).unwrap(), [5, 6, 7]);
        assert!(list(5, 0).is_err() && list(u64::MAX, 2).is_err());
    }
}
