//! Files that are read and written, and the signals that end it.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use fdckpt::{AtomicFile, MappedFile, SyncMode};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::term::{self, Stdout, Trouble};

/// A file as one slice: mapped, or, where that can't be (a pipe), read.
pub enum Input {
    Mapped(MappedFile),
    Read(Vec<u8>),
}

impl Input {
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        Self::of(path).map_err(|trouble| trouble.of(name(path)))
    }

    /// The same, but that the trouble does not name the file.
    pub fn of(path: &Path) -> Result<Self, Trouble> {
        if is_dash(path) {
            return Ok(Self::Read(read_all(io::stdin().lock())?));
        }
        let file = File::open(path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(Trouble::new("this is a folder, not a file"));
        }
        if kind.is_fifo() || kind.is_char_device() || kind.is_socket() {
            return Ok(Self::Read(read_all(file)?));
        }
        Ok(Self::Mapped(MappedFile::of(file)?))
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file,
            Self::Read(bytes) => bytes,
        }
    }
}

fn read_all(mut from: impl Read) -> Result<Vec<u8>, Trouble> {
    let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let count = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            return Ok(all);
        }
        let short = |_| Trouble::new("this is a pipe, and more than there is memory for").advice("write it to a file first");
        all.try_reserve(count).map_err(short)?;
        all.extend_from_slice(&piece[..count]);
    }
}

/// What stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether what is written there goes to standard output. Where that is a file, it is written from where it is, as `>>` asks for, and not
/// replaced.
pub fn is_stdout(path: &Path) -> bool {
    is_dash(path) || ["/dev/stdout", STDOUT, "/dev/fd/1"].iter().any(|stdout| path.as_os_str() == *stdout)
}

/// The file that standard output leads to.
pub const STDOUT: &str = "/proc/self/fd/1";

/// Whether it is a folder by its name alone.
pub fn ends_as_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// A path as people are told of it.
pub fn name(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { term::printable(&path.to_string_lossy()) }
}

/// A file that the library replaces, which knows nothing of links, devices and permissions.
pub struct Destination {
    path: PathBuf,
    /// Those of the file that is there.
    permissions: Option<Permissions>,
}

impl Destination {
    pub fn of(path: &Path) -> Result<Self, Trouble> {
        if is_stdout(path) {
            return Err(Trouble::new("standard output: this can be written to a file only"));
        }
        let of_file = |trouble: Trouble| trouble.of(name(path));
        match fs::metadata(path) {
            _ if ends_as_folder(path) => Err(of_file(Trouble::new("this is a folder, not a file"))),
            Ok(there) if there.is_dir() => Err(of_file(Trouble::new("this is a folder, not a file"))),
            Ok(there) if !there.is_file() => Err(of_file(Trouble::new("this can be written to a file only"))),
            // A link stays one, and what it leads to is replaced.
            Ok(there) => Ok(Self {
                path: fs::canonicalize(path).map_err(|error| of_file(error.into()))?,
                permissions: Some(there.permissions()),
            }),
            Err(_) => Ok(Self { path: path.to_owned(), permissions: None }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is to be done once it was replaced.
    pub fn replaced(self) -> Result<(), Trouble> {
        let Some(permissions) = self.permissions else { return Ok(()) };
        fs::set_permissions(&self.path, permissions).map_err(|error| Trouble::from(error).of(name(&self.path)))
    }
}

/// Gives a new file the permissions of that which it is to replace.
pub fn keep_permissions(new: &AtomicFile, there: &Metadata) -> io::Result<()> {
    File::from(new.as_fd().try_clone_to_owned()?).set_permissions(there.permissions())
}

/// Where data goes to: standard output, or a file that has its name only when it is complete.
pub enum Output {
    Stdout(Stdout<io::Stdout>),
    File(AtomicFile, PathBuf),
    /// A device or pipe, which is written to as it is.
    Special(File, PathBuf),
}

impl Output {
    pub fn create(path: Option<&Path>) -> Result<Self, Trouble> {
        let Some(path) = path.filter(|path| !is_stdout(path)) else {
            return Ok(Self::Stdout(Stdout(io::stdout())));
        };
        Self::file(path).map_err(|trouble| trouble.of(name(path)))
    }

    fn file(path: &Path) -> Result<Self, Trouble> {
        match fs::metadata(path) {
            _ if ends_as_folder(path) => return Err(Trouble::new("this is a folder, not a file")),
            Ok(there) if there.is_dir() => return Err(Trouble::new("this is a folder, not a file")),
            Ok(there) if !there.is_file() => {
                return Ok(Self::Special(OpenOptions::new().write(true).open(path)?, path.to_owned()));
            }
            // A link stays one, and what it leads to is replaced.
            Ok(there) => {
                let path = fs::canonicalize(path)?;
                let new = AtomicFile::begin(&path, SyncMode::Full)?;
                keep_permissions(&new, &there)?;
                return Ok(Self::File(new, path));
            }
            Err(_) => {}
        }
        Ok(Self::File(AtomicFile::begin(path, SyncMode::Full)?, path.to_owned()))
    }

    /// Puts it in its place.
    pub fn finish(self) -> Result<(), Trouble> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::Special(mut file, path) => file.flush().map_err(|error| Trouble::from(error).of(name(&path))),
            Self::File(file, path) => file.commit().map_err(|error| Trouble::from(error).of(name(&path))),
        }
    }

    fn tell(&self, error: io::Error) -> io::Error {
        match self {
            Self::Stdout(_) => error,
            Self::File(_, path) | Self::Special(_, path) => io::Error::other(format!("{}: {error}", name(path))),
        }
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let result = match self {
            Self::Stdout(out) => out.write(data),
            Self::File(file, _) => file.write(data),
            Self::Special(file, _) => file.write(data),
        };
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(self.tell(error)),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file, _) => file.flush(),
            Self::Special(file, _) => file.flush(),
        }
    }
}

/// Writes all of it to standard output.
pub fn to_stdout(bytes: &[u8]) -> Result<u8, Trouble> {
    let mut out = Stdout(io::stdout().lock());
    out.write_all(bytes)?;
    out.flush()?;
    Ok(term::GOOD)
}

/// Whether a signal has asked for an end.
pub static ENDING: AtomicBool = AtomicBool::new(false);

/// Whether what runs looks at [`ENDING`], and ends by itself.
pub static ENDS_ITSELF: AtomicBool = AtomicBool::new(false);

/// A folder that is to go as well.
pub static SCRATCH: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The status to end with for a signal: as the shell has it.
pub fn status_of(signal: i32) -> u8 {
    128 + signal as u8
}

/// Which one.
pub static SIGNAL: AtomicI32 = AtomicI32::new(SIGINT);

/// Where a signal is about to end the program, waits for that: what fails now fails because of it.
pub fn leave_to_signal() {
    while ENDING.load(Ordering::SeqCst) && !ENDS_ITSELF.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Whether the program was started so that it is to ignore a signal, as `nohup` and `&` of a shell do it.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// From now on signals that end the program have it remove the files that are not complete.
pub fn handle_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)))?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            SIGNAL.store(signal, Ordering::SeqCst);
            // Who asks twice does not want to wait.
            if ENDING.swap(true, Ordering::SeqCst) || !ENDS_ITSELF.load(Ordering::SeqCst) {
                fdckpt::remove_temp_files();
                if let Some(folder) = SCRATCH.lock().ok().and_then(|mut folder| folder.take()) {
                    // What works in it may have made one more file meanwhile, but can't do so twice.
                    _ = fs::remove_dir_all(&folder).or_else(|_| fs::remove_dir_all(&folder));
                }
                std::process::exit(i32::from(status_of(signal)));
            }
        }
    })?;
    Ok(())
}
