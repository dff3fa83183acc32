//! The functions fdckpt_blockindex_* of fdckpt.h. The comments here are those of the header.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_void};

use super::ffi;
use crate::container::{Block, BlockFooter, Container, Error, block_index};
use crate::error_base::InvalidArgument;

/// One block, as an index of blocks has it. An index of blocks is what the section of type 1 of a container has in it; a legacy
/// file is nothing but that, without a container.
#[repr(C)]
pub struct fdckpt_block_t {
    /// The block's number.
    pub block_number: i32,
    /// Its size in bytes.
    pub block_size: u32,
    /// Where it begins.
    pub start_offset: i64,
    /// The first entry in it.
    pub first_entry_id: i64,
    /// The last entry in it.
    pub last_entry_id: i64,
}

/// What stands at the end of an index of blocks.
#[repr(C)]
pub struct fdckpt_block_footer_t {
    /// The sum of the blocks' sizes.
    pub total_size: u64,
    /// Where the index records begin.
    pub index_offset: u64,
    /// The last entry that is known to be written, or -1. In version 5 it is not stored.
    pub last_add_confirmed: i64,
    /// The number of blocks.
    pub total_blocks: i32,
    /// The number of records.
    pub total_records: u32,
    /// How many bytes the index records take.
    pub index_length: u32,
    /// 5 or 6.
    pub version: u16,
    /// Bit 0: compacted.
    pub flags: u16,
}

/// fdckpt_block_index_read reads the index of blocks of a file, the sz bytes at mem: of its section of type 1 if it is a
/// container, else the file is taken for a legacy one. Fills *_footer, and blocks with up to blocks_max blocks. *_cnt is how
/// many could be read, from the first one on, which can be more than blocks_max. If blocks is NULL, blocks_max must be 0, and
/// they are only counted. The blocks' own fields are not checked.
///
/// Returns FDCKPT_OK if the index is whole, FDCKPT_ERR_CORRUPT if it is not: reading stopped at a bad record, or the footer
/// tells of another number of blocks. fdckpt_last_error tells why and at which offset of the index, and blocks, *_cnt and
/// *_footer are filled with what could be read. FDCKPT_ERR_BUFFER_TOO_SMALL: the index is whole, and blocks too small for it; all the same
/// is filled.
///
/// If not even the footer could be read, *_cnt is 0, and *_footer is untouched: a version of 0 that was there before still is.
/// Reasons: FDCKPT_ERR_FORMAT, there is no footer that is whole; FDCKPT_ERR_INVALID_ARGUMENT; for a container also FDCKPT_ERR_CORRUPT,
/// FDCKPT_ERR_NOT_FOUND, FDCKPT_ERR_OUT_OF_RANGE and FDCKPT_ERR_NO_MEMORY, as for fdckpt_container_parse and _get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_read(
    mem: *const c_void,
    sz: usize,
    blocks: *mut fdckpt_block_t,
    blocks_max: usize,
    _cnt: *mut usize,
    _footer: *mut fdckpt_block_footer_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_read", || {
        // SAFETY: the caller keeps to the comment above.
        let file = unsafe { begin(blocks, blocks_max, _cnt, _footer).and_then(|()| ffi::slice_from_raw(mem, sz)) }?;
        if !Container::is_format(file) {
            // SAFETY: the same.
            return Ok(unsafe { decode(file, blocks, blocks_max, _cnt, _footer) }?);
        }
        let container = Container::parse(file)?;
        // SAFETY: the same.
        Ok(unsafe { decode(container.get(block_index::SECTION)?, blocks, blocks_max, _cnt, _footer) }?)
    })
}

/// fdckpt_block_index_decode is fdckpt_block_index_read for the data of a section of type 1, as fdckpt_container_find gives it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_decode(
    mem: *const c_void,
    sz: usize,
    blocks: *mut fdckpt_block_t,
    blocks_max: usize,
    _cnt: *mut usize,
    _footer: *mut fdckpt_block_footer_t,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_decode", || {
        // SAFETY: the caller keeps to the comment above.
        unsafe {
            begin(blocks, blocks_max, _cnt, _footer)?;
            Ok(decode(ffi::slice_from_raw(mem, sz)?, blocks, blocks_max, _cnt, _footer)?)
        }
    })
}

/// Checks the pointers for results; until there are any, none were read.
///
/// # Safety
/// `cnt` is NULL or good for a write.
unsafe fn begin(
    to: *const fdckpt_block_t,
    max: usize,
    cnt: *mut usize,
    footer: *const fdckpt_block_footer_t,
) -> Result<(), InvalidArgument> {
    ffi::ensure_non_null(cnt, ffi::ERR_NULL_OUT_PARAM)?;
    // SAFETY: not NULL, so good for a write.
    unsafe { cnt.write_unaligned(0) };
    ffi::ensure_non_null(footer, ffi::ERR_NULL_OUT_PARAM)?;
    if to.is_null() && max > 0 {
        return Err(InvalidArgument("the pointer to the blocks is NULL, but their maximum number is not 0"));
    }
    Ok(())
}

/// # Safety
/// [`begin`] has found no fault; `to` has room for `max` blocks, or is NULL; the other pointers are good for a write.
unsafe fn decode(
    payload: &[u8],
    to: *mut fdckpt_block_t,
    max: usize,
    cnt: *mut usize,
    footer: *mut fdckpt_block_footer_t,
) -> Result<(), Error> {
    let mut count = 0;
    let (found, stop) = block_index::decode(payload, &mut |block| {
        let Block { number, start_offset, size, first_entry_id, last_entry_id } = block;
        let block = fdckpt_block_t { block_number: number, block_size: size, start_offset, first_entry_id, last_entry_id };
        if count < max {
            // SAFETY: there is room for so many.
            unsafe { to.add(count).write_unaligned(block) }
        }
        count += 1;
        Ok(())
    })?;
    // SAFETY: the caller's promise.
    unsafe {
        cnt.write_unaligned(count);
        footer.write_unaligned(fdckpt_block_footer_t {
            total_size: found.total_size,
            index_offset: found.index_offset,
            last_add_confirmed: found.last_add_confirmed,
            total_blocks: found.total_blocks,
            total_records: found.total_records,
            index_length: found.index_length,
            version: found.version,
            flags: found.flags,
        });
    }
    if let Some(stop) = stop {
        return Err(Error::Corrupt { offset: stop.offset, reason: stop.why });
    }
    if !to.is_null() && count > max {
        return Err(Error::BufferTooSmall { size: block_bytes(max), needed: block_bytes(count) });
    }
    Ok(())
}

fn block_bytes(count: usize) -> u64 {
    (count as u64).saturating_mul(size_of::<fdckpt_block_t>() as u64)
}

/// fdckpt_block_index_encode writes the index of cnt blocks to the dst_sz bytes at dst, which must not overlap with the blocks: the
/// data for a section of type 1. footer is written as it is, in the form of its version; if it is NULL, one of version 6 is, as
/// it belongs to the blocks.
///
/// On success returns FDCKPT_OK, and *_sz is how many bytes were written. If dst is too small, returns FDCKPT_ERR_BUFFER_TOO_SMALL,
/// writes nothing to it, and *_sz is how many are needed (dst may be NULL if dst_sz is 0). On other failures *_sz is untouched:
/// FDCKPT_ERR_INVALID_ARGUMENT, a pointer is NULL, the footer's version is neither 5 nor 6, or there are more blocks than an index can
/// have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdckpt_block_index_encode(
    blocks: *const fdckpt_block_t,
    cnt: usize,
    footer: *const fdckpt_block_footer_t,
    dst: *mut c_void,
    dst_sz: usize,
    _sz: *mut usize,
) -> c_int {
    ffi::ffi_call(c"fdckpt_block_index_encode", || {
        ffi::ensure_non_null(_sz, ffi::ERR_NULL_OUT_PARAM)?;
        if blocks.is_null() && cnt > 0 {
            return Err(InvalidArgument("the pointer to the blocks is NULL, but their number is not 0").into());
        }
        // SAFETY: the caller keeps to the comment above.
        let all = (0..cnt).map(|index| unsafe { blocks.add(index).read_unaligned() }).map(|block| Block {
            number: block.block_number,
            start_offset: block.start_offset,
            size: block.block_size,
            first_entry_id: block.first_entry_id,
            last_entry_id: block.last_entry_id,
        });
        let footer = if footer.is_null() {
            BlockFooter::of(all.clone())?
        } else {
            // SAFETY: the caller keeps to the comment above.
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
        let needed = block_index::encoded_size(cnt, &footer)?;
        // SAFETY: the caller keeps to the comment above.
        let mut rest = unsafe { ffi::slice_from_raw_mut(dst, dst_sz) }?;
        let fits = needed <= rest.len();
        if fits {
            block_index::encode(all, &footer, |record| {
                let (place, behind) = std::mem::take(&mut rest).split_at_mut(record.len());
                place.copy_from_slice(record);
                rest = behind;
            });
        }
        // SAFETY: not NULL, so good for a write.
        unsafe { _sz.write_unaligned(needed) };
        if fits { Ok(()) } else { Err(Error::BufferTooSmall { size: dst_sz as u64, needed: needed as u64 }.into()) }
    })
}
