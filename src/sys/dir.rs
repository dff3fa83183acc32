//! Files by name: what it takes to replace one in a way that survives a crash.
//!
//! Names are C strings, so that nothing is allocated here, and each call goes through the C library.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use super::errno::Errno;
use super::fd::{about, uncancelled};

/// Opens a file for reading.
pub(crate) fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    open_at(libc::AT_FDCWD, path, libc::O_RDONLY)
}

/// Opens a folder to work in; one that is to be synced must be readable.
pub(crate) fn open_folder(path: &CStr, to_sync: bool) -> Result<OwnedFd, Errno> {
    open_at(libc::AT_FDCWD, path, libc::O_DIRECTORY | if to_sync { libc::O_RDONLY } else { libc::O_PATH })
}

/// Makes a file that is not there yet, for reading and writing, with the permissions that new files have.
pub(crate) fn create_new(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(folder.as_raw_fd(), name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)
}

/// Opens a file of the folder for reading and writing; not one that the name is a symbolic link to.
pub(crate) fn open_to_change(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(folder.as_raw_fd(), name, libc::O_RDWR | libc::O_NOFOLLOW)
}

/// Opens a file of the folder for reading.
pub(crate) fn open_in(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_at(folder.as_raw_fd(), name, libc::O_RDONLY)
}

/// Size of a file in bytes.
pub(crate) fn size(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    about(fd).map(|stat| u64::try_from(stat.st_size).unwrap_or_default())
}

/// Gives a file the permissions of another one, where the file system has some.
pub(crate) fn copy_permissions(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let permissions = about(from)?.st_mode & 0o777;
    // SAFETY: takes and changes no memory.
    _ = done(|| unsafe { libc::fchmod(to.as_raw_fd(), permissions) });
    Ok(())
}

/// Has room set aside for these bytes of a file, which stays as long as it is. Fails where the device is full; whether the file system
/// can do that at all, is not told.
pub(crate) fn reserve(fd: BorrowedFd<'_>, offset: u64, size: u64) -> Result<(), Errno> {
    // Signals that come all the time could interrupt it each time.
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        // SAFETY: takes and changes no memory.
        let reserved = done(|| unsafe { libc::fallocate(fd.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, offset as i64, size as i64) });
        match reserved {
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) if errno.is_full() => return Err(errno),
            _ => break,
        }
    }
    Ok(())
}

/// Which file it is, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(libc::dev_t, libc::ino_t);

/// Which file is open.
pub(crate) fn id(fd: BorrowedFd<'_>) -> Result<FileId, Errno> {
    about(fd).map(|stat| FileId(stat.st_dev, stat.st_ino))
}

/// Which file of the folder has the name; nothing where there is none.
pub(crate) fn id_in(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<FileId>, Errno> {
    match open_at(folder.as_raw_fd(), name, libc::O_PATH) {
        Err(errno) if errno.is_missing() => Ok(None),
        file => id(file?.as_fd()).map(Some),
    }
}

/// A file that nobody else has locked, until this is dropped.
pub(crate) struct Locked(OwnedFd);

impl Locked {
    /// Locks a file, for those who ask in the same way. `None` where somebody else has it. A file system without locks has none to wait
    /// for.
    pub(crate) fn try_new(file: OwnedFd) -> Option<Self> {
        (try_lock(file.as_fd()) != Ok(false)).then_some(Self(file))
    }
}

impl AsFd for Locked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Not only by closing: a child that was forked meanwhile has the descriptor too.
        // SAFETY: takes and changes no memory.
        _ = done(|| unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) });
    }
}

/// Makes a file without a name, for reading and writing, in the folder that the environment variable TMPDIR names, or /tmp. It is gone
/// when it is closed. That folder may be anybody's: as long as the file has a name, nobody else can open it.
pub(crate) fn create_unnamed() -> Result<OwnedFd, Errno> {
    // SAFETY: getenv takes a C string; what it returns is one, and is read at once. As everywhere in C, a host that changes the
    // environment while other threads read it breaks the rules itself.
    let folder = unsafe {
        let found = libc::getenv(c"TMPDIR".as_ptr());
        let path = if found.is_null() || *found == 0 { c"/tmp" } else { CStr::from_ptr(found) };
        open_folder(path, false)?
    };
    create_unnamed_in(folder.as_fd())
}

fn create_unnamed_in(folder: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    for tries in 0.. {
        let name = temporary_name(unlikely_number());
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        match open_with(folder.as_raw_fd(), name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600) {
            Err(errno) if errno.is_exists() && tries < 100 => {}
            result => {
                let file = result?;
                match remove(folder, name) {
                    // Whoever saves to that folder may have taken it for an abandoned one.
                    Err(errno) if !errno.is_missing() => return Err(errno),
                    _ => return Ok(file),
                }
            }
        }
    }
    Err(Errno::EXISTS)
}

/// `.fdckpt-`, 16 hexadecimal digits, `.tmp`, and NUL.
pub(crate) const TEMPORARY_SIZE: usize = 29;

/// The name of a temporary file.
pub(crate) fn temporary_name(number: u64) -> [u8; TEMPORARY_SIZE] {
    let mut name = *b".fdckpt-0000000000000000.tmp\0";
    for (index, digit) in name[8..24].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * index) & 15) as usize];
    }
    name
}

/// Whether it is the name of a temporary file.
fn is_temporary(name: &CStr) -> bool {
    let name = name.to_bytes();
    let digits = name.strip_prefix(b".fdckpt-").and_then(|rest| rest.strip_suffix(b".tmp"));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
}

/// Locks a file for as long as it is open in this process, or its children that inherit it. False where somebody else has done so.
///
/// File systems without locks are passed over: there nobody gets one, and [`remove_abandoned`] removes nothing.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: takes and changes no memory.
    match done(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(errno) if errno.is_would_block() => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether the file has a name still.
pub(crate) fn has_name(fd: BorrowedFd<'_>) -> bool {
    about(fd).map_or(true, |stat| stat.st_nlink > 0)
}

/// Removes temporary files of the folder that nobody has locked: those that made them have died. Whatever fails is left at that.
pub(crate) fn remove_abandoned(folder: BorrowedFd<'_>) {
    let Ok(listed) = open_at(folder.as_raw_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY) else { return };
    let _uncancelled = super::cancel::CancelGuard::begin();
    // SAFETY: the descriptor is one of a folder, and the stream takes it over; if it doesn't, it is closed here.
    let stream = unsafe { libc::fdopendir(listed.as_raw_fd()) };
    if stream.is_null() {
        return;
    }
    _ = listed.into_raw_fd();
    loop {
        // SAFETY: the stream is open, and used here alone; the entry is valid until the next call, its name a C string.
        let name = unsafe {
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break;
            }
            CStr::from_ptr((*entry).d_name.as_ptr())
        };
        if is_temporary(name)
            && let Ok(file) = open_at(folder.as_raw_fd(), name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK)
            && try_lock(file.as_fd()) == Ok(true)
        {
            _ = remove(folder, name);
        }
    }
    // SAFETY: it is open, and not used after.
    unsafe { libc::closedir(stream) };
}

fn open_at(folder: c_int, name: &CStr, flags: c_int) -> Result<OwnedFd, Errno> {
    open_with(folder, name, flags, 0o666)
}

/// As [`open_at`]; a new file gets these permissions, less those that the process keeps from new files.
fn open_with(folder: c_int, name: &CStr, flags: c_int, mode: libc::c_uint) -> Result<OwnedFd, Errno> {
    loop {
        // SAFETY: the name is a C string; the mode is given, whether or not the flags ask for it.
        match done(|| unsafe { libc::openat(folder, name.as_ptr(), flags | libc::O_CLOEXEC, mode) }) {
            // SAFETY: just opened, and nobody else has it.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Has the system write to the device all that it keeps of the file. Where that fails, what is on the device is unknown, and a
/// second try can succeed without having written anything: there is none.
pub(crate) fn sync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes and changes no memory.
    done(|| unsafe { libc::fsync(fd.as_raw_fd()) }).map(drop)
}

/// Closes a file. On some file systems this is where a failure to write is told.
pub(crate) fn close(fd: OwnedFd) -> Result<(), Errno> {
    let fd = fd.into_raw_fd();
    // SAFETY: it was owned, and is given up here.
    match done(|| unsafe { libc::close(fd) }) {
        // Closed it is all the same.
        Err(errno) if errno.is_interrupted() => Ok(()),
        result => result.map(drop),
    }
}

/// Gives a file of the folder another name in it; what had that name is gone.
pub(crate) fn rename(folder: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<(), Errno> {
    let folder = folder.as_raw_fd();
    // SAFETY: both are C strings.
    done(|| unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) }).map(drop)
}

/// Removes a file from the folder.
pub(crate) fn remove(folder: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    remove_in(folder.as_raw_fd(), name)
}

/// The same where it is not sure that the folder is still open.
pub(crate) fn remove_in(folder: c_int, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the name is a C string.
    done(|| unsafe { libc::unlinkat(folder, name.as_ptr(), 0) }).map(drop)
}

/// A number that no other call is likely to have got, in this process or another one.
pub(crate) fn unlikely_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let mixed = (now ^ u64::from(std::process::id()).rotate_left(32)).wrapping_add(calls << 48);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn done(call: impl FnOnce() -> c_int) -> Result<c_int, Errno> {
    uncancelled(|| call() as isize).map(|result| result as c_int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{IN_CHILD, passes_with};
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Nobody else can have opened it, and whoever tidies up the folder does not get in its way.
    #[test]
    fn files_without_names() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = File::open(temporary.path()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    remove_abandoned(folder.as_fd());
                }
            });
            let made: Result<Vec<OwnedFd>, Errno> = (0..500).map(|_| create_unnamed_in(folder.as_fd())).collect();
            done.store(true, Ordering::Relaxed);
            for file in made.unwrap() {
                let about = File::from(file).metadata().unwrap();
                assert_eq!((about.mode() & 0o077, about.nlink()), (0, 0));
            }
        });
    }

    fn c(path: &std::path::Path) -> std::ffi::CString {
        std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    #[test]
    fn a_folder_is_none_where_there_is_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for to_sync in [false, true] {
            assert_eq!(open_folder(&c(file.path()), to_sync).unwrap_err().raw(), libc::ENOTDIR);
            assert!(open_folder(&c(&std::env::temp_dir()), to_sync).is_ok());
        }
    }

    /// In the folder that TMPDIR names, or /tmp where that is not set, or empty.
    #[test]
    fn a_file_without_a_name() {
        if std::env::var_os(IN_CHILD).is_some() {
            let is_missing = std::env::var("TMPDIR").is_ok_and(|path| path == "/missing");
            match create_unnamed() {
                Ok(file) => assert!(!is_missing && size(file.as_fd()) == Ok(0) && !has_name(file.as_fd())),
                Err(errno) => assert!(is_missing && errno.is_missing(), "{errno}"),
            }
            return;
        }
        for value in [None, Some(""), Some("/tmp"), Some("/missing")] {
            assert!(passes_with("sys::dir::tests::a_file_without_a_name", "TMPDIR", value), "{value:?}");
        }
    }

    #[test]
    fn data_goes_to_its_offset() {
        let file = create_unnamed().unwrap();
        crate::sys::fd::write_all_at(file.as_fd(), b"cd", 2).unwrap();
        crate::sys::fd::write_all_at(file.as_fd(), b"ab", 0).unwrap();
        assert_eq!(size(file.as_fd()), Ok(4));
        let (mut read, mut rest) = ([0; 4], []);
        assert_eq!(crate::sys::fd::read_at_least_from(file.as_fd(), Some(0), &mut read, &mut rest, 4), Ok(4));
        assert_eq!(&read, b"abcd");
    }

    #[test]
    fn names_of_temporary_files() {
        let name = temporary_name(0x0123_4567_89ab_cdef);
        assert_eq!(&name, b".fdckpt-0123456789abcdef.tmp\0");
        assert!(is_temporary(CStr::from_bytes_with_nul(&name).unwrap()));
        for other in [c".fdckpt-0123456789abcde.tmp", c".fdckpt-0123456789abcdeF.tmp", c"fdckpt-0123456789abcdef.tmp", c""] {
            assert!(!is_temporary(other));
        }
    }

    /// Not what others have locked, what the name is a link to, or what would have to be waited for.
    #[test]
    fn what_is_abandoned_is_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = File::open(temporary.path()).unwrap();
        let path =
            |number| temporary.path().join(String::from_utf8_lossy(&temporary_name(number)[..TEMPORARY_SIZE - 1]).as_ref());
        let locked = Locked::try_new(File::create(path(1)).unwrap().into());
        std::fs::write(path(2), "abandoned").unwrap();
        std::fs::write(temporary.path().join("file"), "another").unwrap();
        std::os::unix::fs::symlink("file", path(3)).unwrap();
        // SAFETY: the name is a C string.
        assert_eq!(unsafe { libc::mkfifo(c(&path(4)).as_ptr(), 0o600) }, 0);
        remove_abandoned(folder.as_fd());
        assert_eq!([1, 2, 3].map(|number| path(number).symlink_metadata().is_ok()), [true, false, true]);
        assert!(Locked::try_new(File::open(path(1)).unwrap().into()).is_none());
        drop(locked);
        assert!(Locked::try_new(File::open(path(1)).unwrap().into()).is_some());
        remove_abandoned(folder.as_fd());
        assert!(!path(1).exists() && temporary.path().join("file").exists());
    }

    #[test]
    fn what_can_not_be_looked_at_is_not_taken_for_missing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = File::open(temporary.path()).unwrap();
        assert_eq!(id_in(folder.as_fd(), c"missing"), Ok(None));
        let too_long = std::ffi::CString::new(vec![b'x'; 300]).unwrap();
        assert!(id_in(folder.as_fd(), &too_long).unwrap_err().is_name_too_long());
        std::fs::write(temporary.path().join("file"), "").unwrap();
        let file = File::open(temporary.path().join("file")).unwrap();
        assert_eq!(id_in(folder.as_fd(), c"file"), id(file.as_fd()).map(Some));
    }
}
