//! The environment of the process, read without allocating.

use std::ffi::CStr;

/// Calls `read` with the value of an environment variable, `None` if it is unset.
fn with_value<R>(name: &CStr, read: impl FnOnce(Option<&CStr>) -> R) -> R {
    // SAFETY: `name` is NUL-terminated, and getenv returns NULL or a NUL-terminated string. It stays valid until the
    // environment changes: `read` does not change it, and a program whose other threads change it while this one reads
    // already breaks the contract of getenv.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        read((!value.is_null()).then(|| CStr::from_ptr(value)))
    }
}

/// Compares the value of an environment variable with `expected`.
pub(crate) fn env_equals(name: &CStr, expected: &CStr) -> bool {
    with_value(name, |value| value == Some(expected))
}

/// Returns the value of an environment variable as a number; `None` if it is unset or not a decimal number.
pub(super) fn env_usize(name: &CStr) -> Option<usize> {
    with_value(name, |value| value?.to_str().ok()?.parse().ok())
}

/// Calls `with` with the directory for temporary files: the value of `TMPDIR`, or /tmp if that is unset or empty.
pub(super) fn with_temp_dir<R>(with: impl FnOnce(&CStr) -> R) -> R {
    with_value(c"TMPDIR", |value| with(value.filter(|path| !path.is_empty()).unwrap_or(c"/tmp")))
}
