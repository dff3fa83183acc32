//! Compares the headers, as libclang reads them, with the Rust code that they stand for: layouts, constants, prototypes.

use std::mem::{align_of, offset_of, size_of};

use super::error_code;
use super::{
    block_index, checkpoint_reader, checkpoint_writer, common, container, fd_checkpt, fd_checkpt_types, frames, fti, fti_file,
    inflate, inflate_index,
};
use crate::frame;

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
    assert_same_layout!(fd_checkpt_private, fd_checkpt_types::fd_checkpt_t {
        fd = fd, frame_style = frame_style, lz4 = lz4, gbuf_cursor = gbuf_cursor, off = off, __bindgen_anon_1 = to, gbuf = gbuf,
    });
    assert_same_layout!(fd_checkpt_private__bindgen_ty_1, fd_checkpt_types::fd_checkpt_private_to { wbuf = wbuf, mmio = mmio });
    assert_same_layout!(fd_checkpt_private_wbuf, fd_checkpt_types::fd_checkpt_private_wbuf_t { mem = mem, sz = sz, used = used });
    assert_same_layout!(fd_checkpt_private_mmio, fd_checkpt_types::fd_checkpt_private_mmio_t { mem = mem, sz = sz });
    assert_same_layout!(fd_restore_private, fd_checkpt_types::fd_restore_t {
        fd = fd, frame_style = frame_style, lz4 = lz4, sbuf_cursor = sbuf_cursor, sz = sz, off = off, __bindgen_anon_1 = from,
        sbuf = sbuf,
    });
    assert_same_layout!(fd_restore_private__bindgen_ty_1, fd_checkpt_types::fd_restore_private_from { rbuf = rbuf, mmio = mmio });
    assert_same_layout!(fd_restore_private_rbuf, fd_checkpt_types::fd_restore_private_rbuf_t { mem = mem, sz = sz, lo = lo, ready = ready });
    assert_same_layout!(fd_restore_private_mmio, fd_checkpt_types::fd_restore_private_mmio_t { mem = mem });
    assert_same_layout!(fdckpt_error_t, common::fdckpt_error_t {
        code = code, errnum = errnum, offset = offset, function = function, text = text, frame = frame,
        file = file, name = name,
    });
    assert_same_layout!(fdckpt_buffer_t, frames::fdckpt_buffer_t { mem = mem, sz = sz });
    assert_same_layout!(fdckpt_frame_t, frames::fdckpt_frame_t {
        style = style, buf_cnt = buf_cnt, bufs = bufs, off = off, end = end,
    });
    assert_same_layout!(fdckpt_frames_cursor_t, frames::fdckpt_frames_cursor_t { off = off, history = history });
    assert_same_layout!(fdckpt_container_section_t, container::fdckpt_container_section_t {
        offset = offset, length = length, type_ = r#type,
    });
    assert_same_layout!(fdckpt_container_issue_t, container::fdckpt_container_issue_t {
        offset = offset, section = section, text = text,
    });
    assert_same_layout!(fdckpt_block_t, block_index::fdckpt_block_t {
        block_number = block_number, block_size = block_size, start_offset = start_offset, first_entry_id = first_entry_id,
        last_entry_id = last_entry_id,
    });
    assert_same_layout!(fdckpt_block_footer_t, block_index::fdckpt_block_footer_t {
        total_size = total_size, index_offset = index_offset, last_add_confirmed = last_add_confirmed,
        total_blocks = total_blocks, total_records = total_records, index_length = index_length, version = version,
        flags = flags,
    });
    assert_same_layout!(fdckpt_inflate_t, inflate::fdckpt_inflate_t {
        next_in = next_in, avail_in = avail_in, total_in = total_in, next_out = next_out, avail_out = avail_out,
        total_out = total_out, msg = msg, error_bit = error_bit, fault = fault, state = state,
    });
    assert_same_layout!(fdckpt_inflate_position_t, inflate::fdckpt_inflate_position_t { input = input, output = output });
    assert_same_layout!(fdckpt_fti_options_t, fti::fdckpt_fti_options_t {
        generation = generation, ckpt_id = ckpt_id, threads = threads, sync = sync, partner_fs = partner_fs, group_fs = group_fs, timestamp = timestamp,
    });
    assert_same_layout!(fdckpt_fti_update_options_t, fti::fdckpt_fti_update_options_t {
        block_size = block_size, hash = hash, mode = mode, keep_hashes = keep_hashes,
    });
    assert_same_layout!(fdckpt_fti_update_stats_t, fti::fdckpt_fti_update_stats_t {
        blocks = blocks, changed = changed, bytes = bytes, full = full, kept_hashes = kept_hashes,
    });
    assert_same_layout!(fdckpt_fti_file_header_t, fti_file::fdckpt_fti_file_header_t {
        offset = offset, ckpt_size = ckpt_size, meta_size = meta_size, data_size = data_size, fs = fs, max_fs = max_fs, pt_fs = pt_fs, timestamp = timestamp, ckpt_id = ckpt_id, generation = generation, block_cnt = block_cnt, container_cnt = container_cnt, variable_cnt = variable_cnt, checksum = checksum, my_hash = my_hash,
    });
    assert_same_layout!(fdckpt_fti_file_variable_t, fti_file::fdckpt_fti_file_variable_t {
        size = size, container_cnt = container_cnt, id = id,
    });
    assert_same_layout!(fdckpt_fti_file_container_t, fti_file::fdckpt_fti_file_container_t {
        offset = offset, block = block, dptr = dptr, fptr = fptr, chunk_size = chunk_size, container_size = container_size, id = id, idx = idx, container_id = container_id, has_content = has_content, has_ckpt = has_ckpt, hash = hash,
    });
    assert_same_layout!(fdckpt_fti_file_issue_t, fti_file::fdckpt_fti_file_issue_t {
        file = file, variable = variable, container = container, offset = offset, severity = severity, field = field, expected = expected, found = found, text = text,
    });
    assert_same_layout!(fdckpt_writer_options_t, checkpoint_writer::fdckpt_writer_options_t {
        style = style, threads = threads, frame_size = frame_size, sync = sync, no_checksums = no_checksums,
        progress = progress, context = context,
    });
    assert_same_layout!(fdckpt_progress_t, checkpoint_writer::fdckpt_progress_t { data = data, total = total, stored = stored });
    assert_same_layout!(fdckpt_reader_options_t, checkpoint_reader::fdckpt_reader_options_t {
        threads = threads, no_checksums = no_checksums, spool_memory = spool_memory, spool_limit = spool_limit,
        progress = progress, context = context,
    });
    assert_same_layout!(fdckpt_region_info_t, checkpoint_reader::fdckpt_region_info_t {
        name = name, number = number, size = size, checksum = checksum, frame = frame, frame_offset = frame_offset,
        frame_count = frame_count, style = style,
    });
    assert_same_layout!(fdckpt_frame_info_t, checkpoint_reader::fdckpt_frame_info_t {
        offset = offset, stored = stored, data = data, checksum = checksum, style = style,
    });
    assert_same_layout!(fdckpt_reader_info_t, checkpoint_reader::fdckpt_reader_info_t {
        regions = regions, frames = frames, attributes = attributes, data = data, stored = stored,
        has_checksums = has_checksums, spooled = spooled,
    });
    assert_same_layout!(fdckpt_read_request_t, checkpoint_reader::fdckpt_read_request_t { number = number, data = data, size = size });
    assert_same_layout!(fdckpt_issue_t, checkpoint_reader::fdckpt_issue_t {
        name = name, number = number, frame = frame, offset = offset, code = code, text = text,
    });
    assert_same_layout!(fdckpt_salvage_stats_t, checkpoint_reader::fdckpt_salvage_stats_t {
        index = index, verified = verified, partial = partial, unverified = unverified, lost = lost,
    });
    assert_same_layout!(fdckpt_fti_file_difference_t, fti_file::fdckpt_fti_file_difference_t {
        kind = kind, id = id, first = first, second = second,
    });
}

#[test]
fn typedefs_stand_for_the_structs() {
    let _: fn(headers::fd_checkpt_private) -> headers::fd_checkpt_t = |it| it;
    let _: fn(headers::fd_restore_private) -> headers::fd_restore_t = |it| it;
    let _: fn(fd_checkpt_types::ulong) -> headers::ulong = |it| it;
    let _: fn(fd_checkpt_types::uchar) -> headers::uchar = |it| it;
}

#[test]
fn constants_have_the_same_values() {
    let same = |theirs: i64, ours: i64| assert_eq!(theirs, ours);
    same(headers::FD_CHECKPT_SUCCESS.into(), error_code::SUCCESS.into());
    same(headers::FD_CHECKPT_ERR_INVAL.into(), error_code::ERR_INVAL.into());
    same(headers::FD_CHECKPT_ERR_UNSUP.into(), error_code::ERR_UNSUP.into());
    same(headers::FD_CHECKPT_ERR_IO.into(), error_code::ERR_IO.into());
    same(headers::FD_CHECKPT_ERR_COMP.into(), error_code::ERR_COMP.into());
    same(headers::FD_CHECKPT_FRAME_STYLE_RAW.into(), frame::FrameStyle::Raw as i64);
    same(headers::FD_CHECKPT_FRAME_STYLE_LZ4.into(), frame::FrameStyle::Lz4 as i64);
    same(headers::FD_CHECKPT_FRAME_STYLE_DEFAULT.into(), frame::FrameStyle::default() as i64);
    same(headers::FD_CHECKPT_META_MAX.into(), frame::META_MAX as i64);
    same(headers::FD_RESTORE_META_MAX.into(), frame::META_MAX as i64);
    same(headers::FD_CHECKPT_WBUF_MIN.into(), frame::BUFFER_MIN as i64);
    same(headers::FD_RESTORE_RBUF_MIN.into(), frame::BUFFER_MIN as i64);
    same(headers::FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX.into(), frame::CHUNK_MAX as i64);
    same(headers::FD_CHECKPT_PRIVATE_GBUF_SZ.into(), crate::sys::lz4::RING_SIZE as i64);
    same(headers::FD_RESTORE_PRIVATE_SBUF_SZ.into(), crate::sys::lz4::RING_SIZE as i64);
    same(headers::FDCKPT_LOG_WARNING.into(), common::FDCKPT_LOG_WARNING.into());
    same(headers::FDCKPT_OK.into(), error_code::FDCKPT_OK.into());
    same(headers::FDCKPT_ERR_INVALID_ARGUMENT.into(), error_code::FDCKPT_ERR_INVALID_ARGUMENT.into());
    same(headers::FDCKPT_ERR_INVALID_STATE.into(), error_code::FDCKPT_ERR_INVALID_STATE.into());
    same(headers::FDCKPT_ERR_NO_MEMORY.into(), error_code::FDCKPT_ERR_NO_MEMORY.into());
    same(headers::FDCKPT_ERR_BUFFER_TOO_SMALL.into(), error_code::FDCKPT_ERR_BUFFER_TOO_SMALL.into());
    same(headers::FDCKPT_ERR_IO.into(), error_code::FDCKPT_ERR_IO.into());
    same(headers::FDCKPT_ERR_FORMAT.into(), error_code::FDCKPT_ERR_FORMAT.into());
    same(headers::FDCKPT_ERR_CORRUPT.into(), error_code::FDCKPT_ERR_CORRUPT.into());
    same(headers::FDCKPT_ERR_OUT_OF_RANGE.into(), error_code::FDCKPT_ERR_OUT_OF_RANGE.into());
    same(headers::FDCKPT_ERR_NOT_FOUND.into(), error_code::FDCKPT_ERR_NOT_FOUND.into());
    same(headers::FDCKPT_ERR_VERIFY_FAILED.into(), error_code::FDCKPT_ERR_VERIFY_FAILED.into());
    same(headers::FDCKPT_ERR_INTERNAL.into(), error_code::FDCKPT_ERR_INTERNAL.into());
    same(headers::FDCKPT_ERR_CANCELLED.into(), error_code::FDCKPT_ERR_CANCELLED.into());
    same(headers::FDCKPT_FRAME_SIZE_DEFAULT.into(), checkpoint_writer::FDCKPT_FRAME_SIZE_DEFAULT as i64);
    same(headers::FDCKPT_STYLE_RAW.into(), checkpoint_writer::FDCKPT_STYLE_RAW.into());
    same(headers::FDCKPT_STYLE_LZ4.into(), checkpoint_writer::FDCKPT_STYLE_LZ4.into());
    same(headers::FDCKPT_SPOOL_NONE.into(), checkpoint_reader::FDCKPT_SPOOL_NONE.into());
    same(headers::FDCKPT_SPOOL_MEMORY.into(), checkpoint_reader::FDCKPT_SPOOL_MEMORY.into());
    same(headers::FDCKPT_SPOOL_TEMP_FILE.into(), checkpoint_reader::FDCKPT_SPOOL_TEMP_FILE.into());
    same(headers::FDCKPT_FTI_FORMAT_1_1.into(), fti::FDCKPT_FTI_FORMAT_1_1.into());
    same(headers::FDCKPT_FTI_FORMAT_1_2.into(), fti::FDCKPT_FTI_FORMAT_1_2.into());
    same(headers::FDCKPT_FTI_FORMAT_1_3.into(), fti::FDCKPT_FTI_FORMAT_1_3.into());
    same(headers::FDCKPT_FTI_FORMAT_1_4_0.into(), fti::FDCKPT_FTI_FORMAT_1_4_0.into());
    same(headers::FDCKPT_FTI_FORMAT_1_4_1.into(), fti::FDCKPT_FTI_FORMAT_1_4_1.into());
    same(headers::FDCKPT_FTI_FORMAT_POST_1_6.into(), fti::FDCKPT_FTI_FORMAT_POST_1_6.into());
    same(headers::FDCKPT_SYNC_FULL.into(), fti::FDCKPT_SYNC_FULL.into());
    same(headers::FDCKPT_SYNC_DATA.into(), fti::FDCKPT_SYNC_DATA.into());
    same(headers::FDCKPT_SYNC_NONE.into(), fti::FDCKPT_SYNC_NONE.into());
    same(headers::FDCKPT_FTI_HASH_MD5.into(), fti::FDCKPT_FTI_HASH_MD5.into());
    same(headers::FDCKPT_FTI_HASH_CRC32.into(), fti::FDCKPT_FTI_HASH_CRC32.into());
    same(headers::FDCKPT_FTI_UPDATE_JOURNALED.into(), fti::FDCKPT_FTI_UPDATE_JOURNALED.into());
    same(headers::FDCKPT_FTI_UPDATE_IN_PLACE.into(), fti::FDCKPT_FTI_UPDATE_IN_PLACE.into());
    same(headers::FDCKPT_FTI_TRANSACTION_IDLE.into(), fti::FDCKPT_FTI_TRANSACTION_IDLE.into());
    same(headers::FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY.into(), fti::FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY.into());
    same(headers::FDCKPT_FTI_TRANSACTION_PREPARED.into(), fti::FDCKPT_FTI_TRANSACTION_PREPARED.into());
    same(headers::FDCKPT_FTI_COMMIT.into(), fti::FDCKPT_FTI_COMMIT.into());
    same(headers::FDCKPT_FTI_ROLLBACK.into(), fti::FDCKPT_FTI_ROLLBACK.into());
    same(headers::FDCKPT_FTI_SEVERITY_NOTE.into(), fti_file::FDCKPT_FTI_SEVERITY_NOTE.into());
    same(headers::FDCKPT_FTI_SEVERITY_REJECTED.into(), fti_file::FDCKPT_FTI_SEVERITY_REJECTED.into());
    same(headers::FDCKPT_FTI_SEVERITY_CORRUPT.into(), fti_file::FDCKPT_FTI_SEVERITY_CORRUPT.into());
    same(headers::FDCKPT_FTI_DIFF_ONLY_IN_FIRST.into(), fti_file::FDCKPT_FTI_DIFF_ONLY_IN_FIRST.into());
    same(headers::FDCKPT_FTI_DIFF_ONLY_IN_SECOND.into(), fti_file::FDCKPT_FTI_DIFF_ONLY_IN_SECOND.into());
    same(headers::FDCKPT_FTI_DIFF_SIZE.into(), fti_file::FDCKPT_FTI_DIFF_SIZE.into());
    same(headers::FDCKPT_FTI_DIFF_DATA.into(), fti_file::FDCKPT_FTI_DIFF_DATA.into());
    same(headers::FDCKPT_FTI_DIFF_UNREADABLE.into(), fti_file::FDCKPT_FTI_DIFF_UNREADABLE.into());
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
        fdckpt: fdckpt_parallel_stats;
        fdckpt_container:
            fdckpt_container_probe fdckpt_container_parse fdckpt_container_free fdckpt_container_set fdckpt_container_set_borrowed
            fdckpt_container_remove fdckpt_container_find fdckpt_container_section_count fdckpt_container_version fdckpt_container_section_info
            fdckpt_container_section_data fdckpt_container_serialized_size fdckpt_container_serialize fdckpt_container_write
            fdckpt_container_append fdckpt_container_verify;
        fdckpt_frames:
            fdckpt_frames_bound fdckpt_frames_write_memory fdckpt_frames_write_stream fdckpt_frames_write_file
            fdckpt_frames_read_memory fdckpt_frames_read_file fdckpt_thread_pool_set_current fdckpt_thread_pool_free;
        fdckpt_blockindex:
            fdckpt_block_index_read fdckpt_block_index_decode fdckpt_block_index_encode;
        fdckpt_inflate:
            fdckpt_inflate_init fdckpt_inflate fdckpt_inflate_checkpoint_bound fdckpt_inflate_checkpoint fdckpt_inflate_restore
            fdckpt_inflate_reset fdckpt_inflate_end;
        fdckpt_inflate_index:
            fdckpt_inflate_index_save fdckpt_inflate_index_info fdckpt_inflate_index_read fdckpt_inflate_index_free;
        fdckpt_fti:
            fdckpt_fti_free fdckpt_fti_protect fdckpt_fti_unprotect fdckpt_fti_checkpoint fdckpt_fti_size fdckpt_fti_recover fdckpt_fti_recover_var fdckpt_fti_file_variable_size
            fdckpt_fti_update fdckpt_fti_prepare fdckpt_fti_resolve fdckpt_fti_transaction_state;
        fdckpt_ftifile:
            fdckpt_fti_file_open fdckpt_fti_file_free fdckpt_fti_file_header fdckpt_fti_file_variable fdckpt_fti_file_container fdckpt_fti_file_extract fdckpt_fti_file_verify fdckpt_fti_file_diff fdckpt_fti_file_convert fdckpt_fti_file_repair;
        fdckpt_writer:
            fdckpt_writer_open fdckpt_writer_open_fd fdckpt_writer_add fdckpt_writer_set_style fdckpt_writer_set_attribute
            fdckpt_writer_commit fdckpt_writer_abort fdckpt_writer_free;
        fdckpt_reader:
            fdckpt_reader_open fdckpt_reader_open_fd fdckpt_reader_open_memory fdckpt_reader_free fdckpt_reader_region_count
            fdckpt_reader_info fdckpt_reader_region_at fdckpt_reader_find_region fdckpt_reader_frame_at fdckpt_reader_read fdckpt_reader_read_index
            fdckpt_reader_read_range fdckpt_reader_read_many fdckpt_reader_map fdckpt_reader_get_attribute fdckpt_reader_attribute_at
            fdckpt_reader_verify fdckpt_salvage_file;
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
        fdckpt: fdckpt_set_log_callback(callback, context);
        fdckpt: fdckpt_last_error();
        fdckpt: fdckpt_set_max_threads(threads);
        fdckpt: fdckpt_remove_temp_files();
        fdckpt_container: fdckpt_container_new();
        fdckpt_fti: fdckpt_fti_new();
        fdckpt_frames: fdckpt_thread_pool_new(threads);
        fdckpt_container: fdckpt_container_open(fd);
        fdckpt_inflate_index: fdckpt_inflate_index_build(fd, start, size, format, every, out_fd);
        fdckpt_inflate_index: fdckpt_inflate_index_load(index_fd, fd, start, size);
    }
}
