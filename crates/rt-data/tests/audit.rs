//! Planted leaks of each kind are found; clean data has none.

mod common;

use common::{Folder, csv};
use rt_data::{
    Column, Dataset, FeatureSpec, Features, Finding, ReadOptions, Severity, Split, SplitKind, SplitOptions, Synthetic,
    Vocab, audit, read_files, split,
};

fn synthetic() -> Dataset {
    Synthetic::parse("synthetic:users=150,items=90,events=15,seed=5").unwrap().generate().0
}

fn leave_last_out(data: &Dataset) -> Split {
    split(data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap()
}

/// (check, column) of every leak.
fn leaks(findings: &[Finding]) -> Vec<(&str, &str)> {
    let leak = |finding: &&Finding| finding.severity == Severity::Leak;
    findings.iter().filter(leak).map(|f| (f.check, f.column.as_deref().unwrap_or(""))).collect()
}

fn find<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("{check}"))
}

#[test]
fn clean_data_has_none() {
    let data = synthetic();
    for kind in ["leave-last-out", "time:0.8,0.1"] {
        let cut = split(&data, SplitKind::parse(kind).unwrap(), SplitOptions::default()).unwrap();
        let findings = audit(&data, &cut);
        assert!(leaks(&findings).is_empty(), "{kind}: {findings:?}");
        for check in [
            "future_in_history",
            "ties_in_history",
            "duplicates_across_parts",
            "statistics_over_test",
            "feature_of_target_time",
            "others_future",
        ] {
            find(&findings, check);
        }
        // The training sees other users' future unless the cut is one of time.
        let share = find(&findings, "others_future");
        assert_eq!(share.severity == Severity::Clean, kind.starts_with("time"), "{share:?}");
    }
}

#[test]
fn future_items_in_histories() {
    let folder = Folder::new();
    let put = |name: &str, rows: &str| folder.put(name, format!("user,item,time\n{rows}"));
    let train = put("a.csv", "u,a,1\nu,b,9\nu,c,20\nv,a,1\nv,b,2\nv,d,5\n");
    let paths = [train, put("b.csv", "u,d,30\n"), put("c.csv", "u,e,10\nv,c,5\n")];
    let data = read_files(&paths[0], &paths[1], &paths[2], &ReadOptions::default()).unwrap();
    let cut = split(&data, SplitKind::Files, SplitOptions::default()).unwrap();
    let findings = audit(&data, &cut);
    // u's test target at 10 has a train event at 20 in its history; v's at 5 one of the same second.
    assert_eq!(leaks(&findings), [("future_in_history", "")]);
    let (future, ties) = (find(&findings, "future_in_history"), find(&findings, "ties_in_history"));
    assert_eq!((future.count, future.of, ties.count, ties.severity), (1, 3, 1, Severity::Note));
}

#[test]
fn duplicates_across_parts() {
    let data = csv(
        "d.csv",
        "user,item,time\nu,a,1\nu,b,2\nu,c,3\nu,c,3\nv,a,1\nv,b,2\nv,c,4\nv,c,5\nw,a,1\nw,b,3\nw,c,3\nw,b,3\n",
        &ReadOptions::default(),
    );
    let findings = audit(&data, &leave_last_out(&data));
    // u's valid and test are one row twice; w's test row stands in its train part; v bought again later, which is no leak.
    assert_eq!(leaks(&findings), [("duplicates_across_parts", "")]);
    assert_eq!(find(&findings, "duplicates_across_parts").count, 2);

    // Without times the pair alone can be compared.
    let folder = Folder::new();
    let put = |name: &str, rows: &str| folder.put(name, format!("user,item\n{rows}"));
    let paths = [put("a.csv", "u,a\nu,b\nv,a\n"), put("b.csv", "u,c\n"), put("c.csv", "u,a\nv,c\nu,c\n")];
    let data = read_files(&paths[0], &paths[1], &paths[2], &ReadOptions::default()).unwrap();
    let cut = split(&data, SplitKind::Files, SplitOptions::default()).unwrap();
    assert_eq!(find(&audit(&data, &cut), "duplicates_across_parts").count, 2);
}

/// Counts by dense id, over the first or all of the events of each user.
fn counts(data: &Dataset, split: &Split, all: bool, users: bool) -> Vec<f32> {
    let mut counts = vec![0.0; if users { data.users.rows() } else { data.items.rows() }];
    for user in 0..data.users.rows() as u32 {
        let events = if all { data.events_of(user) } else { split.train_events(data, user) };
        for event in events {
            counts[if users { user as usize } else { data.event_item[event] as usize }] += 1.0;
        }
    }
    counts
}

#[test]
fn statistics_over_test() {
    let plain = synthetic();
    let cut = leave_last_out(&plain);
    let with = |users: bool, values: Vec<f32>| {
        let mut data = plain.clone();
        let column = ("seen".to_owned(), Column::Number { values });
        if users { &mut data.user_features } else { &mut data.item_features }.columns.push(column);
        leaks(&audit(&data, &cut)).iter().map(|leak| format!("{} {}", leak.0, leak.1)).collect::<Vec<_>>()
    };
    let map = |values: Vec<f32>, f: fn(f32) -> f32| values.into_iter().map(f).collect::<Vec<f32>>();
    for users in [false, true] {
        let (all, train) = (counts(&plain, &cut, true, users), counts(&plain, &cut, false, users));
        assert_eq!(with(users, all.clone()), ["statistics_over_test seen"], "users {users}");
        assert!(with(users, train.clone()).is_empty(), "a count of the train part is none: users {users}");
        assert!(with(users, map(train, |x| x.ln_1p())).is_empty(), "nor its logarithm: users {users}");
        if !users {
            assert_eq!(
                with(users, map(all.clone(), |x| (x / 7.0).ln_1p())),
                ["statistics_over_test seen"],
                "a function of it"
            );
        }
    }
    // Rows without a number say nothing for or against it.
    for f in [|x: f32| x, |x: f32| x.ln_1p()] {
        let mut some = map(counts(&plain, &cut, true, false), f);
        some.iter_mut().skip(1).step_by(9).for_each(|x| *x = f32::NAN);
        assert_eq!(with(false, some), ["statistics_over_test seen"]);
    }
    // As text it is the same leak.
    let mut data = plain.clone();
    let mut vocab = Vocab::new();
    let all = counts(&plain, &cut, true, false);
    let values = all.iter().map(|x| if *x == 0.0 { 0 } else { vocab.insert(&x.to_string()) }).collect();
    data.item_features = Features { columns: vec![("n".into(), Column::Category { vocab, values })] };
    assert_eq!(leaks(&audit(&data, &cut)), [("statistics_over_test", "n")]);
}

#[test]
fn features_of_the_target_time() {
    let plain = synthetic();
    let cut = leave_last_out(&plain);
    let with = |value: &dyn Fn(usize) -> String| {
        let mut data = plain.clone();
        let mut vocab = Vocab::new();
        let word = |event| match value(event) {
            none if none.is_empty() => 0,
            value => vocab.insert(&value),
        };
        let values = (0..data.event_item.len()).map(word).collect();
        data.event_features = Features { columns: vec![("c".into(), Column::Category { vocab, values })] };
        leaks(&audit(&data, &cut)).len()
    };
    let day = |event: usize| plain.time(event).div_euclid(86_400);
    assert_eq!(with(&|event| (day(event) % 7).to_string()), 1, "the day of the week");
    assert_eq!(with(&|event| (day(event) / 3).to_string()), 1, "three days");
    // Known for two thirds: hardly a group of some events has all of them.
    let some = |event: usize| if event.is_multiple_of(3) { String::new() } else { (day(event) % 7).to_string() };
    assert_eq!(with(&some), 1, "the day of the week where it is known");
    assert_eq!(with(&|event| (event * 7919 % 5).to_string()), 0, "a device");
    assert_eq!(with(&|event| plain.user_of(event).to_string()), 0, "the user's own word");
    assert_eq!(with(&|_| "same".into()), 0, "a constant");
    assert_eq!(with(&|event| event.to_string()), 0, "a number for every event");

    // Pages of a few events: the value is the page's, and the page is the second.
    let rows: String =
        (0..400).map(|row| format!("u{},i{},{},p{}\n", row % 9, row % 31, 1000 + row / 4, row / 4)).collect();
    let options = ReadOptions { context: vec![FeatureSpec::parse("page").unwrap()], ..ReadOptions::default() };
    let data = csv("d.csv", format!("user,item,time,page\n{rows}"), &options);
    let findings = audit(&data, &leave_last_out(&data));
    assert!(leaks(&findings).contains(&("feature_of_target_time", "page")), "{findings:?}");

    // Pages of one user each, not all of them known: only that a page stands at one second tells.
    let page = |row: usize| if row.is_multiple_of(9) { String::new() } else { format!("p{}", row / 4) };
    let rows: String =
        (0..400).map(|row| format!("u{},i{},{},{}\n", row / 4 % 9, row % 31, 1000 + row / 4, page(row))).collect();
    let data = csv("d.csv", format!("user,item,time,page\n{rows}"), &options);
    let findings = audit(&data, &leave_last_out(&data));
    assert!(leaks(&findings).contains(&("feature_of_target_time", "page")), "{findings:?}");
}

#[test]
fn data_without_a_clock_says_so() {
    let options = ReadOptions { order_input: true, ..ReadOptions::default() };
    let data = csv("d.csv", "user,item\nu,a\nu,b\nu,c\nu,d\n", &options);
    let findings = audit(&data, &leave_last_out(&data));
    assert!(leaks(&findings).is_empty());
    assert_eq!(find(&findings, "future_in_history").severity, Severity::Note);
    assert_eq!(find(&findings, "others_future").severity, Severity::Note);
}
