//! Restoring a large buffer from a file by two threads: one reads ahead while the other decompresses.
//!
//! All that is read goes to the restore's I/O buffer, so no more than that is ever taken from the file beyond what was restored. It is used as
//! two *pieces*: while the chunks in one are decompressed, the other is filled. A chunk that does not end in its piece is continued
//! in the next: each has room for the begin of one in front.
//!
//! Only of files, where reading does not wait for somebody who may be waiting for us.

use std::ops::Range;

use super::error::Error;
use super::source::{NOT_SEEKABLE, Stream, chunk_size};
use super::{CHUNK_HEADER, CHUNK_MAX, chunk_bound};
use crate::bytes::end_of;
use crate::error_base::IoOperation;
use crate::sync::on_drop::OnDrop;
use crate::sys::cond_mutex::CondMutex;
use crate::sys::errno::Errno;
use crate::sys::fd;
use crate::sys::lz4::DecompressInPlace;
use crate::sys::threads;

/// Room in front of a piece for what is left of the one before: less than a chunk.
const FRONT: usize = chunk_bound(CHUNK_MAX);

/// An I/O buffer has at least so many bytes where this is to be of use.
const BUFFER_MIN: usize = 4 * FRONT;

/// A buffer of which at least so much is left is worth a thread.
const WORTH_IT: usize = 4 << 20;

/// Half of the I/O buffer.
struct Piece<'b> {
    bytes: &'b mut [u8],
    /// Whether it is the second half.
    second: bool,
    /// What of it is not used yet.
    lo: usize,
    hi: usize,
    /// Why there is no more: an error, or the end of the file.
    end: Option<Option<Errno>>,
}

impl Piece<'_> {
    /// Fills what is behind the front. What comes before an error counts, and may be all that is asked for.
    fn fill(&mut self, stream_fd: std::os::fd::BorrowedFd<'_>) {
        (self.lo, self.hi, self.end) = (FRONT, FRONT, None);
        while self.end.is_none() && self.hi < self.bytes.len() {
            match fd::read_at_least(stream_fd, &mut self.bytes[self.hi..], &mut [], 1) {
                Ok(0) => self.end = Some(None),
                Ok(got) => self.hi += got,
                Err(errno) => self.end = Some(Some(errno)),
            }
        }
    }

    fn left(&self) -> usize {
        self.hi - self.lo
    }
}

/// What the two threads share: the piece that is not in use.
struct Shared<'b> {
    empty: Option<Piece<'b>>,
    full: Option<Piece<'b>>,
    stop: bool,
    /// The other thread has panicked, and the piece is gone with it.
    lost: bool,
}

/// Whether what is left of a buffer, so many bytes, is worth it.
pub(super) fn is_worth_it(stream: &Stream<'_>, left: usize, threads: usize) -> bool {
    left >= WORTH_IT
        && stream.size != NOT_SEEKABLE
        && !stream.at_offset
        && stream.buffer.len() >= BUFFER_MIN
        // What was read before is used first.
        && *stream.ready < FRONT as u64
        && threads::resolve_thread_count(threads) > 1
}

/// Decompresses all that is left of a buffer.
pub(super) fn decompress(
    stream: &mut Stream<'_>,
    lz4: &mut DecompressInPlace<'_, '_>,
    corrupt: &'static str,
) -> Result<(), Error> {
    let (lo, ready) = (*stream.lo as usize, *stream.ready as usize);
    // The members may be anything, being in a C host's memory.
    if stream.buffer.get(lo..).is_none_or(|read| read.len() < ready) {
        return Err(Error::Internal);
    }
    stream.buffer.copy_within(lo..lo + ready, 0);
    let half = stream.buffer.len() / 2;
    let (first, second) = stream.buffer.split_at_mut(half);
    let mut current = Piece { bytes: first, second: false, lo: 0, hi: ready, end: None };
    let empty = Piece { bytes: &mut second[..half], second: true, lo: 0, hi: 0, end: None };
    let mut shared = CondMutex::new(Shared { empty: Some(empty), full: None, stop: false, lost: false });
    let (fd, offset) = (stream.fd, &mut *stream.offset);

    let result = threads::scope_with_helpers(1, &|| read_ahead(&shared, fd), || {
        let _stop = OnDrop::new(|| {
            shared.lock().stop = true;
            shared.notify_all();
        });
        while lz4.remaining() > 0 {
            let len = lz4.remaining().min(CHUNK_MAX);
            let damaged = |what| Error::Corrupt { offset: *offset, reason: what };
            make_ready(&mut current, &shared, fd, CHUNK_HEADER, *offset)?;
            let size = chunk_size(&current.bytes[current.lo..current.hi], chunk_bound(len)).map_err(damaged)?;
            make_ready(&mut current, &shared, fd, size, *offset)?;
            let chunk = &current.bytes[current.lo..current.lo + size];
            lz4.decompress(len, &chunk[CHUNK_HEADER..]).ok_or(damaged(corrupt))?;
            *offset = end_of(*offset, size as u64)?;
            current.lo += size;
        }
        Ok(())
    });

    let full = shared.get_mut().full.take().map(|piece| piece.lo..piece.hi);
    let (in_second, used) = (current.second, current.lo..current.hi);
    drop(shared);
    let ready = join(stream.buffer, half, in_second, used, full);
    (*stream.lo, *stream.ready) = (ready.start as u64, ready.len() as u64);
    result
}

/// Brings what was read and not used into one piece: first what is left in one half of the buffer, then the other half's, if there is any.
/// Places are those in the halves. Returns where it is then.
fn join(buffer: &mut [u8], half: usize, in_second: bool, left: Range<usize>, other: Option<Range<usize>>) -> Range<usize> {
    let left = if in_second { half + left.start..half + left.end } else { left };
    match other {
        None => left,
        Some(other) if in_second => {
            // Behind the first half's, and then before it.
            let (count, end) = (other.len(), other.end + left.len());
            buffer.copy_within(left, other.end);
            buffer[other.start..end].rotate_left(count);
            other.start..end
        }
        Some(other) => {
            buffer.copy_within(half + other.start..half + other.end, left.end);
            left.start..left.end + other.len()
        }
    }
}

/// Sees to it that the current piece has `size` bytes, which the file has from `offset` on.
fn make_ready<'b>(
    current: &mut Piece<'b>,
    shared: &CondMutex<Shared<'b>>,
    fd: std::os::fd::BorrowedFd<'_>,
    size: usize,
    offset: u64,
) -> Result<(), Error> {
    while current.left() < size {
        let left = current.left();
        let offset = offset.saturating_add(left as u64);
        match current.end {
            Some(None) => return Err(Error::UnexpectedEof { offset, missing: (size - left) as u64 }),
            Some(Some(errno)) => return Err(IoOperation::Read.failed_at(offset)(errno).into()),
            None => {}
        }
        let mut next = next_piece(shared, fd)?;
        next.lo = FRONT - left;
        next.bytes[next.lo..FRONT].copy_from_slice(&current.bytes[current.lo..current.hi]);
        let used = std::mem::replace(current, next);
        let mut shared_now = shared.lock();
        shared_now.empty = Some(used);
        drop(shared_now);
        shared.notify_all();
    }
    Ok(())
}

/// The piece that the other thread has filled. If it has not begun, or there is none, this one does.
fn next_piece<'b>(shared: &CondMutex<Shared<'b>>, fd: std::os::fd::BorrowedFd<'_>) -> Result<Piece<'b>, Error> {
    let mut now = shared.lock();
    loop {
        if let Some(full) = now.full.take() {
            return Ok(full);
        }
        if let Some(mut empty) = now.empty.take() {
            drop(now);
            empty.fill(fd);
            return Ok(empty);
        }
        if now.lost {
            return Err(Error::Internal);
        }
        now.wait();
    }
}

/// What the other thread does.
fn read_ahead(shared: &CondMutex<Shared<'_>>, fd: std::os::fd::BorrowedFd<'_>) {
    let mut now = shared.lock();
    while !now.stop {
        let Some(mut piece) = now.empty.take() else {
            now.wait();
            continue;
        };
        drop(now);
        let lose = OnDrop::new(|| lose_piece(shared));
        piece.fill(fd);
        lose.disarm();
        let ended = piece.end.is_some();
        now = shared.lock();
        now.full = Some(piece);
        shared.notify_all();
        if ended {
            return;
        }
    }
}

/// Reports that the other thread has panicked.
fn lose_piece(shared: &CondMutex<Shared<'_>>) {
    shared.lock().lost = true;
    shared.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    /// Calls `with` with a restore of a file by a buffer of this size, of which so many bytes are ready.
    fn with_stream<R>(buffer: usize, ready: u64, with: impl FnOnce(&mut Stream<'_>) -> R) -> R {
        let file = tempfile::tempfile().unwrap();
        let (mut offset, mut lo, mut ready, mut buffer) = (0, 0, ready, vec![0; buffer]);
        let (offset, lo, ready) = (&mut offset, &mut lo, &mut ready);
        with(&mut Stream { fd: file.as_fd(), at_offset: false, size: 1 << 40, offset, buffer: &mut buffer, lo, ready })
    }

    /// What [`set_threads`](crate::set_threads) says.
    #[test]
    fn two_threads_for_large_buffers_from_files_by_large_enough_a_buffer() {
        let is_worth_it = |buffer, ready, left, threads| with_stream(buffer, ready, |stream| is_worth_it(stream, left, threads));
        assert!(is_worth_it(BUFFER_MIN, 0, WORTH_IT, 2) && is_worth_it(2 * BUFFER_MIN, FRONT as u64 - 1, 2 * WORTH_IT, 9));
        assert!(!is_worth_it(BUFFER_MIN, 0, WORTH_IT, 1) && !is_worth_it(BUFFER_MIN, 0, WORTH_IT - 1, 2));
        assert!(!is_worth_it(BUFFER_MIN - 1, 0, WORTH_IT, 2), "too small");
        assert!(!is_worth_it(BUFFER_MIN, FRONT as u64, WORTH_IT, 2), "first what was read before");
        with_stream(BUFFER_MIN, 0, |stream| {
            stream.at_offset = true;
            assert!(!super::is_worth_it(stream, WORTH_IT, 2), "it has no position");
            (stream.at_offset, stream.size) = (false, NOT_SEEKABLE);
            assert!(!super::is_worth_it(stream, WORTH_IT, 2), "a pipe");
        });
    }

    #[test]
    fn the_other_thread_reads_until_the_file_ends() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10]).unwrap();
        file.rewind().unwrap();
        let mut bytes = vec![0; FRONT + 100];
        let empty = Piece { bytes: &mut bytes, second: false, lo: 0, hi: 0, end: None };
        let shared = CondMutex::new(Shared { empty: Some(empty), full: None, stop: false, lost: false });
        read_ahead(&shared, file.as_fd());
        let full = shared.lock().full.take().unwrap();
        assert_eq!((&full.bytes[full.lo..full.hi], full.end), (&[7; 10][..], Some(None)));
    }

    #[test]
    fn a_panic_of_the_other_thread_is_noticed() {
        let file = tempfile::tempfile().unwrap();
        let shared = CondMutex::new(Shared { empty: None, full: None, stop: false, lost: false });
        lose_piece(&shared);
        assert!(matches!(next_piece(&shared, file.as_fd()), Err(Error::Internal)));
    }

    #[test]
    fn what_is_left_comes_to_lie_in_one_piece() {
        // Each byte says where it was.
        let buffer: Vec<u8> = (0..100).collect();
        let joined = |in_second, left: Range<usize>, other: Option<Range<usize>>| {
            let mut buffer = buffer.clone();
            let ready = join(&mut buffer, 50, in_second, left, other);
            buffer[ready].to_vec()
        };
        let bytes = |first: Range<u8>, second: Range<u8>| first.chain(second).collect::<Vec<u8>>();
        assert_eq!(joined(false, 10..30, None), bytes(10..30, 0..0));
        assert_eq!(joined(true, 10..30, None), bytes(60..80, 0..0));
        assert_eq!(joined(false, 10..50, Some(20..50)), bytes(10..50, 70..100));
        assert_eq!(joined(false, 10..10, Some(20..30)), bytes(70..80, 0..0));
        assert_eq!(joined(true, 0..50, Some(20..50)), bytes(50..100, 20..50));
        assert_eq!(joined(true, 5..50, Some(20..33)), bytes(55..100, 20..33));
        assert_eq!(joined(true, 50..50, Some(20..50)), bytes(20..50, 0..0));
        assert_eq!(joined(true, 30..50, Some(20..20)), bytes(80..100, 0..0));
    }
}
