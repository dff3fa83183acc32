//! Scanning the block descriptions. The file stores the layout redundantly: offsets and sizes of containers, and sizes of blocks. So a
//! single corrupt number is found and corrected.

use super::error::Error;
use super::format::{COUNT, Field as FieldLayout, Format, HASH_SIZE, ID, get};
use super::issue::{Field, Issue, Value};
use super::parse::number;
use super::{Block, Checkpoint, Container, FormatVersion, Header};

/// Maximum number of blocks whose container count is corrected. One corrupt number needs one correction; the limit bounds the time for
/// crafted files.
const MAX_RECOUNTS: usize = 16;

/// Position of a block in the file.
#[derive(Clone, Copy)]
struct BlockOffset {
    /// Offset of the description.
    meta: usize,
    /// Offset of the data, in versions whose data comes first; otherwise it follows from the number of containers.
    data: i128,
}

/// Reads block descriptions and checks them against each other.
#[derive(Clone, Copy)]
struct Scanner<'f> {
    file: &'f [u8],
    version: FormatVersion,
    format: &'static Format,
    /// End of the descriptions: the header, or the end of the file.
    limit: usize,
    /// End of the data, as stored in the header.
    data_end: i128,
}

impl<'f> Scanner<'f> {
    fn new(version: FormatVersion, file: &'f [u8], header: &Header) -> Self {
        let format = version.format();
        let fs = usize::try_from(header.fs).unwrap_or(0);
        let (limit, data_end) = if version.is_header_first() {
            (fs.min(file.len()), i128::from(header.fs))
        } else {
            (header.offset as usize, i128::from(header.data_size.unwrap_or_default()))
        };
        Self { file, version, format, limit, data_end }
    }

    /// Returns the maximum number of containers that fit before the limit.
    fn max_count(&self, at: BlockOffset) -> usize {
        self.limit.saturating_sub(at.meta + self.format.block_meta_size) / self.format.container_meta_size
    }

    fn block(&self, at: BlockOffset) -> &'f [u8] {
        &self.file[at.meta..][..self.format.block_meta_size]
    }

    fn container(&self, at: BlockOffset, index: usize) -> &'f [u8] {
        &self.file[at.meta + self.format.block_meta_size + index * self.format.container_meta_size..]
            [..self.format.container_meta_size]
    }

    /// Returns a field of a container. `index` must be less than [`max_count`](Self::max_count).
    fn container_field(&self, at: BlockOffset, index: usize, field: Option<FieldLayout>) -> i128 {
        get(field, self.container(at, index)).into()
    }

    fn count(&self, at: BlockOffset) -> i64 {
        get(COUNT, self.block(at))
    }

    fn db_size(&self, at: BlockOffset) -> i128 {
        get(self.format.db_size, self.block(at)).into()
    }

    fn meta_size(&self, count: usize) -> usize {
        self.format.block_meta_size + count * self.format.container_meta_size
    }

    /// Returns the start of the data of a block of `count` containers.
    fn data_start(&self, at: BlockOffset, count: usize) -> i128 {
        if self.version.is_header_first() { (at.meta + self.meta_size(count)) as i128 } else { at.data }
    }

    /// Returns the end of a block's data, by the block's size.
    fn data_end_of(&self, at: BlockOffset) -> i128 {
        self.db_size(at) + if self.version.is_header_first() { at.meta as i128 } else { at.data }
    }

    /// Returns whether sizes and offsets of the containers and the block's size agree.
    fn is_consistent(&self, at: BlockOffset, count: usize) -> bool {
        let mut next = self.data_start(at, count);
        for index in 0..count {
            let size = self.container_field(at, index, self.format.container_size);
            if self.container_field(at, index, self.format.fptr) != next || size < 0 {
                return false;
            }
            next += size;
        }
        next == self.data_end_of(at)
    }

    /// Finds the number of containers that is consistent with the block and the next one. (The block itself does not determine the
    /// number of containers of size 0 at its end.)
    fn find_count(&self, at: BlockOffset) -> Option<usize> {
        let max = self.max_count(at);
        if self.version.is_header_first() {
            // The offset of the first container determines it.
            let first = (max > 0).then(|| self.container_field(at, 0, self.format.fptr))?;
            let meta = usize::try_from(first).ok()?.checked_sub(at.meta + self.format.block_meta_size)?;
            let count = meta / self.format.container_meta_size;
            let fits = |count| self.is_consistent(at, count) && self.continues(at, count, self.data_end_of(at));
            return (meta % self.format.container_meta_size == 0 && count <= max && fits(count)).then_some(count);
        }
        let mut next = at.data;
        for index in 0..max {
            let size = self.container_field(at, index, self.format.container_size);
            if self.container_field(at, index, self.format.fptr) != next || size < 0 {
                break;
            }
            next += size;
            if next == self.data_end_of(at) && self.continues(at, index + 1, next) {
                return Some(index + 1);
            }
        }
        None
    }

    /// Returns whether the next block is consistent with data of this one that ends at `end`.
    fn continues(&self, at: BlockOffset, count: usize, end: i128) -> bool {
        let Ok(data) = usize::try_from(end) else { return false };
        let next = if self.version.is_header_first() {
            BlockOffset { meta: data, data: 0 }
        } else {
            BlockOffset { meta: at.meta + self.meta_size(count), data: end }
        };
        let is_last = if self.version.is_header_first() { end == self.data_end } else { next.meta == self.limit };
        if is_last {
            return end == self.data_end;
        }
        if next.meta.checked_add(self.meta_size(1)).is_none_or(|end| end > self.limit) {
            return false;
        }
        let count = usize::try_from(self.count(next)).unwrap_or(0).min(self.max_count(next));
        let size = self.container_field(next, 0, self.format.container_size);
        self.container_field(next, 0, self.format.fptr) == self.data_start(next, count)
            && (0..=self.db_size(next)).contains(&size)
            && self.data_end_of(next) <= self.data_end
    }
}

impl Checkpoint<'_> {
    /// Returns the offset of the first description, by the data size or the meta size in the header, whichever fits better.
    pub(super) fn descriptions_start(version: FormatVersion, file: &[u8], header: &Header) -> Option<usize> {
        if version.is_header_first() {
            return (file.len() >= version.format().header_size).then_some(version.format().header_size);
        }
        let end = header.offset as i64 + version.format().header_size as i64;
        let starts = [header.data_size, header.meta_size.and_then(|size| end.checked_sub(size))];
        let starts = starts.map(|start| usize::try_from(start?).ok().filter(|start| *start as u64 <= header.offset));
        // Lowest if the blocks do not end at the header, highest if their sizes add up to the data too. The first of equals wins.
        let rank = |start: &usize| Self::sum_of_blocks(version, file, header, *start).map(|sum| sum == *start as i128);
        starts.into_iter().flatten().rev().max_by_key(rank)
    }

    /// Returns whether the descriptions from `start` end at the header (or the end of the file), according to their container counts.
    pub(super) fn blocks_end_at_header(version: FormatVersion, file: &[u8], header: &Header, start: usize) -> bool {
        Self::sum_of_blocks(version, file, header, start).is_some()
    }

    /// Returns the sum of the sizes of all blocks, if they end at the header (or the end of the file).
    fn sum_of_blocks(version: FormatVersion, file: &[u8], header: &Header, start: usize) -> Option<i128> {
        let scanner = Scanner::new(version, file, header);
        let (mut at, mut sum) = (BlockOffset { meta: start, data: 0 }, 0);
        while at.meta < scanner.limit {
            if scanner.limit - at.meta < scanner.format.block_meta_size {
                return None;
            }
            let count = usize::try_from(scanner.count(at)).ok().filter(|count| *count <= scanner.max_count(at))?;
            let meta = scanner.meta_size(count);
            let step = if version.is_header_first() { scanner.db_size(at) } else { meta as i128 };
            if step < meta as i128 {
                return None;
            }
            sum += scanner.db_size(at);
            at.meta = usize::try_from(at.meta as i128 + step).ok()?;
        }
        // A header at the start may store a size less than its own: then there are no blocks.
        (at.meta == scanner.limit || (version.is_header_first() && at.meta > start)).then_some(sum)
    }

    /// Returns the number of consecutive containers at the start of the first block.
    pub(super) fn count_consecutive_containers(version: FormatVersion, file: &[u8], header: &Header) -> usize {
        let scanner = Scanner::new(version, file, header);
        let Some(meta) = Self::descriptions_start(version, file, header) else { return 0 };
        let at = BlockOffset { meta, data: 0 };
        let mut next = at.data;
        let follows = |&index: &usize| {
            let [fptr, size] =
                [scanner.format.fptr, scanner.format.container_size].map(|field| scanner.container_field(at, index, field));
            let follows = fptr == next && size >= 0;
            next += size;
            follows
        };
        (0..scanner.max_count(at)).take_while(follows).count()
    }

    /// Scans all blocks. Reports corrupt numbers, and continues with the corrected ones.
    pub(super) fn scan_blocks(&mut self) -> Result<(), Error> {
        let (version, header) = (self.version, self.header);
        let mut scanner = Scanner::new(version, self.file, &Header { fs: self.fs, ..header });
        let is_first = version.is_header_first();
        let Some(start) = Self::descriptions_start(version, self.file, &header) else {
            let offset = scanner.format.data_size.map_or(0, |field| field.at as u64);
            return self.push_corrupt(Field::DataSize, header.offset + offset, 0, header.data_size.unwrap_or_default().into());
        };
        if !is_first {
            let meta_size = scanner.limit as i128 + scanner.format.header_size as i128 - start as i128;
            for (field, layout, found, expected) in [
                (Field::DataSize, scanner.format.data_size, header.data_size, start as i128),
                (Field::MetaSize, scanner.format.meta_size, header.meta_size, meta_size),
            ] {
                let (found, offset) = (found.unwrap_or_default(), layout.map_or(0, |layout| layout.at as u64));
                if i128::from(found) != expected {
                    self.push_corrupt(field, header.offset + offset, expected, found.into())?;
                }
            }
            scanner.data_end = start as i128;
        }

        let mut recounts = MAX_RECOUNTS;
        let mut at = BlockOffset { meta: start, data: 0 };
        let end = if is_first { scanner.data_end } else { scanner.limit as i128 };
        while (at.meta as i128) < end {
            if scanner.limit.saturating_sub(at.meta) < scanner.format.block_meta_size {
                // Truncation has been reported already, except for FTI 1.2.
                let field = if is_first { Field::FileSize } else { Field::MetaSize };
                let expected = at.meta as i128 + scanner.format.block_meta_size as i128;
                return self.push_corrupt(field, at.meta as u64, expected, scanner.limit as i128);
            }
            let Some(next) = self.scan_block(&scanner, at, &mut recounts)? else { return Ok(()) };
            at = next;
        }
        if !is_first && at.data != scanner.data_end && i128::from(header.data_size.unwrap_or_default()) == scanner.data_end {
            let offset = header.offset + scanner.format.data_size.map_or(0, |field| field.at as u64);
            self.push_corrupt(Field::DataSize, offset, at.data, scanner.data_end)?;
        }
        Ok(())
    }

    /// Scans a block and returns the offset of the next one, if it can be determined.
    fn scan_block(&mut self, scanner: &Scanner<'_>, at: BlockOffset, recounts: &mut usize) -> Result<Option<BlockOffset>, Error> {
        let stored = scanner.count(at);
        let mut count = usize::try_from(stored).ok().filter(|count| *count <= scanner.max_count(at));
        let is_consistent = count.is_some_and(|count| scanner.is_consistent(at, count));
        let mut end = scanner.data_end_of(at);
        let mut other = None;
        let is_right = is_consistent && count.is_some_and(|count| scanner.continues(at, count, end));
        if !is_right && *recounts > 0 {
            *recounts -= 1;
            other = scanner.find_count(at).filter(|other| Some(*other) != count);
        }
        if let Some(other) = other {
            self.push_corrupt(Field::NumVars, at.meta as u64, other as i128, stored.into())?;
            count = Some(other);
        }
        let Some(count) = count else {
            let limit = Value::AtMost(scanner.max_count(at) as i64);
            self.push_issue(Issue::corrupt(Field::NumVars, at.meta as u64, limit, Value::Number(stored)))?;
            return Ok(None);
        };
        let first = self.containers.len();
        self.containers.try_reserve(count).and(self.blocks.try_reserve(1))?;
        for index in 0..count {
            let offset = (at.meta + scanner.meta_size(index)) as u64;
            self.containers.push(Container::read(scanner.format, scanner.container(at, index), offset));
        }
        let (num_vars, db_size) = (stored as i32, scanner.db_size(at) as i64);
        self.blocks.push(Block { offset: at.meta as u64, num_vars, db_size, containers: first..first + count });
        if !is_consistent && other.is_none() {
            end = self.report_inconsistency(scanner, at, first, count)?;
        }

        if !scanner.version.is_header_first() {
            return Ok(Some(BlockOffset { meta: at.meta + scanner.meta_size(count), data: end }));
        }
        let next = usize::try_from(end).ok().filter(|end| *end >= at.meta + scanner.meta_size(count));
        Ok(next.map(|meta| BlockOffset { meta, data: 0 }))
    }

    /// Reports the numbers of a block that are inconsistent with the others, and returns the end of its data.
    fn report_inconsistency(
        &mut self,
        scanner: &Scanner<'_>,
        at: BlockOffset,
        first: usize,
        count: usize,
    ) -> Result<i128, Error> {
        let (begin, end) = (scanner.data_start(at, count), scanner.data_end_of(at));
        let sum: i128 = (0..count).map(|index| scanner.container_field(at, index, scanner.format.container_size)).sum();
        let by_sizes = begin + sum;
        let continues_by_sizes = scanner.continues(at, count, by_sizes);
        let db_size_at = at.meta as u64 + scanner.format.db_size.map_or(0, |field| field.at as u64);

        // One wrong size shifts all later offsets.
        let mut next = begin;
        let mut differing = None;
        for index in 0..count {
            let fptr = scanner.container_field(at, index, scanner.format.fptr);
            if fptr != next {
                differing = Some(index);
                break;
            }
            next += scanner.container_field(at, index, scanner.format.container_size);
        }
        let suspect = match differing {
            _ if by_sizes == end => None,
            Some(0) => None,
            Some(index) => Some(index - 1),
            None if count > 0 && !continues_by_sizes && scanner.continues(at, count, end) => Some(count - 1),
            None => None,
        };
        if let Some(suspect) = suspect {
            let size = scanner.container_field(at, suspect, scanner.format.container_size);
            let right = size + end - by_sizes;
            let shift = right - size;
            let rest_agrees = {
                let mut next = begin;
                (0..count).all(|index| {
                    let agrees = scanner.container_field(at, index, scanner.format.fptr) == next;
                    next += scanner.container_field(at, index, scanner.format.container_size)
                        + if index == suspect { shift } else { 0 };
                    agrees
                })
            };
            if right >= 0 && rest_agrees {
                self.push_container_issue(first + suspect, Field::ContainerSize, number(right), size)?;
                // The rest is checked against the corrected size.
                self.containers[first + suspect].container_size = right as i64;
                return Ok(end);
            }
        }

        let mut next = begin;
        for index in 0..count {
            let fptr = scanner.container_field(at, index, scanner.format.fptr);
            if fptr != next {
                self.push_container_issue(first + index, Field::Fptr, number(next), fptr)?;
            }
            next += scanner.container_field(at, index, scanner.format.container_size);
        }
        if by_sizes != end {
            self.push_corrupt(Field::DbSize, db_size_at, scanner.db_size(at) + by_sizes - end, scanner.db_size(at))?;
        }
        Ok(if by_sizes != end && !continues_by_sizes && scanner.continues(at, count, end) { end } else { by_sizes })
    }
}

impl Container {
    fn read(format: &Format, bytes: &[u8], offset: u64) -> Self {
        let mut hash = [0; HASH_SIZE];
        hash.copy_from_slice(&bytes[format.hash_offset..][..HASH_SIZE]);
        Self {
            offset,
            id: get(ID, bytes) as i32,
            idx: format.idx.map(|field| field.get(bytes) as i32),
            container_id: get(format.container_id, bytes) as i32,
            has_content: get(format.has_content, bytes) as u8,
            has_ckpt: format.has_ckpt.map(|field| field.get(bytes) as u8),
            dptr: get(format.dptr, bytes),
            fptr: get(format.fptr, bytes),
            chunk_size: get(format.chunk_size, bytes),
            container_size: get(format.container_size, bytes),
            hash,
        }
    }
}
