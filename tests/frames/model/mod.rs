//! A model of the frame format: plain vectors, and LZ4 called directly. Written from docs/format/frame.md and the
//! description of the API; shares no code with the library.

#![allow(dead_code, reason = "each user uses a part of it")]

pub mod case;
pub mod compare;
pub mod library_driver;

use std::ffi::{c_char, c_int};

use lz4_sys::{LZ4_createStream, LZ4_freeStream, LZ4StreamEncode};

unsafe extern "C" {
    fn LZ4_resetStream_fast(stream: *mut LZ4StreamEncode);
    fn LZ4_compress_fast_continue(
        stream: *mut LZ4StreamEncode,
        src: *const c_char,
        dst: *mut c_char,
        src_size: c_int,
        dst_capacity: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_decompress_safe_usingDict(
        src: *const c_char,
        dst: *mut c_char,
        src_size: c_int,
        dst_capacity: c_int,
        dict: *const c_char,
        dict_size: c_int,
    ) -> c_int;
}

pub const OK: i32 = 0;
pub const INVAL: i32 = -1;
pub const UNSUP: i32 = -2;
pub const IO: i32 = -3;
pub const COMP: i32 = -4;

const META_MAX: usize = 65_536;
const CHUNK: usize = 65_536;
const RING: usize = 196_608;

fn bound(chunk: usize) -> usize {
    chunk + chunk / 255 + 19
}

/// A call of the API, for making and restoring alike.
#[derive(Clone, Debug)]
pub enum Op {
    Open(i32),
    /// The offset is not wanted, NULL is given for it.
    OpenNull(i32),
    Meta(Vec<u8>),
    Data(Vec<u8>),
    /// A NULL buffer of this size.
    Null(usize),
    Close,
    /// Restoring only.
    Seek(u64),
}

/// What a call answers: its code, and for open and close the offset (777 if untouched), for restored buffers their
/// content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: i32,
    pub off: u64,
    pub data: Option<Vec<u8>>,
}

impl Answer {
    fn code(code: i32) -> Self {
        Self { code, off: 777, data: None }
    }

    fn off(off: u64) -> Self {
        Self { code: OK, off, data: None }
    }
}

/// Writes a checkpoint. `room` is the size of the region, `None` for a stream.
pub struct Checkpt {
    stream: *mut LZ4StreamEncode,
    ring: Vec<u8>,
    cursor: usize,
    style: i32,
    pub bytes: Vec<u8>,
    /// Bytes up to the last close.
    pub closed: usize,
    room: Option<usize>,
}

impl Checkpt {
    pub fn new(room: Option<usize>) -> Self {
        // SAFETY: no preconditions.
        let stream = unsafe { LZ4_createStream() };
        Self { stream, ring: vec![0; RING], cursor: 0, style: 0, bytes: Vec::new(), closed: 0, room }
    }

    pub fn call(&mut self, op: &Op) -> Answer {
        let result = match op {
            Op::Open(style) => self.open(*style),
            Op::OpenNull(_) => Err(INVAL),
            Op::Meta(data) if self.style > 0 && data.len() > META_MAX => Err(INVAL),
            Op::Meta(data) | Op::Data(data) => self.put(data).map(|()| Answer::code(OK)),
            Op::Null(size) if self.style > 0 && *size == 0 => Ok(Answer::code(OK)),
            Op::Null(_) => Err(INVAL),
            Op::Close if self.style > 0 => {
                self.style = 0;
                self.closed = self.bytes.len();
                Ok(Answer::off(self.closed as u64))
            }
            Op::Close => Err(INVAL),
            Op::Seek(_) => unreachable!("a checkpoint does not seek"),
        };
        result.unwrap_or_else(|code| {
            self.style = -1;
            Answer::code(code)
        })
    }

    fn open(&mut self, style: i32) -> Result<Answer, i32> {
        match style {
            _ if self.style != 0 => return Err(INVAL),
            0 | 1 => self.style = 1,
            2 => {
                self.style = 2;
                self.cursor = 0;
                // SAFETY: the stream is valid.
                unsafe { LZ4_resetStream_fast(self.stream) };
            }
            _ => return Err(UNSUP),
        }
        Ok(Answer::off(self.bytes.len() as u64))
    }

    fn put(&mut self, data: &[u8]) -> Result<(), i32> {
        match self.style {
            1 => {
                if self.room.is_some_and(|room| data.len() > room - self.bytes.len()) {
                    return Err(IO);
                }
                self.bytes.extend_from_slice(data);
            }
            2 => data.chunks(CHUNK).try_for_each(|chunk| self.put_chunk(chunk))?,
            _ => return Err(INVAL),
        }
        Ok(())
    }

    fn put_chunk(&mut self, chunk: &[u8]) -> Result<(), i32> {
        let room = self.room.map_or(1 << 25, |room| room - self.bytes.len());
        if room < 4 {
            return Err(COMP);
        }
        if RING - self.cursor < chunk.len() {
            self.cursor = 0;
        }
        self.ring[self.cursor..][..chunk.len()].copy_from_slice(chunk);
        let mut out = vec![0; (room - 3).min((1 << 24) - 1).min(bound(chunk.len()) + 1000)];
        // SAFETY: the ring stays in place, and lengths are those of the vectors.
        let size = unsafe {
            LZ4_compress_fast_continue(
                self.stream,
                self.ring.as_ptr().add(self.cursor).cast(),
                out.as_mut_ptr().cast(),
                chunk.len() as c_int,
                out.len() as c_int,
                1,
            )
        };
        if size <= 0 {
            return Err(COMP);
        }
        self.cursor += chunk.len();
        self.bytes.extend_from_slice(&size.to_le_bytes()[..3]);
        self.bytes.extend_from_slice(&out[..size as usize]);
        Ok(())
    }
}

impl Drop for Checkpt {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { LZ4_freeStream(self.stream) };
    }
}

/// Where a restore reads from, which decides some codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    File,
    Pipe,
    Region,
}

/// A restore of `bytes`.
pub struct Restore<'b> {
    bytes: &'b [u8],
    at: usize,
    from: From,
    style: i32,
    /// What was restored of the frame, as far as LZ4 can refer back to it.
    history: Vec<u8>,
}

impl<'b> Restore<'b> {
    pub fn new(bytes: &'b [u8], from: From) -> Self {
        Self { bytes, at: 0, from, style: 0, history: Vec::new() }
    }

    /// The content of the buffers in `op` does not matter, only their size.
    pub fn call(&mut self, op: &Op) -> Answer {
        let result = match op {
            Op::Open(style) => match style {
                _ if self.style != 0 => Err(INVAL),
                0..=2 => {
                    self.style = (*style).max(1);
                    self.history.clear();
                    Ok(Answer::off(self.at as u64))
                }
                _ => Err(UNSUP),
            },
            Op::OpenNull(_) => Err(INVAL),
            Op::Meta(data) if self.style > 0 && data.len() > META_MAX => Err(INVAL),
            Op::Meta(data) | Op::Data(data) => self.get(data.len()).map(|data| Answer { code: OK, off: 777, data: Some(data) }),
            Op::Null(size) if self.style > 0 && *size == 0 => Ok(Answer::code(OK)),
            Op::Null(_) => Err(INVAL),
            Op::Close if self.style > 0 => {
                self.style = 0;
                Ok(Answer::off(self.at as u64))
            }
            Op::Close => Err(INVAL),
            Op::Seek(_) if self.style != 0 || self.from == From::Pipe => Err(INVAL),
            Op::Seek(off) if *off > self.bytes.len() as u64 => Err(INVAL),
            Op::Seek(off) => {
                self.at = *off as usize;
                Ok(Answer::code(OK))
            }
        };
        result.unwrap_or_else(|code| {
            self.style = -1;
            Answer::code(code)
        })
    }

    fn get(&mut self, size: usize) -> Result<Vec<u8>, i32> {
        let mut data = Vec::new();
        match self.style {
            1 => data.extend_from_slice(self.take(size, IO)?),
            2 => {
                while data.len() < size {
                    let chunk = self.get_chunk((size - data.len()).min(CHUNK))?;
                    data.extend_from_slice(&chunk);
                }
            }
            _ => return Err(INVAL),
        }
        Ok(data)
    }

    fn take(&mut self, size: usize, code: i32) -> Result<&'b [u8], i32> {
        let taken = self.bytes[self.at..].get(..size).ok_or(code)?;
        self.at += size;
        Ok(taken)
    }

    fn get_chunk(&mut self, size: usize) -> Result<Vec<u8>, i32> {
        let cut = if self.from == From::Region { COMP } else { IO };
        let header = self.take(3, cut)?;
        let compressed = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
        if compressed == 0 || 3 + compressed > bound(size) {
            return Err(COMP);
        }
        let block = self.take(compressed, cut)?;
        let dict = &self.history[self.history.len().saturating_sub(65_536)..];
        let mut chunk = vec![0; size];
        // SAFETY: lengths are those of the vectors.
        let got = unsafe {
            LZ4_decompress_safe_usingDict(
                block.as_ptr().cast(),
                chunk.as_mut_ptr().cast(),
                block.len() as c_int,
                size as c_int,
                dict.as_ptr().cast(),
                dict.len() as c_int,
            )
        };
        if got != size as c_int {
            return Err(COMP);
        }
        self.history.extend_from_slice(&chunk);
        Ok(chunk)
    }
}
