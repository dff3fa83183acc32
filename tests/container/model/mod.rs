//! A model of the container, written from docs/format/container.md: the metadata is parsed into a tree, by recursion,
//! and everything is copied. Also a generator of files. Shares no code with the library.

#![allow(dead_code, reason = "each user uses a part of it")]

use fdckpt::Container;
use fdckpt::container::Error;

/// What the metadata can consist of. Strings are decoded to characters.
enum Value {
    Null,
    Other,
    Number(String),
    List(Vec<Value>),
    Object(Vec<(Vec<u32>, Value)>),
}

struct Text<'t>(&'t [u8]);

impl Text<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn starts(&mut self, with: &str) -> bool {
        let rest = self.0.strip_prefix(with.as_bytes());
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        self.space();
        if self.starts("null") {
            return Some(Value::Null);
        }
        if self.starts("true") || self.starts("false") {
            return Some(Value::Other);
        }
        match self.0.first()? {
            b'"' => self.string().map(|_| Value::Other),
            b'[' if depth < 10_000 => self.items("[", "]", |text| text.value(depth + 1)).map(Value::List),
            b'{' if depth < 10_000 => {
                let member = |text: &mut Self| {
                    text.space();
                    let key = text.string()?;
                    text.space();
                    let colon = text.starts(":");
                    let value = text.value(depth + 1)?;
                    colon.then_some((key, value))
                };
                self.items("{", "}", member).map(Value::Object)
            }
            _ => self.number().map(Value::Number),
        }
    }

    fn items<T>(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        assert!(self.starts(open));
        let mut items = Vec::new();
        self.space();
        if self.starts(close) {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.space();
            if self.starts(close) {
                return Some(items);
            }
            if !self.starts(",") {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| !b"+-0123456789.eE".contains(byte)).unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        let number = std::str::from_utf8(number).unwrap();
        self.0 = rest;
        let unsigned = number.strip_prefix('-').unwrap_or(number);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let valid = digits(whole) && (whole == "0" || !whole.starts_with('0'));
        (valid && fraction.is_none_or(digits) && exponent.is_none_or(digits)).then(|| number.to_owned())
    }

    fn string(&mut self) -> Option<Vec<u32>> {
        if !self.starts("\"") {
            return None;
        }
        let mut chars = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            match byte {
                b'"' => {
                    self.0 = rest;
                    return Some(chars);
                }
                b'\\' => {
                    let (&escape, rest) = rest.split_first()?;
                    self.0 = rest;
                    chars.push(match escape {
                        b'"' | b'\\' | b'/' => escape.into(),
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => 10,
                        b'r' => 13,
                        b't' => 9,
                        b'u' => {
                            let digits = std::str::from_utf8(self.0.get(..4)?).ok()?;
                            self.0 = &self.0[4..];
                            // from_str_radix takes a sign, too.
                            digits.chars().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
                            u32::from_str_radix(digits, 16).ok()?
                        }
                        _ => return None,
                    });
                }
                0..0x20 => return None,
                _ => {
                    // The longest prefix of up to 4 bytes that is one character; else a byte that is none.
                    let char = (1..=self.0.len().min(4)).find_map(|size| std::str::from_utf8(&self.0[..size]).ok());
                    chars.push(char.and_then(|char| char.chars().next()).map_or(0xfffd, u32::from));
                    self.0 = &self.0[char.map_or(1, str::len)..];
                }
            }
        }
    }
}

fn is(key: &[u32], name: &str) -> bool {
    let fold = |&char: &u32| match char {
        0x17f => 's',
        _ => char::from_u32(char).unwrap_or('?').to_ascii_lowercase(),
    };
    key.iter().map(fold).eq(name.chars())
}

#[derive(Clone, Copy, Default)]
struct Entry {
    kind: u8,
    offset: i64,
    length: i64,
}

#[derive(Default)]
struct Model {
    version: i64,
    sections: Option<Vec<Entry>>,
    data: Vec<u8>,
}

fn integer<T: std::str::FromStr>(to: &mut T, value: &Value) -> Option<()> {
    match value {
        Value::Null => Some(()),
        Value::Number(number) => {
            *to = number.parse().ok()?;
            Some(())
        }
        _ => None,
    }
}

impl Model {
    fn parse(file: &[u8]) -> Option<Self> {
        let rest = file.strip_suffix(b"CKPT").filter(|rest| rest.len() >= 4)?;
        let (rest, length) = rest.split_at(rest.len() - 4);
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let (data, text) = rest.split_at(rest.len().checked_sub(length)?);
        let mut text = Text(text);
        let value = text.value(0)?;
        text.space();
        if !text.0.is_empty() {
            return None;
        }
        let mut model = Self { data: data.to_vec(), ..Self::default() };
        let members = match value {
            Value::Null => Vec::new(),
            Value::Object(members) => members,
            _ => return None,
        };
        let (mut stored, mut count) = (Vec::<Entry>::new(), None);
        for (key, value) in &members {
            if is(key, "version") {
                integer(&mut model.version, value)?;
            } else if is(key, "sections") {
                match value {
                    Value::Null => (stored, count) = (Vec::new(), None),
                    Value::List(items) if items.is_empty() => (stored, count) = (Vec::new(), Some(0)),
                    Value::List(items) => {
                        stored.resize(stored.len().max(items.len()), Entry::default());
                        count = Some(items.len());
                        for (entry, item) in stored.iter_mut().zip(items) {
                            match item {
                                Value::Null => {}
                                Value::Object(members) => members.iter().try_for_each(|member| Self::field(entry, member))?,
                                _ => return None,
                            }
                        }
                    }
                    _ => return None,
                }
            }
        }
        model.sections = count.map(|count| stored[..count].to_vec());
        Some(model)
    }

    fn field(entry: &mut Entry, (key, value): &(Vec<u32>, Value)) -> Option<()> {
        if is(key, "type") {
            integer(&mut entry.kind, value)
        } else if is(key, "offset") {
            integer(&mut entry.offset, value)
        } else if is(key, "length") {
            integer(&mut entry.length, value)
        } else {
            Some(())
        }
    }

    fn entries(&self) -> &[Entry] {
        self.sections.as_deref().unwrap_or_default()
    }

    fn bytes(&self, entry: Entry) -> Option<&[u8]> {
        let (offset, end) = (i128::from(entry.offset), i128::from(entry.offset) + i128::from(entry.length));
        let inside = offset >= 0 && entry.length >= 0 && end <= self.data.len() as i128;
        inside.then(|| &self.data[offset as usize..end as usize])
    }

    /// `None`: no such section. `Some(None)`: out of range.
    fn get(&self, kind: u8) -> Option<Option<&[u8]>> {
        self.entries().iter().find(|entry| entry.kind == kind).map(|&entry| self.bytes(entry))
    }

    fn serialize(&self) -> Vec<u8> {
        let text = match &self.sections {
            None => "null".to_owned(),
            Some(entries) => {
                let entry = |&Entry { kind, offset, length }: &Entry| {
                    format!("{{\"type\":{kind},\"offset\":{offset},\"length\":{length}}}")
                };
                format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        };
        let text = format!("{{\"version\":{},\"sections\":{text}}}", self.version);
        [&self.data, text.as_bytes(), &(text.len() as u32).to_le_bytes(), b"CKPT"].concat()
    }

    /// All but the sections of type `kind`, one behind the other, then `new`. `None` where one of them is out of range.
    fn set(&self, kind: u8, new: Option<&[u8]>) -> Option<Self> {
        let mut model = Self { version: self.version, ..Self::default() };
        let mut pieces = Vec::new();
        for &entry in self.entries().iter().filter(|entry| entry.kind != kind) {
            pieces.push((entry.kind, self.bytes(entry)?));
        }
        pieces.extend(new.map(|new| (kind, new)));
        for (kind, piece) in pieces {
            let entry = Entry { kind, offset: model.data.len() as i64, length: piece.len() as i64 };
            model.sections.get_or_insert_default().push(entry);
            model.data.extend(piece);
        }
        Some(model)
    }

    /// Whether the original makes this by its calls.
    fn is_canonical(&self, file: &[u8]) -> bool {
        let mut again = Self { version: 1, sections: self.sections.as_ref().map(|_| Vec::new()), ..Self::default() };
        for &entry in self.entries() {
            let Some(bytes) = self.bytes(entry) else { return false };
            let repeated = again.entries().iter().any(|other| other.kind == entry.kind);
            if repeated {
                return false;
            }
            let offset = again.data.len() as i64;
            again.sections.get_or_insert_default().push(Entry { offset, ..entry });
            again.data.extend(bytes);
        }
        again.serialize() == file
    }
}

/// What a comparison has shown.
pub struct Outcome {
    pub parsed: bool,
    pub clean: bool,
}

/// Library and model agree on `file`, or this panics.
pub fn compare(file: &[u8]) -> Outcome {
    assert_eq!(Container::is_format(file), file.len() >= 8 && file.ends_with(b"CKPT"));
    let (container, model) = (Container::parse(file), Model::parse(file));
    let (Ok(container), Some(model)) = (&container, &model) else {
        assert!(container.is_err() && model.is_none(), "the library says {container:?}");
        return Outcome { parsed: false, clean: false };
    };
    assert_eq!(container.version(), model.version);
    let sections: Vec<_> = container.sections().map(|it| (it.kind(), it.offset(), it.length())).collect();
    let wanted: Vec<_> = model.entries().iter().map(|it| (it.kind, it.offset, it.length)).collect();
    assert_eq!(sections, wanted);
    for (section, &entry) in container.sections().zip(model.entries()) {
        assert_eq!(section.data().ok(), model.bytes(entry));
    }
    let mut kinds: Vec<u8> = model.entries().iter().map(|it| it.kind).chain([0, 1, 255]).collect();
    kinds.sort();
    kinds.dedup();
    for &kind in &kinds {
        match container.get(kind) {
            Ok(data) => assert_eq!(Some(Some(data)), model.get(kind)),
            Err(Error::SectionNotFound { .. }) => assert!(model.get(kind).is_none()),
            Err(Error::SectionOutOfRange { .. }) => assert_eq!(model.get(kind), Some(None)),
            Err(error) => panic!("{error}"),
        }
    }
    let written = container.serialize().unwrap();
    assert_eq!(written, model.serialize());
    assert_eq!(container.serialized_size(), Ok(written.len() as u64));
    let findings = container.verify().unwrap();
    assert_eq!(findings.is_empty(), model.is_canonical(file), "{findings:?}");
    assert!(findings.iter().all(|it| it.offset.is_none_or(|offset| offset < file.len() as u64)));

    // Changes, on the library's side one after the other on one handle.
    let mut container = Container::parse(file).unwrap();
    let mut model = model.clone_parts();
    for (kind, new) in [(1, Some(&b"Y"[..])), (kinds[0], Some(b"")), (kinds[kinds.len() / 2], None), (200, Some(b"Z")), (1, None)]
    {
        let there = model.get(kind).is_some();
        let after = model.set(kind, new).filter(|_| new.is_some() || there);
        let result = match new {
            Some(new) => container.set(kind, new),
            None => container.remove(kind),
        };
        assert_eq!(result.is_ok(), after.is_some(), "{kind}: {result:?}");
        model = after.unwrap_or(model);
        assert_eq!(container.serialize().unwrap(), model.serialize());
        assert_eq!(container.get(kind).ok(), model.get(kind).flatten());
    }
    Outcome { parsed: true, clean: findings.is_empty() }
}

impl Model {
    fn clone_parts(&self) -> Self {
        Self { version: self.version, sections: self.sections.clone(), data: self.data.clone() }
    }
}

/// Makes files: as they should be, or odd in the ways that the specification speaks of, or corrupt.
pub struct Generator {
    state: u64,
    /// One in so many choices is an odd one; 0 for none.
    odd: u64,
    out: Vec<u8>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut new = Self { state: seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15), odd: 0, out: Vec::new() };
        new.odd = [0, 200, 60, 60, 25, 12][new.below(6) as usize];
        new
    }

    fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn is_odd(&mut self) -> bool {
        self.odd > 0 && self.below(self.odd) == 0
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len() as u64) as usize]
    }

    fn put(&mut self, text: &str) {
        self.out.extend(text.as_bytes());
    }

    pub fn file(mut self) -> Vec<u8> {
        let count = self.below(5);
        let lengths: Vec<u64> = (0..count).map(|_| self.below(6)).collect();
        let mut data: u64 = lengths.iter().sum();
        if self.is_odd() {
            data = self.below(20);
        }
        self.out = (0..data).map(|byte| b'a' + byte as u8 % 26).collect();
        self.text(&lengths);
        let mut size = self.out.len() as u64 - data;
        if self.odd > 0 {
            // Damage in the text.
            for _ in 0..[0, 0, 0, 0, 0, 0, 0, 1, 2, 5][self.below(10) as usize] {
                if size == 0 {
                    break;
                }
                let at = (data + self.below(size)) as usize;
                match self.below(4) {
                    0 => self.out[at] ^= 1 << self.below(8),
                    1 => self.out[at] = b"\"\\{}[],:0-.eEnul \t\x00\x1f\xff\xc5\xbf"[self.below(23) as usize],
                    2 => {
                        self.out.remove(at);
                        size -= 1;
                    }
                    _ => {
                        let byte = self.out[at];
                        self.out.insert(at, byte);
                        size += 1;
                    }
                }
            }
        }
        if self.is_odd() {
            size = size.wrapping_add(self.below(7)).wrapping_sub(3);
        }
        self.out.extend((size as u32).to_le_bytes());
        self.put("CKPT");
        if self.is_odd() && self.below(4) == 0 {
            self.out.pop();
        }
        self.out
    }

    fn space(&mut self) {
        if self.is_odd() {
            let space = self.pick(&[" ", "\n", "\t\r ", "  ", "\u{b}", "\u{a0}", "\0"]);
            self.put(space);
        }
    }

    fn key(&mut self, name: &'static str) {
        let odd = match self.is_odd().then(|| self.below(9)) {
            None => name.to_owned(),
            Some(0) => name.to_uppercase(),
            Some(1) => name.replace('s', "\u{17f}").replace('e', "E"),
            Some(2) => format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]),
            Some(3) => name.replace('s', "\\u017F"),
            Some(4) => name.replace('e', self.pick(&["\u{e9}", "\u{212a}", "\\ud83d", "\\n", "", "\u{ff45}"])),
            Some(5) => self.pick(&["", "x", "crc", "k\\", "type", "offset", "length", "version", "sections", "Type "]).to_owned(),
            Some(6) => format!("{name}{}", self.pick(&[" ", "s", "\\u0000", "\u{7f}"])),
            Some(7) => {
                self.out.extend(b"\"\xff\xfe");
                self.put(name);
                self.put("\"");
                return;
            }
            Some(_) => name[1..].to_owned(),
        };
        self.put(&format!("\"{odd}\""));
    }

    fn members(&mut self, names: &[&'static str], mut value: impl FnMut(&mut Self, usize)) {
        self.put("{");
        self.space();
        let mut order: Vec<usize> = (0..names.len()).collect();
        if self.is_odd() {
            match self.below(4) {
                0 => order.reverse(),
                1 => _ = order.remove(self.below(names.len() as u64) as usize),
                2 => order.extend(0..names.len()),
                _ => order.extend([self.below(names.len() as u64) as usize; 2]),
            }
        }
        for (position, &which) in order.iter().enumerate() {
            if position > 0 {
                self.put(",");
                self.space();
            }
            if self.is_odd() {
                let key = self.pick(&["\"x\":", "\"crc\" : ", "\"\\u00e9\":", "\"typ\":", "\"a\\/b\":"]);
                self.put(key);
                self.any(0);
                self.put(",");
            }
            self.key(names[which]);
            self.space();
            self.put(":");
            self.space();
            if self.is_odd() {
                self.any(0);
            } else {
                value(self, which);
            }
            self.space();
        }
        if self.is_odd() && self.below(5) == 0 {
            self.put(",");
        }
        self.put("}");
    }

    fn text(&mut self, lengths: &[u64]) {
        self.space();
        if self.is_odd() && self.below(3) == 0 {
            self.any(0);
        } else {
            self.members(&["version", "sections"], |it, which| match which {
                0 => it.number(1),
                _ => it.sections(lengths),
            });
        }
        self.space();
        if self.is_odd() && self.below(4) == 0 {
            let more = self.pick(&["{}", "null", "\0", "]", "x"]);
            self.put(more);
        }
    }

    fn sections(&mut self, lengths: &[u64]) {
        let count = if self.is_odd() { self.below(8) as usize } else { lengths.len() };
        if count == 0 && self.below(2) == 0 {
            self.put("null");
            return;
        }
        self.put("[");
        self.space();
        let mut end = 0;
        for index in 0..count {
            if index > 0 {
                self.put(",");
                self.space();
            }
            let length = lengths.get(index).copied().unwrap_or_default();
            match self.is_odd().then(|| self.below(4)) {
                Some(0) => self.put("null"),
                Some(1) => self.put("{}"),
                Some(2) => self.any(0),
                _ => self.members(&["type", "offset", "length"], |it, which| match which {
                    0 => it.number(index as u64 * 37 % 256),
                    1 => it.number(end),
                    _ => it.number(length),
                }),
            }
            self.space();
            end += length;
        }
        self.put("]");
    }

    fn number(&mut self, right: u64) {
        if !self.is_odd() {
            return self.put(&right.to_string());
        }
        let odd = match self.below(5) {
            0 => self.below(300).to_string(),
            1 => format!("{}{right}", self.pick(&["-", "0", "+", "-0", " "])),
            2 => format!("{right}{}", self.pick(&[".0", "e0", "E+1", ".", "e", ".5e-3", "00000000000000000000"])),
            3 => self.pick(&["null", "-0", "0", "-1", "true", "\"1\"", "[]", "{}", "256", "255", "NaN", "nul"]).to_owned(),
            _ => self
                .pick(&[
                    "9223372036854775807",
                    "9223372036854775808",
                    "-9223372036854775808",
                    "-9223372036854775809",
                    "18446744073709551616",
                    "4294967296",
                    "2147483648",
                ])
                .to_owned(),
        };
        self.put(&odd);
    }

    /// A value of any kind.
    fn any(&mut self, depth: u64) {
        match self.below(if depth > 6 { 6 } else { 9 }) {
            0 => self.put("null"),
            1 => self.number(7),
            2 => {
                let number = self.pick(&["1e999", "-0.0", "1E-5", "0.1e+7", "123456789012345678901234567890", "01", "-", "1.e1"]);
                self.put(number);
            }
            3 => {
                let string = self.pick(&[
                    "\"\"",
                    "\"a\\u00e9\\ud800\"",
                    "\"\u{7f}\u{17f}\u{10ffff}\"",
                    "\"\\x\"",
                    "\"\\u12g4\"",
                    "\"\t\"",
                    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                ]);
                self.put(string);
            }
            4 => self.out.extend(b"\"\xff\xc3\xed\xa0\x80\""),
            5 => {
                let word = self.pick(&["true", "false", "True", "nul", "[]", "{}"]);
                self.put(word);
            }
            6 => {
                self.put("[");
                for index in 0..self.below(4) {
                    if index > 0 {
                        self.put(",");
                    }
                    self.any(depth + 1);
                }
                self.put("]");
            }
            7 => {
                let count = self.below(3);
                self.put("{");
                for index in 0..count {
                    if index > 0 {
                        self.put(",");
                    }
                    self.space();
                    self.key(if index == 0 { "type" } else { "x" });
                    self.put(":");
                    self.any(depth + 1);
                }
                self.put("}");
            }
            _ => {
                // Around the limit, seldom; else deep, but not too.
                let deep = if self.below(300) == 0 { 9_995 + self.below(10) } else { self.below(60) } as usize;
                let (open, close) = if self.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
                self.put(&open.repeat(deep));
                self.put("0");
                self.put(&close.repeat(deep));
            }
        }
    }
}
