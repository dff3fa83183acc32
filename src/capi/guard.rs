//! Between C and the engine: pointers are checked and become references, panics stop, errors become return codes.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::log;
use super::status::SUCCESS;
use super::types::{Handle, handle, ulong};
use crate::codec::style::Phase;
use crate::error::Error;

/// Calls the engine of the handle at `pointer`, and returns a code.
///
/// # Safety
/// As for [`handle`]; and if it is not NULL, init returned it, and it was not finished.
#[inline]
pub(super) unsafe fn call<H: Handle>(
    function: &'static CStr,
    pointer: *mut H,
    body: impl FnOnce(H::Engine<'_>) -> Result<(), Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { handle(pointer) }.and_then(|handle| {
        // SAFETY: the caller's promise.
        let result = no_panic(|| body(unsafe { handle.engine() }));
        if result == Err(Error::Internal) {
            *handle.phase() = Phase::FAILED;
        }
        result
    });
    match result {
        Ok(()) => SUCCESS,
        Err(error) => log::report(function, &error),
    }
}

/// Initialises a handle at `mem`: `fill` writes all of it but its ring. Returns the handle, or NULL.
///
/// # Safety
/// As for [`handle`].
pub(super) unsafe fn init<H: Handle>(
    function: &'static CStr,
    mem: *mut c_void,
    fill: impl FnOnce(&mut H) -> Result<(), Error>,
) -> *mut H {
    // SAFETY: the caller's promise.
    let result = unsafe { handle(mem.cast()) }.and_then(|handle| no_panic(|| fill(handle)));
    match result {
        Ok(()) => mem.cast(),
        Err(error) => {
            log::report(function, &error);
            ptr::null_mut()
        }
    }
}

/// Ends a handle: `finish` says whether it can be. Returns its memory, or NULL.
///
/// # Safety
/// As for [`call`].
pub(super) unsafe fn fini<H: Handle>(
    function: &'static CStr,
    pointer: *mut H,
    finish: impl FnOnce(H::Engine<'_>) -> Result<(), Error>,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    if unsafe { call(function, pointer, finish) } != SUCCESS {
        return ptr::null_mut();
    }
    // SAFETY: `call` found the pointer to be good.
    unsafe {
        let handle = &mut *pointer;
        handle.release();
        // Whoever uses it still, gets errors.
        *handle.phase() = Phase::FAILED;
    }
    pointer.cast()
}

/// The caller's buffer for reading.
///
/// # Safety
/// `buf` is NULL or its `sz` bytes are readable and don't change for `'b`.
#[inline]
pub(super) unsafe fn bytes<'b>(buf: *const c_void, sz: ulong) -> Result<&'b [u8], Error> {
    let size = size_of_buffer(buf, sz)?;
    // SAFETY: not NULL, not larger than an object can be, and the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(buf.cast(), size) })
}

/// The caller's buffer for writing.
///
/// # Safety
/// `buf` is NULL or its `sz` bytes are writable and used by nobody else for `'b`.
#[inline]
pub(super) unsafe fn bytes_mut<'b>(buf: *mut c_void, sz: ulong) -> Result<&'b mut [u8], Error> {
    let size = size_of_buffer(buf, sz)?;
    // SAFETY: as in `bytes`.
    Ok(unsafe { std::slice::from_raw_parts_mut(buf.cast(), size) })
}

#[inline]
fn size_of_buffer(buf: *const c_void, sz: ulong) -> Result<usize, Error> {
    not_null(buf, "the buffer is NULL")?;
    isize::try_from(sz).map(isize::unsigned_abs).map_err(|_| Error::TooLarge { size: sz })
}

#[inline]
pub(super) fn not_null<T>(pointer: *const T, otherwise: &'static str) -> Result<(), Error> {
    if pointer.is_null() { Err(Error::Argument(otherwise)) } else { Ok(()) }
}

/// A panic must not reach the C caller. It is a defect of the library, and what it left behind is not to be used again.
#[inline]
fn no_panic<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Error::Internal))
}
