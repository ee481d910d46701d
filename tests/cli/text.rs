//! `dssm-text` as a user runs it: pairs, training, search, and what goes wrong.

use super::bad_input::fails;
use super::{json, ok, small_model, text};
use std::fs;
use std::path::{Path, PathBuf};

const SMALL: &[&str] =
    &["--device", "cpu", "--threads", "1", "--quiet", "--set", "epochs=2", "--set", "hidden=16", "--set", "dim=16"];

/// Pairs of built-in titles.
fn pairs(folder: &Path) -> PathBuf {
    let path = folder.join("pairs.tsv");
    let data = "synthetic:users=60,items=50,events=8";
    let printed = ok(&["text-pairs", "--data", data, "--out", text(&path), "--per-title", "4", "--seed", "1"]);
    assert!(printed.contains("200 pairs of 50 titles"), "{printed}");
    path
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let args = ["train", "--model", "dssm-text", "--data", text(data), "--out", text(out)];
    args.iter().chain(SMALL).chain(more).map(|a| (*a).to_owned()).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn pairs_of_titles_train_a_model_that_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = pairs(folder.path());
    let lines = fs::read_to_string(&data).unwrap();
    assert!(lines.starts_with("query\tdocument\n") && lines.lines().count() == 201, "{lines:.200}");
    let again = at("again.tsv");
    let synthetic = "synthetic:users=60,items=50,events=8";
    ok(&["text-pairs", "--data", synthetic, "--out", text(&again), "--per-title", "4", "--seed", "1"]);
    assert_eq!(fs::read_to_string(&again).unwrap(), lines, "the same seed gives the same pairs");

    let (model, figures) = (at("m"), at("t.json"));
    let printed = ok(&strs(&train(&data, &model, &["--json", text(&figures)])));
    assert!(printed.contains("tf-idf") && printed.contains("recall@10"), "{printed}");
    let trained = json(&figures);
    assert_eq!(trained["command"], "train");
    assert_eq!(trained["device"]["kind"], "cpu");
    assert_eq!(trained["protocol"]["split"], "pairs");
    assert_eq!(trained["protocol"]["catalogue"], 50);
    let rows = trained["rows"].as_array().unwrap();
    assert_eq!((&rows[0]["model"], &rows[1]["model"]), (&"tf-idf".into(), &"dssm-text".into()));
    for row in rows {
        for metric in ["recall@1", "recall@10", "MRR"] {
            assert!(row["metrics"][metric].is_f64() && row["stderr"][metric].is_f64(), "{metric}: {row}");
        }
    }
    for key in ["seconds", "examples_per_second", "best_epoch", "loss", "loss_epochs", "model_sha256"] {
        assert!(!rows[1][key].is_null() && rows[0][key].is_null(), "{key}");
    }

    let (document, found) = (lines.lines().nth(1).unwrap().split('\t').nth(1).unwrap(), at("s.json"));
    let search = ["search", document, "--model", text(&model), "-k", "3", "--device", "cpu", "--json", text(&found)];
    let printed = ok(&search);
    let rows = json(&found)["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 3);
    assert!(rows.windows(2).all(|w| w[0]["score"].as_f64() >= w[1]["score"].as_f64()), "{rows:?}");
    assert!(printed.contains(rows[0]["document"].as_str().unwrap()), "{printed}");
    assert_eq!(json(&found)["model_sha256"], trained["rows"][1]["model_sha256"]);
    // The folder is all it takes.
    fs::remove_file(&data).unwrap();
    ok(&search);
}

#[test]
fn a_saved_model_is_tested_on_what_it_was_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = pairs(folder.path());
    for split in ["pairs", "documents"] {
        let (model, trained, tested) = (at(split), at("t.json"), at("e.json"));
        ok(&strs(&train(&data, &model, &["--seed", "7", "--split", split, "--json", text(&trained)])));
        let eval = |data: &Path| {
            let (model, tested) = (text(&model), text(&tested));
            ok(&["eval", "--model", model, "--data", text(data), "--device", "cpu", "--threads", "1", "--json", tested])
        };
        let printed = eval(&data);
        let (trained, again) = (json(&trained), json(&tested));
        for row in 0..2 {
            assert_eq!(trained["rows"][row]["metrics"], again["rows"][row]["metrics"], "{split}: {printed}");
        }
        assert_eq!(trained["protocol"]["pairs_tested"], again["protocol"]["pairs_tested"]);
        assert!(printed.contains(&format!("held out by training (split by {split})")), "{printed}");
        // Other pairs over documents that it knows: all of them.
        let lines = fs::read_to_string(&data).unwrap();
        let few: Vec<&str> = lines.lines().take(21).collect();
        fs::write(at("few.tsv"), few.join("\n")).unwrap();
        let printed = eval(&at("few.tsv"));
        assert!(printed.contains("20 pairs of a file that the model was not trained on"), "{printed}");
        assert_eq!(json(&tested)["protocol"]["catalogue"], 50);
        fs::write(at("new.tsv"), "an apple\tApples (1999)\n").unwrap();
        let args =
            ["eval", "--model", text(&model), "--data", text(&at("new.tsv")), "--device", "cpu"].map(str::to_owned);
        fails(&strs(&args), 2, &["`Apples (1999)` is none of the 50"]);
        let split = ["eval", "--model", text(&model), "--data", text(&data), "--split", "pairs"].map(str::to_owned);
        fails(&strs(&split), 2, &["--split", "left out"]);
    }
}

#[test]
fn its_step_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let data = pairs(folder.path());
    let out = folder.path().join("x.json");
    for (data, set) in [(text(&data), "loss=list"), ("synthetic:users=60,items=50,events=8", "hidden=8")] {
        let printed = ok(&["explain", "--model", "dssm-text", "--data", data, "--set", set, "--json", text(&out)]);
        assert!(printed.contains("parameters in tables"), "{printed}");
        let rows = json(&out)["rows"].as_array().unwrap().len();
        assert!(rows > 10 && printed.contains(&format!("{rows} nodes")), "{printed}");
    }
    fails(&["explain", "--model", "dssm-text", "--set", "loss=full"], 2, &["in-batch list"]);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = pairs(folder.path());
    let model = at("m");
    let refuse = |data: &Path, more: &[&str], words: &[&str]| {
        fails(&strs(&train(data, &at("not-made"), more)), 2, words);
        assert!(!at("not-made").exists());
    };
    refuse(Path::new("/nonexistent.tsv"), &[], &["/nonexistent.tsv"]);
    refuse(folder.path(), &[], &["is a folder", "TSV"]);
    refuse(Path::new("synthetic"), &[], &["text-pairs"]);
    fs::write(at("a.tsv"), "query\tdocument\na b\tc\nd\n").unwrap();
    refuse(&at("a.tsv"), &[], &["a.tsv", "line 3", "2 or 3"]);
    refuse(&data, &["--set", "hiden=3"], &["hiden", "nearest is `hidden`"]);
    refuse(&data, &["--set", "loss=full"], &["in-batch list"]);
    refuse(&data, &["--mask", "none"], &["--mask", "leave it out"]);
    refuse(&data, &["--split", "time:0.8,0.1"], &["pairs or documents"]);
    let pairs = |more: &[&str], words: &[&str]| {
        let out = at("x");
        let args = [&["text-pairs", "--data", "synthetic:users=60,items=50,events=8", "--out", text(&out)], more];
        fails(&args.concat(), 2, words);
        assert!(!out.exists());
    };
    pairs(&["--drop", "1.5"], &["drop = 1.5", "from 0 to 1"]);
    pairs(&["--drop", "0.6", "--swap", "0.6"], &["sum to 1"]);
    pairs(&["--per-title", "0"], &["--per-title 0"]);

    ok(&strs(&train(&data, &model, &["--split", "documents"])));
    let search = |model: &Path, more: &[&str], words: &[&str]| {
        fails(&[&["search", "--model", text(model), "--device", "cpu"], more].concat(), 2, words);
    };
    search(&model, &[""], &["no letter and no digit"]);
    search(&model, &["ζζζ"], &["shares no letter trigram"]);
    search(&model, &["a", "-k", "0"], &["-k 0"]);
    search(folder.path(), &["a"], &["no model"]);
    let (_items, items) = small_model("dssm");
    search(&items, &["a"], &["dssm model", "recall recommend"]);
    fails(&["recommend", "--model", text(&model), "--user", "1"], 2, &["model of texts", "recall search"]);
    fails(&["eval", "--model", text(&model), "--data", "synthetic"], 2, &["--data", "text-pairs"]);
}
