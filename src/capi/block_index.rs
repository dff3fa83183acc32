//! The functions fdckpt_block_index_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};

use super::ffi;
use crate::container::{Block, BlockFooter, Container, Error, block_index};
use crate::error_base::InvalidArgument;

/// A block of a block index. A block index is the data of section type 1 of a container; a legacy
/// file is a block index without a container. Used in arrays: its layout is frozen.
#[repr(C)]
pub struct fdckpt_block_t {
    /// Number of the block.
    pub block_number: i32,
    /// Size in bytes.
    pub block_size: u32,
    /// Offset in bytes of its first byte.
    pub start_offset: i64,
    /// Id of its first entry.
    pub first_entry_id: i64,
    /// Id of its last entry.
    pub last_entry_id: i64,
}

/// The footer of a block index, with the fields of the format. Its layout is frozen.
#[repr(C)]
pub struct fdckpt_block_footer_t {
    /// Sum of the sizes of the blocks in bytes.
    pub total_size: u64,
    /// Offset in bytes of the index records.
    pub index_offset: u64,
    /// Id of the last entry known to be written, or -1. Not stored in version 5.
    pub last_add_confirmed: i64,
    /// Number of blocks.
    pub total_blocks: i32,
    /// Number of index records.
    pub total_records: u32,
    /// Size of the index records in bytes.
    pub index_length: u32,
    /// 5 or 6.
    pub version: u16,
    /// Bit 0: compacted.
    pub flags: u16,
}

/// Reads the block index of a file: of its section type 1 if it is a container, else of a legacy
/// file. The fields of the blocks are not checked.
///
/// @param data        contents of the file
/// @param size        number of bytes at data
/// @param out_blocks  the first `capacity` blocks; may be NULL if capacity is 0 (to count them)
/// @param capacity    number of blocks at out_blocks
/// @param out_count   number of blocks read, from the first on, which may exceed capacity
/// @param out_footer  footer; unchanged if it could not be read: a version of 0 remains 0
/// @return FDCKPT_OK
///         FDCKPT_ERR_BUFFER_TOO_SMALL  the index is intact, but capacity < *out_count
///         FDCKPT_ERR_CORRUPT           a record is corrupt, or the footer has another number of
///                                      blocks; fdckpt_last_error() has the offset in the index, and
///                                      what could be read is returned. Or the container is corrupt:
///                                      *out_count is 0.
///         FDCKPT_ERR_FORMAT            no intact footer; *out_count is 0
///         FDCKPT_ERR_NOT_FOUND         the container has no section of type 1; *out_count is 0
///         FDCKPT_ERR_OUT_OF_RANGE      the section lies outside of the file; *out_count is 0
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL; *out_count is 0
///         FDCKPT_ERR_NO_MEMORY         allocation failed; *out_count is 0
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `data` is readable for `size` bytes, `out_blocks` writable for `capacity` elements, the others are out parameters
/// (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_read(
    data: *const c_void,
    size: usize,
    out_blocks: *mut fdckpt_block_t,
    capacity: usize,
    out_count: *mut usize,
    out_footer: *mut fdckpt_block_footer_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_read", || {
        // SAFETY: `data` is NULL or readable, the out parameters are NULL or writable (caller).
        let file = unsafe { begin(out_blocks, capacity, out_count, out_footer).and_then(|()| ffi::slice_from_raw(data, size)) }?;
        if !Container::is_format(file) {
            // SAFETY: `begin` found the out parameters not NULL, so they are writable, and so is `out_blocks` (caller).
            return Ok(unsafe { decode(file, out_blocks, capacity, out_count, out_footer) }?);
        }
        let container = Container::parse(file)?;
        // SAFETY: `begin` found the out parameters not NULL, so they are writable, and so is `out_blocks` (caller).
        Ok(unsafe { decode(container.get(block_index::SECTION)?, out_blocks, capacity, out_count, out_footer) }?)
    })
}

/// Reads the data of a section of type 1, as returned by fdckpt_container_find. Otherwise as
/// fdckpt_block_index_read.
///
/// @param data        contents of the section
/// @param size        number of bytes at data
/// @param out_blocks  as for fdckpt_block_index_read
/// @param capacity    number of blocks at out_blocks
/// @param out_count   as for fdckpt_block_index_read
/// @param out_footer  as for fdckpt_block_index_read
/// @return as for fdckpt_block_index_read, without the errors of a container
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// As for [`fdckpt_block_index_read`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_decode(
    data: *const c_void,
    size: usize,
    out_blocks: *mut fdckpt_block_t,
    capacity: usize,
    out_count: *mut usize,
    out_footer: *mut fdckpt_block_footer_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_decode", || {
        // SAFETY: `data` is NULL or readable, the out parameters are NULL or writable; `begin` checks them for NULL
        // (caller).
        unsafe {
            begin(out_blocks, capacity, out_count, out_footer)?;
            Ok(decode(ffi::slice_from_raw(data, size)?, out_blocks, capacity, out_count, out_footer)?)
        }
    })
}

/// Checks the out parameters; the count is 0 until blocks are read.
///
/// # Safety
/// `out_count` is NULL or valid for a write, at any alignment.
unsafe fn begin(
    out_blocks: *const fdckpt_block_t,
    capacity: usize,
    out_count: *mut usize,
    out_footer: *const fdckpt_block_footer_t,
) -> Result<(), InvalidArgument> {
    ffi::ensure_non_null(out_count, ffi::ERR_NULL_OUT_PARAM)?;
    // SAFETY: not NULL, so valid for a write (required).
    unsafe { out_count.write_unaligned(0) };
    ffi::ensure_non_null(out_footer, ffi::ERR_NULL_OUT_PARAM)?;
    if out_blocks.is_null() && capacity > 0 {
        return Err(InvalidArgument("the pointer to the blocks is NULL, but the capacity is not 0"));
    }
    Ok(())
}

/// # Safety
/// `out_blocks` is valid for writes of `capacity` elements (or NULL, if that is 0), the other pointers are valid for
/// writes; at any alignment.
unsafe fn decode(
    payload: &[u8],
    out_blocks: *mut fdckpt_block_t,
    capacity: usize,
    out_count: *mut usize,
    out_footer: *mut fdckpt_block_footer_t,
) -> Result<(), Error> {
    let mut count = 0;
    let (footer, stop) = block_index::decode(payload, &mut |block| {
        let Block { number, start_offset, size, first_entry_id, last_entry_id } = block;
        let block = fdckpt_block_t { block_number: number, block_size: size, start_offset, first_entry_id, last_entry_id };
        if count < capacity {
            // SAFETY: within the `capacity` elements that are writable (required).
            unsafe { out_blocks.add(count).write_unaligned(block) }
        }
        count += 1;
        Ok(())
    })?;
    // SAFETY: both are valid for writes (required).
    unsafe {
        out_count.write_unaligned(count);
        out_footer.write_unaligned(fdckpt_block_footer_t {
            total_size: footer.total_size,
            index_offset: footer.index_offset,
            last_add_confirmed: footer.last_add_confirmed,
            total_blocks: footer.total_blocks,
            total_records: footer.total_records,
            index_length: footer.index_length,
            version: footer.version,
            flags: footer.flags,
        });
    }
    if let Some(stop) = stop {
        return Err(Error::Corrupt { offset: stop.offset, reason: stop.reason });
    }
    if !out_blocks.is_null() && count > capacity {
        return Err(Error::BufferTooSmall { size: block_bytes(capacity), needed: block_bytes(count) });
    }
    Ok(())
}

fn block_bytes(count: usize) -> u64 {
    (count as u64).saturating_mul(size_of::<fdckpt_block_t>() as u64)
}

/// Writes a block index: the data for a section of type 1.
///
/// @param blocks       blocks; may be NULL if block_count is 0
/// @param block_count  number of blocks
/// @param footer       written as it is, in the form of its version; NULL: one of version 6 that is
///                     computed from the blocks
/// @param buffer       destination; must not overlap with blocks. May be NULL if capacity is 0.
///                     Written on success only.
/// @param capacity     number of bytes at buffer
/// @param out_size     number of bytes written; after FDCKPT_ERR_BUFFER_TOO_SMALL, the required
///                     capacity
/// @return FDCKPT_OK
///         FDCKPT_ERR_BUFFER_TOO_SMALL  capacity is too small
///         FDCKPT_ERR_INVALID_ARGUMENT  a pointer is NULL, the footer's version is neither 5 nor 6,
///                                      or there are more blocks than an index can have
///
/// Thread safety: any thread, at any time.
///
/// # Safety
/// `blocks` is readable for `block_count` elements, `footer` NULL or readable, `buffer` writable for `capacity` bytes,
/// `out_size` an out parameter (see [`crate::capi`]).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_encode(
    blocks: *const fdckpt_block_t,
    block_count: usize,
    footer: *const fdckpt_block_footer_t,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_encode", || {
        ffi::ensure_non_null(out_size, ffi::ERR_NULL_OUT_PARAM)?;
        if blocks.is_null() && block_count > 0 {
            return Err(InvalidArgument("the pointer to the blocks is NULL, but their number is not 0").into());
        }
        // SAFETY: `blocks` is readable for `block_count` elements (caller).
        let all = (0..block_count).map(|index| unsafe { blocks.add(index).read_unaligned() }).map(|block| Block {
            number: block.block_number,
            start_offset: block.start_offset,
            size: block.block_size,
            first_entry_id: block.first_entry_id,
            last_entry_id: block.last_entry_id,
        });
        let footer = if footer.is_null() {
            BlockFooter::new(all.clone())?
        } else {
            // SAFETY: not NULL, so readable (caller).
            let footer = unsafe { footer.read_unaligned() };
            BlockFooter {
                total_blocks: footer.total_blocks,
                total_records: footer.total_records,
                total_size: footer.total_size,
                index_offset: footer.index_offset,
                index_length: footer.index_length,
                version: footer.version,
                flags: footer.flags,
                last_add_confirmed: footer.last_add_confirmed,
            }
        };
        let needed = block_index::encoded_size(block_count, &footer)?;
        // SAFETY: `buffer` is NULL or writable for `capacity` bytes by this call only (caller).
        let mut rest = unsafe { ffi::slice_from_raw_mut(buffer, capacity) }?;
        let fits = needed <= rest.len();
        if fits {
            block_index::encode(all, &footer, |record| {
                let (next, following) = std::mem::take(&mut rest).split_at_mut(record.len());
                next.copy_from_slice(record);
                rest = following;
            });
        }
        // SAFETY: not NULL (checked above), so writable (caller).
        unsafe { out_size.write_unaligned(needed) };
        if fits { Ok(()) } else { Err(Error::BufferTooSmall { size: capacity as u64, needed: needed as u64 }.into()) }
    })
}
