//! One file a kernel: signature, cost, CPU twin, GPU dispatches.

mod activation;
mod add;
mod average;
mod bag;
mod batch;
mod batch_norm;
mod bce;
mod best;
mod bits;
mod candidate_logq;
mod cells;
mod check_ids;
mod clip;
mod column_sum;
mod decay_rows;
mod draw_unseen;
mod drop_ids;
mod dropout;
mod fields;
mod fit;
mod frequency;
mod gather;
mod gelu;
mod gemm;
mod gradient_norm;
mod group;
mod group_dot;
mod hard_mask;
mod history_ids;
mod history_mask;
mod history_weights;
mod keep_mined;
mod l2_normalize;
mod layer_norm;
mod list_softmax;
mod logq;
mod lookups;
mod max_pool;
mod negatives;
mod on_tables;
mod own_mask;
mod pairwise;
mod part_sums;
mod prefetch;
mod prelu;
mod queue_push;
mod scale_by_exp;
mod search;
mod segment_runs;
mod segment_sum;
mod sessions;
mod shown;
mod softmax_loss;
mod sum;
pub(crate) mod sums;
mod take;
mod top_k;
mod touched;
mod update_dense;
mod update_rows;
mod weighted_pool;

pub use activation::*;
pub use add::*;
pub use average::*;
pub use bag::*;
pub use batch::*;
pub use batch_norm::*;
pub use bce::*;
pub use bits::*;
pub use candidate_logq::*;
pub use check_ids::*;
pub use clip::*;
pub use column_sum::*;
pub use decay_rows::*;
pub use draw_unseen::*;
pub use drop_ids::*;
pub use dropout::*;
pub use fields::*;
pub use frequency::*;
pub use gather::*;
pub use gelu::*;
pub use gemm::*;
pub use gradient_norm::*;
pub use group::*;
pub use group_dot::*;
pub use hard_mask::*;
pub use history_ids::{HistoryGaps, HistoryIds};
pub use history_mask::*;
pub use history_weights::*;
pub use keep_mined::*;
pub use l2_normalize::*;
pub use layer_norm::*;
pub use list_softmax::*;
pub use logq::*;
pub use lookups::*;
pub use max_pool::*;
pub use negatives::*;
pub use on_tables::*;
pub use own_mask::*;
pub use pairwise::*;
pub use part_sums::*;
pub use prelu::*;
pub use queue_push::*;
pub use scale_by_exp::*;
pub use search::*;
pub use segment_runs::*;
pub use segment_sum::*;
pub use sessions::*;
pub use shown::*;
pub use softmax_loss::*;
pub use sum::*;
pub use take::*;
pub use top_k::*;
pub use update_dense::*;
pub use update_rows::*;
pub use weighted_pool::*;

macro_rules! own {
    ($($kernel:ident),+ $(,)?) => {
        /// Is it a kernel of this crate? These are held to say the truth of themselves, so that a GPU runs their shaders without
        /// bounds checks once [`crate::check`] took their operands; a kernel of another crate keeps the checks.
        #[must_use]
        pub fn is_own(kernel: &dyn crate::Kernel) -> bool {
            let kernel: &dyn std::any::Any = kernel;
            $(kernel.is::<$kernel>())||+
        }
    };
}

own!(
    ActivationBackward,
    ActivationForward,
    Add,
    Bag,
    BagBackward,
    Batch,
    CheckIds,
    GradientNorm,
    BatchNorm,
    BatchNormBackward,
    BatchNormStats,
    BatchNormSums,
    BceWithLogits,
    Bits,
    CandidateLogQ,
    ClampTop,
    ClipFactor,
    ColumnSum,
    ColumnSums,
    Copy,
    DecayRows,
    DrawAlias,
    DrawUniform,
    DrawUnseen,
    DropIds,
    Dropout,
    DropoutBackward,
    EmaRows,
    FieldDot,
    FieldScale,
    Frequency,
    Gather,
    Gelu,
    GeluBackward,
    Gemm,
    Group,
    GroupDot,
    GroupDotBackward,
    HardMask,
    HistoryGaps,
    HistoryIds,
    HistoryMask,
    HistoryWeights,
    HistoryWeightsBackward,
    KeepMined,
    L2Normalize,
    L2NormalizeBackward,
    LayerNorm,
    LayerNormBackward,
    ListSoftmax,
    LogQ,
    Lookups,
    MaxPool,
    MaxPoolBackward,
    Mul,
    OnTables,
    OwnMask,
    Pairwise,
    PartSums,
    Prelu,
    PreluBackward,
    QueuePush,
    Scale,
    ScaleBy,
    ScaleByExp,
    ScatterRows,
    Search,
    SegmentRuns,
    SegmentSum,
    Sessions,
    ShownNegatives,
    SoftmaxLoss,
    SquaredNorm,
    Sum,
    Take,
    TopK,
    UpdateDense,
    UpdateRows,
    WeightedPool,
    WeightedPoolBackward,
);
