//! The GPU's side of the grouping: entries, a stable radix sort (reduce, then scan), and a compaction.

use super::{Group, GroupTable, GroupUse, UseKind};
use crate::kernels::bag::{MAX_WINDOWS, window_ends};
use crate::{Binding, Dispatch, Operand, Operands};

/// Pairs of a workgroup, as in the shaders.
const BLOCK: usize = 2_048;
/// Bits of a digit, as in the shaders.
const DIGIT: u32 = 8;
/// Tables of one `group_first`.
const BASES: usize = 64;
/// Uses of one `group_entries`, the words of each, and the buffers that they read.
const USES: usize = 16;
const USE_WORDS: usize = 40;
const SLOTS: usize = 6;

fn blocks(group: &Group) -> usize {
    group.capacity.div_ceil(BLOCK).max(1)
}

/// Two buffers of pairs, counts of digits by block, their totals.
pub(super) fn scratch(group: &Group) -> Vec<usize> {
    let pairs = 2 * group.capacity.max(1);
    vec![pairs, pairs, 256 * blocks(group), 256]
}

pub(super) fn dispatches(group: &Group, operands: &Operands) -> Vec<Dispatch> {
    let [a, b, counts, totals] = [0, 1, 2, 3].map(|i| operands.scratch[i].buffer);
    let [keys, sources, starts, first] = [0, 1, 2, 3].map(|i| operands.write(i));
    let (n, blocks) = (group.capacity as u32, blocks(group));
    // Within a block; over all blocks goes the scan alone.
    let iterations = blocks.div_ceil(256) * 10 + 512;
    let dispatch = |shader, params, bindings, workgroups| Dispatch {
        shader,
        constants: vec![],
        params,
        step: false,
        bindings,
        workgroups,
        iterations,
    };
    let (read, write) = (Binding::Read, Binding::Write);
    let scan = |rows: usize| {
        let params = vec![rows as u32, blocks as u32];
        dispatch("group_scan", params, vec![write(counts), write(totals)], rows)
    };

    let mut list = entries(group, operands, a);
    let (mut from, mut to) = (a, b);
    for pass in 0..group.key_bits().div_ceil(DIGIT) {
        let params = vec![n, blocks as u32, pass * DIGIT];
        let count = vec![read(from), write(counts)];
        let scatter = vec![read(from), read(counts), read(totals), write(to)];
        list.push(dispatch("group_count", params.clone(), count, blocks));
        list.push(scan(256));
        list.push(dispatch("group_scatter", params, scatter, blocks));
        std::mem::swap(&mut from, &mut to);
    }
    let flags = vec![read(from), write(counts)];
    list.push(dispatch("group_flags", vec![n, blocks as u32], flags, blocks));
    list.push(scan(2));
    let mut params = vec![n, blocks as u32];
    params.extend([keys, sources, starts].iter().flat_map(place));
    let mut bindings = vec![read(from), read(counts), read(totals)];
    bindings.extend([keys, sources, starts].map(|o| write(o.buffer)));
    list.push(dispatch("group_write", params, bindings, blocks));
    for table in (0..=group.tables.len()).step_by(BASES) {
        let mut params = vec![n, group.tables.len() as u32, table as u32];
        params.extend([keys, starts, first].iter().flat_map(place));
        params.resize(12, 0); // bases start on 16 bytes
        params.extend(group.tables.iter().skip(table).take(BASES).map(|t| t.base));
        params.resize(12 + BASES, 0);
        let bindings = vec![read(keys.buffer), read(totals), write(starts.buffer), write(first.buffer)];
        list.push(dispatch("group_first", params, bindings, 1));
    }
    list
}

fn place(o: &Operand) -> [u32; 2] {
    [o.offset as u32, o.stride as u32]
}

/// The entries of all uses into `pairs`: as many uses a dispatch as their operands fit into its bindings.
fn entries(group: &Group, operands: &Operands, pairs: usize) -> Vec<Dispatch> {
    let mut list = Vec::new();
    let mut some = Entries::default();
    let mut reads = operands.reads.iter();
    for item in &group.uses {
        let count = match &item.kind {
            UseKind::Ids { .. } => 1,
            UseKind::Bag { .. } => 4,
        };
        let given: Vec<Option<Operand>> = reads.by_ref().take(count).copied().collect();
        if !some.has_room(&given) {
            list.extend(std::mem::take(&mut some).dispatch(pairs));
        }
        some.add(&group.tables[item.table], item, &given);
    }
    list.extend(some.dispatch(pairs));
    list
}

/// Uses that share a dispatch.
#[derive(Default)]
struct Entries {
    /// Buffers that they read, in the order of the bindings.
    buffers: Vec<usize>,
    uses: usize,
    entries: usize,
    words: Vec<u32>,
}

impl Entries {
    fn slot(&self, o: &Operand) -> Option<usize> {
        self.buffers.iter().position(|b| *b == o.buffer)
    }

    fn has_room(&self, given: &[Option<Operand>]) -> bool {
        let mut new: Vec<usize> = given.iter().flatten().filter(|o| self.slot(o).is_none()).map(|o| o.buffer).collect();
        new.sort_unstable();
        new.dedup();
        self.uses < USES && self.buffers.len() + new.len() <= SLOTS
    }

    fn add(&mut self, table: &GroupTable, item: &GroupUse, given: &[Option<Operand>]) {
        for o in given.iter().flatten() {
            if self.slot(o).is_none() {
                self.buffers.push(o.buffer);
            }
        }
        let operand = |i: usize| given.get(i).copied().flatten();
        let entries = item.kind.entries();
        let (max_len, windows, ends) = match &item.kind {
            UseKind::Ids { .. } => (0, 0, [0; MAX_WINDOWS]),
            UseKind::Bag { max_len, windows, .. } => (*max_len, windows.len(), window_ends(windows)),
        };
        self.words.extend([item.entry as u32, entries as u32, table.base, item.source, max_len as u32, windows as u32]);
        self.words.extend([operand(2).map_or(0, |mask| mask.cols as u32), u32::from(operand(3).is_some())]);
        self.words.extend([table.rows, operand(0).map_or(0, |items| items.rows as u32), 0, 0]);
        let of = |f: &dyn Fn(Operand) -> usize| [0, 1, 2, 3].map(|i| operand(i).map_or(0, |o| f(o) as u32));
        self.words.extend(of(&|o| self.slot(&o).unwrap_or(0)));
        self.words.extend(of(&|o| o.offset));
        self.words.extend(of(&|o| o.stride));
        self.words.extend(ends);
        self.uses += 1;
        self.entries += entries;
    }

    fn dispatch(self, pairs: usize) -> Option<Dispatch> {
        let mut params = vec![self.uses as u32, 0, 0, 0];
        params.extend(&self.words);
        params.resize(4 + USES * USE_WORDS, 0);
        let mut bindings: Vec<Binding> = self.buffers.into_iter().map(Binding::Read).collect();
        bindings.resize(SLOTS, Binding::NoRead);
        bindings.push(Binding::Write(pairs));
        (self.entries > 0).then(|| Dispatch {
            shader: "group_entries",
            constants: vec![],
            params,
            step: false,
            bindings,
            workgroups: self.entries.div_ceil(64),
            iterations: USES + MAX_WINDOWS + 1,
        })
    }
}
