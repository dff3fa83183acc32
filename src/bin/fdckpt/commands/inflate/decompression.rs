//! Decompression of a whole stream in steps.

use std::io::Write;

use fdckpt::inflate::{Error, Inflate, Status};

use super::source::Source;
use crate::error::CliError;
use crate::input::IO_BUFFER_SIZE;
use crate::term::progress::Progress;
use crate::term::units::size_with_unit;

/// The state of a decompression.
pub struct Decompression<'f> {
    data: &'f [u8],
    /// `None` for stored data.
    pub inflate: Option<Inflate>,
    /// Number of bytes consumed and produced so far.
    pub input: u64,
    pub output: u64,
    /// CRC-32 of the output so far.
    pub crc: crc32fast::Hasher,
    pub progress: Progress,
}

impl<'f> Decompression<'f> {
    pub fn new(source: &Source<'f>) -> Result<Self, CliError> {
        let inflate = source.format.map(Inflate::new).transpose()?;
        let progress = Progress::new("decompressing", Some(source.data.len() as u64), 0);
        Ok(Self { data: source.data, inflate, input: 0, output: 0, crc: crc32fast::Hasher::new(), progress })
    }

    /// Decompresses into a buffer and returns what was produced; `None` at the end.
    pub fn step<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, CliError> {
        let rest = &self.data[self.input as usize..];
        let (consumed, produced, is_end) = match &mut self.inflate {
            None => {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                (count, count, rest.is_empty())
            }
            Some(inflate) => {
                let progress = inflate.decompress(rest, buffer);
                let is_end = match progress.result {
                    Ok(Status::NeedsInput) if progress.produced == 0 => {
                        return Err(Error::UnexpectedEof { offset: self.data.len() as u64 }.into());
                    }
                    Ok(status) => status == Status::Done && progress.produced == 0,
                    // What was produced before the error is valid; the next step returns the error.
                    Err(_) if progress.produced > 0 => false,
                    Err(error) => return Err(error.into()),
                };
                (progress.consumed, progress.produced, is_end)
            }
        };
        self.input += consumed as u64;
        self.output += produced as u64;
        self.progress.add(consumed as u64);
        let produced = &buffer[..produced];
        self.crc.update(produced);
        Ok((!is_end).then_some(produced))
    }

    pub fn write_all(&mut self, out: &mut impl Write) -> Result<(), CliError> {
        let mut buffer = vec![0; IO_BUFFER_SIZE];
        while let Some(data) = self.step(&mut buffer)? {
            out.write_all(data)?;
        }
        Ok(())
    }

    /// Verifies the complete output, and reports input after the end of the stream.
    pub fn check(&self, source: &Source<'_>) -> Result<(), CliError> {
        source.check_output(self.crc.clone().finalize(), self.output)?;
        let trailing = self.data.len() as u64 - self.input;
        if trailing > 0 {
            self.progress.info(format_args!("{} after the end of the compressed data ignored", size_with_unit(trailing)));
        }
        Ok(())
    }
}
