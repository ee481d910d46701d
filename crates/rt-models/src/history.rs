//! How the item history enters the user tower: means, sums or maxima of windows, and sums with learned weights.

use crate::config::{Config, Pool};
use crate::towers::{Towers, UserInputs};
use crate::{Error, Result};
use rt_data::{Dataset, Times};
use rt_tensor::{BagOptions, Init, Tape, Var};

/// Most heads of a kind.
const MAX_HEADS: usize = 64;
/// ln of the exponents that decay heads start from, the first head's and the last's: weights (1 + hours)^-2 to
/// (1 + hours)^-1/4.
const DECAYS: (f32, f32) = (std::f32::consts::LN_2, -2.0 * std::f32::consts::LN_2);

impl Config {
    /// Checks the keys of the history alone.
    pub(crate) fn check_history(&self) -> Result<()> {
        for (key, heads) in [("position_heads", self.position_heads), ("decay_heads", self.decay_heads)] {
            if heads > MAX_HEADS {
                return Err(Error::Config(format!("`{key} = {heads}`: has to be at most {MAX_HEADS}")));
            }
        }
        Ok(())
    }

    /// Checks the keys of the history against the data.
    pub(crate) fn check_history_of(&self, data: &Dataset, is_set: bool) -> Result<()> {
        if is_set {
            for (key, off) in [("zones", !self.zones), ("position_heads", self.position_heads == 0)] {
                if !off {
                    let what = format!(
                        "{key}: the data has no time, so a history is a set and has no last items; leave {key} off"
                    );
                    return Err(Error::Config(what));
                }
            }
        }
        if self.decay_heads > 0 && !data.has_clock() {
            return Err(Error::Config("decay_heads: the data has no clock times; set decay_heads = 0".into()));
        }
        Ok(())
    }
}

/// Seconds of each event from one origin, for the kernels of gaps and sessions.
///
/// # Errors
///
/// [`Error::Config`] where 32 bits do not hold the seconds.
pub(crate) fn seconds(times: &Times) -> Result<&[u32]> {
    times.offsets().ok_or_else(|| {
        let what =
            "session, decay_heads: events lie more than 68 years from the first one read; are their times seconds?";
        Error::Config(what.into())
    })
}

/// Seconds of a request's events since the first of them; spans past 2^32 seconds are cut there.
pub(crate) fn seconds_of_request(times: &[i64]) -> impl Iterator<Item = u32> {
    let newest = times.last().copied().unwrap_or(0);
    // Counted back from the newest, so that a cut loses the difference between very old events alone.
    times.iter().map(move |t| u32::MAX - u32::try_from(newest.saturating_sub(*t).max(0)).unwrap_or(u32::MAX))
}

impl Towers<'_> {
    /// Items of the history pooled: the sum of two bags where their ids are hashed by two functions.
    pub(crate) fn bag(&self, tape: &mut Tape, table: Var, inputs: &UserInputs, options: &BagOptions) -> Result<Var> {
        let pooled = tape.bag(table, inputs.items, inputs.slice, options)?;
        let Some(again) = inputs.again else { return Ok(pooled) };
        let other = tape.bag(table, again, inputs.slice, options)?;
        Ok(tape.add(pooled, other)?)
    }

    /// The parts of the user tower's input that come from the history: the windows side by side, `[n, windows * dim]`,
    /// then a part `[n, heads * dim]` for each kind of heads.
    pub(crate) fn pooled(
        &self,
        tape: &mut Tape,
        table: Var,
        inputs: &UserInputs,
        mask: Option<Var>,
    ) -> Result<Vec<Var>> {
        let (config, history) = (self.config, self.schema.history);
        let rows = tape.shape(inputs.slice)[0];
        let heads = config.position_heads + config.decay_heads > 0;
        let written = if heads || config.pool == Pool::Max {
            let table_rows = self.schema.item_table_rows();
            let mut of = |items| tape.history_ids(items, table_rows, inputs.slice, history, mask, inputs.hole);
            let (ids, again) = (of(inputs.items)?, inputs.again.map(&mut of).transpose()?);
            let mut x = tape.gather(table, ids)?;
            if let Some(again) = again {
                let other = tape.gather(table, again)?;
                x = tape.add(x, other)?;
            }
            Some((ids, x))
        } else {
            None
        };
        let mut parts = Vec::new();
        match (config.pool, written) {
            (Pool::Max, Some((ids, x))) => parts.push(tape.max_pool(x, ids, rows, &config.windows, config.zones)?),
            (pool, _) => {
                let options = BagOptions {
                    windows: config.windows.clone(),
                    mean: pool == Pool::Mean,
                    zones: config.zones,
                    max_len: history,
                    mask,
                    hole: inputs.hole,
                };
                parts.push(self.bag(tape, table, inputs, &options)?);
            }
        }
        let Some((ids, x)) = written else {
            return Ok(parts);
        };
        if config.position_heads > 0 {
            let heads = config.position_heads;
            let scores = tape.param("history.position", [1, heads * history], Init::Slopes(heads))?;
            let w = tape.history_weights(ids, rows, scores, None)?;
            parts.push(tape.weighted_pool(x, w)?);
        }
        if let Some(times) = inputs.times {
            let (first, last) = DECAYS;
            let rates = tape.param("history.decay", [1, config.decay_heads], Init::Spread(first, last))?;
            let gaps = tape.history_gaps(times, inputs.slice, history)?;
            let w = tape.history_weights(ids, rows, rates, Some(gaps))?;
            parts.push(tape.weighted_pool(x, w)?);
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_start_at_the_first_event() {
        let of = |times: &[i64]| seconds(&times.iter().copied().collect()).map(<[u32]>::to_vec);
        assert_eq!(of(&[-5, 10, -5, 2_147_483_640]).unwrap(), [0, 15, 0, 2_147_483_645]);
        assert!(of(&[0, 1 << 32]).unwrap_err().to_string().contains("68 years"));
        assert!(of(&[i64::MIN, i64::MAX]).is_err());
        assert!(of(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_request_keeps_the_differences_to_its_newest_event() {
        let got: Vec<u32> = seconds_of_request(&[i64::MIN, 100, 7_300, 100_000]).collect();
        assert_eq!(got, [0, u32::MAX - 99_900, u32::MAX - 92_700, u32::MAX]);
        assert_eq!(seconds_of_request(&[50, 20]).collect::<Vec<_>>(), [u32::MAX, u32::MAX], "later than the newest");
    }
}
