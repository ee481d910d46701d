//! Readable, unique made-up titles.

use super::rng::Stream;

const FIRST: [&str; 48] = [
    "Crimson",
    "Silent",
    "Golden",
    "Broken",
    "Hidden",
    "Distant",
    "Burning",
    "Frozen",
    "Hollow",
    "Velvet",
    "Iron",
    "Paper",
    "Midnight",
    "Scarlet",
    "Wandering",
    "Electric",
    "Forgotten",
    "Lonely",
    "Savage",
    "Gentle",
    "Copper",
    "Winter",
    "Summer",
    "Amber",
    "Quiet",
    "Restless",
    "Northern",
    "Southern",
    "Secret",
    "Shattered",
    "Silver",
    "Painted",
    "Drifting",
    "Blind",
    "Borrowed",
    "Endless",
    "Falling",
    "Glass",
    "Haunted",
    "Invisible",
    "Last",
    "Little",
    "Lost",
    "Neon",
    "Perfect",
    "Second",
    "Stolen",
    "Wild",
];

const SECOND: [&str; 48] = [
    "Harbor",
    "River",
    "Garden",
    "Kingdom",
    "Station",
    "Letters",
    "Mirror",
    "Avenue",
    "Horizon",
    "Orchard",
    "Island",
    "Empire",
    "Lullaby",
    "Machine",
    "Parade",
    "Promise",
    "Wedding",
    "Shadow",
    "Canyon",
    "Circus",
    "Detective",
    "Dream",
    "Echo",
    "Express",
    "Fortune",
    "Galaxy",
    "Highway",
    "Hotel",
    "Journey",
    "Lantern",
    "Library",
    "Mountain",
    "Orchestra",
    "Passage",
    "Pilot",
    "Planet",
    "Prairie",
    "Ransom",
    "Season",
    "Signal",
    "Sparrow",
    "Stranger",
    "Sunset",
    "Symphony",
    "Thunder",
    "Treasure",
    "Village",
    "Voyage",
];

/// `count` titles without a year; past 2,304 they are continued: `Crimson Harbor 2`.
pub(crate) fn titles(seed: u64, count: usize) -> Vec<String> {
    let pairs = FIRST.len() * SECOND.len();
    let mut order: Vec<usize> = (0..pairs).collect();
    Stream::new(seed, super::purpose::TITLES, 0).shuffle(&mut order);
    (0..count)
        .map(|item| {
            let pair = order[item % pairs];
            let (first, second) = (FIRST[pair % FIRST.len()], SECOND[pair / FIRST.len()]);
            match item / pairs {
                0 => format!("{first} {second}"),
                part => format!("{first} {second} {}", part + 1),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique() {
        let mut all = titles(1, 6_000);
        assert_eq!(all[..3], titles(1, 3)[..]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6_000);
    }
}
