//! What is around raw streams: zlib (RFC 1950) and gzip (RFC 1952).

use super::error::DataError;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// The compressed data.
    Body = 0,
    /// The header's fields of fixed size.
    Fixed = 1,
    /// gzip: the size of the extra field, the field, the file's name, the comment, the header's checksum.
    ExtraSize = 2,
    Extra = 3,
    Name = 4,
    Comment = 5,
    HeaderChecksum = 6,
    /// The checksum, and of gzip the length, of the data.
    Trailer = 7,
    /// The end; of gzip, another member may follow.
    End = 8,
}

impl Stage {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        use Stage::*;
        [Body, Fixed, ExtraSize, Extra, Name, Comment, HeaderChecksum, Trailer, End]
            .into_iter()
            .find(|stage| *stage as u8 == number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zlib,
    Gzip,
}

/// The first byte of a gzip member.
pub(super) const GZIP_FIRST: u8 = 0x1f;

const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// The largest field that is held until it is complete: gzip's fixed ones.
pub(super) const HELD_MAX: usize = 10;

/// Where in a header or trailer the stream is, and the sums over the data.
#[derive(Clone, Debug)]
pub(super) struct Wrapper {
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    /// The bytes of an unfinished field.
    pub(super) held: [u8; HELD_MAX],
    pub(super) held_count: u8,
    /// gzip's flags.
    pub(super) flags: u8,
    /// Bytes of the extra field that are to come.
    pub(super) extra: u16,
    /// CRC-32 of the header so far.
    pub(super) header_sum: u32,
    /// CRC-32 or Adler-32 of the data that was returned.
    pub(super) sum: u32,
    /// How many bytes that is, modulo 2^32.
    pub(super) length: u32,
}

impl Wrapper {
    pub(super) fn new(kind: Kind) -> Self {
        let sum = match kind {
            Kind::Zlib => 1,
            Kind::Gzip => 0,
        };
        let (held, stage) = ([0; HELD_MAX], Stage::Fixed);
        Self { kind, stage, held, held_count: 0, flags: 0, extra: 0, header_sum: 0, sum, length: 0 }
    }

    /// Whether there is such a position.
    pub(super) fn is_sound(&self) -> bool {
        let field = match (self.kind, self.stage) {
            (_, Stage::Body | Stage::End) => 1,
            (Kind::Zlib, Stage::Fixed) => 2,
            (Kind::Zlib, Stage::Trailer) => 4,
            (Kind::Zlib, _) => return false,
            (Kind::Gzip, Stage::Fixed) => 10,
            (Kind::Gzip, Stage::ExtraSize | Stage::HeaderChecksum) => 2,
            (Kind::Gzip, Stage::Trailer) => 8,
            (Kind::Gzip, Stage::Extra | Stage::Name | Stage::Comment) => 1,
        };
        self.held_count < field
    }

    /// Adds data that is returned to the sums.
    pub(super) fn add(&mut self, data: &[u8]) {
        self.sum = match self.kind {
            Kind::Zlib => {
                let mut sum = simd_adler32::Adler32::from_checksum(self.sum);
                sum.write(data);
                sum.finish()
            }
            Kind::Gzip => crc32(self.sum, data),
        };
        self.length = self.length.wrapping_add(data.len() as u32);
    }

    /// Takes bytes of a header or trailer, until the data or the end comes next, or there are no more. Returns how many it took; `Err` has
    /// that, and what is wrong with the field that began so many bytes before.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<usize, (usize, DataError, usize)> {
        let mut taken = 0;
        while !matches!(self.stage, Stage::Body | Stage::End) && taken < input.len() {
            match self.stage {
                Stage::Extra => {
                    let count = usize::from(self.extra).min(input.len() - taken);
                    self.header_sum = crc32(self.header_sum, &input[taken..taken + count]);
                    self.extra -= count as u16;
                    taken += count;
                    if self.extra == 0 {
                        self.after(Stage::Extra);
                    }
                }
                Stage::Name | Stage::Comment => {
                    let rest = &input[taken..];
                    let zero = rest.iter().position(|&byte| byte == 0);
                    let count = zero.map_or(rest.len(), |zero| zero + 1);
                    self.header_sum = crc32(self.header_sum, &rest[..count]);
                    taken += count;
                    if zero.is_some() {
                        self.after(self.stage);
                    }
                }
                _ => {
                    self.held[usize::from(self.held_count)] = input[taken];
                    self.held_count += 1;
                    taken += 1;
                    self.field().map_err(|fault| (taken, fault, usize::from(self.held_count)))?;
                }
            }
        }
        Ok(taken)
    }

    /// Another byte of a field is held.
    fn field(&mut self) -> Result<(), DataError> {
        let held = &self.held[..usize::from(self.held_count)];
        match (self.kind, self.stage) {
            (Kind::Zlib, Stage::Fixed) => {
                let &[method, flags] = held else { return Ok(()) };
                if method & 15 != 8 || !(u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31) {
                    return Err(DataError::ZlibHeader);
                }
                if method >> 4 > 7 {
                    return Err(DataError::ZlibWindow);
                }
                if flags & 0x20 != 0 {
                    return Err(DataError::ZlibDictionary);
                }
                self.next(Stage::Body);
            }
            (Kind::Gzip, Stage::Fixed) => {
                match *held {
                    [GZIP_FIRST] | [GZIP_FIRST, 0x8b] | [_, _, 8] => {}
                    [_] | [_, _] => return Err(DataError::GzipHeader),
                    [_, _, _] => return Err(DataError::GzipMethod),
                    [_, _, _, flags] if flags & RESERVED != 0 => return Err(DataError::GzipFlags),
                    [_, _, _, flags] => self.flags = flags,
                    _ => {}
                }
                if held.len() == 10 {
                    self.header_sum = crc32(0, held);
                    self.after(Stage::Fixed);
                }
            }
            (_, Stage::ExtraSize) => {
                let &[low, high] = held else { return Ok(()) };
                self.header_sum = crc32(self.header_sum, held);
                self.extra = u16::from_le_bytes([low, high]);
                self.next(Stage::Extra);
                if self.extra == 0 {
                    self.after(Stage::Extra);
                }
            }
            (_, Stage::HeaderChecksum) => {
                let &[low, high] = held else { return Ok(()) };
                if u16::from_le_bytes([low, high]) != self.header_sum as u16 {
                    return Err(DataError::GzipHeaderChecksum);
                }
                self.next(Stage::Body);
            }
            (Kind::Zlib, _) => {
                let &[a, b, c, d] = held else { return Ok(()) };
                if u32::from_be_bytes([a, b, c, d]) != self.sum {
                    return Err(DataError::Checksum);
                }
                self.next(Stage::End);
            }
            (Kind::Gzip, _) => match *held {
                [a, b, c, d] if u32::from_le_bytes([a, b, c, d]) != self.sum => return Err(DataError::Checksum),
                [_, _, _, _, a, b, c, d] => {
                    if u32::from_le_bytes([a, b, c, d]) != self.length {
                        return Err(DataError::Length);
                    }
                    self.next(Stage::End);
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// Goes to the first field after `stage` that the flags announce.
    fn after(&mut self, stage: Stage) {
        let fields =
            [(Stage::ExtraSize, EXTRA), (Stage::Name, NAME), (Stage::Comment, COMMENT), (Stage::HeaderChecksum, HEADER_CHECKSUM)];
        // An extra field's size comes before it.
        let done = |field: Stage| field as u8 <= stage as u8;
        let next = fields.into_iter().find(|&(field, flag)| !done(field) && self.flags & flag != 0);
        self.next(next.map_or(Stage::Body, |(field, _)| field));
    }

    fn next(&mut self, stage: Stage) {
        self.stage = stage;
        self.held_count = 0;
    }

    /// The data has ended.
    pub(super) fn end_body(&mut self) {
        self.next(Stage::Trailer);
    }
}

fn crc32(sum: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(sum);
    hasher.update(data);
    hasher.finalize()
}
