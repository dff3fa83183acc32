//! Signals that end the program: temporary files are removed first, or the command saves its state.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::exit;

/// Whether a signal asked the program to end.
static SHUTDOWN_REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the running command polls [`shutdown_signal`] and ends by itself.
static HANDLES_SHUTDOWN: AtomicBool = AtomicBool::new(false);

/// The signal received last.
static SIGNAL: AtomicI32 = AtomicI32::new(SIGINT);

/// A directory of temporary files to remove.
static TEMP_PATH: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The signal that asked the program to end, if any.
pub fn shutdown_signal() -> Option<i32> {
    SHUTDOWN_REQUESTED.load(Ordering::SeqCst).then(|| SIGNAL.load(Ordering::SeqCst))
}

/// Leaves ending to the command, which polls [`shutdown_signal`] from now on.
pub fn handle_shutdown() {
    HANDLES_SHUTDOWN.store(true, Ordering::SeqCst);
}

/// Has the directory removed if a signal ends the program.
pub fn remove_on_signal(directory: PathBuf) {
    if let Ok(mut path) = TEMP_PATH.lock() {
        *path = Some(directory);
    }
}

/// If a signal is ending the program, waits for the end: errors from now on are consequences of the signal.
pub fn exit_by_signal() {
    while SHUTDOWN_REQUESTED.load(Ordering::SeqCst) && !HANDLES_SHUTDOWN.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Whether the program was started with the signal ignored, as `nohup` and a shell's `&` do.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// Starts the thread that handles SIGINT, SIGTERM and SIGHUP. Without it these signals end the program at once.
///
/// SIGXFSZ is handled by ignoring it: the write that exceeds the limit of the file size fails, and its file is removed.
pub fn install() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let handled = || [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(handled())?;
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            SIGNAL.store(signal, Ordering::SeqCst);
            // A second signal does not wait for the command.
            if SHUTDOWN_REQUESTED.swap(true, Ordering::SeqCst) || !HANDLES_SHUTDOWN.load(Ordering::SeqCst) {
                fdckpt::remove_temp_files();
                if let Some(directory) = TEMP_PATH.lock().ok().and_then(|mut path| path.take()) {
                    // The command may create one more file during the first attempt, but not a second one.
                    _ = fs::remove_dir_all(&directory).or_else(|_| fs::remove_dir_all(&directory));
                }
                std::process::exit(i32::from(exit::by_signal(signal)));
            }
        }
    });
    if thread.is_err() {
        for signal in handled() {
            flag::register_conditional_shutdown(signal, i32::from(exit::by_signal(signal)), Arc::new(AtomicBool::new(true)))?;
        }
    }
    Ok(())
}
