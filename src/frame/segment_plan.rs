//! Plans the segments of a large buffer for [`parallel_compress`](super::parallel_compress).

use crate::alloc::try_with_capacity;

/// Number of warm-up chunks before a segment. After 8, nearly every stream has the true state; after mispredictions more are
/// compressed, up to half a segment.
pub(super) const WARM_UP: usize = 8;
pub(super) const WARM_UP_MAX: usize = SEGMENT_MAX / 2;

/// Maximum and minimum size of a segment in chunks; the last segment may be larger by up to the minimum.
pub(super) const SEGMENT_MAX: usize = 128;
pub(super) const SEGMENT_MIN: usize = 16;

/// Size in chunks of the first segment of each thread.
const FIRST_SEGMENT_SIZE: usize = SEGMENT_MIN;

/// With more threads than this, segments are smaller.
const MANY_THREADS: usize = 4;

/// Returns the maximum number of segments in progress or compressed, but not written: enough for helpers to continue while
/// the calling thread compresses one. Until a prediction was right, one for each thread.
pub(super) fn max_in_flight(helpers: usize, speculation_works: bool) -> usize {
    if speculation_works { 2 * helpers + 2 } else { helpers + 1 }
}

/// Minimum number of chunks that are worth starting threads.
pub(super) const PARALLEL_MIN_CHUNKS: usize = 3 * SEGMENT_MIN;

/// Plans segments. Returns the index one past the last chunk of each, or `None` if allocation fails.
///
/// They get smaller towards the end, so that all threads finish at about the same time. One segment in `threads` is for the
/// calling thread; those of helpers are smaller by the warm-up, so that they are finished when the calling thread needs them.
pub(super) fn plan_segments(chunks: usize, threads: usize) -> Option<Vec<usize>> {
    let mut ends = try_with_capacity(chunks / SEGMENT_MIN + 1).ok()?;
    // Many helpers wait for the calling thread: smaller segments of its own let it serve them sooner.
    let largest = if threads > MANY_THREADS { SEGMENT_MAX / 2 } else { SEGMENT_MAX };
    let mut end = 0;
    while end < chunks {
        let remaining = chunks - end;
        // Small segments first, since they show whether predictions work for this data.
        let largest = largest.min(FIRST_SEGMENT_SIZE << (ends.len() / threads).min(10));
        let size = (remaining * 2 / 3 / threads).clamp(SEGMENT_MIN, largest);
        let size = if ends.len() % threads == 0 { size } else { size.saturating_sub(WARM_UP).max(SEGMENT_MIN) };
        end += if remaining < size + SEGMENT_MIN { remaining } else { size };
        ends.push(end);
    }
    Some(ends)
}

#[cfg(test)]
mod tests {
    use super::super::parallel_compress::SNAPSHOT_INTERVAL;
    use super::*;

    #[test]
    fn segments_cover_all_chunks() {
        for threads in [2, 3, 8, 64, 1000] {
            for chunks in PARALLEL_MIN_CHUNKS..2000 {
                let ends = plan_segments(chunks, threads).unwrap();
                assert_eq!(ends.last(), Some(&chunks));
                let mut before = 0;
                for &end in &ends {
                    assert!(
                        end - before >= SEGMENT_MIN && end - before < SEGMENT_MAX + SEGMENT_MIN,
                        "{chunks} {threads}: {ends:?}"
                    );
                    before = end;
                }
            }
        }
    }

    #[test]
    fn segment_sizes_grow_then_shrink_and_are_smaller_for_helpers() {
        for (threads, chunks) in [2, 3, 4, 5, 8, 64].into_iter().flat_map(|threads| [48, 100, 777, 40_000].map(|n| (threads, n)))
        {
            let ends = plan_segments(chunks, threads).unwrap();
            let sizes: Vec<usize> =
                (0..ends.len()).map(|at| ends[at] - at.checked_sub(1).map_or(0, |before| ends[before])).collect();
            // The last segment is the remainder.
            let sizes = &sizes[..sizes.len() - 1];
            let largest = if threads > MANY_THREADS { SEGMENT_MAX / 2 } else { SEGMENT_MAX };
            assert!(sizes.iter().all(|&size| size <= largest));
            assert!(chunks < 40_000 || sizes.contains(&largest));
            assert!(sizes.iter().take(threads).all(|&size| size == FIRST_SEGMENT_SIZE));
            let mut remaining = chunks;
            for (round, sizes) in sizes.chunks(threads).enumerate() {
                // Enough must remain for all threads, in no more segments than necessary.
                let (max, min) = (
                    (remaining * 2 / 3 / threads).max(SEGMENT_MIN),
                    (remaining / 2 / threads).min(largest).min(FIRST_SEGMENT_SIZE << round.min(8)),
                );
                assert!(sizes[0] <= max && sizes[0] >= min, "{threads} {chunks}: {sizes:?} of {remaining}");
                assert!(sizes[1..].iter().all(|&size| size + WARM_UP <= sizes[0] || size == SEGMENT_MIN));
                remaining -= sizes.iter().sum::<usize>();
            }
        }
    }

    #[test]
    fn at_most_two_segments_per_thread_are_in_flight() {
        for threads in 2..20 {
            assert_eq!((max_in_flight(threads - 1, false), max_in_flight(threads - 1, true)), (threads, 2 * threads));
        }
    }

    // Durations in microseconds, measured on an AMD EPYC with a shared library of 100 MB.
    const START: f64 = 60.0; // starting a thread
    const CHUNK: f64 = 105.0; // compressing 64 KiB
    const COPY: f64 = 3.0; // copying the compressed chunk from the memory of another processor
    const SNAPSHOT: f64 = 2.0; // recording or comparing a state
    const MISPREDICTED: f64 = 0.02; // fraction of segments; their second snapshot is right

    /// Returns the simulated duration of a call.
    fn simulate(chunks: usize, threads: usize) -> f64 {
        let ends = plan_segments(chunks, threads).unwrap();
        let size = |segment: usize| (ends[segment] - segment.checked_sub(1).map_or(0, |before| ends[before])) as f64;
        let snapshots = |segment: usize| size(segment) / SNAPSHOT_INTERVAL as f64 * SNAPSHOT;
        let helpers = (threads - 1).min(ends.len() - 1);
        // Time at which a helper finishes each segment; time at which each helper is free.
        let (mut finished, mut reserved) = (vec![None; ends.len()], vec![false; ends.len()]);
        let mut free: Vec<f64> = (1..=helpers).map(|helper| helper as f64 * START).collect();
        let (mut now, mut written, mut speculation_works) = (helpers as f64 * START, 0, false);
        while written < ends.len() {
            now = match finished[written] {
                Some(at) => {
                    let recompression = MISPREDICTED * SNAPSHOT_INTERVAL as f64 * CHUNK;
                    speculation_works = true;
                    now.max(at) + size(written) * COPY + SNAPSHOT + recompression
                }
                None => {
                    reserved[written] = true;
                    let idle = free.iter().filter(|&&at| at <= now).count();
                    let pending = (written..ends.len()).filter(|&segment| finished[segment].is_none() && !reserved[segment]);
                    if let Some(next) = pending.clone().nth(idle) {
                        reserved[next] = true;
                    }
                    now + size(written) * CHUNK + snapshots(written)
                }
            };
            // Meanwhile helpers claim segments.
            while let Some(first) = (0..helpers).min_by(|&a, &b| free[a].total_cmp(&free[b]))
                && free[first] < now
            {
                let next = (written..ends.len()).find(|&segment| finished[segment].is_none() && !reserved[segment]);
                let Some(next) = next.filter(|&next| next < written + max_in_flight(helpers, speculation_works)) else {
                    free[first] = now;
                    continue;
                };
                free[first] += (size(next) + WARM_UP as f64) * CHUNK + snapshots(next);
                finished[next] = Some(free[first]);
            }
            written += 1;
        }
        now
    }

    /// Prints the table of docs/design/parallel-compression.md: `cargo test --lib simulated -- --nocapture`.
    #[test]
    fn simulated_speed_grows_with_the_threads() {
        for mib in [16, 64, 256, 1024] {
            let chunks = mib * 16;
            let times = [1, 2, 4, 8, 16, 32, 64].map(|threads| match threads {
                1 => chunks as f64 * CHUNK,
                _ => simulate(chunks, threads),
            });
            let speed = times.map(|time| times[0] / time);
            println!("{mib} MiB: {}", speed.map(|speed| format!("{speed:.2}")).join(" | "));
            // Threads without a segment only cost their start.
            assert!(speed.windows(2).all(|pair| pair[1] > pair[0] * 0.8), "{mib} MiB: {speed:?}");
            assert!(mib != 256 || speed[1] > 1.75);
        }
    }
}
