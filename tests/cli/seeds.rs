//! `train --seeds`.

use super::{SMALL, json, ok, recall, stderr, text};
use approx::{abs_diff_eq, assert_abs_diff_eq};

#[test]
fn several_seeds_give_each_and_the_mean_and_keep_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let (model, figures) = (folder.path().join("m"), folder.path().join("t.json"));
    let data = "synthetic:users=120,items=90,events=12";
    let train = |seed: &str, more: &[&str]| {
        let mut args = vec!["train", "--data", data, "--model", "dssm", "--seed", seed, "--out", text(&model)];
        args.extend(["--json", text(&figures)]);
        args.extend(SMALL);
        args.extend(more);
        let printed = ok(&args);
        (printed, json(&figures))
    };
    let alone: Vec<_> = ["7", "8", "9"].iter().map(|seed| train(seed, &[]).1).collect();
    let board = folder.path().join("board");
    let (printed, all) = train("7", &["--seeds", "3", "--tensorboard", text(&board)]);
    for line in ["7 ", "8 ", "9 ", "mean "] {
        assert!(printed.lines().any(|l| l.trim_start().starts_with(line)), "{line}: {printed}");
    }
    assert!(printed.contains('±'), "{printed}");
    assert_eq!(std::fs::read_dir(&board).unwrap().count(), 3, "a folder a seed");
    let own = |v: &serde_json::Value, name: &str| {
        v["rows"].as_array().unwrap().iter().find(|r| r["model"] == name).cloned().unwrap_or_else(|| panic!("{name}"))
    };
    let seeds = all["seeds"].as_array().unwrap();
    assert_eq!(seeds.len(), 3);
    for (run, alone) in seeds.iter().zip(&alone) {
        assert_eq!(run["seed"], alone["seed"]);
        assert_eq!(run["metrics"], own(alone, "dssm")["metrics"], "as trained alone");
        assert_eq!(run["model_sha256"], own(alone, "dssm")["model_sha256"]);
    }
    assert_eq!(own(&all, "dssm")["model_sha256"], own(&alone[0], "dssm")["model_sha256"], "the first seed's row");
    let mean = own(&all, "dssm mean");
    assert_eq!(mean["seeds"], serde_json::json!([7, 8, 9]));
    let values: Vec<f64> = seeds.iter().map(|s| s["metrics"]["NDCG@10"].as_f64().unwrap()).collect();
    let want = values.iter().sum::<f64>() / 3.0;
    assert_abs_diff_eq!(mean["metrics"]["NDCG@10"].as_f64().unwrap(), want, epsilon = 1e-12);
    let tied = |v: &serde_json::Value| own(v, "dssm")["untied"]["HR@10"].as_f64().unwrap();
    let want_tied = alone.iter().map(tied).sum::<f64>() / 3.0;
    assert!(abs_diff_eq!(mean["untied"]["HR@10"].as_f64().unwrap(), want_tied, epsilon = 1e-12) && want_tied > 0.0);
    assert_eq!(mean["untied"]["users"], own(&alone[0], "dssm")["untied"]["users"]);
    assert!(mean["stderr"]["HR@10"].as_f64().unwrap() > 0.0);
    let deviation = (values.iter().map(|v| (v - want).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert_abs_diff_eq!(mean["deviation"]["NDCG@10"].as_f64().unwrap(), deviation, epsilon = 1e-12);
    // The kept model is that of the best validation.
    let best = seeds.iter().max_by(|a, b| a["validation"].as_f64().partial_cmp(&b["validation"].as_f64()).unwrap());
    let saved: Vec<_> = seeds.iter().filter(|s| s["saved"] == true).collect();
    assert_eq!(saved.len(), 1);
    assert_eq!(saved[0]["validation"], best.unwrap()["validation"]);
    let again = folder.path().join("e.json");
    ok(&["eval", "--model", text(&model), "--data", data, "--device", "cpu", "--quiet", "--json", text(&again)]);
    assert_eq!(own(&json(&again), "dssm")["model_sha256"], saved[0]["model_sha256"]);
}

#[test]
fn no_seed_is_an_error() {
    let output = recall(&["train", "--data", "synthetic", "--model", "dssm", "--out", "x", "--seeds", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--seeds 0"), "{}", stderr(&output));
}
