//! The functions fdckpt_fti_* of fdckpt.h that save and recover a program's variables. The comments here are those of
//! the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;

use super::ffi;
use super::options::sync;
use super::struct_size::{Output, growable, read, read_or_default};
use crate::alloc::try_with_capacity;
use crate::error_base::InvalidArgument;
use crate::fti::{
    self, BlockHash, Checkpoint, Error, FormatVersion, ProtectedVariable, ProtectedVariableMut, Resolution, UpdateMode,
    UpdateOptions, UpdateStats, WriteOptions, Writer,
};

/// The variables of a program and their layout in its checkpoint files, in the format FTI-FF of FTI,
/// the Fault Tolerance Interface: one file per rank (docs/format/fti-ff.md).
///
/// Created by fdckpt_fti_new, freed by fdckpt_fti_free. A call that fails leaves it as it was.
pub struct fdckpt_fti_t {
    writer: Writer,
    /// In order of protection.
    protected: Vec<ProtectedMemory>,
}

/// A variable in the caller's memory.
#[derive(Clone, Copy)]
struct ProtectedMemory {
    id: i32,
    memory: *mut c_void,
    size: usize,
}

/// Versions of the file format, by the releases of FTI that write them. Files do not store the
/// version, and each FTI reads its own only.
#[repr(C)]
pub enum fdckpt_fti_format_t {
    /// FTI 1.1.
    FDCKPT_FTI_FORMAT_1_1 = 1,
    /// FTI 1.2.
    FDCKPT_FTI_FORMAT_1_2 = 2,
    /// FTI 1.3.
    FDCKPT_FTI_FORMAT_1_3 = 3,
    /// FTI 1.4.0.
    FDCKPT_FTI_FORMAT_1_4_0 = 4,
    /// FTI 1.4.1 to 1.6. Files are smaller than 2 GiB.
    FDCKPT_FTI_FORMAT_1_4_1 = 5,
    /// FTI after 1.6 (since July 2021).
    FDCKPT_FTI_FORMAT_POST_1_6 = 6,
}

constants! { fdckpt_fti_format_t:
    FDCKPT_FTI_FORMAT_1_1 FDCKPT_FTI_FORMAT_1_2 FDCKPT_FTI_FORMAT_1_3 FDCKPT_FTI_FORMAT_1_4_0 FDCKPT_FTI_FORMAT_1_4_1
    FDCKPT_FTI_FORMAT_POST_1_6
}

/// Options of a checkpoint file. Initialise with FDCKPT_FTI_OPTIONS_INIT and set format; every other
/// field is then 0 and has its default.
#[repr(C)]
pub struct fdckpt_fti_options_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Format to write, FDCKPT_FTI_FORMAT_*. Required.
    pub format: c_int,
    /// Number of the checkpoint. Not stored in formats 1.1 and 1.2.
    pub ckpt_id: c_int,
    /// Maximum number of threads that hash and write, the caller's included. 0 and 1: only the
    /// caller's.
    pub threads: c_int,
    /// Durability, FDCKPT_SYNC_*.
    pub sync: c_int,
    /// Level 2: size in bytes of the file of the left neighbour in the group. Else 0.
    pub partner_file_size: u64,
    /// Level 3: size in bytes of the largest file in the group. Else 0.
    pub group_max_file_size: u64,
    /// Time to store, in nanoseconds since 1970. 0: now. With a given time, the same variables give
    /// the same file.
    pub timestamp_ns: i64,
}

growable! { fdckpt_fti_options_t { first_size: 48, last: timestamp_ns: i64, init: "FDCKPT_FTI_OPTIONS_INIT" } }

/// Hashes that detect changed blocks.
#[repr(C)]
pub enum fdckpt_fti_hash_t {
    /// MD5, 16 bytes per block. The default.
    FDCKPT_FTI_HASH_MD5 = 1,
    /// CRC-32, 4 bytes per block; many times faster, but misses a change with probability 2^-32.
    FDCKPT_FTI_HASH_CRC32 = 2,
}

constants! { fdckpt_fti_hash_t: FDCKPT_FTI_HASH_MD5 FDCKPT_FTI_HASH_CRC32 }

/// How an update changes the file.
#[repr(C)]
pub enum fdckpt_fti_update_mode_t {
    /// Atomically: after a crash the file has its old or its new state. Changes are first written to
    /// a journal (the path with .journal appended) and synced; if most of the file changes, a new
    /// file replaces it. The next fdckpt_fti_* or fdckpt_fti_file_* function that opens the file
    /// completes an interrupted update.
    FDCKPT_FTI_UPDATE_JOURNALED = 0,
    /// In place, as FTI does: a crash may leave a mix of both states, which the hashes reveal.
    FDCKPT_FTI_UPDATE_IN_PLACE = 1,
}

constants! { fdckpt_fti_update_mode_t: FDCKPT_FTI_UPDATE_JOURNALED FDCKPT_FTI_UPDATE_IN_PLACE }

/// Options of a differential checkpoint. Initialise with FDCKPT_FTI_UPDATE_OPTIONS_INIT: every other
/// field is then 0 and has its default.
#[repr(C)]
pub struct fdckpt_fti_update_options_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Size of a block in bytes, 512 to 65535. 0: 16384.
    pub block_size: c_int,
    /// FDCKPT_FTI_HASH_*. 0: FDCKPT_FTI_HASH_MD5.
    pub hash: c_int,
    /// FDCKPT_FTI_UPDATE_*.
    pub mode: c_int,
    /// 1: the hashes are saved to a file (the path with .hashes appended) and used after a restart.
    /// 0: they are not; the first update after a restart writes all data.
    pub save_hashes: c_int,
}

growable! { fdckpt_fti_update_options_t { first_size: 24, last: save_hashes: c_int, init: "FDCKPT_FTI_UPDATE_OPTIONS_INIT" } }

impl fdckpt_fti_update_options_t {
    /// # Safety
    /// `options` is NULL or readable for its struct_size.
    unsafe fn read(options: *const Self) -> Result<UpdateOptions, InvalidArgument> {
        // SAFETY: as required of `options`.
        let from = unsafe { read_or_default(options)? };
        let mut options = UpdateOptions::default();
        if from.block_size != 0 {
            // Negative sizes become one that is out of range too.
            options.block_size = usize::try_from(from.block_size).unwrap_or(usize::MAX);
        }
        options.hash = match from.hash {
            0 | FDCKPT_FTI_HASH_MD5 => BlockHash::Md5,
            FDCKPT_FTI_HASH_CRC32 => BlockHash::Crc32,
            _ => return Err(InvalidArgument("hash is none of FDCKPT_FTI_HASH_*")),
        };
        options.mode = match from.mode {
            FDCKPT_FTI_UPDATE_JOURNALED => UpdateMode::Journaled,
            FDCKPT_FTI_UPDATE_IN_PLACE => UpdateMode::InPlace,
            _ => return Err(InvalidArgument("mode is none of FDCKPT_FTI_UPDATE_*")),
        };
        options.save_hashes = from.save_hashes != 0;
        Ok(options)
    }
}

/// Result of a differential checkpoint. Initialise with FDCKPT_FTI_UPDATE_STATS_INIT.
#[repr(C)]
pub struct fdckpt_fti_update_stats_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Number of blocks of data.
    pub block_count: u64,
    /// Number of blocks that changed.
    pub changed_block_count: u64,
    /// Number of bytes of data in these.
    pub changed_bytes: u64,
    /// 1 if all data was written because the previous contents were unknown, else 0.
    pub is_full: c_int,
    /// 1 if the hashes were saved, else 0. Failing to save them is no error: the first update after
    /// a restart writes all data.
    pub hashes_saved: c_int,
}

growable! { fdckpt_fti_update_stats_t { first_size: 40, last: hashes_saved: c_int, init: "FDCKPT_FTI_UPDATE_STATS_INIT" } }

impl fdckpt_fti_update_stats_t {
    fn new(stats: &UpdateStats) -> Self {
        let &UpdateStats { is_full, blocks, changed_blocks, changed_bytes, hashes_saved, .. } = stats;
        Self {
            struct_size: size_of::<Self>(),
            block_count: blocks,
            changed_block_count: changed_blocks,
            changed_bytes,
            is_full: is_full.into(),
            hashes_saved: hashes_saved.into(),
        }
    }
}

/// Whether an update of a file is pending.
#[repr(C)]
pub enum fdckpt_fti_transaction_state_t {
    /// No update is pending.
    FDCKPT_FTI_TRANSACTION_IDLE = 0,
    /// A crash interrupted an update; the next function that opens the file completes it.
    FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY = 1,
    /// An update is prepared (fdckpt_fti_prepare) and waits for fdckpt_fti_resolve.
    FDCKPT_FTI_TRANSACTION_PREPARED = 2,
}

constants! { fdckpt_fti_transaction_state_t:
    FDCKPT_FTI_TRANSACTION_IDLE FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY FDCKPT_FTI_TRANSACTION_PREPARED
}

/// Outcomes of a prepared update.
#[repr(C)]
pub enum fdckpt_fti_resolution_t {
    /// The file gets its new state.
    FDCKPT_FTI_COMMIT = 1,
    /// The file keeps its old state.
    FDCKPT_FTI_ROLLBACK = 2,
}

constants! { fdckpt_fti_resolution_t: FDCKPT_FTI_COMMIT FDCKPT_FTI_ROLLBACK }

impl fdckpt_fti_options_t {
    /// # Safety
    /// `options` is NULL or readable for its struct_size.
    pub(super) unsafe fn read(options: *const Self) -> Result<WriteOptions, InvalidArgument> {
        ffi::ensure_non_null(options, "the pointer to the options is NULL")?;
        // SAFETY: not NULL, so readable for its struct_size (required).
        let from = unsafe { read(options)? };
        let mut options = WriteOptions::new(format_version(from.format)?, from.ckpt_id);
        options.threads = threads(from.threads)?;
        options.sync = sync(from.sync)?;
        options.partner_file_size = Some(from.partner_file_size).filter(|size| *size > 0);
        options.group_max_file_size = Some(from.group_max_file_size).filter(|size| *size > 0);
        options.timestamp = Some(from.timestamp_ns).filter(|time| *time != 0);
        Ok(options)
    }
}

fn format_version(number: c_int) -> Result<FormatVersion, InvalidArgument> {
    match number {
        FDCKPT_FTI_FORMAT_1_1 => Ok(FormatVersion::V1_1),
        FDCKPT_FTI_FORMAT_1_2 => Ok(FormatVersion::V1_2),
        FDCKPT_FTI_FORMAT_1_3 => Ok(FormatVersion::V1_3),
        FDCKPT_FTI_FORMAT_1_4_0 => Ok(FormatVersion::V1_4_0),
        FDCKPT_FTI_FORMAT_1_4_1 => Ok(FormatVersion::V1_4_1),
        FDCKPT_FTI_FORMAT_POST_1_6 => Ok(FormatVersion::Post1_6),
        _ => Err(InvalidArgument("format is none of FDCKPT_FTI_FORMAT_*")),
    }
}

pub(super) fn threads(number: c_int) -> Result<usize, InvalidArgument> {
    usize::try_from(number).map(|number| number.max(1)).map_err(|_| InvalidArgument("the number of threads is negative"))
}

/// Creates an object for saving and recovering variables; it has none yet.
///
/// @return object, to be freed with fdckpt_fti_free; or NULL, fdckpt_last_error() has the code:
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_fti_new() -> *mut fdckpt_fti_t {
    ffi::ffi_new(c"fdckpt_fti_new", || Ok(fdckpt_fti_t { writer: Writer::new(), protected: Vec::new() }))
}

/// Frees an object.
///
/// @param fti  object; may be NULL
///
/// Thread safety: any thread that is the last to use the object.
///
/// # Safety
/// `fti` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_free(fti: *mut fdckpt_fti_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_fti_free", fti) }
}

/// Adds a variable, or changes memory and size of the variable with this id: variables may grow and
/// shrink.
///
/// @param fti   object
/// @param id    id of the variable, chosen by the program
/// @param data  memory of the variable, read by fdckpt_fti_checkpoint and the like, written by
///              fdckpt_fti_recover; not copied: must remain valid until the variable is unprotected
///              or the object freed, must not be used by others during these calls, and must not
///              overlap with another variable. May be NULL if size is 0.
/// @param size  size of the variable in bytes
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or size is too large
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread uses; `data` is readable and writable for `size` bytes as long as it is
/// protected (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_protect(fti: *mut fdckpt_fti_t, id: c_int, data: *mut c_void, size: usize) -> c_int {
    // SAFETY: `fti` is NULL or a live handle used by this thread only; `data` stays valid as long as it is protected
    // (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_fti_protect", fti, |fti| {
            ffi::slice_from_raw_mut(data, size)?;
            let variable = ProtectedMemory { id, memory: data, size };
            match fti.protected.iter_mut().find(|existing| existing.id == id) {
                Some(existing) => *existing = variable,
                None => {
                    fti.protected.try_reserve(1)?;
                    fti.protected.push(variable);
                }
            }
            Ok(())
        })
    }
}

/// Removes a variable. The next checkpoint lays out the remaining ones anew.
///
/// @param fti  object
/// @param id   id of the variable
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         no variable has this id
///         FDCKPT_ERR_INVALID_ARGUMENT  fti is NULL
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread uses (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_unprotect(fti: *mut fdckpt_fti_t, id: c_int) -> c_int {
    // SAFETY: `fti` is NULL or a live handle used by this thread only (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_fti_unprotect", fti, |fti| {
            let index = fti.protected.iter().position(|variable| variable.id == id).ok_or(Error::VariableNotFound { id })?;
            fti.protected.remove(index);
            Ok(())
        })
    }
}

/// Saves all protected variables to a file, replacing a file at the path atomically: a temporary
/// file in the same directory (.fdckpt-*.tmp; a killed process may leave it) is written, synced as
/// the options say, and renamed. It keeps owner, group and permissions of a file that it replaces,
/// as far as the process may set them, without set-ID bits; a symbolic link is replaced
/// itself.
///
/// Variables keep their offsets in the file from one checkpoint to the next; one that grows
/// continues after all others, as in files of FTI, which reads these files.
///
/// @param fti      object
/// @param path     path of the file, NUL-terminated
/// @param options  copied
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, an option is invalid, or the format
///                                      cannot store a size
///         FDCKPT_ERR_IO                writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         If the call fails, the path is as before; but if the fsync of the directory failed, it
///         has the new file, and a system crash may restore the old one.
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread uses, whose variables are readable; `path` is a C string, `options` an
/// input struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_checkpoint(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
) -> c_int {
    // SAFETY: `fti` is NULL or a live handle used by this thread only, with valid variables; `path` NULL or a C string;
    // `options` NULL or readable for its struct_size (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_fti_checkpoint", fti, |fti| {
            let (path, options) = (ffi::path_from_c(path)?, fdckpt_fti_options_t::read(options)?);
            let variables = fti.variables()?;
            Ok(fti.writer.checkpoint(path, &options, &variables)?)
        })
    }
}

/// Makes a differential checkpoint: brings a file to the state of all protected variables, and
/// writes only the blocks that changed since the last update. The result is a file as
/// fdckpt_fti_checkpoint writes it, in format 1.3 or later.
///
/// The previous contents are known from the last update by this object or, after fdckpt_fti_recover
/// of the same file, from the saved hashes. Otherwise (a copy was recovered, or another process
/// changed the file) all data is written. Checkpoints to other files make no difference.
/// docs/format/fti-journal.md has the order of writes and syncs; with FDCKPT_SYNC_NONE the update
/// survives the end of the process only.
///
/// @param fti             object
/// @param path            path of the file, NUL-terminated; not a symbolic link. The file must not
///                        be read by others meanwhile. It keeps its permissions, and files created
///                        beside it get them too.
/// @param options         copied
/// @param update_options  copied; NULL: defaults
/// @param out_stats       initialised with FDCKPT_FTI_UPDATE_STATS_INIT; written on success. May be
///                        NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_STATE     another process is updating the file (it is locked by
///                                      flock), or a prepared update is pending
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, an option is invalid, the format cannot
///                                      store a size, or out_stats is not initialised
///         FDCKPT_ERR_IO                reading or writing failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///         After a failure the file has, or gets when it is opened next, its old or its new state;
///         with FDCKPT_FTI_UPDATE_IN_PLACE it may be corrupt. The next update that succeeds restores
///         it.
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread uses, whose variables are readable; `path` is a C string, `options` an
/// input struct, `update_options` NULL or an input struct, `out_stats` NULL or an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_update(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update_options: *const fdckpt_fti_update_options_t,
    out_stats: *mut fdckpt_fti_update_stats_t,
) -> c_int {
    // SAFETY: `fti`, `path` and the structs are as `update_file` requires them (caller).
    unsafe { update_file(c"fdckpt_fti_update", fti, path, options, update_options, out_stats, Writer::update) }
}

/// Prepares an update: the first phase of a two-phase commit of several files, each of another
/// process. Everything needed is written to the journal, but the file keeps its old state until
/// fdckpt_fti_resolve. The variables may change as soon as the call returns.
///
/// When all processes have prepared, all commit; if one failed, all roll back. After a crash,
/// fdckpt_fti_transaction_state tells each process which state it can provide: if all have the
/// newest one, prepared or committed, all commit, else all roll back. So no process may prepare the
/// next update before all have committed this one. Until it is resolved, functions that open the
/// file return FDCKPT_ERR_INVALID_STATE.
///
/// @param fti             object
/// @param path            as for fdckpt_fti_update
/// @param options         copied
/// @param update_options  copied; mode must be FDCKPT_FTI_UPDATE_JOURNALED. NULL: defaults
/// @param out_stats       as for fdckpt_fti_update
/// @return as for fdckpt_fti_update; after a failure the file has its old state, and no new update
///         is pending
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// As for [`fdckpt_fti_update`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_prepare(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update_options: *const fdckpt_fti_update_options_t,
    out_stats: *mut fdckpt_fti_update_stats_t,
) -> c_int {
    // SAFETY: `fti`, `path` and the structs are as `update_file` requires them (caller).
    unsafe { update_file(c"fdckpt_fti_prepare", fti, path, options, update_options, out_stats, Writer::prepare) }
}

/// [`Writer::update`] or [`Writer::prepare`].
type UpdateFn<'p> =
    fn(&mut Writer, &'p Path, &WriteOptions, &UpdateOptions, &[ProtectedVariable<'_>]) -> Result<UpdateStats, Error>;

/// # Safety
/// `fti` is NULL, misaligned, or a live handle that no other thread uses, whose variables are readable; `path` is NULL
/// or a C string; the structs are NULL or valid for their struct_size.
unsafe fn update_file<'p>(
    function: &'static CStr,
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update_options: *const fdckpt_fti_update_options_t,
    out_stats: *mut fdckpt_fti_update_stats_t,
    update: UpdateFn<'p>,
) -> c_int {
    // SAFETY: as required of the arguments.
    unsafe {
        ffi::call_mut(function, fti, |fti| {
            let (path, options) = (ffi::path_from_c(path)?, fdckpt_fti_options_t::read(options)?);
            let update_options = fdckpt_fti_update_options_t::read(update_options)?;
            let (out_stats, variables) = (Output::optional(out_stats)?, fti.variables()?);
            let stats = update(&mut fti.writer, path, &options, &update_options, &variables)?;
            out_stats.write(fdckpt_fti_update_stats_t::new(&stats));
            Ok(())
        })
    }
}

/// Commits or rolls back the pending update of a file. Any process may do so, also after a restart.
/// Does nothing if no update is pending.
///
/// @param path        path of the file, NUL-terminated
/// @param resolution  FDCKPT_FTI_COMMIT or FDCKPT_FTI_ROLLBACK
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_STATE     another process is updating the file; or the update cannot
///                                      be rolled back because part of it was applied: commit it;
///                                      or because the file was corrupt before: delete it, then
///                                      nothing is pending
///         FDCKPT_ERR_INVALID_ARGUMENT  path is NULL, or resolution is invalid
///         FDCKPT_ERR_IO                reading or writing failed; the update is still pending
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_resolve(path: *const c_char, resolution: c_int) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_resolve", || {
        let resolution = match resolution {
            FDCKPT_FTI_COMMIT => Resolution::Commit,
            FDCKPT_FTI_ROLLBACK => Resolution::Rollback,
            _ => return Err(InvalidArgument("resolution is neither FDCKPT_FTI_COMMIT nor FDCKPT_FTI_ROLLBACK").into()),
        };
        // SAFETY: `path` is NULL or a C string (caller).
        Ok(fti::resolve(unsafe { ffi::path_from_c(path) }?, resolution).map(drop)?)
    })
}

/// Reports whether an update of a file is pending.
///
/// @param path         path of the file, NUL-terminated
/// @param out_state    FDCKPT_FTI_TRANSACTION_*; written on success
/// @param out_ckpt_id  number of the checkpoint that the update makes; 0 if none is pending. Written
///                     on success.
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_STATE     another process is updating the file
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///         FDCKPT_ERR_IO                reading failed
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string, the others are out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_transaction_state(
    path: *const c_char,
    out_state: *mut c_int,
    out_ckpt_id: *mut c_int,
) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_transaction_state", || {
        ffi::ensure_non_null(out_state, ffi::ERR_NULL_OUT_PARAM)?;
        ffi::ensure_non_null(out_ckpt_id, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: `path` is NULL or a C string (caller).
        let (state, ckpt_id) = match fti::pending_update(unsafe { ffi::path_from_c(path) }?)? {
            None => (FDCKPT_FTI_TRANSACTION_IDLE, 0),
            Some(pending) if pending.is_prepared => (FDCKPT_FTI_TRANSACTION_PREPARED, pending.ckpt_id),
            Some(pending) => (FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY, pending.ckpt_id),
        };
        // SAFETY: not NULL (checked above), so writable (caller).
        unsafe {
            out_state.write_unaligned(state);
            out_ckpt_id.write_unaligned(ckpt_id);
        }
        Ok(())
    })
}

/// Returns the size of the file that fdckpt_fti_checkpoint would write: for group_max_file_size, on
/// which the ranks of a group agree beforehand.
///
/// @param fti       object
/// @param format    FDCKPT_FTI_FORMAT_*
/// @param out_size  size in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, format is invalid or cannot store a size
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread changes, `out_size` an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_size(fti: *const fdckpt_fti_t, format: c_int, out_size: *mut u64) -> c_int {
    // SAFETY: `fti` is NULL or a live handle with readable variables, `out_size` NULL or writable (caller).
    unsafe {
        ffi::call_ref(c"fdckpt_fti_size", fti, |fti| {
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let size = fti.writer.size(format_version(format)?, &fti.variables()?)?;
            out_size.write_unaligned(size);
            Ok(())
        })
    }
}

/// Reads a file of any format into the protected variables, and verifies all hashes. The variables
/// must be those of the file, with their sizes (fdckpt_fti_file_variable_size), in any order. The
/// next checkpoint keeps the layout of the file.
///
/// Like each function that opens a file of FTI by the path under which it is updated (not by a
/// link), it first completes an update that a crash interrupted, which writes to the file.
///
/// @param fti      object
/// @param path     path of the file, NUL-terminated; the file must not be modified or truncated
///                 meanwhile
/// @param threads  maximum number of threads, the caller's included; 0 and 1: only the caller's
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         the file lacks a variable
///         FDCKPT_ERR_INVALID_STATE     the file has a variable that is not protected, or one of
///                                      another size; a prepared update is pending
///                                      (fdckpt_fti_resolve); or another process is updating the
///                                      file
///         FDCKPT_ERR_FORMAT            not a file of FTI
///         FDCKPT_ERR_CORRUPT           the file is corrupt; the contents of the variables are
///                                      unspecified: recover from another file
///         FDCKPT_ERR_IO                the file cannot be opened or read
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, or threads is negative
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// `fti` is a live handle that no other thread uses, whose variables are writable by this call only; `path` is a C
/// string (see [`crate::capi`]). No process modifies or truncates the file meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_recover(fti: *mut fdckpt_fti_t, path: *const c_char, threads: c_int) -> c_int {
    // SAFETY: `fti` is NULL or a live handle used by this thread only, with writable variables; `path` is NULL or a C
    // string; no process modifies the file (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_fti_recover", fti, |fti| {
            let threads = self::threads(threads)?;
            let (map, file) = fti::open_with_id(ffi::path_from_c(path)?)?;
            let checkpoint = Checkpoint::parse(map.bytes())?;
            let writer = Writer::resume_from(&checkpoint, Some(file))?;
            let mut variables = try_with_capacity(fti.protected.len())?;
            for variable in &fti.protected {
                variables.push(ProtectedVariableMut::new(variable.id, ffi::slice_from_raw_mut(variable.memory, variable.size)?));
            }
            checkpoint.recover(&mut variables, threads)?;
            fti.writer = writer;
            Ok(())
        })
    }
}

/// Reads one protected variable from a file. Otherwise as fdckpt_fti_recover, but corruption of
/// other variables does not matter, and the next checkpoint does not keep the layout of the file.
///
/// @param fti   object
/// @param path  as for fdckpt_fti_recover
/// @param id    id of a protected variable
/// @return as for fdckpt_fti_recover; FDCKPT_ERR_NOT_FOUND if the variable is not protected or not
///         in the file
///
/// Thread safety: one thread at a time per object.
///
/// # Safety
/// As for [`fdckpt_fti_recover`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_recover_var(fti: *mut fdckpt_fti_t, path: *const c_char, id: c_int) -> c_int {
    // SAFETY: `fti` is NULL or a live handle used by this thread only, with writable variables; `path` is NULL or a C
    // string; no process modifies the file (caller).
    unsafe {
        ffi::call_mut(c"fdckpt_fti_recover_var", fti, |fti| {
            let variable = fti.protected.iter().find(|variable| variable.id == id).ok_or(Error::VariableNotFound { id })?;
            let map = fti::open(ffi::path_from_c(path)?)?;
            let checkpoint = Checkpoint::parse(map.bytes())?;
            Ok(checkpoint.recover_variable(id, ffi::slice_from_raw_mut(variable.memory, variable.size)?)?)
        })
    }
}

/// Returns the size of a variable in a file, to allocate its memory before it is protected and
/// recovered.
///
/// @param path      path of the file, NUL-terminated
/// @param id        id of the variable
/// @param out_size  size in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         the file has no such variable
///         FDCKPT_ERR_INVALID_STATE     a prepared update is pending, or another process is updating
///                                      the file
///         FDCKPT_ERR_FORMAT            not a file of FTI
///         FDCKPT_ERR_CORRUPT           the file is corrupt
///         FDCKPT_ERR_IO                the file cannot be opened or read
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string, `out_size` an out parameter (see [`crate::capi`]). No process modifies or truncates the file
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_variable_size(path: *const c_char, id: c_int, out_size: *mut u64) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_file_variable_size", || {
        ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: `path` is NULL or a C string; no process modifies the file (caller).
        let map = fti::open(unsafe { ffi::path_from_c(path) }?)?;
        let checkpoint = Checkpoint::parse(map.bytes())?;
        let size = checkpoint.variable(id)?.size;
        // SAFETY: not NULL (checked above), so writable (caller).
        unsafe { out_size.write_unaligned(size) };
        Ok(())
    })
}

impl fdckpt_fti_t {
    /// # Safety
    /// The memory of all protected variables is readable and unchanged for `'m`.
    unsafe fn variables<'m>(&self) -> Result<Vec<ProtectedVariable<'m>>, Error> {
        let mut variables = try_with_capacity(self.protected.len())?;
        for variable in &self.protected {
            // SAFETY: as required of all protected variables.
            variables.push(ProtectedVariable::new(variable.id, unsafe { ffi::slice_from_raw(variable.memory, variable.size) }?));
        }
        Ok(variables)
    }
}
