//! What a reader noticed, one line however many files it holds for.

use std::collections::BTreeMap;
use std::path::Path;

use crate::clock::Told;

/// Notes while files are read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Texts with `{}` for the files, and those files.
    about: Vec<(String, Vec<String>)>,
    /// How the times of each file are written, where they are not plain seconds.
    times: Vec<(String, Told)>,
    /// Rows by side (user or item) and by the word that stands for no id.
    missing: BTreeMap<(&'static str, String), u64>,
    kept: bool,
}

/// `events.csv` of a path.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// `a.csv`, or `a.csv and 3 more`.
fn listed(files: &[String]) -> String {
    match files.len() {
        1 => files[0].clone(),
        count => format!("{} and {} more", files[0], count - 1),
    }
}

impl Notes {
    /// A note about a file, which stands at `{}`.
    pub(crate) fn about(&mut self, file: &Path, text: impl Into<String>) {
        let text = text.into();
        match self.about.iter_mut().find(|(known, _)| *known == text) {
            Some((_, files)) => files.push(name(file)),
            None => self.about.push((text, vec![name(file)])),
        }
    }

    pub(crate) fn times(&mut self, file: &Path, told: Told) {
        self.times.push((name(file), told));
    }

    /// A row whose id is a word for none.
    pub(crate) fn missing(&mut self, side: &'static str, word: &str, kept: bool) {
        *self.missing.entry((side, word.to_owned())).or_default() += 1;
        self.kept = kept;
    }

    /// All of them as text.
    pub(crate) fn finish(self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.about.iter().map(|(text, files)| text.replace("{}", &listed(files))).collect();
        let mut times = self.times;
        while let Some(kind) = times.first().map(|(_, told)| told.kind) {
            let (alike, others): (Vec<_>, Vec<_>) = times.into_iter().partition(|(_, told)| told.kind == kind);
            let (files, told): (Vec<String>, Vec<Told>) = alike.into_iter().unzip();
            notes.push(Told::note(kind, &listed(&files), &told));
            times = others;
        }
        for side in ["user", "item"] {
            let own = || self.missing.iter().filter(|((of, _), _)| *of == side);
            let words = own().map(|((_, word), count)| match word.as_str() {
                "" => format!("empty: {count}"),
                word => format!("{word}: {count}"),
            });
            let words: Vec<String> = words.collect();
            let rows: u64 = own().map(|(_, count)| count).sum();
            match (rows, self.kept) {
                (0, _) => {}
                (_, false) => notes.push(format!(
                    "{rows} rows without the id of a{} {side} are left out ({}); --missing-ids keep takes the words for ids",
                    if side == "item" { "n" } else { "" },
                    words.join(", ")
                )),
                (_, true) => notes.push(format!(
                    "{rows} rows have a word for none as the id of the {side} ({}), which counts as an id (--missing-ids keep)",
                    words.join(", ")
                )),
            }
        }
        notes
    }
}
