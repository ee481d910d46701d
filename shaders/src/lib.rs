//! The WGSL kernels of recall-tape: one constant for each `.wgsl` file of this package, named like the file, and
//! [`ALL`]. The list is made from the folder when the package is built, so a new file needs no line here.

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The source of `stem.wgsl`.
#[must_use]
pub fn source(stem: &str) -> Option<&'static str> {
    let place = ALL.binary_search_by(|(name, _)| (*name).cmp(stem)).ok()?;
    Some(ALL[place].1)
}

/// Shaders that index a buffer by what a buffer or the step holds, and not by shapes alone: an id, a slice, a label, a key, a place.
/// They read zeros or nothing where that is out of range, and are compiled with wgpu's bounds checks. A test derives the list from
/// the shaders' data flow.
pub const BY_DATA: &[&str] = &[
    "bag",
    "bag_backward",
    "batch_example",
    "batch_history",
    "candidate_logq",
    "check_ids_note",
    "decay_rows",
    "draw_alias",
    "draw_unseen",
    "ema_rows",
    "field_dot",
    "field_scale",
    "frequency",
    "frequency_write",
    "gather",
    "gradient_norm",
    "group_entries",
    "group_first",
    "group_scatter",
    "group_write",
    "history_gaps",
    "history_ids",
    "logq",
    "lookups",
    "own_mask",
    "queue_push",
    "scatter_rows",
    "segment_chunks",
    "segment_pack",
    "segment_sum",
    "sessions",
    "shown_negatives",
    "softmax_positive",
    "squared_norm",
    "sum",
    "take",
    "top_k_exclude",
    "top_k_select",
    "update_rows_adagrad",
    "update_rows_adam",
    "update_rows_sgd",
];

/// Is it one of [`BY_DATA`]?
#[must_use]
pub fn indexes_by_data(stem: &str) -> bool {
    BY_DATA.contains(&stem)
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
