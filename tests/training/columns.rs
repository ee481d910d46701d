//! Columns made of columns: ids and crosses in tables of fixed size, numbers that are missing.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_data::{Column, Dataset};
use rt_models::{Config, Model, ModelKind, Query, extend, train, train_from};
use rt_tests::devices;
use std::ops::ControlFlow;
use std::sync::Arc;

fn go(_: &rt_models::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn new(config: &Config, data: Dataset) -> Model {
    let (_, split) = self::data();
    Model::new(&devices()[0], config, Arc::new(data), &split, 1).unwrap()
}

fn user_vectors(model: &Model, users: &[u32], history: &[u32]) -> Vec<Vec<f32>> {
    let queries: Vec<Query<'_>> = users.iter().map(|user| Query { user: *user, history, ..Query::default() }).collect();
    model.user_tower(&queries).unwrap().chunks(model.dim()).map(<[f32]>::to_vec).collect()
}

/// Items 1, 2, ... whose vectors are equal, as groups.
fn groups(model: &Model) -> usize {
    let vectors = model.item_vectors().unwrap();
    let mut rows: Vec<Vec<u32>> =
        vectors.chunks(model.dim()).skip(1).map(|row| row.iter().map(|x| x.to_bits()).collect()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows.len()
}

#[test]
fn hashed_items_have_tables_of_fixed_size() {
    let (data, _) = data();
    for functions in ["1", "2"] {
        let functions = format!("hash_functions={functions}");
        let small = config(ModelKind::YoutubeDnn, &["hash_items=11", &functions, "item_table=separate"]);
        let model = new(&small, Dataset::clone(&data));
        for table in ["item_id", "item_out"] {
            assert_eq!(model.store().get(table).unwrap().len(), 12 * 16, "{table}");
        }
        // Of 11 rows, or of 66 pairs of rows.
        let apart = groups(&model);
        assert!(if functions.ends_with('1') { apart <= 11 } else { apart > 40 }, "{functions}: {apart}");
    }
}

#[test]
fn a_history_pools_the_rows_that_its_items_are_hashed_into() {
    let (data, _) = data();
    for more in [&[][..], &["pool=max", "position_heads=2", "decay_heads=1"]] {
        for functions in [1, 2] {
            let keys = [&["user_id=off", "user_features=false", "session=0"], more].concat();
            let plain = new(&config(ModelKind::YoutubeDnn, &keys), Dataset::clone(&data));
            let twice = format!("hash_functions={functions}");
            let hashed = new(
                &config(ModelKind::YoutubeDnn, &[&keys[..], &["hash_items=7", &twice]].concat()),
                Dataset::clone(&data),
            );
            // The vectors of hashed items, put into the other's table of one row an item, have to pool to the same.
            hashed.store().params().list().iter().filter(|p| p.name != "item_id").for_each(|p| {
                plain.store().set(&p.name, &hashed.store().get(&p.name).unwrap()).unwrap();
            });
            let table = hashed.store().get("item_id").unwrap();
            let one = |raw: &str, f: u64| rt_models::hashed_row(raw, 7, f) as usize * 16;
            let mut rows = vec![0f32; data.items.rows() * 16];
            for item in 1..data.items.rows() {
                for f in 0..functions {
                    let at = one(data.items.raw(item as u32), f);
                    rows[item * 16..][..16].iter_mut().zip(&table[at..]).for_each(|(x, y)| *x += y);
                }
            }
            plain.store().set("item_id", &rows).unwrap();
            let history = [3, 5, 9, 70, 11];
            let (a, b) = (user_vectors(&plain, &[1, 2], &history), user_vectors(&hashed, &[1, 2], &history));
            for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
                assert!(abs_diff_eq!(a, b, epsilon = 1e-5), "{more:?}, {functions}: {a} and {b}");
            }
        }
    }
}

#[test]
fn training_and_serving_hash_items_alike() {
    // With rows for all and next to no collisions the model learns what one with a row an item does; a history or a target
    // that was hashed otherwise in training would not serve.
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let at = |keys: &[&str]| {
            let (_, report) = fit(&devices()[0], &config(kind, &[&["epochs=8", "lr=5e-3"], keys].concat()), 3);
            report.valid.into_iter().fold(0.0, f64::max)
        };
        let (plain, once, twice) = (at(&[]), at(&["hash_items=65536"]), at(&["hash_items=512", "hash_functions=2"]));
        assert!(once > 0.85 * plain && twice > 0.85 * plain, "{kind:?}: {plain}, {once}, {twice}");
        assert!(plain > 0.1, "{plain}");
    }
}

#[test]
fn hashed_models_are_saved_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["hash_items=50", "hash_crosses=9", "hash_functions=2", "cross=country*country", "item_id_dropout=0.2"];
    let (model, _) = fit(&devices()[0], &config(ModelKind::Dssm, &keys), 4);
    let crossed = model.store().get("user.country*country").unwrap();
    assert_eq!(crossed.len() % 10, 0, "nine rows and the unknown one");
    model.save(folder.path().join("m").as_path()).unwrap();
    for device in devices() {
        let loaded = Model::load(device, &folder.path().join("m")).unwrap();
        let users: Vec<u32> = (1..40).collect();
        let (a, b) = (user_vectors(&model, &users, &[3, 5, 9]), user_vectors(&loaded, &users, &[3, 5, 9]));
        assert!(
            a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| abs_diff_eq!(a, b, epsilon = 1e-4)),
            "{device:?}"
        );
    }
    // New items have rows already: no table of ids grows.
    let (data, _) = rt_data::Synthetic::parse("synthetic:users=160,items=140,events=20,seed=6").unwrap().generate();
    let more = extend(&model, &data, rt_data::SplitKind::LeaveLastOut, rt_data::SplitOptions::default()).unwrap();
    assert!(more.new_items > 0);
    let (next, _) = train_from(&devices()[0], &model, model.config(), &more, 1, &mut go).unwrap();
    for table in ["item_id", "user.country*country"] {
        let rows = |model: &Model| model.store().get(table).unwrap().len();
        assert_eq!(rows(&next), rows(&model), "{table}");
    }
}

/// The built-in data without the ages of every fourth user.
fn without_ages(missing: impl Fn(usize) -> bool) -> Dataset {
    let mut data = Dataset::clone(&data().0);
    data.user_features.columns.retain(|(name, _)| name == "age");
    let Column::Number { values } = &mut data.user_features.columns[0].1 else { panic!("ages are numbers") };
    values.iter_mut().enumerate().skip(1).filter(|(row, _)| missing(*row)).for_each(|(_, value)| *value = f32::NAN);
    data
}

#[test]
fn missing_numbers_are_the_mean_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, split) = data();
    let keys = ["user_id=off", "session=0"];
    let mut data = without_ages(|row| row % 4 == 0);
    let Column::Number { values } = &mut data.user_features.columns[0].1 else { panic!("ages are numbers") };
    let known: Vec<f64> = values.iter().skip(2).filter(|x| !x.is_nan()).map(|x| f64::from(*x)).collect();
    values[1] = (known.iter().sum::<f64>() / known.len() as f64) as f32;
    let config = config(ModelKind::Dssm, &keys);
    let plain = new(&config, without_ages(|_| false));
    let (model, _) = train(&devices()[0], &config, Arc::new(data), &split, 1, &mut go).unwrap();
    assert_eq!(inputs(&model), inputs(&plain) + 1, "one input says that the number is missing");
    let vectors = user_vectors(&model, &[1, 4, 8, 2, 0], &[3, 5]);
    assert_eq!(vectors[1], vectors[2], "one is as missing as another");
    assert_eq!(vectors[1], vectors[4], "and as a user whom nobody knows");
    assert_ne!(vectors[1], vectors[0], "a number at the mean is no missing one");
    // Without the indicator the two are the same: the last of the user tower's inputs but the history.
    let mut w = model.store().get("user.0.weight").unwrap();
    let mut skip = model.store().get("user.skip").unwrap();
    w[24..48].fill(0.0);
    skip[16..32].fill(0.0);
    model.store().set("user.0.weight", &w).unwrap();
    model.store().set("user.skip", &skip).unwrap();
    let vectors = user_vectors(&model, &[1, 4], &[3, 5]);
    assert!(vectors[0].iter().zip(&vectors[1]).all(|(a, b)| abs_diff_eq!(a, b, epsilon = 1e-3)), "{vectors:?}");
    model.save(&folder.path().join("m")).unwrap();
    let loaded = Model::load(&devices()[0], &folder.path().join("m")).unwrap();
    assert_eq!(user_vectors(&loaded, &[1, 4], &[3, 5]), vectors);
    // A decile is not known either.
    let quantile = new(
        &self::config(ModelKind::Dssm, &[&keys[..], &["numbers=quantile"]].concat()),
        without_ages(|row| row % 4 == 0),
    );
    let vectors = user_vectors(&quantile, &[4, 8, 0], &[3, 5]);
    assert!(vectors[0] == vectors[1] && vectors[0] == vectors[2]);
}

/// The user tower's inputs.
fn inputs(model: &Model) -> usize {
    model.store().get("user.0.weight").unwrap().len() / 24
}

fn ages(model: &Model) -> Vec<f32> {
    let Column::Number { values } = &model.data().user_features.columns[0].1 else { panic!("ages are numbers") };
    values.clone()
}

#[test]
fn numbers_are_marked_where_training_sees_both_kinds_alone() {
    let (_, mut split) = data();
    let config = config(ModelKind::Dssm, &["user_id=off", "session=0"]);
    let device = &devices()[0];
    let plain = inputs(&new(&config, without_ages(|_| false)));
    // All of them are missing, or only those of users who do not train.
    let all = Model::new(device, &config, Arc::new(without_ages(|_| true)), &split, 1).unwrap();
    assert_eq!((inputs(&all), ages(&all)[5]), (plain, 0.0));
    let data = without_ages(|row| row > 140);
    split.examples.retain(|event| data.user_of(*event as usize) <= 140);
    let few = Model::new(device, &config, Arc::new(data), &split, 1).unwrap();
    let values = ages(&few);
    let mean = values[1..=140].iter().map(|x| f64::from(*x)).sum::<f64>() / 140.0;
    assert_eq!(inputs(&few), plain);
    assert!(
        abs_diff_eq!(f64::from(values[145]), mean, epsilon = 1e-3) && values[0].abs() > 0.0,
        "{} and {mean}",
        values[145]
    );
    assert_eq!(user_vectors(&few, &[141], &[3, 5]), user_vectors(&few, &[150], &[3, 5]));
}

#[test]
fn a_model_goes_on_with_the_marks_that_it_has() {
    let (_, split) = data();
    let config = config(ModelKind::Dssm, &["user_id=off", "session=0"]);
    let options = rt_data::SplitOptions::default();
    for (first, then) in [(false, true), (true, false), (true, true)] {
        let data = Arc::new(without_ages(|row| first && row % 4 == 0));
        let (base, _) = train(&devices()[0], &config, data, &split, 1, &mut go).unwrap();
        let (mut more, _) =
            rt_data::Synthetic::parse("synthetic:users=200,items=120,events=20,seed=9").unwrap().generate();
        more.user_features.columns.retain(|(name, _)| name == "age");
        let Column::Number { values } = &mut more.user_features.columns[0].1 else { panic!("ages are numbers") };
        let missing = |row: usize| then && row.is_multiple_of(3);
        values.iter_mut().enumerate().skip(1).filter(|(row, _)| missing(*row)).for_each(|(_, x)| *x = f32::NAN);
        let given = values.clone();
        let more = extend(&base, &more, rt_data::SplitKind::LeaveLastOut, options).unwrap();
        let (next, _) = train_from(&devices()[0], &base, base.config(), &more, 1, &mut go).unwrap();
        assert_eq!((inputs(&next), ages(&next)[0].is_nan()), (inputs(&base), first), "{first} {then}");
        let (old, values) = (ages(&base), ages(&next));
        let mean = old[1..].iter().filter(|x| !x.is_nan()).map(|x| f64::from(*x)).sum::<f64>()
            / old[1..].iter().filter(|x| !x.is_nan()).count() as f64;
        for row in 1..values.len() {
            // The ids of both data sets are the same numbers; what the new one says is heard.
            match (missing(row), row < old.len()) {
                (false, _) => assert_eq!(values[row].to_bits(), given[row].to_bits(), "user {row}"),
                (true, true) => assert_eq!(values[row].to_bits(), old[row].to_bits(), "user {row}"),
                (true, false) if first => assert!(values[row].is_nan(), "user {row}"),
                (true, false) => {
                    assert!(abs_diff_eq!(f64::from(values[row]), mean, epsilon = 1e-3), "user {row}: {}", values[row])
                }
            }
        }
    }
}

#[test]
fn a_model_does_not_go_on_with_ids_hashed_otherwise() {
    let keys = ["hash_items=40", "hash_rows=40", "cross=country*country"];
    let (base, _) = fit(&devices()[0], &config(ModelKind::Dssm, &keys), 4);
    let (data, _) = rt_data::Synthetic::parse("synthetic:users=160,items=140,events=20,seed=6").unwrap().generate();
    let more = extend(&base, &data, rt_data::SplitKind::LeaveLastOut, rt_data::SplitOptions::default()).unwrap();
    for set in [
        "hash_items=41",
        "hash_items=0",
        "hash_rows=50",
        "hash_rows=0",
        "hash_functions=2",
        "hash_crosses=50",
        "numbers=raw",
        "cross=",
    ] {
        let mut config = base.config().clone();
        config.set_pair(set).unwrap();
        let error = train_from(&devices()[0], &base, &config, &more, 1, &mut go).unwrap_err();
        let key = set.split('=').next().unwrap();
        assert!(error.exit_code() == 2 && error.to_string().contains(&format!("{key}: is another")), "{set}: {error}");
    }
}
