//! DSSM on text: learning, same bits, CPU against GPU, padding, saved folders.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_kernels::Target;
use rt_models::text::{
    Noise, Pairs, SplitBy, TextConfig, TextModel, TextReport, TextSplit, TfIdf, rank_pairs, title_pairs, train,
};
use rt_models::{Device, Model, ModelKind};
use rt_tests::devices;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// Queries of built-in titles, with many typing errors; some documents shown and not clicked.
fn pairs() -> Pairs {
    let (data, _) = data();
    let titles: Vec<(String, String)> = data.titles.iter().skip(1).map(|t| (t.clone(), String::new())).collect();
    let noise = Noise { drop: 0.13, swap: 0.13, replace: 0.13 };
    let mut lines = String::new();
    for (i, (query, document)) in title_pairs(&titles, 10, &noise, 1).unwrap().iter().enumerate() {
        lines += &format!("{query}\t{document}\t1\n");
        if i % 7 == 0 {
            lines += &format!("{query}\t{}\t0\n", titles[(i * 13) % titles.len()].0);
        }
    }
    Pairs::parse("titles", lines.as_bytes(), Path::new("titles.tsv")).unwrap()
}

/// Every part of the step is there, little of each.
fn small(settings: &[&str]) -> TextConfig {
    let mut config = TextConfig::new();
    for pair in ["epochs=1", "batch=128", "hidden=24", "dim=16", "skip=true"] {
        config.set_pair(pair).unwrap();
    }
    for pair in settings {
        config.set_pair(pair).unwrap();
    }
    config
}

fn learn(device: &Device, config: &TextConfig, pairs: &Pairs, seed: u64) -> (TextModel, TextReport) {
    let split = TextSplit::new(pairs, SplitBy::Pairs, 1);
    train(device, config, pairs, &split, seed, &mut |_| ControlFlow::Continue(())).unwrap()
}

const SETTINGS: &[&[&str]] = &[
    &["loss=in-batch", "shared_towers=true"],
    &["loss=list", "shared_towers=false", "activation=relu", "optimizer=adagrad"],
    &["loss=list", "hidden=16,16", "skip=false", "dropout=0", "activation=prelu", "negatives=2"],
];

#[test]
fn it_learns_and_beats_tfidf_where_typing_errors_are_many() {
    let pairs = pairs();
    let split = TextSplit::new(&pairs, SplitBy::Pairs, 1);
    let mut config = TextConfig::new();
    for pair in ["epochs=12", "batch=64", "dim=64"] {
        config.set_pair(pair).unwrap();
    }
    let (model, report) = learn(&devices()[0], &config, &pairs, 1);
    let (first, last) = (report.loss_epochs[0], report.loss_epochs[report.loss_epochs.len() - 1]);
    assert!(last < 0.5 * first, "the loss went from {first} to {last}");
    let own = model.evaluate(&pairs, &split.test).unwrap();
    let tfidf = rank_pairs(&pairs, &split.test, &TfIdf::new(&pairs.documents)).unwrap();
    let (own, tfidf) = (own.get("recall@10"), tfidf.get("recall@10"));
    assert!(own > tfidf + 0.03 && tfidf > 0.5, "recall@10 {own:.4}, TF-IDF {tfidf:.4}");
}

#[test]
fn same_seed_same_bits_for_any_number_of_threads() {
    let pairs = pairs();
    for settings in SETTINGS {
        let config = small(settings);
        let hash = |device: &Device, seed| learn(device, &config, &pairs, seed).0.sha256().unwrap();
        let first = hash(&devices()[0], 3);
        assert_eq!(first, hash(&devices()[1], 3), "{settings:?}");
        assert_ne!(first, hash(&devices()[0], 4), "the seed changes nothing");
    }
}

#[test]
fn losses_of_the_gpu_are_those_of_the_cpu() {
    let pairs = pairs();
    for settings in SETTINGS {
        let config = small(settings);
        let (_, cpu) = learn(&devices()[0], &config, &pairs, 11);
        assert!(cpu.loss.len() >= 5, "too few steps to compare");
        for device in devices().iter().filter(|d| d.target() == Target::Gpu) {
            let (_, gpu) = learn(device, &config, &pairs, 11);
            for (step, (a, b)) in cpu.loss.iter().zip(&gpu.loss).enumerate() {
                assert!(
                    abs_diff_eq!(a, b, epsilon = 1e-3 * a.abs()),
                    "{device:?} {settings:?}, step {}: {a} and {b}",
                    step + 1
                );
            }
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let pairs = pairs();
    for loss in ["loss=in-batch", "loss=list"] {
        // One batch that is full to the last row, and one with rows to spare.
        let split = TextSplit::new(&pairs, SplitBy::Pairs, 1);
        let n: u32 = split.train.iter().map(|i| pairs.clicked[*i as usize].count).sum();
        let with = |batch: u32| small(&[loss, "epochs=3", "dropout=0", &format!("batch={batch}")]);
        let (_, full) = learn(&devices()[0], &with(n), &pairs, 2);
        let (_, spare) = learn(&devices()[0], &with(n + 37), &pairs, 2);
        assert_eq!(full.loss.len(), 3);
        for (step, (a, b)) in full.loss.iter().zip(&spare.loss).enumerate() {
            // The first loss but for rounding; Adam's first steps turn the sign of a tiny gradient into a move.
            let bound = if step == 0 { 1e-5 } else { 1e-3 };
            assert!(abs_diff_eq!(a, b, epsilon = bound * a.abs()), "{loss}, step {}: {a} and {b}", step + 1);
        }
    }
}

#[test]
fn a_saved_model_finds_the_same_on_every_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let pairs = pairs();
    let (model, _) = learn(&devices()[0], &small(&["loss=list"]), &pairs, 2);
    model.save(&path).unwrap();
    model.save(&path).unwrap(); // a model of ours is replaced
    let mut files: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["manifest.json", "model.json", "model.safetensors"], "no other file");
    let query = &pairs.queries[3];
    let want = model.search(query, 5).unwrap();
    assert_eq!(want.len(), 5);
    assert!(want.windows(2).all(|w| w[0].score >= w[1].score));
    for device in devices() {
        let loaded = TextModel::load(device, &path).unwrap();
        assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap());
        assert_eq!(loaded.config(), model.config());
        for (a, b) in want.iter().zip(&loaded.search(query, 5).unwrap()) {
            assert!(abs_diff_eq!(a.score, b.score, epsilon = 1e-4), "{device:?}: {a:?} {b:?}");
        }
    }
    let loaded = TextModel::load(&devices()[0], &path).unwrap();
    assert_eq!(loaded.search(query, 5).unwrap(), want);
    // What is not in the training data is left out, and a query of nothing else is refused.
    assert_eq!(loaded.search(&format!("{query} ζζζ"), 5).unwrap(), want);
    let refused = |query: &str| loaded.search(query, 5).unwrap_err().to_string();
    assert!(refused(" ?!").contains("no letter and no digit"));
    assert!(refused("ζζζ").contains("shares no letter trigram"));
    assert!(loaded.search(query, 0).is_err());
}

#[test]
fn folders_of_the_other_kind_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (text, items) = (folder.path().join("text"), folder.path().join("items"));
    let device = &devices()[0];
    learn(device, &small(&[]), &pairs(), 2).0.save(&text).unwrap();
    fit(device, &config(ModelKind::Dssm, &[]), 2).0.save(&items).unwrap();
    let error = TextModel::load(device, &items).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("recall recommend"), "{error}");
    let error = Model::load(device, &text).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("recall search"), "{error}");
    let file = text.join("model.json");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(TextModel::load(device, &text).unwrap_err().to_string().contains("truncated"));
}
