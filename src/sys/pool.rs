//! Threads that stay, for a host that makes many calls which use some.

use std::cell::Cell;
use std::ptr;

use super::cond_mutex::Monitor;
use super::thread_group::{Help, THREADS_MAX, Team};

/// Threads that wait to help in calls, one call at a time.
pub(crate) struct Pool {
    shared: Box<[Monitor<State>]>,
    team: Option<Team>,
    /// The process that has the threads: a child that was forked has none of them.
    process: libc::pid_t,
}

struct State {
    /// What is to be done, by so many more threads, and who is at it.
    help: Option<HelpAt>,
    wanted: usize,
    busy: usize,
    /// The pool comes to its end.
    quit: bool,
}

/// Where the help of a call is described, as long as it is wanted or somebody is at it.
#[derive(Clone, Copy)]
struct HelpAt(*const Help<'static>);

// SAFETY: what it points to is shared among threads anyway.
unsafe impl Send for HelpAt {}

thread_local! {
    // Without a destructor, so that it is there as long as the thread.
    static IN_USE: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

impl Pool {
    /// Starts `threads - 1` threads, or as many as can be. `None` where memory for the pool itself is short.
    pub(crate) fn new(threads: usize) -> Option<Self> {
        let mut shared = Vec::new();
        shared.try_reserve_exact(1).ok()?;
        shared.push(Monitor::new(State { help: None, wanted: 0, busy: 0, quit: false }));
        let shared = shared.into_boxed_slice();
        let mut team = Team::new();
        // SAFETY: takes no arguments.
        let process = unsafe { libc::getpid() };
        // SAFETY: the state is on the heap until the team is dropped, which waits for the threads.
        unsafe { team.start(threads.clamp(1, THREADS_MAX) - 1, wait_for_work, ptr::from_ref(&shared[0]).cast_mut().cast()) };
        Some(Self { shared, team: Some(team), process })
    }

    /// How many threads a call has with it, its own included.
    pub(crate) fn threads(&self) -> usize {
        1 + self.team.as_ref().map_or(0, Team::len)
    }

    /// The pool that calls of this thread are to use.
    pub(super) fn in_use<'p>() -> Option<&'p Self> {
        // SAFETY: whoever set it answers for its being there until it is set to another.
        unsafe { IN_USE.get().as_ref() }
    }

    /// Has the calls of this thread use the pool, or none if NULL. Returns the one before.
    ///
    /// # Safety
    /// It is there until this thread is told to use another, or ends; or makes no call.
    pub(crate) unsafe fn use_by_this_thread(pool: *const Self) -> *const Self {
        IN_USE.replace(pool)
    }

    /// Has the calls of this thread use the pool as long as `call` takes.
    pub(crate) fn used_in<R>(&self, call: impl FnOnce() -> R) -> R {
        struct Restored(*const Pool);
        impl Drop for Restored {
            fn drop(&mut self) {
                IN_USE.set(self.0);
            }
        }
        // The pool is there longer than what follows.
        let _restored = Restored(IN_USE.replace(self));
        call()
    }

    fn is_of_this_process(&self) -> bool {
        // SAFETY: takes no arguments.
        self.process == unsafe { libc::getpid() }
    }

    /// Does `work` while up to `helpers` threads of the pool do `help`; returns when nobody does any more. False, with nothing done, where
    /// the pool helps in another call, or belongs to another process.
    pub(super) fn with_helpers(&self, helpers: usize, help: &Help<'_>, work: impl FnOnce()) -> bool {
        if !self.is_of_this_process() {
            return false;
        }
        let state = &self.shared[0];
        {
            let mut state = state.lock();
            if state.help.is_some() {
                return false;
            }
            // It is not pointed to any more when this function returns.
            state.help = Some(HelpAt(ptr::from_ref(help).cast()));
            state.wanted = helpers;
        }
        state.tell();
        let _end = WhenAllAreThrough(state);
        work();
        true
    }
}

/// Waits until nobody is at the help of a call, and lets nobody begin with it.
struct WhenAllAreThrough<'p>(&'p Monitor<State>);

impl Drop for WhenAllAreThrough<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.wanted = 0;
        while state.busy > 0 {
            state.wait();
        }
        state.help = None;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if IN_USE.get() == ptr::from_ref(self) {
            IN_USE.set(ptr::null());
        }
        if self.is_of_this_process() {
            self.shared[0].lock().quit = true;
            self.shared[0].tell();
            // Waits for the threads.
            self.team = None;
        } else {
            // No thread to wait for, and a lock that one may have had when the process was forked.
            std::mem::forget(self.team.take());
            std::mem::forget(std::mem::take(&mut self.shared));
        }
    }
}

/// What a thread of a pool does.
extern "C" fn wait_for_work(state: *mut std::ffi::c_void) -> *mut std::ffi::c_void {
    // SAFETY: the pool keeps it until this thread has ended.
    let monitor = unsafe { &*state.cast::<Monitor<State>>() };
    let mut state = monitor.lock();
    while !state.quit {
        let Some(HelpAt(help)) = state.help.filter(|_| state.wanted > 0) else {
            state.wait();
            continue;
        };
        state.wanted -= 1;
        state.busy += 1;
        drop(state);
        // SAFETY: it stays until nobody is busy with it.
        unsafe { &*help }.run();
        state = monitor.lock();
        state.busy -= 1;
        monitor.tell();
    }
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread_group::{allowed, each, with_helpers};
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn me() -> libc::pthread_t {
        // SAFETY: takes no arguments.
        unsafe { libc::pthread_self() }
    }

    #[test]
    fn calls_are_helped_by_the_same_threads() {
        let pool = Pool::new(3).unwrap();
        assert_eq!(pool.threads(), 3);
        let who = Monitor::new(HashSet::new());
        pool.used_in(|| {
            assert_eq!(allowed(), 3);
            for _ in 0..200 {
                let done = AtomicUsize::new(0);
                each(3, 20, &|_| {
                    who.lock().insert(me());
                    done.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(done.into_inner(), 20);
            }
        });
        let who = who.lock();
        assert!(who.contains(&me()) && who.len() <= 3, "{}", who.len());
        assert!(IN_USE.get().is_null());
    }

    #[test]
    fn no_more_help_than_asked_for() {
        let pool = Pool::new(5).unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.used_in(|| {
            for _ in 0..100 {
                let work = || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                with_helpers(1, &work, work);
            }
        });
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn help_is_called_once_for_each_helper() {
        let pool = Pool::new(6).unwrap();
        pool.used_in(|| {
            for _ in 0..20 {
                let called = AtomicUsize::new(0);
                let help = || _ = called.fetch_add(1, Ordering::SeqCst);
                let wait = || (0..1000).for_each(|_| std::thread::yield_now());
                with_helpers(3, &help, wait);
                assert!(called.into_inner() <= 3);
            }
        });
    }

    #[test]
    fn a_call_that_comes_while_it_helps_is_done_without() {
        let pool = Pool::new(2).unwrap();
        pool.used_in(|| {
            let (mut inner, helped) = (0, AtomicUsize::new(0));
            let help = || {
                helped.fetch_add(1, Ordering::SeqCst);
            };
            with_helpers(1, &|| (), || inner = with_helpers(1, &help, || 7));
            assert_eq!((inner, helped.load(Ordering::SeqCst)), (7, 0));
        });
    }

    #[test]
    fn a_panic_comes_out_and_the_pool_goes_on() {
        let pool = Pool::new(2).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| pool.used_in(|| with_helpers(1, &|| (), || panic!("on purpose")))));
        assert!(result.is_err() && IN_USE.get().is_null());
        let once = AtomicUsize::new(0);
        let help = || {
            once.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose");
        };
        let wait = || while once.load(Ordering::SeqCst) == 0 {};
        let result = catch_unwind(AssertUnwindSafe(|| pool.used_in(|| with_helpers(1, &help, wait))));
        assert!(result.is_err());
        assert_eq!(pool.used_in(|| with_helpers(1, &|| (), || 5)), 5);
    }
}
