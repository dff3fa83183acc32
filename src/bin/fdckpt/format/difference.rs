//! Differences between two files, as text and JSON.

use serde_json::{Value, json};

use crate::input::IO_BUFFER_SIZE;
use crate::json::merge;
use crate::term::progress::Progress;
use crate::term::units::{pluralize, size_with_unit};

/// One difference.
pub struct Difference {
    pub text: String,
    pub json: Value,
}

/// One of the compared files.
#[derive(Clone, Copy)]
pub enum Side {
    First,
    Second,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// The part of a file that a difference is about.
pub struct Subject {
    pub name: String,
    /// The fields that identify it in JSON.
    pub fields: Value,
}

impl Subject {
    pub fn new(name: impl Into<String>, fields: Value) -> Self {
        Self { name: name.into(), fields }
    }

    /// A difference in this part, with more fields for JSON.
    pub fn difference(&self, text: impl std::fmt::Display, fields: Value) -> Difference {
        let mut json = self.fields.clone();
        merge(&mut json, fields);
        Difference { text: format!("{}: {text}", self.name), json }
    }

    pub fn only_in(&self, side: Side) -> Difference {
        let id = match side {
            Side::First => "a",
            Side::Second => "b",
        };
        self.difference(format_args!("only in the {} file", side.name()), json!({"only_in": id}))
    }

    /// The difference if one of the files can't be read.
    pub fn unreadable(&self, text: impl std::fmt::Display, error: &str) -> Difference {
        self.difference(format_args!("can't be compared: {text}"), json!({"error": error}))
    }
}

/// The bytes in which two buffers differ.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteDifference {
    /// The first of them: its offset and both values.
    pub first: Option<(u64, u8, u8)>,
    /// Number of differing bytes.
    pub count: u64,
}

impl ByteDifference {
    /// Compares the next parts of two buffers, which start at `offset`, as far as both have data.
    pub fn compare(&mut self, offset: u64, a: &[u8], b: &[u8], progress: &mut Progress) {
        let mut offset = offset;
        for (a, b) in a.chunks(IO_BUFFER_SIZE).zip(b.chunks(IO_BUFFER_SIZE)) {
            progress.add(a.len() as u64);
            if a != b {
                let mut differing = (offset..).zip(a.iter().zip(b)).filter(|(_, (a, b))| a != b);
                if let Some((at, (a, b))) = differing.next() {
                    self.first.get_or_insert((at, *a, *b));
                    self.count += 1 + differing.count() as u64;
                }
            }
            offset += a.len() as u64;
        }
    }

    /// Describes the difference, if there is one, of parts of these sizes.
    pub fn describe(&self, subject: &Subject, size_a: u64, size_b: u64) -> Option<Difference> {
        let mut fields = json!({});
        let mut parts = Vec::new();
        if size_a != size_b {
            parts.push(format!("{} and {}", size_with_unit(size_a), size_with_unit(size_b)));
            merge(&mut fields, json!({"size_a": size_a, "size_b": size_b}));
        }
        match self.first {
            Some((offset, a, b)) => {
                let count = pluralize(self.count as usize, "byte");
                parts.push(format!("first differing byte at offset {offset} (0x{a:02x}, 0x{b:02x}), {count} in total"));
                merge(&mut fields, json!({"first_offset": offset, "differing_bytes": self.count}));
            }
            None if parts.is_empty() => return None,
            None => parts.push("identical up to the smaller size".to_owned()),
        }
        Some(subject.difference(parts.join("; "), fields))
    }
}

/// Compares two buffers.
pub fn compare_bytes(subject: &Subject, a: &[u8], b: &[u8], progress: &mut Progress) -> Option<Difference> {
    let mut difference = ByteDifference::default();
    difference.compare(0, a, b, progress);
    difference.describe(subject, a.len() as u64, b.len() as u64)
}
