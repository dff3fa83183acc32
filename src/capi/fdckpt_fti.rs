//! The functions fdckpt_fti_* of fdckpt.h that save and recover a program's variables. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::guard;
use crate::error::Error;
use crate::fti::{self, Checkpoint, Durability, Generation, Options, Protected, ProtectedMut, Writer};

/// A program's variables, and how they lie in its checkpoint files: those of FTI, the Fault Tolerance Interface (FTI-FF, one file
/// per rank). docs/ftiff-format.md specifies them.
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
pub const FDCKPT_FTI_A: c_int = 1;
/// FTI 1.2.
pub const FDCKPT_FTI_B: c_int = 2;
/// FTI 1.3.
pub const FDCKPT_FTI_C: c_int = 3;
/// FTI 1.4.0.
pub const FDCKPT_FTI_D0: c_int = 4;
/// FTI 1.4.1 to 1.6. Files have less than 2 GiB.
pub const FDCKPT_FTI_D: c_int = 5;
/// FTI after 1.6 (since July 2021).
pub const FDCKPT_FTI_E: c_int = 6;

/// What a file has to survive that is saved. However much that is, at any time that a process can see, its name stands for a whole
/// file: the old one or the new one. This one: a crash of the machine; once the save has succeeded, the new file has its name
/// for good (data and folder are synced).
pub const FDCKPT_SYNC_FILE_AND_FOLDER: c_int = 0;
/// A crash of the machine (the data is synced); which of the files has the name then, is for the file system to say.
pub const FDCKPT_SYNC_FILE: c_int = 1;
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
    pub durability: c_int,
    /// At level 2 the size of the file of the left neighbour in the group, else 0.
    pub partner_fs: u64,
    /// At level 3 the largest size of a file in the group, else 0.
    pub group_fs: u64,
    /// Nanoseconds since 1970 to be told as the time; 0: now. With a time that is given, the same variables give the same file.
    pub timestamp: i64,
}

impl fdckpt_fti_options_t {
    /// # Safety
    /// `options` is NULL or good for a read.
    pub(super) unsafe fn read(options: *const Self) -> Result<Options, Error> {
        guard::not_null(options, "the pointer to the options is NULL")?;
        // SAFETY: not NULL, so good for a read.
        let from = unsafe { options.read_unaligned() };
        let mut options = Options::new(generation(from.generation)?, from.ckpt_id);
        options.threads = threads(from.threads)?;
        options.durability = durability(from.durability)?;
        options.partner_fs = Some(from.partner_fs).filter(|size| *size > 0);
        options.group_fs = Some(from.group_fs).filter(|size| *size > 0);
        options.timestamp = Some(from.timestamp).filter(|time| *time != 0);
        Ok(options)
    }
}

fn generation(number: c_int) -> Result<Generation, Error> {
    match number {
        FDCKPT_FTI_A => Ok(Generation::A),
        FDCKPT_FTI_B => Ok(Generation::B),
        FDCKPT_FTI_C => Ok(Generation::C),
        FDCKPT_FTI_D0 => Ok(Generation::D0),
        FDCKPT_FTI_D => Ok(Generation::D),
        FDCKPT_FTI_E => Ok(Generation::E),
        _ => Err(Error::Argument("the generation is none of FDCKPT_FTI_A to FDCKPT_FTI_E")),
    }
}

pub(super) fn threads(number: c_int) -> Result<usize, Error> {
    usize::try_from(number).map(|number| number.max(1)).map_err(|_| Error::Argument("the number of threads is negative"))
}

pub(super) fn durability(number: c_int) -> Result<Durability, Error> {
    match number {
        FDCKPT_SYNC_FILE_AND_FOLDER => Ok(Durability::FileAndFolder),
        FDCKPT_SYNC_FILE => Ok(Durability::File),
        FDCKPT_SYNC_NONE => Ok(Durability::None),
        _ => Err(Error::Argument("the durability is none of FDCKPT_SYNC_*")),
    }
}

/// # Safety
/// `path` is NULL, or a C string that stays for `'p`.
pub(super) unsafe fn path<'p>(path: *const c_char) -> Result<&'p Path, Error> {
    guard::not_null(path, "the path is NULL")?;
    // SAFETY: not NULL, so a C string.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}

/// fdckpt_fti_new returns an object without variables, or NULL if memory could not be had.
#[unsafe(no_mangle)]
pub extern "C" fn fdckpt_fti_new() -> *mut fdckpt_fti_t {
    guard::make(c"fdckpt_fti_new", || Ok(fdckpt_fti_t { writer: Writer::new(), protected: Vec::new() }))
}

/// fdckpt_fti_free frees the object. It may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_free(fti: *mut fdckpt_fti_t) {
    // SAFETY: the caller has it from fdckpt_fti_new, and uses it no more.
    unsafe { guard::free(c"fdckpt_fti_free", fti) }
}

/// fdckpt_fti_protect adds a variable: a number of the program's choice, and its sz bytes at mem, which are read by
/// fdckpt_fti_checkpoint and written by fdckpt_fti_recover. Of a number that is protected already, it changes memory and size:
/// so a variable grows and shrinks. mem may be NULL if sz is 0. Nothing is copied: the memory must be there as long as one of
/// these calls can come, is changed by nobody during them, and has no byte in common with another variable's.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_protect(fti: *mut fdckpt_fti_t, id: c_int, mem: *mut c_void, sz: usize) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        guard::call_mut(c"fdckpt_fti_protect", fti, |fti| {
            guard::bytes_mut(mem, sz)?;
            let place = Place { id, memory: mem, size: sz };
            match fti.protected.iter_mut().find(|place| place.id == id) {
                Some(there) => *there = place,
                None => {
                    fti.protected.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
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
        guard::call_mut(c"fdckpt_fti_unprotect", fti, |fti| {
            let at = fti.protected.iter().position(|place| place.id == id).ok_or(Error::NoSuchVariable { id })?;
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
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_ARGUMENT, which includes sizes that the generation can't hold; FDCKPT_ERR_IO;
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
        guard::call_mut(c"fdckpt_fti_checkpoint", fti, |fti| {
            let (path, options) = (self::path(path)?, fdckpt_fti_options_t::read(options)?);
            let variables = fti.variables()?;
            fti.writer.checkpoint(path, &options, &variables)
        })
    }
}

/// fdckpt_fti_size tells how large the file would be that fdckpt_fti_checkpoint would write: for group_fs of the options, which the
/// ranks of a group agree on before.
///
/// Returns FDCKPT_OK and fills *_size. On failure it is untouched: FDCKPT_ERR_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_size(fti: *const fdckpt_fti_t, generation: c_int, _size: *mut u64) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        guard::call_ref(c"fdckpt_fti_size", fti, |fti| {
            guard::not_null(_size, guard::NULL_OUT)?;
            let size = fti.writer.size(self::generation(generation)?, &fti.variables()?)?;
            _size.write_unaligned(size);
            Ok(())
        })
    }
}

/// fdckpt_fti_recover reads the file path, of any generation, into the protected variables, on up to threads threads. They must be
/// those of the file, with their sizes (fdckpt_fti_stored_size tells them), in any order. All hashes are checked. The next
/// checkpoint goes on with the file's places.
///
/// Returns FDCKPT_OK, or on failure FDCKPT_ERR_IO, the file can't be opened; FDCKPT_ERR_FORMAT, it is none of FTI; FDCKPT_ERR_CORRUPT,
/// it is damaged (what the variables hold is not to be relied on then: recover from another file); FDCKPT_ERR_NOT_FOUND,
/// FDCKPT_ERR_STATE, the file lacks a variable, has another one, or one of another size; FDCKPT_ERR_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
///
/// The file is mapped: nobody may change or shorten it meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_recover(fti: *mut fdckpt_fti_t, path: *const c_char, threads: c_int) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        guard::call_mut(c"fdckpt_fti_recover", fti, |fti| {
            let threads = self::threads(threads)?;
            let map = fti::open(self::path(path)?)?;
            let region = map.region();
            let checkpoint = Checkpoint::parse(region.get(0, region.size()).unwrap_or_default())?;
            let writer = Writer::resume(&checkpoint)?;
            let mut variables = Vec::new();
            variables.try_reserve_exact(fti.protected.len()).map_err(|_| Error::OutOfMemory)?;
            for place in &fti.protected {
                variables.push(ProtectedMut::new(place.id, guard::bytes_mut(place.memory, place.size)?));
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
        guard::call_mut(c"fdckpt_fti_recover_var", fti, |fti| {
            let place = fti.protected.iter().find(|place| place.id == id).ok_or(Error::NoSuchVariable { id })?;
            let map = fti::open(self::path(path)?)?;
            let region = map.region();
            let checkpoint = Checkpoint::parse(region.get(0, region.size()).unwrap_or_default())?;
            checkpoint.recover_variable(id, guard::bytes_mut(place.memory, place.size)?)
        })
    }
}

/// fdckpt_fti_stored_size tells the size of a variable in the file path: for memory that is to be there before it is protected and
/// recovered.
///
/// Returns FDCKPT_OK and fills *_size. On failure it is untouched: FDCKPT_ERR_NOT_FOUND, there is no such variable (which is not
/// logged), and as for fdckpt_fti_recover.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_fti_stored_size(path: *const c_char, id: c_int, _size: *mut u64) -> c_int {
    guard::run(c"fdckpt_fti_stored_size", || {
        guard::not_null(_size, guard::NULL_OUT)?;
        // SAFETY: the caller keeps to the comment above.
        let map = fti::open(unsafe { self::path(path) }?)?;
        let region = map.region();
        let checkpoint = Checkpoint::parse(region.get(0, region.size()).unwrap_or_default())?;
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
        let mut variables = Vec::new();
        variables.try_reserve_exact(self.protected.len()).map_err(|_| Error::OutOfMemory)?;
        for place in &self.protected {
            // SAFETY: the caller's promise.
            variables.push(Protected::new(place.id, unsafe { guard::bytes(place.memory, place.size) }?));
        }
        Ok(variables)
    }
}
