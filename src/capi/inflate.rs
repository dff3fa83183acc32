//! The functions of fdckpt.h for resumable inflate. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::{mem, ptr};

use super::error_code::{FDCKPT_ERR_CORRUPT, FDCKPT_OK};
use super::fixed_string::FixedString;
use super::struct_size::{self, Output, growable};
use super::{ffi, log};
use crate::error_base::InvalidArgument;
use crate::inflate::{CHECKPOINT_MAX, CheckpointEncoding, DataError, Error, Format, Inflate, Position, Progress, Status};

/// Formats of compressed streams.
#[repr(C)]
pub enum fdckpt_inflate_format_t {
    /// Raw Deflate (method 8 of zip files).
    FDCKPT_INFLATE_DEFLATE = 0,
    /// Raw Deflate64 (method 9 of zip files).
    FDCKPT_INFLATE_DEFLATE64 = 1,
    /// zlib.
    FDCKPT_INFLATE_ZLIB = 2,
    /// gzip, with one or more members.
    FDCKPT_INFLATE_GZIP = 3,
}

constants! { fdckpt_inflate_format_t:
    FDCKPT_INFLATE_DEFLATE FDCKPT_INFLATE_DEFLATE64 FDCKPT_INFLATE_ZLIB FDCKPT_INFLATE_GZIP
}

/// Results of fdckpt_inflate that are no errors, beside FDCKPT_OK.
#[repr(C)]
pub enum fdckpt_inflate_status_t {
    /// The stream, or a gzip member, has ended, and all output was returned. avail_in counts the
    /// input that follows. (zlib: Z_STREAM_END)
    FDCKPT_INFLATE_STREAM_END = 1,
    /// No progress is possible without more input or output space; call again with more. (zlib:
    /// Z_BUF_ERROR)
    FDCKPT_INFLATE_NEED_MORE = 2,
}

constants! { fdckpt_inflate_status_t: FDCKPT_INFLATE_STREAM_END FDCKPT_INFLATE_NEED_MORE }

/// Encodings of a checkpoint of a stream.
#[repr(C)]
pub enum fdckpt_inflate_checkpoint_encoding_t {
    /// Self-describing: stores the format and the exact positions of input and output. The default.
    FDCKPT_INFLATE_CHECKPOINT_FULL = 0,
    /// As FULL, with the window compressed by LZ4: smaller, but slower.
    FDCKPT_INFLATE_CHECKPOINT_COMPACT = 1,
    /// Layout of the crate deflate64, for raw streams. Its position may be some bytes before the
    /// input that was consumed. Does not store whether the stream is Deflate or Deflate64.
    FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0 = 2,
    /// As DEFLATE64_V0, layout version 0x1001.
    FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001 = 3,
}

constants! { fdckpt_inflate_checkpoint_encoding_t:
    FDCKPT_INFLATE_CHECKPOINT_FULL FDCKPT_INFLATE_CHECKPOINT_COMPACT FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0
    FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001
}

/// Maximum size of a checkpoint in bytes. (Usual are less than 66300, near the start of a stream
/// less than 1000.)
pub const FDCKPT_INFLATE_CHECKPOINT_MAX: usize = 262900;

/// What is wrong with compressed data: fdckpt_inflate_t.error_code after FDCKPT_ERR_CORRUPT; 0
/// before.
#[repr(C)]
pub enum fdckpt_inflate_error_t {
    /// Invalid block type.
    FDCKPT_INFLATE_ERR_BLOCK_TYPE = 1,
    /// Length of a stored block and its complement do not match.
    FDCKPT_INFLATE_ERR_STORED_LENGTH = 2,
    /// More literal or distance codes than the format has.
    FDCKPT_INFLATE_ERR_TOO_MANY_CODES = 3,
    /// The code of the code lengths is invalid.
    FDCKPT_INFLATE_ERR_LENGTH_CODES = 4,
    /// A code length is repeated where there is none before.
    FDCKPT_INFLATE_ERR_NOTHING_TO_REPEAT = 5,
    /// More code lengths than codes.
    FDCKPT_INFLATE_ERR_TOO_MANY_LENGTHS = 6,
    /// No code for the end of the block.
    FDCKPT_INFLATE_ERR_NO_END_OF_BLOCK = 7,
    /// The literal codes are over-subscribed.
    FDCKPT_INFLATE_ERR_LITERAL_CODES_OVERSUBSCRIBED = 8,
    /// The literal codes are incomplete.
    FDCKPT_INFLATE_ERR_LITERAL_CODES_INCOMPLETE = 9,
    /// The distance codes are over-subscribed.
    FDCKPT_INFLATE_ERR_DISTANCE_CODES_OVERSUBSCRIBED = 10,
    /// The distance codes are incomplete.
    FDCKPT_INFLATE_ERR_DISTANCE_CODES_INCOMPLETE = 11,
    /// Invalid literal or length code.
    FDCKPT_INFLATE_ERR_LITERAL_CODE = 12,
    /// Invalid distance code.
    FDCKPT_INFLATE_ERR_DISTANCE_CODE = 13,
    /// A distance reaches before the start of the output.
    FDCKPT_INFLATE_ERR_DISTANCE_TOO_FAR = 14,
    /// Invalid zlib header.
    FDCKPT_INFLATE_ERR_ZLIB_HEADER = 15,
    /// The zlib stream needs a preset dictionary.
    FDCKPT_INFLATE_ERR_ZLIB_DICTIONARY = 16,
    /// Invalid zlib window size.
    FDCKPT_INFLATE_ERR_ZLIB_WINDOW = 17,
    /// Invalid gzip header.
    FDCKPT_INFLATE_ERR_GZIP_HEADER = 18,
    /// Unknown gzip compression method.
    FDCKPT_INFLATE_ERR_GZIP_METHOD = 19,
    /// Reserved gzip flags are set.
    FDCKPT_INFLATE_ERR_GZIP_FLAGS = 20,
    /// The checksum of the gzip header does not match.
    FDCKPT_INFLATE_ERR_GZIP_HEADER_CHECKSUM = 21,
    /// The checksum of the output does not match.
    FDCKPT_INFLATE_ERR_CHECKSUM = 22,
    /// The stored size of the output does not match.
    FDCKPT_INFLATE_ERR_LENGTH = 23,
}

constants! { fdckpt_inflate_error_t:
    FDCKPT_INFLATE_ERR_BLOCK_TYPE FDCKPT_INFLATE_ERR_STORED_LENGTH FDCKPT_INFLATE_ERR_TOO_MANY_CODES
    FDCKPT_INFLATE_ERR_LENGTH_CODES FDCKPT_INFLATE_ERR_NOTHING_TO_REPEAT FDCKPT_INFLATE_ERR_TOO_MANY_LENGTHS
    FDCKPT_INFLATE_ERR_NO_END_OF_BLOCK FDCKPT_INFLATE_ERR_LITERAL_CODES_OVERSUBSCRIBED
    FDCKPT_INFLATE_ERR_LITERAL_CODES_INCOMPLETE FDCKPT_INFLATE_ERR_DISTANCE_CODES_OVERSUBSCRIBED
    FDCKPT_INFLATE_ERR_DISTANCE_CODES_INCOMPLETE FDCKPT_INFLATE_ERR_LITERAL_CODE FDCKPT_INFLATE_ERR_DISTANCE_CODE
    FDCKPT_INFLATE_ERR_DISTANCE_TOO_FAR FDCKPT_INFLATE_ERR_ZLIB_HEADER FDCKPT_INFLATE_ERR_ZLIB_DICTIONARY
    FDCKPT_INFLATE_ERR_ZLIB_WINDOW FDCKPT_INFLATE_ERR_GZIP_HEADER FDCKPT_INFLATE_ERR_GZIP_METHOD FDCKPT_INFLATE_ERR_GZIP_FLAGS
    FDCKPT_INFLATE_ERR_GZIP_HEADER_CHECKSUM FDCKPT_INFLATE_ERR_CHECKSUM FDCKPT_INFLATE_ERR_LENGTH
}

const _: () = {
    let faults = [
        (FDCKPT_INFLATE_ERR_BLOCK_TYPE, DataError::BlockType),
        (FDCKPT_INFLATE_ERR_STORED_LENGTH, DataError::StoredLength),
        (FDCKPT_INFLATE_ERR_TOO_MANY_CODES, DataError::TooManyCodes),
        (FDCKPT_INFLATE_ERR_LENGTH_CODES, DataError::LengthCodes),
        (FDCKPT_INFLATE_ERR_NOTHING_TO_REPEAT, DataError::NothingToRepeat),
        (FDCKPT_INFLATE_ERR_TOO_MANY_LENGTHS, DataError::TooManyLengths),
        (FDCKPT_INFLATE_ERR_NO_END_OF_BLOCK, DataError::NoEndOfBlock),
        (FDCKPT_INFLATE_ERR_LITERAL_CODES_OVERSUBSCRIBED, DataError::LiteralCodesOversubscribed),
        (FDCKPT_INFLATE_ERR_LITERAL_CODES_INCOMPLETE, DataError::LiteralCodesIncomplete),
        (FDCKPT_INFLATE_ERR_DISTANCE_CODES_OVERSUBSCRIBED, DataError::DistanceCodesOversubscribed),
        (FDCKPT_INFLATE_ERR_DISTANCE_CODES_INCOMPLETE, DataError::DistanceCodesIncomplete),
        (FDCKPT_INFLATE_ERR_LITERAL_CODE, DataError::LiteralCode),
        (FDCKPT_INFLATE_ERR_DISTANCE_CODE, DataError::DistanceCode),
        (FDCKPT_INFLATE_ERR_DISTANCE_TOO_FAR, DataError::DistanceTooFar),
        (FDCKPT_INFLATE_ERR_ZLIB_HEADER, DataError::ZlibHeader),
        (FDCKPT_INFLATE_ERR_ZLIB_DICTIONARY, DataError::ZlibDictionary),
        (FDCKPT_INFLATE_ERR_ZLIB_WINDOW, DataError::ZlibWindow),
        (FDCKPT_INFLATE_ERR_GZIP_HEADER, DataError::GzipHeader),
        (FDCKPT_INFLATE_ERR_GZIP_METHOD, DataError::GzipMethod),
        (FDCKPT_INFLATE_ERR_GZIP_FLAGS, DataError::GzipFlags),
        (FDCKPT_INFLATE_ERR_GZIP_HEADER_CHECKSUM, DataError::GzipHeaderChecksum),
        (FDCKPT_INFLATE_ERR_CHECKSUM, DataError::Checksum),
        (FDCKPT_INFLATE_ERR_LENGTH, DataError::Length),
    ];
    let mut index = 0;
    while index < faults.len() {
        assert!(faults[index].0 == faults[index].1 as c_int && faults[index].0 == index as c_int + 1);
        index += 1;
    }
    let formats = [FDCKPT_INFLATE_DEFLATE, FDCKPT_INFLATE_DEFLATE64, FDCKPT_INFLATE_ZLIB, FDCKPT_INFLATE_GZIP];
    let encodings = [
        FDCKPT_INFLATE_CHECKPOINT_FULL,
        FDCKPT_INFLATE_CHECKPOINT_COMPACT,
        FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0,
        FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001,
    ];
    index = 0;
    while index < formats.len() {
        assert!(formats[index] == Format::ALL[index] as c_int && encodings[index] == CheckpointEncoding::ALL[index] as c_int);
        index += 1;
    }
    assert!(FDCKPT_INFLATE_CHECKPOINT_MAX == CHECKPOINT_MAX);
};

/// Position of a checkpoint in its stream. Its layout is frozen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_inflate_position_t {
    /// Offset in bytes in the compressed stream: input continues here.
    pub in_offset: u64,
    /// Offset in bytes in the output: output continues here.
    pub out_offset: u64,
}

/// The library's state of a stream.
pub struct fdckpt_inflate_state_t {
    inflate: Inflate,
    /// Message of the last call, if it failed.
    message: FixedString<256>,
    /// After a defect of the library, only reset, restore and end are possible.
    is_broken: bool,
    /// The error of the stream was logged.
    is_logged: bool,
}

/// A stream that is decompressed, like zlib's z_stream. Initialise with FDCKPT_INFLATE_INIT.
///
/// The caller sets next_in, avail_in, next_out and avail_out before each call of fdckpt_inflate,
/// which advances them; all other fields are the library's. A stream may be moved between calls; of
/// a copy, only one may be used.
#[repr(C)]
pub struct fdckpt_inflate_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Next byte of input. Read during calls of fdckpt_inflate only.
    pub next_in: *const u8,
    /// Number of bytes at next_in.
    pub avail_in: usize,
    /// Number of bytes of input consumed so far.
    pub total_in: u64,
    /// Destination of the next byte of output.
    pub next_out: *mut u8,
    /// Number of bytes at next_out.
    pub avail_out: usize,
    /// Number of bytes of output produced so far.
    pub total_out: u64,
    /// Error message of the last call; NULL if it succeeded. Valid until the next call with this
    /// stream.
    pub msg: *const c_char,
    /// The library's; NULL if the stream is not initialised.
    pub state: *mut fdckpt_inflate_state_t,
    /// After FDCKPT_ERR_CORRUPT of fdckpt_inflate: offset in bits of the invalid symbol, block header
    /// or field, from the start of the stream (bit 0 is the lowest bit of the first byte).
    pub error_bit_offset: u64,
    /// After FDCKPT_ERR_CORRUPT of fdckpt_inflate: FDCKPT_INFLATE_ERR_*, else 0.
    pub error_code: c_int,
    /// 0.
    pub reserved: c_int,
}

growable! { fdckpt_inflate_t { first_size: 88, last: reserved: c_int, init: "FDCKPT_INFLATE_INIT" } }

/// Initialises a stream at its start. Takes about 24 KB of memory, and up to 256 KiB more as output
/// is produced.
///
/// @param strm    stream; of its fields, struct_size must be set (FDCKPT_INFLATE_INIT)
/// @param format  FDCKPT_INFLATE_DEFLATE, _DEFLATE64, _ZLIB or _GZIP
/// @return FDCKPT_OK: fdckpt_inflate_end must be called eventually
///         FDCKPT_ERR_INVALID_ARGUMENT  strm is NULL, misaligned or without a valid struct_size, or
///                                      format is invalid
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         After a failure fdckpt_inflate_end need not be called, but may be.
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an output struct (see [`crate::capi`]); a state that it already has is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_init(strm: *mut fdckpt_inflate_t, format: c_int) -> c_int {
    const NAME: &CStr = c"fdckpt_inflate_init";
    let initialised = ffi::check_handle(strm).map_err(Error::from).and_then(|strm| {
        // SAFETY: not NULL (checked), so readable and writable for its struct_size (caller).
        let (mut stream, out) = unsafe { (struct_size::read(strm.as_ptr())?, Output::required(strm.as_ptr())?) };
        let result = ffi::catch_panic(|| {
            (stream.state, stream.msg) = (ptr::null_mut(), ptr::null());
            (stream.total_in, stream.total_out, stream.error_bit_offset, stream.error_code) = (0, 0, 0, 0);
            let format = Format::ALL.into_iter().find(|known| *known as c_int == format);
            let inflate = Inflate::new(format.ok_or(InvalidArgument("unknown format"))?)?;
            let (message, is_broken, is_logged) = (FixedString::new(), false, false);
            stream.state = ffi::try_box_raw(fdckpt_inflate_state_t { inflate, message, is_broken, is_logged })?;
            Ok(())
        });
        out.write(stream);
        result
    });
    match initialised {
        Ok(()) => FDCKPT_OK,
        Err(error) => log::report(NAME, &error.into()),
    }
}

/// Decompresses as far as input and output space go, like inflate( strm, Z_NO_FLUSH ) of zlib. How
/// input and output are split into calls makes no difference to the output. Bytes of the output
/// space after the output may be changed. Input and output must not overlap.
///
/// A gzip file may have several members: after FDCKPT_INFLATE_STREAM_END, call again if there is
/// more input. A further member continues with the same totals. Input that does not begin with the
/// byte 0x1f is no member: it is not consumed, and FDCKPT_INFLATE_STREAM_END is returned again. So a
/// file has ended if that code is returned with avail_in not 0, or when there is no more input.
///
/// @param strm  initialised stream
/// @return FDCKPT_OK: progress was made
///         FDCKPT_INFLATE_STREAM_END    the stream has ended and all output was returned
///         FDCKPT_INFLATE_NEED_MORE     no progress is possible: call again with more input or
///                                      output space; without more input, the stream is truncated
///         FDCKPT_ERR_CORRUPT           the data is corrupt: see msg, error_bit_offset and
///                                      error_code. The output before was returned; each further
///                                      call fails alike.
///         FDCKPT_ERR_NO_MEMORY         allocation failed; the call may be retried
///         FDCKPT_ERR_INVALID_ARGUMENT  strm is NULL, misaligned or not initialised; or a buffer is
///                                      NULL though its size is not 0, or too large; or input and
///                                      output overlap
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an initialised stream that no other thread uses; its `next_in` is readable for `avail_in` bytes, its
/// `next_out` writable for `avail_out` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate(strm: *mut fdckpt_inflate_t) -> c_int {
    // SAFETY: `strm` is NULL or an initialised stream used by this thread only, with a readable input and a writable output
    // (caller).
    unsafe {
        call(c"fdckpt_inflate", strm, |strm, state| {
            let (from, to) = (strm.next_in as usize, strm.next_out as usize);
            if from < to.saturating_add(strm.avail_out) && to < from.saturating_add(strm.avail_in) {
                return Err(InvalidArgument("input and output overlap").into());
            }
            let input = ffi::slice_from_raw(strm.next_in.cast(), strm.avail_in)?;
            let output = ffi::slice_from_raw_mut(strm.next_out.cast(), strm.avail_out)?;
            let Progress { consumed, produced, result } = state.inflate.decompress(input, output);
            strm.next_in = strm.next_in.wrapping_add(consumed);
            strm.next_out = strm.next_out.wrapping_add(produced);
            (strm.avail_in, strm.avail_out) = (strm.avail_in - consumed, strm.avail_out - produced);
            strm.set_totals(&state.inflate);
            match result? {
                Status::Done => Ok(FDCKPT_INFLATE_STREAM_END),
                Status::NeedsInput | Status::NeedsOutput if consumed > 0 || produced > 0 => Ok(FDCKPT_OK),
                Status::NeedsInput | Status::NeedsOutput => Ok(FDCKPT_INFLATE_NEED_MORE),
            }
        })
    }
}

/// Returns an upper bound of the size of a checkpoint taken now.
///
/// @param strm      initialised stream
/// @param encoding  FDCKPT_INFLATE_CHECKPOINT_*
/// @return bound in bytes, at most FDCKPT_INFLATE_CHECKPOINT_MAX; 0 if an argument is invalid
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an initialised stream that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_checkpoint_bound(strm: *mut fdckpt_inflate_t, encoding: c_int) -> usize {
    let mut bound = 0;
    // SAFETY: `strm` is NULL or an initialised stream used by this thread only (caller).
    let result = unsafe {
        call(c"fdckpt_inflate_checkpoint_bound", strm, |_, state| {
            bound = state.inflate.checkpoint_bound(parse_encoding(encoding)?);
            Ok(FDCKPT_OK)
        })
    };
    if result == FDCKPT_OK { bound } else { 0 }
}

/// Saves the state of a stream, at any point between calls. fdckpt_inflate_restore continues from it
/// in another stream or process. The stream itself continues as if nothing had happened.
///
/// @param strm          initialised stream
/// @param encoding      FDCKPT_INFLATE_CHECKPOINT_*; FULL is the one for ordinary use
/// @param buffer        destination
/// @param capacity      number of bytes at buffer
/// @param out_size      size of the checkpoint in bytes; after FDCKPT_ERR_BUFFER_TOO_SMALL, the
///                      required capacity
/// @param out_position  where input and output continue: total_in and total_out for FULL and
///                      COMPACT; others may continue earlier in the input. Written on success. May
///                      be NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_BUFFER_TOO_SMALL  capacity is too small
///         FDCKPT_ERR_INVALID_STATE     the stream has failed
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is invalid, or the encoding is not for this
///                                      format
///         FDCKPT_ERR_NO_MEMORY         allocation failed (COMPACT only)
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an initialised stream that no other thread uses, `buffer` writable for `capacity` bytes, `out_size` an out
/// parameter, `out_position` NULL or an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_checkpoint(
    strm: *mut fdckpt_inflate_t,
    encoding: c_int,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
    out_position: *mut fdckpt_inflate_position_t,
) -> c_int {
    // SAFETY: `strm` is NULL or an initialised stream used by this thread only, `buffer` writable by this call only; the
    // out parameters are NULL or writable (caller).
    unsafe {
        call(c"fdckpt_inflate_checkpoint", strm, |_, state| {
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let (encoding, buffer) = (parse_encoding(encoding)?, ffi::slice_from_raw_mut(buffer, capacity)?);
            match state.inflate.checkpoint_into(encoding, buffer) {
                Ok((size, at)) => {
                    out_size.write_unaligned(size);
                    write_position(out_position, at);
                    Ok(FDCKPT_OK)
                }
                Err(error) => {
                    if let Error::BufferTooSmall { needed, .. } = error {
                        out_size.write_unaligned(needed as usize);
                    }
                    Err(error)
                }
            }
        })
    }
}

/// Restores the state of a stream, whatever it did before. Then move input and output to the
/// position, and set next_in, avail_in, next_out and avail_out before fdckpt_inflate is called.
///
/// @param strm          stream, initialised for the format of the checkpoint (which the encodings
///                      FULL and COMPACT verify)
/// @param data          checkpoint of any encoding
/// @param size          number of bytes at data
/// @param out_position  where input and output continue, as total_in and total_out; written on
///                      success. May be NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_CORRUPT           not a checkpoint of this format, or corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is invalid
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         If the call fails, the stream is as it was.
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an initialised stream that no other thread uses, `data` readable for `size` bytes, `out_position` NULL or
/// an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_restore(
    strm: *mut fdckpt_inflate_t,
    data: *const c_void,
    size: usize,
    out_position: *mut fdckpt_inflate_position_t,
) -> c_int {
    // SAFETY: `strm` is NULL or an initialised stream used by this thread only, `data` readable, `out_position` NULL or
    // writable (caller).
    unsafe {
        call_even_if_broken(c"fdckpt_inflate_restore", strm, |strm, state| {
            let at = state.inflate.restore(ffi::slice_from_raw(data, size)?)?;
            (state.is_broken, state.is_logged) = (false, false);
            strm.set_totals(&state.inflate);
            (strm.error_bit_offset, strm.error_code) = (0, 0);
            write_position(out_position, at);
            Ok(FDCKPT_OK)
        })
    }
}

/// Resets a stream to its start, whatever happened before. Format and memory are kept.
///
/// @param strm  initialised stream
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  strm is NULL, misaligned or not initialised
///
/// Thread safety: one thread at a time per stream.
///
/// # Safety
/// `strm` is an initialised stream that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_reset(strm: *mut fdckpt_inflate_t) -> c_int {
    // SAFETY: `strm` is NULL or an initialised stream used by this thread only (caller).
    unsafe {
        call_even_if_broken(c"fdckpt_inflate_reset", strm, |strm, state| {
            state.inflate.reset();
            (state.is_broken, state.is_logged) = (false, false);
            strm.set_totals(&state.inflate);
            (strm.error_bit_offset, strm.error_code) = (0, 0);
            Ok(FDCKPT_OK)
        })
    }
}

/// Frees what the library allocated for a stream. The stream may be initialised again. Ending it
/// twice is an error without effect.
///
/// @param strm  initialised stream
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  strm is NULL, misaligned or not initialised
///
/// Thread safety: any thread that is the last to use the stream.
///
/// # Safety
/// `strm` is NULL, or an output struct whose `state` is NULL or was set by [`fdckpt_inflate_init`], and that no other
/// thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_end(strm: *mut fdckpt_inflate_t) -> c_int {
    const NAME: &CStr = c"fdckpt_inflate_end";
    let mut state = ptr::null_mut();
    // SAFETY: `strm` is NULL or a stream used by this thread only (caller).
    let code = unsafe {
        with_stream(NAME, strm, |stream| {
            stream.msg = ptr::null();
            state = mem::replace(&mut stream.state, ptr::null_mut());
            if state.is_null() { Err(NOT_INITIALISED.into()) } else { Ok(FDCKPT_OK) }
        })
    };
    // SAFETY: NULL, or what `fdckpt_inflate_init` made (caller); nothing refers to it any more.
    unsafe { ffi::free(NAME, state) };
    code
}

impl fdckpt_inflate_t {
    fn set_totals(&mut self, inflate: &Inflate) {
        (self.total_in, self.total_out) = (inflate.total_in(), inflate.total_out());
    }
}

const NOT_INITIALISED: InvalidArgument = InvalidArgument("the stream is not initialised");

/// Calls `body` with a copy of the caller's stream, of which the fields that the caller has are written back.
///
/// # Safety
/// `strm` is NULL, misaligned, or valid for reads and writes of the number of bytes in its struct_size, and no other
/// thread uses it.
unsafe fn with_stream(
    function: &'static CStr,
    strm: *mut fdckpt_inflate_t,
    body: impl FnOnce(&mut fdckpt_inflate_t) -> Result<c_int, Error>,
) -> c_int {
    let result = ffi::check_handle(strm).map_err(Error::from).and_then(|strm| {
        // SAFETY: not NULL (checked), so valid for its struct_size (required).
        let (mut stream, out) = unsafe { (struct_size::read(strm.as_ptr())?, Output::required(strm.as_ptr())?) };
        let result = body(&mut stream);
        out.write(stream);
        result
    });
    result.unwrap_or_else(|error| log::report(function, &error.into()))
}

/// Calls `body` with a stream and its state, unless a defect of the library broke the state.
///
/// # Safety
/// `strm` is NULL, misaligned, or an initialised stream that no other thread uses.
unsafe fn call(
    function: &'static CStr,
    strm: *mut fdckpt_inflate_t,
    body: impl FnOnce(&mut fdckpt_inflate_t, &mut fdckpt_inflate_state_t) -> Result<c_int, Error>,
) -> c_int {
    let unless_broken = |strm: &mut fdckpt_inflate_t, state: &mut fdckpt_inflate_state_t| {
        if state.is_broken {
            return Err(Error::Poisoned);
        }
        body(strm, state)
    };
    // SAFETY: as required of `strm`.
    unsafe { call_even_if_broken(function, strm, unless_broken) }
}

/// As [`call`], also if the state is broken.
///
/// # Safety
/// As for [`call`].
unsafe fn call_even_if_broken(
    function: &'static CStr,
    strm: *mut fdckpt_inflate_t,
    body: impl FnOnce(&mut fdckpt_inflate_t, &mut fdckpt_inflate_state_t) -> Result<c_int, Error>,
) -> c_int {
    // SAFETY: as required of `strm`.
    unsafe {
        with_stream(function, strm, |stream| {
            // SAFETY: NULL, or what `fdckpt_inflate_init` made, which no other thread uses (required of `strm`).
            let state = stream.state.as_mut().ok_or(NOT_INITIALISED)?;
            stream.msg = ptr::null();
            let error = match ffi::catch_panic(|| body(stream, state)) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            state.is_broken |= error == Error::Internal;
            state.message.set(error);
            stream.msg = state.message.as_c_str().as_ptr();
            if let Error::Corrupt { error: data_error, bit } = error {
                (stream.error_bit_offset, stream.error_code) = (bit, data_error as c_int);
                if mem::replace(&mut state.is_logged, true) {
                    return Ok(FDCKPT_ERR_CORRUPT);
                }
            }
            Err(error)
        })
    }
}

fn parse_encoding(encoding: c_int) -> Result<CheckpointEncoding, InvalidArgument> {
    let found = CheckpointEncoding::ALL.into_iter().find(|known| *known as c_int == encoding);
    found.ok_or(InvalidArgument("unknown encoding of a checkpoint"))
}

/// # Safety
/// `out_position` is NULL or valid for a write, at any alignment.
unsafe fn write_position(out_position: *mut fdckpt_inflate_position_t, at: Position) {
    if !out_position.is_null() {
        // SAFETY: not NULL, so valid for a write (required).
        unsafe { out_position.write_unaligned(fdckpt_inflate_position_t { in_offset: at.in_offset, out_offset: at.out_offset }) }
    }
}
