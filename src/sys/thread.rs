//! Threads for the length of a call: jobs with numbers, done by as many threads as there are to be, of which the caller is one.
//!
//! Threads of the standard library end the process where memory for one is short. Here it means fewer threads, at worst none
//! but the caller, and the same result later.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::process::Uncancelled;

/// What the threads share: it lies on the caller's stack.
struct Work<'w> {
    job: &'w (dyn Fn(usize) + Sync),
    jobs: usize,
    next: AtomicUsize,
    panicked: AtomicBool,
}

impl Work<'_> {
    /// Does jobs as long as there are any.
    fn run(&self) {
        let run = || {
            loop {
                // Above `jobs` it grows by one for each thread at most.
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= self.jobs {
                    return;
                }
                (self.job)(number);
            }
        };
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

extern "C" fn start(work: *mut c_void) -> *mut c_void {
    // SAFETY: `each` gives a pointer to its work, and joins all threads before that ends.
    unsafe { &*work.cast::<Work<'_>>() }.run();
    ptr::null_mut()
}

/// Calls `job` with each number below `jobs`, from the lowest on, on up to `threads` threads at once, the caller's among them.
/// Returns when all are done and the threads gone.
///
/// The threads get no signals. A panic of a job comes out here, after the others have ended.
pub(crate) fn each(threads: usize, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
    let work = Work { job, jobs, next: AtomicUsize::new(0), panicked: AtomicBool::new(false) };
    {
        // Joining is a cancellation point.
        let _uncancelled = Uncancelled::begin();
        let helpers = Helpers::start(&work, threads.min(jobs).saturating_sub(1));
        work.run();
        drop(helpers);
    }
    assert!(!work.panicked.into_inner(), "a job of several threads has panicked");
}

/// Threads that run, until they are dropped, which waits for their end.
struct Helpers(Vec<libc::pthread_t>);

impl Helpers {
    /// As many as there can be.
    fn start(work: &Work<'_>, count: usize) -> Self {
        let mut threads = Vec::new();
        if count == 0 || threads.try_reserve_exact(count).is_err() {
            return Self(Vec::new());
        }
        with_signals_blocked(|| {
            for _ in 0..count {
                let mut thread = MaybeUninit::uninit();
                let argument = ptr::from_ref(work).cast_mut().cast();
                // SAFETY: the work outlives the thread, see `each`, and is shared without being changed but by atomics.
                if unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), start, argument) } != 0 {
                    break;
                }
                // SAFETY: it was created.
                threads.push(unsafe { thread.assume_init() });
            }
        });
        Self(threads)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for &thread in &self.0 {
            // SAFETY: created, joined once, and what it returns is not asked for.
            unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        }
    }
}

/// A thread begins with the signal mask of the one that makes it.
fn with_signals_blocked(create: impl FnOnce()) {
    // SAFETY: sigfillset initialises the set, pthread_sigmask the other; both pointers are to locals. Only this thread's mask is
    // changed, and it is restored.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut old = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        if libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) == 0 {
            create();
            libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    #[test]
    fn each_job_is_done_once() {
        for threads in [0, 1, 2, 3, 8] {
            for jobs in [0, 1, 2, 7, 1000] {
                let done: Vec<AtomicUsize> = (0..jobs).map(|_| AtomicUsize::new(0)).collect();
                each(threads, jobs, &|number| _ = done[number].fetch_add(1, Ordering::Relaxed));
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{threads} {jobs}");
            }
        }
    }

    #[test]
    fn so_many_threads_at_once_and_the_caller_is_one() {
        let barrier = std::sync::Barrier::new(3);
        let who = Mutex::new(HashSet::new());
        each(3, 3, &|_| {
            barrier.wait();
            // SAFETY: takes no arguments.
            who.lock().unwrap().insert(unsafe { libc::pthread_self() });
        });
        // SAFETY: takes no arguments.
        let me = unsafe { libc::pthread_self() };
        let who = who.into_inner().unwrap();
        assert!(who.len() == 3 && who.contains(&me));
    }

    #[test]
    fn a_panic_comes_out_and_the_other_jobs_are_done() {
        let done = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            each(2, 100, &|number| {
                assert!(number != 3, "on purpose");
                done.fetch_add(1, Ordering::Relaxed);
            });
        }));
        assert!(result.is_err());
        assert!(done.into_inner() >= 3);
    }
}
