//! What users searched for: queries as tokens, sorted by (user, time).

use crate::clock::FileClock;
use crate::words::{MOST_TOKENS, query_tokens};
use crate::{Times, Vocab};
use std::collections::HashSet;
use std::ops::Range;

/// The searches of a data set's users. Search s has the tokens `token[start[s] .. start[s + 1]]`, in the order of
/// [`query_tokens`]; user u has the searches `user_start[u] .. user_start[u + 1]`, by time, then in the order of the input.
/// So the last n searches of a user at any time are one slice of `token`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searches {
    /// Words and pairs of words; dense id 0 is unknown.
    pub tokens: Vocab,
    /// Dense tokens of all searches.
    pub token: Vec<u32>,
    /// First token of each search, and the end; one longer than the searches.
    pub start: Vec<u32>,
    /// Time of each search in seconds, from the same origin as the events'.
    pub time: Times,
    /// First search of each dense user, and the end; `users.rows() + 1` long.
    pub user_start: Vec<u32>,
    /// Rows that were read and are no searches of these users.
    pub left_out: SearchesLeftOut,
}

/// Rows of a file of searches that were left out, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchesLeftOut {
    /// Of users that the data does not know.
    pub of_strangers: u64,
    /// How many such users there are.
    pub strangers: u64,
    /// Without a letter or digit.
    pub without_words: u64,
}

/// Collects searches in any order.
#[derive(Debug, Default)]
pub(crate) struct SearchBuilder {
    tokens: Vocab,
    token: Vec<u32>,
    /// User, time, end of the tokens.
    rows: Vec<(u32, i64, u32)>,
    pub(crate) left_out: SearchesLeftOut,
}

impl SearchBuilder {
    /// Tokens so far.
    pub(crate) fn tokens(&self) -> usize {
        self.token.len()
    }

    /// Adds a query; one without a word is counted alone.
    pub(crate) fn add(&mut self, user: u32, time: i64, query: &str) {
        let tokens = query_tokens(query);
        if tokens.is_empty() {
            self.left_out.without_words += 1;
            return;
        }
        self.token.extend(tokens.iter().map(|token| self.tokens.insert(token)));
        self.rows.push((user, time, self.token.len() as u32));
    }

    /// Searches so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// At the end of a file: the times of its searches, from number `from` on, become seconds.
    pub(crate) fn settle(&mut self, clock: &FileClock, from: usize) {
        let mut times: Times = self.rows[from..].iter().map(|row| row.1).collect();
        clock.settle(&mut times, 0, (&mut Times::default(), 0));
        self.rows[from..].iter_mut().zip(times.iter()).for_each(|(row, time)| row.1 = time);
    }

    /// Sorts them by (user, time, order of adding).
    pub(crate) fn finish(self, users: usize) -> Searches {
        let starts: Vec<u32> = std::iter::once(0).chain(self.rows.iter().map(|row| row.2)).collect();
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_by_key(|&row| (self.rows[row as usize].0, self.rows[row as usize].1));
        let row = |s: &u32| {
            let (user, time, _) = self.rows[*s as usize];
            let tokens = starts[*s as usize] as usize..starts[*s as usize + 1] as usize;
            (user, time, self.token[tokens].iter().copied())
        };
        let left_out = self.left_out;
        Searches { left_out, ..Searches::gathered(self.tokens.clone(), users, order.iter().map(row)) }
    }
}

impl Searches {
    /// Most tokens that one search has.
    pub const MOST_TOKENS: usize = MOST_TOKENS;

    /// Searches in memory: (dense user, seconds, query) in any order; `users` is the number of rows of the users' vocabulary.
    /// A query without a word is counted in `left_out`, and so is one of a user past the rows.
    ///
    /// ```
    /// let searches = rt_data::Searches::from_rows(3, [(2, 50, "jazz"), (1, 9, "red shoe"), (2, 10, "red")]);
    /// assert_eq!(searches.of(2).map(|s| searches.time.get(s)).collect::<Vec<_>>(), [Some(10), Some(50)]);
    /// assert_eq!(searches.tokens.raw(searches.token[2]), "red shoe");
    /// ```
    pub fn from_rows<'a>(users: usize, rows: impl IntoIterator<Item = (u32, i64, &'a str)>) -> Self {
        let mut all = SearchBuilder::default();
        for (user, time, query) in rows {
            if (user as usize) < users {
                all.add(user, time, query);
            } else {
                all.left_out.of_strangers += 1;
            }
        }
        all.finish(users)
    }

    /// From (user, time, tokens) sorted by user and time.
    fn gathered<T: Iterator<Item = u32>>(
        tokens: Vocab,
        users: usize,
        rows: impl Iterator<Item = (u32, i64, T)>,
    ) -> Self {
        let mut all = Self { tokens, start: vec![0], user_start: vec![0; users + 1], ..Self::default() };
        let mut times = Vec::new();
        for (user, time, tokens) in rows {
            all.token.extend(tokens);
            all.start.push(all.token.len() as u32);
            times.push(time);
            all.user_start[user as usize + 1] += 1;
        }
        for user in 0..users {
            all.user_start[user + 1] += all.user_start[user];
        }
        all.time = times.into_iter().collect();
        all
    }

    /// Number of searches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Searches of a user; none for one past the users.
    #[must_use]
    pub fn of(&self, user: u32) -> Range<usize> {
        match (self.user_start.get(user as usize), self.user_start.get(user as usize + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// Searches of a user at or before `time`.
    #[must_use]
    pub fn until(&self, user: u32, time: i64) -> Range<usize> {
        self.while_time(user, |t| t <= time)
    }

    /// Searches of a user strictly before `time`.
    #[must_use]
    pub fn before(&self, user: u32, time: i64) -> Range<usize> {
        self.while_time(user, |t| t < time)
    }

    fn while_time(&self, user: u32, early: impl Fn(i64) -> bool) -> Range<usize> {
        let all = self.of(user);
        let (mut low, mut high) = (all.start, all.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if early(self.time.at(middle)) { low = middle + 1 } else { high = middle }
        }
        all.start..low
    }

    /// Where the tokens of these searches lie in `token`.
    #[must_use]
    pub fn tokens_of(&self, searches: Range<usize>) -> Range<usize> {
        if searches.is_empty() {
            return 0..0;
        }
        self.start[searches.start] as usize..self.start[searches.end] as usize
    }

    /// The same searches in the words of another vocabulary; tokens that it does not know are left out, searches stay.
    #[must_use]
    pub fn in_words_of(&self, tokens: &Vocab) -> Self {
        let map: Vec<u32> =
            (0..self.tokens.rows() as u32).map(|t| tokens.get(self.tokens.raw(t)).unwrap_or(0)).collect();
        let row = |(user, s): (u32, usize)| {
            let own = self.token[self.tokens_of(s..s + 1)].iter().map(|t| map[*t as usize]);
            // Row 0's raw form is empty, which no token is.
            (user, self.time.at(s), own.filter(|t| *t != 0))
        };
        let all = Self::gathered(tokens.clone(), self.users(), self.by_user().map(row));
        Self { left_out: self.left_out, ..all }
    }

    /// The last `count` searches of every user alone.
    #[must_use]
    pub fn last(&self, count: usize) -> Self {
        let late = self.by_user().filter(|(user, s)| self.of(*user).end - s <= count);
        let row =
            |(user, s): (u32, usize)| (user, self.time.at(s), self.token[self.tokens_of(s..s + 1)].iter().copied());
        Self::gathered(self.tokens.clone(), self.users(), late.map(row))
    }

    /// These searches and `more`, which has the same tokens, among `users` rows of users; `user` gives the user of both for one of
    /// `more`. What stands in both (user, time and tokens) is there once.
    ///
    /// # Panics
    ///
    /// If `user` gives one past `users`.
    #[must_use]
    pub fn and(&self, more: &Self, users: usize, user: impl Fn(u32) -> u32) -> Self {
        let of = |from: &'_ Self, s: usize| from.token[from.tokens_of(s..s + 1)].to_vec();
        let mut rows: Vec<(u32, i64, Vec<u32>)> =
            self.by_user().map(|(u, s)| (u, self.time.at(s), of(self, s))).collect();
        let known: HashSet<(u32, i64, Vec<u32>)> = rows.iter().cloned().collect();
        let new = more.by_user().map(|(u, s)| (user(u), more.time.at(s), of(more, s)));
        rows.extend(new.filter(|row| !known.contains(row)));
        rows.sort_by_key(|row| (row.0, row.1));
        let rows = rows.into_iter().map(|(user, time, tokens)| (user, time, tokens.into_iter()));
        Self { left_out: more.left_out, ..Self::gathered(self.tokens.clone(), users, rows) }
    }

    /// Rows of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.user_start.len().saturating_sub(1)
    }

    /// (user, search) in order.
    fn by_user(&self) -> impl Iterator<Item = (u32, usize)> {
        (0..self.users() as u32).flat_map(|user| self.of(user).map(move |s| (user, s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Searches {
        Searches::from_rows(
            4,
            [(3, 7, "a b"), (1, 20, "c"), (1, 10, "a"), (1, 20, "b c"), (9, 1, "a"), (3, 8, "!?"), (1, 30, "d")],
        )
    }

    fn words(s: &Searches, range: Range<usize>) -> Vec<&str> {
        s.token[s.tokens_of(range)].iter().map(|t| s.tokens.raw(*t)).collect()
    }

    #[test]
    fn sorted_by_user_and_time_ties_in_the_order_of_the_input() {
        let s = some();
        assert_eq!(
            (s.len(), s.users(), s.of(0), s.of(1), s.of(2), s.of(3), s.of(9)),
            (5, 4, 0..0, 0..4, 4..4, 4..5, 0..0)
        );
        assert_eq!(words(&s, 0..4), ["a", "c", "b", "c", "b c", "d"]);
        assert_eq!(words(&s, 4..5), ["a", "b", "a b"]);
        assert_eq!(s.left_out, SearchesLeftOut { of_strangers: 1, strangers: 0, without_words: 1 });
        assert!(Searches::default().is_empty() && Searches::default().of(0) == (0..0));
    }

    #[test]
    fn what_was_searched_by_a_time() {
        let s = some();
        let at = |t| (s.before(1, t), s.until(1, t));
        assert_eq!(at(9), (0..0, 0..0));
        assert_eq!(at(10), (0..0, 0..1));
        assert_eq!(at(20), (0..1, 0..3), "both of the second count, or neither");
        assert_eq!(at(i64::MAX), (0..4, 0..4));
        assert_eq!((s.until(3, 6), s.until(3, 7), s.until(2, 99)), (4..4, 4..5, 4..4));
    }

    #[test]
    fn other_words_the_last_ones_and_both_of_two() {
        let s = some();
        let mut few = Vocab::new();
        few.insert("c");
        few.insert("a b");
        let other = s.in_words_of(&few);
        assert_eq!((other.len(), words(&other, 0..4)), (5, vec!["c", "c"]));
        assert_eq!((words(&other, 4..5), other.left_out), (vec!["a b"], s.left_out));

        let last = s.last(2);
        assert_eq!((last.of(1), words(&last, 0..2), last.of(3)), (0..2, vec!["b", "c", "b c", "d"], 2..3));
        assert_eq!((s.last(0).len(), s.last(9).token == s.token), (0, true));

        let more = Searches::from_rows(3, [(1, 15, "c c c"), (2, 1, "a b")]).in_words_of(&few);
        let both = other.and(&more, 6, |user| user + 2);
        assert_eq!((both.users(), both.of(1), both.of(3), both.of(4)), (6, 0..4, 4..6, 6..7));
        assert_eq!(both.of(3).map(|i| both.time.at(i)).collect::<Vec<_>>(), [7, 15]);
        assert_eq!(words(&both, 4..6), ["a b", "c", "c", "c"]);
        let again = both.and(&more, 6, |user| user + 2);
        assert_eq!(again, Searches { left_out: again.left_out, ..both }, "the same searches again");
    }
}
