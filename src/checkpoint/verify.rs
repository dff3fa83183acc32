//! Verifying a whole file.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ErrorKind;
use super::frame_decoder::FrameDecoder;
use super::index_format::RegionChecksum;
use super::reader::Reader;
use super::region_reader::Verification;
use super::{Error, Progress, checksum};
use crate::alloc::try_collect;
use crate::container::Container;

/// An issue found by verification: a lost region, or non-canonical metadata of the container, which affects no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue<'r> {
    /// Index and name of the lost region. `None` for metadata.
    pub region: Option<(usize, &'r str)>,
    /// Index of its first corrupt frame. `None` if all frames are intact, but the region's checksum is wrong.
    pub frame: Option<usize>,
    /// The reason and the offset.
    pub error: ErrorKind,
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Number of frames.
    pub frames: u64,
    /// Number of corrupt frames.
    pub corrupt_frames: u64,
    /// Number of regions.
    pub regions: u64,
    /// Number of regions of which data is lost.
    pub lost_regions: u64,
    /// Number of issues of the container's metadata: see [`Container::verify`].
    pub container_issues: u64,
    /// Offset in the file of the first issue.
    pub first_offset: Option<u64>,
    /// The file has checksums. Without them, verification only shows that all frames can be decoded.
    pub has_checksums: bool,
}

impl VerifyReport {
    /// Returns whether there are no issues.
    pub fn is_intact(&self) -> bool {
        self.corrupt_frames == 0 && self.lost_regions == 0 && self.container_issues == 0
    }
}

/// State of a frame: bit 0, it is corrupt; bit 1, a region inside it has a wrong checksum.
const INTACT: u64 = 0;
const CORRUPT: u64 = 1;
const HAS_CORRUPT_REGION: u64 = 2;

impl Reader<'_> {
    /// Verifies the whole file on the threads of the options: the checksums of all frames and, after decoding, of all regions, and whether
    /// the container's metadata is canonical. (Opening verified the index.) Checksums are verified even if the options disable that for
    /// reading.
    ///
    /// Calls `on_issue` for each lost region, in order, and for each issue of the metadata.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfMemory`]. Issues are no errors; the report counts them.
    pub fn verify(&self, on_issue: &mut dyn FnMut(Issue<'_>)) -> Result<VerifyReport, Error> {
        self.verify_with(on_issue, None)
    }

    /// Verifies as [`verify`](Self::verify) does. The calling thread calls `observer` with the progress; [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::OutOfMemory`].
    pub fn verify_with(
        &self,
        on_issue: &mut dyn FnMut(Issue<'_>),
        mut observer: Option<&mut dyn FnMut(Progress) -> ControlFlow<()>>,
    ) -> Result<VerifyReport, Error> {
        let in_file = |error: ErrorKind| Error::from(error).in_file(self.file.as_deref());
        let frames = self.frame_count();
        // State of each frame, and checksum of its data.
        let states = (0..frames).map(|_| (AtomicU64::new(INTACT), AtomicU64::new(0)));
        let states = try_collect(states).map_err(|error| in_file(error.into()))?;
        let (data, stored) = (AtomicU64::new(0), AtomicU64::new(0));
        let job = |index: usize, decoder: &mut FrameDecoder| {
            let (size, bytes) = self.verify_frame(index, decoder, &states[index]).map_err(|error| ((), error))?;
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
        let mut report = VerifyReport {
            frames: frames as u64,
            regions: self.len() as u64,
            has_checksums: self.has_checksums(),
            ..VerifyReport::default()
        };
        self.report_lost_regions(&states, &mut report, on_issue).map_err(in_file)?;
        self.verify_container(&mut report, on_issue).map_err(in_file)?;
        Ok(report)
    }

    /// Verifies a frame and sets its state. Returns the sizes of its data and stored bytes.
    fn verify_frame(
        &self,
        index: usize,
        decoder: &mut FrameDecoder,
        (state, sum): &(AtomicU64, AtomicU64),
    ) -> Result<(u64, u64), ErrorKind> {
        let view = self.view();
        let frame = view.frame(index).ok_or(ErrorKind::Internal)?;
        match self.frame_data(index, &frame, Verification::Forced, decoder) {
            Err(error @ (ErrorKind::OutOfMemory | ErrorKind::Internal)) => return Err(error),
            Err(_) => state.store(CORRUPT, Ordering::Relaxed),
            Ok(_) if !self.has_checksums() => {}
            Ok(data) => {
                sum.store(checksum(data), Ordering::Relaxed);
                // Regions inside the frame are verified while its data is available.
                for region in view.regions_in(&frame.data).filter_map(|index| view.region(index)) {
                    let is_inside = lies_in(&region.data, &frame.data);
                    if is_inside && checksum(part_of(data, &frame.data, &region.data)) != region.checksum {
                        state.fetch_or(HAS_CORRUPT_REGION, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok((frame.data.end - frame.data.start, frame.stored.end - frame.stored.start))
    }

    /// Reports each lost region. The states of frames are known; hashing a frame again for each region in it would take quadratic time.
    fn report_lost_regions(
        &self,
        states: &[(u64, u64)],
        report: &mut VerifyReport,
        on_issue: &mut dyn FnMut(Issue<'_>),
    ) -> Result<(), ErrorKind> {
        report.corrupt_frames = states.iter().filter(|(state, _)| state & CORRUPT != 0).count() as u64;
        let view = self.view();
        let mut decoder = FrameDecoder::default();
        // Index and error of the last corrupt frame: it may hold many regions.
        let mut last = (usize::MAX, ErrorKind::Internal);
        for index in 0..self.len() {
            let region = view.region(index).ok_or(ErrorKind::Internal)?;
            let (mut found, mut region_checksum) = (None, RegionChecksum::new());
            for (frame, bounds) in (region.first_frame..).map_while(|frame| Some((frame, view.frame(frame)?))) {
                if region.data.is_empty() || bounds.data.start >= region.data.end {
                    break;
                }
                let (state, sum) = states[frame];
                if state & CORRUPT != 0 {
                    if last.0 != frame {
                        // Decoded again for the reason.
                        let again = self.frame_data(frame, &bounds, Verification::Forced, &mut decoder);
                        last = (frame, again.err().unwrap_or(ErrorKind::Internal));
                    }
                    found = Some((Some(frame), last.1));
                    break;
                }
                region_checksum.add(if lies_in(&bounds.data, &region.data) {
                    sum
                } else if lies_in(&region.data, &bounds.data) && state & HAS_CORRUPT_REGION == 0 {
                    // It was verified with the frame.
                    region.checksum
                } else {
                    // A region in the frame is corrupt; or the region shares frames in a way that this library's writer does not.
                    let data = self.frame_data(frame, &bounds, Verification::Once, &mut decoder)?;
                    checksum(part_of(data, &bounds.data, &region.data))
                });
            }
            if found.is_none() && self.has_checksums() && region_checksum.finish() != region.checksum {
                let offset = view.frame(region.first_frame).map_or(0, |frame| frame.stored.start);
                let reason = "the checksum of the region is wrong, but those of its frames match";
                found = Some((None, ErrorKind::Corrupt { offset, reason }));
            }
            if let Some((frame, error)) = found {
                report.lost_regions += 1;
                report.first_offset = report.first_offset.or(error.offset());
                on_issue(Issue { region: Some((index, region.name)), frame, error });
            }
        }
        Ok(())
    }

    fn verify_container(&self, report: &mut VerifyReport, on_issue: &mut dyn FnMut(Issue<'_>)) -> Result<(), ErrorKind> {
        let container = Container::parse(self.source.bytes())?;
        Ok(container.verify_with(&mut |issue| {
            report.container_issues += 1;
            let offset = issue.offset.unwrap_or(self.layout.end() as u64);
            report.first_offset = report.first_offset.or(Some(offset));
            on_issue(Issue {
                region: None,
                frame: None,
                error: ErrorKind::Corrupt { offset, reason: "the metadata of the container is not canonical" },
            });
        })?)
    }
}

/// Returns the bytes of a frame's data that belong to a region; both are ranges of the concatenated data.
fn part_of<'d>(data: &'d [u8], frame: &Range<u64>, region: &Range<u64>) -> &'d [u8] {
    let (start, end) = (region.start.max(frame.start), region.end.min(frame.end));
    data.get((start - frame.start) as usize..end.saturating_sub(frame.start) as usize).unwrap_or_default()
}

fn lies_in(inner: &Range<u64>, outer: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
