//! Checking the data of a file against its hashes, and giving it back.

use std::cmp::Reverse;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::error::Error;
use super::format::HASH;
use super::{Checkpoint, Container, Field, Finding, FormatVersion, Severity, Value};
use crate::alloc::{try_collect, try_with_capacity};
use crate::sync::parallel_for::parallel_for;

/// So much is copied and hashed at a time.
const PIECE: usize = 256 << 10;

/// A variable as it is given back: its id, and memory of its size.
#[derive(Debug)]
pub struct ProtectedMut<'m> {
    /// The id.
    pub id: i32,
    /// Where its bytes go to.
    pub data: &'m mut [u8],
}

impl<'m> ProtectedMut<'m> {
    /// A variable that goes to this memory.
    pub fn new(id: i32, data: &'m mut [u8]) -> Self {
        Self { id, data }
    }
}

/// What a verification has found, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Findings of [`Severity::Damage`].
    pub damage: u64,
    /// Findings of [`Severity::Refused`].
    pub refused: u64,
    /// Findings of [`Severity::Remark`].
    pub remarks: u64,
    /// Which rule the checksum follows.
    pub rule: Rule,
}

/// How a checksum was made. Where no container is empty, and in generations A and B, there is only one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// It is not the checksum of this file.
    #[default]
    None,
    /// Of what has content. This is what FTI demands when it reads.
    Reader,
    /// From generation C on: of the hashes of all containers, also those without content. FTI writes so, and refuses it then.
    Writer,
}

impl Verdict {
    /// Whether the data is sound. FTI may refuse the file all the same.
    pub fn is_sound(&self) -> bool {
        self.damage == 0
    }
}

impl<'a> Checkpoint<'a> {
    /// Checks all of the file, on up to `threads` threads, and calls `note` with each thing that is not as it should be.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify(&self, threads: usize, note: &mut dyn FnMut(&Finding)) -> Result<Verdict, Error> {
        self.verify_with(threads, note).map(|(verdict, _)| verdict)
    }

    /// As [`verify`](Self::verify). `progress` is told how many bytes were hashed since the last time, by the threads that do it; in all
    /// these are the bytes of the variables, in generations A and B twice.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify_telling(
        &self,
        threads: usize,
        note: &mut dyn FnMut(&Finding),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Verdict, Error> {
        self.verify_all(threads, note, Some(progress)).map(|(verdict, _)| verdict)
    }

    /// The same, and what was computed from the data.
    pub(super) fn verify_with(&self, threads: usize, note: &mut dyn FnMut(&Finding)) -> Result<(Verdict, Hashed), Error> {
        self.verify_all(threads, note, None)
    }

    fn verify_all(
        &self,
        threads: usize,
        note: &mut dyn FnMut(&Finding),
        progress: Option<&(dyn Fn(u64) + Sync)>,
    ) -> Result<(Verdict, Hashed), Error> {
        let mut verdict = Verdict::default();
        let mut tell = |finding: Finding| {
            match finding.severity {
                Severity::Damage => verdict.damage += 1,
                Severity::Refused => verdict.refused += 1,
                Severity::Remark => verdict.remarks += 1,
            }
            note(&finding);
        };
        self.flaws.iter().for_each(|flaw| tell(*flaw));

        let hashed = self.hash_chunks(threads, progress)?;
        let stored = self.header.checksum_hash();
        let (by_reader, by_writer) = (self.checksum_by_reader(&hashed), self.checksum_by_writer());
        let rule = match stored {
            Some(stored) if Some(stored) == by_reader => Rule::Reader,
            Some(stored) if Some(stored) == by_writer => Rule::Writer,
            _ => Rule::None,
        };
        let wrong = |at: usize| hashed.of[at].get().is_some_and(|hash| *hash != self.containers[at].hash);
        let count = (0..self.containers.len()).filter(|&at| wrong(at)).count();
        for (at, container) in self.containers.iter().enumerate().filter(|(at, _)| wrong(*at)) {
            let computed = hashed.of[at].get().copied().unwrap_or_default();
            // The checksum can say which of the two is damaged.
            let hash_is_wrong = match self.generation {
                FormatVersion::V1_1 => {
                    count == 1 && stored.is_some() && self.checksum_with(container.hash_at(self), computed) == stored
                }
                _ => rule == Rule::Reader && stored != by_writer,
            };
            let (stored, computed) = (Value::Hash(container.hash), Value::Hash(computed));
            let finding = if hash_is_wrong {
                Finding::damage(Field::Hash, container.hash_at(self), computed, stored)
            } else {
                Finding::damage(Field::Data, container.fptr as u64, stored, computed)
            };
            tell(Finding { variable: Some(container.id), container: Some(container.container_id), ..finding });
        }
        let severity = match rule {
            Rule::Reader => None,
            Rule::Writer => Some(Severity::Refused).filter(|_| count == 0),
            Rule::None => Some(Severity::Damage),
        };
        if let Some(severity) = severity {
            let [expected, found] = [by_reader, stored].map(|hash| hash.map_or(Value::Unknown, Value::Hash));
            tell(Finding { severity, ..Finding::damage(Field::Checksum, self.header.offset, expected, found) });
        }
        verdict.rule = rule;
        Ok((verdict, hashed))
    }

    /// Gives back all variables at once, on up to `threads` threads: `variables` must be those of the file, with their sizes, in
    /// any order.
    ///
    /// Each byte is read once and hashed. After an error, what `variables` hold is not to be relied on.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`], [`Error::VariableSizeMismatch`], [`Error::VariableNotProtected`]: before anything is changed;
    /// [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn recover(&self, variables: &mut [ProtectedMut<'_>], threads: usize) -> Result<(), Error> {
        variables.sort_unstable_by_key(|variable| variable.id);
        if variables.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(Error::InvalidArgument("two variables have the same id"));
        }
        for variable in variables.iter() {
            self.check_size(variable.id, variable.data.len())?;
        }
        for variable in &self.variables {
            if variables.binary_search_by_key(&variable.id, |variable| variable.id).is_err() {
                return Err(Error::VariableNotProtected { id: variable.id });
            }
        }
        self.check()?;

        let mut chunks = try_with_capacity(self.containers.len())?;
        // Both are in order of the ids.
        for variable in variables.iter_mut() {
            self.cut(self.containers_of(variable.id), variable.data, &mut chunks)?;
        }
        let hashed = self.copy_chunks(chunks, threads, true)?;
        let stored = self.header.checksum_hash();
        if stored.is_none() || (stored != self.checksum_by_reader(&hashed) && stored != self.checksum_by_writer()) {
            return Err(Error::Corrupt { field: Field::Checksum, variable: None, container: None, offset: self.header.offset });
        }
        Ok(())
    }

    /// Gives back one variable. What is damaged in others does not matter, as long as it is sure what belongs to this one.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`]; [`Error::VariableSizeMismatch`]; [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn recover_variable(&self, id: i32, data: &mut [u8]) -> Result<(), Error> {
        self.check_size(id, data.len())?;
        self.check_what_matters(id)?;
        let containers = self.containers_of(id);
        let mut chunks = try_with_capacity(containers.len())?;
        self.cut(containers, data, &mut chunks)?;
        self.copy_chunks(chunks, 1, false).map(drop)
    }

    /// Gives back one variable piece by piece, in order, so that it takes no memory of its size: `put` gets each piece. Otherwise as
    /// [`recover_variable`](Self::recover_variable), but that pieces of a chunk are given before its hash is known: after an error
    /// they are not to be relied on.
    ///
    /// # Errors
    /// Those of `put`, which end it. An [`Error`] inside: [`Error::VariableNotFound`], [`Error::Corrupt`].
    pub fn copy_variable(&self, id: i32, put: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.variable(id)?;
        self.check_what_matters(id)?;
        for &at in self.containers_of(id) {
            let container = &self.containers[at];
            if !container.has_chunk() {
                continue;
            }
            let chunk = self.chunk(container).ok_or_else(|| self.damaged(container, Field::Data))?;
            let mut md5 = fast_md5::Md5::new();
            for piece in chunk.chunks(PIECE) {
                md5.update(piece);
                put(piece)?;
            }
            if md5.finalize() != container.hash {
                return Err(self.damaged(container, Field::Data).into());
            }
        }
        Ok(())
    }

    /// Fails where something is damaged that matters for one variable.
    fn check_what_matters(&self, id: i32) -> Result<(), Error> {
        let matters = |flaw: &&Finding| {
            let of_another = flaw.variable.is_some_and(|variable| variable != id);
            let harmless = match flaw.field {
                Field::Checksum | Field::MyHash | Field::CkptSize | Field::Idx => true,
                Field::FileSize | Field::Fs => flaw.variable.is_none() || of_another,
                Field::ChunkSize | Field::HasContent => of_another,
                _ => false,
            };
            flaw.severity == Severity::Damage && !harmless
        };
        self.flaws.iter().find(matters).map_or(Ok(()), |flaw| Err(flaw.error()))
    }

    /// Fails where something that describes the data is damaged.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.flaws.iter().find(|flaw| flaw.severity == Severity::Damage).map_or(Ok(()), |flaw| Err(flaw.error()))
    }

    /// That something is wrong with a container.
    pub(super) fn damaged(&self, container: &Container, field: Field) -> Error {
        let offset = if field == Field::Data { container.fptr as u64 } else { container.place(self.generation, field) };
        Error::Corrupt { field, variable: Some(container.id), container: Some(container.container_id), offset }
    }

    fn check_size(&self, id: i32, size: usize) -> Result<(), Error> {
        let stored = self.variable(id)?.size;
        let protected = size as u64;
        if stored == protected { Ok(()) } else { Err(Error::VariableSizeMismatch { id, stored, protected }) }
    }

    /// Cuts the memory of a variable into its chunks.
    fn cut<'m>(&self, containers: &[usize], data: &'m mut [u8], chunks: &mut Vec<Chunk<'m>>) -> Result<(), Error> {
        let mut rest = data;
        for &at in containers {
            let container = &self.containers[at];
            if !container.has_chunk() {
                continue;
            }
            let size = usize::try_from(container.chunk_size).ok().filter(|size| *size <= rest.len());
            let size = size.ok_or_else(|| self.damaged(container, Field::ChunkSize))?;
            let (chunk, behind) = rest.split_at_mut(size);
            rest = behind;
            chunks.push(Chunk { at, to: Mutex::new(chunk) });
        }
        Ok(())
    }

    /// Copies chunks to their places, and fails where one has another hash.
    fn copy_chunks(&self, mut chunks: Vec<Chunk<'_>>, threads: usize, with_checksum: bool) -> Result<Hashed, Error> {
        let hashed = Hashed::new(self.containers.len())?;
        chunks.sort_unstable_by_key(|chunk| (Reverse(self.containers[chunk.at].chunk_size), chunk.at));
        let first = usize::from(with_checksum && self.generation.is_header_first());
        parallel_for(threads, chunks.len() + first, |number| {
            if number < first {
                hashed.note_checksum(self, None);
                return Ok(());
            }
            let Chunk { at, to } = &chunks[number - first];
            let container = &self.containers[*at];
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(from) = self.chunk(container).filter(|from| from.len() == to.len()) else {
                return Err(self.damaged(container, Field::Data));
            };
            let mut md5 = fast_md5::Md5::new();
            for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
                to.copy_from_slice(from);
                // What was copied is what counts, should the file change meanwhile.
                md5.update(to);
            }
            let hash = md5.finalize();
            if hash != container.hash {
                return Err(self.damaged(container, Field::Data));
            }
            _ = hashed.of[*at].set(hash);
            Ok(())
        })?;
        Ok(hashed)
    }

    /// Hashes all chunks, and in generations A and B the rest too.
    fn hash_chunks(&self, threads: usize, progress: Option<&(dyn Fn(u64) + Sync)>) -> Result<Hashed, Error> {
        let hashed = Hashed::new(self.containers.len())?;
        let mut jobs = try_with_capacity(self.containers.len())?;
        jobs.extend((0..self.containers.len()).filter(|&at| self.containers[at].has_chunk()));
        jobs.sort_unstable_by_key(|&at| (Reverse(self.containers[at].chunk_size), at));
        let first = usize::from(self.generation.is_header_first());
        parallel_for(threads, jobs.len() + first, |number| {
            if number < first {
                hashed.note_checksum(self, progress);
                return Ok(());
            }
            let at = jobs[number - first];
            if let Some(chunk) = self.chunk(&self.containers[at]) {
                let mut md5 = fast_md5::Md5::new();
                hash(&mut md5, chunk, progress);
                _ = hashed.of[at].set(md5.finalize());
            }
            Ok::<_, Error>(())
        })?;
        Ok(hashed)
    }

    /// What the checksum should be by the rule that FTI reads by; `None` where the file lacks some of the data.
    pub(super) fn checksum_by_reader(&self, hashed: &Hashed) -> Option<[u8; HASH]> {
        if self.generation.is_header_first() {
            return hashed.checksum.get().copied().flatten();
        }
        let mut md5 = fast_md5::Md5::new();
        for (container, hash) in self.containers.iter().zip(&hashed.of) {
            if container.has_chunk() {
                md5.update(hash.get()?);
            }
        }
        Some(md5.finalize())
    }

    /// The same by the rule that FTI writes by, which only differs from generation C on.
    fn checksum_by_writer(&self) -> Option<[u8; HASH]> {
        if self.generation.is_header_first() {
            return None;
        }
        let mut md5 = fast_md5::Md5::new();
        self.containers.iter().for_each(|container| md5.update(&container.hash));
        Some(md5.finalize())
    }

    /// The checksum of A: of all that is behind the header.
    fn checksum_of_all(&self, progress: Option<&(dyn Fn(u64) + Sync)>) -> Option<[u8; HASH]> {
        let mut md5 = fast_md5::Md5::new();
        hash(&mut md5, self.hashed_in_a()?, progress);
        Some(md5.finalize())
    }

    /// The same with another hash at one place of the file.
    pub(super) fn checksum_with(&self, place: u64, hash: [u8; HASH]) -> Option<[u8; HASH]> {
        let bytes = self.hashed_in_a()?;
        let place = usize::try_from(place).ok()?.checked_sub(self.generation.format().header)?;
        let mut md5 = fast_md5::Md5::new();
        md5.update(bytes.get(..place)?);
        md5.update(&hash);
        md5.update(bytes.get(place + HASH..)?);
        Some(md5.finalize())
    }

    fn hashed_in_a(&self) -> Option<&'a [u8]> {
        self.file.get(self.generation.format().header..usize::try_from(self.fs).ok()?)
    }

    /// The checksum of B: of all chunks.
    fn checksum_of_chunks(&self, progress: Option<&(dyn Fn(u64) + Sync)>) -> Option<[u8; HASH]> {
        let mut md5 = fast_md5::Md5::new();
        for container in self.containers.iter().filter(|container| container.has_chunk()) {
            hash(&mut md5, self.chunk(container)?, progress);
        }
        Some(md5.finalize())
    }

    /// The header's bytes.
    pub(super) fn header_bytes(&self) -> &'a [u8] {
        &self.file[self.header.offset as usize..][..self.generation.format().header]
    }
}

/// Hashes bytes, and tells of them piece by piece.
fn hash(md5: &mut fast_md5::Md5, bytes: &[u8], progress: Option<&(dyn Fn(u64) + Sync)>) {
    let Some(progress) = progress else { return md5.update(bytes) };
    for piece in bytes.chunks(PIECE) {
        md5.update(piece);
        progress(piece.len() as u64);
    }
}

/// A chunk, and where it goes to.
struct Chunk<'m> {
    /// Position of its container.
    at: usize,
    to: Mutex<&'m mut [u8]>,
}

/// What was computed from the data.
pub(super) struct Hashed {
    /// The hash of each container's chunk, where it has one and the file has its data.
    pub(super) of: Vec<OnceLock<[u8; HASH]>>,
    /// In A and B, the checksum.
    checksum: OnceLock<Option<[u8; HASH]>>,
}

impl Hashed {
    fn new(count: usize) -> Result<Self, Error> {
        let of = try_collect((0..count).map(|_| OnceLock::new()))?;
        Ok(Self { of, checksum: OnceLock::new() })
    }

    fn note_checksum(&self, checkpoint: &Checkpoint<'_>, progress: Option<&(dyn Fn(u64) + Sync)>) {
        _ = self.checksum.set(match checkpoint.generation {
            FormatVersion::V1_1 => checkpoint.checksum_of_all(progress),
            _ => checkpoint.checksum_of_chunks(progress),
        });
    }
}

impl Container {
    /// Where its hash is in the file.
    fn hash_at(&self, checkpoint: &Checkpoint<'_>) -> u64 {
        self.place(checkpoint.generation, Field::Hash)
    }
}

impl Finding {
    /// The same as an error.
    pub(super) fn error(&self) -> Error {
        let Self { field, variable, container, offset, .. } = *self;
        Error::Corrupt { field, variable, container, offset }
    }
}
