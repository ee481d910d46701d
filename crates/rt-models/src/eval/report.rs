//! One line of a table, the protocol it was made under, and the object that `--json` writes.

use std::collections::HashSet;

use rt_data::{Dataset, EvalCase, Split, is_tied};
use serde::Serialize;
use serde_json::{Map, Value};

use super::metrics::{coverage, distinct_users, diversity, figures, novelty};
use super::{CaseRanks, Figures, Last};

/// HR@10 of some of the targets. With several targets a case each counts alone: the share of them within 10.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Segment {
    /// Share of the targets within the first 10 places, ties by expectation; 0 where there is none.
    #[serde(rename = "HR@10")]
    pub hr_at_10: f64,
    /// Users that the targets belong to.
    pub users: usize,
    /// Targets.
    pub targets: usize,
}

/// One line of the table of train, eval and demo. [`Row::new`] fills what follows from ranks; the fields from
/// `seconds` on are for models, and `h` for item-kNN.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// `most-popular`, `item-knn`, `dssm`, `youtube-dnn` or `bound`.
    pub model: String,
    /// Means under the protocol's mask: `HR@10`, ..., `MRR`.
    pub metrics: Figures,
    /// Standard errors over users, under the same names.
    pub stderr: Figures,
    /// Means with nothing masked, under the same names.
    pub unmasked: Figures,
    /// `Coverage@10`, ...: distinct items over all lists / catalogue, under the protocol's mask.
    pub coverage: Figures,
    /// `Novelty@10`, ...: mean self-information of the listed items in bits, under the protocol's mask.
    pub novelty: Figures,
    /// `Diversity@10`: mean distance of the pairs of items in a list, under the protocol's mask.
    pub diversity: Figures,
    /// Targets with the timestamp of the event before them; absent where the data has no clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tied: Option<Segment>,
    /// The other targets; absent where the data has no clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untied: Option<Segment>,
    /// Targets whose item the user had before.
    pub repeat: Segment,
    /// Targets whose item is new to the user.
    pub new: Segment,
    /// Targets whose item has a train interaction.
    pub with_train: Segment,
    /// Targets whose item has none.
    pub without_train: Segment,
    /// Targets of cases with a history.
    pub with_history: Segment,
    /// Targets of cases without one.
    pub without_history: Segment,
    /// Of item-kNN: how many events of the history it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h: Option<Last>,
    /// NDCG@10 on validation: of a model's best epoch, of item-kNN's h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_ndcg_10: Option<f64>,
    /// Seconds of training, without preparing and evaluating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Training examples a second of `seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples_per_second: Option<f64>,
    /// Seconds of reading and preparing the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepare_seconds: Option<f64>,
    /// Seconds of a validation pass, the mean over the epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_seconds: Option<f64>,
    /// The epoch whose weights were kept, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// High-water mark of the process's memory, see [`peak_memory_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Training loss of each of the first 100 steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Vec<f32>>,
    /// Mean training loss of each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_epochs: Option<Vec<f32>>,
    /// SHA-256, in hexadecimal, of the tensors' bytes in the order of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_sha256: Option<String>,
    /// Of a mean over several trainings: their seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Of a mean over several trainings: the deviation of each metric over the seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<Figures>,
}

impl Row {
    /// The figures of `model` from its ranks of `cases` under the protocol's mask and under none.
    ///
    /// # Panics
    ///
    /// If `masked` are the ranks of more cases than `cases`.
    #[must_use]
    pub fn new(
        model: &str,
        data: &Dataset,
        split: &Split,
        cases: &[EvalCase],
        masked: &CaseRanks,
        unmasked: &CaseRanks,
    ) -> Self {
        let (metrics, stderr) = figures(masked);
        let counts = split.item_counts(data);
        let clock = !data.event_time.is_empty() && !data.time_is_order;
        let trained = |event: u32| counts[data.event_item[event as usize] as usize] > 0;
        let tied = |wanted| clock.then(|| segment(cases, masked, |_, event| is_tied(data, event) == Some(wanted)));
        let repeats: HashSet<(u32, u32)> = cases
            .iter()
            .flat_map(|case| {
                case.targets_among(data, case.history.clone()).map(|(event, had)| ((case.user, event), had))
            })
            .filter_map(|(target, had)| had.then_some(target))
            .collect();
        let repeat = |case: &EvalCase, event: u32| repeats.contains(&(case.user, event));
        Self {
            model: model.to_owned(),
            metrics,
            stderr,
            unmasked: figures(unmasked).0,
            coverage: coverage(masked),
            novelty: novelty(masked, data, split),
            diversity: diversity(masked, data, split),
            tied: tied(true),
            untied: tied(false),
            repeat: segment(cases, masked, repeat),
            new: segment(cases, masked, |case, event| !repeat(case, event)),
            with_train: segment(cases, masked, |_, event| trained(event)),
            without_train: segment(cases, masked, |_, event| !trained(event)),
            with_history: segment(cases, masked, |case, _| !case.history.is_empty()),
            without_history: segment(cases, masked, |case, _| case.history.is_empty()),
            ..Self::default()
        }
    }
}

/// HR@10 of the targets that `wanted(case, target event)` takes.
fn segment(cases: &[EvalCase], ranks: &CaseRanks, wanted: impl Fn(&EvalCase, u32) -> bool) -> Segment {
    let (mut hits, mut targets, mut users) = (0.0, 0u32, Vec::new());
    for ranked in ranks.iter() {
        let case = &cases[ranked.case];
        for (&event, place) in ranked.targets.iter().zip(ranked.places) {
            if wanted(case, event) {
                targets += 1;
                hits += place.share_within(10);
                users.push(case.user);
            }
        }
    }
    Segment {
        hr_at_10: hits / f64::from(targets.max(1)),
        users: distinct_users(users.into_iter()),
        targets: targets as usize,
    }
}

/// What a table was made under.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Protocol {
    /// As `--split` takes it: `leave-last-out`, `time:0.8,0.1` or `files`.
    pub split: String,
    /// As `--mask` takes it: what was asked for or, without that, what the data asked for.
    pub mask: &'static str,
    /// Why this mask, in words.
    pub mask_reason: String,
    /// As `--request-time` takes it.
    pub request_time: String,
    /// Items that are ranked.
    pub catalogue: usize,
    /// Which: `interactions` (every item with one anywhere in the data) or `all` (those without one too).
    pub catalogue_of: &'static str,
    /// Users with a case that can be answered.
    pub users_tested: usize,
    /// Rankings made: one a user, but for `--targets all`.
    pub cases_tested: usize,
    /// Targets in all of them.
    pub targets_tested: usize,
    /// Cases left out, as all their targets are masked.
    pub cases_left_out: usize,
    /// Targets left out, as they are masked.
    pub targets_left_out: usize,
    /// Share of all targets, those left out with them, whose item stands in the history already.
    pub targets_in_history: f64,
    /// Cases without a history.
    pub cases_without_history: usize,
    /// Targets whose item has no train interaction.
    pub targets_without_train: usize,
    /// Mean over the targets of the share of the training events that are later; absent where there is no clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_after_test: Option<f64>,
    /// Cases whose target the model was trained on, where `--allow-seen` lets them through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_cases: Option<usize>,
}

impl Protocol {
    /// The protocol of the test cases of `split`.
    #[must_use]
    pub fn new(data: &Dataset, split: &Split, request_time: &str) -> Self {
        let (mut all, mut repeated, mut left_out, mut cases_left_out) = (0, 0, 0, 0);
        let mut users = Vec::with_capacity(split.test.len());
        for case in &split.test {
            repeated += case.targets_among(data, case.history.clone()).filter(|(_, had)| *had).count();
            let (mut own, mut masked) = (0, 0);
            for (_, had) in case.targets_among(data, case.masked(split.mask)) {
                own += 1;
                masked += usize::from(had);
            }
            all += own;
            left_out += masked;
            if own > masked {
                users.push(case.user);
            } else {
                cases_left_out += 1;
            }
        }
        Self {
            split: split.kind.to_string(),
            mask: split.mask.name(),
            mask_reason: split.mask_reason.clone(),
            request_time: request_time.to_owned(),
            catalogue: data.ranked().len(),
            catalogue_of: if data.rank_all { "all" } else { "interactions" },
            cases_tested: users.len(),
            users_tested: distinct_users(users.into_iter()),
            targets_tested: all - left_out,
            cases_left_out,
            targets_left_out: left_out,
            targets_in_history: repeated as f64 / all.max(1) as f64,
            cases_without_history: split.without_history(),
            targets_without_train: split.warm_and_cold_targets(data).1,
            train_after_test: split.train_after_test,
            seen_cases: None,
        }
    }
}

/// What something ran on, for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceName {
    /// `cpu` or `gpu`.
    pub kind: String,
    /// The processor's or adapter's name.
    pub name: String,
}

/// The object that `--json` writes; `R` is a line of the printed table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report<R = Row> {
    /// The subcommand.
    pub command: String,
    /// The program's version.
    pub version: String,
    /// `--seed`.
    pub seed: u64,
    /// Where it ran.
    pub device: DeviceName,
    /// What the figures were made under; absent where nothing is ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// One a line of the table.
    pub rows: Vec<R>,
    /// Whatever else a command has to say, at the top level of the object.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// High-water mark of this process's resident memory in bytes; `None` where the system has no `/proc`.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
