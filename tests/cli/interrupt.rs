//! Training that a signal ends: what was learned is kept. And nothing that fails takes a model away.

use super::{SMALL, json, ok, recall, small_model, stderr, text};
use std::fs;
use std::path::Path;

const DATA: &str = "synthetic:users=120,items=90,events=12";

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Child, Command, Stdio};

    /// Starts a training without end and waits until it has said so many lines.
    fn start(args: &[&str], lines: usize) -> (Child, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_recall"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        for _ in 0..lines {
            reader.read_line(&mut said).unwrap();
        }
        child.stderr = Some(reader.into_inner());
        (child, said)
    }

    fn signal(child: &Child, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// The exit code, and the rest of what it said.
    fn end(mut child: Child) -> (Option<i32>, String) {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    }

    #[test]
    fn the_best_weights_so_far_are_saved() {
        for (name, code, seeds) in [("INT", 130, "1"), ("TERM", 143, "3")] {
            let folder = tempfile::tempdir().unwrap();
            let (model, figures) = (folder.path().join("m"), folder.path().join("t.json"));
            let mut args = vec!["train", "--data", DATA, "--model", "dssm", "--seeds", seeds];
            args.extend(["--out", text(&model), "--json", text(&figures)]);
            args.extend(SMALL.iter().filter(|arg| **arg != "--quiet" && **arg != "epochs=1"));
            let args: Vec<&str> = args.into_iter().chain(["--set=epochs=1000000", "--set=patience=1000000"]).collect();
            let args: Vec<&str> = dangling(args);
            let (child, _) = start(&args, 4);
            signal(&child, name);
            let (exit, said) = end(child);
            assert_eq!(exit, Some(code), "{said}");
            assert!(said.contains("interrupted; the weights of epoch") && !said.contains("error"), "{said}");
            assert_eq!(names(folder.path()), ["m", "t.json"]);
            let written = json(&figures);
            assert_eq!(written["interrupted"], true);
            let row = &written["rows"][0];
            assert!(
                row["best_epoch"].as_u64() >= Some(1) && row["loss_epochs"].as_array().unwrap().len() >= 3,
                "{row}"
            );
            // It answers, and has the weights that the figures name.
            let again = folder.path().join("e.json");
            ok(&["eval", "--model", text(&model), "--data", DATA, "--device", "cpu", "--json", text(&again)]);
            let rows = json(&again)["rows"].as_array().unwrap().clone();
            let own = rows.iter().find(|row| row["model"] == "dssm").unwrap();
            assert_eq!(own["model_sha256"], row["model_sha256"]);
        }
    }

    /// `--set` in front of a setting that is left out.
    fn dangling(args: Vec<&str>) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let next = args.get(i + 1);
            if *arg != "--set" || next.is_some_and(|next| !next.starts_with("--")) {
                out.push(arg);
            }
        }
        out
    }

    /// Mesa's layer that chooses a device asks for a screen, and libwayland complains where there is none.
    #[test]
    fn drivers_say_nothing_where_there_is_no_session() {
        let (_folder, model) = small_model("dssm");
        let program = || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_recall"));
            ["NODEVICE_SELECT", "XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "DISPLAY"].iter().for_each(|name| {
                program.env_remove(name);
            });
            program
        };
        for args in [&["doctor"][..], &["recommend", "--model", text(&model), "--history", "1", "-k", "1", "--quiet"]] {
            let output = program().args(args).output().unwrap();
            assert!(!stderr(&output).contains("XDG_RUNTIME_DIR"), "{args:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn the_folder_of_a_model_is_tried_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let figures = folder.path().join("t.json");
    for (out, words) in [
        (file.join("m"), "file is no folder"),
        (file.clone(), "stands there and is no model"),
        (folder.path().join("m/.."), "names no folder"),
    ] {
        let mut args = vec!["train", "--data", DATA, "--model", "dssm", "--out", text(&out), "--json", text(&figures)];
        args.extend(SMALL.iter().filter(|arg| **arg != "--quiet"));
        let output = recall(&args);
        let said = stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)) && said.contains(words), "{out:?}: {said}");
        assert!(!said.contains("epoch"), "{out:?}: told after training: {said}");
        assert_eq!(names(folder.path()), ["file"], "{out:?}");
    }
    // Trying leaves nothing behind either, where what comes after it fails.
    let out = folder.path().join("a/b/m");
    let mut args = vec!["train", "--data", "/nonexistent", "--model", "dssm", "--out", text(&out)];
    args.extend(SMALL);
    assert_eq!(recall(&args).status.code(), Some(2));
    assert_eq!(names(folder.path()), ["file"]);
    args[2] = DATA;
    ok(&args);
    assert_eq!(names(&folder.path().join("a/b")), ["m"]);
}

/// The events of users: `user,item` in the order of time.
fn events(path: &Path, rows: impl Iterator<Item = (usize, usize)>) {
    let rows = rows.enumerate().map(|(time, (user, item))| format!("{user},{item},{}\n", 1_600_000_000 + time));
    fs::write(path, "user_id,item_id,timestamp\n".to_owned() + &rows.collect::<String>()).unwrap();
}

#[test]
fn where_there_is_nothing_to_learn_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("a.csv"), folder.path().join("m"));
    let train = |more: &[&str]| {
        let mut args = vec!["train", "--data", text(&data), "--model", "dssm", "--out", text(&out)];
        args.extend(SMALL.iter().filter(|arg| **arg != "--quiet"));
        args.extend(more.iter().flat_map(|pair| ["--set", pair]));
        let output = recall(&args);
        (output.status.code(), stderr(&output))
    };
    events(&data, (0..60).map(|i| (i % 12, 7)));
    let (code, said) = train(&[]);
    assert!(code == Some(2) && said.contains("one item"), "{said}");
    // 20 users of 12 items, one of whom has all ten that are in training.
    events(&data, (0..240).map(|i| (i % 20, if i % 20 == 0 { i / 20 } else { (i * i / 7 + i % 20) % 12 })));
    for (settings, word) in
        [(&["batch=1"][..], "batch = 1"), (&["loss=bpr", "mine=1", "mine_ranks=100,200"], "12 items")]
    {
        let (code, said) = train(settings);
        assert!(code == Some(2) && said.contains(word) && !said.contains("epoch "), "{said}");
    }
    for settings in [
        &["loss=bpr", "mine=1", "epochs=2"][..],
        &["loss=full", "mask_own=true"],
        &["batch=16777216", "history=1000000", "dim=1024"],
    ] {
        let (code, said) = train(settings);
        assert_eq!(code, Some(0), "{settings:?}: {said}");
    }
    let examples = 20 * (12 - 3);
    let (code, said) = train(&[&format!("batch={}", examples - 1)]);
    assert!(code == Some(0) && said.contains(&format!("1 of {examples} training examples teach nothing")), "{said}");
}
