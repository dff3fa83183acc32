//! The functions of fdckpt.h that verify and salvage checkpoint files. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::checkpoint_reader::{call, fdckpt_reader_t};
use super::checkpoint_writer::fdckpt_writer_options_t;
use super::error_code;
use super::ffi;
use super::fixed_string::FixedString;
use super::last_error::{FDCKPT_NO_FRAME, FDCKPT_NO_OFFSET, TEXT_SIZE};
use super::struct_size::{Output, growable};
use crate::checkpoint::{self, ErrorKind, Issue};

/// An issue found by fdckpt_reader_verify, filled by the library. Fields beyond struct_size do not
/// exist.
#[repr(C)]
pub struct fdckpt_issue_t {
    /// Size in bytes of this struct in the library.
    pub struct_size: usize,
    /// Name of the corrupt region, NUL-terminated; NULL: the issue is in the container's metadata
    /// and affects no data.
    pub region: *const c_char,
    /// The issue in words, one line. The wording may change.
    pub message: *const c_char,
    /// Index of the region; UINT64_MAX if region is NULL.
    pub region_index: u64,
    /// Index of the first corrupt frame of the region; FDCKPT_NO_FRAME if none is associated.
    pub frame: u64,
    /// Offset in bytes in the file; FDCKPT_NO_OFFSET if none is associated.
    pub offset: u64,
    /// FDCKPT_ERR_*.
    pub code: c_int,
    /// 0.
    pub reserved: c_int,
}

/// Receives the issues found by fdckpt_reader_verify. Must return: no longjmp, no C++ exception.
///
/// @param context  `context` of fdckpt_reader_verify
/// @param issue    valid until the callback returns, strings included
pub type fdckpt_issue_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, issue: *const fdckpt_issue_t)>;

/// Verifies the whole file: every frame, every region and the container's metadata. (The index was
/// verified when the file was opened.)
///
/// @param reader    open reader
/// @param callback  called on this thread for each corrupt region and each issue of the metadata;
///                  may be NULL
/// @param context   passed to the callback
/// @return FDCKPT_OK: the file is intact
///         FDCKPT_ERR_CORRUPT           regions are corrupt; fdckpt_last_error() tells how many
///         FDCKPT_ERR_VERIFY_FAILED     all data is intact, but the metadata is not as it was
///                                      written
///         FDCKPT_ERR_INVALID_ARGUMENT  reader is NULL
///         FDCKPT_ERR_CANCELLED         on_progress cancelled the call
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle; `callback` is NULL or can be called with `context` (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_verify(
    reader: *const fdckpt_reader_t,
    callback: fdckpt_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle; `callback` can be called with `context` and an issue that lives until
    // it returns (caller).
    unsafe {
        call(c"fdckpt_reader_verify", reader, |handle| {
            let mut on_issue = |issue: Issue<'_>| {
                if let Some(callback) = callback {
                    pass_issue(&issue, |issue| callback(context, issue));
                }
            };
            let mut observe = |progress| handle.progress.call(progress);
            let observer: Option<&mut dyn FnMut(_) -> _> = if handle.progress.is_set() { Some(&mut observe) } else { None };
            let report = handle.reader.verify_with(&mut on_issue, observer)?;
            match report {
                _ if report.is_intact() => Ok(()),
                checkpoint::VerifyReport { lost_regions: 0, corrupt_frames: 0, container_issues, .. } => {
                    Err(ErrorKind::NotCanonical { issues: container_issues }.into())
                }
                _ => Err(handle
                    .reader
                    .error(ErrorKind::CorruptRegions { regions: report.lost_regions, offset: report.first_offset.unwrap_or(0) })),
            }
        })
    }
}

/// Calls `callback` with the issue as a C struct, which is valid during the call.
fn pass_issue(issue: &Issue<'_>, callback: impl FnOnce(*const fdckpt_issue_t)) {
    let mut message = FixedString::<TEXT_SIZE>::new();
    message.set(issue.error);
    callback(&fdckpt_issue_t {
        struct_size: size_of::<fdckpt_issue_t>(),
        region: issue.region.map_or(ptr::null(), |(_, name)| name.as_ptr().cast()),
        message: message.as_c_str().as_ptr(),
        region_index: issue.region.map_or(u64::MAX, |(index, _)| index as u64),
        frame: issue.frame.map_or(FDCKPT_NO_FRAME, |frame| frame as u64),
        offset: issue.error.offset().unwrap_or(FDCKPT_NO_OFFSET),
        code: error_code::checkpoint_code(&issue.error),
        reserved: 0,
    });
}

/// Result of fdckpt_salvage_file. Initialise with FDCKPT_SALVAGE_STATS_INIT.
#[repr(C)]
pub struct fdckpt_salvage_stats_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Number of intact regions, verified by their checksums. They keep their names.
    pub verified_count: u64,
    /// Number of intact parts of corrupt regions.
    pub partial_count: u64,
    /// Number of regions or parts that were read but cannot be verified: they may have any contents.
    pub unverified_count: u64,
    /// Number of regions of which data is lost.
    pub lost_count: u64,
    /// 1 if the index was found; 0: names, sizes and checksums are unknown.
    pub index_found: c_int,
    /// 0.
    pub reserved: c_int,
}

growable! { fdckpt_salvage_stats_t { first_size: 48, last: reserved: c_int, init: "FDCKPT_SALVAGE_STATS_INIT" } }

/// Recovers the readable data of a corrupt or truncated checkpoint file into a new one.
///
/// With the index, which is found even if the end of the file is missing or something was appended:
/// intact regions keep their names; of a corrupt region, each run of intact frames becomes
/// partial/NAME@OFFSET (OFFSET: where it begins in the region). Without checksums in the file,
/// regions become unverified/NAME.
///
/// Without the index: LZ4 frames are recognised by the sizes of their chunks and become
/// unverified/lz4@OFFSET (OFFSET: where it begins in the file). A frame whose size is a multiple of
/// 64 KiB is joined with what follows; one of fewer than 16 bytes (64 at the end of the file) counts
/// as RAW. RAW frames cannot be recognised: everything else becomes unverified/raw@OFFSET.
///
/// If a name is taken, ' and the index of the region are appended; a name that would be too long is
/// truncated. Attributes are kept; the attribute fdckpt.salvaged is added, "verified" or
/// "unverified". Unverified data of a file that was salvaged before stays unverified.
///
/// Takes memory of the size of the largest region; without the index, of the longest run of full
/// chunks, which can be a whole LZ4 file, decompressed.
///
/// @param src_path   file to read, NUL-terminated
/// @param dst_path   checkpoint file to write, NUL-terminated
/// @param options    options of the written file, copied; NULL: defaults
/// @param out_stats  initialised with FDCKPT_SALVAGE_STATS_INIT; written on success. May be NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a path is NULL, an option is invalid, or out_stats is not
///                                      initialised
///         FDCKPT_ERR_IO                a file cannot be read or written
///         FDCKPT_ERR_CANCELLED         on_progress cancelled the call
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// Both paths are C strings, `options` is NULL or an input struct, `out_stats` NULL or an output struct (see
/// [`crate::capi`]). No process modifies or truncates the file during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_salvage_file(
    src_path: *const c_char,
    dst_path: *const c_char,
    options: *const fdckpt_writer_options_t,
    out_stats: *mut fdckpt_salvage_stats_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_salvage_file", || {
        // SAFETY: the paths are NULL or C strings, the structs NULL or valid for their struct_size (caller).
        let (from, to, options, out_stats) = unsafe {
            let (from, to) = (ffi::path_from_c(src_path)?, ffi::path_from_c(dst_path)?);
            (from, to, fdckpt_writer_options_t::read(options)?, Output::optional(out_stats)?)
        };
        let checkpoint::SalvageStats { has_index, verified, partial, unverified, lost, .. } =
            checkpoint::salvage(from, to, options)?;
        out_stats.write(fdckpt_salvage_stats_t {
            struct_size: size_of::<fdckpt_salvage_stats_t>(),
            verified_count: verified,
            partial_count: partial,
            unverified_count: unverified,
            lost_count: lost,
            index_found: has_index.into(),
            reserved: 0,
        });
        Ok(())
    })
}
