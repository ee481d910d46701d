//! Rows of a table: baselines, models, the bound, all on the same test cases.

use crate::args::Baselines;
use crate::fail::{Done, Fail};
use rt_data::{Dataset, EvalCase, Latent, Mask, Split};
use rt_models::eval::{self, ItemKnn, Popularity, Row, Scorer, peak_memory_bytes};
use rt_models::{Device, Model, ModelScorer, TrainReport, evaluate};

/// A data set, its split, and how it is ranked.
pub(crate) struct Bench<'a> {
    pub device: &'a Device,
    pub data: &'a Dataset,
    pub split: &'a Split,
    pub baselines: Baselines,
}

impl Bench<'_> {
    fn row(&self, name: &str, scorer: &dyn Scorer) -> Done<Row> {
        let ranks = evaluate(self.device, self.data, &self.split.test, scorer, &[self.split.mask, Mask::None])?;
        Ok(Row::new(name, self.data, self.split, &self.split.test, &ranks[0], &ranks[1]))
    }

    /// Most-popular and item-kNN.
    pub(crate) fn baselines(&self) -> Done<Vec<Row>> {
        if self.baselines == Baselines::None {
            return Ok(Vec::new());
        }
        let popular = self.row("most-popular", &Popularity::new(self.data, self.split))?;
        if self.baselines == Baselines::Popular {
            return Ok(vec![popular]);
        }
        let words = usize::try_from(ItemKnn::bytes(self.data, self.split) / 4).unwrap_or(usize::MAX);
        if let Err(error) = Device::cpu(1)?.check_room(words, "the pairs of items that item-knn counts") {
            eprintln!("warning: item-knn is left out: {error}");
            return Ok(vec![popular]);
        }
        let fit = || ItemKnn::fit(self.data, self.split);
        let knn = match self.device {
            Device::Cpu(cpu) => cpu.install(fit),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => fit(),
        };
        let knn = knn.map_err(|e| Fail::machine(format!("item-knn: {e}")))?;
        let mut row = self.row("item-knn", &knn)?;
        row.h = Some(knn.last());
        row.validation_ndcg_10 = knn.tried().iter().find(|(last, _)| *last == knn.last()).map(|(_, value)| *value);
        Ok(vec![popular, row])
    }

    /// A model's row; with what training reports where it was just trained.
    pub(crate) fn model(&self, model: &Model, report: Option<(&TrainReport, f64)>) -> Done<Row> {
        let context = model.event_context(self.data);
        let scorer = ModelScorer::new(model, self.data, &context);
        let mut row = self.row(model.config().model.name(), &scorer)?;
        row.model_sha256 = Some(model.sha256()?);
        if let Some((report, prepare_seconds)) = report {
            add_training(&mut row, report, prepare_seconds);
        }
        Ok(row)
    }

    /// The row of a model whose training was interrupted: without figures.
    pub(crate) fn untested(&self, model: &Model, (report, prepare_seconds): (&TrainReport, f64)) -> Done<Row> {
        let mut row = Row { model: model.config().model.name().into(), ..Row::default() };
        row.model_sha256 = Some(model.sha256()?);
        add_training(&mut row, report, prepare_seconds);
        Ok(row)
    }

    /// The best possible: ranking by the logits that events were drawn from.
    pub(crate) fn bound(&self, latent: &Latent) -> Done<Row> {
        self.row("bound", &Bound { latent, data: self.data })
    }
}

fn add_training(row: &mut Row, report: &TrainReport, prepare_seconds: f64) {
    let best = report.best_epoch.checked_sub(1).and_then(|epoch| report.valid_figures.get(epoch));
    row.validation_ndcg_10 = best.and_then(|figures| figures.get("NDCG@10"));
    row.seconds = Some(report.seconds);
    row.examples_per_second = Some(report.examples_per_second);
    row.prepare_seconds = Some(prepare_seconds);
    row.validation_seconds = Some(report.valid_seconds / report.epochs.max(1) as f64);
    row.best_epoch = Some(report.best_epoch);
    row.peak_memory_bytes = peak_memory_bytes();
    row.loss = Some(report.loss.clone());
    row.loss_epochs = Some(report.loss_epochs.clone());
}

struct Bound<'a> {
    latent: &'a Latent,
    data: &'a Dataset,
}

impl Scorer for Bound<'_> {
    fn scores(&self, cases: &[&EvalCase], out: &mut [f32]) -> eval::Result<()> {
        for (case, out) in cases.iter().zip(out.chunks_mut(self.data.items.rows())) {
            let time = self.data.time(case.targets[0] as usize);
            self.latent.scores(self.data, case.user, case.history.clone(), time, out);
        }
        Ok(())
    }
}
