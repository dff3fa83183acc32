//! Compressing a large buffer on several threads, to the same bytes as on one.
//!
//! What becomes of a chunk depends on the state that all chunks before it have left in LZ4's hash table. But only positions of the last
//! 64 KiB count, so the state soon forgets where it came from: a stream that begins some chunks early mostly has the true state where it
//! matters. So the buffer is cut into *segments*. Each helper takes one ahead, begins [`WARM_UP`] chunks before it, throws away what comes
//! of these, and compresses the segment to memory, noting the state at its beginning and every [`MARK_EVERY`] chunks.
//!
//! The thread that made the call never guesses, and waits only for helpers that get on. It goes through all chunks in order, from the true
//! state, and compresses them to where they belong; but where a helper's segment is there that went through this very state, the
//! rest of it is what would come out here too, and is taken instead. So a wrong guess costs nothing but the helper's time, and whatever
//! the data, the bytes are those of one thread.
//!
//! docs/design/parallel-compression.md has what it costs and gains.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::error::Error;
use super::segment_plan::{SEGMENT_MAX, SEGMENT_MIN, WARM_UP, WARM_UP_MAX, WORTH_IT, ahead, plan};
use super::sink::Sink;
use super::{CHUNK_HEADER, CHUNK_MAX, chunk_bound};
use crate::alloc::try_with_capacity;
use crate::bytes::put_u24;
use crate::sync::on_drop::OnDrop;
use crate::sys::cond_mutex::{CondMutex, CondMutexGuard};
use crate::sys::lz4::{CompressInPlace, RING_SIZE, Snapshot, SpeculativeCompressor, ring_position};
use crate::sys::mmap::{AnonymousMap, map_anonymous};
use crate::sys::threads;

/// In chunks, how often a segment's state is noted, so that what follows can still be used where its beginning can't.
pub(super) const MARK_EVERY: usize = 8;

/// Where no helper does a chunk in this time, which takes a tenth of it, none is waited for any more in the call.
const STANDSTILL: Duration = Duration::from_millis(1);

/// So many chunks of data that does not lend itself to it are compressed by one thread before it is tried again.
pub(super) const PATIENCE: usize = 2 * SEGMENT_MAX;

/// Allows each call up to `threads` threads, the caller's included; 0 stands for as many as there are processors. 1 is the default, or what
/// the environment variable `FDCKPT_THREADS` says when it is first of use.
///
/// More threads are used by [`Checkpt::data`](super::Checkpt::data) with a buffer of more than 3 MiB in an LZ4 frame: the checkpoint is the
/// same, byte for byte; and one more, which reads ahead, by [`Restore::data`](super::Restore::data) with one of at least 4 MiB, from a
/// file by an I/O buffer of at least 258 KiB. The threads are started by the call and are gone when it returns; if they can't be,
/// there are fewer. Each takes up to 20 MiB of memory, of which what is compressed is used. Holds for all of the process.
pub fn set_threads(threads: usize) {
    threads::set_max_threads(threads);
}

/// What was done on several threads since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParallelStats {
    /// Segments that were compressed ahead of what precedes them.
    pub segments: u64,
    /// Those of them that did not begin with the true state.
    pub mispredictions: u64,
    /// Bytes that were compressed before segments, to get to their state.
    pub warm_up_bytes: u64,
    /// Bytes that were compressed again after mispredictions.
    pub recompressed_bytes: u64,
}

static SEGMENTS: AtomicU64 = AtomicU64::new(0);
static MISPREDICTIONS: AtomicU64 = AtomicU64::new(0);
static WARM_UP_BYTES: AtomicU64 = AtomicU64::new(0);
static RECOMPRESSED_BYTES: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl ParallelStats {
    /// What was done so far, by all threads of the process.
    pub fn now() -> Self {
        Self {
            segments: SEGMENTS.load(Ordering::Relaxed),
            mispredictions: MISPREDICTIONS.load(Ordering::Relaxed),
            warm_up_bytes: WARM_UP_BYTES.load(Ordering::Relaxed),
            recompressed_bytes: RECOMPRESSED_BYTES.load(Ordering::Relaxed),
        }
    }
}

/// Compresses full chunks of what is left of the buffer on `threads` threads, as far as that is worth it and goes well; what is left
/// then is for the caller. Memory: two segments for each thread, of at most 9.1 MiB, of which what is compressed is used.
pub(super) fn compress(main: &mut CompressInPlace<'_, '_>, end: &mut Sink<'_>, threads: usize) -> Result<(), Error> {
    let chunks = main.remaining() / CHUNK_MAX;
    if threads < 2 || chunks < WORTH_IT {
        return Ok(());
    }
    // At the end of a region LZ4 is to judge what fits, one chunk after the other, of which there can be many yet.
    if end.make_room(chunk_bound(CHUNK_MAX))?.len() < chunk_bound(CHUNK_MAX) {
        return Ok(());
    }
    if SKIPPED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |skipped| skipped.checked_sub(1)).is_ok() {
        return Ok(());
    }
    let Some(board) = Board::new(main, plan(chunks, threads), threads) else { return Ok(()) };
    let result = threads::scope_with_helpers(board.helpers, &|| board.help(), || {
        let _stop = OnDrop::new(|| board.stop());
        board.write_in_order(main, end)
    });
    board.learn();
    result
}

/// After data that does not lend itself to it, so many times it is not tried, as other data of the program may be the same: once, the next
/// time twice as often.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);
static TO_SKIP: AtomicUsize = AtomicUsize::new(0);
const SKIP_MAX: usize = 16;

/// Where in the ring the next chunk goes after `chunks` full ones.
fn cursor_after(mut cursor: usize, mut chunks: usize) -> usize {
    while chunks > 0 {
        cursor = ring_position(cursor, CHUNK_MAX) + CHUNK_MAX;
        chunks -= 1;
        if cursor == CHUNK_MAX {
            chunks %= RING_SIZE / CHUNK_MAX;
        }
    }
    cursor
}

/// What the threads share in one call.
struct Board<'b> {
    buffer: &'b [u8],
    /// Where in the buffer the first segment begins, at least 64 KiB, and where in the ring.
    base: usize,
    cursor: usize,
    segments: Vec<usize>,
    helpers: usize,
    warm_up: AtomicUsize,
    /// How many chunks helpers have done, as a sign that they get on.
    progress: AtomicUsize,
    /// Whether the last guess was right, so that it is worth waiting for the next.
    trusted: AtomicBool,
    /// Whether any guess was right.
    right: AtomicBool,
    /// Of so many segments in a row nothing could be taken of what helpers made of them.
    useless: AtomicUsize,
    stop: AtomicBool,
    state: CondMutex<State>,
}

struct State {
    /// So many segments are written.
    written: usize,
    /// So many helpers are at work on one.
    busy: usize,
    /// A guess was right.
    is_proven: bool,
    slots: Vec<Slot>,
    /// Memory of segments that are written.
    spare: Vec<Output>,
    /// For so many more there can be memory.
    unmade: usize,
}

/// What has become of a segment.
enum Slot {
    Open,
    /// Kept for the thread that made the call, or taken by it.
    Kept,
    /// A helper is at it, or could not go on.
    Begun,
    Done(Output),
}

impl State {
    /// What a helper made of a segment, if it is through.
    fn take(&mut self, segment: usize) -> Option<Output> {
        match std::mem::replace(&mut self.slots[segment], Slot::Kept) {
            Slot::Done(output) => Some(output),
            other => {
                self.slots[segment] = other;
                None
            }
        }
    }

    /// Whether there is memory for another segment: more than for two of each thread there never is, also where helpers are late with theirs.
    fn has_memory(&self) -> bool {
        self.unmade > 0 || !self.spare.is_empty()
    }

    /// The first segments that nobody has begun.
    fn open(&self) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().enumerate().skip(self.written);
        slots.filter(|(_, slot)| matches!(slot, Slot::Open)).map(|(segment, _)| segment)
    }
}

/// A segment, compressed.
struct Output {
    /// The chunks are the first `len` bytes; there is more room behind.
    bytes: AnonymousMap,
    len: usize,
    /// The states that it went through, and how long it was then: where it began, after every [`MARK_EVERY`] chunks, and at its
    /// end. The first `marked` count.
    marks: Vec<(Snapshot, usize)>,
    marked: usize,
}

impl Output {
    /// Memory for a segment, or for any other of the board. `None` where memory is short.
    fn new(chunks: usize) -> Option<Self> {
        let mut marks = try_with_capacity(chunks.div_ceil(MARK_EVERY) + 1).ok()?;
        for _ in 0..marks.capacity() {
            marks.push((Snapshot::new()?, 0));
        }
        Some(Self { bytes: map_anonymous(chunks * chunk_bound(CHUNK_MAX))?, len: 0, marks, marked: 0 })
    }

    fn mark(&mut self, ahead: &SpeculativeCompressor<'_>) -> Option<()> {
        let (snapshot, len) = self.marks.get_mut(self.marked)?;
        ahead.snapshot(snapshot);
        *len = self.len;
        self.marked += 1;
        Some(())
    }

    fn marks(&self) -> &[(Snapshot, usize)] {
        &self.marks[..self.marked]
    }
}

impl<'b> Board<'b> {
    /// `None` where memory is short.
    fn new(main: &CompressInPlace<'b, '_>, segments: Option<Vec<usize>>, threads: usize) -> Option<Self> {
        let segments = segments?;
        let helpers = (threads - 1).min(segments.len() - 1);
        let (mut slots, mut spare) = (Vec::new(), Vec::new());
        slots.try_reserve_exact(segments.len()).ok()?;
        slots.resize_with(segments.len(), || Slot::Open);
        // The state before the first one can't be guessed: it is for the thread that made the call, whoever begins sooner.
        slots[0] = Slot::Kept;
        let unmade = ahead(helpers, true);
        spare.try_reserve_exact(unmade).ok()?;
        Some(Self {
            buffer: main.buffer(),
            base: main.done(),
            cursor: main.cursor(),
            segments,
            helpers,
            warm_up: AtomicUsize::new(WARM_UP),
            progress: AtomicUsize::new(0),
            trusted: AtomicBool::new(true),
            right: AtomicBool::new(false),
            useless: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            state: CondMutex::new(State { written: 0, busy: 0, is_proven: false, slots, spare, unmade }),
        })
    }

    /// The chunks of a segment: the first, and one past the last.
    fn chunks(&self, segment: usize) -> (usize, usize) {
        (segment.checked_sub(1).map_or(0, |before| self.segments[before]), self.segments[segment])
    }

    fn lock(&self) -> CondMutexGuard<'_, State> {
        self.state.lock()
    }

    /// Ends the work of the helpers.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that no helper is between checking and waiting.
        let _state = self.lock();
        self.state.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What the thread does that made the call. Stops early where the data does not lend itself to it (nothing of a segment could be
    /// used), where a region gets full, and where memory is short.
    fn write_in_order(&self, main: &mut CompressInPlace<'_, '_>, end: &mut Sink<'_>) -> Result<(), Error> {
        let (Some(mut exact), Some(mut truth)) = (SpeculativeCompressor::new(self.buffer), Snapshot::new()) else {
            return Ok(());
        };
        main.snapshot(&mut truth);
        let (mut written, mut patient) = (0, true);
        for segment in 0..self.segments.len() {
            let (first, last) = self.chunks(segment);
            let mut output = self.arrive(segment, &mut patient);
            exact.seek_with_state(self.base + first * CHUNK_MAX, cursor_after(self.cursor, first), &truth);
            written = self.write(segment, &mut output, &mut exact, &mut truth, end)?;
            let mut state = self.lock();
            state.is_proven |= self.right.load(Ordering::Relaxed);
            state.written = segment + 1;
            // If a helper was through too late, its memory is free too.
            let late = state.take(segment);
            state.spare.extend(output.into_iter().chain(late));
            self.state.notify_all();
            // Where guesses have been right, one that is no use says little: of small segments there are some.
            if written < last || self.useless.load(Ordering::Relaxed) > usize::from(state.is_proven) {
                break;
            }
        }
        main.skip_to(self.base + written * CHUNK_MAX, CHUNK_MAX, &truth);
        Ok(())
    }

    /// What a helper made of a segment, which is waited for as long as helpers get on, where one is at it. If none has begun it, it is for
    /// this thread, and another one is kept for it: the next after those that helpers without work will take.
    fn arrive(&self, segment: usize, patient: &mut bool) -> Option<Output> {
        let mut state = self.lock();
        if matches!(state.slots[segment], Slot::Open | Slot::Kept) {
            state.slots[segment] = Slot::Kept;
            let idle = self.helpers.saturating_sub(state.busy);
            let next = state.open().nth(idle);
            if let Some(next) = next {
                state.slots[next] = Slot::Kept;
            }
        }
        while *patient && self.trusted.load(Ordering::Relaxed) && matches!(state.slots[segment], Slot::Begun) {
            let before = self.progress.load(Ordering::Relaxed);
            state.wait_timeout(STANDSTILL);
            *patient = self.progress.load(Ordering::Relaxed) != before || !matches!(state.slots[segment], Slot::Begun);
        }
        state.take(segment)
    }

    /// What a helper made of a segment, if it is through by now.
    fn poll(&self, segment: usize) -> Option<Output> {
        self.lock().take(segment)
    }

    /// Writes a segment, which `exact` is at, and which begins in the state `truth`. Leaves there the state at its end. Returns the chunk
    /// up to which all is written: not to the end where a region gets so full that LZ4 is to judge what fits, and where data does
    /// not compress: that is sooner copied than passed from thread to thread.
    fn write(
        &self,
        segment: usize,
        output: &mut Option<Output>,
        exact: &mut SpeculativeCompressor<'_>,
        truth: &mut Snapshot,
        end: &mut Sink<'_>,
    ) -> Result<usize, Error> {
        let ((first, last), mut guessed_right) = (self.chunks(segment), None);
        let mut size = 0;
        for chunk in first..last {
            let done = chunk - first;
            if done.is_multiple_of(MARK_EVERY) {
                exact.snapshot(truth);
                if done > 0 && size > done * CHUNK_MAX / 16 * 15 {
                    return Ok(chunk);
                }
                if output.is_none() {
                    *output = self.poll(segment);
                }
                if let Some(output) = output
                    && let Some((state, len)) = output.marks().get(done / MARK_EVERY)
                {
                    let same = state == truth;
                    self.note_guess(&mut guessed_right, same);
                    if same {
                        if !end.append(&output.bytes[*len..output.len], chunk_bound(CHUNK_MAX))? {
                            return Ok(chunk);
                        }
                        if let Some((state, _)) = output.marks().last() {
                            truth.copy_from(state);
                        }
                        self.useless.store(0, Ordering::Relaxed);
                        return Ok(last);
                    }
                }
            }
            let room = end.make_room(chunk_bound(CHUNK_MAX))?;
            if room.len() < chunk_bound(CHUNK_MAX) {
                exact.snapshot(truth);
                return Ok(chunk);
            }
            let bytes = compress_chunk(exact, room).ok_or(Error::Internal)?;
            end.add_chunk(Some(bytes))?;
            size += bytes;
            if guessed_right == Some(false) {
                count(&RECOMPRESSED_BYTES, CHUNK_MAX);
            }
        }
        exact.snapshot(truth);
        if guessed_right == Some(false) {
            self.useless.fetch_add(1, Ordering::Relaxed);
        }
        Ok(last)
    }

    /// Takes what has become of this for a sign of what becomes of the next.
    fn learn(&self) {
        if self.right.load(Ordering::Relaxed) {
            TO_SKIP.store(0, Ordering::Relaxed);
        } else if self.useless.load(Ordering::Relaxed) > 0 {
            let skip = (2 * TO_SKIP.load(Ordering::Relaxed)).clamp(1, SKIP_MAX);
            TO_SKIP.store(skip, Ordering::Relaxed);
            SKIPPED.store(skip, Ordering::Relaxed);
        }
    }

    /// Counts a segment when it is first looked at. Where the guess was wrong, later ones begin earlier.
    fn note_guess(&self, guessed_right: &mut Option<bool>, right: bool) {
        if guessed_right.is_none() {
            *guessed_right = Some(right);
            self.trusted.store(right, Ordering::Relaxed);
            self.right.fetch_or(right, Ordering::Relaxed);
            count(&SEGMENTS, 1);
            if !right {
                count(&MISPREDICTIONS, 1);
                let longer = self.warm_up.load(Ordering::Relaxed) * 2;
                self.warm_up.store(longer.min(WARM_UP_MAX), Ordering::Relaxed);
            }
        }
    }

    /// What the other threads do.
    fn help(&self) {
        let Some(mut ahead) = SpeculativeCompressor::new(self.buffer) else { return };
        while let Some((begun, spare)) = self.begin() {
            let (first, last) = self.chunks(begun.segment);
            let output = spare.or_else(|| Output::new(SEGMENT_MAX + SEGMENT_MIN));
            if let Some(output) = output.and_then(|output| self.compress_ahead(output, &mut ahead, first, last)) {
                begun.done(output);
            }
        }
    }

    /// Compresses chunks from `first` to `last` without knowing the state that they begin with. `None` where the call comes to its end.
    fn compress_ahead(
        &self,
        mut output: Output,
        ahead: &mut SpeculativeCompressor<'_>,
        first: usize,
        last: usize,
    ) -> Option<Output> {
        let begin = first.saturating_sub(self.warm_up.load(Ordering::Relaxed));
        ahead.seek_cold(self.base + begin * CHUNK_MAX, cursor_after(self.cursor, begin));
        (output.len, output.marked) = (0, 0);
        for _ in begin..first {
            if self.stopped() {
                return None;
            }
            compress_chunk(ahead, &mut output.bytes)?;
            self.progress.fetch_add(1, Ordering::Relaxed);
            count(&WARM_UP_BYTES, CHUNK_MAX);
        }
        for done in 0..last - first {
            if self.stopped() {
                return None;
            }
            if done.is_multiple_of(MARK_EVERY) {
                output.mark(ahead)?;
            }
            output.len += compress_chunk(ahead, output.bytes.get_mut(output.len..)?)?;
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
        output.mark(ahead)?;
        Some(output)
    }

    /// Begins the next segment that nobody has begun, and that is not too far ahead; waits for one.
    fn begin(&self) -> Option<(Begun<'_>, Option<Output>)> {
        let mut state = self.lock();
        loop {
            let next = state.open().next();
            match next {
                _ if self.stopped() => return None,
                None => return None,
                Some(next) if next < state.written + ahead(self.helpers, state.is_proven) && state.has_memory() => {
                    state.slots[next] = Slot::Begun;
                    state.busy += 1;
                    let spare = state.spare.pop();
                    state.unmade -= usize::from(spare.is_none());
                    return Some((Begun { board: self, segment: next }, spare));
                }
                Some(_) => state.wait(),
            }
        }
    }

    /// Takes back a segment that a helper had begun, with what became of it, if anything.
    fn put(&self, segment: usize, output: Option<Output>) {
        let mut state = self.lock();
        state.busy -= 1;
        match output {
            Some(late) if segment < state.written => state.spare.push(late),
            Some(output) => state.slots[segment] = Slot::Done(output),
            None => {}
        }
        drop(state);
        self.state.notify_all();
    }
}

/// Compresses the next chunk to the start of `room`. Returns its size with header.
fn compress_chunk(ahead: &mut SpeculativeCompressor<'_>, room: &mut [u8]) -> Option<usize> {
    let (header, room) = room.split_first_chunk_mut()?;
    let size = ahead.compress(CHUNK_MAX, room)?;
    put_u24(header, size as u32);
    Some(CHUNK_HEADER + size)
}

/// A segment that a helper has begun.
struct Begun<'b> {
    board: &'b Board<'b>,
    segment: usize,
}

impl Begun<'_> {
    fn done(self, output: Output) {
        self.board.put(self.segment, Some(output));
        std::mem::forget(self);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.board.put(self.segment, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `with` with a board for a buffer of so many chunks that begins a stream, and what else there is in such a call.
    fn with_board(chunks: usize, threads: usize, with: impl FnOnce(&Board<'_>, &mut CompressInPlace<'_, '_>, &mut Sink<'_>)) {
        with_board_of(&vec![7; (chunks + 1) * CHUNK_MAX], plan(chunks, threads).unwrap(), threads, with);
    }

    /// With a board for this buffer, but for the first chunk of it. Returns what was written, with its state at the end.
    fn with_board_of(
        buffer: &[u8],
        segments: Vec<usize>,
        threads: usize,
        with: impl FnOnce(&Board<'_>, &mut CompressInPlace<'_, '_>, &mut Sink<'_>),
    ) -> (Vec<u8>, Snapshot) {
        let (mut memory, mut offset) = (vec![0; 2 * buffer.len()], 0);
        let region = crate::sys::shared_bytes::SharedBytesMut::new(&mut memory);
        let mut end = Sink::Mmio(crate::frame::sink::Mmio { offset: &mut offset, region });
        let mut lz4 = crate::sys::lz4::OwnedCompressor::new().unwrap();
        let mut lz4 = lz4.borrow();
        lz4.reset();
        lz4.compress(0, &buffer[..CHUNK_MAX], &mut vec![0; chunk_bound(CHUNK_MAX)]).unwrap();
        let mut main = lz4.in_place(buffer, CHUNK_MAX, CHUNK_MAX).unwrap();
        let board = Board::new(&main, Some(segments), threads).unwrap();
        with(&board, &mut main, &mut end);
        let mut state = Snapshot::new().unwrap();
        main.snapshot(&mut state);
        memory.truncate(offset as usize);
        (memory, state)
    }

    /// Begins and compresses the next segment, with the same guess as a helper.
    fn guess<'b>(board: &'b Board<'b>) -> (Begun<'b>, Output) {
        let (begun, _) = board.begin().unwrap();
        let (first, last) = board.chunks(begun.segment);
        let (output, mut ahead) = (Output::new(last - first).unwrap(), SpeculativeCompressor::new(board.buffer).unwrap());
        let output = board.compress_ahead(output, &mut ahead, first, last).unwrap();
        (begun, output)
    }

    fn noise() -> impl FnMut() -> u8 {
        let mut state = 1u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as u8
        }
    }

    /// What is found in a chunk soon does not depend on what is before it.
    fn records(chunks: usize) -> Vec<u8> {
        let (mut next, mut all) = (noise(), Vec::with_capacity(chunks * CHUNK_MAX));
        for number in 0..chunks as u32 * (CHUNK_MAX as u32 / 64) {
            let bytes = [next() % 16, next()];
            let at = all.len();
            all.extend_from_slice(b"record");
            all.extend_from_slice(&number.to_le_bytes());
            all.extend_from_slice(&bytes);
            all.resize(at + 64, bytes[0]);
        }
        all
    }

    #[test]
    fn segments_of_helpers_are_taken_if_they_began_right() {
        // The second one is as large as there can be any.
        let ends = vec![SEGMENT_MIN, 2 * SEGMENT_MIN + SEGMENT_MAX - 1];
        let buffer = records(ends[1] + 1);
        let alone = with_board_of(&buffer, ends.clone(), 2, |board, main, end| board.write_in_order(main, end).unwrap());
        let together = with_board_of(&buffer, ends, 2, |board, main, end| {
            board.help();
            assert!(matches!(board.lock().slots[..], [Slot::Kept, Slot::Done(_)]));
            board.write_in_order(main, end).unwrap();
            assert!(board.right.load(Ordering::Relaxed) && board.lock().is_proven && main.remaining() == 0);
            assert_eq!(board.warm_up.load(Ordering::Relaxed), WARM_UP);
        });
        assert!(alone == together);
    }

    #[test]
    fn of_a_wrong_guess_is_taken_what_follows_the_first_state_that_is_right() {
        let ends = vec![MARK_EVERY, 4 * MARK_EVERY, 5 * MARK_EVERY];
        let buffer = records(ends[2] + 1);
        let alone = with_board_of(&buffer, ends.clone(), 2, |board, main, end| board.write_in_order(main, end).unwrap());
        // States that no stream has after so much.
        let spoil = |marks: &mut [(Snapshot, usize)]| marks.iter_mut().for_each(|(state, _)| *state = Snapshot::new().unwrap());
        let together = with_board_of(&buffer, ends.clone(), 2, |board, main, end| {
            let (begun, mut output) = guess(board);
            spoil(&mut output.marks[..2]);
            begun.done(output);
            board.write_in_order(main, end).unwrap();
            assert!(!board.right.load(Ordering::Relaxed) && main.remaining() == 0);
            assert_eq!(board.useless.load(Ordering::Relaxed), 0);
            assert!(board.warm_up.load(Ordering::Relaxed) > WARM_UP, "later ones begin earlier");
        });
        assert!(alone == together);
        // Where nothing can be used, no more is tried, unless guesses were right before.
        for is_proven in [false, true] {
            with_board_of(&buffer, ends.clone(), 2, |board, main, end| {
                board.right.store(is_proven, Ordering::Relaxed);
                let (begun, mut output) = guess(board);
                spoil(&mut output.marks);
                begun.done(output);
                board.write_in_order(main, end).unwrap();
                let done = if is_proven { ends[2] } else { ends[1] };
                assert_eq!(main.done(), (1 + done) * CHUNK_MAX);
            });
        }
    }

    #[test]
    fn segments_begin_earlier_the_more_guesses_are_wrong() {
        with_board(WORTH_IT, 2, |board, _, _| {
            for warm_up in [16, 32, WARM_UP_MAX, WARM_UP_MAX] {
                board.note_guess(&mut None, false);
                assert_eq!(board.warm_up.load(Ordering::Relaxed), warm_up);
                // A segment counts once.
                board.note_guess(&mut Some(false), false);
            }
            assert!(!board.trusted.load(Ordering::Relaxed) && !board.right.load(Ordering::Relaxed));
        });
    }

    /// What LZ4 saves less than a sixteenth of is left to one thread.
    #[test]
    fn data_that_does_not_compress_is_given_up() {
        for (zeros, is_given_up) in [(0, true), (CHUNK_MAX / 32, true), (CHUNK_MAX / 8, false)] {
            let (mut next, begin) = (noise(), 1 + SEGMENT_MIN);
            let mut buffer = vec![0; (begin + 2 * SEGMENT_MIN) * CHUNK_MAX];
            for chunk in buffer.chunks_mut(CHUNK_MAX).skip(begin) {
                chunk[zeros..].fill_with(&mut next);
            }
            with_board_of(&buffer, vec![SEGMENT_MIN, 3 * SEGMENT_MIN], 2, |board, main, end| {
                board.write_in_order(main, end).unwrap();
                let done = if is_given_up { (begin + MARK_EVERY) * CHUNK_MAX } else { buffer.len() };
                assert_eq!(main.done(), done, "{zeros} zeros in each chunk");
            });
        }
    }

    #[test]
    fn helpers_that_can_not_go_on_are_not_counted_as_busy() {
        with_board(WORTH_IT, 2, |board, _, _| {
            drop(board.begin().unwrap());
            assert_eq!(board.lock().busy, 0);
        });
    }

    #[test]
    fn helpers_do_no_more_when_the_call_ends() {
        with_board(2 * WORTH_IT, 2, |board, _, _| {
            let output = || Output::new(SEGMENT_MAX + SEGMENT_MIN).unwrap();
            let mut ahead = SpeculativeCompressor::new(board.buffer).unwrap();
            assert!(board.compress_ahead(output(), &mut ahead, 20, 22).is_some());
            assert_eq!(board.progress.load(Ordering::Relaxed), WARM_UP + 2);
            board.stop();
            assert!(board.compress_ahead(output(), &mut ahead, 20, 22).is_none());
            assert_eq!(board.progress.load(Ordering::Relaxed), WARM_UP + 2);
        });
    }

    #[test]
    fn no_helper_takes_the_first_segment() {
        with_board(WORTH_IT, 2, |board, _, _| {
            let (begun, _) = board.begin().unwrap();
            assert_eq!(begun.segment, 1);
        });
    }

    #[test]
    fn memory_of_helpers_that_are_late_is_used_again_and_no_more_than_two_for_each_thread() {
        with_board(20 * WORTH_IT, 3, |board, main, end| {
            let output = || Output::new(1).unwrap();
            // Through before anybody has come to it, and too late.
            let [early, late] = std::array::from_fn(|_| board.begin().unwrap().0);
            early.done(output());
            board.write_in_order(main, end).unwrap();
            assert_eq!(board.lock().spare.len(), 1);
            late.done(output());
            let state = board.lock();
            assert!(state.written == board.segments.len() && state.spare.len() == 2 && state.unmade == 4 && state.busy == 0);
        });
        with_board(20 * WORTH_IT, 3, |board, _, _| {
            let late: Vec<_> = (0..6)
                .map(|written| {
                    board.lock().written = 3 * written;
                    board.begin().unwrap()
                })
                .collect();
            let help = || assert!(board.begin().is_none(), "until the call ends");
            threads::scope_with_helpers(1, &help, || {
                let _stop = OnDrop::new(|| board.stop());
                board.lock().wait_timeout(Duration::from_millis(20));
            });
            drop(late);
        });
    }

    #[test]
    fn cursors_go_around_the_ring() {
        for cursor in [0, 1, 65_536, 65_537, 131_072, 140_000, 196_608] {
            let mut step_by_step = cursor;
            for chunks in 0..20 {
                assert_eq!(cursor_after(cursor, chunks), step_by_step, "{chunks} from {cursor}");
                let mut next = step_by_step as u64;
                crate::frame::next_in_ring(&mut next, CHUNK_MAX);
                step_by_step = next as usize;
            }
        }
    }
}
