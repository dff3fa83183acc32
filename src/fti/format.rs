//! Offsets of the fields in each version, and the ranges that the header's hash covers.

use std::ops::Range;

use super::FormatVersion;

/// Size of an MD5 hash in bytes.
pub(super) const HASH_SIZE: usize = 16;

/// The MD5 of an empty input.
pub(super) const MD5_EMPTY: [u8; HASH_SIZE] =
    [0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0, 0xb2, 4, 0xe9, 0x80, 9, 0x98, 0xec, 0xf8, 0x42, 0x7e];

/// Size of a header's checksum in bytes: 32 hexadecimal digits and NUL.
pub(super) const CHECKSUM_SIZE: usize = 33;

/// Offset and width in bytes of a number in a structure. Numbers are little-endian; signed, except the timestamp after FTI 1.6.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) at: usize,
    width: usize,
    unsigned: bool,
}

impl Field {
    const fn i8(at: usize) -> Option<Self> {
        Some(Self { at, width: 8, unsigned: false })
    }

    const fn i4(at: usize) -> Option<Self> {
        Some(Self { at, width: 4, unsigned: false })
    }

    const fn u4(at: usize) -> Option<Self> {
        Some(Self { at, width: 4, unsigned: true })
    }

    const fn byte(at: usize) -> Option<Self> {
        Some(Self { at, width: 1, unsigned: true })
    }

    pub(super) const fn bytes(self) -> Range<usize> {
        self.at..self.at + self.width
    }

    /// Returns the number. `structure` must contain the whole field.
    pub(super) fn get(self, structure: &[u8]) -> i64 {
        let mut bytes = [0; 8];
        bytes[..self.width].copy_from_slice(&structure[self.bytes()]);
        let unused = 64 - 8 * self.width as u32;
        let value = i64::from_le_bytes(bytes) << unused;
        if self.unsigned { (value as u64 >> unused) as i64 } else { value >> unused }
    }

    /// Returns whether the field can hold the number.
    pub(super) fn holds(self, value: i64) -> bool {
        match (self.width, self.unsigned) {
            (8, _) => true,
            (1, _) => u8::try_from(value).is_ok(),
            (_, true) => u32::try_from(value).is_ok(),
            (_, false) => i32::try_from(value).is_ok(),
        }
    }

    /// Writes the low bytes of `value`.
    pub(super) fn put(self, structure: &mut [u8], value: i64) {
        structure[self.bytes()].copy_from_slice(&value.to_le_bytes()[..self.width]);
    }
}

/// Layout of the structures of a version. Fields that it does not have are `None`.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// Size of the header in bytes (FTI: file block).
    pub(super) header_size: usize,
    /// Size in bytes of a block's description without those of its containers (FTI: block metadata).
    pub(super) block_meta_size: usize,
    /// Size in bytes of a container's description (FTI: variable chunk metadata).
    pub(super) container_meta_size: usize,

    pub(super) ckpt_id: Option<Field>,
    pub(super) ckpt_size: Option<Field>,
    pub(super) meta_size: Option<Field>,
    pub(super) data_size: Option<Field>,
    pub(super) fs: Option<Field>,
    pub(super) max_fs: Option<Field>,
    pub(super) pt_fs: Option<Field>,
    pub(super) timestamp: Option<Field>,

    pub(super) db_size: Option<Field>,

    pub(super) idx: Option<Field>,
    pub(super) container_id: Option<Field>,
    pub(super) has_content: Option<Field>,
    pub(super) has_ckpt: Option<Field>,
    pub(super) dptr: Option<Field>,
    pub(super) fptr: Option<Field>,
    pub(super) chunk_size: Option<Field>,
    pub(super) container_size: Option<Field>,
    /// Offset of the chunk's hash in a container's description.
    pub(super) hash_offset: usize,
}

/// Range of the header's hash of itself.
pub(super) const HEADER_HASH_RANGE: Range<usize> = CHECKSUM_SIZE..CHECKSUM_SIZE + HASH_SIZE;

/// The first field of a block and of a container, equal in all versions.
pub(super) const COUNT: Option<Field> = Field::i4(0);
pub(super) const ID: Option<Field> = Field::i4(0);

const V1_1: Format = Format {
    header_size: 96,
    block_meta_size: 12,
    container_meta_size: 64,
    ckpt_id: None,
    ckpt_size: Field::i8(56),
    meta_size: None,
    data_size: None,
    fs: Field::i8(64),
    max_fs: Field::i8(72),
    pt_fs: Field::i8(80),
    timestamp: Field::i8(88),
    db_size: Field::i8(4),
    idx: Field::i4(4),
    container_id: Field::i4(8),
    has_content: Field::byte(12),
    has_ckpt: None,
    dptr: Field::i8(16),
    fptr: Field::i8(24),
    chunk_size: Field::i8(32),
    container_size: Field::i8(40),
    hash_offset: 48,
};

const V1_2: Format = Format {
    header_size: 90,
    container_meta_size: 62,
    ckpt_size: Field::i8(49),
    fs: Field::i8(57),
    max_fs: Field::i8(65),
    pt_fs: Field::i8(73),
    timestamp: Field::i8(81),
    has_ckpt: Field::byte(13),
    dptr: Field::i8(14),
    fptr: Field::i8(22),
    chunk_size: Field::i8(30),
    container_size: Field::i8(38),
    hash_offset: 46,
    ..V1_1
};

const V1_3: Format = Format {
    header_size: 110,
    ckpt_id: Field::i4(49),
    ckpt_size: Field::i8(53),
    meta_size: Field::i8(61),
    data_size: Field::i8(69),
    fs: Field::i8(77),
    max_fs: Field::i8(85),
    pt_fs: Field::i8(93),
    timestamp: Field::i8(101),
    ..V1_2
};

const V1_4_0: Format = Format {
    container_meta_size: 58,
    idx: None,
    container_id: Field::i4(4),
    has_content: Field::byte(8),
    has_ckpt: Field::byte(9),
    dptr: Field::i8(10),
    fptr: Field::i8(18),
    chunk_size: Field::i8(26),
    container_size: Field::i8(34),
    hash_offset: 42,
    ..V1_3
};

const V1_4_1: Format = Format {
    header_size: 82,
    block_meta_size: 8,
    container_meta_size: 50,
    ckpt_size: Field::i4(53),
    meta_size: Field::i4(57),
    data_size: Field::i4(61),
    fs: Field::i4(65),
    max_fs: Field::i4(69),
    pt_fs: Field::i4(73),
    timestamp: Field::i4(77),
    db_size: Field::i4(4),
    chunk_size: Field::i4(26),
    container_size: Field::i4(30),
    hash_offset: 34,
    ..V1_4_0
};

const POST1_6: Format = Format { header_size: 106, timestamp: Field::u4(101), ..V1_4_0 };

/// Size of the largest header in bytes.
pub(super) const HEADER_SIZE_MAX: usize = 110;

impl FormatVersion {
    pub(super) fn format(self) -> &'static Format {
        match self {
            Self::V1_1 => &V1_1,
            Self::V1_2 => &V1_2,
            Self::V1_3 => &V1_3,
            Self::V1_4_0 => &V1_4_0,
            Self::V1_4_1 => &V1_4_1,
            Self::Post1_6 => &POST1_6,
        }
    }

    /// Returns whether the header comes first, and each block's description before its data. From FTI 1.3 on all data comes first, then
    /// all descriptions, then the header.
    pub(super) fn is_header_first(self) -> bool {
        matches!(self, Self::V1_1 | Self::V1_2)
    }
}

impl Format {
    /// Ranges of the header that its hash covers, in this order.
    pub(super) fn hashed_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let fields = [self.timestamp, self.ckpt_size, self.meta_size, self.data_size, self.fs, self.pt_fs, self.max_fs];
        std::iter::once(0..CHECKSUM_SIZE).chain(fields.into_iter().flatten().map(Field::bytes))
    }

    /// Computes the hash of a header.
    pub(super) fn header_hash(&self, header: &[u8]) -> [u8; HASH_SIZE] {
        let mut md5 = fast_md5::Md5::new();
        self.hashed_ranges().for_each(|range| md5.update(&header[range]));
        md5.finalize()
    }
}

/// Returns a field of a structure, or 0 if the version does not have it.
pub(super) fn get(field: Option<Field>, structure: &[u8]) -> i64 {
    field.map_or(0, |field| field.get(structure))
}

/// Writes a field if the version has it.
pub(super) fn put(field: Option<Field>, structure: &mut [u8], value: i64) {
    if let Some(field) = field {
        field.put(structure, value);
    }
}

/// Encodes a hash in lower-case hexadecimal digits.
pub(super) fn hex(hash: [u8; HASH_SIZE]) -> [u8; 2 * HASH_SIZE] {
    let mut text = [0; 2 * HASH_SIZE];
    for (digits, byte) in text.chunks_exact_mut(2).zip(hash) {
        digits[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        digits[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}

/// Decodes a hash from lower-case hexadecimal digits.
pub(super) fn unhex(text: &[u8]) -> Option<[u8; HASH_SIZE]> {
    let mut hash = [0; HASH_SIZE];
    if text.len() != 2 * HASH_SIZE {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.chunks_exact(2)) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padding of C structures, which is uninitialised memory in files of FTI.
    fn header_padding(version: FormatVersion) -> Range<usize> {
        let end = version.format().header_size;
        if version == FormatVersion::V1_1 { 49..56 } else { end - 1..end }
    }
    const CONTAINER_PADDING_1_1: Range<usize> = 13..16;

    /// Each byte of a structure belongs to exactly one field or to known padding.
    #[test]
    fn fields_fill_their_structures() {
        for version in FormatVersion::ALL {
            let format = version.format();
            let mut header = vec![0; format.header_size];
            header[..CHECKSUM_SIZE + HASH_SIZE].fill(1);
            let fields = [
                format.ckpt_id,
                format.ckpt_size,
                format.meta_size,
                format.data_size,
                format.fs,
                format.max_fs,
                format.pt_fs,
                format.timestamp,
            ];
            fields.into_iter().flatten().for_each(|field| header[field.bytes()].iter_mut().for_each(|byte| *byte += 1));
            header[header_padding(version)].iter_mut().for_each(|byte| *byte += 1);
            assert!(header.iter().all(|&byte| byte == 1), "{version:?} {header:?}");

            let mut container = vec![0; format.container_meta_size];
            container[format.hash_offset..][..HASH_SIZE].fill(1);
            let fields = [
                ID,
                format.idx,
                format.container_id,
                format.has_content,
                format.has_ckpt,
                format.dptr,
                format.fptr,
                format.chunk_size,
                format.container_size,
            ];
            fields.into_iter().flatten().for_each(|field| container[field.bytes()].iter_mut().for_each(|byte| *byte += 1));
            if version == FormatVersion::V1_1 {
                container[CONTAINER_PADDING_1_1].fill(1);
            }
            assert!(container.iter().all(|&byte| byte == 1), "{version:?} {container:?}");
            assert!(format.header_size <= HEADER_SIZE_MAX);
        }
    }

    #[test]
    fn fields_round_trip() {
        let mut structure = [0xff; 16];
        for value in [0, 1, -1, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN, i64::from(u32::MAX)] {
            for field in [Field::i8(3), Field::i4(5), Field::u4(12), Field::byte(0)].into_iter().flatten() {
                field.put(&mut structure, value);
                assert_eq!(field.get(&structure) == value, field.holds(value), "{value}");
            }
        }
        assert_eq!(unhex(&hex(MD5_EMPTY)), Some(MD5_EMPTY));
        assert_eq!(unhex(b"D41D8CD98F00B204E9800998ECF8427E"), None);
        assert_eq!(fast_md5::digest(b""), MD5_EMPTY);
    }
}
