//! `train --split none`: everything trains, for as many epochs as were best on what is held back first.

use super::{json, ok, recall, small_model, stderr, text};
use std::fmt::Write as _;

/// 80 users with eight events each, of their own part of 40 items.
fn log() -> String {
    let mut text = "user,item,time\n".to_owned();
    for user in 0..80u32 {
        for event in 0..8u32 {
            writeln!(
                text,
                "u{user},i{},{}",
                (user % 4) * 10 + (user / 4 + event * 3) % 10,
                1_600_000_000 + event * 5_000
            )
            .unwrap();
        }
    }
    text
}

const QUIET: [&str; 5] = ["--device", "cpu", "--threads", "1", "--quiet"];

#[test]
fn everything_trains_for_the_epochs_that_were_best_before() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out, figures) = (folder.path().join("log.csv"), folder.path().join("m"), folder.path().join("j"));
    std::fs::write(&data, log()).unwrap();
    let train = |out: &std::path::Path, more: &[&str]| {
        let mut args = vec!["train", "--data", text(&data), "--model", "dssm", "--out", text(out), "--split", "none"];
        args.extend([
            "--set",
            "dim=16",
            "--set",
            "user_hidden=16",
            "--set",
            "item_hidden=16",
            "--json",
            text(&figures),
        ]);
        args.extend(QUIET);
        args.extend(more);
        (ok(&args), json(&figures))
    };
    let (printed, found) = train(&out, &["--set", "patience=3"]);
    let epochs = found["everything"]["epochs"].as_u64().unwrap();
    assert_eq!(found["everything"]["examples"], 80 * 7);
    assert_eq!(found["everything"]["held_back"], 80);
    assert!(epochs > 0 && found["validation"].as_array().unwrap().len() as u64 >= epochs);
    assert!(printed.contains("all 560 examples") && printed.contains("80 cases were held back"), "{printed}");
    // The same number of epochs, given: the same weights.
    let (printed, given) =
        train(&folder.path().join("n"), &["--set", "patience=3", "--set", &format!("epochs={epochs}")]);
    assert!(printed.contains("as given"), "{printed}");
    assert_eq!(given["everything"]["held_back"], 0);
    assert_eq!(given["rows"][0]["model_sha256"], found["rows"][0]["model_sha256"]);
    // Of several seeds the one that is best while events are held back trains on everything.
    let (printed, both) = train(&folder.path().join("s"), &["--set", "patience=3", "--seeds", "2"]);
    let runs = both["seeds"].as_array().unwrap();
    assert!(runs.len() == 2 && runs.iter().filter(|run| run["saved"] == true).count() == 1, "{both}");
    assert!(printed.contains("is the best on validation"), "{printed}");
    // The saved model is the one of everything: each event is one that it was trained on.
    let args = ["eval", "--model", text(&out), "--data", text(&data), "--device", "cpu"];
    let output = recall(&args);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("80 of 80"), "{}", stderr(&output));
    let output = recall(&[&args[..], &["--split", "none"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing is tested"), "{}", stderr(&output));
}

#[test]
fn a_model_goes_on_with_everything() {
    let (folder, model) = small_model("dssm");
    let (out, figures) = (folder.path().join("n"), folder.path().join("j"));
    let data = "synthetic:users=140,items=100,events=10,seed=9";
    let mut args = vec!["train", "--from", text(&model), "--data", data, "--split", "none", "--out", text(&out)];
    args.extend(["--json", text(&figures)]);
    args.extend(QUIET);
    ok(&args);
    let trained = json(&figures);
    assert_eq!((&trained["everything"]["epochs"], &trained["new_users"]), (&1.into(), &20.into()), "{trained}");
    assert!(trained["everything"]["held_back"].as_u64().unwrap() > 100, "{trained}");
}
