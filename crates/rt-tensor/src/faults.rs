//! Faults planted into the backward pass of a tape, for tests of what is to find them.

use crate::params::ParamKind;
use crate::tape::{Kind, Node, Phase, Tape, Var};
use crate::{Error, Result};
use rt_kernels::Dtype;
use rt_kernels::kernels::{Add, Scale};
use std::sync::Arc;

/// A way for a gradient to be wrong.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One of the users of a value hands nothing down: an addend of a sum is lost, or the ids of a lookup.
    DroppedUse,
    /// A gradient is negated.
    WrongSign,
    /// A gradient lacks a factor of 0.7.
    MissingFactor,
    /// Part of a gradient, a view of it, is taken for zeros.
    VanishedView,
    /// One cell of a gradient is not a number.
    NotANumber,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::DroppedUse, Self::WrongSign, Self::MissingFactor, Self::VanishedView, Self::NotANumber];
}

/// A place in the backward pass: node, and operand of it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultPlace {
    node: usize,
    slot: usize,
}

impl Tape {
    /// Where a fault can be planted, after [`Tape::backward`].
    #[doc(hidden)]
    #[must_use]
    pub fn fault_places(&self, fault: Fault) -> Vec<FaultPlace> {
        let mut places = Vec::new();
        for (node, n) in self.nodes.iter().enumerate().filter(|(_, n)| n.phase == Phase::Backward) {
            let name = n.kernel.as_ref().map_or("", |k| k.name());
            let slots = match fault {
                Fault::DroppedUse => 0..n.reads.len(),
                Fault::VanishedView => 0..n.reads.len(),
                Fault::WrongSign | Fault::MissingFactor | Fault::NotANumber => 0..n.writes.len(),
            };
            let fits = |slot: &usize| match fault {
                Fault::DroppedUse => match name {
                    "add" => true,
                    "gemm" => *slot == 3 && n.reads[3].is_some(),
                    // Ids by row, and the items of bags.
                    "group" => n.reads[*slot].is_some_and(|v| self.shape(v)[1] == 1),
                    _ => false,
                },
                Fault::VanishedView => n.reads[*slot].is_some_and(|v| self.is_gradient_view(v)),
                Fault::WrongSign | Fault::MissingFactor | Fault::NotANumber => {
                    n.kernel.is_some()
                        && n.writes[*slot].is_some_and(|v| self.dtype(v) == Dtype::F32 && self.is_read(v))
                }
            };
            places.extend(slots.filter(fits).map(|slot| FaultPlace { node, slot }));
        }
        places
    }

    /// The tape with a fault at one of [`Tape::fault_places`].
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] for a place that is none of these.
    #[doc(hidden)]
    pub fn with_fault(&self, fault: Fault, place: FaultPlace) -> Result<Self> {
        if !self.fault_places(fault).contains(&place) {
            return Err(Error::NoGradient(format!("{fault:?} has no place at node {}", place.node)));
        }
        let mut tape = self.clone();
        let FaultPlace { node, slot } = place;
        match fault {
            Fault::DroppedUse if tape.nodes[node].kernel.as_ref().is_some_and(|k| k.name() == "gemm") => {
                tape.nodes[node].reads[slot] = None;
            }
            Fault::DroppedUse | Fault::VanishedView => {
                if let Some(v) = tape.nodes[node].reads[slot] {
                    let words = Kind::Const { words: Arc::new(vec![0; tape.shape(v)[0] * tape.shape(v)[1]]) };
                    let zeros = tape.value(tape.shape(v), tape.dtype(v), words);
                    tape.nodes[node].reads[slot] = Some(zeros);
                }
            }
            Fault::WrongSign => tape.scale_output(place, -1.0),
            Fault::MissingFactor => tape.scale_output(place, 0.7),
            Fault::NotANumber => tape.spoil_output(place)?,
        }
        Ok(tape)
    }

    /// The parameters whose gradients depend on what a fault at this place changes, in no order.
    #[doc(hidden)]
    #[must_use]
    pub fn fault_reaches(&self, fault: Fault, place: FaultPlace) -> Vec<String> {
        let FaultPlace { node, slot } = place;
        let rows = || self.row_grads.iter().flat_map(|rows| &rows.tables);
        let list = self.params.list();
        let named = |v: Var| self.values[v.0 as usize].param.map(|param| list[param].name.clone());
        if self.nodes[node].kernel.as_ref().is_some_and(|k| k.name() == "group") {
            return rows().filter_map(|t| named(t.table)).collect();
        }
        let one = matches!(fault, Fault::WrongSign | Fault::MissingFactor | Fault::NotANumber);
        let own = self.nodes[node].writes.iter().enumerate().filter(|(i, _)| !one || *i == slot);
        let mut touched: Vec<Var> = own.filter_map(|(_, v)| *v).collect();
        for n in &self.nodes[node + 1..] {
            if n.reads.iter().flatten().any(|r| touched.iter().any(|t| self.meet(*r, *t))) {
                touched.extend(n.writes.iter().flatten());
            }
        }
        let arena = self.dense_grads.map(|arena| self.root(arena));
        let is_dense = |p: &&crate::params::Param| {
            touched.iter().any(|t| {
                let ((root, from, stride), [rows, cols]) = (self.layout(*t), self.shape(*t));
                let to = from + rows.saturating_sub(1) * stride + cols;
                p.kind == ParamKind::Dense
                    && Some(root) == arena
                    && from < p.offset + p.shape[0] * p.shape[1]
                    && p.offset < to
            })
        };
        let dense = list.iter().filter(is_dense).map(|p| p.name.clone());
        let tables = rows().filter(|t| touched.iter().any(|v| self.meet(*v, t.source)));
        dense.chain(tables.filter_map(|t| named(t.table))).collect()
    }

    /// Do two values have a word in common? Rows of one stride by their columns, others by where they begin and end.
    fn meet(&self, a: Var, b: Var) -> bool {
        let [(root, at, stride), (other_root, other_at, other_stride)] = [a, b].map(|v| self.layout(v));
        let [[rows, cols], [other_rows, other_cols]] = [a, b].map(|v| self.shape(v));
        let meet = |a: usize, n: usize, b: usize, m: usize| a < b + m && b < a + n;
        let words = |rows: usize, cols: usize, stride: usize| rows.saturating_sub(1) * stride + cols;
        let mut both = root == other_root
            && meet(at, words(rows, cols, stride), other_at, words(other_rows, other_cols, other_stride));
        if both && stride == other_stride && stride > 0 {
            both = meet(at % stride, cols, other_at % stride, other_cols);
        }
        both
    }

    /// A view of a gradient: of something that backward made.
    fn is_gradient_view(&self, v: Var) -> bool {
        let value = &self.values[v.0 as usize];
        let view = matches!(value.kind, Kind::View { .. } | Kind::Slice { .. });
        let root = self.layout(v).0;
        let made =
            |n: &Node| n.phase == Phase::Backward && n.writes.iter().flatten().any(|w| self.layout(*w).0 == root);
        view && value.param.is_none() && value.dtype == Dtype::F32 && self.nodes.iter().any(made)
    }

    /// Does a later node read the value, or is it a parameter's gradient?
    fn is_read(&self, v: Var) -> bool {
        let root = self.layout(v).0;
        let reads = |n: &Node| n.reads.iter().flatten().any(|r| self.layout(*r).0 == root);
        self.dense_grads.is_some_and(|arena| self.layout(arena).0 == root)
            || self.row_grads.iter().flat_map(|rows| &rows.tables).any(|t| self.layout(t.source).0 == root)
            || self.nodes.iter().any(reads)
    }

    /// Puts a factor behind an output of a node.
    fn scale_output(&mut self, place: FaultPlace, factor: f32) {
        if let Some((made, out, [rows, cols])) = self.divert(place) {
            self.insert(place, Arc::new(Scale { rows, cols, factor }), vec![Some(made)], out);
        }
    }

    /// Makes one cell of an output of a node NaN.
    fn spoil_output(&mut self, place: FaultPlace) -> Result<()> {
        if let Some((made, out, [rows, cols])) = self.divert(place) {
            let mut cells = vec![0.0; rows * cols];
            cells[rows * cols / 2] = f32::NAN;
            let spoil = self.constant(&cells, rows, cols)?;
            self.insert(place, Arc::new(Add { rows, cols }), vec![Some(made), Some(spoil)], out);
        }
        Ok(())
    }

    /// Has a node write a new value: that value, the one that it wrote, and their shape.
    fn divert(&mut self, place: FaultPlace) -> Option<(Var, Var, [usize; 2])> {
        let out = self.nodes[place.node].writes[place.slot]?;
        let [rows, cols] = self.shape(out);
        let made = self.temp(rows, cols);
        self.nodes[place.node].writes[place.slot] = Some(made);
        Some((made, out, [rows, cols]))
    }

    fn insert(&mut self, place: FaultPlace, kernel: crate::tape::AnyKernel, reads: Vec<Option<Var>>, out: Var) {
        let node = Node {
            kernel: Some(kernel),
            reads,
            writes: vec![Some(out)],
            op: None,
            phase: Phase::Backward,
            fusible: None,
        };
        self.nodes.insert(place.node + 1, node);
    }
}
