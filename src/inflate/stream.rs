//! The decompressor: a raw stream with the header and trailer around it.

use std::fmt;

use super::decoder::Engine;
use super::error::{DataError, Error};
use super::format::Format;
use super::progress::{Progress, Status};
use super::wrapper::{self, GZIP_FIRST, Stage, Wrapper};
use crate::alloc::try_box;

/// A decompressor that can be saved and restored at any time.
pub struct Inflate {
    pub(super) format: Format,
    /// An array of one, as that can be had without ending the process where memory is short.
    engine: Box<[Engine; 1]>,
    /// Of zlib and gzip.
    pub(super) wrapper: Option<Wrapper>,
    pub(super) failed: Option<Error>,
    pub(super) total_in: u64,
    pub(super) total_out: u64,
    /// Where in the input the raw stream begins, or that of gzip's current member.
    pub(super) body_in: u64,
}

impl Inflate {
    /// A decompressor at the start of a stream. It takes some 24 KB of memory, and up to 256 KiB as output comes. Fails if memory is
    /// short.
    pub fn new(format: Format) -> Result<Self, Error> {
        let engine = try_box(Engine::new(format == Format::Deflate64))?;
        let mut inflate = Self { format, engine, wrapper: None, failed: None, total_in: 0, total_out: 0, body_in: 0 };
        inflate.reset();
        Ok(inflate)
    }

    /// Back to the start of a stream of the same format, whatever happened before. Memory is kept.
    pub fn reset(&mut self) {
        self.engine_mut().reset();
        self.wrapper = match self.format {
            Format::Zlib => Some(Wrapper::new(wrapper::Kind::Zlib)),
            Format::Gzip => Some(Wrapper::new(wrapper::Kind::Gzip)),
            Format::Deflate | Format::Deflate64 => None,
        };
        (self.failed, self.total_in, self.total_out, self.body_in) = (None, 0, 0, 0);
    }

    /// The format it was made for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many bytes of input were taken, from the start of the stream on.
    pub fn total_in(&self) -> u64 {
        self.total_in
    }

    /// How many bytes of output were returned, from the start of the stream on.
    pub fn total_out(&self) -> u64 {
        self.total_out
    }

    /// Decompresses as far as input and room go. Bytes of `output` behind those that are returned may be changed.
    ///
    /// How input and output are cut into pieces makes no difference to what comes out. As with zlib, all input can have been taken
    /// although there is more output to come: go on until [`Status::Done`], giving more input at [`Status::NeedsInput`] and room at
    /// [`Status::NeedsOutput`].
    pub fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let (mut consumed, mut produced) = (0, 0);
        let result = loop {
            if let Some(error) = self.failed {
                break Err(error);
            }
            let input = &input[consumed..];
            let Some(wrapper) = self.wrapper.as_mut().filter(|wrapper| wrapper.stage != Stage::Body) else {
                let more = self.engine_mut().inflate(input, &mut output[produced..]);
                consumed += more.consumed;
                self.total_in += more.consumed as u64;
                self.total_out += more.produced as u64;
                if let Some(wrapper) = &mut self.wrapper {
                    wrapper.add(&output[produced..produced + more.produced]);
                }
                produced += more.produced;
                match (more.result, &mut self.wrapper) {
                    (Ok(Status::Done), Some(wrapper)) => wrapper.end_body(),
                    (Err(Error::Corrupt { error: fault, bit }), _) => self.fail(fault, 8 * self.body_in + bit),
                    (result, _) => {
                        if result == Err(Error::Internal) {
                            self.failed = Some(Error::Internal);
                        }
                        break result;
                    }
                }
                continue;
            };
            if wrapper.stage == Stage::End {
                if wrapper.kind != wrapper::Kind::Gzip || input.first() != Some(&GZIP_FIRST) {
                    break Ok(Status::Done);
                }
                *wrapper = Wrapper::new(wrapper::Kind::Gzip);
            }
            match wrapper.take(input) {
                Ok(taken) => {
                    let stage = wrapper.stage;
                    consumed += taken;
                    self.total_in += taken as u64;
                    match stage {
                        Stage::Body => {
                            self.body_in = self.total_in;
                            self.engine_mut().reset();
                        }
                        Stage::End => {}
                        _ => break Ok(Status::NeedsInput),
                    }
                }
                Err((taken, fault, into)) => {
                    consumed += taken;
                    self.total_in += taken as u64;
                    self.fail(fault, 8 * (self.total_in - into as u64));
                }
            }
        };
        Progress { consumed, produced, result }
    }

    fn fail(&mut self, fault: DataError, bit: u64) {
        self.failed = Some(Error::Corrupt { error: fault, bit });
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine[0]
    }

    pub(super) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine[0]
    }

    pub(super) fn in_body(&self) -> bool {
        self.wrapper.as_ref().is_none_or(|wrapper| wrapper.stage == Stage::Body)
    }

    /// What was taken of the raw stream beyond the byte in which it stands.
    pub(super) fn ahead(&self) -> &[u8] {
        if self.in_body() { self.engine().ahead() } else { &[] }
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("format", &self.format)
            .field("total_in", &self.total_in)
            .field("total_out", &self.total_out)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
