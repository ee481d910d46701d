//! `train --from`: a saved model goes on with new data.

use super::{json, ok, recall, small_model, stderr, text};

#[test]
fn a_model_goes_on_with_new_data() {
    let (folder, model) = small_model("dssm");
    let (out, figures) = (folder.path().join("n"), folder.path().join("t.json"));
    // Users and items of other seeds have other histories; u121 to u140 are new.
    let data = "synthetic:users=140,items=100,events=10,seed=9";
    let quiet = ["--device", "cpu", "--threads", "1", "--quiet"];
    let mut args = vec!["train", "--from", text(&model), "--data", data, "--out", text(&out), "--json", text(&figures)];
    args.extend(quiet);
    args.extend(["--set", "lr=1e-3"]);
    let printed = ok(&args);
    assert!(printed.contains("most-popular") && printed.contains("dssm"), "{printed}");
    let trained = json(&figures);
    assert_eq!((&trained["new_users"], &trained["new_items"]), (&20.into(), &10.into()));
    let config = json(&out.join("model.json"))["config"].as_str().unwrap().to_owned();
    for line in ["dim = 16", "windows = [1, 10]", "batch = 256", "lr = 0.001"] {
        assert!(config.lines().any(|l| l == line), "its own settings but for --set: {line} in {config}");
    }
    let (old, new) = (json(&model.join("model.json")), json(&out.join("model.json")));
    let (old, new) = (old["users"].as_array().unwrap(), new["users"].as_array().unwrap());
    assert!(new.len() == old.len() + 20 && new[..old.len()] == old[..], "ids stay");
    let user = new.last().unwrap().as_str().unwrap();
    ok(&["recommend", "--model", text(&out), "--user", user, "--device", "cpu"]);

    let refused = |more: &[&str], words: &[&str]| {
        let other = folder.path().join("x");
        let mut args = vec!["train", "--from", text(&model), "--data", data, "--out", text(&other)];
        args.extend(quiet);
        args.extend(more);
        let output = recall(&args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(words.iter().all(|w| stderr(&output).contains(w)), "{}", stderr(&output));
        assert!(!other.exists());
    };
    refused(&["--set", "dim=8"], &["dim", "in the model"]);
    refused(&["--model", "dssm"], &["--from"]);
    refused(&["--set", "warmup=100000"], &["warmup", "steps"]);
}

#[test]
fn neither_a_model_kind_nor_a_model_is_an_error() {
    let output = recall(&["train", "--data", "synthetic", "--out", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--model"), "{}", stderr(&output));
}
