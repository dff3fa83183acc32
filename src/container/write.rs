//! Writing a container.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::error::Error;
use super::metadata::{self, Entry};
use super::trailer::{MAGIC, TRAILER_SIZE};
use super::{Container, Source};
use crate::alloc::try_with_capacity;
use crate::error_base::IoOperation;
use crate::sys::fd;
use crate::sys::mmap::advise_huge_pages_for;

/// Size in bytes of the buffer that collects small pieces before they are written to a descriptor.
const BUFFER_SIZE: usize = 65_536;

impl Container<'_> {
    /// Returns the size in bytes of the serialized container. ([`append_to`](Self::append_to) writes another size.)
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the metadata would exceed 4 GiB.
    pub fn serialized_size(&self) -> Result<u64, Error> {
        let mut count = ByteCounter(0);
        _ = self.write_meta(&mut count, self.as_written());
        length_field(count.0)?;
        Ok(self.data_size() + count.0 + TRAILER_SIZE as u64)
    }

    /// Serializes the container to memory.
    ///
    /// A parsed container that was not changed keeps the bytes between its sections.
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

    /// Serializes the container to `buffer`. Returns the number of bytes written.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] (nothing is written then); and as for [`serialize`](Self::serialize).
    pub fn serialize_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let (needed, size) = (self.serialized_size()?, buffer.len() as u64);
        let mut rest =
            buffer.get_mut(..needed as usize).filter(|_| needed <= size).ok_or(Error::BufferTooSmall { size, needed })?;
        self.each_piece(|piece| {
            let (to, later) = std::mem::take(&mut rest).split_at_mut_checked(piece.len()).ok_or(Error::Internal)?;
            to.copy_from_slice(piece);
            rest = later;
            Ok(())
        })?;
        Ok(needed as usize)
    }

    /// Writes the container to `fd`, a file, pipe or socket, from its current position on. Returns the number of bytes written.
    ///
    /// The file must contain nothing but the container, because the trailer is located by the file's end and offsets count from its start.
    /// So write to an empty file. Nothing is synced.
    ///
    /// # Errors
    /// [`Error::Io`], after which the file is incomplete; [`Error::OutOfMemory`]; as for
    /// [`serialized_size`](Self::serialized_size).
    pub fn write_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        let mut writer = BufferedFd::new(fd.as_fd(), 0)?;
        self.each_piece(|piece| writer.put(piece))?;
        writer.flush()
    }

    /// Writes the container to any writer, as [`write_to`](Self::write_to) does.
    ///
    /// # Errors
    /// Errors of `to`; [`io::ErrorKind::OutOfMemory`]; an [`Error`] inside, as for
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

    /// Updates the parsed file without rewriting its data: appends the data that was set, and metadata of all sections. Returns the
    /// file's new size.
    ///
    /// `fd` must be open for reading and writing, and refer to the file that was parsed. If its size, metadata or trailer differ, nothing
    /// is written; its data is not compared. Old data and metadata remain in the file as a gap between sections. To append again, parse
    /// the file again. For a container that was not parsed, `fd` must be an empty file. On success its position is the end of the file.
    ///
    /// Data is written first, the trailer last. If writing fails, the file is truncated to its old size. A crash may leave a part of the
    /// new data at the end; truncated to its old size, the file is the old container again. Nothing is synced, so after a system crash
    /// the trailer may be present without the data. Nothing is locked: no other process may write to the file meanwhile.
    ///
    /// # Errors
    /// [`Error::FileChanged`] if the file differs; [`Error::SectionOutOfRange`] if a remaining section can't be read; [`Error::Io`];
    /// [`Error::OutOfMemory`]; [`Error::InvalidArgument`] if the metadata would exceed 4 GiB.
    pub fn append_to(&self, fd: impl AsFd) -> Result<u64, Error> {
        let fd = fd.as_fd();
        let before = self.file.len() as u64;
        self.sections.iter().try_for_each(|placed| self.data_of(placed).map(drop))?;
        let mut writer = BufferedFd::new(fd, before)?;
        // Encoded first, so that a failure leaves the file unchanged.
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
        writer.ensure_unchanged(self.file, self.data_size)?;

        let set = self.sections.iter().filter(|placed| placed.source == Source::Set);
        let result = set
            .map(|placed| self.data_of(placed))
            .chain([Ok(&tail[..])])
            .try_for_each(|piece| writer.put(piece?))
            .and_then(|()| writer.flush());
        if result.is_err() {
            // The first error is reported.
            _ = fd::ftruncate(fd, before as i64);
        }
        result
    }

    /// Calls `write` with the serialized container, piece by piece.
    fn each_piece(&self, mut write: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let tail = self.tail(self.as_written())?;
        if self.is_verbatim {
            write(&self.file[..self.data_size])?;
        } else {
            self.sections.iter().try_for_each(|placed| write(self.data_of(placed)?))?;
        }
        write(&tail)
    }

    fn data_size(&self) -> u64 {
        if self.is_verbatim { self.data_size as u64 } else { self.end() as u64 }
    }

    fn as_written(&self) -> impl Iterator<Item = Entry> {
        self.sections.iter().map(|placed| placed.entry)
    }

    fn write_meta(&self, to: &mut impl fmt::Write, entries: impl Iterator<Item = Entry>) -> fmt::Result {
        let has_list = !self.sections.is_empty() || self.has_empty_list;
        metadata::write(to, self.version(), has_list.then_some(entries))
    }

    /// Encodes metadata and trailer.
    fn tail(&self, entries: impl Iterator<Item = Entry>) -> Result<Vec<u8>, Error> {
        with_trailer(|to| self.write_meta(to, entries))
    }
}

/// Encodes metadata and trailer for data that the caller writes itself: sections with type, offset and length.
pub(crate) fn tail(sections: &[(u8, u64, u64)]) -> Result<Vec<u8>, Error> {
    let entry = |&(kind, offset, length)| Entry { offset: offset as i64, length: length as i64, kind };
    with_trailer(|to| metadata::write(to, 1, Some(sections.iter().map(entry))))
}

fn with_trailer(write_meta: impl FnOnce(&mut FallibleBytes) -> fmt::Result) -> Result<Vec<u8>, Error> {
    let mut tail = FallibleBytes(Vec::new());
    write_meta(&mut tail).map_err(|fmt::Error| Error::OutOfMemory)?;
    let FallibleBytes(mut tail) = tail;
    tail.try_reserve_exact(TRAILER_SIZE)?;
    let length = length_field(tail.len() as u64)?;
    tail.extend_from_slice(&length.to_le_bytes());
    tail.extend_from_slice(MAGIC);
    Ok(tail)
}

fn length_field(size: u64) -> Result<u32, Error> {
    u32::try_from(size).map_err(|_| Error::InvalidArgument("too many sections: the metadata exceeds 4 GiB"))
}

/// Counts the bytes written to it.
struct ByteCounter(u64);

impl fmt::Write for ByteCounter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

/// Collects the bytes written to it; fails if an allocation fails.
struct FallibleBytes(Vec<u8>);

impl fmt::Write for FallibleBytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A descriptor with a buffer for small pieces.
struct BufferedFd<'f> {
    fd: BorrowedFd<'f>,
    buffer: Vec<u8>,
    /// Offset of the buffered bytes in the file.
    offset: u64,
}

impl<'f> BufferedFd<'f> {
    fn new(fd: BorrowedFd<'f>, offset: u64) -> Result<Self, Error> {
        let buffer = try_with_capacity(BUFFER_SIZE)?;
        Ok(Self { fd, buffer, offset })
    }

    fn put(&mut self, piece: &[u8]) -> Result<(), Error> {
        if piece.len() <= BUFFER_SIZE - self.buffer.len() {
            self.buffer.extend_from_slice(piece);
            return Ok(());
        }
        self.write(piece)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        fd::write_all(self.fd, &self.buffer, piece).map_err(IoOperation::Write.failed_at(self.offset))?;
        self.offset += (self.buffer.len() + piece.len()) as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the buffer and returns the offset of the end.
    fn flush(&mut self) -> Result<u64, Error> {
        self.write(&[])?;
        Ok(self.offset)
    }

    /// Fails unless the descriptor's file has the size of `file` and the same bytes from `from` on. Leaves its position at the end.
    fn ensure_unchanged(&mut self, file: &[u8], from: usize) -> Result<(), Error> {
        let seeking = IoOperation::Seek.failed_at(0);
        if fd::seek_end(self.fd).map_err(&seeking)? != file.len() as i64 {
            return Err(Error::FileChanged);
        }
        fd::seek(self.fd, from as i64).map_err(&seeking)?;
        self.buffer.resize(BUFFER_SIZE, 0);
        let (mut rest, mut offset) = (&file[from..], from as u64);
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(BUFFER_SIZE));
            let reading = IoOperation::Read.failed_at(offset);
            let found = &mut self.buffer[..part.len()];
            let got = fd::read_at_least(self.fd, found, &mut [], part.len()).map_err(reading)?;
            if got < part.len() || found != part {
                return Err(Error::FileChanged);
            }
            (rest, offset) = (later, offset + got as u64);
        }
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_metadata_of_4_gib() {
        assert_eq!(length_field(u32::MAX.into()), Ok(u32::MAX));
        assert!(matches!(length_field(1 << 32), Err(Error::InvalidArgument(why)) if why.contains("4 GiB")));
    }
}
