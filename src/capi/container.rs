//! The functions fdckpt_container_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;

use super::ffi;
use super::fixed_string::FixedString;
use super::last_error::{FDCKPT_NO_OFFSET, TEXT_SIZE};
use crate::alloc::try_copy;
use crate::container::{Container, Error, Issue};
use crate::error_base::InvalidArgument;
use crate::sys::mmap::Mmap;

/// A container in the "CKPT" format: sections of any data in one file, each with a type from 0 to 255, and a trailer at the
/// file's end that says where they lie. docs/format/container.md specifies it.
///
/// A container is made by fdckpt_container_new, _parse or _open, and freed by fdckpt_container_free. It is used by one thread
/// at a time; functions that take it as const can be called by several threads at once. A call that fails leaves it as it was.
///
/// Data is not copied when a container is parsed or opened, and handed out where it lies.
pub struct fdckpt_container_t {
    /// What it borrows: memory of the host, by the host's promise, or the map. (First, so that it is dropped first.)
    container: Container<'static>,
    _map: Option<Mmap>,
}

/// A section, as the metadata has it. In a damaged file offset and length can be anything: they are checked by
/// fdckpt_container_find and fdckpt_container_section_data, which is how to get at the data.
#[repr(C)]
pub struct fdckpt_container_section_t {
    /// Where the data begins in the file (after a change of the container: in the file that will be written), in bytes.
    pub offset: i64,
    /// Size of the data in bytes.
    pub length: i64,
    /// The section's type, in [0,255].
    pub r#type: c_int,
}

/// In fdckpt_container_issue_t: it is not about one section.
pub const FDCKPT_NO_SECTION: u64 = u64::MAX;

/// What fdckpt_container_verify has found.
#[repr(C)]
pub struct fdckpt_container_issue_t {
    /// Where in the file, in bytes, or FDCKPT_NO_OFFSET.
    pub offset: u64,
    /// Which section it is about, counted from 0, or FDCKPT_NO_SECTION.
    pub section: u64,
    /// What it is and what was expected, in a sentence for people. Its wording may change. Valid until the callback returns.
    pub text: *const c_char,
}

/// Receives the findings of fdckpt_container_verify, one by one. context is what was given to that. It must return: no longjmp,
/// no C++ exception.
pub type fdckpt_container_issue_fn_t =
    Option<unsafe extern "C" fn(context: *mut c_void, finding: *const fdckpt_container_issue_t)>;

/// fdckpt_container_probe returns 1 if the sz bytes at mem end as a container does, else 0. It looks at the last 4 bytes
/// alone, to tell containers from files of other formats; fdckpt_container_parse tells whether it can be read. mem may be NULL
/// if sz is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_probe(mem: *const c_void, sz: usize) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::slice_from_raw(mem, sz) }.is_ok_and(Container::is_format).into()
}

/// fdckpt_container_new returns a container without sections, or NULL if memory could not be had.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_container_new() -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_new", || Ok(fdckpt_container_t { container: Container::new(), _map: None }))
}

/// fdckpt_container_parse returns the container that the sz bytes at mem are. They are not copied: they must stay as they are
/// until the container is freed. Takes time in proportion to the metadata, whatever the size of the data, and memory of at most
/// 30 times the metadata's length and 16 KiB.
///
/// On failure returns NULL. Reasons, by fdckpt_last_error: FDCKPT_ERR_FORMAT, it is no container (or cut off);
/// FDCKPT_ERR_CORRUPT, its metadata can't be read; FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY. A section that lies outside of
/// the data is no reason: it fails when it is asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_parse(mem: *const c_void, sz: usize) -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_parse", || {
        // SAFETY: the caller keeps to the comment above.
        let file = unsafe { ffi::slice_from_raw(mem, sz) }?;
        Ok(fdckpt_container_t { container: Container::parse(file)?, _map: None })
    })
}

/// fdckpt_container_open returns the container in the file that the descriptor fd is open for, by mapping all of it into memory
/// for reading. The descriptor's position does not matter, and it can be closed right after. The map lives until the container
/// is freed.
///
/// Until then nobody may change or shorten what the file has now: what is read from parts that change is undefined, and a process
/// that touches a part that is gone is ended by the system (SIGBUS). Appending to the file is no such change.
///
/// On failure returns NULL. Reasons: FDCKPT_ERR_IO, the file can't be mapped (it is a pipe, say), and as for
/// fdckpt_container_parse.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_container_open(fd: c_int) -> *mut fdckpt_container_t {
    ffi::ffi_new(c"fdckpt_container_open", || {
        // SAFETY: the container is dropped before the map; the caller promises that nobody changes the file.
        let (map, file) = unsafe { ffi::map_fd(fd) }?;
        Ok(fdckpt_container_t { container: Container::parse(file)?, _map: Some(map) })
    })
}

/// fdckpt_container_free frees the container and what it has copied or mapped. It may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_free(container: *mut fdckpt_container_t) {
    // SAFETY: the caller has it from one of the functions above, and uses it no more.
    unsafe { ffi::free(c"fdckpt_container_free", container) }
}

/// fdckpt_container_set sets the section of this type, in [0,255], to a copy of the sz bytes at buf: all sections of the type
/// go, the new one comes last. buf may be NULL if sz is 0. In a container that was parsed, whatever lies between its sections
/// is dropped when it is written, and sections that overlap get bytes of their own.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_OUT_OF_RANGE, a section that stays can't be read;
/// FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_set(
    container: *mut fdckpt_container_t,
    r#type: c_int,
    buf: *const c_void,
    sz: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_container_set", container, |handle| {
            let (kind, buf) = (kind(r#type)?, ffi::slice_from_raw(buf, sz)?);
            let copy = try_copy(buf)?;
            Ok(handle.container.set(kind, copy)?)
        })
    }
}

/// fdckpt_container_set_borrowed is fdckpt_container_set without the copy: the sz bytes at buf must stay as they are until the
/// container is freed, or the section is set again or removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_set_borrowed(
    container: *mut fdckpt_container_t,
    r#type: c_int,
    buf: *const c_void,
    sz: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_container_set_borrowed", container, |handle| {
            let (kind, buf) = (kind(r#type)?, ffi::slice_from_raw(buf, sz)?);
            Ok(handle.container.set(kind, buf)?)
        })
    }
}

/// fdckpt_container_remove removes all sections of this type, in [0,255].
///
/// Returns FDCKPT_OK, or FDCKPT_ERR_NOT_FOUND if there is none, and as fdckpt_container_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_remove(container: *mut fdckpt_container_t, r#type: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::call_mut(c"fdckpt_container_remove", container, |handle| Ok(handle.container.remove(kind(r#type)?)?)) }
}

/// fdckpt_container_find finds the first section of this type, in [0,255]. Takes the same time however many there are.
///
/// On success returns FDCKPT_OK, and *_buf and *_sz are its data, which is not copied: it is valid until the container is
/// freed, or a section is set or removed. *_buf is not NULL, even if *_sz is 0. On failure they are untouched. Reasons:
/// FDCKPT_ERR_NOT_FOUND, there is none (which is not logged); FDCKPT_ERR_OUT_OF_RANGE, it lies outside of the data;
/// FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_find(
    container: *const fdckpt_container_t,
    r#type: c_int,
    _buf: *mut *const c_void,
    _sz: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_find", container, |handle| {
            ffi::ensure_non_null(_buf, ffi::ERR_NULL_OUT_PARAM).and(ffi::ensure_non_null(_sz, ffi::ERR_NULL_OUT_PARAM))?;
            hand_out(handle.container.get(kind(r#type)?)?, _buf, _sz);
            Ok(())
        })
    }
}

/// fdckpt_container_section_count returns how many sections there are. One that was parsed can have several of a type, and more than 256.
/// 0 if container is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_count(container: *const fdckpt_container_t) -> usize {
    let mut count = 0;
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_count", container, |handle| {
            count = handle.container.len();
            Ok(())
        })
    };
    count
}

/// fdckpt_container_version returns the version that the metadata has: 1, unless a file with another one was parsed. Nothing
/// depends on it. 0 if container is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_version(container: *const fdckpt_container_t) -> i64 {
    let mut version = 0;
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_version", container, |handle| {
            version = handle.container.version();
            Ok(())
        })
    };
    version
}

/// fdckpt_container_section_info tells of section i, counted from 0 in the order of the metadata.
///
/// On success returns FDCKPT_OK and fills *_section. On failure it is untouched. Reasons: FDCKPT_ERR_NOT_FOUND, there are not
/// so many; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_info(
    container: *const fdckpt_container_t,
    i: usize,
    _section: *mut fdckpt_container_section_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_info", container, |handle| {
            ffi::ensure_non_null(_section, ffi::ERR_NULL_OUT_PARAM)?;
            let section = handle.container.section(i).ok_or(Error::IndexNotFound { index: i as u64 })?;
            _section.write_unaligned(fdckpt_container_section_t {
                offset: section.offset(),
                length: section.length(),
                r#type: section.kind().into(),
            });
            Ok(())
        })
    }
}

/// fdckpt_container_section_data is fdckpt_container_find for section i, counted from 0: the only way to the second section of a type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_section_data(
    container: *const fdckpt_container_t,
    i: usize,
    _buf: *mut *const c_void,
    _sz: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_section_data", container, |handle| {
            ffi::ensure_non_null(_buf, ffi::ERR_NULL_OUT_PARAM).and(ffi::ensure_non_null(_sz, ffi::ERR_NULL_OUT_PARAM))?;
            let section = handle.container.section(i).ok_or(Error::IndexNotFound { index: i as u64 })?;
            hand_out(section.data()?, _buf, _sz);
            Ok(())
        })
    }
}

/// fdckpt_container_serialized_size tells in *_sz how many bytes fdckpt_container_serialize and fdckpt_container_write write.
///
/// Returns FDCKPT_OK, or on failure, with *_sz untouched, FDCKPT_ERR_INVALID_ARGUMENT: a pointer is NULL, or the metadata would be
/// larger than 4 GiB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_serialized_size(container: *const fdckpt_container_t, _sz: *mut u64) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_serialized_size", container, |handle| {
            ffi::ensure_non_null(_sz, ffi::ERR_NULL_OUT_PARAM)?;
            _sz.write_unaligned(handle.container.serialized_size()?);
            Ok(())
        })
    }
}

/// fdckpt_container_serialize writes the container to the dst_sz bytes at dst, which must not overlap with data that the
/// container does not own a copy of.
///
/// On success returns FDCKPT_OK, and *_sz is how many bytes were written. If dst is too small, returns FDCKPT_ERR_BUFFER_TOO_SMALL,
/// writes nothing to it, and *_sz is how many are needed (dst may be NULL if dst_sz is 0). On other failures *_sz is untouched:
/// FDCKPT_ERR_INVALID_ARGUMENT, FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_serialize(
    container: *const fdckpt_container_t,
    dst: *mut c_void,
    dst_sz: usize,
    _sz: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_serialize", container, |handle| {
            ffi::ensure_non_null(_sz, ffi::ERR_NULL_OUT_PARAM)?;
            let result = handle.container.serialize_into(ffi::slice_from_raw_mut(dst, dst_sz)?);
            match result {
                Ok(size) => _sz.write_unaligned(size),
                Err(Error::BufferTooSmall { needed, .. }) => _sz.write_unaligned(needed as usize),
                Err(_) => {}
            }
            Ok(result.map(drop)?)
        })
    }
}

/// fdckpt_container_write writes the container to the descriptor fd (a file, pipe or socket), from its current position on. A
/// descriptor in non-blocking mode is waited for. Nothing is synced.
///
/// The container must be all that the file has: its trailer is found at the file's end, and its offsets count from the file's
/// begin. So write to a file that is empty, at its begin.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY; FDCKPT_ERR_IO, and then the file has a part of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_write(container: *const fdckpt_container_t, fd: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_write", container, |handle| {
            Ok(handle.container.write_to(ffi::borrow_fd(fd)?).map(drop)?)
        })
    }
}

/// fdckpt_container_append updates the file that the container was parsed or opened from without writing its data again: behind
/// all that it has, it gets the data that was set, and metadata that names these sections and those that stay.
///
/// fd must be open for reading and writing, and hold what was parsed. If its size, metadata or trailer are others, nothing is
/// written (FDCKPT_ERR_INVALID_STATE); its data is not compared. What the file had stays in it: old data and metadata become a gap in the
/// new data. To append again, open the file again: the container does not change. If it was not parsed but made by
/// fdckpt_container_new, the file must be empty. On success fd's position is the end of the file.
///
/// Data is written first, the trailer last. Where writing fails, the file is cut to the size that it had, and so is what it was.
/// A crash meanwhile can leave it with a part of what was to be written, which most likely is no container; cut to its former
/// size it is the old one again. Nothing is synced, so after a crash of the whole machine the trailer can be there, and data in
/// front of it not. Nothing is locked: nobody else may write to the file meanwhile.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_INVALID_STATE; FDCKPT_ERR_OUT_OF_RANGE, a section that stays can't be read;
/// FDCKPT_ERR_IO; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_append(container: *const fdckpt_container_t, fd: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_append", container, |handle| {
            Ok(handle.container.append_to(ffi::borrow_fd(fd)?).map(drop)?)
        })
    }
}

/// fdckpt_container_verify compares the file that was parsed or opened with what would be written for it: version 1, no type
/// twice, sections one behind the other without gaps, metadata in the one form in which it is written. Calls found, which may
/// be NULL, with context for each thing that is not so. What was set or removed since is not regarded; a container that was
/// made by fdckpt_container_new has no findings.
///
/// There can be as many findings as the metadata has tokens. Returns FDCKPT_OK if nothing was found, FDCKPT_ERR_VERIFY_FAILED if
/// something was (which is not logged), FDCKPT_ERR_INVALID_ARGUMENT, FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_container_verify(
    container: *const fdckpt_container_t,
    found: fdckpt_container_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    let findings = Cell::new(0);
    let mut note = |finding: Issue| {
        findings.set(findings.get() + 1);
        let Some(found) = found else { return };
        let mut line = FixedString::<{ TEXT_SIZE }>::new();
        _ = write!(line, "{finding}");
        let finding = fdckpt_container_issue_t {
            offset: finding.offset.unwrap_or(FDCKPT_NO_OFFSET),
            section: finding.section.map_or(FDCKPT_NO_SECTION, |section| section as u64),
            text: line.as_c_str().as_ptr(),
        };
        // SAFETY: the host's function; what it gets lives until it returns.
        unsafe { found(context, &finding) }
    };
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_container_verify", container, |handle| {
            handle.container.verify_with(&mut note)?;
            match findings.get() {
                0 => Ok(()),
                issues => Err(Error::NotCanonical { issues }.into()),
            }
        })
    }
}

fn kind(r#type: c_int) -> Result<u8, InvalidArgument> {
    u8::try_from(r#type).map_err(|_| InvalidArgument("the section type must be 0 to 255"))
}

/// # Safety
/// Both pointers are good for a write.
unsafe fn hand_out(data: &[u8], buf: *mut *const c_void, sz: *mut usize) {
    // An empty slice can be anywhere: C gets an address that is one.
    let address = if data.is_empty() { c"".as_ptr().cast() } else { data.as_ptr().cast() };
    // SAFETY: the caller's promise.
    unsafe {
        buf.write_unaligned(address);
        sz.write_unaligned(data.len());
    }
}
