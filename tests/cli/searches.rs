//! Searches on the command line: read, trained on, evaluated, asked with; what is wrong with a file or a flag.

use super::bad_input::fails;
use super::{SMALL, json, ok, recall, stderr, text};
use std::fs;
use std::path::{Path, PathBuf};

/// 40 users, each of one of two tastes that their searches name; some lines of strangers and one without a word.
fn files(folder: &Path) -> [PathBuf; 2] {
    let [events, searches] = ["events.csv", "searches.tsv"].map(|name| folder.join(name));
    let mut rows = [String::from("user,item,time\n"), String::from("uid\twhat\twhen\n")];
    for user in 0..40u32 {
        for n in 0..8u32 {
            let time = 1_000_000 + 1_000 * n + user;
            rows[0] += &format!("u{user},i{},{time}\n", 2 * ((user * 3 + 7 * n) % 20) + user % 2);
            rows[1] += &format!("u{user}\t{} thing\t{}\n", if user % 2 == 0 { "Even" } else { "odd" }, time - 5);
        }
    }
    rows[1] += "stranger\tlost\t5\nstranger\tlost\t6\nu1\t?!\t7\n";
    fs::write(&events, &rows[0]).unwrap();
    fs::write(&searches, &rows[1]).unwrap();
    [events, searches]
}

const COLUMNS: [&str; 4] = ["--search-query-col", "what", "--search-time-col", "when"];

#[test]
fn a_model_is_trained_evaluated_and_asked_with_searches() {
    let folder = tempfile::tempdir().unwrap();
    let [events, searches] = files(folder.path());
    let [model, plain, figures] = ["m", "p", "f.json"].map(|name| folder.path().join(name));
    let data = [&["--data", text(&events), "--searches", text(&searches)], &COLUMNS[..]].concat();
    let train = |more: &[&str], out: &Path| {
        let base = ["train", "--preset", "youtube-2016", "--out", text(out), "--json", text(&figures)];
        ok(&[&base[..], more, SMALL, &["--set", "negatives=20"]].concat());
        json(&figures)
    };
    let made = train(&data, &model);
    assert_eq!(made["searches"]["rows"], 320);
    assert_eq!((&made["searches"]["of_unknown_users"], &made["searches"]["unknown_users"]), (&2.into(), &1.into()));
    assert_eq!(made["searches"]["without_words"], 1);
    let config = made["config"].as_str().unwrap();
    assert!(config.contains("searches = 50") && config.contains("search_time = \"history\""), "{config}");
    let own = |figures: &serde_json::Value| figures["rows"].as_array().unwrap().last().unwrap()["metrics"].clone();

    // A saved model has the figures of training; without its searches it is told so.
    let eval = ["eval", "--model", text(&model), "--json", text(&figures)];
    ok(&[&eval[..], &data].concat());
    assert_eq!(own(&json(&figures)), own(&made));
    let without = recall(&[&eval[..], &["--data", text(&events)]].concat());
    assert!(without.status.success() && stderr(&without).contains("the model reads searches and none were given"));
    let notes = stderr(&recall(&[&eval[..], &data].concat()));
    assert!(
        notes.contains(
            "320 searches of 40 users; 2 more, of users without an interaction (1), left out; 1 without a letter"
        ),
        "{notes}"
    );
    let unheard = folder.path().join("unheard.tsv");
    let other = fs::read_to_string(&searches).unwrap().replace("Even", "far").replace("odd", "near");
    fs::write(&unheard, other.replace("thing", "cry")).unwrap();
    let foreign = [&["--data", text(&events), "--searches", text(&unheard)], &COLUMNS[..]].concat();
    assert!(!notes.contains("no word of the searches"), "{notes}");
    let notes = stderr(&recall(&[&eval[..], &foreign].concat()));
    assert!(notes.contains("no word of the searches is one that the model knows"), "{notes}");

    // Recommending takes the kept searches and further ones.
    let ask = |more: &[&str]| {
        ok(&[&["recommend", "--model", text(&model), "--json", text(&figures)], more].concat());
        json(&figures)["rows"].clone()
    };
    let (kept, more) = (ask(&["--user", "u4"]), ask(&["--user", "u4", "--query", "odd thing", "--query", "odd"]));
    assert_ne!(kept, more);
    assert_ne!(
        ask(&["--history", "i2,i4", "--query", "even thing"]),
        ask(&["--history", "i2,i4", "--query", "odd thing"])
    );
    assert_eq!(ask(&["--history", "i2,i4", "--query", "unheard"]), ask(&["--history", "i2,i4"]));

    // The words of a schema file; searches that are switched off; more training behind the model.
    let schema = folder.path().join("schema.toml");
    fs::write(&schema, "search_query = \"what\"\nsearch_time = \"when\"\nsearch_user = \"uid\"\n").unwrap();
    let by_schema = ["--data", text(&events), "--searches", text(&searches), "--schema", text(&schema)];
    assert_eq!(own(&train(&by_schema, &plain)), own(&made));
    let off = train(&[&data[..], &["--set", "searches=0"]].concat(), &plain);
    assert!(off["config"].as_str().unwrap().contains("searches = 0"));
    fails(
        &["recommend", "--model", text(&plain), "--user", "u4", "--query", "odd"],
        2,
        &["--query odd", "without searches"],
    );
    fails(&[&["eval", "--model", text(&plain)], &data[..]].concat(), 2, &["trained without searches"]);
    let further = folder.path().join("m2");
    let on = ["train", "--from", text(&model), "--out", text(&further), "--quiet", "--set", "epochs=1"];
    ok(&[&on[..], &data].concat());
    let from_plain = ["train", "--from", text(&plain), "--out", text(&further), "--quiet"];
    fails(&[&from_plain[..], &data].concat(), 2, &["trained without searches"]);

    // The rule of request time.
    let exact = train(&[&data[..], &["--request-time", "exact"]].concat(), &plain);
    assert!(exact["config"].as_str().unwrap().contains("search_time = \"target\""));
    fails(&[&["eval", "--model", text(&plain)], &data[..]].concat(), 2, &["--request-time exact"]);
    let strict = ["train", "--model", "dssm", "--set", "search_time=target", "--out", text(&further), "--quiet"];
    fails(&[&strict[..], &data].concat(), 2, &["search_time = target", "--request-time exact"]);
    let audit = ok(&[&["audit"], &data[..]].concat());
    assert!(
        audit.contains("searches_of_target_second") && audit.contains("searches_after_history: 80 of 80"),
        "{audit}"
    );
}

#[test]
fn searches_that_cannot_serve() {
    let folder = tempfile::tempdir().unwrap();
    let [events, searches] = files(folder.path());
    let out = folder.path().join("m");
    let at = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let refused = |data: &str, more: &[&str], words: &[&str]| {
        let base = ["train", "--data", data, "--model", "dssm", "--device", "cpu", "--quiet", "--out", text(&out)];
        fails(&[&base[..], more].concat(), 2, words);
        assert!(!out.exists());
    };
    let data = text(&events);
    refused(data, &["--searches", text(&searches)], &["searches.tsv, line 1", "no column for the time"]);
    refused(data, &["--search-query-col", "what"], &["--search-query-col what", "without --searches"]);
    let bad = at("bad.csv", "user,query,time\nu1,red,1000\nu1,blue,noon\n");
    refused(data, &["--searches", text(&bad)], &["bad.csv, line 3, column time", "`noon`"]);
    let late = at("late.csv", "user,query,time\nu1,red,1700000000000\n");
    refused(data, &["--searches", text(&late)], &["no training example sees one", "seconds"]);
    let good = at("good.csv", "user,query,time\nu1,red,1000\n");
    refused(data, &["--searches", text(&good), "--order", "input"], &["good.csv", "only an order"]);
    refused("synthetic", &["--searches", text(&good)], &["synthetic:searches=20"]);
    refused(data, &["--set", "searches=3"], &["`searches = 3`", "--searches"]);
    let pairs = at("pairs.tsv", "query\tdocument\na\tb\n");
    let of_text =
        ["train", "--model", "dssm-text", "--data", text(&pairs), "--searches", text(&good), "--out", text(&out)];
    fails(&of_text, 2, &["--searches"]);
}

#[test]
fn built_in_logs_have_searches_too() {
    let folder = tempfile::tempdir().unwrap();
    let [log, searches, model] = ["log.parquet", "searches.parquet", "m"].map(|name| folder.path().join(name));
    let size = ["--rows", "3000", "--users", "100", "--items", "60"];
    let printed = ok(&[&["synth", "--out", text(&log), "--searches", text(&searches)], &size[..]].concat());
    assert!(printed.contains("1000 searches in"), "{printed}");
    let base = ["train", "--model", "dssm", "--out", text(&model)];
    ok(&[&base[..], &["--data", text(&log), "--searches", text(&searches)], SMALL].concat());
    ok(&[&base[..], &["--data", "synthetic:users=60,items=50,events=8,searches=6"], SMALL].concat());
    let asked = recall(&["recommend", "--model", text(&model), "--user", "3", "--query", "unheardof"]);
    assert!(asked.status.success() && stderr(&asked).contains("no word of --query"), "{}", stderr(&asked));
}
