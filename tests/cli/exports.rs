//! Logs as other programs write them, and ids as people type them.

use super::{SMALL, json, ok, recall, stderr, text};
use std::fs;
use std::path::Path;

/// 30 users with nine events each, written by `line` of (user, item, seconds).
fn log(path: &Path, head: &str, line: impl Fn(u32, u32, i64) -> String) {
    let mut rows = head.to_owned();
    for user in 1..=30u32 {
        for n in 0..9u32 {
            rows +=
                &line(user, 1 + (user * 7 + n * n * 3) % 20, 1_600_000_000 + i64::from(user) + 86_400 * i64::from(n));
            rows.push('\n');
        }
    }
    fs::write(path, rows).unwrap();
}

/// Trains a small model; gives the figures and what stood on stderr.
fn train(data: &Path, more: &[&str], out: &Path) -> (serde_json::Value, String) {
    let figures = out.with_extension("json");
    let small: Vec<&str> = SMALL.iter().copied().filter(|flag| *flag != "--quiet").collect();
    let base = ["train", "--model", "dssm", "--data", text(data), "--out", text(out), "--json", text(&figures)];
    let output = recall(&[&base[..], &small, more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    (json(&figures), stderr(&output))
}

#[test]
fn what_the_reader_noticed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [seconds, data, model] = ["s.csv", "d.csv", "m"].map(|name| folder.path().join(name));
    log(&seconds, "user,item,time\n", |u, i, t| format!("{u},{i},{t}"));
    let (plain, said) = train(&seconds, &[], &model);
    assert!(!said.contains("note:"), "{said}");

    let same = |more: &[&str], notes: &[&str]| {
        let (figures, said) = train(&data, more, &model);
        assert_eq!(figures["rows"][0]["metrics"], plain["rows"][0]["metrics"], "most-popular, whatever the form");
        assert!(notes.iter().all(|note| said.contains(&format!("note: {note}"))), "{notes:?}: {said}");
        figures
    };
    log(&data, "user,item,time\n", |u, i, t| format!("{u}.0,{i},{t}999"));
    same(
        &[],
        &["times of d.csv are milliseconds: events from 2020-09-13 to 2020-09-21", "d.csv: all ids of the column user"],
    );
    log(&data, "", |u, i, t| format!("{i},x,{u},{t}"));
    same(&["--no-header", "--user-col", "3", "--item-col", "1"], &["d.csv has no header: the user is column 3"]);
    log(&data, "user,item,time\n", |u, i, t| format!("{u},{i},{t}\nNULL,5,{t}"));
    let figures = same(&[], &["270 rows without the id of a user are left out (NULL: 270)"]);
    assert_eq!((&figures["left_out"]["missing"], &figures["interactions"]), (&270.into(), &270.into()));
    let (figures, said) = train(&data, &["--missing-ids", "keep"], &model);
    assert_eq!(figures["interactions"], 540);
    assert!(said.contains("user `NULL` has 270 of all 540 events"), "{said}");
}

#[test]
fn ids_that_begin_with_a_minus_or_hold_commas() {
    let folder = tempfile::tempdir().unwrap();
    let [data, model, figures] = ["d.csv", "m", "r.json"].map(|name| folder.path().join(name));
    log(&data, "user,item,time\n", |u, i, t| format!("-{u},\"{i},{}\",{t}", -i64::from(i)));
    train(&data, &[], &model);
    let recommend = |more: &[&str]| {
        let base = ["recommend", "--model", text(&model), "--device", "cpu", "-k", "3", "--json", text(&figures)];
        let output = recall(&[&base[..], more].concat());
        assert!(output.status.success(), "{more:?}: {}", stderr(&output));
        assert_eq!(json(&figures)["rows"].as_array().unwrap().len(), 3);
        stderr(&output)
    };
    recommend(&["--user", "-1"]);
    let said = recommend(&["--history", "\"5,-5\",\"9,-9\""]);
    assert!(!said.contains("left out"), "{said}");
    // Items that the model does not know are named; the others are served.
    let said = recommend(&["--history", "-5,\"9,-9\",NEW"]);
    assert!(said.contains("left out: -5, NEW; it knows 20 items"), "{said}");
    let said = recommend(&["--history", "NEW"]);
    assert!(said.contains("left out: NEW") && said.contains("the history is empty"), "{said}");
    ok(&["recommend", "--model", text(&model), "--device", "cpu", "--user=-1"]);
}
