//! Progress bars.

use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::message;

/// A progress bar on standard error, shown only on a terminal and after [`PROGRESS_DELAY`].
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    hidden_until_delay: bool,
    /// Bytes processed so far.
    done: u64,
}

const PROGRESS_DELAY: Duration = Duration::from_secs(1);

impl Progress {
    /// Starts a bar for `total` bytes, if their number is known, of which an earlier run has processed `done`.
    pub fn new(verb: &'static str, total: Option<u64>, done: u64) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let style = match total {
            Some(_) => "{msg} [{bar:30}] {percent}% {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
            None => "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("#>-"));
        }
        bar.set_message(verb);
        bar.set_position(done);
        // The rate counts this run only.
        bar.reset_eta();
        let hidden_until_delay = io::stderr().is_terminal() && !message::is_quiet();
        Self { bar, started: Instant::now(), hidden_until_delay, done }
    }

    /// Adds processed bytes.
    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.hidden_until_delay {
            if self.started.elapsed() < PROGRESS_DELAY {
                return;
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.hidden_until_delay = false;
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(self.done);
        }
    }

    /// Sets the number of processed bytes.
    pub fn set(&mut self, done: u64) {
        self.add(done.saturating_sub(self.done));
    }

    /// Prints a message above the bar.
    pub fn info(&self, message: impl Display) {
        self.bar.suspend(|| message::info(message));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader that reports to a progress bar.
pub struct ProgressReader<R> {
    pub input: R,
    pub progress: Progress,
}

impl<R: Read> Read for ProgressReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// A writer that reports to a progress bar.
pub struct ProgressWriter<W> {
    pub output: W,
    pub progress: Progress,
}

impl<W: Write> Write for ProgressWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // A single write of everything would not move the bar.
        let count = self.output.write(&data[..data.len().min(1 << 20)])?;
        self.progress.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
