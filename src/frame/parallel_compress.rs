//! Compresses a large buffer on several threads, to the same bytes as on one.
//!
//! The block of a chunk depends on the state that all earlier chunks left in LZ4's hash table. But only positions of the
//! last 64 KiB have an effect, so a stream that starts some chunks early mostly converges to the true state. The buffer is
//! divided into *segments*. A helper claims one ahead of time, starts [`WARM_UP`] chunks before it, discards the blocks of
//! these, and compresses the segment to memory. It records the state at the start and every [`SNAPSHOT_INTERVAL`] chunks.
//!
//! The calling thread makes no predictions, and waits for helpers only while they progress. It goes through all chunks in
//! order from the true state, and compresses them to the sink. If a helper's segment passed through the same state, the
//! rest of that segment is what the calling thread would produce, so it is written instead. A misprediction costs only the
//! helper's time, and the bytes are those of one thread for any data.
//!
//! docs/design/parallel-compression.md has costs and gains.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::error::Error;
use super::segment_plan::{PARALLEL_MIN_CHUNKS, SEGMENT_MAX, SEGMENT_MIN, WARM_UP, WARM_UP_MAX, max_in_flight, plan_segments};
use super::sink::Sink;
use super::{CHUNK_HEADER_SIZE, CHUNK_MAX, chunk_bound};
use crate::alloc::try_with_capacity;
use crate::bytes::put_u24;
use crate::sync::on_drop::OnDrop;
use crate::sys::cond_mutex::{CondMutex, CondMutexGuard};
use crate::sys::lz4::{CompressInPlace, RING_SIZE, Snapshot, SpeculativeCompressor, ring_position};
use crate::sys::mmap::{AnonymousMap, map_anonymous};
use crate::sys::threads;

/// Number of chunks between recorded states. A mispredicted segment can be used from the first state that is right.
pub(super) const SNAPSHOT_INTERVAL: usize = 8;

/// If no helper completes a chunk in this time (a chunk takes a tenth of it), the call waits for none any more.
const HELPER_TIMEOUT: Duration = Duration::from_millis(1);

/// Number of chunks that are compressed on one thread after the first unsuccessful parallel attempt of a call.
pub(super) const INITIAL_BACKOFF_CHUNKS: usize = 2 * SEGMENT_MAX;

/// Sets the maximum number of threads per call, the caller's included; 0: the number of processors. The default is the
/// value of the environment variable `FDCKPT_THREADS` when first needed, or 1. The limit is one for the whole process.
///
/// More than one thread is used by [`Checkpt::data`](super::Checkpt::data) in an LZ4 frame for buffers of more than 3 MiB;
/// the bytes are the same. [`Restore::data`](super::Restore::data) uses one thread that reads ahead for buffers of at least
/// 4 MiB, from a file with an I/O buffer of at least 258 KiB. A call starts its threads and ends them before it returns; if
/// the system refuses some, it uses fewer. Each takes up to 20 MiB of address space, of which only what is used is resident.
pub fn set_max_threads(threads: usize) {
    threads::set_max_threads(threads);
}

/// Statistics of parallel LZ4 compression since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParallelStats {
    /// Number of segments compressed before the segment that precedes them was finished.
    pub speculative_segments: u64,
    /// Number of those whose predicted initial LZ4 state was wrong.
    pub mispredicted_segments: u64,
    /// Number of bytes compressed in front of segments to predict their initial state.
    pub warm_up_bytes: u64,
    /// Number of bytes compressed again after mispredictions.
    pub recompressed_bytes: u64,
}

static SPECULATIVE_SEGMENTS: AtomicU64 = AtomicU64::new(0);
static MISPREDICTED_SEGMENTS: AtomicU64 = AtomicU64::new(0);
static WARM_UP_BYTES: AtomicU64 = AtomicU64::new(0);
static RECOMPRESSED_BYTES: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl ParallelStats {
    /// Returns the current counters, which sum up all threads of the process.
    pub fn snapshot() -> Self {
        Self {
            speculative_segments: SPECULATIVE_SEGMENTS.load(Ordering::Relaxed),
            mispredicted_segments: MISPREDICTED_SEGMENTS.load(Ordering::Relaxed),
            warm_up_bytes: WARM_UP_BYTES.load(Ordering::Relaxed),
            recompressed_bytes: RECOMPRESSED_BYTES.load(Ordering::Relaxed),
        }
    }
}

/// Compresses full chunks of the rest of the buffer on `threads` threads, until parallel compression does not pay or fails.
/// The caller compresses the remaining ones. Uses two segments of memory for each thread, each of at most 9.1 MiB of address
/// space.
pub(super) fn compress_parallel(main: &mut CompressInPlace<'_, '_>, sink: &mut Sink<'_>, threads: usize) -> Result<(), Error> {
    let chunks = main.remaining() / CHUNK_MAX;
    if threads < 2 || chunks < PARALLEL_MIN_CHUNKS {
        return Ok(());
    }
    // At the end of a region, LZ4 decides for each chunk whether it fits; compressible data can have many more chunks there.
    if sink.reserve(chunk_bound(CHUNK_MAX))?.len() < chunk_bound(CHUNK_MAX) {
        return Ok(());
    }
    if SKIP_REMAINING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |remaining| remaining.checked_sub(1)).is_ok() {
        return Ok(());
    }
    let Some(shared) = SharedState::new(main, plan_segments(chunks, threads), threads) else { return Ok(()) };
    let result = threads::scope_with_helpers(shared.helpers, &|| shared.run_helper(), || {
        let _stop = OnDrop::new(|| shared.stop());
        shared.write_in_order(main, sink)
    });
    shared.update_heuristics();
    result
}

/// Number of attempts to skip before the next one. After data for which predictions fail, other data of the program is
/// likely to be the same.
static SKIP_REMAINING: AtomicUsize = AtomicUsize::new(0);
/// Number of attempts skipped after the last failure; doubled with each further one.
static SKIP_COUNT: AtomicUsize = AtomicUsize::new(0);
const SKIP_MAX: usize = 16;

/// Returns the ring cursor after `chunks` full chunks.
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

/// State shared by the threads of a call.
struct SharedState<'b> {
    buffer: &'b [u8],
    /// Offset in the buffer of the first segment, at least 64 KiB.
    base: usize,
    /// Ring cursor at the first segment.
    cursor: usize,
    /// For each segment, the index one past its last chunk.
    segments: Vec<usize>,
    /// Number of helpers requested.
    helpers: usize,
    /// Number of warm-up chunks before the next segments.
    warm_up: AtomicUsize,
    /// Number of chunks that helpers completed: shows whether they progress.
    chunks_completed: AtomicUsize,
    /// Whether the last prediction was right, so that waiting for the next segment pays.
    last_prediction_correct: AtomicBool,
    any_prediction_correct: AtomicBool,
    /// Number of consecutive segments of which no part could be used.
    consecutive_misses: AtomicUsize,
    stop: AtomicBool,
    schedule: CondMutex<Schedule>,
}

/// Progress of the segments.
struct Schedule {
    /// Number of segments written.
    segments_written: usize,
    /// Number of helpers that are compressing a segment.
    active_helpers: usize,
    /// Whether a prediction was right.
    speculation_works: bool,
    segments: Vec<SegmentStatus>,
    /// Buffers of segments that were written.
    free_buffers: Vec<CompressedSegment>,
    /// Number of buffers that may still be allocated.
    buffers_left: usize,
}

enum SegmentStatus {
    Pending,
    /// For the calling thread, or taken by it.
    Reserved,
    /// Claimed by a helper, which may have failed.
    InProgress,
    Done(CompressedSegment),
}

impl Schedule {
    /// Returns the compressed segment if a helper has finished it, and reserves it for the calling thread.
    fn take(&mut self, segment: usize) -> Option<CompressedSegment> {
        match std::mem::replace(&mut self.segments[segment], SegmentStatus::Reserved) {
            SegmentStatus::Done(output) => Some(output),
            other => {
                self.segments[segment] = other;
                None
            }
        }
    }

    /// Returns whether a buffer for another segment exists or may be allocated. The limit also holds if helpers return
    /// theirs late.
    fn has_buffer(&self) -> bool {
        self.buffers_left > 0 || !self.free_buffers.is_empty()
    }

    fn pending(&self) -> impl Iterator<Item = usize> {
        let segments = self.segments.iter().enumerate().skip(self.segments_written);
        segments.filter(|(_, status)| matches!(status, SegmentStatus::Pending)).map(|(segment, _)| segment)
    }
}

struct CompressedSegment {
    /// The chunks are the first `len` bytes.
    bytes: AnonymousMap,
    len: usize,
    /// LZ4 states with the value of `len` at that time: at the start, every [`SNAPSHOT_INTERVAL`] chunks, and at the end. The
    /// first `snapshot_count` are valid.
    snapshots: Vec<(Snapshot, usize)>,
    snapshot_count: usize,
}

impl CompressedSegment {
    /// Allocates memory for a segment of up to `chunks` chunks. Returns `None` if allocation fails.
    fn new(chunks: usize) -> Option<Self> {
        let mut snapshots = try_with_capacity(chunks.div_ceil(SNAPSHOT_INTERVAL) + 1).ok()?;
        for _ in 0..snapshots.capacity() {
            snapshots.push((Snapshot::new()?, 0));
        }
        Some(Self { bytes: map_anonymous(chunks * chunk_bound(CHUNK_MAX))?, len: 0, snapshots, snapshot_count: 0 })
    }

    fn add_snapshot(&mut self, compressor: &SpeculativeCompressor<'_>) -> Option<()> {
        let (snapshot, len) = self.snapshots.get_mut(self.snapshot_count)?;
        compressor.snapshot(snapshot);
        *len = self.len;
        self.snapshot_count += 1;
        Some(())
    }

    fn snapshots(&self) -> &[(Snapshot, usize)] {
        &self.snapshots[..self.snapshot_count]
    }
}

impl<'b> SharedState<'b> {
    /// Returns `None` if allocation fails.
    fn new(main: &CompressInPlace<'b, '_>, segments: Option<Vec<usize>>, threads: usize) -> Option<Self> {
        let segments = segments?;
        let helpers = (threads - 1).min(segments.len() - 1);
        let (mut statuses, mut free_buffers) = (Vec::new(), Vec::new());
        statuses.try_reserve_exact(segments.len()).ok()?;
        statuses.resize_with(segments.len(), || SegmentStatus::Pending);
        // Only the calling thread knows the state before the first segment.
        statuses[0] = SegmentStatus::Reserved;
        let buffers_left = max_in_flight(helpers, true);
        free_buffers.try_reserve_exact(buffers_left).ok()?;
        let schedule = Schedule {
            segments_written: 0,
            active_helpers: 0,
            speculation_works: false,
            segments: statuses,
            free_buffers,
            buffers_left,
        };
        Some(Self {
            buffer: main.buffer(),
            base: main.done(),
            cursor: main.cursor(),
            segments,
            helpers,
            warm_up: AtomicUsize::new(WARM_UP),
            chunks_completed: AtomicUsize::new(0),
            last_prediction_correct: AtomicBool::new(true),
            any_prediction_correct: AtomicBool::new(false),
            consecutive_misses: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            schedule: CondMutex::new(schedule),
        })
    }

    /// Returns the chunks of a segment: the index of the first, and one past the last.
    fn chunks(&self, segment: usize) -> (usize, usize) {
        (segment.checked_sub(1).map_or(0, |previous| self.segments[previous]), self.segments[segment])
    }

    fn lock(&self) -> CondMutexGuard<'_, Schedule> {
        self.schedule.lock()
    }

    /// Tells the helpers to end.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that no helper is between its check and its wait.
        let _schedule = self.lock();
        self.schedule.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Writes all segments, on the calling thread. Ends early if no part of a segment could be used, if the space of a
    /// region gets short, or if allocation fails.
    fn write_in_order(&self, main: &mut CompressInPlace<'_, '_>, sink: &mut Sink<'_>) -> Result<(), Error> {
        let (Some(mut compressor), Some(mut true_state)) = (SpeculativeCompressor::new(self.buffer), Snapshot::new()) else {
            return Ok(());
        };
        main.snapshot(&mut true_state);
        let (mut chunks_written, mut may_wait) = (0, true);
        for segment in 0..self.segments.len() {
            let (first, last) = self.chunks(segment);
            let mut output = self.wait_for_segment(segment, &mut may_wait);
            compressor.seek_with_state(self.base + first * CHUNK_MAX, cursor_after(self.cursor, first), &true_state);
            chunks_written = self.write_segment(segment, &mut output, &mut compressor, &mut true_state, sink)?;
            let mut schedule = self.lock();
            schedule.speculation_works |= self.any_prediction_correct.load(Ordering::Relaxed);
            schedule.segments_written = segment + 1;
            // A helper may have finished too late; its buffer is free, too.
            let late = schedule.take(segment);
            schedule.free_buffers.extend(output.into_iter().chain(late));
            self.schedule.notify_all();
            // If predictions have been right, one miss is tolerated: some small segments are never usable.
            let tolerated = usize::from(schedule.speculation_works);
            if chunks_written < last || self.consecutive_misses.load(Ordering::Relaxed) > tolerated {
                break;
            }
        }
        main.skip_to(self.base + chunks_written * CHUNK_MAX, CHUNK_MAX, &true_state);
        Ok(())
    }

    /// Returns the segment compressed by a helper. Waits for it if a helper has started it and helpers progress. If none has,
    /// reserves it for the calling thread, and another one: the next after those that idle helpers will claim.
    fn wait_for_segment(&self, segment: usize, may_wait: &mut bool) -> Option<CompressedSegment> {
        let mut schedule = self.lock();
        if matches!(schedule.segments[segment], SegmentStatus::Pending | SegmentStatus::Reserved) {
            schedule.segments[segment] = SegmentStatus::Reserved;
            let idle_helpers = self.helpers.saturating_sub(schedule.active_helpers);
            let next = schedule.pending().nth(idle_helpers);
            if let Some(next) = next {
                schedule.segments[next] = SegmentStatus::Reserved;
            }
        }
        while *may_wait
            && self.last_prediction_correct.load(Ordering::Relaxed)
            && matches!(schedule.segments[segment], SegmentStatus::InProgress)
        {
            let before = self.chunks_completed.load(Ordering::Relaxed);
            schedule.wait_timeout(HELPER_TIMEOUT);
            *may_wait = self.chunks_completed.load(Ordering::Relaxed) != before
                || !matches!(schedule.segments[segment], SegmentStatus::InProgress);
        }
        schedule.take(segment)
    }

    /// Returns the segment compressed by a helper, if it is finished.
    fn try_take(&self, segment: usize) -> Option<CompressedSegment> {
        self.lock().take(segment)
    }

    /// Writes a segment. `compressor` is at its start with `true_state`, which is updated to the state after the written
    /// chunks. Returns the index one past the last chunk written.
    ///
    /// That is not the end of the segment if the space of a region gets short (LZ4 decides what fits), or if the data does not
    /// compress (copying it is faster than passing it between threads).
    fn write_segment(
        &self,
        segment: usize,
        output: &mut Option<CompressedSegment>,
        compressor: &mut SpeculativeCompressor<'_>,
        true_state: &mut Snapshot,
        sink: &mut Sink<'_>,
    ) -> Result<usize, Error> {
        let ((first, last), mut prediction) = (self.chunks(segment), None);
        let mut size = 0;
        for chunk in first..last {
            let done = chunk - first;
            if done.is_multiple_of(SNAPSHOT_INTERVAL) {
                compressor.snapshot(true_state);
                if done > 0 && size > done * CHUNK_MAX / 16 * 15 {
                    return Ok(chunk);
                }
                if output.is_none() {
                    *output = self.try_take(segment);
                }
                if let Some(output) = output
                    && let Some((state, len)) = output.snapshots().get(done / SNAPSHOT_INTERVAL)
                {
                    let is_correct = state == true_state;
                    self.record_prediction(&mut prediction, is_correct);
                    if is_correct {
                        if !sink.append(&output.bytes[*len..output.len], chunk_bound(CHUNK_MAX))? {
                            return Ok(chunk);
                        }
                        if let Some((state, _)) = output.snapshots().last() {
                            true_state.copy_from(state);
                        }
                        self.consecutive_misses.store(0, Ordering::Relaxed);
                        return Ok(last);
                    }
                }
            }
            let out = sink.reserve(chunk_bound(CHUNK_MAX))?;
            if out.len() < chunk_bound(CHUNK_MAX) {
                compressor.snapshot(true_state);
                return Ok(chunk);
            }
            let chunk_size = compress_chunk(compressor, out).ok_or(Error::Internal)?;
            sink.commit_chunk(Some(chunk_size))?;
            size += chunk_size;
            if prediction == Some(false) {
                count(&RECOMPRESSED_BYTES, CHUNK_MAX);
            }
        }
        compressor.snapshot(true_state);
        if prediction == Some(false) {
            self.consecutive_misses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(last)
    }

    /// Decides how many later attempts are skipped.
    fn update_heuristics(&self) {
        if self.any_prediction_correct.load(Ordering::Relaxed) {
            SKIP_COUNT.store(0, Ordering::Relaxed);
        } else if self.consecutive_misses.load(Ordering::Relaxed) > 0 {
            let skip = (2 * SKIP_COUNT.load(Ordering::Relaxed)).clamp(1, SKIP_MAX);
            SKIP_COUNT.store(skip, Ordering::Relaxed);
            SKIP_REMAINING.store(skip, Ordering::Relaxed);
        }
    }

    /// Records the first comparison of a segment's states in `prediction` and the counters. After a misprediction, later
    /// segments get more warm-up.
    fn record_prediction(&self, prediction: &mut Option<bool>, is_correct: bool) {
        if prediction.is_none() {
            *prediction = Some(is_correct);
            self.last_prediction_correct.store(is_correct, Ordering::Relaxed);
            self.any_prediction_correct.fetch_or(is_correct, Ordering::Relaxed);
            count(&SPECULATIVE_SEGMENTS, 1);
            if !is_correct {
                count(&MISPREDICTED_SEGMENTS, 1);
                let longer = self.warm_up.load(Ordering::Relaxed) * 2;
                self.warm_up.store(longer.min(WARM_UP_MAX), Ordering::Relaxed);
            }
        }
    }

    /// Compresses segments, on a helper thread.
    fn run_helper(&self) {
        let Some(mut compressor) = SpeculativeCompressor::new(self.buffer) else { return };
        while let Some((guard, free_buffer)) = self.claim_next() {
            let (first, last) = self.chunks(guard.segment);
            let output = free_buffer.or_else(|| CompressedSegment::new(SEGMENT_MAX + SEGMENT_MIN));
            if let Some(output) = output.and_then(|output| self.compress_ahead(output, &mut compressor, first, last)) {
                guard.finish(output);
            }
        }
    }

    /// Compresses the chunks `first..last` from a predicted state. Returns `None` if the call ends.
    fn compress_ahead(
        &self,
        mut output: CompressedSegment,
        compressor: &mut SpeculativeCompressor<'_>,
        first: usize,
        last: usize,
    ) -> Option<CompressedSegment> {
        let start = first.saturating_sub(self.warm_up.load(Ordering::Relaxed));
        compressor.seek_cold(self.base + start * CHUNK_MAX, cursor_after(self.cursor, start));
        (output.len, output.snapshot_count) = (0, 0);
        for _ in start..first {
            if self.is_stopped() {
                return None;
            }
            compress_chunk(compressor, &mut output.bytes)?;
            self.chunks_completed.fetch_add(1, Ordering::Relaxed);
            count(&WARM_UP_BYTES, CHUNK_MAX);
        }
        for done in 0..last - first {
            if self.is_stopped() {
                return None;
            }
            if done.is_multiple_of(SNAPSHOT_INTERVAL) {
                output.add_snapshot(compressor)?;
            }
            output.len += compress_chunk(compressor, output.bytes.get_mut(output.len..)?)?;
            self.chunks_completed.fetch_add(1, Ordering::Relaxed);
        }
        output.add_snapshot(compressor)?;
        Some(output)
    }

    /// Claims the next pending segment, with a free buffer if there is one. Waits while the limits of segments in flight and
    /// of buffers are reached. Returns `None` if the call ends or no segment is pending.
    fn claim_next(&self) -> Option<(SegmentGuard<'_>, Option<CompressedSegment>)> {
        let mut schedule = self.lock();
        loop {
            let next = schedule.pending().next();
            let limit = schedule.segments_written + max_in_flight(self.helpers, schedule.speculation_works);
            match next {
                _ if self.is_stopped() => return None,
                None => return None,
                Some(next) if next < limit && schedule.has_buffer() => {
                    schedule.segments[next] = SegmentStatus::InProgress;
                    schedule.active_helpers += 1;
                    let free_buffer = schedule.free_buffers.pop();
                    schedule.buffers_left -= usize::from(free_buffer.is_none());
                    return Some((SegmentGuard { shared: self, segment: next }, free_buffer));
                }
                Some(_) => schedule.wait(),
            }
        }
    }

    /// Ends the work of a helper on a segment. `output` is `None` if it failed.
    fn finish_segment(&self, segment: usize, output: Option<CompressedSegment>) {
        let mut schedule = self.lock();
        schedule.active_helpers -= 1;
        match output {
            Some(late) if segment < schedule.segments_written => schedule.free_buffers.push(late),
            Some(output) => schedule.segments[segment] = SegmentStatus::Done(output),
            None => {}
        }
        drop(schedule);
        self.schedule.notify_all();
    }
}

/// Compresses the next chunk to the start of `out`. Returns its size with header.
fn compress_chunk(compressor: &mut SpeculativeCompressor<'_>, out: &mut [u8]) -> Option<usize> {
    let (header, out) = out.split_first_chunk_mut()?;
    let size = compressor.compress(CHUNK_MAX, out)?;
    put_u24(header, size as u32);
    Some(CHUNK_HEADER_SIZE + size)
}

/// A segment claimed by a helper. Dropping it reports a failure, also if the helper panics.
struct SegmentGuard<'b> {
    shared: &'b SharedState<'b>,
    segment: usize,
}

impl SegmentGuard<'_> {
    fn finish(self, output: CompressedSegment) {
        self.shared.finish_segment(self.segment, Some(output));
        std::mem::forget(self);
    }
}

impl Drop for SegmentGuard<'_> {
    fn drop(&mut self) {
        self.shared.finish_segment(self.segment, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `with` with the state of a parallel call, for a buffer of `chunks` chunks after the first one of a stream.
    fn with_shared(
        chunks: usize,
        threads: usize,
        with: impl FnOnce(&SharedState<'_>, &mut CompressInPlace<'_, '_>, &mut Sink<'_>),
    ) {
        with_shared_of(&vec![7; (chunks + 1) * CHUNK_MAX], plan_segments(chunks, threads).unwrap(), threads, with);
    }

    /// As [`with_shared`], for the chunks of this buffer after the first. Returns the bytes written and the final state.
    fn with_shared_of(
        buffer: &[u8],
        segments: Vec<usize>,
        threads: usize,
        with: impl FnOnce(&SharedState<'_>, &mut CompressInPlace<'_, '_>, &mut Sink<'_>),
    ) -> (Vec<u8>, Snapshot) {
        let (mut memory, mut offset) = (vec![0; 2 * buffer.len()], 0);
        let region = crate::sys::shared_bytes::SharedBytesMut::new(&mut memory);
        let mut sink = Sink::Mmio(crate::frame::sink::Mmio { offset: &mut offset, region });
        let mut lz4 = crate::sys::lz4::OwnedCompressor::new().unwrap();
        let mut lz4 = lz4.borrow();
        lz4.reset();
        lz4.compress(0, &buffer[..CHUNK_MAX], &mut vec![0; chunk_bound(CHUNK_MAX)]).unwrap();
        let mut main = lz4.in_place(buffer, CHUNK_MAX, CHUNK_MAX).unwrap();
        let shared = SharedState::new(&main, Some(segments), threads).unwrap();
        with(&shared, &mut main, &mut sink);
        let mut state = Snapshot::new().unwrap();
        main.snapshot(&mut state);
        memory.truncate(offset as usize);
        (memory, state)
    }

    /// Claims and compresses the next segment as a helper does.
    fn compress_next<'b>(shared: &'b SharedState<'b>) -> (SegmentGuard<'b>, CompressedSegment) {
        let (guard, _) = shared.claim_next().unwrap();
        let (first, last) = shared.chunks(guard.segment);
        let (output, mut compressor) =
            (CompressedSegment::new(last - first).unwrap(), SpeculativeCompressor::new(shared.buffer).unwrap());
        let output = shared.compress_ahead(output, &mut compressor, first, last).unwrap();
        (guard, output)
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

    /// Generates data for which predictions are right: matches in a chunk depend on few bytes before it.
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
    fn correctly_predicted_segments_are_used() {
        // The second segment has the maximum size.
        let ends = vec![SEGMENT_MIN, 2 * SEGMENT_MIN + SEGMENT_MAX - 1];
        let buffer = records(ends[1] + 1);
        let serial = with_shared_of(&buffer, ends.clone(), 2, |shared, main, sink| shared.write_in_order(main, sink).unwrap());
        let parallel = with_shared_of(&buffer, ends, 2, |shared, main, sink| {
            shared.run_helper();
            assert!(matches!(shared.lock().segments[..], [SegmentStatus::Reserved, SegmentStatus::Done(_)]));
            shared.write_in_order(main, sink).unwrap();
            assert!(
                shared.any_prediction_correct.load(Ordering::Relaxed) && shared.lock().speculation_works && main.remaining() == 0
            );
            assert_eq!(shared.warm_up.load(Ordering::Relaxed), WARM_UP);
        });
        assert!(serial == parallel);
    }

    #[test]
    fn mispredicted_segment_is_used_from_the_first_correct_state() {
        let ends = vec![SNAPSHOT_INTERVAL, 4 * SNAPSHOT_INTERVAL, 5 * SNAPSHOT_INTERVAL];
        let buffer = records(ends[2] + 1);
        let serial = with_shared_of(&buffer, ends.clone(), 2, |shared, main, sink| shared.write_in_order(main, sink).unwrap());
        // States that no stream has at such offsets.
        let spoil =
            |snapshots: &mut [(Snapshot, usize)]| snapshots.iter_mut().for_each(|(state, _)| *state = Snapshot::new().unwrap());
        let parallel = with_shared_of(&buffer, ends.clone(), 2, |shared, main, sink| {
            let (guard, mut output) = compress_next(shared);
            spoil(&mut output.snapshots[..2]);
            guard.finish(output);
            shared.write_in_order(main, sink).unwrap();
            assert!(!shared.any_prediction_correct.load(Ordering::Relaxed) && main.remaining() == 0);
            assert_eq!(shared.consecutive_misses.load(Ordering::Relaxed), 0);
            assert!(shared.warm_up.load(Ordering::Relaxed) > WARM_UP, "later segments get more warm-up");
        });
        assert!(serial == parallel);
        // After a segment of which no part can be used the call ends, unless predictions were right before.
        for speculation_works in [false, true] {
            with_shared_of(&buffer, ends.clone(), 2, |shared, main, sink| {
                shared.any_prediction_correct.store(speculation_works, Ordering::Relaxed);
                let (guard, mut output) = compress_next(shared);
                spoil(&mut output.snapshots);
                guard.finish(output);
                shared.write_in_order(main, sink).unwrap();
                let done = if speculation_works { ends[2] } else { ends[1] };
                assert_eq!(main.done(), (1 + done) * CHUNK_MAX);
            });
        }
    }

    #[test]
    fn mispredictions_increase_the_warm_up() {
        with_shared(PARALLEL_MIN_CHUNKS, 2, |shared, _, _| {
            for warm_up in [16, 32, WARM_UP_MAX, WARM_UP_MAX] {
                shared.record_prediction(&mut None, false);
                assert_eq!(shared.warm_up.load(Ordering::Relaxed), warm_up);
                // A segment is recorded once.
                shared.record_prediction(&mut Some(false), false);
            }
            assert!(
                !shared.last_prediction_correct.load(Ordering::Relaxed) && !shared.any_prediction_correct.load(Ordering::Relaxed)
            );
        });
    }

    /// Data that compresses by less than a sixteenth is left to one thread.
    #[test]
    fn incompressible_data_is_left_to_one_thread() {
        for (zeros, is_incompressible) in [(0, true), (CHUNK_MAX / 32, true), (CHUNK_MAX / 8, false)] {
            let (mut next, begin) = (noise(), 1 + SEGMENT_MIN);
            let mut buffer = vec![0; (begin + 2 * SEGMENT_MIN) * CHUNK_MAX];
            for chunk in buffer.chunks_mut(CHUNK_MAX).skip(begin) {
                chunk[zeros..].fill_with(&mut next);
            }
            with_shared_of(&buffer, vec![SEGMENT_MIN, 3 * SEGMENT_MIN], 2, |shared, main, sink| {
                shared.write_in_order(main, sink).unwrap();
                let done = if is_incompressible { (begin + SNAPSHOT_INTERVAL) * CHUNK_MAX } else { buffer.len() };
                assert_eq!(main.done(), done, "{zeros} zeros in each chunk");
            });
        }
    }

    #[test]
    fn failed_helpers_do_not_count_as_active() {
        with_shared(PARALLEL_MIN_CHUNKS, 2, |shared, _, _| {
            drop(shared.claim_next().unwrap());
            assert_eq!(shared.lock().active_helpers, 0);
        });
    }

    #[test]
    fn helpers_stop_when_the_call_ends() {
        with_shared(2 * PARALLEL_MIN_CHUNKS, 2, |shared, _, _| {
            let output = || CompressedSegment::new(SEGMENT_MAX + SEGMENT_MIN).unwrap();
            let mut compressor = SpeculativeCompressor::new(shared.buffer).unwrap();
            assert!(shared.compress_ahead(output(), &mut compressor, 20, 22).is_some());
            assert_eq!(shared.chunks_completed.load(Ordering::Relaxed), WARM_UP + 2);
            shared.stop();
            assert!(shared.compress_ahead(output(), &mut compressor, 20, 22).is_none());
            assert_eq!(shared.chunks_completed.load(Ordering::Relaxed), WARM_UP + 2);
        });
    }

    #[test]
    fn first_segment_is_reserved_for_the_calling_thread() {
        with_shared(PARALLEL_MIN_CHUNKS, 2, |shared, _, _| {
            let (guard, _) = shared.claim_next().unwrap();
            assert_eq!(guard.segment, 1);
        });
    }

    #[test]
    fn late_buffers_are_reused_and_limited_to_two_per_thread() {
        with_shared(20 * PARALLEL_MIN_CHUNKS, 3, |shared, main, sink| {
            let output = || CompressedSegment::new(1).unwrap();
            // One segment is finished before it is needed, one too late.
            let [early, late] = std::array::from_fn(|_| shared.claim_next().unwrap().0);
            early.finish(output());
            shared.write_in_order(main, sink).unwrap();
            assert_eq!(shared.lock().free_buffers.len(), 1);
            late.finish(output());
            let schedule = shared.lock();
            assert!(schedule.segments_written == shared.segments.len() && schedule.free_buffers.len() == 2);
            assert!(schedule.buffers_left == 4 && schedule.active_helpers == 0);
        });
        with_shared(20 * PARALLEL_MIN_CHUNKS, 3, |shared, _, _| {
            let late: Vec<_> = (0..6)
                .map(|written| {
                    shared.lock().segments_written = 3 * written;
                    shared.claim_next().unwrap()
                })
                .collect();
            let help = || assert!(shared.claim_next().is_none(), "no buffer is free");
            threads::scope_with_helpers(1, &help, || {
                let _stop = OnDrop::new(|| shared.stop());
                shared.lock().wait_timeout(Duration::from_millis(20));
            });
            drop(late);
        });
    }

    #[test]
    fn cursor_after_matches_step_by_step_advance() {
        for cursor in [0, 1, 65_536, 65_537, 131_072, 140_000, 196_608] {
            let mut step_by_step = cursor;
            for chunks in 0..20 {
                assert_eq!(cursor_after(cursor, chunks), step_by_step, "{chunks} from {cursor}");
                let mut next = step_by_step as u64;
                crate::frame::advance_ring_cursor(&mut next, CHUNK_MAX);
                step_by_step = next as usize;
            }
        }
    }
}
