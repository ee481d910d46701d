//! Files that nobody but the user can have written: what a driver is handed back has to be of that kind.
//!
//! On Unix the folder and the file belong to the effective user and neither group nor others may write to them; no folder above lets
//! others put another in its place; links are resolved first, so that none of somebody else's is followed. Elsewhere the system's
//! place for a user's caches is private by its own rules (Windows: the access list of `LOCALAPPDATA`), and a folder that the user
//! names instead is taken on trust.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a file.
///
/// # Errors
///
/// `NotFound` if it is missing, `PermissionDenied` with the reason if others could have written it.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    let (folder, name) = parts(file)?;
    let folder = Folder::of(folder)?;
    let mut opened = File::open(folder.path.join(name))?;
    folder.check(&opened.metadata()?, file)?;
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file whole, in a folder that is made where there is none: beside its place first, so that another process never sees half
/// of it.
///
/// # Errors
///
/// As [`read`]; what the system says.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let (folder, name) = parts(file)?;
    let mut make = fs::DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder)?;
    let file = Folder::of(folder)?.path.join(name);
    let beside = file.with_extension(format!("{}.new", unlike_others()));
    let written = create(&beside).and_then(|mut new| new.write_all(bytes)).and_then(|()| fs::rename(&beside, &file));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

fn parts(file: &Path) -> Result<(&Path, &std::ffi::OsStr)> {
    let missing = || Error::new(ErrorKind::InvalidInput, format!("{}: no file in a folder", file.display()));
    file.parent().zip(file.file_name()).ok_or_else(missing)
}

/// A part of a name that no other thread or process that runs has.
fn unlike_others() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new file for this user alone; one that an ended process of the same number has left is replaced.
fn create(file: &Path) -> Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => fs::remove_file(file).and_then(|()| options.open(file)),
        _ => Err(error),
    })
}

/// A folder that this user alone writes to.
struct Folder {
    /// Without links.
    path: PathBuf,
    /// The effective user.
    #[cfg(unix)]
    user: u32,
}

#[cfg(unix)]
impl Folder {
    fn of(folder: &Path) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        const STICKY: u32 = 0o1000;
        let path = fs::canonicalize(folder)?;
        // Files belong to the effective user of the process that makes them: the way to ask for it without a call into C.
        let probe = path.join(format!("{}.own", unlike_others()));
        let user = create(&probe).and_then(|file| file.metadata()).map(|own| own.uid());
        let _ = fs::remove_file(&probe);
        let folder = Self { path, user: user? };
        folder.check(&fs::metadata(&folder.path)?, &folder.path)?;
        for above in folder.path.ancestors().skip(1) {
            let about = fs::metadata(above)?;
            let replaced = about.mode() & 0o022 != 0 && about.mode() & STICKY == 0;
            if replaced || ![0, folder.user].contains(&about.uid()) {
                return Err(others(above));
            }
        }
        Ok(folder)
    }

    /// Refuses what others could have written.
    fn check(&self, about: &fs::Metadata, what: &Path) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        let own = about.uid() == self.user && about.mode() & 0o022 == 0;
        if own { Ok(()) } else { Err(others(what)) }
    }
}

#[cfg(unix)]
fn others(what: &Path) -> Error {
    let what = format!("{}: others can write to it, which only this user should", what.display());
    Error::new(ErrorKind::PermissionDenied, what)
}

#[cfg(not(unix))]
impl Folder {
    fn of(folder: &Path) -> Result<Self> {
        Ok(Self { path: fs::canonicalize(folder)? })
    }

    fn check(&self, _: &fs::Metadata, _: &Path) -> Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("recall-tape-own-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn kind(file: &Path) -> Option<ErrorKind> {
        read(file).err().map(|error| error.kind())
    }

    #[test]
    fn what_is_written_is_the_users_alone() {
        let folder = folder("modes");
        let file = folder.join("inner/a.bin");
        assert_eq!(kind(&file), Some(ErrorKind::NotFound));
        write(&file, b"one").unwrap();
        write(&file, b"two").unwrap();
        assert_eq!(read(&file).unwrap(), b"two");
        let of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([of(&file), of(&folder.join("inner")), of(&folder)], [0o600, 0o700, 0o700]);
        assert_eq!(fs::read_dir(folder.join("inner")).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let folder = folder("others");
        let (inner, file) = (folder.join("inner"), folder.join("inner/a.bin"));
        write(&file, b"one").unwrap();
        for (path, right, wrong) in
            [(&file, 0o600, [0o620, 0o602]), (&inner, 0o700, [0o770, 0o702]), (&folder, 0o700, [0o770, 0o707])]
        {
            for wrong in wrong {
                mode(path, wrong);
                assert_eq!(kind(&file), Some(ErrorKind::PermissionDenied), "{} {wrong:o}", path.display());
                if path != &file {
                    assert!(write(&file, b"two").is_err(), "{} {wrong:o}", path.display());
                }
            }
            mode(path, right);
            assert_eq!(read(&file).unwrap(), b"one");
        }
        // In a folder such as /tmp others may write, and not replace what is there.
        mode(&folder, 0o1777);
        assert_eq!(read(&file).unwrap(), b"one");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn links_lead_to_what_is_checked() {
        let folder = folder("links");
        let (real, link) = (folder.join("real"), folder.join("link"));
        write(&real.join("a.bin"), b"one").unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(read(&link.join("a.bin")).unwrap(), b"one", "a link of the user's own");
        mode(&real, 0o777);
        assert_eq!(kind(&link.join("a.bin")), Some(ErrorKind::PermissionDenied));
        mode(&real, 0o700);
        // A link to a file of another user, and a folder of another's: root's, where root does not run this.
        symlink("/etc/passwd", real.join("b.bin")).unwrap();
        let root = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&real).unwrap()) == 0;
        if root {
            std::os::unix::fs::lchown(real.join("a.bin"), Some(12_345), None).unwrap();
            assert_eq!(kind(&real.join("a.bin")), Some(ErrorKind::PermissionDenied), "another user's file");
            write(&real.join("a.bin"), b"one").unwrap();
            std::os::unix::fs::lchown(&real, Some(12_345), None).unwrap();
            assert_eq!(kind(&real.join("a.bin")), Some(ErrorKind::PermissionDenied), "another user's folder");
        } else {
            assert_eq!(kind(&real.join("b.bin")), Some(ErrorKind::PermissionDenied));
            assert!(read(Path::new("/etc/passwd")).is_err());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
