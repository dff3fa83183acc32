//! The metadata: the JSON in front of the trailer, as the original understands it.
//!
//! What a general JSON library's typed decoding makes of odd texts differs from this in dozens of ways (repeated, missing or null
//! fields, keys in other case), so each rule is here, and docs/format/container.md lists them.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::error::Error;
use super::issue::{Issue, IssueKind};
use super::json::{IN_ARRAY, IN_OBJECT, Json, find};

const TOP: [&str; 2] = ["version", "sections"];
const SECTION: [&str; 3] = ["type", "offset", "length"];

/// A section as the metadata has it. Any number is possible: a section can lie outside of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) length: i64,
    pub(super) kind: u8,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) version: i64,
    /// `None` for `null`, which differs from `[]` in what is written.
    pub(super) entries: Option<Vec<Entry>>,
}

impl Meta {
    /// Reads `text`, which lies at offset `base` of the file, and tells `note` where it isn't in the form in which it is written.
    ///
    /// Memory: 24 bytes per element of `sections`, which takes 3 bytes of text at least, and three times that while the list
    /// grows.
    pub(super) fn read(text: &[u8], base: u64, note: &mut dyn FnMut(Issue)) -> Result<Self, Error> {
        let mut reader = Reader { json: Json::new(text, base), note, section: None };
        let (mut version, mut store) = (0, Store::default());
        reader.space();
        match reader.json.peek() {
            Some(b'{') => reader.members(&TOP, 1, |reader, name| match name {
                0 => reader.integer(&mut version, "version", "the version is not an integer, or is too large"),
                _ => reader.sections(&mut store),
            })?,
            Some(b'n') => reader.null("the metadata")?,
            _ => return Err(reader.json.error("the metadata is not a JSON object")),
        }
        reader.space();
        match reader.json.peek() {
            None => Ok(Self { version, entries: store.into_entries() }),
            Some(_) => Err(reader.json.error("data follows the JSON object")),
        }
    }
}

/// Repeated lists of sections merge: elements are stored by position, a later list changes only the fields that it gives, and
/// what a shorter one drops stays stored and comes back with a longer one.
#[derive(Default)]
struct Store {
    elements: Vec<Entry>,
    /// So many are in the list; `None` for `null`.
    shown: Option<usize>,
}

impl Store {
    fn clear(&mut self, shown: Option<usize>) {
        self.elements.clear();
        self.shown = shown;
    }

    fn element(&mut self, index: usize) -> Result<&mut Entry, Error> {
        if index == self.elements.len() {
            self.elements.try_reserve(1)?;
            self.elements.push(Entry::default());
        }
        self.elements.get_mut(index).ok_or(Error::Internal)
    }

    fn into_entries(mut self) -> Option<Vec<Entry>> {
        self.elements.truncate(self.shown?);
        Some(self.elements)
    }
}

struct Reader<'t, 'n> {
    json: Json<'t>,
    note: &'n mut dyn FnMut(Issue),
    /// The position in its list of the section that is read.
    section: Option<usize>,
}

impl Reader<'_, '_> {
    fn note(&mut self, offset: u64, kind: IssueKind) {
        (self.note)(Issue { offset: Some(offset), section: self.section, kind });
    }

    fn space(&mut self) {
        let offset = self.json.offset();
        let bytes = self.json.space();
        if bytes > 0 {
            self.note(offset, IssueKind::Space { bytes: bytes as u64 });
        }
    }

    fn null(&mut self, what: &'static str) -> Result<(), Error> {
        let offset = self.json.offset();
        self.json.word()?;
        self.note(offset, IssueKind::Null { what });
        Ok(())
    }

    /// An object that lies in `depth - 1` others: calls `value` for each member whose key is one of `names`.
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
                        self.note(offset, IssueKind::UnknownKey);
                        self.json.skip(depth)?;
                    }
                    Some(found) => {
                        let name = names[found];
                        if key != name.as_bytes() {
                            self.note(offset, IssueKind::KeySpelling { name });
                        }
                        if seen & 1 << found != 0 {
                            self.note(offset, IssueKind::RepeatedKey { name });
                        } else if seen >> found != 0 {
                            self.note(offset, IssueKind::KeyOrder { name });
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
            self.note(self.json.offset(), IssueKind::MissingKey { name });
        }
        self.json.expect(b'}', IN_OBJECT)
    }

    fn integer<T: FromStr>(&mut self, to: &mut T, name: &'static str, otherwise: &'static str) -> Result<(), Error> {
        let error = self.json.error(otherwise);
        match self.json.peek() {
            Some(b'n') => self.null(name),
            Some(b'-' | b'0'..=b'9') => {
                let offset = self.json.offset();
                let number = self.json.number()?;
                if number == b"-0" {
                    self.note(offset, IssueKind::NegativeZero);
                }
                // A fraction or an exponent is no integer, even if its value is one.
                *to = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).ok_or(error)?;
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn sections(&mut self, store: &mut Store) -> Result<(), Error> {
        match self.json.peek() {
            // Not a finding: it is what is written where there are no sections.
            Some(b'n') => {
                self.json.word()?;
                store.clear(None);
                return Ok(());
            }
            Some(b'[') => _ = self.json.eat(b'['),
            _ => return Err(self.json.error("sections is not an array")),
        }
        self.space();
        if self.json.eat(b']') {
            store.clear(Some(0));
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.section = Some(index);
            self.space();
            let element = store.element(index)?;
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
                store.shown = Some(index);
                return Ok(());
            }
            self.json.expect(b',', IN_ARRAY)?;
        }
    }
}

/// Writes metadata in the one form in which it is written; `entries` is `None` for `null`.
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
