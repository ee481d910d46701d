//! The `recall` program as a user runs it: exit codes, messages, files.

mod bad_input;
mod commands;
mod data;
mod everything;
mod exports;
mod from;
mod interrupt;
mod protocol;
mod searches;
mod seeds;
mod tensorboard;
mod text;
mod tune;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program.
fn recall(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recall")).args(args).output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the program and wants success.
fn ok(args: &[&str]) -> String {
    let output = recall(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("--json was written")).expect("JSON")
}

/// Settings that make training short.
const SMALL: &[&str] = &[
    "--quiet",
    "--device",
    "cpu",
    "--threads",
    "1",
    "--set",
    "epochs=1",
    "--set",
    "batch=256",
    "--set",
    "dim=16",
    "--set",
    "user_hidden=16",
    "--set",
    "history=10",
    "--set",
    "windows=1,10",
];

/// A small model trained on built-in data, in a fresh folder.
fn small_model(kind: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("m");
    let mut args =
        vec!["train", "--data", "synthetic:users=120,items=90,events=12", "--model", kind, "--out", text(&model)];
    args.extend(SMALL);
    ok(&args);
    (folder, model)
}
