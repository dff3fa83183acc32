//! Between C and the engine: pointers are checked, panics stop, errors become return codes.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use super::log;
use super::status::SUCCESS;
use super::types::{Handle, ulong};
use crate::error::Error;
use crate::sys::memory::{Region, RegionMut};

/// Calls the engine of the handle at `pointer`, and returns a code.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise init returned it, it was not finished, the memory given to init is still there,
/// and nobody else uses either during the call.
#[inline]
pub(super) unsafe fn call<H: Handle>(
    function: &'static CStr,
    pointer: *mut H,
    body: impl FnOnce(H::Engine<'_>) -> Result<(), Error>,
) -> c_int {
    let result = check(pointer).and_then(|handle| {
        // SAFETY: the caller's promise.
        let result = no_panic(|| body(unsafe { H::engine(handle) }));
        if result == Err(Error::Internal) {
            // SAFETY: the caller's promise.
            unsafe { H::fail(handle) }
        }
        result
    });
    match result {
        Ok(()) => SUCCESS,
        Err(error) => log::report(function, &error),
    }
}

/// Initialises a handle at `mem`: `fill` writes all of it but its ring. Returns the handle, or NULL.
pub(super) fn init<H: Handle>(
    function: &'static CStr,
    mem: *mut c_void,
    fill: impl FnOnce(NonNull<H>) -> Result<(), Error>,
) -> *mut H {
    match check(mem.cast()).and_then(|handle| no_panic(|| fill(handle))) {
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
    // SAFETY: the caller's promise, and `call` found the pointer to be good. Whoever uses it still, gets errors.
    unsafe {
        let handle = NonNull::new_unchecked(pointer);
        H::release(handle);
        H::fail(handle);
    }
    pointer.cast()
}

/// The one check of pointers to handles.
#[inline]
pub(super) fn check<H>(pointer: *mut H) -> Result<NonNull<H>, Error> {
    match NonNull::new(pointer) {
        None => Err(Error::Argument("the handle is NULL")),
        Some(handle) if !handle.is_aligned() => Err(Error::Argument("the handle's address is not a multiple of 8")),
        Some(handle) => Ok(handle),
    }
}

/// The caller's buffer for reading.
///
/// # Safety
/// `buf` is NULL, or its `sz` bytes are readable and don't change for `'b`.
#[inline]
pub(super) unsafe fn input<'b>(buf: *const c_void, sz: ulong) -> Region<'b> {
    // SAFETY: the caller's promise.
    unsafe { Region::from_raw(buf.cast(), sz) }
}

/// The caller's buffer for writing.
///
/// # Safety
/// `buf` is NULL, or its `sz` bytes are writable and used by nobody else for `'b`.
#[inline]
pub(super) unsafe fn output<'b>(buf: *mut c_void, sz: ulong) -> RegionMut<'b> {
    // SAFETY: the caller's promise.
    unsafe { RegionMut::from_raw(buf.cast(), sz) }
}

#[inline]
pub(super) fn not_null<T>(pointer: *const T, otherwise: &'static str) -> Result<(), Error> {
    if pointer.is_null() { Err(Error::Argument(otherwise)) } else { Ok(()) }
}

/// A panic must not reach the C caller. It is a defect of the library, and what it left behind is not to be used again.
#[inline]
pub(super) fn no_panic<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Error::Internal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::fd_checkpt::{fd_checkpt_close_advanced, fd_checkpt_fini, fd_checkpt_init_mmio, fd_checkpt_open_advanced};
    use crate::capi::status::ERR_INVAL;
    use crate::capi::types::fd_checkpt_t;

    #[test]
    fn a_panic_becomes_a_failure_of_the_handle() {
        let mut mem = Box::<fd_checkpt_t>::new_uninit();
        let (mem, mut off) = (mem.as_mut_ptr(), 0);
        // SAFETY: the memory lives to the end of the test, and is used here alone.
        unsafe {
            let checkpt = fd_checkpt_init_mmio(mem.cast(), ptr::null_mut(), 0);
            assert_eq!(fd_checkpt_open_advanced(checkpt, 1, &mut off), SUCCESS);
            assert_eq!(call(c"test", checkpt, |_| panic!("on purpose")), ERR_INVAL);
            assert_eq!(fd_checkpt_close_advanced(checkpt, &mut off), ERR_INVAL);
            assert_eq!(fd_checkpt_fini(checkpt), mem.cast());
        }
        assert!(init::<fd_checkpt_t>(c"test", mem.cast(), |_| panic!("on purpose")).is_null());
    }
}
