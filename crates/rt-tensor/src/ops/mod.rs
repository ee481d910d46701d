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
mod scale;
mod scale_by_exp;
mod softmax_loss;
mod sum;
mod weighted_pool;

pub use bag::BagOptions;
pub use data::{BatchSpec, BatchVars, ShownSpec};
pub use negatives::UnseenSpec;
pub use softmax_loss::{Negatives, PositiveVar, SoftmaxSpec};

use crate::Result;
use crate::grads::{Grad, Grads};
use crate::reference::Env;
use crate::tape::{Tape, Var};

/// What backward needs of a node. There is no catch-all arm below: a new op has to say how it is differentiated and
/// how its reference is computed.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Activation(activation::ActivationOp),
    Add(add::AddOp),
    Bag(bag::BagOp),
    BatchNorm(batch_norm::BatchNormOp),
    Bce(bce::BceOp),
    Concat(concat::ConcatOp),
    ConcatRows(concat_rows::ConcatRowsOp),
    Dropout(dropout::DropoutOp),
    FieldMean(fields::FieldMeanOp),
    FieldScale(fields::FieldScaleOp),
    Gather(gather::GatherOp),
    Gelu(gelu::GeluOp),
    GroupDot(group_dot::GroupDotOp),
    L2Normalize(l2_normalize::L2NormalizeOp),
    LayerNorm(layer_norm::LayerNormOp),
    Linear(linear::LinearOp),
    ListSoftmax(list_softmax::ListSoftmaxOp),
    Pairwise(pairwise::PairwiseOp),
    Prelu(prelu::PreluOp),
    Product(product::ProductOp),
    Scale(scale::ScaleOp),
    ScaleByExp(scale_by_exp::ScaleByExpOp),
    SoftmaxLoss(softmax_loss::SoftmaxLossOp),
    Sum(sum::SumOp),
    MaxPool(max_pool::MaxPoolOp),
    HistoryWeights(history_weights::HistoryWeightsOp),
    WeightedPool(weighted_pool::WeightedPoolOp),
}

macro_rules! each {
    ($self:expr, $op:ident => $body:expr) => {
        match $self {
            Op::Activation($op) => $body,
            Op::Add($op) => $body,
            Op::Bag($op) => $body,
            Op::BatchNorm($op) => $body,
            Op::Bce($op) => $body,
            Op::Concat($op) => $body,
            Op::ConcatRows($op) => $body,
            Op::Dropout($op) => $body,
            Op::FieldMean($op) => $body,
            Op::FieldScale($op) => $body,
            Op::Gather($op) => $body,
            Op::Gelu($op) => $body,
            Op::GroupDot($op) => $body,
            Op::L2Normalize($op) => $body,
            Op::LayerNorm($op) => $body,
            Op::Linear($op) => $body,
            Op::ListSoftmax($op) => $body,
            Op::Pairwise($op) => $body,
            Op::Prelu($op) => $body,
            Op::Product($op) => $body,
            Op::Scale($op) => $body,
            Op::ScaleByExp($op) => $body,
            Op::SoftmaxLoss($op) => $body,
            Op::Sum($op) => $body,
            Op::MaxPool($op) => $body,
            Op::HistoryWeights($op) => $body,
            Op::WeightedPool($op) => $body,
        }
    };
}

impl Op {
    /// Contributes the gradients of the op's inputs, given the gradient of its output.
    pub(crate) fn backward(&self, tape: &mut Tape, out: Grad, needs: &[bool], grads: &mut Grads) -> Result<()> {
        let needs = |v: Var| needs[v.0 as usize];
        each!(self, op => op.backward(tape, out, &needs, grads))
    }

    /// The op's first output in f64, row-major.
    pub(crate) fn reference(&self, env: &Env<'_>) -> Vec<f64> {
        each!(self, op => op.reference(env))
    }

    /// Name for the gradient checker's list.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Activation(_) => "activation",
            Self::Add(_) => "add",
            Self::Bag(_) => "bag",
            Self::BatchNorm(_) => "batch_norm",
            Self::Bce(_) => "bce",
            Self::Concat(_) => "concat",
            Self::ConcatRows(_) => "concat_rows",
            Self::Dropout(_) => "dropout",
            Self::FieldMean(_) => "field_mean",
            Self::FieldScale(_) => "field_scale",
            Self::Gather(_) => "gather",
            Self::Gelu(_) => "gelu",
            Self::GroupDot(_) => "group_dot",
            Self::L2Normalize(_) => "l2_normalize",
            Self::LayerNorm(_) => "layer_norm",
            Self::Linear(_) => "linear",
            Self::ListSoftmax(_) => "list_softmax",
            Self::Pairwise(_) => "pairwise",
            Self::Prelu(_) => "prelu",
            Self::Product(_) => "product",
            Self::Scale(_) => "scale",
            Self::ScaleByExp(_) => "scale_by_exp",
            Self::SoftmaxLoss(_) => "softmax_loss",
            Self::Sum(_) => "sum",
            Self::MaxPool(_) => "max_pool",
            Self::HistoryWeights(_) => "history_weights",
            Self::WeightedPool(_) => "weighted_pool",
        }
    }

    /// Names of all ops: what the gradient checker has to cover.
    pub(crate) const NAMES: &'static [&'static str] = &[
        "activation",
        "add",
        "bag",
        "batch_norm",
        "bce",
        "concat",
        "concat_rows",
        "dropout",
        "field_mean",
        "field_scale",
        "gather",
        "gelu",
        "group_dot",
        "l2_normalize",
        "layer_norm",
        "linear",
        "list_softmax",
        "pairwise",
        "prelu",
        "product",
        "scale",
        "scale_by_exp",
        "softmax_loss",
        "sum",
        "max_pool",
        "history_weights",
        "weighted_pool",
    ];
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
