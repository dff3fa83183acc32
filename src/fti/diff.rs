//! Comparing two checkpoints.

use super::checkpoint::Checkpoint;

/// A difference between two checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Only the first checkpoint has this variable.
    OnlyInFirst {
        /// The variable's id.
        id: i32,
    },
    /// Only the second checkpoint has this variable.
    OnlyInSecond {
        /// The variable's id.
        id: i32,
    },
    /// The variable's sizes differ.
    Size {
        /// The variable's id.
        id: i32,
        /// Size in bytes in the first checkpoint.
        first: u64,
        /// Size in bytes in the second checkpoint.
        second: u64,
    },
    /// The variable's bytes differ, up to the smaller of its sizes.
    Data {
        /// The variable's id.
        id: i32,
        /// Offset in the variable of the first byte that differs.
        offset: u64,
        /// Number of bytes that differ.
        bytes: u64,
    },
    /// The variable can't be compared, because one of the files lacks part of its data.
    Unreadable {
        /// The variable's id.
        id: i32,
    },
}

/// Compares the variables of two checkpoints of any versions and calls `on_difference` for each difference. Returns their number.
///
/// Hashes are not verified: [`Checkpoint::verify`] does that.
pub fn diff(first: &Checkpoint<'_>, second: &Checkpoint<'_>, on_difference: &mut dyn FnMut(&Difference)) -> u64 {
    let mut count = 0;
    let mut report = |difference: Difference| {
        count += 1;
        on_difference(&difference);
    };
    for variable in &first.variables {
        let id = variable.id;
        let Ok(other) = second.variable(id) else {
            report(Difference::OnlyInFirst { id });
            continue;
        };
        if other.size != variable.size {
            report(Difference::Size { id, first: variable.size, second: other.size });
        }
        match compare_bytes(first, second, id) {
            Some(None) => {}
            Some(Some((offset, bytes))) => report(Difference::Data { id, offset, bytes }),
            None => report(Difference::Unreadable { id }),
        }
    }
    for variable in &second.variables {
        if first.variable(variable.id).is_err() {
            report(Difference::OnlyInSecond { id: variable.id });
        }
    }
    count
}

/// Returns the offset of the first byte that differs and the number of bytes that differ, if any do. `None` if data is missing.
fn compare_bytes(first: &Checkpoint<'_>, second: &Checkpoint<'_>, id: i32) -> Option<Option<(u64, u64)>> {
    let (mut first, mut second) = (VariableBytes::new(first, id), VariableBytes::new(second, id));
    let (mut offset, mut found) = (0u64, None::<(u64, u64)>);
    loop {
        let (one, other) = (first.peek()?, second.peek()?);
        let size = one.len().min(other.len());
        if size == 0 {
            return Some(found);
        }
        let (one, other) = (first.take(size), second.take(size));
        if one != other {
            let mut differing = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
            let index = differing.next().map_or(0, |(index, _)| index as u64);
            let (first, bytes) = found.unwrap_or((offset + index, 0));
            found = Some((first, bytes + 1 + differing.count() as u64));
        }
        offset += size as u64;
    }
}

/// Iterates over the bytes of a variable, chunk by chunk.
struct VariableBytes<'c> {
    checkpoint: &'c Checkpoint<'c>,
    containers: &'c [usize],
    chunk: &'c [u8],
}

impl<'c> VariableBytes<'c> {
    fn new(checkpoint: &'c Checkpoint<'c>, id: i32) -> Self {
        Self { checkpoint, containers: checkpoint.containers_of(id), chunk: &[] }
    }

    /// Returns the next bytes, none at the end; `None` if the file lacks them.
    fn peek(&mut self) -> Option<&'c [u8]> {
        while let Some((&index, rest)) = self.containers.split_first().filter(|_| self.chunk.is_empty()) {
            self.containers = rest;
            let container = &self.checkpoint.containers[index];
            if container.has_chunk() {
                self.chunk = self.checkpoint.chunk(container)?;
            }
        }
        Some(self.chunk)
    }

    /// Consumes bytes that [`peek`](Self::peek) returned.
    fn take(&mut self, size: usize) -> &'c [u8] {
        let (taken, rest) = self.chunk.split_at(size);
        self.chunk = rest;
        taken
    }
}
