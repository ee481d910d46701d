//! The running session before an event.

use super::bag::Slices;
use super::cells::dispatch;
use crate::{Cost, CpuIo, Dispatch, Kernel, Made, Operands, Signature, Slot};

/// The running session before the event of each row: the user's last events with no longer pause between two of them than
/// `pause` seconds; a time before its predecessor's counts as the same.
///
/// With e the event of a row, n the length of its session (counted to `max(history, 256)`) and m the smaller of n and the length of
/// the row's history: `slices` = (e - m, m), and `categories` = the number of bits of n, at most 9; 0 where there are not two
/// events, else 1 + the number of bits of the seconds between the last two. A slice that does not lie in the events is empty, a user
/// without a start has no events.
///
/// Reads `seconds` `[any, 1]` u32 from any origin, `slice` `[rows, 2]` u32 (start, length of the history, which ends at e), `user`
/// `[rows, 1]` u32, `user_start` `[any, 1]` u32; writes `slices` `[rows, 2]` u32, `categories` `[rows, 2]` u32. Moves at most
/// `rows * (max(history, 256) + 8)` words.
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    /// Rows of the batch.
    pub rows: usize,
    /// Events of a history at most.
    pub history: usize,
    /// Seconds without an event that a session may have.
    pub pause: u32,
}

impl Sessions {
    /// The category of a session's length has at most so many bits, and with them no more need be counted.
    pub const BITS: u32 = 9;

    fn most(&self) -> usize {
        self.history.max(1 << (Self::BITS - 1))
    }
}

impl Kernel for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn signature(&self) -> Signature {
        let rows = self.rows;
        Signature {
            reads: vec![
                Slot::u32("seconds", None, 1),
                Slot::u32("slice", rows, 2),
                Slot::u32("user", rows, 1),
                Slot::u32("user_start", None, 1),
            ],
            writes: vec![Slot::u32("slices", rows, 2), Slot::u32("categories", rows, 2)],
        }
    }

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (self.rows * (self.most() + 8)) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        match write {
            0 => Some(Made::slices(reads[0].map_or(0, |[events, _]| events))),
            _ => Some(Made { below: vec![Self::BITS + 1, 34], ..Made::default() }),
        }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let (seconds, slice, user, start) = (io.read(0), io.read(1), io.read(2), io.read(3));
        let (mut slices, mut categories) = (io.write(0), io.write(1));
        let between = |event: usize| seconds.id(event).saturating_sub(seconds.id(event - 1));
        let bits = |n: u32| 32 - n.leading_zeros();
        for r in 0..self.rows {
            let [history, event] = Slices::within(slice.row_u32(r)[0], slice.row_u32(r)[1], seconds.rows);
            let [history, event] = [history as usize, event as usize];
            let user = user.id(r) as usize;
            let events = if user < start.rows { event.saturating_sub(start.id(user) as usize) } else { 0 };
            let most = events.min(self.most());
            let mut length = events.min(1);
            while length > 0 && length < most && between(event - length) <= self.pause {
                length += 1;
            }
            let kept = length.min(history);
            slices.row_u32(r).copy_from_slice(&[(event - kept) as u32, kept as u32]);
            let pause = if events > 1 { 1 + bits(between(event - 1)) } else { 0 };
            categories.row_u32(r).copy_from_slice(&[bits(length as u32).min(Self::BITS), pause]);
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        let [events, users] = [0, 3].map(|i| operands.read(i).rows as u32);
        let attributes = [self.rows as u32, self.pause, self.most() as u32, events, users];
        vec![
            dispatch("sessions", &attributes, &operands.reads, &operands.writes, self.rows).looping(self.most().max(1)),
        ]
    }
}
