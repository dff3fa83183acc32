//! Parsing a [`Checkpoint`]: detects the version, reads header and variables, and checks the metadata.

use super::error::Error;
use super::format::{self, CHECKSUM_SIZE, HASH_SIZE, HEADER_HASH_RANGE, get};
use super::issue::{Field, Issue, Severity, Value};
use super::{Checkpoint, Container, FormatVersion, Header, Variable};

/// Maximum number of bytes after a header that is not at the end of the file.
const TRAILING_MAX: usize = 65_536;

/// Version and offset of a header. The headers of FTI 1.3 and 1.4.0 are equal: the rest of the file distinguishes them.
type HeaderLocation = (FormatVersion, usize);

/// Versions with a header at the end, one for each layout of it.
const HEADER_LAST: [FormatVersion; 3] = [FormatVersion::Post1_6, FormatVersion::V1_4_1, FormatVersion::V1_3];

impl<'a> Checkpoint<'a> {
    /// Returns whether `file` starts or ends with a header of any version that has a valid hash.
    pub fn is_format(file: &[u8]) -> bool {
        valid_header(file).is_some()
    }

    /// Parses a checkpoint of any version.
    ///
    /// Time and memory are proportional to the metadata (memory: at most 30 times its size, plus 16 KiB), whatever the size of the
    /// data. A corrupt file is parsed as far as possible: [`issues`](Self::issues) has the details.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] if no header is found, for example in a truncated file; [`Error::ParityFile`];
    /// [`Error::OutOfMemory`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if is_parity_file(file) {
            return Err(Error::ParityFile);
        }
        let location = valid_header(file).or_else(|| valid_header_before_end(file)).or_else(|| likely_header(file));
        let (mut version, offset) =
            location.ok_or(Error::UnknownFormat("not an FTI checkpoint: no header at either end (truncated?)"))?;
        if version == FormatVersion::V1_3 {
            version = distinguish_1_3_and_1_4_0(file, offset);
        }
        let header = Header::read(version, file, offset);
        let mut checkpoint = Self {
            file,
            version,
            header,
            fs: header.fs,
            blocks: Vec::new(),
            containers: Vec::new(),
            by_id: Vec::new(),
            variables: Vec::new(),
            issues: Vec::new(),
        };
        checkpoint.check_header()?;
        checkpoint.scan_blocks()?;
        checkpoint.check_containers()?;
        checkpoint.group_variables()?;
        Ok(checkpoint)
    }

    /// Adds an issue.
    pub(super) fn push_issue(&mut self, issue: Issue) -> Result<(), Error> {
        self.issues.try_reserve(1)?;
        self.issues.push(issue);
        Ok(())
    }

    /// Adds an issue of a corrupt number.
    pub(super) fn push_corrupt(&mut self, field: Field, offset: u64, expected: i128, found: i128) -> Result<(), Error> {
        self.push_issue(Issue::corrupt(field, offset, number(expected), number(found)))
    }

    /// Adds an issue of a corrupt field of the container with this index.
    pub(super) fn push_container_issue(&mut self, index: usize, field: Field, expected: Value, found: i128) -> Result<(), Error> {
        let container = self.containers[index];
        let issue = Issue::corrupt(field, container.field_offset(self.version, field), expected, number(found));
        self.push_issue(Issue { variable: Some(container.id), container: Some(container.container_id), ..issue })
    }

    fn check_header(&mut self) -> Result<(), Error> {
        let (format, header) = (self.version.format(), self.header);
        let at = |field: Option<format::Field>| header.offset + field.map_or(0, |field| field.at as u64);
        if format::unhex(&header.checksum[..2 * HASH_SIZE]).is_none() {
            self.push_issue(Issue::corrupt(Field::Checksum, header.offset, Value::Unknown, Value::Unknown))?;
        }
        if header.checksum[2 * HASH_SIZE] != 0 {
            self.push_corrupt(Field::Checksum, header.offset + 2 * HASH_SIZE as u64, 0, header.checksum[2 * HASH_SIZE].into())?;
        }
        let bytes = &self.file[header.offset as usize..][..format.header_size];
        let hash = format.header_hash(bytes);
        if hash != header.my_hash {
            let (expected, found) = (Value::Hash(hash), Value::Hash(header.my_hash));
            self.push_issue(Issue::corrupt(Field::MyHash, header.offset + CHECKSUM_SIZE as u64, expected, found))?;
        }

        let (size, is_first) = (self.file.len() as i64, self.version.is_header_first());
        let end = if is_first { size } else { header.offset as i64 + format.header_size as i64 };
        if header.ckpt_size != header.fs {
            let (field, layout, found, other) = if header.fs == end {
                (Field::CkptSize, format.ckpt_size, header.ckpt_size, header.fs)
            } else {
                (Field::Fs, format.fs, header.fs, header.ckpt_size)
            };
            self.push_corrupt(field, at(layout), other.into(), found.into())?;
        }
        let fs = if header.ckpt_size == end { end } else { header.fs };
        self.fs = fs;
        if is_first && fs < format.header_size as i64 {
            return self.push_corrupt(Field::Fs, at(format.fs), size.into(), fs.into());
        }
        let trailing_bytes = Issue {
            severity: if is_first { Severity::Note } else { Severity::Corrupt },
            ..Issue::corrupt(
                Field::FileSize,
                end.min(fs.max(0)) as u64,
                Value::Number(if is_first { fs } else { end }),
                Value::Number(size),
            )
        };
        if end < size || (is_first && fs < size) {
            self.push_issue(trailing_bytes)?;
        }
        match self.version {
            // Empty containers at the end may be missing in FTI 1.2; `check_containers` reports those that matter.
            FormatVersion::V1_2 => {}
            FormatVersion::V1_1 if fs > size => self.push_corrupt(Field::FileSize, size as u64, fs.into(), size.into())?,
            FormatVersion::V1_1 => {}
            _ if fs != end => self.push_corrupt(Field::Fs, at(format.fs), end.into(), fs.into())?,
            _ => {}
        }
        Ok(())
    }

    /// Checks each container on its own.
    fn check_containers(&mut self) -> Result<(), Error> {
        for index in 0..self.containers.len() {
            let container = self.containers[index];
            if container.has_content > 1 {
                self.push_container_issue(index, Field::HasContent, Value::AtMost(1), container.has_content.into())?;
            }
            if !container.has_chunk() && container.chunk_size != 0 {
                self.push_container_issue(index, Field::HasContent, Value::Number(1), 0)?;
            } else if container.chunk_size < 0 || container.chunk_size > container.container_size {
                let limit = Value::AtMost(container.container_size.max(0));
                self.push_container_issue(index, Field::ChunkSize, limit, container.chunk_size.into())?;
            } else if self.chunk(&container).is_none() {
                // The end is missing if the offset is right.
                let end = i128::from(container.fptr) + i128::from(container.chunk_size);
                let size = Value::Number(self.file.len() as i64);
                let issue = Issue::corrupt(Field::FileSize, self.file.len() as u64, number(end), size);
                self.push_issue(Issue { variable: Some(container.id), container: Some(container.container_id), ..issue })?;
            }
        }
        Ok(())
    }

    /// Groups the containers by variable, and checks that each variable has them in order.
    fn group_variables(&mut self) -> Result<(), Error> {
        let count = self.containers.len();
        self.by_id.try_reserve_exact(count)?;
        self.by_id.extend(0..count);
        let containers = &self.containers;
        self.by_id.sort_unstable_by_key(|&index| (containers[index].id, index));

        // Index of each variable's first container.
        let mut firsts: Vec<usize> = Vec::new();
        let mut begin = 0;
        while begin < count {
            let first = self.by_id[begin];
            let id = self.containers[first].id;
            let end = begin + self.by_id[begin..].partition_point(|&index| self.containers[index].id == id);
            let size = self.check_variable(begin, end)?;
            let (variables, firsts) = (&mut self.variables, &mut firsts);
            variables.try_reserve(1).and_then(|()| firsts.try_reserve(1))?;
            variables.push(Variable { id, size, containers: end - begin });
            firsts.push(first);
            begin = end;
        }
        // In order of protection, which is the order of the first containers.
        let by_id = &self.by_id;
        let containers = &self.containers;
        self.variables.sort_unstable_by_key(|variable| by_id[by_id.partition_point(|&index| containers[index].id < variable.id)]);
        firsts.sort_unstable_by_key(|&first| self.containers[first].idx);
        for pair in firsts.windows(2) {
            let (first, second) = (self.containers[pair[0]], self.containers[pair[1]]);
            if let (Some(one), Some(other)) = (first.idx, second.idx)
                && one == other
            {
                let later = pair[0].max(pair[1]);
                let issue = Issue {
                    severity: Severity::Note,
                    variable: Some(self.containers[later].id),
                    container: Some(0),
                    ..Issue::corrupt(
                        Field::Idx,
                        self.containers[later].field_offset(self.version, Field::Idx),
                        Value::Unknown,
                        Value::Number(one.into()),
                    )
                };
                self.push_issue(issue)?;
            }
        }
        Ok(())
    }

    /// Checks the containers `begin..end` of `by_id`, which belong to one variable, and returns its size.
    fn check_variable(&mut self, begin: usize, end: usize) -> Result<u64, Error> {
        let (mut capacity, mut size) = (0i128, 0u64);
        let mut is_full = true;
        let idx = self.containers[self.by_id[begin]].idx;
        for position in begin..end {
            let index = self.by_id[position];
            let container = self.containers[index];
            let id = (position - begin) as i128;
            if i128::from(container.container_id) != id {
                self.push_container_issue(index, Field::ContainerId, number(id), container.container_id.into())?;
            }
            if i128::from(container.dptr) != capacity {
                self.push_container_issue(index, Field::Dptr, number(capacity), container.dptr.into())?;
            }
            if container.idx != idx {
                let offset = container.field_offset(self.version, Field::Idx);
                let expected = Value::Number(idx.unwrap_or_default().into());
                let found = Value::Number(container.idx.unwrap_or_default().into());
                self.push_issue(Issue {
                    severity: Severity::Note,
                    variable: Some(container.id),
                    container: Some(container.container_id),
                    ..Issue::corrupt(Field::Idx, offset, expected, found)
                })?;
            }
            if container.has_chunk() && container.chunk_size > 0 {
                if !is_full {
                    let before = self.by_id[position - 1];
                    let earlier = self.containers[before];
                    self.push_container_issue(
                        before,
                        Field::ChunkSize,
                        Value::Number(earlier.container_size),
                        earlier.chunk_size.into(),
                    )?;
                }
                size = size.saturating_add(container.chunk_size.max(0) as u64);
            }
            is_full = container.has_chunk() && container.chunk_size == container.container_size;
            capacity += i128::from(container.container_size);
        }
        Ok(size)
    }
}

impl Issue {
    /// Creates an issue of [`Severity::Corrupt`].
    pub(super) fn corrupt(field: Field, offset: u64, expected: Value, found: Value) -> Self {
        Self { severity: Severity::Corrupt, field, variable: None, container: None, offset, expected, found }
    }
}

/// Converts a sum; [`Value::Unknown`] if it exceeds the range of `i64`.
pub(super) fn number(value: i128) -> Value {
    i64::try_from(value).map_or(Value::Unknown, Value::Number)
}

impl Container {
    /// Returns the offset of a field of its description in the file.
    pub(super) fn field_offset(&self, version: FormatVersion, field: Field) -> u64 {
        let format = version.format();
        let of = |field: Option<format::Field>| field.map_or(0, |field| field.at);
        let within = match field {
            Field::Idx => of(format.idx),
            Field::ContainerId => of(format.container_id),
            Field::HasContent => of(format.has_content),
            Field::Dptr => of(format.dptr),
            Field::Fptr => of(format.fptr),
            Field::ChunkSize => of(format.chunk_size),
            Field::ContainerSize => of(format.container_size),
            Field::Hash => format.hash_offset,
            _ => 0,
        };
        self.offset + within as u64
    }
}

impl Header {
    /// Reads the header at `offset`. `file` must contain all of it.
    pub(super) fn read(version: FormatVersion, file: &[u8], offset: usize) -> Self {
        let format = version.format();
        let bytes = &file[offset..][..format.header_size];
        let (mut checksum, mut my_hash) = ([0; CHECKSUM_SIZE], [0; HASH_SIZE]);
        checksum.copy_from_slice(&bytes[..CHECKSUM_SIZE]);
        my_hash.copy_from_slice(&bytes[HEADER_HASH_RANGE]);
        Self {
            offset: offset as u64,
            checksum,
            my_hash,
            ckpt_id: format.ckpt_id.map(|field| field.get(bytes) as i32),
            ckpt_size: get(format.ckpt_size, bytes),
            meta_size: format.meta_size.map(|field| field.get(bytes)),
            data_size: format.data_size.map(|field| field.get(bytes)),
            fs: get(format.fs, bytes),
            max_fs: get(format.max_fs, bytes),
            pt_fs: get(format.pt_fs, bytes),
            timestamp: get(format.timestamp, bytes),
        }
    }

    /// Decodes the checksum.
    pub(super) fn checksum_hash(&self) -> Option<[u8; HASH_SIZE]> {
        format::unhex(&self.checksum[..2 * HASH_SIZE]).filter(|_| self.checksum[2 * HASH_SIZE] == 0)
    }
}

/// Returns whether `file` has a header with a valid hash at `offset`.
fn is_valid_header(version: FormatVersion, file: &[u8], offset: usize) -> bool {
    let format = version.format();
    let header = file.get(offset..).and_then(|rest| rest.get(..format.header_size));
    header.is_some_and(|header| header[CHECKSUM_SIZE - 1] == 0 && format.header_hash(header) == header[HEADER_HASH_RANGE])
}

/// Returns the offset of a header at the end of `file`, if the file is large enough.
fn offset_at_end(version: FormatVersion, file: &[u8]) -> Option<usize> {
    file.len().checked_sub(version.format().header_size)
}

/// Returns the header's hash of itself, if `tail` ends in a header with a valid one.
pub(super) fn hash_at_end(tail: &[u8]) -> Option<[u8; HASH_SIZE]> {
    let find = |version: &FormatVersion| offset_at_end(*version, tail).filter(|&offset| is_valid_header(*version, tail, offset));
    HEADER_LAST.iter().find_map(find)?.checked_add(CHECKSUM_SIZE).and_then(|offset| tail[offset..].first_chunk().copied())
}

/// Returns the file size stored in a header with a valid hash, and whether that header comes first.
pub(super) fn size_by_header(file: &[u8]) -> Option<(u64, bool)> {
    let (version, offset) = valid_header(file)?;
    let size = u64::try_from(Header::read(version, file, offset).fs).ok()?;
    Some((size, version.is_header_first()))
}

/// Finds a header with a valid hash at the start or the end. If both ends have one (a variable may contain a checkpoint), prefers the
/// one that stores the file's size.
pub(super) fn valid_header(file: &[u8]) -> Option<HeaderLocation> {
    let first = [FormatVersion::V1_1, FormatVersion::V1_2].into_iter().map(|version| (version, Some(0)));
    let last = HEADER_LAST.into_iter().map(|version| (version, offset_at_end(version, file)));
    let mut with_other_size = None;
    for (version, offset) in first.chain(last) {
        let Some(offset) = offset.filter(|&offset| is_valid_header(version, file, offset)) else { continue };
        if Header::read(version, file, offset).fs == file.len() as i64 {
            return Some((version, offset));
        }
        with_other_size = with_other_size.or(Some((version, offset)));
    }
    with_other_size
}

/// Returns whether it is a parity file of level 3: Reed-Solomon data, followed in every version by a header that stores its size.
fn is_parity_file(file: &[u8]) -> bool {
    FormatVersion::ALL.into_iter().any(|version| {
        let offset = offset_at_end(version, file).filter(|&offset| offset > 0 && is_valid_header(version, file, offset));
        offset.is_some_and(|offset| Header::read(version, file, offset).fs == offset as i64)
    })
}

/// Finds a header with a valid hash that belongs at the end but is followed by other bytes.
fn valid_header_before_end(file: &[u8]) -> Option<HeaderLocation> {
    for offset in (file.len().saturating_sub(TRAILING_MAX)..file.len()).rev() {
        let has_checksum = file[offset..].get(..CHECKSUM_SIZE).is_some_and(|text| {
            text[2 * HASH_SIZE] == 0 && text[0].is_ascii_hexdigit() && format::unhex(&text[..2 * HASH_SIZE]).is_some()
        });
        if !has_checksum {
            continue;
        }
        for version in HEADER_LAST {
            if is_valid_header(version, file, offset) {
                return Some((version, offset));
            }
        }
    }
    None
}

/// Finds a corrupt header: the location with which most facts of the file agree.
fn likely_header(file: &[u8]) -> Option<HeaderLocation> {
    const MIN_SCORE: u32 = 5;
    let first = [FormatVersion::V1_1, FormatVersion::V1_2].into_iter().map(|version| (version, Some(0)));
    let last = HEADER_LAST.into_iter().chain([FormatVersion::V1_4_0]).map(|version| (version, offset_at_end(version, file)));
    let locations = first.chain(last).filter_map(|(version, offset)| Some((version, offset?)));
    let locations = locations.filter(|(version, offset)| file.len() - offset >= version.format().header_size);
    locations
        .map(|(version, offset)| (header_score(version, file, offset), (version, offset)))
        .filter(|(score, _)| *score >= MIN_SCORE)
        .max_by_key(|(score, _)| *score)
        .map(|(_, (version, offset))| (if version == FormatVersion::V1_4_0 { FormatVersion::V1_3 } else { version }, offset))
}

/// Returns the number of facts of the file that agree with a header of this version at `offset`.
fn header_score(version: FormatVersion, file: &[u8], offset: usize) -> u32 {
    let header = Header::read(version, file, offset);
    let digits = header.checksum.iter().filter(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).count();
    let size = file.len() as i64;
    let sum = header.data_size.zip(header.meta_size).map(|(data, meta)| data.saturating_add(meta));
    let start = Checkpoint::descriptions_start(version, file, &header);
    let facts = [
        digits >= 2 * HASH_SIZE - 1,
        digits >= 2 * HASH_SIZE - 1 && header.checksum[CHECKSUM_SIZE - 1] == 0,
        header.ckpt_size == header.fs,
        header.ckpt_size == size || header.fs == size,
        header.fs == size && header.ckpt_size == size,
        sum.is_none_or(|sum| sum == size),
        start.is_some(),
        start.is_some_and(|start| Checkpoint::blocks_end_at_header(version, file, &header, start)),
    ];
    facts.into_iter().filter(|fact| *fact).count() as u32
}

/// Chooses the version whose descriptions end at the header; if that is corrupt, the one with more consecutive containers.
fn distinguish_1_3_and_1_4_0(file: &[u8], offset: usize) -> FormatVersion {
    let score = |version| {
        let header = Header::read(version, file, offset);
        let start = Checkpoint::descriptions_start(version, file, &header);
        let is_consistent = start.is_some_and(|start| Checkpoint::blocks_end_at_header(version, file, &header, start));
        (is_consistent, Checkpoint::count_consecutive_containers(version, file, &header))
    };
    if score(FormatVersion::V1_4_0) > score(FormatVersion::V1_3) { FormatVersion::V1_4_0 } else { FormatVersion::V1_3 }
}
