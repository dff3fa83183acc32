//! The source of a reader: memory, a mapped file, or a spool for input that can't be mapped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::ReaderOptions;
use super::error::ErrorKind;
use crate::atomic_file::c_path;
use crate::error_base::IoOperation;
use crate::mapped_file::map_file;
use crate::sys::dir;
use crate::sys::fd;
use crate::sys::mmap::Mmap;
use crate::sys::temp_file;

/// Number of bytes read at a time.
const IO_SIZE: usize = 1 << 20;

/// Where input that can't be mapped is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolKind {
    /// In memory.
    InMemory,
    /// In an unnamed temporary file.
    InFile,
}

/// The bytes of a file.
pub(super) enum Source<'a> {
    Memory(&'a [u8]),
    Map(Mmap),
    Buffer(Vec<u8>),
}

impl Source<'static> {
    /// Opens a file by path; also returns how it was spooled, if it was.
    pub(super) fn open(path: &Path, options: &ReaderOptions) -> Result<(Self, Option<SpoolKind>), ErrorKind> {
        let file = dir::open(&c_path(path.as_os_str().as_bytes())?).map_err(IoOperation::Open.failed())?;
        Self::open_fd(file.as_fd(), options)
    }

    /// Opens the file of a descriptor; also returns how it was spooled, if it was.
    pub(super) fn open_fd(fd: BorrowedFd<'_>, options: &ReaderOptions) -> Result<(Self, Option<SpoolKind>), ErrorKind> {
        if fd::is_regular_file(fd).map_err(IoOperation::Mmap.failed_at(0))? {
            return Ok((Self::Map(map_file(fd)?), None));
        }
        let mut spool = Spool { memory: Vec::new(), file: None, size: 0 };
        while spool.fill(fd, options)? {}
        match spool.file {
            None => Ok((Self::Buffer(spool.memory), Some(SpoolKind::InMemory))),
            Some(file) => Ok((Self::Map(map_file(file)?), Some(SpoolKind::InFile))),
        }
    }
}

impl Source<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Map(map) => map.bytes(),
            Self::Buffer(bytes) => bytes,
        }
    }
}

/// Input read so far.
struct Spool {
    /// All input, or, with a file, the piece that is written to it.
    memory: Vec<u8>,
    file: Option<OwnedFd>,
    size: u64,
}

impl Spool {
    /// Reads a piece. Returns false at the end.
    fn fill(&mut self, from: BorrowedFd<'_>, options: &ReaderOptions) -> Result<bool, ErrorKind> {
        let begin = self.memory.len();
        self.memory.try_reserve(IO_SIZE)?;
        self.memory.resize(begin + IO_SIZE, 0);
        let offset = self.size;
        let got = fd::read_at_least(from, &mut self.memory[begin..], &mut [], IO_SIZE);
        let got = got.map_err(IoOperation::Read.failed_at(offset))?;
        self.memory.truncate(begin + got);
        self.size += got as u64;
        if self.size > options.spool_limit {
            return Err(ErrorKind::InputTooLarge { limit: options.spool_limit });
        }
        if self.file.is_none() && self.size > options.spool_memory {
            let unnamed = temp_file::create_anonymous();
            self.file = Some(unnamed.map_err(IoOperation::CreateTempFile.failed())?);
        }
        if let Some(file) = &self.file {
            let written = fd::write_all(file.as_fd(), &self.memory, &[]);
            written.map_err(IoOperation::Write.failed_at(offset))?;
            self.memory.clear();
        }
        Ok(got == IO_SIZE)
    }
}
