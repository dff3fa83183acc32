//! The functions fdckpt_fti_file_* of fdckpt.h, for tools that look into files of FTI. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write;

use super::ffi;
use super::fixed_string::FixedString;
use super::fti::{fdckpt_fti_options_t, path, sync, threads};
use super::last_error::TEXT_SIZE;
use crate::fti::{self, Checkpoint, Difference, Error, Finding, Severity};
use crate::sys::mmap::Mmap;

/// A checkpoint file of FTI that is read. Made by fdckpt_fti_file_open, freed by fdckpt_fti_file_free; it does not change, so that several
/// threads can use it at once.
pub struct fdckpt_fti_file_t {
    /// What it borrows: the map. (First, so that it is dropped first.)
    checkpoint: Checkpoint<'static>,
    _map: Mmap,
    path: CString,
}

/// The header of a file, as the file has it: nothing in it has been checked. The names are FTI's. What the generation does not have
/// is -1.
#[repr(C)]
pub struct fdckpt_fti_file_header_t {
    /// Where it begins in the file.
    pub offset: u64,
    /// Size of the file in bytes.
    pub ckpt_size: i64,
    /// Bytes of all that describes the data, with the header. From generation C on.
    pub meta_size: i64,
    /// Sum of the sizes of the containers. From generation C on.
    pub data_size: i64,
    /// Size of the file in bytes.
    pub fs: i64,
    /// At level 3 the largest size of a file in the group (from generation C on, 8 more), else -1.
    pub max_fs: i64,
    /// At level 2 the size of the file of the left neighbour in the group, else -1.
    pub pt_fs: i64,
    /// Nanoseconds since 1970; in generations D and E the lowest 32 bits of that.
    pub timestamp: i64,
    /// Number of the checkpoint. From generation C on.
    pub ckpt_id: c_int,
    /// FDCKPT_FTI_FORMAT_1_1 to FDCKPT_FTI_FORMAT_POST_1_6.
    pub generation: c_int,
    /// How many blocks there are.
    pub block_cnt: u64,
    /// How many containers there are.
    pub container_cnt: u64,
    /// How many variables there are.
    pub variable_cnt: u64,
    /// 32 hexadecimal digits and NUL; in a damaged file, anything.
    pub checksum: [u8; 33],
    /// The header's MD5 of itself.
    pub my_hash: [u8; 16],
}

/// A variable of a file.
#[repr(C)]
pub struct fdckpt_fti_file_variable_t {
    /// Its size in bytes.
    pub size: u64,
    /// How many containers it has.
    pub container_cnt: u64,
    /// Its number.
    pub id: c_int,
}

/// A container of a file: a place of fixed size, filled with a chunk of a variable. As the file has it. The names are FTI's.
#[repr(C)]
pub struct fdckpt_fti_file_container_t {
    /// Where its description begins in the file.
    pub offset: u64,
    /// The block it is in, counted from 0.
    pub block: u64,
    /// Where its chunk begins in the variable, in bytes.
    pub dptr: i64,
    /// Where it begins in the file.
    pub fptr: i64,
    /// Bytes of the chunk.
    pub chunk_size: i64,
    /// Bytes of the container.
    pub container_size: i64,
    /// The variable's number.
    pub id: c_int,
    /// Which variable it is in the order of protection, counted from 0; -1 from generation D0 on.
    pub idx: c_int,
    /// Which container of the variable it is, counted from 0.
    pub container_id: c_int,
    /// 1 if it has a chunk, else 0.
    pub has_content: c_int,
    /// 1 if a differential checkpoint has written it before, or FTI has read it back; -1 in generation A.
    pub has_ckpt: c_int,
    /// MD5 of the chunk.
    pub hash: [u8; 16],
}

/// In fdckpt_fti_file_issue_t: it is not about one variable or container.
pub const FDCKPT_FTI_NO_ID: i64 = i64::MIN;

/// How bad a finding is. This one is unusual, but harmless.
pub const FDCKPT_FTI_SEVERITY_NOTE: c_int = 0;
/// The data is sound, but FTI refuses the file. fdckpt_fti_file_repair sets it right.
pub const FDCKPT_FTI_SEVERITY_REJECTED: c_int = 1;
/// The file is damaged: some of its data may be wrong or missing.
pub const FDCKPT_FTI_SEVERITY_CORRUPT: c_int = 2;

/// What fdckpt_fti_file_verify has found. The texts are valid until the callback returns.
#[repr(C)]
pub struct fdckpt_fti_file_issue_t {
    /// The file, as it was given to fdckpt_fti_file_open.
    pub file: *const c_char,
    /// The number of the variable, or FDCKPT_FTI_NO_ID.
    pub variable: i64,
    /// Which container of the variable, or FDCKPT_FTI_NO_ID.
    pub container: i64,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// FDCKPT_FTI_SEVERITY_NOTE, _REFUSED or _DAMAGE.
    pub severity: c_int,
    /// What it is about, by FTI's name for it: "dptr", say, or "data".
    pub field: *const c_char,
    /// What should be there.
    pub expected: *const c_char,
    /// What is there.
    pub found: *const c_char,
    /// All of it in a sentence for people. Its wording may change.
    pub text: *const c_char,
}

/// Receives the findings of fdckpt_fti_file_verify, one by one, with the context that was given to that. It must return: no longjmp, no
/// C++ exception.
pub type fdckpt_fti_file_issue_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, finding: *const fdckpt_fti_file_issue_t)>;

/// Kinds of differences. Only the first file has the variable.
pub const FDCKPT_FTI_DIFF_ONLY_IN_FIRST: c_int = 1;
/// Only the second one has it.
pub const FDCKPT_FTI_DIFF_ONLY_IN_SECOND: c_int = 2;
/// It has another size: first and second are the two.
pub const FDCKPT_FTI_DIFF_SIZE: c_int = 3;
/// It has other bytes, as far as both have some: first is the offset in the variable of the first one that differs, second how
/// many differ.
pub const FDCKPT_FTI_DIFF_DATA: c_int = 4;
/// One of the files lacks some of its data.
pub const FDCKPT_FTI_DIFF_UNREADABLE: c_int = 5;

/// A difference between two files.
#[repr(C)]
pub struct fdckpt_fti_file_difference_t {
    /// What it is, of the constants above.
    pub kind: c_int,
    /// The number of the variable.
    pub id: c_int,
    /// See the constants.
    pub first: u64,
    /// See the constants.
    pub second: u64,
}

/// Receives the differences that fdckpt_fti_file_diff finds, as fdckpt_fti_file_issue_fn_t.
pub type fdckpt_fti_file_difference_fn_t =
    Option<unsafe extern "C" fn(context: *mut c_void, difference: *const fdckpt_fti_file_difference_t)>;

/// fdckpt_fti_file_open reads the checkpoint in the file path, of whatever generation: what describes the data. A damaged file is read
/// as far as it can be; fdckpt_fti_file_verify tells what is wrong. The file is mapped until it is freed: nobody may change or
/// shorten it (replacing it by another one of its name is no change).
///
/// On failure returns NULL. Reasons: FDCKPT_ERR_IO; FDCKPT_ERR_FORMAT, it is no checkpoint of FTI, or is cut off so that it can't be told;
/// FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_open(path: *const c_char) -> *mut fdckpt_fti_file_t {
    ffi::ffi_new(c"fdckpt_fti_file_open", || {
        // SAFETY: the caller keeps to the comment above.
        let path = unsafe { self::path(path) }?;
        let map = fti::open(path)?;
        let bytes = map.bytes();
        // SAFETY: the map stays where it is and is unmapped after the checkpoint is dropped; the caller promises that nobody
        // changes the file.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        let checkpoint = Checkpoint::parse(bytes)?;
        Ok(fdckpt_fti_file_t { checkpoint, path: fti::c_path(path)?, _map: map })
    })
}

/// fdckpt_fti_file_free frees the file and its map. It may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_free(file: *mut fdckpt_fti_file_t) {
    // SAFETY: the caller has it from fdckpt_fti_file_open, and uses it no more.
    unsafe { ffi::free(c"fdckpt_fti_file_free", file) }
}

/// fdckpt_fti_file_header tells what the header has, and how much there is in the file.
///
/// Returns FDCKPT_OK and fills *_header, or FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_header(file: *const fdckpt_fti_file_t, _header: *mut fdckpt_fti_file_header_t) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_header", file, |file| {
            ffi::ensure_non_null(_header, ffi::ERR_NULL_OUT_PARAM)?;
            let (checkpoint, header) = (&file.checkpoint, file.checkpoint.header());
            _header.write_unaligned(fdckpt_fti_file_header_t {
                offset: header.offset,
                ckpt_size: header.ckpt_size,
                meta_size: header.meta_size.unwrap_or(-1),
                data_size: header.data_size.unwrap_or(-1),
                fs: header.fs,
                max_fs: header.max_fs,
                pt_fs: header.pt_fs,
                timestamp: header.timestamp,
                ckpt_id: header.ckpt_id.unwrap_or(-1),
                generation: checkpoint.generation() as c_int,
                block_cnt: checkpoint.blocks().len() as u64,
                container_cnt: checkpoint.containers().len() as u64,
                variable_cnt: checkpoint.variables().len() as u64,
                checksum: header.checksum,
                my_hash: header.my_hash,
            });
            Ok(())
        })
    }
}

/// fdckpt_fti_file_variable tells of variable i, counted from 0 in the order of first protection.
///
/// Returns FDCKPT_OK and fills *_variable. On failure it is untouched: FDCKPT_ERR_NOT_FOUND, there are not so many;
/// FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_variable(
    file: *const fdckpt_fti_file_t,
    i: usize,
    _variable: *mut fdckpt_fti_file_variable_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_variable", file, |file| {
            ffi::ensure_non_null(_variable, ffi::ERR_NULL_OUT_PARAM)?;
            let variable = file.checkpoint.variables().get(i).ok_or(Error::IndexNotFound { index: i as u64 })?;
            let (size, container_cnt) = (variable.size, variable.containers as u64);
            _variable.write_unaligned(fdckpt_fti_file_variable_t { size, container_cnt, id: variable.id });
            Ok(())
        })
    }
}

/// fdckpt_fti_file_container tells of container i, counted from 0 in the order of the file. Otherwise as fdckpt_fti_file_variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_container(
    file: *const fdckpt_fti_file_t,
    i: usize,
    _container: *mut fdckpt_fti_file_container_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_container", file, |file| {
            ffi::ensure_non_null(_container, ffi::ERR_NULL_OUT_PARAM)?;
            let container = file.checkpoint.containers().get(i).ok_or(Error::IndexNotFound { index: i as u64 })?;
            let block = file.checkpoint.blocks().partition_point(|block| block.containers.end <= i);
            _container.write_unaligned(fdckpt_fti_file_container_t {
                offset: container.offset,
                block: block as u64,
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
            });
            Ok(())
        })
    }
}

/// fdckpt_fti_file_extract copies the variable id to the sz bytes at buf, which must be its size, and checks its hashes. Damage to other
/// variables does not matter.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_NOT_FOUND, there is no such variable (which is not logged); FDCKPT_ERR_INVALID_STATE, it
/// has another size; FDCKPT_ERR_CORRUPT, it is damaged, and buf is not to be relied on; FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_extract(
    file: *const fdckpt_fti_file_t,
    id: c_int,
    buf: *mut c_void,
    sz: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_extract", file, |file| {
            Ok(file.checkpoint.recover_variable(id, ffi::slice_from_raw_mut(buf, sz)?)?)
        })
    }
}

/// fdckpt_fti_file_verify checks all of the file: whether its numbers agree with each other, and its data with its hashes; on up to
/// threads threads. Calls found, which may be NULL, with context for each thing that is not as it should be.
///
/// Returns FDCKPT_OK if the data is sound (there can be remarks, and FTI can refuse the file), FDCKPT_ERR_VERIFY_FAILED if something is
/// damaged (which is not logged), FDCKPT_ERR_INVALID_ARGUMENT, FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_verify(
    file: *const fdckpt_fti_file_t,
    threads: c_int,
    found: fdckpt_fti_file_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_verify", file, |file| {
            let threads = self::threads(threads)?;
            let verdict = file.checkpoint.verify(threads, &mut |finding| {
                let Some(found) = found else { return };
                tell(finding, &file.path, &mut |finding| found(context, finding));
            })?;
            if verdict.is_sound() { Ok(()) } else { Err(Error::NotCanonical { issues: verdict.damage }.into()) }
        })
    }
}

/// Calls `found` with the finding in C's form.
fn tell(finding: &Finding, file: &CString, found: &mut dyn FnMut(*const fdckpt_fti_file_issue_t)) {
    let (mut field, mut expected, mut what) = (FixedString::<32>::new(), FixedString::<64>::new(), FixedString::<64>::new());
    let mut text = FixedString::<{ TEXT_SIZE }>::new();
    _ = write!(field, "{}", finding.field);
    _ = write!(expected, "{}", finding.expected);
    _ = write!(what, "{}", finding.found);
    _ = write!(text, "{finding}");
    found(&fdckpt_fti_file_issue_t {
        file: file.as_ptr(),
        variable: finding.variable.map_or(FDCKPT_FTI_NO_ID, i64::from),
        container: finding.container.map_or(FDCKPT_FTI_NO_ID, i64::from),
        offset: finding.offset,
        severity: match finding.severity {
            Severity::Remark => FDCKPT_FTI_SEVERITY_NOTE,
            Severity::Refused => FDCKPT_FTI_SEVERITY_REJECTED,
            Severity::Damage => FDCKPT_FTI_SEVERITY_CORRUPT,
        },
        field: field.as_c_str().as_ptr(),
        expected: expected.as_c_str().as_ptr(),
        found: what.as_c_str().as_ptr(),
        text: text.as_c_str().as_ptr(),
    });
}

/// fdckpt_fti_file_diff compares the variables of two files, whatever their generations. Calls found, which may be NULL, with context for
/// each difference. Hashes are not checked.
///
/// Returns FDCKPT_OK and sets *_cnt to the number of differences, or FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_diff(
    first: *const fdckpt_fti_file_t,
    second: *const fdckpt_fti_file_t,
    found: fdckpt_fti_file_difference_fn_t,
    context: *mut c_void,
    _cnt: *mut u64,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_diff", first, |first| {
            ffi::ensure_non_null(_cnt, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::with_ref(second, |second| {
                let count = fti::diff(&first.checkpoint, &second.checkpoint, &mut |difference| {
                    let Some(found) = found else { return };
                    let (kind, id, first, second) = match *difference {
                        Difference::OnlyInFirst { id } => (FDCKPT_FTI_DIFF_ONLY_IN_FIRST, id, 0, 0),
                        Difference::OnlyInSecond { id } => (FDCKPT_FTI_DIFF_ONLY_IN_SECOND, id, 0, 0),
                        Difference::Size { id, first, second } => (FDCKPT_FTI_DIFF_SIZE, id, first, second),
                        Difference::Data { id, offset, bytes } => (FDCKPT_FTI_DIFF_DATA, id, offset, bytes),
                        Difference::Unreadable { id } => (FDCKPT_FTI_DIFF_UNREADABLE, id, 0, 0),
                    };
                    found(context, &fdckpt_fti_file_difference_t { kind, id, first, second });
                });
                _cnt.write_unaligned(count);
                Ok(())
            })
        })
    }
}

/// fdckpt_fti_file_convert writes a file with the variables and containers of this one, of the generation that the options have. What
/// is known of other ranks is not taken over, as their files have other sizes then. path is written as by fdckpt_fti_checkpoint, and
/// may be the file itself.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_CORRUPT, the file is damaged, and as fdckpt_fti_checkpoint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_convert(
    file: *const fdckpt_fti_file_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_file_convert", file, |file| {
            Ok(fti::convert(&file.checkpoint, self::path(path)?, &fdckpt_fti_options_t::read(options)?)?)
        })
    }
}

/// fdckpt_fti_file_repair makes of a file whose data is sound one that is as it should be: sets the checksum to the one that FTI demands,
/// the header's sizes and hash to those that belong to the file, hashes that the checksum shows to be wrong to what they should
/// be, and cuts what is behind the end (from generation C on). No byte of data is changed. The file is replaced as by
/// fdckpt_fti_checkpoint, with durability one of FDCKPT_SYNC_*.
///
/// Returns FDCKPT_OK, and *_cnt is how much was set right; where that is 0 the file stays. On failure the file stays, and *_cnt is
/// untouched: FDCKPT_ERR_CORRUPT, something else is damaged; FDCKPT_ERR_FORMAT; FDCKPT_ERR_IO; FDCKPT_ERR_INVALID_ARGUMENT;
/// FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_repair(path: *const c_char, sync: c_int, _cnt: *mut u64) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_file_repair", || {
        ffi::ensure_non_null(_cnt, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: the caller keeps to the comment above.
        let count = fti::repair(unsafe { self::path(path) }?, self::sync(sync)?)?;
        // SAFETY: not NULL, so good for a write.
        unsafe { _cnt.write_unaligned(count) };
        Ok(())
    })
}
