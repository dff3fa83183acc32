//! Compares the headers, as libclang reads them, with the Rust code that they stand for: layouts, constants, prototypes.

use std::mem::{align_of, offset_of, size_of};

use super::status;
use super::{
    fd_checkpt, fdckpt, fdckpt_blockindex, fdckpt_container, fdckpt_frames, fdckpt_fti, fdckpt_ftifile, fdckpt_inflate,
    fdckpt_inflate_index, fdckpt_reader, fdckpt_writer, types,
};
use crate::codec;

/// All of the headers.
#[allow(dead_code, missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, unsafe_op_in_unsafe_fn)]
mod headers {
    include!(concat!(env!("OUT_DIR"), "/headers.rs"));
}

/// Their functions, in terms of our types, some of which C sees from outside only.
#[allow(dead_code, missing_docs, improper_ctypes)]
mod prototypes {
    include!(concat!(env!("OUT_DIR"), "/prototypes.rs"));
}

macro_rules! assert_same_layout {
    ($theirs:ident, $ours:path { $($their_member:ident = $our_member:ident),* $(,)? }) => {
        assert_eq!(size_of::<headers::$theirs>(), size_of::<$ours>(), stringify!($theirs));
        assert_eq!(align_of::<headers::$theirs>(), align_of::<$ours>(), stringify!($theirs));
        $(
            assert_eq!(
                offset_of!(headers::$theirs, $their_member),
                offset_of!($ours, $our_member),
                concat!(stringify!($theirs), ".", stringify!($their_member))
            );
        )*
    };
}

#[test]
fn structs_have_the_same_layout() {
    assert_same_layout!(fd_checkpt_private, types::fd_checkpt_t {
        fd = fd, frame_style = frame_style, lz4 = lz4, gbuf_cursor = gbuf_cursor, off = off, __bindgen_anon_1 = to, gbuf = gbuf,
    });
    assert_same_layout!(fd_checkpt_private__bindgen_ty_1, types::fd_checkpt_private_to { wbuf = wbuf, mmio = mmio });
    assert_same_layout!(fd_checkpt_private_wbuf, types::fd_checkpt_private_wbuf_t { mem = mem, sz = sz, used = used });
    assert_same_layout!(fd_checkpt_private_mmio, types::fd_checkpt_private_mmio_t { mem = mem, sz = sz });
    assert_same_layout!(fd_restore_private, types::fd_restore_t {
        fd = fd, frame_style = frame_style, lz4 = lz4, sbuf_cursor = sbuf_cursor, sz = sz, off = off, __bindgen_anon_1 = from,
        sbuf = sbuf,
    });
    assert_same_layout!(fd_restore_private__bindgen_ty_1, types::fd_restore_private_from { rbuf = rbuf, mmio = mmio });
    assert_same_layout!(fd_restore_private_rbuf, types::fd_restore_private_rbuf_t { mem = mem, sz = sz, lo = lo, ready = ready });
    assert_same_layout!(fd_restore_private_mmio, types::fd_restore_private_mmio_t { mem = mem });
    assert_same_layout!(fdckpt_error_t, fdckpt::fdckpt_error_t {
        code = code, errnum = errnum, offset = offset, function = function, text = text, frame = frame,
        file = file, name = name,
    });
    assert_same_layout!(fdckpt_buffer_t, fdckpt_frames::fdckpt_buffer_t { mem = mem, sz = sz });
    assert_same_layout!(fdckpt_frame_t, fdckpt_frames::fdckpt_frame_t {
        style = style, buf_cnt = buf_cnt, bufs = bufs, off = off, end = end,
    });
    assert_same_layout!(fdckpt_place_t, fdckpt_frames::fdckpt_place_t { off = off, history = history });
    assert_same_layout!(fdckpt_container_section_t, fdckpt_container::fdckpt_container_section_t {
        offset = offset, length = length, type_ = r#type,
    });
    assert_same_layout!(fdckpt_container_finding_t, fdckpt_container::fdckpt_container_finding_t {
        offset = offset, section = section, text = text,
    });
    assert_same_layout!(fdckpt_block_t, fdckpt_blockindex::fdckpt_block_t {
        block_number = block_number, block_size = block_size, start_offset = start_offset, first_entry_id = first_entry_id,
        last_entry_id = last_entry_id,
    });
    assert_same_layout!(fdckpt_block_footer_t, fdckpt_blockindex::fdckpt_block_footer_t {
        total_size = total_size, index_offset = index_offset, last_add_confirmed = last_add_confirmed,
        total_blocks = total_blocks, total_records = total_records, index_length = index_length, version = version,
        flags = flags,
    });
    assert_same_layout!(fdckpt_inflate_t, fdckpt_inflate::fdckpt_inflate_t {
        next_in = next_in, avail_in = avail_in, total_in = total_in, next_out = next_out, avail_out = avail_out,
        total_out = total_out, msg = msg, error_bit = error_bit, fault = fault, state = state,
    });
    assert_same_layout!(fdckpt_inflate_position_t, fdckpt_inflate::fdckpt_inflate_position_t { input = input, output = output });
    assert_same_layout!(fdckpt_fti_options_t, fdckpt_fti::fdckpt_fti_options_t {
        generation = generation, ckpt_id = ckpt_id, threads = threads, durability = durability, partner_fs = partner_fs, group_fs = group_fs, timestamp = timestamp,
    });
    assert_same_layout!(fdckpt_fti_update_t, fdckpt_fti::fdckpt_fti_update_t {
        block_size = block_size, hash = hash, mode = mode, keep_hashes = keep_hashes,
    });
    assert_same_layout!(fdckpt_fti_updated_t, fdckpt_fti::fdckpt_fti_updated_t {
        blocks = blocks, changed = changed, bytes = bytes, full = full, kept_hashes = kept_hashes,
    });
    assert_same_layout!(fdckpt_ftifile_header_t, fdckpt_ftifile::fdckpt_ftifile_header_t {
        offset = offset, ckpt_size = ckpt_size, meta_size = meta_size, data_size = data_size, fs = fs, max_fs = max_fs, pt_fs = pt_fs, timestamp = timestamp, ckpt_id = ckpt_id, generation = generation, block_cnt = block_cnt, container_cnt = container_cnt, variable_cnt = variable_cnt, checksum = checksum, my_hash = my_hash,
    });
    assert_same_layout!(fdckpt_ftifile_variable_t, fdckpt_ftifile::fdckpt_ftifile_variable_t {
        size = size, container_cnt = container_cnt, id = id,
    });
    assert_same_layout!(fdckpt_ftifile_container_t, fdckpt_ftifile::fdckpt_ftifile_container_t {
        offset = offset, block = block, dptr = dptr, fptr = fptr, chunk_size = chunk_size, container_size = container_size, id = id, idx = idx, container_id = container_id, has_content = has_content, has_ckpt = has_ckpt, hash = hash,
    });
    assert_same_layout!(fdckpt_ftifile_finding_t, fdckpt_ftifile::fdckpt_ftifile_finding_t {
        file = file, variable = variable, container = container, offset = offset, severity = severity, field = field, expected = expected, found = found, text = text,
    });
    assert_same_layout!(fdckpt_writer_options_t, fdckpt_writer::fdckpt_writer_options_t {
        style = style, threads = threads, frame_size = frame_size, durability = durability, no_checksums = no_checksums,
        progress = progress, context = context,
    });
    assert_same_layout!(fdckpt_progress_t, fdckpt_writer::fdckpt_progress_t { data = data, total = total, stored = stored });
    assert_same_layout!(fdckpt_reader_options_t, fdckpt_reader::fdckpt_reader_options_t {
        threads = threads, no_checksums = no_checksums, spool_memory = spool_memory, spool_limit = spool_limit,
        progress = progress, context = context,
    });
    assert_same_layout!(fdckpt_entry_t, fdckpt_reader::fdckpt_entry_t {
        name = name, number = number, size = size, checksum = checksum, frame = frame, frame_offset = frame_offset,
        frame_count = frame_count, style = style,
    });
    assert_same_layout!(fdckpt_reader_frame_t, fdckpt_reader::fdckpt_reader_frame_t {
        offset = offset, stored = stored, data = data, checksum = checksum, style = style,
    });
    assert_same_layout!(fdckpt_reader_info_t, fdckpt_reader::fdckpt_reader_info_t {
        regions = regions, frames = frames, attributes = attributes, data = data, stored = stored,
        has_checksums = has_checksums, spooled = spooled,
    });
    assert_same_layout!(fdckpt_request_t, fdckpt_reader::fdckpt_request_t { number = number, data = data, size = size });
    assert_same_layout!(fdckpt_damage_t, fdckpt_reader::fdckpt_damage_t {
        name = name, number = number, frame = frame, offset = offset, code = code, text = text,
    });
    assert_same_layout!(fdckpt_salvaged_t, fdckpt_reader::fdckpt_salvaged_t {
        index = index, verified = verified, partial = partial, unverified = unverified, lost = lost,
    });
    assert_same_layout!(fdckpt_ftifile_difference_t, fdckpt_ftifile::fdckpt_ftifile_difference_t {
        kind = kind, id = id, first = first, second = second,
    });
}

#[test]
fn typedefs_stand_for_the_structs() {
    let _: fn(headers::fd_checkpt_private) -> headers::fd_checkpt_t = |it| it;
    let _: fn(headers::fd_restore_private) -> headers::fd_restore_t = |it| it;
    let _: fn(types::ulong) -> headers::ulong = |it| it;
    let _: fn(types::uchar) -> headers::uchar = |it| it;
}

#[test]
fn constants_have_the_same_values() {
    let same = |theirs: i64, ours: i64| assert_eq!(theirs, ours);
    same(headers::FD_CHECKPT_SUCCESS.into(), status::SUCCESS.into());
    same(headers::FD_CHECKPT_ERR_INVAL.into(), status::ERR_INVAL.into());
    same(headers::FD_CHECKPT_ERR_UNSUP.into(), status::ERR_UNSUP.into());
    same(headers::FD_CHECKPT_ERR_IO.into(), status::ERR_IO.into());
    same(headers::FD_CHECKPT_ERR_COMP.into(), status::ERR_COMP.into());
    same(headers::FD_CHECKPT_FRAME_STYLE_RAW.into(), codec::FrameStyle::Raw as i64);
    same(headers::FD_CHECKPT_FRAME_STYLE_LZ4.into(), codec::FrameStyle::Lz4 as i64);
    same(headers::FD_CHECKPT_FRAME_STYLE_DEFAULT.into(), codec::FrameStyle::default() as i64);
    same(headers::FD_CHECKPT_META_MAX.into(), codec::META_MAX as i64);
    same(headers::FD_RESTORE_META_MAX.into(), codec::META_MAX as i64);
    same(headers::FD_CHECKPT_WBUF_MIN.into(), codec::BUFFER_MIN as i64);
    same(headers::FD_RESTORE_RBUF_MIN.into(), codec::BUFFER_MIN as i64);
    same(headers::FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX.into(), codec::CHUNK_MAX as i64);
    same(headers::FD_CHECKPT_PRIVATE_GBUF_SZ.into(), crate::sys::lz4::RING_SIZE as i64);
    same(headers::FD_RESTORE_PRIVATE_SBUF_SZ.into(), crate::sys::lz4::RING_SIZE as i64);
    same(headers::FDCKPT_LOG_WARNING.into(), fdckpt::FDCKPT_LOG_WARNING.into());
    same(headers::FDCKPT_OK.into(), status::FDCKPT_OK.into());
    same(headers::FDCKPT_ERR_ARGUMENT.into(), status::FDCKPT_ERR_ARGUMENT.into());
    same(headers::FDCKPT_ERR_STATE.into(), status::FDCKPT_ERR_STATE.into());
    same(headers::FDCKPT_ERR_NO_MEMORY.into(), status::FDCKPT_ERR_NO_MEMORY.into());
    same(headers::FDCKPT_ERR_NO_ROOM.into(), status::FDCKPT_ERR_NO_ROOM.into());
    same(headers::FDCKPT_ERR_IO.into(), status::FDCKPT_ERR_IO.into());
    same(headers::FDCKPT_ERR_FORMAT.into(), status::FDCKPT_ERR_FORMAT.into());
    same(headers::FDCKPT_ERR_CORRUPT.into(), status::FDCKPT_ERR_CORRUPT.into());
    same(headers::FDCKPT_ERR_RANGE.into(), status::FDCKPT_ERR_RANGE.into());
    same(headers::FDCKPT_ERR_NOT_FOUND.into(), status::FDCKPT_ERR_NOT_FOUND.into());
    same(headers::FDCKPT_ERR_VERIFY.into(), status::FDCKPT_ERR_VERIFY.into());
    same(headers::FDCKPT_ERR_INTERNAL.into(), status::FDCKPT_ERR_INTERNAL.into());
    same(headers::FDCKPT_ERR_CANCELLED.into(), status::FDCKPT_ERR_CANCELLED.into());
    same(headers::FDCKPT_FRAME_SIZE_DEFAULT.into(), fdckpt_writer::FDCKPT_FRAME_SIZE_DEFAULT as i64);
    same(headers::FDCKPT_STYLE_RAW.into(), fdckpt_writer::FDCKPT_STYLE_RAW.into());
    same(headers::FDCKPT_STYLE_LZ4.into(), fdckpt_writer::FDCKPT_STYLE_LZ4.into());
    same(headers::FDCKPT_SPOOLED_NOT.into(), fdckpt_reader::FDCKPT_SPOOLED_NOT.into());
    same(headers::FDCKPT_SPOOLED_IN_MEMORY.into(), fdckpt_reader::FDCKPT_SPOOLED_IN_MEMORY.into());
    same(headers::FDCKPT_SPOOLED_IN_FILE.into(), fdckpt_reader::FDCKPT_SPOOLED_IN_FILE.into());
    same(headers::FDCKPT_FTI_A.into(), fdckpt_fti::FDCKPT_FTI_A.into());
    same(headers::FDCKPT_FTI_B.into(), fdckpt_fti::FDCKPT_FTI_B.into());
    same(headers::FDCKPT_FTI_C.into(), fdckpt_fti::FDCKPT_FTI_C.into());
    same(headers::FDCKPT_FTI_D0.into(), fdckpt_fti::FDCKPT_FTI_D0.into());
    same(headers::FDCKPT_FTI_D.into(), fdckpt_fti::FDCKPT_FTI_D.into());
    same(headers::FDCKPT_FTI_E.into(), fdckpt_fti::FDCKPT_FTI_E.into());
    same(headers::FDCKPT_SYNC_FILE_AND_FOLDER.into(), fdckpt_fti::FDCKPT_SYNC_FILE_AND_FOLDER.into());
    same(headers::FDCKPT_SYNC_FILE.into(), fdckpt_fti::FDCKPT_SYNC_FILE.into());
    same(headers::FDCKPT_SYNC_NONE.into(), fdckpt_fti::FDCKPT_SYNC_NONE.into());
    same(headers::FDCKPT_FTI_MD5.into(), fdckpt_fti::FDCKPT_FTI_MD5.into());
    same(headers::FDCKPT_FTI_CRC32.into(), fdckpt_fti::FDCKPT_FTI_CRC32.into());
    same(headers::FDCKPT_FTI_SAFE.into(), fdckpt_fti::FDCKPT_FTI_SAFE.into());
    same(headers::FDCKPT_FTI_IN_PLACE.into(), fdckpt_fti::FDCKPT_FTI_IN_PLACE.into());
    same(headers::FDCKPT_FTI_SETTLED.into(), fdckpt_fti::FDCKPT_FTI_SETTLED.into());
    same(headers::FDCKPT_FTI_INTERRUPTED.into(), fdckpt_fti::FDCKPT_FTI_INTERRUPTED.into());
    same(headers::FDCKPT_FTI_PREPARED.into(), fdckpt_fti::FDCKPT_FTI_PREPARED.into());
    same(headers::FDCKPT_FTI_COMMIT.into(), fdckpt_fti::FDCKPT_FTI_COMMIT.into());
    same(headers::FDCKPT_FTI_ABANDON.into(), fdckpt_fti::FDCKPT_FTI_ABANDON.into());
    same(headers::FDCKPT_FTI_REMARK.into(), fdckpt_ftifile::FDCKPT_FTI_REMARK.into());
    same(headers::FDCKPT_FTI_REFUSED.into(), fdckpt_ftifile::FDCKPT_FTI_REFUSED.into());
    same(headers::FDCKPT_FTI_DAMAGE.into(), fdckpt_ftifile::FDCKPT_FTI_DAMAGE.into());
    same(headers::FDCKPT_FTI_ONLY_IN_FIRST.into(), fdckpt_ftifile::FDCKPT_FTI_ONLY_IN_FIRST.into());
    same(headers::FDCKPT_FTI_ONLY_IN_SECOND.into(), fdckpt_ftifile::FDCKPT_FTI_ONLY_IN_SECOND.into());
    same(headers::FDCKPT_FTI_OTHER_SIZE.into(), fdckpt_ftifile::FDCKPT_FTI_OTHER_SIZE.into());
    same(headers::FDCKPT_FTI_OTHER_DATA.into(), fdckpt_ftifile::FDCKPT_FTI_OTHER_DATA.into());
    same(headers::FDCKPT_FTI_UNREADABLE.into(), fdckpt_ftifile::FDCKPT_FTI_UNREADABLE.into());
}

/// That this compiles is the test: an array's elements are of one type.
#[test]
fn prototypes_are_the_same() {
    macro_rules! same {
        ($($module:ident: $($name:ident)*;)*) => { $($( let _ = [prototypes::$name, $module::$name]; )*)* };
    }
    same! {
        fd_checkpt:
            fd_checkpt_init_stream fd_checkpt_init_mmio fd_checkpt_fini fd_checkpt_open_advanced fd_checkpt_close_advanced
            fd_checkpt_meta fd_checkpt_data
            fd_restore_init_stream fd_restore_init_mmio fd_restore_fini fd_restore_open_advanced fd_restore_close_advanced
            fd_restore_seek fd_restore_meta fd_restore_data;
        fdckpt: fdckpt_spread_statistics;
        fdckpt_container:
            fdckpt_container_is_format fdckpt_container_parse fdckpt_container_free fdckpt_container_set fdckpt_container_set_ref
            fdckpt_container_remove fdckpt_container_get fdckpt_container_count fdckpt_container_version fdckpt_container_section
            fdckpt_container_data fdckpt_container_serialized_size fdckpt_container_serialize fdckpt_container_write
            fdckpt_container_append fdckpt_container_verify;
        fdckpt_frames:
            fdckpt_frames_bound fdckpt_frames_checkpt_mmio fdckpt_frames_checkpt_stream fdckpt_frames_checkpt_file
            fdckpt_frames_restore_mmio fdckpt_frames_restore_file fdckpt_pool_use fdckpt_pool_free;
        fdckpt_blockindex:
            fdckpt_blockindex_read fdckpt_blockindex_decode fdckpt_blockindex_encode;
        fdckpt_inflate:
            fdckpt_inflate_init fdckpt_inflate fdckpt_inflate_checkpoint_bound fdckpt_inflate_checkpoint fdckpt_inflate_restore
            fdckpt_inflate_reset fdckpt_inflate_end;
        fdckpt_inflate_index:
            fdckpt_inflate_index_save fdckpt_inflate_index_sizes fdckpt_inflate_index_read fdckpt_inflate_index_free;
        fdckpt_fti:
            fdckpt_fti_free fdckpt_fti_protect fdckpt_fti_unprotect fdckpt_fti_checkpoint fdckpt_fti_size fdckpt_fti_recover fdckpt_fti_recover_var fdckpt_fti_stored_size
            fdckpt_fti_update fdckpt_fti_prepare fdckpt_fti_settle fdckpt_fti_pending;
        fdckpt_ftifile:
            fdckpt_ftifile_open fdckpt_ftifile_free fdckpt_ftifile_header fdckpt_ftifile_variable fdckpt_ftifile_container fdckpt_ftifile_extract fdckpt_ftifile_verify fdckpt_ftifile_diff fdckpt_ftifile_convert fdckpt_ftifile_repair;
        fdckpt_writer:
            fdckpt_writer_open fdckpt_writer_open_fd fdckpt_writer_add fdckpt_writer_set_style fdckpt_writer_attribute
            fdckpt_writer_commit fdckpt_writer_abort fdckpt_writer_free;
        fdckpt_reader:
            fdckpt_reader_open fdckpt_reader_open_fd fdckpt_reader_open_memory fdckpt_reader_close fdckpt_reader_count
            fdckpt_reader_info fdckpt_reader_entry fdckpt_reader_find fdckpt_reader_frame fdckpt_reader_load fdckpt_reader_read
            fdckpt_reader_read_at fdckpt_reader_read_many fdckpt_reader_map fdckpt_reader_attribute fdckpt_reader_attribute_at
            fdckpt_reader_verify fdckpt_salvage;
    }
    // Safe to call, which C can't say: the same but for that.
    macro_rules! same_but_safe {
        ($($module:ident: $name:ident($($argument:ident)?$(, $more:ident)*);)*) => {
            $(
                let same = |$($argument)? $(, $more)*| [
                    // SAFETY: never called.
                    unsafe { prototypes::$name($($argument)? $(, $more)*) },
                    $module::$name($($argument)? $(, $more)*),
                ];
                _ = same;
            )*
        };
    }
    same_but_safe! {
        fd_checkpt: fd_checkpt_frame_style_is_supported(style);
        fd_checkpt: fd_checkpt_strerror(code);
        fdckpt: fdckpt_version();
        fdckpt: fdckpt_set_log(callback, context);
        fdckpt: fdckpt_last_error();
        fdckpt: fdckpt_set_threads(threads);
        fdckpt: fdckpt_discard_replacements();
        fdckpt_container: fdckpt_container_new();
        fdckpt_fti: fdckpt_fti_new();
        fdckpt_frames: fdckpt_pool_new(threads);
        fdckpt_container: fdckpt_container_open(fd);
        fdckpt_inflate_index: fdckpt_inflate_index_build(fd, start, size, format, every, out_fd);
        fdckpt_inflate_index: fdckpt_inflate_index_load(index_fd, fd, start, size);
    }
}
