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
    assert!(figures["notes"][0].as_str().unwrap().contains("NULL: 270"), "{}", figures["notes"]);
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

/// Users of a country like the items of their country; each event is on a device.
fn lands(path: &Path, users: std::ops::Range<u32>, own: bool) {
    let mut rows = "user,item,time,country,device\n".to_owned();
    for user in users {
        for n in 0..6 {
            let land = user % 4;
            let item = if own || n == 5 { 4 * ((user + 3 * n) % 6) + land } else { (user * 7 + n * 5) % 24 };
            let line = format!("u{user},i{item},{},c{land},d{}\n", 1_600_000_000 + 3_600 * n, n % 2);
            rows += &line;
        }
    }
    fs::write(path, rows).unwrap();
}

#[test]
fn users_whom_the_model_does_not_know_are_served_from_their_features() {
    let folder = tempfile::tempdir().unwrap();
    let [data, new, model, figures] = ["d.csv", "n.csv", "m", "r.json"].map(|name| folder.path().join(name));
    lands(&data, 1..200, true);
    lands(&new, 1001..1100, false);
    let columns = ["--user-features", "country", "--context", "device"];
    let more = [
        "--set",
        "batch=64",
        "--set",
        "epochs=30",
        "--set",
        "history_dropout=0.5",
        "--set",
        "dropout=0.2",
        "--set",
        "temperature=0.1",
        "--set",
        "user_id=off",
        "--baselines",
        "none",
    ];
    train(&data, &[&columns[..], &more].concat(), &model);

    let hr = |more: &[&str]| {
        let base =
            ["eval", "--model", text(&model), "--data", text(&new), "--device", "cpu", "--baselines", "none", "--json"];
        ok(&[&base[..], &[text(&figures)], more].concat());
        json(&figures)["rows"][0]["metrics"]["HR@10"].as_f64().unwrap()
    };
    let (with, without) = (hr(&["--user-features", "country"]), hr(&[]));
    assert!(with > without + 0.1, "{with} with the country, {without} without");

    let blind = ["eval", "--model", text(&model), "--data", text(&new), "--device", "cpu", "--baselines", "none"];
    let said = stderr(&recall(&blind));
    assert!(said.contains("99 cases are of users whom the model does not know: their columns (country)"), "{said}");
    let said = stderr(&recall(&[&blind[..], &["--user-features", "country"]].concat()));
    assert!(!said.contains("does not know"), "{said}");

    let first = |more: &[&str]| {
        let base = ["recommend", "--model", text(&model), "--device", "cpu", "-k", "5", "--json", text(&figures)];
        let output = recall(&[&base[..], more].concat());
        assert!(output.status.success(), "{more:?}: {}", stderr(&output));
        let rows = json(&figures)["rows"].as_array().unwrap().clone();
        let items = rows.iter().map(|row| row["item"].as_str().unwrap()[1..].parse::<u32>().unwrap());
        (items.collect::<Vec<u32>>(), stderr(&output))
    };
    for land in 0..4 {
        let country = format!("country=c{land}");
        let (items, _) = first(&["--user-features", &country]);
        assert!(items.iter().filter(|item| **item % 4 == land).count() >= 3, "{country}: {items:?}");
        let (stranger, said) = first(&["--user", "nobody", "--user-features", &country]);
        assert!(stranger == items && said.contains("does not know the user nobody"), "{said}");
    }
    // The known user's country, and another one.
    let (own, _) = first(&["--user", "u4", "--seen"]);
    assert_eq!(first(&["--user", "u4", "--seen", "--user-features", "country=c0"]).0, own);
    assert_ne!(first(&["--user", "u4", "--seen", "--user-features", "country=c1"]).0, own);
    let (_, said) = first(&["--user-features", "country=c9", "--context", "device=d7"]);
    assert!(said.contains("country `c9` is none") && said.contains("device `d7` is none"), "{said}");
    let on = |device: &str| first(&["--history", "i0,i4", "--seen", "--context", device]).0;
    assert_ne!(on("device=d0"), on("device=d1"));

    let fails = |more: &[&str], words: &[&str]| {
        let base = ["recommend", "--model", text(&model), "--device", "cpu"];
        super::bad_input::fails(&[&base[..], more].concat(), 2, words);
    };
    fails(&["--user-features", "age=5"], &["no user column `age`", "country"]);
    fails(&["--user-features", "country"], &["--user-features `country`", "name=value"]);
    fails(&["--history", "i0", "--context", "hour=5"], &["--context hour", "device"]);
    fails(&["--user", "nobody"], &["nobody"]);
}

#[test]
fn a_model_goes_on_with_an_export_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let [old, all, model, next] = ["o.csv", "a.csv", "m", "n"].map(|name| folder.path().join(name));
    log(&old, "user,item,time\n", |u, i, t| format!("{u},{i},{t}"));
    train(&old, &[], &model);
    let later = 86_400 * 30;
    // In milliseconds, and with every old event in it.
    log(&all, "user,item,time\n", |u, i, t| format!("{u},{i},{t}000\n{u},{},{}500", i + 1, t + later));
    let figures = folder.path().join("n.json");
    let output = recall(&[
        "train",
        "--from",
        text(&model),
        "--data",
        text(&all),
        "--device",
        "cpu",
        "--out",
        text(&next),
        "--json",
        text(&figures),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let (figures, said) = (json(&figures), stderr(&output));
    assert_eq!((&figures["interactions"], &figures["known_events"]), (&540.into(), &270.into()));
    assert!(said.contains("270 of the 540 events are those that the model knows already"), "{said}");
    assert!(said.contains("270 new events behind those of the model"), "{said}");
}

#[test]
fn tables_of_items_and_users_beside_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let [data, items, users, later, model, next, figures] =
        ["d.csv", "i.csv", "u.csv", "l.csv", "m", "n", "r.json"].map(|name| folder.path().join(name));
    // Users of a land click items of its kind; of each kind one item was never clicked.
    lands(&data, 1..200, true);
    let kind = |item: u32| format!("i{item},Item {item},k{},{}\n", item % 4, 10 + item % 4);
    fs::write(&items, format!("id,name,kind,price\n{}", (0..28).map(kind).collect::<String>())).unwrap();
    fs::write(&users, format!("user,land\n{}", (1..210).map(|u| format!("u{u},c{}\n", u % 4)).collect::<String>()))
        .unwrap();
    let tables = ["--item-table", text(&items), "--user-table", text(&users)];
    let more = ["--set", "batch=64", "--set", "epochs=30", "--set", "item_id_dropout=0.3", "--baselines", "none"];
    let (figures_of, said) = train(&data, &[&tables[..], &more].concat(), &model);
    assert_eq!(
        (&figures_of["protocol"]["catalogue"], &figures_of["protocol"]["catalogue_of"]),
        (&24.into(), &"interactions".into())
    );
    for note in [
        "i.csv: the columns kind, price are taken as features",
        "u.csv: the column",
        "4 items without an interaction are recommended by their columns",
    ] {
        assert!(said.contains(note), "{note}: {said}");
    }
    let all = |model: &Path, more: &[&str]| {
        let base = ["recommend", "--model", text(model), "--device", "cpu", "-k", "28", "--json", text(&figures)];
        ok(&[&base[..], more].concat());
        let rows = json(&figures)["rows"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| (row["item"].as_str().unwrap()[1..].parse().unwrap(), row["title"].clone()))
            .collect::<Vec<(u32, _)>>()
    };
    // u204 has no event: served from the land alone. The item of its kind that nobody clicked stands before those of others.
    let best = all(&model, &["--user", "u204"]);
    assert_eq!(best.len(), 28);
    assert!(best.contains(&(27, "Item 27".into())));
    let place = |item: u32| best.iter().position(|(other, _)| *other == item).unwrap();
    assert!([25, 26, 27].iter().all(|other| place(24) < place(*other)), "{best:?}");

    // Ranked with all the others where that is asked for.
    let base = ["eval", "--model", text(&model), "--data", text(&data), "--device", "cpu", "--baselines", "none"];
    let printed = ok(&[&base[..], &tables, &["--catalogue", "all"]].concat());
    assert!(printed.contains("all 28 items ranked"), "{printed}");
    let printed = ok(&[&base[..], &tables].concat());
    assert!(printed.contains(", 24 items ranked"), "{printed}");

    // A model that goes on keeps them; one whose items are only ids cannot know them.
    let from = ["train", "--from", text(&model), "--data", text(&later), "--out", text(&next), "--device", "cpu"];
    let new = (0..12).map(|n| format!("u{},i{},{}\n", 5 + n % 3, 9 + n, 1_700_000_000 + n));
    fs::write(&later, format!("user,item,time\n{}", new.collect::<String>())).unwrap();
    ok(&[&from[..], &["--baselines", "none"]].concat());
    assert_eq!(all(&next, &["--user", "u204"]).len(), 28);
    let youtube =
        ["train", "--model", "youtube-dnn", "--data", text(&data), "--out", text(&next), "--baselines", "none"];
    let small: Vec<&str> = SMALL.iter().copied().filter(|flag| *flag != "--quiet").collect();
    let output = recall(&[&youtube[..], &tables, &small].concat());
    assert!(stderr(&output).contains("4 items without an interaction are not recommended"), "{}", stderr(&output));
    assert_eq!(all(&next, &["--user", "u204"]).len(), 24);
}
