//! A value that several threads use in turn, and wait for one another to change.
//!
//! As a mutex and condition variable of std, but that it is made of those of the system: tools that look for data races know these. It
//! takes no memory beyond its own, and does not end the process.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::cancel::CancelGuard;

/// A value, its lock, and the news that it has changed.
pub(crate) struct Monitor<T> {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    changed: UnsafeCell<libc::pthread_cond_t>,
    value: UnsafeCell<T>,
}

// SAFETY: whoever holds the lock has the value alone, so it goes from thread to thread as if it were sent.
unsafe impl<T: Send> Sync for Monitor<T> {}
// SAFETY: between calls neither is in use, and as plain memory they can be moved like the value.
unsafe impl<T: Send> Send for Monitor<T> {}

impl<T> Monitor<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            changed: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until nobody else has the value.
    pub(crate) fn lock(&self) -> Held<'_, T> {
        // SAFETY: it is initialised, and stays where it is as long as it is borrowed. A thread does not lock twice: who holds it, has
        // no use for another lock.
        unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        Held { monitor: self }
    }

    /// Wakes all that wait.
    pub(crate) fn tell(&self) {
        // SAFETY: as in `lock`.
        unsafe { libc::pthread_cond_broadcast(self.changed.get()) };
    }

    /// The value, as nobody else can have it.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Drop for Monitor<T> {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it, so nobody holds it or waits.
        unsafe {
            libc::pthread_cond_destroy(self.changed.get());
            libc::pthread_mutex_destroy(self.mutex.get());
        }
    }
}

/// The value of a [`Monitor`], as long as this thread has it alone.
pub(crate) struct Held<'m, T> {
    monitor: &'m Monitor<T>,
}

impl<T> Held<'_, T> {
    /// Lets others have the value until one tells of a change, or without a reason.
    pub(crate) fn wait(&mut self) {
        let _uncancelled = CancelGuard::begin();
        // SAFETY: this thread holds the mutex. Nothing borrows the value through `self`, which is borrowed mutably.
        unsafe { libc::pthread_cond_wait(self.monitor.changed.get(), self.monitor.mutex.get()) };
    }
}

impl<T> Held<'_, T> {
    /// As [`wait`](Self::wait), for about this time at most.
    pub(crate) fn wait_at_most(&mut self, time: Duration) {
        const SECOND: i64 = 1_000_000_000;
        let _uncancelled = CancelGuard::begin();
        let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock is there and its time goes to the local; the rest is as in `wait`.
        unsafe {
            libc::clock_gettime(libc::CLOCK_REALTIME, &mut until);
            until.tv_nsec += i64::from(time.subsec_nanos());
            until.tv_sec += time.as_secs() as i64 + until.tv_nsec / SECOND;
            until.tv_nsec %= SECOND;
            libc::pthread_cond_timedwait(self.monitor.changed.get(), self.monitor.mutex.get(), &until);
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex.
        unsafe { &*self.monitor.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the mutex.
        unsafe { &mut *self.monitor.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the mutex.
        unsafe { libc::pthread_mutex_unlock(self.monitor.mutex.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread_group::with_helpers;

    #[test]
    fn one_at_a_time_and_each_sees_what_the_others_did() {
        let mut monitor = Monitor::new((0, 0));
        let add = || {
            for _ in 0..1000 {
                let mut held = monitor.lock();
                let (a, b) = *held;
                *held = (a + 1, b + 1);
            }
        };
        with_helpers(3, &add, add);
        let (a, b) = *monitor.get_mut();
        assert!(a == b && a % 1000 == 0 && a >= 1000, "{a} {b}");
    }

    #[test]
    fn who_is_not_told_goes_on() {
        let monitor = Monitor::new(());
        let before = std::time::Instant::now();
        // It may wake earlier, but not each time.
        (0..10).for_each(|_| monitor.lock().wait_at_most(Duration::from_millis(2)));
        assert!(before.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn the_time_goes_on_into_the_next_second() {
        let monitor = Monitor::new(());
        let before = std::time::Instant::now();
        // Nearly always past the end of this second.
        (0..3).for_each(|_| monitor.lock().wait_at_most(Duration::from_nanos(999_999_999) / 4));
        monitor.lock().wait_at_most(Duration::from_nanos(999_999_999));
        assert!(before.elapsed() >= Duration::from_millis(999));
    }

    #[test]
    fn who_waits_is_told() {
        let monitor = Monitor::new(0);
        // Each waits for its turn, odd and even.
        let turns = |mine: i32| {
            for _ in 0..100 {
                let mut held = monitor.lock();
                while *held % 2 != mine {
                    held.wait();
                }
                *held += 1;
                monitor.tell();
            }
        };
        let helped = with_helpers(1, &|| turns(1), || {
            turns(0);
            true
        });
        assert!(helped && *monitor.lock() == 200);
    }
}
