//! Splits against cases worked out by hand.

use std::path::PathBuf;

use rt_data::{
    Dataset, Error, EvalCase, EvalHistory, Mask, ReadOptions, Split, SplitKind, SplitOptions, Targets, is_tied, read,
    read_files, split,
};

fn files(names: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = names.iter().map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

fn one(text: &str, options: &ReadOptions) -> Dataset {
    let (_folder, paths) = files(&[("data.csv", text)]);
    read(&paths[0], options).unwrap()
}

fn three(texts: [&str; 3], options: &ReadOptions) -> Result<Dataset, Error> {
    let (_folder, paths) = files(&[("a.csv", texts[0]), ("b.csv", texts[1]), ("c.csv", texts[2])]);
    read_files(&paths[0], &paths[1], &paths[2], options)
}

/// Raw items of a range of events.
fn items(data: &Dataset, events: impl IntoIterator<Item = u32>) -> String {
    let raws: Vec<&str> = events.into_iter().map(|event| data.items.raw(data.event_item[event as usize])).collect();
    raws.join(" ")
}

/// `user: history > targets`, one a case.
fn cases(data: &Dataset, cases: &[EvalCase]) -> Vec<String> {
    let line = |case: &EvalCase| {
        let (history, targets) = (items(data, case.history.clone()), items(data, case.targets.iter().copied()));
        format!("{}: {history} > {targets}", data.users.raw(case.user))
    };
    cases.iter().map(line).collect()
}

fn examples(data: &Dataset, split: &Split) -> Vec<String> {
    let line = |event: u32| format!("{}>{}", data.users.raw(data.user_of(event as usize)), items(data, [event]));
    split.examples.iter().map(line).collect()
}

fn leave_last_out(data: &Dataset) -> Split {
    split(data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap()
}

#[test]
fn leave_last_out_by_hand() {
    // u1: five events, b and c tied (the order of the lines decides), one duplicate (a twice). u2: 3, u3: 2, u4: 1.
    let text =
        "user,item,time\nu1,d,40\nu2,x,5\nu1,a,10\nu1,b,20\nu1,c,20\nu3,y,9\nu2,z,7\nu4,x,1\nu2,y,6\nu3,x,8\nu1,a,30\n";
    let data = one(text, &ReadOptions::default());
    assert_eq!(data.users.iter().collect::<Vec<_>>(), ["u1", "u2", "u3", "u4"]);
    assert_eq!(data.items.iter().collect::<Vec<_>>(), ["d", "x", "a", "b", "c", "y", "z"]);
    assert_eq!(items(&data, 0..11), "a b c a d x y z x y x");
    let cut = leave_last_out(&data);
    assert_eq!(cases(&data, &cut.valid), ["u1: a b c > a", "u2: x > y"]);
    assert_eq!(cases(&data, &cut.test), ["u1: a b c a > d", "u2: x y > z"]);
    assert_eq!(examples(&data, &cut), ["u1>b", "u1>c", "u3>y"]);
    let trains: Vec<String> =
        (1..5).map(|user| items(&data, cut.train_events(&data, user).map(|e| e as u32))).collect();
    assert_eq!(trains, ["a b c", "x", "x y", "x"]);
    let case = &cut.test[0];
    assert_eq!(items(&data, case.masked(Mask::History)), "a b c a");
    assert_eq!(items(&data, case.masked(Mask::Train)), "a b c");
    assert_eq!(items(&data, case.masked(Mask::None)), "");
    let tied: Vec<Option<bool>> = (0..5).map(|event| is_tied(&data, event)).collect();
    assert_eq!(tied, [false, false, true, false, false].map(Some));
    assert_eq!(is_tied(&data, 5), Some(false), "a user's first event, whatever stands before it");
    // d and z have no train event.
    assert_eq!(cut.warm_and_cold_targets(&data), (0, 2));
    assert_eq!(cut.repeated_targets(&data), 0);
    // Train times 10 20 20, 5, 8 9, 1. Later than 40: none of 7; than 7: 10 20 20 8 9.
    assert_eq!(cut.train_after_test, Some((0.0 + 5.0 / 7.0) / 2.0));
    assert_eq!(cut.item_counts(&data), [0, 0, 3, 1, 1, 1, 1, 0]);
    assert_eq!(cut.target_counts(&data), [0, 0, 0, 0, 1, 1, 1, 0]);
}

#[test]
fn a_repeated_target_is_counted() {
    let data = one("user,item,time\nu,a,1\nu,b,3\nu,c,4\nu,a,5\n", &ReadOptions::default());
    let cut = leave_last_out(&data);
    assert_eq!(cases(&data, &cut.test), ["u: a b c > a"]);
    assert_eq!((cut.repeated_targets(&data), cut.warm_and_cold_targets(&data)), (1, (1, 0)));
}

#[test]
fn time_split_by_hand() {
    // Ten events at 1 2 3 4 5 6 7 7 8 9; t1 = number 7 = 7, t2 = number 9 = 8 with 0.7, 0.2: the tie at 7 is not cut.
    let text = "user,item,time\nu,a,1\nu,b,2\nv,a,3\nv,c,4\nu,c,5\nv,b,6\nu,d,7\nu,e,7\nv,d,8\nu,f,9\n";
    let data = one(text, &ReadOptions::default());
    let kind = SplitKind::parse("time:0.7,0.2").unwrap();
    let first = split(&data, kind, SplitOptions::default()).unwrap();
    assert_eq!(examples(&data, &first), ["u>b", "u>c", "v>c", "v>b"]);
    assert_eq!(cases(&data, &first.valid), ["u: a b c > d"]);
    assert_eq!(cases(&data, &first.test), ["u: a b c d e > f", "v: a c b > d"]);
    assert_eq!(first.train_after_test, Some(0.0));
    let options = SplitOptions { targets: Targets::All, ..SplitOptions::default() };
    let all = split(&data, kind, options).unwrap();
    // e is tied with d, so d is not in its history: strictly earlier.
    assert_eq!(cases(&data, &all.valid), ["u: a b c > d", "u: a b c > e"]);
    assert_eq!(cases(&data, &all.test), cases(&data, &first.test));
    assert_eq!(items(&data, all.test[0].masked(Mask::Train)), "a b c");
}

#[test]
fn time_cuts_are_numbers_ceil() {
    // 20 events at 100 to 119. 0.2 + 0.1 is a little above 0.3 in binary, t2 is number 6 for all that, not 7.
    let lines: String = (0..20).map(|k| format!("u{},i{k},{}\n", k % 2, 100 + k)).collect();
    let data = one(&format!("user,item,time\n{lines}"), &ReadOptions::default());
    let kind = SplitKind::parse("time:0.2,0.1").unwrap();
    let cut = split(&data, kind, SplitOptions::default()).unwrap();
    let train: usize = (1..3).map(|user| cut.train_events(&data, user).len()).sum();
    assert_eq!(train, 3, "t1 is number 4, train is strictly earlier");
    assert_eq!(cases(&data, &cut.valid), ["u0: i0 i2 > i4", "u1: i1 > i3"]);
    assert_eq!(cases(&data, &cut.test), ["u0: i0 i2 i4 > i6", "u1: i1 i3 > i5"]);
    // A share that is no whole number of events is rounded up: number ceil(4.2) = 5, ceil(6.2) = 7.
    let kind = SplitKind::parse("time:0.21,0.1").unwrap();
    let cut = split(&data, kind, SplitOptions::default()).unwrap();
    assert_eq!(cases(&data, &cut.valid), ["u0: i0 i2 > i4", "u1: i1 i3 > i5"]);
}

#[test]
fn equal_times_of_others() {
    let text = "user,item,time\nu,a,1\nu,b,2\nu,c,5\nu,d,7\nv,x,7\nv,y,8\n";
    let data = one(text, &ReadOptions::default());
    let cut = leave_last_out(&data);
    // Train times 1 2 7 8; strictly later than the target at 7 is 8 alone.
    assert_eq!(cut.train_after_test, Some(0.25));
    // v's first event follows u's last in the array and has its time: no tie.
    assert_eq!(is_tied(&data, 4), Some(false));
}

#[test]
fn a_user_without_history_stays_a_case() {
    let data = one("user,item,time\nu,a,1\nu,b,2\nu,c,3\nv,a,4\nw,b,9\n", &ReadOptions::default());
    let cut = split(&data, SplitKind::parse("time:0.7,0.1").unwrap(), SplitOptions::default()).unwrap();
    assert_eq!(cases(&data, &cut.test), ["v:  > a", "w:  > b"]);
    assert_eq!(cut.without_history(), 2);
}

#[test]
fn files_with_times() {
    let texts = [
        "user,item,time\nu,b,5\nu,a,1\nv,a,3\n",
        "user,item,time\nu,d,2\nu,c,1\n",
        "user,item,time\nv,c,1\nw,d,7\nu,a,9\n",
    ];
    let data = three(texts, &ReadOptions::default()).unwrap();
    assert_eq!(data.event_part, [0, 0, 1, 1, 2, 0, 2, 2]);
    let cut = split(&data, SplitKind::Files, SplitOptions::default()).unwrap();
    assert!(!cut.history_is_set);
    assert_eq!(examples(&data, &cut), ["u>b"]);
    assert_eq!(cases(&data, &cut.valid), ["u: a b > c d"]);
    assert_eq!(cases(&data, &cut.test), ["u: a b > a", "v: a > c", "w:  > d"]);
    assert_eq!((cut.repeated_targets(&data), cut.warm_and_cold_targets(&data)), (1, (1, 2)));
    let options = SplitOptions { eval_history: EvalHistory::TrainValid, ..SplitOptions::default() };
    let added = split(&data, SplitKind::Files, options).unwrap();
    assert_eq!(cases(&data, &added.valid), ["u: a b > c d"]);
    assert_eq!(cases(&data, &added.test), ["u: a b c d > a", "v: a > c", "w:  > d"]);
    assert_eq!(items(&data, added.test[0].masked(Mask::Train)), "a b");
}

#[test]
fn files_without_times_are_sets() {
    let texts = ["user,item\nu,b\nv,a\nu,a\n", "user,item\nu,d\n", "user,item\nu,c\nv,b\nu,b\n"];
    let data = three(texts, &ReadOptions::default()).unwrap();
    assert!(data.event_time.is_empty());
    let cut = split(&data, SplitKind::Files, SplitOptions::default()).unwrap();
    assert!(cut.history_is_set && cut.train_after_test.is_none());
    assert_eq!(examples(&data, &cut), ["u>b", "u>a"], "every train item of a user with two; v has one");
    assert_eq!(cases(&data, &cut.test), ["u: b a > c b", "v: a > b"]);
    assert_eq!(is_tied(&data, 0), None);
    // With the promise that lines are in order they are histories.
    let ordered = three(texts, &ReadOptions { order_input: true, ..ReadOptions::default() }).unwrap();
    assert!(ordered.time_is_order);
    let cut = split(&ordered, SplitKind::Files, SplitOptions::default()).unwrap();
    assert!(!cut.history_is_set);
    assert_eq!(examples(&ordered, &cut), ["u>a"]);
}

#[test]
fn refusals() {
    let refuse = |data: &Dataset, kind: &str| {
        split(data, SplitKind::parse(kind).unwrap(), SplitOptions::default()).unwrap_err().to_string()
    };
    let untimed = "user,item\nu,a\nu,b\nu,c\n";
    let data = one(untimed, &ReadOptions::default());
    assert!(refuse(&data, "leave-last-out").contains("there is no time column"));
    assert!(refuse(&data, "time:0.8,0.1").contains("there is no time column"));
    assert!(refuse(&data, "files").contains("it needs three files"));
    let ordered = one("user,item\nu,a\nu,b\nu,c\nu,d\n", &ReadOptions { order_input: true, ..ReadOptions::default() });
    assert!(ordered.event_time.iter().eq(1..5));
    assert_eq!(cases(&ordered, &leave_last_out(&ordered).test), ["u: a b c > d"]);
    assert!(refuse(&ordered, "time:0.8,0.1").contains("not a clock"));
    let counted = one("user,item,time\nu,b,2\nv,a,1\nu,a,1\nv,b,2\nu,c,3\n", &ReadOptions::default());
    assert!(counted.time_is_order);
    let clock = one("user,item,time\nu,b,2\nv,a,2\nu,a,1\n", &ReadOptions::default());
    assert!(!clock.time_is_order, "v's only event is at 2");
    let same = one("user,item,time\nu,a,5\nu,b,5\nu,c,5\n", &ReadOptions::default());
    assert!(refuse(&same, "time:0.5,0.1").contains("no interaction is earlier than the first cut"));
    let lonely = one("user,item,time\nu,a,5\nv,b,5\n", &ReadOptions::default());
    assert!(refuse(&lonely, "leave-last-out").contains("nothing to learn from"));
    let given = three([untimed; 3], &ReadOptions::default()).unwrap();
    assert!(refuse(&given, "leave-last-out").contains("given by three files"));
    let mixed = three([untimed, "user,item,time\nu,a,1\n", untimed], &ReadOptions::default()).unwrap_err();
    assert!(mixed.to_string().ends_with("b.csv: has times, the files before it have none"), "{mixed}");
    let mixed = three(["user,item,time\nu,a,1\n", untimed, untimed], &ReadOptions::default()).unwrap_err();
    assert!(mixed.to_string().ends_with("b.csv: has no times, the files before it have"), "{mixed}");
}

#[test]
fn kinds_as_text() {
    for text in ["leave-last-out", "time:0.8,0.1", "files", "none"] {
        assert_eq!(SplitKind::parse(text).unwrap().to_string(), text);
    }
    for (text, wanted) in [
        ("leave-one-out", "is not leave-last-out, time:TRAIN,VALID"),
        ("time:0.8", "two shares are wanted"),
        ("time:0.8,x", "`x` is no share between 0 and 1"),
        ("time:NaN,0.1", "`NaN` is no share"),
        ("time:0.9,0.1", "leave nothing to test"),
        ("time:0.8,0", "`0` is no share"),
    ] {
        let error = SplitKind::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("split `{text}`: ")) && error.contains(wanted), "{error}");
    }
}

#[test]
fn time_split_with_many_events_a_user_after_the_cuts() {
    // Times 1 to 8 and four at 9, 11, two at 12: 15 events. t1 = number ceil(0.6 * 15) = 9, the first of the four at 9, so
    // all four are validation; t2 = number ceil(0.8 * 15) = 12, also at 9: then nothing is left between the cuts.
    let text = "user,item,time\nu,a,1\nv,a,2\nu,b,3\nv,b,4\nu,c,5\nv,c,6\nu,d,7\nv,d,8\nu,e,9\nu,f,9\nv,e,9\nw,a,9\n\
                u,g,11\nw,b,12\nu,a,12\n";
    let data = one(text, &ReadOptions::default());
    let all = SplitOptions { targets: Targets::All, ..SplitOptions::default() };
    let cut = |kind: &str, options| split(&data, SplitKind::parse(kind).unwrap(), options).unwrap();
    let same = cut("time:0.6,0.2", all);
    assert!(same.valid.is_empty());
    // Strictly earlier: e and f, at one second, are in neither's history; w's a at 9 is its first event.
    let want = [
        "u: a b c d > e",
        "u: a b c d > f",
        "u: a b c d e f > g",
        "u: a b c d e f g > a",
        "v: a b c d > e",
        "w:  > a",
        "w: a > b",
    ];
    assert_eq!(cases(&data, &same.test), want);
    assert_eq!((same.without_history(), same.repeated_targets(&data)), (1, 1));
    // Items without train events: e twice, f, g; the others have some.
    assert_eq!(same.warm_and_cold_targets(&data), (3, 4));
    assert_eq!(same.train_after_test, Some(0.0));
    assert!(same.test.iter().all(|case| items(&data, case.masked(Mask::Train)).len() <= 7));
    assert_eq!(items(&data, same.test[3].masked(Mask::Train)), "a b c d", "the train part alone");
    assert_eq!(items(&data, same.test[3].masked(Mask::History)), "a b c d e f g");

    // t2 = number ceil(0.87 * 15) = 14 = 12: validation is 9 <= t < 12, and its events are history of the test.
    let apart = cut("time:0.6,0.27", all);
    assert_eq!(
        cases(&data, &apart.valid),
        ["u: a b c d > e", "u: a b c d > f", "u: a b c d e f > g", "v: a b c d > e", "w:  > a"]
    );
    assert_eq!(cases(&data, &apart.test), ["u: a b c d e f g > a", "w: a > b"]);
    let first = cut("time:0.6,0.27", SplitOptions::default());
    assert_eq!(cases(&data, &first.valid), ["u: a b c d > e", "v: a b c d > e", "w:  > a"]);
    assert_eq!(cases(&data, &first.test), cases(&data, &apart.test));
    assert_eq!(examples(&data, &first), ["u>b", "u>c", "u>d", "v>b", "v>c", "v>d"]);
}

#[test]
fn files_with_many_targets_a_user() {
    // Lines in no order of time; u has train rows later than its test rows, v stands in the test file alone, w only trains.
    let timed = [
        "user,item,time\nu,c,50\nu,a,1\nw,a,2\nu,b,20\nw,b,1\n",
        "user,item,time\nu,e,9\nu,d,4\n",
        "user,item,time\nu,h,30\nu,f,10\nv,a,3\nu,g,10\nv,b,1\nu,a,60\n",
    ];
    let data = three(timed, &ReadOptions::default()).unwrap();
    let cut = |data: &Dataset, eval_history| {
        split(data, SplitKind::Files, SplitOptions { eval_history, ..SplitOptions::default() }).unwrap()
    };
    // The parts are never sorted together; within a part the times decide, then the order of the lines.
    let own = cut(&data, EvalHistory::Train);
    assert_eq!(cases(&data, &own.valid), ["u: a b c > d e"]);
    assert_eq!(cases(&data, &own.test), ["u: a b c > f g h a", "v:  > b a"]);
    assert_eq!(examples(&data, &own), ["u>b", "u>c", "w>a"]);
    assert_eq!((own.without_history(), own.repeated_targets(&data)), (1, 1));
    assert_eq!(own.warm_and_cold_targets(&data), (3, 3), "a, b, a are warm, f, g, h cold");
    // Train times 1 20 50, 1 2. Later than 10: 2; 10: 2; 30: 1; 60: 0; 1: 3 (20 50 2); 3: 2. Of 5 each, mean of six.
    assert_eq!(own.train_after_test, Some(10.0 / 30.0));
    let both = cut(&data, EvalHistory::TrainValid);
    assert_eq!(cases(&data, &both.valid), ["u: a b c > d e"], "validation itself sees the train rows");
    assert_eq!(cases(&data, &both.test), ["u: a b c d e > f g h a", "v:  > b a"]);
    assert_eq!(items(&data, both.test[0].masked(Mask::History)), "a b c d e");
    assert_eq!(items(&data, both.test[0].masked(Mask::Train)), "a b c");

    // The same lines without times: sets, in the order of the lines; every train item of a user with two is a target.
    let untimed = timed.map(|text| {
        let lines = text.lines().map(|line| line.rsplit_once(',').unwrap().0);
        lines.collect::<Vec<_>>().join("\n") + "\n"
    });
    let data = three([&untimed[0], &untimed[1], &untimed[2]], &ReadOptions::default()).unwrap();
    let own = cut(&data, EvalHistory::Train);
    assert!(own.history_is_set && own.train_after_test.is_none());
    assert_eq!(examples(&data, &own), ["u>c", "u>a", "u>b", "w>a", "w>b"]);
    assert_eq!(cases(&data, &own.valid), ["u: c a b > e d"]);
    assert_eq!(cases(&data, &own.test), ["u: c a b > h f g a", "v:  > a b"]);
    let both = cut(&data, EvalHistory::TrainValid);
    assert_eq!(cases(&data, &both.test), ["u: c a b e d > h f g a", "v:  > a b"]);
}

/// A log of plays is ranked whole, a log of ratings without what a user had; the share of repeats says which.
#[test]
fn the_mask_follows_the_repeats() {
    let plays = one("user,item,time\nu,a,1\nu,b,2\nu,a,3\nu,a,4\nu,b,5\n", &ReadOptions::default());
    let auto = split(&plays, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert_eq!((auto.mask, auto.repeats(&plays)), (Mask::None, 1.0 / 3.0));
    assert!(auto.mask_reason.contains("33.3 %") && auto.mask_reason.contains("more than 5 %"), "{}", auto.mask_reason);
    let ratings = one("user,item,time\nu,a,1\nu,b,2\nu,c,3\nu,d,4\nu,a,5\n", &ReadOptions::default());
    let auto = split(&ratings, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    // The test event repeats an item; the train part does not, and it alone has a say.
    assert_eq!((auto.mask, auto.repeats(&ratings)), (Mask::History, 0.0));
    for mask in [Mask::History, Mask::Train, Mask::None] {
        let asked = SplitOptions { mask: Some(mask), ..SplitOptions::default() };
        let split = split(&plays, SplitKind::LeaveLastOut, asked).unwrap();
        assert_eq!((split.mask, split.mask_reason.as_str()), (mask, "as asked for"));
        assert_eq!(Mask::parse(mask.name()), Some(mask));
    }
    // One of two targets stands in the history, whichever event of it is the target.
    let mut case = auto.test[0].clone();
    case.targets = vec![4, 3, 0];
    let among: Vec<(u32, bool)> = case.targets_among(&ratings, 0..2).collect();
    assert_eq!(among, [(4, true), (3, false)]);
}

#[test]
fn none_trains_on_everything_and_holds_back_last_events() {
    let data = one(
        "user,item,time\nu1,a,1\nu1,b,2\nu1,c,3\nu2,a,1\nu2,b,2\nu3,a,1\nu3,c,4\nu3,b,2\nu3,d,7\n",
        &ReadOptions::default(),
    );
    let all = split(&data, SplitKind::None, SplitOptions::default()).unwrap();
    assert_eq!(examples(&data, &all), ["u1>b", "u1>c", "u2>b", "u3>b", "u3>c", "u3>d"]);
    assert!(all.valid.is_empty() && all.test.is_empty());
    assert_eq!(all.item_counts(&data).iter().sum::<u32>(), 9, "every event is a train event");
    let held = all.hold_back(&data).unwrap();
    assert_eq!(cases(&data, &held.valid), ["u1: a b > c", "u3: a b c > d"], "u2 has two events alone");
    assert_eq!(examples(&data, &held), ["u1>b", "u2>b", "u3>b", "u3>c"]);
    assert_eq!(held.item_counts(&data).iter().sum::<u32>(), 7);
    assert!(held.test.is_empty());
}

#[test]
fn none_holds_back_a_tenth_or_a_thousand() {
    let mut text = "user,item,time\n".to_owned();
    for user in 0..12_000 {
        for event in 0..3 {
            text += &format!("u{user},i{},{event}\n", (user * 7 + event) % 50);
        }
    }
    let data = one(&text, &ReadOptions::default());
    let all = split(&data, SplitKind::None, SplitOptions::default()).unwrap();
    assert_eq!(all.hold_back(&data).unwrap().valid.len(), 1_200);
    let mut few = all.clone();
    few.examples.truncate(2 * 3_000);
    let held = few.hold_back(&data).unwrap();
    assert_eq!((held.valid.len(), held.examples.len()), (1_000, 5_000), "of users whose last event is an example");
    let users: Vec<u32> = held.valid.iter().map(|case| case.user).collect();
    assert!(users.windows(2).all(|pair| pair[1] - pair[0] == 3), "evenly taken");
}

#[test]
fn none_of_three_files_trains_on_all_and_holds_back_the_validation() {
    let texts = ["user,item\n1,a\n1,b\n2,a\n2,c\n", "user,item\n1,d\n", "user,item\n1,c\n2,d\n"];
    let data = three(texts, &ReadOptions::default()).unwrap();
    let all = split(&data, SplitKind::None, SplitOptions::default()).unwrap();
    assert!(all.history_is_set && all.test.is_empty());
    assert_eq!(examples(&data, &all), ["1>a", "1>b", "1>d", "1>c", "2>a", "2>c", "2>d"]);
    let held = all.hold_back(&data).unwrap();
    assert_eq!(cases(&data, &held.valid), ["1: a b > d"]);
    assert_eq!(examples(&data, &held), ["1>a", "1>b", "2>a", "2>c"]);
}

#[test]
fn what_cannot_be_held_back_is_an_error_that_names_the_epochs() {
    let set = one("user,item\n1,a\n1,b\n1,c\n", &ReadOptions::default());
    let short = one("user,item,time\n1,a,1\n1,b,2\n2,b,1\n", &ReadOptions::default());
    for (data, words) in [(set, "without times"), (short, "three events")] {
        let all = split(&data, SplitKind::None, SplitOptions::default()).unwrap();
        let error = all.hold_back(&data).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("epochs=N"), "{error}");
    }
}
