//! Examples of a step: from numbers of events to ids and history slices.

use crate::{Binding, Cost, CpuIo, Dispatch, Kernel, Operands, Signature, Slot};

/// Makes the examples of a step from the shuffled list of event numbers.
///
/// For row i < `step.valid`: `e = order[step.offset + i]`, `user = users[e]`, `target = items[e]`, and the history is
/// the slice of `items` that ends before e: `len = min(e - starts[user], history)`, `start = e - len`. With `set` (data
/// without times) the history is all of the user's items but e: `start = starts[user]`, `len = ends[user] - start`,
/// `hole = e`. `weight = step.inv_valid`, so that a sum over rows is a mean. Rows from `step.valid` on are padding: user
/// 0, target 0, an empty slice, weight 0, event 0. Without `set` every `hole` is `u32::MAX` (none).
///
/// Reads `order` `[any, 1]`, `items` `[N, 1]`, `users` `[N, 1]`, `starts` `[U + 1, 1]`, `ends` `[U, 1]` (with `set`), all
/// u32; writes `user`, `target` `[batch, 1]` u32, `slice` `[batch, 2]` u32 (start, length), `weight` `[batch, 1]`, and if
/// wanted `hole`, `event` `[batch, 1]` u32.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Rows of the batch, padding included.
    pub batch: usize,
    /// Longest history; ignored with `set`.
    pub history: usize,
    /// True if a history is a set: all of the user's items but the target.
    pub set: bool,
}

impl Kernel for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn signature(&self) -> Signature {
        let ends = Slot::u32("ends", 0, 1);
        let n = self.batch;
        Signature {
            reads: vec![
                Slot::u32("order", 0, 1),
                Slot::u32("items", 0, 1),
                Slot::u32("users", 0, 1),
                Slot::u32("starts", 0, 1),
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

    fn cost(&self) -> Cost {
        Cost { bytes: 4.0 * (11 * self.batch) as f64, flops: 0.0 }
    }

    fn run(&self, io: &mut CpuIo<'_>) {
        let step = io.step;
        let [order, items, users, starts] = [0, 1, 2, 3].map(|i| io.read(i));
        let ends = io.read_opt(4);
        let [mut user, mut target, mut slice, mut weight] = [0, 1, 2, 3].map(|i| io.write(i));
        let (mut hole, mut event) = (io.write_opt(4), io.write_opt(5));
        let history = self.history.min(u32::MAX as usize) as u32;
        for i in 0..self.batch {
            let valid = i < step.valid as usize;
            let (mut u, mut t, mut s, mut len, mut h, mut e) = (0, 0, 0, 0, u32::MAX, 0);
            if valid {
                e = order.id(step.offset as usize + i);
                u = users.id(e as usize);
                t = items.id(e as usize);
                let first = starts.id(u as usize);
                if let (true, Some(ends)) = (self.set, ends) {
                    (s, len, h) = (first, ends.id(u as usize) - first, e);
                } else {
                    len = (e - first).min(history);
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
        let [order, items, users, starts] = [0, 1, 2, 3].map(|i| operands.read(i));
        let ends = operands.reads[4].filter(|_| self.set);
        let [user, target, slice, weight] = [0, 1, 2, 3].map(|i| operands.write(i));
        let (hole, event) = (operands.writes[4], operands.writes[5]);
        let mut example = vec![self.batch as u32, u32::from(event.is_some())];
        for o in [order, items, users, user, target, weight, event.unwrap_or(user)] {
            example.extend([o.offset as u32, o.stride as u32]);
        }
        let mut history = vec![
            self.batch as u32,
            self.history.min(u32::MAX as usize) as u32,
            u32::from(self.set),
            u32::from(hole.is_some()),
        ];
        let (ends_at, hole_at) = (ends.unwrap_or(starts), hole.unwrap_or(slice));
        for o in [order, users, starts, ends_at, slice, hole_at] {
            history.extend([o.offset as u32, o.stride as u32]);
        }
        let workgroups = self.batch.div_ceil(64);
        vec![
            Dispatch {
                shader: "batch_example",
                constants: vec![],
                params: example,
                step: true,
                bindings: vec![
                    Binding::Read(order.buffer),
                    Binding::Read(items.buffer),
                    Binding::Read(users.buffer),
                    Binding::Write(user.buffer),
                    Binding::Write(target.buffer),
                    Binding::Write(weight.buffer),
                    Binding::write(event),
                ],
                workgroups,
            },
            Dispatch {
                shader: "batch_history",
                constants: vec![],
                params: history,
                step: true,
                bindings: vec![
                    Binding::Read(order.buffer),
                    Binding::Read(users.buffer),
                    Binding::Read(starts.buffer),
                    Binding::read(ends),
                    Binding::Write(slice.buffer),
                    Binding::write(hole),
                ],
                workgroups,
            },
        ]
    }
}
