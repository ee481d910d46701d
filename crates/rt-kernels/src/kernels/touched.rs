//! The rows of a table that a step touches, as kernels that change them in place see them on the CPU.

use crate::parallel::join;
use crate::simd::vectorize;
use crate::{CpuIo, Mat, MatMut};

/// Ids of a task: fewer run on one thread.
const TASK: usize = 512;

/// The distinct ids of one table in the output of [`Group`](super::Group), ascending.
pub(super) struct Touched<'a> {
    keys: Mat<'a>,
    first: usize,
    count: usize,
    base: u32,
}

/// Some rows of a matrix, from row `base` of a task on.
struct Rows<'a> {
    words: &'a mut [f32],
    stride: usize,
    cols: usize,
}

impl<'a> Rows<'a> {
    /// An operand that was left out has rows without columns.
    fn new(m: Option<MatMut<'a>>) -> Self {
        match m {
            Some(m) => {
                let (stride, cols) = (m.stride, m.cols);
                Self { words: m.into_f32(), stride, cols }
            }
            None => Self { words: &mut [], stride: 0, cols: 0 },
        }
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let (low, high) = self.words.split_at_mut(rows.saturating_mul(self.stride).min(self.words.len()));
        let part = |words| Rows { words, stride: self.stride, cols: self.cols };
        (part(low), part(high))
    }

    /// No columns for a row that is none of them.
    fn row(&mut self, r: usize) -> &mut [f32] {
        let start = r.saturating_mul(self.stride);
        self.words.get_mut(start..start.saturating_add(self.cols)).unwrap_or_default()
    }
}

impl<'a> Touched<'a> {
    /// Operands `at` and `at + 1` of a call: keys, first.
    pub(super) fn of(io: &CpuIo<'a>, at: usize, table: usize, base: u32, capacity: usize) -> Self {
        let first = io.read(at + 1);
        let (from, to) = (first.id(table) as usize, first.id(table + 1) as usize);
        let keys = io.read(at);
        let count = to.min(keys.rows).saturating_sub(from).min(capacity);
        Self { keys, first: from, count, base }
    }

    fn id(&self, k: usize) -> usize {
        self.keys.id(self.first + k).wrapping_sub(self.base) as usize
    }

    /// Gives each id with its rows of two matrices to `f`. A row has one writer, so the cut changes no bit.
    pub(super) fn each(
        &self,
        one: Option<MatMut<'_>>,
        two: Option<MatMut<'_>>,
        f: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ) {
        self.cut(0, self.count, 0, [Rows::new(one), Rows::new(two)], &f);
    }

    fn cut(
        &self,
        from: usize,
        to: usize,
        base: usize,
        rows: [Rows<'_>; 2],
        f: &(impl Fn(usize, &mut [f32], &mut [f32]) + Sync),
    ) {
        let [mut one, mut two] = rows;
        if to - from <= TASK {
            return vectorize(
                #[inline(always)]
                || {
                    for k in from..to {
                        // A key that is none of the table's, which `Group` does not write, has no row.
                        let id = self.id(k);
                        if let Some(r) = id.checked_sub(base) {
                            f(id, one.row(r), two.row(r));
                        }
                    }
                },
            );
        }
        let middle = from.midpoint(to);
        let row = self.id(middle).max(base);
        let ((low_one, high_one), (low_two, high_two)) = (one.split(row - base), two.split(row - base));
        join(
            || self.cut(from, middle, base, [low_one, low_two], f),
            || self.cut(middle, to, row, [high_one, high_two], f),
        );
    }
}
