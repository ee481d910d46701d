//! Bad input: one clear line, exit 2 or 1, no panic, nothing half-written left behind.

use super::{recall, small_model, stderr, text};
use rand::{Rng, SeedableRng};
use rt_kernels::philox::PhiloxRng;
use std::fs;
use std::path::Path;

/// Wants exit `code` and a message that contains all of `words`; no panic, and nothing written.
pub(crate) fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = recall(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{args:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{args:?}: `{word}` is not in: {message}");
    }
}

fn train(data: &Path, more: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (out, json) = (folder.path().join("m"), folder.path().join("j.json"));
    let mut args = vec!["train", "--data", text(data), "--model", "dssm", "--device", "cpu", "--quiet"];
    args.extend(["--out", text(&out), "--json", text(&json)]);
    args.extend(more);
    fails(&args, code, words);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}: something was left behind");
}

#[test]
fn data_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    train(Path::new("/nonexistent"), &[], 2, &["/nonexistent"]);
    train(folder.path(), &[], 2, &["ml-100k"]);
    let good = "user,item,time\n1,1,1\n1,2,2\n1,3,3\n1,4,4\n2,1,1\n2,2,5\n2,3,6\n2,4,7\n";
    train(&at("a.csv", b"user,item,time\n1,2\n"), &[], 2, &["a.csv", "line 2"]);
    train(&at("b.csv", b"user,item,time\n1,2,3\n1,3,x\n"), &[], 2, &["b.csv", "line 3", "time"]);
    train(&at("c.csv", b""), &[], 2, &["c.csv"]);
    train(&at("d.csv", b"who,what,when\n1,2,3\n"), &[], 2, &["d.csv", "user", "--user-col"]);
    train(&at("m.csv", b"1,2,1600000000\n"), &[], 2, &["m.csv, line 1", "--no-header", "--time-col 3"]);
    train(&at("n.csv", good.as_bytes()), &["--time-unit", "weeks"], 2, &["time unit `weeks`", "ms"]);
    train(&at("e.csv", good.as_bytes()), &["--user-col", "nobody"], 2, &["e.csv", "nobody"]);
    train(&at("f.csv", b"user,item\n1,2\n1,3\n1,4\n"), &[], 2, &["order"]);
    train(&at("g.parquet", b"PAR1"), &[], 2, &["g.parquet", "no Parquet file"]);
    let mut noise = [0; 5000];
    PhiloxRng::seed_from_u64(1).fill_bytes(&mut noise);
    train(&at("h.csv", &noise), &[], 2, &["h.csv"]);
    let nan = "user,item,time,age\n1,1,1,30\n1,2,2,30\n2,1,1,NaN\n2,2,2,3\n";
    train(&at("i.csv", nan.as_bytes()), &["--user-features", "age:number"], 2, &["i.csv", "line 4", "age"]);
    train(&at("j.csv", b"user,item,time\n1,2,3\n2,3,4\n"), &[], 2, &["j.csv", "nothing to learn from"]);
    train(
        &at("l.csv", nan.replace("NaN", "4").as_bytes()),
        &["--context", "age:number"],
        2,
        &["context", "age", "categories"],
    );
    train(&at("k.csv", good.as_bytes()), &["--split", "time:2,3"], 2, &["time"]);
}

#[test]
fn settings_that_are_wrong() {
    let data = Path::new("synthetic:users=60,items=50,events=8");
    for key in ["epochs", "batch", "patience", "accumulate"] {
        train(data, &["--set", &format!("{key}=0")], 2, &[key, "at least 1"]);
    }
    train(data, &["--set", "lr=banana"], 2, &["lr = banana", "number"]);
    train(data, &["--set", "nonsense=1"], 2, &["nonsense", "nearest"]);
    train(data, &["--set", "epochs"], 2, &["key=value"]);
    train(data, &["--set", "gap=fine"], 2, &["request-time exact"]);
    let many: Vec<String> = (1..=17).map(|w| w.to_string()).collect();
    train(data, &["--set", &format!("windows={}", many.join(","))], 2, &["windows", "at most 16"]);
    train(data, &["--config", "/nonexistent.toml"], 2, &["/nonexistent.toml"]);
    train(Path::new("synthetic:userz=3"), &[], 2, &["userz"]);
    fails(&["train", "--data", "synthetic", "--model", "nope", "--out", "x"], 2, &["nope", "youtube-dnn"]);
    fails(&["train", "--model", "dssm", "--out", "x"], 2, &["--data"]);
    fails(&["nonsense"], 2, &["nonsense"]);
}

#[test]
fn training_that_diverges() {
    let data = Path::new("synthetic:users=60,items=50,events=8");
    let small =
        ["--set", "epochs=4", "--set", "batch=64", "--set", "dim=8", "--set", "user_hidden=8", "--set", "lr=1e30"];
    train(data, &small, 1, &["epoch", "step", "smaller lr"]);
}

#[test]
fn devices_that_are_not_there_and_batches_larger_than_memory() {
    let data = Path::new("synthetic:users=60,items=50,events=8");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m");
    let train = ["train", "--data", text(data), "--model", "dssm", "--out", text(&out), "--device"];
    let with = |device: &'static str| [&train[..], &[device]].concat();
    fails(&with("gpu:99"), 1, &["gpu:99"]);
    fails(&with("cuda"), 2, &["cuda", "gpu:N"]);
    fails(&[&with("cpu")[..], &["--f16"]].concat(), 2, &["--f16", "cpu"]);
    fails(&[&with("gpu:99")[..], &["--f16"]].concat(), 1, &["--f16", "gpu"]);
    fails(&["gradcheck", "--f16"], 2, &["--f16", "gradcheck"]);
    fails(&[&with("gpu")[..], &["--bf16"]].concat(), 2, &["--bf16", "gpu"]);
    fails(&[&with("cpu")[..], &["--f16", "--bf16"]].concat(), 2, &["--bf16", "--f16"]);
    fails(&[&["--bf16"], &with("gpu")[..], &["--f16"]].concat(), 2, &["--bf16", "--f16"]);
    fails(&["gradcheck", "--bf16"], 2, &["--bf16", "gradcheck"]);
    // Negatives are as many as they are said to be, whatever the data.
    let huge = ["--set", "loss=sampled", "--set", "negatives=16777216", "--set", "dim=4096"];
    fails(&[&with("cpu")[..], &huge].concat(), 1, &["MiB", "smaller batch"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn models_and_ids_that_are_not_there() {
    let (folder, model) = small_model("dssm");
    let recommend = |model: &Path, more: &[&str], words: &[&str]| {
        let args = [&["recommend", "--model", text(model), "--device", "cpu"], more].concat();
        fails(&args, 2, words);
    };
    recommend(&model, &["--user", "nobody-at-all"], &["nobody-at-all"]);
    recommend(&model, &["--history", "1,\"2"], &["--history", "never closed"]);
    recommend(&model, &["--user", "1", "-k", "0"], &["-k 0"]);
    recommend(&model, &[], &["--user"]);
    recommend(folder.path(), &["--user", "1"], &["no model"]);
    recommend(Path::new("/nonexistent"), &["--user", "1"], &["/nonexistent"]);
    for name in ["manifest.json", "model.json", "model.safetensors"] {
        let file = model.join(name);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        recommend(&model, &["--user", "1"], &[name]);
        fs::write(&file, &bytes).unwrap();
    }
    // A --json that cannot be written is found out before the work: the model that stands there is not replaced.
    let before = fs::read(model.join("manifest.json")).unwrap();
    let args =
        ["train", "--data", "synthetic:users=60,items=50,events=8", "--model", "dssm", "--out", text(&model), "--json"];
    fails(&[&args[..], &["/nonexistent/x.json", "--device", "cpu"]].concat(), 1, &["/nonexistent/x.json"]);
    assert_eq!(fs::read(model.join("manifest.json")).unwrap(), before);
    // What stands at --out and is no model stays as it is, and training does not even begin.
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("a.jpg"), "x").unwrap();
    let args = ["train", "--data", "synthetic:users=60,items=50,events=8", "--model", "dssm", "--out", text(&photos)];
    fails(&args, 2, &["photos", "no model"]);
    assert_eq!(fs::read(photos.join("a.jpg")).unwrap(), b"x");
}
