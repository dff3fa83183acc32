//! The functions fdckpt_container_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;

use super::ffi;
use super::fixed_string::FixedString;
use super::last_error::{FDCKPT_NO_OFFSET, TEXT_SIZE};
use super::struct_size::{Output, growable};
use crate::alloc::try_copy;
use crate::container::{Container, Error, Issue};
use crate::error_base::InvalidArgument;
use crate::sys::mmap::Mmap;

/// A container in the CKPT format (docs/format/container.md): one file of typed sections (types 0 to
/// 255), with metadata and a trailer at its end.
///
/// Created by fdckpt_container_new, fdckpt_container_parse or fdckpt_container_open, freed by
/// fdckpt_container_free. Data is not copied when a container is parsed, opened or read. A call that
/// fails leaves the container as it was.
pub struct fdckpt_container_t {
    /// Borrows the caller's memory or the map, so it is the first field: dropped first.
    container: Container<'static>,
    _map: Option<Mmap>,
}

/// A section, as described by the metadata. In a corrupt file, offset and size may have any value:
/// fdckpt_container_find and fdckpt_container_section_data check them and return the data.
/// Initialise with FDCKPT_CONTAINER_SECTION_INIT.
#[repr(C)]
pub struct fdckpt_container_section_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Offset in bytes of the data in the file; of a changed container, in the file that would be
    /// written.
    pub offset: i64,
    /// Size in bytes of the data.
    pub size: i64,
    /// Type, 0 to 255.
    pub r#type: c_int,
    /// 0.
    pub reserved: c_int,
}

growable! { fdckpt_container_section_t { first_size: 32, last: reserved: c_int, init: "FDCKPT_CONTAINER_SECTION_INIT" } }

/// Value of fdckpt_container_issue_t.section: no section is associated.
pub const FDCKPT_NO_SECTION: u64 = u64::MAX;

/// An issue found by fdckpt_container_verify, filled by the library. Fields beyond struct_size do
/// not exist.
#[repr(C)]
pub struct fdckpt_container_issue_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// Offset in bytes in the file; FDCKPT_NO_OFFSET if none is associated.
    pub offset: u64,
    /// Index of the section, counted from 0; FDCKPT_NO_SECTION if none is associated.
    pub section: u64,
    /// What is there and what was expected, one line. The wording may change.
    pub message: *const c_char,
}

/// Receives the issues found by fdckpt_container_verify. Must return: no longjmp, no C++ exception.
///
/// @param context  `context` of fdckpt_container_verify
/// @param issue    valid until the callback returns, message included
pub type fdckpt_container_issue_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, issue: *const fdckpt_container_issue_t)>;

/// Tests whether a file may be a container, by its last 4 bytes only. fdckpt_container_open or
/// fdckpt_container_parse shows whether it can be read.
///
/// @param data  contents of the file; may be NULL if size is 0
/// @param size  number of bytes at data
/// @return 1 if it ends like a container, else 0
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `data` is readable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_probe(data: *const c_void, size: usize) -> c_int {
    // SAFETY: `data` is NULL or readable for `size` bytes (caller).
    unsafe { ffi::slice_from_raw(data, size) }.is_ok_and(Container::is_format).into()
}

/// Creates a container without sections.
///
/// @return container, to be freed with fdckpt_container_free; or NULL, fdckpt_last_error() has the
///         code:
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_container_new() -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_new", || Ok(fdckpt_container_t { container: Container::new(), _map: None }))
}

/// Parses a container in memory. Takes time in proportion to the metadata, not the data, and at most
/// 30 times the size of the metadata plus 16 KiB of memory. Sections are not checked here but when
/// they are read.
///
/// @param data  contents of the file; must remain valid and unmodified until the container is freed
/// @param size  number of bytes at data
/// @return container, to be freed with fdckpt_container_free; or NULL, fdckpt_last_error() has the
///         code:
///         FDCKPT_ERR_FORMAT            not a container, or truncated
///         FDCKPT_ERR_CORRUPT           the metadata is corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  data is NULL, or size too large
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `data` is readable for `size` bytes and unmodified until the container is freed (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_parse(data: *const c_void, size: usize) -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_parse", || {
        // SAFETY: `data` is readable and unmodified as long as the container (caller).
        let file = unsafe { ffi::slice_from_raw(data, size) }?;
        Ok(fdckpt_container_t { container: Container::parse(file)?, _map: None })
    })
}

/// Maps the file of a descriptor and parses it as a container.
///
/// The file must not be modified or truncated until the container is freed: modified data reads as
/// unspecified bytes, and accessing truncated pages raises SIGBUS. Appending is allowed.
///
/// @param fd  descriptor open for reading, at any position; not closed; not needed after the call
/// @return as for fdckpt_container_parse; NULL also with
///         FDCKPT_ERR_IO                the file cannot be mapped (a pipe, for example)
///         FDCKPT_ERR_INVALID_ARGUMENT  fd is negative
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_container_open(fd: c_int) -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_open", || {
        // SAFETY: the container is dropped before the map (order of the fields); no process modifies the file (documented
        // above).
        let (map, file) = unsafe { ffi::map_fd(fd) }?;
        Ok(fdckpt_container_t { container: Container::parse(file)?, _map: Some(map) })
    })
}

/// Frees a container, with the data it has copied or mapped.
///
/// @param container  container; may be NULL
///
/// Thread safety: any thread that is the last to use the container.
///
/// # Safety
/// `container` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_free(container: *mut fdckpt_container_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_container_free", container) }
}

/// Sets a section to a copy of data. All sections of the type are replaced; the new one comes last.
/// When a parsed container that was changed is written, data between its sections is dropped, and
/// sections that overlap are separated.
///
/// @param container  container
/// @param type       type of the section, 0 to 255
/// @param data       contents, copied; may be NULL if size is 0
/// @param size       number of bytes at data
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or type or size is out of range
///         FDCKPT_ERR_OUT_OF_RANGE      a section that stays lies outside of the file
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: one thread at a time per container.
///
/// # Safety
/// `container` is a live handle that no other thread uses, `data` readable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_set(
    container: *mut fdckpt_container_t,
    r#type: c_int,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle used by this thread only, `data` readable (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_container_set", container, |handle| {
            let (kind, data) = (kind(r#type)?, ffi::slice_from_raw(data, size)?);
            let copy = try_copy(data)?;
            Ok(handle.container.set(kind, copy)?)
        })
    }
}

/// Sets a section without copying the data. Otherwise as fdckpt_container_set.
///
/// @param container  container
/// @param type       type of the section, 0 to 255
/// @param data       contents; must remain valid and unmodified until the container is freed or the
///                   section is set again or removed. May be NULL if size is 0.
/// @param size       number of bytes at data
/// @return as for fdckpt_container_set
///
/// Thread safety: one thread at a time per container.
///
/// # Safety
/// `container` is a live handle that no other thread uses; `data` is readable for `size` bytes and unmodified as long
/// as it is a section (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_set_borrowed(
    container: *mut fdckpt_container_t,
    r#type: c_int,
    data: *const c_void,
    size: usize,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle used by this thread only; `data` is readable and unmodified as long as
    // it is a section (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_container_set_borrowed", container, |handle| {
            let (kind, data) = (kind(r#type)?, ffi::slice_from_raw(data, size)?);
            Ok(handle.container.set(kind, data)?)
        })
    }
}

/// Removes all sections of a type.
///
/// @param container  container
/// @param type       type of the sections, 0 to 255
/// @return as for fdckpt_container_set; FDCKPT_ERR_NOT_FOUND if no section has the type
///
/// Thread safety: one thread at a time per container.
///
/// # Safety
/// `container` is a live handle that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_remove(container: *mut fdckpt_container_t, r#type: c_int) -> c_int {
    // SAFETY: `container` is NULL or a live handle used by this thread only (caller).
    unsafe { ffi::call_mut(c"fdckpt_container_remove", container, |handle| Ok(handle.container.remove(kind(r#type)?)?)) }
}

/// Returns the data of the first section of a type, in constant time.
///
/// @param container  container
/// @param type       type of the section, 0 to 255
/// @param out_data   data, read-only, never NULL on success; valid until the container is freed or a
///                   section is set or removed. Written on success.
/// @param out_size   size of the data in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         no section has this type
///         FDCKPT_ERR_OUT_OF_RANGE      the section lies outside of the file
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or type is out of range
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes, the others are out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_find(
    container: *const fdckpt_container_t,
    r#type: c_int,
    out_data: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies; the out parameters are NULL or writable
    // (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_find", container, |handle| {
            ffi::ensure_non_null(out_data, ffi::ERR_NULL_OUT_PARAM)
                .and(ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM))?;
            write_slice(handle.container.get(kind(r#type)?)?, out_data, out_size);
            Ok(())
        })
    }
}

/// Returns the number of sections. A parsed container may have several of one type, and more than
/// 256.
///
/// @param container  container
/// @return number of sections; 0 if container is NULL
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_count(container: *const fdckpt_container_t) -> usize {
    let mut count = 0;
    // SAFETY: `container` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_count", container, |handle| {
            count = handle.container.len();
            Ok(())
        })
    };
    count
}

/// Returns the format version in the metadata. It is informative: all versions are read alike.
///
/// @param container  container
/// @return 1, unless a file with another version was parsed; 0 if container is NULL
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_version(container: *const fdckpt_container_t) -> i64 {
    let mut version = 0;
    // SAFETY: `container` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_version", container, |handle| {
            version = handle.container.version();
            Ok(())
        })
    };
    version
}

/// Describes a section.
///
/// @param container    container
/// @param index        index of the section, counted from 0 in the order of the metadata
/// @param out_section  initialised with FDCKPT_CONTAINER_SECTION_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= section count
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the struct not initialised
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes, `out_section` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_info(
    container: *const fdckpt_container_t,
    index: usize,
    out_section: *mut fdckpt_container_section_t,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies, `out_section` NULL or writable for its
    // struct_size (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_info", container, |handle| {
            let out_section = Output::required(out_section)?;
            let section = handle.container.section(index).ok_or(Error::IndexNotFound { index: index as u64 })?;
            out_section.write(fdckpt_container_section_t {
                struct_size: size_of::<fdckpt_container_section_t>(),
                offset: section.offset(),
                size: section.length(),
                r#type: section.kind().into(),
                reserved: 0,
            });
            Ok(())
        })
    }
}

/// Returns the data of a section by index: the only way to the second section of a type. Otherwise
/// as fdckpt_container_find.
///
/// @param container  container
/// @param index      index of the section, counted from 0 in the order of the metadata
/// @param out_data   as for fdckpt_container_find
/// @param out_size   size of the data in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= section count
///         FDCKPT_ERR_OUT_OF_RANGE      the section lies outside of the file
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes, the others are out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_data(
    container: *const fdckpt_container_t,
    index: usize,
    out_data: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies; the out parameters are NULL or writable
    // (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_data", container, |handle| {
            ffi::ensure_non_null(out_data, ffi::ERR_NULL_OUT_PARAM)
                .and(ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM))?;
            let section = handle.container.section(index).ok_or(Error::IndexNotFound { index: index as u64 })?;
            write_slice(section.data()?, out_data, out_size);
            Ok(())
        })
    }
}

/// Returns the number of bytes that fdckpt_container_serialize and fdckpt_container_write write.
///
/// @param container  container
/// @param out_size   size in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the metadata would exceed 4 GiB
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes, `out_size` an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_serialized_size(container: *const fdckpt_container_t, out_size: *mut u64) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies, `out_size` NULL or writable (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_serialized_size", container, |handle| {
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            out_size.write_unaligned(handle.container.serialized_size()?);
            Ok(())
        })
    }
}

/// Writes a container to memory.
///
/// @param container  container
/// @param buffer     destination; must not overlap with borrowed, parsed or mapped data of the
///                   container. May be NULL if capacity is 0. Written on success only.
/// @param capacity   number of bytes at buffer
/// @param out_size   number of bytes written; after FDCKPT_ERR_BUFFER_TOO_SMALL, the required
///                   capacity
/// @return FDCKPT_OK
///         FDCKPT_ERR_BUFFER_TOO_SMALL  capacity is too small
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the metadata would exceed 4 GiB
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes, `buffer` writable for `capacity` bytes, `out_size` an out
/// parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_serialize(
    container: *const fdckpt_container_t,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies, `buffer` writable by this call only,
    // `out_size` NULL or writable (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_serialize", container, |handle| {
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let result = handle.container.serialize_into(ffi::slice_from_raw_mut(buffer, capacity)?);
            match result {
                Ok(size) => out_size.write_unaligned(size),
                Err(Error::BufferTooSmall { needed, .. }) => out_size.write_unaligned(needed as usize),
                Err(_) => {}
            }
            Ok(result.map(drop)?)
        })
    }
}

/// Writes a container to a descriptor, from its current position. The container must be all of the
/// file, so the file must be empty and at its start: the trailer is found at the end of the file,
/// and offsets count from its start. Nothing is synced.
///
/// @param container  container
/// @param fd         descriptor of a file, pipe or socket open for writing; not closed. Waits for a
///                   non-blocking one.
/// @return FDCKPT_OK
///         FDCKPT_ERR_IO                writing failed; the file is incomplete
///         FDCKPT_ERR_INVALID_ARGUMENT  container is NULL, fd is negative, or the metadata would
///                                      exceed 4 GiB
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes; `fd` is the caller's to use (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_write(container: *const fdckpt_container_t, fd: c_int) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_write", container, |handle| {
            Ok(handle.container.write_to(ffi::borrow_fd(fd)?).map(drop)?)
        })
    }
}

/// Updates the file that a container was parsed or opened from without rewriting its data: appends
/// the sections that were set, then metadata that describes these and the sections that stay.
///
/// Old data and metadata remain in the file as a gap. To append again, open the file again: the
/// container is not changed. After fdckpt_container_new the file must be empty.
///
/// If writing fails, the file is truncated to its former size, which restores it. A crash may leave
/// a part of the appended bytes, which is not a container; truncated to its former size, the file is
/// the old one again. Nothing is synced: after a system crash the trailer may exist without the
/// data. Nothing is locked: no other process may write to the file meanwhile.
///
/// @param container  container
/// @param fd         descriptor open for reading and writing, of the file with the parsed size,
///                   metadata and trailer (its data is not compared); not closed. On success its
///                   position is the end of the file.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_STATE     the file is not the one that was parsed; nothing is written
///         FDCKPT_ERR_OUT_OF_RANGE      a section that stays lies outside of the file
///         FDCKPT_ERR_IO                reading or writing failed
///         FDCKPT_ERR_INVALID_ARGUMENT  container is NULL, fd is negative, or the metadata would
///                                      exceed 4 GiB
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes; `fd` is the caller's to use (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_append(container: *const fdckpt_container_t, fd: c_int) -> c_int {
    // SAFETY: `container` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_append", container, |handle| {
            Ok(handle.container.append_to(ffi::borrow_fd(fd)?).map(drop)?)
        })
    }
}

/// Compares the parsed file with its canonical form: version 1, no type twice, sections without
/// gaps, canonical metadata. Changes since it was parsed do not matter. Reports at most one issue
/// per token of the metadata; none after fdckpt_container_new.
///
/// @param container  container
/// @param callback   called on this thread for each issue; may be NULL
/// @param context    passed to the callback
/// @return FDCKPT_OK: the file is in canonical form
///         FDCKPT_ERR_VERIFY_FAILED     issues were found
///         FDCKPT_ERR_INVALID_ARGUMENT  container is NULL
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one container that none modifies.
///
/// # Safety
/// `container` is a live handle that no other thread changes; `callback` is NULL or can be called with `context` (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_verify(
    container: *const fdckpt_container_t,
    callback: fdckpt_container_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    let count = Cell::new(0);
    let mut report = |found: Issue| {
        count.set(count.get() + 1);
        let Some(callback) = callback else { return };
        let mut line = FixedString::<TEXT_SIZE>::new();
        _ = write!(line, "{found}");
        let issue = fdckpt_container_issue_t {
            struct_size: size_of::<fdckpt_container_issue_t>(),
            offset: found.offset.unwrap_or(FDCKPT_NO_OFFSET),
            section: found.section.map_or(FDCKPT_NO_SECTION, |section| section as u64),
            message: line.as_c_str().as_ptr(),
        };
        // SAFETY: the callback can be called with `context` (caller); the issue lives until it returns.
        unsafe { callback(context, &issue) }
    };
    // SAFETY: `container` is NULL or a live handle that no thread modifies (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_container_verify", container, |handle| {
            handle.container.verify_with(&mut report)?;
            match count.get() {
                0 => Ok(()),
                issues => Err(Error::NotCanonical { issues }.into()),
            }
        })
    }
}

fn kind(r#type: c_int) -> Result<u8, InvalidArgument> {
    u8::try_from(r#type).map_err(|_| InvalidArgument("the section type must be 0 to 255"))
}

/// Writes a slice to out parameters.
///
/// # Safety
/// Both pointers are valid for writes, at any alignment.
unsafe fn write_slice(data: &[u8], out_data: *mut *const c_void, out_size: *mut usize) {
    // An empty slice may dangle: C gets the address of an object.
    let address = if data.is_empty() { c"".as_ptr().cast() } else { data.as_ptr().cast() };
    // SAFETY: as required of both pointers.
    unsafe {
        out_data.write_unaligned(address);
        out_size.write_unaligned(data.len());
    }
}
