use super::*;
use crate::ModelKind;
use crate::features::VECTORS;
use rt_data::{Mask, split};
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// Users `u0..`, eight events each, over 12 items; categories `a` and `b` by user, `hour` by event.
fn data(users: std::ops::Range<usize>, from: i64, category: impl Fn(usize) -> [&'static str; 2]) -> Dataset {
    let mut events = Vec::new();
    for u in users.clone() {
        events.extend((0..8).map(|i| (format!("u{u}"), format!("i{}", (u * 5 + i * 3) % 12), from + i as i64 * 100)));
    }
    let mut data = Dataset::from_events(events);
    for side in 0..2 {
        let (mut vocab, mut values) = (Vocab::new(), vec![0; data.users.rows()]);
        for u in users.clone() {
            let row = data.users.get(&format!("u{u}")).unwrap();
            values[row as usize] = vocab.insert(category(u)[side]);
        }
        let name = ["a", "b"][side].to_owned();
        data.user_features.columns.push((name, Column::Category { vocab, values }));
    }
    data
}

fn go(_: &crate::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn base(settings: &[&str], data: Dataset) -> Model {
    let mut config = Config::new(ModelKind::Dssm);
    let small = ["dim=8", "user_hidden=8", "item_hidden=8", "batch=16", "epochs=2", "history=5"];
    small.iter().chain(settings).for_each(|pair| config.set_pair(pair).unwrap());
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    crate::train(&Device::cpu(1).unwrap(), &config, Arc::new(data), &split, 1, &mut go).unwrap().0
}

fn extended(model: &Model, new: &Dataset) -> Extended {
    extend(model, new, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap()
}

#[test]
fn rows_of_crossed_categories_keep_their_weights() {
    let old = data(0..9, 0, |u| [["x", "y"][u % 2], ["p", "q", "r"][u % 3]]);
    let model = base(&["cross=a*b"], old);
    // The first user, whose pair came first, has another one now: pairs occur in another order.
    let new = data(0..12, 10_000, |u| if u == 0 { ["y", "r"] } else { [["x", "y"][u % 2], ["p", "q", "s"][u % 3]] });
    let more = extended(&model, &new);
    let next = Model::new(model.device(), &model.config, more.data.clone(), &more.split, 7).unwrap();
    hand_over(&model, &next).unwrap();
    let table =
        |m: &Model| (m.schema.extra.crossed(&m.data.user_features, "a*b").unwrap(), m.store.get("user.a*b").unwrap());
    let ((old, was), (new, now)) = (table(&model), table(&next));
    let width = was.len() / old.rows();
    let (mut moved, mut kept) = (0, 0);
    for (i, raw) in new.iter().enumerate() {
        let Some(row) = old.get(raw) else { continue };
        assert_eq!(now[(i + 1) * width..][..width], was[row as usize * width..][..width], "{raw:?}");
        moved += usize::from(row as usize != i + 1);
        kept += 1;
    }
    assert!(moved > 0 && kept > 3, "{moved} of {kept} pairs have another row");
}

#[test]
fn what_was_shown_goes_on_as_negatives() {
    let log = |first: usize, from: i64| {
        let mut text = "user,item,time,label\n".to_owned();
        for u in first..first + 6 {
            for i in 0..8 {
                let (item, other) = ((u * 5 + i * 3) % 12, (u * 5 + i * 3 + 1) % 12);
                writeln!(text, "u{u},i{item},{},1\nu{u},i{other},{},0", from + i as i64, from + i as i64).unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let options = rt_data::ReadOptions { label_col: Some("label".into()), ..Default::default() };
        rt_data::read(&path, &options).unwrap()
    };
    let settings = ["loss=bpr", "negatives_from=data", "negatives=2", "session=0"];
    let model = base(&settings, log(0, 0));
    let more = extended(&model, &log(3, 1_000));
    let shown = more.data.exposed.as_ref().unwrap();
    assert_eq!(shown.spans.len(), more.data.event_item.len());
    for event in more.split.examples.iter() {
        let user = more.data.users.raw(more.data.user_of(event as usize)).to_owned();
        let u: usize = user[1..].parse().unwrap();
        let items = &shown.items[shown.of(event)];
        assert!(!items.is_empty());
        // An item shown to user u is one past an item of the user's.
        let raws = items.iter().map(|i| more.data.items.raw(*i)[1..].parse::<usize>().unwrap());
        assert!(raws.into_iter().all(|i| (0..8).any(|k| (u * 5 + k * 3 + 1) % 12 == i)), "{user}: {items:?}");
    }
    let device = model.device();
    let (next, _) = train_from(device, &model, &model.config, &more, 1, &mut go).unwrap();
    assert_eq!(next.config().negatives_from, NegativesFrom::Data);
    // Data that says nothing about what was shown: all are drawn.
    let plain = extended(&model, &data(0..9, 5_000, |_| ["x", "p"]));
    let (next, _) = train_from(device, &model, &model.config, &plain, 1, &mut go).unwrap();
    assert_eq!(next.config().negatives_from, NegativesFrom::Sampler);
}

#[test]
fn vectors_of_items_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.npy");
    let write = |items: &[usize], add: f32| {
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 3), }}", items.len());
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        for i in items {
            (0..3).for_each(|c| bytes.extend((add + (i * 3 + c) as f32).to_le_bytes()));
        }
        std::fs::write(&path, bytes).unwrap();
        let ids: Vec<String> = items.iter().map(|i| format!("i{i}")).collect();
        std::fs::write(path.with_extension("ids.txt"), ids.join("\n")).unwrap();
    };
    write(&[0, 1, 2, 3, 4, 5], 0.0);
    let setting = format!("item_vectors={}", path.display());
    let model = base(&[&setting], data(0..9, 0, |_| ["x", "p"]));
    write(&[2, 3, 4, 5, 6], 0.5);
    let more = extended(&model, &data(5..12, 9_000, |_| ["x", "p"]));
    let (next, _) = train_from(model.device(), &model, &model.config, &more, 1, &mut go).unwrap();
    let columns: Vec<_> = next.data().item_features.columns.iter().filter(|(n, _)| n.starts_with(VECTORS)).collect();
    assert_eq!(columns.len(), 3, "each column once");
    let Column::Number { values } = &columns[0].1 else { panic!("vectors are numbers") };
    assert_eq!(values[next.item("i6").unwrap() as usize], 18.5, "of the file as it is now");
    assert_eq!(values[next.item("i0").unwrap() as usize], 12.5, "the mean where it has none");
    // Vectors that start the table give it its width.
    let tuned = base(&[&setting, "item_vectors_tune=true", "dim=0"], data(0..9, 0, |_| ["x", "p"]));
    assert_eq!(tuned.config().dim, 3);
}

#[test]
fn the_context_of_other_data_is_matched_by_its_words() {
    let with_hours = |hours: [&str; 3], named: &str| {
        let mut data = data(0..9, 0, |_| ["x", "p"]);
        let (mut vocab, mut values) = (Vocab::new(), Vec::new());
        for event in 0..data.event_item.len() {
            values.push(vocab.insert(hours[event % 3]));
        }
        data.event_features.columns.push((named.into(), Column::Category { vocab, values }));
        data
    };
    let model = base(&[], with_hours(["morning", "noon", "night"], "hour"));
    let other = with_hours(["night", "dawn", "morning"], "hour");
    let context = model.event_context(&other);
    let of = |raw: &str| model.context_category("hour", raw);
    assert!(of("night") != 0 && of("morning") != 0);
    for (event, got) in context.iter().enumerate() {
        assert_eq!(*got, [of("night"), 0, of("morning")][event % 3]);
    }
    let missing = model.event_context(&with_hours(["night", "dawn", "morning"], "day"));
    assert!(missing.iter().all(|c| *c == 0), "a missing column is unknown, no gap");
    // The figures are those of the model's own data when it is read in another order.
    let split = split(&other, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    let scorer = crate::ModelScorer::new(&model, &other, &context);
    crate::evaluate(model.device(), &other, &split.test, &scorer, &[Mask::History]).unwrap();
}

#[test]
fn events_that_the_model_knows_are_not_taken_twice() {
    let rows = |times: &[i64]| -> Vec<(String, String, i64)> {
        (0..9)
            .flat_map(|u| times.iter().map(move |t| (format!("u{u}"), format!("i{}", (u + *t) % 12), 1000 * t)))
            .collect()
    };
    let model = base(&[], Dataset::from_events(rows(&[1, 2, 3, 4, 5, 6])));
    let events = |more: &Extended| {
        let data = &more.data;
        let of = |user| {
            data.events_of(user).map(|e| (data.items.raw(data.event_item[e]).to_owned(), data.time(e))).collect()
        };
        (1..data.users.rows() as u32).map(of).collect::<Vec<Vec<_>>>()
    };
    // A log of all days is that of the new ones; one event stands there twice and is known once.
    let new = extended(&model, &Dataset::from_events(rows(&[7, 8, 9])));
    let mut all = rows(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    all.reverse();
    let both = extended(&model, &Dataset::from_events(all.clone()));
    assert_eq!((events(&both), new.known_events, both.known_events), (events(&new), 0, 54));
    assert_eq!(both.split.examples, new.split.examples);
    assert!(both.notes[0].contains("54 of the 81 events"), "{:?}", both.notes);
    all.push(all[80].clone());
    assert_eq!(extended(&model, &Dataset::from_events(all)).known_events, 54);
    // Nothing new at all: it goes on with what it has.
    let again = extended(&model, &Dataset::from_events(rows(&[5, 6])));
    assert_eq!((again.known_events, again.data.event_item.len()), (18, 54));
    assert_eq!(
        again.split.examples,
        split(&model.data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap().examples
    );

    // Places in an order: known where every user's events begin with the old ones.
    let ordered = |from: i64, to: i64, turn: bool| {
        let item = |u: i64, t: i64| format!("i{}", (u + if turn && u == 4 { to - t } else { t }) % 12);
        let rows = (0..9).flat_map(|u| (from..to).map(move |t| (u, t)));
        Dataset::from_events(rows.map(|(u, t)| (format!("u{u}"), item(u, t), 1 + t - from)))
    };
    let model = base(&["session=0"], ordered(0, 6, false));
    assert_eq!(extended(&model, &ordered(0, 9, false)).known_events, 54);
    assert_eq!(extended(&model, &ordered(6, 9, false)).known_events, 0);
    assert_eq!(extended(&model, &ordered(0, 9, true)).known_events, 0);
    assert_eq!(extended(&model, &ordered(0, 6, false)).split.test.len(), 9);
}

#[test]
fn a_column_of_a_given_width_takes_new_categories_past_the_rule() {
    const WORDS: [&str; 20] = [
        "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16",
        "c17", "c18", "c19",
    ];
    let log = |users, from| data(users, from, |u| [WORDS[u % 20], "p"]);
    let categories = |more: &Extended| match &more.data.user_features.columns[0].1 {
        Column::Category { vocab, .. } => vocab.rows() - 1,
        _ => 0,
    };
    // By the rule twenty categories are wider than nine.
    let model = base(&[], log(0..9, 0));
    let more = extended(&model, &log(5..25, 9_000));
    assert_eq!((categories(&more), more.notes.len()), (9, 1), "{:?}", more.notes);
    let model = base(&["column_dims=a=4,item_id=6"], log(0..9, 0));
    let more = extended(&model, &log(5..25, 9_000));
    assert_eq!((categories(&more), more.notes.len()), (20, 0), "{:?}", more.notes);
    let (next, _) = train_from(model.device(), &model, &model.config, &more, 1, &mut go).unwrap();
    let shape = |model: &Model, name: &str| model.store.params().list()[model.store.params().find(name).unwrap()].shape;
    assert_eq!((shape(&model, "user.a"), shape(&next, "user.a")), ([10, 4], [21, 4]));
    assert_eq!((shape(&next, "item_id")[1], next.dim()), (6, 8));
    let mut other = model.config.clone();
    other.column_dims[1].1 = 7;
    let error = train_from(model.device(), &model, &other, &more, 1, &mut go).unwrap_err().to_string();
    assert!(error.contains("`item_id`") && error.contains("column_dims"), "{error}");
}
