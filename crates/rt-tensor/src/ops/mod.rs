//! Ops: each file holds what is recorded, its backward, and its reference in f64.

mod activation;
mod add;
mod bag;
mod bce;
mod concat;
mod data;
mod dropout;
mod gather;
mod group_dot;
mod l2_normalize;
mod linear;
mod list_softmax;
mod prelu;
mod scale;
mod softmax_loss;
mod sum;

pub use bag::BagOptions;
pub use data::{BatchSpec, BatchVars, ShownSpec};
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
    Bce(bce::BceOp),
    Concat(concat::ConcatOp),
    Dropout(dropout::DropoutOp),
    Gather(gather::GatherOp),
    GroupDot(group_dot::GroupDotOp),
    L2Normalize(l2_normalize::L2NormalizeOp),
    Linear(linear::LinearOp),
    ListSoftmax(list_softmax::ListSoftmaxOp),
    Prelu(prelu::PreluOp),
    Scale(scale::ScaleOp),
    SoftmaxLoss(softmax_loss::SoftmaxLossOp),
    Sum(sum::SumOp),
}

macro_rules! each {
    ($self:expr, $op:ident => $body:expr) => {
        match $self {
            Op::Activation($op) => $body,
            Op::Add($op) => $body,
            Op::Bag($op) => $body,
            Op::Bce($op) => $body,
            Op::Concat($op) => $body,
            Op::Dropout($op) => $body,
            Op::Gather($op) => $body,
            Op::GroupDot($op) => $body,
            Op::L2Normalize($op) => $body,
            Op::Linear($op) => $body,
            Op::ListSoftmax($op) => $body,
            Op::Prelu($op) => $body,
            Op::Scale($op) => $body,
            Op::SoftmaxLoss($op) => $body,
            Op::Sum($op) => $body,
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
            Self::Bce(_) => "bce",
            Self::Concat(_) => "concat",
            Self::Dropout(_) => "dropout",
            Self::Gather(_) => "gather",
            Self::GroupDot(_) => "group_dot",
            Self::L2Normalize(_) => "l2_normalize",
            Self::Linear(_) => "linear",
            Self::ListSoftmax(_) => "list_softmax",
            Self::Prelu(_) => "prelu",
            Self::Scale(_) => "scale",
            Self::SoftmaxLoss(_) => "softmax_loss",
            Self::Sum(_) => "sum",
        }
    }

    /// Names of all ops: what the gradient checker has to cover.
    pub(crate) const NAMES: &'static [&'static str] = &[
        "activation",
        "add",
        "bag",
        "bce",
        "concat",
        "dropout",
        "gather",
        "group_dot",
        "l2_normalize",
        "linear",
        "list_softmax",
        "prelu",
        "scale",
        "softmax_loss",
        "sum",
    ];
}

/// Does a value need a gradient?
type Needs<'a> = &'a dyn Fn(Var) -> bool;
