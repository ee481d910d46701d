//! The baselines' published figures: they prove that splits, masks, ties and the choice of h are the protocol's.

use approx::abs_diff_eq;
use std::path::PathBuf;

use rt_data::{Mask, ReadOptions, SplitKind, SplitOptions, read, split};

use super::*;

/// `../shared/data` beside the project, or what `RECALL_DATA` names.
fn folder(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("RECALL_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("{} is not there: nothing checked", path.display());
    None
}

fn check(name: &str, want_popular: [f64; 4], want_knn: [f64; 4], h: usize) {
    let Some(path) = folder(name) else { return };
    let data = read(&path, &ReadOptions::default()).unwrap();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!(split.mask, Mask::History, "{}", split.mask_reason);
    let knn = ItemKnn::fit(&data, &split).unwrap();
    eprintln!("{name}: {:?}", knn.tried());
    assert_eq!(knn.last(), Last::Events(h));
    let scorers: [(&str, &dyn Scorer, [f64; 4]); 2] =
        [("most-popular", &Popularity::new(&data, &split), want_popular), ("item-knn", &knn, want_knn)];
    for (model, scorer, want) in scorers {
        let ranks = rank_cases(&data, &split.test, scorer, &[split.mask, Mask::None]).unwrap();
        let row = Row::new(model, &data, &split, &split.test, &ranks[0], &ranks[1]);
        eprintln!("{}", serde_json::to_string(&row).unwrap());
        for (metric, want) in ["HR@10", "HR@50", "HR@100", "NDCG@10"].into_iter().zip(want) {
            let got = row.metrics.get(metric).unwrap();
            assert!(abs_diff_eq!(got, want, epsilon = 6e-4), "{name}, {model}, {metric}: {got}, not {want}");
        }
    }
}

#[test]
fn ml_100k() {
    check("ml-100k", [0.0848, 0.1987, 0.3173, 0.0441], [0.1813, 0.4051, 0.5525, 0.0981], 3);
}

#[test]
fn ml_1m_half() {
    check("ml-1m-half", [0.0378, 0.1567, 0.2394, 0.0179], [0.1717, 0.3651, 0.4618, 0.0951], 5);
}
