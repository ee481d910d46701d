//! What a figure means: repeats, cases that were trained on, ids that the model does not know.

use super::bad_input::fails;
use super::{SMALL, json, ok, recall, stderr, text};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// 60 users who go round the same four of their group's items, times an hour apart; `first` numbers the users.
fn plays(path: &Path, first: usize, item: &str) {
    let mut rows = String::from("user_id,item_id,timestamp\n");
    for user in 0..60 {
        for play in 0..12 {
            let own = user % 5 + 5 * ((play * play + user) % 4);
            writeln!(rows, "{},{item}{own},{}", first + user, 1_600_000_000 + user * 37 + play * 3_600).unwrap();
        }
    }
    fs::write(path, rows).unwrap();
}

fn train(data: &Path, out: &Path, more: &[&str]) -> serde_json::Value {
    let figures = out.with_extension("json");
    let base = ["train", "--data", text(data), "--model", "dssm", "--out", text(out), "--json", text(&figures)];
    ok(&[&base[..], SMALL, more].concat());
    json(&figures)
}

fn items(model: &Path, history: &str, more: &[&str]) -> Vec<String> {
    let figures = model.with_extension("list.json");
    let base = ["recommend", "--model", text(model), "--history", history, "-k", "40", "--device", "cpu", "--quiet"];
    ok(&[&base[..], &["--json", text(&figures)], more].concat());
    let rows = json(&figures)["rows"].as_array().unwrap().clone();
    rows.iter().map(|row| row["item"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn repeats_are_ranked_and_recommended_or_neither() {
    let folder = tempfile::tempdir().unwrap();
    let [data, auto, masked] = ["d.csv", "auto", "masked"].map(|name| folder.path().join(name));
    plays(&data, 1, "i");
    let figures = train(&data, &auto, &[]);
    let protocol = &figures["protocol"];
    assert_eq!((&protocol["mask"], &protocol["targets_left_out"]), (&"none".into(), &0.into()), "{protocol}");
    assert!(protocol["mask_reason"].as_str().unwrap().contains("% of the train events repeat"), "{protocol}");
    let own = figures["rows"].as_array().unwrap().last().unwrap();
    assert_eq!((own["repeat"]["targets"].as_u64(), own["new"]["targets"].as_u64()), (Some(60), Some(0)), "{own}");
    // The list is the one that the figure speaks of: all twenty items, those of the history too.
    assert_eq!(items(&auto, "i0,i5", &[]).len(), 20);
    assert_eq!(items(&auto, "i0,i5", &["--unseen"]).len(), 18);

    let figures = train(&data, &masked, &["--mask", "history"]);
    let protocol = &figures["protocol"];
    assert_eq!((&protocol["mask"], &protocol["mask_reason"]), (&"history".into(), &"as asked for".into()));
    assert_eq!((&protocol["targets_left_out"], &protocol["cases_left_out"]), (&60.into(), &60.into()), "{protocol}");
    assert_eq!(items(&masked, "i0,i5", &[]).len(), 18);
    assert_eq!(items(&masked, "i0,i5", &["--seen"]).len(), 20);
    // An evaluation ranks as the model was chosen, unless it is told otherwise.
    let again = folder.path().join("again.json");
    let base = ["eval", "--model", text(&masked), "--data", text(&data), "--device", "cpu", "--json", text(&again)];
    ok(&base);
    assert_eq!(json(&again)["protocol"]["mask"], "history");
    ok(&[&base[..], &["--mask", "none"]].concat());
    assert_eq!(json(&again)["protocol"]["mask"], "none");
}

#[test]
fn cases_that_were_trained_on_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [data, model, figures] = ["d.csv", "m", "e.json"].map(|name| folder.path().join(name));
    plays(&data, 1, "i");
    train(&data, &model, &[]);
    let base = ["eval", "--model", text(&model), "--data", text(&data), "--device", "cpu", "--json", text(&figures)];
    ok(&base);
    assert!(json(&figures)["protocol"].get("seen_cases").is_none());
    // By time the first half of each user's events trains: what is tested then was trained on.
    let cut = [&base[..], &["--split", "time:0.4,0.2"]].concat();
    fs::remove_file(&figures).unwrap();
    fails(&cut, 2, &["60 of 60 test cases", "trained on", "--allow-seen"]);
    assert!(!figures.exists());
    ok(&[&cut[..], &["--allow-seen"]].concat());
    assert_eq!(json(&figures)["protocol"]["seen_cases"], 60);
    // Other users with the same items and times are none of them.
    plays(&data, 1_000, "i");
    ok(&cut);
    // A model that goes on knows the old events too.
    let [later, more] = ["later.csv", "more"].map(|name| folder.path().join(name));
    fs::write(&later, "user_id,item_id,timestamp\n1,i3,1700000000\n1,i4,1700003600\n1,i9,1700007200\n1,i8,1700010000\n1,i7,1700020000\n").unwrap();
    ok(&[&["train", "--from", text(&model), "--data", text(&later), "--out", text(&more)], &SMALL[..5]].concat());
    plays(&data, 1, "i");
    let of_more = ["eval", "--model", text(&more), "--data", text(&data), "--device", "cpu", "--split", "time:0.4,0.2"];
    fails(&of_more, 2, &["60 of 60 test cases"]);
}

#[test]
fn ids_that_the_model_does_not_know_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [data, model] = ["d.csv", "m"].map(|name| folder.path().join(name));
    plays(&data, 1, "i");
    train(&data, &model, &[]);
    let base = ["eval", "--model", text(&model), "--data", text(&data), "--device", "cpu", "--baselines", "none"];
    plays(&data, 31, "i");
    let notes = stderr(&recall(&base));
    assert!(notes.contains("30 of 60 users are unknown to the model (such as 61, 62, 63)"), "{notes}");
    assert!(!notes.contains("items are unknown"), "{notes}");
    plays(&data, 1, "other");
    fails(&base, 2, &["none of the 20 items", "other", "it knows i"]);
    // One known item that is a target alone says nothing of anybody.
    fs::write(&data, "user_id,item_id,timestamp\na,x,1\na,y,2\na,z,3\na,i3,4\n").unwrap();
    fails(&base, 2, &["none of the 1 users", "no item of a history"]);
}
