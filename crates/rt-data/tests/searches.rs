//! Files of searches: any names of columns, any order, errors with file and line; what is left out is counted.

mod common;

use common::Folder;
use rt_data::{
    Dataset, ReadOptions, SearchOptions, Searches, SearchesLeftOut, Severity, SplitKind, SplitOptions, Synthetic,
    audit, read, read_searches, split,
};

const EVENTS: &str = "user,item,time\n1,a,10\n1,b,20\n1,c,20\n1,d,40\n7,a,10\n7,b,30\n7,c,50\n";

fn data(folder: &Folder) -> Dataset {
    read(&folder.put("events.csv", EVENTS), &ReadOptions::default()).unwrap()
}

fn queries(searches: &Searches, user: u32) -> Vec<(i64, Vec<&str>)> {
    let words =
        |s: usize| searches.token[searches.tokens_of(s..s + 1)].iter().map(|t| searches.tokens.raw(*t)).collect();
    searches.of(user).map(|s| (searches.time.get(s).unwrap(), words(s))).collect()
}

#[test]
fn any_order_and_usual_names() {
    let folder = Folder::new();
    let data = data(&folder);
    let text = "User ID;Search_Query;Timestamp\n7;\"Red; shoe\";30\n1;second;20\n99;lost;5\n1;first;-3\n1;third;20\n99;x;6\n98;y;7\n7;...;8\n";
    let path = folder.put("s.csv", text);
    let searches = read_searches(&path, &SearchOptions::default(), &data).unwrap();
    assert_eq!(queries(&searches, 1), [(-3, vec!["first"]), (20, vec!["second"]), (20, vec!["third"])]);
    assert_eq!(queries(&searches, 2), [(30, vec!["red", "shoe", "red shoe"])]);
    assert_eq!(searches.left_out, SearchesLeftOut { of_strangers: 3, strangers: 2, without_words: 1 });
    assert_eq!(searches.users(), data.users.rows());

    // Named columns, and two files as one.
    let other = folder.put("t.tsv", "who\twhat\twhen\tuser\n1\tfourth\t50\t7\n");
    let named = SearchOptions {
        user_col: Some("who".into()),
        time_col: Some("when".into()),
        query_col: Some("what".into()),
        ..SearchOptions::default()
    };
    let both = format!("{0},{0}", other.display());
    let twice = read_searches(both.as_ref(), &named, &data).unwrap();
    assert_eq!(queries(&twice, 1), [(50, vec!["fourth"]), (50, vec!["fourth"])]);
}

#[test]
fn errors_name_file_line_and_column() {
    let folder = Folder::new();
    let data = data(&folder);
    let error = |text: &str| {
        let path = folder.put("s.csv", text);
        read_searches(&path, &SearchOptions::default(), &data).unwrap_err().to_string()
    };
    let head = "user,query,time\n";
    for (text, want) in [
        (format!("{head}1,a,3\n1,b\n"), "s.csv, line 3: 2 fields where the header has 3"),
        (format!("{head}1,a,soon\n"), "s.csv, line 2, column time: `soon` is no time"),
        (format!("{head}\n1,,3\n"), "s.csv, line 3, column query: the query is empty"),
        (format!("{head},a,3\n"), "s.csv, line 2, column user: the user's id is empty"),
        (
            "user,text,time\n".into(),
            "s.csv, line 1: no column for the query: the header has user, text, time; rename one to `query` or name it (`--search-query-col`)",
        ),
        ("user,query\n".into(), "no column for the time"),
        (String::new(), "the file is empty"),
    ] {
        let got = error(&text);
        assert!(got.contains(want), "{text:?}: {got}");
    }
    let none = read_searches(&folder.path().join("none.csv"), &SearchOptions::default(), &data).unwrap_err();
    assert!(none.to_string().contains("none.csv"));
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let empty = read_searches(&folder.path().join("empty"), &SearchOptions::default(), &data).unwrap_err();
    assert!(empty.to_string().contains("no table of searches"));
}

#[test]
fn data_without_a_clock_is_refused() {
    let folder = Folder::new();
    let path = folder.put("s.csv", "user,query,time\n1,a,3\n");
    for (text, order_input, why) in [
        ("user,item\n1,a\n1,b\n", false, "has no times"),
        (EVENTS, true, "only an order"),
        ("user,item,time\n1,a,1\n1,b,2\n", false, "only an order"),
    ] {
        let options = ReadOptions { order_input, ..ReadOptions::default() };
        let data = read(&folder.put("e.csv", text), &options).unwrap();
        let error = read_searches(&path, &SearchOptions::default(), &data).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("s.csv"), "{error}");
    }
}

#[test]
fn the_audit_speaks_of_searches_around_the_target() {
    let folder = Folder::new();
    let mut data = data(&folder);
    let cut = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let with = |data: &mut Dataset, rows: &[(u32, i64, &str)]| {
        data.searches = Some(Searches::from_rows(data.users.rows(), rows.iter().copied()));
        let find = |check: &str| {
            let found = audit(data, &cut).into_iter().find(|finding| finding.check == check).unwrap();
            (found.severity, found.count, found.of)
        };
        (find("searches_of_target_second"), find("searches_after_history"))
    };
    assert!(!audit(&data, &cut).iter().any(|finding| finding.check.starts_with("searches")));
    // Validation: user 1 at 20 after 20, user 7 at 30 after 10. Test: user 1 at 40 after 20, user 7 at 50 after 30.
    let clean = (Severity::Clean, 0, 4);
    assert_eq!(with(&mut data, &[(1, 5, "x"), (1, 60, "x"), (2, 50, "x")]), (clean, clean));
    assert_eq!(with(&mut data, &[(1, 20, "x")]), ((Severity::Note, 1, 4), clean));
    assert_eq!(with(&mut data, &[(1, 21, "x"), (2, 11, "x")]), (clean, (Severity::Note, 2, 4)));
}

#[test]
fn built_in_searches_change_no_event() {
    let of = |more: &str| {
        Synthetic::parse(&format!("synthetic:users=80,items=60,events=9,seed=4{more}")).unwrap().generate().0
    };
    let (plain, with) = (of(""), of(",searches=10"));
    assert_eq!((&plain.event_item, &plain.event_time), (&with.event_item, &with.event_time));
    assert!(plain.searches.is_none());
    let searches = with.searches.unwrap();
    // Uniform from 5 to 15 a user.
    assert!((700..=900).contains(&searches.len()) && searches.users() == 81, "{}", searches.len());
    assert!((1..81).all(|user| (5..=15).contains(&searches.of(user).len())));
    assert_eq!(of(",searches=10").searches.unwrap(), searches);
}

#[cfg(feature = "parquet")]
#[test]
fn a_made_up_log_has_searches_of_its_users() {
    let folder = Folder::new();
    let log = rt_data::EventLog { rows: 3_000, users: 50, items: 100, row_group: 1_000, seed: 3 };
    let [events, found] = ["e.parquet", "s.parquet"].map(|name| folder.path().join(name));
    log.write(&events).unwrap();
    log.write_searches(&found, 2_500).unwrap();
    let data = read(&events, &ReadOptions::default()).unwrap();
    let searches = read_searches(&found, &SearchOptions::default(), &data).unwrap();
    assert_eq!((searches.len(), searches.left_out), (2_500, SearchesLeftOut::default()));
    // Most of a user's searches name one topic of ten.
    let most = |user: u32| {
        let mut counts = std::collections::HashMap::new();
        let topics = searches.of(user).map(|s| searches.token[searches.start[s] as usize]);
        topics.for_each(|topic| *counts.entry(topic).or_insert(0usize) += 1);
        counts.values().max().copied().unwrap_or(0) as f64 / searches.of(user).len() as f64
    };
    let mean = (1..51).map(most).sum::<f64>() / 50.0;
    assert!((0.65..0.82).contains(&mean), "{mean}");
    assert!(log.write_searches(&found, 0).unwrap_err().to_string().contains("searches = 0"));
}
