//! Messages on standard error. A closed standard error is ignored: there is no other place to report it.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::style::{ERROR, Styled};

/// Set by `--quiet`: only results and errors are printed.
static QUIET: AtomicBool = AtomicBool::new(false);

pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints an error. `hint`, if any, says what to do about it.
pub fn error(message: impl Display, hint: Option<&str>) {
    let mut err = anstream::stderr().lock();
    _ = writeln!(err, "{}", Styled(ERROR, format_args!("fdckpt: {message}")));
    if let Some(hint) = hint {
        _ = writeln!(err, "  hint: {hint}");
    }
}

/// Prints a message that is neither result nor error, unless `--quiet` is given.
pub fn info(message: impl Display) {
    if !is_quiet() {
        _ = writeln!(anstream::stderr().lock(), "fdckpt: {message}");
    }
}
