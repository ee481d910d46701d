use super::*;
use crate::ModelKind;
use rt_data::{SplitKind, SplitOptions, split};

/// Users by the items that each had in training, in order; two events after them are held out.
fn of_users(users: &[&[u32]]) -> (Dataset, Split) {
    let mut text = "user_id,item_id,timestamp\n".to_owned();
    for (user, items) in users.iter().enumerate() {
        for (i, item) in items.iter().chain(&[items[0]; 2]).enumerate() {
            text += &format!("u{user},i{item},{}\n", 1_600_000_000 + 1_000 * user + i);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    std::fs::write(&path, text).unwrap();
    let data = rt_data::read(&path, &rt_data::ReadOptions::default()).unwrap();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    (data, split)
}

fn count(users: &[&[u32]], settings: &[&str]) -> Result<usize> {
    let (data, split) = of_users(users);
    let mut config = Config::new(ModelKind::Dssm);
    settings.iter().for_each(|pair| config.set_pair(pair).unwrap());
    let config = config.resolve(&data, &split)?.within(split.examples.len());
    without_negatives(&config, &data, &split)
}

#[test]
fn what_teaches_nothing_is_an_error_that_names_the_setting() {
    let two: &[&[u32]] = &[&[1, 2, 3], &[2, 1, 3]];
    for (users, settings, says) in [
        (&[&[1u32, 1, 1][..], &[1, 1]] as &[&[u32]], &[][..], "one item"),
        (&[&[1, 1, 1], &[1, 1]], &["loss=full"], "one item"),
        (two, &["batch=1"], "batch = 1"),
        (&[&[1, 2], &[2]], &[], "one example"),
        (&[&[1, 2, 2, 2], &[3, 2]], &[], "have the same"),
        (&[&[1, 2, 1, 2, 3, 3], &[3, 2, 1]], &["loss=full", "mask_own=true"], "mask_own"),
        (&[&[1, 2, 1, 2, 3, 3], &[3, 2, 1]], &["loss=bpr", "exclude_own=true"], "exclude_own"),
    ] {
        let error = count(users, settings).expect_err(says);
        assert!(error.to_string().contains(says) && error.exit_code() == 2, "{settings:?}: {error}");
    }
    // Other candidates stand in for the batch's.
    for settings in [&["batch=1", "mixed=4"][..], &["batch=1", "queue=2"], &["batch=1", "loss=full"]] {
        assert_eq!(count(two, settings).unwrap(), 0, "{settings:?}");
    }
}

#[test]
fn rows_without_a_negative_are_counted() {
    // The first user had all three items in training, the second two of them.
    let some: &[&[u32]] = &[&[1, 2, 3, 1], &[1, 2, 1]];
    assert_eq!(count(some, &["loss=full", "mask_own=true"]).unwrap(), 3);
    assert_eq!(count(some, &["loss=list", "exclude_own=true"]).unwrap(), 3);
    assert_eq!(count(some, &["loss=full"]).unwrap(), 0);
    // Five examples in batches of two: the last stands alone.
    assert_eq!(count(some, &["batch=2"]).unwrap(), 1);
    assert_eq!(count(some, &["batch=3"]).unwrap(), 0);
}

/// An item that only comes after the cut is no negative, so it does not help a user who had all others.
#[test]
fn items_of_the_future_are_no_negatives_that_are_left() {
    let (mut data, _) = of_users(&[&[1, 2, 3, 1], &[1, 2, 1]]);
    let future = data.items.insert("future");
    data.catalogue.push(future);
    *data.event_item.last_mut().unwrap() = future;
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let mut config = Config::new(ModelKind::Dssm);
    ["loss=full", "mask_own=true"].iter().for_each(|pair| config.set_pair(pair).unwrap());
    let config = config.resolve(&data, &split).unwrap().within(split.examples.len());
    assert_eq!(without_negatives(&config, &data, &split).unwrap(), 3);
}

#[test]
fn ranks_to_mine_follow_the_catalogue() {
    let mut config = Config::new(ModelKind::Dssm);
    config.mine = 2;
    for (items, ranks) in
        [(1_682, [101, 500]), (1_000, [101, 500]), (600, [61, 300]), (40, [5, 20]), (2, [1, 2]), (1, [1, 2])]
    {
        assert_eq!(config.ranks_mined(items), ranks, "{items} items");
    }
    config.mine_ranks = vec![7, 9];
    assert_eq!(config.ranks_mined(40), [7, 9]);
    let some: &[&[u32]] = &[&[1, 2, 3, 1], &[1, 2, 1]];
    let error = count(some, &["loss=bpr", "mine=1", "mine_ranks=2,4"]).unwrap_err();
    assert!(error.to_string().contains("`mine_ranks = 2,4`: the catalogue of training has 3 items"), "{error}");
    count(some, &["loss=bpr", "mine=1", "mine_ranks=2,3"]).unwrap();
    count(some, &["loss=bpr", "mine=1"]).unwrap();
}

#[test]
fn batches_are_no_larger_than_the_examples() {
    let mut config = Config::new(ModelKind::Dssm);
    for (batch, accumulate, examples, want) in [
        (1024, 1, 3000, [1024, 1]),
        (8192, 1, 1080, [1080, 1]),
        (512, 8, 1080, [512, 3]),
        (9, 4, 1, [1, 1]),
        (9, 2, 0, [1, 1]),
    ] {
        (config.batch, config.accumulate) = (batch, accumulate);
        let within = config.clone().within(examples);
        assert_eq!([within.batch, within.accumulate], want, "{batch} x {accumulate} of {examples}");
    }
}
