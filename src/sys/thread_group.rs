//! Threads, where the host has asked for them: started for one call, gone when it returns.
//!
//! Not those of std, which end the process where starting one fails for want of memory. Here that means fewer threads.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::cancel::environment_number;
use super::pool::Pool;

/// The most threads that can be asked for.
pub(crate) const THREADS_MAX: usize = 1024;

/// How many threads a call may use, its own included; one more than that, so that 0 says that nobody has asked yet.
static ALLOWED: AtomicUsize = AtomicUsize::new(0);

/// Allows each call of the process `threads` threads, the caller's included; 0 stands for as many as there are processors.
pub(crate) fn allow(threads: usize) {
    ALLOWED.store(limited(threads) + 1, Ordering::Relaxed);
}

/// As many threads as that, or as there are processors, but no more than can be.
fn limited(threads: usize) -> usize {
    if threads == 0 { processors() } else { threads }.min(THREADS_MAX)
}

/// How many threads a call may use: those of the pool that this thread uses, else what [`allow`] said last, else what `FDCKPT_THREADS` in the environment says, else one.
pub(crate) fn allowed() -> usize {
    if let Some(pool) = Pool::in_use() {
        return pool.threads();
    }
    match ALLOWED.load(Ordering::Relaxed) {
        0 => {
            let threads = limited(environment_number(c"FDCKPT_THREADS").unwrap_or(1));
            // What another thread has asked for meanwhile counts.
            _ = ALLOWED.compare_exchange(0, threads + 1, Ordering::Relaxed, Ordering::Relaxed);
            allowed()
        }
        threads => threads - 1,
    }
}

/// So many threads, where 0 stands for as many as are allowed.
pub(crate) fn number(threads: usize) -> usize {
    if threads == 0 { allowed() } else { threads.min(THREADS_MAX) }
}

/// How many processors the process may run on.
fn processors() -> usize {
    // SAFETY: a set is plain bits, of which the call writes no more than there are.
    let processors = unsafe {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init();
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) {
            0 => libc::CPU_COUNT(&set).into(),
            // A machine can have more of them than a set has bits.
            _ => libc::sysconf(libc::_SC_NPROCESSORS_ONLN),
        }
    };
    usize::try_from(processors).unwrap_or(1).max(1)
}

/// Signals of what a thread does itself. Where they are blocked, the system ends the process instead, also one that has a handler: which
/// finds out what memory is written to, say, or fetches what is read.
const OF_THE_THREAD: [libc::c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Bytes of stack of a thread that helps, besides what the system needs of it.
const STACK_SIZE: usize = 512 << 10;

/// Bytes of a thread's stack that the C library takes for itself: among others, the host's thread-local variables are there. Those of
/// some programs would leave nothing of [`STACK_SIZE`]. It does not tell by a function that is declared, but to the runtimes of languages.
fn taken_of_stack(attributes: &libc::pthread_attr_t) -> usize {
    type Function = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: where there is such a function, it is of this type, and reads the attributes at most.
    unsafe {
        let function = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        std::mem::transmute::<*mut c_void, Option<Function>>(function).map_or(0, |function| function(attributes))
    }
}

/// What the threads share that help in one call.
pub(super) struct Help<'h> {
    help: &'h (dyn Fn() + Sync),
    panicked: AtomicBool,
}

impl Help<'_> {
    pub(super) fn run(&self) {
        if catch_unwind(AssertUnwindSafe(self.help)).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// Does `work` on this thread while up to `helpers` other threads do `help`, fewer if not so many can be started. Returns when all
/// of them have: `work` sees to it that `help` comes to its end, also where `work` panics. Panics if one of the helpers did.
///
/// They are those of the pool that this thread uses, or are started for the call. Signals are not delivered to them but for what they
/// cause themselves, and the host can't cancel them.
pub(crate) fn with_helpers<R>(helpers: usize, help: &(dyn Fn() + Sync), work: impl FnOnce() -> R) -> R {
    let help = Help { help, panicked: AtomicBool::new(false) };
    let mut result = None;
    let work = || result = Some(catch_unwind(AssertUnwindSafe(work)));
    match Pool::in_use() {
        _ if helpers == 0 => work(),
        Some(pool) => {
            let mut work = Some(work);
            pool.with_helpers(helpers, &help, || _ = work.take().map(|work| work()));
            // It helps in another call: this one does without.
            if let Some(work) = work {
                work();
            }
        }
        None => {
            let mut team = Team::new();
            // SAFETY: `help` is dropped after the team, which waits for its threads.
            unsafe { team.start(helpers, begin, ptr::from_ref(&help).cast_mut().cast()) };
            work();
        }
    }
    match result {
        Some(Ok(_)) if help.panicked.load(Ordering::Relaxed) => panic!("a thread that helped panicked"),
        Some(Ok(result)) => result,
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("the work was done one way or the other"),
    }
}

/// Calls `job` with each number below `jobs`, from the lowest on, on up to `threads` threads at once, the caller's among them. Returns
/// when all are done and the threads gone. A panic of a job comes out here, after the others have ended.
pub(crate) fn each(threads: usize, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            // Above `jobs` it grows by one for each thread at most.
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return;
            }
            job(number);
        }
    };
    with_helpers(threads.min(jobs).saturating_sub(1), &work, work);
}

/// Threads that are waited for.
pub(super) struct Team(Vec<libc::pthread_t>);

impl Team {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts up to `count` threads that begin with `function`.
    ///
    /// # Safety
    /// It can be called with `argument` until the team is dropped, by several threads at a time, and does not unwind.
    pub(super) unsafe fn start(
        &mut self,
        count: usize,
        function: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) {
        if count == 0 || self.0.try_reserve_exact(count).is_err() {
            return;
        }
        // SAFETY: the attributes and sets are initialised by the calls that take them first; every pointer is to a local. Threads inherit
        // the mask of this one, which is restored. The rest is the caller's promise.
        unsafe {
            let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
            if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
                return;
            }
            let stack_size = STACK_SIZE + taken_of_stack(attributes.assume_init_ref());
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_size);
            let (mut most, mut old) = (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
            libc::sigfillset(most.as_mut_ptr());
            for signal in OF_THE_THREAD {
                libc::sigdelset(most.as_mut_ptr(), signal);
            }
            if libc::pthread_sigmask(libc::SIG_BLOCK, most.as_ptr(), old.as_mut_ptr()) == 0 {
                for _ in 0..count {
                    let mut thread = MaybeUninit::uninit();
                    if libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), function, argument) != 0 {
                        break;
                    }
                    self.0.push(thread.assume_init());
                }
                libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
            }
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // Waiting must not be the place where the host cancels this thread.
        let _uncancelled = super::cancel::CancelGuard::begin();
        for &thread in &self.0 {
            // SAFETY: it was started here, and is waited for once.
            unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        }
    }
}

extern "C" fn begin(help: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is to the Help of a call, which lives until this thread was waited for.
    unsafe { &*help.cast::<Help<'_>>() }.run();
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{IN_CHILD, passes_with};
    use std::collections::HashSet;
    use std::sync::Mutex;

    #[test]
    fn all_have_ended_when_it_returns() {
        for helpers in [0, 1, 7] {
            let ran = AtomicUsize::new(0);
            let help = || {
                ran.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(with_helpers(helpers, &help, || 5), 5);
            assert_eq!(ran.load(Ordering::Relaxed), helpers);
        }
    }

    #[test]
    fn a_panic_of_a_helper_comes_out_here() {
        let result = catch_unwind(|| with_helpers(2, &|| panic!("on purpose"), || ()));
        assert!(result.is_err());
        let result = catch_unwind(|| with_helpers(2, &|| (), || panic!("on purpose")));
        assert!(result.is_err());
    }

    #[test]
    fn as_many_as_was_said() {
        allow(3);
        assert_eq!(allowed(), 3);
        allow(usize::MAX);
        assert_eq!(allowed(), THREADS_MAX);
        allow(0);
        assert_eq!(allowed(), processors());
        assert_eq!((number(0), number(5), number(usize::MAX)), (allowed(), 5, THREADS_MAX));
        allow(1);
        assert_eq!((allowed(), number(0)), (1, 1));
    }

    #[test]
    fn processors_are_those_that_the_thread_may_run_on() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let of = |range: &str| match range.split_once('-') {
            Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
            None => 1,
        };
        assert_eq!(processors(), list.trim().split(',').map(of).sum());
    }

    #[test]
    fn as_many_as_the_environment_says() {
        if std::env::var_os(IN_CHILD).is_some() {
            let expected = match std::env::var("FDCKPT_THREADS").as_deref() {
                Ok("7") => 7,
                Ok("0") => processors(),
                _ => 1,
            };
            assert_eq!(allowed(), expected);
            return;
        }
        for value in [None, Some("7"), Some("0"), Some(""), Some("many"), Some("-2")] {
            let test = "sys::thread_group::tests::as_many_as_the_environment_says";
            assert!(passes_with(test, "FDCKPT_THREADS", value), "{value:?}");
        }
    }

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
