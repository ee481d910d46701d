//! What a CPU twin is given: matrices over the program's buffers.

use crate::kernel::extent;
use crate::matmul::Precision;
use crate::parallel::chunks;
use crate::{Operand, Step};

/// Words of a matrix that lies within `have` words; checked in every profile.
fn within(have: usize, [rows, cols, stride]: [usize; 3]) -> usize {
    let words = extent(rows, cols, stride).filter(|words| *words <= have && (rows <= 1 || cols <= stride));
    words.unwrap_or_else(|| panic!("a matrix [{rows}, {cols}] with stride {stride} in {have} words"))
}

/// A matrix that is read.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a> {
    words: &'a [u32],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Words from one row to the next.
    pub stride: usize,
}

impl<'a> Mat<'a> {
    /// A matrix over `words`, which start at its first cell; words past its last one are not part of it.
    ///
    /// # Panics
    ///
    /// If it is longer than `words`, or its rows overlap.
    #[must_use]
    pub fn new(words: &'a [u32], rows: usize, cols: usize, stride: usize) -> Self {
        Self { words: &words[..within(words.len(), [rows, cols, stride])], rows, cols, stride }
    }

    pub(crate) fn of(buffer: &'a [u32], o: &Operand) -> Self {
        Self::new(&buffer[o.offset..], o.rows, o.cols, o.stride)
    }

    /// All words as floats, rows `stride` apart.
    #[must_use]
    pub fn f32(&self) -> &'a [f32] {
        bytemuck::cast_slice(self.words)
    }

    /// All words as integers, rows `stride` apart.
    #[must_use]
    pub fn u32(&self) -> &'a [u32] {
        self.words
    }

    /// Row `r` as floats.
    #[must_use]
    pub fn row(&self, r: usize) -> &'a [f32] {
        &self.f32()[r * self.stride..][..self.cols]
    }

    /// Row `r` as integers.
    #[must_use]
    pub fn row_u32(&self, r: usize) -> &'a [u32] {
        &self.words[r * self.stride..][..self.cols]
    }

    /// First cell of row `r` as an integer: an id of a column of ids.
    #[must_use]
    pub fn id(&self, r: usize) -> u32 {
        self.words[r * self.stride]
    }

    /// True if rows follow each other without a gap.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.stride == self.cols
    }
}

/// A matrix that is written.
#[derive(Debug)]
pub struct MatMut<'a> {
    words: &'a mut [u32],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Words from one row to the next.
    pub stride: usize,
}

impl<'a> MatMut<'a> {
    /// A matrix over `words`, which start at its first cell; words past its last one are not part of it.
    ///
    /// # Panics
    ///
    /// If it is longer than `words`, or its rows overlap.
    #[must_use]
    pub fn new(words: &'a mut [u32], rows: usize, cols: usize, stride: usize) -> Self {
        let length = within(words.len(), [rows, cols, stride]);
        Self { words: &mut words[..length], rows, cols, stride }
    }

    pub(crate) fn of(buffer: &'a mut [u32], o: &Operand) -> Self {
        Self::new(&mut buffer[o.offset..], o.rows, o.cols, o.stride)
    }

    /// All words as floats, rows `stride` apart.
    #[must_use]
    pub fn f32(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.words)
    }

    /// All words as integers, rows `stride` apart.
    #[must_use]
    pub fn u32(&mut self) -> &mut [u32] {
        self.words
    }

    /// Row `r` as floats.
    #[must_use]
    pub fn row(&mut self, r: usize) -> &mut [f32] {
        let (stride, cols) = (self.stride, self.cols);
        &mut self.f32()[r * stride..][..cols]
    }

    /// Row `r` as integers.
    #[must_use]
    pub fn row_u32(&mut self, r: usize) -> &mut [u32] {
        &mut self.words[r * self.stride..][..self.cols]
    }

    /// True if rows follow each other without a gap.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.stride == self.cols
    }

    /// Rows before `at` and from `at` on.
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        let Self { words, rows, cols, stride } = self;
        let (above, below) = words.split_at_mut((at * stride).min(words.len()));
        (Self::new(above, at, cols, stride), Self::new(below, rows - at, cols, stride))
    }

    /// Consumes the matrix: its words as floats for the life of the buffer.
    #[must_use]
    pub fn into_f32(self) -> &'a mut [f32] {
        bytemuck::cast_slice_mut(self.words)
    }

    /// Consumes the matrix: its words as integers.
    #[must_use]
    pub fn into_u32(self) -> &'a mut [u32] {
        self.words
    }

    /// Cuts the rows into blocks of `block` (the last may be shorter) and gives each, with its first row, to `f`,
    /// in parallel. The cut depends on shapes alone, so results do not depend on the number of threads.
    pub fn par_blocks(self, block: usize, f: impl Fn(usize, MatMut<'_>) + Sync + Send) {
        let (rows, cols, stride) = (self.rows, self.cols, self.stride);
        if rows == 0 {
            return;
        }
        let block = block.max(1);
        if rows <= block {
            return f(0, self);
        }
        if stride == 0 {
            return; // rows without cells, of any number
        }
        chunks(self.words, block * stride, &|i, words| {
            let first = i * block;
            f(first, MatMut::new(words, block.min(rows - first), cols, stride));
        });
    }
}

/// The operands of a call on the CPU.
#[derive(Debug)]
pub struct CpuIo<'a> {
    /// What changes from step to step.
    pub step: &'a Step,
    pub(crate) precision: Precision,
    pub(crate) reads: Vec<Option<Mat<'a>>>,
    pub(crate) writes: Vec<Option<MatMut<'a>>>,
    pub(crate) scratch: Vec<Option<MatMut<'a>>>,
}

impl<'a> CpuIo<'a> {
    /// Operands for a call outside a program (tests, benches). Nothing holds them against the kernel: one that does not fit makes
    /// it panic or leave cells as they are, and never touches a word that no operand has.
    #[must_use]
    pub fn new(step: &'a Step, reads: Vec<Option<Mat<'a>>>, writes: Vec<Option<MatMut<'a>>>) -> Self {
        Self { step, precision: Precision::default(), reads, writes, scratch: Vec::new() }
    }

    /// Read operand `i`, which the signature says must be there.
    #[must_use]
    pub fn read(&self, i: usize) -> Mat<'a> {
        self.reads[i].unwrap_or_else(|| panic!("read operand {i} was not given"))
    }

    /// Read operand `i`, if it was given.
    #[must_use]
    pub fn read_opt(&self, i: usize) -> Option<Mat<'a>> {
        self.reads[i]
    }

    /// Takes written operand `i`, which the signature says must be there.
    #[must_use]
    pub fn write(&mut self, i: usize) -> MatMut<'a> {
        self.writes[i].take().unwrap_or_else(|| panic!("written operand {i} was not given, or was taken before"))
    }

    /// Takes written operand `i`, if it was given.
    #[must_use]
    pub fn write_opt(&mut self, i: usize) -> Option<MatMut<'a>> {
        self.writes[i].take()
    }

    /// Is there a scratch buffer `i` to be taken?
    pub(crate) fn has_scratch(&self, i: usize) -> bool {
        self.scratch.get(i).is_some_and(Option::is_some)
    }

    /// Takes scratch buffer `i` (at least as many words as [`crate::Kernel::scratch`] asked for; contents stale).
    ///
    /// # Panics
    ///
    /// Outside a program, which is what gives scratch.
    #[must_use]
    pub fn scratch(&mut self, i: usize) -> MatMut<'a> {
        let taken = self.scratch.get_mut(i).and_then(Option::take);
        taken.unwrap_or_else(|| panic!("scratch buffer {i}: only a program gives it"))
    }
}
