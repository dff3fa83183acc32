//! How a large buffer is cut into segments for several threads ([`parallel_compress`](super::parallel_compress)).

use crate::alloc::try_with_capacity;

/// Chunks by which a thread begins before its segment. After 8, nearly every stream has the true state; of data that shows otherwise more
/// are taken, up to half a segment.
pub(super) const WARM_UP: usize = 8;
pub(super) const WARM_UP_MAX: usize = SEGMENT_MAX / 2;

/// The largest and the smallest segment in chunks.
pub(super) const SEGMENT_MAX: usize = 128;
pub(super) const SEGMENT_MIN: usize = 16;

/// The first of each thread's.
const SEGMENT_FIRST: usize = SEGMENT_MIN;

/// From so many threads on, segments are smaller.
const MANY: usize = 4;

/// So many segments can be begun or done that are not written yet: enough for helpers to get on while the caller is at one of its own. As
/// long as no guess has been right, one for each thread.
pub(super) fn ahead(helpers: usize, is_proven: bool) -> usize {
    if is_proven { 2 * helpers + 2 } else { helpers + 1 }
}

/// Fewer chunks than this are not worth a thread.
pub(super) const WORTH_IT: usize = 3 * SEGMENT_MIN;

/// The segments, by the chunks that they end with. They get smaller towards the end, so that no thread is left with a large one when
/// the others are through. Those of the helpers are smaller than the one in `threads` that the thread which made the call is to
/// compress, as helpers have more to do for each: so they are through when it comes to them. `None` where memory is short.
pub(super) fn plan(chunks: usize, threads: usize) -> Option<Vec<usize>> {
    let mut ends = try_with_capacity(chunks / SEGMENT_MIN + 1).ok()?;
    // Of many threads, each waits for the one that made the call: the sooner that is through with its own, the better.
    let largest = if threads > MANY { SEGMENT_MAX / 2 } else { SEGMENT_MAX };
    let mut end = 0;
    while end < chunks {
        let left = chunks - end;
        // Small ones first: they tell whether the data lends itself to it.
        let largest = largest.min(SEGMENT_FIRST << (ends.len() / threads).min(10));
        let size = (left * 2 / 3 / threads).clamp(SEGMENT_MIN, largest);
        let size = if ends.len() % threads == 0 { size } else { size.saturating_sub(WARM_UP).max(SEGMENT_MIN) };
        end += if left < size + SEGMENT_MIN { left } else { size };
        ends.push(end);
    }
    Some(ends)
}

#[cfg(test)]
mod tests {
    use super::super::parallel_compress::MARK_EVERY;
    use super::*;

    #[test]
    fn segments_cover_all_chunks() {
        for threads in [2, 3, 8, 64, 1000] {
            for chunks in WORTH_IT..2000 {
                let ends = plan(chunks, threads).unwrap();
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
    fn segments_are_small_at_first_and_at_the_end_and_those_of_helpers_smaller() {
        for (threads, chunks) in [2, 3, 4, 5, 8, 64].into_iter().flat_map(|threads| [48, 100, 777, 40_000].map(|n| (threads, n)))
        {
            let ends = plan(chunks, threads).unwrap();
            let sizes: Vec<usize> =
                (0..ends.len()).map(|at| ends[at] - at.checked_sub(1).map_or(0, |before| ends[before])).collect();
            // The last one is what is left.
            let sizes = &sizes[..sizes.len() - 1];
            let largest = if threads > MANY { SEGMENT_MAX / 2 } else { SEGMENT_MAX };
            assert!(sizes.iter().all(|&size| size <= largest));
            assert!(chunks < 40_000 || sizes.contains(&largest));
            assert!(sizes.iter().take(threads).all(|&size| size == SEGMENT_FIRST));
            let mut left = chunks;
            for (round, sizes) in sizes.chunks(threads).enumerate() {
                // So that there is something to do for all when this is done, but no more often than it takes.
                let (most, least) = (
                    (left * 2 / 3 / threads).max(SEGMENT_MIN),
                    (left / 2 / threads).min(largest).min(SEGMENT_FIRST << round.min(8)),
                );
                assert!(sizes[0] <= most && sizes[0] >= least, "{threads} {chunks}: {sizes:?} of {left}");
                assert!(sizes[1..].iter().all(|&size| size + WARM_UP <= sizes[0] || size == SEGMENT_MIN));
                left -= sizes.iter().sum::<usize>();
            }
        }
    }

    #[test]
    fn there_are_two_segments_for_each_thread_at_most() {
        for threads in 2..20 {
            assert_eq!((ahead(threads - 1, false), ahead(threads - 1, true)), (threads, 2 * threads));
        }
    }

    /// Parts of the work as measured on an AMD EPYC (a shared library of 100 MB), in microseconds.
    const START: f64 = 60.0; // of a thread, by the caller
    const CHUNK: f64 = 105.0; // compressing 64 KiB
    const COPY: f64 = 3.0; // what comes of them, from another processor's memory
    const MARK: f64 = 2.0; // noting or comparing a state
    const WRONG: f64 = 0.02; // part of the segments that begin in another state; the next mark is right

    /// When a call with so many chunks ends on so many threads, by the rules of this file.
    fn simulate(chunks: usize, threads: usize) -> f64 {
        let ends = plan(chunks, threads).unwrap();
        let size = |segment: usize| (ends[segment] - segment.checked_sub(1).map_or(0, |before| ends[before])) as f64;
        let marks = |segment: usize| size(segment) / MARK_EVERY as f64 * MARK;
        let helpers = (threads - 1).min(ends.len() - 1);
        // When a segment is through at a helper; when each helper and the caller are free.
        let (mut through, mut kept) = (vec![None; ends.len()], vec![false; ends.len()]);
        let mut free: Vec<f64> = (1..=helpers).map(|helper| helper as f64 * START).collect();
        let (mut now, mut written, mut is_proven) = (helpers as f64 * START, 0, false);
        while written < ends.len() {
            now = match through[written] {
                Some(at) => {
                    let again = WRONG * MARK_EVERY as f64 * CHUNK;
                    is_proven = true;
                    now.max(at) + size(written) * COPY + MARK + again
                }
                None => {
                    kept[written] = true;
                    let idle = free.iter().filter(|&&at| at <= now).count();
                    let open = (written..ends.len()).filter(|&segment| through[segment].is_none() && !kept[segment]);
                    if let Some(keep) = open.clone().nth(idle) {
                        kept[keep] = true;
                    }
                    now + size(written) * CHUNK + marks(written)
                }
            };
            // Meanwhile helpers take what they may.
            while let Some(first) = (0..helpers).min_by(|&a, &b| free[a].total_cmp(&free[b]))
                && free[first] < now
            {
                let next = (written..ends.len()).find(|&segment| through[segment].is_none() && !kept[segment]);
                let Some(next) = next.filter(|&next| next < written + ahead(helpers, is_proven)) else {
                    free[first] = now;
                    continue;
                };
                free[first] += (size(next) + WARM_UP as f64) * CHUNK + marks(next);
                through[next] = Some(free[first]);
            }
            written += 1;
        }
        now
    }

    /// The table of docs/design/parallel-compression.md: `cargo test --lib simulated -- --nocapture`.
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
            // More than there are segments for is of no use, and costs their start.
            assert!(speed.windows(2).all(|pair| pair[1] > pair[0] * 0.8), "{mib} MiB: {speed:?}");
            assert!(mib != 256 || speed[1] > 1.75);
        }
    }
}
