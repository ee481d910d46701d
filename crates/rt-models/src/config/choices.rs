//! Choices of the features and parts of towers that are off by default.

use super::{Value, bad};
use crate::Result;

choice! {
    /// Normalisation of a tower's hidden layers.
    Norm {
        /// None.
        None = "none",
        /// Layer normalisation (Ba, Kiros, Hinton 2016).
        Layer = "layer",
        /// Batch normalisation (Ioffe, Szegedy 2015).
        Batch = "batch",
    }
}

choice! {
    /// How number columns enter a tower.
    #[derive(Default)]
    Numbers {
        /// As they are.
        Raw = "raw",
        /// Minus their mean, over their deviation.
        #[default]
        Standard = "standard",
        /// As one of ten buckets of equal counts, embedded.
        Quantile = "quantile",
    }
}
