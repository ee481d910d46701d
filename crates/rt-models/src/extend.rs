//! Going on with a trained model: its data with new data behind it, its weights in tables that have grown.

use crate::config::NegativesFrom;
use crate::features::{has_indicator, mean};
use crate::model::Model;
use crate::schema::small_dim;
use crate::train::{OnProgress, TrainReport, fit};
use crate::{Config, Error, Result};
use rt_data::{Column, Dataset, EvalCase, Exposed, Features, Searches, Split, SplitKind, SplitOptions, Vocab};
use rt_tensor::{Device, ParamKind};
use std::collections::HashMap;
use std::sync::Arc;

/// A model's data with new data behind it, divided so that what is new is trained on and tested.
#[derive(Debug, Clone)]
pub struct Extended {
    /// Old ids are as they were, new ones follow; the events of a user whom the model knows stand before the new ones.
    pub data: Arc<Dataset>,
    /// Examples and cases whose targets are new; their histories reach back into the old events.
    pub split: Split,
    /// Users whom the model did not know.
    pub new_users: usize,
    /// Items that it did not know.
    pub new_items: usize,
    /// Events of the new data that the model knows already: they are not taken twice.
    pub known_events: usize,
    /// What of the new data has no place in the model, in words.
    pub notes: Vec<String>,
}

/// Puts `new` behind the data of a model. Of a log that holds the old events too, those count as known: each (user, item, time) as
/// often as the model has it, or, without clock times, a user's first events where every user's begin with the old ones. Where all are
/// known, the model's own events are divided anew.
///
/// Leave-last-out divides each user's events of both together and keeps the examples and cases whose target is new. The other
/// kinds divide the new data alone; then every new training event of a known user is an example.
///
/// # Errors
///
/// [`Error::Data`] where the new data cannot be divided so, [`Error::Request`] where nothing of it is left to train on or
/// where one of the two has ordered histories and the other sets.
pub fn extend(model: &Model, new: &Dataset, kind: SplitKind, mut options: SplitOptions) -> Result<Extended> {
    let kept = options.mask.is_none();
    options.mask = options.mask.or(Some(model.mask()));
    let mut notes = Vec::new();
    let keep = unknown_events(&model.data, new);
    let known_events = keep.iter().filter(|keep| !**keep).count();
    let fresh = (known_events > 0).then(|| new.keep_events(&keep));
    let all = new.event_item.len();
    let again = known_events == all;
    match (known_events, again) {
        (0, _) => {}
        (_, true) => {
            notes.push(format!("all {all} events are those that the model knows already: it goes on with them"))
        }
        (_, false) => notes.push(format!(
            "{known_events} of the {all} events are those that the model knows already: not counted twice"
        )),
    }
    let ordered = !new.event_time.is_empty();
    let new = fresh.as_ref().unwrap_or(new);
    let merge = Merge::new(model, new);
    let mut data = merge.data(&mut notes);
    data.searches = merge.searches(model, &mut notes)?;
    if again && ordered && data.event_time.is_empty() {
        data.event_time = data.user_start.windows(2).flat_map(|w| 1..=i64::from(w[1] - w[0])).collect();
        data.time_is_order = true;
    }
    let data = Arc::new(data);
    let mut split = match kind {
        _ if again => rt_data::split(&data, kind, options)?,
        SplitKind::LeaveLastOut if new.event_time.is_empty() => rt_data::split(new, kind, options)?,
        SplitKind::LeaveLastOut => merge.leave_last_out(&data, options)?,
        SplitKind::Time { .. } | SplitKind::Files | SplitKind::None => {
            merge.map(&data, &rt_data::split(new, kind, options)?)
        }
    };
    if kept {
        split.mask_reason = "that of the model".into();
    }
    if split.history_is_set != model.schema.history_is_set {
        let what = |set: bool| if set { "sets" } else { "in order" };
        return Err(Error::Request(format!(
            "histories of the model are {}, those of the new data {}: a model goes on with data of its own kind",
            what(model.schema.history_is_set),
            what(split.history_is_set)
        )));
    }
    if split.examples.is_empty() {
        let what = "the new data has nothing to train on: an example is a new event of a user with an event before it";
        return Err(Error::Request(what.into()));
    }
    let (new_users, new_items) =
        (data.users.rows() - model.data.users.rows(), data.items.rows() - model.data.items.rows());
    Ok(Extended { data, split, new_users, new_items, known_events, notes })
}

/// By event of the new data: is it none of those that the old data has?
fn unknown_events(old: &Dataset, new: &Dataset) -> Vec<bool> {
    let mut keep = vec![true; new.event_item.len()];
    let clocks = old.has_clock() && new.has_clock();
    let sets = old.event_time.is_empty() && new.event_time.is_empty();
    // What a file gives to be validated or tested stays.
    let trains = |event: usize| new.event_part.get(event).is_none_or(|part| *part == 0);
    let mut starts_with_old = true;
    for user in 1..new.users.rows() as u32 {
        let Some(known) = old.users.get(new.users.raw(user)) else { continue };
        let item = |event: usize| old.items.get(new.items.raw(new.event_item[event])).unwrap_or(0);
        let (was, now) = (old.events_of(known), new.events_of(user));
        if clocks || sets {
            let mut events: HashMap<(u32, i64), usize> = HashMap::new();
            was.for_each(|event| *events.entry((old.event_item[event], old.time(event))).or_default() += 1);
            for event in now.filter(|event| trains(*event)) {
                if let Some(count) = events.get_mut(&(item(event), new.time(event))).filter(|count| **count > 0) {
                    *count -= 1;
                    keep[event] = false;
                }
            }
        } else {
            let same =
                was.len() <= now.len() && was.clone().zip(now.clone()).all(|(a, b)| old.event_item[a] == item(b));
            starts_with_old &= same || now.is_empty();
            now.take(was.len()).for_each(|event| keep[event] = !same);
        }
    }
    // Places in an order say less than times: one user whose events begin otherwise, and the log is one of new events.
    if starts_with_old || clocks || sets { keep } else { vec![true; keep.len()] }
}

/// Trains a model that starts from the weights of `base` on extended data: rows of new users, items and categories start at
/// their initial values for `seed`, and the optimiser's state starts anew.
///
/// # Errors
///
/// [`Error::Config`] where `config` gives a parameter another shape than `base` has; else as [`crate::train`].
pub fn train_from(
    device: &Device,
    base: &Model,
    config: &Config,
    extended: &Extended,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    let model = start_from(device, base, config, extended, seed)?;
    fit(model, &extended.split, None, seed, progress)
}

/// The same for as many epochs as were best when some events were held back ([`Split::hold_back`]): `first` is the model that
/// found them, from the same `base`.
///
/// # Errors
///
/// As [`train_from`]; [`Error::Training`] for 0 epochs.
pub fn refit_from(
    first: &Model,
    base: &Model,
    extended: &Extended,
    epochs: usize,
    seed: u64,
    progress: OnProgress<'_>,
) -> Result<(Model, TrainReport)> {
    let model = start_from(first.device(), base, &first.config, extended, seed)?;
    fit(model, &extended.split, Some(epochs), seed, progress)
}

/// An untrained model of extended data with the weights of `base`.
fn start_from(device: &Device, base: &Model, config: &Config, extended: &Extended, seed: u64) -> Result<Model> {
    keeps_inputs(base.config(), config)?;
    let mut config = config.clone();
    if config.negatives_from != NegativesFrom::Sampler && extended.data.exposed.is_none() {
        tracing::warn!("the new data does not say what was shown and not clicked: all negatives are drawn");
        config.negatives_from = NegativesFrom::Sampler;
    }
    let words = base.searches.as_ref().map(|searches| &searches.tokens);
    let mut model = Model::with_words(device, &config, extended.data.clone(), &extended.split, seed, words)?;
    hand_over(base, &model)?;
    let data = &extended.data;
    model.trained.keep(data, base, |user| data.events_of(user).len() == base.data.events_of(user).len());
    Ok(model)
}

/// Fails where settings give rows of tables or inputs of towers another meaning than they had, which shapes alone do not show.
fn keeps_inputs(was: &Config, now: &Config) -> Result<()> {
    let same = [
        ("hash_rows", was.hash_rows == now.hash_rows),
        ("hash_items", was.hash_items == now.hash_items),
        ("hash_crosses", was.hash_crosses == now.hash_crosses),
        ("hash_functions", was.hash_functions == now.hash_functions),
        ("numbers", was.numbers == now.numbers),
        ("cross", was.cross == now.cross),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((key, _)) => Err(Error::Config(format!(
            "{key}: is another in the saved model, whose weights would be read as those of other ids or numbers: leave it as it is"
        ))),
        None => Ok(()),
    }
}

/// Puts the weights of `base` into `model`, whose tables may have more rows.
fn hand_over(base: &Model, model: &Model) -> Result<()> {
    let keep =
        "settings that shape the model (dim, column_dims, history windows, hidden layers, features) stay as they are";
    let (old, new) = (base.store.params(), model.store.params());
    if let Some(p) = old.list().iter().find(|p| new.find(&p.name).is_none()) {
        return Err(Error::Config(format!("the model has `{}`, which these settings leave out: {keep}", p.name)));
    }
    for p in new.list() {
        let Some(was) = old.find(&p.name).map(|i| &old.list()[i]) else {
            return Err(Error::Config(format!("the model has no `{}`, which these settings need: {keep}", p.name)));
        };
        if let (Some(rows), true) = (crossed_rows(base, model, &p.name), p.shape[1] == was.shape[1]) {
            let (mut values, trained) = (model.store.get(&p.name)?, base.store.get(&p.name)?);
            for (new, old) in rows {
                values[new * p.shape[1]..][..p.shape[1]].copy_from_slice(&trained[old * p.shape[1]..][..p.shape[1]]);
            }
            model.store.set(&p.name, &values)?;
            continue;
        }
        let grows = p.kind == ParamKind::Table && p.shape[0] >= was.shape[0] && p.shape[1] == was.shape[1];
        if p.kind != was.kind || !(grows || p.shape == was.shape) {
            let what =
                format!("`{}` is {:?} in the model and {:?} with these settings: {keep}", p.name, was.shape, p.shape);
            return Err(Error::Config(what));
        }
        let (mut values, trained) = (model.store.get(&p.name)?, base.store.get(&p.name)?);
        values[..trained.len()].copy_from_slice(&trained);
        model.store.set(&p.name, &values)?;
    }
    Ok(())
}

/// The rows (new, old) that a table of crossed categories has in both models; `None` for other parameters. Crossed categories are
/// numbered as they occur, and what is new of a known user or item may change that.
fn crossed_rows(base: &Model, model: &Model, param: &str) -> Option<Vec<(usize, usize)>> {
    let (side, name) = param.split_once('.')?;
    let vocab = |model: &Model| {
        let features = match side {
            "user" => &model.data.user_features,
            "item" => &model.data.item_features,
            _ => return None,
        };
        model.schema.extra.crossed(features, name)
    };
    let (old, new) = (vocab(base)?, vocab(model)?);
    let same = |(row, raw): (usize, &str)| old.get(raw).map(|was| (row, was as usize));
    Some(new.iter().enumerate().map(|(i, raw)| (i + 1, raw)).filter_map(same).collect())
}

/// Two data sets and how the ids of the second become those of both.
struct Merge<'a> {
    config: &'a Config,
    old: &'a Dataset,
    new: &'a Dataset,
    users: Vocab,
    items: Vocab,
    /// Dense user of both by dense user of the new data, and the same of items.
    user: Vec<u32>,
    item: Vec<u32>,
    /// Dense user of the new data by dense user of both.
    of_new: Vec<Option<u32>>,
}

fn grown(old: &Vocab, new: &Vocab) -> (Vocab, Vec<u32>) {
    let mut both = old.clone();
    let map = std::iter::once(0).chain(new.iter().map(|raw| both.insert(raw))).collect();
    (both, map)
}

impl<'a> Merge<'a> {
    fn new(model: &'a Model, new: &'a Dataset) -> Self {
        let old = &*model.data;
        let ((users, user), (items, item)) = (grown(&old.users, &new.users), grown(&old.items, &new.items));
        let mut of_new = vec![None; users.rows()];
        for (n, u) in user.iter().enumerate().skip(1) {
            of_new[*u as usize] = Some(n as u32);
        }
        Self { config: &model.config, old, new, users, items, user, item, of_new }
    }

    /// Events of a user of both in the old data.
    fn old_events(&self, user: u32) -> std::ops::Range<usize> {
        if (user as usize) < self.old.users.rows() { self.old.events_of(user) } else { 0..0 }
    }

    fn new_events(&self, user: u32) -> std::ops::Range<usize> {
        self.of_new[user as usize].map_or(0..0, |n| self.new.events_of(n))
    }

    /// The event of both for an event of the new data, or for the end of a user's.
    fn event(&self, data: &Dataset, new_user: u32, event: u32) -> u32 {
        let user = self.user[new_user as usize];
        let before = self.old_events(user).len() as u32;
        data.user_start[user as usize] + before + event - self.new.user_start[new_user as usize]
    }

    fn data(&self, notes: &mut Vec<String>) -> Dataset {
        let (old, new) = (self.old, self.new);
        let clocks = old.has_clock() && (new.has_clock() || new.event_item.is_empty());
        let ordered = !new.event_time.is_empty();
        let mut data = Dataset {
            name: new.name.clone(),
            users: self.users.clone(),
            items: self.items.clone(),
            time_is_order: ordered && !clocks,
            user_start: vec![0],
            ..Dataset::default()
        };
        // Where an event comes from: false and its number in the old data, or true and its number in the new.
        let mut from: Vec<(bool, usize)> = Vec::new();
        for user in 0..self.users.rows() as u32 {
            from.extend(self.old_events(user).map(|e| (false, e)));
            from.extend(self.new_events(user).map(|e| (true, e)));
            data.user_start.push(from.len() as u32);
        }
        data.event_item = from
            .iter()
            .map(|(n, e)| if *n { self.item[new.event_item[*e] as usize] } else { old.event_item[*e] })
            .collect();
        if clocks {
            let time = |(n, e): &(bool, usize)| if *n { new.time(*e) } else { old.time(*e) };
            let mut times: Vec<i64> = from.iter().map(time).collect();
            // Histories are given oldest first: a new event cannot lie before the old ones.
            let mut early = 0;
            for w in data.user_start.windows(2) {
                for e in w[0] as usize + 1..w[1] as usize {
                    if times[e] < times[e - 1] {
                        times[e] = times[e - 1];
                        early += 1;
                    }
                }
            }
            if early > 0 {
                notes.push(format!(
                    "{early} new events are dated before the user's last known one: they count as of its time"
                ));
            }
            data.event_time = times.into_iter().collect();
        } else if ordered {
            let places = data.user_start.windows(2).flat_map(|w| 1..=i64::from(w[1] - w[0]));
            data.event_time = places.collect();
        }
        if !new.event_weight.is_empty() {
            // The examples are new events; what an old one weighs is not looked at.
            data.event_weight = from.iter().map(|(n, e)| if *n { new.event_weight[*e] } else { 1.0 }).collect();
        }
        if let Some(exposed) = &new.exposed {
            let span = |(n, e): &(bool, usize)| if *n { exposed.spans[*e] } else { [0, 0] };
            data.exposed = Some(Exposed {
                items: exposed.items.iter().map(|item| self.item[*item as usize]).collect(),
                spans: from.iter().map(span).collect(),
            });
        }
        data.left_out = new.left_out;
        data.catalogue =
            old.catalogue.iter().copied().chain(new.catalogue.iter().map(|i| self.item[*i as usize])).collect();
        data.catalogue.sort_unstable();
        data.catalogue.dedup();
        if !(old.offered.is_empty() && new.offered.is_empty()) {
            let known = old.offered().iter().copied();
            data.offered = known.chain(new.offered().iter().map(|i| self.item[*i as usize])).collect();
            data.offered.sort_unstable();
            data.offered.dedup();
        }
        data.rank_all = new.rank_all;
        let mut rows = |old: &Features, new: &Features, map: &[u32], rows: usize, side: &str| {
            // A row of the new data speaks where it says something.
            let place = |row: usize| map.get(row).map(|r| *r as usize);
            features(old, new, rows, Some, place, (side, self.config), notes)
        };
        data.user_features = rows(&old.user_features, &new.user_features, &self.user, self.users.rows(), "user");
        data.item_features = rows(&old.item_features, &new.item_features, &self.item, self.items.rows(), "item");
        let (mut of_old, mut of_new) = (vec![0; old.event_item.len()], vec![0; new.event_item.len()]);
        for (place, (n, e)) in from.iter().enumerate() {
            if *n { of_new[*e] = place } else { of_old[*e] = place }
        }
        let (at_old, at_new) = (|e: usize| of_old.get(e).copied(), |e: usize| of_new.get(e).copied());
        data.event_features = features(
            &old.event_features,
            &new.event_features,
            from.len(),
            at_old,
            at_new,
            ("event", self.config),
            notes,
        );
        if !(old.titles.is_empty() && new.titles.is_empty()) {
            data.titles = old.titles.clone();
            data.titles.resize(self.items.rows(), String::new());
            for (title, item) in new.titles.iter().zip(&self.item) {
                if data.titles[*item as usize].is_empty() {
                    data.titles[*item as usize].clone_from(title);
                }
            }
        }
        data
    }

    /// The searches that the model keeps and the new ones, in the words that it has rows for.
    fn searches(&self, model: &Model, notes: &mut Vec<String>) -> Result<Option<Searches>> {
        let Some(old) = model.kept_searches() else {
            return match &self.new.searches {
                Some(_) => Err(Error::Request(
                    "searches with the new data: the model was trained without searches and goes on without them"
                        .into(),
                )),
                None => Ok(None),
            };
        };
        let Some(new) = &self.new.searches else {
            notes.push("no searches were read with the new data: new events see those that the model keeps".into());
            return Ok(Some(old.and(&Searches::default(), self.users.rows(), |user| user)));
        };
        let known = new.in_words_of(&old.tokens);
        let unknown = new.token.len() - known.token.len();
        if unknown > 0 {
            let all = new.token.len();
            notes.push(format!("{unknown} of {all} words in the new searches have no row in the model: left out"));
        }
        let both = old.and(&known, self.users.rows(), |user| self.user[user as usize]);
        let again = old.len() + known.len() - both.len();
        if again > 0 {
            notes.push(format!(
                "{again} of the {} new searches are those that the model keeps already: not read twice",
                known.len()
            ));
        }
        Ok(Some(both))
    }

    /// Last new event of a user = test, the one before = validation where it is new too.
    fn leave_last_out(&self, data: &Dataset, options: SplitOptions) -> Result<Split> {
        let mut split = rt_data::split(data, SplitKind::LeaveLastOut, options)?;
        let first_new = |user: u32| data.user_start[user as usize] + self.old_events(user).len() as u32;
        split.examples.retain(|e| *e >= first_new(data.user_of(*e as usize)));
        for cases in [&mut split.valid, &mut split.test] {
            cases.retain(|case| case.targets[0] >= first_new(case.user));
        }
        for user in 0..self.users.rows() as u32 {
            if self.new_events(user).is_empty() {
                split.train_end[user as usize] = data.user_start[user as usize + 1];
            }
        }
        split.train_after_test = None;
        Ok(split)
    }

    /// A split of the new data as one of both.
    fn map(&self, data: &Dataset, split: &Split) -> Split {
        let new = self.new;
        let mut train_end: Vec<u32> = data.user_start[1..].to_vec();
        let mut wanted = vec![false; new.event_item.len()];
        split.examples.iter().for_each(|e| wanted[e as usize] = true);
        let mut examples = Vec::new();
        for n in 0..new.users.rows() as u32 {
            let end = split.train_end[n as usize];
            let user = self.user[n as usize];
            if !new.events_of(n).is_empty() {
                train_end[user as usize] = self.event(data, n, end);
            }
            let known = !self.old_events(user).is_empty();
            let own = new.user_start[n as usize]..end;
            examples.extend(own.filter(|e| known || wanted[*e as usize]).map(|e| self.event(data, n, e)));
        }
        examples.sort_unstable();
        let cases = |cases: &[EvalCase]| {
            let one = |case: &EvalCase| {
                let user = self.user[case.user as usize];
                let start = data.user_start[user as usize];
                EvalCase {
                    user,
                    history: start..self.event(data, case.user, case.history.end),
                    train: start..train_end[user as usize],
                    targets: case.targets.iter().map(|t| self.event(data, case.user, *t)).collect(),
                }
            };
            cases.iter().map(one).collect()
        };
        let mut both = Split::empty(split.kind, 0);
        both.examples = examples.into_iter().collect();
        (both.valid, both.test) = (cases(&split.valid), cases(&split.test));
        both.train_end.clone_from(&train_end);
        both.history_is_set = split.history_is_set;
        (both.mask, both.mask_reason) = (split.mask, split.mask_reason.clone());
        both
    }
}

/// The columns of the old data with `rows` rows. `at_old` and `at_new` give the row of both for a row of each; where both speak of
/// a row, the new one is heard.
fn features(
    old: &Features,
    new: &Features,
    rows: usize,
    at_old: impl Fn(usize) -> Option<usize>,
    at_new: impl Fn(usize) -> Option<usize>,
    (side, config): (&str, &Config),
    notes: &mut Vec<String>,
) -> Features {
    for (name, _) in new.columns.iter().filter(|(name, _)| !old.columns.iter().any(|(n, _)| n == name)) {
        notes.push(format!("the model knows no {side} column `{name}`: it is left out"));
    }
    let mut out = Features::default();
    for (name, column) in &old.columns {
        let found = new.columns.iter().find(|(n, _)| n == name).map(|(_, column)| column);
        let merged = match (column, found) {
            (Column::Category { vocab, values }, found) => {
                let mut vocab = vocab.clone();
                let mut all = vec![0u32; rows];
                for (row, value) in values.iter().enumerate() {
                    if let Some(place) = at_old(row) {
                        all[place] = *value;
                    }
                }
                if let Some(Column::Category { vocab: own, values }) = found {
                    let unseen = own.iter().filter(|raw| vocab.get(raw).is_none()).count();
                    // Where the width of an embedding follows from its rows, a vocabulary that would change it does not grow.
                    let fits = config.column_dim(name).is_some()
                        || small_dim(vocab.rows() + unseen) == small_dim(vocab.rows());
                    if !fits && unseen > 0 {
                        notes.push(format!("{side} column `{name}`: {unseen} new categories count as unknown"));
                    }
                    for (row, value) in values.iter().enumerate().filter(|(_, value)| **value != 0) {
                        let raw = own.raw(*value);
                        let id = if fits { vocab.insert(raw) } else { vocab.get(raw).unwrap_or(0) };
                        if let (Some(place), true) = (at_new(row), id != 0) {
                            all[place] = id;
                        }
                    }
                }
                Column::Category { vocab, values: all }
            }
            (Column::Bag { vocab, offsets, values }, found) => {
                let mut vocab = vocab.clone();
                let mut lists: Vec<Vec<u32>> = vec![Vec::new(); rows];
                for (row, w) in offsets.windows(2).enumerate() {
                    if let Some(place) = at_old(row) {
                        lists[place] = values[w[0] as usize..w[1] as usize].to_vec();
                    }
                }
                if let Some(Column::Bag { vocab: own, offsets, values }) = found {
                    for (row, w) in offsets.windows(2).enumerate().filter(|(_, w)| w[0] < w[1]) {
                        if let Some(place) = at_new(row) {
                            let raws = values[w[0] as usize..w[1] as usize].iter().map(|id| own.raw(*id));
                            lists[place] = raws.map(|raw| vocab.insert(raw)).collect();
                        }
                    }
                }
                let mut offsets = vec![0u32];
                for list in &lists {
                    offsets.push(offsets[offsets.len() - 1] + list.len() as u32);
                }
                Column::Bag { vocab, offsets, values: lists.concat() }
            }
            (Column::Number { values }, found) => {
                // Only a model that has seen missing numbers has an input that says so; to others, new ones are the mean.
                let unset = if has_indicator(values) { f32::NAN } else { mean(values) };
                let mut all = vec![unset; rows];
                for (row, value) in values.iter().enumerate() {
                    if let Some(place) = at_old(row) {
                        all[place] = *value;
                    }
                }
                if let Some(Column::Number { values }) = found {
                    for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                        if let Some(place) = at_new(row) {
                            all[place] = *value;
                        }
                    }
                }
                if let (true, Some(first)) = (has_indicator(values) && side != "event", all.first_mut()) {
                    *first = f32::NAN; // the indicator stays, even where the new data names all of them
                }
                Column::Number { values: all }
            }
        };
        if found.is_some_and(|found| std::mem::discriminant(found) != std::mem::discriminant(column)) {
            notes.push(format!("{side} column `{name}` is of another kind than in the model: it is left out"));
        }
        out.columns.push((name.clone(), merged));
    }
    out
}

#[cfg(test)]
mod tests;
