//! Cases of the ops that pool a history by position.

use crate::Result;
use crate::params::Init;
use crate::tape::{Tape, Var};
use rt_kernels::philox;

/// Rows, positions of a row, columns, rows of the table.
const N: usize = 7;
const HISTORY: usize = 6;
const D: usize = 5;
const VOCAB: usize = 6;

/// What one variant of an op records: its loss by row.
type Record = Box<dyn Fn(&mut Tape) -> Result<Var>>;

/// The variants of an op.
pub(super) fn cases(name: &str, seed: u64) -> Vec<(&'static str, Record)> {
    let normal = Init::Normal(0.7);
    match name {
        "max_pool" => {
            let variant = |windows: &'static [usize], zones: bool| -> Record {
                Box::new(move |t| {
                    let (ids, slice) = ids(t)?;
                    let x = rows(t, ids)?;
                    let n = t.shape(slice)[0];
                    let y = t.max_pool(x, ids, n, windows, zones)?;
                    weigh(t, y, seed)
                })
            };
            vec![
                ("one window", variant(&[usize::MAX], false)),
                ("three windows, masked", variant(&[1, 3, 6], false)),
                ("three zones, masked", variant(&[1, 3, usize::MAX], true)),
            ]
        }
        "history_weights" => {
            let by_position: Record = Box::new(move |t| {
                let (ids, _) = ids(t)?;
                let a = t.param("a", [1, 2 * HISTORY], normal)?;
                let w = t.history_weights(ids, N, a, None)?;
                weigh(t, w, seed)
            });
            let by_gap: Record = Box::new(move |t| {
                let (ids, slice) = ids(t)?;
                let times = t.constant_ids(&[0, 5, 4000, 4000, 9000, 90_000, 90_001, 99_000, 400_000], 9, 1)?;
                let gaps = t.history_gaps(times, slice, HISTORY)?;
                let r = t.param("r", [1, 3], normal)?;
                let w = t.history_weights(ids, N, r, Some(gaps))?;
                weigh(t, w, seed)
            });
            vec![("by position, masked", by_position), ("by gap, masked", by_gap)]
        }
        "weighted_pool" => {
            let learned: Record = Box::new(move |t| {
                let (ids, _) = ids(t)?;
                let x = rows(t, ids)?;
                let a = t.param("a", [1, 2 * HISTORY], Init::Slopes(2))?;
                let w = t.history_weights(ids, N, a, None)?;
                let y = t.weighted_pool(x, w)?;
                weigh(t, y, seed)
            });
            let given: Record = Box::new(move |t| {
                let (ids, _) = ids(t)?;
                let x = rows(t, ids)?;
                let w = t.constant(&philox::uniform(seed, 1002, N * HISTORY, 1.0), N, HISTORY)?;
                let y = t.weighted_pool(x, w)?;
                weigh(t, y, seed)
            });
            vec![("two heads, learned", learned), ("one head, given", given)]
        }
        _ => Vec::new(),
    }
}

/// Ids by position of seven slices, one of them empty, some positions dropped; and the slices.
fn ids(t: &mut Tape) -> Result<(Var, Var)> {
    let items = t.constant_ids(&[1, 2, 2, 5, 0, 3, 1, 4, 5], 9, 1)?;
    let slice = t.constant_ids(&[0, 4, 1, 6, 8, 1, 3, 0, 2, 5, 3, 6, 4, 1], N, 2)?;
    let mask = t.history_mask(N, 1, 0.3, 0)?;
    Ok((t.history_ids(items, VOCAB, slice, HISTORY, Some(mask), None)?, slice))
}

fn rows(t: &mut Tape, ids: Var) -> Result<Var> {
    let table = t.table("table", VOCAB, D, Init::Normal(0.7))?;
    t.gather(table, ids)
}

fn weigh(t: &mut Tape, y: Var, seed: u64) -> Result<Var> {
    let [rows, cols] = t.shape(y);
    let c = t.constant(&philox::uniform(seed, 1001, rows * cols, 1.0), rows, cols)?;
    t.group_dot(y, c, 1.0)
}
