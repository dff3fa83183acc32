//! Building an index.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use super::format::{Index, POINT, Point};
use super::input::{BUFFER, InputError, read};
use crate::alloc::try_zeroed;
use crate::inflate::checkpoint::{Form, Position};
use crate::inflate::error::Error;
use crate::inflate::format::Format;
use crate::inflate::progress::Status;
use crate::inflate::stream::Inflate;

/// What an index is made of, while it is.
#[derive(Default)]
struct Maker {
    points: Vec<u8>,
    checkpoints: Vec<u8>,
    /// Of the input since the last point.
    sum: crc32fast::Hasher,
}

impl Maker {
    /// Adds a point where the decoder is.
    fn point(&mut self, inflate: &Inflate) -> Result<(), Error> {
        self.end_point();
        let (from, bound) = (self.checkpoints.len(), inflate.checkpoint_bound(Form::Compact));
        self.points.try_reserve(POINT).and_then(|()| self.checkpoints.try_reserve(bound))?;
        self.checkpoints.resize(from + bound, 0);
        let (size, Position { input, output }) = inflate.checkpoint_into(Form::Compact, &mut self.checkpoints[from..])?;
        self.checkpoints.truncate(from + size);
        let checkpoint_sum = crc32fast::hash(&self.checkpoints[from..]);
        let point = Point { input, output, from: from as u64, size: size as u32, checkpoint_sum, sum: 0 };
        self.points.extend_from_slice(&point.write());
        Ok(())
    }

    /// The input of the last point has ended.
    fn end_point(&mut self) {
        let sum = std::mem::take(&mut self.sum).finalize();
        if let Some(field) = self.points.last_chunk_mut() {
            *field = sum.to_le_bytes();
        }
    }
}

impl Index<'static> {
    /// Decompresses `input` and makes an index of it, with a point for each `every` bytes of output. The output goes to `output`, which is
    /// [`io::sink`] if it is not wanted.
    ///
    /// `input` is read to its end, and belongs to the index as a whole, also what follows the stream: if that is only a part of a file, give
    /// that part ([`Read::take`]).
    ///
    /// # Errors
    /// Those of `input` and `output`. [`io::ErrorKind::UnexpectedEof`] if the input ends before the stream. Others have an [`Error`] inside:
    /// [`Error::Corrupt`] if the stream is not sound, [`Error::InvalidArgument`] if `every` is 0; [`io::ErrorKind::OutOfMemory`].
    pub fn build(input: impl Read, output: impl Write, format: Format, every: u64) -> io::Result<Self> {
        Ok(Self::make(input, output, format, every)?)
    }

    pub(crate) fn make(mut input: impl Read, mut output: impl Write, format: Format, every: u64) -> Result<Self, InputError> {
        if every == 0 {
            return Err(Error::InvalidArgument("the interval of access points is 0").into());
        }
        let mut inflate = Inflate::new(format)?;
        let (mut from, mut to) = (try_zeroed(BUFFER).map_err(Error::from)?, try_zeroed(BUFFER).map_err(Error::from)?);
        let mut maker = Maker::default();
        maker.point(&inflate)?;
        let (mut input_size, mut next) = (0, every);
        let (mut at, mut end, mut ended) = (0, 0, false);
        loop {
            if at == end && !ended {
                (at, end) = (0, read(&mut input, &mut from)?);
                ended = end == 0;
                input_size += end as u64;
            }
            let room = (next - inflate.total_out()).min(BUFFER as u64) as usize;
            let progress = inflate.decompress(&from[at..end], &mut to[..room]);
            maker.sum.update(&from[at..at + progress.consumed]);
            at += progress.consumed;
            output.write_all(&to[..progress.produced])?;
            match progress.result? {
                Status::Done if at < end || ended => break,
                // Of gzip, another member can follow.
                Status::Done => continue,
                Status::NeedsInput if ended => return Err(Error::UnexpectedEof { offset: input_size }.into()),
                Status::NeedsInput | Status::NeedsOutput => {}
            }
            if inflate.total_out() == next {
                maker.point(&inflate)?;
                next = next.saturating_add(every);
            }
        }
        while !ended {
            maker.sum.update(&from[at..end]);
            (at, end) = (0, read(&mut input, &mut from)?);
            ended = end == 0;
            input_size += end as u64;
        }
        maker.end_point();
        let (points, checkpoints) = (Cow::Owned(maker.points), Cow::Owned(maker.checkpoints));
        Ok(Self { format, every, input_size, output_size: inflate.total_out(), points, checkpoints })
    }
}
