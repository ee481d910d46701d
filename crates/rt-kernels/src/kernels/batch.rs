//! Examples of a step: from numbers of events to ids and history slices.

use super::fit;
use crate::{Binding, Cost, CpuIo, Dispatch, Examples, Kernel, Made, Mat, Operands, Signature, Slot};

/// Makes the examples of a step from the shuffled list of event numbers.
///
/// For row i with `first + i < step.valid`: `e = order[step.offset + first + i]`, `user` = the last u with `starts[u] <= e` (found by halves: a
/// user for every event would take as much memory as the items), `target = items[e]`, and the history is the slice of
/// `items` that ends before e: `len = min(e - starts[user], history)`, `start = e - len`. With `set` the history is what
/// of the user's items but e lies among the last `history` before `ends[user]`: `len = min(ends[user] - starts[user],
/// history)`, `start = ends[user] - len`, `hole = e` (data without times, or targets that are held out anywhere). `weight = step.inv_valid`, so that a sum over rows is a mean. The other rows are padding: user
/// 0, target 0, an empty slice, weight 0, event 0; so are places past the order and events past the items. A history whose end is
/// past the items is empty. Without `set` every `hole` is `u32::MAX` (none).
///
/// Reads `order` `[any, 1]`, `items` `[N, 1]`, `starts` `[U + 1, 1]` ascending, `ends` `[U, 1]` (with `set`), all u32; writes `user`, `target` `[batch, 1]` u32, `slice` `[batch, 2]` u32 (start, length), `weight` `[batch, 1]`, and if
/// wanted `hole`, `event` `[batch, 1]` u32.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Rows of the batch, padding included.
    pub batch: usize,
    /// Longest history.
    pub history: usize,
    /// True if a history is all of the user's items but the target, later ones too.
    pub set: bool,
    /// Number of row 0 among the step's examples; not 0 where a step has several batches.
    pub first: usize,
}

/// Rows that are searched at once.
const TOGETHER: usize = 16;
/// Iterations of a binary search over u32.
const SEARCH: usize = 33;

/// Of each event the last user whose events begin there or before: of users without events the start is that of the next
/// one, so it is the one that has the event.
///
/// Searches by halves in step: each look waits for memory where there are many users, and these wait together (10 million
/// users: a batch of 1,024 took 0.65 ms with one search after the other, 0.29 so).
fn owners(starts: &Mat<'_>, events: &[u32; TOGETHER]) -> [u32; TOGETHER] {
    let mut low = [0; TOGETHER];
    // The last entry is the end of the last user's events, no start.
    let mut left = starts.rows.saturating_sub(1);
    while left > 1 {
        let half = left / 2;
        for (low, event) in low.iter_mut().zip(events) {
            let middle = *low + half as u32;
            // A choice of values, no branch: half of them would be guessed wrong.
            *low = if starts.id(middle as usize) <= *event { middle } else { *low };
        }
        left -= half;
    }
    low
}

impl Batch {
    /// User, target, weight and event of each row.
    fn example(&self, operands: &Operands) -> Dispatch {
        let [order, items, starts] = [0, 1, 2].map(|i| operands.read(i));
        let [user, target, weight] = [0, 1, 3].map(|i| operands.write(i));
        let event = operands.writes[5];
        let users = starts.rows.saturating_sub(1) as u32;
        let mut params = vec![self.batch as u32, u32::from(event.is_some()), users, self.first as u32];
        params.extend([order, items].map(|o| o.rows as u32));
        for o in [order, items, starts, user, target, weight, event.unwrap_or(user)] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        Dispatch {
            shader: "batch_example",
            constants: vec![],
            params,
            step: true,
            bindings: vec![
                Binding::Read(order.buffer),
                Binding::Read(items.buffer),
                Binding::Read(starts.buffer),
                Binding::Write(user.buffer),
                Binding::Write(target.buffer),
                Binding::Write(weight.buffer),
                Binding::write(event),
            ],
            workgroups: self.batch.div_ceil(64),
            iterations: SEARCH,
        }
    }

    /// The history of each row.
    fn slice(&self, operands: &Operands) -> Dispatch {
        let [order, items, starts] = [0, 1, 2].map(|i| operands.read(i));
        let ends = operands.reads[3].filter(|_| self.set);
        let (slice, hole) = (operands.write(2), operands.writes[4]);
        let mut params = vec![
            self.batch as u32,
            self.history.min(u32::MAX as usize) as u32,
            u32::from(self.set),
            u32::from(hole.is_some()),
            starts.rows.saturating_sub(1) as u32,
            self.first as u32,
        ];
        params.extend([order, items].map(|o| o.rows as u32));
        params.extend([ends.map_or(0, |o| o.rows as u32), 0]);
        for o in [order, starts, ends.unwrap_or(starts), slice, hole.unwrap_or(slice)] {
            params.extend([o.offset as u32, o.stride as u32]);
        }
        Dispatch {
            shader: "batch_history",
            constants: vec![],
            params,
            step: true,
            bindings: vec![
                Binding::Read(order.buffer),
                Binding::Read(starts.buffer),
                Binding::read(ends),
                Binding::Write(slice.buffer),
                Binding::write(hole),
            ],
            workgroups: self.batch.div_ceil(64),
            iterations: SEARCH,
        }
    }
}

impl Kernel for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn signature(&self) -> Signature {
        let ends = Slot::u32("ends", None, 1);
        let n = self.batch;
        Signature {
            reads: vec![
                Slot::u32("order", None, 1),
                Slot::u32("items", None, 1),
                Slot::u32("starts", None, 1),
                if self.set { ends } else { ends.optional() },
            ],
            writes: vec![
                Slot::u32("user", n, 1),
                Slot::u32("target", n, 1),
                Slot::u32("slice", n, 2),
                Slot::f32("weight", n, 1),
                Slot::u32("hole", n, 1).optional(),
                Slot::u32("event", n, 1).optional(),
            ],
        }
    }

    fn mismatch(&self, operands: &Operands) -> Option<String> {
        let starts = operands.read(2).rows;
        let ends = operands.reads[3].map_or(starts, |o| o.rows);
        fit::unless(starts > 0 && ends >= starts - 1, || {
            format!("{starts} starts and {ends} ends: a start and an end for each user, and a start more")
        })
    }

    fn cost(&self) -> Cost {
        // The search reads 20 words a row where there are a million users, most of them from a cache.
        Cost { bytes: 4.0 * (11 * self.batch) as f64, flops: 0.0 }
    }

    fn made(&self, write: usize, reads: &[Option<[usize; 2]>]) -> Option<Made> {
        let rows = |i: usize| reads[i].map_or(0, |[rows, _]| rows);
        match write {
            // User, target, slice, weight, hole, event.
            0 => Some(Made::new(rows(2).saturating_sub(1).max(1))),
            1 => Some(Made::passed(&[1])),
            2 => Some(Made::slices(rows(1))),
            5 => Some(Made::new(rows(1).max(1))),
            _ => None,
        }
    }

    fn examples(&self, operands: &Operands) -> Option<Examples> {
        Some(Examples { rows: self.first.saturating_add(self.batch), list: operands.read(0).rows })
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let step = io.step;
        let [order, items, starts] = [0, 1, 2].map(|i| io.read(i));
        let ends = io.read_opt(3);
        let [mut user, mut target, mut slice, mut weight] = [0, 1, 2, 3].map(|i| io.write(i));
        let (mut hole, mut event) = (io.write_opt(4), io.write_opt(5));
        let history = self.history.min(u32::MAX as usize) as u32;
        let mut users = [0; TOGETHER];
        // The event of a row; none for padding, and for places past the order and events past the items.
        let event_of = |row: usize| {
            let place =
                (step.offset as usize).checked_add(row).filter(|place| *place < order.rows && starts.rows > 0)?;
            Some(order.id(place)).filter(|e| row < step.valid as usize && (*e as usize) < items.rows)
        };
        for i in 0..self.batch {
            let row = self.first + i;
            let found = event_of(row);
            let valid = found.is_some();
            if i % TOGETHER == 0 {
                users = owners(&starts, &std::array::from_fn(|r| event_of(row + r).unwrap_or(0)));
            }
            let (mut u, mut t, mut s, mut len, mut h, mut e) = (0, 0, 0, 0, u32::MAX, 0);
            if let Some(found) = found {
                e = found;
                u = users[i % TOGETHER];
                t = items.id(e as usize);
                let first = starts.id(u as usize);
                if let (true, Some(ends)) = (self.set, ends) {
                    let end = if (u as usize) < ends.rows { ends.id(u as usize) } else { first };
                    let past = end as usize > items.rows;
                    len = if past { 0 } else { end.saturating_sub(first).min(history) };
                    (s, h) = (if past { 0 } else { end - len }, e);
                } else {
                    len = e.saturating_sub(first).min(history);
                    s = e - len;
                }
            }
            user.row_u32(i)[0] = u;
            target.row_u32(i)[0] = t;
            slice.row_u32(i).copy_from_slice(&[s, len]);
            weight.row(i)[0] = if valid { step.inv_valid } else { 0.0 };
            if let Some(hole) = &mut hole {
                hole.row_u32(i)[0] = h;
            }
            if let Some(event) = &mut event {
                event.row_u32(i)[0] = e;
            }
        }
    }

    fn dispatches(&self, operands: &Operands) -> Vec<Dispatch> {
        vec![self.example(operands), self.slice(operands)]
    }
}
