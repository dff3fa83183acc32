//! Decompression that resumes after it was killed.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fdckpt::inflate::CheckpointEncoding;
use fdckpt::{AtomicFile, SyncMode};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::decompression::Decompression;
use super::source::Source;
use crate::cli::InflateArgs;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::inflate_checkpoint::stream_name;
use crate::format::inflate_state;
use crate::input::IO_BUFFER_SIZE;
use crate::output::keep_access;
use crate::path::{display_name, parent_directory};
use crate::signals;
use crate::term::message;
use crate::term::progress::Progress;
use crate::term::units::size_with_unit;

/// Bytes of output between two saves of the state.
const DEFAULT_SAVE_INTERVAL: u64 = 64 << 20;

/// Bytes before the current offsets of input and output that are compared on resuming.
const VERIFIED_TAIL: u64 = 64 << 10;

/// A decompression to a file, whose state is saved at intervals.
///
/// The output goes to a file of its own until it is complete. It is synced before a state that relies on it replaces
/// the previous one atomically, so that at any time there is a state that matches the output.
pub struct Resumable<'f> {
    source: &'f Source<'f>,
    decompression: Decompression<'f>,
    save_interval: u64,
    target: PathBuf,
    /// The incomplete output.
    part: PathBuf,
    state: PathBuf,
    out: File,
    /// Distinguishes the input from others.
    identity: Value,
    /// Size of the output in the last saved state; `None` without one.
    saved: Option<u64>,
}

/// A file next to another one.
fn sidecar_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The last bytes that are compared on resuming.
fn tail(data: &[u8]) -> &[u8] {
    &data[data.len().saturating_sub(VERIFIED_TAIL as usize)..]
}

/// Opens the partial output and locks it: a second process would corrupt it. If it will replace a file, a new one is private until then.
fn open_locked(part: &Path, target: &Path) -> Result<File, CliError> {
    // A link could lead to a file that another user chose.
    let mode = if target.exists() { 0o600 } else { 0o666 };
    let flags = OFlags::NOFOLLOW.bits() as i32;
    loop {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).mode(mode).custom_flags(flags).open(part)?;
        // Other errors are ignored: some file systems do not support locks.
        if let Err(Errno::WOULDBLOCK) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            let error = CliError::new("another process is decompressing to this file");
            return Err(error.with_hint("wait for it, stop it, or name another output"));
        }
        // The other process may have renamed or removed the file before it released the lock.
        let (found, own) = (fs::metadata(part).ok(), file.metadata()?);
        if found.is_some_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino())) {
            return Ok(file);
        }
    }
}

impl<'f> Resumable<'f> {
    /// Opens the output and resumes from a state, if there is one.
    pub fn new(source: &'f Source<'f>, args: &InflateArgs, target: &Path) -> Result<Self, CliError> {
        let part = sidecar_path(target, ".fdckpt-part");
        let input = fs::metadata(&args.input)?;
        let modified = input.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let identity = json!({
            "size": input.len(),
            "modified": modified,
            "entry": source.entry,
            "stream": source.format.map(stream_name),
        });
        let mut this = Self {
            source,
            decompression: Decompression::new(source)?,
            save_interval: args.save_interval().unwrap_or(DEFAULT_SAVE_INTERVAL).max(1),
            target: target.to_owned(),
            state: args.state.clone().unwrap_or_else(|| sidecar_path(target, ".fdckpt-state")),
            out: open_locked(&part, target).with_file(&part)?,
            part,
            identity,
            saved: None,
        };
        if let Err(error) = this.resume() {
            // An empty file was just created here.
            if this.out.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                _ = fs::remove_file(&this.part);
            }
            return Err(error);
        }
        Ok(this)
    }

    fn resume(&mut self) -> Result<(), CliError> {
        let file = match fs::read(&self.state) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.restart(),
            Err(error) => return Err(error).with_file(&self.state),
        };
        let refuse = |message: &str| {
            let hint = "remove it to restart, or name another state with --state";
            Err(CliError::new(message).with_file(&self.state).with_hint(hint))
        };
        let Some((state, checkpoint)) = inflate_state::decode(&file) else {
            return refuse("not a state file, or damaged");
        };
        const OTHER_INPUT: &str = "state of another input, or the input was modified since";
        if state["input"] != self.identity {
            return refuse(OTHER_INPUT);
        }
        let number = |name: &str| state[name].as_u64().unwrap_or(u64::MAX);
        let (input, output) = (number("position"), number("output"));
        let consumed = usize::try_from(input).ok().and_then(|input| self.source.data.get(..input));
        let Some(consumed) = consumed else { return refuse("state does not match the input") };
        if number("input_sum") != u64::from(crc32fast::hash(tail(consumed))) {
            return refuse(OTHER_INPUT);
        }
        let size = self.out.metadata()?.len();
        if size < output || number("output_sum") != u64::from(self.output_tail_crc(output)?) {
            let part = display_name(&self.part);
            message::info(format_args!("{part}: output of the saved state is missing; restarting"));
            return self.restart();
        }
        if let Some(inflate) = &mut self.decompression.inflate {
            let position = inflate.restore(checkpoint).with_file(&self.state)?;
            if (position.in_offset, position.out_offset) != (input, output) {
                return refuse("inconsistent state");
            }
        }
        self.out.set_len(output)?;
        self.out.seek(SeekFrom::Start(output))?;
        let decompression = &mut self.decompression;
        decompression.crc = crc32fast::Hasher::new_with_initial_len(number("sum") as u32, output);
        (decompression.input, decompression.output, self.saved) = (input, output, Some(output));
        decompression.progress = Progress::new("decompressing", Some(self.source.data.len() as u64), input);
        message::info(format_args!("{}: resuming after {} of output", display_name(&self.target), size_with_unit(output)));
        Ok(())
    }

    fn restart(&mut self) -> Result<(), CliError> {
        Ok(self.out.set_len(0)?)
    }

    /// CRC-32 of the end of the output, if it had this size.
    fn output_tail_crc(&self, output: u64) -> io::Result<u32> {
        let count = output.min(VERIFIED_TAIL);
        let mut tail = vec![0; count as usize];
        self.out.read_exact_at(&mut tail, output - count)?;
        Ok(crc32fast::hash(&tail))
    }

    pub fn run(mut self) -> Result<u8, CliError> {
        signals::handle_shutdown();
        self.write_all().map_err(|error| {
            if self.saved.is_some() && self.part.exists() {
                return error.with_hint("run the same command again to resume from the last saved state");
            }
            // Without a state the output is of no use.
            self.discard();
            error
        })
    }

    fn write_all(&mut self) -> Result<u8, CliError> {
        let mut buffer = vec![0; IO_BUFFER_SIZE];
        loop {
            if let Some(signal) = signals::shutdown_signal() {
                return self.interrupt(signal);
            }
            let Some(data) = self.decompression.step(&mut buffer).inspect_err(|_| self.discard())? else { break };
            self.out.write_all(data).with_file(&self.part)?;
            if self.decompression.output - self.saved.unwrap_or(0) >= self.save_interval {
                self.save()?;
            }
        }
        self.decompression.check(self.source).inspect_err(|_| self.discard())?;
        self.commit()?;
        Ok(exit::OK)
    }

    /// Replaces the target by the complete output.
    fn commit(&mut self) -> Result<(), CliError> {
        if let Ok(existing) = fs::metadata(&self.target) {
            keep_access(&self.out, &existing).with_file(&self.part)?;
        }
        self.out.sync_all().with_file(&self.part)?;
        fs::rename(&self.part, &self.target).with_file(&self.target)?;
        // Some file systems can't sync directories.
        _ = File::open(parent_directory(&self.target)).and_then(|directory| directory.sync_all());
        match fs::remove_file(&self.state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_file(&self.state),
            _ => Ok(()),
        }
    }

    /// Saves the state.
    fn save(&mut self) -> Result<(), CliError> {
        self.out.sync_data().with_file(&self.part)?;
        let (input, output) = (self.decompression.input, self.decompression.output);
        let state = json!({
            "input": self.identity,
            "position": input,
            "output": output,
            "sum": self.decompression.crc.clone().finalize(),
            "input_sum": crc32fast::hash(tail(&self.source.data[..input as usize])),
            "output_sum": self.output_tail_crc(output).with_file(&self.part)?,
        });
        let checkpoint = match &self.decompression.inflate {
            Some(inflate) => inflate.checkpoint(CheckpointEncoding::Full)?.0,
            None => Vec::new(),
        };
        let container = inflate_state::encode(&state, checkpoint)?;
        let mut file = AtomicFile::begin(&self.state, SyncMode::Full).with_file(&self.state)?;
        container.copy_to(&mut file).with_file(&self.state)?;
        file.commit().with_file(&self.state)?;
        self.saved = Some(output);
        Ok(())
    }

    /// Saves the state because of a signal, and returns the exit status.
    fn interrupt(&mut self, signal: i32) -> Result<u8, CliError> {
        if self.decompression.output == 0 {
            self.discard();
        } else {
            self.save()?;
            self.decompression.progress.info(format_args!(
                "interrupted after {} of output; run the same command again to resume (from {} and {})",
                size_with_unit(self.decompression.output),
                display_name(&self.part),
                display_name(&self.state)
            ));
        }
        Ok(exit::by_signal(signal))
    }

    /// Removes the incomplete output and its state.
    fn discard(&self) {
        _ = fs::remove_file(&self.part);
        _ = fs::remove_file(&self.state);
    }
}
