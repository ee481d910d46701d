//! The WGSL kernels of recall-tape: one constant for each `.wgsl` file of this package, named like the file, and
//! [`ALL`]. The list is made from the folder when the package is built, so a new file needs no line here.

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The source of `stem.wgsl`.
#[must_use]
pub fn source(stem: &str) -> Option<&'static str> {
    let place = ALL.binary_search_by(|(name, _)| (*name).cmp(stem)).ok()?;
    Some(ALL[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_stem() {
        for (stem, text) in ALL {
            assert_eq!(source(stem), Some(*text));
        }
        assert_eq!(source("no such shader"), None);
    }
}
