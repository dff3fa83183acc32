//! Compares the headers, as libclang reads them, with the Rust code that they stand for: layouts, constants,
//! prototypes.

use std::mem::{align_of, offset_of, size_of};

use super::{
    block_index, checkpoint_reader, checkpoint_verify, checkpoint_writer, common, container, error_code, fd_checkpt,
    fd_checkpt_types, frames, fti, fti_file, inflate, inflate_index, last_error, log, options, threads,
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
    assert_same_layout!(fdckpt_error_t, last_error::fdckpt_error_t {
        struct_size = struct_size, code = code, errnum = errnum, offset = offset, frame = frame, function = function,
        message = message, path = path, region = region,
    });
    assert_same_layout!(fdckpt_progress_t, options::fdckpt_progress_t {
        struct_size = struct_size, data_bytes = data_bytes, total_bytes = total_bytes, file_bytes = file_bytes,
    });
    assert_same_layout!(fdckpt_writer_options_t, checkpoint_writer::fdckpt_writer_options_t {
        struct_size = struct_size, style = style, threads = threads, frame_size = frame_size, sync = sync,
        no_checksums = no_checksums, on_progress = on_progress, context = context,
    });
    assert_same_layout!(fdckpt_reader_options_t, checkpoint_reader::fdckpt_reader_options_t {
        struct_size = struct_size, threads = threads, no_checksums = no_checksums, spool_memory = spool_memory,
        spool_limit = spool_limit, on_progress = on_progress, context = context,
    });
    assert_same_layout!(fdckpt_region_info_t, checkpoint_reader::fdckpt_region_info_t {
        struct_size = struct_size, name = name, index = index, size = size, checksum = checksum, first_frame = first_frame,
        frame_offset = frame_offset, frame_count = frame_count, style = style, has_checksum = has_checksum,
    });
    assert_same_layout!(fdckpt_frame_info_t, checkpoint_reader::fdckpt_frame_info_t {
        struct_size = struct_size, offset = offset, file_bytes = file_bytes, data_bytes = data_bytes, checksum = checksum,
        style = style, has_checksum = has_checksum,
    });
    assert_same_layout!(fdckpt_reader_info_t, checkpoint_reader::fdckpt_reader_info_t {
        struct_size = struct_size, region_count = region_count, frame_count = frame_count, attribute_count = attribute_count,
        data_bytes = data_bytes, file_bytes = file_bytes, has_checksums = has_checksums, spool = spool,
    });
    assert_same_layout!(fdckpt_read_request_t, checkpoint_reader::fdckpt_read_request_t {
        index = index, data = data, size = size,
    });
    assert_same_layout!(fdckpt_issue_t, checkpoint_verify::fdckpt_issue_t {
        struct_size = struct_size, region = region, message = message, region_index = region_index, frame = frame,
        offset = offset, code = code, reserved = reserved,
    });
    assert_same_layout!(fdckpt_salvage_stats_t, checkpoint_verify::fdckpt_salvage_stats_t {
        struct_size = struct_size, verified_count = verified_count, partial_count = partial_count,
        unverified_count = unverified_count, lost_count = lost_count, index_found = index_found, reserved = reserved,
    });
    assert_same_layout!(fdckpt_parallel_stats_t, threads::fdckpt_parallel_stats_t {
        struct_size = struct_size, speculative_segments = speculative_segments, mispredicted_segments = mispredicted_segments,
        warm_up_bytes = warm_up_bytes, recompressed_bytes = recompressed_bytes,
    });
    assert_same_layout!(fdckpt_frames_cursor_t, frames::fdckpt_frames_cursor_t {
        offset = offset, lz4_state = lz4_state,
    });
    assert_same_layout!(fdckpt_container_section_t, container::fdckpt_container_section_t {
        struct_size = struct_size, offset = offset, size = size, type_ = r#type, reserved = reserved,
    });
    assert_same_layout!(fdckpt_container_issue_t, container::fdckpt_container_issue_t {
        struct_size = struct_size, offset = offset, section = section, message = message,
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
    assert_same_layout!(fdckpt_fti_options_t, fti::fdckpt_fti_options_t {
        struct_size = struct_size, format = format, ckpt_id = ckpt_id, threads = threads, sync = sync,
        partner_file_size = partner_file_size, group_max_file_size = group_max_file_size, timestamp_ns = timestamp_ns,
    });
    assert_same_layout!(fdckpt_fti_update_options_t, fti::fdckpt_fti_update_options_t {
        struct_size = struct_size, block_size = block_size, hash = hash, mode = mode, save_hashes = save_hashes,
    });
    assert_same_layout!(fdckpt_fti_update_stats_t, fti::fdckpt_fti_update_stats_t {
        struct_size = struct_size, block_count = block_count, changed_block_count = changed_block_count,
        changed_bytes = changed_bytes, is_full = is_full, hashes_saved = hashes_saved,
    });
    assert_same_layout!(fdckpt_fti_file_header_t, fti_file::fdckpt_fti_file_header_t {
        struct_size = struct_size, offset = offset, ckpt_size = ckpt_size, meta_size = meta_size, data_size = data_size,
        file_size = file_size, group_max_file_size = group_max_file_size, partner_file_size = partner_file_size,
        timestamp_ns = timestamp_ns, ckpt_id = ckpt_id, format = format, block_count = block_count,
        container_count = container_count, variable_count = variable_count, checksum = checksum, header_hash = header_hash,
    });
    assert_same_layout!(fdckpt_fti_file_variable_t, fti_file::fdckpt_fti_file_variable_t {
        struct_size = struct_size, size = size, container_count = container_count, id = id, reserved = reserved,
    });
    assert_same_layout!(fdckpt_fti_file_container_t, fti_file::fdckpt_fti_file_container_t {
        struct_size = struct_size, offset = offset, block_index = block_index, dptr = dptr, fptr = fptr,
        chunk_size = chunk_size, container_size = container_size, hash = hash, id = id, idx = idx,
        container_id = container_id, has_content = has_content, has_ckpt = has_ckpt, reserved = reserved,
    });
    assert_same_layout!(fdckpt_fti_file_issue_t, fti_file::fdckpt_fti_file_issue_t {
        struct_size = struct_size, path = path, variable_id = variable_id, container_index = container_index, offset = offset,
        field = field, expected = expected, actual = actual, message = message, severity = severity, reserved = reserved,
    });
    assert_same_layout!(fdckpt_fti_file_difference_t, fti_file::fdckpt_fti_file_difference_t {
        struct_size = struct_size, kind = kind, variable_id = variable_id, first = first, second = second,
    });
    assert_same_layout!(fdckpt_inflate_t, inflate::fdckpt_inflate_t {
        struct_size = struct_size, next_in = next_in, avail_in = avail_in, total_in = total_in, next_out = next_out,
        avail_out = avail_out, total_out = total_out, msg = msg, state = state, error_bit_offset = error_bit_offset,
        error_code = error_code, reserved = reserved,
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
    macro_rules! same_constants {
        ($($module:ident: $($name:ident)*;)*) => {
            $($( assert_eq!(headers::$name as i64, $module::$name as i64, stringify!($name)); )*)*
        };
    }
    same_constants! {
        error_code:
            FDCKPT_OK FDCKPT_ERR_INVALID_ARGUMENT FDCKPT_ERR_INVALID_STATE FDCKPT_ERR_NO_MEMORY FDCKPT_ERR_BUFFER_TOO_SMALL
            FDCKPT_ERR_IO FDCKPT_ERR_FORMAT FDCKPT_ERR_CORRUPT FDCKPT_ERR_OUT_OF_RANGE FDCKPT_ERR_NOT_FOUND
            FDCKPT_ERR_VERIFY_FAILED FDCKPT_ERR_INTERNAL FDCKPT_ERR_CANCELLED;
        log: FDCKPT_LOG_WARNING;
        options:
            FDCKPT_STYLE_RAW FDCKPT_STYLE_LZ4 FDCKPT_SYNC_FULL FDCKPT_SYNC_DATA FDCKPT_SYNC_NONE;
        checkpoint_writer:
            FDCKPT_FRAME_SIZE_DEFAULT;
        checkpoint_reader:
            FDCKPT_SPOOL_NONE FDCKPT_SPOOL_MEMORY FDCKPT_SPOOL_TEMP_FILE;
        fti:
            FDCKPT_FTI_FORMAT_1_1 FDCKPT_FTI_FORMAT_1_2 FDCKPT_FTI_FORMAT_1_3 FDCKPT_FTI_FORMAT_1_4_0 FDCKPT_FTI_FORMAT_1_4_1
            FDCKPT_FTI_FORMAT_POST_1_6 FDCKPT_FTI_HASH_MD5 FDCKPT_FTI_HASH_CRC32 FDCKPT_FTI_UPDATE_JOURNALED
            FDCKPT_FTI_UPDATE_IN_PLACE FDCKPT_FTI_TRANSACTION_IDLE FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY
            FDCKPT_FTI_TRANSACTION_PREPARED FDCKPT_FTI_COMMIT FDCKPT_FTI_ROLLBACK;
        fti_file:
            FDCKPT_FTI_SEVERITY_NOTE FDCKPT_FTI_SEVERITY_REJECTED FDCKPT_FTI_SEVERITY_CORRUPT FDCKPT_FTI_DIFF_ONLY_IN_FIRST
            FDCKPT_FTI_DIFF_ONLY_IN_SECOND FDCKPT_FTI_DIFF_SIZE FDCKPT_FTI_DIFF_DATA FDCKPT_FTI_DIFF_UNREADABLE;
        inflate:
            FDCKPT_INFLATE_DEFLATE FDCKPT_INFLATE_DEFLATE64 FDCKPT_INFLATE_ZLIB FDCKPT_INFLATE_GZIP FDCKPT_INFLATE_STREAM_END
            FDCKPT_INFLATE_NEED_MORE FDCKPT_INFLATE_CHECKPOINT_FULL FDCKPT_INFLATE_CHECKPOINT_COMPACT
            FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0 FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0X1001 FDCKPT_INFLATE_ERR_BLOCK_TYPE
            FDCKPT_INFLATE_ERR_STORED_LENGTH FDCKPT_INFLATE_ERR_TOO_MANY_CODES FDCKPT_INFLATE_ERR_LENGTH_CODES
            FDCKPT_INFLATE_ERR_NOTHING_TO_REPEAT FDCKPT_INFLATE_ERR_TOO_MANY_LENGTHS FDCKPT_INFLATE_ERR_NO_END_OF_BLOCK
            FDCKPT_INFLATE_ERR_LITERAL_CODES_OVERSUBSCRIBED FDCKPT_INFLATE_ERR_LITERAL_CODES_INCOMPLETE
            FDCKPT_INFLATE_ERR_DISTANCE_CODES_OVERSUBSCRIBED FDCKPT_INFLATE_ERR_DISTANCE_CODES_INCOMPLETE
            FDCKPT_INFLATE_ERR_LITERAL_CODE FDCKPT_INFLATE_ERR_DISTANCE_CODE FDCKPT_INFLATE_ERR_DISTANCE_TOO_FAR
            FDCKPT_INFLATE_ERR_ZLIB_HEADER FDCKPT_INFLATE_ERR_ZLIB_DICTIONARY FDCKPT_INFLATE_ERR_ZLIB_WINDOW
            FDCKPT_INFLATE_ERR_GZIP_HEADER FDCKPT_INFLATE_ERR_GZIP_METHOD FDCKPT_INFLATE_ERR_GZIP_FLAGS
            FDCKPT_INFLATE_ERR_GZIP_HEADER_CHECKSUM FDCKPT_INFLATE_ERR_CHECKSUM FDCKPT_INFLATE_ERR_LENGTH
            FDCKPT_INFLATE_CHECKPOINT_MAX;
    }
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
        checkpoint_writer:
            fdckpt_writer_open fdckpt_writer_open_fd fdckpt_writer_add fdckpt_writer_set_style fdckpt_writer_set_attribute
            fdckpt_writer_commit fdckpt_writer_abort fdckpt_writer_free;
        checkpoint_reader:
            fdckpt_reader_open fdckpt_reader_open_fd fdckpt_reader_open_memory fdckpt_reader_free fdckpt_reader_read
            fdckpt_reader_read_index fdckpt_reader_read_range fdckpt_reader_read_many fdckpt_reader_map
            fdckpt_reader_region_count fdckpt_reader_info fdckpt_reader_region_at fdckpt_reader_find_region
            fdckpt_reader_frame_at fdckpt_reader_get_attribute fdckpt_reader_attribute_at;
        checkpoint_verify:
            fdckpt_reader_verify fdckpt_salvage_file;
        threads:
            fdckpt_parallel_stats fdckpt_thread_pool_set_current fdckpt_thread_pool_free;
        frames:
            fdckpt_frames_bound fdckpt_frames_write_memory fdckpt_frames_write_stream fdckpt_frames_write_file
            fdckpt_frames_read_memory fdckpt_frames_read_file;
        container:
            fdckpt_container_probe fdckpt_container_parse fdckpt_container_free fdckpt_container_set
            fdckpt_container_set_borrowed fdckpt_container_remove fdckpt_container_find fdckpt_container_section_count
            fdckpt_container_version fdckpt_container_section_info fdckpt_container_section_data
            fdckpt_container_serialized_size fdckpt_container_serialize fdckpt_container_write fdckpt_container_append
            fdckpt_container_verify;
        block_index:
            fdckpt_block_index_read fdckpt_block_index_decode fdckpt_block_index_encode;
        fti:
            fdckpt_fti_free fdckpt_fti_protect fdckpt_fti_unprotect fdckpt_fti_checkpoint fdckpt_fti_update
            fdckpt_fti_prepare fdckpt_fti_resolve fdckpt_fti_transaction_state fdckpt_fti_size fdckpt_fti_recover
            fdckpt_fti_recover_var fdckpt_fti_file_variable_size;
        fti_file:
            fdckpt_fti_file_open fdckpt_fti_file_free fdckpt_fti_file_header fdckpt_fti_file_variable
            fdckpt_fti_file_container fdckpt_fti_file_extract fdckpt_fti_file_verify fdckpt_fti_file_diff
            fdckpt_fti_file_convert fdckpt_fti_file_repair;
        inflate:
            fdckpt_inflate_init fdckpt_inflate fdckpt_inflate_checkpoint_bound fdckpt_inflate_checkpoint
            fdckpt_inflate_restore fdckpt_inflate_reset fdckpt_inflate_end;
        inflate_index:
            fdckpt_inflate_index_save fdckpt_inflate_index_read fdckpt_inflate_index_info fdckpt_inflate_index_free;
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
        common: fdckpt_version();
        common: fdckpt_last_error();
        common: fdckpt_set_log_callback(callback, context);
        common: fdckpt_remove_temp_files();
        threads: fdckpt_set_max_threads(threads);
        threads: fdckpt_thread_pool_new(threads);
        container: fdckpt_container_new();
        container: fdckpt_container_open(fd);
        fti: fdckpt_fti_new();
        inflate_index: fdckpt_inflate_index_build(fd, start_offset, size, format, interval, output_fd);
        inflate_index: fdckpt_inflate_index_load(index_fd, fd, start_offset, size);
    }
}
