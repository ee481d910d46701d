//! Parallel loops whose machinery is compiled once: rayon makes its own of every closure, which for the kernels here came to more
//! code than the loops themselves. A call through a pointer for each task is all that it costs.

use rayon::prelude::*;

/// Runs both, in parallel if a thread is free.
pub(crate) fn join(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    fn once(a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        rayon::join(a, b);
    }
    let (mut a, mut b) = (Some(a), Some(b));
    once(&mut || a.take().map_or((), |a| a()), &mut || b.take().map_or((), |b| b()));
}

/// Gives each chunk of `words`, `chunk` long but the last, to `f` with its number.
pub(crate) fn chunks(words: &mut [u32], chunk: usize, f: &(dyn Fn(usize, &mut [u32]) + Sync)) {
    words.par_chunks_mut(chunk).enumerate().for_each(|(i, words)| f(i, words));
}

/// The same for floats.
pub(crate) fn chunks_f32(words: &mut [f32], chunk: usize, f: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    chunks(bytemuck::cast_slice_mut(words), chunk, &|i, words| f(i, bytemuck::cast_slice_mut(words)));
}

/// What [`pieces`] calls: on parts of the lists that are written and of the one that is read.
type OnPieces<'f> = dyn Fn([&mut [f32]; 3], &[f32]) + Sync + 'f;

/// Cuts up to three lists of one length, of which some may be empty, and one that is read, in chunks alike.
pub(crate) fn pieces(writes: [&mut [f32]; 3], read: &[f32], chunk: usize, f: &OnPieces<'_>) {
    if read.len() <= chunk {
        return f(writes, read);
    }
    let at = read.len().div_ceil(chunk) / 2 * chunk;
    let [(a, high_a), (b, high_b), (c, high_c)] = writes.map(|list| list.split_at_mut(at.min(list.len())));
    let (low, high) = read.split_at(at);
    join(|| pieces([a, b, c], low, chunk, f), || pieces([high_a, high_b, high_c], high, chunk, f));
}
