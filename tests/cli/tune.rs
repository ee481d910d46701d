//! `recall tune`.

use super::{json, ok, recall, stderr, text};
use std::path::Path;

const DATA: &str = "synthetic:users=100,items=80,events=10";
const SPACE: &str = "lr = { min = 1e-3, max = 3e-2, scale = \"log\" }\ndim = [8, 16]\n";
const SMALL: &[&str] = &["--device", "cpu", "--threads", "1", "--quiet", "--set", "batch=256", "--set", "history=10"];

/// Runs a search in a folder; gives what it printed and its rows.
fn tune(folder: &Path, more: &[&str]) -> (String, serde_json::Value) {
    let (space, out, figures) = (folder.join("space.toml"), folder.join("out"), folder.join("j.json"));
    let mut args = vec!["tune", "--data", DATA, "--model", "dssm", "--space", text(&space), "--out", text(&out)];
    args.extend(["--json", text(&figures), "--set", "user_hidden=16", "--set", "windows=1,10"]);
    args.extend(SMALL);
    args.extend(more);
    (ok(&args), json(&figures))
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("out/trials.jsonl")).unwrap()
}

#[test]
fn a_random_search_resumes_and_its_best_settings_train() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("space.toml"), SPACE).unwrap();
    let random = ["--trials", "3", "--set", "epochs=2"];
    let (printed, all) = tune(folder, &random);
    let rows = all["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(printed.contains("validation NDCG@10") && printed.contains("best.toml"), "{printed}");
    let values: Vec<f64> = rows.iter().map(|r| r["validation"].as_f64().unwrap()).collect();
    assert!(values.windows(2).all(|w| w[0] >= w[1]), "best first: {values:?}");
    assert_eq!(log(folder).lines().count(), 4, "a line for the search, one a trial");

    // As if the program had been stopped while it wrote the third trial; a fourth is wanted now.
    let before = log(folder);
    let kept: Vec<&str> = before.lines().take(3).collect();
    std::fs::write(folder.join("out/trials.jsonl"), format!("{}\n{{\"trial\": 2, \"epo", kept.join("\n"))).unwrap();
    let (_, again) = tune(folder, &["--trials", "4", "--set", "epochs=2"]);
    let after = log(folder);
    assert!(after.starts_with(&format!("{}\n", kept.join("\n"))), "the first two are as they were, seconds too");
    assert_eq!(after.lines().count(), 5);
    let of = |v: &serde_json::Value, trial: u64| {
        let row = v["rows"].as_array().unwrap().iter().find(|r| r["trial"] == trial).unwrap();
        (row["validation"].clone(), row["settings"].clone())
    };
    assert_eq!(of(&again, 2), of(&all, 2), "run again it gives the same");

    // The best settings train, to the same validation.
    let best = folder.join("out/best.toml");
    let (model, figures) = (folder.join("m"), folder.join("t.json"));
    let mut args = vec!["train", "--data", DATA, "--model", "dssm", "--config", text(&best), "--out", text(&model)];
    args.extend(["--json", text(&figures), "--device", "cpu", "--quiet"]);
    ok(&args);
    let trained =
        json(&figures)["validation"].as_array().unwrap().iter().filter_map(|v| v.as_f64()).fold(0.0, f64::max);
    assert_eq!(Some(trained), again["rows"][0]["validation"].as_f64());

    // Another search does not go on in this folder.
    let refused = |more: &[&str], want: &str| {
        let (space, out) = (folder.join("space.toml"), folder.join("out"));
        let mut args = vec!["tune", "--data", DATA, "--model", "dssm", "--space", text(&space), "--out", text(&out)];
        args.extend(["--set", "user_hidden=16", "--set", "windows=1,10"]);
        args.extend(SMALL);
        args.extend(more);
        let output = recall(&args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
    };
    refused(&["--set", "epochs=3"], "another settings");
    refused(&["--set", "epochs=2", "--seed", "7"], "another seed");
    refused(&["--set", "epochs=2", "--method", "halving"], "another method");
    refused(&["--set", "epochs=2", "--set", "lr=1"], "searched over");
    refused(&["--set", "epochs=2", "--trials", "0"], "--trials 0");
    assert_eq!(log(folder), after, "and leaves it as it is");
}

#[test]
fn halving_gives_more_epochs_to_fewer_trials() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("space.toml"), SPACE).unwrap();
    let (_, all) = tune(folder, &["--method", "halving", "--trials", "4", "--set", "epochs=3", "--set", "patience=9"]);
    let rows = all["rows"].as_array().unwrap();
    let at = |epochs: u64| rows.iter().filter(|r| r["epochs"] == epochs).collect::<Vec<_>>();
    assert_eq!((at(1).len(), at(3).len(), rows.len()), (4, 1, 5));
    let most = at(1).iter().map(|r| r["validation"].as_f64().unwrap()).fold(0.0, f64::max);
    let winner = at(1).into_iter().find(|r| r["validation"].as_f64() == Some(most)).unwrap();
    assert_eq!(at(3)[0]["trial"], winner["trial"], "the best of the first rung goes on");
    let best = std::fs::read_to_string(folder.join("out/best.toml")).unwrap();
    assert!(best.lines().any(|l| l == "epochs = 3"), "{best}");
    let dim = format!("dim = {}", winner["settings"]["dim"].as_str().unwrap());
    assert!(best.lines().any(|l| l == dim), "{best}");
}

#[test]
fn a_space_of_settings_that_cannot_be_is_the_users_error() {
    let folder = tempfile::tempdir().unwrap();
    let (space, out) = (folder.path().join("s.toml"), folder.path().join("t"));
    std::fs::write(&space, "margin = [2.0, 3.0]\n").unwrap();
    let data = "synthetic:users=60,items=40,events=8";
    let output = super::recall(&[
        "tune",
        "--data",
        data,
        "--model",
        "dssm",
        "--space",
        space.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--trials",
        "2",
        "--device",
        "cpu",
        "--quiet",
    ]);
    let said = super::stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("margin") && said.contains("every trial failed"), "{said}");
}

#[test]
fn built_in_data_takes_no_columns() {
    for flags in [&["--user-features", "age"][..], &["--context", "device"], &["--order", "input"]] {
        let mut args = vec!["audit", "--data", "synthetic:users=60,items=40,events=8"];
        args.extend(flags);
        let output = super::recall(&args);
        let said = super::stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(flags[0]) && said.contains("built-in"), "{said}");
    }
}
