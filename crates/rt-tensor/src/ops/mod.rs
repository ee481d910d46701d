//! Ops: each file holds what is recorded, its backward, and its reference in f64.

mod activation;
mod add;
mod bag;
mod batch_norm;
mod bce;
mod concat;
mod concat_rows;
mod data;
mod dropout;
mod fields;
mod gather;
mod gelu;
mod group_dot;
mod history;
mod history_weights;
mod l2_normalize;
mod layer_norm;
mod linear;
mod list_softmax;
mod max_pool;
mod negatives;
mod pairwise;
mod prelu;
mod product;
mod queue;
mod reshape;
mod scale;
mod scale_by_exp;
mod softmax_loss;
mod stop_gradient;
mod sum;
mod take;
mod view;
mod weigh;
mod weighted_pool;

pub use bag::BagOptions;
pub use data::{BatchSpec, BatchVars, ShownSpec};
pub use negatives::UnseenSpec;
pub use softmax_loss::{Negatives, PositiveVar, SoftmaxSpec};

use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};

/// The ops, each once: from this list come the enum, the calls of each op's own backward and reference, and the names that the
/// gradient checker covers. So an op without a gradient does not compile, and one without a case fails the checker.
macro_rules! ops {
    ($($variant:ident($op:ty) = $name:literal,)+) => {
        /// What backward needs of a node.
        #[derive(Debug, Clone)]
        pub(crate) enum Op {
            $($variant($op),)+
        }

        impl Op {
            /// Contributes the gradients of the op's inputs, given the gradient of its output.
            pub(crate) fn backward(&self, tape: &mut Tape, out: Grad, needs: &[bool], grads: &mut Grads) -> Result<()> {
                let needs = |v: Var| needs[v.0 as usize];
                match self {
                    $(Self::$variant(op) => op.backward(tape, out, &needs, grads),)+
                }
            }

            /// The op's first output in f64, row-major.
            pub(crate) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
                match self {
                    $(Self::$variant(op) => op.reference(env),)+
                }
            }

            /// Its name in the gradient checker's list and in errors.
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Names of all ops: what the gradient checker has to cover.
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),+];
        }
    };
}

ops! {
    Activation(activation::ActivationOp) = "activation",
    Add(add::AddOp) = "add",
    Bag(bag::BagOp) = "bag",
    BatchNorm(batch_norm::BatchNormOp) = "batch_norm",
    Bce(bce::BceOp) = "bce",
    Concat(concat::ConcatOp) = "concat",
    ConcatRows(concat_rows::ConcatRowsOp) = "concat_rows",
    Dropout(dropout::DropoutOp) = "dropout",
    FieldMean(fields::FieldMeanOp) = "field_mean",
    FieldScale(fields::FieldScaleOp) = "field_scale",
    Gather(gather::GatherOp) = "gather",
    Gelu(gelu::GeluOp) = "gelu",
    GroupDot(group_dot::GroupDotOp) = "group_dot",
    L2Normalize(l2_normalize::L2NormalizeOp) = "l2_normalize",
    LayerNorm(layer_norm::LayerNormOp) = "layer_norm",
    Linear(linear::LinearOp) = "linear",
    ListSoftmax(list_softmax::ListSoftmaxOp) = "list_softmax",
    Pairwise(pairwise::PairwiseOp) = "pairwise",
    Prelu(prelu::PreluOp) = "prelu",
    Product(product::ProductOp) = "product",
    Scale(scale::ScaleOp) = "scale",
    ScaleByExp(scale_by_exp::ScaleByExpOp) = "scale_by_exp",
    SoftmaxLoss(softmax_loss::SoftmaxLossOp) = "softmax_loss",
    Sum(sum::SumOp) = "sum",
    MaxPool(max_pool::MaxPoolOp) = "max_pool",
    HistoryWeights(history_weights::HistoryWeightsOp) = "history_weights",
    WeightedPool(weighted_pool::WeightedPoolOp) = "weighted_pool",
    View(view::ViewOp) = "view",
    Reshape(reshape::ReshapeOp) = "reshape",
    Take(take::TakeOp) = "take",
    Weigh(weigh::WeighOp) = "weigh",
    StopGradient(stop_gradient::StopGradientOp) = "stop_gradient",
}

/// Refuses a label smoothing outside 0 to 1.
fn check_smoothing(op: &'static str, smoothing: f32) -> Result<()> {
    if (0.0..=1.0).contains(&smoothing) {
        return Ok(());
    }
    Err(crate::error::shape(op, format!("label smoothing {smoothing}: has to be 0 to 1")))
}

/// Does a value need a gradient?
type Needs<'a> = &'a dyn Fn(Var) -> bool;

/// Records a tape up to the loss of each row.
type Record = dyn Fn(&mut Tape) -> Result<Var>;

/// A case of the gradient checker: what a variant of an op records.
pub(crate) struct Case {
    pub variant: &'static str,
    pub record: Box<Record>,
}

impl Case {
    fn new(variant: &'static str, record: impl Fn(&mut Tape) -> Result<Var> + 'static) -> Self {
        Self { variant, record: Box::new(record) }
    }
}

/// The cases that stand beside their ops.
pub(crate) fn cases(name: &str, seed: u64) -> Vec<Case> {
    match name {
        "view" => view::cases(seed),
        "reshape" => reshape::cases(seed),
        "take" => take::cases(seed),
        "weigh" => weigh::cases(seed),
        "stop_gradient" => stop_gradient::cases(seed),
        _ => Vec::new(),
    }
}

/// Sums of the rows of `y`, each cell times a number of its own: a loss whose gradient differs from cell to cell.
fn weighted(tape: &mut Tape, y: Var, seed: u64) -> Result<Var> {
    let [rows, cols] = tape.shape(y);
    let c = tape.constant(&rt_kernels::philox::uniform(seed, 1001, rows * cols, 1.0), rows, cols)?;
    tape.group_dot(y, c, 1.0)
}
