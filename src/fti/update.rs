//! Differential checkpoints: a file is updated in place, and of its data only the blocks are written that have changed.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use super::block_hash::{BlockHash, Hashes, Run, SIZES};
use super::error::Error;
use super::journal::{self, Head, Identity, Place};
use super::layout::{Chunk, Layout, Slot};
use super::state::{Base, Bases};
use super::write::{self, Memory, Meta, PIECE, Writer};
use super::{Options, Protected, SyncMode, hash_file};
use crate::alloc::{try_collect, try_with_capacity};
use crate::atomic_file::AtomicFile;
use crate::error_base::{IoError, IoOperation};
use crate::mapped_file::map_file;
use crate::sync::parallel_for::parallel_for;
use crate::sys::fd;
use crate::sys::lock::FileLock;

/// How a file is updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateMode {
    /// So that a crash at any time leaves the old state or the new one: what changes is written to a journal beside the file first, or
    /// where most of it changes, a new file takes the place of the old one.
    #[default]
    Safe,
    /// As FTI does it: at once in its place. A crash meanwhile leaves a file that is neither, which the hashes in it tell.
    InPlace,
}

/// What a differential checkpoint is to be like. Made by [`default`](Default::default), and then changed as needed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UpdateOptions {
    /// Bytes of a block, 512 to 65535. 16384 at first, as in FTI.
    pub block_size: usize,
    /// By which hash it is told whether a block has changed.
    pub hash: BlockHash,
    /// What a crash may leave.
    pub mode: UpdateMode,
    /// Whether the hashes are kept in a file beside it (its name with `.hashes` behind it), and taken from there after a restart.
    pub keep_hashes: bool,
}

impl Default for UpdateOptions {
    fn default() -> Self {
        Self { block_size: 16_384, hash: BlockHash::default(), mode: UpdateMode::default(), keep_hashes: false }
    }
}

/// What an update has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updated {
    /// Whether all data counted as changed, since nothing was known of the file: there was none, or another one.
    pub full: bool,
    /// How many blocks the data has.
    pub blocks: u64,
    /// How many of them have changed.
    pub changed: u64,
    /// Bytes of data that have changed, and were written once or twice.
    pub bytes: u64,
    /// Whether the hashes were kept. It is no error where that fails: the next update after a restart writes all then.
    pub kept_hashes: bool,
}

/// An update that was begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Number of the checkpoint that the file is to have.
    pub ckpt_id: i32,
    /// Whether it was [prepared](Writer::prepare), so that somebody has to decide on it; else the next who opens the file ends it.
    pub prepared: bool,
}

/// What becomes of an update that was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The file gets its new state.
    Commit,
    /// The file keeps its old state.
    Abandon,
}

/// When the file changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    /// When it is decided on.
    Later,
}

/// Bytes that belong at an offset of the file.
#[derive(Clone, Copy)]
struct Piece<'b> {
    offset: u64,
    bytes: &'b [u8],
}

impl Writer {
    /// Brings the file `path` to the state of the variables, as a differential checkpoint: from generation C on. It is a file as
    /// [`checkpoint`](Self::checkpoint) writes it, of which as much is written as has changed since the last update, by blocks.
    ///
    /// What the file has, this writer knows from its own last update; after a restart, where the hashes were kept, and the file is the one
    /// that the writer [goes on with](Self::resume): itself, since whether a copy of it is sound too is not known. In any other case, also
    /// where somebody else has changed the file since, all data is written. Ordinary checkpoints between updates make no difference.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] also for generations A and B and for sizes of blocks that can't be; [`Error::FileBusy`];
    /// [`Error::TransactionInDoubt`]; and as for [`checkpoint`](Self::checkpoint). In [`UpdateMode::Safe`] the file has its old state
    /// then, or the new one, or gets that when it is opened next. In [`UpdateMode::InPlace`] it may be damaged.
    pub fn update(
        &mut self,
        path: impl AsRef<Path>,
        options: &Options,
        update: &UpdateOptions,
        variables: &[Protected<'_>],
    ) -> Result<Updated, Error> {
        self.change(path.as_ref(), options, update, variables, When::Now)
    }

    /// As [`update`](Self::update) in [`UpdateMode::Safe`], but that the file keeps its old state until it is [decided](settle) that it gets
    /// the new one. So several files, each of another process, come to their new states together, or none of them does: when all are
    /// prepared, all are committed; where one could not be prepared, all are abandoned.
    ///
    /// Until then the file can't be opened by its name.
    ///
    /// # Errors
    /// As for [`update`](Self::update). The file has its old state then.
    pub fn prepare(
        &mut self,
        path: impl AsRef<Path>,
        options: &Options,
        update: &UpdateOptions,
        variables: &[Protected<'_>],
    ) -> Result<Updated, Error> {
        if update.mode != UpdateMode::Safe {
            return Err(Error::InvalidArgument("an in-place update can't be prepared; use a journaled one"));
        }
        self.change(path.as_ref(), options, update, variables, When::Later)
    }

    fn change(
        &mut self,
        path: &Path,
        options: &Options,
        update: &UpdateOptions,
        variables: &[Protected<'_>],
        when: When,
    ) -> Result<Updated, Error> {
        let generation = options.generation;
        if generation.is_header_first() {
            return Err(Error::InvalidArgument("differential checkpoints need generation C, D or E"));
        }
        if !SIZES.contains(&update.block_size) {
            return Err(Error::InvalidArgument("the block size must be 512 to 65535 bytes"));
        }
        let place = Place::of(path, true)?;
        place.finish(false)?;
        let opened = place.open(true)?;
        place.check_unbegun(opened.as_ref())?;
        let file = opened.as_ref().map(|(file, _)| file);
        let before = opened.as_ref().map_or_else(Identity::none, |(_, it)| *it);

        // What the file has.
        let mut base = self.bases.take(&before).filter(|_| file.is_some());
        let result = (|| {
            let kind = (update.hash, update.block_size);
            if let Some(base) = &mut base {
                let fits = base.hashes.as_ref().is_some_and(|hashes| (hashes.kind, hashes.size) == kind);
                let is_sound = match (base.sound, file) {
                    (Some(sound), Some(file)) => journal::id(file.as_fd())? == sound,
                    _ => true,
                };
                if !fits && update.keep_hashes && is_sound {
                    base.hashes = hash_file::load(&place, &base.layout, &before, kind)?;
                } else if !fits {
                    base.hashes = None;
                }
            }
            let sizes = write::sizes(variables)?;
            let mut layout = base.as_ref().map_or(&self.layout, |base| &base.layout).next(&sizes)?;
            let known = base.as_ref().filter(|base| layout.continues(&base.layout));
            let differs = known.and_then(|base| Some((&base.layout, base.hashes.as_ref()?)));

            let (data_size, meta_size) = layout.sizes(generation).ok_or(write::TOO_LARGE)?;
            let mut meta = Meta::new(options, &layout, data_size, meta_size)?;
            let memory = Memory::new(variables)?;
            let chunk = |slot: &Slot| memory.chunk(slot);
            let hashes = Hashes::compute(&layout, &chunk, kind, options.threads)?;
            let runs = hashes.changed(&layout, differs)?;
            hash_chunks(&mut layout, differs.map(|(layout, _)| layout), &chunk, &runs, options.threads)?;
            meta.describe(options, &layout, known.map_or(0, |base| base.layout.slots.len()));
            meta.header(options, write::checksum_of_hashes(&layout), data_size, meta_size)?;
            let tail = meta.tail()?;
            let after = Identity::new(data_size + meta_size, &tail);

            let mut pieces = pieces(&layout, &chunk, &meta.fptrs, &runs)?;
            let bytes: u64 = pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
            let changed = runs.iter().map(|run| run.range.len().div_ceil(kind.1) as u64).sum();
            let updated = Updated { full: differs.is_none(), blocks: hashes.count(), changed, bytes, kept_hashes: false };
            pieces.try_reserve(1)?;
            pieces.push(Piece { offset: data_size, bytes: &tail });

            let replaces = when == When::Now
                && match update.mode {
                    UpdateMode::Safe => updated.full || 2 * bytes > data_size,
                    UpdateMode::InPlace => updated.full,
                };
            let carried = layout.copy()?;
            let change = Change { place: &place, options, file: opened.as_ref(), pieces: &pieces };
            let done = if replaces {
                if options.sync >= SyncMode::Data {
                    place.sync_journal()?;
                }
                let all = pieces_of_all(&layout, &chunk, &meta.fptrs, &tail, data_size)?;
                let file = file.map(|file| (file, known.is_some()));
                replace(path, options, &all, &layout, &meta.fptrs, file, after.size)
            } else if update.mode == UpdateMode::InPlace {
                change.apply(after.size)
            } else {
                let head = Head {
                    kind: kind.0,
                    block_size: kind.1,
                    prepared: when == When::Later,
                    ckpt_id: options.ckpt_id,
                    before,
                    after,
                };
                let description = describe(&head, &hashes, &runs, &pieces)?;
                change.by_journal(&description, &head)
            };
            // Nothing is known of a file that was written in part.
            let is_torn = done.is_err() && update.mode == UpdateMode::InPlace && !replaces;
            Ok((Base { identity: after, layout, hashes: Some(hashes), sound: None }, carried, updated, done, is_torn))
        })();
        match result {
            Err(error) => {
                self.bases = Bases([base, None]);
                Err(error)
            }
            Ok((.., done, true)) => {
                self.bases = Bases::default();
                done.map(|()| Updated::default())
            }
            Ok((new, carried, mut updated, done, _)) => {
                if matches!(done, Ok(()) | Err(Error::Io(IoError { op: IoOperation::FsyncDirectory, .. }))) {
                    self.layout = carried;
                }
                if when == When::Now && done.is_ok() {
                    base = None;
                }
                if done.is_ok()
                    && update.keep_hashes
                    && let Some(hashes) = &new.hashes
                {
                    updated.kept_hashes = hash_file::keep(&place, hashes, &new.identity, file).is_some();
                }
                self.bases = Bases([base, Some(new)]);
                done.map(|()| updated)
            }
        }
    }
}

/// Decides on the update of the file `path` that was [prepared](Writer::prepare). Returns whether there was one.
///
/// # Errors
/// [`Error::FileChanged`] where it can't be abandoned, since the file is not as it was: the update was committed in part (or the file
/// was damaged before: where it is removed, nothing is pending); [`Error::FileBusy`]; [`Error::Io`]; [`Error::OutOfMemory`].
pub fn settle(path: impl AsRef<Path>, decision: Decision) -> Result<bool, Error> {
    let place = Place::of(path.as_ref(), true);
    where_there_is(place, |place| match decision {
        Decision::Commit => place.finish(true),
        Decision::Abandon => place.abandon(),
    })
}

/// The update of the file `path` that was begun and not ended, if there is one.
///
/// # Errors
/// [`Error::FileBusy`] where somebody else is at it; [`Error::Io`]; [`Error::OutOfMemory`].
pub fn pending(path: impl AsRef<Path>) -> Result<Option<Pending>, Error> {
    let pending = where_there_is(Place::of(path.as_ref(), false), Place::pending)?;
    Ok(pending.map(|(ckpt_id, prepared)| Pending { ckpt_id, prepared }))
}

/// Ends an update of the file `path` that a crash has interrupted, if there is one, so that the file has its new state. Whoever reads a
/// file that may have been updated in [`UpdateMode::Safe`] does that first.
///
/// # Errors
/// [`Error::TransactionInDoubt`] where it is not clear which state the file is to have: [`settle`] decides. [`Error::FileBusy`] where somebody
/// else is at it; [`Error::Io`]; [`Error::OutOfMemory`].
pub fn finish_update(path: impl AsRef<Path>) -> Result<bool, Error> {
    where_there_is(Place::of(path.as_ref(), false), |place| place.finish(false))
}

/// Nothing, where there is no folder: there is no file then, and no journal.
fn where_there_is<R: Default>(place: Result<Place, Error>, job: impl FnOnce(&Place) -> Result<R, Error>) -> Result<R, Error> {
    match place {
        Err(Error::Io(IoError { op: IoOperation::OpenDirectory, errno, .. })) if errno.is_not_found() => Ok(R::default()),
        place => job(&place?),
    }
}

/// Sets the hashes of the chunks that have changed. `before` is the layout that the file has, where it is known what is in it.
fn hash_chunks(
    layout: &mut Layout,
    before: Option<&Layout>,
    chunk: &Chunk<'_>,
    runs: &[Run],
    threads: usize,
) -> Result<(), Error> {
    let mut jobs = try_with_capacity(layout.slots.len())?;
    let mut done = try_with_capacity(layout.slots.len())?;
    let mut runs = runs.iter().map(|run| run.slot).peekable();
    for (at, slot) in layout.slots.iter().enumerate().filter(|(_, slot)| slot.has_content) {
        let mut dirty = false;
        while runs.next_if(|run| *run <= at).is_some_and(|run| run == at) {
            dirty = true;
        }
        let old = before.and_then(|before| before.slots.get(at));
        if dirty || old.is_none_or(|old| old.chunk != slot.chunk) {
            jobs.push((at, slot.chunk));
            done.push(OnceLock::new());
        }
    }
    // The longest first, so that no thread is left with one at the end.
    jobs.sort_unstable_by_key(|&(at, size)| (std::cmp::Reverse(size), at));
    let slots = &layout.slots;
    parallel_for(threads, jobs.len(), |number| {
        let bytes = chunk(&slots[jobs[number].0]).ok_or(Error::Internal)?;
        _ = done[number].set(fast_md5::digest(bytes));
        Ok::<_, Error>(())
    })?;
    for ((at, _), hash) in jobs.into_iter().zip(done) {
        layout.slots[at].hash = hash.into_inner().ok_or(Error::Internal)?;
    }
    Ok(())
}

/// Where each run belongs.
fn pieces<'m>(
    layout: &Layout,
    chunk: &dyn Fn(&Slot) -> Option<&'m [u8]>,
    fptrs: &[u64],
    runs: &[Run],
) -> Result<Vec<Piece<'m>>, Error> {
    let mut pieces = try_with_capacity(runs.len())?;
    for Run { slot, range } in runs {
        let bytes = chunk(&layout.slots[*slot]).and_then(|bytes| bytes.get(range.clone())).ok_or(Error::Internal)?;
        pieces.push(Piece { offset: fptrs[*slot] + range.start as u64, bytes });
    }
    Ok(pieces)
}

/// All of the file but its slack.
fn pieces_of_all<'m>(
    layout: &Layout,
    chunk: &dyn Fn(&Slot) -> Option<&'m [u8]>,
    fptrs: &[u64],
    tail: &'m [u8],
    data_size: u64,
) -> Result<Vec<Piece<'m>>, Error> {
    let mut pieces = Vec::new();
    for (slot, fptr) in layout.slots.iter().zip(fptrs) {
        for (number, bytes) in chunk(slot).ok_or(Error::Internal)?.chunks(4 * PIECE).enumerate() {
            pieces.try_reserve(1)?;
            pieces.push(Piece { offset: fptr + (number * 4 * PIECE) as u64, bytes });
        }
    }
    pieces.try_reserve(1)?;
    pieces.push(Piece { offset: data_size, bytes: tail });
    Ok(pieces)
}

/// Puts a new file in the place of the old one, of which it gets the permissions, and the slack where it is known what that has.
fn replace(
    path: &Path,
    options: &Options,
    pieces: &[Piece<'_>],
    layout: &Layout,
    fptrs: &[u64],
    old: Option<(&FileLock, bool)>,
    size: u64,
) -> Result<(), Error> {
    let file = AtomicFile::begin(path, options.sync)?;
    if let Some((old, _)) = old {
        let copied = fd::copy_permissions(old.as_fd(), file.as_fd());
        copied.map_err(IoOperation::CreateTempFile.failed())?;
    }
    file.set_size(size)?;
    if let Some((old, true)) = old {
        let map = map_file(old)?;
        let region = map.region();
        for (slot, fptr) in layout.slots.iter().zip(fptrs) {
            let slack = region.get(fptr + slot.chunk, slot.size - slot.chunk).unwrap_or_default();
            file.write_at(slack, fptr + slot.chunk)?;
        }
    }
    parallel_for(options.threads, pieces.len(), |number| file.write_at(pieces[number].bytes, pieces[number].offset))?;
    Ok(file.commit()?)
}

/// What is in front of a journal's data.
fn describe(head: &Head, hashes: &Hashes, runs: &[Run], pieces: &[Piece<'_>]) -> Result<Vec<u8>, Error> {
    let records = try_collect(pieces.iter().map(|piece| (piece.offset, piece.bytes.len() as u64)))?;
    let (last, width) = (pieces.last().map_or(&[][..], |piece| piece.bytes), head.kind.width());
    let count = runs.iter().map(|run| hashes.of_run(run).len()).sum::<usize>() + last.len().div_ceil(head.block_size) * width;
    let mut of_blocks = try_with_capacity(count)?;
    runs.iter().for_each(|run| of_blocks.extend_from_slice(hashes.of_run(run)));
    for block in last.chunks(head.block_size) {
        let mut hash = [0; 16];
        head.kind.put(block, &mut hash[..width]);
        of_blocks.extend_from_slice(&hash[..width]);
    }
    journal::describe(head, &records, &of_blocks)
}

/// An update of a file where it is.
struct Change<'c> {
    place: &'c Place,
    options: &'c Options,
    file: Option<&'c (FileLock, Identity)>,
    pieces: &'c [Piece<'c>],
}

impl Change<'_> {
    /// Writes the pieces to their places in the file, which is there.
    fn apply(&self, size: u64) -> Result<(), Error> {
        let (file, before) = self.file.ok_or(Error::Internal)?;
        let file = file.as_fd();
        parallel_for(self.options.threads, self.pieces.len(), |number| {
            let Piece { offset, bytes } = self.pieces[number];
            journal::write_at(file, bytes, offset)
        })?;
        if before.size > size {
            journal::set_size(file, size)?;
        }
        if self.options.sync >= SyncMode::Data { journal::sync(file) } else { Ok(()) }
    }

    /// Writes the pieces to the journal, and when that is safe, to their places, unless it is only to be prepared.
    fn by_journal(&self, description: &[u8], head: &Head) -> Result<(), Error> {
        let journal = self.place.begin_journal(self.file)?;
        let (is_durable, journal) = (self.options.sync >= SyncMode::Data, journal.as_fd());
        let written = (|| {
            // Once the journal is whole, there is no way back.
            if let Some((file, before)) = self.file {
                journal::reserve(file.as_fd(), before.size, head.after.size)?;
            }
            let mut placed = try_with_capacity(self.pieces.len())?;
            let mut offset = description.len() as u64;
            for piece in self.pieces {
                placed.push(Piece { offset, bytes: piece.bytes });
                offset += piece.bytes.len() as u64;
            }
            parallel_for(self.options.threads, placed.len(), |number| {
                let Piece { offset, bytes } = placed[number];
                journal::write_at(journal, bytes, offset)
            })?;
            journal::write_at(journal, description, 0)?;
            if is_durable {
                journal::sync(journal)?;
                self.place.sync_folder()?;
            }
            Ok(())
        })();
        if let Err(error) = written {
            // Should it be whole, the file gets its new state after all.
            _ = journal::discard(journal);
            return Err(match error {
                // The file is not in its place, as it is where this failure is told elsewhere.
                Error::Io(error @ IoError { op: IoOperation::FsyncDirectory, .. }) => {
                    Error::Io(IoError { op: IoOperation::Fsync, ..error })
                }
                error => error,
            });
        }
        if head.prepared {
            return Ok(());
        }
        self.apply(head.after.size)?;
        // Where that fails, the next one who opens the file writes the same to it once more.
        _ = journal::discard(journal);
        Ok(())
    }
}
