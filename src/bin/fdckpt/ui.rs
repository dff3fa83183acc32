//! What people see: sizes, tables, colours, progress, and what went wrong.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::builder::styling::{AnsiColor, Style};
use fdckpt::{Error, checkpoint, container, fti, inflate};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Exit statuses: all is well; the data is damaged, or differs; it could not be done.
pub const GOOD: u8 = 0;
pub const BAD: u8 = 1;
pub const TROUBLE: u8 = 2;
/// As the shell has them for signals.
const BROKEN_PIPE: u8 = 128 + 13;

/// Whether only errors are to be told.
pub static QUIET: AtomicBool = AtomicBool::new(false);

/// Why a command ends early: what was wrong, and what to do.
#[derive(Debug)]
pub struct Trouble {
    pub status: u8,
    pub what: String,
    pub advice: Option<String>,
}

impl Trouble {
    pub fn new(what: impl Into<String>) -> Self {
        Self { status: TROUBLE, what: what.into(), advice: None }
    }

    pub fn damaged(what: impl Into<String>) -> Self {
        Self { status: BAD, ..Self::new(what) }
    }

    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Says which file it is about.
    pub fn of(self, file: impl Display) -> Self {
        Self { what: if self.what.is_empty() { self.what } else { format!("{file}: {}", self.what) }, ..self }
    }

    /// The reader of what is written has gone: nothing is to be said.
    fn broken_pipe() -> Self {
        Self { status: BROKEN_PIPE, what: String::new(), advice: None }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let kind = io::Error::from(error.clone()).kind();
        if kind == io::ErrorKind::BrokenPipe {
            return Self::broken_pipe();
        }
        let damaged = matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        let unknown = match &error {
            Error::Container(error) => matches!(error, container::Error::UnknownFormat(_)),
            Error::Checkpoint(error) => matches!(error.kind(), checkpoint::ErrorKind::UnknownFormat(_)),
            Error::Fti(error) => matches!(error, fti::Error::UnknownFormat(_)),
            Error::Inflate(error) => matches!(
                error,
                inflate::Error::UnknownFormat(_)
                    | inflate::Error::SourceSizeMismatch { .. }
                    | inflate::Error::SourceModified { .. }
            ),
            _ => false,
        };
        Self { status: if damaged && !unknown { BAD } else { TROUBLE }, ..Self::new(error.to_string()) }
    }
}

macro_rules! impl_from {
    ($($error:ty,)*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Error::from(error).into()
            }
        }
    )*};
}

impl_from! { checkpoint::Error, container::Error, fti::Error, inflate::Error, fdckpt::frame::Error, fdckpt::FileError, }

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if let Some(error) = Error::from_io(&error) {
            return error.into();
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::broken_pipe(),
            io::ErrorKind::UnexpectedEof => Self::damaged("the data ends too early: it is truncated"),
            _ => Self::new(error.to_string()),
        }
    }
}

/// Tells of it, and returns the status to end with.
pub fn report(trouble: &Trouble) -> ExitCode {
    if !trouble.what.is_empty() {
        // Where standard error is closed there is nobody to tell.
        let mut err = anstream::stderr().lock();
        _ = writeln!(err, "{}", Painted(ERROR, format_args!("fdckpt: {}", trouble.what)));
        if let Some(advice) = &trouble.advice {
            _ = writeln!(err, "  {advice}");
        }
    }
    ExitCode::from(trouble.status)
}

/// Tells of something that is wrong, while it goes on.
pub fn complain(text: impl Display) {
    _ = writeln!(anstream::stderr().lock(), "{}", Painted(ERROR, format_args!("fdckpt: {text}")));
}

pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says something beside the results, on standard error.
pub fn note(text: impl Display) {
    if !QUIET.load(Ordering::Relaxed) {
        _ = writeln!(anstream::stderr().lock(), "fdckpt: {text}");
    }
}

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const SOUND: Style = AnsiColor::Green.on_default();
pub const TITLE: Style = Style::new().bold();

/// Something in a style, which is left out where it goes to no terminal.
pub struct Painted<T>(pub Style, pub T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.0.render(), self.1, self.0.render_reset())
    }
}

/// Standard output in one of its forms: what fails says where, but for a reader that has gone, of which nothing is said.
pub struct Stdout<W>(pub W);

fn of_stdout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted => error,
        _ => io::Error::other(format!("standard output: {error}")),
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data).map_err(of_stdout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(of_stdout)
    }
}

/// Standard output for text.
pub struct Out(BufWriter<Stdout<anstream::Stdout>>);

impl Out {
    pub fn new() -> Self {
        Self(BufWriter::new(Stdout(anstream::stdout())))
    }

    /// Sees to it that all of it was written, without which success is none.
    pub fn finish(mut self, status: u8) -> Result<u8, Trouble> {
        self.0.flush()?;
        Ok(status)
    }
}

impl Write for Out {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A value as JSON, in which serde_json leaves some of what would disturb a terminal as it is.
pub fn json_text(value: &serde_json::Value) -> io::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let is_disturbing = |c: char| c != '\n' && disturbs(c);
    if !text.contains(is_disturbing) {
        return Ok(text);
    }
    Ok(text.chars().fold(String::new(), |mut text, c| {
        if is_disturbing(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    }))
}

/// Prints a value as JSON.
pub fn print_json(value: &serde_json::Value, status: u8) -> Result<u8, Trouble> {
    let mut out = BufWriter::new(Stdout(io::stdout().lock()));
    writeln!(out, "{}", json_text(value)?)?;
    out.flush()?;
    Ok(status)
}

/// Whether a character does something to a terminal, or changes the order of others.
fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name that comes from a file: what would disturb a terminal is escaped.
pub fn printable(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if disturbs(c) {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
        text
    })
}

/// `count things`, with an s where there are several.
pub fn count(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Sizes in all. What a file says of them can be too large to be added.
pub fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// A size in both forms: exact, and to be taken in at a glance.
pub fn bytes(size: u64) -> String {
    let exact = if size == 1 { "1 byte".to_owned() } else { format!("{size} bytes") };
    if size < 1024 { exact } else { format!("{exact} ({})", short(size)) }
}

/// The second form alone.
pub fn short(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = size as f64;
    let mut unit = "B";
    for next in units {
        // What would be printed as 1024.0 is one of the next unit.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{size} B") } else { format!("{value:.1} {unit}") }
}

/// Reads a size: a number of bytes, or one of KiB, MiB, GiB, TiB as K, M, G, T.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err("expected a number of bytes, with K, M, G or T behind it for KiB, MiB, GiB, TiB".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "this is more than 2^64 bytes".to_owned())
}

/// Rows in columns. It is printed in portions, so that a list of any length takes little memory.
pub struct Table {
    right: &'static [bool],
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

const PORTION: usize = 2000;

impl Table {
    /// Titles; those that begin with a `>` are of columns that are aligned to the right.
    pub fn new(right: &'static [bool], titles: &[&str]) -> Self {
        let rows = vec![titles.iter().map(|title| (*title).to_owned()).collect()];
        Self { right, widths: vec![0; titles.len()], rows }
    }

    pub fn row(&mut self, out: &mut impl Write, row: Vec<String>) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() > PORTION { self.print(out) } else { Ok(()) }
    }

    pub fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.print(out)
    }

    fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&self.widths).zip(self.right) {
                let room = " ".repeat(width - cell.chars().count());
                let (before, behind) = if *right { (room.as_str(), "") } else { ("", room.as_str()) };
                line.push_str("  ");
                line.push_str(before);
                line.push_str(cell);
                line.push_str(behind);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A bar for what takes more than a second, on a terminal.
pub struct Progress {
    bar: ProgressBar,
    from: Instant,
    /// Whether it is to be shown, but is not yet.
    waits: bool,
    done: u64,
}

const PATIENCE: Duration = Duration::from_secs(1);

impl Progress {
    /// `total` bytes are to be done, `done` of them were done before.
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
        // What was done before has no part in the rate.
        bar.set_position(done);
        bar.reset_eta();
        Self { bar, from: Instant::now(), waits: io::stderr().is_terminal() && !QUIET.load(Ordering::Relaxed), done }
    }

    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.waits {
            if self.from.elapsed() < PATIENCE {
                return;
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.waits = false;
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(self.done);
        }
    }

    /// So many bytes are done in all.
    pub fn set(&mut self, done: u64) {
        self.add(done.saturating_sub(self.done));
    }

    /// Says something above the bar.
    pub fn note(&self, text: impl Display) {
        self.bar.suspend(|| note(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
