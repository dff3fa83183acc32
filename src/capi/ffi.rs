//! The boundary to C: checks pointers, stops panics, and converts errors to return codes.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{self, NonNull};

use super::call_error::CallError;
use super::error_code::{FDCKPT_OK, SUCCESS};
use super::fd_checkpt_types::{Handle, ulong};
use super::log;
use crate::alloc::try_box;
use crate::error_base::{Internal, InvalidArgument, OutOfMemory};
use crate::file_error::FileError;
use crate::frame::{self, FrameStyle};
use crate::mapped_file::map_file;
use crate::sys::cancel::CancelGuard;
use crate::sys::mmap::Mmap;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

/// Calls `body` with the engine of a handle. Returns a code of fd_checkpt.h.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise init returned it, it was not finished, the memory given to init is still there,
/// and no other thread uses either during the call.
#[inline]
pub(super) unsafe fn with_codec<H: Handle>(
    function: &'static CStr,
    pointer: *mut H,
    body: impl FnOnce(H::Codec<'_>) -> Result<(), frame::Error>,
) -> c_int {
    let result = check_handle(pointer).map_err(frame::Error::from).and_then(|handle| {
        // SAFETY: `check_handle` found `handle` non-null and aligned; init has initialised it and no other thread uses it (contract of
        // this function).
        let result = catch_panic(|| body(unsafe { H::codec(handle) }));
        if result == Err(frame::Error::Internal) {
            // SAFETY: as above; the engine that borrowed the handle has been dropped.
            unsafe { H::fail(handle) }
        }
        result
    });
    match result {
        Ok(()) => SUCCESS,
        Err(error) => log::report_frame_error(function, &error),
    }
}

/// Calls `fast_path` in a frame of this style. If that returns false, or in other states, calls `slow_path`. Returns a code of
/// fd_checkpt.h.
///
/// # Safety
/// As for [`with_codec`].
#[inline(always)]
pub(super) unsafe fn try_fast_path<H: Handle, A>(
    style: FrameStyle,
    pointer: *mut H,
    arguments: A,
    fast_path: impl FnOnce(H::Codec<'_>, &A) -> bool,
    slow_path: impl FnOnce(*mut H, A) -> c_int,
) -> c_int {
    // SAFETY: `check_handle` found `handle` non-null and aligned; init has initialised it and no other thread uses it (contract of this
    // function).
    unsafe {
        if let Ok(handle) = check_handle(pointer)
            && H::state(handle).style() == Some(style)
        {
            match catch_unwind(AssertUnwindSafe(|| fast_path(H::codec(handle), &arguments))) {
                Ok(true) => return SUCCESS,
                Ok(false) => {}
                Err(_) => H::fail(handle),
            }
        }
    }
    slow_path(pointer, arguments)
}

/// Prevents inlining of a slow path, which keeps its stack frame and setup out of the fast path.
#[inline(never)]
pub(super) fn outlined<H, A>(pointer: *mut H, arguments: A, call: impl FnOnce(*mut H, A) -> c_int) -> c_int {
    call(pointer, arguments)
}

/// Initialises a handle at `mem`. `fill` writes all of it except the ring. Returns the handle, or NULL.
pub(super) fn init<H: Handle>(
    function: &'static CStr,
    mem: *mut c_void,
    fill: impl FnOnce(NonNull<H>) -> Result<(), frame::Error>,
) -> *mut H {
    match check_handle(mem.cast()).map_err(frame::Error::from).and_then(|handle| catch_panic(|| fill(handle))) {
        Ok(()) => mem.cast(),
        Err(error) => {
            log::report_frame_error(function, &error);
            ptr::null_mut()
        }
    }
}

/// Finishes a handle. Returns its memory, or NULL if `finish` fails.
///
/// # Safety
/// As for [`with_codec`].
pub(super) unsafe fn fini<H: Handle>(
    function: &'static CStr,
    pointer: *mut H,
    finish: impl FnOnce(H::Codec<'_>) -> Result<(), frame::Error>,
) -> *mut c_void {
    // SAFETY: the contract of this function is that of `with_codec`.
    if unsafe { with_codec(function, pointer, finish) } != SUCCESS {
        return ptr::null_mut();
    }
    // SAFETY: `with_codec` succeeded, so `pointer` is non-null, aligned and initialised. Later calls with it find it failed.
    unsafe {
        let handle = NonNull::new_unchecked(pointer);
        H::release(handle);
        H::fail(handle);
    }
    pointer.cast()
}

/// Checks a pointer to a handle.
#[inline]
pub(super) fn check_handle<H>(pointer: *mut H) -> Result<NonNull<H>, InvalidArgument> {
    match NonNull::new(pointer) {
        None => Err(InvalidArgument("the handle is NULL")),
        Some(handle) if !handle.is_aligned() => Err(InvalidArgument("the handle's address is not a multiple of 8")),
        Some(handle) => Ok(handle),
    }
}

/// Returns the caller's memory for reading.
///
/// # Safety
/// `buf` is NULL, or its `sz` bytes are readable and don't change for `'b`.
#[inline]
pub(super) unsafe fn region_from_raw<'b>(buf: *const c_void, sz: ulong) -> SharedBytes<'b> {
    // SAFETY: the contract of this function is that of `SharedBytes::from_raw`, which returns no bytes of a NULL region.
    unsafe { SharedBytes::from_raw(buf.cast(), sz) }
}

/// Returns the caller's memory for writing.
///
/// # Safety
/// `buf` is NULL, or its `sz` bytes are writable and used by no other thread for `'b`.
#[inline]
pub(super) unsafe fn region_mut_from_raw<'b>(buf: *mut c_void, sz: ulong) -> SharedBytesMut<'b> {
    // SAFETY: the contract of this function is that of `SharedBytesMut::from_raw`, which returns no bytes of a NULL region.
    unsafe { SharedBytesMut::from_raw(buf.cast(), sz) }
}

pub(super) const ERR_NULL_OUT_PARAM: &str = "the pointer to a result is NULL";
const ERR_NULL_BUFFER: &str = "the pointer to memory is NULL, but its size is not 0";
const ERR_TOO_LARGE: &str = "the memory is larger than any object can be";

#[inline]
pub(super) fn ensure_non_null<T>(pointer: *const T, message: &'static str) -> Result<(), InvalidArgument> {
    if pointer.is_null() { Err(InvalidArgument(message)) } else { Ok(()) }
}

/// Runs the body of a function of fdckpt.h and returns a code. Disables thread cancellation meanwhile: every open and close would be a
/// cancellation point.
pub(super) fn ffi_call(function: &'static CStr, body: impl FnOnce() -> Result<(), CallError>) -> c_int {
    let _uncancelled = CancelGuard::new();
    match catch_panic(body) {
        Ok(()) => FDCKPT_OK,
        Err(error) => log::report(function, &error),
    }
}

/// Runs the body of a function that returns a new object, to be freed by [`free`]. Returns NULL on failure.
pub(super) fn ffi_new<T>(function: &'static CStr, body: impl FnOnce() -> Result<T, CallError>) -> *mut T {
    let mut new = ptr::null_mut();
    ffi_call(function, || {
        new = try_box_raw(body()?)?;
        Ok(())
    });
    new
}

/// Runs the body of a function on an object that [`ffi_new`] returned.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise `ffi_new` returned it, it was not freed, and no thread modifies it during the call.
pub(super) unsafe fn call_ref<T>(
    function: &'static CStr,
    pointer: *const T,
    body: impl FnOnce(&T) -> Result<(), CallError>,
) -> c_int {
    // SAFETY: `check_handle` found the pointer non-null and aligned; the object lives and is shared (contract of this function).
    ffi_call(function, || body(unsafe { check_handle(pointer.cast_mut())?.as_ref() }))
}

/// Calls `body` with a second object.
///
/// # Safety
/// As for [`call_ref`].
pub(super) unsafe fn with_ref<T>(pointer: *const T, body: impl FnOnce(&T) -> Result<(), CallError>) -> Result<(), CallError> {
    // SAFETY: `check_handle` found the pointer non-null and aligned; the object lives and is shared (contract of this function).
    body(unsafe { check_handle(pointer.cast_mut())?.as_ref() })
}

/// Runs the body of a function that modifies an object.
///
/// # Safety
/// As for [`call_ref`], and no other thread uses the object during the call.
pub(super) unsafe fn call_mut<T>(
    function: &'static CStr,
    pointer: *mut T,
    body: impl FnOnce(&mut T) -> Result<(), CallError>,
) -> c_int {
    // SAFETY: `check_handle` found the pointer non-null and aligned; the object lives and is not shared (contract of this function).
    ffi_call(function, || body(unsafe { check_handle(pointer)?.as_mut() }))
}

/// Fallible `Box::into_raw(Box::new(value))`; [`box_from_raw`] is its counterpart.
pub(super) fn try_box_raw<T>(value: T) -> Result<*mut T, OutOfMemory> {
    Ok(Box::into_raw(try_box(value)?).cast())
}

/// Reverses [`try_box_raw`].
///
/// # Safety
/// `pointer` is one that `try_box_raw` returned, and not used afterwards.
pub(super) unsafe fn box_from_raw<T>(pointer: *mut T) -> Box<[T; 1]> {
    // SAFETY: `try_box_raw` made it of such a box, and no other owner exists (contract of this function).
    unsafe { Box::from_raw(pointer.cast()) }
}

/// Frees an object that [`ffi_new`] returned.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise `ffi_new` returned it, and it was not freed.
pub(super) unsafe fn free<T>(function: &'static CStr, pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    ffi_call(function, || {
        // SAFETY: `ffi_new` had it from `try_box_raw`, and it is freed once (contract of this function).
        drop(unsafe { box_from_raw(check_handle(pointer)?.as_ptr()) });
        Ok(())
    });
}

/// Returns the caller's memory for reading as a slice.
///
/// # Safety
/// As for [`region_from_raw`].
pub(super) unsafe fn slice_from_raw<'b>(mem: *const c_void, sz: usize) -> Result<&'b [u8], InvalidArgument> {
    if sz == 0 {
        return Ok(&[]);
    }
    ensure_non_null(mem, ERR_NULL_BUFFER)?;
    // SAFETY: the contract of this function is that of `region_from_raw`.
    unsafe { region_from_raw(mem, sz as ulong) }.get(0, sz as u64).ok_or(InvalidArgument(ERR_TOO_LARGE))
}

/// Returns the caller's memory for writing as a slice.
///
/// # Safety
/// As for [`region_mut_from_raw`].
pub(super) unsafe fn slice_from_raw_mut<'b>(mem: *mut c_void, sz: usize) -> Result<&'b mut [u8], InvalidArgument> {
    if sz == 0 {
        return Ok(&mut []);
    }
    ensure_non_null(mem, ERR_NULL_BUFFER)?;
    if sz > isize::MAX as usize {
        return Err(InvalidArgument(ERR_TOO_LARGE));
    }
    // SAFETY: `mem` is non-null, `sz` is at most isize::MAX, and the bytes are writable and used by no other thread for `'b` (contract of
    // this function).
    Ok(unsafe { std::slice::from_raw_parts_mut(mem.cast(), sz) })
}

/// Returns the caller's text.
///
/// # Safety
/// `text` is NULL, or a C string that lives and does not change for `'t`.
pub(super) unsafe fn str_from_c<'t>(text: *const c_char) -> Result<&'t str, InvalidArgument> {
    ensure_non_null(text, "the name is NULL")?;
    // SAFETY: `text` is non-null, so it is a C string (contract of this function).
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| InvalidArgument("the name is not UTF-8"))
}

/// Returns the caller's path.
///
/// # Safety
/// `path` is NULL, or a C string that lives and does not change for `'p`.
pub(super) unsafe fn path_from_c<'p>(path: *const c_char) -> Result<&'p Path, InvalidArgument> {
    ensure_non_null(path, "the path is NULL")?;
    // SAFETY: `path` is non-null, so it is a C string (contract of this function).
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// Returns the caller's descriptor.
pub(super) fn borrow_fd<'f>(fd: c_int) -> Result<BorrowedFd<'f>, InvalidArgument> {
    if fd < 0 {
        return Err(InvalidArgument("the descriptor is negative"));
    }
    // SAFETY: `fd` is not -1. That it stays open during the call is documented at each function that takes one; if not, the system
    // calls with it fail.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Maps the file of a descriptor. Returns the map and its bytes.
///
/// # Safety
/// The returned slice is dropped before the map, and no process modifies the file until then.
pub(super) unsafe fn map_fd(fd: c_int) -> Result<(Mmap, &'static [u8]), CallError> {
    let map = map_file(borrow_fd(fd)?).map_err(FileError::from)?;
    let file = map.bytes();
    // SAFETY: the map does not move in memory when the `Mmap` is moved, and outlives all uses of the slice (contract of this function).
    let file = unsafe { std::slice::from_raw_parts(file.as_ptr(), file.len()) };
    Ok((map, file))
}

/// Converts a panic to an error: it must not reach the C caller. It is a defect of the library, and the object must not be used
/// again.
#[inline(always)]
pub(super) fn catch_panic<T, E: From<Internal>>(body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Internal.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error_code::{ERR_INVAL, FDCKPT_ERR_INTERNAL};
    use crate::capi::fd_checkpt::{fd_checkpt_close_advanced, fd_checkpt_fini, fd_checkpt_init_mmio, fd_checkpt_open_advanced};
    use crate::capi::fd_checkpt_types::fd_checkpt_t;

    #[test]
    fn a_panic_becomes_a_failure_of_the_handle() {
        let mut mem = Box::<fd_checkpt_t>::new_uninit();
        let (mem, mut off) = (mem.as_mut_ptr(), 0);
        // SAFETY: the memory lives to the end of the test, and is used here alone.
        unsafe {
            let checkpt = fd_checkpt_init_mmio(mem.cast(), ptr::null_mut(), 0);
            assert_eq!(fd_checkpt_open_advanced(checkpt, 1, &mut off), SUCCESS);
            assert_eq!(with_codec(c"test", checkpt, |_| panic!("on purpose")), ERR_INVAL);
            assert_eq!(fd_checkpt_close_advanced(checkpt, &mut off), ERR_INVAL);
            assert_eq!(fd_checkpt_fini(checkpt), mem.cast());
        }
        assert!(init::<fd_checkpt_t>(c"test", mem.cast(), |_| panic!("on purpose")).is_null());
    }

    #[test]
    fn a_panic_becomes_a_code_of_its_own() {
        assert_eq!(ffi_call(c"test", || panic!("on purpose")), FDCKPT_ERR_INTERNAL);
        assert!(ffi_new::<u8>(c"test", || panic!("on purpose")).is_null());
        let new = ffi_new(c"test", || Ok(vec![1]));
        // SAFETY: made before, and freed at the end.
        unsafe {
            assert_eq!(call_mut(c"test", new, |_| panic!("on purpose")), FDCKPT_ERR_INTERNAL);
            assert_eq!(call_ref(c"test", new, |new| if new == &[1] { Ok(()) } else { Err(CallError::Internal) }), FDCKPT_OK);
            free(c"test", new);
        }
    }
}
