//! Negatives of an example's own: drawn, kept off the user's items, mined; and the checks of their settings.

use crate::config::{Config, Frequency, Gap, Label, LogQ, Loss, NegativesFrom, Sampler};
use crate::schema::Schema;
use crate::{Error, Result};
use rt_data::{Dataset, Split};
use rt_tensor::{BatchVars, ShownSpec, Store, Tape, UnseenSpec, Var};

/// The negatives of a batch's rows.
pub(crate) struct Own {
    /// Ids `[rows, k + mined]`.
    pub ids: Var,
    /// The same below each other `[rows * (k + mined), 1]`; the pool `[k, 1]` where the rows share one.
    pub flat: Var,
    /// ln of how often each of `flat` is expected, where some of them were not drawn; with `logq` alone.
    correction: Option<Var>,
    /// Do some stand for "none": equal to the target, whether or not accidental hits are masked?
    pub holes: bool,
}

/// Number of the draws of mined negatives among the streams of negatives.
const MINED: u32 = 7;

/// Ranks that are mined from, of a large catalogue.
const RANKS: [usize; 2] = [101, 500];

impl Config {
    /// First and last rank that are mined from, of so many items.
    pub(crate) fn ranks_mined(&self, items: usize) -> [usize; 2] {
        if let [first, last] = self.mine_ranks[..] {
            return [first, last];
        }
        let last = RANKS[1].min(items / 2).max(self.mine).max(1);
        [RANKS[0].min(last / 5 + 1).min((last + 1).saturating_sub(self.mine)).max(1), last]
    }
}

impl Loss {
    /// Has each example negatives of its own?
    pub(crate) fn draws_own(self) -> bool {
        match self {
            Self::List | Self::Pointwise | Self::Bpr | Self::Hinge => true,
            Self::InBatch | Self::Full | Self::Sampled => false,
        }
    }
}

/// `n` draws of the sampler, `[n, 1]`.
pub(crate) fn draw(tape: &mut Tape, config: &Config, schema: &Schema, n: usize) -> Result<Var> {
    Ok(match alias(tape, config, schema) {
        None => tape.draw_uniform(n, 1, schema.candidates as u32, 0)?,
        Some((threshold, alias)) => tape.draw_alias(n, threshold, alias, 0)?,
    })
}

fn alias(tape: &mut Tape, config: &Config, schema: &Schema) -> Option<(Var, Var)> {
    let mut input = |name| tape.input_ids(name, schema.item_rows, 1);
    (config.sampler != Sampler::Uniform || !schema.first_items)
        .then(|| (input("alias.threshold"), input("alias.alias")))
}

/// Records the draws of each row, then the mined ones.
pub(crate) fn own(tape: &mut Tape, config: &Config, schema: &Schema, batch: &BatchVars, events: usize) -> Result<Own> {
    let (rows, k) = (tape.shape(batch.target)[0], config.negatives);
    if config.negatives_shared {
        let flat = draw(tape, config, schema, k)?;
        let one = tape.reshape(flat, 1, k)?;
        let each = tape.constant_ids(&vec![0; rows], rows, 1)?;
        return Ok(Own { ids: tape.take(one, each)?, flat, correction: None, holes: false });
    }
    let mut parts = Vec::new();
    if config.exclude_own {
        let spec = UnseenSpec {
            user: batch.user,
            target: batch.target,
            list: tape.input_ids("own.items", events, 1),
            slices: tape.input_ids("own.slices", schema.user_rows, 2),
            alias: alias(tape, config, schema),
            count: schema.candidates as u32,
            k,
        };
        parts.push(tape.draw_unseen(&spec, 0)?);
    } else {
        let flat = draw(tape, config, schema, rows * k)?;
        parts.push(tape.reshape(flat, rows, k)?);
    }
    let mut correction = None;
    if config.negatives_from != NegativesFrom::Sampler {
        let spans = tape.input_ids("exposed.spans", events, 2);
        let drawn = tape.reshape(parts[0], rows * k, 1)?;
        let own = if config.negatives_from == NegativesFrom::Both { k.div_ceil(2) } else { k };
        let items = tape.input_ids("exposed.items", schema.exposed, 1);
        let spec = ShownSpec { items, spans: tape.take(spans, batch.event)?, drawn, own };
        let corrected = config.loss == Loss::List && config.logq != LogQ::Off;
        let table = corrected.then(|| tape.input("logq.sampler", schema.item_rows, 1));
        let flat;
        (flat, correction) = tape.shown_negatives(&spec, table, (k as f64).ln() as f32)?;
        parts[0] = tape.reshape(flat, rows, k)?;
    }
    if config.mine > 0 {
        let mined = tape.input_ids("mined", events, config.mine);
        let mined = tape.take(mined, batch.event)?;
        parts.push(tape.keep_mined(mined, batch.target, mined_share(config), MINED)?);
    }
    let ids = if let [one] = parts[..] { one } else { tape.concat_ids(&parts)? };
    let n = rows * tape.shape(ids)[1];
    let flat = tape.reshape(ids, n, 1)?;
    Ok(Own { ids, flat, correction, holes: config.exclude_own || config.mine > 0 })
}

/// ln of how often each negative of [`own`] is expected, `[rows, k + mined]`: `table` by item for the drawn ones, and where the
/// user's own items are kept out, the more of each other one ([`OWN_SHARE`]). The mined ones are drawn from a window of
/// ranks, alike.
pub(crate) fn logq(tape: &mut Tape, config: &Config, schema: &Schema, table: Var, own: &Own, user: Var) -> Result<Var> {
    let [rows, n] = tape.shape(own.ids);
    let k = config.negatives;
    let ln_k = (k as f64).ln() as f32;
    if n == k {
        let all = match own.correction {
            Some(correction) => correction,
            None => tape.logq(table, own.flat, false, ln_k)?,
        };
        let all = tape.reshape(all, rows, k)?;
        return without_own(tape, config, schema, all, user);
    }
    let drawn = match own.correction {
        Some(correction) => correction,
        None => {
            let drawn = tape.columns(own.ids, 0, k)?;
            let drawn = tape.concat_ids(&[drawn])?;
            let drawn = tape.reshape(drawn, rows * k, 1)?;
            tape.logq(table, drawn, false, ln_k)?
        }
    };
    let drawn = tape.reshape(drawn, rows, k)?;
    let drawn = without_own(tape, config, schema, drawn, user)?;
    let [first, last] = config.ranks_mined(schema.candidates);
    let window = (last - first + 1).min(schema.candidates).max(1) as f64;
    let expected = f64::from(mined_share(config)) * config.mine as f64 / window;
    let mined = tape.constant(&vec![expected.ln() as f32; rows * config.mine], rows, config.mine)?;
    Ok(tape.concat(&[drawn, mined])?)
}

/// What the draws of a row are expected `[rows, k]` (ln) where its user's items are kept out of them: what these would have taken
/// goes to the others. Of negatives that are not drawn it says nothing, so that it leaves them as they are.
fn without_own(tape: &mut Tape, config: &Config, schema: &Schema, ln_draws: Var, user: Var) -> Result<Var> {
    if !config.exclude_own || config.negatives_from != NegativesFrom::Sampler {
        return Ok(ln_draws);
    }
    let [_, k] = tape.shape(ln_draws);
    let table = tape.input(OWN_SHARE, schema.user_rows, 1);
    let more = tape.take(table, user)?;
    let ones = tape.constant(&vec![1.0; k], k, 1)?;
    let more = tape.product(more, ones)?;
    Ok(tape.add(ln_draws, more)?)
}

/// By user: the logarithm of how many times as often an item that is not the user's is drawn because theirs are drawn anew. With Q,
/// the probability that one draw gives an item of theirs, and T tries that is `1 + Q + ... + Q^(T - 1) = (1 - Q^T) / (1 - Q)`.
const OWN_SHARE: &str = "own.share";

/// [`OWN_SHARE`] for draws with these weights by item.
pub(crate) fn upload_own_share(store: &Store, data: &Dataset, split: &Split, weights: &[f64]) -> Result<()> {
    let total: f64 = weights.iter().sum();
    let (items, slices) = own_items(data, split);
    let of_user = |slice: &[u32]| {
        let mut own = items[slice[0] as usize..][..slice[1] as usize].to_vec();
        own.dedup();
        let share = own.iter().fold(0.0, |sum, item| sum + weights[*item as usize]) / total;
        (0..UnseenSpec::TRIES as i32).fold(0.0, |sum, tries| sum + share.powi(tries)).ln() as f32
    };
    Ok(store.put_f32(OWN_SHARE, &slices.chunks(2).map(of_user).collect::<Vec<_>>())?)
}

/// Probability that a step takes a mined negative, so that drawn and mined ones stand as `mine_share` to 1.
fn mined_share(config: &Config) -> f32 {
    (config.negatives as f32 / (config.mine_share * config.mine as f32)).min(1.0)
}

/// ln of how often each target of the batch is expected among its in-batch negatives, `[rows, 1]`.
pub(crate) fn in_batch_logq(tape: &mut Tape, config: &Config, schema: &Schema, target: Var) -> Result<Var> {
    if config.frequency == Frequency::Stream {
        let hashed = config.frequency_slots > 0;
        let slots = if hashed { config.frequency_slots } else { schema.item_rows };
        return Ok(tape.frequency(target, slots, config.frequency_hashes, hashed, config.frequency_rate)?);
    }
    let table = tape.input("logq.targets", schema.item_rows, 1);
    Ok(tape.logq(table, target, true, 0.0)?)
}

/// Puts what [`own`] reads into the store: each user's train items in ascending order; room for mined ones.
pub(crate) fn upload(store: &Store, config: &Config, data: &Dataset, split: &Split) -> Result<()> {
    if config.exclude_own || config.masks_own() {
        let (items, slices) = own_items(data, split);
        store.put_u32("own.items", &items)?;
        store.put_u32("own.slices", &slices)?;
    }
    if config.mine > 0 {
        store.put_u32("mined", &vec![0; data.event_item.len() * config.mine])?;
    }
    Ok(())
}

/// The items of each user's train events, ascending, where the events stand; and each user's (start, length).
pub(crate) fn own_items(data: &Dataset, split: &Split) -> (Vec<u32>, Vec<u32>) {
    let mut items = data.event_item.clone();
    let mut slices = Vec::with_capacity(2 * split.train_end.len());
    for user in 0..split.train_end.len() {
        let events = split.train_events(data, user as u32);
        slices.extend([events.start as u32, events.len() as u32]);
        items[events].sort_unstable();
    }
    (items, slices)
}

/// Checks the values of these settings, each alone.
pub(crate) fn check_values(config: &Config) -> Result<()> {
    let bad = |key: &str, value: String, want: &str| Err(Error::Config(format!("`{key} = {value}`: has to be {want}")));
    if config.subsample < 0.0 {
        return bad("subsample", config.subsample.to_string(), "at least 0");
    }
    if config.margin <= 0.0 {
        return bad("margin", config.margin.to_string(), "above 0");
    }
    if !(config.frequency_rate > 0.0 && config.frequency_rate <= 1.0) {
        return bad("frequency_rate", config.frequency_rate.to_string(), "above 0 and at most 1");
    }
    if !(1..=16).contains(&config.frequency_hashes) {
        return bad("frequency_hashes", config.frequency_hashes.to_string(), "from 1 to 16");
    }
    if config.frequency_slots > 1 << 28 {
        return bad("frequency_slots", config.frequency_slots.to_string(), "at most 268435456");
    }
    if config.mine > 2 {
        return bad("mine", config.mine.to_string(), "at most 2: more hard negatives than that made retrieval worse");
    }
    if config.mine_share <= 0.0 {
        return bad("mine_share", config.mine_share.to_string(), "above 0");
    }
    let r = &config.mine_ranks;
    if r.is_empty() {
        return Ok(());
    }
    let two = r.len() == 2 && r[0] >= 1 && r[0] <= r[1];
    if !two || r[1] == usize::MAX || r[1] - r[0] + 1 < config.mine {
        let shown: Vec<String> =
            r.iter().map(|n| if *n == usize::MAX { "all".into() } else { n.to_string() }).collect();
        return bad("mine_ranks", format!("[{}]", shown.join(", ")), "the first and the last rank, such as 101,500");
    }
    Ok(())
}

/// Checks that every one of these settings that was changed is read by the others.
pub(crate) fn check_together(config: &Config) -> Result<()> {
    let plain = Config::new(config.model);
    let refuse = |what: String| Err(Error::Config(what));
    let own = "loss = list, pointwise, bpr or hinge";
    if config.exclude_own && !config.loss.draws_own() {
        return refuse(format!("exclude_own: needs negatives of each example's own: {own}"));
    }
    if config.mine > 0 && !config.loss.draws_own() {
        return refuse(format!("mine: mined negatives join those of each example's own: {own}"));
    }
    if config.negatives_shared {
        match config.loss {
            Loss::Pointwise | Loss::Bpr | Loss::Hinge => {}
            Loss::List => {
                let what =
                    "negatives_shared: loss = sampled is the softmax of loss = list over a pool that the batch shares";
                return refuse(what.into());
            }
            Loss::InBatch | Loss::Full | Loss::Sampled => {
                return refuse("negatives_shared: goes with loss = pointwise, bpr or hinge".into());
            }
        }
        let own = [
            ("exclude_own", config.exclude_own),
            ("mine", config.mine > 0),
            ("negatives_from", config.negatives_from != NegativesFrom::Sampler),
        ];
        if let Some((key, _)) = own.iter().find(|(_, on)| *on) {
            return refuse(format!("{key}: with negatives_shared no negative is of one example alone"));
        }
    }
    if config.margin != plain.margin && config.loss != Loss::Hinge {
        return refuse("margin: only loss = hinge reads it".into());
    }
    let mining = [
        ("mine_every", config.mine_every != plain.mine_every),
        // The ranks that settings had before they followed the catalogue.
        ("mine_ranks", config.mine_ranks != plain.mine_ranks && config.mine_ranks != RANKS),
        ("mine_share", config.mine_share != plain.mine_share),
    ];
    if let Some((key, _)) = mining.iter().find(|(_, changed)| *changed && config.mine == 0) {
        return refuse(format!("{key}: nothing is mined; set mine = 1 or 2"));
    }
    let stream = config.frequency == Frequency::Stream;
    if stream && (config.loss != Loss::InBatch || config.logq == LogQ::Off) {
        return refuse("frequency = stream: is the q of loss = in-batch with logq = negatives or all".into());
    }
    let streaming = [
        ("frequency_rate", config.frequency_rate != plain.frequency_rate),
        ("frequency_hashes", config.frequency_hashes != plain.frequency_hashes),
        ("frequency_slots", config.frequency_slots != plain.frequency_slots),
    ];
    if let Some((key, _)) = streaming.iter().find(|(_, changed)| *changed && !stream) {
        return refuse(format!("{key}: only frequency = stream reads it"));
    }
    if config.frequency_hashes > 1 && config.frequency_slots == 0 {
        let what = "frequency_hashes: with frequency_slots = 0 every item has its own slot and one hash is all; set frequency_slots";
        return refuse(what.into());
    }
    Ok(())
}

/// The first of these settings that made-up data cannot serve.
pub(crate) fn needs_data(config: &Config) -> Option<&'static str> {
    let keys = [
        ("exclude_own", config.exclude_own),
        ("subsample", config.subsample > 0.0),
        ("examples_per_user", config.examples_per_user > 0),
        ("user_weight", config.user_weight),
        ("mine", config.mine > 0),
        ("negatives_from", config.negatives_from != NegativesFrom::Sampler),
        ("label", config.label != Label::Next),
        ("session", config.session_seconds() > 0),
        ("gap", config.gap != Gap::Off),
        ("decay_heads", config.decay_heads > 0),
        ("example_age", config.example_age),
        ("hash_rows", config.hash_rows > 0),
        ("hash_items", config.hash_items > 0),
        ("cross", !config.cross.is_empty()),
        ("column_dims", !config.column_dims.is_empty()),
        ("numbers", config.numbers != Config::new(config.model).numbers),
        ("item_vectors", !config.item_vectors.is_empty()),
        ("item_id_dropout", config.item_id_dropout > 0.0),
        ("mask_own", config.masks_own()),
        ("searches", config.searches_read() > 0),
    ];
    keys.iter().find(|(_, on)| *on).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelKind;
    use approx::abs_diff_eq;
    use rt_data::{SplitKind, SplitOptions, Synthetic, split};
    use rt_tensor::{Device, Step};

    /// Where a user's items are drawn anew, the others come the more often: counted over many draws, and as logQ has it.
    #[test]
    fn draws_without_the_users_items_are_expected_as_often_as_they_come() {
        const ROUNDS: u32 = 400;
        let (data, _) = Synthetic::parse("synthetic:users=9,items=12,events=8").unwrap().generate();
        let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
        let mut config = Config::new(ModelKind::Dssm);
        for pair in ["loss=list", "exclude_own=true", "negatives=50", "sampler=popularity"] {
            config.set_pair(pair).unwrap();
        }
        let config = config.resolve(&data, &split).unwrap();
        let schema = Schema::new(&config, &data, false, 0).of_training(&data, &split);
        let mut tape = Tape::new();
        let [user, target] = ["user", "target"].map(|name| tape.input_ids(name, 1, 1));
        let weight = tape.constant(&[1.0], 1, 1).unwrap();
        let slice = tape.constant_ids(&[0, 0], 1, 2).unwrap();
        let batch = BatchVars { user, target, slice, weight, hole: None, event: target };
        let drawn = own(&mut tape, &config, &schema, &batch, data.event_item.len()).unwrap();
        let table = tape.input("logq.sampler", schema.item_rows, 1);
        let expected = logq(&mut tape, &config, &schema, table, &drawn, user).unwrap();
        tape.output("ids", drawn.ids);
        tape.output("logq", expected);
        let store = Store::new(&Device::cpu(1).unwrap(), tape.params(), 1).unwrap();
        let data = std::sync::Arc::new(data);
        crate::losses::upload(&store, &config, &schema, &data, &split).unwrap();
        let mut program = tape.compile(&store).unwrap();
        program.write_u32("user", &[1]).unwrap();
        program.write_u32("target", &[data.event_item[0]]).unwrap();
        let (mut counts, mut said) = (vec![0.0; schema.item_rows], vec![f64::NAN; schema.item_rows]);
        for t in 1..=ROUNDS {
            program.run(&Step::new(t, 5, 0, 1)).unwrap();
            for (id, q) in program.read_u32("ids").unwrap().into_iter().zip(program.read_f32("logq").unwrap()) {
                counts[id as usize] += 1.0;
                said[id as usize] = f64::from(q).exp();
            }
        }
        let own = &data.event_item[split.train_events(&data, 1)];
        let others: Vec<usize> =
            (1..schema.item_rows).filter(|i| !own.contains(&(*i as u32)) && counts[*i] > 0.0).collect();
        assert!(others.len() >= 3, "{counts:?}");
        for item in others {
            let mean = counts[item] / f64::from(ROUNDS);
            // A count of n has a deviation of sqrt(n) at most: five of them.
            let bound = 5.0 / counts[item].sqrt();
            assert!(
                abs_diff_eq!(mean / said[item], 1.0, epsilon = bound),
                "item {item}: {mean} came, {} were expected",
                said[item]
            );
        }
    }
}
