//! Ids and slices that nobody has proven, held against what they index.

use super::bag::Slices;
use super::cells::places;
use super::fit;
use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot, Target};

/// What ids have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdRule {
    /// Each below this: the rows that they look up.
    Below(u32),
    /// Each row (start, length) within so many words: `start + length` is not more, and the sum does not wrap.
    Within(u32),
}

impl IdRule {
    /// Is a row of words as the rule wants it? Of [`IdRule::Below`] a row is one word.
    #[must_use]
    pub fn holds(self, words: &[u32]) -> bool {
        match (self, words) {
            (Self::Below(n), words) => words.iter().all(|id| *id < n),
            (Self::Within(n), [start, length]) => start.checked_add(*length).is_some_and(|end| end <= n),
            (Self::Within(_), _) => false,
        }
    }

    /// What an error says that they have to be.
    #[must_use]
    pub fn wants(self) -> String {
        match self {
            Self::Below(n) => format!("it has to lie below {n}: there are {n} rows"),
            Self::Within(n) => format!("start and length have to lie within {n} words"),
        }
    }
}

/// Copies ids with `null` in place of every one that the rule does not allow, or slices with (0, 0) in place of such a row, and notes
/// the first of them, the smallest place in row-major order.
///
/// Reads `ids` `[rows, cols]` u32, of slices two columns; writes `out` of that shape; updates in place `faults`
/// `[1, 6 + 5 * FAULTS]` u32: the number of faults so far (it wraps), of the last [`CheckIds::FAULTS`] of them, fault n at word
/// `1 + 5 * (n % FAULTS)`, (step, number of the check, place, the word there, and of slices the word after it), and behind them the
/// very first, number 0, which none takes the place of. A place is a cell, of slices a row. A call adds one fault at most. Moves `2 rows cols` words. On the GPU two dispatches; the smallest place is a minimum
/// of integers, so the order of the invocations does not count.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckIds {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// What they have to be.
    pub rule: IdRule,
    /// The id that replaces one out of range.
    pub null: u32,
    /// The number of this check in the faults.
    pub number: u32,
}

/// Words of a fault.
const WORDS: usize = 5;

impl CheckIds {
    /// Faults that are kept.
    pub const FAULTS: usize = 64;

    /// Words of `faults`.
    #[must_use]
    pub fn words() -> usize {
        1 + WORDS * (Self::FAULTS + 1)
    }

    /// Fault number `n` of the words of `faults`: step, number of the check, place, and the words there.
    #[must_use]
    pub fn fault(words: &[u32], n: u32) -> Option<[u32; WORDS]> {
        words.get(1 + WORDS * (n as usize % Self::FAULTS)..)?.first_chunk().copied()
    }

    /// The very first fault of the words of `faults`, however many came after it.
    #[must_use]
    pub fn first(words: &[u32]) -> Option<[u32; WORDS]> {
        words.get(1 + WORDS * Self::FAULTS..)?.first_chunk().copied()
    }

    /// Places that are looked at.
    fn places(&self) -> usize {
        match self.rule {
            IdRule::Below(_) => self.rows * self.cols,
            IdRule::Within(_) => self.rows,
        }
    }

    fn groups(&self) -> usize {
        self.places().div_ceil(64)
    }
}

impl Kernel for CheckIds {
    fn name(&self) -> &'static str {
        "check_ids"
    }

    fn signature(&self) -> Signature {
        let cols = if matches!(self.rule, IdRule::Within(_)) { 2 } else { self.cols };
        Signature {
            reads: vec![Slot::u32("ids", self.rows, cols)],
            writes: vec![Slot::u32("out", self.rows, cols), Slot::u32("faults", 1, Self::words()).in_place()],
        }
    }

    fn mismatch(&self, _: &Operands) -> Option<String> {
        let fits = self.cols == 2 || !matches!(self.rule, IdRule::Within(_));
        fit::unless(fits, || format!("slices of {} columns: a start and a length each", self.cols))
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 8.0 * (self.rows * self.cols) as f64, flops: 0.0 }
    }

    fn scratch(&self, target: Target) -> Vec<usize> {
        if target == Target::Gpu { vec![self.groups().max(1)] } else { Vec::new() }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let _ = reads;
        match self.rule {
            IdRule::Below(n) => (write == 0 && self.null < n).then(|| Made::new(n as usize)),
            IdRule::Within(n) => (write == 0).then(|| Made::slices(n as usize)),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (ids, mut out, mut faults) = (io.read(0), io.write(0), io.write(1));
        let mut first = None;
        for r in 0..self.rows {
            let (row, out) = (ids.row_u32(r), out.row_u32(r));
            match self.rule {
                IdRule::Below(n) => {
                    for (c, (id, out)) in row.iter().zip(out).enumerate() {
                        *out = if *id < n { *id } else { self.null };
                        if *id >= n {
                            first.get_or_insert([(r * self.cols + c) as u32, *id, 0]);
                        }
                    }
                }
                IdRule::Within(n) => {
                    let holds = self.rule.holds(row);
                    let [length, end] = Slices::within(row[0], row[1], n as usize);
                    out.copy_from_slice(&[end - length, length]);
                    if !holds {
                        first.get_or_insert([r as u32, row[0], row[1]]);
                    }
                }
            }
        }
        if let Some(fault) = first {
            let words = faults.row_u32(0);
            let count = words[0];
            words[0] = count.wrapping_add(1);
            let fault = [io.step.step, self.number, fault[0], fault[1], fault[2]];
            let kept = Some(count as usize % Self::FAULTS);
            for at in [kept, (count == 0).then_some(Self::FAULTS)].into_iter().flatten() {
                words[1 + WORDS * at..][..WORDS].copy_from_slice(&fault);
            }
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let (ids, out, faults) = (operands.read(0), operands.write(0), operands.write(1));
        let Some(least) = operands.scratch.first() else { return Vec::new() };
        let (slices, bound) = match self.rule {
            IdRule::Below(n) => (0, n),
            IdRule::Within(n) => (1, n),
        };
        let places_of = |o| places(&[Some(o)]).collect::<Vec<u32>>();
        let head = [self.places() as u32, self.cols as u32, slices, bound, self.null];
        let copy = Dispatch {
            shader: "check_ids",
            constants: vec![],
            params: [&head[..], &places_of(ids), &places_of(out)].concat(),
            step: false,
            bindings: vec![Binding::Read(ids.buffer), Binding::Write(out.buffer), Binding::Write(least.buffer)],
            workgroups: self.groups(),
            iterations: 0,
        };
        let head = [self.groups() as u32, self.cols as u32, slices, self.number, Self::FAULTS as u32];
        let note = Dispatch {
            shader: "check_ids_note",
            constants: vec![],
            params: [&head[..], &places_of(ids), &[faults.offset as u32]].concat(),
            step: true,
            bindings: vec![Binding::Read(ids.buffer), Binding::Read(least.buffer), Binding::Write(faults.buffer)],
            workgroups: 1,
            iterations: self.groups().div_ceil(64) + 1,
        };
        if self.groups() == 0 { Vec::new() } else { vec![copy, note] }
    }
}
