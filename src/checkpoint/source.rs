//! Where a checkpoint is read from: memory, a map, or a spool for what can't be mapped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::ReaderOptions;
use super::reader::Spooled;
use crate::error::{Doing, Error};
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::file;
use crate::sys::mmap::Mmap;

/// So much is read at a time.
const PIECE: usize = 1 << 20;

/// All bytes of a file.
pub(super) enum Source<'a> {
    Memory(&'a [u8]),
    Map(Mmap),
    Spooled(Vec<u8>),
}

impl Source<'static> {
    /// The file of a descriptor, and whether it was spooled.
    pub(super) fn of_fd(fd: BorrowedFd<'_>, options: &ReaderOptions) -> Result<(Self, Option<Spooled>), Error> {
        if fd::is_regular_file(fd).map_err(|errno| Error::Io { doing: Doing::Mapping, offset: 0, errno })? {
            return Ok((map(fd)?, None));
        }
        let mut spool = Spool { memory: Vec::new(), file: None, size: 0 };
        while spool.fill(fd, options)? {}
        match spool.file {
            None => Ok((Self::Spooled(spool.memory), Some(Spooled::InMemory))),
            Some(file) => Ok((map(file.as_fd())?, Some(Spooled::InFile))),
        }
    }
}

fn map(fd: BorrowedFd<'_>) -> Result<Source<'static>, Error> {
    let map = Mmap::of(fd).map_err(|error| Error::Io { doing: Doing::Mapping, offset: 0, errno: Errno::of(&error) })?;
    Ok(Source::Map(map))
}

impl Source<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Map(map) => {
                let region = map.region();
                region.get(0, region.size()).unwrap_or_default()
            }
            Self::Spooled(bytes) => bytes,
        }
    }
}

/// What was read so far.
struct Spool {
    /// All of it, or the piece that goes to the file.
    memory: Vec<u8>,
    file: Option<OwnedFd>,
    size: u64,
}

impl Spool {
    /// Reads a piece. False at the end.
    fn fill(&mut self, from: BorrowedFd<'_>, options: &ReaderOptions) -> Result<bool, Error> {
        let begin = self.memory.len();
        self.memory.try_reserve(PIECE).map_err(|_| Error::OutOfMemory)?;
        self.memory.resize(begin + PIECE, 0);
        let offset = self.size;
        let got = fd::read_at_least(from, &mut self.memory[begin..], &mut [], PIECE);
        let got = got.map_err(|errno| Error::Io { doing: Doing::Reading, offset, errno })?;
        self.memory.truncate(begin + got);
        self.size += got as u64;
        if self.size > options.spool_limit {
            return Err(Error::InputTooLarge { limit: options.spool_limit });
        }
        if self.file.is_none() && self.size > options.spool_memory {
            let unnamed = file::create_unnamed();
            self.file = Some(unnamed.map_err(|errno| Error::Io { doing: Doing::Creating, offset: 0, errno })?);
        }
        if let Some(file) = &self.file {
            let written = fd::write_all(file.as_fd(), &self.memory, &[]);
            written.map_err(|errno| Error::Io { doing: Doing::Writing, offset, errno })?;
            self.memory.clear();
        }
        Ok(got == PIECE)
    }
}
