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

/// Size of a compressed stream: up to the end of the file.
pub const FDCKPT_UNTIL_EOF: u64 = u64::MAX;

/// An inflate index: random access to the output of a compressed stream, together with the file of
/// the stream. docs/format/inflate-index.md specifies the saved form.
///
/// Created by fdckpt_inflate_index_build or fdckpt_inflate_index_load, freed by
/// fdckpt_inflate_index_free. Threads that read the same stream load an index each.
pub struct fdckpt_inflate_index_t {
    /// Borrows the map, so it is the first field: dropped first.
    index: Index<'static>,
    cursor: IndexCursor<FdRange<'static>>,
    _map: Option<Mmap>,
}

/// Decompresses a stream and builds an index with one access point every `interval` bytes of output.
/// An access point takes 10 to 40 KB, up to twice that for Deflate64. On average, half an interval
/// is decompressed before the first byte of a read.
///
/// @param fd            descriptor of the file of the stream; not closed, its position is neither
///                      used nor changed; must stay open until the index is freed
/// @param start_offset  offset in bytes of the stream in the file
/// @param size          size of the stream in bytes, or FDCKPT_UNTIL_EOF. What follows the stream
///                      within that size is ignored, but belongs to what the index is compared with.
/// @param format        FDCKPT_INFLATE_DEFLATE, _DEFLATE64, _ZLIB or _GZIP
/// @param interval      bytes of output per access point, not 0; 4 MiB is a usual value
/// @param output_fd     descriptor to which the output is written; -1: nowhere
/// @return index, to be freed with fdckpt_inflate_index_free; or NULL, fdckpt_last_error() has the
///         code:
///         FDCKPT_ERR_CORRUPT           the stream is corrupt or truncated
///         FDCKPT_ERR_INVALID_STATE     fd has no size (a pipe, for example)
///         FDCKPT_ERR_INVALID_ARGUMENT  interval is 0, format is invalid, a descriptor is negative,
///                                      or the stream lies outside of the file
///         FDCKPT_ERR_IO                reading or writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_inflate_index_build(
    fd: c_int,
    start_offset: u64,
    size: u64,
    format: c_int,
    interval: u64,
    output_fd: c_int,
) -> *mut fdckpt_inflate_index_t {
    ffi::ffi_new(c"fdckpt_inflate_index_build", || {
        let format = Format::ALL.into_iter().find(|known| *known as c_int == format);
        let format = format.ok_or(InvalidArgument("unknown format"))?;
        let output =
            Output { fd: if output_fd == -1 { None } else { Some(ffi::borrow_fd(output_fd)?) }, written: 0, failed: None };
        let (mut input, mut output) = (FdRange::new(fd, start_offset, size)?, output);
        let index = Index::try_build(&mut input, &mut output, format, interval).map_err(|failure| match output.failed {
            Some(errno) => IoOperation::Write.failed_at(output.written)(errno).into(),
            None => input.reason(failure),
        })?;
        Ok(fdckpt_inflate_index_t { cursor: cursor(&index, input)?, index, _map: None })
    })
}

/// Saves an index: a CKPT container with sections of types 128 and 129. Nothing is synced.
///
/// @param index     index
/// @param index_fd  descriptor of an empty file open for writing; not closed
/// @return FDCKPT_OK
///         FDCKPT_ERR_IO                writing failed; the file is incomplete
///         FDCKPT_ERR_INVALID_ARGUMENT  index is NULL, or index_fd is negative
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: one thread at a time per index.
///
/// # Safety
/// `index` is a live handle that no other thread changes; `index_fd` is the caller's to use (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_save(index: *const fdckpt_inflate_index_t, index_fd: c_int) -> c_int {
    // SAFETY: `index` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_inflate_index_save", index, |handle| {
            Ok(handle.index.write_to(ffi::borrow_fd(index_fd)?).map(drop)?)
        })
    }
}

/// Loads a saved index by mapping its file, which must not be modified or truncated until the index
/// is freed. The other arguments must name the stream for which the index was built.
///
/// @param index_fd      descriptor of the file of the index open for reading; not closed; not needed
///                      after the call
/// @param fd            as for fdckpt_inflate_index_build
/// @param start_offset  as for fdckpt_inflate_index_build
/// @param size          as for fdckpt_inflate_index_build
/// @return index, to be freed with fdckpt_inflate_index_free; or NULL, fdckpt_last_error() has the
///         code:
///         FDCKPT_ERR_FORMAT            not an inflate index
///         FDCKPT_ERR_CORRUPT           the index is corrupt
///         FDCKPT_ERR_INVALID_STATE     the size of the stream differs from the one in the index, or
///                                      fd has no size
///         FDCKPT_ERR_INVALID_ARGUMENT  a descriptor is negative, or the stream lies outside of the
///                                      file
///         FDCKPT_ERR_IO                a file cannot be read or mapped
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_inflate_index_load(
    index_fd: c_int,
    fd: c_int,
    start_offset: u64,
    size: u64,
) -> *mut fdckpt_inflate_index_t {
    ffi::ffi_new(c"fdckpt_inflate_index_load", || {
        // SAFETY: the index is dropped before the map (order of the fields); no process modifies the file (documented
        // above).
        let (map, file) = unsafe { ffi::map_fd(index_fd) }?;
        let index = Index::parse(file)?;
        let input = FdRange::new(fd, start_offset, size)?;
        Ok(fdckpt_inflate_index_t { cursor: cursor(&index, input)?, index, _map: Some(map) })
    })
}

/// Reads output from any offset. Reading on from where the last call ended, or a little further,
/// continues there; otherwise decompression begins at the nearest access point before the offset.
///
/// The compressed data between two access points is compared by checksum with the data for which the
/// index was built before any of its output is returned.
///
/// @param index     index
/// @param offset    offset in bytes in the output
/// @param buffer    destination; contents unspecified if the call fails. May be NULL if capacity is
///                  0.
/// @param capacity  number of bytes at buffer
/// @param out_size  number of bytes read; less than capacity only at the end of the output. Written
///                  on success.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_STATE     the stream is not the one for which the index was built, or
///                                      has changed
///         FDCKPT_ERR_CORRUPT           the index is corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///         FDCKPT_ERR_IO                reading failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         After a failure the next call starts anew.
///
/// Thread safety: one thread at a time per index.
///
/// # Safety
/// `index` is a live handle that no other thread uses, `buffer` writable for `capacity` bytes, `out_size` an out
/// parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_read(
    index: *mut fdckpt_inflate_index_t,
    offset: u64,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `index` is NULL or a live handle used by this thread only, `buffer` writable by this call only, `out_size`
    // NULL or writable (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_inflate_index_read", index, |handle| {
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let buffer = ffi::slice_from_raw_mut(buffer, capacity)?;
            let read = handle.cursor.read_at(&handle.index, offset, buffer);
            out_size.write_unaligned(read.map_err(|failure| handle.cursor.input().reason(failure))?);
            Ok(())
        })
    }
}

/// Returns the size of the output and the number of access points.
///
/// @param index            index
/// @param out_output_size  size of the output in bytes; written on success. May be NULL.
/// @param out_point_count  number of access points; written on success. May be NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  index is NULL
///
/// Thread safety: one thread at a time per index.
///
/// # Safety
/// `index` is a live handle that no other thread changes, the others are NULL or out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_info(
    index: *const fdckpt_inflate_index_t,
    out_output_size: *mut u64,
    out_point_count: *mut u64,
) -> c_int {
    // SAFETY: `index` is NULL or a live handle that no thread modifies; the out parameters are NULL or writable (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_inflate_index_info", index, |handle| {
            for (pointer, value) in
                [(out_output_size, handle.index.output_size()), (out_point_count, handle.index.point_count() as u64)]
            {
                if !pointer.is_null() {
                    pointer.write_unaligned(value);
                }
            }
            Ok(())
        })
    }
}

/// Frees an index. No descriptor is closed.
///
/// @param index  index; may be NULL
///
/// Thread safety: any thread that is the last to use the index.
///
/// # Safety
/// `index` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_index_free(index: *mut fdckpt_inflate_index_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_inflate_index_free", index) }
}

fn cursor(index: &Index<'_>, input: FdRange<'static>) -> Result<IndexCursor<FdRange<'static>>, Error> {
    let reason = |failure| match failure {
        InputError::Library(error) => error,
        // A range fails only when it is read, which this does not.
        InputError::Input(_) => Error::Internal,
    };
    IndexCursor::new(index, input).map_err(reason)
}

/// A range of a file, read by its descriptor.
pub(super) struct FdRange<'f> {
    fd: BorrowedFd<'f>,
    start: u64,
    size: u64,
    at: u64,
}

impl FdRange<'_> {
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
            InputError::Input(error) => IoOperation::Read.failed_at(self.start + self.at)(Errno::from_io_error(&error)).into(),
        }
    }
}

impl Read for FdRange<'_> {
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

impl Seek for FdRange<'_> {
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

/// The destination of the output, if any.
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
