//! Files by name, relative to an open directory (openat and its family).
//!
//! Names are C strings, so that nothing is allocated here. Every call goes through the C library.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::errno::Errno;
use super::fd::{Access, FileId, file_id, is_regular_file};
use super::syscall::syscall;

/// Permissions of a new file, before the umask.
const NEW_FILE_MODE: libc::mode_t = 0o666;

/// Opens a file for reading.
pub(crate) fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    openat(libc::AT_FDCWD, path, libc::O_RDONLY, NEW_FILE_MODE)
}

/// Opens a directory for the functions of this module; one that is to be synced must be readable.
pub(crate) fn open_dir(path: &CStr, to_sync: bool) -> Result<OwnedFd, Errno> {
    openat(libc::AT_FDCWD, path, libc::O_DIRECTORY | if to_sync { libc::O_RDONLY } else { libc::O_PATH }, NEW_FILE_MODE)
}

/// Creates a file for reading and writing. Fails if the name exists.
pub(crate) fn create_new(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    create_new_with_mode(dir, name, NEW_FILE_MODE)
}

/// Creates a file for reading and writing that only its owner can open. Fails if the name exists.
pub(crate) fn create_new_private(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    create_new_with_mode(dir, name, 0o600)
}

/// Returns owner, group and permissions of the regular file with this name; `None` if there is none, or something else.
pub(crate) fn access_of(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Access>, Errno> {
    match open_at(dir, name, libc::O_PATH | libc::O_NOFOLLOW) {
        Err(errno) if errno.is_not_found() => Ok(None),
        file => {
            let file = file?;
            if is_regular_file(file.as_fd())? { Access::of(file.as_fd()).map(Some) } else { Ok(None) }
        }
    }
}

/// Creates a file with these permissions before the umask.
fn create_new_with_mode(dir: BorrowedFd<'_>, name: &CStr, mode: libc::mode_t) -> Result<OwnedFd, Errno> {
    openat(dir.as_raw_fd(), name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)
}

/// Opens a file for reading and writing. Fails if the name is a symbolic link.
pub(crate) fn open_rw_nofollow(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(dir, name, libc::O_RDWR | libc::O_NOFOLLOW)
}

/// Opens a file for reading.
pub(crate) fn open_read(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(dir, name, libc::O_RDONLY)
}

/// Opens an existing file.
pub(super) fn open_at(dir: BorrowedFd<'_>, name: &CStr, flags: c_int) -> Result<OwnedFd, Errno> {
    openat(dir.as_raw_fd(), name, flags, NEW_FILE_MODE)
}

/// Returns the identity of the file with this name; `None` if there is none.
pub(crate) fn file_id_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<FileId>, Errno> {
    match open_at(dir, name, libc::O_PATH) {
        Err(errno) if errno.is_not_found() => Ok(None),
        file => file_id(file?.as_fd()).map(Some),
    }
}

/// Renames a file within the directory, and replaces the file that had the new name.
pub(crate) fn rename(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<(), Errno> {
    let dir = dir.as_raw_fd();
    // SAFETY: both names are NUL-terminated and borrowed for the call.
    syscall(|| unsafe { libc::renameat(dir, from.as_ptr(), dir, to.as_ptr()) }).map(drop)
}

/// Removes a file.
pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    unlink_at(dir.as_raw_fd(), name)
}

/// As [`unlink`], for a directory that may have been closed meanwhile; the call then fails, or acts on another
/// directory.
pub(crate) fn unlink_at(dir: c_int, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the name is NUL-terminated and borrowed for the call.
    syscall(|| unsafe { libc::unlinkat(dir, name.as_ptr(), 0) }).map(drop)
}

fn openat(dir: c_int, name: &CStr, flags: c_int, mode: libc::mode_t) -> Result<OwnedFd, Errno> {
    loop {
        // SAFETY: the name is NUL-terminated and borrowed for the call; the mode is passed whether or not the flags
        // need it.
        match syscall(|| unsafe { libc::openat(dir, name.as_ptr(), flags | libc::O_CLOEXEC, mode) }) {
            // SAFETY: openat has just returned this descriptor, so there is no other owner.
            Ok(fd) => return above_standard_streams(unsafe { OwnedFd::from_raw_fd(fd) }),
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Moves a descriptor to one that is not standard input, output or error. A program that was started with these closed would otherwise
/// write messages into the file.
fn above_standard_streams(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    const FIRST: c_int = 3;
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes no pointers.
    let moved = syscall(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: fcntl has just returned this descriptor, so there is no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;

    fn c_path(path: &std::path::Path) -> std::ffi::CString {
        std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    #[test]
    fn descriptors_of_standard_streams_are_not_used() {
        use crate::sys::test_child::{IN_CHILD, passes_with_env};
        if std::env::var_os(IN_CHILD).is_some() {
            // SAFETY: close takes no pointers; in this process nothing uses standard input.
            unsafe { libc::close(0) };
            assert!(open(c"/dev/null").unwrap().as_raw_fd() >= 3);
            // SAFETY: fcntl with F_GETFD takes no pointers.
            assert_eq!(unsafe { libc::fcntl(0, libc::F_GETFD) }, -1, "the first descriptor is closed again");
            return;
        }
        assert!(passes_with_env("sys::dir::tests::descriptors_of_standard_streams_are_not_used", "UNUSED", None));
    }

    #[test]
    fn open_dir_rejects_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for to_sync in [false, true] {
            assert_eq!(open_dir(&c_path(file.path()), to_sync).unwrap_err().raw(), libc::ENOTDIR);
            assert!(open_dir(&c_path(&std::env::temp_dir()), to_sync).is_ok());
        }
    }

    #[test]
    fn file_id_at_distinguishes_failure_from_absence() {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = File::open(temp_dir.path()).unwrap();
        assert_eq!(file_id_at(dir.as_fd(), c"missing"), Ok(None));
        let too_long = std::ffi::CString::new(vec![b'x'; 300]).unwrap();
        assert!(file_id_at(dir.as_fd(), &too_long).unwrap_err().is_name_too_long());
        std::fs::write(temp_dir.path().join("file"), "").unwrap();
        let file = File::open(temp_dir.path().join("file")).unwrap();
        assert_eq!(file_id_at(dir.as_fd(), c"file"), file_id(file.as_fd()).map(Some));
    }
}
