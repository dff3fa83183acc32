//! The functions fdckpt_inflate_index_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::BorrowedFd;

use super::ffi;
use crate::error_base::{InvalidArgument, IoOperation};
use crate::inflate::{Error, Format, Index, IndexCursor, InputError};
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::mmap::Mmap;

/// In place of the size of a compressed stream: it goes to the end of the file.
pub const FDCKPT_UNTIL_EOF: u64 = u64::MAX;

/// An index of a compressed stream, with which its output can be read from any offset on, together with the file that the stream is
/// in. docs/format/inflate-index.md specifies how it is saved.
///
/// It is made by fdckpt_inflate_index_build or _load and freed by fdckpt_inflate_index_free. It is used by one thread at a time;
/// several threads that read the same stream load an index each.
pub struct fdckpt_inflate_index_t {
    /// What it borrows is the map. (First, so that it is dropped first.)
    index: Index<'static>,
    cursor: IndexCursor<Part<'static>>,
    _map: Option<Mmap>,
}

/// fdckpt_inflate_index_build decompresses a stream and makes an index of it: a point for each every bytes of output, from which
/// decompression can begin, at a cost of some 10 to 40 KB, for Deflate64 up to twice that. A usual value for every is 4 MiB; half
/// of it is decompressed before the first byte comes, on average.
///
/// The stream is in the file that the descriptor fd is open for, from byte start on: size bytes, or FDCKPT_UNTIL_EOF. (What follows
/// the stream within size does not matter, but belongs to what the index is of.) fd's position does not matter and stays; fd must
/// stay open until the index is freed, or is used for reading no more. format is one of FDCKPT_INFLATE_DEFLATE and so on. The output is
/// written to the descriptor out_fd, or nowhere if that is -1.
///
/// On failure returns NULL. Reasons, by fdckpt_last_error: FDCKPT_ERR_CORRUPT, the stream is damaged or cut off;
/// FDCKPT_ERR_INVALID_ARGUMENT, every is 0, or there is no such format; FDCKPT_ERR_INVALID_STATE, fd has no size (it is a pipe, say);
/// FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_inflate_index_build(
    fd: c_int,
    start: u64,
    size: u64,
    format: c_int,
    every: u64,
    out_fd: c_int,
) -> *mut fdckpt_inflate_index_t {
    ffi::ffi_new(c"fdckpt_inflate_index_build", || {
        let format = Format::ALL.into_iter().find(|known| *known as c_int == format);
        let format = format.ok_or(InvalidArgument("unknown format"))?;
        let output = Output { fd: if out_fd == -1 { None } else { Some(ffi::borrow_fd(out_fd)?) }, written: 0, failed: None };
        let (mut input, mut output) = (Part::new(fd, start, size)?, output);
        let index = Index::try_build(&mut input, &mut output, format, every).map_err(|failure| match output.failed {
            Some(errno) => IoOperation::Write.failed_at(output.written)(errno).into(),
            None => input.reason(failure),
        })?;
        Ok(fdckpt_inflate_index_t { cursor: cursor(&index, input)?, index, _map: None })
    })
}

/// fdckpt_inflate_index_save writes the index to the descriptor index_fd, which must be open for an empty file: a container in
/// the "CKPT" format with sections of types 128 and 129. Nothing is synced.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY; FDCKPT_ERR_IO, and then the file has a part of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_save(index: *const fdckpt_inflate_index_t, index_fd: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_inflate_index_save", index, |handle| {
            Ok(handle.index.write_to(ffi::borrow_fd(index_fd)?).map(drop)?)
        })
    }
}

/// fdckpt_inflate_index_load returns the index that is in the file of the descriptor index_fd, which is mapped into memory, and
/// can be closed right after: nobody may change or shorten the file until the index is freed, as for fdckpt_container_open. The
/// other arguments are as for fdckpt_inflate_index_build: they are to name the same stream.
///
/// On failure returns NULL. Reasons: FDCKPT_ERR_FORMAT, the file is no index; FDCKPT_ERR_CORRUPT, it is damaged;
/// FDCKPT_ERR_INVALID_STATE, the stream has another size than the one that the index was made of, or fd has none; FDCKPT_ERR_INVALID_ARGUMENT;
/// FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_inflate_index_load(index_fd: c_int, fd: c_int, start: u64, size: u64) -> *mut fdckpt_inflate_index_t {
    ffi::ffi_new(c"fdckpt_inflate_index_load", || {
        // SAFETY: the index is dropped before the map; the caller promises that nobody changes the file.
        let (map, file) = unsafe { ffi::map_fd(index_fd) }?;
        let index = Index::parse(file)?;
        let input = Part::new(fd, start, size)?;
        Ok(fdckpt_inflate_index_t { cursor: cursor(&index, input)?, index, _map: Some(map) })
    })
}

/// fdckpt_inflate_index_read reads output from the byte offset on, counted from 0, to the sz bytes at buf. Reading on where the
/// last call ended, or a little further, goes on from there; else decompression begins at the nearest point.
///
/// Before anything of a part of the stream is returned, from one point to the next, it is compared by checksum with what the index
/// was made of.
///
/// On success returns FDCKPT_OK, and *_got is how many bytes were read: less than sz, or 0, only at the end of the output. On
/// failure *_got is untouched, the bytes at buf can be changed, and another call begins anew. Reasons: FDCKPT_ERR_INVALID_STATE, the stream
/// is not the one that the index was made of, or has changed; FDCKPT_ERR_CORRUPT, the index is damaged; FDCKPT_ERR_INVALID_ARGUMENT;
/// FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_read(
    index: *mut fdckpt_inflate_index_t,
    offset: u64,
    buf: *mut c_void,
    sz: usize,
    _got: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_inflate_index_read", index, |handle| {
            ffi::ensure_non_null(_got, "the pointer for a result is NULL")?;
            let buf = ffi::slice_from_raw_mut(buf, sz)?;
            let read = handle.cursor.read_at(&handle.index, offset, buf);
            _got.write_unaligned(read.map_err(|failure| handle.cursor.input().reason(failure))?);
            Ok(())
        })
    }
}

/// fdckpt_inflate_index_info tells the size of the output in *output, and in *points how many points the index has. Either may be
/// NULL.
///
/// Returns FDCKPT_OK, or FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_info(
    index: *const fdckpt_inflate_index_t,
    output: *mut u64,
    points: *mut u64,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_inflate_index_info", index, |handle| {
            for (pointer, value) in [(output, handle.index.output_size()), (points, handle.index.access_point_count() as u64)] {
                if !pointer.is_null() {
                    pointer.write_unaligned(value);
                }
            }
            Ok(())
        })
    }
}

/// fdckpt_inflate_index_free frees the index. It may be NULL. No descriptor is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_free(index: *mut fdckpt_inflate_index_t) {
    // SAFETY: the caller has it from one of the functions above, and uses it no more.
    unsafe { ffi::free(c"fdckpt_inflate_index_free", index) }
}

fn cursor(index: &Index<'_>, input: Part<'static>) -> Result<IndexCursor<Part<'static>>, Error> {
    let reason = |failure| match failure {
        InputError::Library(error) => error,
        // A part has no failures of its own for what this does.
        InputError::Input(_) => Error::Internal,
    };
    IndexCursor::new(index, input).map_err(reason)
}

/// A part of a file.
pub(super) struct Part<'f> {
    fd: BorrowedFd<'f>,
    start: u64,
    size: u64,
    at: u64,
}

impl Part<'_> {
    fn new(fd: c_int, start: u64, size: u64) -> Result<Self, Error> {
        let fd = ffi::borrow_fd(fd)?;
        let (all, _) = fd::size_and_position(fd).ok_or(Error::NotSeekable)?;
        let left =
            (all as u64).checked_sub(start).ok_or(InvalidArgument("the start of the stream is past the end of the file"))?;
        let size = if size == FDCKPT_UNTIL_EOF { left } else { size };
        if size > left {
            return Err(InvalidArgument("the end of the stream is past the end of the file").into());
        }
        Ok(Self { fd, start, size, at: 0 })
    }

    fn reason(&self, failure: InputError) -> Error {
        match failure {
            InputError::Library(error) => error,
            InputError::Input(error) => IoOperation::Read.failed_at(self.start + self.at)(Errno::of(&error)).into(),
        }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = to.len().min(usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(0);
        }
        let offset = self.start + self.at;
        let read = fd::read_at(self.fd, offset as i64, &mut to[..count])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        self.at = position.filter(|position| *position <= self.size).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Where output goes, if anywhere.
struct Output<'f> {
    fd: Option<BorrowedFd<'f>>,
    written: u64,
    failed: Option<Errno>,
}

impl Write for Output<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if let Some(fd) = self.fd {
            fd::write_all(fd, from, &[]).inspect_err(|&errno| self.failed = Some(errno))?;
            self.written += from.len() as u64;
        }
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
