//! Updating a file: finds the changed blocks, and writes them through the journal, in place, or as a new file.

use std::cmp::Reverse;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;

use super::block_hash::{BLOCK_SIZES, BlockHash, BlockHashes, Run};
use super::hash_file;
use super::journal::{self, JournalHeader};
use super::state::{FileState, KnownFile, KnownFiles};
use super::target_file::{self, LockedFile, TargetFile};
use crate::alloc::{try_collect, try_with_capacity};
use crate::atomic_file::{AtomicFile, SyncMode};
use crate::error_base::{IoError, IoOperation};
use crate::fti::error::Error;
use crate::fti::layout::{ChunkSource, Layout, Slot};
use crate::fti::write::{self, IO_SIZE, Metadata, ProtectedVariable, VariableMap, WriteOptions, Writer};
use crate::mapped_file::map_file;
use crate::sync::parallel_for::parallel_for;

/// How an update changes the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateMode {
    /// Atomically: after a crash the file has its old or its new state. Changes are first written to a journal beside the file; if
    /// most of the file changes, a new file replaces it.
    #[default]
    Journaled,
    /// In place, as FTI does: a crash may leave a mix of both states, which the hashes reveal.
    InPlace,
}

/// Options of a differential checkpoint. Start from [`default`](Default::default), then set fields.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UpdateOptions {
    /// Size of a block in bytes, 512 to 65535. Default: 16384, as in FTI.
    pub block_size: usize,
    /// The hash that detects changed blocks.
    pub hash: BlockHash,
    /// How the file is changed.
    pub mode: UpdateMode,
    /// Saves the block hashes to a file (the path with `.hashes` appended), for use after a restart. Default: false.
    pub save_hashes: bool,
}

impl Default for UpdateOptions {
    fn default() -> Self {
        Self { block_size: 16_384, hash: BlockHash::default(), mode: UpdateMode::default(), save_hashes: false }
    }
}

/// Result of a differential checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateStats {
    /// All data was written, because the previous contents of the file were unknown.
    pub is_full: bool,
    /// Number of blocks of data.
    pub blocks: u64,
    /// Number of blocks that changed.
    pub changed_blocks: u64,
    /// Number of bytes in the changed blocks. [`UpdateMode::Journaled`] writes them twice.
    pub changed_bytes: u64,
    /// The hashes were saved. Failing to save them is no error: the first update after a restart then writes all data.
    pub hashes_saved: bool,
}

/// An update that is neither completed nor rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingUpdate {
    /// Number of the checkpoint that the update makes.
    pub ckpt_id: i32,
    /// The update was [prepared](Writer::prepare) and waits for [`resolve`]. Otherwise the next call that opens the file completes it.
    pub is_prepared: bool,
}

/// Outcomes of a prepared update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The file gets its new state.
    Commit,
    /// The file keeps its old state.
    Rollback,
}

impl Writer {
    /// Makes a differential checkpoint: brings the file `path` to the state of `variables`, and writes only the blocks that changed
    /// since the last update. The result is a file as [`checkpoint`](Self::checkpoint) writes it, of FTI 1.3 or later.
    ///
    /// The previous contents are known from the last update by this writer or, after [`resume`](Self::resume) from the same file, from
    /// the saved hashes. Otherwise (a copy was resumed from, or another process changed the file) all data is written. Checkpoints to
    /// other files make no difference.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for FTI 1.1 and 1.2 and for invalid block sizes; [`Error::FileBusy`];
    /// [`Error::TransactionInDoubt`]; and as for [`checkpoint`](Self::checkpoint). After an error the file has, or gets when it is
    /// opened next, its old or its new state; with [`UpdateMode::InPlace`] it may be corrupt.
    pub fn update(
        &mut self,
        path: impl AsRef<Path>,
        options: &WriteOptions,
        update_options: &UpdateOptions,
        variables: &[ProtectedVariable<'_>],
    ) -> Result<UpdateStats, Error> {
        self.run_update(path.as_ref(), options, update_options, variables, false)
    }

    /// Prepares a [journaled](UpdateMode::Journaled) [`update`](Self::update): the file keeps its old state until [`resolve`] commits
    /// the update or rolls it back. Until then the file can't be opened by its path.
    ///
    /// Several files, each of another process, so change together or not at all: commit if all are prepared, else roll back all.
    ///
    /// # Errors
    /// As for [`update`](Self::update). After an error the file has its old state.
    pub fn prepare(
        &mut self,
        path: impl AsRef<Path>,
        options: &WriteOptions,
        update_options: &UpdateOptions,
        variables: &[ProtectedVariable<'_>],
    ) -> Result<UpdateStats, Error> {
        if update_options.mode != UpdateMode::Journaled {
            return Err(Error::InvalidArgument("an in-place update can't be prepared; use a journaled one"));
        }
        self.run_update(path.as_ref(), options, update_options, variables, true)
    }

    fn run_update(
        &mut self,
        path: &Path,
        options: &WriteOptions,
        update_options: &UpdateOptions,
        variables: &[ProtectedVariable<'_>],
        is_prepared: bool,
    ) -> Result<UpdateStats, Error> {
        if options.version.is_header_first() {
            return Err(Error::InvalidArgument("differential checkpoints need FTI 1.3 or later"));
        }
        if !BLOCK_SIZES.contains(&update_options.block_size) {
            return Err(Error::InvalidArgument("the block size must be 512 to 65535 bytes"));
        }
        let sizes = write::sizes(variables)?;
        let variables = VariableMap::new(variables)?;
        let target = TargetFile::new(path, true)?;
        target.complete_update(false)?;
        let file = target.open(true)?;
        target.ensure_not_pending(file.as_ref())?;

        let update =
            Update { path, target: &target, file: file.as_ref(), options, update_options, variables: &variables, is_prepared };
        let mut known = self.known_files.take(&update.state()).filter(|_| file.is_some());
        let planned = update.load_hashes(known.as_mut()).and_then(|()| update.plan(known.as_ref(), &self.layout, &sizes));
        let (mut plan, writes, layout) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                self.known_files = KnownFiles([known, None]);
                return Err(error);
            }
        };
        let result = update.write(&plan, writes);
        if result.is_ok() && update_options.save_hashes {
            plan.stats.hashes_saved = update.save_hashes(&plan).is_some();
        }
        let stats = plan.stats;
        let before = known.filter(|_| result.is_err() || is_prepared);
        self.remember(plan, layout, before, &result);
        result.map(|()| stats)
    }

    /// Keeps what is known of the file after an update. `before` is its state before the update, if it may still have that.
    fn remember(&mut self, plan: Plan, layout: Layout, before: Option<KnownFile>, result: &Result<(), Error>) {
        if result.is_err() && plan.method == Method::InPlace {
            // The file may be a mix of both states.
            self.known_files = KnownFiles::default();
            return;
        }
        // If the fsync of the directory failed, the new file is in place.
        if matches!(result, Ok(()) | Err(Error::Io(IoError { op: IoOperation::FsyncDirectory, .. }))) {
            self.layout = layout;
        }
        let Plan { after, layout, hashes, .. } = plan;
        self.known_files = KnownFiles([before, Some(KnownFile { state: after, layout, hashes: Some(hashes), verified: None })]);
    }
}

/// Commits or rolls back a [prepared](Writer::prepare) update of the file `path`. Returns whether an update was pending.
///
/// # Errors
/// [`Error::PartiallyApplied`] and [`Error::CorruptTarget`] if it can't be rolled back; [`Error::FileBusy`]; [`Error::Io`];
/// [`Error::OutOfMemory`].
pub fn resolve(path: impl AsRef<Path>, resolution: Resolution) -> Result<bool, Error> {
    let target = TargetFile::new(path.as_ref(), true);
    if_directory_exists(target, |target| match resolution {
        Resolution::Commit => target.complete_update(true),
        Resolution::Rollback => target.roll_back(),
    })
}

/// Returns the pending update of the file `path`, if any.
///
/// # Errors
/// [`Error::FileBusy`] if another process is updating the file; [`Error::Io`]; [`Error::OutOfMemory`].
pub fn pending_update(path: impl AsRef<Path>) -> Result<Option<PendingUpdate>, Error> {
    let pending = if_directory_exists(TargetFile::new(path.as_ref(), false), TargetFile::pending_update)?;
    Ok(pending.map(|(ckpt_id, is_prepared)| PendingUpdate { ckpt_id, is_prepared }))
}

/// Completes an update of the file `path` that a crash interrupted: the file gets its new state. Returns whether an update was pending.
///
/// Call it before reading a file that [`UpdateMode::Journaled`] may have updated.
///
/// # Errors
/// [`Error::TransactionInDoubt`] if the update was prepared: [`resolve`] ends it. [`Error::FileBusy`] if another process is updating
/// the file; [`Error::Io`]; [`Error::OutOfMemory`].
pub fn complete_update(path: impl AsRef<Path>) -> Result<bool, Error> {
    if_directory_exists(TargetFile::new(path.as_ref(), false), |target| target.complete_update(false))
}

/// Calls `job`. If the directory of the file does not exist, neither file nor journal does: returns the default.
fn if_directory_exists<R: Default>(
    target: Result<TargetFile, Error>,
    job: impl FnOnce(&TargetFile) -> Result<R, Error>,
) -> Result<R, Error> {
    match target {
        Err(Error::Io(IoError { op: IoOperation::OpenDirectory, errno, .. })) if errno.is_not_found() => Ok(R::default()),
        target => job(&target?),
    }
}

/// Bytes to write at an offset of the file.
#[derive(Clone, Copy)]
struct FileWrite<'b> {
    offset: u64,
    bytes: &'b [u8],
}

/// How the changes are written to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// A new file replaces the old one.
    Replace,
    Journal,
    InPlace,
}

/// The writes of an update, and the state of the file after it.
struct Plan {
    method: Method,
    layout: Layout,
    hashes: BlockHashes,
    changed: Vec<Run>,
    /// Offset of each slot in the file.
    offsets: Vec<u64>,
    /// Size of the data, and so the offset of `tail`.
    data_size: u64,
    /// Bytes after the data: the descriptions and the header.
    tail: Vec<u8>,
    after: FileState,
    /// The slots have the same offsets as in the old file: a file that replaces it gets their slack too.
    keeps_slack: bool,
    stats: UpdateStats,
}

/// One update of a file.
struct Update<'u, 'm> {
    path: &'u Path,
    target: &'u TargetFile,
    file: Option<&'u LockedFile>,
    options: &'u WriteOptions,
    update_options: &'u UpdateOptions,
    variables: &'u VariableMap<'m>,
    is_prepared: bool,
}

impl<'m> Update<'_, 'm> {
    /// Returns the state of the file before the update.
    fn state(&self) -> FileState {
        self.file.map_or_else(FileState::absent, |(_, state)| *state)
    }

    /// Drops hashes of another kind or block size, and loads those that were saved for this file.
    fn load_hashes(&self, known: Option<&mut KnownFile>) -> Result<(), Error> {
        let Some(known) = known else { return Ok(()) };
        let kind = (self.update_options.hash, self.update_options.block_size);
        if known.hashes.as_ref().is_some_and(|hashes| (hashes.kind, hashes.block_size) == kind) {
            return Ok(());
        }
        let is_verified = match (known.verified, self.file) {
            (Some(verified), Some((file, _))) => target_file::file_id(file.as_fd())? == verified,
            _ => true,
        };
        if self.update_options.save_hashes && is_verified {
            known.hashes = hash_file::load(self.target, &known.layout, &self.state(), kind)?;
        } else {
            known.hashes = None;
        }
        Ok(())
    }

    /// Saves the block hashes of the new state. Returns `None` on failure.
    fn save_hashes(&self, plan: &Plan) -> Option<()> {
        hash_file::save(self.target, &plan.hashes, &plan.after, self.file.map(|(file, _)| file))
    }

    /// Lays out the new state and finds what changed. Returns the plan, the writes of changed data, and a copy of the layout, so that
    /// nothing is allocated after the file has changed.
    fn plan(
        &self,
        known: Option<&KnownFile>,
        last_layout: &Layout,
        sizes: &[(i32, u64)],
    ) -> Result<(Plan, Vec<FileWrite<'m>>, Layout), Error> {
        let (options, threads) = (self.options, self.options.threads);
        let mut layout = known.map_or(last_layout, |known| &known.layout).next(sizes)?;
        let known = known.filter(|known| layout.continues(&known.layout));
        let before = known.and_then(|known| Some((&known.layout, known.hashes.as_ref()?)));

        let (data_size, meta_size) = layout.sizes(options.version).ok_or(write::TOO_LARGE)?;
        let mut metadata = Metadata::new(options, &layout, data_size, meta_size)?;
        let chunks = |slot: &Slot| self.variables.chunk(slot);
        let kind = (self.update_options.hash, self.update_options.block_size);
        let hashes = BlockHashes::compute(&layout, &chunks, kind, threads)?;
        let changed = hashes.changed_runs(&layout, before)?;
        hash_changed_chunks(&mut layout, before.map(|(layout, _)| layout), &chunks, &changed, threads)?;
        metadata.encode_blocks(&layout, known.map_or(0, |known| known.layout.slots.len()));
        metadata.encode_header(options, write::checksum_of_hashes(&layout), data_size, meta_size);
        let tail = metadata.tail()?;
        let after = FileState::new(data_size + meta_size, &tail);

        let writes = changed_writes(&layout, self.variables, &metadata.offsets, &changed)?;
        let stats = UpdateStats {
            is_full: before.is_none(),
            blocks: hashes.count(),
            changed_blocks: changed.iter().map(|run| run.range.len().div_ceil(kind.1) as u64).sum(),
            changed_bytes: writes.iter().map(|write| write.bytes.len() as u64).sum(),
            hashes_saved: false,
        };
        let method = match self.update_options.mode {
            UpdateMode::InPlace if stats.is_full => Method::Replace,
            UpdateMode::InPlace => Method::InPlace,
            // With a journal, changed data is written twice.
            UpdateMode::Journaled if !self.is_prepared && (stats.is_full || 2 * stats.changed_bytes > data_size) => {
                Method::Replace
            }
            UpdateMode::Journaled => Method::Journal,
        };
        let copy = layout.try_clone()?;
        let (offsets, keeps_slack) = (metadata.offsets, known.is_some());
        Ok((Plan { method, layout, hashes, changed, offsets, data_size, tail, after, keeps_slack, stats }, writes, copy))
    }

    /// Writes the plan. `writes` are those of the changed data, with capacity for one more.
    fn write<'w>(&self, plan: &'w Plan, mut writes: Vec<FileWrite<'w>>) -> Result<(), Error>
    where
        'm: 'w,
    {
        writes.push(FileWrite { offset: plan.data_size, bytes: &plan.tail });
        match plan.method {
            Method::Replace => self.replace(plan),
            Method::Journal => self.write_by_journal(plan, &writes),
            Method::InPlace => self.write_in_place(&writes, plan.after.size),
        }
    }

    /// Replaces the file by a new one.
    fn replace(&self, plan: &Plan) -> Result<(), Error> {
        if self.options.sync >= SyncMode::Data {
            self.target.sync_journal()?;
        }
        let writes = all_writes(plan, self.variables)?;
        let new = AtomicFile::begin(self.path, self.options.sync)?;
        new.set_size(plan.after.size)?;
        if let Some((old, _)) = self.file.filter(|_| plan.keeps_slack) {
            let map = map_file(old)?;
            let region = map.region();
            for (slot, offset) in plan.layout.slots.iter().zip(&plan.offsets) {
                let slack = region.get(offset + slot.chunk_size, slot.size - slot.chunk_size).unwrap_or_default();
                new.write_at(slack, offset + slot.chunk_size)?;
            }
        }
        parallel_for(self.options.threads, writes.len(), |index| new.write_at(writes[index].bytes, writes[index].offset))?;
        Ok(new.commit()?)
    }

    /// Applies the writes to the existing file.
    fn write_in_place(&self, writes: &[FileWrite<'_>], size: u64) -> Result<(), Error> {
        let (file, before) = self.file.ok_or(Error::Internal)?;
        let file = file.as_fd();
        parallel_for(self.options.threads, writes.len(), |index| {
            target_file::write_at(file, writes[index].bytes, writes[index].offset)
        })?;
        if before.size > size {
            target_file::set_size(file, size)?;
        }
        if self.options.sync >= SyncMode::Data { target_file::sync(file) } else { Ok(()) }
    }

    /// Writes the journal, and then, unless the update is only prepared, the file.
    fn write_by_journal(&self, plan: &Plan, writes: &[FileWrite<'_>]) -> Result<(), Error> {
        let header = JournalHeader {
            hash: plan.hashes.kind,
            block_size: plan.hashes.block_size,
            is_prepared: self.is_prepared,
            ckpt_id: self.options.ckpt_id,
            before: self.state(),
            after: plan.after,
        };
        let description = encode_description(&header, plan, writes)?;
        let journal = self.target.begin_journal(self.file)?;
        let journal = journal.as_fd();
        if let Err(error) = self.write_journal(&header, journal, &description, writes) {
            // A complete journal would be applied.
            _ = target_file::empty(journal);
            return Err(match error {
                // For other methods this operation means that the new file is in place.
                Error::Io(error @ IoError { op: IoOperation::FsyncDirectory, .. }) => {
                    Error::Io(IoError { op: IoOperation::Fsync, ..error })
                }
                error => error,
            });
        }
        if self.is_prepared {
            return Ok(());
        }
        self.write_in_place(writes, plan.after.size)?;
        // If this fails, the next call that opens the file repeats the same writes.
        _ = target_file::empty(journal);
        Ok(())
    }

    fn write_journal(
        &self,
        header: &JournalHeader,
        journal: BorrowedFd<'_>,
        description: &[u8],
        writes: &[FileWrite<'_>],
    ) -> Result<(), Error> {
        // With a complete journal there is no way back, so the file must be able to grow.
        if let Some((file, before)) = self.file {
            target_file::preallocate_growth(file.as_fd(), before.size, header.after.size)?;
        }
        let mut journal_writes = try_with_capacity(writes.len())?;
        let mut offset = description.len() as u64;
        for write in writes {
            journal_writes.push(FileWrite { offset, bytes: write.bytes });
            offset += write.bytes.len() as u64;
        }
        parallel_for(self.options.threads, journal_writes.len(), |index| {
            target_file::write_at(journal, journal_writes[index].bytes, journal_writes[index].offset)
        })?;
        target_file::write_at(journal, description, 0)?;
        if self.options.sync >= SyncMode::Data {
            target_file::sync(journal)?;
            self.target.sync_directory()?;
        }
        Ok(())
    }
}

/// Sets the hashes of the chunks that changed. `before` is the layout of the file if its contents are known.
fn hash_changed_chunks(
    layout: &mut Layout,
    before: Option<&Layout>,
    chunks: &ChunkSource<'_>,
    changed: &[Run],
    threads: usize,
) -> Result<(), Error> {
    let mut jobs = try_with_capacity(layout.slots.len())?;
    let mut hashes = try_with_capacity(layout.slots.len())?;
    let mut changed_slots = changed.iter().map(|run| run.slot).peekable();
    for (index, slot) in layout.slots.iter().enumerate().filter(|(_, slot)| slot.has_content) {
        let mut is_changed = false;
        while changed_slots.next_if(|changed| *changed <= index).is_some_and(|changed| changed == index) {
            is_changed = true;
        }
        let old = before.and_then(|before| before.slots.get(index));
        if is_changed || old.is_none_or(|old| old.chunk_size != slot.chunk_size) {
            jobs.push((index, slot.chunk_size));
            hashes.push(OnceLock::new());
        }
    }
    // Largest first, so that no thread starts a large one last.
    jobs.sort_unstable_by_key(|&(index, size)| (Reverse(size), index));
    let slots = &layout.slots;
    parallel_for(threads, jobs.len(), |job| {
        let bytes = chunks(&slots[jobs[job].0]).ok_or(Error::Internal)?;
        _ = hashes[job].set(fast_md5::digest(bytes));
        Ok::<_, Error>(())
    })?;
    for ((index, _), hash) in jobs.into_iter().zip(hashes) {
        layout.slots[index].hash = hash.into_inner().ok_or(Error::Internal)?;
    }
    Ok(())
}

/// Returns the writes of the changed blocks, with capacity for one more.
fn changed_writes<'m>(
    layout: &Layout,
    variables: &VariableMap<'m>,
    offsets: &[u64],
    changed: &[Run],
) -> Result<Vec<FileWrite<'m>>, Error> {
    let mut writes = try_with_capacity(changed.len() + 1)?;
    for Run { slot, range } in changed {
        let bytes = variables.chunk(&layout.slots[*slot]).and_then(|bytes| bytes.get(range.clone())).ok_or(Error::Internal)?;
        writes.push(FileWrite { offset: offsets[*slot] + range.start as u64, bytes });
    }
    Ok(writes)
}

/// Returns the writes of the whole file except its slack.
fn all_writes<'m>(plan: &'m Plan, variables: &VariableMap<'m>) -> Result<Vec<FileWrite<'m>>, Error> {
    let mut writes = Vec::new();
    for (slot, &start) in plan.layout.slots.iter().zip(&plan.offsets) {
        let mut offset = start;
        for bytes in variables.chunk(slot).ok_or(Error::Internal)?.chunks(4 * IO_SIZE) {
            writes.try_reserve(1)?;
            writes.push(FileWrite { offset, bytes });
            offset += bytes.len() as u64;
        }
    }
    writes.try_reserve(1)?;
    writes.push(FileWrite { offset: plan.data_size, bytes: &plan.tail });
    Ok(writes)
}

/// Encodes a journal up to its data. The last of `writes` is the tail; the others cover the changed runs.
fn encode_description(header: &JournalHeader, plan: &Plan, writes: &[FileWrite<'_>]) -> Result<Vec<u8>, Error> {
    let records = try_collect(writes.iter().map(|write| (write.offset, write.bytes.len() as u64)))?;
    let (hashes, hash_size) = (&plan.hashes, header.hash.hash_size());
    let of_changed: usize = plan.changed.iter().map(|run| hashes.of_run(run).len()).sum();
    let mut bytes = try_with_capacity(of_changed + plan.tail.len().div_ceil(header.block_size) * hash_size)?;
    plan.changed.iter().for_each(|run| bytes.extend_from_slice(hashes.of_run(run)));
    for block in plan.tail.chunks(header.block_size) {
        let mut hash = [0; 16];
        header.hash.hash_into(block, &mut hash[..hash_size]);
        bytes.extend_from_slice(&hash[..hash_size]);
    }
    journal::encode_description(header, &records, &bytes)
}
