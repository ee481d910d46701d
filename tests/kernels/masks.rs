//! Bits of candidates that are left out.

use rt_kernels::Step;
use rt_kernels::kernels::{HARD_MASK_TILE, HardMask, OwnMask, Positive};
use rt_tests::{LAYS, Want, f, hold, ids, out_u, u};

/// Words of 32 candidates from a rule; `past` is the bit of places past the last.
fn words(rows: usize, candidates: usize, past: bool, out: impl Fn(usize, usize) -> bool) -> Vec<u32> {
    let bit = |i: usize, j: usize| if j < candidates { out(i, j) } else { past };
    let word = |i: usize, w: usize| (0..32).map(|b| u32::from(bit(i, w * 32 + b)) << b).sum();
    (0..rows).flat_map(|i| (0..candidates.div_ceil(32)).map(move |w| (i, w))).map(|(i, w)| word(i, w)).collect()
}

#[test]
fn own_items_but_the_target() {
    for (what, rows, candidates, items) in [
        ("one", 1, 1, 1),
        ("one short of a word", 65, 31, 6),
        ("nothing divides", 63, 201, 40),
        ("lists longer than the candidates", 20, 64, 300),
    ] {
        let below = 50;
        // Lists of 0 to 3 `items` ids; the first is empty.
        let lists: Vec<Vec<u32>> = (0..rows)
            .map(|i| {
                let mut list = ids(i * items % (3 * items), below, 10 + i as u64);
                list.sort_unstable();
                list
            })
            .collect();
        let mut slices = Vec::new();
        let mut all = vec![7u32; 3];
        for list in &lists {
            slices.extend([all.len() as u32, list.len() as u32]);
            all.extend(list);
        }
        all.extend([u32::MAX, 0]);
        let (candidate_ids, targets) = (ids(candidates, below, 3), ids(rows, below, 4));
        let own = |i: usize, j: usize| candidate_ids[j] != targets[i] && lists[i].contains(&candidate_ids[j]);
        let want = words(rows, candidates, false, own);
        let reads =
            [u(&slices, rows, 2), u(&all, all.len(), 1), u(&candidate_ids, candidates, 1), u(&targets, rows, 1)];
        let out = [out_u(rows, candidates.div_ceil(32))];
        hold(what, &OwnMask { rows, candidates }, &Step::default(), LAYS, &reads, &out, &[Want::Exact(want)]);
    }
}

/// Vectors of small integers: their products are exact on every device, so that the choice is, and ties are many.
fn small(n: usize, seed: u64) -> Vec<f32> {
    ids(n, 5, seed).into_iter().map(|x| x as f32 - 2.0).collect()
}

#[test]
fn the_hardest_by_rank() {
    for (what, rows, candidates, dim, tile) in [
        ("one", 1, 1, 1, HARD_MASK_TILE),
        ("one short of a word", 33, 31, 3, HARD_MASK_TILE),
        ("one over a chunk of 256", 70, 257, 5, HARD_MASK_TILE),
        ("several chunks", 9, 1100, 16, HARD_MASK_TILE),
        ("three tiles of rows and a rest", 70, 300, 5, 20 * 300),
        ("a tile of one row", 5, 40, 3, 1),
    ] {
        for positive in [Positive::Diagonal, Positive::Label, Positive::Own] {
            if positive == Positive::Diagonal && rows > candidates {
                continue;
            }
            for (from, count, with) in
                [(1, 1, false), (1, 20, true), (3, 7, true), (2, usize::MAX, false), (5000, 3, true), (1, 0, false)]
            {
                let scale = 2.0;
                let kernel = HardMask { rows, candidates, dim, scale, positive, mask_hits: with, from, count, tile };
                let (users, items) = (small(rows * dim, 1), small(candidates * dim, 2));
                let logq: Vec<f32> = small(candidates, 3)
                    .into_iter()
                    .enumerate()
                    .map(|(j, q)| if j % 9 == 8 { 1e30 } else { q })
                    .collect();
                let (candidate_ids, targets) = (ids(candidates, 12, 4), ids(rows, 12, 5));
                let label = ids(rows, candidates as u32, 6);
                let masked = words(rows, candidates, false, |i, j| (i * 7 + j * j).is_multiple_of(5));
                let place = |i: usize| match positive {
                    Positive::Diagonal => Some(i),
                    Positive::Label => Some(label[i] as usize),
                    Positive::Own => None,
                };
                let ranked = |i: usize| {
                    let left = |j: &usize| {
                        let out =
                            logq[*j] >= 1e29 || candidate_ids[*j] == targets[i] || (i * 7 + j * j).is_multiple_of(5);
                        place(i) != Some(*j) && !(with && out)
                    };
                    let logit = |j: usize| {
                        let pair = users[i * dim..][..dim].iter().zip(&items[j * dim..]);
                        scale * pair.map(|(a, b)| a * b).sum::<f32>() - if with { logq[j] } else { 0.0 }
                    };
                    let mut all: Vec<usize> = (0..candidates).filter(left).collect();
                    all.sort_by(|a, b| logit(*b).partial_cmp(&logit(*a)).unwrap().then(a.cmp(b)));
                    all.into_iter().skip(from - 1).take(count).collect::<Vec<_>>()
                };
                let kept: Vec<Vec<usize>> = (0..rows).map(ranked).collect();
                let want = words(rows, candidates, true, |i, j| !kept[i].contains(&j) && place(i) != Some(j));
                let given = |there: bool, t| if there { t } else { None };
                let reads = [
                    f(&users, rows, dim),
                    f(&items, candidates, dim),
                    given(with, f(&logq, candidates, 1)),
                    given(with, u(&candidate_ids, candidates, 1)),
                    given(with, u(&targets, rows, 1)),
                    given(positive == Positive::Label, u(&label, rows, 1)),
                    given(with, u(&masked, rows, candidates.div_ceil(32))),
                ];
                let out = [out_u(rows, candidates.div_ceil(32))];
                let what = format!("{what}, {positive:?}, {count} from {from}");
                hold(&what, &kernel, &Step::default(), LAYS, &reads, &out, &[Want::Exact(want)]);
            }
        }
    }
}

/// A row whose label is past the candidates has no positive; the bits past the last candidate stay set.
#[test]
fn labels_past_the_candidates_are_nobodys_positive() {
    let (candidates, dim, scale, tile) = (37, 3, 1.0, HARD_MASK_TILE);
    let label = [candidates as u32, u32::MAX, 5, candidates as u32 + 1, 1 << 31];
    let rows = label.len();
    let (users, items) = (small(rows * dim, 1), small(candidates * dim, 2));
    for (from, count) in [(1, 4), (3, 7), (1, 0), (1, usize::MAX)] {
        let positive = Positive::Label;
        let kernel = HardMask { rows, candidates, dim, scale, positive, mask_hits: false, from, count, tile };
        let kept = |i: usize| {
            let logit = |j: usize| {
                let pair = users[i * dim..][..dim].iter().zip(&items[j * dim..]);
                pair.map(|(a, b)| a * b).sum::<f32>()
            };
            let mut all: Vec<usize> = (0..candidates).filter(|j| *j as u32 != label[i]).collect();
            all.sort_by(|a, b| logit(*b).partial_cmp(&logit(*a)).unwrap().then(a.cmp(b)));
            all.into_iter().skip(from - 1).take(count).collect::<Vec<_>>()
        };
        let kept: Vec<Vec<usize>> = (0..rows).map(kept).collect();
        let want = words(rows, candidates, true, |i, j| !kept[i].contains(&j) && label[i] != j as u32);
        let (u_in, v_in) = (f(&users, rows, dim), f(&items, candidates, dim));
        let reads = [u_in, v_in, None, None, None, u(&label, rows, 1), None];
        let out = [out_u(rows, candidates.div_ceil(32))];
        let what = format!("{count} from {from}");
        hold(&what, &kernel, &Step::default(), LAYS, &reads, &out, &[Want::Exact(want)]);
    }
}
