//! Hard negatives mined from the model as it is (Huang et al., KDD 2020, "Embedding-based retrieval in Facebook search",
//! section 6.1): items of middling rank, hard but most likely no positives.

use crate::config::Config;
use crate::losses::all_but_target;
use crate::model::{Model, product};
use crate::negatives::own_items;
use crate::query::Query;
use crate::{Error, Result};
use rayon::prelude::*;
use rt_data::Split;
use rt_kernels::philox::{self, stream};
use rt_kernels::rank;
use rt_tensor::Device;
use std::time::Instant;

/// Examples whose negatives are made anew at a time, at most: they take turns where there are more.
const MOST: usize = 65_536;
/// Examples that are scored together.
const CHUNK: usize = 256;

/// Mines negatives for the training examples.
pub(crate) struct Miner<'a> {
    split: &'a Split,
    /// Each user's train items, ascending, and (start, length).
    own: (Vec<u32>, Vec<u32>),
    /// Context categories of all events.
    context: &'a [u32],
    /// What may be a negative, ascending.
    candidates: Vec<u32>,
    /// `[events, mine]`.
    mined: Vec<u32>,
    /// The example whose turn is next.
    next: usize,
    /// Seconds spent so far.
    pub seconds: f64,
}

impl<'a> Miner<'a> {
    /// Where the configuration mines.
    pub(crate) fn new(model: &Model, split: &'a Split, context: &'a [u32]) -> Option<Self> {
        let n = model.config.mine;
        if n == 0 {
            return None;
        }
        let mined = vec![0; model.data.event_item.len() * n];
        let own = own_items(&model.data, split);
        let candidates = crate::sampler::candidates(&model.data, split);
        Some(Self { split, own, context, candidates, mined, next: 0, seconds: 0.0 })
    }

    /// Is it time, before step `t` (from 1)? `epoch_steps` steps have passed in this epoch.
    pub(crate) fn is_due(config: &Config, t: u32, epoch_steps: usize) -> bool {
        match config.mine_every {
            // Nothing was learned before the first epoch.
            0 => epoch_steps == 0 && t > 1,
            every => t > 1 && (t as usize - 1).is_multiple_of(every),
        }
    }

    /// Mines for the examples whose turn it is, before step `t`.
    ///
    /// # Errors
    ///
    /// Device errors.
    pub(crate) fn refresh(&mut self, model: &Model, seed: u64, t: u32) -> Result<()> {
        let start = Instant::now();
        model.weights_changed();
        let items = model.item_vectors()?;
        let (examples, data) = (&self.split.examples, &model.data);
        let number = examples.len().min(MOST);
        let turn: Vec<u32> = examples.iter().skip(self.next).chain(examples.iter()).take(number).collect();
        self.next = (self.next + number) % examples.len();
        let (n, rows) = (model.config.mine, model.schema.item_rows);
        for events in turn.chunks(CHUNK) {
            let histories: Vec<Vec<u32>> = events.iter().map(|e| self.history(model, *e)).collect();
            let times: Vec<Vec<i64>> = events.iter().map(|e| Self::times(model, *e)).collect();
            let contexts: Vec<Vec<u32>> = events.iter().map(|e| model.context_of(self.context, *e as usize)).collect();
            let query = |(i, e): (usize, &u32)| {
                let user = data.user_of(*e as usize);
                let searches = model.searches_before(*e);
                Query {
                    user,
                    history: &histories[i],
                    context: &contexts[i],
                    times: &times[i],
                    searches,
                    features: None,
                }
            };
            let queries: Vec<Query<'_>> = events.iter().enumerate().map(query).collect();
            let users = model.user_tower(&queries)?;
            let choose = || -> Vec<Vec<u32>> {
                let mut scores = vec![0.0f32; events.len() * rows];
                product(&users, &items, events.len(), rows, model.dim(), &mut scores);
                let one = |(scores, e): (&[f32], &u32)| self.choose(model, scores, *e, seed, t);
                scores.par_chunks(rows).zip(events).map(one).collect()
            };
            let chosen = match model.device() {
                Device::Cpu(cpu) => cpu.install(choose),
                #[cfg(feature = "gpu")]
                Device::Gpu(_) => choose(),
            };
            for (event, ids) in events.iter().zip(chosen) {
                self.mined[*event as usize * n..][..n].copy_from_slice(&ids);
            }
        }
        model.store.put_u32("mined", &self.mined).map_err(Error::from)?;
        self.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// What came before the example's event; where histories are sets or labels held out, all of the user's train items but the target.
    fn history(&self, model: &Model, event: u32) -> Vec<u32> {
        let (data, event) = (&model.data, event as usize);
        let train = self.split.train_events(data, data.user_of(event));
        if all_but_target(&model.config, &model.schema) {
            return train.filter(|e| *e != event).map(|e| data.event_item[e]).collect();
        }
        data.event_item[train.start..event].to_vec()
    }

    /// Times of the history's items; none where a history is a set or the data has no times.
    fn times(model: &Model, event: u32) -> Vec<i64> {
        let (data, event) = (&model.data, event as usize);
        let start = data.user_start[data.user_of(event) as usize] as usize;
        if all_but_target(&model.config, &model.schema) { Vec::new() } else { data.clock_times(start..event) }
    }

    /// Items at ranks drawn from the window among the candidates without the user's train items, best first, ties by id; a score
    /// that is NaN or minus infinity has no rank. 0 where there are too few items.
    fn choose(&self, model: &Model, scores: &[f32], event: u32, seed: u64, t: u32) -> Vec<u32> {
        let (n, data) = (model.config.mine, &model.data);
        let user = data.user_of(event as usize) as usize;
        let [start, length] = [self.own.1[2 * user] as usize, self.own.1[2 * user + 1] as usize];
        let own = &self.own.0[start..start + length];
        let rank_of = |item: u32| rank::key(scores[item as usize]);
        let free = |item: &&u32| own.binary_search(item).is_err() && rank_of(**item) != rank::UNLISTED;
        let mut items: Vec<u32> = self.candidates.iter().filter(free).copied().collect();
        let [first, last] = model.config.ranks_mined(self.candidates.len());
        let last = last.min(items.len());
        let first = first.min((last + 1).saturating_sub(n)).max(1);
        if last < first || last + 1 - first < n {
            return vec![0; n];
        }
        // Ranks without replacement: the second skips the first.
        let width = (last + 1 - first) as u64;
        let word = |j: usize| {
            let index = (event as usize * n + j) as u32;
            u64::from(philox::draw(philox::key(seed), t, stream::MINED, index))
        };
        let mut ranks: Vec<usize> = Vec::with_capacity(n);
        for j in 0..n {
            let mut rank = ((word(j) * (width - j as u64)) >> 32) as usize + first - 1;
            for taken in &ranks {
                rank += usize::from(rank >= *taken);
            }
            ranks.push(rank);
            ranks.sort_unstable();
        }
        let better = |a: &u32, b: &u32| rank_of(*b).cmp(&rank_of(*a)).then(a.cmp(b));
        ranks.into_iter().map(|rank| *items.select_nth_unstable_by(rank, better).1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelKind;
    use rt_data::{SplitKind, SplitOptions, Synthetic, split};
    use std::sync::Arc;

    #[test]
    fn mined_items_stand_in_the_window_and_are_not_the_users_own() {
        let (data, _) = Synthetic::parse("synthetic:users=40,items=60,events=12,seed=2").unwrap().generate();
        let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
        let mut config = Config::new(ModelKind::Dssm);
        for pair in ["loss=bpr", "dim=8", "user_hidden=8", "item_hidden=8", "mine=2", "mine_ranks=5,12"] {
            config.set_pair(pair).unwrap();
        }
        let data = Arc::new(data);
        let mut all = Vec::new();
        for threads in [1, 2] {
            let device = Device::cpu(threads).unwrap();
            let model = Model::new(&device, &config, data.clone(), &split, 4).unwrap();
            let mut miner = Miner::new(&model, &split, &[]).unwrap();
            miner.refresh(&model, 4, 9).unwrap();
            let mined = model.store.read("mined").unwrap();
            let mut seen = std::collections::BTreeSet::new();
            for event in split.examples.iter() {
                let e = event as usize;
                let user = data.user_of(e);
                let history = data.event_item[data.user_start[user as usize] as usize..e].to_vec();
                let mut scores = vec![0.0; data.items.rows()];
                let times = &data.clock_times(data.user_start[user as usize] as usize..e);
                model.scores(&[Query { user, history: &history, times, ..Query::default() }], &mut scores).unwrap();
                let own = &data.event_item[split.train_events(&data, user)];
                let candidates = crate::sampler::candidates(&data, &split);
                let mut ranked: Vec<u32> = candidates.into_iter().filter(|i| !own.contains(i)).collect();
                ranked.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
                let ids = &mined[2 * e..2 * e + 2];
                assert_ne!(ids[0], ids[1]);
                for id in ids {
                    let rank = 1 + ranked.iter().position(|i| i == id).expect("a candidate, not the user's own");
                    assert!((5..=12).contains(&rank), "rank {rank}");
                    seen.insert(rank);
                }
            }
            assert_eq!(seen.len(), 8, "every rank of the window is drawn: {seen:?}");
            all.push(mined);
        }
        assert_eq!(all[0], all[1], "the same for any number of threads");
        // Nothing is mined for events that are no examples.
        let examples: std::collections::BTreeSet<u32> = split.examples.iter().collect();
        let others = (0..data.event_item.len() as u32).filter(|e| !examples.contains(e));
        assert!(others.into_iter().all(|e| all[0][2 * e as usize..][..2] == [0, 0]));
    }

    #[test]
    fn mining_is_due_once_an_epoch_or_every_so_many_steps() {
        let mut config = Config::new(ModelKind::Dssm);
        let due = |config: &Config| -> Vec<u32> {
            (1..=12).filter(|t| Miner::is_due(config, *t, (*t as usize - 1) % 4)).collect()
        };
        assert_eq!(due(&config), [5, 9], "before the second and the third epoch of four steps");
        config.mine_every = 3;
        assert_eq!(due(&config), [4, 7, 10]);
    }
}
