//! Holding a kernel against its oracle on every device, in both layouts.

use crate::{Lay, Tensor, devices_with_checks, run};
use approx::abs_diff_eq;
use rt_kernels::{Device, Kernel, Step};

/// What an output has to be.
#[derive(Debug, Clone)]
pub enum Want {
    /// Each cell (oracle, bound).
    Close(Vec<(f64, f64)>),
    /// Each word.
    Exact(Vec<u32>),
    /// The output was left out.
    Nothing,
}

impl Want {
    /// Cells with one bound for all.
    #[must_use]
    pub fn within(cells: impl IntoIterator<Item = f64>, bound: f64) -> Self {
        Self::Close(cells.into_iter().map(|cell| (cell, bound)).collect())
    }

    /// Floats whose every bit must agree.
    #[must_use]
    pub fn floats(cells: impl IntoIterator<Item = f32>) -> Self {
        Self::Exact(cells.into_iter().map(f32::to_bits).collect())
    }
}

/// Both layouts.
pub const LAYS: &[Lay] = &[Lay::Dense, Lay::Strided];

/// Runs a kernel on every device, in each of `lays`, and checks its outputs. The CPU has to give the same bits with one
/// thread and with two (its naive loops sum in another order), and every device the same bits twice.
///
/// # Panics
///
/// At the first cell that is off. NaN, which unwritten cells hold, is off.
pub fn hold(
    what: &str,
    kernel: &(impl Kernel + Clone + Send + Sync + 'static),
    step: &Step,
    lays: &[Lay],
    reads: &[Option<Tensor>],
    writes: &[Option<Tensor>],
    want: &[Want],
) {
    hold_on(devices_with_checks(), what, kernel, step, lays, reads, writes, want);
}

/// [`hold`], on these devices: for sizes that a software driver takes minutes for.
///
/// # Panics
///
/// As [`hold`].
#[allow(clippy::too_many_arguments, reason = "what `hold` takes, and the devices")]
pub fn hold_on(
    devices: &[Device],
    what: &str,
    kernel: &(impl Kernel + Clone + Send + Sync + 'static),
    step: &Step,
    lays: &[Lay],
    reads: &[Option<Tensor>],
    writes: &[Option<Tensor>],
    want: &[Want],
) {
    assert_eq!(writes.len(), want.len(), "{what}: outputs");
    for lay in lays {
        let mut on_cpu: Option<Vec<Option<Vec<u32>>>> = None;
        for device in devices {
            let got = run(device, kernel.clone(), step, *lay, reads, writes);
            let again = run(device, kernel.clone(), step, *lay, reads, writes);
            assert!(got == again, "{what}, {device:?}, {lay:?}: not the same bits twice");
            for (o, (words, want)) in got.iter().zip(want).enumerate() {
                check(&format!("{what}, {device:?}, {lay:?}, output {o}"), words.as_deref(), want);
            }
            if crate::is_fast_cpu(device) {
                if let Some(first) = &on_cpu {
                    assert!(*first == got, "{what}, {lay:?}: the number of threads changes bits");
                }
                on_cpu = Some(got);
            }
        }
    }
}

fn check(what: &str, words: Option<&[u32]>, want: &Want) {
    match (words, want) {
        (None, Want::Nothing) => {}
        (Some(words), Want::Exact(want)) => {
            assert_eq!(words.len(), want.len(), "{what}: length");
            if let Some(i) = (0..words.len()).find(|i| words[*i] != want[*i]) {
                panic!(
                    "{what}: word {i} is {:#x} ({}), not {:#x} ({})",
                    words[i],
                    f32::from_bits(words[i]),
                    want[i],
                    f32::from_bits(want[i])
                );
            }
        }
        (Some(words), Want::Close(want)) => {
            assert_eq!(words.len(), want.len(), "{what}: length");
            for (i, (word, (cell, bound))) in words.iter().zip(want).enumerate() {
                let got = f64::from(f32::from_bits(*word));
                let off = (got - cell).abs();
                assert!(
                    abs_diff_eq!(got, *cell, epsilon = *bound),
                    "{what}: cell {i} is {got}, the oracle says {cell}: off by {off:e} > {bound:e}"
                );
            }
        }
        _ => panic!("{what}: an output is there or is not, against what was wanted"),
    }
}

/// Rounding unit of f32.
pub const EPS: f64 = f32::EPSILON as f64 / 2.0;
