//! Verifying all of a file.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ErrorKind;
use super::frame_decoder::Loader;
use super::index_format::OfParts;
use super::reader::Reader;
use super::region_reader::Verified;
use super::{Error, Progress, checksum};
use crate::alloc::try_collect;
use crate::container::Container;

/// Something that is damaged: a region, which is lost; or the metadata of the container, which costs no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage<'r> {
    /// The region that is lost, by number and name. `None` if it is the metadata.
    pub region: Option<(usize, &'r str)>,
    /// The first of its frames that is damaged. `None` if each of them is sound, but the region's own checksum is wrong.
    pub frame: Option<usize>,
    /// What is wrong, and where.
    pub error: ErrorKind,
}

/// What a verification has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// How many frames there are, and how many of them are damaged.
    pub frames: u64,
    /// See `frames`.
    pub damaged_frames: u64,
    /// How many regions there are, and how many of them are lost.
    pub regions: u64,
    /// See `regions`.
    pub lost_regions: u64,
    /// How many findings there are about the metadata of the container: see [`Container::verify`].
    pub findings: u64,
    /// Where the first of the damage is in the file.
    pub first_offset: Option<u64>,
    /// Whether the data was compared with checksums. If not, the frames could be restored, and that is all that is known.
    pub has_checksums: bool,
}

impl Verdict {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged_frames == 0 && self.lost_regions == 0 && self.findings == 0
    }
}

/// What is known of a frame: bit 0, it is damaged.
const SOUND: u64 = 0;
const DAMAGED: u64 = 1;

impl Reader<'_> {
    /// Verifies all of the file: each frame by its checksum, each region by restoring it and by its own, the metadata by comparing it with
    /// what would be written. (The index was verified when it was opened.) By the threads of the options; checksums are compared even if
    /// the options say that reading does without.
    ///
    /// `damage` is told of each region that is lost, in order, and of each finding about the metadata.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfMemory`]. Damage is no error, but in what is returned.
    pub fn verify(&self, damage: &mut dyn FnMut(Damage<'_>)) -> Result<Verdict, Error> {
        self.verify_with(damage, None)
    }

    /// As [`verify`](Self::verify). `observer` is told of progress, by the thread that calls. [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::OutOfMemory`].
    pub fn verify_with(
        &self,
        damage: &mut dyn FnMut(Damage<'_>),
        mut observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<Verdict, Error> {
        let in_file = |error: ErrorKind| Error::from(error).in_file(self.file.as_deref());
        let frames = self.frame_count();
        // Of each frame whether it is damaged, and the checksum of its data.
        let states = (0..frames).map(|_| (AtomicU64::new(SOUND), AtomicU64::new(0)));
        let states = try_collect(states).map_err(|error| in_file(error.into()))?;
        let (data, stored) = (AtomicU64::new(0), AtomicU64::new(0));
        let job = |number: usize, loader: &mut Loader| {
            let (size, bytes) = self.verify_frame(number, loader, &states[number]).map_err(|error| ((), error))?;
            data.fetch_add(size, Ordering::Relaxed);
            stored.fetch_add(bytes, Ordering::Relaxed);
            Ok(())
        };
        let result = self.for_each_job(frames, &job, &mut || match &mut observer {
            None => ControlFlow::Continue(()),
            Some(observer) => observer(Progress {
                data: data.load(Ordering::Relaxed),
                total: self.data_size(),
                stored: stored.load(Ordering::Relaxed),
            }),
        });
        result.map_err(|(_, error)| in_file(error))?;
        let states = states.into_iter().map(|(state, sum)| (state.into_inner(), sum.into_inner()));
        let states = try_collect(states).map_err(|error| in_file(error.into()))?;
        let mut verdict = Verdict {
            frames: frames as u64,
            regions: self.len() as u64,
            has_checksums: self.has_checksums(),
            ..Verdict::default()
        };
        self.judge(&states, &mut verdict, damage).map_err(in_file)?;
        self.verify_container(&mut verdict, damage).map_err(in_file)?;
        Ok(verdict)
    }

    /// Returns the sizes of data and stored bytes.
    fn verify_frame(
        &self,
        number: usize,
        loader: &mut Loader,
        (state, sum): &(AtomicU64, AtomicU64),
    ) -> Result<(u64, u64), ErrorKind> {
        let view = self.view();
        let frame = view.frame(number).ok_or(ErrorKind::Internal)?;
        match self.frame_data(number, &frame, Verified::ForSure, loader) {
            Err(error @ (ErrorKind::OutOfMemory | ErrorKind::Internal)) => return Err(error),
            Err(_) => state.store(DAMAGED, Ordering::Relaxed),
            Ok(_) if !self.has_checksums() => {}
            Ok(data) => {
                sum.store(checksum(data), Ordering::Relaxed);
                // Small regions lie in it whole.
                for region in view.regions_in(&frame.data).filter_map(|number| view.region(number)) {
                    let is_inside = lies_in(&region.data, &frame.data);
                    if is_inside && checksum(part_of(data, &frame.data, &region.data)) != region.checksum {
                        state.fetch_or(REGION_DAMAGED, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok((frame.data.end - frame.data.start, frame.stored.end - frame.stored.start))
    }

    /// Tells of each region that is lost. Frames that are sound are known to be: hashed again for each region in them, many regions in one
    /// would take time in proportion to the square.
    fn judge(&self, states: &[(u64, u64)], verdict: &mut Verdict, damage: &mut dyn FnMut(Damage<'_>)) -> Result<(), ErrorKind> {
        verdict.damaged_frames = states.iter().filter(|(state, _)| state & DAMAGED != 0).count() as u64;
        let view = self.view();
        let mut loader = Loader::default();
        // Many regions can lie in one frame.
        let mut last = (usize::MAX, ErrorKind::Internal);
        for number in 0..self.len() {
            let region = view.region(number).ok_or(ErrorKind::Internal)?;
            let (mut found, mut parts) = (None, OfParts::new());
            for (frame, bounds) in (region.first_frame..).map_while(|frame| Some((frame, view.frame(frame)?))) {
                if region.data.is_empty() || bounds.data.start >= region.data.end {
                    break;
                }
                let (state, sum) = states[frame];
                if state & DAMAGED != 0 {
                    if last.0 != frame {
                        // Once more, for the reason.
                        let again = self.frame_data(frame, &bounds, Verified::ForSure, &mut loader);
                        last = (frame, again.err().unwrap_or(ErrorKind::Internal));
                    }
                    found = Some((Some(frame), last.1));
                    break;
                }
                parts.add(if lies_in(&bounds.data, &region.data) {
                    sum
                } else if lies_in(&region.data, &bounds.data) && state & REGION_DAMAGED == 0 {
                    // It was compared already.
                    region.checksum
                } else {
                    // It, or another region in the frame, is damaged; or it goes on in other frames, not as this library's writer has it.
                    let data = self.frame_data(frame, &bounds, Verified::Before, &mut loader)?;
                    checksum(part_of(data, &bounds.data, &region.data))
                });
            }
            if found.is_none() && self.has_checksums() && parts.finish() != region.checksum {
                let offset = view.frame(region.first_frame).map_or(0, |frame| frame.stored.start);
                let what = "the checksum of the region is wrong, but those of its frames match";
                found = Some((None, ErrorKind::Corrupt { offset, reason: what }));
            }
            if let Some((frame, error)) = found {
                verdict.lost_regions += 1;
                verdict.first_offset = verdict.first_offset.or(error.offset());
                damage(Damage { region: Some((number, region.name)), frame, error });
            }
        }
        Ok(())
    }

    fn verify_container(&self, verdict: &mut Verdict, damage: &mut dyn FnMut(Damage<'_>)) -> Result<(), ErrorKind> {
        let container = Container::parse(self.source.bytes())?;
        Ok(container.verify_with(&mut |finding| {
            verdict.findings += 1;
            let offset = finding.offset.unwrap_or(self.table.end() as u64);
            verdict.first_offset = verdict.first_offset.or(Some(offset));
            damage(Damage {
                region: None,
                frame: None,
                error: ErrorKind::Corrupt { offset, reason: "the metadata of the container is not canonical" },
            });
        })?)
    }
}

/// What of a frame's data belongs to a region: both as ranges of all data.
fn part_of<'d>(data: &'d [u8], frame: &Range<u64>, region: &Range<u64>) -> &'d [u8] {
    let (begin, end) = (region.start.max(frame.start), region.end.min(frame.end));
    data.get((begin - frame.start) as usize..end.saturating_sub(frame.start) as usize).unwrap_or_default()
}

fn lies_in(inner: &Range<u64>, outer: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Bit 1: a region that lies in the frame has a wrong checksum of its own.
const REGION_DAMAGED: u64 = 2;
