//! Making frames of data, on several threads.

use super::checksum;
use super::error::ErrorKind;
use crate::alloc::{try_collect, try_grow};
use crate::frame::FrameStyle;
use crate::frames::codec::{Maker, add_frame, bound};
use crate::sync::pipeline::{JobOutput, Pipeline};
use crate::sys::cond_mutex::CondMutex;
use crate::sys::lz4::StreamOffset;

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

/// What takes frames: the number of each, and how it is to be written.
pub(super) type Take<'t> = dyn FnMut(usize, Stored<'_>) -> Result<(), ErrorKind> + 't;

/// What makes frames, one behind the other: their bytes depend on which have been made before.
pub(super) struct Makers {
    threads: usize,
    history: StreamOffset,
    /// What no thread uses now; kept, as fresh memory takes long to come by.
    spare: CondMutex<Spare>,
}

#[derive(Default)]
struct Spare {
    makers: Vec<Maker>,
    rooms: Vec<Vec<u8>>,
}

impl Makers {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, history: StreamOffset::default(), spare: CondMutex::new(Spare::default()) }
    }

    /// How many frames it takes for all threads to have enough to do. With one thread, none need wait.
    pub(super) fn enough(&self, style: FrameStyle) -> usize {
        if style == FrameStyle::Raw || self.threads == 1 { 0 } else { 8 * self.threads }
    }

    /// Makes a frame of each part, and gives them to `take` in order. From number `region` on the checksum of the data is made too. On failure
    /// says with which.
    pub(super) fn make(
        &mut self,
        style: FrameStyle,
        checksums: bool,
        parts: &[&[u8]],
        region: usize,
        take: &mut Take<'_>,
    ) -> Result<(), (usize, ErrorKind)> {
        if style == FrameStyle::Raw {
            return (0..parts.len()).try_for_each(|number| take(number, Stored::AsItIs).map_err(|error| (number, error)));
        }
        let later = parts.iter().map(|part| add_frame(&mut self.history, style, std::iter::once(part.len() as u64)));
        let later = try_collect(later).map_err(|error| (0, error.into()))?;
        let spare = &self.spare;
        let make = |maker: &mut Borrowed<'_>, number: usize| {
            let part = parts[number];
            let mut room = spare.lock().rooms.pop().unwrap_or_default();
            let bound = bound(style, std::iter::once(part.len() as u64))? as usize;
            try_grow(&mut room, bound)?;
            let data_sum = if checksums && number >= region { checksum(part) } else { 0 };
            let maker = maker.maker.as_mut().ok_or(ErrorKind::Internal)?;
            let size = maker.make(style, later[number], std::iter::once(part), &mut room)?;
            let stored_sum = if checksums { checksum(&room[..size]) } else { 0 };
            Ok::<_, ErrorKind>(Frame { room, size, stored_sum, data_sum })
        };
        let mut take = |number: usize, Frame { room, size, stored_sum, data_sum }: Frame| {
            take(number, Stored::Compressed { bytes: &room[..size], stored_sum, data_sum })?;
            let mut spare = spare.lock();
            if spare.rooms.try_reserve(1).is_ok() {
                spare.rooms.push(room);
            }
            Ok(())
        };
        if self.threads > 1 && parts.len() > 1 {
            // The jobs bring their own room.
            let pipeline = Pipeline { threads: self.threads, jobs: parts.len(), buffer_size: 0 };
            let make = |maker: &mut Borrowed<'_>, number: usize, _: &mut [u8]| {
                make(maker, number).map(|result| JobOutput { len: 0, result })
            };
            let result = pipeline.run_ordered(|| Borrowed::new(spare), make, |number, _, frame| take(number, frame));
            return result.map_err(|failed| (failed.job, failed.error));
        }
        let mut maker = Borrowed::new(spare).map_err(|error| (0, error))?;
        (0..parts.len()).try_for_each(|number| {
            make(&mut maker, number).and_then(|frame| take(number, frame)).map_err(|error| (number, error))
        })
    }
}

/// A frame at the begin of its room.
struct Frame {
    room: Vec<u8>,
    size: usize,
    stored_sum: u64,
    data_sum: u64,
}

/// A maker that goes back to the others.
struct Borrowed<'m> {
    maker: Option<Maker>,
    spare: &'m CondMutex<Spare>,
}

impl<'m> Borrowed<'m> {
    fn new(spare: &'m CondMutex<Spare>) -> Result<Self, ErrorKind> {
        let maker = spare.lock().makers.pop();
        Ok(Self { maker: Some(maker.map_or_else(Maker::new, Ok)?), spare })
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut spare = self.spare.lock();
        if spare.makers.try_reserve(1).is_ok() {
            spare.makers.extend(self.maker.take());
        }
    }
}
