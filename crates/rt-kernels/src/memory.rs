//! CPU memory: 64-byte aligned words; large blocks are advised for huge pages.

use crate::turns::{self, Hold, Refused, Turn};
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};
use std::sync::{Arc, PoisonError, RwLock};

/// Words that a program of the CPU may read where they lie, without a copy.
pub type SharedWords = Arc<dyn AsRef<[u32]> + Send + Sync>;

/// Blocks of at least this many bytes come from their own mapping, advised for huge pages (20 to 30 % on
/// random row gathers).
const MAP_BYTES: usize = 4 << 20;

#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u32; 16]);

enum Store {
    Lines(Vec<Line>),
    Map(memmap2::MmapMut),
    /// Somebody else's: copied before the first write.
    Shared(SharedWords),
}

/// A block of 32-bit words, zero at first.
pub(crate) struct CpuMemory {
    store: Store,
    words: usize,
}

impl CpuMemory {
    pub(crate) fn zeros(words: usize, what: &str) -> Result<Self> {
        let memory = |have| Error::Memory { what: what.to_owned(), need: (words as u64).saturating_mul(4), have };
        let bytes = words.checked_mul(4).ok_or_else(|| memory(available_bytes().unwrap_or(0)))?;
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

    pub(crate) fn shared(words: SharedWords) -> Self {
        Self { words: (*words).as_ref().len(), store: Store::Shared(words) }
    }

    pub(crate) fn words(&self) -> &[u32] {
        match &self.store {
            Store::Lines(lines) => &bytemuck::cast_slice(lines)[..self.words],
            Store::Map(map) => bytemuck::cast_slice(&map[..]),
            Store::Shared(words) => &(**words).as_ref()[..self.words],
        }
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        if let Store::Shared(words) = &self.store {
            let mut lines = vec![Line([0; 16]); self.words.div_ceil(16)];
            bytemuck::cast_slice_mut::<_, u32>(&mut lines)[..self.words].copy_from_slice((**words).as_ref());
            self.store = Store::Lines(lines);
        }
        match &mut self.store {
            Store::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.words],
            Store::Map(map) => bytemuck::cast_slice_mut(&mut map[..]),
            Store::Shared(_) => &mut [],
        }
    }
}

/// Memory of the CPU and the turns of those who use it.
pub(crate) struct CpuCell {
    /// Whoever has the turn has this at once.
    pub(crate) memory: RwLock<CpuMemory>,
    pub(crate) turn: Arc<Turn>,
}

impl CpuCell {
    pub(crate) fn new(memory: CpuMemory) -> Self {
        Self { memory: RwLock::new(memory), turn: Arc::default() }
    }

    /// Reads in its turn.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&[u32]) -> R) -> Result<R> {
        let _grant = turns::take(&[Hold::read(&self.turn)].into()).map_err(|why| refused("read", why))?;
        Ok(read(self.memory.read().unwrap_or_else(PoisonError::into_inner).words()))
    }

    /// Writes in its turn; `all` says that it writes every word.
    pub(crate) fn write(&self, all: bool, write: impl FnOnce(&mut CpuMemory)) -> Result<()> {
        let grant = turns::take_torn(&[Hold::write(&self.turn)].into()).map_err(|why| refused("write", why))?;
        write(&mut self.memory.write().unwrap_or_else(PoisonError::into_inner));
        if all {
            grant.mend();
        }
        Ok(())
    }
}

fn refused(kernel: &'static str, why: Refused) -> Error {
    Error::Call { kernel, what: why.why(|_| "this buffer".to_owned()) }
}

/// Memory that the system says can still be had, by the whole machine and by this process; `None` where it does not say.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = number("/proc/meminfo", "MemAvailable:").map(|kib| kib << 10);
    // A limit of the address space (`ulimit -v`), in bytes; it reads "unlimited" where there is none.
    let limit = number("/proc/self/limits", "Max address space");
    let own = limit.zip(number("/proc/self/status", "VmSize:")).map(|(limit, kib)| limit.saturating_sub(kib << 10));
    machine.into_iter().chain(own).min()
}

/// The number behind the name that a line of a file begins with.
fn number(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Dtype};

    #[test]
    fn more_than_the_system_has_is_refused_before_it_is_taken() {
        let device = Device::cpu(1).unwrap();
        assert!(device.check_room(1 << 10, "a little").is_ok());
        if available_bytes().is_some() {
            let error = device.check_room(1 << 45, "all of it").unwrap_err().to_string();
            assert!(error.contains("all of it"), "{error}");
            assert!(device.check_room(usize::MAX / 4 + 2, "wraps").is_err(), "its bytes wrap to four");
        }
        // Bytes that wrap to a few, or to what just fits into a mapping.
        for words in [usize::MAX, usize::MAX / 4 + 2, usize::MAX / 4 + 1 + (8 << 20)] {
            let error = device.zeros(Dtype::F32, words, "all of it").unwrap_err();
            assert!(matches!(error, Error::Memory { .. }), "{error}");
        }
    }

    #[test]
    fn shared_words_are_read_in_place_and_copied_when_written() {
        let device = Device::cpu(1).unwrap();
        let mine = Arc::new((0..100u32).collect::<Vec<_>>());
        let buffer = device.zeros(Dtype::U32, 100, "shared").unwrap();
        device.share(&buffer, mine.clone()).unwrap();
        assert_eq!((device.read_u32(&buffer).unwrap(), Arc::strong_count(&mine)), (mine.to_vec(), 2));
        device.write(&buffer, 98, &[7]).unwrap();
        assert_eq!(Arc::strong_count(&mine), 1, "a copy is written to");
        assert_eq!(device.read_u32(&buffer).unwrap()[97..], [97, 7, 99]);
        assert_eq!(mine[98], 98);
        let short = device.share(&buffer, Arc::new(vec![1u32; 101])).unwrap_err();
        assert!(short.to_string().contains("101"), "{short}");
    }
}
