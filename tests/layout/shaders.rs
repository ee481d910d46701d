//! Every `.wgsl` file by itself: two front ends take it, and its header says what it must.

use crate::reflect::parse;
use std::process::Command;

#[test]
fn naga_takes_every_shader() {
    assert!(!rt_shaders::ALL.is_empty());
    let failed: Vec<String> = rt_shaders::ALL
        .iter()
        .filter_map(|(stem, source)| match parse(stem, source) {
            Ok((module, _)) if module.entry_points.len() == 1 => None,
            Ok((module, _)) => Some(format!("{stem}: {} entry points", module.entry_points.len())),
            Err(error) => Some(error),
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// tint knows rules that naga does not (uniform control flow around barriers). Where it is not installed there is
/// nothing to ask; `RECALL_REQUIRE_TINT=1` says that it has to be.
#[test]
fn tint_takes_every_shader() {
    if Command::new("tint").arg("--version").output().is_err() {
        let required = std::env::var("RECALL_REQUIRE_TINT").is_ok_and(|v| v == "1");
        assert!(!required, "RECALL_REQUIRE_TINT=1 and there is no `tint` on the PATH");
        eprintln!("no `tint` on the PATH: its half of the check is left out");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for tint's input");
    let mut failed = Vec::new();
    for (stem, source) in rt_shaders::ALL {
        // naga must not have this line and tint must.
        let enable = if stem.contains("subgroup") { "enable subgroups;\n" } else { "" };
        let path = folder.path().join(format!("{stem}.wgsl"));
        std::fs::write(&path, format!("{enable}{source}")).expect("tint's input");
        let run = Command::new("tint").arg("--format=wgsl").arg(&path).output().expect("tint runs");
        if !run.status.success() {
            failed.push(format!("{stem}: {}", String::from_utf8_lossy(&run.stderr)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_shader_has_its_header() {
    let mut failed = Vec::new();
    for (stem, source) in rt_shaders::ALL {
        let header: Vec<&str> = source.lines().take_while(|line| line.starts_with("//")).collect();
        if !header.first().is_some_and(|line| line.starts_with(&format!("// {stem}: "))) {
            failed.push(format!("{stem}.wgsl does not start with `// {stem}: `"));
        }
        for word in ["shapes", "launch", "writes", "cost"] {
            let start = format!("// {word} ");
            if !header.iter().any(|line| line.starts_with(&start)) {
                failed.push(format!("{stem}.wgsl: the header has no line `{word}`"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
