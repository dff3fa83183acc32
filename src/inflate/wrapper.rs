//! Headers and trailers around raw streams: zlib (RFC 1950) and gzip (RFC 1952).

use super::error::DataError;

/// Part of a zlib stream or gzip member that comes next. The numbers are stored in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Compressed data.
    Body = 0,
    /// Header fields of fixed size: 2 bytes in zlib, 10 in gzip.
    FixedHeader = 1,
    /// gzip: length of the extra field (XLEN).
    ExtraLen = 2,
    /// gzip: extra field.
    Extra = 3,
    /// gzip: file name, NUL-terminated.
    Name = 4,
    /// gzip: comment, NUL-terminated.
    Comment = 5,
    /// gzip: checksum of the header (CRC16).
    HeaderCrc = 6,
    /// Checksum of the data; in gzip, also its length (ISIZE).
    Trailer = 7,
    /// End of the stream; in gzip, of a member, which another one may follow.
    End = 8,
}

impl Stage {
    pub(super) fn from_u8(number: u8) -> Option<Self> {
        use Stage::*;
        [Body, FixedHeader, ExtraLen, Extra, Name, Comment, HeaderCrc, Trailer, End]
            .into_iter()
            .find(|stage| *stage as u8 == number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrapperKind {
    Zlib,
    Gzip,
}

/// First byte of a gzip member (ID1).
pub(super) const GZIP_ID1: u8 = 0x1f;
/// Second byte of a gzip member (ID2).
const GZIP_ID2: u8 = 0x8b;
/// Compression method Deflate, in zlib and gzip.
const CM_DEFLATE: u8 = 8;

/// Flags of a gzip header (RFC 1952, FLG).
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED_FLAGS: u8 = 0xe0;

/// Flag of a zlib header: a preset dictionary is needed (RFC 1950, FDICT).
const FDICT: u8 = 0x20;

/// Size in bytes of the largest field that is parsed as a whole: the fixed header of gzip.
pub(super) const FIELD_MAX: usize = 10;

/// A field of a header or trailer is invalid.
pub(super) struct InvalidField {
    pub(super) error: DataError,
    /// Number of input bytes consumed, up to and including the byte that shows the error.
    pub(super) consumed: usize,
    /// Number of bytes of the field consumed, in this call and earlier ones.
    pub(super) field_bytes: usize,
}

/// Parser of the header and trailer, with the checksums of the data between them.
#[derive(Clone, Debug)]
pub(super) struct Wrapper {
    pub(super) kind: WrapperKind,
    pub(super) stage: Stage,
    /// Bytes of an incomplete field.
    pub(super) field: [u8; FIELD_MAX],
    /// Number of valid bytes in `field`.
    pub(super) field_len: u8,
    /// Flags of the gzip header.
    pub(super) flags: u8,
    /// Number of bytes of the extra field not yet consumed.
    pub(super) extra_remaining: u16,
    /// CRC-32 of the gzip header so far.
    pub(super) header_crc: u32,
    /// Checksum of the data returned so far: CRC-32 in gzip, Adler-32 in zlib.
    pub(super) data_checksum: u32,
    /// Number of bytes of that data, modulo 2^32.
    pub(super) data_len: u32,
}

impl Wrapper {
    pub(super) fn new(kind: WrapperKind) -> Self {
        let data_checksum = match kind {
            WrapperKind::Zlib => 1,
            WrapperKind::Gzip => 0,
        };
        Self {
            kind,
            stage: Stage::FixedHeader,
            field: [0; FIELD_MAX],
            field_len: 0,
            flags: 0,
            extra_remaining: 0,
            header_crc: 0,
            data_checksum,
            data_len: 0,
        }
    }

    /// Returns whether the format has this stage and the field is incomplete. Used to validate checkpoints.
    pub(super) fn is_valid(&self) -> bool {
        let field_size = match (self.kind, self.stage) {
            (_, Stage::Body | Stage::End) => 1,
            (WrapperKind::Zlib, Stage::FixedHeader) => 2,
            (WrapperKind::Zlib, Stage::Trailer) => 4,
            (WrapperKind::Zlib, _) => return false,
            (WrapperKind::Gzip, Stage::FixedHeader) => 10,
            (WrapperKind::Gzip, Stage::ExtraLen | Stage::HeaderCrc) => 2,
            (WrapperKind::Gzip, Stage::Trailer) => 8,
            (WrapperKind::Gzip, Stage::Extra | Stage::Name | Stage::Comment) => 1,
        };
        self.field_len < field_size
    }

    /// Updates checksum and length with data that is returned to the caller.
    pub(super) fn update_checksum(&mut self, data: &[u8]) {
        self.data_checksum = match self.kind {
            WrapperKind::Zlib => {
                let mut adler = simd_adler32::Adler32::from_checksum(self.data_checksum);
                adler.write(data);
                adler.finish()
            }
            WrapperKind::Gzip => crc32(self.data_checksum, data),
        };
        self.data_len = self.data_len.wrapping_add(data.len() as u32);
    }

    /// Parses header or trailer up to the body, the end, or the end of `input`. Returns the number of bytes consumed.
    pub(super) fn parse(&mut self, input: &[u8]) -> Result<usize, InvalidField> {
        let mut consumed = 0;
        while !matches!(self.stage, Stage::Body | Stage::End) && consumed < input.len() {
            match self.stage {
                Stage::Extra => {
                    let count = usize::from(self.extra_remaining).min(input.len() - consumed);
                    self.header_crc = crc32(self.header_crc, &input[consumed..consumed + count]);
                    self.extra_remaining -= count as u16;
                    consumed += count;
                    if self.extra_remaining == 0 {
                        self.advance_past(Stage::Extra);
                    }
                }
                Stage::Name | Stage::Comment => {
                    let rest = &input[consumed..];
                    let nul = rest.iter().position(|&byte| byte == 0);
                    let count = nul.map_or(rest.len(), |nul| nul + 1);
                    self.header_crc = crc32(self.header_crc, &rest[..count]);
                    consumed += count;
                    if nul.is_some() {
                        self.advance_past(self.stage);
                    }
                }
                _ => {
                    self.field[usize::from(self.field_len)] = input[consumed];
                    self.field_len += 1;
                    consumed += 1;
                    let field_bytes = usize::from(self.field_len);
                    self.parse_field().map_err(|error| InvalidField { error, consumed, field_bytes })?;
                }
            }
        }
        Ok(consumed)
    }

    /// Checks the field after a byte was added, as early as an error shows. Advances the stage when the field is
    /// complete.
    fn parse_field(&mut self) -> Result<(), DataError> {
        let field = &self.field[..usize::from(self.field_len)];
        match (self.kind, self.stage) {
            (WrapperKind::Zlib, Stage::FixedHeader) => {
                let &[method, flags] = field else { return Ok(()) };
                if method & 15 != CM_DEFLATE || !(u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31) {
                    return Err(DataError::ZlibHeader);
                }
                if method >> 4 > 7 {
                    return Err(DataError::ZlibWindow);
                }
                if flags & FDICT != 0 {
                    return Err(DataError::ZlibDictionary);
                }
                self.set_stage(Stage::Body);
            }
            (WrapperKind::Gzip, Stage::FixedHeader) => {
                match *field {
                    [GZIP_ID1] | [GZIP_ID1, GZIP_ID2] | [_, _, CM_DEFLATE] => {}
                    [_] | [_, _] => return Err(DataError::GzipHeader),
                    [_, _, _] => return Err(DataError::GzipMethod),
                    [_, _, _, flags] if flags & RESERVED_FLAGS != 0 => return Err(DataError::GzipFlags),
                    [_, _, _, flags] => self.flags = flags,
                    _ => {}
                }
                if field.len() == 10 {
                    self.header_crc = crc32(0, field);
                    self.advance_past(Stage::FixedHeader);
                }
            }
            (_, Stage::ExtraLen) => {
                let &[low, high] = field else { return Ok(()) };
                self.header_crc = crc32(self.header_crc, field);
                self.extra_remaining = u16::from_le_bytes([low, high]);
                self.set_stage(Stage::Extra);
                if self.extra_remaining == 0 {
                    self.advance_past(Stage::Extra);
                }
            }
            (_, Stage::HeaderCrc) => {
                let &[low, high] = field else { return Ok(()) };
                if u16::from_le_bytes([low, high]) != self.header_crc as u16 {
                    return Err(DataError::GzipHeaderChecksum);
                }
                self.set_stage(Stage::Body);
            }
            (WrapperKind::Zlib, _) => {
                let &[a, b, c, d] = field else { return Ok(()) };
                if u32::from_be_bytes([a, b, c, d]) != self.data_checksum {
                    return Err(DataError::Checksum);
                }
                self.set_stage(Stage::End);
            }
            (WrapperKind::Gzip, _) => match *field {
                [a, b, c, d] if u32::from_le_bytes([a, b, c, d]) != self.data_checksum => return Err(DataError::Checksum),
                [_, _, _, _, a, b, c, d] => {
                    if u32::from_le_bytes([a, b, c, d]) != self.data_len {
                        return Err(DataError::Length);
                    }
                    self.set_stage(Stage::End);
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// Advances to the first optional field after `stage` that the gzip flags announce, or to the body.
    fn advance_past(&mut self, stage: Stage) {
        let fields = [(Stage::ExtraLen, FEXTRA), (Stage::Name, FNAME), (Stage::Comment, FCOMMENT), (Stage::HeaderCrc, FHCRC)];
        // The numbers of the stages are in the order of the fields.
        let is_past = |field: Stage| field as u8 <= stage as u8;
        let next = fields.into_iter().find(|&(field, flag)| !is_past(field) && self.flags & flag != 0);
        self.set_stage(next.map_or(Stage::Body, |(field, _)| field));
    }

    fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        self.field_len = 0;
    }

    /// Advances from the body to the trailer.
    pub(super) fn end_body(&mut self) {
        self.set_stage(Stage::Trailer);
    }
}

fn crc32(initial: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(initial);
    hasher.update(data);
    hasher.finalize()
}
