//! Writing a file: each chunk is hashed and written piece by piece while it is in the processor's cache, by one thread or several.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::Error;
use super::format::{self, CHECKSUM, CONTAINER_PADDING, COUNT, HASH, HASH_OF_NOTHING, HEADER_HASH, HEADER_MAX, ID};
use super::layout::{Chunk, Layout, Slot};
use super::state::Bases;
use super::{Checkpoint, Field, FormatVersion, SyncMode};
use crate::alloc::{try_collect, try_copy, try_with_capacity, try_zeroed};
use crate::atomic_file::AtomicFile;
use crate::error_base::{IoError, IoOperation};
use crate::sync::parallel_for::parallel_for;
use crate::sys::fd::FileId;

/// So much is hashed and written at a time.
pub(super) const PIECE: usize = 256 << 10;

/// A variable as it is saved: a number of the program's choice, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Protected<'m> {
    /// The number.
    pub id: i32,
    /// The bytes.
    pub data: &'m [u8],
}

impl<'m> Protected<'m> {
    /// A variable of these bytes.
    pub fn new(id: i32, data: &'m [u8]) -> Self {
        Self { id, data }
    }
}

/// What a file is to be like. Made by [`new`](Self::new), and then changed as needed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The generation.
    pub generation: FormatVersion,
    /// Number of the checkpoint. Generations A and B don't have it.
    pub ckpt_id: i32,
    /// At level 2: the size of the file of the left neighbour in the group.
    pub partner_fs: Option<u64>,
    /// At level 3: the largest size of a file in the group, which [`Writer::size`] helps to find.
    pub group_fs: Option<u64>,
    /// Nanoseconds since 1970 to be told as the time; `None` for now. With a time that is given, the same variables give the same
    /// file.
    pub timestamp: Option<i64>,
    /// How many threads may hash and write. They are gone when the call returns. 1 at first.
    pub threads: usize,
    /// What the file has to survive.
    pub sync: SyncMode,
    /// Is told how many bytes of variables were hashed since the last time, by the threads that do it.
    pub progress: Option<fn(u64)>,
    /// What FTI leaves in its files.
    #[doc(hidden)]
    pub leftovers: Leftovers,
}

/// What files of FTI have in places that mean nothing, for tests. Otherwise these are zeros.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Padding in the header.
    pub header: [u8; 7],
    /// hasCkpt and padding of each container.
    pub containers: Vec<(u8, [u8; 3])>,
}

impl Options {
    /// A file of `generation`, of the checkpoint `ckpt_id`, of level 1 or 4 (which are the same), by one thread, for
    /// [`SyncMode::Full`].
    pub fn new(generation: FormatVersion, ckpt_id: i32) -> Self {
        Self {
            generation,
            ckpt_id,
            partner_fs: None,
            group_fs: None,
            timestamp: None,
            threads: 1,
            sync: SyncMode::default(),
            progress: None,
            leftovers: Leftovers::default(),
        }
    }
}

/// Writes checkpoints, one after the other, and carries the containers from each to the next.
///
/// The files are as FTI's, but for three things: what means nothing is zero; where containers are empty, the checksum is the one that FTI
/// accepts (from generation C on FTI refuses such files of its own); and a file takes the place of the one that had its name
/// only when it is complete.
#[derive(Debug, Default)]
pub struct Writer {
    pub(super) layout: Layout,
    /// States of a file that is updated in place: which one it has, the file itself tells.
    pub(super) bases: Bases,
}

impl Writer {
    /// Begins without any containers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with the containers of a file, after a restart.
    ///
    /// The data is not looked at: [`Checkpoint::recover`] does that, and only a file that it finds to be sound is one to go on with.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::OutOfMemory`].
    pub fn resume(checkpoint: &Checkpoint<'_>) -> Result<Self, Error> {
        Self::resume_from(checkpoint, None)
    }

    /// The same, where it is known from which file the checkpoint was read.
    pub(crate) fn resume_from(checkpoint: &Checkpoint<'_>, file: Option<FileId>) -> Result<Self, Error> {
        checkpoint.check()?;
        Ok(Self { layout: Layout::of(checkpoint)?, bases: Bases::resumed(checkpoint, file)? })
    }

    /// Size of the file that [`checkpoint`](Self::checkpoint) would write of these variables, in bytes.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub fn size(&self, generation: FormatVersion, variables: &[Protected<'_>]) -> Result<u64, Error> {
        let (data, meta) = self.next(variables)?.sizes(generation).ok_or(TOO_LARGE)?;
        Ok(data + meta)
    }

    /// Writes a file of all `variables`, with the name `path`. A file of that name is replaced by a complete one, or not at all.
    ///
    /// A variable that is there for the first time comes behind all others. Containers stay as they are from one checkpoint to
    /// the next: a variable that shrinks leaves room, one that grows gets a further container. Where a variable of the last
    /// checkpoint is no more, all are laid out anew.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where two have the same id; [`Error::OffsetOverflow`] where a size is more than the generation's fields hold
    /// (in D 2 GiB); [`Error::Io`]; [`Error::OutOfMemory`]. After each of them the file of that name is what it was, and so is the
    /// writer; but for an error when the folder is synced: then the new file is there already.
    pub fn checkpoint(&mut self, path: impl AsRef<Path>, options: &Options, variables: &[Protected<'_>]) -> Result<(), Error> {
        let mut layout = self.next(variables)?;
        let memory = Memory::new(variables)?;
        let result = write(path.as_ref(), options, &mut layout, &|slot| memory.chunk(slot));
        match result {
            // The file has its name, so the next one goes on from it.
            Ok(()) | Err(Error::Io(IoError { op: IoOperation::FsyncDirectory, .. })) => self.layout = layout,
            Err(_) => {}
        }
        result
    }

    fn next(&self, variables: &[Protected<'_>]) -> Result<Layout, Error> {
        self.layout.next(&sizes(variables)?)
    }
}

/// Ids and sizes.
pub(super) fn sizes(variables: &[Protected<'_>]) -> Result<Vec<(i32, u64)>, Error> {
    Ok(try_collect(variables.iter().map(|variable| (variable.id, variable.data.len() as u64)))?)
}

/// Variables in order of their ids.
pub(super) struct Memory<'m>(Vec<Protected<'m>>);

impl<'m> Memory<'m> {
    pub(super) fn new(variables: &[Protected<'m>]) -> Result<Self, Error> {
        let mut by_id = try_copy(variables)?;
        by_id.sort_unstable_by_key(|variable| variable.id);
        Ok(Self(by_id))
    }

    /// The bytes of a slot's chunk.
    pub(super) fn chunk(&self, slot: &Slot) -> Option<&'m [u8]> {
        if slot.chunk == 0 {
            return Some(&[]);
        }
        let place = self.0.binary_search_by_key(&slot.id, |variable| variable.id).ok()?;
        let begin = slot.dptr as usize;
        self.0[place].data.get(begin..begin + slot.chunk as usize)
    }
}

/// Writes a file with the variables and containers of `checkpoint`, of the generation that `options` has.
///
/// What is known of other ranks is not taken over, as their files have other sizes then: `options` has it.
///
/// # Errors
/// [`Error::Corrupt`] where `checkpoint` is damaged; and as for [`Writer::checkpoint`].
pub fn convert(checkpoint: &Checkpoint<'_>, path: impl AsRef<Path>, options: &Options) -> Result<(), Error> {
    checkpoint.check()?;
    let mut layout = Layout::of(checkpoint)?;
    let chunk = |slot: &Slot| {
        let at = *checkpoint.containers_of(slot.id).get(slot.container_id as usize)?;
        checkpoint.chunk(&checkpoint.containers[at])
    };
    let file = prepare(path.as_ref(), options, &mut layout, &chunk)?;
    // Slots and containers are in the same order.
    for (slot, container) in layout.slots.iter().zip(&checkpoint.containers) {
        if slot.has_content && slot.hash != container.hash {
            return Err(checkpoint.damaged(container, Field::Hash));
        }
    }
    Ok(file.commit()?)
}

/// From C on FTI counts so many bytes more in maxFs.
const GROUP_FS_MORE: u64 = 8;

pub(super) const TOO_LARGE: Error = Error::OffsetOverflow { size: u64::MAX };

/// Writes the file, and notes the hashes in the layout.
fn write(path: &Path, options: &Options, layout: &mut Layout, chunk: &Chunk<'_>) -> Result<(), Error> {
    Ok(prepare(path, options, layout, chunk)?.commit()?)
}

/// All but putting it in its place.
fn prepare(path: &Path, options: &Options, layout: &mut Layout, chunk: &Chunk<'_>) -> Result<AtomicFile, Error> {
    let generation = options.generation;
    let (data_size, meta_size) = layout.sizes(generation).ok_or(TOO_LARGE)?;
    let mut meta = Meta::new(options, layout, data_size, meta_size)?;
    let file = AtomicFile::begin(path, options.sync)?;
    let file_checksum = put_chunks(&file, options, layout, &meta.fptrs, chunk)?;
    if matches!(generation, FormatVersion::V1_1 | FormatVersion::V1_2) {
        let empty = layout.slots.iter_mut().filter(|slot| !slot.has_content);
        empty.for_each(|slot| slot.hash = HASH_OF_NOTHING);
    }
    meta.describe(options, layout, 0);
    let checksum = match generation {
        FormatVersion::V1_1 => meta.checksum_of_all(layout, chunk)?,
        FormatVersion::V1_2 => file_checksum,
        _ => checksum_of_hashes(layout),
    };
    meta.header(options, checksum, data_size, meta_size)?;
    // What no chunk fills is zeros.
    file.set_size(data_size + meta_size)?;
    meta.pieces().try_for_each(|(bytes, at)| file.write_at(bytes, at))?;
    Ok(file)
}

/// The checksum from generation C on.
pub(super) fn checksum_of_hashes(layout: &Layout) -> [u8; HASH] {
    let mut md5 = fast_md5::Md5::new();
    layout.slots.iter().filter(|slot| slot.has_content).for_each(|slot| md5.update(&slot.hash));
    md5.finalize()
}

/// What is to be done with a chunk.
struct Job {
    slot: usize,
    size: u64,
    hashes: bool,
    writes: bool,
}

/// Hashes and writes all chunks. Returns the hash of all of them as one, where the generation is B.
fn put_chunks(
    file: &AtomicFile,
    options: &Options,
    layout: &mut Layout,
    fptrs: &[u64],
    chunk: &Chunk<'_>,
) -> Result<[u8; HASH], Error> {
    let threads = options.threads;
    let slots = &layout.slots;
    let total: u64 = slots.iter().map(|slot| slot.chunk).sum();
    // A chunk that alone would keep one thread busy for longer than the others is hashed by one and written by another.
    let large = total / threads.max(1) as u64;
    let mut jobs = try_with_capacity(2 * slots.len())?;
    let mut hashes = try_with_capacity(slots.len())?;
    for (slot, Slot { chunk: size, .. }) in slots.iter().enumerate().filter(|(_, slot)| slot.has_content) {
        let apart = threads > 1 && *size > large;
        jobs.push(Job { slot, size: *size, hashes: true, writes: !apart });
        if apart {
            jobs.push(Job { slot, size: *size / 4, hashes: false, writes: true });
        }
    }
    // The longest first, so that no thread is left with one at the end.
    jobs.sort_unstable_by_key(|job| (std::cmp::Reverse(job.size), job.slot));
    hashes.resize_with(slots.len(), OnceLock::new);
    let checksum = OnceLock::new();
    let with_checksum = usize::from(options.generation == FormatVersion::V1_2);
    parallel_for(threads, jobs.len() + with_checksum, |number| {
        let mut md5 = fast_md5::Md5::new();
        if number < with_checksum {
            for slot in slots.iter().filter(|slot| slot.has_content) {
                md5.update(chunk(slot).ok_or(Error::Internal)?);
            }
            _ = checksum.set(md5.finalize());
            return Ok(());
        }
        let job = &jobs[number - with_checksum];
        let mut offset = fptrs[job.slot];
        for piece in chunk(&slots[job.slot]).ok_or(Error::Internal)?.chunks(PIECE) {
            if job.hashes {
                md5.update(piece);
            }
            if job.writes {
                file.write_at(piece, offset)?;
            }
            offset += piece.len() as u64;
            if let Some(progress) = options.progress.filter(|_| job.hashes) {
                progress(piece.len() as u64);
            }
        }
        if job.hashes {
            _ = hashes[job.slot].set(md5.finalize());
        }
        Ok::<_, Error>(())
    })?;
    for (slot, hash) in layout.slots.iter_mut().zip(hashes) {
        slot.hash = hash.into_inner().unwrap_or(slot.hash);
    }
    Ok(checksum.into_inner().unwrap_or_default())
}

/// All of a file but its data.
pub(super) struct Meta {
    generation: FormatVersion,
    header: [u8; HEADER_MAX],
    header_at: u64,
    /// The descriptions of all blocks, one behind the other, and where each begins in the file.
    descriptions: Vec<u8>,
    blocks: Vec<Described>,
    /// Where each container begins.
    pub(super) fptrs: Vec<u64>,
}

/// The description of a block.
struct Described {
    size: usize,
    at: u64,
    data: u64,
}

impl Meta {
    /// Lays out the file, and sees to it that all numbers have room in their fields.
    pub(super) fn new(options: &Options, layout: &Layout, data_size: u64, meta_size: u64) -> Result<Self, Error> {
        let generation = options.generation;
        let format = generation.format();
        let is_first = generation.is_header_first();
        let header_at = if is_first { 0 } else { data_size + meta_size - format.header as u64 };
        let descriptions = try_zeroed(meta_size as usize - format.header)?;
        let mut blocks = try_with_capacity(layout.blocks.len())?;
        let mut fptrs = try_with_capacity(layout.slots.len())?;
        let fits = |field: Option<format::Field>, value: u64| {
            field.is_none_or(|field| i64::try_from(value).is_ok_and(|value| field.holds(value)))
        };
        let mut at = if is_first { format.header as u64 } else { data_size };
        let mut next = 0;
        for slots in layout.by_block() {
            let size = format.block + slots.len() * format.container;
            let begin = if is_first { at + size as u64 } else { next };
            let mut fptr = begin;
            for slot in slots {
                fptrs.push(fptr);
                fptr += slot.size;
                if !fits(format.container_size, slot.size) {
                    return Err(Error::OffsetOverflow { size: slot.size });
                }
            }
            let data = fptr - begin;
            blocks.push(Described { size, at, data });
            at += size as u64 + if is_first { data } else { 0 };
            next = fptr;
        }
        let group_fs = options.group_fs.unwrap_or_default().saturating_add(GROUP_FS_MORE);
        for (field, size) in [
            (format.fs, data_size + meta_size),
            (format.max_fs, group_fs),
            (format.pt_fs, options.partner_fs.unwrap_or_default()),
        ] {
            if !fits(field, size) {
                return Err(Error::OffsetOverflow { size });
            }
        }
        Ok(Self { generation, header: [0; HEADER_MAX], header_at, descriptions, blocks, fptrs })
    }

    /// Fills the descriptions, when the hashes are known. The first `known` containers were in the file that is updated.
    pub(super) fn describe(&mut self, options: &Options, layout: &Layout, known: usize) {
        let format = self.generation.format();
        let mut rest = &mut self.descriptions[..];
        let mut index = 0;
        for (block, slots) in self.blocks.iter().zip(layout.by_block()) {
            let (bytes, others) = std::mem::take(&mut rest).split_at_mut(block.size);
            rest = others;
            let with_meta = if self.generation.is_header_first() { block.size as u64 } else { 0 };
            format::put(COUNT, bytes, slots.len() as i64);
            format::put(format.db_size, bytes, (block.data + with_meta) as i64);
            for (slot, bytes) in slots.iter().zip(bytes[format.block..].chunks_exact_mut(format.container)) {
                let (has_ckpt, padding) = options.leftovers.containers.get(index).copied().unwrap_or_default();
                format::put(ID, bytes, slot.id.into());
                format::put(format.idx, bytes, slot.idx.into());
                format::put(format.container_id, bytes, slot.container_id.into());
                format::put(format.has_content, bytes, slot.has_content.into());
                format::put(format.has_ckpt, bytes, has_ckpt.max(u8::from(index < known)).into());
                format::put(format.dptr, bytes, slot.dptr as i64);
                format::put(format.fptr, bytes, self.fptrs[index] as i64);
                format::put(format.chunk_size, bytes, slot.chunk as i64);
                format::put(format.container_size, bytes, slot.size as i64);
                bytes[format.hash..][..HASH].copy_from_slice(&slot.hash);
                if self.generation == FormatVersion::V1_1 {
                    bytes[CONTAINER_PADDING].copy_from_slice(&padding);
                }
                index += 1;
            }
        }
    }

    /// The checksum of A: of all that is behind the header, in the order of the file.
    fn checksum_of_all(&self, layout: &Layout, chunk: &Chunk<'_>) -> Result<[u8; HASH], Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut md5 = fast_md5::Md5::new();
        let mut rest = &self.descriptions[..];
        for (block, slots) in self.blocks.iter().zip(layout.by_block()) {
            let (bytes, others) = rest.split_at(block.size);
            rest = others;
            md5.update(bytes);
            for slot in slots {
                md5.update(if slot.has_content { chunk(slot).ok_or(Error::Internal)? } else { &[] });
                let mut slack = slot.size - slot.chunk;
                while slack > 0 {
                    let piece = slack.min(ZEROS.len() as u64);
                    md5.update(&ZEROS[..piece as usize]);
                    slack -= piece;
                }
            }
        }
        Ok(md5.finalize())
    }

    pub(super) fn header(
        &mut self,
        options: &Options,
        checksum: [u8; HASH],
        data_size: u64,
        meta_size: u64,
    ) -> Result<(), Error> {
        let format = self.generation.format();
        let header = &mut self.header[..format.header];
        header[..2 * HASH].copy_from_slice(&format::hex(checksum));
        header[2 * HASH..CHECKSUM].fill(0);
        let size = (data_size + meta_size) as i64;
        let more = if self.generation.is_header_first() { 0 } else { GROUP_FS_MORE as i64 };
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        format::put(format.ckpt_id, header, options.ckpt_id.into());
        format::put(format.ckpt_size, header, size);
        format::put(format.meta_size, header, meta_size as i64);
        format::put(format.data_size, header, data_size as i64);
        format::put(format.fs, header, size);
        format::put(format.max_fs, header, options.group_fs.map_or(-1, |size| size as i64 + more));
        format::put(format.pt_fs, header, options.partner_fs.map_or(-1, |size| size as i64));
        format::put(format.timestamp, header, options.timestamp.unwrap_or_else(now));
        let (at, count) = format.header_padding;
        header[at..at + count].copy_from_slice(&options.leftovers.header[..count]);
        let hash = format.header_hash(header);
        header[HEADER_HASH].copy_from_slice(&hash);
        Ok(())
    }

    /// All that is behind the data, from generation C on.
    pub(super) fn tail(&self) -> Result<Vec<u8>, Error> {
        let header = &self.header[..self.generation.format().header];
        let mut tail = try_with_capacity(self.descriptions.len() + header.len())?;
        tail.extend_from_slice(&self.descriptions);
        tail.extend_from_slice(header);
        Ok(tail)
    }

    /// Pieces of the file that are neither data nor slack, and where they belong; the header comes last.
    fn pieces(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut rest = &self.descriptions[..];
        let blocks = self.blocks.iter().map(move |block| {
            let (bytes, others) = rest.split_at(block.size);
            rest = others;
            (bytes, block.at)
        });
        let header = (&self.header[..self.generation.format().header], self.header_at);
        blocks.chain(std::iter::once(header))
    }
}
