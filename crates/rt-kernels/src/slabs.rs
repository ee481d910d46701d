//! Tables past one binding lie in slabs of columns. Here, and nowhere else, a call on such a table becomes calls on its
//! slabs.
//!
//! Columns and not rows are cut: every slab is looked up with the same ids in the same order, so no sum changes its order
//! and the result has the bits of the uncut table.

use crate::{Call, Error, Kernel, Operand, Result, Slot};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Slabs are cut at multiples of this many columns: whole vec4s.
const STEP: usize = 4;

/// A call of those that together do on slabs what one kernel does on a whole table.
#[derive(Debug, Clone)]
pub struct SlabCall {
    /// What runs.
    pub kernel: Arc<dyn Kernel + Send + Sync>,
    /// The slab that it works on; `None` for what needs all columns of the other operands and no column of the table.
    pub slab: Option<usize>,
}

/// The columns of each slab of a table `[rows, cols]` of 32-bit words: as few slabs as fit into `max_bytes` each, of about
/// the same width. `None` where even the narrowest does not fit.
#[must_use]
pub fn slab_columns(rows: usize, cols: usize, max_bytes: u64) -> Option<Vec<Range<usize>>> {
    let column = rows as u64 * 4;
    if column * cols as u64 <= max_bytes {
        return Some(std::iter::once(0..cols).collect());
    }
    let widest = usize::try_from(max_bytes / column).unwrap_or(usize::MAX) / STEP * STEP;
    if widest == 0 {
        return None;
    }
    let width = cols.div_ceil(cols.div_ceil(widest)).next_multiple_of(STEP);
    Some((0..cols).step_by(width).map(|from| from..cols.min(from + width)).collect())
}

/// The slabs of one call's table, on each of them the call's kernel with its columns as `narrow` makes it of a slab's
/// columns: what most kernels answer to [`Kernel::on_slabs`].
pub(crate) fn each_slab<K: Kernel + Send + Sync + 'static>(
    slabs: &[Range<usize>],
    narrow: impl Fn(usize) -> K,
) -> Vec<SlabCall> {
    let call = |(slab, columns): (usize, &Range<usize>)| SlabCall {
        kernel: Arc::new(narrow(columns.len())),
        slab: Some(slab),
    };
    slabs.iter().enumerate().map(call).collect()
}

/// The calls that do what `call` does where some of its operands are cut. `slabs` has the slabs of a cut operand under the
/// buffer that stands for it in `call`; an operand that is not cut, and whose columns are those of the table, is given
/// to each slab's call as the range of these columns.
///
/// # Errors
///
/// [`Error::Call`] where the kernel does not work on slabs.
pub fn cut(call: Call, slabs: &BTreeMap<usize, Vec<Operand>>) -> Result<Vec<Call>> {
    let mut given = call.operands.reads.iter().chain(&call.operands.writes).flatten();
    let Some(table) = given.find_map(|o| slabs.get(&o.buffer)) else {
        return Ok(vec![call]);
    };
    let mut end = 0;
    let columns: Vec<Range<usize>> = table
        .iter()
        .map(|slab| {
            end += slab.cols;
            end - slab.cols..end
        })
        .collect();
    let whole = call.kernel.signature();
    let calls = call.kernel.on_slabs(&columns).ok_or_else(|| Error::Call {
        kernel: call.kernel.name(),
        what: format!(
            "a table past one binding lies in {} slabs of columns: its rows are looked up alone",
            table.len()
        ),
    })?;
    let place = |part: &SlabCall, whole: &[Slot], narrow: &[Slot], operands: &[Option<Operand>]| {
        let one = |((whole, narrow), operand): ((&Slot, &Slot), &Option<Operand>)| {
            let operand = (*operand)?;
            match (slabs.get(&operand.buffer), part.slab) {
                (Some(_), None) => None,
                (Some(list), Some(slab)) => list.get(slab).copied(),
                (None, Some(slab)) if whole.cols != narrow.cols => {
                    let cols = narrow.cols.unwrap_or(operand.cols);
                    Some(Operand { offset: operand.offset.saturating_add(columns[slab].start), cols, ..operand })
                }
                (None, _) => Some(operand),
            }
        };
        whole.iter().zip(narrow).zip(operands).map(one).collect()
    };
    Ok(calls
        .into_iter()
        .map(|part| {
            let narrow = part.kernel.signature();
            let mut operands = call.operands.clone();
            operands.reads = place(&part, &whole.reads, &narrow.reads, &call.operands.reads);
            operands.writes = place(&part, &whole.writes, &narrow.writes, &call.operands.writes);
            Call { kernel: part.kernel, operands }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::slab_columns;

    #[test]
    fn slabs_fit_and_cover_all_columns() {
        #[rustfmt::skip] // a table
        let cases = [
            // rows, cols, bytes, slabs
            (100, 64, 25_600, Some(vec![64])),             // just fits whole
            (100, 64, 25_599, Some(vec![32, 32])),         // even widths, not 60 and 4
            (100, 12, 3_200, Some(vec![8, 4])),
            (100, 12, 1_600, Some(vec![4, 4, 4])),
            (100, 10, 1_600, Some(vec![4, 4, 2])),         // not a multiple of 4
            (100, 7, 2_000, Some(vec![4, 3])),
            (100, 3, 1_200, Some(vec![3])),                // narrower than a slab, and it fits
            (100, 5, 1_599, None),
            (8_388_608, 64, 1 << 27, Some(vec![4; 16])),   // the most rows at default limits
            (8_388_609, 64, 1 << 27, None),
            (0, 64, 1 << 20, Some(vec![64])),
        ];
        for (rows, cols, bytes, want) in cases {
            let slabs = slab_columns(rows, cols, bytes);
            let widths = slabs.as_ref().map(|s| s.iter().map(ExactSizeIterator::len).collect::<Vec<_>>());
            assert_eq!(widths, want, "{rows} x {cols} in {bytes}");
            if let Some(slabs) = slabs {
                assert!(slabs.windows(2).all(|w| w[0].end == w[1].start) && slabs[slabs.len() - 1].end == cols);
                assert!(slabs.iter().all(|s| (s.len() * rows * 4) as u64 <= bytes));
            }
        }
    }
}
