//! Strict verification: finds the differences between a file and its canonical form.

use super::error::Error;
use super::issue::{Issue, IssueKind};
use super::metadata::{Entry, Meta};
use super::trailer::split;

/// Calls `on_issue` for each deviation of `file` from the canonical form. Fails if it can't be parsed.
pub(super) fn verify(file: &[u8], on_issue: &mut dyn FnMut(Issue)) -> Result<(), Error> {
    let (data, text) = split(file)?;
    let size = data.len() as u64;
    let meta = Meta::read(text, size, on_issue)?;
    if meta.version != 1 {
        on_issue(Issue { offset: Some(size), section: None, kind: IssueKind::Version { found: meta.version } });
    }
    let entries = meta.entries.as_deref().unwrap_or_default();
    let mut first_of_type = [None; 256];
    let mut end = 0;
    for (index, entry) in entries.iter().enumerate() {
        let &Entry { offset, length, kind } = entry;
        let range = entry.range(size);
        // The stated offset, if it is in the file.
        let in_file = u64::try_from(offset).ok().filter(|offset| *offset <= size);
        let mut report = |kind| on_issue(Issue { offset: in_file, section: Some(index), kind });
        match first_of_type[usize::from(kind)] {
            Some(first) => report(IssueKind::RepeatedType { kind, first }),
            None => first_of_type[usize::from(kind)] = Some(index),
        }
        if range.is_none() {
            report(IssueKind::OutOfRange { offset, length, size });
        } else if offset != end {
            report(IssueKind::NotAdjacent { expected: end, found: offset });
        }
        end = range.map_or(end, |range| range.end as i64);
    }
    // Overlapping sections have been reported already.
    if (end as u64) < size {
        let kind = IssueKind::TrailingData { bytes: size - end as u64 };
        on_issue(Issue { offset: Some(end as u64), section: None, kind });
    }
    Ok(())
}
