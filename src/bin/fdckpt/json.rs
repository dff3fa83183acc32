//! Writes JSON to standard output, field by field because lists can be long.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::term::escape::is_terminal_control;
use crate::term::stdout::Stdout;

/// Writes one JSON object.
pub struct JsonObjectWriter {
    out: BufWriter<Stdout<StdoutLock<'static>>>,
    is_empty: bool,
}

impl JsonObjectWriter {
    /// Starts an object with the fields that every file has.
    pub fn for_file(path: &Path, format: &str, size: usize) -> io::Result<Self> {
        let mut object = Self { out: BufWriter::new(Stdout(io::stdout().lock())), is_empty: true };
        object.fields(&json!({"file": path.to_string_lossy(), "format": format, "size": size}))?;
        Ok(object)
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        let separator = if std::mem::replace(&mut self.is_empty, false) { "{" } else { "," };
        write!(self.out, "{separator}\n  {}: ", Value::from(name))
    }

    /// Writes all fields of a JSON object.
    pub fn fields(&mut self, fields: &Value) -> io::Result<()> {
        for (name, value) in fields.as_object().into_iter().flatten() {
            self.name(name)?;
            self.out.write_all(indented(value, 2)?.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a field that is a list.
    pub fn list(&mut self, name: &str, values: impl Iterator<Item = Value>) -> io::Result<()> {
        self.name(name)?;
        let mut separator = "[";
        for value in values {
            write!(self.out, "{separator}\n    {}", indented(&value, 4)?)?;
            separator = ",";
        }
        self.out.write_all(if separator == "[" { b"[]" } else { b"\n  ]" })
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(b"\n}\n")?;
        self.out.flush()
    }
}

/// Prints a value.
pub fn print(value: &Value) -> io::Result<()> {
    let mut out = BufWriter::new(Stdout(io::stdout().lock()));
    writeln!(out, "{}", to_text(value)?)?;
    out.flush()
}

/// Adds the fields of one object to another.
pub fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Formats a value, with `spaces` before each line but the first.
fn indented(value: &Value, spaces: usize) -> io::Result<String> {
    Ok(to_text(value)?.replace('\n', &format!("\n{}", " ".repeat(spaces))))
}

/// Formats a value. serde_json does not escape all characters that a terminal could act on.
fn to_text(value: &Value) -> io::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let must_escape = |c: char| c != '\n' && is_terminal_control(c);
    if !text.contains(must_escape) {
        return Ok(text);
    }
    Ok(text.chars().fold(String::new(), |mut text, c| {
        if must_escape(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    }))
}
