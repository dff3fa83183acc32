//! A drop guard.

/// Calls a closure when it is dropped, also by a panic.
pub(crate) struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> OnDrop<F> {
    pub(crate) fn new(call: F) -> Self {
        Self(call)
    }

    /// Drops the guard without the call.
    pub(crate) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
