//! Choices among names.

use super::value::{Value, bad};
use crate::Result;

choice! {
    /// What is minimised.
    Loss {
        /// Softmax over the batch's targets (in-batch negatives).
        InBatch = "in-batch",
        /// Softmax over the whole catalogue.
        Full = "full",
        /// Softmax over the positive and negatives that the batch shares.
        Sampled = "sampled",
        /// Softmax over the positive and negatives of its own (label 0, as the tutorial's class).
        List = "list",
        /// Binary cross-entropy over the positive and negatives of its own (as torch-rechub's DSSM).
        Pointwise = "pointwise",
        /// Mean of -ln sigmoid(positive - negative) over negatives of its own (Rendle et al. 2009).
        Bpr = "bpr",
        /// Mean of max(0, margin - positive + negative) over negatives of its own (Huang et al. 2020).
        Hinge = "hinge",
    }
}

choice! {
    /// Where negatives come from.
    Sampler {
        /// All items alike.
        Uniform = "uniform",
        /// By (training targets)^alpha.
        Popularity = "popularity",
        /// By ln(training targets + 1).
        Log = "log",
        /// Log-uniform by popularity rank.
        Zipf = "zipf",
    }
}

choice! {
    /// The correction for how often a negative is drawn.
    LogQ {
        /// None.
        Off = "off",
        /// Negatives' logits are corrected, the positive's is not.
        Negatives = "negatives",
        /// All logits are corrected (Yi et al. 2019).
        All = "all",
    }
}

choice! {
    /// How parameters follow their gradients.
    OptimizerKind {
        /// Adam, lazy for tables.
        Adam = "adam",
        /// Adam for dense parameters, row-wise Adagrad for tables.
        Adagrad = "adagrad",
        /// Plain gradient descent.
        Sgd = "sgd",
    }
}

choice! {
    /// Activation of a tower's hidden layers.
    Hidden {
        /// max(x, 0).
        Relu = "relu",
        /// PReLU, a slope learned for each column.
        Prelu = "prelu",
        /// Hyperbolic tangent (DSSM 2013).
        Tanh = "tanh",
        /// Logistic function.
        Sigmoid = "sigmoid",
        /// GELU, tanh form (Hendrycks, Gimpel 2016).
        Gelu = "gelu",
    }
}

choice! {
    /// On, off, or decided by a rule that reads the data.
    Switch {
        /// Always.
        On = "on",
        /// Never.
        Off = "off",
        /// By the rule that the key's documentation states.
        Auto = "auto",
    }
}

choice! {
    /// Where the q of an in-batch logQ comes from.
    Frequency {
        /// The training targets, counted.
        Train = "train",
        /// The steps between batches with an item, while training runs (Yi et al. 2019).
        Stream = "stream",
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
    /// How learning rates change over the steps.
    Schedule {
        /// Not at all, after the warm-up.
        Constant = "constant",
        /// Down along half a cosine, to `lr_floor` at the last step.
        Cosine = "cosine",
        /// Times `lr_decay` every `lr_decay_epochs` epochs.
        Step = "step",
    }
}

choice! {
    /// How the items of a window of the history are pooled.
    Pool {
        /// Their mean.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
        /// The largest value of each column.
        Max = "max",
    }
}

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

choice! {
    /// Which searches count as known when an item is asked for.
    SearchTime {
        /// Those at or before the last event of the history.
        History = "history",
        /// Those strictly before the target, whose time no server knows.
        Target = "target",
    }
}
