//! Data of many forms on the command line: Parquet, several files, columns with a meaning, a schema file, an audit.

use super::bad_input::fails;
use super::{SMALL, json, ok, recall, stderr, stdout, text};
use std::fs;
use std::path::Path;

/// A log of clicks: 30 users see five items in each of eight rounds and click one of them.
fn clicks(path: &Path) {
    let mut rows = String::from("uid,what,when,clicked,w,stars,page,req\n");
    for user in 0..30u32 {
        for round in 0..8u32 {
            for place in 0..5u32 {
                let item = (user * 7 + round * 5 + place * 11) % 40;
                let clicked = u32::from(place == (user + round) % 5);
                let (time, stars, page) = (
                    1_000_000 + 1_000 * round + user,
                    1 + (item + user) % 5,
                    if round % 2 == 0 { "home" } else { "shop" },
                );
                rows += &format!("u{user},i{item},{time},{clicked},{}.5,{stars},{page},r{round}\n", item % 3);
            }
        }
    }
    fs::write(path, rows).unwrap();
}

fn train(more: &[&str], out: &Path, figures: &Path) -> serde_json::Value {
    let base = ["train", "--model", "dssm", "--out", text(out), "--json", text(figures)];
    ok(&[&base[..], SMALL, more].concat());
    json(figures)
}

fn own_row(figures: &serde_json::Value) -> serde_json::Value {
    figures["rows"].as_array().unwrap().iter().find(|row| row["model"] == "dssm").unwrap().clone()
}

#[test]
fn parquet_is_made_trained_on_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let [parts, model, figures] = ["parts", "m", "f.json"].map(|name| folder.path().join(name));
    fs::create_dir(&parts).unwrap();
    let part = parts.join("part-0.parquet");
    let size = ["--rows", "6000", "--users", "150", "--items", "90", "--row-group", "2500"];
    let printed = ok(&[&["synth", "--out", text(&part), "--json", text(&figures)], &size[..]].concat());
    assert!(printed.contains("6000 rows of 150 users"), "{printed}");
    assert_eq!(json(&figures)["rows"][0]["bytes"], fs::metadata(&part).unwrap().len());

    let of = |data: &str, more: &[&str]| {
        own_row(&train(&[&["--data", data, "--set", "max_steps=4"], more].concat(), &model, &figures))
    };
    let one = of(text(&part), &[]);
    assert_eq!(one["loss"].as_array().unwrap().len(), 4);
    // The folder is its one file; twice the file between commas is twice the data.
    assert_eq!(of(text(&parts), &[])["model_sha256"], one["model_sha256"]);
    let twice = of(&format!("{0},{0}", text(&part)), &[]);
    assert_ne!(twice["model_sha256"], one["model_sha256"]);

    // 4 bytes for the item and 4 for the time of every interaction.
    let figures_of = json(&figures);
    assert_eq!((&figures_of["interactions"], &figures_of["interaction_bytes"]), (&12_000.into(), &96_000.into()));
    if cfg!(target_os = "linux") {
        assert!(figures_of["prepare_peak_memory_bytes"].as_u64() >= Some(96_000));
    }

    // Fewer cases and baselines.
    let few = train(&["--data", text(&part), "--eval-users", "20", "--baselines", "popular"], &model, &figures);
    assert_eq!(few["protocol"]["users_tested"], 20);
    let models: Vec<&str> = few["rows"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["most-popular", "dssm"]);
    let none = train(&["--data", text(&part), "--baselines", "none"], &model, &figures);
    assert_eq!((none["rows"].as_array().unwrap().len(), &none["protocol"]["users_tested"]), (1, &150.into()));

    let printed = ok(&["audit", "--data", text(&part), "--split", "time:0.8,0.1", "--json", text(&figures)]);
    assert!(printed.contains("future_in_history") && !printed.contains("LEAK"), "{printed}");
    assert!(json(&figures)["rows"].as_array().unwrap().iter().all(|row| row["result"] != "leak"));
    fails(&["synth", "--rows", "0", "--out", text(&part)], 2, &["rows = 0"]);
    let same = ["synth", "--rows", "5", "--out", "x.parquet", "--searches", "x.parquet"];
    fails(&same, 2, &["--searches", "--out"]);
    fails(&["synth", "--rows", "5", "--out", "log.csv"], 2, &["log.csv", "NAME.parquet"]);
    fails(&["synth", "--rows", "5", "--out", "/nonexistent/x.parquet"], 1, &["/nonexistent/x.parquet"]);
}

#[test]
fn columns_with_a_meaning_by_flags_and_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [data, schema, model, figures] = ["d.csv", "s.toml", "m", "f.json"].map(|name| folder.path().join(name));
    clicks(&data);
    let names = ["--data", text(&data), "--user-col", "uid", "--item-col", "what", "--time-col", "when"];
    let meaning = ["--label-col", "clicked", "--weight-col", "w", "--source-col", "page", "--impression-col", "req"];
    let shown = ["--set", "loss=list", "--set", "negatives_from=data", "--set", "negatives=4"];
    let flags =
        [&names[..], &meaning, &shown, &["--eval-source", "shop", "--min-rating", "2", "--rating-col", "stars"]]
            .concat();
    let by_flags = train(&flags, &model, &figures);
    // 960 rows were shown and not clicked; of the 240 clicks those of one star are left out.
    assert_eq!(by_flags["left_out"]["label"], 960);
    let low = by_flags["left_out"]["rating"].as_u64().unwrap();
    assert!(low > 10 && low < 100, "{low}");
    assert!(by_flags["protocol"]["users_tested"].as_u64().unwrap() <= 30);

    let file = "user = \"uid\"\nitem = \"what\"\ntime = \"when\"\nlabel = \"clicked\"\nweight = \"w\"\nsource = \"page\"\n\
                impression = \"req\"\neval_source = \"home\"\nrating = \"stars\"\nmin_rating = 2\n";
    fs::write(&schema, file).unwrap();
    let with = ["--data", text(&data), "--schema", text(&schema), "--eval-source", "shop"];
    let by_file = train(&[&with[..], &shown].concat(), &model, &figures);
    assert_eq!(own_row(&by_file)["model_sha256"], own_row(&by_flags)["model_sha256"], "flags go before the file");
    assert_eq!(own_row(&by_file)["metrics"], own_row(&by_flags)["metrics"]);
    // A saved model remembers how it was trained, and is tested without what was shown.
    ok(&[&["eval", "--model", text(&model), "--device", "cpu"], &with[..]].concat());
    let config = json(&model.join("model.json"))["config"].as_str().unwrap().to_owned();
    assert!(config.contains("negatives_from = \"data\""), "{config}");

    // Without the label every row is a positive, and nothing was shown.
    let out = text(&model);
    let refused = |more: &[&str], words: &[&str]| {
        fails(&[&["train", "--model", "dssm", "--device", "cpu", "--out", out], &names[..], more].concat(), 2, words);
    };
    refused(&shown, &["negatives_from = data", "--label-col"]);
    refused(&["--eval-source", "shop"], &["--source-col"]);
    refused(&["--source-col", "page", "--eval-source", "moon"], &["moon", "home, shop"]);
    refused(&["--rating-col", "stars"], &["--rating-col stars", "--min-rating"]);
    refused(&["--impression-col", "req"], &["--impression-col req", "--label-col"]);
    refused(&["--min-rating", "NaN"], &["--min-rating NaN"]);
    refused(&["--weight-col", "page"], &["d.csv, line 2, column page", "`home`"]);
    fs::write(&schema, "user = \"uid\"\nlable = \"clicked\"\n").unwrap();
    refused(&["--schema", text(&schema)], &["s.toml, line 2, key `lable`", "`label`"]);
    let built_in = ["train", "--model", "dssm", "--out", out, "--data", "synthetic", "--weight-col", "w"];
    fails(&built_in, 2, &["built-in data has no columns"]);
}

#[test]
fn an_audit_of_a_leak_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let [data, figures] = ["d.csv", "f.json"].map(|name| folder.path().join(name));
    // Every item's number of rows over the whole file, test rows included, as a column.
    let rows: Vec<(u32, u32, u32)> =
        (0..40).flat_map(|user| (0..6).map(move |t| (user, (user * 3 + t * t) % 17, 100 * t + user))).collect();
    let count = |item: u32| rows.iter().filter(|row| row.1 == item).count();
    let lines: String = rows.iter().map(|(u, i, t)| format!("{u},{i},{t},{}\n", count(*i))).collect();
    fs::write(&data, format!("user,item,time,seen\n{lines}")).unwrap();
    let clean = ok(&["audit", "--data", text(&data)]);
    assert!(clean.contains("statistics_over_test") && !clean.contains("LEAK"), "{clean}");
    let output = recall(&["audit", "--data", text(&data), "--item-features", "seen:number", "--json", text(&figures)]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stdout(&output).contains("LEAK statistics_over_test (seen)"), "{}", stdout(&output));
    assert!(stderr(&output).contains("1 leak"), "{}", stderr(&output));
    let written = json(&figures);
    assert_eq!(written["command"], "audit");
    let leak = written["rows"].as_array().unwrap().iter().find(|row| row["result"] == "leak").unwrap();
    assert_eq!((&leak["check"], &leak["column"]), (&"statistics_over_test".into(), &"seen".into()));
}
