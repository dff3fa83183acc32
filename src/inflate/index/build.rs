//! Building an index while a stream is decompressed.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use super::format::{AccessPoint, Index, POINT_SIZE};
use super::input::{BUFFER_SIZE, InputError, read};
use crate::alloc::try_zeroed;
use crate::inflate::checkpoint::CheckpointEncoding;
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::progress::Status;
use crate::inflate::stream::Inflate;

/// Collects the access points of an index.
#[derive(Default)]
struct IndexBuilder {
    points: Vec<u8>,
    checkpoints: Vec<u8>,
    /// CRC-32 of the input since the last access point.
    input_crc: crc32fast::Hasher,
}

impl IndexBuilder {
    /// Adds an access point at the position of `inflate`.
    fn add_point(&mut self, inflate: &Inflate) -> Result<(), Error> {
        self.finish_point();
        let (start, bound) = (self.checkpoints.len(), inflate.checkpoint_bound(CheckpointEncoding::Compact));
        self.points.try_reserve(POINT_SIZE).and_then(|()| self.checkpoints.try_reserve(bound))?;
        self.checkpoints.resize(start + bound, 0);
        let (size, position) = inflate.checkpoint_into(CheckpointEncoding::Compact, &mut self.checkpoints[start..])?;
        self.checkpoints.truncate(start + size);
        let point = AccessPoint {
            position,
            checkpoint_offset: start as u64,
            checkpoint_size: size as u32,
            checkpoint_crc: crc32fast::hash(&self.checkpoints[start..]),
            input_crc: 0,
        };
        self.points.extend_from_slice(&point.encode());
        Ok(())
    }

    /// Stores the checksum of the input in the last access point, as its last field.
    fn finish_point(&mut self) {
        let crc = std::mem::take(&mut self.input_crc).finalize();
        if let Some(field) = self.points.last_chunk_mut() {
            *field = crc.to_le_bytes();
        }
    }
}

impl Index<'static> {
    /// Decompresses `input` and builds an index of it, with an access point every `interval` bytes of output. The
    /// output is written to `output`; pass [`io::sink`] to discard it.
    ///
    /// `input` is read to its end. All of it belongs to the index, including data after the end of the stream. To index
    /// a part of a file, pass that part ([`Read::take`]).
    ///
    /// # Errors
    /// Those of `input` and `output`. Others have an [`Error`] inside: [`Error::UnexpectedEof`] if the input ends
    /// before the stream does; [`Error::Corrupt`] if the stream is invalid; [`Error::InvalidArgument`] if `interval` is
    /// 0. [`io::ErrorKind::OutOfMemory`].
    pub fn build(input: impl Read, output: impl Write, format: Format, interval: u64) -> io::Result<Self> {
        Ok(Self::try_build(input, output, format, interval)?)
    }

    /// As [`Self::build`], with an error that does not allocate.
    pub(crate) fn try_build(
        mut input: impl Read,
        mut output: impl Write,
        format: Format,
        interval: u64,
    ) -> Result<Self, InputError> {
        if interval == 0 {
            return Err(Error::InvalidArgument("the interval of access points is 0").into());
        }
        let mut inflate = Inflate::new(format)?;
        let mut in_buffer = try_zeroed(BUFFER_SIZE).map_err(Error::from)?;
        let mut out_buffer = try_zeroed(BUFFER_SIZE).map_err(Error::from)?;
        let mut builder = IndexBuilder::default();
        builder.add_point(&inflate)?;
        let (mut input_size, mut next_point) = (0, interval);
        let (mut pos, mut end, mut at_eof) = (0, 0, false);
        loop {
            if pos == end && !at_eof {
                (pos, end) = (0, read(&mut input, &mut in_buffer)?);
                at_eof = end == 0;
                input_size += end as u64;
            }
            let space = (next_point - inflate.total_out()).min(BUFFER_SIZE as u64) as usize;
            let progress = inflate.decompress(&in_buffer[pos..end], &mut out_buffer[..space]);
            builder.input_crc.update(&in_buffer[pos..pos + progress.consumed]);
            pos += progress.consumed;
            output.write_all(&out_buffer[..progress.produced])?;
            match progress.result? {
                Status::Done if pos < end || at_eof => break,
                // In gzip, another member may follow.
                Status::Done => continue,
                Status::NeedsInput if at_eof => return Err(Error::UnexpectedEof { offset: input_size }.into()),
                Status::NeedsInput | Status::NeedsOutput => {}
            }
            if inflate.total_out() == next_point {
                builder.add_point(&inflate)?;
                next_point = next_point.saturating_add(interval);
            }
        }
        while !at_eof {
            builder.input_crc.update(&in_buffer[pos..end]);
            (pos, end) = (0, read(&mut input, &mut in_buffer)?);
            at_eof = end == 0;
            input_size += end as u64;
        }
        builder.finish_point();
        Ok(Self {
            format,
            interval,
            input_size,
            output_size: inflate.total_out(),
            points: Cow::Owned(builder.points),
            checkpoints: Cow::Owned(builder.checkpoints),
        })
    }
}
