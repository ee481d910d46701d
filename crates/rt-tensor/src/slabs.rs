//! A matrix on a device in slabs of columns: one, but for tables past one binding of a GPU.

use crate::packed::Piece;
use crate::{Error, Result};
use rt_kernels::slabs::slab_columns;
use rt_kernels::{Buffer, Device, Dtype, SharedWords};
use std::ops::Range;

/// A matrix. Cell (r, c) of the slab that starts at column f is word `r * width + c - f` of its buffer; of a matrix that shares
/// a buffer with others, so many words after its first.
#[derive(Debug, Clone)]
pub(crate) struct Slabs {
    rows: usize,
    /// Columns of each slab, ascending.
    columns: Vec<Range<usize>>,
    /// One for each slab.
    pub buffers: Vec<Buffer>,
    /// Where it lies in a buffer that it shares.
    pub piece: Option<Piece>,
}

impl Slabs {
    /// A matrix of zeros, cut where one binding does not hold it. `name` is for errors.
    pub(crate) fn zeros(device: &Device, dtype: Dtype, [rows, cols]: [usize; 2], name: &str) -> Result<Self> {
        let have = device.max_buffer_bytes();
        // A column is not cut: the device says how much it needs.
        let columns = if cols == 1 { Some(std::iter::once(0..1).collect()) } else { slab_columns(rows, cols, have) };
        let columns: Vec<Range<usize>> = columns.ok_or_else(|| {
            let narrow = cols.min(4);
            let need = rows * narrow * 4;
            let what = format!(
                "its narrowest slab, {rows} rows x {narrow} columns, has {need} bytes, one binding of the device {have}: \
                 use fewer rows"
            );
            Error::Data { name: name.into(), what }
        })?;
        let buffers = columns.iter().map(|c| device.zeros(dtype, rows * c.len(), name));
        Ok(Self { rows, buffers: buffers.collect::<rt_kernels::Result<_>>()?, columns, piece: None })
    }

    /// A matrix in a buffer that it shares with others.
    pub(crate) fn within(arena: Buffer, piece: Piece, [rows, cols]: [usize; 2]) -> Self {
        Self { rows, columns: std::iter::once(0..cols).collect(), buffers: vec![arena], piece: Some(piece) }
    }

    /// Columns of each slab.
    pub(crate) fn widths(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(ExactSizeIterator::len)
    }

    /// Cells.
    pub(crate) fn words(&self) -> usize {
        self.rows * self.widths().sum::<usize>()
    }

    /// Are its words of this type?
    pub(crate) fn holds(&self, dtype: Dtype) -> bool {
        self.buffers.iter().all(|buffer| buffer.dtype() == Some(dtype))
    }

    /// Is it cut into several?
    pub(crate) fn is_cut(&self) -> bool {
        self.buffers.len() > 1
    }

    /// First word in its buffer.
    pub(crate) fn offset(&self) -> usize {
        self.piece.as_ref().map_or(0, |piece| piece.offset)
    }

    /// The only buffer, which holds nothing else; `None` where the matrix is cut or shares a buffer.
    pub(crate) fn whole(&self) -> Option<&Buffer> {
        match self.buffers.as_slice() {
            [only] if self.piece.is_none() => Some(only),
            _ => None,
        }
    }

    /// Writes all cells, row-major.
    pub(crate) fn write(&self, device: &Device, words: &[u32]) -> Result<()> {
        self.write_rows(device, 0, words)
    }

    /// Writes rows from row `first` on, row-major.
    pub(crate) fn write_rows(&self, device: &Device, first: usize, words: &[u32]) -> Result<()> {
        let cols: usize = self.widths().sum();
        if let [buffer] = self.buffers.as_slice() {
            return Ok(device.write(buffer, self.offset() + first * cols, words)?);
        }
        for (columns, buffer) in self.columns.iter().zip(&self.buffers) {
            let slab: Vec<u32> = words.chunks_exact(cols).flat_map(|row| &row[columns.clone()]).copied().collect();
            device.write(buffer, first * columns.len(), &slab)?;
        }
        Ok(())
    }

    /// Writes all cells; the CPU may read them where they lie.
    pub(crate) fn share(&self, device: &Device, words: SharedWords) -> Result<()> {
        match self.whole() {
            Some(buffer) => Ok(device.share(buffer, words)?),
            None => self.write(device, (*words).as_ref()),
        }
    }

    /// Reads all cells, row-major; waits for the device.
    pub(crate) fn read(&self, device: &Device) -> Result<Vec<u32>> {
        if let [buffer] = self.buffers.as_slice() {
            return Ok(device.read(buffer, self.offset(), self.words())?);
        }
        let cols: usize = self.widths().sum();
        let mut words = vec![0; self.rows * cols];
        for (columns, buffer) in self.columns.iter().zip(&self.buffers) {
            let slab = device.read_u32(buffer)?;
            for (row, cells) in words.chunks_exact_mut(cols).zip(slab.chunks_exact(columns.len())) {
                row[columns.clone()].copy_from_slice(cells);
            }
        }
        Ok(words)
    }
}
