//! Bags and their gradient rows against an f64 oracle.

use rt_kernels::Step;
use rt_kernels::kernels::{Bag, BagBackward};
use rt_tests::{Lay, Tensor, close, devices_with_checks, f, floats, ids, out_f, run, u, uniform};

/// What holds the slices of a batch.
pub(crate) struct History {
    pub(crate) items: Vec<u32>,
    pub(crate) slice: Vec<u32>,
    pub(crate) mask: Option<(Vec<u32>, usize)>,
    pub(crate) hole: Option<Vec<u32>>,
}

/// How a case masks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Take {
    /// No mask, no hole.
    All,
    /// A mask word that covers 32 positions alone, no hole.
    Mask,
    /// Nothing is kept.
    Nothing,
    /// No mask; holes at the newest, the middle and the oldest position, just past the slice on both sides, and none.
    Hole,
    /// Both.
    Both,
}

/// Slices of up to `max_len` items of `vocab`, of every awkward kind in turn: empty, full, one item, random; ids 0 among
/// the items.
pub(crate) fn history(rows: usize, max_len: usize, vocab: u32, take: Take, seed: u64) -> History {
    let n = 4 * max_len + 50;
    let mut items = ids(n, vocab, seed);
    for (i, item) in items.iter_mut().enumerate() {
        if i % 7 == 3 {
            *item = 0;
        }
    }
    let draws = ids(2 * rows, u32::MAX, seed + 1);
    let (mut slice, mut hole) = (Vec::new(), Vec::new());
    for i in 0..rows {
        let len = match i % 4 {
            0 => max_len as u32,
            1 => 0,
            2 => draws[i] % (max_len as u32 + 1),
            _ => max_len.min(1) as u32,
        };
        let start = draws[rows + i] % (n as u32 - len);
        slice.extend([start, len]);
        // Rows of full length are every fourth: 9 and 4 share no factor, so that each kind of hole meets each kind of length.
        hole.push(match i % 9 {
            0 if len > 0 => start + len / 2,
            1 => start + len, // just past the slice
            2 if len > 0 => start,
            3 if start > 0 => start - 1,
            // The newest, and some before it: inside of short windows, and at their edges.
            k @ 4..8 if len > k as u32 - 4 => start + len - 1 - (k as u32 - 4),
            _ => u32::MAX,
        });
    }
    let words = 1 + usize::from(take == Take::Both);
    let mask = match take {
        Take::Mask | Take::Both => Some((ids(rows * words, u32::MAX, seed + 2), words)),
        Take::Nothing => {
            let words = max_len.div_ceil(32).max(1);
            Some((vec![0; rows * words], words))
        }
        Take::All | Take::Hole => None,
    };
    let hole = matches!(take, Take::Hole | Take::Both).then_some(hole);
    History { items, slice, mask, hole }
}

impl History {
    /// The four operands.
    pub(crate) fn operands(&self) -> Vec<Option<Tensor>> {
        let rows = self.slice.len() / 2;
        vec![
            u(&self.items, self.items.len(), 1),
            u(&self.slice, rows, 2),
            self.mask.as_ref().and_then(|(words, n)| u(words, rows, *n)),
            self.hole.as_ref().and_then(|h| u(h, rows, 1)),
        ]
    }

    /// The newest `most` positions of row `i`, newest first and without the hole: the id, or 0 where it does not count.
    pub(crate) fn row(&self, i: usize, most: usize) -> Vec<u32> {
        let (start, len) = (self.slice[2 * i] as usize, self.slice[2 * i + 1] as usize);
        let place = |k: usize| start + len - 1 - k;
        (0..len.min(most))
            .filter(|k| self.hole.as_ref().is_none_or(|h| h[i] as usize != place(*k)))
            .map(|k| {
                let masked = self
                    .mask
                    .as_ref()
                    .is_some_and(|(words, n)| k < 32 * n && (words[i * n + k / 32] >> (k % 32)) & 1 == 0);
                if masked { 0 } else { self.items[place(k)] }
            })
            .collect()
    }
}

pub(crate) fn end(window: usize) -> usize {
    if window == 0 { usize::MAX } else { window }
}

/// Means and sums, of windows and of zones; whether slices are clipped to half of the longest.
const WAYS: [(bool, bool, bool); 6] = [
    (false, false, false),
    (true, false, false),
    (false, true, false),
    (true, true, false),
    (true, false, true),
    (false, true, true),
];

/// The items that count in window (or zone) `y` of a row.
fn held(row: &[u32], windows: &[usize], y: usize, zones: bool) -> impl Iterator<Item = u32> {
    let first = if zones && y > 0 { end(windows[y - 1]) } else { 0 };
    row.iter().take(end(windows[y])).skip(first).copied().filter(|id| *id != 0)
}

type Case = (&'static str, usize, usize, usize, &'static [usize], Take);

#[rustfmt::skip] // a table
const CASES: &[Case] = &[
    // why it is here                          rows  dim  max_len windows         take
    ("one cell",                                  1,   1,   1, &[0],              Take::All),
    ("one column, one short of a workgroup",     63,   1,  20, &[5],              Take::Mask),
    ("one column, one over a workgroup",         65,   1,  20, &[1, 0],           Take::Both),
    ("nothing divides",                          65,  33,  50, &[1, 5, 50],       Take::Both),
    ("three columns, window past the slice",     63,   3,   4, &[2, 100],         Take::Hole),
    ("width 16",                                 65,  16,  20, &[3, 9],           Take::Mask),
    ("width 64, everything masked",             130,  64,  40, &[1, usize::MAX],  Take::Nothing),
    ("width 64, positions past the mask",     1_000,  64,  70, &[1, 5, 50],       Take::Mask),
    ("width 100: tiles and a rest",              63, 100,  20, &[4],              Take::All),
    ("width 128",                                65, 128,  33, &[1, 2, 3, 32, 0], Take::Both),
    ("width 200, empty histories",                7, 200,   0, &[1, 0],           Take::All),
    ("holes, a slice one longer than a window",  72,   5,   6, &[1, 2, 5],        Take::Hole),
    ("holes and a mask, windows to the end",     72,   8,  40, &[1, 3, 39, 40, 0], Take::Both),
    ("most windows",                             17,   4,  40, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0], Take::Hole),
];

#[test]
fn bag_matches_the_oracle() {
    for &(what, rows, dim, max_len, windows, take) in CASES {
        let mut table = uniform(300 * dim, 3);
        table[..dim].fill(f32::NAN); // row 0 is never read
        let h = history(rows, max_len, 300, take, 11);
        let mut reads = vec![f(&table, 300, dim)];
        reads.extend(h.operands());
        for (mean, zones, clipped) in WAYS {
            let most = if clipped { max_len / 2 } else { usize::MAX };
            let (mut want, mut bounds, mut in_order) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..rows {
                let row = h.row(i, most);
                for y in 0..windows.len() {
                    let kept: Vec<u32> = held(&row, windows, y, zones).collect();
                    let scale = if mean { 1.0 / kept.len().max(1) as f64 } else { 1.0 };
                    for c in 0..dim {
                        let terms = kept.iter().map(|id| f64::from(table[*id as usize * dim + c]));
                        let (sum, size) = terms.fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
                        in_order.push(kept.iter().fold(0.0, |s, id| s + table[*id as usize * dim + c]));
                        want.push(sum * scale);
                        // r additions, a division good to 2.5 ULP and a product, all in halves of EPSILON.
                        bounds.push((kept.len() + 7) as f64 * f64::from(f32::EPSILON) / 2.0 * size * scale);
                    }
                }
            }
            check(
                what,
                || Bag { rows, dim, apart: dim, windows: windows.to_vec(), max_len: most, mean, zones },
                &reads,
                (rows, windows.len() * dim),
                &want,
                &bounds,
            );
            if !mean {
                let kernel = Bag { rows, dim, apart: dim, windows: windows.to_vec(), max_len: most, mean, zones };
                let out = [out_f(rows, windows.len() * dim)];
                let got = run(&devices_with_checks()[0], kernel, &Step::default(), Lay::Dense, &reads, &out);
                assert_eq!(floats(&got[0]), in_order, "{what}: order of the sums");
            }
        }
    }
}

#[test]
fn bag_backward_matches_the_oracle() {
    for &(what, rows, dim, max_len, windows, take) in CASES {
        let w = windows.len();
        let dout = uniform(rows * w * dim, 5);
        let h = history(rows, max_len, 300, take, 11);
        let mut reads = vec![f(&dout, rows, w * dim)];
        reads.extend(h.operands());
        for (mean, zones, clipped) in WAYS {
            let most = if clipped { max_len / 2 } else { usize::MAX };
            let (mut want, mut bounds) = (Vec::new(), Vec::new());
            for i in 0..rows {
                let row = h.row(i, most);
                let scale: Vec<f64> = (0..w)
                    .map(|y| match held(&row, windows, y, zones).count() {
                        _ if !mean => 1.0,
                        0 => 0.0,
                        n => 1.0 / n as f64,
                    })
                    .collect();
                for z in 0..w {
                    for c in 0..dim {
                        let longest = if zones { z + 1 } else { w };
                        let terms = (z..longest).map(|y| f64::from(dout[(i * w + y) * dim + c]) * scale[y]);
                        let (sum, size) = terms.fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
                        want.push(sum);
                        bounds.push((w + 7) as f64 * f64::from(f32::EPSILON) / 2.0 * size);
                    }
                }
            }
            check(
                what,
                || BagBackward { rows, dim, vocab: usize::MAX, windows: windows.to_vec(), max_len: most, mean, zones },
                &reads,
                (rows * w, dim),
                &want,
                &bounds,
            );
        }
    }
}

/// One float output on every device in both layouts: within its bounds, the same bits again, and the same bits on one and
/// two CPU threads.
fn check<K: rt_kernels::Kernel + Send + Sync + 'static>(
    what: &str,
    kernel: impl Fn() -> K,
    reads: &[Option<Tensor>],
    (rows, cols): (usize, usize),
    want: &[f64],
    bounds: &[f64],
) {
    let mut cpu = None;
    for device in devices_with_checks() {
        for lay in [Lay::Dense, Lay::Strided] {
            let go = || run(device, kernel(), &Step::default(), lay, reads, &[out_f(rows, cols)]);
            let got = go();
            let what = format!("{what}, {:?}, {device:?}, {lay:?}", kernel());
            close(&what, &floats(&got[0]), want, |i| bounds[i]);
            assert_eq!(got, go(), "{what}: a second run");
            if rt_tests::is_fast_cpu(device) {
                assert_eq!(&got, cpu.get_or_insert_with(|| got.clone()), "{what}: bits");
            }
        }
    }
}
