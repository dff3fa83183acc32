//! The functions fdckpt_reader_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

use super::checkpoint_writer::{Callback, fdckpt_progress_fn_t, fdckpt_writer_options_t};
use super::error_code;
use super::ffi;
use super::fixed_string::FixedString;
use super::fti;
use super::last_error::TEXT_SIZE;
use crate::alloc::try_with_capacity;
use crate::checkpoint::{self, Damage, Entry, Error, ErrorKind, Reader, ReaderOptions, Request, Spooled};
use crate::error_base::InvalidArgument;

/// A checkpoint that describes itself, opened for reading.
///
/// It is made by fdckpt_reader_open and its like, freed by fdckpt_reader_free, and can be used by several threads at once. A file is
/// mapped: nobody may change or shorten it meanwhile. (What fdckpt_writer_commit replaces stays what it was for who has it open.)
pub struct fdckpt_reader_t {
    reader: Reader<'static>,
    callback: Callback,
}

/// How a checkpoint is to be loaded. Members that are 0 stand for what is usual, so that `{ 0 }` is all of the defaults.
#[repr(C)]
pub struct fdckpt_reader_options_t {
    /// How many threads may read, the caller's included; they are gone when a call returns. 0: what fdckpt_set_max_threads says, which is 1
    /// unless it was called.
    pub threads: c_uint,
    /// Not 0: what is read is not verified, so that damage to data can go unnoticed.
    pub no_checksums: c_int,
    /// What can't be mapped (a pipe) is spooled: read to its end when it is opened, to memory up to so many bytes, what is larger to
    /// a temporary file without a name (in the folder that the environment variable TMPDIR names, or /tmp). 0: 64 MiB.
    pub spool_memory: u64,
    /// What can't be mapped and has more bytes than this is refused with FDCKPT_ERR_INVALID_ARGUMENT. 0: no limit.
    pub spool_limit: u64,
    /// Is told of progress by fdckpt_reader_read_index, fdckpt_reader_read_many and fdckpt_reader_verify, and can cancel them. May be NULL. If
    /// several threads use the reader, it is called by each of them.
    pub progress: fdckpt_progress_fn_t,
    /// What progress gets as context.
    pub context: *mut c_void,
}

impl fdckpt_reader_options_t {
    /// # Safety
    /// `options` is NULL or good for a read.
    unsafe fn read(options: *const Self) -> (ReaderOptions, Callback) {
        let with = ReaderOptions::new();
        if options.is_null() {
            return (with, Callback { progress: None, context: ptr::null_mut() });
        }
        // SAFETY: not NULL, so good for a read.
        let options = unsafe { options.read_unaligned() };
        let mut with = with.checksums(options.no_checksums == 0);
        if options.threads > 0 {
            with = with.threads(options.threads as usize);
        }
        if options.spool_memory > 0 {
            with = with.spool_memory(options.spool_memory);
        }
        if options.spool_limit > 0 {
            with = with.spool_limit(options.spool_limit);
        }
        (with, Callback { progress: options.progress, context: options.context })
    }
}

/// A region of a checkpoint.
#[repr(C)]
pub struct fdckpt_region_info_t {
    /// Its name, which lives as long as the reader.
    pub name: *const c_char,
    /// Its number, counted from 0 in the order in which regions were added.
    pub number: u64,
    /// How many bytes it has.
    pub size: u64,
    /// Its checksum (docs/format/checkpoint.md), 0 if there are none.
    pub checksum: u64,
    /// The frame in which it begins, or FDCKPT_NO_FRAME if it is empty.
    pub frame: u64,
    /// Where in the data of that frame it begins.
    pub frame_offset: u64,
    /// In how many frames it lies.
    pub frame_count: u64,
    /// The style of these: FDCKPT_STYLE_RAW, also if it is empty, or FDCKPT_STYLE_LZ4.
    pub style: c_int,
}

impl fdckpt_region_info_t {
    fn new(entry: &Entry<'_>) -> Self {
        Self {
            // In the file a NUL follows.
            name: entry.name().as_ptr().cast(),
            number: entry.number() as u64,
            size: entry.size(),
            checksum: entry.checksum().unwrap_or(0),
            frame: entry.frame().map_or(super::last_error::FDCKPT_NO_FRAME, |frame| frame as u64),
            frame_offset: entry.frame_offset(),
            frame_count: entry.frame_count() as u64,
            style: entry.style() as c_int,
        }
    }
}

/// A frame of a checkpoint, with what is needed to restore it by fd_restore_*: at offset, in this style, as one buffer of data bytes.
#[repr(C)]
pub struct fdckpt_frame_info_t {
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has in the file.
    pub stored: u64,
    /// How many bytes of data it has.
    pub data: u64,
    /// XXH3 (64 bits) of its bytes in the file, 0 if there are no checksums.
    pub checksum: u64,
    /// FDCKPT_STYLE_RAW or FDCKPT_STYLE_LZ4.
    pub style: c_int,
}

/// What can be told of a checkpoint as a whole.
#[repr(C)]
pub struct fdckpt_reader_info_t {
    /// How many regions there are.
    pub regions: u64,
    /// How many frames.
    pub frames: u64,
    /// How many attributes.
    pub attributes: u64,
    /// Bytes of data.
    pub data: u64,
    /// Bytes of the file.
    pub stored: u64,
    /// Whether frames and regions have checksums.
    pub has_checksums: c_int,
    /// One of FDCKPT_SPOOLED_*.
    pub spooled: c_int,
}

/// It was mapped, or is in the caller's memory: nothing was spooled.
pub const FDCKPT_SPOOL_NONE: c_int = 0;
/// It could not be mapped, and was read to memory.
pub const FDCKPT_SPOOL_MEMORY: c_int = 1;
/// It could not be mapped, and was read to a temporary file.
pub const FDCKPT_SPOOL_TEMP_FILE: c_int = 2;

/// A region to read, and the caller's memory for it.
#[repr(C)]
pub struct fdckpt_read_request_t {
    /// The region's number.
    pub number: u64,
    /// Where its data is to go.
    pub data: *mut c_void,
    /// How many bytes there are: the region's size.
    pub size: usize,
}

/// Something that is damaged, as fdckpt_reader_verify tells it.
#[repr(C)]
pub struct fdckpt_issue_t {
    /// The region that is lost. NULL: it is the metadata of the container, which costs no data.
    pub name: *const c_char,
    /// Its number.
    pub number: u64,
    /// The first of its frames that is damaged, or FDCKPT_NO_FRAME.
    pub frame: u64,
    /// Where in the file, or FDCKPT_NO_OFFSET.
    pub offset: u64,
    /// What is wrong, as a code.
    pub code: c_int,
    /// What is wrong, in a sentence for people.
    pub text: *const c_char,
}

/// Receives what a verification finds. The struct and what it points to are valid until it returns. No longjmp, no C++ exception.
pub type fdckpt_issue_fn_t = Option<unsafe extern "C" fn(context: *mut c_void, damage: *const fdckpt_issue_t)>;

/// fdckpt_reader_open opens the file path. options may be NULL, for the defaults; neither it nor path need stay.
///
/// The index is read and checked, all of it; data is read only where it is asked for.
///
/// Returns the reader, to be freed with fdckpt_reader_free, or NULL: FDCKPT_ERR_IO; FDCKPT_ERR_FORMAT, it is no such checkpoint, or one of
/// a later version, or its end is missing; FDCKPT_ERR_CORRUPT, FDCKPT_ERR_OUT_OF_RANGE, its index or the container's metadata is damaged (for
/// both see fdckpt_salvage_file); FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open(
    path: *const c_char,
    options: *const fdckpt_reader_options_t,
) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open", || {
        // SAFETY: the caller keeps to the comment above.
        let (path, (options, callback)) = unsafe { (fti::path(path)?, fdckpt_reader_options_t::read(options)) };
        Ok(fdckpt_reader_t { reader: options.open(path)?, callback })
    })
}

/// fdckpt_reader_open_fd opens the file of fd, all of it, wherever its position is. What can't be mapped is read from its position to
/// its end first (fdckpt_reader_info tells). The descriptor is not needed any more when it returns, and not closed.
///
/// Returns as fdckpt_reader_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open_fd(fd: c_int, options: *const fdckpt_reader_options_t) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open_fd", || {
        // SAFETY: the caller keeps to the comment above.
        let (options, callback) = unsafe { fdckpt_reader_options_t::read(options) };
        Ok(fdckpt_reader_t { reader: options.open_fd(ffi::borrow_fd(fd)?)?, callback })
    })
}

/// fdckpt_reader_open_memory opens a checkpoint in memory: the size bytes at data, which must stay there unchanged as long as the
/// reader is there.
///
/// Returns as fdckpt_reader_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open_memory(
    data: *const c_void,
    size: usize,
    options: *const fdckpt_reader_options_t,
) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open_memory", || {
        // SAFETY: the caller keeps to the comment above.
        let (bytes, (options, callback)) = unsafe { (ffi::slice_from_raw(data, size)?, fdckpt_reader_options_t::read(options)) };
        Ok(fdckpt_reader_t { reader: options.open_bytes(bytes)?, callback })
    })
}

/// fdckpt_reader_free frees a reader. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_free(reader: *mut fdckpt_reader_t) {
    // SAFETY: the caller keeps to the comment above.
    unsafe { ffi::free(c"fdckpt_reader_free", reader) }
}

/// fdckpt_reader_region_count returns how many regions there are; 0 if reader is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_region_count(reader: *const fdckpt_reader_t) -> u64 {
    let mut count = 0;
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_region_count", reader, |reader| {
            count = reader.reader.len() as u64;
            Ok(())
        })
    };
    count
}

/// fdckpt_reader_info tells of the checkpoint as a whole.
///
/// Returns FDCKPT_OK and fills *_info, or FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_info(reader: *const fdckpt_reader_t, _info: *mut fdckpt_reader_info_t) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_info", reader, |fdckpt_reader_t { reader, .. }| {
            let info = fdckpt_reader_info_t {
                regions: reader.len() as u64,
                frames: reader.frame_count() as u64,
                attributes: reader.attributes().count() as u64,
                data: reader.data_size(),
                stored: reader.file_size(),
                has_checksums: reader.has_checksums().into(),
                spooled: match reader.spooled() {
                    None => FDCKPT_SPOOL_NONE,
                    Some(Spooled::InMemory) => FDCKPT_SPOOL_MEMORY,
                    Some(Spooled::InFile) => FDCKPT_SPOOL_TEMP_FILE,
                },
            };
            Ok(put(_info, info)?)
        })
    }
}

/// fdckpt_reader_region_at tells of the region of this number, counted from 0.
///
/// Returns FDCKPT_OK and fills *_entry, or FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_region_at(
    reader: *const fdckpt_reader_t,
    number: u64,
    _entry: *mut fdckpt_region_info_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_region_at", reader, |fdckpt_reader_t { reader, .. }| {
            let entry = reader.entry(index_of(number)).ok_or(ErrorKind::RegionNotFound)?;
            Ok(put(_entry, fdckpt_region_info_t::new(&entry))?)
        })
    }
}

/// fdckpt_reader_find_region finds the region with this name: one look at a table, however many regions there are.
///
/// Returns FDCKPT_OK and fills *_entry, or FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_find_region(
    reader: *const fdckpt_reader_t,
    name: *const c_char,
    _entry: *mut fdckpt_region_info_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_find_region", reader, |fdckpt_reader_t { reader, .. }| {
            let name = ffi::str_from_c(name)?;
            let entry = reader.find(name).ok_or_else(|| Error::from(ErrorKind::RegionNotFound).in_region(name))?;
            Ok(put(_entry, fdckpt_region_info_t::new(&entry))?)
        })
    }
}

/// fdckpt_reader_frame_at tells of the frame of this number, counted from 0.
///
/// Returns FDCKPT_OK and fills *_frame, or FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_frame_at(
    reader: *const fdckpt_reader_t,
    number: u64,
    _frame: *mut fdckpt_frame_info_t,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_frame_at", reader, |fdckpt_reader_t { reader, .. }| {
            let frame = reader.frame(index_of(number)).ok_or(ErrorKind::FrameNotFound)?;
            let (offset, stored, data) = (frame.offset, frame.stored, frame.data);
            let checksum = frame.checksum.unwrap_or(0);
            Ok(put(_frame, fdckpt_frame_info_t { offset, stored, data, checksum, style: frame.style as c_int })?)
        })
    }
}

/// fdckpt_reader_read reads the region with this name into the size bytes at data; size must be the region's.
///
/// Returns as fdckpt_reader_read_index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read(
    reader: *const fdckpt_reader_t,
    name: *const c_char,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_read", reader, |handle| {
            let name = ffi::str_from_c(name)?;
            let found = handle.reader.find(name);
            let number = found.ok_or_else(|| Error::from(ErrorKind::RegionNotFound).in_region(name))?.number();
            handle.read(&mut [Request { number, to: ffi::slice_from_raw_mut(data, size)? }])
        })
    }
}

/// fdckpt_reader_read_index reads the region of this number into the size bytes at data; size must be the region's. What is read was verified
/// by its checksum, unless the options or the file are without.
///
/// Returns FDCKPT_OK, or on failure, and then data is not to be relied on: FDCKPT_ERR_CORRUPT, the region is damaged (others can be
/// sound); FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT; FDCKPT_ERR_CANCELLED; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_index(
    reader: *const fdckpt_reader_t,
    number: u64,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_read_index", reader, |handle| {
            handle.read(&mut [Request { number: index_of(number), to: ffi::slice_from_raw_mut(data, size)? }])
        })
    }
}

/// fdckpt_reader_read_range reads a part of the region of this number: size bytes from offset of it on. Only the frames that they lie in are
/// read, and verified.
///
/// Returns as fdckpt_reader_read_index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_range(
    reader: *const fdckpt_reader_t,
    number: u64,
    offset: u64,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_read_range", reader, |handle| {
            handle.reader.read_at(index_of(number), offset, ffi::slice_from_raw_mut(data, size)?)
        })
    }
}

/// fdckpt_reader_read_many reads count regions, in any order, each into memory of its size, no two of which overlap; on the threads of the
/// options, a frame at a time. Frames that several regions share are restored once.
///
/// Returns as fdckpt_reader_read_index. On failure none of them is to be relied on; read one by one, those that are sound succeed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_many(
    reader: *const fdckpt_reader_t,
    requests: *const fdckpt_read_request_t,
    count: usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_read_many", reader, |handle| {
            if count > 0 {
                ffi::ensure_non_null(requests, "the pointer to the requests is NULL")?;
            }
            if count > isize::MAX as usize / size_of::<fdckpt_read_request_t>() {
                return Err(InvalidArgument("the number of requests is too large").into());
            }
            let mut all = try_with_capacity(count)?;
            for place in 0..count {
                let fdckpt_read_request_t { number, data, size } = requests.add(place).read_unaligned();
                all.push(Request { number: index_of(number), to: ffi::slice_from_raw_mut(data, size)? });
            }
            handle.read(&mut all)
        })
    }
}

/// fdckpt_reader_map gives a region where it lies, without a copy: in the map of the file, or in the caller's memory. It must be of RAW
/// frames, which are verified now, and nobody may write to it. It is there as long as the reader. Nothing is said of its alignment.
///
/// Returns FDCKPT_OK and fills *_data and, unless _size is NULL, *_size. On failure both are untouched: FDCKPT_ERR_INVALID_STATE, the region is
/// compressed; and as fdckpt_reader_read_index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_map(
    reader: *const fdckpt_reader_t,
    number: u64,
    _data: *mut *const c_void,
    _size: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_map", reader, |fdckpt_reader_t { reader, .. }| {
            ffi::ensure_non_null(_data, ffi::ERR_NULL_OUT_PARAM)?;
            let data = reader.map(index_of(number))?;
            put(_data, data.as_ptr().cast())?;
            if _size.is_null() { Ok(()) } else { Ok(put(_size, data.len())?) }
        })
    }
}

/// fdckpt_reader_get_attribute gives the value of the attribute with this key. It is there as long as the reader.
///
/// Returns FDCKPT_OK and fills *_value and *_size, or FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_get_attribute(
    reader: *const fdckpt_reader_t,
    key: *const c_char,
    _value: *mut *const c_void,
    _size: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_get_attribute", reader, |fdckpt_reader_t { reader, .. }| {
            let key = ffi::str_from_c(key)?;
            ffi::ensure_non_null(_value, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(_size, ffi::ERR_NULL_OUT_PARAM)?;
            let value = reader.attribute(key).ok_or_else(|| Error::from(ErrorKind::AttributeNotFound).in_region(key))?;
            put(_value, value.as_ptr().cast())?;
            Ok(put(_size, value.len())?)
        })
    }
}

/// fdckpt_reader_attribute_at gives key and value of the attribute of this number, counted from 0. They are there as long as the reader.
///
/// Returns FDCKPT_OK and fills *_key, *_value and *_size, or FDCKPT_ERR_NOT_FOUND; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_attribute_at(
    reader: *const fdckpt_reader_t,
    number: u64,
    _key: *mut *const c_char,
    _value: *mut *const c_void,
    _size: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_attribute_at", reader, |fdckpt_reader_t { reader, .. }| {
            ffi::ensure_non_null(_key, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(_value, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(_size, ffi::ERR_NULL_OUT_PARAM)?;
            let (key, value) = reader.attributes().nth(index_of(number)).ok_or(ErrorKind::AttributeNotFound)?;
            // In the file a NUL follows.
            put(_key, key.as_ptr().cast())?;
            put(_value, value.as_ptr().cast())?;
            Ok(put(_size, value.len())?)
        })
    }
}

/// fdckpt_reader_verify verifies all of the file: each frame, each region, the container's metadata (the index was verified when it was
/// opened). damage, which may be NULL, is called with context for each region that is lost and each finding about the metadata, by this
/// thread.
///
/// Returns FDCKPT_OK: all of it is sound. Or FDCKPT_ERR_CORRUPT: regions are lost (fdckpt_last_error tells how many); FDCKPT_ERR_VERIFY_FAILED: all data
/// is sound, but the metadata is not as it was written; FDCKPT_ERR_CANCELLED; FDCKPT_ERR_NO_MEMORY; FDCKPT_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_verify(
    reader: *const fdckpt_reader_t,
    damage: fdckpt_issue_fn_t,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller keeps to the comment above.
    unsafe {
        call(c"fdckpt_reader_verify", reader, |handle| {
            let mut tell = |found: Damage<'_>| {
                if let Some(damage) = damage {
                    damage_to(found, |told| damage(context, told));
                }
            };
            let mut observe = |progress| handle.callback.call(progress);
            let observer: Option<&mut dyn FnMut(_) -> _> =
                if handle.callback.progress.is_some() { Some(&mut observe) } else { None };
            let verdict = handle.reader.verify_with(&mut tell, observer)?;
            match verdict {
                _ if verdict.is_sound() => Ok(()),
                checkpoint::Verdict { lost_regions: 0, damaged_frames: 0, findings, .. } => {
                    Err(ErrorKind::NotCanonical { issues: findings }.into())
                }
                _ => Err(handle.reader.error(ErrorKind::CorruptRegions {
                    regions: verdict.lost_regions,
                    offset: verdict.first_offset.unwrap_or(0),
                })),
            }
        })
    }
}

fn damage_to(found: Damage<'_>, tell: impl FnOnce(*const fdckpt_issue_t)) {
    let mut text = FixedString::<TEXT_SIZE>::new();
    text.set(found.error);
    let damage = fdckpt_issue_t {
        name: found.region.map_or(ptr::null(), |(_, name)| name.as_ptr().cast()),
        number: found.region.map_or(u64::MAX, |(number, _)| number as u64),
        frame: found.frame.map_or(super::last_error::FDCKPT_NO_FRAME, |frame| frame as u64),
        offset: found.error.offset().unwrap_or(super::last_error::FDCKPT_NO_OFFSET),
        code: error_code::checkpoint_code(&found.error),
        text: text.as_c_str().as_ptr(),
    };
    tell(&damage);
}

/// What was salvaged.
#[repr(C)]
pub struct fdckpt_salvage_stats_t {
    /// Whether the index was there. If not, nothing is known of names, sizes and checksums.
    pub index: c_int,
    /// Regions that are sound, as their checksums say. They keep their names.
    pub verified: u64,
    /// Pieces that are sound of regions that are not.
    pub partial: u64,
    /// Regions or pieces that could be restored, but not verified: they can have any content.
    pub unverified: u64,
    /// Regions of which something is lost.
    pub lost: u64,
}

/// fdckpt_salvage_file reads what can be read of the damaged or truncated file from, and writes it to a new checkpoint to, as options (which
/// may be NULL) say.
///
/// With the index, which is found also where the file's end is missing or something was added to it: each region that is sound comes under
/// its name; of one that is damaged, each run of frames that are sound, as partial/NAME@OFFSET, OFFSET being where in the region it begins. If
/// the file has no checksums, regions come as unverified/NAME.
///
/// Without the index: LZ4 frames are found by the sizes of their chunks, and come as unverified/lz4@OFFSET, OFFSET being where in the file
/// they begin; one whose size is a multiple of 64 KiB comes together with what follows, and one of fewer than 16 bytes (64 where the file
/// ends) is taken as RAW. RAW frames can't be told from anything else: all that is between comes as unverified/raw@OFFSET.
///
/// Where a name would be that of another region, ' and the region's number are added; where one would be too long, the begin of NAME stands
/// for it.
///
/// It takes memory of the size of the largest region; without the index, of the longest run of full chunks, and that can be all of an LZ4
/// file, decompressed.
///
/// Attributes are kept, and there is one more: fdckpt.salvaged, "verified" or "unverified". Where from was salvaged itself, what is
/// unverified in it stays so.
///
/// Returns FDCKPT_OK and, unless _salvaged is NULL, fills *_salvaged. On failure it is untouched: FDCKPT_ERR_IO; FDCKPT_ERR_INVALID_ARGUMENT;
/// FDCKPT_ERR_CANCELLED; FDCKPT_ERR_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_salvage_file(
    from: *const c_char,
    to: *const c_char,
    options: *const fdckpt_writer_options_t,
    _salvaged: *mut fdckpt_salvage_stats_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_salvage_file", || {
        // SAFETY: the caller keeps to the comment above.
        let (from, to, options) = unsafe { (fti::path(from)?, fti::path(to)?, fdckpt_writer_options_t::read(options)?) };
        let checkpoint::Salvaged { index, verified, partial, unverified, lost, .. } = checkpoint::salvage(from, to, options)?;
        if _salvaged.is_null() {
            return Ok(());
        }
        let salvaged = fdckpt_salvage_stats_t { index: index.into(), verified, partial, unverified, lost };
        // SAFETY: not NULL, so good for a write.
        Ok(unsafe { put(_salvaged, salvaged) }?)
    })
}

impl fdckpt_reader_t {
    fn read(&self, requests: &mut [Request<'_>]) -> Result<(), Error> {
        let mut observe = |progress| self.callback.call(progress);
        self.reader.read_many_with(requests, if self.callback.progress.is_some() { Some(&mut observe) } else { None })
    }
}

/// # Safety
/// As for [`ffi::call_ref`].
unsafe fn call(
    function: &'static std::ffi::CStr,
    reader: *const fdckpt_reader_t,
    body: impl FnOnce(&fdckpt_reader_t) -> Result<(), Error>,
) -> c_int {
    ffi::ffi_call(function, || {
        // SAFETY: the caller's promise.
        let handle = unsafe { ffi::check_handle(reader.cast_mut())?.as_ref() };
        Ok(body(handle).map_err(|error| handle.reader.in_this_file(error))?)
    })
}

/// # Safety
/// `to` is NULL or good for a write.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), InvalidArgument> {
    ffi::ensure_non_null(to, ffi::ERR_NULL_OUT_PARAM)?;
    // SAFETY: not NULL, so good for a write.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// No number of the caller's is too large to be none.
fn index_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
