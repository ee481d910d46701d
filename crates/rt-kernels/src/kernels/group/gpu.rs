//! The GPU's side of the grouping: entries, a stable radix sort (reduce, then scan), and a compaction.

use super::{Group, UseKind};
use crate::kernels::bag::window_ends;
use crate::{Binding, Dispatch, Operand, Operands};

/// Pairs of a workgroup, as in the shaders.
const BLOCK: usize = 2_048;
/// Bits of a digit, as in the shaders.
const DIGIT: u32 = 8;
/// Tables of one `group_first`.
const BASES: usize = 64;

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
    let dispatch = |shader, params, bindings, workgroups| Dispatch {
        shader,
        constants: vec![],
        params,
        step: false,
        bindings,
        workgroups,
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

/// One dispatch for each use: its entries into `pairs`.
fn entries(group: &Group, operands: &Operands, pairs: usize) -> Vec<Dispatch> {
    let mut operand = 0;
    let mut list = Vec::new();
    for item in &group.uses {
        let base = group.tables[item.table].base;
        let (shader, params, mut bindings) = match &item.kind {
            UseKind::Ids { n } => {
                let ids = operands.read(operand);
                operand += 1;
                let mut params = vec![*n as u32, base, item.source, item.entry as u32];
                params.extend(place(&ids));
                ("group_ids", params, vec![Binding::Read(ids.buffer)])
            }
            UseKind::Bag { rows, max_len, windows } => {
                let slices = &operands.reads[operand..operand + 4];
                operand += 4;
                let mut params = vec![
                    *rows as u32,
                    *max_len as u32,
                    windows.len() as u32,
                    slices[2].map_or(0, |mask| mask.cols as u32),
                    u32::from(slices[3].is_some()),
                    base,
                    item.source,
                    item.entry as u32,
                ];
                params.extend(slices.iter().flat_map(|o| o.as_ref().map_or([0, 0], place)));
                params.extend(window_ends(windows));
                ("group_bag", params, slices.iter().map(|o| Binding::read(*o)).collect())
            }
        };
        bindings.push(Binding::Write(pairs));
        list.push(Dispatch {
            shader,
            constants: vec![],
            params,
            step: false,
            bindings,
            workgroups: item.kind.entries().div_ceil(64),
        });
    }
    list
}
