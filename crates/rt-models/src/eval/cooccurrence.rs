//! How many users two items have in common: the sparse square matrix behind item-kNN.

use rayon::prelude::*;
use rt_data::{Dataset, Split};

/// Counts of one item with every other, in the form that takes the least memory. The item itself counts 0.
enum Row {
    /// `[items]`.
    Dense(Box<[u16]>),
    /// Ascending ids, and a count each.
    Sparse { ids: Box<[u32]>, counts: Box<[u16]> },
    /// The same for counts past 16 bits.
    Wide { ids: Box<[u32]>, counts: Box<[u32]> },
}

/// Users that items have in common in the train part; a user counts once for an item. At most 2 bytes a pair of
/// items (but for pairs with more than 65,535 users), and 6 a pair that occurs.
pub(super) struct Cooccurrence {
    rows: Vec<Row>,
    /// Users of each item.
    users: Vec<u32>,
}

impl Cooccurrence {
    /// Counts, in parallel over items: an item's users' items go into a dense accumulator.
    pub(super) fn new(data: &Dataset, split: &Split) -> Self {
        let items = data.items.rows();
        let by_user = Lists::new((0..data.users.rows()).map(|user| {
            let mut own: Vec<u32> = split.train_events(data, user as u32).map(|event| data.event_item[event]).collect();
            own.sort_unstable();
            own.dedup();
            own
        }));
        let by_item = by_user.transposed(items);
        let rows = (0..items)
            .into_par_iter()
            .map_init(
                || (vec![0u32; items], Vec::new()),
                |(counts, touched), item| {
                    for &user in by_item.get(item) {
                        for &other in by_user.get(user as usize) {
                            let count = &mut counts[other as usize];
                            if *count == 0 {
                                touched.push(other);
                            }
                            *count += 1;
                        }
                    }
                    Row::take(item, counts, touched)
                },
            )
            .collect();
        let users = (0..items).map(|item| by_item.get(item).len() as u32).collect();
        Self { rows, users }
    }

    /// Bytes that [`Self::new`] takes at most, the accumulators of so many threads with them; it takes no more time than a pass
    /// over the events.
    pub(super) fn bytes(data: &Dataset, split: &Split, threads: usize) -> u64 {
        let items = data.items.rows() as u64;
        // Pairs of each item: no more than the events of all its users together.
        let mut pairs = vec![0u64; data.items.rows()];
        let mut events = 0;
        for user in 0..data.users.rows() as u32 {
            let own = split.train_events(data, user);
            events += own.len() as u64;
            own.clone().for_each(|event| pairs[data.event_item[event] as usize] += own.len() as u64);
        }
        let rows: u64 = pairs.iter().map(|pairs| (6 * pairs.min(&items)).min(2 * items)).sum();
        rows + 8 * events + 4 * items * threads as u64
    }

    /// Users that have `item` in their train part.
    pub(super) fn users(&self) -> &[u32] {
        &self.users
    }

    /// `out[j] += weight * count(item, j)` for every j; `out` is `[items]`.
    pub(super) fn add(&self, item: u32, weight: f32, out: &mut [f32]) {
        match &self.rows[item as usize] {
            Row::Dense(counts) => {
                for (out, &count) in out.iter_mut().zip(counts) {
                    *out += weight * f32::from(count);
                }
            }
            Row::Sparse { ids, counts } => {
                for (&id, &count) in ids.iter().zip(counts) {
                    out[id as usize] += weight * f32::from(count);
                }
            }
            Row::Wide { ids, counts } => {
                for (&id, &count) in ids.iter().zip(counts) {
                    out[id as usize] += weight * count as f32;
                }
            }
        }
    }
}

impl Row {
    /// Takes the counts of `item` out of the accumulator and leaves it clear.
    fn take(item: usize, counts: &mut [u32], touched: &mut Vec<u32>) -> Self {
        counts[item] = 0;
        touched.retain(|&id| id as usize != item);
        let narrow = touched.iter().all(|&id| counts[id as usize] <= u32::from(u16::MAX));
        let row = if narrow && touched.len() * 3 > counts.len() {
            Self::Dense(counts.iter().map(|&count| count as u16).collect())
        } else {
            touched.sort_unstable();
            let ids = touched.as_slice().into();
            let counts = touched.iter().map(|&id| counts[id as usize]);
            if narrow {
                Self::Sparse { ids, counts: counts.map(|count| count as u16).collect() }
            } else {
                Self::Wide { ids, counts: counts.collect() }
            }
        };
        for id in touched.drain(..) {
            counts[id as usize] = 0;
        }
        row
    }
}

/// Lists of ids, end to end.
struct Lists {
    starts: Vec<usize>,
    ids: Vec<u32>,
}

impl Lists {
    fn new(lists: impl Iterator<Item = Vec<u32>>) -> Self {
        let (mut starts, mut ids) = (vec![0], Vec::new());
        for list in lists {
            ids.extend(list);
            starts.push(ids.len());
        }
        Self { starts, ids }
    }

    fn get(&self, list: usize) -> &[u32] {
        &self.ids[self.starts[list]..self.starts[list + 1]]
    }

    /// For each id below `ids` the numbers of the lists that hold it, ascending.
    fn transposed(&self, ids: usize) -> Self {
        let mut starts = vec![0; ids + 1];
        for &id in &self.ids {
            starts[id as usize + 1] += 1;
        }
        for id in 0..ids {
            starts[id + 1] += starts[id];
        }
        let mut next = starts.clone();
        let mut out = vec![0; self.ids.len()];
        for list in 0..self.starts.len() - 1 {
            for &id in self.get(list) {
                out[next[id as usize]] = list as u32;
                next[id as usize] += 1;
            }
        }
        Self { starts, ids: out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to be taken is enough for every form of row.
    #[test]
    fn bytes_are_a_bound() {
        for text in ["synthetic:users=60,items=40,events=30", "synthetic:users=20,items=900,events=5"] {
            let (data, _) = rt_data::Synthetic::parse(text).unwrap().generate();
            let split =
                rt_data::split(&data, rt_data::SplitKind::LeaveLastOut, rt_data::SplitOptions::default()).unwrap();
            let made = Cooccurrence::new(&data, &split);
            let of = |row: &Row| match row {
                Row::Dense(counts) => 2 * counts.len(),
                Row::Sparse { ids, counts } => 4 * ids.len() + 2 * counts.len(),
                Row::Wide { ids, counts } => 4 * ids.len() + 4 * counts.len(),
            };
            let taken = made.rows.iter().map(of).sum::<usize>() as u64;
            let bound = Cooccurrence::bytes(&data, &split, 0);
            assert!((taken..=20 * taken).contains(&bound), "{text}: {taken} are taken, {bound} were said");
        }
    }

    /// Every form of row gives the counts that went in, and leaves the accumulator clear.
    #[test]
    fn forms_of_rows() {
        let cases: [(&str, Vec<u32>); 3] = [
            ("dense", vec![0, 7, 3, 1, 0, 2]),
            ("sparse", vec![0, 0, 3, 0, 0, 9]),
            ("wide", vec![0, 70_000, 3, 1, 0, 2]),
        ];
        for (form, want) in cases {
            let mut counts = want.clone();
            counts[3] += 5; // the item with itself
            let mut touched: Vec<u32> = (0..6).rev().filter(|&id| counts[id as usize] > 0).collect();
            let mut want: Vec<f32> = want.iter().map(|&count| 0.5 * count as f32 + 1.0).collect();
            want[3] = 1.0;
            let row = Row::take(3, &mut counts, &mut touched);
            assert_eq!(
                form,
                match &row {
                    Row::Dense(_) => "dense",
                    Row::Sparse { .. } => "sparse",
                    Row::Wide { .. } => "wide",
                }
            );
            assert!(counts.iter().all(|&count| count == 0) && touched.is_empty(), "{form}");
            let mut out = vec![1.0; 6];
            Cooccurrence { rows: vec![row], users: vec![0] }.add(0, 0.5, &mut out);
            assert_eq!(out, want, "{form}");
        }
    }
}
