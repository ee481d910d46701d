//! Features and parts of towers that are off by default: age of the example, ids left out, columns made of columns,
//! pretrained vectors.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_data::Column;
use rt_models::{Config, Model, ModelKind, Query, train};
use rt_tests::devices;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Everything at once, for either model.
const ALL: &[&str] = &[
    "norm=batch",
    "ema=0",
    "activation=gelu",
    "user_hidden=24,24",
    "residual=true",
    "senet=true",
    "example_age=true",
    "user_id_dropout=0.2",
    "numbers=quantile",
    "cross=country*age",
    "hash_rows=40",
    "hash_functions=2",
];

fn vectors(model: &Model) -> Vec<f32> {
    let queries: Vec<Query<'_>> = (1..40).map(|user| Query { user, history: &[3, 5, 9], ..Query::default() }).collect();
    model.user_tower(&queries).unwrap()
}

#[test]
fn a_saved_model_keeps_statistics_ids_and_made_columns() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, more) in [(ModelKind::Dssm, &["item_id_dropout=0.3"][..]), (ModelKind::YoutubeDnn, &[])] {
        let (model, _) = fit(&devices()[0], &config(kind, &[ALL, more].concat()), 4);
        let running = model.store().get("user.0.norm.variance").unwrap();
        assert!(running.iter().all(|v| *v > 0.0 && *v != 1.0), "the running variance moved from its start");
        let path = folder.path().join(kind.name());
        model.save(&path).unwrap();
        for device in devices() {
            let loaded = Model::load(device, &path).unwrap();
            assert_eq!(loaded.config(), model.config());
            assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap(), "{device:?}");
            for (a, b) in vectors(&model).iter().zip(vectors(&loaded)) {
                assert!(abs_diff_eq!(*a, b, epsilon = 1e-4), "{device:?}: {a} and {b}");
            }
            for (a, b) in model.item_vectors().unwrap().iter().zip(loaded.item_vectors().unwrap().iter()) {
                assert!(abs_diff_eq!(a, b, epsilon = 1e-4), "{device:?}: {a} and {b}");
            }
        }
    }
}

#[test]
fn the_last_activation_shapes_the_vectors_that_leave_the_towers() {
    let of = |kind, settings: &[&str]| fit(&devices()[0], &config(kind, &[&["epochs=2"], settings].concat()), 4).0;
    let both = |model: &Model| (vectors(model), model.item_vectors().unwrap().to_vec());
    let negative = |v: &[f32]| v.iter().any(|x| *x < 0.0);
    let (user, item) = both(&of(ModelKind::Dssm, &[]));
    assert!(negative(&user) && negative(&item), "a linear last layer gives both signs");
    // torch-rechub's layers: what leaves a tower is never negative, with batch normalisation or without.
    for norm in ["none", "batch", "layer"] {
        let norm = format!("norm={norm}");
        let (user, item) = both(&of(ModelKind::Dssm, &["last_activation=relu", &norm, "ema=0"]));
        assert!(!negative(&user) && !negative(&item), "{norm}");
        assert!(user.iter().any(|x| *x > 0.0) && item.iter().any(|x| *x > 0.0), "{norm}");
        let (user, item) = both(&of(ModelKind::YoutubeDnn, &["last_activation=relu", &norm, "ema=0"]));
        assert!(!negative(&user) && negative(&item), "{norm}: its items are a table");
    }
    let (user, item) = both(&of(ModelKind::Dssm, &["last_activation=tanh", "normalize=false", "temperature=1"]));
    assert!(user.iter().chain(&item).all(|x| x.abs() <= 1.0), "the skip stands before the activation");
}

#[test]
fn a_last_layer_with_an_activation_is_saved_as_a_hidden_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["norm=batch", "ema=0", "activation=prelu", "last_activation=prelu"];
    let (model, _) = fit(&devices()[0], &config(ModelKind::Dssm, &settings), 4);
    let has = |name: &str| model.store().params().find(name).is_some();
    for side in ["user", "item"] {
        assert!(["norm.gain", "norm.variance", "slope"].iter().all(|part| has(&format!("{side}.1.{part}"))));
        assert!(!has(&format!("{side}.1.bias")), "the norm's mean would take a bias away");
    }
    let path = folder.path().join("m");
    model.save(&path).unwrap();
    for device in devices() {
        let loaded = Model::load(device, &path).unwrap();
        assert_eq!(loaded.config(), model.config());
        assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap(), "{device:?}");
        for (a, b) in vectors(&model).iter().zip(vectors(&loaded)) {
            assert!((a - b).abs() < 1e-4, "{device:?}: {a} and {b}");
        }
    }
    // Dropout is in training alone, and there on the last layer too.
    let dropouts = |settings: &[&str]| {
        let (model, _) = fit(&devices()[0], &config(ModelKind::Dssm, &[&["dropout=0.2"], settings].concat()), 4);
        model.training_tape(200).unwrap().listing().matches("dropout").count()
    };
    assert!(dropouts(&["last_activation=gelu"]) > dropouts(&[]));
}

/// Widths of a model's tables by their names.
fn widths(model: &Model, names: &[&str]) -> Vec<usize> {
    let params = model.store().params();
    names.iter().map(|name| params.list()[params.find(name).unwrap_or_else(|| panic!("{name}"))].shape[1]).collect()
}

#[test]
fn columns_are_as_wide_as_the_settings_say_and_vectors_stay_as_wide_as_dim() {
    let folder = tempfile::tempdir().unwrap();
    let tables = ["item_id", "user.user_id", "user.country", "context.session_length"];
    let named = "column_dims=item_id=6,user_id=5,country=3";
    let history = ["pool=max", "position_heads=1", "decay_heads=1", "hash_items=50", "hash_functions=2"];
    for (kind, more, want) in [
        (ModelKind::Dssm, &[][..], [16, 16, 8, 8]),
        (ModelKind::Dssm, &[named], [6, 5, 3, 8]),
        (ModelKind::Dssm, &[named, "senet=true", "cross=country*country"], [6, 5, 3, 8]),
        (ModelKind::Dssm, &[&[named][..], &history].concat(), [6, 5, 3, 8]),
        (ModelKind::Dssm, &["column_dims=*=7,country=3"], [16, 16, 3, 7]),
        (ModelKind::YoutubeDnn, &["item_table=separate", named], [6, 5, 3, 8]),
        (ModelKind::YoutubeDnn, &["column_dims=*=7,item_id=16"], [16, 16, 7, 7]),
    ] {
        let config = config(kind, &[&["session=60"], more].concat());
        let mut read = Config::new(kind);
        read.read_toml(&config.to_toml()).unwrap();
        assert_eq!(read, config);
        let (model, _) = fit(&devices()[0], &config, 4);
        assert_eq!(widths(&model, &tables), want, "{more:?}");
        if kind == ModelKind::YoutubeDnn && more.len() == 2 {
            assert_eq!(widths(&model, &["item_out"]), [16]);
        }
        let items = model.data().items.rows();
        assert_eq!((model.dim(), model.item_vectors().unwrap().len()), (16, items * 16), "{more:?}");
        let path = folder.path().join("m");
        model.save(&path).unwrap();
        for device in devices() {
            let loaded = Model::load(device, &path).unwrap();
            assert_eq!(widths(&loaded, &tables), want, "{more:?}");
            for (a, b) in vectors(&model).iter().zip(vectors(&loaded)) {
                assert!((a - b).abs() < 1e-4, "{device:?} {more:?}: {a} and {b}");
            }
            let query = Query { history: &[3, 5], ..Query::default() };
            assert_eq!(loaded.recommend(&query, &[], 5).unwrap().len(), 5);
        }
    }
}

#[test]
fn example_age_reaches_user_vectors_through_its_inputs_alone() {
    let device = &devices()[0];
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let at = |serving: &str| fit(device, &config(kind, &["example_age=true", serving]), 3).0;
        let (new, old) = (at("example_age_serving=0"), at("example_age_serving=1"));
        assert_eq!(new.sha256().unwrap(), old.sha256().unwrap(), "serving has no part in training");
        assert_ne!(vectors(&new), vectors(&old));
        assert_eq!(*new.item_vectors().unwrap(), *old.item_vectors().unwrap());
        for model in [&new, &old] {
            for name in ["user.0.weight", "user.skip"] {
                let mut w = model.store().get(name).unwrap();
                let cols = if name == "user.skip" { 16 } else { 24 };
                let cells = w.len();
                w[cells - 3 * cols..].fill(0.0); // the last three inputs
                model.store().set(name, &w).unwrap();
            }
        }
        assert_eq!(vectors(&new), vectors(&old));
    }
}

#[test]
fn hashed_ids_serve_users_whom_training_never_saw() {
    let (data, mut split) = data();
    let user = data.users.rows() as u32 - 1;
    let own = data.events_of(user);
    split.examples.retain(|e| !own.contains(&(*e as usize)));
    split.train_end[user as usize] = data.user_start[user as usize];
    split.valid.retain(|c| c.user != user);
    let config = config(ModelKind::YoutubeDnn, &["user_features=false", "hash_rows=10"]);
    let (model, _) =
        train(&devices()[0], &config, data.clone(), &split, 1, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(model.store().get("user.user_id").unwrap().len(), 11 * 16);
    let vector = |user| model.user_tower(&[Query { user, history: &[5, 6], ..Query::default() }]).unwrap();
    assert_ne!(vector(user), vector(0), "it shares a row with others");
    let same = (1..user).filter(|other| vector(*other) == vector(user)).count();
    assert!((3..=40).contains(&same), "{same} of 149 users share one of ten rows");
}

fn npy(path: &Path, shape: [usize; 2], values: &[f32]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n", shape[0], shape[1]);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn pretrained_vectors_start_the_table_or_stay_as_features() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.npy");
    let (data, split) = data();
    let n = data.items.rows() - 1;
    // All items but the last two, in reverse; and one that the data does not have.
    let mut raw: Vec<&str> = data.items.iter().take(n - 2).collect();
    raw.reverse();
    raw.push("no such item");
    let values = rt_tests::uniform(raw.len() * 16, 8);
    npy(&path, [raw.len(), 16], &values);
    let setting = format!("item_vectors={}", path.display());
    let device = &devices()[0];
    let new = |kind, more: &[&str]| {
        Model::new(device, &config(kind, &[&[setting.as_str()], more].concat()), data.clone(), &split, 3)
    };
    let error = |r: rt_models::Result<Model>| {
        let e = r.unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        e.to_string()
    };
    let text = error(new(ModelKind::Dssm, &[]));
    assert!(text.contains("v.ids.txt") && text.contains("v.npy"), "{text}");
    fs::write(folder.path().join("v.ids.csv"), format!("item,title\n{}\n", raw.join(",x\n"))).unwrap();

    let tuned = new(ModelKind::YoutubeDnn, &["item_vectors_tune=true"]).unwrap();
    let table = tuned.store().get("item_id").unwrap();
    let row = |item: u32| &table[item as usize * 16..][..16];
    for (i, raw) in raw[..raw.len() - 1].iter().enumerate() {
        assert_eq!(row(data.items.get(raw).unwrap()), &values[i * 16..][..16]);
    }
    let plain = Model::new(device, &config(ModelKind::YoutubeDnn, &[]), data.clone(), &split, 3).unwrap();
    let last = n * 16..(n + 1) * 16;
    assert_eq!(table[last.clone()], plain.store().get("item_id").unwrap()[last], "items without a vector keep theirs");

    // The vectors start the item table, not the output.
    let narrow = new(ModelKind::Dssm, &["item_vectors_tune=true", "dim=8", "column_dims=item_id=16"]).unwrap();
    assert_eq!((narrow.dim(), widths(&narrow, &["item_id"])), (8, vec![16]));
    let text = error(new(ModelKind::Dssm, &["item_vectors_tune=true", "column_dims=item_id=8"]));
    assert!(text.contains("16 columns") && text.contains("item_id in column_dims = 8"), "{text}");

    let frozen = new(ModelKind::Dssm, &[]).unwrap();
    let numbers =
        frozen.data().item_features.columns.iter().filter(|(_, c)| matches!(c, Column::Number { .. })).count();
    assert_eq!(numbers, 16);
    let model = folder.path().join("model");
    frozen.save(&model).unwrap();
    fs::remove_file(&path).unwrap();
    let loaded = Model::load(device, &model).unwrap();
    assert_eq!(
        *loaded.item_vectors().unwrap(),
        *frozen.item_vectors().unwrap(),
        "the file is needed in training alone"
    );

    npy(&path, [2, 3], &[1.0; 6]);
    let text = error(new(ModelKind::Dssm, &[]));
    assert!(text.contains("2 rows of vectors and 120 ids"), "{text}");
    fs::write(folder.path().join("v.ids.csv"), "a\nb\n").unwrap();
    let text = error(new(ModelKind::Dssm, &[]));
    assert!(text.contains("none of its 2 ids, such as `a`"), "{text}");
    fs::write(folder.path().join("v.ids.csv"), format!("{}\n{}\n", raw[0], raw[1])).unwrap();
    let text = error(new(ModelKind::Dssm, &["item_vectors_tune=true"]));
    assert!(text.contains("3 columns") && text.contains("dim = 16"), "{text}");
    let text = error(new(ModelKind::YoutubeDnn, &[]));
    assert!(text.contains("features of the item tower"), "{text}");
    npy(&path, [2, 3], &[1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0]);
    let text = error(new(ModelKind::Dssm, &[]));
    assert!(text.contains("row 1, column 1"), "{text}");
}

#[test]
fn settings_that_would_do_nothing_are_refused() {
    let (data, split) = data();
    for (kind, settings, what) in [
        (ModelKind::Dssm, &["residual=true"][..], "repeat a width"),
        (ModelKind::YoutubeDnn, &["senet=true", "user_features=false", "user_id=off", "session=0"], "two fields"),
        (ModelKind::YoutubeDnn, &["norm=layer", "user_hidden="], "norm: neither tower"),
        (
            ModelKind::Dssm,
            &["column_dims=contry=8"],
            "no column `contry`; the nearest is `country`; there are: item_id, user_id,",
        ),
        (ModelKind::YoutubeDnn, &["column_dims=year=8"], "no column `year`"),
        (ModelKind::Dssm, &["column_dims=user_id=8", "user_id=off"], "no user has an id: leave user_id out"),
        (ModelKind::YoutubeDnn, &["column_dims=item_id=8"], "dim = 16; set dim = 8, or item_table = separate"),
        (ModelKind::YoutubeDnn, &["item_id_dropout=0.1"], "needs model dssm"),
        (ModelKind::Dssm, &["item_id_dropout=0.1", "item_features=false"], "only its features"),
        (ModelKind::Dssm, &["item_id_dropout=1"], "`item_id_dropout = 1`"),
        (ModelKind::Dssm, &["user_id_dropout=0.1", "user_id=off"], "no user has an id"),
        (ModelKind::Dssm, &["hash_functions=2"], "only with hash_rows"),
        (ModelKind::Dssm, &["hash_crosses=5"], "only with cross"),
        (ModelKind::Dssm, &["hash_items=5", "item_vectors=v.npy", "item_vectors_tune=true"], "several share one"),
        (ModelKind::Dssm, &["hash_items=500000000"], "`hash_items = 500000000`"),
        (ModelKind::Dssm, &["hash_functions=3", "hash_rows=9"], "has to be 1 or 2"),
        (ModelKind::Dssm, &["example_age_serving=0.5"], "only with example_age"),
        (ModelKind::Dssm, &["example_age=true", "example_age_serving=-1"], "from -0.1 to 1"),
        (ModelKind::Dssm, &["item_vectors_tune=true"], "only with item_vectors"),
        (ModelKind::Dssm, &["item_vectors=nothing.npy"], "nothing.npy cannot be read"),
        (ModelKind::Dssm, &["cross=country"], "gender*age"),
        (ModelKind::Dssm, &["cross=country*age"], "there are: country (user), year (item)"),
        (ModelKind::Dssm, &["cross=country*year"], "categories of one side"),
        (ModelKind::YoutubeDnn, &["cross=year*year"], "there are: country (user)"),
    ] {
        let mut config = config(kind, &[]);
        settings.iter().for_each(|pair| config.set_pair(pair).unwrap());
        let error = Model::new(&devices()[0], &config, data.clone(), &split, 1).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(what), "{settings:?}: {error}");
    }
    let mut other = rt_data::Dataset::clone(&data);
    other.time_is_order = true;
    let config = config(ModelKind::Dssm, &["example_age=true"]);
    let error = Model::new(&devices()[0], &config, Arc::new(other), &split, 1).unwrap_err();
    assert!(error.to_string().contains("example_age: the data has no clock times"), "{error}");
}
