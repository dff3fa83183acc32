//! The metadata: JSON before the trailer, with the semantics of the original.
//!
//! Typed decoding by general JSON libraries differs in dozens of cases (repeated, missing or null fields, case of keys), so the rules are
//! implemented here; docs/format/container.md lists them.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::error::Error;
use super::issue::{Issue, IssueKind};
use super::json::{IN_ARRAY, IN_OBJECT, Json, find};

const TOP: [&str; 2] = ["version", "sections"];
const SECTION: [&str; 3] = ["type", "offset", "length"];

/// A section in the metadata. Numbers are unchecked: a section may exceed the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) length: i64,
    pub(super) kind: u8,
}

/// The decoded metadata.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) version: i64,
    /// `None` for `null`, which is written differently from `[]`.
    pub(super) entries: Option<Vec<Entry>>,
}

impl Meta {
    /// Parses `text`, which is at offset `base` of the file, and calls `on_issue` for each deviation from the canonical form.
    ///
    /// Memory: 24 bytes per element of `sections`, which takes at least 3 bytes of text, and three times that while the list grows.
    pub(super) fn read(text: &[u8], base: u64, on_issue: &mut dyn FnMut(Issue)) -> Result<Self, Error> {
        let mut reader = Reader { json: Json::new(text, base), on_issue, section: None };
        let (mut version, mut list) = (0, MergedList::default());
        reader.space();
        match reader.json.peek() {
            Some(b'{') => reader.members(&TOP, 1, |reader, name| match name {
                0 => reader.integer(&mut version, "version", "the version is not an integer, or is too large"),
                _ => reader.sections(&mut list),
            })?,
            Some(b'n') => reader.null("the metadata")?,
            _ => return Err(reader.json.error("the metadata is not a JSON object")),
        }
        reader.space();
        match reader.json.peek() {
            None => Ok(Self { version, entries: list.into_entries() }),
            Some(_) => Err(reader.json.error("data follows the JSON object")),
        }
    }
}

/// Merges repeated lists of sections: elements are stored by position, a later list overwrites only the fields that it has, and elements
/// dropped by a shorter list reappear in a longer one.
#[derive(Default)]
struct MergedList {
    elements: Vec<Entry>,
    /// Current number of elements; `None` for `null`.
    len: Option<usize>,
}

impl MergedList {
    fn clear(&mut self, len: Option<usize>) {
        self.elements.clear();
        self.len = len;
    }

    fn element(&mut self, index: usize) -> Result<&mut Entry, Error> {
        if index == self.elements.len() {
            self.elements.try_reserve(1)?;
            self.elements.push(Entry::default());
        }
        self.elements.get_mut(index).ok_or(Error::Internal)
    }

    fn into_entries(mut self) -> Option<Vec<Entry>> {
        self.elements.truncate(self.len?);
        Some(self.elements)
    }
}

struct Reader<'t, 'n> {
    json: Json<'t>,
    on_issue: &'n mut dyn FnMut(Issue),
    /// Index of the section that is being parsed.
    section: Option<usize>,
}

impl Reader<'_, '_> {
    fn report(&mut self, offset: u64, kind: IssueKind) {
        (self.on_issue)(Issue { offset: Some(offset), section: self.section, kind });
    }

    fn space(&mut self) {
        let offset = self.json.offset();
        let bytes = self.json.space();
        if bytes > 0 {
            self.report(offset, IssueKind::Space { bytes: bytes as u64 });
        }
    }

    fn null(&mut self, what: &'static str) -> Result<(), Error> {
        let offset = self.json.offset();
        self.json.word()?;
        self.report(offset, IssueKind::Null { what });
        Ok(())
    }

    /// Parses an object nested in `depth - 1` others. Calls `value` for each member whose key is one of `names`.
    fn members(
        &mut self,
        names: &[&'static str],
        depth: usize,
        mut value: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.json.expect(b'{', "an object is expected")?;
        self.space();
        let mut seen = 0;
        if self.json.peek() != Some(b'}') {
            loop {
                self.space();
                let offset = self.json.offset();
                let key = self.json.string()?;
                self.space();
                self.json.expect(b':', "a colon is expected")?;
                self.space();
                match find(key, names) {
                    None => {
                        self.report(offset, IssueKind::UnknownKey);
                        self.json.skip(depth)?;
                    }
                    Some(found) => {
                        let name = names[found];
                        if key != name.as_bytes() {
                            self.report(offset, IssueKind::KeySpelling { name });
                        }
                        if seen & 1 << found != 0 {
                            self.report(offset, IssueKind::RepeatedKey { name });
                        } else if seen >> found != 0 {
                            self.report(offset, IssueKind::KeyOrder { name });
                        }
                        seen |= 1 << found;
                        value(self, found)?;
                    }
                }
                self.space();
                if self.json.peek() == Some(b'}') {
                    break;
                }
                self.json.expect(b',', IN_OBJECT)?;
            }
        }
        for (_, &name) in names.iter().enumerate().filter(|(index, _)| seen & 1 << index == 0) {
            self.report(self.json.offset(), IssueKind::MissingKey { name });
        }
        self.json.expect(b'}', IN_OBJECT)
    }

    fn integer<T: FromStr>(&mut self, to: &mut T, name: &'static str, message: &'static str) -> Result<(), Error> {
        let error = self.json.error(message);
        match self.json.peek() {
            Some(b'n') => self.null(name),
            Some(b'-' | b'0'..=b'9') => {
                let offset = self.json.offset();
                let number = self.json.number()?;
                if number == b"-0" {
                    self.report(offset, IssueKind::NegativeZero);
                }
                // Fractions and exponents are rejected, even if the value is an integer.
                *to = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).ok_or(error)?;
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn sections(&mut self, list: &mut MergedList) -> Result<(), Error> {
        match self.json.peek() {
            // No issue: this is the canonical form without sections.
            Some(b'n') => {
                self.json.word()?;
                list.clear(None);
                return Ok(());
            }
            Some(b'[') => _ = self.json.eat(b'['),
            _ => return Err(self.json.error("sections is not an array")),
        }
        self.space();
        if self.json.eat(b']') {
            list.clear(Some(0));
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.section = Some(index);
            self.space();
            let element = list.element(index)?;
            match self.json.peek() {
                Some(b'{') => self.members(&SECTION, 3, |reader, name| match name {
                    0 => reader.integer(&mut element.kind, "type", "the section's type is not an integer from 0 to 255"),
                    1 => reader.integer(&mut element.offset, "offset", "the section's offset is not an integer, or is too large"),
                    _ => reader.integer(&mut element.length, "length", "the section's length is not an integer, or is too large"),
                })?,
                Some(b'n') => self.null("the section")?,
                _ => return Err(self.json.error("the section is not an object")),
            }
            self.space();
            index += 1;
            if self.json.eat(b']') {
                self.section = None;
                list.len = Some(index);
                return Ok(());
            }
            self.json.expect(b',', IN_ARRAY)?;
        }
    }
}

/// Writes metadata in canonical form; `entries` is `None` for `null`.
pub(super) fn write(to: &mut impl Write, version: i64, entries: Option<impl Iterator<Item = Entry>>) -> fmt::Result {
    write!(to, "{{\"version\":{version},\"sections\":")?;
    let Some(entries) = entries else { return to.write_str("null}") };
    to.write_char('[')?;
    for (index, Entry { offset, length, kind }) in entries.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(to, "{comma}{{\"type\":{kind},\"offset\":{offset},\"length\":{length}}}")?;
    }
    to.write_str("]}")
}
