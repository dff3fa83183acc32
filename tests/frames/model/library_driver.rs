//! Drives the C API of the library, or of another one with its functions, with the calls of the model, in each mode.

use std::ffi::{CStr, c_int, c_void};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{Answer, From, OK, Op};

/// The functions that are called, of a library that is linked with this or was loaded.
macro_rules! api {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        mod linked {
            use super::*;
            unsafe extern "C" {
                $(pub fn $name($($arg: $type),*) -> $result;)*
            }
        }

        #[derive(Clone, Copy)]
        pub struct Api {
            $($name: unsafe extern "C" fn($($type),*) -> $result,)*
        }

        impl Api {
            pub const LINKED: Self = Self { $($name: linked::$name,)* };

            /// What `find` says where the functions are.
            ///
            /// # Safety
            /// They are the functions of these names of the C API.
            pub unsafe fn found(find: impl Fn(&CStr) -> *mut c_void) -> Self {
                // SAFETY: the types are those of the functions, says the caller, and none is NULL.
                unsafe {
                    Self { $($name: {
                        let name = concat!(stringify!($name), "\0");
                        let function = find(CStr::from_bytes_with_nul(name.as_bytes()).expect("ends with its only 0"));
                        assert!(!function.is_null(), "{name} is missing");
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(function)
                    },)* }
                }
            }
        }
    };
}

api! {
    fn fd_checkpt_init_stream(mem: *mut c_void, fd: c_int, wbuf: *mut c_void, wbuf_sz: u64) -> *mut c_void;
    fn fd_checkpt_init_mmio(mem: *mut c_void, mmio: *mut c_void, mmio_sz: u64) -> *mut c_void;
    fn fd_checkpt_fini(checkpt: *mut c_void) -> *mut c_void;
    fn fd_checkpt_open_advanced(checkpt: *mut c_void, style: c_int, off: *mut u64) -> c_int;
    fn fd_checkpt_close_advanced(checkpt: *mut c_void, off: *mut u64) -> c_int;
    fn fd_checkpt_meta(checkpt: *mut c_void, buf: *const c_void, sz: u64) -> c_int;
    fn fd_checkpt_data(checkpt: *mut c_void, buf: *const c_void, sz: u64) -> c_int;
    fn fd_restore_init_stream(mem: *mut c_void, fd: c_int, rbuf: *mut c_void, rbuf_sz: u64) -> *mut c_void;
    fn fd_restore_init_mmio(mem: *mut c_void, mmio: *const c_void, mmio_sz: u64) -> *mut c_void;
    fn fd_restore_fini(restore: *mut c_void) -> *mut c_void;
    fn fd_restore_open_advanced(restore: *mut c_void, style: c_int, off: *mut u64) -> c_int;
    fn fd_restore_close_advanced(restore: *mut c_void, off: *mut u64) -> c_int;
    fn fd_restore_seek(restore: *mut c_void, off: u64) -> c_int;
    fn fd_restore_meta(restore: *mut c_void, buf: *mut c_void, sz: u64) -> c_int;
    fn fd_restore_data(restore: *mut c_void, buf: *mut c_void, sz: u64) -> c_int;
}

unsafe extern "C" {
    fn fdckpt_set_log_callback(callback: Option<unsafe extern "C" fn(*mut c_void, c_int, *const i8)>, context: *mut c_void);
}

/// No line for each of a million failures, and no signal where the reader of a pipe leaves early (Rust programs ignore
/// it, but a fuzzer's main is not Rust's).
pub fn silence() {
    unsafe extern "C" fn nothing(_: *mut c_void, _: c_int, _: *const i8) {}
    // SAFETY: the callback lives for ever; ignoring a signal runs no code.
    unsafe {
        fdckpt_set_log_callback(Some(nothing), ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// Memory for what is reused from case to case.
pub struct Bench {
    api: Api,
    handle: Vec<u64>,
    buffer: Vec<u8>,
    file: std::fs::File,
}

/// The smallest I/O buffer.
pub const BUFFER_MIN: usize = 69_632;

impl Bench {
    pub fn new() -> Self {
        Self::of(Api::LINKED)
    }

    pub fn of(api: Api) -> Self {
        // SAFETY: the name is a C string; the descriptor is new and owned by this function.
        let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"bench".as_ptr(), libc::MFD_CLOEXEC)) };
        Self { api, handle: vec![0xA5A5_A5A5_A5A5_A5A5; 24_600], buffer: vec![0; 4 * BUFFER_MIN], file: file.into() }
    }

    fn empty_file(&mut self) {
        self.file.set_len(0).expect("a memory file can be cut");
        self.file.seek(SeekFrom::Start(0)).expect("a memory file can be sought");
    }

    /// Makes a checkpoint in a file, by a buffer of this size. Returns the answers and the bytes of the frames that
    /// were closed.
    pub fn write_to_file(&mut self, ops: &[Op], buffer_size: usize) -> (Vec<Answer>, Vec<u8>) {
        let api = self.api;
        self.empty_file();
        // SAFETY: handle and buffer are large enough and used by this call alone.
        let answers = unsafe {
            let (mem, buffer) = (self.handle.as_mut_ptr().cast(), self.buffer.as_mut_ptr().cast());
            run_checkpt(&api, (api.fd_checkpt_init_stream)(mem, self.file.as_raw_fd(), buffer, buffer_size as u64), ops)
        };
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).expect("a memory file can be sought");
        self.file.read_to_end(&mut bytes).expect("a memory file can be read");
        bytes.truncate(closed(ops, &answers));
        (answers, bytes)
    }

    /// Makes a checkpoint in a region of exactly this size.
    pub fn checkpt_region(&mut self, ops: &[Op], size: usize) -> (Vec<Answer>, Vec<u8>) {
        let api = self.api;
        let mut region = vec![0; size];
        // SAFETY: as above.
        let answers = unsafe {
            let mem = self.handle.as_mut_ptr().cast();
            run_checkpt(&api, (api.fd_checkpt_init_mmio)(mem, region.as_mut_ptr().cast(), size as u64), ops)
        };
        region.truncate(closed(ops, &answers));
        (answers, region)
    }

    /// Makes a checkpoint in a pipe that a thread drains.
    pub fn checkpt_pipe(&mut self, ops: &[Op], buffer_size: usize) -> (Vec<Answer>, Vec<u8>) {
        let api = self.api;
        let (mut from, to) = std::io::pipe().expect("a pipe");
        let drain = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map(|_| bytes)
        });
        // SAFETY: as above.
        let answers = unsafe {
            let (mem, buffer) = (self.handle.as_mut_ptr().cast(), self.buffer.as_mut_ptr().cast());
            run_checkpt(&api, (api.fd_checkpt_init_stream)(mem, to.as_raw_fd(), buffer, buffer_size as u64), ops)
        };
        drop(to);
        let mut bytes = drain.join().expect("no panic").expect("the pipe can be read");
        bytes.truncate(closed(ops, &answers));
        (answers, bytes)
    }

    /// Restores from these bytes.
    pub fn restore(&mut self, ops: &[Op], bytes: &[u8], from: From, buffer_size: usize) -> Vec<Answer> {
        let api = self.api;
        // SAFETY: as above.
        unsafe {
            let (mem, buffer): (_, *mut c_void) = (self.handle.as_mut_ptr().cast(), self.buffer.as_mut_ptr().cast());
            match from {
                From::Region => {
                    run_restore(&api, (api.fd_restore_init_mmio)(mem, bytes.as_ptr().cast(), bytes.len() as u64), ops)
                }
                From::File => {
                    self.empty_file();
                    self.file.write_all(bytes).expect("a memory file can be written");
                    self.file.seek(SeekFrom::Start(0)).expect("a memory file can be sought");
                    run_restore(&api, (api.fd_restore_init_stream)(mem, self.file.as_raw_fd(), buffer, buffer_size as u64), ops)
                }
                From::Pipe => {
                    let (source, mut to) = std::io::pipe().expect("a pipe");
                    std::thread::scope(|scope| {
                        let writer = scope.spawn(move || {
                            // The reader may leave early.
                            bytes.chunks(7_001).try_for_each(|piece| to.write_all(piece)).ok();
                        });
                        let restore = (api.fd_restore_init_stream)(mem, source.as_raw_fd(), buffer, buffer_size as u64);
                        let answers = run_restore(&api, restore, ops);
                        drop(source);
                        writer.join().expect("no panic"); // wholly, or what is left of it looks like a leak
                        answers
                    })
                }
            }
        }
    }
}

/// Bytes up to the last close that succeeded.
fn closed(ops: &[Op], answers: &[Answer]) -> usize {
    let mut ends = ops.iter().zip(answers).filter(|(op, answer)| matches!(op, Op::Close) && answer.code == OK);
    ends.next_back().map_or(0, |(_, answer)| answer.off as usize)
}

/// # Safety
/// `checkpt` is what init returned.
unsafe fn run_checkpt(api: &Api, checkpt: *mut c_void, ops: &[Op]) -> Vec<Answer> {
    assert!(!checkpt.is_null());
    let answers = ops.iter().map(|op| {
        let mut off = 777;
        // SAFETY: the handle is live; buffers are as large as said.
        let code = unsafe {
            match op {
                Op::Open(style) => (api.fd_checkpt_open_advanced)(checkpt, *style, &mut off),
                Op::OpenNull(style) => (api.fd_checkpt_open_advanced)(checkpt, *style, ptr::null_mut()),
                Op::Meta(data) => (api.fd_checkpt_meta)(checkpt, data.as_ptr().cast(), data.len() as u64),
                Op::Data(data) => (api.fd_checkpt_data)(checkpt, data.as_ptr().cast(), data.len() as u64),
                Op::Null(size) => (api.fd_checkpt_data)(checkpt, ptr::null(), *size as u64),
                Op::Close => (api.fd_checkpt_close_advanced)(checkpt, &mut off),
                Op::Seek(_) => unreachable!("a checkpoint does not seek"),
            }
        };
        Answer { code, off, data: None }
    });
    let answers = answers.collect();
    // SAFETY: the handle is live. With a frame open the first one fails, the second does not.
    unsafe {
        if (api.fd_checkpt_fini)(checkpt).is_null() {
            assert!(!(api.fd_checkpt_fini)(checkpt).is_null());
        }
    }
    answers
}

/// # Safety
/// `restore` is what init returned.
unsafe fn run_restore(api: &Api, restore: *mut c_void, ops: &[Op]) -> Vec<Answer> {
    assert!(!restore.is_null());
    let answers = ops.iter().map(|op| {
        let mut off = 777;
        let mut data = None;
        // SAFETY: the handle is live; buffers are as large as said.
        let code = unsafe {
            match op {
                Op::Open(style) => (api.fd_restore_open_advanced)(restore, *style, &mut off),
                Op::OpenNull(style) => (api.fd_restore_open_advanced)(restore, *style, ptr::null_mut()),
                Op::Meta(like) | Op::Data(like) => {
                    let mut restored = vec![0xEE; like.len()];
                    let (buf, sz) = (restored.as_mut_ptr().cast(), like.len() as u64);
                    let code = match op {
                        Op::Meta(_) => (api.fd_restore_meta)(restore, buf, sz),
                        _ => (api.fd_restore_data)(restore, buf, sz),
                    };
                    data = (code == OK).then_some(restored);
                    code
                }
                Op::Null(size) => (api.fd_restore_data)(restore, ptr::null_mut(), *size as u64),
                Op::Close => (api.fd_restore_close_advanced)(restore, &mut off),
                Op::Seek(to) => (api.fd_restore_seek)(restore, *to),
            }
        };
        Answer { code, off, data }
    });
    let answers = answers.collect();
    // SAFETY: as above.
    unsafe {
        if (api.fd_restore_fini)(restore).is_null() {
            assert!(!(api.fd_restore_fini)(restore).is_null());
        }
    }
    answers
}
