//! Threads that outlive a call, for programs that make many calls with helpers.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use super::cond_mutex::CondMutex;
use super::thread_group::{HelperTask, ThreadGroup};

/// Idle threads that help calls, one call at a time.
pub(crate) struct Pool {
    /// One element, on the heap, as the threads point to it while the pool may move.
    state: Box<[CondMutex<State>]>,
    group: Option<ThreadGroup>,
    /// The process that has the threads: a forked child has none of them.
    process: libc::pid_t,
}

struct State {
    /// The task of the current call.
    task: Option<TaskPtr>,
    /// Number of threads that are still to begin with the task.
    helpers_wanted: usize,
    /// Number of threads that run it.
    helpers_running: usize,
    /// The pool is being dropped.
    quit: bool,
}

/// The task of a call; valid while `helpers_wanted` or `helpers_running` is not 0.
#[derive(Clone, Copy)]
struct TaskPtr(*const HelperTask<'static>);

// SAFETY: a HelperTask is Sync, so pointers to it can be sent.
unsafe impl Send for TaskPtr {}

thread_local! {
    // Without a destructor, so that it can be accessed as long as the thread runs.
    static CURRENT_POOL: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

impl Pool {
    /// Starts `threads - 1` threads, or as many as can be started. `None` if allocation of the pool itself failed.
    pub(crate) fn new(threads: usize) -> Option<Self> {
        let mut state = Vec::new();
        state.try_reserve_exact(1).ok()?;
        state.push(CondMutex::new(State { task: None, helpers_wanted: 0, helpers_running: 0, quit: false }));
        let state = state.into_boxed_slice();
        let mut group = ThreadGroup::new();
        // SAFETY: getpid takes no arguments.
        let process = unsafe { libc::getpid() };
        // SAFETY: `worker_main` does not unwind. Its argument is on the heap, and `Drop` frees it after the group is
        // dropped, or never.
        unsafe { group.start(threads.max(1) - 1, worker_main, ptr::from_ref(&state[0]).cast_mut().cast()) };
        Some(Self { state, group: Some(group), process })
    }

    /// Returns the number of threads that a call has with it, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        1 + self.group.as_ref().map_or(0, ThreadGroup::len)
    }

    /// Returns the pool that calls of this thread use.
    pub(super) fn current<'p>() -> Option<&'p Self> {
        // SAFETY: the pointer is NULL, or the pool is alive: `install` borrows it, the caller of `set_current`
        // guarantees it.
        unsafe { CURRENT_POOL.get().as_ref() }
    }

    /// Makes a pool, or none if `pool` is NULL, the current one of this thread. Returns the previous one.
    ///
    /// # Safety
    /// `pool` must stay alive until this thread sets another one, or makes no more calls to the library.
    pub(crate) unsafe fn set_current(pool: *const Self) -> *const Self {
        CURRENT_POOL.replace(pool)
    }

    /// Makes the pool the current one of this thread for the duration of `call`.
    pub(crate) fn install<R>(&self, call: impl FnOnce() -> R) -> R {
        struct RestoreOnDrop(*const Pool);
        impl Drop for RestoreOnDrop {
            fn drop(&mut self) {
                CURRENT_POOL.set(self.0);
            }
        }
        let _restore = RestoreOnDrop(CURRENT_POOL.replace(self));
        call()
    }

    fn is_owned_by_this_process(&self) -> bool {
        // SAFETY: getpid takes no arguments.
        self.process == unsafe { libc::getpid() }
    }

    /// Runs `work` while up to `helpers` threads of the pool run the task; returns when none runs it any more. Returns
    /// false, and does nothing, if the pool helps another call or belongs to another process.
    pub(super) fn run_with_helpers(&self, helpers: usize, task: &HelperTask<'_>, work: impl FnOnce()) -> bool {
        if !self.is_owned_by_this_process() {
            return false;
        }
        let mutex = &self.state[0];
        {
            let mut state = mutex.lock();
            if state.task.is_some() {
                return false;
            }
            // `WaitForHelpers` removes it before this function returns, or unwinds.
            state.task = Some(TaskPtr(ptr::from_ref(task).cast()));
            state.helpers_wanted = helpers;
        }
        mutex.notify_all();
        let _wait = WaitForHelpers(mutex);
        work();
        true
    }
}

/// Waits until no thread runs the task of a call, and lets none begin with it.
struct WaitForHelpers<'p>(&'p CondMutex<State>);

impl Drop for WaitForHelpers<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.helpers_wanted = 0;
        while state.helpers_running > 0 {
            state.wait();
        }
        state.task = None;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if CURRENT_POOL.get() == ptr::from_ref(self) {
            CURRENT_POOL.set(ptr::null());
        }
        if self.is_owned_by_this_process() {
            self.state[0].lock().quit = true;
            self.state[0].notify_all();
            // Joins the threads.
            self.group = None;
        } else {
            // In a forked child there is no thread to join, and another thread may have held the lock when the process
            // forked.
            std::mem::forget(self.group.take());
            std::mem::forget(std::mem::take(&mut self.state));
        }
    }
}

/// Entry point of the threads of a pool.
extern "C" fn worker_main(state: *mut c_void) -> *mut c_void {
    // SAFETY: `Pool::new` passes the pool's state, which is freed after this thread was joined.
    let mutex = unsafe { &*state.cast::<CondMutex<State>>() };
    let mut state = mutex.lock();
    while !state.quit {
        let Some(TaskPtr(task)) = state.task.filter(|_| state.helpers_wanted > 0) else {
            state.wait();
            continue;
        };
        state.helpers_wanted -= 1;
        state.helpers_running += 1;
        drop(state);
        // SAFETY: `run_with_helpers` keeps the task alive while `helpers_running` counts this thread
        // (`WaitForHelpers`).
        unsafe { &*task }.run();
        state = mutex.lock();
        state.helpers_running -= 1;
        mutex.notify_all();
    }
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::parallel_for::parallel_for;
    use crate::sys::threads::{max_threads, scope_with_helpers};
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn me() -> libc::pthread_t {
        // SAFETY: pthread_self takes no arguments.
        unsafe { libc::pthread_self() }
    }

    #[test]
    fn calls_are_helped_by_the_threads_of_the_pool() {
        let pool = Pool::new(3).unwrap();
        assert_eq!(pool.threads(), 3);
        let ids = CondMutex::new(HashSet::new());
        pool.install(|| {
            assert_eq!(max_threads(), 3);
            for _ in 0..200 {
                let done = AtomicUsize::new(0);
                let job = |_| {
                    ids.lock().insert(me());
                    done.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, ()>(())
                };
                assert_eq!(parallel_for(3, 20, job), Ok(()));
                assert_eq!(done.into_inner(), 20);
            }
        });
        let ids = ids.lock();
        assert!(ids.contains(&me()) && ids.len() <= 3, "{}", ids.len());
        assert!(CURRENT_POOL.get().is_null());
    }

    #[test]
    fn at_most_the_requested_number_of_helpers_runs() {
        let pool = Pool::new(5).unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.install(|| {
            for _ in 0..100 {
                let work = || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                scope_with_helpers(1, &work, work);
            }
        });
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn each_helper_runs_the_task_once() {
        let pool = Pool::new(6).unwrap();
        pool.install(|| {
            for _ in 0..20 {
                let called = AtomicUsize::new(0);
                let help = || _ = called.fetch_add(1, Ordering::SeqCst);
                let wait = || (0..1000).for_each(|_| std::thread::yield_now());
                scope_with_helpers(3, &help, wait);
                assert!(called.into_inner() <= 3);
            }
        });
    }

    #[test]
    fn nested_call_runs_without_helpers() {
        let pool = Pool::new(2).unwrap();
        pool.install(|| {
            let (mut inner, helped) = (0, AtomicUsize::new(0));
            let help = || {
                helped.fetch_add(1, Ordering::SeqCst);
            };
            scope_with_helpers(1, &|| (), || inner = scope_with_helpers(1, &help, || 7));
            assert_eq!((inner, helped.load(Ordering::SeqCst)), (7, 0));
        });
    }

    #[test]
    fn pool_is_usable_after_panics() {
        let pool = Pool::new(2).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| scope_with_helpers(1, &|| (), || panic!("on purpose")))));
        assert!(result.is_err() && CURRENT_POOL.get().is_null());
        let once = AtomicUsize::new(0);
        let help = || {
            once.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose");
        };
        let wait = || while once.load(Ordering::SeqCst) == 0 {};
        let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| scope_with_helpers(1, &help, wait))));
        assert!(result.is_err());
        assert_eq!(pool.install(|| scope_with_helpers(1, &|| (), || 5)), 5);
    }
}
