//! What every kernel that sums the runs of a table does first on a GPU: pack the runs, sum the chunks of long ones.

use super::{CHUNK, blocks};
use crate::kernels::cells::places;
use crate::{Binding, Dispatch, Operands, Target};

/// The shaders' constant.
pub(crate) const CHUNK_CONSTANT: (&str, f64) = ("CHUNK", CHUNK as f64);

/// Words of the scratch buffers: on a GPU the packed runs and the sums of chunks, on the CPU these sums alone.
pub(crate) fn scratch(target: Target, capacity: usize, entries: usize, dim: usize) -> Vec<usize> {
    let chunks = blocks(entries) * dim;
    match target {
        Target::Cpu => vec![chunks],
        Target::Gpu => vec![2 * capacity + 2, chunks],
    }
}

/// The dispatches that fill the scratch buffers, for a call whose first five operands are the source rows and the output
/// of [`Group`](crate::kernels::Group).
pub(crate) fn prepare(
    table: usize,
    base: u32,
    capacity: usize,
    entries: usize,
    dim: usize,
    operands: &Operands,
) -> Vec<Dispatch> {
    let [source, keys, sources, starts, first] = [0, 1, 2, 3, 4].map(|i| operands.read(i));
    let (segments, chunks) = (operands.scratch[0], operands.scratch[1]);
    let mut params = vec![capacity as u32, table as u32, base, 0];
    params.extend(places(&[Some(keys), Some(starts), Some(first)]));
    let pack = Dispatch {
        shader: "segment_pack",
        constants: vec![],
        params,
        step: false,
        bindings: vec![
            Binding::Read(keys.buffer),
            Binding::Read(starts.buffer),
            Binding::Read(first.buffer),
            Binding::Write(segments.buffer),
        ],
        workgroups: (capacity + 1).div_ceil(64),
    };
    let blocks = blocks(entries);
    if blocks == 0 {
        return vec![pack];
    }
    let mut params = vec![blocks as u32, dim as u32];
    params.extend(places(&[Some(source), Some(sources)]));
    let sums = Dispatch {
        shader: "segment_chunks",
        constants: vec![CHUNK_CONSTANT],
        params,
        step: false,
        bindings: vec![
            Binding::Read(source.buffer),
            Binding::Read(sources.buffer),
            Binding::Read(segments.buffer),
            Binding::Write(chunks.buffer),
        ],
        workgroups: (blocks * dim).div_ceil(64),
    };
    vec![pack, sums]
}

/// The bindings that sum a run: source rows, their places, the packed runs, the sums of chunks.
pub(crate) fn bindings(operands: &Operands) -> Vec<Binding> {
    let (source, sources) = (operands.read(0), operands.read(2));
    let scratch = operands.scratch.iter().map(|o| Binding::Read(o.buffer));
    [Binding::Read(source.buffer), Binding::Read(sources.buffer)].into_iter().chain(scratch).collect()
}
