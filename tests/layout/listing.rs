//! The list of representative kernels is whole: every kernel of rt-kernels stands in it.

use rt_tests::representative_kernels;
use std::collections::BTreeSet;
use std::path::Path;

/// Names of the structs that implement `Kernel` in the sources of rt-kernels.
fn written() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/rt-kernels/src/kernels"), &mut names);
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the kernels' folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        // A macro's call stands for an impl: its first argument is the kernel.
        let text = text.replace("cellwise!(\n", "impl Kernel for ");
        for line in text.lines().map(str::trim) {
            if let Some(name) = line
                .strip_prefix("impl Kernel for ")
                .or_else(|| line.strip_prefix("impl crate::Kernel for "))
                .filter(|name| !name.starts_with('$'))
            {
                let name = name.trim_start().split(|c: char| !c.is_alphanumeric()).next();
                names.insert(name.unwrap_or_default().to_owned());
            }
        }
    }
}

#[test]
fn every_kernel_is_represented() {
    // A kernel's `Debug` starts with the name of its struct.
    let listed: BTreeSet<String> = representative_kernels()
        .iter()
        .map(|case| format!("{:?}", case.kernel))
        .map(|text| text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned())
        .collect();
    let written = written();
    assert!(written.len() > 20, "found only {written:?}");
    assert_eq!(listed, written);
}

/// A kernel that the crate does not know for its own is safe, and its shaders run slower: with wgpu's checks.
#[test]
fn every_kernel_is_known_for_the_crates_own() {
    for case in representative_kernels() {
        assert!(rt_kernels::kernels::is_own(&*case.kernel), "{:?}", case.kernel);
    }
    assert!(!rt_kernels::kernels::is_own(&Foreign));
}

/// A kernel of another crate.
#[derive(Debug)]
struct Foreign;

impl rt_kernels::Kernel for Foreign {
    fn name(&self) -> &'static str {
        "foreign"
    }
    fn signature(&self) -> rt_kernels::Signature {
        rt_kernels::Signature::default()
    }
    fn cost(&self) -> rt_kernels::Cost {
        rt_kernels::Cost::default()
    }
    fn run(&self, _: &mut rt_kernels::CpuIo<'_>) {}
    fn dispatches(&self, _: &rt_kernels::Operands) -> Vec<rt_kernels::Dispatch> {
        Vec::new()
    }
}

#[test]
fn every_representative_fits_its_own_signature() {
    for case in representative_kernels() {
        rt_kernels::check(&*case.kernel, &case.operands).unwrap_or_else(|e| panic!("{:?}: {e}", case.kernel));
    }
}
