//! Searches as a second bag of the user tower: the mean of the embeddings of the tokens of the last searches (Covington et al.,
//! RecSys 2016, section 3.3).
//!
//! The tokens of all searches are one array on the device, sorted by (user, time), and an example's searches are a slice of it, as
//! its history is a slice of the items. The mean is over all tokens of the searches alike, so that they are one slice: a search of
//! four words weighs more than one of a single word.

use crate::config::{Config, SearchTime, bad};
use crate::towers::{Towers, whole_mean};
use crate::{Error, Model, Result};
use rt_data::{Dataset, Searches, Split, Vocab};
use rt_tensor::{Init, Store, Tape, Var};
use std::ops::Range;

/// Searches that enter the tower where the data has some and no setting says otherwise: the paper's number.
const DEFAULT: usize = 50;
/// Most searches that may enter.
const MOST: usize = 10_000;

/// What a tower that reads searches is built from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchShape {
    /// Rows of the token table.
    pub rows: usize,
    pub dim: usize,
    /// Tokens of all searches, at least 1 so that there is something to bind.
    pub tokens: usize,
    /// Most tokens of an example.
    pub longest: usize,
    /// Most tokens of a query.
    pub room: usize,
}

/// The searches that a tower reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchInputs {
    /// Tokens that searches are slices of.
    pub tokens: Var,
    /// Each row's (start, length) `[n, 2]`.
    pub slice: Var,
    /// The longest slice that can occur.
    pub longest: usize,
}

impl Config {
    /// Searches that enter the user tower; 0 where they are not used or not resolved yet.
    #[must_use]
    pub fn searches_read(&self) -> usize {
        self.searches.unwrap_or(0)
    }

    /// Checks the keys of the searches alone.
    pub(crate) fn check_searches(&self) -> Result<()> {
        if self.searches_read() > MOST {
            return Err(bad("searches", &self.searches_read().to_string(), &format!("at most {MOST}")));
        }
        if self.search_dim > 4096 {
            return Err(bad("search_dim", &self.search_dim.to_string(), "at most 4096"));
        }
        if self.search_tokens == 0 || self.search_tokens > 1 << 28 {
            return Err(bad("search_tokens", &self.search_tokens.to_string(), "from 1 to 268435456"));
        }
        Ok(())
    }

    /// Gives the keys of the searches their values by the data.
    pub(crate) fn resolve_searches(&mut self, data: &Dataset) -> Result<()> {
        let there = data.searches.is_some();
        let n = *self.searches.get_or_insert(if there { DEFAULT } else { 0 });
        if n > 0 && !there {
            let what = format!("`searches = {n}`: no searches were read with the data; give their file (--searches)");
            return Err(Error::Config(what));
        }
        if self.search_dim > 0 && !there {
            let what = "search_dim: no searches were read with the data; give their file (--searches)";
            return Err(Error::Config(what.into()));
        }
        if n == 0 {
            // What they would have is not kept: it would say something of the model that is not so.
            (self.search_dim, self.search_time) = (0, SearchTime::History);
            return Ok(());
        }
        if !data.has_clock() {
            return Err(Error::Config("searches: the data has no clock times to hold them against".into()));
        }
        if self.search_dim == 0 {
            self.search_dim = self.dim;
        }
        Ok(())
    }
}

impl SearchShape {
    /// `searches` are in the model's words.
    pub(crate) fn new(config: &Config, searches: &Searches, data: &Dataset) -> Self {
        Self {
            rows: searches.tokens.rows(),
            dim: config.search_dim,
            tokens: searches.token.len().max(1),
            longest: of_events(config, searches, data).map(|tokens| tokens.len()).max().unwrap_or(0).max(1),
            room: config.searches_read() * Searches::MOST_TOKENS,
        }
    }

    /// What the training step reads.
    pub(crate) fn record(&self, tape: &mut Tape, events: usize, event: Var) -> Result<SearchInputs> {
        let slices = tape.input_ids("event.searches", events, 2);
        let tokens = tape.input_ids("search.tokens", self.tokens, 1);
        Ok(SearchInputs { tokens, slice: tape.take(slices, event)?, longest: self.longest })
    }
}

/// Tokens (as places in `searches.token`) of the last searches that are known when `target` is asked for, after a history whose
/// last event is `last`.
///
/// A server knows what was searched before the request, but the time of the request is that of the target, which nothing may
/// depend on. So what counts as known are the searches at or before the last event of the history; with
/// [`SearchTime::Target`], for comparisons, those strictly before the target.
pub(crate) fn known(
    config: &Config,
    searches: &Searches,
    data: &Dataset,
    user: u32,
    last: Option<usize>,
    target: usize,
) -> Range<usize> {
    let all = match (config.search_time, last) {
        (SearchTime::History, Some(last)) => searches.until(user, data.time(last)),
        (SearchTime::History, None) => 0..0,
        (SearchTime::Target, _) => searches.before(user, data.time(target)),
    };
    let first = all.end.saturating_sub(config.searches_read()).max(all.start);
    searches.tokens_of(first..all.end)
}

/// The same for every event as a target, in order: its history are the user's events before it.
fn of_events<'a>(
    config: &'a Config,
    searches: &'a Searches,
    data: &'a Dataset,
) -> impl Iterator<Item = Range<usize>> + 'a {
    (0..data.users.rows() as u32).flat_map(move |user| {
        let events = data.events_of(user);
        let first = events.start;
        events.map(move |e| known(config, searches, data, user, (e > first).then(|| e - 1), e))
    })
}

/// The data's searches in the words that the model has rows for: those of `words`, or where there is no model yet the most
/// frequent ones of searches that a training example sees. `None` where the configuration reads none.
///
/// # Errors
///
/// [`Error::Config`] where no training example sees a search.
pub(crate) fn of_training(
    config: &Config,
    data: &Dataset,
    split: &Split,
    words: Option<&Vocab>,
) -> Result<Option<Searches>> {
    let Some(all) = data.searches.as_ref().filter(|_| config.searches_read() > 0) else {
        return Ok(None);
    };
    match words {
        Some(words) => Ok(Some(all.in_words_of(words))),
        None => Ok(Some(all.in_words_of(&vocabulary(config, all, data, split)?))),
    }
}

/// The `search_tokens` most frequent tokens, each search that at least one training example sees counted once; ties by the order
/// of their first appearance. Later searches have no say, and a token that only they have would keep an untrained row.
fn vocabulary(config: &Config, all: &Searches, data: &Dataset, split: &Split) -> Result<Vocab> {
    // +1 where a slice of tokens that an example sees begins, -1 where it ends.
    let mut change = vec![0i64; all.token.len() + 1];
    let mut trains = vec![false; data.event_item.len()];
    split.examples.iter().for_each(|event| trains[event as usize] = true);
    for (tokens, _) in of_events(config, all, data).zip(&trains).filter(|(_, trains)| **trains) {
        change[tokens.start] += 1;
        change[tokens.end] -= 1;
    }
    let mut counts = vec![0u64; all.tokens.rows()];
    let mut open = 0;
    for (token, change) in all.token.iter().zip(&change) {
        open += change;
        counts[*token as usize] += u64::from(open > 0);
    }
    let mut tokens: Vec<u32> = (1..counts.len() as u32).filter(|t| counts[*t as usize] > 0).collect();
    if all.is_empty() {
        let others = all.left_out;
        let what = format!(
            "searches: none is of a user with an interaction ({} of other users, {} without a word); are the users' ids the \
             same in both files? `searches = 0` trains without them",
            others.of_strangers, others.without_words
        );
        return Err(Error::Config(what));
    }
    if tokens.is_empty() {
        let what = format!(
            "searches: of {} searches no training example sees one: are their times seconds of the same clock as the \
             interactions', and their users the same? `searches = 0` trains without them",
            all.len()
        );
        return Err(Error::Config(what));
    }
    tokens.sort_by_key(|t| (std::cmp::Reverse(counts[*t as usize]), *t));
    tokens.truncate(config.search_tokens);
    let mut vocab = Vocab::new();
    for token in tokens {
        vocab.insert(all.tokens.raw(token));
    }
    Ok(vocab)
}

/// Puts what the training step reads into the store.
pub(crate) fn upload(store: &Store, config: &Config, searches: Option<&Searches>, data: &Dataset) -> Result<()> {
    let Some(searches) = searches else { return Ok(()) };
    let slices: Vec<u32> = of_events(config, searches, data).flat_map(|t| [t.start as u32, t.len() as u32]).collect();
    store.put_u32("event.searches", &slices)?;
    let tokens = if searches.token.is_empty() { &[0][..] } else { &searches.token };
    Ok(store.put_u32("search.tokens", tokens)?)
}

impl Towers<'_> {
    /// The mean of the tokens' embeddings `[n, search_dim]`; in training each is dropped as the items of a history are.
    pub(crate) fn searched(&mut self, tape: &mut Tape, shape: &SearchShape, inputs: SearchInputs) -> Result<Var> {
        let SearchInputs { tokens, slice, longest } = inputs;
        let table = tape.table("search", shape.rows, shape.dim, Init::Normal(self.config.init_std))?;
        let mask = self.dropped(tape, slice, longest)?;
        Ok(tape.bag(table, tokens, slice, &whole_mean(longest, mask, None))?)
    }
}

impl Model {
    /// Tokens of a user's last searches, as [`crate::Query::searches`]: of those that the model keeps of the user (none of user 0)
    /// and then of `more`, queries of now, oldest first. Words that the model does not know are left out. Empty where the model
    /// reads no searches.
    pub fn searches_of<T: AsRef<str>>(&self, user: u32, more: &[T]) -> Vec<u32> {
        let Some(searches) = &self.searches else { return Vec::new() };
        let n = self.config.searches_read();
        let queries =
            more.iter().map(|query| rt_data::query_tokens(query.as_ref())).filter(|tokens| !tokens.is_empty());
        let queries: Vec<Vec<String>> = queries.collect();
        let last = &queries[queries.len().saturating_sub(n)..];
        let kept = searches.of(user);
        let first = kept.end.saturating_sub(n - last.len()).max(kept.start);
        let now = last.iter().flatten().filter_map(|token| searches.tokens.get(token));
        searches.token[searches.tokens_of(first..kept.end)].iter().copied().chain(now).collect()
    }

    /// Tokens that a training example sees.
    pub(crate) fn searches_before(&self, event: u32) -> &[u32] {
        let Some(searches) = &self.searches else { return &[] };
        let (data, event) = (&self.data, event as usize);
        let user = data.user_of(event);
        let last = (event > data.events_of(user).start).then(|| event - 1);
        &searches.token[known(&self.config, searches, data, user, last, event)]
    }
}
