//! Threads that are started and joined as a group.
//!
//! Not `std::thread`, which aborts the process if an allocation fails while a thread is started. Here that means fewer
//! threads.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cancel::CancelGuard;

/// Signals that a thread raises itself. They stay unblocked: the kernel kills a process in which one is raised while it
/// is blocked, also if it has a handler (which, say, tracks writes to memory, or fetches pages on demand).
const SYNCHRONOUS_SIGNALS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Stack size of a thread in bytes, in addition to [`min_stack_size`].
const STACK_SIZE: usize = 512 << 10;

/// Returns the number of bytes of a thread's stack that the C library uses itself.
///
/// It keeps the thread-local variables of the program there, which in some programs exceed [`STACK_SIZE`]. Language
/// runtimes ask for it by an undeclared function of glibc.
fn min_stack_size(attributes: &libc::pthread_attr_t) -> usize {
    type GetMinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: dlsym returns NULL, which is `None`, or glibc's function, which has had this type since it exists and
    // only reads the attributes.
    unsafe {
        let function = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        std::mem::transmute::<*mut c_void, Option<GetMinStack>>(function).map_or(0, |function| function(attributes))
    }
}

/// The task of the helper threads of one call.
pub(super) struct HelperTask<'t> {
    run: &'t (dyn Fn() + Sync),
    panicked: AtomicBool,
}

impl<'t> HelperTask<'t> {
    pub(super) fn new(run: &'t (dyn Fn() + Sync)) -> Self {
        Self { run, panicked: AtomicBool::new(false) }
    }

    /// Runs the task; a panic ends here.
    pub(super) fn run(&self) {
        if catch_unwind(AssertUnwindSafe(self.run)).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a run has panicked.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// Threads that are joined when the group is dropped. They receive no signals but synchronous ones, and can not be
/// cancelled by the program, which does not know them.
pub(super) struct ThreadGroup(Vec<libc::pthread_t>);

impl ThreadGroup {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts up to `count` threads that run the task once.
    ///
    /// # Safety
    /// The task must outlive the group, and the group must be dropped, not forgotten.
    pub(super) unsafe fn start_helpers(&mut self, count: usize, task: &HelperTask<'_>) {
        // SAFETY: `helper_main` does not unwind, and its argument is the task, which the caller keeps alive until the
        // threads are joined.
        unsafe { self.start(count, helper_main, ptr::from_ref(task).cast_mut().cast()) };
    }

    /// Starts up to `count` threads that call `function`.
    ///
    /// # Safety
    /// `function` must not unwind, and several threads must be able to call it with `argument` at a time, until the
    /// group is dropped.
    pub(super) unsafe fn start(
        &mut self,
        count: usize,
        function: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) {
        if count == 0 || self.0.try_reserve_exact(count).is_err() {
            return;
        }
        // SAFETY: attributes and signal sets are initialised by the call that takes them first, and every pointer is to
        // a local. Threads inherit the signal mask of this one, which is restored. The caller guarantees that
        // `function` can be called with `argument`.
        unsafe {
            let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
            if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
                return;
            }
            let stack_size = STACK_SIZE + min_stack_size(attributes.assume_init_ref());
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_size);
            let (mut blocked, mut old) = (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
            libc::sigfillset(blocked.as_mut_ptr());
            for signal in SYNCHRONOUS_SIGNALS {
                libc::sigdelset(blocked.as_mut_ptr(), signal);
            }
            if libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), old.as_mut_ptr()) == 0 {
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

impl Drop for ThreadGroup {
    fn drop(&mut self) {
        // pthread_join is a cancellation point.
        let _guard = CancelGuard::new();
        for &thread in &self.0 {
            // SAFETY: `start` has created the thread, and only this joins it, once.
            unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        }
    }
}

extern "C" fn helper_main(task: *mut c_void) -> *mut c_void {
    // SAFETY: `start_helpers` passes a task, and its caller keeps it alive until this thread is joined.
    unsafe { &*task.cast::<HelperTask<'_>>() }.run();
    ptr::null_mut()
}
