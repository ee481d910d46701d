//! Small files and readable views of what was read from them.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(unreachable_pub, reason = "a module of test programs")]

use std::path::{Path, PathBuf};

use rt_data::{Column, Dataset, ReadOptions, read};

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The error of reading the folder, without the folder's own path.
    pub fn error(&self) -> String {
        relative(self.path(), &read(self.path(), &ReadOptions::default()).unwrap_err().to_string())
    }
}

pub fn relative(folder: &Path, text: &str) -> String {
    text.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "DIR")
}

/// The error of one file, without its folder's path.
pub fn file_error(name: &str, bytes: impl AsRef<[u8]>, options: &ReadOptions) -> String {
    let folder = Folder::new();
    let path = folder.put(name, bytes);
    relative(folder.path(), &read(&path, options).unwrap_err().to_string())
}

pub fn csv_error(text: &str) -> String {
    file_error("d.csv", text, &ReadOptions::default())
}

pub fn csv(name: &str, bytes: impl AsRef<[u8]>, options: &ReadOptions) -> Dataset {
    read(&Folder::new().put(name, bytes), options).unwrap()
}

/// `user item time` of every event.
pub fn events(data: &Dataset) -> Vec<String> {
    let line = |event: usize| {
        let (user, item) = (data.users.raw(data.user_of(event)), data.items.raw(data.event_item[event]));
        match data.event_time.get(event) {
            Some(time) => format!("{user} {item} {time}"),
            None => format!("{user} {item}"),
        }
    };
    (0..data.event_item.len()).map(line).collect()
}

/// Raw categories of a row of a column, or its number.
pub fn value(columns: &rt_data::Features, name: &str, row: usize) -> String {
    let (_, column) = columns.columns.iter().find(|(column, _)| column == name).unwrap();
    match column {
        Column::Category { vocab, values } => vocab.raw(values[row]).to_owned(),
        Column::Bag { vocab, offsets, values } => {
            let own = &values[offsets[row] as usize..offsets[row + 1] as usize];
            own.iter().map(|&id| vocab.raw(id)).collect::<Vec<_>>().join("|")
        }
        Column::Number { values } => values[row].to_string(),
    }
}
