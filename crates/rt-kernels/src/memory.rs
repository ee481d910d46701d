//! CPU memory: 64-byte aligned words; large blocks are advised for huge pages.

use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};

/// Blocks of at least this many bytes come from their own mapping, advised for huge pages (20 to 30 % on
/// random row gathers).
const MAP_BYTES: usize = 4 << 20;

#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u32; 16]);

enum Store {
    Lines(Vec<Line>),
    Map(memmap2::MmapMut),
}

/// A block of 32-bit words, zero at first.
pub(crate) struct CpuMemory {
    store: Store,
    words: usize,
}

impl CpuMemory {
    pub(crate) fn zeros(words: usize, what: &str) -> Result<Self> {
        let bytes = words * 4;
        let memory = |have| Error::Memory { what: what.to_owned(), need: bytes as u64, have };
        if bytes >= MAP_BYTES {
            if let Some(have) = available_bytes()
                && bytes as u64 > have
            {
                return Err(memory(have));
            }
            let map = memmap2::MmapMut::map_anon(bytes).map_err(|_| memory(0))?;
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage); // advice: a kernel without huge pages says no, and that is fine
            return Ok(Self { store: Store::Map(map), words });
        }
        let mut lines = Vec::new();
        lines.try_reserve_exact(words.div_ceil(16)).map_err(|_| memory(0))?;
        lines.resize(words.div_ceil(16), Line([0; 16]));
        Ok(Self { store: Store::Lines(lines), words })
    }

    pub(crate) fn words(&self) -> &[u32] {
        match &self.store {
            Store::Lines(lines) => &bytemuck::cast_slice(lines)[..self.words],
            Store::Map(map) => bytemuck::cast_slice(&map[..]),
        }
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        match &mut self.store {
            Store::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.words],
            Store::Map(map) => bytemuck::cast_slice_mut(&mut map[..]),
        }
    }
}

/// Memory that the system says can still be had; `None` where it does not say.
pub(crate) fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
