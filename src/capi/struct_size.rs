//! `struct_size`: how the structs of fdckpt.h grow without breaking programs that were compiled before.
//!
//! A struct that may get further fields begins with its size as the caller was compiled with it (`FDCKPT_<NAME>_INIT`
//! sets it). The library touches no byte beyond that size. Fields beyond the caller's size are zero, which is the
//! default of every option; fields that the caller has and the library does not know must be zero in an input, and stay
//! as they are in an output.
//!
//! To add a field, append it (with padding made explicit: the size must change) and keep `first_size`.

use std::mem::MaybeUninit;
use std::{ptr, slice};

use crate::error_base::InvalidArgument;

/// A struct of fdckpt.h that begins with `struct_size`.
///
/// # Safety
/// The type is `repr(C)`, its first field is `struct_size: usize`, and all-zero bytes are a valid value.
pub(super) unsafe trait Growable: Sized {
    /// Size in bytes of the struct's first version.
    const FIRST_SIZE: usize;
    /// Error message for a `struct_size` that no version of the struct has.
    const NOT_INITIALISED: &'static str;
    /// Error message for an input with fields that this version of the library does not know.
    const TOO_NEW: &'static str;
}

/// Implements [`Growable`]. `last` is the last field and its type: it must end the struct, as a field that is added in
/// place of padding would not change the size.
macro_rules! growable {
    ($($type:ident { first_size: $first_size:literal, last: $last:ident: $last_type:ty, init: $init:literal })*) => { $(
        const _: () = {
            assert!(std::mem::offset_of!($type, struct_size) == 0);
            assert!(std::mem::offset_of!($type, $last) + size_of::<$last_type>() == size_of::<$type>());
            assert!(size_of::<$type>() >= $first_size);
        };

        // SAFETY: `repr(C)` beginning with `struct_size` (asserted above); the other fields are integers, arrays of
        // them, nullable pointers and optional functions, all of which may be zero.
        unsafe impl $crate::capi::struct_size::Growable for $type {
            const FIRST_SIZE: usize = $first_size;
            const NOT_INITIALISED: &'static str = concat!("invalid struct_size: initialise the struct with ", $init);
            const TOO_NEW: &'static str =
                concat!(stringify!($type), " has a field that the library does not know: the header is newer than the library");
        }
    )* };
}

pub(super) use growable;

/// Sizes above this are taken for uninitialised memory.
const MAX_SIZE: usize = 4096;

/// Returns the caller's `struct_size`, if it is one that the struct can have.
///
/// # Safety
/// `pointer` is valid for reads of a `usize`, at any alignment.
unsafe fn size_of_callers<T: Growable>(pointer: *const T) -> Result<usize, InvalidArgument> {
    // SAFETY: a `Growable` begins with `struct_size`, which is readable (caller).
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    if (T::FIRST_SIZE..=MAX_SIZE).contains(&size) { Ok(size) } else { Err(InvalidArgument(T::NOT_INITIALISED)) }
}

/// Copies a struct of the caller's.
///
/// # Safety
/// `from` is valid for reads of the number of bytes in its `struct_size`, at any alignment.
pub(super) unsafe fn read<T: Growable>(from: *const T) -> Result<T, InvalidArgument> {
    // SAFETY: as required of `from`.
    let size = unsafe { size_of_callers(from)? };
    let known = size.min(size_of::<T>());
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: both are at least `known` bytes, and the bytes that follow up to `size` are readable too (caller). What
    // is copied is a prefix of a C struct with the same fields, and zeros are a valid value of the rest (`Growable`).
    unsafe {
        ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        let unknown = slice::from_raw_parts(from.cast::<u8>().add(known), size - known);
        if unknown.iter().any(|byte| *byte != 0) {
            return Err(InvalidArgument(T::TOO_NEW));
        }
        Ok(value.assume_init())
    }
}

/// Copies a struct of the caller's; NULL stands for the defaults.
///
/// # Safety
/// `from` is NULL or as for [`read`].
pub(super) unsafe fn read_or_default<T: Growable>(from: *const T) -> Result<T, InvalidArgument> {
    if from.is_null() {
        // SAFETY: zeros are a valid value (`Growable`).
        return Ok(unsafe { MaybeUninit::zeroed().assume_init() });
    }
    // SAFETY: not NULL, so as `read` requires it (caller).
    unsafe { read(from) }
}

/// A struct of the caller's that is to be filled. Its size is checked before the work that it is to report on.
pub(super) struct Output<T> {
    to: *mut T,
    size: usize,
}

impl<T: Growable> Output<T> {
    /// # Safety
    /// `to` is NULL or valid for reads and writes of the number of bytes in its `struct_size`, at any alignment, until
    /// [`write`](Self::write) is done.
    pub(super) unsafe fn required(to: *mut T) -> Result<Self, InvalidArgument> {
        super::ffi::ensure_non_null(to, super::ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: as required of `to`, which is not NULL.
        unsafe { Self::optional(to) }
    }

    /// As [`required`](Self::required), but for NULL nothing is written.
    ///
    /// # Safety
    /// As for [`required`](Self::required).
    pub(super) unsafe fn optional(to: *mut T) -> Result<Self, InvalidArgument> {
        // SAFETY: as required of `to`, which is not NULL.
        let size = if to.is_null() { 0 } else { unsafe { size_of_callers(to)? } };
        Ok(Self { to, size })
    }

    /// Writes the fields that the caller has; `struct_size` stays the caller's.
    pub(super) fn write(self, value: T) {
        let first = size_of::<usize>();
        if let Some(count) = self.size.min(size_of::<T>()).checked_sub(first) {
            // SAFETY: `to` is not NULL (else `size` is 0) and writable for `size` bytes (required by the constructors);
            // `value` is the library's own and has at least `first + count` bytes.
            unsafe {
                let (from, to) = ((&raw const value).cast::<u8>(), self.to.cast::<u8>());
                ptr::copy_nonoverlapping(from.add(first), to.add(first), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A struct as it was in its first version: what a program was compiled with before.
    #[repr(C)]
    struct First {
        struct_size: usize,
        count: u64,
    }

    /// The same struct today.
    #[repr(C)]
    #[derive(Debug, PartialEq)]
    struct Current {
        struct_size: usize,
        count: u64,
        limit: u64,
    }

    /// The same struct in a later version.
    #[repr(C)]
    struct Next {
        struct_size: usize,
        count: u64,
        limit: u64,
        added: u64,
    }

    growable! { Current { first_size: 16, last: limit: u64, init: "CURRENT_INIT" } }

    fn read_as_current<T>(from: &T) -> Result<Current, InvalidArgument> {
        // SAFETY: `from` is a reference, and its size is in `struct_size` or rejected.
        unsafe { read((&raw const *from).cast()) }
    }

    #[test]
    fn field_that_an_older_program_lacks_has_its_default() {
        let read = read_as_current(&First { struct_size: size_of::<First>(), count: 7 });
        assert_eq!(read, Ok(Current { struct_size: 16, count: 7, limit: 0 }));
    }

    #[test]
    fn field_of_a_newer_program_is_accepted_only_if_it_is_zero() {
        let mut next = Next { struct_size: size_of::<Next>(), count: 7, limit: 8, added: 0 };
        assert_eq!(read_as_current(&next), Ok(Current { struct_size: 32, count: 7, limit: 8 }));
        next.added = 1;
        assert_eq!(
            read_as_current(&next),
            Err(InvalidArgument("Current has a field that the library does not know: the header is newer than the library"))
        );
    }

    #[test]
    fn size_of_no_version_is_rejected() {
        for struct_size in [0, 1, 8, 15, MAX_SIZE + 1, usize::MAX] {
            let mut current = Current { struct_size, count: 7, limit: 8 };
            let expected = || InvalidArgument("invalid struct_size: initialise the struct with CURRENT_INIT");
            assert_eq!(read_as_current(&current), Err(expected()), "{struct_size}");
            // SAFETY: a local struct.
            assert_eq!(unsafe { Output::required(&mut current) }.err(), Some(expected()), "{struct_size}");
        }
    }

    #[test]
    fn output_is_written_as_far_as_the_caller_has_it() {
        let value = || Current { struct_size: size_of::<Current>(), count: 1, limit: 2 };
        let mut all = Next { struct_size: 0, count: 9, limit: 9, added: 9 };
        for (struct_size, expected) in [(16, (1, 9, 9)), (24, (1, 2, 9)), (32, (1, 2, 9))] {
            (all.struct_size, all.count, all.limit) = (struct_size, 9, 9);
            // SAFETY: a local struct of at least `struct_size` bytes.
            unsafe { Output::<Current>::required((&raw mut all).cast()) }.unwrap().write(value());
            assert_eq!((all.struct_size, (all.count, all.limit, all.added)), (struct_size, expected));
        }
    }

    #[test]
    fn null_stands_for_defaults_and_for_no_output() {
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(read_or_default(ptr::null()), Ok(Current { struct_size: 0, count: 0, limit: 0 }));
            Output::<Current>::optional(ptr::null_mut()).unwrap().write(Current { struct_size: 24, count: 1, limit: 2 });
            assert!(Output::<Current>::required(ptr::null_mut()).is_err());
        }
    }
}
