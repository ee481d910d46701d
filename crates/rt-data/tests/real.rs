//! Real data, from `RECALL_DATA` or `../shared/data` beside the project; where it is not there a test says so.

use std::path::PathBuf;

use rt_data::{Column, Dataset, Mask, ReadOptions, SplitKind, SplitOptions, Targets, is_tied, read, split};

fn real(name: &str) -> Option<Dataset> {
    let folder = std::env::var_os("RECALL_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("{} is not there: nothing tested", path.display());
        return None;
    }
    Some(read(&path, &ReadOptions::default()).unwrap())
}

fn categories(data: &Dataset, name: &str) -> usize {
    let columns = data.user_features.columns.iter().chain(&data.item_features.columns);
    let (_, column) = columns.into_iter().find(|(column, _)| column == name).unwrap();
    match column {
        Column::Category { vocab, .. } | Column::Bag { vocab, .. } => vocab.rows() - 1,
        Column::Number { .. } => panic!("{name} is a number"),
    }
}

#[test]
fn ml_100k() {
    let Some(data) = real("ml-100k") else { return };
    assert_eq!(data.name, "ml-100k");
    assert_eq!((data.users.rows(), data.items.rows(), data.event_item.len()), (944, 1683, 100_000));
    assert_eq!(data.catalogue.len(), 1682);
    // The first line of this copy has blanks instead of tabs; it is read, and its user and item come first.
    assert_eq!((data.users.raw(1), data.items.raw(1)), ("196", "242"));
    let own = data.events_of(1);
    assert!(own.clone().any(|event| data.event_item[event] == 1 && data.time(event) == 881_250_949));
    assert_eq!(own.len(), 39);
    assert_eq!(data.title(1), "Kolya (1996)");
    let names: Vec<&str> = data.user_features.columns.iter().map(|column| column.0.as_str()).collect();
    assert_eq!(names, ["age", "gender", "occupation", "zip"]);
    assert_eq!((categories(&data, "age"), categories(&data, "gender"), categories(&data, "occupation")), (61, 2, 21));
    assert_eq!((categories(&data, "genres"), categories(&data, "zip")), (19, 795));
    // Latin-1.
    let item = data.items.get("543").unwrap();
    assert_eq!(data.title(item), "Misérables, Les (1995)");

    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!((split.test.len(), split.valid.len()), (943, 943));
    assert_eq!(split.examples.len(), 100_000 - 3 * 943);
    assert_eq!(split.repeated_targets(&data), 0);
}

#[test]
fn ml_1m_half() {
    let Some(data) = real("ml-1m-half") else {
        return;
    };
    assert_eq!((data.users.rows(), data.items.rows(), data.event_item.len()), (6041, 3884, 487_650));
    assert_eq!(data.catalogue.len(), 3615);
    assert_eq!((1..data.users.rows() as u32).filter(|&user| !data.events_of(user).is_empty()).count(), 2999);
    assert_eq!(data.users.raw(1), "1");
    assert_eq!((categories(&data, "genres"), categories(&data, "gender"), categories(&data, "age")), (18, 2, 7));
    assert_eq!(categories(&data, "occupation"), 21);
    // User 1's last rating: item 48 at 978824351, the last of several in the file with that time.
    let last = data.events_of(1).end - 1;
    assert_eq!((data.items.raw(data.event_item[last]), data.time(last)), ("48", 978_824_351));
    assert!((0..data.event_item.len()).all(|event| data.events_of(data.user_of(event)).contains(&event)));

    let cut = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!((cut.test.len(), cut.examples.len()), (2999, 487_650 - 3 * 2999));
    let tied = cut.test.iter().filter(|case| is_tied(&data, case.targets[0]) == Some(true)).count();
    let share = tied as f64 / cut.test.len() as f64;
    assert!((0.42..0.44).contains(&share), "{share} tied");
    let later = cut.train_after_test.unwrap();
    assert!((0.445..0.455).contains(&later), "{later} of the train events are later");
    let (warm, cold) = cut.warm_and_cold_targets(&data);
    assert_eq!(warm + cold, 2999);
    assert_eq!((cut.repeated_targets(&data), cut.without_history()), (0, 0));

    let kind = SplitKind::parse("time:0.8,0.1").unwrap();
    let options = SplitOptions { targets: Targets::All, ..SplitOptions::default() };
    let cut = split(&data, kind, options).unwrap();
    assert_eq!(cut.train_after_test, Some(0.0));
    let train: usize = (0..data.users.rows() as u32).map(|user| cut.train_events(&data, user).len()).sum();
    assert_eq!(train + cut.valid.len() + cut.test.len(), 487_650);
    assert!((0.799..=0.8).contains(&(train as f64 / 487_650.0)));
    for case in &cut.test {
        let time = data.time(case.targets[0] as usize);
        assert!(case.history.clone().all(|event| data.time(event as usize) < time));
        assert!(case.masked(Mask::Train).end <= case.history.end);
    }
}

#[test]
fn amazon_beauty() {
    let Some(data) = real("amazon-beauty/beauty.csv") else {
        return;
    };
    assert_eq!((data.users.rows(), data.catalogue.len(), data.event_item.len()), (22_364, 12_101, 198_502));
    assert_eq!(data.name, "beauty.csv");
    assert!(data.time_is_order && data.titles.is_empty() && data.user_features.columns.is_empty());
    let cut = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!((cut.test.len(), cut.train_after_test), (22_363, None));
    assert_eq!(is_tied(&data, cut.test[0].targets[0]), None);
    let error = split(&data, SplitKind::Time { train: 0.8, valid: 0.1 }, SplitOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not a clock"), "{error}");
}
