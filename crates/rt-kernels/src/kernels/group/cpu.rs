//! The CPU twin of the grouping: a stable radix sort of 64-bit pairs in three parallel stages, all cut by shape.
//!
//! 1. Each task makes the entries of some rows, without the null ones, and parts them by the top bits of their keys.
//! 2. Each bucket (a value of the top bits) gathers its pairs from the tasks in order and sorts them by the other bits.
//! 3. Each bucket writes its keys, runs and sources: a key lies in one bucket, so buckets do not meet.

use super::{Group, UseKind};
use crate::CpuIo;
use crate::kernels::bag::{Slices, window_ends};
use rayon::prelude::*;
use std::ops::Range;

/// Entries of a task.
const TASK: usize = 8_192;
/// Values of the top bits that part the keys of a big grouping: many, so that buckets of few hot keys are spread over
/// the threads, and stay in the first-level cache while they are sorted. A small grouping is a single bucket.
const BUCKETS: usize = 1 << TOP_BITS;
const TOP_BITS: u32 = 6;
/// Bits of a digit, at most: 256 streams of writes stay in the first-level cache.
const DIGIT: u32 = 8;
const BINS: usize = 1 << DIGIT;

/// Key in the high half, source row in the low.
type Pair = u64;

#[inline(always)]
fn pair(key: u32, source: u32) -> Pair {
    u64::from(key) << 32 | u64::from(source)
}

/// The pairs of a task, parted by bucket.
struct Parted<'p> {
    pairs: &'p mut [Pair],
    /// The pairs of bucket d are `pairs[ends[d - 1]..ends[d]]`.
    ends: [u32; BUCKETS],
}

impl Parted<'_> {
    fn bucket(&self, d: usize) -> &[Pair] {
        let from = if d == 0 { 0 } else { self.ends[d - 1] };
        &self.pairs[from as usize..self.ends[d] as usize]
    }
}

/// Some rows of a use.
struct Task<'m, 'p> {
    /// Number of the use, and of its first operand.
    item: usize,
    operand: usize,
    rows: Range<usize>,
    /// Room for the entries in their order.
    made: &'m mut [Pair],
    parted: Parted<'p>,
}

impl Task<'_, '_> {
    /// Writes the entries that are not null into `made`, in order; gives how many.
    fn make(&mut self, group: &Group, io: &CpuIo<'_>) -> usize {
        let item = &group.uses[self.item];
        let table = &group.tables[item.table];
        let base = table.base;
        let pairs = &mut *self.made;
        let mut n = 0;
        match &item.kind {
            UseKind::Ids { .. } => {
                let ids = io.read(self.operand);
                for i in self.rows.clone() {
                    let id = ids.id(i);
                    // Written always, kept if the id is not 0 and a row of the table: no branch to guess.
                    pairs[n] = pair(base.wrapping_add(id), item.source + i as u32);
                    n += usize::from(id != 0 && id < table.rows);
                }
            }
            UseKind::Bag { max_len, windows, .. } => {
                let slices = Slices::of(io, self.operand, table.rows as usize, *max_len);
                let ends = window_ends(windows);
                let ends = &ends[..windows.len()];
                for i in self.rows.clone() {
                    let row = slices.row(i);
                    let mut k = 0;
                    for (z, end) in ends.iter().enumerate() {
                        let source = item.source + (i * windows.len() + z) as u32;
                        let to = row.span(*end);
                        for k in k..to {
                            pairs[n] = pair(base.wrapping_add(row.id(&slices, k)), source);
                            n += usize::from(row.kept(&slices, k));
                        }
                        k = to;
                    }
                }
            }
        }
        n
    }

    /// Stage 1.
    fn run(&mut self, group: &Group, io: &CpuIo<'_>, shift: u32) {
        let n = self.make(group, io);
        // A single bucket of keys of 32 bits: nothing is above them.
        let bucket = |p: Pair| p.checked_shr(32 + shift).unwrap_or(0) as usize % BUCKETS;
        let mut next = [0u32; BUCKETS];
        for p in &self.made[..n] {
            next[bucket(*p)] += 1;
        }
        running_sum(&mut next);
        for p in &self.made[..n] {
            let place = &mut next[bucket(*p)];
            self.parted.pairs[*place as usize] = *p;
            *place += 1;
        }
        self.parted.ends = next; // each bucket's place has moved to its end
    }
}

/// Replaces counts by the sums of the counts before them.
fn running_sum(counts: &mut [u32]) {
    let mut sum = 0;
    for n in counts {
        sum += std::mem::replace(n, sum);
    }
}

/// The pairs of one value of the top bits.
struct Bucket<'p> {
    d: usize,
    /// Two buffers that hold exactly its pairs.
    a: &'p mut [Pair],
    b: &'p mut [Pair],
    distinct: usize,
    /// Its pieces of the outputs, and the entries before it.
    keys: &'p mut [u32],
    sources: &'p mut [u32],
    starts: &'p mut [u32],
    before: usize,
}

impl Bucket<'_> {
    /// Stage 2: gathers and sorts into `a`.
    fn sort(&mut self, parted: &[Parted<'_>], shift: u32) {
        let passes = shift.div_ceil(DIGIT);
        let width = shift.div_ceil(passes.max(1));
        let bins = 1 << width;
        let digit = |p: Pair, pass: u32| (p >> (32 + pass * width)) as usize & (bins - 1);
        let mut n = 0;
        for task in parted {
            let pairs = task.bucket(self.d);
            self.a[n..n + pairs.len()].copy_from_slice(pairs);
            n += pairs.len();
        }
        if n == 0 {
            return;
        }
        for pass in 0..passes {
            let mut next = [0u32; BINS];
            let next = &mut next[..bins];
            for p in self.a.iter() {
                next[digit(*p, pass)] += 1;
            }
            if next.iter().any(|count| *count as usize == n) {
                continue; // one digit alone: the order stands
            }
            running_sum(next);
            for p in self.a.iter() {
                let place = &mut next[digit(*p, pass)];
                self.b[*place as usize] = *p;
                *place += 1;
            }
            std::mem::swap(&mut self.a, &mut self.b);
        }
        let changes = self.a.windows(2).filter(|w| w[0] >> 32 != w[1] >> 32);
        self.distinct = 1 + changes.count();
    }

    /// Stage 3.
    fn write(&mut self, strides: [usize; 3]) {
        let (mut distinct, mut last) = (0, 0);
        for (i, p) in self.a.iter().enumerate() {
            let key = (p >> 32) as u32;
            self.sources[i * strides[1]] = *p as u32;
            if key != last {
                self.keys[distinct * strides[0]] = key;
                self.starts[distinct * strides[2]] = (self.before + i) as u32;
                distinct += 1;
                last = key;
            }
        }
    }
}

/// The rows of all uses cut into tasks, in the order of their entries.
fn tasks<'m, 'p>(group: &Group, mut made: &'m mut [Pair], mut pairs: &'p mut [Pair]) -> Vec<Task<'m, 'p>> {
    let mut list = Vec::with_capacity(group.capacity / TASK + 2 * group.uses.len());
    let mut operand = 0;
    for (item, used) in group.uses.iter().enumerate() {
        let (rows, each, operands) = match used.kind {
            UseKind::Ids { n } => (n, 1, 1),
            UseKind::Bag { rows, max_len, .. } => (rows, max_len, 4),
        };
        let step = (TASK / each.max(1)).max(1);
        for first in (0..rows).step_by(step) {
            let rows = first..rows.min(first + step);
            list.push(Task {
                item,
                operand,
                made: cut(&mut made, rows.len() * each),
                parted: Parted { pairs: cut(&mut pairs, rows.len() * each), ends: [0; BUCKETS] },
                rows,
            });
        }
        operand += operands;
    }
    list
}

/// Takes the first `n` words, or what there is, off `rest`.
fn cut<'p, T>(rest: &mut &'p mut [T], n: usize) -> &'p mut [T] {
    let n = n.min(rest.len());
    rest.split_off_mut(..n).unwrap_or_default()
}

/// Runs `f` on each, in parallel where the work is worth it.
fn each<T: Send>(list: &mut [T], big: bool, f: impl Fn(&mut T) + Sync + Send) {
    if big {
        list.par_iter_mut().for_each(f);
    } else {
        list.iter_mut().for_each(f);
    }
}

/// Scratch buffers of the twin: three of pairs.
pub(super) fn scratch(group: &Group) -> Vec<usize> {
    vec![2 * group.capacity; 3]
}

/// Runs the twin.
pub(super) fn run(group: &Group, io: &mut CpuIo<'_>) {
    let [mut a, mut b, mut c] = [0, 1, 2].map(|i| io.scratch(i));
    let [a, b, c] =
        [&mut a, &mut b, &mut c].map(|m| bytemuck::cast_slice_mut::<u32, Pair>(&mut m.u32()[..2 * group.capacity]));
    let [keys, sources, starts, mut first] = [0, 1, 2, 3].map(|i| io.write(i));
    let strides = [keys.stride, sources.stride, starts.stride];
    let (keys, sources, starts) = (keys.into_u32(), sources.into_u32(), starts.into_u32());

    let big = group.capacity > TASK;
    let shift = if big { group.key_bits().saturating_sub(TOP_BITS) } else { group.key_bits() };
    let mut tasks = tasks(group, &mut *a, b);
    let io = &*io;
    each(&mut tasks, big, |task| task.run(group, io, shift));
    // Only the parted pairs live on: the buffer that they were made in is free again.
    let parted: Vec<Parted<'_>> = tasks.into_iter().map(|task| task.parted).collect();

    let (mut rest_a, mut rest_c) = (a, c);
    let mut buckets: Vec<Bucket<'_>> = (0..BUCKETS)
        .map(|d| {
            let n = parted.iter().map(|task| task.bucket(d).len()).sum();
            Bucket {
                d,
                a: cut(&mut rest_a, n),
                b: cut(&mut rest_c, n),
                distinct: 0,
                keys: &mut [],
                sources: &mut [],
                starts: &mut [],
                before: 0,
            }
        })
        .collect();
    each(&mut buckets, big, |bucket| bucket.sort(&parted, shift));

    let (mut distinct, mut entries) = (0, 0);
    {
        let (mut keys, mut sources, mut starts) = (&mut *keys, sources, &mut *starts);
        for bucket in &mut buckets {
            bucket.before = entries;
            bucket.keys = cut(&mut keys, bucket.distinct * strides[0]);
            bucket.sources = cut(&mut sources, bucket.a.len() * strides[1]);
            bucket.starts = cut(&mut starts, bucket.distinct * strides[2]);
            distinct += bucket.distinct;
            entries += bucket.a.len();
        }
        each(&mut buckets, big, |bucket| bucket.write(strides));
    }
    starts[distinct * strides[2]] = entries as u32;
    for (t, table) in group.tables.iter().enumerate() {
        // A binary search for the table's first key.
        let (mut low, mut high) = (0, distinct);
        while low < high {
            let middle = (low + high) / 2;
            if keys[middle * strides[0]] < table.base {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        first.row_u32(t)[0] = low as u32;
    }
    first.row_u32(group.tables.len())[0] = distinct as u32;
}
