//! What kernels say of attributes and operands that do not fit and that no slot shows: see [`crate::Kernel::mismatch`].

use super::bag::MAX_WINDOWS;
use crate::Operand;

/// What is wrong where `fits` is false.
pub(super) fn unless(fits: bool, what: impl FnOnce() -> String) -> Option<String> {
    if fits { None } else { Some(what()) }
}

/// Windows of a bag.
pub(super) fn windows(windows: &[usize]) -> Option<String> {
    // 0 and everything past 32 bits are one window, that of all positions.
    let end = |w: &usize| if *w == 0 { u32::MAX } else { u32::try_from(*w).unwrap_or(u32::MAX) };
    let ascend = windows.windows(2).all(|w| end(&w[0]) < end(&w[1]));
    let fits = (1..=MAX_WINDOWS).contains(&windows.len()) && ascend;
    unless(fits, || format!("windows {windows:?}: 1 to {MAX_WINDOWS} of them, ascending, the last may be 0 for all"))
}

/// A table of a grouping.
pub(super) fn table(table: usize, tables: usize) -> Option<String> {
    unless(table < tables, || format!("table {table} of {tables} tables of the grouping"))
}

/// Attributes that shaders are given in 32 bits and no operand's shape bounds.
pub(super) fn word(name: &str, n: usize) -> Option<String> {
    unless(u32::try_from(n).is_ok(), || format!("{name} {n}: at most {}", u32::MAX))
}

/// A softmax whose row's positive is the candidate of its own number.
pub(super) fn diagonal(rows: usize, candidates: usize) -> Option<String> {
    unless(candidates >= rows, || {
        format!("{rows} rows, whose positives are candidates of the same number, of {candidates}")
    })
}

/// Operands by one number of rows; those that were left out have any.
pub(super) fn same_rows(given: &[(&str, Option<Operand>)]) -> Option<String> {
    let mut rows = given.iter().filter_map(|(name, o)| Some((name, (*o)?.rows)));
    let (first, want) = rows.next()?;
    let (name, got) = rows.find(|(_, got)| *got != want)?;
    Some(format!("`{name}` has {got} rows and `{first}` {want}: they need as many"))
}
