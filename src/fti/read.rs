//! Verifying the data of a file against its hashes, and recovering variables.

use std::cmp::Reverse;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::error::Error;
use super::format::HASH_SIZE;
use super::{Checkpoint, Container, Field, FormatVersion, Issue, Severity, Value};
use crate::alloc::{try_collect, try_with_capacity};
use crate::sync::parallel_for::parallel_for;

/// Number of bytes copied and hashed at a time, while they are in the processor's cache.
const IO_SIZE: usize = 256 << 10;

/// A variable to recover.
#[derive(Debug)]
pub struct ProtectedVariableMut<'m> {
    /// Id, chosen by the program.
    pub id: i32,
    /// Destination; its size must equal the variable's.
    pub data: &'m mut [u8],
}

impl<'m> ProtectedVariableMut<'m> {
    /// Creates a variable that is recovered to `data`.
    pub fn new(id: i32, data: &'m mut [u8]) -> Self {
        Self { id, data }
    }
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Number of issues of [`Severity::Corrupt`].
    pub corrupt: u64,
    /// Number of issues of [`Severity::Rejected`].
    pub rejected: u64,
    /// Number of issues of [`Severity::Note`].
    pub notes: u64,
    /// The rule that the checksum follows.
    pub checksum_rule: ChecksumRule,
}

/// How a checksum was computed. The rules differ only from FTI 1.3 on, for files with containers without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChecksumRule {
    /// It does not match the file.
    #[default]
    None,
    /// Over containers with content, as FTI requires when it reads.
    ReadByFti,
    /// Over all containers, as FTI writes it. FTI rejects such a file if it has containers without content.
    WrittenByFti,
}

impl VerifyReport {
    /// Returns whether the data is intact. FTI may reject the file nevertheless.
    pub fn is_intact(&self) -> bool {
        self.corrupt == 0
    }
}

impl<'a> Checkpoint<'a> {
    /// Verifies the whole file on up to `threads` threads and calls `on_issue` for each issue.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify(&self, threads: usize, on_issue: &mut dyn FnMut(&Issue)) -> Result<VerifyReport, Error> {
        self.verify_with(threads, on_issue).map(|(report, _)| report)
    }

    /// Verifies as [`verify`](Self::verify) does. The threads call `progress` with the number of bytes hashed since the last call; the
    /// sum is the size of the variables, in FTI 1.1 and 1.2 twice that.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn verify_with_progress(
        &self,
        threads: usize,
        on_issue: &mut dyn FnMut(&Issue),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<VerifyReport, Error> {
        self.verify_all(threads, on_issue, Some(progress)).map(|(report, _)| report)
    }

    /// Verifies as [`verify`](Self::verify) does, and returns the computed hashes too.
    pub(super) fn verify_with(&self, threads: usize, on_issue: &mut dyn FnMut(&Issue)) -> Result<(VerifyReport, Hashed), Error> {
        self.verify_all(threads, on_issue, None)
    }

    fn verify_all(
        &self,
        threads: usize,
        on_issue: &mut dyn FnMut(&Issue),
        progress: Option<&(dyn Fn(u64) + Sync)>,
    ) -> Result<(VerifyReport, Hashed), Error> {
        let mut report = VerifyReport::default();
        let mut add = |issue: Issue| {
            match issue.severity {
                Severity::Corrupt => report.corrupt += 1,
                Severity::Rejected => report.rejected += 1,
                Severity::Note => report.notes += 1,
            }
            on_issue(&issue);
        };
        self.issues.iter().for_each(|issue| add(*issue));

        let hashed = self.hash_chunks(threads, progress)?;
        let stored = self.header.checksum_hash();
        let (by_reader, by_writer) = (self.checksum_as_read_by_fti(&hashed), self.checksum_as_written_by_fti());
        let rule = match stored {
            Some(stored) if Some(stored) == by_reader => ChecksumRule::ReadByFti,
            Some(stored) if Some(stored) == by_writer => ChecksumRule::WrittenByFti,
            _ => ChecksumRule::None,
        };
        let differs = |index: usize| hashed.chunks[index].get().is_some_and(|hash| *hash != self.containers[index].hash);
        let count = (0..self.containers.len()).filter(|&index| differs(index)).count();
        for (index, container) in self.containers.iter().enumerate().filter(|(index, _)| differs(*index)) {
            let computed = hashed.chunks[index].get().copied().unwrap_or_default();
            // The checksum may show whether the hash or the data is corrupt.
            let hash_is_wrong = match self.version {
                FormatVersion::V1_1 => {
                    count == 1 && stored.is_some() && self.checksum_with(container.hash_offset(self), computed) == stored
                }
                _ => rule == ChecksumRule::ReadByFti && stored != by_writer,
            };
            let (stored, computed) = (Value::Hash(container.hash), Value::Hash(computed));
            let issue = if hash_is_wrong {
                Issue::corrupt(Field::Hash, container.hash_offset(self), computed, stored)
            } else {
                Issue::corrupt(Field::Data, container.fptr as u64, stored, computed)
            };
            add(Issue { variable: Some(container.id), container: Some(container.container_id), ..issue });
        }
        let severity = match rule {
            ChecksumRule::ReadByFti => None,
            ChecksumRule::WrittenByFti => Some(Severity::Rejected).filter(|_| count == 0),
            ChecksumRule::None => Some(Severity::Corrupt),
        };
        if let Some(severity) = severity {
            let [expected, found] = [by_reader, stored].map(|hash| hash.map_or(Value::Unknown, Value::Hash));
            add(Issue { severity, ..Issue::corrupt(Field::Checksum, self.header.offset, expected, found) });
        }
        report.checksum_rule = rule;
        Ok((report, hashed))
    }

    /// Recovers all variables on up to `threads` threads. `variables` must have the ids and sizes of the file's variables, in any
    /// order.
    ///
    /// Each byte is read once and verified. After an error, the contents of `variables` are unspecified.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`], [`Error::VariableSizeMismatch`], [`Error::VariableNotProtected`]: before `variables` are written;
    /// [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn recover(&self, variables: &mut [ProtectedVariableMut<'_>], threads: usize) -> Result<(), Error> {
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
        // Containers and variables are sorted by id.
        for variable in variables.iter_mut() {
            self.split_chunks(self.containers_of(variable.id), variable.data, &mut chunks)?;
        }
        let hashed = self.copy_chunks(chunks, threads, true)?;
        let stored = self.header.checksum_hash();
        if stored.is_none() || (stored != self.checksum_as_read_by_fti(&hashed) && stored != self.checksum_as_written_by_fti()) {
            return Err(Error::Corrupt { field: Field::Checksum, variable: None, container: None, offset: self.header.offset });
        }
        Ok(())
    }

    /// Recovers one variable. Corruption of other variables does not matter, unless it makes this one ambiguous.
    ///
    /// # Errors
    /// [`Error::VariableNotFound`]; [`Error::VariableSizeMismatch`]; [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn recover_variable(&self, id: i32, data: &mut [u8]) -> Result<(), Error> {
        self.check_size(id, data.len())?;
        self.check_variable_issues(id)?;
        let containers = self.containers_of(id);
        let mut chunks = try_with_capacity(containers.len())?;
        self.split_chunks(containers, data, &mut chunks)?;
        self.copy_chunks(chunks, 1, false).map(drop)
    }

    /// Recovers one variable as [`recover_variable`](Self::recover_variable) does, but passes its bytes to `write`, in order and at most
    /// 256 KiB per call.
    ///
    /// The bytes of a chunk are passed before its hash is verified: after an error, discard them.
    ///
    /// # Errors
    /// The first error of `write`; or [`Error::VariableNotFound`] or [`Error::Corrupt`], as the source of an [`io::Error`].
    pub fn copy_variable(&self, id: i32, write: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.variable(id)?;
        self.check_variable_issues(id)?;
        for &index in self.containers_of(id) {
            let container = &self.containers[index];
            if !container.has_chunk() {
                continue;
            }
            let chunk = self.chunk(container).ok_or_else(|| self.corrupt(container, Field::Data))?;
            let mut md5 = fast_md5::Md5::new();
            for bytes in chunk.chunks(IO_SIZE) {
                md5.update(bytes);
                write(bytes)?;
            }
            if md5.finalize() != container.hash {
                return Err(self.corrupt(container, Field::Data).into());
            }
        }
        Ok(())
    }

    /// Fails if an issue of the metadata concerns this variable.
    fn check_variable_issues(&self, id: i32) -> Result<(), Error> {
        let is_relevant = |issue: &&Issue| {
            let is_of_other = issue.variable.is_some_and(|variable| variable != id);
            let is_harmless = match issue.field {
                Field::Checksum | Field::MyHash | Field::CkptSize | Field::Idx => true,
                Field::FileSize | Field::Fs => issue.variable.is_none() || is_of_other,
                Field::ChunkSize | Field::HasContent => is_of_other,
                _ => false,
            };
            issue.severity == Severity::Corrupt && !is_harmless
        };
        self.issues.iter().find(is_relevant).map_or(Ok(()), |issue| Err(issue.error()))
    }

    /// Fails if the metadata is corrupt.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.issues.iter().find(|issue| issue.severity == Severity::Corrupt).map_or(Ok(()), |issue| Err(issue.error()))
    }

    /// Returns the error for a corrupt field of a container.
    pub(super) fn corrupt(&self, container: &Container, field: Field) -> Error {
        let offset = if field == Field::Data { container.fptr as u64 } else { container.field_offset(self.version, field) };
        Error::Corrupt { field, variable: Some(container.id), container: Some(container.container_id), offset }
    }

    fn check_size(&self, id: i32, size: usize) -> Result<(), Error> {
        let stored = self.variable(id)?.size;
        let protected = size as u64;
        if stored == protected { Ok(()) } else { Err(Error::VariableSizeMismatch { id, stored, protected }) }
    }

    /// Splits the memory of a variable into its chunks.
    fn split_chunks<'m>(&self, containers: &[usize], data: &'m mut [u8], chunks: &mut Vec<Chunk<'m>>) -> Result<(), Error> {
        let mut rest = data;
        for &index in containers {
            let container = &self.containers[index];
            if !container.has_chunk() {
                continue;
            }
            let size = usize::try_from(container.chunk_size).ok().filter(|size| *size <= rest.len());
            let size = size.ok_or_else(|| self.corrupt(container, Field::ChunkSize))?;
            let (chunk, later) = rest.split_at_mut(size);
            rest = later;
            chunks.push(Chunk { container: index, to: Mutex::new(chunk) });
        }
        Ok(())
    }

    /// Copies chunks to their destinations and verifies their hashes.
    fn copy_chunks(&self, mut chunks: Vec<Chunk<'_>>, threads: usize, with_checksum: bool) -> Result<Hashed, Error> {
        let hashed = Hashed::new(self.containers.len())?;
        chunks.sort_unstable_by_key(|chunk| (Reverse(self.containers[chunk.container].chunk_size), chunk.container));
        let first = usize::from(with_checksum && self.version.is_header_first());
        parallel_for(threads, chunks.len() + first, |job| {
            if job < first {
                hashed.compute_checksum(self, None);
                return Ok(());
            }
            let Chunk { container: index, to } = &chunks[job - first];
            let container = &self.containers[*index];
            let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(from) = self.chunk(container).filter(|from| from.len() == to.len()) else {
                return Err(self.corrupt(container, Field::Data));
            };
            let mut md5 = fast_md5::Md5::new();
            for (to, from) in to.chunks_mut(IO_SIZE).zip(from.chunks(IO_SIZE)) {
                to.copy_from_slice(from);
                // Hashes the copy, because the file may change in between.
                md5.update(to);
            }
            let hash = md5.finalize();
            if hash != container.hash {
                return Err(self.corrupt(container, Field::Data));
            }
            _ = hashed.chunks[*index].set(hash);
            Ok(())
        })?;
        Ok(hashed)
    }

    /// Hashes all chunks, and, for FTI 1.1 and 1.2, computes the checksum.
    fn hash_chunks(&self, threads: usize, progress: Option<&(dyn Fn(u64) + Sync)>) -> Result<Hashed, Error> {
        let hashed = Hashed::new(self.containers.len())?;
        let mut jobs = try_with_capacity(self.containers.len())?;
        jobs.extend((0..self.containers.len()).filter(|&index| self.containers[index].has_chunk()));
        jobs.sort_unstable_by_key(|&index| (Reverse(self.containers[index].chunk_size), index));
        let first = usize::from(self.version.is_header_first());
        parallel_for(threads, jobs.len() + first, |job| {
            if job < first {
                hashed.compute_checksum(self, progress);
                return Ok(());
            }
            let index = jobs[job - first];
            if let Some(chunk) = self.chunk(&self.containers[index]) {
                let mut md5 = fast_md5::Md5::new();
                hash(&mut md5, chunk, progress);
                _ = hashed.chunks[index].set(md5.finalize());
            }
            Ok::<_, Error>(())
        })?;
        Ok(hashed)
    }

    /// Computes the checksum by the rule of FTI's reader. `None` if the file lacks data.
    pub(super) fn checksum_as_read_by_fti(&self, hashed: &Hashed) -> Option<[u8; HASH_SIZE]> {
        if self.version.is_header_first() {
            return hashed.checksum.get().copied().flatten();
        }
        let mut md5 = fast_md5::Md5::new();
        for (container, hash) in self.containers.iter().zip(&hashed.chunks) {
            if container.has_chunk() {
                md5.update(hash.get()?);
            }
        }
        Some(md5.finalize())
    }

    /// Computes the checksum by the rule of FTI's writer, which differs from FTI 1.3 on.
    fn checksum_as_written_by_fti(&self) -> Option<[u8; HASH_SIZE]> {
        if self.version.is_header_first() {
            return None;
        }
        let mut md5 = fast_md5::Md5::new();
        self.containers.iter().for_each(|container| md5.update(&container.hash));
        Some(md5.finalize())
    }

    /// Computes the checksum of FTI 1.1: over all bytes after the header.
    fn checksum_of_file(&self, progress: Option<&(dyn Fn(u64) + Sync)>) -> Option<[u8; HASH_SIZE]> {
        let mut md5 = fast_md5::Md5::new();
        hash(&mut md5, self.bytes_after_header()?, progress);
        Some(md5.finalize())
    }

    /// Computes the checksum of FTI 1.1 with another hash at `offset` of the file.
    pub(super) fn checksum_with(&self, offset: u64, hash: [u8; HASH_SIZE]) -> Option<[u8; HASH_SIZE]> {
        let bytes = self.bytes_after_header()?;
        let offset = usize::try_from(offset).ok()?.checked_sub(self.version.format().header_size)?;
        let mut md5 = fast_md5::Md5::new();
        md5.update(bytes.get(..offset)?);
        md5.update(&hash);
        md5.update(bytes.get(offset + HASH_SIZE..)?);
        Some(md5.finalize())
    }

    fn bytes_after_header(&self) -> Option<&'a [u8]> {
        self.file.get(self.version.format().header_size..usize::try_from(self.fs).ok()?)
    }

    /// Computes the checksum of FTI 1.2: over all chunks.
    fn checksum_of_chunks(&self, progress: Option<&(dyn Fn(u64) + Sync)>) -> Option<[u8; HASH_SIZE]> {
        let mut md5 = fast_md5::Md5::new();
        for container in self.containers.iter().filter(|container| container.has_chunk()) {
            hash(&mut md5, self.chunk(container)?, progress);
        }
        Some(md5.finalize())
    }

    /// Returns the bytes of the header.
    pub(super) fn header_bytes(&self) -> &'a [u8] {
        &self.file[self.header.offset as usize..][..self.version.format().header_size]
    }
}

/// Hashes bytes and reports progress.
fn hash(md5: &mut fast_md5::Md5, bytes: &[u8], progress: Option<&(dyn Fn(u64) + Sync)>) {
    let Some(progress) = progress else { return md5.update(bytes) };
    for part in bytes.chunks(IO_SIZE) {
        md5.update(part);
        progress(part.len() as u64);
    }
}

/// A chunk to copy.
struct Chunk<'m> {
    /// Index of its container.
    container: usize,
    /// Destination.
    to: Mutex<&'m mut [u8]>,
}

/// The hashes computed from the data.
pub(super) struct Hashed {
    /// The hash of each container's chunk, if it has one and the file has its data.
    pub(super) chunks: Vec<OnceLock<[u8; HASH_SIZE]>>,
    /// The checksum, for FTI 1.1 and 1.2.
    checksum: OnceLock<Option<[u8; HASH_SIZE]>>,
}

impl Hashed {
    fn new(count: usize) -> Result<Self, Error> {
        let chunks = try_collect((0..count).map(|_| OnceLock::new()))?;
        Ok(Self { chunks, checksum: OnceLock::new() })
    }

    fn compute_checksum(&self, checkpoint: &Checkpoint<'_>, progress: Option<&(dyn Fn(u64) + Sync)>) {
        _ = self.checksum.set(match checkpoint.version {
            FormatVersion::V1_1 => checkpoint.checksum_of_file(progress),
            _ => checkpoint.checksum_of_chunks(progress),
        });
    }
}

impl Container {
    /// Returns the offset of its hash in the file.
    fn hash_offset(&self, checkpoint: &Checkpoint<'_>) -> u64 {
        self.field_offset(checkpoint.version, Field::Hash)
    }
}

impl Issue {
    /// Converts the issue to an error.
    pub(super) fn error(&self) -> Error {
        let Self { field, variable, container, offset, .. } = *self;
        Error::Corrupt { field, variable, container, offset }
    }
}
