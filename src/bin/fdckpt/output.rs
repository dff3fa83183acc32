//! Files that are written: they replace existing ones atomically, keep their permissions and follow links.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use fdckpt::{AtomicFile, SyncMode};

use crate::error::{CliError, WithFile};
use crate::path::{display_name, has_trailing_slash, is_stdout, parent_directory, safe_relative_path};
use crate::term::escape::escape_for_terminal;
use crate::term::stdout::Stdout;

/// What exists at a path that is to be written.
enum Existing {
    Nothing,
    /// A regular file, at its path without links: a link stays, and the file that it leads to is replaced.
    File(PathBuf),
    /// A device or pipe.
    Special,
}

impl Existing {
    fn at(path: &Path) -> Result<Self, CliError> {
        match fs::metadata(path) {
            _ if has_trailing_slash(path) => Err(CliError::new("is a directory")),
            Ok(metadata) if metadata.is_dir() => Err(CliError::new("is a directory")),
            Ok(metadata) if metadata.is_file() => Ok(Self::File(fs::canonicalize(path)?)),
            Ok(_) => Ok(Self::Special),
            Err(_) => Ok(Self::Nothing),
        }
    }
}

/// The path of a file that the library replaces, with links resolved.
pub struct Destination {
    path: PathBuf,
}

impl Destination {
    pub fn new(path: &Path) -> Result<Self, CliError> {
        let not_a_file = || CliError::new("this output needs a regular file");
        if is_stdout(path) {
            return Err(not_a_file().with_context("standard output"));
        }
        match Existing::at(path).with_file(path)? {
            Existing::Nothing => Ok(Self { path: path.to_owned() }),
            Existing::File(path) => Ok(Self { path }),
            Existing::Special => Err(not_a_file().with_file(path)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Gives a new file the owner, group and permissions of the one that it replaces, as far as the process may, as [`AtomicFile`] does.
pub fn keep_access(new: &File, existing: &Metadata) -> io::Result<()> {
    let (owner, group) = (existing.uid(), existing.gid());
    if fchown(new, Some(owner), Some(group)).is_err() {
        // Only the owner of another file may be out of reach.
        _ = fchown(new, None, Some(group));
    }
    let mut mode = existing.mode() & 0o777;
    if new.metadata()?.gid() != group {
        mode &= !0o070 | (mode & 0o007) << 3;
    }
    new.set_permissions(Permissions::from_mode(mode))
}

/// Where data is written to.
pub enum Output {
    Stdout(Stdout<io::Stdout>),
    /// A file that appears under its name when it is complete.
    File(AtomicFile, PathBuf),
    /// A device or pipe, which is written directly.
    Special(File, PathBuf),
}

impl Output {
    /// Opens standard output if there is no path.
    pub fn create(path: Option<&Path>) -> Result<Self, CliError> {
        match path {
            Some(path) if !is_stdout(path) => Self::create_file(path).with_file(path),
            _ => Ok(Self::Stdout(Stdout(io::stdout()))),
        }
    }

    fn create_file(path: &Path) -> Result<Self, CliError> {
        match Existing::at(path)? {
            Existing::Nothing => Ok(Self::File(AtomicFile::begin(path, SyncMode::Full)?, path.to_owned())),
            Existing::File(path) => Ok(Self::File(AtomicFile::begin(&path, SyncMode::Full)?, path)),
            Existing::Special => Ok(Self::Special(OpenOptions::new().write(true).open(path)?, path.to_owned())),
        }
    }

    /// Creates a file below a directory, for a name that comes from a file.
    pub fn create_below(directory: &Path, name: &str) -> Result<Self, CliError> {
        let path = safe_relative_path(name).ok_or_else(|| {
            CliError::new(format!("name {} is not a relative path below the directory", escape_for_terminal(name)))
        })?;
        let file = create_below(directory, &path)?;
        Ok(Self::File(file, directory.join(path)))
    }

    /// Renames the file to its name.
    pub fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::Special(mut file, path) => file.flush().with_file(&path),
            Self::File(file, path) => file.commit().with_file(&path),
        }
    }

    fn name_file(&self, error: io::Error) -> io::Error {
        match self {
            Self::Stdout(_) => error,
            Self::File(_, path) | Self::Special(_, path) => io::Error::other(format!("{}: {error}", display_name(path))),
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
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(self.name_file(error)),
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

/// Creates a file below a directory. A link on the way could lead out of it and is refused; one at the place of the
/// file is replaced.
pub fn create_below(directory: &Path, path: &Path) -> Result<AtomicFile, CliError> {
    let mut parent = directory.to_owned();
    fs::create_dir_all(&parent).with_file(&parent)?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        match fs::symlink_metadata(&parent) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) if metadata.is_symlink() => {
                return Err(CliError::new("symbolic link in the path, which could lead out of the directory").with_file(&parent));
            }
            Ok(_) => return Err(CliError::new("not a directory").with_file(&parent)),
            Err(_) => fs::create_dir(&parent).with_file(&parent)?,
        }
    }
    let path = directory.join(path);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(CliError::new("is a directory").with_file(&path));
    }
    AtomicFile::begin(&path, SyncMode::None).with_file(&path)
}

/// Creates a temporary file without a name in the directory of `output`, for data that may not fit into memory.
pub fn unnamed_temp_file(output: &Path) -> io::Result<File> {
    // The directory of a device or pipe has no space, or is none (/dev/fd/3).
    let is_special = is_stdout(output) || fs::metadata(output).is_ok_and(|metadata| !metadata.is_file());
    if is_special { tempfile::tempfile() } else { tempfile::tempfile_in(parent_directory(output)) }
}
