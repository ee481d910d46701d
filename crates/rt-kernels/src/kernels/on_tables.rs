//! Calls of one kind on several tables side by side, which a GPU runs as one where the tables lie in the same buffers.

use super::{DecayRows, EmaRows, UpdateRows};
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operand, Operands, Signature};

/// Most tables of a dispatch, as in the shaders.
const TABLES: usize = 16;

/// A kernel that changes the touched rows of one table.
#[derive(Debug, Clone, PartialEq)]
pub enum OnTable {
    /// Brings averages up to date.
    Average(EmaRows),
    /// Decays weights.
    Decay(DecayRows),
    /// Updates weights.
    Update(UpdateRows),
}

impl OnTable {
    fn kernel(&self) -> &dyn Kernel {
        match self {
            Self::Average(kernel) => kernel,
            Self::Decay(kernel) => kernel,
            Self::Update(kernel) => kernel,
        }
    }

    /// Takes its own operands off the front of those of all.
    fn own(&self, reads: &mut &[Option<Operand>], writes: &mut &[Option<Operand>]) -> Operands {
        let signature = self.kernel().signature();
        let take = |list: &mut &[Option<Operand>], n: usize| {
            let (own, rest) = list.split_at(n.min(list.len()));
            *list = rest;
            own.to_vec()
        };
        let (reads, writes) = (take(reads, signature.reads.len()), take(writes, signature.writes.len()));
        Operands { reads, writes, scratch: Vec::new() }
    }

    fn part(&self, operands: &Operands) -> Part {
        match self {
            Self::Average(kernel) => kernel.part(operands),
            Self::Decay(kernel) => kernel.part(operands),
            Self::Update(kernel) => kernel.part(operands),
        }
    }
}

/// Several kernels, each on a table of its own, none of which reads or writes what another one writes.
///
/// Reads and writes what they do, in turn; costs what they do. On the GPU those of one kind and rule whose operands lie in the
/// same buffers are one dispatch, up to 16 of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OnTables {
    /// The kernels.
    pub list: Vec<OnTable>,
}

impl Kernel for OnTables {
    fn name(&self) -> &'static str {
        self.list.first().map_or("on_tables", |one| one.kernel().name())
    }

    fn signature(&self) -> Signature {
        let mut all = Signature::default();
        for one in self.list.iter().map(|one| one.kernel().signature()) {
            all.reads.extend(one.reads);
            all.writes.extend(one.writes);
        }
        all
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let (mut reads, mut writes) = (&operands.reads[..], &operands.writes[..]);
        self.list.iter().find_map(|one| one.kernel().mismatch(&one.own(&mut reads, &mut writes)))
    }

    fn cost(&self) -> Cost {
        self.list.iter().fold(Cost::default(), |sum, one| sum + one.kernel().cost())
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (mut reads, mut writes) = (std::mem::take(&mut io.reads), std::mem::take(&mut io.writes));
        for one in &self.list {
            let signature = one.kernel().signature();
            let reads = reads.drain(..signature.reads.len()).collect();
            let writes = writes.drain(..signature.writes.len()).collect();
            one.kernel().run(&mut CpuIo::new(io.step, reads, writes));
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (mut reads, mut writes) = (&operands.reads[..], &operands.writes[..]);
        together(self.list.iter().map(|one| one.part(&one.own(&mut reads, &mut writes))).collect())
    }
}

/// What one table asks of a dispatch that it shares with others.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub shader: &'static str,
    pub constants: Vec<(&'static str, f64)>,
    /// A constant that is as large as the table which asks for most has it.
    pub most: Option<(&'static str, f64)>,
    /// Words of `params` after the number of tables, the same for all of them.
    pub head: Vec<u32>,
    pub bindings: Vec<Binding>,
    /// Words of the table after its first workgroup.
    pub table: Vec<u32>,
    pub workgroups: usize,
    /// Iterations of an invocation, once it has found its table.
    pub iterations: usize,
}

impl Part {
    /// The binding that does for both, if one does.
    fn either(a: Binding, b: Binding) -> Option<Binding> {
        match (a, b) {
            (Binding::NoRead, Binding::Read(_)) | (Binding::NoWrite, Binding::Write(_)) => Some(b),
            (Binding::Read(_), Binding::NoRead) | (Binding::Write(_), Binding::NoWrite) => Some(a),
            _ => (a == b).then_some(a),
        }
    }

    /// The bindings that serve both parts, where one dispatch can.
    fn shared(&self, other: &Self) -> Option<Vec<Binding>> {
        let alike = self.shader == other.shader && self.constants == other.constants && self.head == other.head;
        let pairs = self.bindings.iter().zip(&other.bindings);
        if alike { pairs.map(|(a, b)| Self::either(*a, *b)).collect() } else { None }
    }
}

/// The dispatches of parts that do not depend on each other.
pub(super) fn together(parts: Vec<Part>) -> Vec<Dispatch> {
    // Of each dispatch what all its tables share, and their words.
    let mut open: Vec<(Part, Vec<Vec<u32>>)> = Vec::new();
    for part in parts.into_iter().filter(|part| part.workgroups > 0) {
        let mut words = part.table.clone();
        let bindings = |(one, list): &(Part, Vec<Vec<u32>>)| if list.len() < TABLES { one.shared(&part) } else { None };
        let place = open.iter().enumerate().find_map(|(i, of)| Some((i, bindings(of)?)));
        if let Some((i, bindings)) = place {
            let (one, list) = &mut open[i];
            words.insert(0, one.workgroups as u32);
            list.push(words);
            one.bindings = bindings;
            one.workgroups += part.workgroups;
            one.iterations = one.iterations.max(part.iterations);
            if let (Some((_, most)), Some((_, wanted))) = (&mut one.most, part.most) {
                *most = most.max(wanted);
            }
        } else {
            words.insert(0, 0);
            open.push((part, vec![words]));
        }
    }
    let dispatch = |(part, list): (Part, Vec<Vec<u32>>)| {
        let mut params = vec![list.len() as u32];
        params.extend(part.head);
        // Structs in a uniform are whole vec4s.
        params.resize(params.len().next_multiple_of(4), 0);
        let head = params.len();
        let width = list[0].len().next_multiple_of(4);
        for (table, mut words) in list.into_iter().enumerate() {
            words.resize(width, 0);
            params.resize(head + table * width, 0);
            params.extend(words);
        }
        params.resize(head + TABLES * width, 0);
        Dispatch {
            shader: part.shader,
            constants: part.constants.into_iter().chain(part.most).collect(),
            params,
            step: true,
            bindings: part.bindings,
            workgroups: part.workgroups,
            iterations: TABLES + part.iterations,
        }
    };
    open.into_iter().map(dispatch).collect()
}
