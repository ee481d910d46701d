//! `--tensorboard`: scalars in TensorBoard's event files.
//!
//! An event file is a sequence of TFRecords (length, masked CRC-32C of the length, bytes, masked CRC-32C of the bytes), each
//! the protocol buffer `Event { wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5 }` with
//! `Summary { value = 1 { tag = 1: string, simple_value = 2: float } }`.

use crate::fail::{Done, Fail};
use rt_models::Progress;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
pub(crate) struct Events {
    file: BufWriter<File>,
    path: PathBuf,
    /// Steps of the epochs before this one.
    before: u64,
    /// The first failure: the progress callback cannot give it back.
    failed: Option<std::io::Error>,
}

impl Events {
    /// A new event file in the folder, which is made where it is missing.
    pub(crate) fn create(folder: &Path) -> Done<Self> {
        let refuse = |e: std::io::Error| Fail::machine(format!("--tensorboard {}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(refuse)?;
        // TensorBoard takes every file whose name holds `tfevents`; it sorts them by their seconds.
        let name = |n: u32| format!("events.out.tfevents.{:010}.recall.{}.{n}", now() as u64, std::process::id());
        let mut n = 0;
        let (path, file) = loop {
            let path = folder.join(name(n));
            match File::create_new(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < 10_000 => n += 1,
                Err(e) => return Err(refuse(e)),
            }
        };
        let mut events = Self { file: BufWriter::new(file), path, before: 0, failed: None };
        let mut event = Vec::new();
        double(&mut event, 1, now());
        bytes(&mut event, 3, b"brain.Event:2");
        events.record(&event);
        Ok(events)
    }

    /// One value at a step.
    pub(crate) fn scalar(&mut self, tag: &str, step: u64, value: f64) {
        let mut one = Vec::new();
        bytes(&mut one, 1, tag.as_bytes());
        one.push(2 << 3 | 5);
        one.extend((value as f32).to_le_bytes());
        let mut summary = Vec::new();
        bytes(&mut summary, 1, &one);
        let mut event = Vec::new();
        double(&mut event, 1, now());
        event.push(2 << 3);
        varint(&mut event, step);
        bytes(&mut event, 5, &summary);
        self.record(&event);
    }

    /// What training says after an epoch: losses and learning rates by step, the mean loss and the validation metrics by
    /// epoch. Between epochs the rates alone.
    pub(crate) fn progress(&mut self, p: &Progress<'_>) {
        // Epochs may have different numbers of steps.
        let before = self.before;
        let step = before + p.step as u64;
        let Some(loss) = p.loss else {
            return self.rates(step, p);
        };
        for (i, loss) in p.losses.iter().enumerate() {
            self.scalar("loss/step", before + i as u64 + 1, f64::from(*loss));
        }
        self.rates(step, p);
        self.before += p.losses.len() as u64;
        let epoch = p.epoch as u64;
        self.scalar("loss/epoch", epoch, f64::from(loss));
        self.scalar("speed/examples_per_second", epoch, p.examples_per_second);
        for (name, value) in p.figures.into_iter().flat_map(|f| f.iter()) {
            self.scalar(&format!("validation/{name}"), epoch, value);
        }
        if let Err(e) = self.file.flush() {
            self.failed.get_or_insert(e);
        }
    }

    fn rates(&mut self, step: u64, p: &Progress<'_>) {
        self.scalar("learning_rate/dense", step, f64::from(p.rates[0]));
        self.scalar("learning_rate/rows", step, f64::from(p.rates[1]));
    }

    /// Writes what is left; the first failure of all.
    pub(crate) fn finish(mut self) -> Done {
        let flushed = self.file.flush();
        match self.failed.take().or(flushed.err()) {
            None => Ok(()),
            Some(e) => Err(Fail::machine(format!("--tensorboard {}: {e}", self.path.display()))),
        }
    }

    fn record(&mut self, data: &[u8]) {
        let length = (data.len() as u64).to_le_bytes();
        let mut out = Vec::with_capacity(data.len() + 16);
        out.extend(length);
        out.extend(masked(crc32c(&length)).to_le_bytes());
        out.extend(data);
        out.extend(masked(crc32c(data)).to_le_bytes());
        if let Err(e) = self.file.write_all(&out) {
            self.failed.get_or_insert(e);
        }
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of wire type 1.
fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

/// A field of wire type 2.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// CRC-32C (Castagnoli), bit by bit: records are short.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

/// TFRecord's mask, so that a checksum of data that holds checksums is none of theirs.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The check value of CRC-32C, and two vectors of RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        // mask(crc) = ((crc >> 15) | (crc << 17)) + 0xa282ead8.
        assert_eq!(masked(0x8A91_36AA), 0x8A91_36AA_u32.rotate_right(15).wrapping_add(0xA282_EAD8));
    }

    #[test]
    fn numbers_of_every_length() {
        for (value, want) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xAC, 2])] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, want);
        }
    }
}
