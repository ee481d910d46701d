//! Choices among names: what an example is and what it is scored against.

use super::{Value, bad};
use crate::Result;

choice! {
    /// The time since the last event, as a category.
    Gap {
        /// Not used.
        Off = "off",
        /// Within an hour, within a day, more.
        Coarse = "coarse",
        /// Octaves of seconds: only for comparisons with papers that use the target's own time.
        Fine = "fine",
    }
}

choice! {
    /// Which items are scored against a user of YoutubeDNN.
    ItemTable {
        /// The table that the history uses.
        Shared = "shared",
        /// A table of their own.
        Separate = "separate",
    }
}

choice! {
    /// Where the negatives of the losses list and pointwise come from.
    NegativesFrom {
        /// All are drawn.
        Sampler = "sampler",
        /// What the user was shown and did not click, filled up with draws.
        Data = "data",
        /// Half of them (rounded up) as with `data`, the rest drawn.
        Both = "both",
    }
}

choice! {
    /// What a training example predicts.
    Label {
        /// The next item from those before it.
        Next = "next",
        /// A held-out item from all others of the user's training items, later ones too (the comparison of figure 5 in
        /// Covington et al., RecSys 2016).
        HeldOut = "heldout",
    }
}
