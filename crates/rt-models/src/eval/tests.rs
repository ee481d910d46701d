//! Metrics by hand, a tiny dataset by hand, and the baselines on real data.

mod by_hand;
mod real_data;
mod rows;

use rt_data::{Dataset, EvalCase, Vocab};

use super::*;

/// Events (user, item, time) in the order of users and time; users and items are numbered from 1.
fn data(events: &[(u32, u32, i64)], users: u32, items: u32) -> Dataset {
    let vocab = |count: u32, letter: char| {
        let mut vocab = Vocab::new();
        for id in 1..=count {
            vocab.insert(&format!("{letter}{id}"));
        }
        vocab
    };
    let mut user_start = vec![0; users as usize + 2];
    for &(user, ..) in events {
        for start in &mut user_start[user as usize + 1..] {
            *start += 1;
        }
    }
    let mut catalogue: Vec<u32> = events.iter().map(|&(_, item, _)| item).collect();
    catalogue.sort_unstable();
    catalogue.dedup();
    Dataset {
        name: "by hand".into(),
        users: vocab(users, 'u'),
        items: vocab(items, 'i'),
        event_item: events.iter().map(|event| event.1).collect(),
        event_time: events.iter().map(|event| event.2).collect(),
        user_start,
        catalogue,
        ..Dataset::default()
    }
}

/// The same scores for every case, by dense item id.
struct Fixed(Vec<f32>);

impl Scorer for Fixed {
    fn scores(&self, _: &[&EvalCase], out: &mut [f32]) -> Result<()> {
        out.chunks_mut(self.0.len()).for_each(|row| row.copy_from_slice(&self.0));
        Ok(())
    }
}
