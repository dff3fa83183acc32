//! Writing a container.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::error::Error;
use super::metadata::{self, Entry};
use super::trailer::{MAGIC, TRAILER};
use super::{Container, Source};
use crate::alloc::try_with_capacity;
use crate::error_base::IoOperation;
use crate::sys::fd;
use crate::sys::mmap::advise_huge_pages_for;

/// Pieces smaller than this are gathered before they are written to a descriptor.
const GATHERED: usize = 65_536;

impl Container<'_> {
    /// Size in bytes of what is written: by [`serialize`](Self::serialize) and its like, not by [`append_to`](Self::append_to).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the metadata would be larger than 4 GiB.
    pub fn serialized_size(&self) -> Result<u64, Error> {
        let mut count = Count(0);
        _ = self.write_meta(&mut count, self.as_written());
        length_field(count.0)?;
        Ok(self.data_size() + count.0 + TRAILER as u64)
    }

    /// Writes the container to memory.
    ///
    /// The data of a container that was parsed, and not changed since, is that of the file, with all that lies between its
    /// sections.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and as for [`serialized_size`](Self::serialized_size).
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let size = usize::try_from(self.serialized_size()?).map_err(|_| Error::OutOfMemory)?;
        let mut file = try_with_capacity(size)?;
        advise_huge_pages_for(file.spare_capacity_mut());
        self.each_piece(|piece| {
            file.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(file)
    }

    /// As [`serialize`](Self::serialize), to `memory`. Returns how many bytes of it were written.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], and then nothing was written; and as for [`serialize`](Self::serialize).
    pub fn serialize_into(&self, memory: &mut [u8]) -> Result<usize, Error> {
        let (needed, size) = (self.serialized_size()?, memory.len() as u64);
        let mut rest =
            memory.get_mut(..needed as usize).filter(|_| needed <= size).ok_or(Error::BufferTooSmall { size, needed })?;
        self.each_piece(|piece| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut_checked(piece.len()).ok_or(Error::Internal)?;
            place.copy_from_slice(piece);
            rest = behind;
            Ok(())
        })?;
        Ok(needed as usize)
    }

    /// Writes the container to `fd`, a file, pipe or socket, from its current position on. Returns how many bytes that were.
    ///
    /// The container must be all that the file has: its trailer is found at the file's end, and its offsets count from the file's
    /// begin. So write to an empty file, at its begin. Nothing is synced.
    ///
    /// # Errors
    /// [`Error::Io`], and then the file has a part of it; [`Error::OutOfMemory`]; as for
    /// [`serialized_size`](Self::serialized_size).
    pub fn write_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        let mut gather = Gather::new(fd.as_fd(), 0)?;
        self.each_piece(|piece| gather.put(piece))?;
        gather.flush()
    }

    /// As [`write_to`](Self::write_to), to anything that can be written to, piece by piece.
    ///
    /// # Errors
    /// Those of `to`; [`io::ErrorKind::OutOfMemory`]; an [`Error`] inside, as for
    /// [`serialized_size`](Self::serialized_size).
    pub fn copy_to(&self, mut to: impl Write) -> io::Result<u64> {
        let (mut size, mut failure) = (0, None);
        let result = self.each_piece(|piece| {
            size += piece.len() as u64;
            to.write_all(piece).map_err(|error| {
                failure = Some(error);
                Error::Internal
            })
        });
        match (result, failure) {
            (_, Some(error)) => Err(error),
            (result, None) => Ok(result.map(|()| size)?),
        }
    }

    /// Updates the file that was parsed without writing its data again: behind all that it has, `fd` gets the data that was
    /// set, and metadata that names these sections and those that stay. Returns the file's new size.
    ///
    /// `fd` must be open for reading and writing, and hold what was parsed. If its size, metadata or trailer are others, nothing
    /// is written; its data is not compared. What the file had stays in it: old data and metadata become a gap in the new data.
    /// To append again, parse the file again. The container itself does not change. With a container that was not parsed, `fd`
    /// must be an empty file. On success its position is the end of the file.
    ///
    /// Data is written first, the trailer last. Where writing fails, the file is cut to the size that it had, and so is what it
    /// was. A crash meanwhile can leave it with a part of what was to be written, which most likely is no container; cut to its
    /// former size it is the old one again. Nothing is synced, so after a crash of the whole machine the trailer can be there, and
    /// data in front of it not. Nothing is locked: nobody else may write to the file meanwhile.
    ///
    /// # Errors
    /// [`Error::FileChanged`] as told above; [`Error::SectionOutOfRange`] where a section that stays can't be read; [`Error::Io`];
    /// [`Error::OutOfMemory`]; [`Error::InvalidArgument`] where the metadata would be larger than 4 GiB.
    pub fn append_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        let fd = fd.as_fd();
        let before = self.file.len() as u64;
        self.sections.iter().try_for_each(|placed| self.data_of(placed).map(drop))?;
        let mut gather = Gather::new(fd, before)?;
        // The metadata is made first, so that a failure in that leaves the file alone.
        let mut end = self.file.len() as i64;
        let appended = self.sections.iter().map(|placed| match placed.source {
            Source::File(offset) => Entry { offset, ..placed.entry },
            Source::Set => {
                let offset = end;
                end += placed.entry.length;
                Entry { offset, ..placed.entry }
            }
        });
        let tail = self.tail(appended)?;
        gather.check(self.file, self.data)?;

        let set = self.sections.iter().filter(|placed| placed.source == Source::Set);
        let result = set
            .map(|placed| self.data_of(placed))
            .chain([Ok(&tail[..])])
            .try_for_each(|piece| gather.put(piece?))
            .and_then(|()| gather.flush());
        if result.is_err() {
            // The first error is the one to tell.
            _ = fd::ftruncate(fd, before as i64);
        }
        result
    }

    /// Calls `put` with what is written, piece by piece.
    fn each_piece(&self, mut put: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let tail = self.tail(self.as_written())?;
        if self.verbatim {
            put(&self.file[..self.data])?;
        } else {
            self.sections.iter().try_for_each(|placed| put(self.data_of(placed)?))?;
        }
        put(&tail)
    }

    fn data_size(&self) -> u64 {
        if self.verbatim { self.data as u64 } else { self.end() as u64 }
    }

    fn as_written(&self) -> impl Iterator<Item = Entry> {
        self.sections.iter().map(|placed| placed.entry)
    }

    fn write_meta(&self, to: &mut impl fmt::Write, entries: impl Iterator<Item = Entry>) -> fmt::Result {
        let none = self.sections.is_empty() && !self.empty_list;
        metadata::write(to, self.version(), (!none).then_some(entries))
    }

    /// Metadata and trailer.
    fn tail(&self, entries: impl Iterator<Item = Entry>) -> Result<Vec<u8>, Error> {
        with_trailer(|to| self.write_meta(to, entries))
    }
}

/// Metadata and trailer of a container whose data is written by others: sections with type, offset and length.
pub(crate) fn tail(sections: &[(u8, u64, u64)]) -> Result<Vec<u8>, Error> {
    let entry = |&(kind, offset, length)| Entry { offset: offset as i64, length: length as i64, kind };
    with_trailer(|to| metadata::write(to, 1, Some(sections.iter().map(entry))))
}

fn with_trailer(write_meta: impl FnOnce(&mut Bytes) -> fmt::Result) -> Result<Vec<u8>, Error> {
    let mut tail = Bytes(Vec::new());
    write_meta(&mut tail).map_err(|fmt::Error| Error::OutOfMemory)?;
    let Bytes(mut tail) = tail;
    tail.try_reserve_exact(TRAILER)?;
    let length = length_field(tail.len() as u64)?;
    tail.extend_from_slice(&length.to_le_bytes());
    tail.extend_from_slice(MAGIC);
    Ok(tail)
}

fn length_field(size: u64) -> Result<u32, Error> {
    u32::try_from(size).map_err(|_| Error::InvalidArgument("too many sections: the metadata exceeds 4 GiB"))
}

/// Counts what is written to it.
struct Count(u64);

impl fmt::Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

/// Takes what is written to it, as far as there is memory.
struct Bytes(Vec<u8>);

impl fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A descriptor that small pieces are gathered for.
struct Gather<'f> {
    fd: BorrowedFd<'f>,
    waiting: Vec<u8>,
    /// Offset in the file of what waits.
    offset: u64,
}

impl<'f> Gather<'f> {
    fn new(fd: BorrowedFd<'f>, offset: u64) -> Result<Self, Error> {
        let waiting = try_with_capacity(GATHERED)?;
        Ok(Self { fd, waiting, offset })
    }

    fn put(&mut self, piece: &[u8]) -> Result<(), Error> {
        if piece.len() <= GATHERED - self.waiting.len() {
            self.waiting.extend_from_slice(piece);
            return Ok(());
        }
        self.write(piece)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        fd::write_all(self.fd, &self.waiting, piece).map_err(IoOperation::Write.failed_at(self.offset))?;
        self.offset += (self.waiting.len() + piece.len()) as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Returns the offset reached.
    fn flush(&mut self) -> Result<u64, Error> {
        self.write(&[])?;
        Ok(self.offset)
    }

    /// Checks that the descriptor's file is as large as `file`, and has its bytes from `from` on, and leaves its position at
    /// the end.
    fn check(&mut self, file: &[u8], from: usize) -> Result<(), Error> {
        let seeking = IoOperation::Seek.failed_at(0);
        if fd::seek_end(self.fd).map_err(&seeking)? != file.len() as i64 {
            return Err(Error::FileChanged);
        }
        fd::seek(self.fd, from as i64).map_err(&seeking)?;
        self.waiting.resize(GATHERED, 0);
        let (mut rest, mut offset) = (&file[from..], from as u64);
        while !rest.is_empty() {
            let (part, others) = rest.split_at(rest.len().min(GATHERED));
            let reading = IoOperation::Read.failed_at(offset);
            let there = &mut self.waiting[..part.len()];
            let got = fd::read_at_least(self.fd, there, &mut [], part.len()).map_err(reading)?;
            if got < part.len() || there != part {
                return Err(Error::FileChanged);
            }
            (rest, offset) = (others, offset + got as u64);
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_32_bits_for_its_length() {
        assert_eq!(length_field(u32::MAX.into()), Ok(u32::MAX));
        assert!(matches!(length_field(1 << 32), Err(Error::InvalidArgument(why)) if why.contains("4 GiB")));
    }
}
