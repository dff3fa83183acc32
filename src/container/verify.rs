//! The strict mode: whether a file is what this library and the original would write, and where it isn't.

use super::error::Error;
use super::issue::{Issue, IssueKind};
use super::metadata::{Entry, Meta};
use super::trailer::split;

/// Tells `note` all that `file` has which isn't written so. Fails where it can't be read at all.
pub(super) fn verify(file: &[u8], note: &mut dyn FnMut(Issue)) -> Result<(), Error> {
    let (data, text) = split(file)?;
    let size = data.len() as u64;
    let meta = Meta::read(text, size, note)?;
    if meta.version != 1 {
        note(Issue { offset: Some(size), section: None, kind: IssueKind::Version { found: meta.version } });
    }
    let entries = meta.entries.as_deref().unwrap_or_default();
    let mut first_of_type = [None; 256];
    let mut end = 0;
    for (index, entry) in entries.iter().enumerate() {
        let &Entry { offset, length, kind } = entry;
        let range = entry.range(size);
        // Where it is said to be, if that is in the file.
        let place = u64::try_from(offset).ok().filter(|offset| *offset <= size);
        let mut found = |kind| note(Issue { offset: place, section: Some(index), kind });
        match first_of_type[usize::from(kind)] {
            Some(first) => found(IssueKind::RepeatedType { kind, first }),
            None => first_of_type[usize::from(kind)] = Some(index),
        }
        if range.is_none() {
            found(IssueKind::OutOfRange { offset, length, size });
        } else if offset != end {
            found(IssueKind::Place { expected: end, found: offset });
        }
        end = range.map_or(end, |range| range.end as i64);
    }
    // Behind the last one: overlapping ones are told already.
    if (end as u64) < size {
        let kind = IssueKind::DataBehind { bytes: size - end as u64 };
        note(Issue { offset: Some(end as u64), section: None, kind });
    }
    Ok(())
}
