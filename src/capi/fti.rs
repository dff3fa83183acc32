//! The functions fdckpt_fti_* of fdckpt.h that save and recover a program's variables. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::ffi;
use crate::alloc::try_with_capacity;
use crate::error_base::InvalidArgument;
use crate::fti::Error;
use crate::fti::{
    self, BlockHash, Checkpoint, Decision, FormatVersion, Options, Protected, ProtectedMut, SyncMode, UpdateMode, UpdateOptions,
    Updated, Writer,
};

/// A program's variables, and how they lie in its checkpoint files: those of FTI, the Fault Tolerance Interface (FTI-FF, one file
/// per rank). docs/format/fti-ff.md specifies them.
///
/// It is made by fdckpt_fti_new, freed by fdckpt_fti_free, and used by one thread at a time. A call that fails leaves it as it
/// was.
pub struct fdckpt_fti_t {
    writer: Writer,
    /// In order of protection.
    protected: Vec<Place>,
}

/// Where a variable is in the host's memory.
#[derive(Clone, Copy)]
struct Place {
    id: i32,
    memory: *mut c_void,
    size: usize,
}

/// Generations of the format. Files have no version, and no FTI reads a file of another generation than its own. FTI 1.1.
pub const FDCKPT_FTI_FORMAT_1_1: c_int = 1;
/// FTI 1.2.
pub const FDCKPT_FTI_FORMAT_1_2: c_int = 2;
/// FTI 1.3.
pub const FDCKPT_FTI_FORMAT_1_3: c_int = 3;
/// FTI 1.4.0.
pub const FDCKPT_FTI_FORMAT_1_4_0: c_int = 4;
/// FTI 1.4.1 to 1.6. Files have less than 2 GiB.
pub const FDCKPT_FTI_FORMAT_1_4_1: c_int = 5;
/// FTI after 1.6 (since July 2021).
pub const FDCKPT_FTI_FORMAT_POST_1_6: c_int = 6;

/// What a file has to survive that is saved. However much that is, at any time that a process can see, its name stands for a whole
/// file: the old one or the new one. This one: a crash of the machine; once the save has succeeded, the new file has its name
/// for good (data and folder are synced).
pub const FDCKPT_SYNC_FULL: c_int = 0;
/// A crash of the machine (the data is synced); which of the files has the name then, is for the file system to say.
pub const FDCKPT_SYNC_DATA: c_int = 1;
/// The end of the process alone. A crash of the machine can leave the name with a file that lacks data.
pub const FDCKPT_SYNC_NONE: c_int = 2;

/// What a file is to be like. Members that are 0 stand for what is usual.
#[repr(C)]
pub struct fdckpt_fti_options_t {
    /// One of FDCKPT_FTI_*. Must be given.
    pub generation: c_int,
    /// Number of the checkpoint. Generations A and B don't have it.
    pub ckpt_id: c_int,
    /// How many threads may hash and write; they are gone when the call returns. 0 and 1: the caller's alone.
    pub threads: c_int,
    /// One of FDCKPT_SYNC_*.
    pub sync: c_int,
    /// At level 2 the size of the file of the left neighbour in the group, else 0.
    pub partner_fs: u64,
    /// At level 3 the largest size of a file in the group, else 0.
    pub group_fs: u64,
    /// Nanoseconds since 1970 to be told as the time; 0: now. With a time that is given, the same variables give the same file.
    pub timestamp: i64,
}

/// By which hash it is told whether a block has changed: MD5, which is the usual one, takes 16 bytes for each block.
pub const FDCKPT_FTI_HASH_MD5: c_int = 1;
/// CRC-32 is many times as fast and takes 4 bytes, but one in four thousand million changes of a block goes unnoticed.
pub const FDCKPT_FTI_HASH_CRC32: c_int = 2;

/// What a crash in the middle of an update leaves: the old state or the new one. What changes is written to a journal (path with
/// .journal behind it) and synced before a byte of the file changes; where most of the file changes, a new one takes its place. What
/// a crash has interrupted, the next fdckpt_fti_* or fdckpt_fti_file_* function that opens the file ends.
pub const FDCKPT_FTI_UPDATE_JOURNALED: c_int = 0;
/// A file that is neither, which its hashes tell: what changes is at once written to its place, as FTI does it.
pub const FDCKPT_FTI_UPDATE_IN_PLACE: c_int = 1;

/// What a differential checkpoint is to be like. Members that are 0 stand for what is usual.
#[repr(C)]
pub struct fdckpt_fti_update_options_t {
    /// Bytes of a block, 512 to 65535; 0: 16384.
    pub block_size: c_int,
    /// FDCKPT_FTI_HASH_MD5 or FDCKPT_FTI_HASH_CRC32; 0: MD5.
    pub hash: c_int,
    /// FDCKPT_FTI_UPDATE_JOURNALED or FDCKPT_FTI_UPDATE_IN_PLACE.
    pub mode: c_int,
    /// 1: the hashes are kept in a file (path with .hashes behind it), and taken from there after a restart. 0: they are not, and the first
    /// update after a restart writes all.
    pub keep_hashes: c_int,
}

impl fdckpt_fti_update_options_t {
    /// # Safety
    /// `update` is NULL or good for a read.
    unsafe fn read(update: *const Self) -> Result<UpdateOptions, InvalidArgument> {
        let mut options = UpdateOptions::default();
        if update.is_null() {
            return Ok(options);
        }
        // SAFETY: not NULL, so good for a read.
        let from = unsafe { update.read_unaligned() };
        if from.block_size != 0 {
            // What is out of range, is told to be.
            options.block_size = usize::try_from(from.block_size).unwrap_or(usize::MAX);
        }
        options.hash = match from.hash {
            0 | FDCKPT_FTI_HASH_MD5 => BlockHash::Md5,
            FDCKPT_FTI_HASH_CRC32 => BlockHash::Crc32,
            _ => return Err(InvalidArgument("the hash is neither FDCKPT_FTI_HASH_MD5 nor FDCKPT_FTI_HASH_CRC32")),
        };
        options.mode = match from.mode {
            FDCKPT_FTI_UPDATE_JOURNALED => UpdateMode::Safe,
            FDCKPT_FTI_UPDATE_IN_PLACE => UpdateMode::InPlace,
            _ => return Err(InvalidArgument("the mode is neither FDCKPT_FTI_UPDATE_JOURNALED nor FDCKPT_FTI_UPDATE_IN_PLACE")),
        };
        options.keep_hashes = from.keep_hashes != 0;
        Ok(options)
    }
}

/// What an update has done.
#[repr(C)]
pub struct fdckpt_fti_update_stats_t {
    /// How many blocks the data has.
    pub blocks: u64,
    /// How many of them have changed.
    pub changed: u64,
    /// Bytes of data in those.
    pub bytes: u64,
    /// 1 if all data counted as changed, since nothing was known of the file: there was none, or another one.
    pub full: c_int,
    /// 1 if the hashes were kept. That it fails is no error: the first update after a restart writes all then.
    pub kept_hashes: c_int,
}

impl fdckpt_fti_update_stats_t {
    /// # Safety
    /// `to` is NULL or good for a write.
    unsafe fn write(to: *mut Self, updated: &Updated) {
        let &Updated { blocks, changed, bytes, full, kept_hashes, .. } = updated;
        if !to.is_null() {
            // SAFETY: the caller's promise.
            unsafe { to.write_unaligned(Self { blocks, changed, bytes, full: full.into(), kept_hashes: kept_hashes.into() }) }
        }
    }
}

/// Nothing is pending: no update of the file was begun and not ended.
pub const FDCKPT_FTI_TRANSACTION_IDLE: c_int = 0;
/// One that a crash has interrupted: the next who opens the file ends it.
pub const FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY: c_int = 1;
/// One that fdckpt_fti_prepare has prepared.
pub const FDCKPT_FTI_TRANSACTION_PREPARED: c_int = 2;

/// What becomes of an update that was prepared: the file gets its new state.
pub const FDCKPT_FTI_COMMIT: c_int = 1;
/// The file keeps its old state.
pub const FDCKPT_FTI_ROLLBACK: c_int = 2;

impl fdckpt_fti_options_t {
    /// # Safety
    /// `options` is NULL or good for a read.
    pub(super) unsafe fn read(options: *const Self) -> Result<Options, InvalidArgument> {
        ffi::ensure_non_null(options, "the pointer to the options is NULL")?;
        // SAFETY: not NULL, so good for a read.
        let from = unsafe { options.read_unaligned() };
        let mut options = Options::new(generation(from.generation)?, from.ckpt_id);
        options.threads = threads(from.threads)?;
        options.sync = sync(from.sync)?;
        options.partner_fs = Some(from.partner_fs).filter(|size| *size > 0);
        options.group_fs = Some(from.group_fs).filter(|size| *size > 0);
        options.timestamp = Some(from.timestamp).filter(|time| *time != 0);
        Ok(options)
    }
}

fn generation(number: c_int) -> Result<FormatVersion, InvalidArgument> {
    match number {
        FDCKPT_FTI_FORMAT_1_1 => Ok(FormatVersion::V1_1),
        FDCKPT_FTI_FORMAT_1_2 => Ok(FormatVersion::V1_2),
        FDCKPT_FTI_FORMAT_1_3 => Ok(FormatVersion::V1_3),
        FDCKPT_FTI_FORMAT_1_4_0 => Ok(FormatVersion::V1_4_0),
        FDCKPT_FTI_FORMAT_1_4_1 => Ok(FormatVersion::V1_4_1),
        FDCKPT_FTI_FORMAT_POST_1_6 => Ok(FormatVersion::Post1_6),
        _ => Err(InvalidArgument("the generation is none of FDCKPT_FTI_FORMAT_1_1 to FDCKPT_FTI_FORMAT_POST_1_6")),
    }
}

pub(super) fn threads(number: c_int) -> Result<usize, InvalidArgument> {
    usize::try_from(number).map(|number| number.max(1)).map_err(|_| InvalidArgument("the number of threads is negative"))
}

pub(super) fn sync(number: c_int) -> Result<SyncMode, InvalidArgument> {
    match number {
        FDCKPT_SYNC_FULL => Ok(SyncMode::Full),
        FDCKPT_SYNC_DATA => Ok(SyncMode::Data),
        FDCKPT_SYNC_NONE => Ok(SyncMode::None),
        _ => Err(InvalidArgument("the sync is none of FDCKPT_SYNC_*")),
    }
}

/// # Safety
/// `path` is NULL, or a C string that stays for `'p`.
pub(super) unsafe fn path<'p>(path: *const c_char) -> Result<&'p Path, InvalidArgument> {
    ffi::ensure_non_null(path, "the path is NULL")?;
    // SAFETY: not NULL, so a C string.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// fdckpt_fti_new returns an object without variables, or NULL if memory could not be had.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_fti_new() -> *mut fdckpt_fti_t {
    ffi::ffi_new(c"fdckpt_fti_new", || Ok(fdckpt_fti_t { writer: Writer::new(), protected: Vec::new() }))
}

/// fdckpt_fti_free frees the object. It may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_free(fti: *mut fdckpt_fti_t) {
    // SAFETY: the caller has it from fdckpt_fti_new, and uses it no more.
    unsafe { ffi::free(c"fdckpt_fti_free", fti) }
}

/// fdckpt_fti_protect adds a variable: a number of the program's choice, and its sz bytes at mem, which are read by
/// fdckpt_fti_checkpoint and written by fdckpt_fti_recover. Of a number that is protected already, it changes memory and size:
/// so a variable grows and shrinks. mem may be NULL if sz is 0. Nothing is copied: the memory must be there as long as one of
/// these calls can come, is changed by nobody during them, and has no byte in common with another variable's.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_protect(fti: *mut fdckpt_fti_t, id: c_int, mem: *mut c_void, sz: usize) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_fti_protect", fti, |fti| {
            ffi::slice_from_raw_mut(mem, sz)?;
            let place = Place { id, memory: mem, size: sz };
            match fti.protected.iter_mut().find(|place| place.id == id) {
                Some(there) => *there = place,
                None => {
                    fti.protected.try_reserve(1)?;
                    fti.protected.push(place);
                }
            }
            Ok(())
        })
    }
}

/// fdckpt_fti_unprotect removes a variable. The next checkpoint lays out all that are left anew.
///
/// Returns FDCKPT_OK, or FDCKPT_ERR_NOT_FOUND if there is none of this number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_unprotect(fti: *mut fdckpt_fti_t, id: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_fti_unprotect", fti, |fti| {
            let at = fti.protected.iter().position(|place| place.id == id).ok_or(Error::VariableNotFound { id })?;
            fti.protected.remove(at);
            Ok(())
        })
    }
}

/// fdckpt_fti_checkpoint saves all protected variables to the file path. What has that name is replaced, when the new file is
/// complete: under a name of its own (.fdckpt-*.tmp in the same folder; a process that is killed can leave it) it is written, then
/// synced as the options say, then renamed. It has the permissions that new files have; a symbolic link is replaced itself.
///
/// Variables keep their places in the file from one checkpoint to the next; one that grows gets a further place behind all others.
/// So it is in files of FTI too, which reads these.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT, which includes sizes that the generation can't hold; FDCKPT_ERR_IO;
/// FDCKPT_ERR_NO_MEMORY. Then path is what it was; but if it was syncing the folder that failed, it is the new file, and a crash
/// can bring the old one back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_checkpoint(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_fti_checkpoint", fti, |fti| {
            let (path, options) = (self::path(path)?, fdckpt_fti_options_t::read(options)?);
            let variables = fti.variables()?;
            Ok(fti.writer.checkpoint(path, &options, &variables)?)
        })
    }
}

/// fdckpt_fti_update makes a differential checkpoint: it brings the file path to the state of all protected variables, and writes what
/// has changed since the last update, by blocks. The file is as fdckpt_fti_checkpoint writes it, of generation C, D0, D or E. update may be
/// NULL, which stands for what is usual, and _updated may be NULL.
///
/// What is in the file, the object knows from its own last update; after fdckpt_fti_recover of the same file, from hashes that were kept. In
/// any other case, also where it was a copy that was recovered, and where somebody else has changed the file since, all is written. Ordinary checkpoints to other files make no
/// difference. docs/format/fti-journal.md tells in which order all is written and synced; durability of the options says
/// whether it is synced at all: for FDCKPT_SYNC_NONE it is safe for the end of the process alone.
///
/// Returns FDCKPT_OK and fills *_updated, or on failure FDCKPT_ERR_INVALID_ARGUMENT, FDCKPT_ERR_IO, FDCKPT_ERR_NO_MEMORY, or FDCKPT_ERR_INVALID_STATE:
/// somebody else is updating the file (it is locked by flock meanwhile), or a prepared update is pending. Then, in the mode
/// FDCKPT_FTI_UPDATE_JOURNALED, the file has its old state, or the new one, or gets that when it is opened next; in the mode FDCKPT_FTI_UPDATE_IN_PLACE
/// it may be damaged. In both, the next update that succeeds makes it whole.
///
/// Nobody may read the file meanwhile. It must not be a symbolic link. It keeps its permissions, and what is made beside it gets them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_update(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update: *const fdckpt_fti_update_options_t,
    _updated: *mut fdckpt_fti_update_stats_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { change(c"fdckpt_fti_update", fti, path, options, update, _updated, Writer::update) }
}

/// fdckpt_fti_prepare does the first half of fdckpt_fti_update, for several files that are to come to their new states together, each
/// of another process: all that is needed is in the journal, but the file keeps its old state until fdckpt_fti_resolve is told
/// what becomes of it. When all processes have prepared, all commit; where one could not, all abandon. After a crash,
/// fdckpt_fti_transaction_state tells each which state it can give: where all have the newest one, prepared or committed already, all commit, else all
/// abandon. (So no process may prepare the next one before all have committed this one.) The memory can change as soon as the call
/// returns.
///
/// The mode must be FDCKPT_FTI_UPDATE_JOURNALED. Until it is settled, functions that open the file return FDCKPT_ERR_INVALID_STATE.
///
/// Returns as fdckpt_fti_update; after each failure the file has its old state, and nothing is pending but what was before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_prepare(
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update: *const fdckpt_fti_update_options_t,
    _updated: *mut fdckpt_fti_update_stats_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe { change(c"fdckpt_fti_prepare", fti, path, options, update, _updated, Writer::prepare) }
}

/// One of the two ways to update a file.
type Change<'p> = fn(&mut Writer, &'p Path, &Options, &UpdateOptions, &[Protected<'_>]) -> Result<Updated, Error>;

/// # Safety
/// As for [`fdckpt_fti_update`].
unsafe fn change<'p>(
    function: &'static CStr,
    fti: *mut fdckpt_fti_t,
    path: *const c_char,
    options: *const fdckpt_fti_options_t,
    update: *const fdckpt_fti_update_options_t,
    updated: *mut fdckpt_fti_update_stats_t,
    change: Change<'p>,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::call_mut(function, fti, |fti| {
            let (path, options) = (self::path(path)?, fdckpt_fti_options_t::read(options)?);
            let (update, variables) = (fdckpt_fti_update_options_t::read(update)?, fti.variables()?);
            let done = change(&mut fti.writer, path, &options, &update, &variables)?;
            fdckpt_fti_update_stats_t::write(updated, &done);
            Ok(())
        })
    }
}

/// fdckpt_fti_resolve decides on the update of the file path that is pending: FDCKPT_FTI_COMMIT or FDCKPT_FTI_ROLLBACK. It needs no object: any
/// process can do so, also after a restart. Where nothing is pending, it does nothing.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_IO, and the update is pending still; FDCKPT_ERR_NO_MEMORY;
/// FDCKPT_ERR_INVALID_STATE, somebody else is at it, or the update can't be abandoned, since it was committed in part: commit it. (Or the file was
/// damaged before it was prepared: remove it, and nothing is pending.)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_resolve(path: *const c_char, decision: c_int) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_resolve", || {
        let decision = match decision {
            FDCKPT_FTI_COMMIT => Decision::Commit,
            FDCKPT_FTI_ROLLBACK => Decision::Abandon,
            _ => return Err(InvalidArgument("the decision is neither FDCKPT_FTI_COMMIT nor FDCKPT_FTI_ROLLBACK").into()),
        };
        // SAFETY: the caller keeps to the comment above.
        Ok(fti::settle(unsafe { self::path(path) }?, decision).map(drop)?)
    })
}

/// fdckpt_fti_transaction_state tells whether an update of the file path was begun and not ended: FDCKPT_FTI_TRANSACTION_IDLE, FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY or
/// FDCKPT_FTI_TRANSACTION_PREPARED, and the number of the checkpoint that the file would have with it (0 with FDCKPT_FTI_TRANSACTION_IDLE).
///
/// Returns FDCKPT_OK and fills *_pending and *_ckpt_id. On failure they are untouched: FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_IO;
/// FDCKPT_ERR_INVALID_STATE, somebody else is at it; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_transaction_state(path: *const c_char, _pending: *mut c_int, _ckpt_id: *mut c_int) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_transaction_state", || {
        ffi::ensure_non_null(_pending, ffi::ERR_NULL_OUT_PARAM)?;
        ffi::ensure_non_null(_ckpt_id, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: the caller keeps to the comment above.
        let (pending, ckpt_id) = match fti::pending(unsafe { self::path(path) }?)? {
            None => (FDCKPT_FTI_TRANSACTION_IDLE, 0),
            Some(pending) if pending.prepared => (FDCKPT_FTI_TRANSACTION_PREPARED, pending.ckpt_id),
            Some(pending) => (FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY, pending.ckpt_id),
        };
        // SAFETY: not NULL, so good for a write.
        unsafe {
            _pending.write_unaligned(pending);
            _ckpt_id.write_unaligned(ckpt_id);
        }
        Ok(())
    })
}

/// fdckpt_fti_size tells how large the file would be that fdckpt_fti_checkpoint would write: for group_fs of the options, which the
/// ranks of a group agree on before.
///
/// Returns FDCKPT_OK and fills *_size. On failure it is untouched: FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_size(fti: *const fdckpt_fti_t, generation: c_int, _size: *mut u64) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_ref(c"fdckpt_fti_size", fti, |fti| {
            ffi::ensure_non_null(_size, ffi::ERR_NULL_OUT_PARAM)?;
            let size = fti.writer.size(self::generation(generation)?, &fti.variables()?)?;
            _size.write_unaligned(size);
            Ok(())
        })
    }
}

/// fdckpt_fti_recover reads the file path, of any generation, into the protected variables, on up to threads threads. They must be
/// those of the file, with their sizes (fdckpt_fti_file_variable_size tells them), in any order. All hashes are checked. The next
/// checkpoint goes on with the file's places.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_IO, the file can't be opened; FDCKPT_ERR_FORMAT, it is none of FTI; FDCKPT_ERR_CORRUPT,
/// it is damaged (what the variables hold is not to be relied on then: recover from another file); FDCKPT_ERR_NOT_FOUND,
/// FDCKPT_ERR_INVALID_STATE, the file lacks a variable, has another one, or one of another size; FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
///
/// An update that a crash has interrupted is ended first, as each function does that opens a file of FTI by the name under which it is
/// updated (not by a link): that writes to the file. Where one is prepared, that is FDCKPT_ERR_INVALID_STATE, and fdckpt_fti_resolve decides on it; so
/// it is where somebody else is at it.
///
/// The file is mapped: nobody may change or shorten it meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_recover(fti: *mut fdckpt_fti_t, path: *const c_char, threads: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_fti_recover", fti, |fti| {
            let threads = self::threads(threads)?;
            let (map, file) = fti::open_known(self::path(path)?)?;
            let checkpoint = Checkpoint::parse(map.bytes())?;
            let writer = Writer::resume_from(&checkpoint, Some(file))?;
            let mut variables = try_with_capacity(fti.protected.len())?;
            for place in &fti.protected {
                variables.push(ProtectedMut::new(place.id, ffi::slice_from_raw_mut(place.memory, place.size)?));
            }
            checkpoint.recover(&mut variables, threads)?;
            fti.writer = writer;
            Ok(())
        })
    }
}

/// fdckpt_fti_recover_var reads one protected variable from the file path. Otherwise as fdckpt_fti_recover, but that damage to other
/// variables does not matter, and that the next checkpoint does not go on with the file's places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_recover_var(fti: *mut fdckpt_fti_t, path: *const c_char, id: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        ffi::call_mut(c"fdckpt_fti_recover_var", fti, |fti| {
            let place = fti.protected.iter().find(|place| place.id == id).ok_or(Error::VariableNotFound { id })?;
            let map = fti::open(self::path(path)?)?;
            let checkpoint = Checkpoint::parse(map.bytes())?;
            Ok(checkpoint.recover_variable(id, ffi::slice_from_raw_mut(place.memory, place.size)?)?)
        })
    }
}

/// fdckpt_fti_file_variable_size tells the size of a variable in the file path: for memory that is to be there before it is protected and
/// recovered.
///
/// Returns FDCKPT_OK and fills *_size. On failure it is untouched: FDCKPT_ERR_NOT_FOUND, there is no such variable (which is not
/// logged), and as for fdckpt_fti_recover.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_file_variable_size(path: *const c_char, id: c_int, _size: *mut u64) -> c_int {
    ffi::ffi_call(c"fdckpt_fti_file_variable_size", || {
        ffi::ensure_non_null(_size, ffi::ERR_NULL_OUT_PARAM)?;
        // SAFETY: the caller keeps to the comment above.
        let map = fti::open(unsafe { self::path(path) }?)?;
        let checkpoint = Checkpoint::parse(map.bytes())?;
        let size = checkpoint.variable(id)?.size;
        // SAFETY: not NULL, so good for a write.
        unsafe { _size.write_unaligned(size) };
        Ok(())
    })
}

impl fdckpt_fti_t {
    /// # Safety
    /// The memory of all that is protected is there for `'m`, and nobody changes it.
    unsafe fn variables<'m>(&self) -> Result<Vec<Protected<'m>>, Error> {
        let mut variables = try_with_capacity(self.protected.len())?;
        for place in &self.protected {
            // SAFETY: the caller's promise.
            variables.push(Protected::new(place.id, unsafe { ffi::slice_from_raw(place.memory, place.size) }?));
        }
        Ok(variables)
    }
}
