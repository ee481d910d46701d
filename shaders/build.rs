//! Writes the list of shaders: one constant for each `.wgsl` file of this folder, and `ALL`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=.");
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut stems: Vec<String> = fs::read_dir(&folder)
        .expect("the package's own folder")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".wgsl").map(str::to_owned)
        })
        .collect();
    stems.sort();

    let mut constants = String::new();
    let mut list = String::from(
        "/// Every shader: (stem, source), in the order of the stems.\npub const ALL: &[(&str, &str)] = &[\n",
    );
    for stem in &stems {
        let path = folder.join(format!("{stem}.wgsl"));
        let name = stem.to_uppercase();
        let _ = writeln!(constants, "/// `{stem}.wgsl`.\npub const {name}: &str = include_str!({path:?});");
        let _ = writeln!(list, "    ({stem:?}, {name}),");
    }
    list.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("shaders.rs"), constants + &list).expect("OUT_DIR can be written");
}
