//! Restores a large buffer from a file on two threads: one reads ahead while the other decompresses.
//!
//! The two halves of the I/O buffer form a double buffer: while the chunks in one half are decompressed, the other half is
//! filled. So the position of the file is never further ahead of the restored data than the size of the I/O buffer. A
//! chunk that crosses the end of a half is completed in the next one: each half keeps space for the start of such a chunk.
//!
//! Pipes and sockets are not read ahead: reading could wait for a peer that waits for the caller.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::error::Error;
use super::source::{NOT_SEEKABLE, Stream, chunk_size};
use super::{CHUNK_HEADER_SIZE, CHUNK_MAX, chunk_bound};
use crate::bytes::end_of;
use crate::error_base::IoOperation;
use crate::sync::on_drop::OnDrop;
use crate::sys::cond_mutex::CondMutex;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::lz4::DecompressInPlace;
use crate::sys::threads;

/// Space in bytes at the start of a half for the incomplete chunk at the end of the other half.
const CARRY_OVER_MAX: usize = chunk_bound(CHUNK_MAX);

/// Minimum size in bytes of an I/O buffer for reading ahead.
const READAHEAD_BUFFER_MIN: usize = 4 * CARRY_OVER_MAX;

/// Minimum number of bytes left to restore that are worth starting a thread.
const READAHEAD_MIN: usize = 4 << 20;

/// One half of the I/O buffer.
struct HalfBuffer<'b> {
    bytes: &'b mut [u8],
    is_second: bool,
    /// Offsets of the unused bytes.
    start: usize,
    end: usize,
    /// Set if nothing more can be read: an error, or `None` at the end of the file.
    stopped_by: Option<Option<Errno>>,
}

impl HalfBuffer<'_> {
    /// Fills the half after the carry-over space. Bytes read before an error are kept: they may be all that is needed.
    fn fill(&mut self, fd: BorrowedFd<'_>) {
        (self.start, self.end, self.stopped_by) = (CARRY_OVER_MAX, CARRY_OVER_MAX, None);
        while self.stopped_by.is_none() && self.end < self.bytes.len() {
            match fd::read_at_least(fd, &mut self.bytes[self.end..], &mut [], 1) {
                Ok(0) => self.stopped_by = Some(None),
                Ok(count) => self.end += count,
                Err(errno) => self.stopped_by = Some(Some(errno)),
            }
        }
    }

    fn remaining(&self) -> usize {
        self.end - self.start
    }
}

/// State shared by the two threads: the half that is not being decompressed.
struct DoubleBuffer<'b> {
    empty: Option<HalfBuffer<'b>>,
    full: Option<HalfBuffer<'b>>,
    stop: bool,
    /// Set if the reading thread panicked while it had the half.
    reader_panicked: bool,
}

/// Returns whether the last `remaining` bytes of a buffer should be restored with a thread that reads ahead.
pub(super) fn should_read_ahead(stream: &Stream<'_>, remaining: usize, threads: usize) -> bool {
    remaining >= READAHEAD_MIN
        && stream.size != NOT_SEEKABLE
        && !stream.positioned
        && stream.buffer.len() >= READAHEAD_BUFFER_MIN
        // More buffered bytes would not fit into the carry-over space; they are used first.
        && *stream.available < CARRY_OVER_MAX as u64
        && threads::resolve_thread_count(threads) > 1
}

/// Decompresses the rest of a buffer, while another thread reads the file.
pub(super) fn decompress(
    stream: &mut Stream<'_>,
    lz4: &mut DecompressInPlace<'_, '_>,
    corrupt: &'static str,
) -> Result<(), Error> {
    let (pos, available) = (*stream.pos as usize, *stream.available as usize);
    // Both are in the caller's memory, so they may have any value.
    if stream.buffer.get(pos..).is_none_or(|buffered| buffered.len() < available) {
        return Err(Error::Internal);
    }
    stream.buffer.copy_within(pos..pos + available, 0);
    let half = stream.buffer.len() / 2;
    let (first, second) = stream.buffer.split_at_mut(half);
    let mut current = HalfBuffer { bytes: first, is_second: false, start: 0, end: available, stopped_by: None };
    let empty = HalfBuffer { bytes: &mut second[..half], is_second: true, start: 0, end: 0, stopped_by: None };
    let mut shared = CondMutex::new(DoubleBuffer { empty: Some(empty), full: None, stop: false, reader_panicked: false });
    let (fd, offset) = (stream.fd, &mut *stream.offset);

    let result = threads::scope_with_helpers(1, &|| read_ahead(&shared, fd), || {
        let _stop = OnDrop::new(|| {
            shared.lock().stop = true;
            shared.notify_all();
        });
        while lz4.remaining() > 0 {
            let len = lz4.remaining().min(CHUNK_MAX);
            let corrupt_chunk = |reason| Error::Corrupt { offset: *offset, reason };
            ensure_available(&mut current, &shared, fd, CHUNK_HEADER_SIZE, *offset)?;
            let size = chunk_size(&current.bytes[current.start..current.end], chunk_bound(len)).map_err(corrupt_chunk)?;
            ensure_available(&mut current, &shared, fd, size, *offset)?;
            let chunk = &current.bytes[current.start..current.start + size];
            lz4.decompress(len, &chunk[CHUNK_HEADER_SIZE..]).ok_or(corrupt_chunk(corrupt))?;
            *offset = end_of(*offset, size as u64)?;
            current.start += size;
        }
        Ok(())
    });

    let full = shared.get_mut().full.take().map(|half| half.start..half.end);
    let (in_second, current) = (current.is_second, current.start..current.end);
    drop(shared);
    let buffered = coalesce(stream.buffer, half, in_second, current, full);
    (*stream.pos, *stream.available) = (buffered.start as u64, buffered.len() as u64);
    result
}

/// Moves the unused bytes together: those of the current half, followed by those of the other half, if any. Ranges are
/// relative to their half. Returns the range of all in `buffer`.
fn coalesce(buffer: &mut [u8], half: usize, in_second: bool, current: Range<usize>, other: Option<Range<usize>>) -> Range<usize> {
    let current = if in_second { half + current.start..half + current.end } else { current };
    match other {
        None => current,
        Some(other) if in_second => {
            // The current bytes are copied after those of the first half, then the two are swapped.
            let (count, end) = (other.len(), other.end + current.len());
            buffer.copy_within(current, other.end);
            buffer[other.start..end].rotate_left(count);
            other.start..end
        }
        Some(other) => {
            buffer.copy_within(half + other.start..half + other.end, current.end);
            current.start..current.end + other.len()
        }
    }
}

/// Ensures that the current half has at least `size` unused bytes, which are at `offset` in the file.
fn ensure_available<'b>(
    current: &mut HalfBuffer<'b>,
    shared: &CondMutex<DoubleBuffer<'b>>,
    fd: BorrowedFd<'_>,
    size: usize,
    offset: u64,
) -> Result<(), Error> {
    while current.remaining() < size {
        let remaining = current.remaining();
        let offset = offset.saturating_add(remaining as u64);
        match current.stopped_by {
            Some(None) => return Err(Error::UnexpectedEof { offset, missing: (size - remaining) as u64 }),
            Some(Some(errno)) => return Err(IoOperation::Read.failed_at(offset)(errno).into()),
            None => {}
        }
        let mut next = next_full(shared, fd)?;
        next.start = CARRY_OVER_MAX - remaining;
        next.bytes[next.start..CARRY_OVER_MAX].copy_from_slice(&current.bytes[current.start..current.end]);
        let used = std::mem::replace(current, next);
        let mut locked = shared.lock();
        locked.empty = Some(used);
        drop(locked);
        shared.notify_all();
    }
    Ok(())
}

/// Returns the half that the reading thread filled. Fills it here if that thread has not begun, or does not exist.
fn next_full<'b>(shared: &CondMutex<DoubleBuffer<'b>>, fd: BorrowedFd<'_>) -> Result<HalfBuffer<'b>, Error> {
    let mut locked = shared.lock();
    loop {
        if let Some(full) = locked.full.take() {
            return Ok(full);
        }
        if let Some(mut empty) = locked.empty.take() {
            drop(locked);
            empty.fill(fd);
            return Ok(empty);
        }
        if locked.reader_panicked {
            return Err(Error::Internal);
        }
        locked.wait();
    }
}

/// Runs the reading thread: fills halves until the file ends or decompression does.
fn read_ahead(shared: &CondMutex<DoubleBuffer<'_>>, fd: BorrowedFd<'_>) {
    let mut locked = shared.lock();
    while !locked.stop {
        let Some(mut half) = locked.empty.take() else {
            locked.wait();
            continue;
        };
        drop(locked);
        let on_panic = OnDrop::new(|| report_reader_panic(shared));
        half.fill(fd);
        on_panic.disarm();
        let ended = half.stopped_by.is_some();
        locked = shared.lock();
        locked.full = Some(half);
        shared.notify_all();
        if ended {
            return;
        }
    }
}

/// Reports that the reading thread panicked, so that the half it had will not come back.
fn report_reader_panic(shared: &CondMutex<DoubleBuffer<'_>>) {
    shared.lock().reader_panicked = true;
    shared.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    /// Calls `with` with a file stream that has an I/O buffer of this size and number of buffered bytes.
    fn with_stream<R>(buffer: usize, available: u64, with: impl FnOnce(&mut Stream<'_>) -> R) -> R {
        let file = tempfile::tempfile().unwrap();
        let (mut offset, mut pos, mut available, mut buffer) = (0, 0, available, vec![0; buffer]);
        let (offset, pos, available) = (&mut offset, &mut pos, &mut available);
        with(&mut Stream { fd: file.as_fd(), positioned: false, size: 1 << 40, offset, buffer: &mut buffer, pos, available })
    }

    /// As documented for [`set_max_threads`](crate::set_max_threads).
    #[test]
    fn large_buffers_from_files_are_read_ahead() {
        const BUFFER: usize = READAHEAD_BUFFER_MIN;
        let reads_ahead = |buffer, available, remaining, threads| {
            with_stream(buffer, available, |stream| should_read_ahead(stream, remaining, threads))
        };
        assert!(reads_ahead(BUFFER, 0, READAHEAD_MIN, 2));
        assert!(reads_ahead(2 * BUFFER, CARRY_OVER_MAX as u64 - 1, 2 * READAHEAD_MIN, 9));
        assert!(!reads_ahead(BUFFER, 0, READAHEAD_MIN, 1), "one thread");
        assert!(!reads_ahead(BUFFER, 0, READAHEAD_MIN - 1, 2), "buffer too small");
        assert!(!reads_ahead(BUFFER - 1, 0, READAHEAD_MIN, 2), "I/O buffer too small");
        assert!(!reads_ahead(BUFFER, CARRY_OVER_MAX as u64, READAHEAD_MIN, 2), "buffered bytes are used first");
        with_stream(BUFFER, 0, |stream| {
            stream.positioned = true;
            assert!(!should_read_ahead(stream, READAHEAD_MIN, 2), "pread(2) does not move a position");
            (stream.positioned, stream.size) = (false, NOT_SEEKABLE);
            assert!(!should_read_ahead(stream, READAHEAD_MIN, 2), "a pipe");
        });
    }

    #[test]
    fn reading_thread_stops_at_the_end_of_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10]).unwrap();
        file.rewind().unwrap();
        let mut bytes = vec![0; CARRY_OVER_MAX + 100];
        let empty = HalfBuffer { bytes: &mut bytes, is_second: false, start: 0, end: 0, stopped_by: None };
        let shared = CondMutex::new(DoubleBuffer { empty: Some(empty), full: None, stop: false, reader_panicked: false });
        read_ahead(&shared, file.as_fd());
        let full = shared.lock().full.take().unwrap();
        assert_eq!((&full.bytes[full.start..full.end], full.stopped_by), (&[7; 10][..], Some(None)));
    }

    #[test]
    fn panic_of_the_reading_thread_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let shared = CondMutex::new(DoubleBuffer { empty: None, full: None, stop: false, reader_panicked: false });
        report_reader_panic(&shared);
        assert!(matches!(next_full(&shared, file.as_fd()), Err(Error::Internal)));
    }

    #[test]
    fn unused_bytes_of_both_halves_are_coalesced() {
        // Each byte is its own offset.
        let buffer: Vec<u8> = (0..100).collect();
        let coalesced = |in_second, current: Range<usize>, other: Option<Range<usize>>| {
            let mut buffer = buffer.clone();
            let all = coalesce(&mut buffer, 50, in_second, current, other);
            buffer[all].to_vec()
        };
        let bytes = |first: Range<u8>, second: Range<u8>| first.chain(second).collect::<Vec<u8>>();
        assert_eq!(coalesced(false, 10..30, None), bytes(10..30, 0..0));
        assert_eq!(coalesced(true, 10..30, None), bytes(60..80, 0..0));
        assert_eq!(coalesced(false, 10..50, Some(20..50)), bytes(10..50, 70..100));
        assert_eq!(coalesced(false, 10..10, Some(20..30)), bytes(70..80, 0..0));
        assert_eq!(coalesced(true, 0..50, Some(20..50)), bytes(50..100, 20..50));
        assert_eq!(coalesced(true, 5..50, Some(20..33)), bytes(55..100, 20..33));
        assert_eq!(coalesced(true, 50..50, Some(20..50)), bytes(20..50, 0..0));
        assert_eq!(coalesced(true, 30..50, Some(20..20)), bytes(80..100, 0..0));
    }
}
