//! The functions fdckpt_fti_file_* of fdckpt.h, which read and repair files of FTI. The comments here are those of the
//! header.

#![allow(non_camel_case_types)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write;

use super::ffi;
use super::fixed_string::FixedString;
use super::fti::{fdckpt_fti_options_t, threads};
use super::last_error::TEXT_SIZE;
use super::options;
use super::struct_size::{Output, growable};
use crate::fti::{self, Checkpoint, Difference, Error, Issue, Severity};
use crate::sys::mmap::Mmap;

/// A file of FTI that is open for reading. The file is mapped into memory.
///
/// Created by fdckpt_fti_file_open, freed by fdckpt_fti_file_free. It does not change.
pub struct fdckpt_fti_file_t {
    /// Borrows the map, so it is the first field: dropped first.
    checkpoint: Checkpoint<'static>,
    _map: Mmap,
    path: CString,
}

/// The header of a file as it is stored: nothing is checked. Fields that the format does not have
/// are -1. Initialise with FDCKPT_FTI_FILE_HEADER_INIT.
#[repr(C)]
pub struct fdckpt_fti_file_header_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Offset in bytes of the header in the file.
    pub offset: u64,
    /// Size of the file in bytes (FTI's ckptSize).
    pub ckpt_size: i64,
    /// Size in bytes of all metadata, header included (metaSize). From format 1.3 on.
    pub meta_size: i64,
    /// Sum of the sizes of the FTI containers in bytes (dataSize). From format 1.3 on.
    pub data_size: i64,
    /// Size of the file in bytes (fs).
    pub file_size: i64,
    /// Level 3: size in bytes of the largest file in the group, from format 1.3 on 8 more (maxFs);
    /// else -1.
    pub group_max_file_size: i64,
    /// Level 2: size in bytes of the file of the left neighbour in the group (ptFs); else -1.
    pub partner_file_size: i64,
    /// Nanoseconds since 1970; from format 1.4.1 on the lowest 32 bits of that.
    pub timestamp_ns: i64,
    /// Number of the checkpoint. From format 1.3 on.
    pub ckpt_id: c_int,
    /// FDCKPT_FTI_FORMAT_*.
    pub format: c_int,
    /// Number of blocks.
    pub block_count: u64,
    /// Number of FTI containers.
    pub container_count: u64,
    /// Number of variables.
    pub variable_count: u64,
    /// Checksum of the file: 32 hexadecimal digits; in a corrupt file any bytes. NUL-terminated.
    pub checksum: [c_char; 40],
    /// MD5 of the header (myHash).
    pub header_hash: [u8; 16],
}

growable! { fdckpt_fti_file_header_t { first_size: 160, last: header_hash: [u8; 16], init: "FDCKPT_FTI_FILE_HEADER_INIT" } }

/// A variable of a file. Initialise with FDCKPT_FTI_FILE_VARIABLE_INIT.
#[repr(C)]
pub struct fdckpt_fti_file_variable_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Size of the variable in bytes.
    pub size: u64,
    /// Number of FTI containers that hold it.
    pub container_count: u64,
    /// Id of the variable.
    pub id: c_int,
    /// 0.
    pub reserved: c_int,
}

growable! { fdckpt_fti_file_variable_t { first_size: 32, last: reserved: c_int, init: "FDCKPT_FTI_FILE_VARIABLE_INIT" } }

/// An FTI container as it is stored: space of fixed size in the file that holds a chunk of a
/// variable. dptr, fptr and idx are FTI's names. Initialise with FDCKPT_FTI_FILE_CONTAINER_INIT.
#[repr(C)]
pub struct fdckpt_fti_file_container_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Offset in bytes of its metadata in the file.
    pub offset: u64,
    /// Index of its block, counted from 0.
    pub block_index: u64,
    /// Offset in bytes of the chunk in the variable.
    pub dptr: i64,
    /// Offset in bytes of the chunk in the file.
    pub fptr: i64,
    /// Size of the chunk in bytes.
    pub chunk_size: i64,
    /// Size of the container in bytes.
    pub container_size: i64,
    /// MD5 of the chunk.
    pub hash: [u8; 16],
    /// Id of the variable.
    pub id: c_int,
    /// Index of the variable in the order of protection, counted from 0; -1 from format 1.4.0 on.
    pub idx: c_int,
    /// Index of the container among those of its variable, counted from 0.
    pub container_id: c_int,
    /// 1 if it holds a chunk, else 0.
    pub has_content: c_int,
    /// 1 if a differential checkpoint wrote it before or FTI read it back, else 0; -1 in format 1.1.
    pub has_ckpt: c_int,
    /// 0.
    pub reserved: c_int,
}

growable! { fdckpt_fti_file_container_t { first_size: 96, last: reserved: c_int, init: "FDCKPT_FTI_FILE_CONTAINER_INIT" } }

/// Value of fdckpt_fti_file_issue_t.variable_id and .container_index: none is associated.
pub const FDCKPT_FTI_NO_ID: i64 = i64::MIN;

/// Severities of issues.
#[repr(C)]
pub enum fdckpt_fti_severity_t {
    /// Unusual, but harmless.
    FDCKPT_FTI_SEVERITY_NOTE = 0,
    /// The data is intact, but FTI rejects the file. fdckpt_fti_file_repair repairs it.
    FDCKPT_FTI_SEVERITY_REJECTED = 1,
    /// Data of the file may be wrong or missing.
    FDCKPT_FTI_SEVERITY_CORRUPT = 2,
}

constants! { fdckpt_fti_severity_t: FDCKPT_FTI_SEVERITY_NOTE FDCKPT_FTI_SEVERITY_REJECTED FDCKPT_FTI_SEVERITY_CORRUPT }

/// An issue found by fdckpt_fti_file_verify, filled by the library. Fields beyond struct_size do not
/// exist.
#[repr(C)]
pub struct fdckpt_fti_file_issue_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// Path of the file as given to fdckpt_fti_file_open.
    pub path: *const c_char,
    /// Id of the variable; FDCKPT_FTI_NO_ID if none is associated.
    pub variable_id: i64,
    /// Index of the container among those of the variable; FDCKPT_FTI_NO_ID if none is associated.
    pub container_index: i64,
    /// Offset in bytes in the file.
    pub offset: u64,
    /// The field, by FTI's name ("dptr", for example), or "data".
    pub field: *const c_char,
    /// Expected value.
    pub expected: *const c_char,
    /// Value in the file.
    pub actual: *const c_char,
    /// The issue in words, one line. The wording may change.
    pub message: *const c_char,
    /// FDCKPT_FTI_SEVERITY_*.
    pub severity: c_int,
    /// 0.
    pub reserved: c_int,
}

/// Receives the issues found by fdckpt_fti_file_verify. Must return: no longjmp, no C++ exception.
///
/// @param context  `context` of fdckpt_fti_file_verify
/// @param issue    valid until the callback returns, strings included
pub type fdckpt_fti_file_issue_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, issue: *const fdckpt_fti_file_issue_t)>;

/// Kinds of differences between two files.
#[repr(C)]
pub enum fdckpt_fti_difference_kind_t {
    /// Only the first file has the variable.
    FDCKPT_FTI_DIFF_ONLY_IN_FIRST = 1,
    /// Only the second file has the variable.
    FDCKPT_FTI_DIFF_ONLY_IN_SECOND = 2,
    /// The sizes differ: first and second are the sizes in bytes.
    FDCKPT_FTI_DIFF_SIZE = 3,
    /// The data differs: first is the offset in bytes of the first difference in the variable, second
    /// the number of bytes that differ, as far as both files have some.
    FDCKPT_FTI_DIFF_DATA = 4,
    /// One of the files lacks data of the variable.
    FDCKPT_FTI_DIFF_UNREADABLE = 5,
}

constants! { fdckpt_fti_difference_kind_t:
    FDCKPT_FTI_DIFF_ONLY_IN_FIRST FDCKPT_FTI_DIFF_ONLY_IN_SECOND FDCKPT_FTI_DIFF_SIZE FDCKPT_FTI_DIFF_DATA FDCKPT_FTI_DIFF_UNREADABLE
}

/// A difference between two files, filled by the library. Fields beyond struct_size do not exist.
#[repr(C)]
pub struct fdckpt_fti_file_difference_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// FDCKPT_FTI_DIFF_*.
    pub kind: c_int,
    /// Id of the variable.
    pub variable_id: c_int,
    /// Depends on kind; 0 if not described there.
    pub first: u64,
    /// Depends on kind; 0 if not described there.
    pub second: u64,
}

/// Receives the differences found by fdckpt_fti_file_diff. Must return: no longjmp, no C++
/// exception.
///
/// @param context     `context` of fdckpt_fti_file_diff
/// @param difference  valid until the callback returns
pub type fdckpt_fti_file_difference_fn_t =
    Option<unsafe extern "C" fn(context: *mut c_void, difference: *const fdckpt_fti_file_difference_t)>;

/// Opens a file of any format and reads its metadata. A corrupt file is read as far as possible;
/// fdckpt_fti_file_verify reports what is wrong. The file must not be modified or truncated while it
/// is open; replacing it by another file at its path is allowed.
///
/// @param path  path of the file, NUL-terminated; copied
/// @return file, to be freed with fdckpt_fti_file_free; or NULL, fdckpt_last_error() has the code:
///         FDCKPT_ERR_INVALID_STATE     a prepared update is pending, or another process is updating
///                                      the file
///         FDCKPT_ERR_FORMAT            not a file of FTI, or truncated so that it cannot be
///                                      recognised
///         FDCKPT_ERR_IO                the file cannot be opened or read
///         FDCKPT_ERR_INVALID_ARGUMENT  path is NULL
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string (see [`crate::capi`]). No process modifies or truncates the file until it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_open(path: *const c_char) -> *mut fdckpt_fti_file_t {
    ffi::ffi_new(c"fdckpt_fti_file_open", || {
        // SAFETY: `path` is NULL or a C string (caller).
        let path = unsafe { ffi::path_from_c(path) }?;
        let map = fti::open(path)?;
        let bytes = map.bytes();
        // SAFETY: the map does not move and is unmapped after the checkpoint is dropped (order of the fields); no process
        // modifies the file (caller).
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        let checkpoint = Checkpoint::parse(bytes)?;
        Ok(fdckpt_fti_file_t { checkpoint, path: fti::c_path(path)?, _map: map })
    })
}

/// Frees a file and unmaps it.
///
/// @param file  file; may be NULL
///
/// Thread safety: any thread that is the last to use the file.
///
/// # Safety
/// `file` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_free(file: *mut fdckpt_fti_file_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_fti_file_free", file) }
}

/// Describes the header and the number of blocks, containers and variables.
///
/// @param file        file
/// @param out_header  initialised with FDCKPT_FTI_FILE_HEADER_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the struct not initialised
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle, `out_header` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_header(
    file: *const fdckpt_fti_file_t,
    out_header: *mut fdckpt_fti_file_header_t,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle, `out_header` NULL or writable for its struct_size (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_header", file, |file| {
            let out_header = Output::required(out_header)?;
            let (checkpoint, header) = (&file.checkpoint, file.checkpoint.header());
            let mut checksum = [0; 40];
            for (to, from) in checksum.iter_mut().zip(header.checksum) {
                *to = from as c_char;
            }
            out_header.write(fdckpt_fti_file_header_t {
                struct_size: size_of::<fdckpt_fti_file_header_t>(),
                offset: header.offset,
                ckpt_size: header.ckpt_size,
                meta_size: header.meta_size.unwrap_or(-1),
                data_size: header.data_size.unwrap_or(-1),
                file_size: header.fs,
                group_max_file_size: header.max_fs,
                partner_file_size: header.pt_fs,
                timestamp_ns: header.timestamp,
                ckpt_id: header.ckpt_id.unwrap_or(-1),
                format: checkpoint.version() as c_int,
                block_count: checkpoint.blocks().len() as u64,
                container_count: checkpoint.containers().len() as u64,
                variable_count: checkpoint.variables().len() as u64,
                checksum,
                header_hash: header.my_hash,
            });
            Ok(())
        })
    }
}

/// Describes a variable.
///
/// @param file          file
/// @param index         index of the variable, counted from 0 in the order of first protection
/// @param out_variable  initialised with FDCKPT_FTI_FILE_VARIABLE_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= variable count
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the struct not initialised
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle, `out_variable` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_variable(
    file: *const fdckpt_fti_file_t,
    index: usize,
    out_variable: *mut fdckpt_fti_file_variable_t,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle, `out_variable` NULL or writable for its struct_size (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_variable", file, |file| {
            let out_variable = Output::required(out_variable)?;
            let variable = file.checkpoint.variables().get(index).ok_or(Error::IndexNotFound { index: index as u64 })?;
            out_variable.write(fdckpt_fti_file_variable_t {
                struct_size: size_of::<fdckpt_fti_file_variable_t>(),
                size: variable.size,
                container_count: variable.containers as u64,
                id: variable.id,
                reserved: 0,
            });
            Ok(())
        })
    }
}

/// Describes an FTI container.
///
/// @param file           file
/// @param index          index of the container, counted from 0 in the order of the file
/// @param out_container  initialised with FDCKPT_FTI_FILE_CONTAINER_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= container count
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or the struct not initialised
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle, `out_container` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_container(
    file: *const fdckpt_fti_file_t,
    index: usize,
    out_container: *mut fdckpt_fti_file_container_t,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle, `out_container` NULL or writable for its struct_size (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_container", file, |file| {
            let out_container = Output::required(out_container)?;
            let container = file.checkpoint.containers().get(index).ok_or(Error::IndexNotFound { index: index as u64 })?;
            let block = file.checkpoint.blocks().partition_point(|block| block.containers.end <= index);
            out_container.write(fdckpt_fti_file_container_t {
                struct_size: size_of::<fdckpt_fti_file_container_t>(),
                offset: container.offset,
                block_index: block as u64,
                dptr: container.dptr,
                fptr: container.fptr,
                chunk_size: container.chunk_size,
                container_size: container.container_size,
                id: container.id,
                idx: container.idx.unwrap_or(-1),
                container_id: container.container_id,
                has_content: container.has_content.into(),
                has_ckpt: container.has_ckpt.map_or(-1, c_int::from),
                hash: container.hash,
                reserved: 0,
            });
            Ok(())
        })
    }
}

/// Reads a variable and verifies its hashes. Corruption of other variables does not matter.
///
/// @param file  file
/// @param id    id of the variable
/// @param data  destination; contents unspecified if the call fails. May be NULL if size is 0.
/// @param size  number of bytes at data; must equal the variable's size
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         the file has no such variable
///         FDCKPT_ERR_INVALID_STATE     size differs from the variable's size
///         FDCKPT_ERR_CORRUPT           the variable is corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle, `data` writable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_extract(
    file: *const fdckpt_fti_file_t,
    id: c_int,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle, `data` writable by this call only (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_extract", file, |file| {
            Ok(file.checkpoint.recover_variable(id, ffi::slice_from_raw_mut(data, size)?)?)
        })
    }
}

/// Verifies a file: consistency of its metadata, and data against hashes.
///
/// @param file      file
/// @param threads   maximum number of threads, the caller's included; 0 and 1: only the caller's
/// @param callback  called on this thread for each issue; may be NULL
/// @param context   passed to the callback
/// @return FDCKPT_OK: the data is intact (notes are possible, and FTI may reject the file)
///         FDCKPT_ERR_VERIFY_FAILED     the file is corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  file is NULL, or threads is negative
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle; `callback` is NULL or can be called with `context` (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_verify(
    file: *const fdckpt_fti_file_t,
    threads: c_int,
    callback: fdckpt_fti_file_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle; `callback` can be called with `context` and an issue that lives until it
    // returns (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_verify", file, |file| {
            let threads = self::threads(threads)?;
            let report = file.checkpoint.verify(threads, &mut |issue| {
                let Some(callback) = callback else { return };
                pass_issue(issue, &file.path, &mut |issue| callback(context, issue));
            })?;
            if report.is_intact() { Ok(()) } else { Err(Error::VerifyFailed { issues: report.corrupt }.into()) }
        })
    }
}

/// Calls `callback` with the issue as a C struct, which is valid during the call.
fn pass_issue(issue: &Issue, path: &CString, callback: &mut dyn FnMut(*const fdckpt_fti_file_issue_t)) {
    let (mut field, mut expected, mut actual) = (FixedString::<32>::new(), FixedString::<64>::new(), FixedString::<64>::new());
    let mut message = FixedString::<TEXT_SIZE>::new();
    _ = write!(field, "{}", issue.field);
    _ = write!(expected, "{}", issue.expected);
    _ = write!(actual, "{}", issue.found);
    _ = write!(message, "{issue}");
    callback(&fdckpt_fti_file_issue_t {
        struct_size: size_of::<fdckpt_fti_file_issue_t>(),
        path: path.as_ptr(),
        variable_id: issue.variable.map_or(FDCKPT_FTI_NO_ID, i64::from),
        container_index: issue.container.map_or(FDCKPT_FTI_NO_ID, i64::from),
        offset: issue.offset,
        severity: match issue.severity {
            Severity::Note => FDCKPT_FTI_SEVERITY_NOTE,
            Severity::Rejected => FDCKPT_FTI_SEVERITY_REJECTED,
            Severity::Corrupt => FDCKPT_FTI_SEVERITY_CORRUPT,
        },
        field: field.as_c_str().as_ptr(),
        expected: expected.as_c_str().as_ptr(),
        actual: actual.as_c_str().as_ptr(),
        message: message.as_c_str().as_ptr(),
        reserved: 0,
    });
}

/// Compares the variables of two files of any format. Hashes are not verified.
///
/// @param first      first file
/// @param second     second file
/// @param callback   called on this thread for each difference; may be NULL
/// @param context    passed to the callback
/// @param out_count  number of differences; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///
/// Thread safety: several threads may use the files at the same time.
///
/// # Safety
/// Both files are live handles; `callback` is NULL or can be called with `context`; `out_count` is an out parameter
/// (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_diff(
    first: *const fdckpt_fti_file_t,
    second: *const fdckpt_fti_file_t,
    callback: fdckpt_fti_file_difference_fn_t,
    context: *mut c_void,
    out_count: *mut u64,
) -> c_int {
    // SAFETY: both files are NULL or live handles, `out_count` is NULL or writable; `callback` can be called with
    // `context` and a difference that lives until it returns (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_diff", first, |first| {
            ffi::ensure_non_null(out_count, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::with_ref(second, |second| {
                let count = fti::diff(&first.checkpoint, &second.checkpoint, &mut |difference| {
                    let Some(callback) = callback else { return };
                    let (kind, variable_id, first, second) = match *difference {
                        Difference::OnlyInFirst { id } => (FDCKPT_FTI_DIFF_ONLY_IN_FIRST, id, 0, 0),
                        Difference::OnlyInSecond { id } => (FDCKPT_FTI_DIFF_ONLY_IN_SECOND, id, 0, 0),
                        Difference::Size { id, first, second } => (FDCKPT_FTI_DIFF_SIZE, id, first, second),
                        Difference::Data { id, offset, bytes } => (FDCKPT_FTI_DIFF_DATA, id, offset, bytes),
                        Difference::Unreadable { id } => (FDCKPT_FTI_DIFF_UNREADABLE, id, 0, 0),
                    };
                    let struct_size = size_of::<fdckpt_fti_file_difference_t>();
                    callback(context, &fdckpt_fti_file_difference_t { struct_size, kind, variable_id, first, second });
                });
                out_count.write_unaligned(count);
                Ok(())
            })
        })
    }
}

/// Writes a file with the same variables and containers in another format. Sizes of files of other
/// ranks are not taken over, as these files have other sizes in that format.
///
/// @param file     file
/// @param path     path of the file to write, NUL-terminated; written as by fdckpt_fti_checkpoint;
///                 may be the file itself
/// @param options  copied
/// @return FDCKPT_OK
///         FDCKPT_ERR_CORRUPT           the file is corrupt
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, an option is invalid, or the format
///                                      cannot store a size
///         FDCKPT_ERR_IO                writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one file at the same time.
///
/// # Safety
/// `file` is a live handle, `path` a C string, `options` an input struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_convert(
    file: *const fdckpt_fti_file_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
) -> c_int {
    // SAFETY: `file` is NULL or a live handle, `path` NULL or a C string, `options` NULL or readable for its
    // struct_size (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_convert", file, |file| {
            Ok(fti::convert(&file.checkpoint, ffi::path_from_c(path)?, &fdckpt_fti_options_t::read(options)?)?)
        })
    }
}

/// Repairs a file whose data is intact, so that FTI accepts it: corrects the checksum, sizes and
/// hash of the header, corrects hashes that the checksum proves wrong, and from format 1.3 on
/// removes bytes after the end. Data never changes. The file is replaced as by
/// fdckpt_fti_checkpoint.
///
/// @param path       path of the file, NUL-terminated
/// @param sync       durability, FDCKPT_SYNC_*
/// @param out_count  number of corrections; 0: the file is unchanged. Written on success.
/// @return FDCKPT_OK
///         FDCKPT_ERR_CORRUPT           the file is corrupt in another way
///         FDCKPT_ERR_INVALID_STATE     a prepared update is pending, or another process is updating
///                                      the file
///         FDCKPT_ERR_FORMAT            not a file of FTI
///         FDCKPT_ERR_IO                reading or writing failed
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or sync is invalid
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         If the call fails, the file is unchanged.
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string, `out_count` an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_repair(path: *const c_char, sync: c_int, out_count: *mut u64) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_file_repair", || {
        ffi::ensure_non_null(out_count, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: `path` is NULL or a C string (caller).
        let count = fti::repair(unsafe { ffi::path_from_c(path) }?, options::sync(sync)?)?;
        // SAFETY: not NULL (checked above), so writable (caller).
        unsafe { out_count.write_unaligned(count) };
        Ok(())
    })
}
