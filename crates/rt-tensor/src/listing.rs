//! The tape as text: a table, and a graph for Graphviz.

use crate::tape::{Kind, Phase, Tape, Var};
use rt_kernels::Kernel;
use std::fmt::Write as _;

/// One line of the listing.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeInfo {
    /// Number of the node.
    pub node: usize,
    /// Forward, backward or update.
    pub phase: Phase,
    /// The kernel, or the op `(in place)` if nothing runs.
    pub op: String,
    /// What it reads, by name or %number.
    pub inputs: Vec<String>,
    /// What it writes, with its shape.
    pub outputs: Vec<(String, [usize; 2])>,
    /// Bytes that must move.
    pub bytes: f64,
    /// Floating-point operations.
    pub flops: f64,
}

impl Tape {
    /// The nodes' kernels, in order; `None` where nothing runs.
    pub fn kernels(&self) -> impl Iterator<Item = Option<&dyn Kernel>> {
        self.nodes.iter().map(|node| node.kernel.as_ref().map(|kernel| &**kernel as &dyn Kernel))
    }

    /// The nodes, in order.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let info = |(node, n): (usize, &crate::tape::Node)| {
            let cost = n.kernel.as_ref().map(|k| k.cost()).unwrap_or_default();
            NodeInfo {
                node,
                phase: n.phase,
                op: n.kernel.as_ref().map_or_else(|| format!("{} (in place)", n.name()), |k| k.name().to_owned()),
                inputs: n.reads.iter().flatten().map(|v| self.name(*v)).collect(),
                outputs: n.writes.iter().flatten().map(|v| (self.name(*v), self.shape(*v))).collect(),
                bytes: cost.bytes,
                flops: cost.flops,
            }
        };
        self.nodes.iter().enumerate().map(info).collect()
    }

    /// A value's name: a parameter's, an input's, or %number; a view says of what.
    #[must_use]
    pub fn name(&self, v: Var) -> String {
        let value = &self.values[v.0 as usize];
        if let Some(param) = value.param {
            return self.params.list()[param].name.clone();
        }
        match &value.kind {
            Kind::Temp | Kind::Table { .. } => format!("%{}", v.0),
            Kind::Arena => "dense".into(),
            Kind::State { name } | Kind::Input { name } => name.clone(),
            Kind::Const { .. } => format!("const%{}", v.0),
            Kind::View { of, row, col } => {
                let [rows, cols] = value.shape;
                let of = self.name(*of);
                if *row == 0 {
                    format!("%{}={of}[:, {col}..{}]", v.0, col + cols)
                } else {
                    format!("%{}={of}[{row}..{}, :]", v.0, row + rows)
                }
            }
            Kind::Slice { of, offset } => format!("%{}={}[{offset}..]", v.0, self.name(*of)),
        }
    }

    /// The tape as a table: number, phase, op, inputs, outputs with shapes, bytes, operations.
    #[must_use]
    pub fn listing(&self) -> String {
        let mut out =
            String::from("node phase    op                    output                          KB      kflop  inputs\n");
        for n in self.nodes() {
            let output = n.outputs.first().map_or_else(String::new, |(name, [r, c])| format!("{name} [{r}, {c}]"));
            let _ = writeln!(
                out,
                "{:>4} {:<8} {:<21} {:<26} {:>9.1} {:>10.1}  {}",
                n.node,
                format!("{:?}", n.phase).to_lowercase(),
                n.op,
                output,
                n.bytes / 1e3,
                n.flops / 1e3,
                n.inputs.join(", ")
            );
        }
        out
    }

    /// The tape as a graph in Graphviz's DOT language: forward, backward and update nodes in three colours.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut out =
            String::from("digraph tape {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\", style=filled];\n");
        let mut writer = std::collections::BTreeMap::new();
        let mut sources = std::collections::BTreeSet::new();
        let escape = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"");
        for n in self.nodes() {
            let colour = match n.phase {
                Phase::Forward => "#dbeafe",
                Phase::Backward => "#fde2e2",
                Phase::Update => "#dcfce7",
            };
            let shape = n.outputs.first().map_or_else(String::new, |(_, [r, c])| format!("\\n[{r}, {c}]"));
            let _ =
                writeln!(out, "  n{} [label=\"{} {}{shape}\", fillcolor=\"{colour}\"];", n.node, n.node, escape(&n.op));
            let node = &self.nodes[n.node];
            for v in node.reads.iter().flatten() {
                let root = self.layout(*v).0;
                match writer.get(v).or_else(|| writer.get(&root)) {
                    Some(from) => {
                        let _ = writeln!(out, "  n{from} -> n{};", n.node);
                    }
                    None => {
                        if sources.insert(root) {
                            let _ = writeln!(
                                out,
                                "  v{} [label=\"{}\", shape=ellipse, fillcolor=\"#f3f4f6\"];",
                                root.0,
                                escape(&self.name(root))
                            );
                        }
                        let _ = writeln!(out, "  v{} -> n{};", root.0, n.node);
                    }
                }
            }
            for v in node.writes.iter().flatten() {
                writer.insert(*v, n.node);
                writer.insert(self.layout(*v).0, n.node);
            }
        }
        out.push_str("}\n");
        out
    }

    /// Bytes and operations of a step: all nodes together.
    #[must_use]
    pub fn cost(&self) -> rt_kernels::Cost {
        self.nodes.iter().filter_map(|n| n.kernel.as_ref()).map(|k| k.cost()).fold(Default::default(), |a, b| a + b)
    }

    /// Number of values on the tape.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True where nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Does a node have the op of this name in the gradient checker's list?
    #[doc(hidden)]
    #[must_use]
    pub fn has_op(&self, name: &str) -> bool {
        self.nodes.iter().any(|n| n.op.as_ref().is_some_and(|op| op.name() == name))
    }

    /// Every value.
    pub(crate) fn vars(&self) -> impl Iterator<Item = Var> {
        (0..self.values.len() as u32).map(Var)
    }
}
