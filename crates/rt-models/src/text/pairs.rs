//! Query-document pairs: the file they are read from, and their division.

use super::hashing::words;
use crate::{Error, Result};
use rt_kernels::philox;
use std::collections::HashMap;
use std::path::Path;

/// A query and a document that was clicked for it. Numbers are places in [`Pairs::queries`] and [`Pairs::documents`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The query.
    pub query: u32,
    /// The document.
    pub document: u32,
    /// Lines that say so: the pair trains that often.
    pub count: u32,
}

/// Clicked pairs, and documents that were shown and not clicked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// What the data is called in tables.
    pub name: String,
    /// Distinct queries: their words in lower case, since the model sees no more.
    pub queries: Vec<String>,
    /// Distinct documents, as they stand in the file.
    pub documents: Vec<String>,
    /// Distinct clicked pairs, in the order of the file.
    pub clicked: Vec<Pair>,
    /// Documents of each query that a line says were shown and not clicked; another line may say that they were clicked.
    pub shown: Vec<Vec<u32>>,
}

/// Collects pairs.
#[derive(Default)]
struct Collect {
    pairs: Pairs,
    queries: HashMap<String, u32>,
    documents: HashMap<String, u32>,
    clicked: HashMap<(u32, u32), usize>,
    shown: Vec<(u32, u32)>,
}

impl Collect {
    fn add(&mut self, query: &str, document: &str, clicked: bool) {
        fn number(of: &mut HashMap<String, u32>, list: &mut Vec<String>, text: &str) -> u32 {
            if let Some(n) = of.get(text) {
                return *n;
            }
            let n = list.len() as u32;
            of.insert(text.to_owned(), n);
            list.push(text.to_owned());
            n
        }
        let query = number(&mut self.queries, &mut self.pairs.queries, &words(query).join(" "));
        let document = number(&mut self.documents, &mut self.pairs.documents, document.trim());
        if !clicked {
            self.shown.push((query, document));
            return;
        }
        let list = &mut self.pairs.clicked;
        let place = *self.clicked.entry((query, document)).or_insert(list.len());
        match list.get_mut(place) {
            Some(pair) => pair.count += 1,
            None => list.push(Pair { query, document, count: 1 }),
        }
    }

    fn finish(mut self) -> Pairs {
        self.pairs.shown = vec![Vec::new(); self.pairs.queries.len()];
        for (query, document) in self.shown {
            let list = &mut self.pairs.shown[query as usize];
            if !list.contains(&document) {
                list.push(document);
            }
        }
        self.pairs
    }
}

impl Pairs {
    /// Reads a TSV file: query, document, and perhaps a label, 1 (clicked) or 0 (shown, not clicked); without a label a
    /// pair is clicked. The first line is a header if its first two fields are `query` and `document`, in any case. UTF-8;
    /// no quoting: a field ends at a tab.
    ///
    /// # Errors
    ///
    /// [`rt_data::Error`] with the line for malformed lines, and for a file without a clicked pair.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |source| rt_data::Error::Io { path: path.to_owned(), source };
        let name = path.file_name().map_or_else(|| "pairs".into(), |n| n.to_string_lossy().into_owned());
        if std::fs::metadata(path).map_err(io)?.is_dir() {
            let what = "is a folder; a TSV file of query, document and perhaps label is wanted".into();
            return Err(rt_data::Error::Format { path: path.to_owned(), what }.into());
        }
        Self::parse(&name, &std::fs::read(path).map_err(io)?, path)
    }

    /// As [`Pairs::read`], from bytes; `path` is what errors name.
    ///
    /// # Errors
    ///
    /// As [`Pairs::read`].
    pub fn parse(name: &str, bytes: &[u8], path: &Path) -> Result<Self> {
        let mut all = Collect::default();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let refuse = |column: Option<&str>, what: String| {
                let (path, column) = (path.to_owned(), column.map(str::to_owned));
                Err(Error::Data(rt_data::Error::Line { path, line: i as u64 + 1, column, what }))
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let Ok(line) = std::str::from_utf8(line) else {
                return refuse(None, "is not UTF-8; write the file in UTF-8".into());
            };
            let fields: Vec<&str> = line.split('\t').collect();
            if !(2..=3).contains(&fields.len()) {
                let n = fields.len();
                let what = format!("{n} fields between tabs where 2 or 3 are wanted (query, document, label)");
                return refuse(None, what);
            }
            let is = |field: usize, name: &str| fields[field].trim().eq_ignore_ascii_case(name);
            if i == 0 && is(0, "query") && is(1, "document") {
                continue;
            }
            for (field, column) in fields.iter().zip(["query", "document"]) {
                if words(field).is_empty() {
                    return refuse(Some(column), format!("`{}` has no letter and no digit", field.escape_debug()));
                }
            }
            let clicked = match fields.get(2).map(|f| f.trim()) {
                None | Some("1") => true,
                Some("0") => false,
                Some(other) => {
                    let what = format!("`{}`: has to be 1 (clicked) or 0 (shown, not clicked)", other.escape_debug());
                    return refuse(Some("label"), what);
                }
            };
            all.add(fields[0], fields[1], clicked);
        }
        let pairs = Self { name: name.to_owned(), ..all.finish() };
        if pairs.clicked.is_empty() {
            let what = "no clicked pair of query and document in the file".into();
            return Err(rt_data::Error::Format { path: path.to_owned(), what }.into());
        }
        Ok(pairs)
    }

    /// Clicked documents of each query.
    #[must_use]
    pub fn clicked_of(&self) -> Vec<Vec<u32>> {
        let mut of = vec![Vec::new(); self.queries.len()];
        for pair in &self.clicked {
            of[pair.query as usize].push(pair.document);
        }
        of
    }
}

/// What is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitBy {
    /// Pairs.
    Pairs,
    /// Documents, with all their pairs: training never sees a query for them.
    Documents,
}

impl SplitBy {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Documents => "documents",
        }
    }
}

/// Which pairs train, and which are tested: numbers of [`Pairs::clicked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSplit {
    /// How they were divided.
    pub by: SplitBy,
    /// The seed that they were divided by.
    pub seed: u64,
    /// 80 %.
    pub train: Vec<u32>,
    /// 10 %, that choose the epoch.
    pub valid: Vec<u32>,
    /// 10 %.
    pub test: Vec<u32>,
}

impl TextSplit {
    /// Divides pairs (or documents, with their pairs) at random, by `seed` alone: a tenth tests, a tenth validates, rounded
    /// down. All documents stay candidates.
    #[must_use]
    pub fn new(pairs: &Pairs, by: SplitBy, seed: u64) -> Self {
        let n = match by {
            SplitBy::Pairs => pairs.clicked.len(),
            SplitBy::Documents => pairs.documents.len(),
        };
        let mut order: Vec<u32> = (0..n as u32).collect();
        // Epochs shuffle from 1 on, so the division is a shuffle of its own.
        philox::shuffle(seed, 0, &mut order);
        let mut part = vec![2u8; n];
        for (place, i) in order.iter().enumerate() {
            part[*i as usize] = (place / (n / 10).max(1)).min(2) as u8;
        }
        if n < 10 {
            part.fill(2);
        }
        let mut split = Self { by, seed, train: Vec::new(), valid: Vec::new(), test: Vec::new() };
        for (i, pair) in pairs.clicked.iter().enumerate() {
            let list = match part[if by == SplitBy::Pairs { i } else { pair.document as usize }] {
                0 => &mut split.test,
                1 => &mut split.valid,
                _ => &mut split.train,
            };
            list.push(i as u32);
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pairs> {
        Pairs::parse("t", text.as_bytes(), Path::new("t.tsv"))
    }

    #[test]
    fn lines_become_distinct_texts_and_pairs() {
        let pairs = parse("Query\tDocument\tLabel\nA b\tX (1)\t1\r\na, B!\tX (1)\t1\n\nc\tY\t1\nc\tX (1)\t0\na b\tY\t0\na b\tX (1)\t0\n")
            .unwrap();
        assert_eq!(pairs.queries, ["a b", "c"]);
        assert_eq!(pairs.documents, ["X (1)", "Y"]);
        let pair = |query, document, count| Pair { query, document, count };
        assert_eq!(pairs.clicked, [pair(0, 0, 2), pair(1, 1, 1)]);
        // What was clicked another time stays: whether it counts is asked of the pairs that train.
        assert_eq!(pairs.shown, [vec![1, 0], vec![0]]);
        // Without a header the first line counts.
        assert_eq!(parse("query\tdoc\n").unwrap().clicked.len(), 1);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("query\tdocument\na\tb\nc\n").contains("t.tsv, line 3: 1 fields"));
        assert!(error("a\tb\t1\t2\n").contains("line 1: 4 fields"));
        assert!(error("a\tb\t2\n").contains("line 1, column label: `2`: has to be 1 (clicked) or 0"));
        assert!(error("a\tb\n ?! \tb\n").contains("line 2, column query"));
        assert!(error("a\t--\n").contains("line 1, column document"));
        assert!(error("").contains("no clicked pair"));
        assert!(error("a\tb\t0\n").contains("no clicked pair"));
        let bytes = Pairs::parse("t", b"a\tb\nc\t\xff\n", Path::new("t.tsv")).unwrap_err().to_string();
        assert!(bytes.contains("line 2: is not UTF-8"), "{bytes}");
    }

    #[test]
    fn a_split_is_a_division_by_the_seed() {
        let lines: String = (0..60).map(|i| format!("q{i}\td{}\n", i / 2)).collect();
        let pairs = parse(&lines).unwrap();
        for by in [SplitBy::Pairs, SplitBy::Documents] {
            let split = TextSplit::new(&pairs, by, 5);
            assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (48, 6, 6));
            let mut all = [&split.train[..], &split.valid, &split.test].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..60));
            assert_eq!(split, TextSplit::new(&pairs, by, 5));
            assert_ne!(split.test, TextSplit::new(&pairs, by, 6).test);
            if by == SplitBy::Documents {
                let document = |i: &u32| pairs.clicked[*i as usize].document;
                assert!(split.test.iter().all(|t| split.train.iter().all(|i| document(i) != document(t))));
            }
        }
        let few = TextSplit::new(&parse("a\tb\nc\td\n").unwrap(), SplitBy::Pairs, 1);
        assert_eq!((few.train.len(), few.test.len()), (2, 0));
    }
}
