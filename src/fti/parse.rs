//! From bytes to a [`Checkpoint`]: which generation it is, the header, the variables.

use super::error::Error;
use super::format::{self, CHECKSUM, HASH, HEADER_HASH, get};
use super::issue::{Field, Finding, Severity, Value};
use super::{Checkpoint, Container, FormatVersion, Header, Variable};

/// So far in front of its end a header is looked for, where there is none at the end.
const BEHIND_MAX: usize = 65_536;

/// Where a header is, and of which generation. C and D0 have the same one: which it is, the rest of the file tells.
type Place = (FormatVersion, usize);

/// Those with a header at the end, one for each form that it has.
const HEADER_LAST: [FormatVersion; 3] = [FormatVersion::Post1_6, FormatVersion::V1_4_1, FormatVersion::V1_3];

impl<'a> Checkpoint<'a> {
    /// Whether `file` has the header of a generation, with the right hash, in its place.
    pub fn is_format(file: &[u8]) -> bool {
        sound_header(file).is_some()
    }

    /// Reads the checkpoint that `file` is, of whatever generation.
    ///
    /// Takes time and memory in proportion to what describes the data (memory: at most 30 times its size and 16 KiB), whatever the size
    /// of the data. A damaged file is read as far as it can be: [`flaws`](Self::flaws) tells what is wrong.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] where it is of no generation, or where it is cut off so that its header is gone;
    /// [`Error::OutOfMemory`].
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if is_encoded(file) {
            return Err(Error::UnknownFormat("not an FTI checkpoint: an encoded file of FTI's level 3"));
        }
        let place = sound_header(file).or_else(|| sound_header_before_the_end(file)).or_else(|| likely_header(file));
        let (mut generation, at) =
            place.ok_or(Error::UnknownFormat("not an FTI checkpoint: no header at either end (truncated?)"))?;
        if generation == FormatVersion::V1_3 {
            generation = c_or_d0(file, at);
        }
        let header = Header::read(generation, file, at);
        let mut checkpoint = Self {
            file,
            generation,
            header,
            fs: header.fs,
            blocks: Vec::new(),
            containers: Vec::new(),
            by_id: Vec::new(),
            variables: Vec::new(),
            flaws: Vec::new(),
        };
        checkpoint.check_header()?;
        checkpoint.walk()?;
        checkpoint.check_containers()?;
        checkpoint.group_variables()?;
        Ok(checkpoint)
    }

    /// Notes that something is wrong.
    pub(super) fn flaw(&mut self, finding: Finding) -> Result<(), Error> {
        self.flaws.try_reserve(1)?;
        self.flaws.push(finding);
        Ok(())
    }

    /// The same for a damaged field that should be some number.
    pub(super) fn damage(&mut self, field: Field, offset: u64, expected: i128, found: i128) -> Result<(), Error> {
        self.flaw(Finding::damage(field, offset, number(expected), number(found)))
    }

    /// The same for a field of the container at position `at`.
    pub(super) fn damage_of(&mut self, at: usize, field: Field, expected: Value, found: i128) -> Result<(), Error> {
        let container = self.containers[at];
        let finding = Finding::damage(field, container.place(self.generation, field), expected, number(found));
        self.flaw(Finding { variable: Some(container.id), container: Some(container.container_id), ..finding })
    }

    fn check_header(&mut self) -> Result<(), Error> {
        let (format, header) = (self.generation.format(), self.header);
        let at = |field: Option<format::Field>| header.offset + field.map_or(0, |field| field.at as u64);
        if format::unhex(&header.checksum[..2 * HASH]).is_none() {
            self.flaw(Finding::damage(Field::Checksum, header.offset, Value::Unknown, Value::Unknown))?;
        }
        if header.checksum[2 * HASH] != 0 {
            self.damage(Field::Checksum, header.offset + 2 * HASH as u64, 0, header.checksum[2 * HASH].into())?;
        }
        let bytes = &self.file[header.offset as usize..][..format.header];
        let hash = format.header_hash(bytes);
        if hash != header.my_hash {
            let (expected, found) = (Value::Hash(hash), Value::Hash(header.my_hash));
            self.flaw(Finding::damage(Field::MyHash, header.offset + CHECKSUM as u64, expected, found))?;
        }

        let (real, is_first) = (self.file.len() as i64, self.generation.is_header_first());
        let end = if is_first { real } else { header.offset as i64 + format.header as i64 };
        if header.ckpt_size != header.fs {
            let (field, place, found, other) = if header.fs == end {
                (Field::CkptSize, format.ckpt_size, header.ckpt_size, header.fs)
            } else {
                (Field::Fs, format.fs, header.fs, header.ckpt_size)
            };
            self.damage(field, at(place), other.into(), found.into())?;
        }
        let fs = if header.ckpt_size == end { end } else { header.fs };
        self.fs = fs;
        if is_first && fs < format.header as i64 {
            return self.damage(Field::Fs, at(format.fs), real.into(), fs.into());
        }
        let behind = Finding {
            severity: if is_first { Severity::Remark } else { Severity::Damage },
            ..Finding::damage(
                Field::FileSize,
                end.min(fs.max(0)) as u64,
                Value::Number(if is_first { fs } else { end }),
                Value::Number(real),
            )
        };
        if end < real || (is_first && fs < real) {
            self.flaw(behind)?;
        }
        match self.generation {
            // Containers at the end of a file of B that are empty may not be there: those that are missed are told as such.
            FormatVersion::V1_2 => {}
            FormatVersion::V1_1 if fs > real => self.damage(Field::FileSize, real as u64, fs.into(), real.into())?,
            FormatVersion::V1_1 => {}
            _ if fs != end => self.damage(Field::Fs, at(format.fs), end.into(), fs.into())?,
            _ => {}
        }
        Ok(())
    }

    /// What can be told of each container on its own.
    fn check_containers(&mut self) -> Result<(), Error> {
        for at in 0..self.containers.len() {
            let container = self.containers[at];
            if container.has_content > 1 {
                self.damage_of(at, Field::HasContent, Value::AtMost(1), container.has_content.into())?;
            }
            if !container.has_chunk() && container.chunk_size != 0 {
                self.damage_of(at, Field::HasContent, Value::Number(1), 0)?;
            } else if container.chunk_size < 0 || container.chunk_size > container.container_size {
                let most = Value::AtMost(container.container_size.max(0));
                self.damage_of(at, Field::ChunkSize, most, container.chunk_size.into())?;
            } else if self.chunk(&container).is_none() {
                // Its end is what is missing, where its place is right.
                let end = i128::from(container.fptr) + i128::from(container.chunk_size);
                let size = Value::Number(self.file.len() as i64);
                let finding = Finding::damage(Field::FileSize, self.file.len() as u64, number(end), size);
                self.flaw(Finding { variable: Some(container.id), container: Some(container.container_id), ..finding })?;
            }
        }
        Ok(())
    }

    /// Puts the containers of each variable together, and checks that they follow each other in it.
    fn group_variables(&mut self) -> Result<(), Error> {
        let count = self.containers.len();
        self.by_id.try_reserve_exact(count)?;
        self.by_id.extend(0..count);
        let containers = &self.containers;
        self.by_id.sort_unstable_by_key(|&at| (containers[at].id, at));

        // Position of its first container, and its number in the order of protection, of each variable.
        let mut firsts: Vec<usize> = Vec::new();
        let mut begin = 0;
        while begin < count {
            let first = self.by_id[begin];
            let id = self.containers[first].id;
            let end = begin + self.by_id[begin..].partition_point(|&at| self.containers[at].id == id);
            let size = self.check_variable(begin, end)?;
            let (variables, firsts) = (&mut self.variables, &mut firsts);
            variables.try_reserve(1).and_then(|()| firsts.try_reserve(1))?;
            variables.push(Variable { id, size, containers: end - begin });
            firsts.push(first);
            begin = end;
        }
        // In order of protection. An id has its first container where no other has.
        let by_id = &self.by_id;
        let containers = &self.containers;
        self.variables.sort_unstable_by_key(|variable| by_id[by_id.partition_point(|&at| containers[at].id < variable.id)]);
        firsts.sort_unstable_by_key(|&first| self.containers[first].idx);
        for pair in firsts.windows(2) {
            let (first, second) = (self.containers[pair[0]], self.containers[pair[1]]);
            if let (Some(one), Some(other)) = (first.idx, second.idx)
                && one == other
            {
                let later = pair[0].max(pair[1]);
                let finding = Finding {
                    severity: Severity::Remark,
                    variable: Some(self.containers[later].id),
                    container: Some(0),
                    ..Finding::damage(
                        Field::Idx,
                        self.containers[later].place(self.generation, Field::Idx),
                        Value::Unknown,
                        Value::Number(one.into()),
                    )
                };
                self.flaw(finding)?;
            }
        }
        Ok(())
    }

    /// Checks the containers `begin..end` of `by_id`, which are those of one variable, and returns its size.
    fn check_variable(&mut self, begin: usize, end: usize) -> Result<u64, Error> {
        let (mut sum, mut size) = (0i128, 0u64);
        let mut full_so_far = true;
        let idx = self.containers[self.by_id[begin]].idx;
        for number in begin..end {
            let at = self.by_id[number];
            let container = self.containers[at];
            let id = (number - begin) as i128;
            if i128::from(container.container_id) != id {
                self.damage_of(at, Field::ContainerId, self::number(id), container.container_id.into())?;
            }
            if i128::from(container.dptr) != sum {
                self.damage_of(at, Field::Dptr, self::number(sum), container.dptr.into())?;
            }
            if container.idx != idx {
                let place = container.place(self.generation, Field::Idx);
                let expected = Value::Number(idx.unwrap_or_default().into());
                let found = Value::Number(container.idx.unwrap_or_default().into());
                self.flaw(Finding {
                    severity: Severity::Remark,
                    variable: Some(container.id),
                    container: Some(container.container_id),
                    ..Finding::damage(Field::Idx, place, expected, found)
                })?;
            }
            if container.has_chunk() && container.chunk_size > 0 {
                if !full_so_far {
                    let before = self.by_id[number - 1];
                    let earlier = self.containers[before];
                    self.damage_of(before, Field::ChunkSize, Value::Number(earlier.container_size), earlier.chunk_size.into())?;
                }
                size = size.saturating_add(container.chunk_size.max(0) as u64);
            }
            full_so_far = container.has_chunk() && container.chunk_size == container.container_size;
            sum += i128::from(container.container_size);
        }
        Ok(size)
    }
}

impl Finding {
    pub(super) fn damage(field: Field, offset: u64, expected: Value, found: Value) -> Self {
        Self { severity: Severity::Damage, field, variable: None, container: None, offset, expected, found }
    }
}

/// A number that came of sums, as far as it can be told.
pub(super) fn number(value: i128) -> Value {
    i64::try_from(value).map_or(Value::Unknown, Value::Number)
}

impl Container {
    /// Where a field of its description begins in the file.
    pub(super) fn place(&self, generation: FormatVersion, field: Field) -> u64 {
        let format = generation.format();
        let of = |field: Option<format::Field>| field.map_or(0, |field| field.at);
        let within = match field {
            Field::Idx => of(format.idx),
            Field::ContainerId => of(format.container_id),
            Field::HasContent => of(format.has_content),
            Field::Dptr => of(format.dptr),
            Field::Fptr => of(format.fptr),
            Field::ChunkSize => of(format.chunk_size),
            Field::ContainerSize => of(format.container_size),
            Field::Hash => format.hash,
            _ => 0,
        };
        self.offset + within as u64
    }
}

impl Header {
    /// The file has all of it.
    pub(super) fn read(generation: FormatVersion, file: &[u8], at: usize) -> Self {
        let format = generation.format();
        let bytes = &file[at..][..format.header];
        let (mut checksum, mut my_hash) = ([0; CHECKSUM], [0; HASH]);
        checksum.copy_from_slice(&bytes[..CHECKSUM]);
        my_hash.copy_from_slice(&bytes[HEADER_HASH]);
        Self {
            offset: at as u64,
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

    /// What the checksum says.
    pub(super) fn checksum_hash(&self) -> Option<[u8; HASH]> {
        format::unhex(&self.checksum[..2 * HASH]).filter(|_| self.checksum[2 * HASH] == 0)
    }
}

fn is_sound(generation: FormatVersion, file: &[u8], at: usize) -> bool {
    let format = generation.format();
    let header = file.get(at..).and_then(|rest| rest.get(..format.header));
    header.is_some_and(|header| header[CHECKSUM - 1] == 0 && format.header_hash(header) == header[HEADER_HASH])
}

/// The place of a header at the end of `file`, if that is long enough.
fn at_end(generation: FormatVersion, file: &[u8]) -> Option<usize> {
    file.len().checked_sub(generation.format().header)
}

/// The header's hash of itself, if `tail` ends in a header that has the right one.
pub(super) fn hash_at_end(tail: &[u8]) -> Option<[u8; HASH]> {
    let place = |of: &FormatVersion| at_end(*of, tail).filter(|&at| is_sound(*of, tail, at));
    HEADER_LAST.iter().find_map(place)?.checked_add(CHECKSUM).and_then(|at| tail[at..].first_chunk().copied())
}

/// The size that the file's header tells, if it has the right hash, and whether it is in front.
pub(super) fn size_by_header(file: &[u8]) -> Option<(u64, bool)> {
    let (generation, at) = sound_header(file)?;
    let size = u64::try_from(Header::read(generation, file, at).fs).ok()?;
    Some((size, generation.is_header_first()))
}

/// A header with the right hash, where it belongs. Should there be one at both ends (data can be a checkpoint itself), it is the one
/// that tells the file's size.
pub(super) fn sound_header(file: &[u8]) -> Option<Place> {
    let first = [FormatVersion::V1_1, FormatVersion::V1_2].into_iter().map(|generation| (generation, Some(0)));
    let last = HEADER_LAST.into_iter().map(|generation| (generation, at_end(generation, file)));
    let mut other = None;
    for (generation, at) in first.chain(last) {
        let Some(at) = at.filter(|&at| is_sound(generation, file, at)) else { continue };
        if Header::read(generation, file, at).fs == file.len() as i64 {
            return Some((generation, at));
        }
        other = other.or(Some((generation, at)));
    }
    other
}

/// Whether it is a file of encoded bytes (Reed-Solomon): these have a header behind them in every generation, which tells how many
/// they are.
fn is_encoded(file: &[u8]) -> bool {
    FormatVersion::ALL.into_iter().any(|generation| {
        let at = at_end(generation, file).filter(|&at| at > 0 && is_sound(generation, file, at));
        at.is_some_and(|at| Header::read(generation, file, at).fs == at as i64)
    })
}

/// A header with the right hash that belongs at the end, but has bytes behind it.
fn sound_header_before_the_end(file: &[u8]) -> Option<Place> {
    for at in (file.len().saturating_sub(BEHIND_MAX)..file.len()).rev() {
        let looks_like_one = file[at..]
            .get(..CHECKSUM)
            .is_some_and(|text| text[2 * HASH] == 0 && text[0].is_ascii_hexdigit() && format::unhex(&text[..2 * HASH]).is_some());
        if !looks_like_one {
            continue;
        }
        for generation in HEADER_LAST {
            if is_sound(generation, file, at) {
                return Some((generation, at));
            }
        }
    }
    None
}

/// A damaged header: there is much in a file that fits together.
fn likely_header(file: &[u8]) -> Option<Place> {
    const ENOUGH: u32 = 5;
    let first = [FormatVersion::V1_1, FormatVersion::V1_2].into_iter().map(|generation| (generation, Some(0)));
    let last = HEADER_LAST.into_iter().chain([FormatVersion::V1_4_0]).map(|generation| (generation, at_end(generation, file)));
    let places = first.chain(last).filter_map(|(generation, at)| Some((generation, at?)));
    let places = places.filter(|(generation, at)| file.len() - at >= generation.format().header);
    places
        .map(|(generation, at)| (likelihood(generation, file, at), (generation, at)))
        .filter(|(likelihood, _)| *likelihood >= ENOUGH)
        .max_by_key(|(likelihood, _)| *likelihood)
        .map(|(_, (generation, at))| (if generation == FormatVersion::V1_4_0 { FormatVersion::V1_3 } else { generation }, at))
}

/// How much in the file speaks for a header of this generation.
fn likelihood(generation: FormatVersion, file: &[u8], at: usize) -> u32 {
    let header = Header::read(generation, file, at);
    let digits = header.checksum.iter().filter(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).count();
    let size = file.len() as i64;
    let sum = header.data_size.zip(header.meta_size).map(|(data, meta)| data.saturating_add(meta));
    let start = Checkpoint::walk_start(generation, file, &header);
    let facts = [
        digits >= 2 * HASH - 1,
        digits >= 2 * HASH - 1 && header.checksum[CHECKSUM - 1] == 0,
        header.ckpt_size == header.fs,
        header.ckpt_size == size || header.fs == size,
        header.fs == size && header.ckpt_size == size,
        sum.is_none_or(|sum| sum == size),
        start.is_some(),
        start.is_some_and(|start| Checkpoint::fits(generation, file, &header, start)),
    ];
    facts.into_iter().filter(|fact| *fact).count() as u32
}

/// The one whose descriptions end at the header; should a number in them be damaged, the one of which more containers follow each other.
fn c_or_d0(file: &[u8], at: usize) -> FormatVersion {
    let fits = |generation| {
        let header = Header::read(generation, file, at);
        let start = Checkpoint::walk_start(generation, file, &header);
        let fits = start.is_some_and(|start| Checkpoint::fits(generation, file, &header, start));
        (fits, Checkpoint::in_order(generation, file, &header))
    };
    if fits(FormatVersion::V1_4_0) > fits(FormatVersion::V1_3) { FormatVersion::V1_4_0 } else { FormatVersion::V1_3 }
}
