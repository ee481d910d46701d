//! Saved models: whole folders, loaded on any device, refused when damaged.

use super::{config, data, fit};
use approx::abs_diff_eq;
use rt_models::{Model, ModelKind, Query};
use rt_tests::devices;
use std::fs;

#[test]
fn a_saved_model_answers_the_same_on_every_device() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _) = data();
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let (model, _) = fit(&devices()[0], &config(kind, &[]), 2);
        let path = folder.path().join(kind.name());
        model.save(&path).unwrap();
        let mut files: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["manifest.json", "model.json", "model.safetensors"], "no other file");
        let user = 7;
        let history = data.event_item[data.events_of(user)].to_vec();
        let query = Query { user, history: &history, ..Query::default() };
        let want = model.recommend(&query, &history, 10).unwrap();
        assert_eq!(want.len(), 10);
        assert!(want.iter().all(|r| !history.contains(&r.item)), "what was seen is left out");
        assert!(want.windows(2).all(|w| w[0].score >= w[1].score));
        for device in devices() {
            let loaded = Model::load(device, &path).unwrap();
            assert_eq!(loaded.sha256().unwrap(), model.sha256().unwrap());
            assert_eq!(loaded.config(), model.config());
            let got = loaded.recommend(&query, &history, 10).unwrap();
            for (a, b) in want.iter().zip(&got) {
                assert!(abs_diff_eq!(a.score, b.score, epsilon = 1e-4), "{device:?}: {a:?} {b:?}");
                assert!(a.item == b.item || abs_diff_eq!(a.score, b.score, epsilon = 1e-4), "{device:?}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn damaged_folders_are_refused_and_others_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let device = &devices()[0];
    let (model, _) = fit(device, &config(ModelKind::Dssm, &[]), 2);
    let path = folder.path().join("m");
    model.save(&path).unwrap();
    model.save(&path).unwrap(); // a model of ours is replaced
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    let error = |path: &std::path::Path| {
        let e = Model::load(device, path).unwrap_err();
        assert_eq!(e.exit_code(), 2);
        e.to_string()
    };
    assert!(error(folder.path()).contains("no model of recall-tape"));
    for name in ["manifest.json", "model.json", "model.safetensors"] {
        let file = path.join(name);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(error(&path).contains(name));
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x20;
        fs::write(&file, &flipped).unwrap();
        assert!(!error(&path).is_empty(), "{name} with one bit flipped is found out");
        fs::write(&file, &bytes).unwrap();
        Model::load(device, &path).unwrap();
    }
    let manifest = path.join("manifest.json");
    let newer = fs::read_to_string(&manifest).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&manifest, newer).unwrap();
    assert!(error(&path).contains("newer"));

    let other = folder.path().join("photos");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.jpg"), "x").unwrap();
    let refused = model.save(&other).unwrap_err().to_string();
    assert!(refused.contains("no model of recall-tape"), "{refused}");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "left as it is");
}
