//! The functions fdckpt_reader_* of fdckpt.h that open and read. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::ffi;
use super::last_error::FDCKPT_NO_FRAME;
use super::options::{ProgressCallback, fdckpt_progress_fn_t};
use super::struct_size::{Output, growable, read_or_default};
use crate::alloc::try_with_capacity;
use crate::checkpoint::{Error, ErrorKind, ReadRequest, Reader, ReaderOptions, Region, SpoolKind};
use crate::error_base::InvalidArgument;

/// Reads a checkpoint file. The file is mapped into memory.
///
/// Created by fdckpt_reader_open, fdckpt_reader_open_fd or fdckpt_reader_open_memory, freed by
/// fdckpt_reader_free. The file must not be modified or truncated while it is open; replacing it by
/// another file at its path, as fdckpt_writer_commit does, is allowed.
pub struct fdckpt_reader_t {
    pub(super) reader: Reader<'static>,
    pub(super) progress: ProgressCallback,
}

/// Options of a reader. Initialise with FDCKPT_READER_OPTIONS_INIT: every other field is then 0 and
/// has its default.
#[repr(C)]
pub struct fdckpt_reader_options_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Maximum number of threads that read, the caller's included. 0: the limit of
    /// fdckpt_set_max_threads.
    pub threads: c_uint,
    /// Not 0: data is not verified when it is read, so that corruption may not be detected.
    pub no_checksums: c_int,
    /// Maximum number of bytes that are spooled in memory. A file that cannot be mapped (a pipe) is
    /// read to its end when it is opened; a larger one is spooled to an unnamed temporary file in
    /// the directory of the environment variable TMPDIR, or /tmp. 0: 64 MiB.
    pub spool_memory: u64,
    /// Maximum size in bytes of a file that cannot be mapped; a larger one is rejected with
    /// FDCKPT_ERR_INVALID_ARGUMENT. 0: no limit.
    pub spool_limit: u64,
    /// Progress callback of fdckpt_reader_read, fdckpt_reader_read_index, fdckpt_reader_read_many
    /// and fdckpt_reader_verify, which can cancel them. Called by every thread that uses the
    /// reader. May be NULL.
    pub on_progress: fdckpt_progress_fn_t,
    /// Passed to on_progress.
    pub context: *mut c_void,
}

growable! { fdckpt_reader_options_t { first_size: 48, last: context: *mut c_void, init: "FDCKPT_READER_OPTIONS_INIT" } }

impl fdckpt_reader_options_t {
    /// # Safety
    /// `options` is NULL or readable for its struct_size.
    unsafe fn read(options: *const Self) -> Result<(ReaderOptions, ProgressCallback), InvalidArgument> {
        // SAFETY: as required of `options`.
        let options = unsafe { read_or_default(options)? };
        let mut with = ReaderOptions::new().checksums(options.no_checksums == 0);
        if options.threads > 0 {
            with = with.threads(options.threads as usize);
        }
        if options.spool_memory > 0 {
            with = with.spool_memory(options.spool_memory);
        }
        if options.spool_limit > 0 {
            with = with.spool_limit(options.spool_limit);
        }
        Ok((with, ProgressCallback::new(options.on_progress, options.context)))
    }
}

/// A region of a checkpoint. Initialise with FDCKPT_REGION_INFO_INIT.
#[repr(C)]
pub struct fdckpt_region_info_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Name, NUL-terminated; valid until the reader is freed.
    pub name: *const c_char,
    /// Index, counted from 0 in the order in which regions were added.
    pub index: u64,
    /// Size in bytes.
    pub size: u64,
    /// Checksum (docs/format/checkpoint.md) if has_checksum is 1, else 0.
    pub checksum: u64,
    /// Index of the frame in which the region begins; FDCKPT_NO_FRAME if it is empty.
    pub first_frame: u64,
    /// Offset in bytes of the region in the data of that frame.
    pub frame_offset: u64,
    /// Number of frames that hold the region.
    pub frame_count: u64,
    /// Encoding of these frames, FDCKPT_STYLE_*; FDCKPT_STYLE_RAW if the region is empty.
    pub style: c_int,
    /// 1 if the region has a checksum, else 0.
    pub has_checksum: c_int,
}

growable! { fdckpt_region_info_t { first_size: 72, last: has_checksum: c_int, init: "FDCKPT_REGION_INFO_INIT" } }

impl fdckpt_region_info_t {
    fn new(region: &Region<'_>) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            // NUL-terminated in the file.
            name: region.name().as_ptr().cast(),
            index: region.index() as u64,
            size: region.size(),
            checksum: region.checksum().unwrap_or(0),
            first_frame: region.frame().map_or(FDCKPT_NO_FRAME, |frame| frame as u64),
            frame_offset: region.frame_offset(),
            frame_count: region.frame_count() as u64,
            style: region.style() as c_int,
            has_checksum: region.checksum().is_some().into(),
        }
    }
}

/// A frame of a checkpoint, with what fd_restore_* need to restore it: its offset, its style and one
/// buffer of data_bytes. Initialise with FDCKPT_FRAME_INFO_INIT.
#[repr(C)]
pub struct fdckpt_frame_info_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Offset in bytes in the file.
    pub offset: u64,
    /// Size in bytes in the file.
    pub file_bytes: u64,
    /// Size in bytes of the data.
    pub data_bytes: u64,
    /// XXH3 (64 bits) of the bytes in the file if has_checksum is 1, else 0.
    pub checksum: u64,
    /// Encoding, FDCKPT_STYLE_*.
    pub style: c_int,
    /// 1 if the frame has a checksum, else 0.
    pub has_checksum: c_int,
}

growable! { fdckpt_frame_info_t { first_size: 48, last: has_checksum: c_int, init: "FDCKPT_FRAME_INFO_INIT" } }

/// A checkpoint as a whole. Initialise with FDCKPT_READER_INFO_INIT.
#[repr(C)]
pub struct fdckpt_reader_info_t {
    /// Size in bytes of this struct in the caller.
    pub struct_size: usize,
    /// Number of regions.
    pub region_count: u64,
    /// Number of frames.
    pub frame_count: u64,
    /// Number of attributes.
    pub attribute_count: u64,
    /// Size in bytes of the data of all regions.
    pub data_bytes: u64,
    /// Size in bytes of the file.
    pub file_bytes: u64,
    /// 1 if frames and regions have checksums, else 0.
    pub has_checksums: c_int,
    /// How the file is accessed, FDCKPT_SPOOL_*.
    pub spool: c_int,
}

growable! { fdckpt_reader_info_t { first_size: 56, last: spool: c_int, init: "FDCKPT_READER_INFO_INIT" } }

/// How a reader accesses its file.
#[repr(C)]
pub enum fdckpt_spool_t {
    /// Mapped, or in memory of the caller: not spooled.
    FDCKPT_SPOOL_NONE = 0,
    /// The file could not be mapped and was read to memory.
    FDCKPT_SPOOL_MEMORY = 1,
    /// The file could not be mapped and was read to a temporary file.
    FDCKPT_SPOOL_TEMP_FILE = 2,
}

constants! { fdckpt_spool_t: FDCKPT_SPOOL_NONE FDCKPT_SPOOL_MEMORY FDCKPT_SPOOL_TEMP_FILE }

/// A region to read and the memory for it. Used in arrays: its layout is frozen.
#[repr(C)]
pub struct fdckpt_read_request_t {
    /// Index of the region.
    pub index: u64,
    /// Destination; may be NULL if size is 0.
    pub data: *mut c_void,
    /// Number of bytes at data; must equal the region's size.
    pub size: usize,
}

/// Opens a checkpoint file. The index is read and verified; data is read on request.
///
/// @param path     path of the file, NUL-terminated; copied
/// @param options  copied; NULL: defaults
/// @return reader, to be freed with fdckpt_reader_free; or NULL, fdckpt_last_error() has the code:
///         FDCKPT_ERR_INVALID_ARGUMENT  path is NULL, an option is invalid, or the file is larger
///                                      than spool_limit
///         FDCKPT_ERR_IO                the file cannot be opened or read
///         FDCKPT_ERR_FORMAT            not a checkpoint file, one of a later version, or its end is
///                                      missing (see fdckpt_salvage_file)
///         FDCKPT_ERR_CORRUPT           the index or metadata is corrupt (see fdckpt_salvage_file)
///         FDCKPT_ERR_OUT_OF_RANGE      the index or metadata refers to data outside of the file
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `path` is a C string, `options` NULL or an input struct (see [`crate::capi`]); what its `context` points to stays
/// valid until the reader is freed. No process modifies or truncates the file until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open(
    path: *const c_char,
    options: *const fdckpt_reader_options_t,
) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open", || {
        // SAFETY: `path` is NULL or a C string, `options` NULL or readable for its struct_size (caller).
        let (path, (options, progress)) = unsafe { (ffi::path_from_c(path)?, fdckpt_reader_options_t::read(options)?) };
        Ok(fdckpt_reader_t { reader: options.open(path)?, progress })
    })
}

/// Opens the checkpoint file of a descriptor.
///
/// A file is read as a whole, whatever its position. What cannot be mapped (a pipe) is read from its
/// current position to its end and spooled.
///
/// @param fd       descriptor open for reading; not closed; not needed after the call
/// @param options  as for fdckpt_reader_open
/// @return as for fdckpt_reader_open
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `fd` is the caller's to use. `options` and the file as for [`fdckpt_reader_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open_fd(fd: c_int, options: *const fdckpt_reader_options_t) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open_fd", || {
        // SAFETY: `options` is NULL or readable for its struct_size (caller).
        let (options, progress) = unsafe { fdckpt_reader_options_t::read(options)? };
        Ok(fdckpt_reader_t { reader: options.open_fd(ffi::borrow_fd(fd)?)?, progress })
    })
}

/// Opens a checkpoint file in memory.
///
/// @param data     contents of the file; must remain valid and unmodified until fdckpt_reader_free
/// @param size     number of bytes at data
/// @param options  as for fdckpt_reader_open
/// @return as for fdckpt_reader_open
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `data` is readable for `size` bytes and unmodified until the reader is freed (see [`crate::capi`]). `options` as for
/// [`fdckpt_reader_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_open_memory(
    data: *const c_void,
    size: usize,
    options: *const fdckpt_reader_options_t,
) -> *mut fdckpt_reader_t {
    ffi::ffi_new(c"fdckpt_reader_open_memory", || {
        // SAFETY: `data` is readable and unmodified as long as the reader, `options` NULL or readable for its
        // struct_size (caller).
        let (bytes, (options, progress)) = unsafe { (ffi::slice_from_raw(data, size)?, fdckpt_reader_options_t::read(options)?) };
        Ok(fdckpt_reader_t { reader: options.open_bytes(bytes)?, progress })
    })
}

/// Frees a reader and unmaps its file.
///
/// @param reader  reader; may be NULL
///
/// Thread safety: any thread that is the last to use the reader.
///
/// # Safety
/// `reader` is NULL or a live handle that no other thread uses; it is not live any more afterwards (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_free(reader: *mut fdckpt_reader_t) {
    // SAFETY: NULL or a live handle that no other thread uses (caller).
    unsafe { ffi::free(c"fdckpt_reader_free", reader) }
}

/// Reads a region by name into caller memory and verifies its checksums.
///
/// @param reader  open reader
/// @param name    name of the region, NUL-terminated UTF-8
/// @param data    destination; contents unspecified if the call fails. May be NULL if size is 0.
/// @param size    number of bytes at data; must equal the region's size
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         no region has this name
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL, or size differs from the region's size
///         FDCKPT_ERR_CORRUPT           a frame of the region is corrupt; other regions may be
///                                      intact
///         FDCKPT_ERR_CANCELLED         on_progress cancelled the call
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `name` a C string, `data` writable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read(
    reader: *const fdckpt_reader_t,
    name: *const c_char,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `name` NULL or a C string, `data` writable by this call only
    // (caller).
    unsafe {
        call(c"fdckpt_reader_read", reader, |handle| {
            let name = ffi::str_from_c(name)?;
            let found = handle.reader.find(name);
            let index = found.ok_or_else(|| Error::from(ErrorKind::RegionNotFound).in_region(name))?.index();
            handle.read(&mut [ReadRequest { index, data: ffi::slice_from_raw_mut(data, size)? }])
        })
    }
}

/// Reads a region by index. Otherwise as fdckpt_reader_read.
///
/// @param reader  open reader
/// @param index   index of the region, counted from 0
/// @param data    destination; contents unspecified if the call fails. May be NULL if size is 0.
/// @param size    number of bytes at data; must equal the region's size
/// @return as for fdckpt_reader_read; FDCKPT_ERR_NOT_FOUND if index >= region count
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `data` writable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_index(
    reader: *const fdckpt_reader_t,
    index: u64,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `data` writable by this call only (caller).
    unsafe {
        call(c"fdckpt_reader_read_index", reader, |handle| {
            handle.read(&mut [ReadRequest { index: index_of(index), data: ffi::slice_from_raw_mut(data, size)? }])
        })
    }
}

/// Reads a part of a region. Only the frames that hold it are read and verified.
///
/// @param reader  open reader
/// @param index   index of the region, counted from 0
/// @param offset  offset of the part in the region in bytes; offset+size <= the region's size
/// @param data    destination; contents unspecified if the call fails. May be NULL if size is 0.
/// @param size    number of bytes to read
/// @return as for fdckpt_reader_read_index; not cancelled by on_progress
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `data` writable for `size` bytes (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_range(
    reader: *const fdckpt_reader_t,
    index: u64,
    offset: u64,
    data: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `data` writable by this call only (caller).
    unsafe {
        call(c"fdckpt_reader_read_range", reader, |handle| {
            handle.reader.read_range(index_of(index), offset, ffi::slice_from_raw_mut(data, size)?)
        })
    }
}

/// Reads several regions, in any order, on the threads of the options. Frames that hold several of
/// them are decoded once.
///
/// @param reader    open reader
/// @param requests  regions and their destinations, which must not overlap
/// @param count     number of requests; may be 0
/// @return as for fdckpt_reader_read_index. If the call fails, the contents of all destinations are
///         unspecified; read one by one, intact regions succeed.
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `requests` readable for `count` elements, the `data` of each writable for its `size` (see
/// [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_read_many(
    reader: *const fdckpt_reader_t,
    requests: *const fdckpt_read_request_t,
    count: usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle; `requests` has `count` elements, checked to fit in memory, and their
    // destinations are writable by this call only (caller).
    unsafe {
        call(c"fdckpt_reader_read_many", reader, |handle| {
            if count > 0 {
                ffi::ensure_non_null(requests, "the pointer to the requests is NULL")?;
            }
            if count > isize::MAX as usize / size_of::<fdckpt_read_request_t>() {
                return Err(InvalidArgument("the number of requests is too large").into());
            }
            let mut all = try_with_capacity(count)?;
            for position in 0..count {
                let fdckpt_read_request_t { index, data, size } = requests.add(position).read_unaligned();
                all.push(ReadRequest { index: index_of(index), data: ffi::slice_from_raw_mut(data, size)? });
            }
            handle.read(&mut all)
        })
    }
}

/// Gives direct access to a region of RAW frames, without a copy. Its frames are verified first.
///
/// @param reader    open reader
/// @param index     index of the region, counted from 0
/// @param out_data  pointer to the region in the mapped file or in the caller's memory; of any
///                  alignment; read-only; valid until the reader is freed. Written on success.
/// @param out_size  size of the region in bytes; written on success. May be NULL.
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= region count
///         FDCKPT_ERR_INVALID_STATE     the region is compressed
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL
///         FDCKPT_ERR_CORRUPT           a frame of the region is corrupt
///         FDCKPT_ERR_NO_MEMORY         allocation failed
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `out_data` an out parameter, `out_size` NULL or an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_map(
    reader: *const fdckpt_reader_t,
    index: u64,
    out_data: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle; the out parameters are NULL or writable (caller).
    unsafe {
        call(c"fdckpt_reader_map", reader, |fdckpt_reader_t { reader, .. }| {
            ffi::ensure_non_null(out_data, ffi::ERR_NULL_OUT_PARAM)?;
            let data = reader.map(index_of(index))?;
            out_data.write_unaligned(data.as_ptr().cast());
            if !out_size.is_null() {
                out_size.write_unaligned(data.len());
            }
            Ok(())
        })
    }
}

/// Returns the number of regions.
///
/// @param reader  open reader
/// @return number of regions; 0 if reader is NULL
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_region_count(reader: *const fdckpt_reader_t) -> u64 {
    let mut count = 0;
    // SAFETY: `reader` is NULL or a live handle (caller).
    unsafe {
        call(c"fdckpt_reader_region_count", reader, |reader| {
            count = reader.reader.len() as u64;
            Ok(())
        })
    };
    count
}

/// Describes the checkpoint as a whole.
///
/// @param reader    open reader
/// @param out_info  initialised with FDCKPT_READER_INFO_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL or not initialised
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `out_info` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_info(reader: *const fdckpt_reader_t, out_info: *mut fdckpt_reader_info_t) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `out_info` NULL or writable for its struct_size (caller).
    unsafe {
        call(c"fdckpt_reader_info", reader, |fdckpt_reader_t { reader, .. }| {
            Output::required(out_info)?.write(fdckpt_reader_info_t {
                struct_size: size_of::<fdckpt_reader_info_t>(),
                region_count: reader.len() as u64,
                frame_count: reader.frame_count() as u64,
                attribute_count: reader.attributes().count() as u64,
                data_bytes: reader.data_size(),
                file_bytes: reader.file_size(),
                has_checksums: reader.has_checksums().into(),
                spool: match reader.spooled() {
                    None => FDCKPT_SPOOL_NONE,
                    Some(SpoolKind::InMemory) => FDCKPT_SPOOL_MEMORY,
                    Some(SpoolKind::InFile) => FDCKPT_SPOOL_TEMP_FILE,
                },
            });
            Ok(())
        })
    }
}

/// Describes a region by index.
///
/// @param reader      open reader
/// @param index       index of the region, counted from 0
/// @param out_region  initialised with FDCKPT_REGION_INFO_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= region count
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL or not initialised
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `out_region` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_region_at(
    reader: *const fdckpt_reader_t,
    index: u64,
    out_region: *mut fdckpt_region_info_t,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `out_region` NULL or writable for its struct_size (caller).
    unsafe {
        call(c"fdckpt_reader_region_at", reader, |fdckpt_reader_t { reader, .. }| {
            let out_region = Output::required(out_region)?;
            let region = reader.region(index_of(index)).ok_or(ErrorKind::RegionNotFound)?;
            out_region.write(fdckpt_region_info_t::new(&region));
            Ok(())
        })
    }
}

/// Describes a region by name. Takes one hash lookup, however many regions there are.
///
/// @param reader      open reader
/// @param name        name of the region, NUL-terminated UTF-8
/// @param out_region  initialised with FDCKPT_REGION_INFO_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         no region has this name
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL or not initialised
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `name` a C string, `out_region` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_find_region(
    reader: *const fdckpt_reader_t,
    name: *const c_char,
    out_region: *mut fdckpt_region_info_t,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `name` NULL or a C string, `out_region` NULL or writable for its
    // struct_size (caller).
    unsafe {
        call(c"fdckpt_reader_find_region", reader, |fdckpt_reader_t { reader, .. }| {
            let (name, out_region) = (ffi::str_from_c(name)?, Output::required(out_region)?);
            let region = reader.find(name).ok_or_else(|| Error::from(ErrorKind::RegionNotFound).in_region(name))?;
            out_region.write(fdckpt_region_info_t::new(&region));
            Ok(())
        })
    }
}

/// Describes a frame.
///
/// @param reader     open reader
/// @param index      index of the frame, counted from 0
/// @param out_frame  initialised with FDCKPT_FRAME_INFO_INIT; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= frame count
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL or not initialised
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `out_frame` an output struct (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_frame_at(
    reader: *const fdckpt_reader_t,
    index: u64,
    out_frame: *mut fdckpt_frame_info_t,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `out_frame` NULL or writable for its struct_size (caller).
    unsafe {
        call(c"fdckpt_reader_frame_at", reader, |fdckpt_reader_t { reader, .. }| {
            let out_frame = Output::required(out_frame)?;
            let frame = reader.frame(index_of(index)).ok_or(ErrorKind::FrameNotFound)?;
            out_frame.write(fdckpt_frame_info_t {
                struct_size: size_of::<fdckpt_frame_info_t>(),
                offset: frame.offset,
                file_bytes: frame.stored,
                data_bytes: frame.data,
                checksum: frame.checksum.unwrap_or(0),
                style: frame.style as c_int,
                has_checksum: frame.checksum.is_some().into(),
            });
            Ok(())
        })
    }
}

/// Returns an attribute by key.
///
/// @param reader     open reader
/// @param key        key, NUL-terminated UTF-8
/// @param out_value  value; valid until the reader is freed. Written on success.
/// @param out_size   size of the value in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         no attribute has this key
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, `key` a C string, the others are out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_get_attribute(
    reader: *const fdckpt_reader_t,
    key: *const c_char,
    out_value: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle, `key` NULL or a C string; the out parameters are NULL or writable
    // (caller).
    unsafe {
        call(c"fdckpt_reader_get_attribute", reader, |fdckpt_reader_t { reader, .. }| {
            let key = ffi::str_from_c(key)?;
            ffi::ensure_non_null(out_value, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let value = reader.attribute(key).ok_or_else(|| Error::from(ErrorKind::AttributeNotFound).in_region(key))?;
            out_value.write_unaligned(value.as_ptr().cast());
            out_size.write_unaligned(value.len());
            Ok(())
        })
    }
}

/// Returns an attribute by index.
///
/// @param reader     open reader
/// @param index      index of the attribute, counted from 0 in the order in which they were added
/// @param out_key    key, NUL-terminated; valid until the reader is freed. Written on success.
/// @param out_value  value; valid until the reader is freed. Written on success.
/// @param out_size   size of the value in bytes; written on success
/// @return FDCKPT_OK
///         FDCKPT_ERR_NOT_FOUND         index >= attribute count
///         FDCKPT_ERR_INVALID_ARGUMENT  an argument is NULL
///
/// Thread safety: several threads may use one reader at the same time.
///
/// # Safety
/// `reader` is a live handle, the others are out parameters (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_reader_attribute_at(
    reader: *const fdckpt_reader_t,
    index: u64,
    out_key: *mut *const c_char,
    out_value: *mut *const c_void,
    out_size: *mut usize,
) -> c_int {
    // SAFETY: `reader` is NULL or a live handle; the out parameters are NULL or writable (caller).
    unsafe {
        call(c"fdckpt_reader_attribute_at", reader, |fdckpt_reader_t { reader, .. }| {
            ffi::ensure_non_null(out_key, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(out_value, ffi::ERR_NULL_OUT_PARAM)?;
            ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
            let (key, value) = reader.attributes().nth(index_of(index)).ok_or(ErrorKind::AttributeNotFound)?;
            // NUL-terminated in the file.
            out_key.write_unaligned(key.as_ptr().cast());
            out_value.write_unaligned(value.as_ptr().cast());
            out_size.write_unaligned(value.len());
            Ok(())
        })
    }
}

impl fdckpt_reader_t {
    fn read(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), Error> {
        let mut observe = |progress| self.progress.call(progress);
        self.reader.read_many_with(requests, if self.progress.is_set() { Some(&mut observe) } else { None })
    }
}

/// Calls `body` with a reader.
///
/// # Safety
/// `reader` is NULL, misaligned, or a live handle.
pub(super) unsafe fn call(
    function: &'static CStr,
    reader: *const fdckpt_reader_t,
    body: impl FnOnce(&fdckpt_reader_t) -> Result<(), Error>,
) -> c_int {
    ffi::ffi_call(function, || {
        // SAFETY: `check` found the pointer good, so it is a live handle (required of `reader`).
        let handle = unsafe { ffi::check_handle(reader.cast_mut())?.as_ref() };
        Ok(body(handle).map_err(|error| handle.reader.in_this_file(error))?)
    })
}

/// No index of the caller's that is too large for the platform can exist.
fn index_of(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
