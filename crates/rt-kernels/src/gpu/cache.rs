//! Compiled pipelines kept between runs of a program, where the driver hands them out (Vulkan).
//!
//! One file an adapter and driver, in the user's cache folder: a header of our own, then the driver's bytes. A driver trusts them as
//! its own. So what is not whole, byte for byte, is not given to it, nor what anybody but the user could have written
//! (`own_files`); whatever fails here costs a compilation and is no error.
#![allow(unsafe_code, reason = "wgpu cannot check a driver's own bytes, so that handing them back is an unsafe call")]

use super::own_files;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// `RECALL_PIPELINE_CACHE=off` keeps no pipelines; another value is the folder to keep them in.
const VARIABLE: &str = "RECALL_PIPELINE_CACHE";
/// First bytes of a file: what it is, and the version of its form.
const MAGIC: &[u8; 8] = b"rtpipes1";
/// Magic, length, checksum.
const HEADER: usize = 24;

/// A device's pipeline cache and its file.
pub(crate) struct Cache {
    pub(crate) cache: wgpu::PipelineCache,
    file: PathBuf,
    /// Checksum of what the file holds.
    saved: Mutex<Option<u64>>,
}

impl Cache {
    /// The cache of a device, filled with what its file holds; `None` where the device has none, the user wants none, or there
    /// is no place for it.
    pub(crate) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        // The key names vendor and device; a new driver of the same device starts anew.
        let driver = checksum(format!("{} {} {}", info.name, info.driver, info.driver_info).as_bytes());
        let file = folder()?.join(format!("{key}_{driver:016x}.bin"));
        let data = read(&file);
        let saved = data.as_deref().map(checksum);
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("recall-tape"), data: data.as_deref(), fallback: true };
        // SAFETY: the bytes are those that `PipelineCache::get_data` gave for this adapter and driver, which the file's name
        // says: `read` gives them only if length and checksum are those that were written with them, and only from a file and
        // folders that no other user can write to, so that nobody else has made bytes with a checksum that fits. (Who writes as
        // this user can change the program itself. On Windows the access list of the user's own folder says so much.) wgpu
        // holds its own header in them against the device as well, and starts an empty cache if it does not fit.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { cache, file, saved: Mutex::new(saved) })
    }

    /// Writes the file anew where there is something new.
    pub(crate) fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let sum = checksum(&data);
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved == Some(sum) {
            return;
        }
        *saved = Some(sum);
        if let Err(error) = write(&self.file, &data, sum) {
            tracing::debug!("{}: compiled pipelines are not kept: {error}", self.file.display());
        }
    }
}

/// The name of an adapter's files: vendor and device, then a checksum of its name and driver, so that a new driver of the same
/// device starts anew.
pub(super) fn adapter_name(info: &wgpu::AdapterInfo) -> String {
    let driver = checksum(format!("{} {} {}", info.name, info.driver, info.driver_info).as_bytes());
    format!("{:?}_{:x}_{:x}_{driver:016x}", info.backend, info.vendor, info.device).to_lowercase()
}

/// The folder to keep files in: what the variable says, else the system's place for caches.
pub(super) fn folder() -> Option<PathBuf> {
    match env::var_os(VARIABLE) {
        Some(value) if value == "off" => return None,
        Some(value) if !value.is_empty() => return Some(value.into()),
        _ => {}
    }
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || from("HOME").filter(|home| home.is_absolute());
    let caches = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        from("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| home().map(|home| home.join(".cache")))
    };
    Some(caches?.join("recall-tape"))
}

/// The driver's bytes of a file; `None` where it is missing or not as it was written.
fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = match own_files::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() == ErrorKind::PermissionDenied {
                tracing::warn!("compiled pipelines are not read from {}: {error}", file.display());
            }
            return None;
        }
    };
    let (header, data) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| header.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let whole =
        header.starts_with(MAGIC) && number(8) == u64::try_from(data.len()).ok() && number(16) == Some(checksum(data));
    if !whole {
        tracing::debug!("{}: damaged, compiled pipelines are made anew", file.display());
    }
    whole.then(|| data.to_vec())
}

fn write(file: &Path, data: &[u8], sum: u64) -> std::io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((data.len() as u64).to_le_bytes());
    bytes.extend(sum.to_le_bytes());
    bytes.extend(data);
    own_files::write(file, &bytes)
}

/// FNV-1a over words of eight bytes, mixed after each (Fowler, Noll, Vo): finds damage, not malice.
pub(super) fn checksum(data: &[u8]) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    let (words, rest) = data.as_chunks::<8>();
    let sum = words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(mix(sum, data.len() as u64), |sum, byte| mix(sum, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_whole_file_is_read() {
        let file = env::temp_dir().join(format!("recall-tape-cache-{}", std::process::id())).join("a.bin");
        assert_eq!(read(&file), None, "missing");
        let data: Vec<u8> = (0..1_003u32).map(|i| (i * 7) as u8).collect();
        write(&file, &data, checksum(&data)).unwrap();
        assert_eq!(read(&file).as_ref(), Some(&data));
        let whole = fs::read(&file).unwrap();
        for at in [0, 8, 16, HEADER, 500, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&file, damaged).unwrap();
            assert_eq!(read(&file), None, "byte {at}");
        }
        for length in [0, 7, HEADER, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(read(&file), None, "{length} bytes");
        }
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}
