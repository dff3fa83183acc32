//! A mutex with its condition variable, on top of the C library's.
//!
//! Not std's: the futex code of std's `Mutex` and `Condvar` is part of the precompiled standard library, which
//! ThreadSanitizer does not instrument. It misses every ordering that is established in a contended `lock` or in
//! `wait`: with std's types, the C test program `frames` alone reports 189 data races (rustc 1.95, `sanitize.sh
//! thread`), all of them false, and real ones would not be found among them. Sanitizers and Valgrind intercept the
//! pthread functions.
//!
//! - Allocates nothing, and never panics: there is no poisoning. A panic while the lock is held unlocks it; what the
//!   other threads must know of it, drop guards of the users of this type report.
//! - Waiting is no cancellation point.
//! - Not for signal handlers, nor for the child of a fork: another thread may have held the lock when the process
//!   forked. Code that can run there (failure paths, [`Pool`](super::pool::Pool) in a child) takes no lock.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::cancel::CancelGuard;

/// A value that threads access one at a time, and can wait for one another to change.
pub(crate) struct CondMutex<T> {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    condvar: UnsafeCell<libc::pthread_cond_t>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is accessed by one thread at a time: through a guard, which holds the mutex, or through `&mut
// self`. So sharing the CondMutex sends the value between threads, which `T: Send` allows.
unsafe impl<T: Send> Sync for CondMutex<T> {}
// SAFETY: a CondMutex that is moved is not borrowed, so it is unlocked and nobody waits; Linux allows to move mutex and
// condition variable then, which are plain memory.
unsafe impl<T: Send> Send for CondMutex<T> {}

impl<T> CondMutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            condvar: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
            value: UnsafeCell::new(value),
        }
    }

    /// Locks the value. Deadlocks if this thread has locked it already.
    pub(crate) fn lock(&self) -> CondMutexGuard<'_, T> {
        // SAFETY: the mutex was initialised by `new`, and does not move while `self` is borrowed.
        unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        CondMutexGuard { owner: self }
    }

    /// Wakes all waiting threads.
    pub(crate) fn notify_all(&self) {
        // SAFETY: the condition variable was initialised by `new`, and does not move while `self` is borrowed.
        unsafe { libc::pthread_cond_broadcast(self.condvar.get()) };
    }

    /// Returns the value without locking, which the exclusive borrow makes unnecessary.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Drop for CondMutex<T> {
    fn drop(&mut self) {
        // SAFETY: nothing borrows `self`, so the mutex is unlocked and nobody waits for the condition variable.
        unsafe {
            libc::pthread_cond_destroy(self.condvar.get());
            libc::pthread_mutex_destroy(self.mutex.get());
        }
    }
}

/// Access to the value of a [`CondMutex`], which it unlocks when it is dropped.
pub(crate) struct CondMutexGuard<'m, T> {
    owner: &'m CondMutex<T>,
}

impl<T> CondMutexGuard<'_, T> {
    /// Unlocks the value until [`CondMutex::notify_all`], or spuriously.
    pub(crate) fn wait(&mut self) {
        let _guard = CancelGuard::new();
        // SAFETY: this guard holds the mutex. `&mut self` proves that nothing borrows the value through it while it is
        // unlocked.
        unsafe { libc::pthread_cond_wait(self.owner.condvar.get(), self.owner.mutex.get()) };
    }

    /// As [`wait`](Self::wait), but returns after about `timeout` at the latest.
    pub(crate) fn wait_timeout(&mut self, timeout: Duration) {
        const NANOSECONDS: i64 = 1_000_000_000;
        let _guard = CancelGuard::new();
        let mut deadline = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: clock_gettime writes to the local; the rest is as in `wait`.
        unsafe {
            libc::clock_gettime(libc::CLOCK_REALTIME, &mut deadline);
            deadline.tv_nsec += i64::from(timeout.subsec_nanos());
            deadline.tv_sec += timeout.as_secs() as i64 + deadline.tv_nsec / NANOSECONDS;
            deadline.tv_nsec %= NANOSECONDS;
            libc::pthread_cond_timedwait(self.owner.condvar.get(), self.owner.mutex.get(), &deadline);
        }
    }
}

impl<T> Deref for CondMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the mutex, so no other thread accesses the value.
        unsafe { &*self.owner.value.get() }
    }
}

impl<T> DerefMut for CondMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the mutex, so no other thread accesses the value; `&mut self` excludes this one.
        unsafe { &mut *self.owner.value.get() }
    }
}

impl<T> Drop for CondMutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard holds the mutex, which this thread has locked.
        unsafe { libc::pthread_mutex_unlock(self.owner.mutex.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::threads::scope_with_helpers;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        let mut mutex = CondMutex::new((0, 0));
        let add = || {
            for _ in 0..1000 {
                let mut guard = mutex.lock();
                let (a, b) = *guard;
                *guard = (a + 1, b + 1);
            }
        };
        scope_with_helpers(3, &add, add);
        let (a, b) = *mutex.get_mut();
        assert!(a == b && a % 1000 == 0 && a >= 1000, "{a} {b}");
    }

    #[test]
    fn wait_timeout_returns_without_notification() {
        let mutex = CondMutex::new(());
        let before = std::time::Instant::now();
        // It may wake spuriously, but not every time.
        (0..10).for_each(|_| mutex.lock().wait_timeout(Duration::from_millis(2)));
        assert!(before.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn wait_timeout_carries_into_the_next_second() {
        let mutex = CondMutex::new(());
        let before = std::time::Instant::now();
        // Nearly always past the end of the current second.
        (0..3).for_each(|_| mutex.lock().wait_timeout(Duration::from_nanos(999_999_999) / 4));
        mutex.lock().wait_timeout(Duration::from_nanos(999_999_999));
        assert!(before.elapsed() >= Duration::from_millis(999));
    }

    #[test]
    fn notify_all_wakes_waiting_threads() {
        let mutex = CondMutex::new(0);
        // The two threads take turns, odd and even.
        let turns = |mine: i32| {
            for _ in 0..100 {
                let mut guard = mutex.lock();
                while *guard % 2 != mine {
                    guard.wait();
                }
                *guard += 1;
                mutex.notify_all();
            }
        };
        let helped = scope_with_helpers(1, &|| turns(1), || {
            turns(0);
            true
        });
        assert!(helped && *mutex.lock() == 200);
    }
}
