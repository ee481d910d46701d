//! Planted leaks of each kind are found; clean data has none.

mod common;

use common::{Folder, csv};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
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
    // u's valid and test are one row twice; w's test row stands in its train part; v bought again later, which is no duplicate. All
    // three did so within minutes.
    assert_eq!(leaks(&findings), [("duplicates_across_parts", ""), ("repeat_across_cut", "")]);
    assert_eq!(find(&findings, "repeat_across_cut").count, 3);
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

/// A word from a number, the same in every run.
fn word(i: usize) -> usize {
    Xoshiro256PlusPlus::seed_from_u64(i as u64).next_u32() as usize
}

fn category(values: impl Iterator<Item = String>) -> Column {
    let mut vocab = Vocab::new();
    let values = values.map(|value| if value.is_empty() { 0 } else { vocab.insert(&value) }).collect();
    Column::Category { vocab, values }
}

fn with_event_column(data: &Dataset, value: &dyn Fn(usize) -> String) -> Vec<String> {
    let mut data = data.clone();
    let column = category((0..data.event_item.len()).map(value));
    data.event_features = Features { columns: vec![("c".into(), column)] };
    leaks(&audit(&data, &leave_last_out(&data))).iter().map(|leak| leak.0.to_owned()).collect()
}

fn with_user_column(data: &Dataset, value: &dyn Fn(u32) -> String) -> Vec<String> {
    let mut data = data.clone();
    let users = 0..data.users.rows() as u32;
    let column = category(users.map(|user| if user == 0 { String::new() } else { value(user) }));
    data.user_features.columns.push(("c".into(), column));
    leaks(&audit(&data, &leave_last_out(&data))).iter().map(|leak| leak.0.to_owned()).collect()
}

#[test]
fn features_of_the_target_item() {
    let data = Synthetic::parse("synthetic:users=400,items=90,events=15,seed=5").unwrap().generate().0;
    let item = |event: usize| data.event_item[event] as usize;
    let noisy = |event: usize, value: usize| if word(event).is_multiple_of(10) { word(event + 9) % 8 } else { value };
    assert_eq!(with_event_column(&data, &|e| (item(e) % 8).to_string()), ["feature_of_target_item"], "a category");
    assert_eq!(with_event_column(&data, &|e| (item(e) * 31 % 17).to_string()), ["feature_of_target_item"], "a price");
    assert_eq!(
        with_event_column(&data, &|e| noisy(e, item(e) % 8).to_string()),
        ["feature_of_target_item"],
        "with noise"
    );
    assert!(with_event_column(&data, &|e| (word(e) % 8).to_string()).is_empty(), "a device");
    assert!(with_event_column(&data, &|e| (data.user_of(e) % 8).to_string()).is_empty(), "the user's group");

    let last = |user: u32| item(data.events_of(user).end - 1);
    assert_eq!(with_user_column(&data, &|u| (last(u) % 6).to_string()), ["feature_of_target_item"]);
    assert_eq!(with_user_column(&data, &|u| noisy(u as usize, last(u) % 6).to_string()), ["feature_of_target_item"]);
    assert!(with_user_column(&data, &|u| (word(u as usize) % 6).to_string()).is_empty(), "a country");
    assert!(
        with_user_column(&data, &|u| (item(data.events_of(u).start) % 6).to_string()).is_empty(),
        "of the first event"
    );
}

#[test]
fn features_of_time_with_noise_and_of_the_last_event() {
    let data = Synthetic::parse("synthetic:users=400,items=90,events=15,seed=5").unwrap().generate().0;
    let hour = |event: usize| data.time(event).div_euclid(3_600).rem_euclid(24);
    let noisy = |e: usize| if word(e).is_multiple_of(10) { word(e + 9) as i64 % 24 } else { hour(e) };
    assert_eq!(with_event_column(&data, &|e| noisy(e).to_string()), ["feature_of_target_time"]);
    let last = |event: usize| event + 1 == data.events_of(data.user_of(event)).end;
    let flag = |event: usize| u8::from(last(event)).to_string();
    assert_eq!(with_event_column(&data, &flag), ["feature_of_last_event"]);
    let alone = |event: usize| if last(event) { "exit".into() } else { String::new() };
    assert_eq!(with_event_column(&data, &alone), ["feature_of_last_event"], "a value that the others lack");
    let back = |event: usize| (data.events_of(data.user_of(event)).end - event).to_string();
    assert_eq!(with_event_column(&data, &back), ["feature_of_last_event"], "places counted from the end");
}

#[test]
fn counts_in_bins_and_with_noise() {
    let plain = Synthetic::parse("synthetic:users=600,items=120,events=15,seed=5").unwrap().generate().0;
    let cut = leave_last_out(&plain);
    let with = |values: Vec<f32>| {
        let mut data = plain.clone();
        data.item_features.columns.push(("seen".into(), Column::Number { values }));
        leaks(&audit(&data, &cut)).len()
    };
    let bins = |counts: Vec<f32>, n: f32| {
        let mut sorted = counts.clone();
        sorted.sort_by(f32::total_cmp);
        let bin = |x: &f32| (sorted.partition_point(|y| y < x) as f32 * n / sorted.len() as f32).floor();
        counts.iter().map(bin).collect::<Vec<f32>>()
    };
    let noise =
        |values: Vec<f32>| values.into_iter().enumerate().map(|(i, x)| x + (word(i) % 3) as f32 - 1.0).collect();
    let (all, train) = (counts(&plain, &cut, true, false), counts(&plain, &cut, false, false));
    assert_eq!(with(bins(all.clone(), 10.0)), 1, "deciles of all data");
    assert_eq!(with(noise(all.clone())), 1, "a count of all data with noise");
    assert_eq!(with(all.iter().map(|x| -x.sqrt()).collect()), 1, "falling");
    assert_eq!(with(bins(train.clone(), 10.0)), 0, "deciles of the train part");
    assert_eq!(with(noise(train)), 0, "a count of the train part with noise");
    assert_eq!(with((0..all.len()).map(|i| (word(i) % 50) as f32).collect()), 0, "a price");
}

#[test]
fn what_people_do_to_logs() {
    let log = |rows: String| csv("d.csv", format!("user,item,time\n{rows}"), &ReadOptions::default());
    let severity = |data: &Dataset, check: &str| {
        let findings = audit(data, &leave_last_out(data));
        let finding = find(&findings, check);
        (finding.severity, finding.count)
    };
    // Ten events of each second: in the order of items, or in any.
    let page = |sorted: bool| {
        let mut rows = String::new();
        for user in 0..20 {
            for event in 0..10 {
                let item = if sorted { user + 3 * event } else { word(user * 10 + event) % 50 };
                rows += &format!("u{user},{item},{}\n", 1_000 + event / 5);
            }
        }
        log(rows)
    };
    assert_eq!(severity(&page(true), "lines_sorted_by_item"), (Severity::Leak, 160));
    assert_eq!(severity(&page(false), "lines_sorted_by_item").0, Severity::Clean);

    // One person of twenty under two ids, to the second; one id written twice.
    let mut rows = String::new();
    for user in 0..60 {
        for event in 0..6 {
            let own = if user == 59 { 0 } else { user };
            rows += &format!("user{user},{},{}\n", word(own * 10 + event) % 90, 1_000 + own * 977 + event * 60);
        }
    }
    let data = log(format!("{rows}USER5,1,99999\nUSER5,2,99999\n"));
    assert_eq!(severity(&data, "one_person_two_ids"), (Severity::Note, 2));
    assert_eq!(severity(&data, "ids_written_alike"), (Severity::Note, 2));

    // The same click logged twice, seconds apart, on both sides of the cut.
    let twice = log("u,a,1\nu,b,2000\nu,c,4000\nu,c,4007\nv,a,1\nv,b,2000\nv,c,4000\nv,b,6000\n".into());
    assert_eq!(severity(&twice, "repeat_across_cut"), (Severity::Leak, 1));
}
