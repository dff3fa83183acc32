//! A loop whose iterations run on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::cond_mutex::CondMutex;
use crate::sys::threads::scope_with_helpers;

/// Calls `job` with each number below `jobs`, in ascending order, on up to `threads` threads, the caller's included; it
/// is one also if `threads` is 0. Returns when all jobs are done and the helpers gone.
///
/// # Errors
/// The error of the lowest job that fails. Jobs after it are not started, unless they already run.
///
/// # Panics
/// If a job panics, after the other threads have ended.
pub(crate) fn parallel_for<E: Send>(threads: usize, jobs: usize, job: impl Fn(usize) -> Result<(), E> + Sync) -> Result<(), E> {
    parallel_for_with(threads, jobs, |number| number, &mut (), || Some(()), |(), number| job(number), || Ok(()))
}

/// As [`parallel_for`], with a rank, a state per thread, and cancellation.
///
/// - Of several errors, the one of the lowest `rank` is returned. After a failure, jobs of higher rank are not started,
///   but those of lower rank are.
/// - Jobs have exclusive access to the state of their thread: `state` on the caller's, and one that `new_state` returns
///   on each helper, which is done without if that is `None`.
/// - The caller's thread calls `between` after each job that it has done and, if there were helpers, at the end. An
///   error of `between` cancels the loop; that of a job takes precedence.
pub(crate) fn parallel_for_with<S, E: Send>(
    threads: usize,
    jobs: usize,
    rank: impl Fn(usize) -> usize + Sync,
    state: &mut S,
    new_state: impl Fn() -> Option<S> + Sync,
    job: impl Fn(&mut S, usize) -> Result<(), E> + Sync,
    mut between: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    // Beyond `jobs`, each thread increments it at most once.
    let next = AtomicUsize::new(0);
    let (lowest, mut failure) = (AtomicUsize::new(usize::MAX), CondMutex::new(None::<(usize, E)>));
    let work = |state: &mut S, between: &mut dyn FnMut() -> Result<(), E>| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return Ok(());
            }
            let rank = rank(number);
            if rank > lowest.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = job(state, number) {
                let mut failure = failure.lock();
                if failure.as_ref().is_none_or(|&(other, _)| rank < other) {
                    *failure = Some((rank, error));
                    lowest.store(rank, Ordering::Relaxed);
                }
            } else if let Err(error) = between() {
                next.fetch_max(jobs, Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    let helpers = threads.min(jobs).saturating_sub(1);
    let help = || {
        if let Some(mut state) = new_state() {
            _ = work(&mut state, &mut || Ok(()));
        }
    };
    let result = scope_with_helpers(helpers, &help, || work(state, &mut between));
    match failure.get_mut().take() {
        Some((_, error)) => Err(error),
        None if result.is_ok() && helpers > 0 => between(),
        None => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicBool;
    use std::sync::{Barrier, Mutex};
    use std::thread;
    use std::time::{Duration, Instant};

    /// As [`parallel_for_with`], without states and cancellation.
    fn by_rank(
        threads: usize,
        jobs: usize,
        rank: impl Fn(usize) -> usize + Sync,
        job: impl Fn(usize) -> Result<(), usize> + Sync,
    ) -> Result<(), usize> {
        parallel_for_with(threads, jobs, rank, &mut (), || Some(()), |(), number| job(number), || Ok(()))
    }

    #[test]
    fn runs_each_job_once() {
        for threads in [0, 1, 2, 3, 8] {
            for jobs in [0, 1, 2, 7, 1000] {
                let runs: Vec<AtomicUsize> = (0..jobs).map(|_| AtomicUsize::new(0)).collect();
                let count = |number: usize| {
                    runs[number].fetch_add(1, Ordering::Relaxed);
                    Ok::<_, ()>(())
                };
                assert_eq!(parallel_for(threads, jobs, count), Ok(()));
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{threads} {jobs}");
            }
        }
    }

    #[test]
    fn runs_as_many_jobs_at_a_time_as_threads_and_the_caller_is_one() {
        let (barrier, ids) = (Barrier::new(3), Mutex::new(HashSet::new()));
        let meet = |_| {
            barrier.wait();
            ids.lock().unwrap().insert(thread_id());
            Ok::<_, ()>(())
        };
        assert_eq!(parallel_for(3, 3, meet), Ok(()));
        let ids = ids.into_inner().unwrap();
        assert!(ids.len() == 3 && ids.contains(&thread_id()));
    }

    fn thread_id() -> thread::ThreadId {
        thread::current().id()
    }

    #[test]
    fn uses_no_more_threads_than_requested() {
        for (threads, jobs) in [(1, 9), (2, 9), (3, 9), (9, 2)] {
            let states = AtomicUsize::new(1);
            let new_state = || {
                states.fetch_add(1, Ordering::SeqCst);
                Some(())
            };
            let result =
                parallel_for_with(threads, jobs, |number| number, &mut (), new_state, |(), _| Ok::<_, ()>(()), || Ok(()));
            assert_eq!(result, Ok(()));
            assert!(states.into_inner() <= threads.min(jobs));
        }
    }

    #[test]
    fn panic_propagates_and_the_other_jobs_are_done() {
        let done = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            parallel_for(2, 100, |number| {
                assert!(number != 3, "on purpose");
                done.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(())
            })
        }));
        assert!(result.is_err());
        assert!(done.into_inner() >= 3);
    }

    #[test]
    fn returns_the_error_of_the_lowest_rank() {
        for threads in [1, 2, 8] {
            // From the last job on, and all that are divisible by 3 fail.
            let fail = |number| if number % 3 == 0 { Err(number) } else { Ok(()) };
            assert_eq!(by_rank(threads, 100, |number| 99 - number, fail), Err(99));
            assert_eq!(parallel_for(threads, 100, fail), Err(0));
            let fail_late = |number| if number == 57 || number == 80 { Err(number) } else { Ok(()) };
            assert_eq!(parallel_for(threads, 100, fail_late), Err(57));
        }
    }

    #[test]
    fn starts_no_jobs_after_a_failed_one() {
        for threads in [1, 2, 8] {
            let done = AtomicUsize::new(0);
            let count = |number| {
                done.fetch_add(1, Ordering::Relaxed);
                if number == 57 || number == 80 { Err(number) } else { Ok(()) }
            };
            assert_eq!(parallel_for(threads, 100, count), Err(57));
            assert!(threads > 1 || done.into_inner() == 58);
        }
    }

    #[test]
    fn returns_the_error_of_the_lowest_job_also_if_a_later_one_fails_first() {
        for _ in 0..5 {
            let second_failed = AtomicBool::new(false);
            let fail = |number| {
                // Waits for the second one, if there is a thread for it.
                let start = Instant::now();
                while number == 0 && !second_failed.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(1) {
                    thread::sleep(Duration::from_millis(5));
                }
                second_failed.fetch_or(number == 1, Ordering::Relaxed);
                Err(number)
            };
            assert_eq!(parallel_for(2, 2, fail), Err(0));
        }
    }

    #[test]
    fn error_of_between_cancels_the_loop() {
        const JOBS: usize = 1_000_000;
        for threads in [1, 2, 8] {
            let (done, mut calls) = (AtomicUsize::new(0), 0);
            let job = |(): &mut (), _| {
                done.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(100));
                Ok(())
            };
            let cancel = || {
                calls += 1;
                Err("cancelled")
            };
            let result = parallel_for_with(threads, JOBS, |number| number, &mut (), || Some(()), job, cancel);
            assert_eq!((result, calls), (Err("cancelled"), 1));
            let done = done.into_inner();
            assert!(if threads == 1 { done == 1 } else { done < JOBS }, "{done}");
        }
    }

    #[test]
    fn error_of_a_job_takes_precedence_over_cancellation() {
        let started = Barrier::new(2);
        let job = |(): &mut (), number| {
            started.wait();
            if number == 0 { Ok(()) } else { Err("failed") }
        };
        // Only one of the two jobs is the caller's.
        let result = parallel_for_with(2, 2, |number| number, &mut (), || Some(()), job, || Err("cancelled"));
        assert_eq!(result, Err("failed"));
    }

    #[test]
    fn between_is_called_after_each_job_of_the_caller_and_at_the_end() {
        for (threads, jobs) in [(1, 0), (1, 5), (2, 5), (8, 1)] {
            let (mut own, mut calls) = (0, 0);
            let job = |own: &mut usize, _| {
                *own += 1;
                Ok::<_, ()>(())
            };
            let count = || {
                calls += 1;
                Ok(())
            };
            assert_eq!(parallel_for_with(threads, jobs, |number| number, &mut own, || Some(0), job, count), Ok(()));
            assert_eq!(calls, own + usize::from(threads.min(jobs) > 1), "{threads} {jobs}");
        }
    }

    #[test]
    fn helpers_without_state_are_done_without() {
        let ids = Mutex::new(HashSet::new());
        let job = |(): &mut (), _| {
            ids.lock().unwrap().insert(thread_id());
            Ok::<_, ()>(())
        };
        assert_eq!(parallel_for_with(4, 50, |number| number, &mut (), || None, job, || Ok(())), Ok(()));
        assert_eq!(ids.into_inner().unwrap(), HashSet::from([thread_id()]));
    }
}
