//! What has to hold of the workspace as a whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

const PACKAGES: &[&str] =
    &["crates/rt-kernels", "crates/rt-tensor", "crates/rt-data", "crates/rt-models", "crates/rt-cli", "shaders"];

/// Files of the project: what git tracks, or, in a tarball, nothing.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").arg("ls-files").current_dir(root()).output();
    let list: Vec<String> =
        listed.map_or_else(|_| Vec::new(), |o| String::from_utf8_lossy(&o.stdout).lines().map(str::to_owned).collect());
    assert!(!list.is_empty() || !root().join(".git").exists(), "git lists no file of this checkout");
    list
}

#[test]
fn packages_carry_licences_and_readmes_and_share_lints() {
    for package in PACKAGES {
        for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(read(&format!("{package}/{file}")), read(file), "{package}/{file}");
        }
        assert!(read(&format!("{package}/README.md")).starts_with("# rt-"), "{package}");
    }
    for package in PACKAGES.iter().chain(&["tests", "benches"]) {
        let manifest = read(&format!("{package}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package} does not share the lints");
        assert!(manifest.contains("rust-version.workspace = true"), "{package} states no MSRV");
    }
    assert!(read("LICENSE-MIT").contains("the recall-tape authors"));
}

#[test]
fn the_example_of_the_readme_is_the_one_that_is_tested() {
    let block = |text: &str| {
        let from = text.find("```rust").expect("an example");
        let to = from + text[from..].find("\n```\n").expect("its end");
        text[from..to].to_owned()
    };
    assert_eq!(block(&read("README.md")), block(&read("crates/rt-models/README.md")));
    assert!(read("crates/rt-models/src/lib.rs").contains("#![doc = include_str!(\"../README.md\")]"));
}

#[test]
fn the_guide_explains_every_setting() {
    let guide = read("docs/guide.md");
    for (key, _) in rt_models::Config::KEYS {
        assert!(guide.contains(&format!("| `{key}` |")), "docs/guide.md does not explain `{key}`");
    }
}

#[test]
fn the_guide_says_what_every_preset_leaves_out() {
    let guide = read("docs/guide.md");
    for preset in rt_models::PRESETS {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{}` |", preset.name)));
        let row = row.unwrap_or_else(|| panic!("docs/guide.md has no row for {}", preset.name));
        assert!(row.ends_with(&format!("| {} |", preset.left_out.join("; "))), "{row}");
    }
}

#[test]
fn no_unsafe_without_a_reason() {
    for file in tracked().iter().filter(|f| f.ends_with(".rs") || f.ends_with(".wgsl")) {
        let text = read(file);
        let uses = text.lines().any(|l| l.trim_start().starts_with("unsafe ") || l.contains(" unsafe {"));
        if uses && file != "tests/workspace/main.rs" {
            assert!(text.contains("unsafe_code,") && text.contains("reason = "), "{file}: unsafe without a reason");
        }
    }
}

#[test]
fn nothing_names_a_registry_or_a_machine() {
    let words =
        [["crates", ".io"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat(), ["pypi", ".org"].concat()];
    for file in tracked().iter().filter(|f| !f.ends_with("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        for word in &words {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
}
