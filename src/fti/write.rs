//! Writing a file. Each chunk is hashed and written in units of [`IO_SIZE`], while a unit is in the processor's cache.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::differential::state::KnownFiles;
use super::error::Error;
use super::format::{self, CHECKSUM_SIZE, COUNT, HASH_SIZE, HEADER_HASH_RANGE, HEADER_SIZE_MAX, ID, MD5_EMPTY};
use super::layout::{ChunkSource, Layout, Slot};
use super::{Checkpoint, Field, FormatVersion, SyncMode};
use crate::alloc::{try_collect, try_copy, try_with_capacity, try_zeroed};
use crate::atomic_file::AtomicFile;
use crate::error_base::{IoError, IoOperation};
use crate::sync::parallel_for::parallel_for;
use crate::sys::fd::FileId;

/// Number of bytes hashed and written at a time.
pub(super) const IO_SIZE: usize = 256 << 10;

/// A variable to save.
#[derive(Clone, Copy, Debug)]
pub struct ProtectedVariable<'m> {
    /// Id, chosen by the program.
    pub id: i32,
    /// Contents of the variable.
    pub data: &'m [u8],
}

impl<'m> ProtectedVariable<'m> {
    /// Creates a variable with these contents.
    pub fn new(id: i32, data: &'m [u8]) -> Self {
        Self { id, data }
    }
}

/// Options of a file to write. Start from [`new`](Self::new), then set fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The version of the format.
    pub version: FormatVersion,
    /// Number of the checkpoint; not stored by FTI 1.1 and 1.2.
    pub ckpt_id: i32,
    /// At level 2: file size in bytes of the left neighbour in the group.
    pub partner_file_size: Option<u64>,
    /// At level 3: largest file size in the group, in bytes. [`Writer::size`] returns the size of this rank's file.
    pub group_max_file_size: Option<u64>,
    /// The time to store, in nanoseconds since 1970; `None` stores the current time. With a fixed time, equal variables give equal
    /// files.
    pub timestamp: Option<i64>,
    /// Maximum number of threads that hash and write. They end before the call returns. Default: 1.
    pub threads: usize,
    /// Durability of the file.
    pub sync: SyncMode,
    /// Called by the threads with the number of bytes of variables hashed since the last call.
    pub progress: Option<fn(u64)>,
}

impl WriteOptions {
    /// Creates the options of checkpoint `ckpt_id` of level 1 or 4 (which are equal), written by one thread with [`SyncMode::Full`].
    pub fn new(version: FormatVersion, ckpt_id: i32) -> Self {
        Self {
            version,
            ckpt_id,
            partner_file_size: None,
            group_max_file_size: None,
            timestamp: None,
            threads: 1,
            sync: SyncMode::default(),
            progress: None,
        }
    }
}

/// Writes checkpoints one after the other, and keeps the containers from one to the next.
///
/// The files equal those of FTI with three exceptions: padding is zero; if containers are empty, the checksum is the one that FTI
/// accepts (from FTI 1.3 on, FTI rejects such files of its own); and a file of the same path is replaced atomically.
#[derive(Debug, Default)]
pub struct Writer {
    pub(super) layout: Layout,
    /// Possible states of the updated file.
    pub(super) known_files: KnownFiles,
}

impl Writer {
    /// Creates a writer without containers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a writer with the containers of a file, after a restart.
    ///
    /// The data is not verified: call [`Checkpoint::recover`] before.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn resume(checkpoint: &Checkpoint<'_>) -> Result<Self, Error> {
        Self::resume_from(checkpoint, None)
    }

    /// Creates a writer as [`resume`](Self::resume) does, for a checkpoint that was read from this file.
    pub(crate) fn resume_from(checkpoint: &Checkpoint<'_>, file: Option<FileId>) -> Result<Self, Error> {
        checkpoint.check()?;
        Ok(Self { layout: Layout::from_checkpoint(checkpoint)?, known_files: KnownFiles::resumed(checkpoint, file)? })
    }

    /// Returns the size in bytes of the file that [`checkpoint`](Self::checkpoint) would write.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub fn size(&self, version: FormatVersion, variables: &[ProtectedVariable<'_>]) -> Result<u64, Error> {
        let (data, meta) = self.next_layout(variables)?.sizes(version).ok_or(TOO_LARGE)?;
        Ok(data + meta)
    }

    /// Writes all `variables` to the file `path`, atomically replacing a file of that path.
    ///
    /// New variables are appended. Containers keep their sizes from one checkpoint to the next: a variable that shrinks leaves a part
    /// unused, one that grows gets another container. If a variable was removed, all are laid out anew.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if two variables have the same id; [`Error::OffsetOverflow`] if a size exceeds the fields of the
    /// version (in FTI 1.4.1: 2 GiB); [`Error::Io`]; [`Error::OutOfMemory`]. After an error, file and writer are unchanged; except if
    /// the fsync of the directory failed: then the new file is in place.
    pub fn checkpoint(
        &mut self,
        path: impl AsRef<Path>,
        options: &WriteOptions,
        variables: &[ProtectedVariable<'_>],
    ) -> Result<(), Error> {
        let mut layout = self.next_layout(variables)?;
        let variables = VariableMap::new(variables)?;
        let result = write(path.as_ref(), options, &mut layout, &|slot| variables.chunk(slot));
        match result {
            // The new file is in place, so the next checkpoint continues it.
            Ok(()) | Err(Error::Io(IoError { op: IoOperation::FsyncDirectory, .. })) => self.layout = layout,
            Err(_) => {}
        }
        result
    }

    fn next_layout(&self, variables: &[ProtectedVariable<'_>]) -> Result<Layout, Error> {
        self.layout.next(&sizes(variables)?)
    }
}

/// Returns the ids and sizes of variables.
pub(super) fn sizes(variables: &[ProtectedVariable<'_>]) -> Result<Vec<(i32, u64)>, Error> {
    Ok(try_collect(variables.iter().map(|variable| (variable.id, variable.data.len() as u64)))?)
}

/// Finds variables by id.
pub(super) struct VariableMap<'m>(Vec<ProtectedVariable<'m>>);

impl<'m> VariableMap<'m> {
    pub(super) fn new(variables: &[ProtectedVariable<'m>]) -> Result<Self, Error> {
        let mut by_id = try_copy(variables)?;
        by_id.sort_unstable_by_key(|variable| variable.id);
        Ok(Self(by_id))
    }

    /// Returns the bytes of a slot's chunk.
    pub(super) fn chunk(&self, slot: &Slot) -> Option<&'m [u8]> {
        if slot.chunk_size == 0 {
            return Some(&[]);
        }
        let index = self.0.binary_search_by_key(&slot.id, |variable| variable.id).ok()?;
        let begin = slot.dptr as usize;
        self.0[index].data.get(begin..begin + slot.chunk_size as usize)
    }
}

/// Writes the variables and containers of `checkpoint` to a file in another version of the format.
///
/// The sizes of other ranks' files depend on the version, so they come from `options`, not from `checkpoint`.
///
/// # Errors
/// [`Error::Corrupt`] if `checkpoint` is corrupt; and as for [`Writer::checkpoint`].
pub fn convert(checkpoint: &Checkpoint<'_>, path: impl AsRef<Path>, options: &WriteOptions) -> Result<(), Error> {
    checkpoint.check()?;
    let mut layout = Layout::from_checkpoint(checkpoint)?;
    let chunks = |slot: &Slot| {
        let index = *checkpoint.containers_of(slot.id).get(slot.container_id as usize)?;
        checkpoint.chunk(&checkpoint.containers[index])
    };
    let file = write_temp_file(path.as_ref(), options, &mut layout, &chunks)?;
    // Slots and containers are in file order.
    for (slot, container) in layout.slots.iter().zip(&checkpoint.containers) {
        if slot.has_content && slot.hash != container.hash {
            return Err(checkpoint.corrupt(container, Field::Hash));
        }
    }
    Ok(file.commit()?)
}

/// From FTI 1.3 on, `maxFs` is larger than the largest file by this number of bytes.
const MAX_FS_EXCESS: u64 = 8;

pub(super) const TOO_LARGE: Error = Error::OffsetOverflow { size: u64::MAX };

/// Writes the file and sets the hashes in the layout.
fn write(path: &Path, options: &WriteOptions, layout: &mut Layout, chunks: &ChunkSource<'_>) -> Result<(), Error> {
    Ok(write_temp_file(path, options, layout, chunks)?.commit()?)
}

/// Writes the file as a temporary one and sets the hashes in the layout.
fn write_temp_file(
    path: &Path,
    options: &WriteOptions,
    layout: &mut Layout,
    chunks: &ChunkSource<'_>,
) -> Result<AtomicFile, Error> {
    let version = options.version;
    let (data_size, meta_size) = layout.sizes(version).ok_or(TOO_LARGE)?;
    let mut metadata = Metadata::new(options, layout, data_size, meta_size)?;
    let file = AtomicFile::begin(path, options.sync)?;
    let file_checksum = write_chunks(&file, options, layout, &metadata.offsets, chunks)?;
    if matches!(version, FormatVersion::V1_1 | FormatVersion::V1_2) {
        let empty = layout.slots.iter_mut().filter(|slot| !slot.has_content);
        empty.for_each(|slot| slot.hash = MD5_EMPTY);
    }
    metadata.encode_blocks(layout, 0);
    let checksum = match version {
        FormatVersion::V1_1 => metadata.checksum_of_file(layout, chunks)?,
        FormatVersion::V1_2 => file_checksum,
        _ => checksum_of_hashes(layout),
    };
    metadata.encode_header(options, checksum, data_size, meta_size);
    // Bytes that no chunk fills are zero.
    file.set_size(data_size + meta_size)?;
    metadata.writes().try_for_each(|(bytes, offset)| file.write_at(bytes, offset))?;
    Ok(file)
}

/// Computes the checksum of FTI 1.3 and later.
pub(super) fn checksum_of_hashes(layout: &Layout) -> [u8; HASH_SIZE] {
    let mut md5 = fast_md5::Md5::new();
    layout.slots.iter().filter(|slot| slot.has_content).for_each(|slot| md5.update(&slot.hash));
    md5.finalize()
}

/// Hashing, writing, or both, of one chunk.
struct Job {
    slot: usize,
    size: u64,
    is_hashed: bool,
    is_written: bool,
}

/// Hashes and writes all chunks. Returns the checksum over all of them for FTI 1.2.
fn write_chunks(
    file: &AtomicFile,
    options: &WriteOptions,
    layout: &mut Layout,
    offsets: &[u64],
    chunks: &ChunkSource<'_>,
) -> Result<[u8; HASH_SIZE], Error> {
    let threads = options.threads;
    let slots = &layout.slots;
    let total: u64 = slots.iter().map(|slot| slot.chunk_size).sum();
    // A chunk larger than a thread's share is hashed by one thread and written by another.
    let share = total / threads.max(1) as u64;
    let mut jobs = try_with_capacity(2 * slots.len())?;
    let mut hashes = try_with_capacity(slots.len())?;
    for (slot, Slot { chunk_size: size, .. }) in slots.iter().enumerate().filter(|(_, slot)| slot.has_content) {
        let is_split = threads > 1 && *size > share;
        jobs.push(Job { slot, size: *size, is_hashed: true, is_written: !is_split });
        if is_split {
            // Writing costs about a quarter of hashing.
            jobs.push(Job { slot, size: *size / 4, is_hashed: false, is_written: true });
        }
    }
    // Largest first, so that no thread starts a large one last.
    jobs.sort_unstable_by_key(|job| (std::cmp::Reverse(job.size), job.slot));
    hashes.resize_with(slots.len(), OnceLock::new);
    let checksum = OnceLock::new();
    let checksum_jobs = usize::from(options.version == FormatVersion::V1_2);
    parallel_for(threads, jobs.len() + checksum_jobs, |index| {
        let mut md5 = fast_md5::Md5::new();
        if index < checksum_jobs {
            for slot in slots.iter().filter(|slot| slot.has_content) {
                md5.update(chunks(slot).ok_or(Error::Internal)?);
            }
            _ = checksum.set(md5.finalize());
            return Ok(());
        }
        let job = &jobs[index - checksum_jobs];
        let mut offset = offsets[job.slot];
        for bytes in chunks(&slots[job.slot]).ok_or(Error::Internal)?.chunks(IO_SIZE) {
            if job.is_hashed {
                md5.update(bytes);
            }
            if job.is_written {
                file.write_at(bytes, offset)?;
            }
            offset += bytes.len() as u64;
            if let Some(progress) = options.progress.filter(|_| job.is_hashed) {
                progress(bytes.len() as u64);
            }
        }
        if job.is_hashed {
            _ = hashes[job.slot].set(md5.finalize());
        }
        Ok::<_, Error>(())
    })?;
    for (slot, hash) in layout.slots.iter_mut().zip(hashes) {
        slot.hash = hash.into_inner().unwrap_or(slot.hash);
    }
    Ok(checksum.into_inner().unwrap_or_default())
}

/// The metadata of a file: block descriptions and header.
pub(super) struct Metadata {
    version: FormatVersion,
    header: [u8; HEADER_SIZE_MAX],
    header_offset: u64,
    /// The concatenated descriptions of all blocks.
    descriptions: Vec<u8>,
    blocks: Vec<BlockExtent>,
    /// Offset of each container in the file.
    pub(super) offsets: Vec<u64>,
}

/// Size and offset of a block's description, and size of its data.
struct BlockExtent {
    size: usize,
    offset: u64,
    data_size: u64,
}

impl Metadata {
    /// Computes all offsets, and fails if a number exceeds its field.
    pub(super) fn new(options: &WriteOptions, layout: &Layout, data_size: u64, meta_size: u64) -> Result<Self, Error> {
        let version = options.version;
        let format = version.format();
        let is_first = version.is_header_first();
        let header_offset = if is_first { 0 } else { data_size + meta_size - format.header_size as u64 };
        let descriptions = try_zeroed(meta_size as usize - format.header_size)?;
        let mut blocks = try_with_capacity(layout.blocks.len())?;
        let mut offsets = try_with_capacity(layout.slots.len())?;
        let fits = |field: Option<format::Field>, value: u64| {
            field.is_none_or(|field| i64::try_from(value).is_ok_and(|value| field.holds(value)))
        };
        let mut offset = if is_first { format.header_size as u64 } else { data_size };
        let mut next = 0;
        for slots in layout.by_block() {
            let size = format.block_meta_size + slots.len() * format.container_meta_size;
            let begin = if is_first { offset + size as u64 } else { next };
            let mut slot_offset = begin;
            for slot in slots {
                offsets.push(slot_offset);
                slot_offset += slot.size;
                if !fits(format.container_size, slot.size) {
                    return Err(Error::OffsetOverflow { size: slot.size });
                }
            }
            let data_size = slot_offset - begin;
            blocks.push(BlockExtent { size, offset, data_size });
            offset += size as u64 + if is_first { data_size } else { 0 };
            next = slot_offset;
        }
        let group_max_file_size = options.group_max_file_size.unwrap_or_default().saturating_add(MAX_FS_EXCESS);
        for (field, size) in [
            (format.fs, data_size + meta_size),
            (format.max_fs, group_max_file_size),
            (format.pt_fs, options.partner_file_size.unwrap_or_default()),
        ] {
            if !fits(field, size) {
                return Err(Error::OffsetOverflow { size });
            }
        }
        Ok(Self { version, header: [0; HEADER_SIZE_MAX], header_offset, descriptions, blocks, offsets })
    }

    /// Encodes the block descriptions, with the hashes of `layout`. The first `updated` containers are those of the file that is
    /// updated.
    pub(super) fn encode_blocks(&mut self, layout: &Layout, updated: usize) {
        let format = self.version.format();
        let mut rest = &mut self.descriptions[..];
        let mut index = 0;
        for (block, slots) in self.blocks.iter().zip(layout.by_block()) {
            let (bytes, later) = std::mem::take(&mut rest).split_at_mut(block.size);
            rest = later;
            let own_size = if self.version.is_header_first() { block.size as u64 } else { 0 };
            format::put(COUNT, bytes, slots.len() as i64);
            format::put(format.db_size, bytes, (block.data_size + own_size) as i64);
            for (slot, bytes) in slots.iter().zip(bytes[format.block_meta_size..].chunks_exact_mut(format.container_meta_size)) {
                format::put(ID, bytes, slot.id.into());
                format::put(format.idx, bytes, slot.idx.into());
                format::put(format.container_id, bytes, slot.container_id.into());
                format::put(format.has_content, bytes, slot.has_content.into());
                format::put(format.has_ckpt, bytes, i64::from(index < updated));
                format::put(format.dptr, bytes, slot.dptr as i64);
                format::put(format.fptr, bytes, self.offsets[index] as i64);
                format::put(format.chunk_size, bytes, slot.chunk_size as i64);
                format::put(format.container_size, bytes, slot.size as i64);
                bytes[format.hash_offset..][..HASH_SIZE].copy_from_slice(&slot.hash);
                index += 1;
            }
        }
    }

    /// Computes the checksum of FTI 1.1: over all bytes after the header, in file order.
    fn checksum_of_file(&self, layout: &Layout, chunks: &ChunkSource<'_>) -> Result<[u8; HASH_SIZE], Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut md5 = fast_md5::Md5::new();
        let mut rest = &self.descriptions[..];
        for (block, slots) in self.blocks.iter().zip(layout.by_block()) {
            let (bytes, later) = rest.split_at(block.size);
            rest = later;
            md5.update(bytes);
            for slot in slots {
                md5.update(if slot.has_content { chunks(slot).ok_or(Error::Internal)? } else { &[] });
                let mut slack = slot.size - slot.chunk_size;
                while slack > 0 {
                    let size = slack.min(ZEROS.len() as u64);
                    md5.update(&ZEROS[..size as usize]);
                    slack -= size;
                }
            }
        }
        Ok(md5.finalize())
    }

    /// Encodes the header.
    pub(super) fn encode_header(&mut self, options: &WriteOptions, checksum: [u8; HASH_SIZE], data_size: u64, meta_size: u64) {
        let format = self.version.format();
        let header = &mut self.header[..format.header_size];
        header[..2 * HASH_SIZE].copy_from_slice(&format::hex(checksum));
        header[2 * HASH_SIZE..CHECKSUM_SIZE].fill(0);
        let size = (data_size + meta_size) as i64;
        let excess = if self.version.is_header_first() { 0 } else { MAX_FS_EXCESS as i64 };
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        format::put(format.ckpt_id, header, options.ckpt_id.into());
        format::put(format.ckpt_size, header, size);
        format::put(format.meta_size, header, meta_size as i64);
        format::put(format.data_size, header, data_size as i64);
        format::put(format.fs, header, size);
        format::put(format.max_fs, header, options.group_max_file_size.map_or(-1, |size| size as i64 + excess));
        format::put(format.pt_fs, header, options.partner_file_size.map_or(-1, |size| size as i64));
        format::put(format.timestamp, header, options.timestamp.unwrap_or_else(now));
        let hash = format.header_hash(header);
        header[HEADER_HASH_RANGE].copy_from_slice(&hash);
    }

    /// Returns all bytes after the data, from FTI 1.3 on.
    pub(super) fn tail(&self) -> Result<Vec<u8>, Error> {
        let header = &self.header[..self.version.format().header_size];
        let mut tail = try_with_capacity(self.descriptions.len() + header.len())?;
        tail.extend_from_slice(&self.descriptions);
        tail.extend_from_slice(header);
        Ok(tail)
    }

    /// Iterates over the writes of the metadata, bytes and offset; the header comes last.
    fn writes(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut rest = &self.descriptions[..];
        let blocks = self.blocks.iter().map(move |block| {
            let (bytes, later) = rest.split_at(block.size);
            rest = later;
            (bytes, block.offset)
        });
        let header = (&self.header[..self.version.format().header_size], self.header_offset);
        blocks.chain(std::iter::once(header))
    }
}
