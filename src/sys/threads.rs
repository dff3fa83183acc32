//! Helper threads of a call, and how many a call may use.
//!
//! Without being asked to, the library starts no thread.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::env::env_usize;
use super::pool::Pool;
use super::thread_group::{HelperTask, ThreadGroup};

/// Maximum number of threads of a call.
pub(crate) const THREADS_MAX: usize = 1024;

/// Maximum number of threads of a call, the caller's included, plus one; 0 if it has not been set.
static MAX_THREADS_PLUS_ONE: AtomicUsize = AtomicUsize::new(0);

/// Sets the maximum number of threads of each call in this process, the caller's included; 0 is the number of available
/// processors.
pub(crate) fn set_max_threads(threads: usize) {
    MAX_THREADS_PLUS_ONE.store(clamp_threads(threads) + 1, Ordering::Relaxed);
}

fn clamp_threads(threads: usize) -> usize {
    if threads == 0 { available_parallelism() } else { threads }.min(THREADS_MAX)
}

/// Returns the number of threads that a call may use: those of this thread's current pool, else the number given to
/// [`set_max_threads`], else the number in the environment variable `FDCKPT_THREADS`, else 1.
pub(crate) fn max_threads() -> usize {
    if let Some(pool) = Pool::current() {
        return pool.threads();
    }
    match MAX_THREADS_PLUS_ONE.load(Ordering::Relaxed) {
        0 => {
            let threads = clamp_threads(env_usize(c"FDCKPT_THREADS").unwrap_or(1));
            // A concurrent `set_max_threads` takes precedence.
            _ = MAX_THREADS_PLUS_ONE.compare_exchange(0, threads + 1, Ordering::Relaxed, Ordering::Relaxed);
            max_threads()
        }
        threads => threads - 1,
    }
}

/// Returns the number of threads for a call that was given `threads`; 0 is [`max_threads`].
pub(crate) fn resolve_thread_count(threads: usize) -> usize {
    if threads == 0 { max_threads() } else { threads.min(THREADS_MAX) }
}

/// Returns the number of processors that this thread may run on. As `std::thread::available_parallelism`, but that
/// takes CPU quotas of control groups into account, for which it reads files and allocates.
fn available_parallelism() -> usize {
    // SAFETY: an all-zero `cpu_set_t` is valid (a bit set), and the call writes at most its size.
    let processors = unsafe {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init();
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) {
            0 => libc::CPU_COUNT(&set).into(),
            // The machine can have more processors than the set has bits.
            _ => libc::sysconf(libc::_SC_NPROCESSORS_ONLN),
        }
    };
    usize::try_from(processors).unwrap_or(1).max(1)
}

/// Runs `work` on this thread while up to `helpers` other threads run `help`, fewer if they can not be started. Returns
/// when all have returned: `work` must see to it that `help` does, also if `work` panics.
///
/// The helpers are threads of this thread's current pool, or else are started for the call.
///
/// # Panics
/// If `work` or a helper panics.
pub(crate) fn scope_with_helpers<R>(helpers: usize, help: &(dyn Fn() + Sync), work: impl FnOnce() -> R) -> R {
    let task = HelperTask::new(help);
    let mut result = None;
    let work = || result = Some(catch_unwind(AssertUnwindSafe(work)));
    match Pool::current() {
        _ if helpers == 0 => work(),
        Some(pool) => {
            let mut work = Some(work);
            pool.run_with_helpers(helpers, &task, || _ = work.take().map(|work| work()));
            // The pool helps another call: this one does without.
            if let Some(work) = work {
                work();
            }
        }
        None => {
            let mut group = ThreadGroup::new();
            // SAFETY: `task` was declared before `group`, which is dropped at the end of this block; `work` does not
            // unwind.
            unsafe { group.start_helpers(helpers, &task) };
            work();
        }
    }
    match result {
        Some(Ok(_)) if task.has_panicked() => panic!("a helper thread panicked"),
        Some(Ok(result)) => result,
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("one of the branches has called `work`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::test_child::{IN_CHILD, passes_with_env};

    #[test]
    fn helpers_have_ended_when_the_scope_returns() {
        for helpers in [0, 1, 7] {
            let ran = AtomicUsize::new(0);
            let help = || {
                ran.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(scope_with_helpers(helpers, &help, || 5), 5);
            assert_eq!(ran.load(Ordering::Relaxed), helpers);
        }
    }

    #[test]
    fn panics_propagate_to_the_caller() {
        let result = catch_unwind(|| scope_with_helpers(2, &|| panic!("on purpose"), || ()));
        assert!(result.is_err());
        let result = catch_unwind(|| scope_with_helpers(2, &|| (), || panic!("on purpose")));
        assert!(result.is_err());
    }

    #[test]
    fn max_threads_is_what_was_set() {
        set_max_threads(3);
        assert_eq!(max_threads(), 3);
        set_max_threads(usize::MAX);
        assert_eq!(max_threads(), THREADS_MAX);
        set_max_threads(0);
        assert_eq!(max_threads(), available_parallelism());
        assert_eq!(
            (resolve_thread_count(0), resolve_thread_count(5), resolve_thread_count(usize::MAX)),
            (max_threads(), 5, THREADS_MAX)
        );
        set_max_threads(1);
        assert_eq!((max_threads(), resolve_thread_count(0)), (1, 1));
    }

    #[test]
    fn available_parallelism_is_the_affinity_of_the_thread() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let of = |range: &str| match range.split_once('-') {
            Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
            None => 1,
        };
        assert_eq!(available_parallelism(), list.trim().split(',').map(of).sum::<usize>());
    }

    #[test]
    fn environment_sets_max_threads() {
        if std::env::var_os(IN_CHILD).is_some() {
            let expected = match std::env::var("FDCKPT_THREADS").as_deref() {
                Ok("7") => 7,
                Ok("0") => available_parallelism(),
                _ => 1,
            };
            assert_eq!(max_threads(), expected);
            return;
        }
        for value in [None, Some("7"), Some("0"), Some(""), Some("many"), Some("-2")] {
            let test = "sys::threads::tests::environment_sets_max_threads";
            assert!(passes_with_env(test, "FDCKPT_THREADS", value), "{value:?}");
        }
    }
}
