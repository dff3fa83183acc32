//! The decompressor: a raw stream with the header and trailer around it.

use std::fmt;

use super::decoder::Decoder;
use super::error::{DataError, Error};
use super::format::Format;
use super::progress::{Progress, Status};
use super::wrapper::{GZIP_ID1, Stage, Wrapper, WrapperKind};
use crate::alloc::try_box;

/// Decompressor that can be saved as a checkpoint between any two calls, and restored from one.
pub struct Inflate {
    pub(super) format: Format,
    /// An array of one element, because that can be allocated without aborting when out of memory.
    decoder: Box<[Decoder; 1]>,
    /// Header and trailer; `None` in raw streams.
    pub(super) wrapper: Option<Wrapper>,
    /// Error of an earlier call, which every further call returns.
    pub(super) failed: Option<Error>,
    pub(super) total_in: u64,
    pub(super) total_out: u64,
    /// Offset in bytes in the input at which the raw stream begins; in gzip, that of the current member.
    pub(super) body_in: u64,
}

impl Inflate {
    /// Creates a decompressor at the start of a stream. It allocates about 24 KB, and up to 256 KiB for the window as
    /// output is produced.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(format: Format) -> Result<Self, Error> {
        let decoder = try_box(Decoder::new(format == Format::Deflate64))?;
        let mut inflate = Self { format, decoder, wrapper: None, failed: None, total_in: 0, total_out: 0, body_in: 0 };
        inflate.reset();
        Ok(inflate)
    }

    /// Returns to the start of a stream of the same format, also after an error. Memory is kept.
    pub fn reset(&mut self) {
        self.decoder_mut().reset();
        self.wrapper = match self.format {
            Format::Zlib => Some(Wrapper::new(WrapperKind::Zlib)),
            Format::Gzip => Some(Wrapper::new(WrapperKind::Gzip)),
            Format::Deflate | Format::Deflate64 => None,
        };
        (self.failed, self.total_in, self.total_out, self.body_in) = (None, 0, 0, 0);
    }

    /// Format of the stream.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of bytes of input consumed since the start of the stream.
    pub fn total_in(&self) -> u64 {
        self.total_in
    }

    /// Number of bytes of output returned since the start of the stream.
    pub fn total_out(&self) -> u64 {
        self.total_out
    }

    /// Decompresses until the input is consumed, the output buffer is full, or the stream ends. Input and output may be
    /// divided into calls in any way; the output is the same.
    ///
    /// As in zlib, a call may consume all input although it can produce more output. Call again until [`Status::Done`]:
    /// with more input after [`Status::NeedsInput`], with more space after [`Status::NeedsOutput`]. Bytes of `output`
    /// after the first [`Progress::produced`] may be overwritten.
    ///
    /// # Errors
    /// In [`Progress::result`]: [`Error::Corrupt`] if the stream is invalid, after the output before that position was
    /// returned; [`Error::OutOfMemory`], after which the call may be repeated.
    pub fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let (mut consumed, mut produced) = (0, 0);
        let result = loop {
            if let Some(error) = self.failed {
                break Err(error);
            }
            let input = &input[consumed..];
            let Some(wrapper) = self.wrapper.as_mut().filter(|wrapper| wrapper.stage != Stage::Body) else {
                let progress = self.decoder_mut().decompress(input, &mut output[produced..]);
                consumed += progress.consumed;
                self.total_in += progress.consumed as u64;
                self.total_out += progress.produced as u64;
                if let Some(wrapper) = &mut self.wrapper {
                    wrapper.update_checksum(&output[produced..produced + progress.produced]);
                }
                produced += progress.produced;
                match (progress.result, &mut self.wrapper) {
                    (Ok(Status::Done), Some(wrapper)) => wrapper.end_body(),
                    (Err(Error::Corrupt { error, bit }), _) => self.fail(error, 8 * self.body_in + bit),
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
                if wrapper.kind != WrapperKind::Gzip || input.first() != Some(&GZIP_ID1) {
                    break Ok(Status::Done);
                }
                *wrapper = Wrapper::new(WrapperKind::Gzip);
            }
            match wrapper.parse(input) {
                Ok(count) => {
                    let stage = wrapper.stage;
                    consumed += count;
                    self.total_in += count as u64;
                    match stage {
                        Stage::Body => {
                            self.body_in = self.total_in;
                            self.decoder_mut().reset();
                        }
                        Stage::End => {}
                        _ => break Ok(Status::NeedsInput),
                    }
                }
                Err(invalid) => {
                    consumed += invalid.consumed;
                    self.total_in += invalid.consumed as u64;
                    self.fail(invalid.error, 8 * (self.total_in - invalid.field_bytes as u64));
                }
            }
        };
        Progress { consumed, produced, result }
    }

    fn fail(&mut self, error: DataError, bit: u64) {
        self.failed = Some(Error::Corrupt { error, bit });
    }

    pub(super) fn decoder(&self) -> &Decoder {
        &self.decoder[0]
    }

    pub(super) fn decoder_mut(&mut self) -> &mut Decoder {
        &mut self.decoder[0]
    }

    /// Whether the raw stream comes next, not a header or trailer.
    pub(super) fn in_body(&self) -> bool {
        self.wrapper.as_ref().is_none_or(|wrapper| wrapper.stage == Stage::Body)
    }

    /// Returns the consumed bytes of the raw stream from the first byte boundary at or after its position.
    pub(super) fn read_ahead(&self) -> &[u8] {
        if self.in_body() { self.decoder().read_ahead() } else { &[] }
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
