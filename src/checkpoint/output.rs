//! The destination of a writer.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::SyncMode;
use super::checksum;
use super::error::ErrorKind;
use crate::atomic_file::{self, AtomicFile};
use crate::error_base::IoOperation;
use crate::frame::DynFd;
use crate::sys::fd;

/// Number of bytes hashed and written at a time, while they are in the processor's cache.
const IO_SIZE: usize = 256 << 10;

/// A file that is replaced atomically, or a descriptor.
pub(super) enum Output<'w> {
    File { file: AtomicFile, offset: u64 },
    Fd { fd: Box<dyn DynFd + 'w>, offset: u64, sync: SyncMode },
}

impl<'w> Output<'w> {
    pub(super) fn file(path: &Path, sync: SyncMode) -> Result<Self, ErrorKind> {
        Ok(Self::File { file: AtomicFile::begin(path, sync)?, offset: 0 })
    }

    pub(super) fn fd(fd: Box<dyn DynFd + 'w>, sync: SyncMode) -> Self {
        Self::Fd { fd, offset: 0, sync }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        match self {
            Self::File { file, offset } => {
                file.write_at(bytes, *offset)?;
                *offset += bytes.len() as u64;
            }
            Self::Fd { fd, offset, .. } => {
                write_to(fd.fd(), bytes, *offset)?;
                *offset += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Writes and returns the checksum.
    pub(super) fn write_with_checksum(&mut self, bytes: &[u8]) -> Result<u64, ErrorKind> {
        if bytes.len() <= IO_SIZE {
            let sum = checksum(bytes);
            self.write(bytes)?;
            return Ok(sum);
        }
        let mut sum = xxhash_rust::xxh3::Xxh3::new();
        for piece in bytes.chunks(IO_SIZE) {
            sum.update(piece);
            self.write(piece)?;
        }
        Ok(sum.digest())
    }

    /// Makes the file visible at its path, or syncs the descriptor.
    pub(super) fn commit(self) -> Result<(), ErrorKind> {
        match self {
            Self::File { file, .. } => Ok(file.commit()?),
            Self::Fd { fd, sync, .. } if sync >= SyncMode::Data => {
                Ok(atomic_file::sync_if_possible(fd.fd(), IoOperation::Fsync)?)
            }
            Self::Fd { .. } => Ok(()),
        }
    }
}

fn write_to(fd: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), ErrorKind> {
    Ok(fd::write_all(fd, bytes, &[]).map_err(IoOperation::Write.failed_at(offset))?)
}
