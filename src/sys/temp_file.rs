//! Temporary files of this library: named ones that are renamed when they are complete, and anonymous ones.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::cancel::CancelGuard;
use super::dir::{create_new_private, open_at, open_dir, unlink};
use super::env::with_temp_dir;
use super::errno::Errno;
use super::lock::try_lock;

/// Size of a temporary file's name in bytes: `.fdckpt-`, 16 hexadecimal digits, `.tmp`, NUL.
pub(crate) const TEMP_NAME_SIZE: usize = 29;

/// Returns the name of a temporary file, NUL-terminated.
pub(crate) fn temp_name(suffix: u64) -> [u8; TEMP_NAME_SIZE] {
    let mut name = *b".fdckpt-0000000000000000.tmp\0";
    for (index, digit) in name[8..24].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(suffix >> (60 - 4 * index) & 15) as usize];
    }
    name
}

/// Returns whether a name has the form of [`temp_name`].
fn is_temp_name(name: &CStr) -> bool {
    let name = name.to_bytes();
    let digits = name.strip_prefix(b".fdckpt-").and_then(|rest| rest.strip_suffix(b".tmp"));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
}

/// Returns a number for [`temp_name`] that hardly any other call returns, in this process or another one.
pub(crate) fn unique_suffix() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let mixed = (now ^ u64::from(std::process::id()).rotate_left(32)).wrapping_add(calls << 48);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Creates a file without a name, for reading and writing, in the directory for temporary files. The file is gone when
/// it is closed.
///
/// That directory may be world-writable: only this user can open the file while it has a name.
pub(crate) fn create_anonymous() -> Result<OwnedFd, Errno> {
    create_anonymous_in(with_temp_dir(|path| open_dir(path, false))?.as_fd())
}

fn create_anonymous_in(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const MAX_ATTEMPTS: usize = 101;
    for _ in 0..MAX_ATTEMPTS {
        let name = temp_name(unique_suffix());
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        match create_new_private(dir, name) {
            Err(errno) if errno.is_already_exists() => {}
            result => {
                let file = result?;
                match unlink(dir, name) {
                    // Absent if a concurrent `remove_stale_temp_files` took it for a stale one.
                    Err(errno) if !errno.is_not_found() => return Err(errno),
                    _ => return Ok(file),
                }
            }
        }
    }
    Err(Errno::ALREADY_EXISTS)
}

/// Removes the temporary files in a directory that nobody has locked: the processes that made them have died. Failures
/// are ignored.
///
/// On a file system without locks, removes nothing.
pub(crate) fn remove_stale_temp_files(dir: BorrowedFd<'_>) {
    let Ok(listed) = open_at(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY) else { return };
    let _guard = CancelGuard::new();
    // SAFETY: `listed` is an open directory. The stream takes ownership on success, which `into_raw_fd` below gives up.
    let stream = unsafe { libc::fdopendir(listed.as_raw_fd()) };
    if stream.is_null() {
        return;
    }
    _ = listed.into_raw_fd();
    loop {
        // SAFETY: `stream` is open and local to this function. The entry and its NUL-terminated name are valid until
        // the next readdir.
        let name = unsafe {
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break;
            }
            CStr::from_ptr((*entry).d_name.as_ptr())
        };
        if is_temp_name(name)
            && let Ok(file) = open_at(dir, name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK)
            && try_lock(file.as_fd()) == Ok(true)
        {
            _ = unlink(dir, name);
        }
    }
    // SAFETY: `stream` is open, and not used after this.
    unsafe { libc::closedir(stream) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{is_linked, size};
    use crate::sys::lock::FileLock;
    use crate::sys::test_child::{IN_CHILD, passes_with_env};
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn anonymous_files_are_private_and_survive_concurrent_removal_of_stale_files() {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = File::open(temp_dir.path()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    remove_stale_temp_files(dir.as_fd());
                }
            });
            let files: Result<Vec<OwnedFd>, Errno> = (0..500).map(|_| create_anonymous_in(dir.as_fd())).collect();
            done.store(true, Ordering::Relaxed);
            for file in files.unwrap() {
                let metadata = File::from(file).metadata().unwrap();
                assert_eq!((metadata.mode() & 0o077, metadata.nlink()), (0, 0));
            }
        });
    }

    #[test]
    fn anonymous_file_is_created_in_tmpdir_or_tmp() {
        if std::env::var_os(IN_CHILD).is_some() {
            let is_missing = std::env::var("TMPDIR").is_ok_and(|path| path == "/missing");
            match create_anonymous() {
                Ok(file) => assert!(!is_missing && size(file.as_fd()) == Ok(0) && !is_linked(file.as_fd())),
                Err(errno) => assert!(is_missing && errno.is_not_found(), "{errno}"),
            }
            return;
        }
        let test = "sys::temp_file::tests::anonymous_file_is_created_in_tmpdir_or_tmp";
        for value in [None, Some(""), Some("/tmp"), Some("/missing")] {
            assert!(passes_with_env(test, "TMPDIR", value), "{value:?}");
        }
    }

    #[test]
    fn temp_names_are_recognised() {
        let name = temp_name(0x0123_4567_89ab_cdef);
        assert_eq!(&name, b".fdckpt-0123456789abcdef.tmp\0");
        assert!(is_temp_name(CStr::from_bytes_with_nul(&name).unwrap()));
        for other in [c".fdckpt-0123456789abcde.tmp", c".fdckpt-0123456789abcdeF.tmp", c"fdckpt-0123456789abcdef.tmp", c""] {
            assert!(!is_temp_name(other));
        }
    }

    #[test]
    fn removes_stale_files_but_neither_locked_ones_nor_links_nor_fifos() {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = File::open(temp_dir.path()).unwrap();
        let path = |suffix| temp_dir.path().join(String::from_utf8_lossy(&temp_name(suffix)[..TEMP_NAME_SIZE - 1]).as_ref());
        let locked = FileLock::try_new(File::create(path(1)).unwrap().into());
        std::fs::write(path(2), "stale").unwrap();
        std::fs::write(temp_dir.path().join("file"), "another").unwrap();
        std::os::unix::fs::symlink("file", path(3)).unwrap();
        let fifo = std::ffi::CString::new(path(4).as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is NUL-terminated and borrowed for the call.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        remove_stale_temp_files(dir.as_fd());
        assert_eq!([1, 2, 3].map(|suffix| path(suffix).symlink_metadata().is_ok()), [true, false, true]);
        assert!(FileLock::try_new(File::open(path(1)).unwrap().into()).is_none());
        drop(locked);
        assert!(FileLock::try_new(File::open(path(1)).unwrap().into()).is_some());
        remove_stale_temp_files(dir.as_fd());
        assert!(!path(1).exists() && temp_dir.path().join("file").exists());
    }
}
