//! Decompression that goes on where it was, after whatever has ended it.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use fdckpt::inflate::Form;
use fdckpt::{AtomicFile, Container, SyncMode};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::cli::Inflate as Options;
use crate::commands::inflate::{PIECE, Run, Source};
use crate::commands::info;
use crate::output::{self, ENDING, ENDS_ITSELF, SIGNAL};
use crate::term::{self, GOOD, Progress, Trouble, bytes};

const EVERY: u64 = 64 << 20;

/// A decompression to a file, of which the state is saved now and then.
///
/// The output is written to a file of its own until it is complete. It is synced before a state is saved that relies on it, and a state
/// takes the place of the one before in one step: so there is at each moment a state that fits what there is of the output.
pub struct Resumable<'f> {
    source: &'f Source<'f>,
    run: Run<'f>,
    every: u64,
    target: PathBuf,
    part: PathBuf,
    state: PathBuf,
    out: File,
    /// What tells the input from others.
    identity: Value,
    /// How much output there was at the last state; `None` without one.
    saved: Option<u64>,
}

/// The types of the state's sections: what it is of, the checkpoint, and their checksum.
const STATE: u8 = 140;
const CHECKPOINT: u8 = 141;
const SUM: u8 = 142;

/// So much in front of the position is compared, of input and output.
const COMPARED: u64 = 1 << 16;

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Opens the file for the output, for this process alone: two that write to it would spoil it for each other.
fn open_locked(part: &Path) -> Result<File, Trouble> {
    // A link of this name could lead to a file of somebody else's choice.
    let flags = OFlags::NOFOLLOW.bits() as i32;
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(part)?;
        // Some file systems have no locks: other failures are passed over.
        if let Err(Errno::WOULDBLOCK) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            let trouble = Trouble::new("another process is decompressing to this file");
            return Err(trouble.advice("wait for it, end it, or name another output"));
        }
        // The other one may have completed or removed it before it gave the lock back.
        let there = fs::metadata(part).ok();
        let mine = file.metadata()?;
        if there.is_some_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
            return Ok(file);
        }
    }
}

fn sum_of(pieces: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    pieces.iter().for_each(|piece| sum.update(piece));
    sum.finalize()
}

impl<'f> Resumable<'f> {
    pub fn new(source: &'f Source<'f>, options: &Options, target: &Path) -> Result<Self, Trouble> {
        let part = beside(target, ".fdckpt-part");
        let state = options.state.clone().unwrap_or_else(|| beside(target, ".fdckpt-state"));
        let there = fs::metadata(&options.input)?;
        let modified = there.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let identity = json!({
            "size": there.len(),
            "modified": modified,
            "entry": source.entry,
            "stream": source.format.map(info::stream),
        });
        let out = open_locked(&part).map_err(|trouble| trouble.of(output::name(&part)))?;
        let every = options.every.unwrap_or(EVERY).max(1);
        let target = target.to_owned();
        let mut this = Self { source, run: Run::new(source)?, every, target, part, state, out, identity, saved: None };
        if let Err(trouble) = this.resume() {
            // It was made a moment ago, and nothing is in it.
            if this.out.metadata().is_ok_and(|there| there.len() == 0) {
                _ = fs::remove_file(&this.part);
            }
            return Err(trouble);
        }
        Ok(this)
    }

    /// Goes on from the state, if there is one.
    fn resume(&mut self) -> Result<(), Trouble> {
        let file = match fs::read(&self.state) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.begin_anew(),
            Err(error) => return Err(Trouble::from(error).of(output::name(&self.state))),
        };
        let refuse = |what: &str| {
            let advice = "remove it to begin anew, or name another one with --state";
            Err(Trouble::new(what).of(output::name(&self.state)).advice(advice))
        };
        let Some((facts, checkpoint)) = read_state(&file) else {
            return refuse("this is no state of a decompression, or it is damaged");
        };
        if facts["input"] != self.identity {
            return refuse("this is the state of another input, or the input was changed since");
        }
        let number = |name: &str| facts[name].as_u64().unwrap_or(u64::MAX);
        let (input, output) = (number("position"), number("output"));
        let before = usize::try_from(input).ok().and_then(|input| self.source.data.get(..input));
        let Some(before) = before else { return refuse("this state does not fit the input") };
        let last = &before[before.len().saturating_sub(COMPARED as usize)..];
        if number("input_sum") != u64::from(crc32fast::hash(last)) {
            return refuse("this is the state of another input, or the input was changed since");
        }
        let there = self.out.metadata()?.len();
        if there < output || number("output_sum") != u64::from(self.sum_of_last_output(output)?) {
            let what =
                format!("{}: the output that the state is of is not there any more: it begins anew", output::name(&self.part));
            term::note(what);
            return self.begin_anew();
        }
        if let Some(inflate) = &mut self.run.inflate {
            let position = inflate.restore(checkpoint).map_err(|error| Trouble::from(error).of(output::name(&self.state)))?;
            if (position.input, position.output) != (input, output) {
                return refuse("this state does not fit itself");
            }
        }
        self.out.set_len(output)?;
        self.out.seek(SeekFrom::Start(output))?;
        self.run.sum = crc32fast::Hasher::new_with_initial_len(number("sum") as u32, output);
        (self.run.input, self.run.output, self.saved) = (input, output, Some(output));
        self.run.progress = Progress::new("decompressing", Some(self.source.data.len() as u64), input);
        term::note(format_args!("{}: goes on at {} of output", output::name(&self.target), bytes(output)));
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), Trouble> {
        self.out.set_len(0)?;
        Ok(())
    }

    fn sum_of_last_output(&self, output: u64) -> io::Result<u32> {
        let count = output.min(COMPARED);
        let mut last = vec![0; count as usize];
        std::os::unix::fs::FileExt::read_exact_at(&self.out, &mut last, output - count)?;
        Ok(crc32fast::hash(&last))
    }

    pub fn run(mut self) -> Result<u8, Trouble> {
        ENDS_ITSELF.store(true, Ordering::SeqCst);
        self.all().map_err(|trouble| {
            if self.saved.is_some() && self.part.exists() {
                return trouble.advice("once it is out of the way, the same command goes on from where the state was saved last");
            }
            // Without a state nothing goes on from what there is.
            self.discard();
            trouble
        })
    }

    fn all(&mut self) -> Result<u8, Trouble> {
        let mut piece = vec![0; PIECE];
        let of_part = |part: &Path| {
            let part = output::name(part);
            move |error: io::Error| Trouble::from(error).of(part)
        };
        loop {
            if ENDING.load(Ordering::SeqCst) {
                return self.interrupted();
            }
            let step = match self.run.step(&mut piece) {
                Ok(step) => step,
                Err(trouble) => {
                    // There is no use in going on from here.
                    self.discard();
                    return Err(trouble);
                }
            };
            let Some(piece) = step else { break };
            self.out.write_all(piece).map_err(of_part(&self.part))?;
            if self.run.output - self.saved.unwrap_or(0) >= self.every {
                self.save()?;
            }
        }
        if let Err(trouble) = self.run.check(self.source) {
            self.discard();
            return Err(trouble);
        }
        if let Ok(there) = fs::metadata(&self.target) {
            self.out.set_permissions(there.permissions()).map_err(of_part(&self.part))?;
        }
        self.out.sync_all().map_err(of_part(&self.part))?;
        fs::rename(&self.part, &self.target).map_err(of_part(&self.target))?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Some file systems have no sync for folders.
        _ = File::open(folder).and_then(|folder| folder.sync_all());
        match fs::remove_file(&self.state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Trouble::from(error).of(output::name(&self.state))),
            _ => Ok(GOOD),
        }
    }

    fn save(&mut self) -> Result<(), Trouble> {
        let of_part = |error: io::Error| Trouble::from(error).of(output::name(&self.part));
        self.out.sync_data().map_err(of_part)?;
        let (input, output) = (self.run.input, self.run.output);
        let before = &self.source.data[..input as usize];
        let facts = json!({
            "input": self.identity,
            "position": input,
            "output": output,
            "sum": self.run.sum.clone().finalize(),
            "input_sum": crc32fast::hash(&before[before.len().saturating_sub(COMPARED as usize)..]),
            "output_sum": self.sum_of_last_output(output).map_err(of_part)?,
        });
        let facts = facts.to_string().into_bytes();
        let checkpoint = match &self.run.inflate {
            Some(inflate) => inflate.checkpoint(Form::Full)?.0,
            None => Vec::new(),
        };
        let sum = sum_of(&[&facts, &checkpoint]).to_le_bytes().to_vec();
        let mut container = Container::new();
        container.set(STATE, facts)?;
        container.set(CHECKPOINT, checkpoint)?;
        container.set(SUM, sum)?;
        let of_state = |trouble: Trouble| trouble.of(output::name(&self.state));
        let mut file = AtomicFile::begin(&self.state, SyncMode::Full).map_err(|error| of_state(error.into()))?;
        container.copy_to(&mut file).map_err(|error| of_state(error.into()))?;
        file.commit().map_err(|error| of_state(error.into()))?;
        self.saved = Some(output);
        Ok(())
    }

    /// Ends because of a signal, so that the same command goes on.
    fn interrupted(&mut self) -> Result<u8, Trouble> {
        let status = output::status_of(SIGNAL.load(Ordering::SeqCst));
        if self.run.output == 0 {
            self.discard();
            return Ok(status);
        }
        self.save()?;
        self.run.progress.note(format_args!(
            "interrupted after {} of output: the same command goes on from there ({} and {} keep it)",
            bytes(self.run.output),
            output::name(&self.part),
            output::name(&self.state)
        ));
        Ok(status)
    }

    /// Removes what there is of the output.
    fn discard(&self) {
        _ = fs::remove_file(&self.part);
        _ = fs::remove_file(&self.state);
    }
}

/// What there is to say of a section of a state.
pub fn state_text(kind: u8, data: &[u8]) -> Option<String> {
    let facts: Value = serde_json::from_slice(data).ok().filter(|_| kind == STATE)?;
    let [input, output] = ["position", "output"].map(|name| facts[name].as_u64());
    Some(format!("state of `fdckpt inflate`: goes on at byte {} of the input, {} of the output", input?, output?))
}

/// What the state says, and the checkpoint.
fn read_state(file: &[u8]) -> Option<(Value, &[u8])> {
    let container = Container::parse(file).ok()?;
    let place = |kind| {
        let section = container.sections().find(|section| section.kind() == kind)?;
        file.get(usize::try_from(section.offset()).ok()?..)?.get(..usize::try_from(section.length()).ok()?)
    };
    let (facts, checkpoint) = (place(STATE)?, place(CHECKPOINT)?);
    if place(SUM)? != sum_of(&[facts, checkpoint]).to_le_bytes() {
        return None;
    }
    Some((serde_json::from_slice(facts).ok()?, checkpoint))
}
