//! The functions of fdckpt.h for resumable inflate. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::error_code::{FDCKPT_ERR_CORRUPT, FDCKPT_ERR_INVALID_ARGUMENT, FDCKPT_OK};
use super::ffi;
use super::fixed_string::FixedString;
use super::log;
use crate::error_base::InvalidArgument;
use crate::inflate::{CHECKPOINT_MAX, CheckpointEncoding, DataError, Error, Format, Inflate, Position, Progress, Status};

/// Formats, for fdckpt_inflate_init: raw Deflate (method 8 of zip files), raw Deflate64 (method 9), zlib, and gzip with one or more
/// members.
pub const FDCKPT_INFLATE_DEFLATE: c_int = 0;
pub const FDCKPT_INFLATE_DEFLATE64: c_int = 1;
pub const FDCKPT_INFLATE_ZLIB: c_int = 2;
pub const FDCKPT_INFLATE_GZIP: c_int = 3;

/// What fdckpt_inflate returns beside FDCKPT_OK (progress was made: go on with more input, or more room for output) and FDCKPT_ERR_*.
/// The stream has ended, and all output was given. What avail_in still counts lies behind the end.
pub const FDCKPT_INFLATE_STREAM_END: c_int = 1;
/// No progress is possible without more input or more room. Nothing is lost: call again with more. (What zlib calls Z_BUF_ERROR.)
pub const FDCKPT_INFLATE_NEED_MORE: c_int = 2;

/// Forms of a checkpoint. FULL says everything: the format, and exactly where input and output are. COMPACT is the same with the
/// window compressed (by LZ4): smaller, but slower. BLOB and BLOB_0X1001 are the layouts of the crate deflate64, for raw streams
/// only: they can stand some bytes before what was taken of the input, and don't say whether it is Deflate or Deflate64.
pub const FDCKPT_INFLATE_CHECKPOINT_FULL: c_int = 0;
pub const FDCKPT_INFLATE_CHECKPOINT_COMPACT: c_int = 1;
pub const FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0: c_int = 2;
pub const FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001: c_int = 3;

/// No checkpoint is larger than this. (A usual one has less than 66300 bytes, one near the start of a stream less than 1000.)
pub const FDCKPT_INFLATE_CHECKPOINT_MAX: usize = 262900;

/// What is wrong with compressed data: fault in fdckpt_inflate_t after FDCKPT_ERR_CORRUPT. 0 if nothing is.
pub const FDCKPT_INFLATE_ERR_BLOCK_TYPE: c_int = 1;
pub const FDCKPT_INFLATE_ERR_STORED_LENGTH: c_int = 2;
pub const FDCKPT_INFLATE_ERR_TOO_MANY_CODES: c_int = 3;
pub const FDCKPT_INFLATE_ERR_LENGTH_CODES: c_int = 4;
pub const FDCKPT_INFLATE_ERR_NOTHING_TO_REPEAT: c_int = 5;
pub const FDCKPT_INFLATE_ERR_TOO_MANY_LENGTHS: c_int = 6;
pub const FDCKPT_INFLATE_ERR_NO_END_OF_BLOCK: c_int = 7;
pub const FDCKPT_INFLATE_ERR_LITERAL_CODES_OVERSUBSCRIBED: c_int = 8;
pub const FDCKPT_INFLATE_ERR_LITERAL_CODES_INCOMPLETE: c_int = 9;
pub const FDCKPT_INFLATE_ERR_DISTANCE_CODES_OVERSUBSCRIBED: c_int = 10;
pub const FDCKPT_INFLATE_ERR_DISTANCE_CODES_INCOMPLETE: c_int = 11;
pub const FDCKPT_INFLATE_ERR_LITERAL_CODE: c_int = 12;
pub const FDCKPT_INFLATE_ERR_DISTANCE_CODE: c_int = 13;
pub const FDCKPT_INFLATE_ERR_DISTANCE_TOO_FAR: c_int = 14;
pub const FDCKPT_INFLATE_ERR_ZLIB_HEADER: c_int = 15;
pub const FDCKPT_INFLATE_ERR_ZLIB_DICTIONARY: c_int = 16;
pub const FDCKPT_INFLATE_ERR_ZLIB_WINDOW: c_int = 17;
pub const FDCKPT_INFLATE_ERR_GZIP_HEADER: c_int = 18;
pub const FDCKPT_INFLATE_ERR_GZIP_METHOD: c_int = 19;
pub const FDCKPT_INFLATE_ERR_GZIP_FLAGS: c_int = 20;
pub const FDCKPT_INFLATE_ERR_GZIP_HEADER_CHECKSUM: c_int = 21;
pub const FDCKPT_INFLATE_ERR_CHECKSUM: c_int = 22;
pub const FDCKPT_INFLATE_ERR_LENGTH: c_int = 23;

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
    let forms = [
        FDCKPT_INFLATE_CHECKPOINT_FULL,
        FDCKPT_INFLATE_CHECKPOINT_COMPACT,
        FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0,
        FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001,
    ];
    index = 0;
    while index < formats.len() {
        assert!(formats[index] == Format::ALL[index] as c_int && forms[index] == CheckpointEncoding::ALL[index] as c_int);
        index += 1;
    }
    assert!(FDCKPT_INFLATE_CHECKPOINT_MAX == CHECKPOINT_MAX);
};

/// Where a checkpoint stands, in bytes from the start of the stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fdckpt_inflate_position_t {
    /// Input is to be given from here on.
    pub input: u64,
    /// So much output was given before.
    pub output: u64,
}

/// The library's part of a fdckpt_inflate_t.
pub struct fdckpt_inflate_state_t {
    inflate: Inflate,
    /// Of a call that failed.
    text: FixedString<256>,
    /// After a defect of the library, only reset, restore and end are possible.
    broken: bool,
    /// The error of the stream was told to the log.
    told: bool,
}

/// A stream that is being decompressed, in the manner of zlib's z_stream. The caller sets next_in, avail_in, next_out and avail_out
/// before calls of fdckpt_inflate, which advances them; all else belongs to the library. It may be moved between calls, but not
/// copied and both used.
#[repr(C)]
pub struct fdckpt_inflate_t {
    /// The next byte of input, and how many there are. The library reads them only during calls of fdckpt_inflate.
    pub next_in: *const u8,
    pub avail_in: usize,
    /// How many bytes of the stream were taken so far.
    pub total_in: u64,
    /// Where the next byte of output goes, and how many there is room for.
    pub next_out: *mut u8,
    pub avail_out: usize,
    /// How many bytes of output were given so far.
    pub total_out: u64,
    /// Why the last call failed, in words; NULL if it did not. Valid until the next call with this stream.
    pub msg: *const c_char,
    /// After FDCKPT_ERR_CORRUPT of fdckpt_inflate: where the data is damaged, in bits from the start of the stream (bit 0 is
    /// the lowest of the first byte), and FDCKPT_INFLATE_ERR_*. It is the first bit of the symbol, block header or field that is wrong.
    pub error_bit: u64,
    pub fault: c_int,
    /// The library's; NULL if the stream is not initialised.
    pub state: *mut fdckpt_inflate_state_t,
}

/// Makes strm a stream of a format (FDCKPT_INFLATE_DEFLATE and so on), at its start. Of strm, only what belongs to the library is
/// written; what was there before does not matter. Takes about 24 KB of memory, and up to 256 KiB more as output comes.
///
/// Returns FDCKPT_OK; then fdckpt_inflate_end is to be called some time. Or FDCKPT_ERR_INVALID_ARGUMENT: strm is NULL or misaligned, or there
/// is no such format; FDCKPT_ERR_NO_MEMORY. Then there is nothing to end, but ending it does no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_init(strm: *mut fdckpt_inflate_t, format: c_int) -> c_int {
    const NAME: &CStr = c"fdckpt_inflate_init";
    let made = ffi::check_handle(strm).map_err(Error::from).and_then(|mut strm| {
        // SAFETY: it is the caller's struct, not NULL and aligned; nobody else uses it. Its fields of ours are written before any is read.
        let strm = unsafe {
            let it = strm.as_ptr();
            (&raw mut (*it).state).write(ptr::null_mut());
            (&raw mut (*it).msg).write(ptr::null());
            strm.as_mut()
        };
        ffi::catch_panic(|| {
            let format = Format::ALL.into_iter().find(|known| *known as c_int == format);
            let inflate = Inflate::new(format.ok_or(InvalidArgument("unknown format"))?)?;
            strm.state =
                ffi::try_box_raw(fdckpt_inflate_state_t { inflate, text: FixedString::new(), broken: false, told: false })?;
            (strm.total_in, strm.total_out, strm.error_bit, strm.fault) = (0, 0, 0, 0);
            Ok(())
        })
    });
    match made {
        Ok(()) => FDCKPT_OK,
        Err(error) => log::report(NAME, &error.into()),
    }
}

/// Decompresses as far as input and room go, like inflate( strm, Z_NO_FLUSH ) of zlib. Output that was not given yet, for want of
/// room, is given first. How input and output are cut into pieces makes no difference to what comes out. Bytes behind what was
/// given, within avail_out, may be changed. Input and output must not overlap.
///
/// Returns
/// FDCKPT_OK                   progress was made;
/// FDCKPT_INFLATE_STREAM_END   the stream has ended and all output was given. Of gzip, a member has ended: if there is more input, call
///                             again. A member that follows goes on with the same totals; if what follows does not begin with the byte
///                             0x1f it is none, nothing of it is taken and the same code returned again. So a file has ended when this
///                             code comes with avail_in not 0, or with no more input to give;
/// FDCKPT_INFLATE_NEED_MORE   no progress is possible; nothing is lost, call again with more input or room. If there is no more
///                             input, the stream is truncated;
/// FDCKPT_ERR_CORRUPT          the data is damaged: msg, error_bit and fault say how and where. What was decompressed before the damage
///                             was given. Each further call returns the same;
/// FDCKPT_ERR_NO_MEMORY        memory is short; the call can be repeated;
/// FDCKPT_ERR_INVALID_ARGUMENT         strm is NULL, misaligned or not initialised, or a buffer is NULL although there are bytes in it, or larger
///                             than memory can be, or input and output overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate(strm: *mut fdckpt_inflate_t) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_inflate", strm, |strm, state| {
            let (from, room) = (strm.next_in as usize, strm.next_out as usize);
            if from < room.saturating_add(strm.avail_out) && room < from.saturating_add(strm.avail_in) {
                return Err(InvalidArgument("input and output overlap").into());
            }
            let input = ffi::slice_from_raw(strm.next_in.cast(), strm.avail_in)?;
            let output = ffi::slice_from_raw_mut(strm.next_out.cast(), strm.avail_out)?;
            let Progress { consumed, produced, result } = state.inflate.decompress(input, output);
            strm.next_in = strm.next_in.wrapping_add(consumed);
            strm.next_out = strm.next_out.wrapping_add(produced);
            (strm.avail_in, strm.avail_out) = (strm.avail_in - consumed, strm.avail_out - produced);
            strm.take_positions(&state.inflate);
            match result? {
                Status::Done => Ok(FDCKPT_INFLATE_STREAM_END),
                Status::NeedsInput | Status::NeedsOutput if consumed > 0 || produced > 0 => Ok(FDCKPT_OK),
                Status::NeedsInput | Status::NeedsOutput => Ok(FDCKPT_INFLATE_NEED_MORE),
            }
        })
    }
}

/// Returns how many bytes a checkpoint of this form takes at most if it is taken now, never more than FDCKPT_INFLATE_CHECKPOINT_MAX;
/// 0 if strm is not a stream or there is no such form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_checkpoint_bound(strm: *mut fdckpt_inflate_t, form: c_int) -> usize {
    let mut bound = 0;
    // SAFETY: the caller keeps to the comment above.
    let result = unsafe {
        call(c"fdckpt_inflate_checkpoint_bound", strm, |_, state| {
            bound = state.inflate.checkpoint_bound(known(form)?);
            Ok(FDCKPT_OK)
        })
    };
    if result == FDCKPT_OK { bound } else { 0 }
}

/// Saves the state of the stream, at whatever point it is, in the cap bytes at buf, from which fdckpt_inflate_restore goes on in
/// another stream or process. form is FDCKPT_INFLATE_CHECKPOINT_FULL unless you know better. strm goes on as if nothing had been.
///
/// Returns FDCKPT_OK, and *len is the size of the checkpoint, *position (unless position is NULL) where input and output go on
/// from it: for FULL and COMPACT these are total_in and total_out, the other forms can stand earlier in the input.
/// Or FDCKPT_ERR_BUFFER_TOO_SMALL: cap is too small, *len is what would be enough; FDCKPT_ERR_INVALID_ARGUMENT: strm or another argument is bad, or the
/// form is not for this format; FDCKPT_ERR_INVALID_STATE: the stream has failed; FDCKPT_ERR_NO_MEMORY (only COMPACT takes memory).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_checkpoint(
    strm: *mut fdckpt_inflate_t,
    form: c_int,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    position: *mut fdckpt_inflate_position_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_inflate_checkpoint", strm, |_, state| {
            ffi::ensure_non_null(len, "the pointer to the size is NULL")?;
            let (form, room) = (known(form)?, ffi::slice_from_raw_mut(buf, cap)?);
            match state.inflate.checkpoint_into(form, room) {
                Ok((size, at)) => {
                    len.write_unaligned(size);
                    put_position(position, at);
                    Ok(FDCKPT_OK)
                }
                Err(error) => {
                    if let Error::BufferTooSmall { needed, .. } = error {
                        len.write_unaligned(needed as usize);
                    }
                    Err(error)
                }
            }
        })
    }
}

/// Goes on from the checkpoint of len bytes at buf, of any form, whatever the stream did before: it has to be initialised for the
/// format of the checkpoint, which the forms FULL and COMPACT know and the blobs don't.
///
/// Returns FDCKPT_OK, and total_in and total_out, and *position (unless position is NULL), are where input and output go on:
/// move both there, and set next_in, avail_in, next_out and avail_out before fdckpt_inflate is called.
/// Or FDCKPT_ERR_CORRUPT: it is no checkpoint of this format, or damaged in any way; FDCKPT_ERR_NO_MEMORY; FDCKPT_ERR_INVALID_ARGUMENT. Then the stream is as it was before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_restore(
    strm: *mut fdckpt_inflate_t,
    buf: *const c_void,
    len: usize,
    position: *mut fdckpt_inflate_position_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        recover(c"fdckpt_inflate_restore", strm, |strm, state| {
            let at = state.inflate.restore(ffi::slice_from_raw(buf, len)?)?;
            (state.broken, state.told) = (false, false);
            strm.take_positions(&state.inflate);
            (strm.error_bit, strm.fault) = (0, 0);
            put_position(position, at);
            Ok(FDCKPT_OK)
        })
    }
}

/// Goes back to the start of a stream of the same format, whatever happened before. Memory is kept.
/// Returns FDCKPT_OK, or FDCKPT_ERR_INVALID_ARGUMENT if strm is NULL, misaligned or not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_reset(strm: *mut fdckpt_inflate_t) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        recover(c"fdckpt_inflate_reset", strm, |strm, state| {
            state.inflate.reset();
            (state.broken, state.told) = (false, false);
            strm.take_positions(&state.inflate);
            (strm.error_bit, strm.fault) = (0, 0);
            Ok(FDCKPT_OK)
        })
    }
}

/// Frees what the library allocated for the stream. strm can then be initialised again; ending it twice does no harm.
/// Returns FDCKPT_OK, or FDCKPT_ERR_INVALID_ARGUMENT if strm is NULL, misaligned or not initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_inflate_end(strm: *mut fdckpt_inflate_t) -> c_int {
    // SAFETY: the caller keeps to the comment above. The state is what init made, and is not used again.
    unsafe {
        recover(c"fdckpt_inflate_end", strm, |strm, _| {
            strm.msg = ptr::null();
            Ok(FDCKPT_OK)
        });
        match ffi::check_handle(strm) {
            Ok(mut strm) if !strm.as_ref().state.is_null() => {
                let state = std::mem::replace(&mut strm.as_mut().state, ptr::null_mut());
                drop(ffi::box_from_raw(state));
                FDCKPT_OK
            }
            _ => FDCKPT_ERR_INVALID_ARGUMENT,
        }
    }
}

impl fdckpt_inflate_t {
    fn take_positions(&mut self, inflate: &Inflate) {
        (self.total_in, self.total_out) = (inflate.total_in(), inflate.total_out());
    }
}

/// Calls `body` with a stream and its state, unless the state is broken.
///
/// # Safety
/// `strm` may be NULL or misaligned; otherwise it is the caller's struct, its state is NULL or what init made, and nobody else uses them
/// during the call.
unsafe fn call(
    function: &'static CStr,
    strm: *mut fdckpt_inflate_t,
    body: impl FnOnce(&mut fdckpt_inflate_t, &mut fdckpt_inflate_state_t) -> Result<c_int, Error>,
) -> c_int {
    let unless_broken = |strm: &mut fdckpt_inflate_t, state: &mut fdckpt_inflate_state_t| {
        if state.broken {
            return Err(Error::Poisoned);
        }
        body(strm, state)
    };
    // SAFETY: the caller's promise.
    unsafe { recover(function, strm, unless_broken) }
}

/// The same, also if the state is broken.
///
/// # Safety
/// As for [`call`].
unsafe fn recover(
    function: &'static CStr,
    strm: *mut fdckpt_inflate_t,
    body: impl FnOnce(&mut fdckpt_inflate_t, &mut fdckpt_inflate_state_t) -> Result<c_int, Error>,
) -> c_int {
    let checked = ffi::check_handle(strm).map_err(Error::from).and_then(|mut strm| {
        // SAFETY: the caller's promise.
        let strm = unsafe { strm.as_mut() };
        // SAFETY: the caller's promise; init made it, and end sets it to NULL.
        let state = unsafe { strm.state.as_mut() };
        Ok((strm, state.ok_or(InvalidArgument("the stream is not initialised"))?))
    });
    let (strm, state) = match checked {
        Ok(checked) => checked,
        Err(error) => return log::report(function, &error.into()),
    };
    strm.msg = ptr::null();
    let error = match ffi::catch_panic(|| body(strm, state)) {
        Ok(result) => return result,
        Err(error) => error,
    };
    state.broken |= error == Error::Internal;
    state.text.set(error);
    strm.msg = state.text.as_c_str().as_ptr();
    if let Error::Corrupt { error: fault, bit } = error {
        (strm.error_bit, strm.fault) = (bit, fault as c_int);
        if std::mem::replace(&mut state.told, true) {
            return FDCKPT_ERR_CORRUPT;
        }
    }
    log::report(function, &error.into())
}

fn known(form: c_int) -> Result<CheckpointEncoding, InvalidArgument> {
    let form = CheckpointEncoding::ALL.into_iter().find(|known| *known as c_int == form);
    form.ok_or(InvalidArgument("unknown form of checkpoint"))
}

/// # Safety
/// `position` is NULL, or is writable.
unsafe fn put_position(position: *mut fdckpt_inflate_position_t, at: Position) {
    if !position.is_null() {
        // SAFETY: the caller's promise.
        unsafe { position.write_unaligned(fdckpt_inflate_position_t { input: at.in_offset, output: at.out_offset }) }
    }
}
