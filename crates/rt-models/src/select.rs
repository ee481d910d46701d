//! The validation metric that chooses the epoch.

use crate::eval::{Figures, KS};

/// A metric that is higher if a model is better, at a length of list, such as `NDCG@10`, `HR@50` or `MRR`; or `auto`, which the
/// data decides ([`crate::Config::resolve`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select(String);

/// Metrics with a length of list.
const AT: [&str; 4] = ["HR", "NDCG", "Recall", "Precision"];

/// The name of what the data decides.
const AUTO: &str = "auto";

impl Select {
    /// The metric of this name; `None` for another text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text == "MRR" || text == AUTO || AT.iter().any(|m| KS.iter().any(|k| text == format!("{m}@{k}")));
        known.then(|| Self(text.to_owned()))
    }

    /// Does the data decide?
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.0 == AUTO
    }

    /// NDCG at this length, one of 10, 20, 50 and 100.
    pub(crate) fn ndcg(length: usize) -> Self {
        debug_assert!(KS.contains(&length));
        Self(format!("NDCG@{length}"))
    }

    /// Its name in tables and JSON.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What a value has to be, for errors.
    pub(crate) fn wanted() -> String {
        format!("auto, MRR, or one of {} at {}, such as NDCG@10", AT.join(", "), KS.map(|k| k.to_string()).join(", "))
    }

    /// Its value among the figures of cases.
    #[must_use]
    pub fn of(&self, figures: &Figures) -> Option<f64> {
        figures.get(&self.0)
    }
}

impl Default for Select {
    fn default() -> Self {
        Self(AUTO.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, ModelKind};

    #[test]
    fn every_figure_of_cases_can_be_chosen_and_no_other() {
        let mut names: Vec<String> = AT.iter().flat_map(|m| KS.map(|k| format!("{m}@{k}"))).collect();
        names.extend(["MRR".into(), AUTO.into()]);
        for name in names {
            let mut config = Config::new(ModelKind::Dssm);
            config.set("select", &name).unwrap();
            let mut again = Config::new(ModelKind::Dssm);
            again.read_toml(&config.to_toml()).unwrap();
            assert_eq!(again.select.name(), name);
        }
        for text in ["NDCG", "ndcg@10", "NDCG@11", "Coverage@10", ""] {
            let error = Config::new(ModelKind::Dssm).set("select", text).unwrap_err().to_string();
            assert!(error.contains("select") && error.contains("NDCG@10"), "{error}");
        }
    }
}
