//! Standard output.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use super::style::{Styled, TITLE};

/// Adds "standard output" to errors, except for a broken pipe: that ends the program silently.
pub struct Stdout<W>(pub W);

fn name_stdout(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted => error,
        _ => io::Error::other(format!("standard output: {error}")),
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data).map_err(name_stdout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(name_stdout)
    }
}

/// Buffered text on standard output.
pub struct TextOutput(BufWriter<Stdout<anstream::Stdout>>);

impl TextOutput {
    pub fn new() -> Self {
        Self(BufWriter::new(Stdout(anstream::stdout())))
    }

    /// Prints the first line about a file.
    pub fn title(&mut self, file: &str, description: impl Display) -> io::Result<()> {
        writeln!(self, "{}: {description}", Styled(TITLE, file))
    }

    /// Prints an indented line of a name and its value.
    pub fn field(&mut self, name: &str, value: impl Display) -> io::Result<()> {
        writeln!(self, "  {name:<16}{value}")
    }

    /// Says how many rows of a list of `count` are not shown, if it has more than `limit`.
    pub fn omitted(&mut self, count: usize, limit: usize) -> io::Result<()> {
        if count > limit {
            writeln!(self, "  and {} more; run `fdckpt list` for the full list", count - limit)?;
        }
        Ok(())
    }

    /// Writes what is buffered. Dropping the value instead would hide a failure.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for TextOutput {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes `bytes` to standard output.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = Stdout(io::stdout().lock());
    out.write_all(bytes)?;
    out.flush()
}
