//! Making frames of data, on several threads.

use super::checksum;
use crate::codec::FrameStyle;
use crate::error::Error;
use crate::parallel::frame::{History, Maker, bound};
use crate::parallel::pipeline::{Made, Pipeline};
use crate::sys::monitor::Monitor;

/// A frame as it is to be written.
pub(super) enum Stored<'m> {
    /// The data itself.
    AsItIs,
    Compressed {
        bytes: &'m [u8],
        stored_sum: u64,
        data_sum: u64,
    },
}

/// What makes frames, one behind the other: their bytes depend on which have been made before.
pub(super) struct Makers {
    threads: usize,
    history: History,
    /// Those that no thread has, and where the one for this thread makes its frames.
    spare: Monitor<Vec<Maker>>,
    room: Vec<u8>,
}

impl Makers {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, history: History::default(), spare: Monitor::new(Vec::new()), room: Vec::new() }
    }

    /// How many frames it takes for all threads to have enough to do.
    pub(super) fn enough(&self, style: FrameStyle) -> usize {
        if style == FrameStyle::Raw || self.threads == 1 { 1 } else { 4 * self.threads }
    }

    /// Makes a frame of each part, and gives them to `take` in order, with their data. On failure says with which.
    pub(super) fn make(
        &mut self,
        style: FrameStyle,
        checksums: bool,
        parts: &[&[u8]],
        take: &mut dyn FnMut(&[u8], Stored<'_>) -> Result<(), Error>,
    ) -> Result<(), (usize, Error)> {
        if style == FrameStyle::Raw {
            return parts
                .iter()
                .enumerate()
                .try_for_each(|(number, part)| take(part, Stored::AsItIs).map_err(|error| (number, error)));
        }
        let largest = parts.iter().map(|part| part.len() as u64).max().unwrap_or(0);
        let room = bound(style, std::iter::once(largest)).map_err(|error| (0, error))? as usize;
        let mut later = Vec::new();
        later.try_reserve_exact(parts.len()).map_err(|_| (0, Error::OutOfMemory))?;
        later.extend(parts.iter().map(|part| self.history.add(style, std::iter::once(part.len() as u64))));
        let make = |maker: &mut Borrowed<'_>, number: usize, room: &mut [u8]| {
            let part = parts[number];
            let data_sum = if checksums { checksum(part) } else { 0 };
            let maker = maker.maker.as_mut().ok_or(Error::Internal)?;
            let len = maker.make(style, later[number], std::iter::once(part), room)?;
            let stored_sum = if checksums { checksum(&room[..len]) } else { 0 };
            Ok(Made { len, result: (stored_sum, data_sum) })
        };
        let mut take = |number: usize, bytes: &[u8], (stored_sum, data_sum): (u64, u64)| {
            take(parts[number], Stored::Compressed { bytes, stored_sum, data_sum })
        };
        if self.threads > 1 && parts.len() > 1 {
            let spare = &self.spare;
            let pipeline = Pipeline { threads: self.threads, jobs: parts.len(), room };
            let result = pipeline.in_order(|| Borrowed::new(spare), make, take);
            return result.map_err(|failed| (failed.job, failed.error));
        }
        if self.room.len() < room {
            self.room.try_reserve_exact(room - self.room.len()).map_err(|_| (0, Error::OutOfMemory))?;
            self.room.resize(room, 0);
        }
        let mut maker = Borrowed::new(&self.spare).map_err(|error| (0, error))?;
        (0..parts.len()).try_for_each(|number| {
            let made = make(&mut maker, number, &mut self.room);
            made.and_then(|Made { len, result }| take(number, &self.room[..len], result)).map_err(|error| (number, error))
        })
    }
}

/// A maker that goes back to the others.
struct Borrowed<'m> {
    maker: Option<Maker>,
    spare: &'m Monitor<Vec<Maker>>,
}

impl<'m> Borrowed<'m> {
    fn new(spare: &'m Monitor<Vec<Maker>>) -> Result<Self, Error> {
        let maker = spare.lock().pop();
        Ok(Self { maker: Some(maker.map_or_else(Maker::new, Ok)?), spare })
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut spare = self.spare.lock();
        if spare.try_reserve(1).is_ok() {
            spare.extend(self.maker.take());
        }
    }
}
