//! Writes and restores checkpoints by the Rust API while the shim makes calls fail, and checks the results. Groups,
//! runs and output are as in `scenarios.c`.

use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use fdckpt::frame::Error;
use fdckpt::{BUFFER_MIN, Checkpt, FrameStyle, META_MAX, Restore};
use libc::{EAGAIN, EINTR, EIO, ENOMEM, ENOSPC};

/// The numbers of faults.h.
const READ: c_int = 0;
const WRITE: c_int = 2;
const WRITEV: c_int = 3;
const LSEEK: c_int = 4;
const STAT: c_int = 5;
const POLL: c_int = 6;
const ONE: c_int = -1;
const HALF: c_int = -2;
const NOTHING: c_int = -3;
const FOR_EVER: c_long = 1 << 62;

/// Stands for an endless row of what is retried as soon as poll calls the descriptor ready.
const MANY: c_long = 50;

/// A fault, and how many calls in a row get it.
type Fault = (c_int, c_long);

const OF_IO: &[Fault] = &[
    (EIO, 1),
    (EIO, FOR_EVER),
    (ENOSPC, 1),
    (ENOSPC, FOR_EVER),
    (EINTR, 1),
    (EINTR, MANY),
    (EAGAIN, 1),
    (EAGAIN, MANY),
    (ONE, 1),
    (ONE, FOR_EVER),
    (HALF, 1),
    (HALF, FOR_EVER),
    (NOTHING, 1),
    (NOTHING, FOR_EVER),
];
const OF_POLL: &[Fault] = &[(EINTR, 1), (EINTR, MANY), (ENOMEM, 1), (EIO, FOR_EVER)];
const OF_OTHERS: &[Fault] = &[(EIO, 1), (EIO, FOR_EVER), (EINTR, 1), (ENOMEM, 1), (ENOMEM, FOR_EVER)];
const OF_ALLOC: &[Fault] = &[(ENOMEM, 1), (ENOMEM, FOR_EVER)];

/// By number.
const KINDS: &[(&str, &[Fault])] = &[
    ("read", OF_IO),
    ("readv", OF_IO),
    ("write", OF_IO),
    ("writev", OF_IO),
    ("lseek", OF_OTHERS),
    ("fstat", OF_OTHERS),
    ("poll", OF_POLL),
    ("mmap", OF_OTHERS),
    ("munmap", OF_OTHERS),
    ("malloc", OF_ALLOC),
];

fn is_transient(fault: c_int) -> bool {
    matches!(fault, EINTR | EAGAIN | ONE | HALF)
}

/// The functions of the shim.
struct Shim {
    plan: unsafe extern "C" fn(c_int, c_long, c_int, c_long, c_int, c_ulong, c_int),
    arm: unsafe extern "C" fn(c_int),
    injected: unsafe extern "C" fn() -> c_long,
    live: unsafe extern "C" fn() -> c_long,
}

impl Shim {
    fn find() -> Self {
        let symbol = |name: &CStr| {
            // SAFETY: the name is a C string.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            assert!(!found.is_null(), "{name:?} is missing: LD_PRELOAD the shim");
            found
        };
        // SAFETY: these are the types of the functions in faults.h.
        unsafe {
            Self {
                plan: mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(_, _, _, _, _, _, _)>(symbol(c"faults_plan")),
                arm: mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(_)>(symbol(c"faults_arm")),
                injected: mem::transmute::<*mut libc::c_void, unsafe extern "C" fn() -> _>(symbol(c"faults_injected")),
                live: mem::transmute::<*mut libc::c_void, unsafe extern "C" fn() -> _>(symbol(c"faults_live")),
            }
        }
    }

    /// A call of the library: the one place where calls fail.
    fn library<T>(&self, call: impl FnOnce() -> T) -> T {
        // SAFETY: sets a variable of this thread.
        unsafe { (self.arm)(1) }
        let result = call();
        // SAFETY: the same.
        unsafe { (self.arm)(0) }
        result
    }

    fn injected(&self) -> c_long {
        // SAFETY: reads a variable.
        unsafe { (self.injected)() }
    }

    fn live(&self) -> c_long {
        // SAFETY: reads a variable.
        unsafe { (self.live)() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    ToFile,
    ToPipe,
    ToMemory,
    ToMap,
    FromFile,
    /// The frames from last to first.
    FromFileSeeking,
    FromPipe,
    FromMemory,
    FromMap,
}

use Mode::{FromFile, FromFileSeeking, FromMap, FromMemory, FromPipe, ToFile, ToMap, ToMemory, ToPipe};

const MODES: [Mode; 9] = [ToFile, ToPipe, ToMemory, ToMap, FromFile, FromFileSeeking, FromPipe, FromMemory, FromMap];

/// Sizes of the buffers of each frame.
const FRAMES: [&[usize]; 6] = [&[24, 8], &[META_MAX, 1, 3000], &[], &[70_000, META_MAX, 5, 900], &[40_000, 40_000], &[100]];

const TOTAL: usize = 32 + META_MAX + 3001 + 70_000 + META_MAX + 905 + 80_000 + 100;
const ROOM: usize = TOTAL + TOTAL / 200 + 70_000;
const GUARD: usize = 64;
const PATTERN: u8 = 0xA5;

/// A checkpoint as it is to be.
struct Reference {
    data: Vec<u8>,
    style: FrameStyle,
    bytes: Vec<u8>,
    /// Where frames begin, and where the last one ends.
    at: Vec<u64>,
}

impl Reference {
    fn new(style: FrameStyle) -> Self {
        let mut state = 1u64;
        let mut data: Vec<u8> = Vec::with_capacity(TOTAL);
        while data.len() < TOTAL {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Noise, or what was 1000 bytes before.
            match data.len().checked_sub(1000) {
                Some(before) if state >> 63 == 1 => data.extend_from_within(before..before + 100),
                _ => data.extend(state.to_le_bytes()),
            }
        }
        data.truncate(TOTAL);
        let (mut bytes, mut at) = (vec![0; ROOM], vec![0]);
        let mut checkpt = Checkpt::mmio(&mut bytes).unwrap();
        let mut rest = &data[..];
        for frame in FRAMES {
            checkpt.open(style).unwrap();
            for &size in frame {
                checkpt.data(&rest[..size]).unwrap();
                rest = &rest[size..];
            }
            at.push(checkpt.close().unwrap());
        }
        checkpt.finish().unwrap();
        bytes.truncate(at[FRAMES.len()] as usize);
        Self { data, style, bytes, at }
    }
}

struct Run<'r> {
    shim: &'r Shim,
    reference: &'r Reference,
    mode: Mode,
    kind: c_int,
    fault: Fault,
    n: c_long,
    cap: c_ulong,
    /// Faults injected before the current call.
    seen: c_long,
    /// lseek or fstat failed when the restore began.
    unseekable: bool,
    fails: u64,
}

impl Run<'_> {
    fn check(&mut self, held: bool, what: &str) -> bool {
        if !held {
            self.fails += 1;
            println!("{what}");
        }
        held
    }

    fn begin(&self, fd: c_int) {
        let (fault, span) = self.fault;
        // SAFETY: sets variables.
        unsafe { (self.shim.plan)(self.kind, self.n, fault, span, fd, self.cap, (self.kind == POLL).into()) }
    }

    /// Every other time the handle gets a descriptor of its own, which is closed with it.
    fn owned(&self, lent: BorrowedFd<'_>) -> Option<OwnedFd> {
        let own = self.n % 2 == 1 && !matches!(self.mode, ToMap | FromMap);
        own.then(|| lent.try_clone_to_owned().unwrap())
    }

    fn hit(&mut self) -> bool {
        let injected = self.shim.injected();
        mem::replace(&mut self.seen, injected) < injected
    }

    /// Makes a call of a handle and checks its result against what was injected in it.
    fn step<T>(&mut self, name: &str, call: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        let result = self.shim.library(call);
        let hit = self.hit();
        let fault = self.fault.0;
        let error = result.as_ref().err();
        let io = |wanted| matches!(error, Some(Error::Io(error)) if error.errno.raw() == wanted);
        let right = match self.kind {
            _ if !hit && name == "seek" && self.unseekable => error == Some(&Error::NotSeekable),
            _ if !hit => error.is_none(),
            READ..=POLL if is_transient(fault) && self.kind != LSEEK => error.is_none(),
            WRITE | WRITEV if fault == NOTHING => io(EIO),
            _ if fault == NOTHING => matches!(error, Some(Error::UnexpectedEof { .. })),
            READ..=POLL => io(fault),
            _ => false,
        };
        self.check(right, &format!("{name} gave {error:?}"));
        result.ok()
    }

    /// Makes a handle and checks the result in the same way.
    fn make<T, E: Into<io::Error>>(&mut self, make: impl FnOnce() -> Result<T, E>) -> Option<T> {
        let result: io::Result<T> = self.shim.library(make).map_err(Into::into);
        let hit = self.hit();
        let map = matches!(self.mode, ToMap | FromMap);
        self.unseekable = hit && matches!(self.kind, LSEEK | STAT) && !map;
        let errno = result.as_ref().err().map(errno_of);
        let right = if hit && !self.unseekable { errno == Some(Some(self.fault.0)) } else { errno.is_none() };
        self.check(right, &format!("making it gave {:?}", result.as_ref().err()));
        result.ok()
    }

    fn refused<T>(&mut self, name: &str, call: impl FnOnce() -> Result<T, Error>) {
        let result = self.shim.library(call);
        self.check(matches!(result, Err(Error::Poisoned)), &format!("{name} of what has failed gave {:?}", result.err()));
    }

    fn save(&mut self) {
        let reference = self.reference;
        let size = BUFFER_MIN + if self.n % 3 == 2 { 4097 } else { 0 };
        let mut region = vec![PATTERN; ROOM + GUARD];
        let (mut file, mut pipe) = (memfd(), big_pipe());
        if self.mode == ToMap {
            file.set_len(ROOM as u64).unwrap();
        }
        let lent = if self.mode == ToPipe { pipe.1.as_fd() } else { file.as_fd() };
        let owned = self.owned(lent);
        self.begin(owned.as_ref().map_or(lent.as_raw_fd(), AsRawFd::as_raw_fd));
        let made = match self.mode {
            ToMemory => self.make(|| Checkpt::mmio(&mut region[..ROOM])),
            ToMap => self.make(|| Checkpt::map(&file)),
            _ => match owned {
                Some(owned) => self.make(|| Checkpt::stream_with_buffer(owned, size)),
                None => self.make(|| Checkpt::stream_with_buffer(lent, size)),
            },
        };
        let closed = made.map_or(0, |checkpt| self.save_frames(checkpt));
        let end = reference.at[closed] as usize;
        let bytes = match self.mode {
            ToMemory => region[..end].to_vec(),
            ToPipe => {
                let mut bytes = Vec::new();
                drop(pipe.1);
                pipe.0.read_to_end(&mut bytes).unwrap();
                bytes
            }
            _ => {
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_end(&mut bytes).unwrap();
                if self.mode == ToMap {
                    bytes.truncate(end);
                }
                bytes
            }
        };
        // What was written, whether it was to be or not, is the start of the checkpoint.
        self.check(bytes.len() >= end && reference.bytes.starts_with(&bytes), "the bytes written are other ones");
        let untouched = if self.mode == ToMemory { &region[ROOM..] } else { &region[..] };
        self.check(untouched.iter().all(|&byte| byte == PATTERN), "memory was touched");
        self.check(restorable(reference, &bytes, closed).is_ok(), "frames closed before the fault can't be restored");
    }

    /// Returns how many were closed.
    fn save_frames(&mut self, mut checkpt: Checkpt<'_>) -> usize {
        let (mut closed, mut rest) = (0, &self.reference.data[..]);
        while closed < FRAMES.len() && self.save_frame(&mut checkpt, closed, &mut rest).is_some() {
            closed += 1;
        }
        self.end_checkpt(checkpt, closed == FRAMES.len());
        closed
    }

    fn save_frame(&mut self, checkpt: &mut Checkpt<'_>, frame: usize, rest: &mut &[u8]) -> Option<()> {
        let reference = self.reference;
        let begin = self.step("open", || checkpt.open(reference.style))?;
        for (i, &size) in FRAMES[frame].iter().enumerate() {
            let (buffer, others) = rest.split_at(size);
            if i % 2 == 1 {
                self.step("meta", || checkpt.meta(buffer))?;
            } else {
                self.step("data", || checkpt.data(buffer))?;
            }
            *rest = others;
        }
        let end = self.step("close", || checkpt.close())?;
        self.check((begin, end) == (reference.at[frame], reference.at[frame + 1]), "wrong offsets");
        Some(())
    }

    fn end_checkpt(&mut self, mut checkpt: Checkpt<'_>, ok: bool) {
        self.check(checkpt.can_open() == ok && !checkpt.in_frame(), "the state is another");
        if !ok {
            self.refused("open", || checkpt.open(FrameStyle::Raw));
            self.refused("meta", || checkpt.meta(&[1]));
            self.refused("data", || checkpt.data(&[1]));
            self.refused("close", || checkpt.close());
        }
        let (shim, style) = (self.shim, self.reference.style);
        match self.n % 3 {
            0 => shim.library(|| drop(checkpt)),
            1 if ok => {
                self.step("open", || checkpt.open(style));
                let result = shim.library(|| checkpt.finish());
                self.check(result == Err(Error::FrameOpen), "finish in a frame");
            }
            _ => {
                let result = shim.library(|| checkpt.finish());
                self.check(result.is_ok(), "finish");
            }
        }
    }

    fn load(&mut self) {
        let reference = self.reference;
        let size = BUFFER_MIN + if self.n % 3 == 2 { 4097 } else { 0 };
        let (mut file, mut pipe) = (memfd(), big_pipe());
        if self.mode == FromPipe {
            pipe.1.write_all(&reference.bytes).unwrap();
        } else {
            file.write_all(&reference.bytes).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
        }
        drop(pipe.1);
        let lent = if self.mode == FromPipe { pipe.0.as_fd() } else { file.as_fd() };
        let owned = self.owned(lent);
        self.begin(owned.as_ref().map_or(lent.as_raw_fd(), AsRawFd::as_raw_fd));
        let made = match self.mode {
            FromMemory => self.make(|| Restore::mmio(&reference.bytes)),
            FromMap => self.make(|| Restore::map(&file)),
            _ => match owned {
                Some(owned) => self.make(|| Restore::stream_with_buffer(owned, size)),
                None => self.make(|| Restore::stream_with_buffer(lent, size)),
            },
        };
        let Some(mut restore) = made else { return };
        let known = self.mode != FromPipe && !self.unseekable;
        self.check(restore.size() == known.then_some(reference.bytes.len() as u64), "the size is another");
        let ok = (0..FRAMES.len()).all(|step| {
            let seeks = self.mode == FromFileSeeking;
            let frame = if seeks { FRAMES.len() - 1 - step } else { step };
            if seeks && self.step("seek", || restore.seek(reference.at[frame])).is_none() {
                return false;
            }
            self.load_frame(&mut restore, frame).is_some()
        });
        self.end_restore(restore, ok);
    }

    fn load_frame(&mut self, restore: &mut Restore<'_>, frame: usize) -> Option<()> {
        let reference = self.reference;
        let mut source = &reference.data[FRAMES[..frame].iter().copied().flatten().sum()..];
        let begin = self.step("open", || restore.open(reference.style))?;
        for (i, &size) in FRAMES[frame].iter().enumerate() {
            let mut memory = vec![PATTERN; size + 2 * GUARD];
            let buffer = &mut memory[GUARD..GUARD + size];
            let result =
                if i % 2 == 1 { self.step("meta", || restore.meta(buffer)) } else { self.step("data", || restore.data(buffer)) };
            let outside = [&memory[..GUARD], &memory[GUARD + size..]].concat();
            self.check(outside.iter().all(|&byte| byte == PATTERN), "memory outside of the buffer was touched");
            result?;
            self.check(memory[GUARD..GUARD + size] == source[..size], "a buffer is restored to something else");
            source = &source[size..];
        }
        let end = self.step("close", || restore.close())?;
        self.check((begin, end) == (reference.at[frame], reference.at[frame + 1]), "wrong offsets");
        Some(())
    }

    fn end_restore(&mut self, mut restore: Restore<'_>, ok: bool) {
        self.check(restore.can_open() == ok && !restore.in_frame(), "the state is another");
        if !ok {
            let mut byte = [PATTERN];
            self.refused("open", || restore.open(FrameStyle::Raw));
            self.refused("meta", || restore.meta(&mut byte));
            self.refused("data", || restore.data(&mut byte));
            self.refused("seek", || restore.seek(0));
            self.refused("close", || restore.close());
            self.check(byte == [PATTERN], "a refused call has touched the buffer");
        }
        let (shim, style) = (self.shim, self.reference.style);
        match self.n % 3 {
            0 => shim.library(|| drop(restore)),
            1 if ok => {
                self.step("open", || restore.open(style));
                let result = shim.library(|| restore.finish());
                self.check(result == Err(Error::FrameOpen), "finish in a frame");
            }
            _ => {
                let result = shim.library(|| restore.finish());
                self.check(result.is_ok(), "finish");
            }
        }
    }

    /// Returns how many faults were injected.
    fn run(&mut self, group: u64) -> c_long {
        let (kind, (fault, span), cap) = (KINDS[self.kind as usize].0, self.fault, self.cap);
        let (mode, style) = (self.mode, self.reference.style);
        println!("run {group} {} {mode:?} {style:?}, {kind} fault {fault} for {span}, {cap} bytes at a time", self.n);
        // SAFETY: sets a timer, whose signal ends what hangs.
        unsafe { libc::alarm(10) };
        let descriptors = descriptor_count();
        if matches!(self.mode, ToFile | ToPipe | ToMemory | ToMap) {
            self.save()
        } else {
            self.load()
        }
        // SAFETY: stops the timer.
        unsafe { libc::alarm(0) };
        let live = self.shim.live();
        self.check(live == 0, &format!("{live} allocations or maps were not given back"));
        self.check(descriptor_count() == descriptors, "descriptors were not closed");
        println!("done {} {}", self.shim.injected(), self.fails);
        self.shim.injected()
    }
}

/// The errno of an error from whichever layer.
fn errno_of(error: &io::Error) -> Option<c_int> {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).and_then(Error::errno).map(|errno| errno.raw());
    let memory = (error.kind() == io::ErrorKind::OutOfMemory).then_some(ENOMEM);
    error.raw_os_error().or(ours).or(memory)
}

fn restorable(reference: &Reference, bytes: &[u8], count: usize) -> Result<(), Error> {
    let mut restore = Restore::mmio(bytes)?;
    let mut source = &reference.data[..];
    for frame in &FRAMES[..count] {
        restore.open(reference.style)?;
        for &size in *frame {
            let mut buffer = vec![0; size];
            restore.data(&mut buffer)?;
            assert!(buffer == source[..size]);
            source = &source[size..];
        }
        restore.close()?;
    }
    restore.finish()
}

fn memfd() -> File {
    // SAFETY: the name is a C string; the descriptor is new, so nothing else owns it.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"faults".as_ptr(), libc::MFD_CLOEXEC)) };
    assert!(file.as_raw_fd() >= 0);
    file
}

/// A pipe that holds all of a checkpoint, so that no reader is needed meanwhile.
fn big_pipe() -> (io::PipeReader, io::PipeWriter) {
    let pipe = io::pipe().unwrap();
    // SAFETY: takes no memory.
    assert!(unsafe { libc::fcntl(pipe.1.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20) } > 0);
    pipe
}

fn descriptor_count() -> usize {
    // SAFETY: takes no memory, and changes nothing.
    (0..32).filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0).count()
}

/// All groups from `begin` on, the first one from run `n` on.
pub fn main(all: bool, begin: u64, n: u64) {
    let shim = Shim::find();
    let references = [FrameStyle::Raw, FrameStyle::Lz4].map(Reference::new);
    let caps: &[c_ulong] = if all { &[0, 9973, 1999] } else { &[0, 9973] };
    let mut group = 0;
    for reference in &references {
        for mode in MODES {
            for (kind, &(_, faults)) in (0..).zip(KINDS) {
                for &cap in caps.iter().filter(|&&cap| cap == 0 || kind <= WRITEV || kind == POLL) {
                    // Once a group has shown that there is no such call, the others cannot do more.
                    let mut called = true;
                    for &fault in faults {
                        // A run that goes byte by byte takes long: a few of them.
                        let leaps = fault == (ONE, FOR_EVER) && !all;
                        if group >= begin && called && !(leaps && cap != 0) {
                            let mut n = if group == begin { n as c_long } else { 1 };
                            let run = |n| {
                                let (seen, unseekable, fails) = (0, false, 0);
                                Run { shim: &shim, reference, mode, kind, fault, n, cap, seen, unseekable, fails }.run(group) > 0
                            };
                            while run(n) {
                                n += if leaps { 3 * n } else { 1 };
                            }
                            called = n > 1;
                        }
                        group += 1;
                    }
                }
            }
        }
    }
}
