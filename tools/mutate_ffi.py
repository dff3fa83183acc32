#!/usr/bin/env python3
"""Mutations by hand for the code that cargo-mutants passes over: exported and other unsafe functions.

Each is applied to a copy of the repository, one at a time; the quick tests must notice it.
Usage: tools/mutate_ffi.py FOLDER_FOR_THE_COPY CARGO_TEST_ARGUMENTS...
"""

import os
import pathlib
import shutil
import subprocess
import sys

# File below src, what stands there, what is put in its place, which occurrence (from 0).
MUTATIONS = [
    ("capi/fd_checkpt.rs", "checkpt, BufferKind::Meta,", "checkpt, BufferKind::Data,", 0),
    ("capi/fd_checkpt.rs", "checkpt, BufferKind::Data,", "checkpt, BufferKind::Meta,", 0),
    ("capi/fd_checkpt.rs", "restore, BufferKind::Meta,", "restore, BufferKind::Data,", 0),
    ("capi/fd_checkpt.rs", "restore, BufferKind::Data,", "restore, BufferKind::Meta,", 0),
    ("capi/fd_checkpt.rs", "_off.write_unaligned(off);", "", 0),
    ("capi/fd_checkpt.rs", "_off.write_unaligned(off);", "", 1),
    ("capi/fd_checkpt.rs", "_off.write_unaligned(off);", "", 2),
    ("capi/fd_checkpt.rs", "_off.write_unaligned(off);", "", 3),
    ("capi/fd_checkpt.rs", "Ok(ffi::ensure_non_null(_off, NULL_OFF)?)", "Ok(())", 0),
    ("capi/fd_checkpt.rs", "Ok(ffi::ensure_non_null(_off, NULL_OFF)?)", "Ok(())", 3),
    ("capi/fd_checkpt.rs", "encoder.finish()", "Ok(())", 0),
    ("capi/fd_checkpt.rs", "decoder.finish()", "Ok(())", 0),
    ("capi/fd_checkpt.rs", "decoder.seek(off)", "Ok(())", 0),
    ("capi/fd_checkpt.rs", "check_stream(fd, wbuf, wbuf_sz)?;", "", 0),
    ("capi/fd_checkpt.rs", "check_stream(fd, rbuf, rbuf_sz)?;", "", 0),
    ("capi/fd_checkpt.rs", "check_region(mmio, mmio_sz)?;", "", 0),
    ("capi/fd_checkpt.rs", "check_region(mmio, mmio_sz)?;", "", 1),
    ("capi/fd_checkpt.rs", "if mmio_sz > source::SIZE_MAX", "if false", 0),
    ("capi/fd_checkpt.rs", "(*checkpt).off = 0;", "", 0),
    ("capi/fd_checkpt.rs", "(*restore).off = off;", "(*restore).off = 0;", 0),
    ("capi/ffi.rs", "H::release(handle);", "", 0),
    ("capi/ffi.rs", "H::fail(handle);\n    }\n    pointer.cast()", "}\n    pointer.cast()", 0),
    ("capi/fd_checkpt_types.rs", "(*handle.as_ptr()).frame_style = FrameState::FAILED", "_ = handle", 0),
    ("capi/fd_checkpt_types.rs", "(*handle.as_ptr()).frame_style = FrameState::FAILED", "_ = handle", 1),
    ("capi/ffi.rs", "drop(unsafe { box_from_raw(", "std::mem::forget(unsafe { box_from_raw(", 0),
    ("capi/ffi.rs", "if sz > isize::MAX as usize", "if false", 0),
    ("capi/container.rs", "write_slice(handle.container.get(kind(r#type)?)?, out_data, out_size);", "_ = (out_data, out_size, kind(r#type)?);", 0),
    ("capi/container.rs", "write_slice(section.data()?, out_data, out_size);", "write_slice(&[], out_data, out_size);", 0),
    ("capi/container.rs", "if data.is_empty()", "if false", 0),
    ("capi/container.rs", "Ok(handle.container.set(kind, copy)?)", "_ = (kind, copy, handle);\n            Ok(())", 0),
    ("capi/container.rs", "handle.container.set(kind, data)", "handle.container.set(kind, data.to_vec())", 0),
    ("capi/container.rs", "Ok(handle.container.append_to(ffi::borrow_fd(fd)?).map(drop)?)", "_ = handle;\n            Ok(ffi::borrow_fd(fd).map(drop)?)", 0),
    ("capi/container.rs", "Ok(handle.container.write_to(ffi::borrow_fd(fd)?).map(drop)?)", "_ = handle;\n            Ok(ffi::borrow_fd(fd).map(drop)?)", 0),
    ("capi/container.rs", "_map: Some(map)", "_map: None", 0),
    ("capi/container.rs", "needed, .. }) => out_size.write_unaligned(needed as usize)", ".. }) => ()", 0),
    ("capi/ffi.rs", "if fd < 0 {", "if false {", 0),
    ("capi/fti.rs", "fti.writer = writer;", "drop(writer);", 0),
    ("capi/fti.rs", "checkpoint.recover(&mut variables, threads)?;", "", 0),
    ("capi/fti.rs", "Some(existing) => *existing = variable,", "Some(_) => {}", 0),
    ("capi/fti.rs", "options.sync = sync(from.sync)?;", "", 0),
    ("capi/fti_file.rs", "out_count.write_unaligned(count)", "_ = count", 0),
    ("capi/fti_file.rs", "if verdict.is_sound()", "if true", 0),
    ("capi/block_index.rs", "if count < capacity {", "if true {", 0),
    ("capi/block_index.rs", "if let Some(stop) = stop {", "if let Some(stop) = stop.filter(|_| false) {", 0),
    ("capi/block_index.rs", "if !out_blocks.is_null() && count > capacity", "if false", 0),
    ("capi/block_index.rs", "let fits = needed <= rest.len();", "let fits = true;", 0),
    ("capi/frames.rs", "settings = settings.at(offset).with_history(lz4_state)?;", "_ = (offset, lz4_state);", 0),
    ("capi/frames.rs", ".begin_offset = frame.range().start;", ".begin_offset = 0;", 0),
    ("capi/frames.rs", "| Error::OutOfMemory }) => frame,", "| Error::OutOfMemory }) => frame * 0,", 0),
    ("capi/frames.rs", "lz4_state: settings.history() }", "lz4_state: 0 }", 0),
    ("capi/frames.rs", "out_size.write_unaligned(sum)", "_ = sum", 0),
    ("capi/threads.rs", "before.byte_sub(offset_of!(fdckpt_thread_pool_t, pool)).cast_mut().cast()", "ptr::null_mut()", 0),
    ("capi/checkpoint_writer.rs", "WriterOptions::new().style(FrameStyle::from_c_arg(options.style)?);", "WriterOptions::new();\n        FrameStyle::from_c_arg(options.style)?;", 0),
    ("capi/checkpoint_writer.rs", "options.no_checksums == 0", "true", 0),
    ("capi/checkpoint_writer.rs", "with = with.progress(move |progress| callback.call(progress));", "_ = callback;", 0),
    ("capi/checkpoint_writer.rs", "writer.set_style(FrameStyle::from_c_arg(style)?)", "FrameStyle::from_c_arg(style).map(|_| _ = writer).map_err(Error::from)", 0),
    ("capi/checkpoint_writer.rs", "*handle.writer() = Err(error.clone());", "_ = error;", 0),
    ("capi/checkpoint_writer.rs", "drop(InUseGuard::begin(writer)?);", "", 0),
    ("capi/checkpoint_verify.rs", "if verdict.is_sound()", "if true", 0),
    ("capi/checkpoint_verify.rs", "with_issue(damage, |issue| callback(context, issue));", "_ = (&damage, callback, context);", 0),
    ("capi/checkpoint_reader.rs", "out_size.write_unaligned(data.len());\n            }", "}", 0),
    ("capi/struct_size.rs", "ptr::copy_nonoverlapping(from.add(first), to.add(first), count);", "_ = (from, to, count);", 0),
    ("capi/struct_size.rs", "ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);", "_ = known;", 0),
    ("capi/inflate.rs", "out_size.write_unaligned(needed as usize);", "_ = needed;", 0),
    ("capi/inflate.rs", "write_position(out_position, at);", "_ = at;", 0),
    ("capi/inflate_index.rs", "pointer.write_unaligned(value);", "_ = value;", 0),
    ("sys/fd.rs", "libc::ftruncate(fd.as_raw_fd(), size)", "libc::ftruncate(fd.as_raw_fd(), size + 1)", 0),
    ("sys/lz4/compress.rs", "ptr::copy_nonoverlapping(chunk.as_ptr(), src, chunk.len());", "", 0),
    ("sys/lz4/decompress.rs", "if usize::try_from(got) != Ok(len)", "if got < 0", 0),
]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    copy, arguments = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    shutil.rmtree(copy, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, copy / name)
    environment = dict(os.environ, FDCKPT_TEST_MODEL_CASES="200", FDCKPT_TEST_CORRUPTION_CASES="200")
    environment["CARGO_TARGET_DIR"] = str(copy / "target")

    def compiles():
        command = ["cargo", "check", "--quiet", "--lib"]
        return subprocess.run(command, cwd=copy, env=environment, capture_output=True).returncode == 0

    def tests_pass():
        command = ["cargo", "test", "--quiet", *arguments]
        try:
            return subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=300).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    if not tests_pass():
        sys.exit("the tests fail without any mutation")
    survived = 0
    for file, old, new, which in MUTATIONS:
        path = copy / "src" / file
        text = path.read_text()
        parts = text.split(old)
        if len(parts) < which + 2:
            sys.exit(f"{file} has not {which + 1} times: {old}")
        path.write_text(old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :]))
        if not compiles():
            sys.exit(f"{file} does not compile with: {new}")
        passed = tests_pass()
        path.write_text(text)
        survived += passed
        print(f"{'SURVIVED' if passed else 'caught'}: {file}: {old!r} number {which + 1} -> {new!r}", flush=True)
    print(f"mutations by hand: {len(MUTATIONS) - survived} passed, {survived} failed")
    sys.exit(survived > 0)


main()
