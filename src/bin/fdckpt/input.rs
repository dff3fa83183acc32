//! Files that are read.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use fdckpt::MappedFile;

use crate::error::{CliError, WithFile};
use crate::path::is_dash;

/// I/O unit in bytes.
pub const IO_BUFFER_SIZE: usize = 256 << 10;

/// The contents of a file: mapped, or read if it can't be mapped (a pipe).
pub enum Input {
    Mapped(MappedFile),
    Read(Vec<u8>),
}

impl Input {
    pub fn open(path: &Path) -> Result<Self, CliError> {
        Self::open_unnamed(path).with_file(path)
    }

    /// Like [`open`](Self::open), but errors do not name the file.
    pub fn open_unnamed(path: &Path) -> Result<Self, CliError> {
        if is_dash(path) {
            return Ok(Self::Read(read_all(io::stdin().lock())?));
        }
        let file = File::open(path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(CliError::new("is a directory"));
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

fn read_all(mut from: impl Read) -> Result<Vec<u8>, CliError> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; IO_BUFFER_SIZE]);
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            return Ok(all);
        }
        let too_large = |_| CliError::new("out of memory: the input is a pipe").with_hint("write it to a file first");
        all.try_reserve(count).map_err(too_large)?;
        all.extend_from_slice(&buffer[..count]);
    }
}
