//! Between C and the engine: pointers are checked, panics stop, errors become return codes.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::{self, NonNull};

use super::error_code::SUCCESS;
use super::error_types::FDCKPT_OK;
use super::fd_checkpt_types::{Handle, ulong};
use super::log;
use crate::checkpoint::Failure;
use crate::error::{Doing, Error};
use crate::frame::FrameStyle;
use crate::frames::FrameError;
use crate::sys::errno::Errno;
use crate::sys::mmap::Mmap;
use crate::sys::process::CancelGuard;
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

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

/// In a frame of this style does `at_hand`, and succeeds if that says that it was enough; in any other case returns what `otherwise`
/// does. Where `at_hand` might panic, it is for [`no_panic`].
///
/// # Safety
/// As for [`call`].
#[inline(always)]
pub(super) unsafe fn at_hand<H: Handle, A>(
    style: FrameStyle,
    pointer: *mut H,
    arguments: A,
    at_hand: impl FnOnce(H::Engine<'_>, &A) -> Result<bool, Error>,
    otherwise: impl FnOnce(*mut H, A) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise, and `check` found the pointer to be good.
    unsafe {
        if let Ok(handle) = check(pointer)
            && H::phase(handle).style() == Some(style)
        {
            match at_hand(H::engine(handle), &arguments) {
                Ok(true) => return SUCCESS,
                Ok(false) => {}
                Err(_) => H::fail(handle),
            }
        }
    }
    otherwise(pointer, arguments)
}

/// Calls a function that stays one, so that what is needed there alone is not even set up before.
#[inline(never)]
pub(super) fn apart<H, A>(pointer: *mut H, arguments: A, call: impl FnOnce(*mut H, A) -> c_int) -> c_int {
    call(pointer, arguments)
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
pub(super) unsafe fn input<'b>(buf: *const c_void, sz: ulong) -> SharedBytes<'b> {
    // SAFETY: the caller's promise.
    unsafe { SharedBytes::from_raw(buf.cast(), sz) }
}

/// The caller's buffer for writing.
///
/// # Safety
/// `buf` is NULL, or its `sz` bytes are writable and used by nobody else for `'b`.
#[inline]
pub(super) unsafe fn output<'b>(buf: *mut c_void, sz: ulong) -> SharedBytesMut<'b> {
    // SAFETY: the caller's promise.
    unsafe { SharedBytesMut::from_raw(buf.cast(), sz) }
}

/// What is wrong with a pointer through which a result is to go.
pub(super) const NULL_OUT: &str = "the pointer for a result is NULL";

#[inline]
pub(super) fn not_null<T>(pointer: *const T, otherwise: &'static str) -> Result<(), Error> {
    if pointer.is_null() { Err(Error::Argument(otherwise)) } else { Ok(()) }
}

/// Runs what a function of fdckpt.h does, and returns a code. It is not cancelled meanwhile: files are opened and closed at many places, each
/// of which would be one to end the thread at, or rather the process.
pub(super) fn run(function: &'static CStr, body: impl FnOnce() -> Result<(), Error>) -> c_int {
    let _uncancelled = CancelGuard::begin();
    match no_panic(body) {
        Ok(()) => FDCKPT_OK,
        Err(error) => log::report_fdckpt(function, &error),
    }
}

/// As [`run`], for what can tell which file, frame and region a failure is about.
pub(super) fn run_about(function: &'static CStr, body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let _uncancelled = CancelGuard::begin();
    match no_panic_about(body) {
        Ok(()) => FDCKPT_OK,
        Err(failure) => log::report_failure(function, &failure),
    }
}

/// As [`make`], likewise.
pub(super) fn make_about<T>(function: &'static CStr, body: impl FnOnce() -> Result<T, Failure>) -> *mut T {
    let mut made = ptr::null_mut();
    run_about(function, || {
        made = alone(body()?)?;
        Ok(())
    });
    made
}

fn no_panic_about<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Error::Internal.into()))
}

/// The caller's text.
///
/// # Safety
/// `text` is NULL, or a C string that stays for `'t`.
pub(super) unsafe fn text<'t>(text: *const c_char) -> Result<&'t str, Error> {
    not_null(text, "the name is NULL")?;
    // SAFETY: not NULL, so a C string.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::Argument("the name is not UTF-8"))
}

/// The caller's path.
///
/// # Safety
/// `path` is NULL, or a C string that stays unmodified for `'p`.
pub(super) unsafe fn path<'p>(path: *const c_char) -> Result<&'p Path, Error> {
    not_null(path, "the path is NULL")?;
    // SAFETY: not NULL, so a C string (required).
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// As [`run`], where it is about one of many frames.
pub(super) fn run_frames(function: &'static CStr, body: impl FnOnce() -> Result<(), FrameError>) -> c_int {
    let _uncancelled = CancelGuard::begin();
    match catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(FrameError { frame: 0, error: Error::Internal })) {
        Ok(()) => FDCKPT_OK,
        Err(failed) => log::report_frame(function, &failed),
    }
}

/// [`run`] with an object that [`make`] made.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise it is one that `make` returned, was not freed, and is changed by nobody else now.
pub(super) unsafe fn call_ref<T>(
    function: &'static CStr,
    pointer: *const T,
    body: impl FnOnce(&T) -> Result<(), Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    run(function, || body(unsafe { check(pointer.cast_mut())?.as_ref() }))
}

/// Gives `body` a second object.
///
/// # Safety
/// As for [`call_ref`].
pub(super) unsafe fn with_ref<T>(pointer: *const T, body: impl FnOnce(&T) -> Result<(), Error>) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    body(unsafe { check(pointer.cast_mut())?.as_ref() })
}

/// As [`call_ref`], to change it.
///
/// # Safety
/// As for [`call_ref`], and it is used by nobody else at all.
pub(super) unsafe fn call_mut<T>(
    function: &'static CStr,
    pointer: *mut T,
    body: impl FnOnce(&mut T) -> Result<(), Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    run(function, || body(unsafe { check(pointer)?.as_mut() }))
}

/// Makes an object that lives until [`free`]. Returns NULL where that fails.
pub(super) fn make<T>(function: &'static CStr, body: impl FnOnce() -> Result<T, Error>) -> *mut T {
    let mut made = ptr::null_mut();
    run(function, || {
        made = alone(body()?)?;
        Ok(())
    });
    made
}

/// As Box::new, but that ends the process where memory is short.
pub(super) fn alone<T>(value: T) -> Result<*mut T, Error> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| Error::OutOfMemory)?;
    one.push(value);
    Ok(Box::leak(one.into_boxed_slice()).as_mut_ptr())
}

/// Frees what [`make`] made.
///
/// # Safety
/// `pointer` may be NULL or misaligned; otherwise it is one that `make` returned, and was not freed.
pub(super) unsafe fn free<T>(function: &'static CStr, pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    run(function, || {
        // SAFETY: the caller's promise; it was a boxed slice of one.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(check(pointer)?.as_ptr(), 1)) });
        Ok(())
    });
}

/// The caller's memory for reading, all of it.
///
/// # Safety
/// As for [`input`].
pub(super) unsafe fn bytes<'b>(mem: *const c_void, sz: usize) -> Result<&'b [u8], Error> {
    match sz {
        0 => Ok(&[]),
        // SAFETY: the caller's promise.
        _ => not_null(mem, NULL_MEMORY).and_then(|()| unsafe { input(mem, sz as ulong) }.get(0, sz as u64).ok_or(TOO_LARGE)),
    }
}

/// The caller's memory for writing, all of it.
///
/// # Safety
/// As for [`output`].
pub(super) unsafe fn bytes_mut<'b>(mem: *mut c_void, sz: usize) -> Result<&'b mut [u8], Error> {
    if sz == 0 {
        return Ok(&mut []);
    }
    not_null(mem, NULL_MEMORY)?;
    if sz > isize::MAX as usize {
        return Err(TOO_LARGE);
    }
    // SAFETY: the caller's promise, and no object is larger than that.
    Ok(unsafe { std::slice::from_raw_parts_mut(mem.cast(), sz) })
}

/// The caller's descriptor.
pub(super) fn descriptor<'f>(fd: c_int) -> Result<BorrowedFd<'f>, Error> {
    if fd < 0 {
        return Err(Error::Argument("the descriptor is negative"));
    }
    // SAFETY: not negative; who gives another's descriptor answers for it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The file of a descriptor in memory, and all of its bytes.
///
/// # Safety
/// What refers to the bytes is dropped before the map, and nobody changes the file until then.
pub(super) unsafe fn map(fd: c_int) -> Result<(Mmap, &'static [u8]), Error> {
    let mapped = Mmap::of(descriptor(fd)?);
    let map = mapped.map_err(|error| Error::Io { doing: Doing::Mapping, offset: 0, errno: Errno::of(&error) })?;
    let region = map.region();
    let file = region.get(0, region.size()).unwrap_or_default();
    // SAFETY: the map stays where it is; the rest is the caller's promise.
    let file = unsafe { std::slice::from_raw_parts(file.as_ptr(), file.len()) };
    Ok((map, file))
}

const NULL_MEMORY: &str = "the pointer to memory is NULL, though its size is not 0";
const TOO_LARGE: Error = Error::Argument("the memory is larger than any object can be");

/// A panic must not reach the C caller. It is a defect of the library, and what it left behind is not to be used again.
#[inline(always)]
pub(super) fn no_panic<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Error::Internal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error_code::ERR_INVAL;
    use crate::capi::error_types::FDCKPT_ERR_INTERNAL;
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
            assert_eq!(call(c"test", checkpt, |_| panic!("on purpose")), ERR_INVAL);
            assert_eq!(fd_checkpt_close_advanced(checkpt, &mut off), ERR_INVAL);
            assert_eq!(fd_checkpt_fini(checkpt), mem.cast());
        }
        assert!(init::<fd_checkpt_t>(c"test", mem.cast(), |_| panic!("on purpose")).is_null());
    }

    #[test]
    fn a_panic_becomes_a_code_of_its_own() {
        assert_eq!(run(c"test", || panic!("on purpose")), FDCKPT_ERR_INTERNAL);
        assert!(make::<u8>(c"test", || panic!("on purpose")).is_null());
        let made = make(c"test", || Ok(vec![1]));
        // SAFETY: made before, and freed at the end.
        unsafe {
            assert_eq!(call_mut(c"test", made, |_| panic!("on purpose")), FDCKPT_ERR_INTERNAL);
            assert_eq!(call_ref(c"test", made, |made| if made == &[1] { Ok(()) } else { Err(Error::Internal) }), FDCKPT_OK);
            free(c"test", made);
        }
    }
}
