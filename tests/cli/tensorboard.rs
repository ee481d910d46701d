//! Event files for TensorBoard, read back as its format is documented.

use super::{SMALL, json, ok, recall, stderr, text};
use approx::abs_diff_eq;
use std::collections::BTreeMap;
use std::path::Path;

/// CRC-32C by table, another way than the program's.
fn crc32c(data: &[u8]) -> u32 {
    let table: Vec<u32> =
        (0..256u32).map(|n| (0..8).fold(n, |c, _| if c & 1 == 1 { 0x82F6_3B78 ^ (c >> 1) } else { c >> 1 })).collect();
    !data.iter().fold(!0u32, |crc, b| table[((crc ^ u32::from(*b)) & 255) as usize] ^ (crc >> 8))
}

fn check(data: &[u8], stored: &[u8]) {
    let crc = crc32c(data);
    let want = crc.rotate_right(15).wrapping_add(0xA282_EAD8);
    assert_eq!(u32::from_le_bytes(stored.try_into().unwrap()), want, "a checksum");
}

/// The fields of a message: (number, bytes); numbers are given as 8 little-endian bytes.
fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut list = Vec::new();
    let varint = |data: &mut &[u8]| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = data[0];
            *data = &data[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    while !data.is_empty() {
        let key = varint(&mut data);
        let take = match key & 7 {
            0 => {
                list.push((key >> 3, varint(&mut data).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => varint(&mut data) as usize,
            other => panic!("wire type {other}"),
        };
        list.push((key >> 3, data[..take].to_vec()));
        data = &data[take..];
    }
    list
}

/// (step, value) of each tag of the only event file of a folder.
fn scalars(folder: &Path) -> BTreeMap<String, Vec<(u64, f32)>> {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() == 1 && text(&files[0]).contains("events.out.tfevents."), "{files:?}");
    let all = std::fs::read(&files[0]).unwrap();
    let (mut data, mut tags, mut first) = (&all[..], BTreeMap::<String, Vec<(u64, f32)>>::new(), true);
    while !data.is_empty() {
        check(&data[..8], &data[8..12]);
        let length = u64::from_le_bytes(data[..8].try_into().unwrap()) as usize;
        let event = &data[12..12 + length];
        check(event, &data[12 + length..16 + length]);
        data = &data[16 + length..];
        let event: BTreeMap<u64, Vec<u8>> = fields(event).into_iter().collect();
        assert!(f64::from_le_bytes(event[&1][..].try_into().unwrap()) > 1.7e9, "seconds since 1970");
        if std::mem::take(&mut first) {
            assert_eq!(event[&3], b"brain.Event:2");
            continue;
        }
        let step = u64::from_le_bytes(event[&2][..].try_into().unwrap());
        for (_, value) in fields(&event[&5]) {
            let value: BTreeMap<u64, Vec<u8>> = fields(&value).into_iter().collect();
            let tag = String::from_utf8(value[&1].clone()).unwrap();
            let number = f32::from_le_bytes(value[&2][..].try_into().unwrap());
            tags.entry(tag).or_default().push((step, number));
        }
    }
    tags
}

#[test]
fn losses_metrics_and_rates_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (model, board, figures) = (folder.path().join("m"), folder.path().join("a/b"), folder.path().join("t.json"));
    let mut args = vec!["train", "--data", "synthetic:users=120,items=90,events=12", "--model", "dssm"];
    args.extend(["--out", text(&model), "--tensorboard", text(&board), "--json", text(&figures)]);
    args.extend(SMALL);
    args.extend(["--set", "epochs=2", "--set", "schedule=cosine", "--set", "lr=0.01", "--set", "lr_rows=0.02"]);
    ok(&args);
    let (tags, trained) = (scalars(&board), json(&figures));
    let own = trained["rows"].as_array().unwrap().iter().find(|r| r["model"] == "dssm").unwrap();
    let losses = own["loss"].as_array().unwrap();
    let steps = &tags["loss/step"];
    assert_eq!(steps.len(), losses.len(), "a loss a step");
    for (i, ((step, value), want)) in steps.iter().zip(losses).enumerate() {
        assert_eq!((*step, *value), (i as u64 + 1, want.as_f64().unwrap() as f32));
    }
    let epochs = own["loss_epochs"].as_array().unwrap();
    let want: Vec<(u64, f32)> = (1..).zip(epochs).map(|(e, l)| (e, l.as_f64().unwrap() as f32)).collect();
    assert_eq!(tags["loss/epoch"], want);
    let valid = trained["validation_ndcg_10"].as_array().unwrap();
    let want: Vec<(u64, f32)> = (1..).zip(valid).map(|(e, v)| (e, v.as_f64().unwrap() as f32)).collect();
    assert_eq!(tags["validation/NDCG@10"], want);
    assert!(tags.contains_key("validation/HR@50") && tags.contains_key("validation/MRR"));
    let (dense, rows) = (&tags["learning_rate/dense"], &tags["learning_rate/rows"]);
    assert!(dense.len() >= 2 && dense.last().unwrap() == &(steps.len() as u64, 0.0), "cosine ends at 0: {dense:?}");
    assert!(dense.iter().zip(rows).all(|(d, r)| d.0 == r.0 && abs_diff_eq!(2.0 * d.1, r.1, epsilon = 1e-8)));
}

#[test]
fn steps_count_on_where_epochs_have_different_numbers_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (model, board) = (folder.path().join("m"), folder.path().join("b"));
    let mut args = vec!["train", "--data", "synthetic:users=120,items=90,events=12", "--model", "dssm"];
    args.extend(["--out", text(&model), "--tensorboard", text(&board)]);
    args.extend(SMALL);
    args.extend(["--set", "epochs=5", "--set", "batch=4", "--set", "subsample=0.002"]);
    ok(&args);
    let steps: Vec<u64> = scalars(&board)["loss/step"].iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    assert!(!steps.len().is_multiple_of(5), "epochs of equal length say nothing: {}", steps.len());
}

#[test]
fn no_event_file_goes_into_the_models_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (model, board) = (folder.path().join("m"), folder.path().join("m/b"));
    let args = ["train", "--data", "synthetic:users=60,items=50,events=8", "--model", "dssm", "--out", text(&model)];
    let output = recall(&[&args[..], &["--tensorboard", text(&board)]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("lies in --out"), "{}", stderr(&output));
    assert!(!model.exists());
}

#[test]
fn a_folder_that_cannot_be_is_an_error_ahead_of_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    std::fs::write(&file, "x").unwrap();
    let out = folder.path().join("m");
    let mut args = vec!["train", "--data", "synthetic:users=60,items=50,events=8", "--model", "dssm"];
    args.extend(["--out", text(&out), "--tensorboard", text(&file)]);
    args.extend(SMALL);
    let output = recall(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--tensorboard") && stderr(&output).contains("taken"), "{}", stderr(&output));
    assert!(!out.exists());
}
