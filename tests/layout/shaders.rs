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

/// The shaders that keep wgpu's bounds checks are those that index by data, no more and no fewer.
#[test]
fn shaders_that_index_by_data_are_known() {
    let by_data = |(stem, source): &&(&'static str, &str)| {
        parse(stem, source).is_ok_and(|(module, _)| crate::taint::indexes_by_data(&module))
    };
    let found: Vec<&str> = rt_shaders::ALL.iter().filter(by_data).map(|(stem, _)| *stem).collect();
    assert_eq!(found, rt_shaders::BY_DATA);
}

/// What the list is derived by sees each way from a buffer to an index.
#[test]
fn an_index_by_data_is_seen() {
    let shader = |body: &str| {
        let head = "@group(0) @binding(2) var<storage, read> ids: array<u32>;
                    @group(0) @binding(3) var<storage, read_write> out: array<u32>;
                    @group(0) @binding(0) var<uniform> n: vec4<u32>;
                    @group(0) @binding(1) var<uniform> step: vec4<u32>;
                    var<workgroup> shared_: array<u32, 4>;
                    fn twice(x: u32) -> u32 { return 2u * x; }
                    fn look(x: u32) -> u32 { return ids[x]; }";
        let text = format!("{head}\n@compute @workgroup_size(1) fn main() {{ {body} }}");
        crate::taint::indexes_by_data(&parse("a", &text).expect("it is valid").0)
    };
    for body in [
        "out[ids[0]] = 1u;",
        "out[0] = ids[n.x + ids[1]];",
        "out[step.y] = 1u;",
        "var k = n.x; if n.y > 1u { k = ids[0]; } out[k] = 1u;",
        "var k = 0u; loop { if k >= ids[0] { break; } k += 1u; } out[k] = 1u;",
        "for (var k = 0u; k < ids[0]; k += 1u) { out[k] = 1u; }",
        "out[twice(ids[0])] = 1u;",
        "out[0] = look(ids[0]);",
        "shared_[1] = ids[0]; out[shared_[2]] = 1u;",
        "out[select(0u, 1u, ids[0] > 2u) + n.x] = 1u;",
        "out[min(ids[0], n.x)] = 1u;",
    ] {
        assert!(shader(body), "{body}");
    }
    for body in
        ["out[n.x] = ids[n.y];", "for (var k = 0u; k < n.x; k += 1u) { out[k] = ids[k]; }", "out[ids[0] & 3u] = 1u;"]
    {
        assert!(!shader(body), "{body}");
    }
}
