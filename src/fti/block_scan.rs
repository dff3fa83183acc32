//! From block to block. How the containers lie in the file is told several times over (their places, their sizes, the sizes of
//! the blocks), so that one damaged number is found, and can be done without.

use super::error::Error;
use super::format::{COUNT, Field as Place, Format, HASH, ID, get};
use super::issue::{Field, Value};
use super::parse::number;
use super::{Block, Checkpoint, Container, FormatVersion, Header};

/// In so many blocks another number of containers is tried: one damaged number takes one, and a file that is made to have many
/// shall not take long.
const TRIES: usize = 16;

/// A block's description, and where its data should begin: for the generations whose data comes first, else it follows from the
/// number of containers.
#[derive(Clone, Copy)]
struct At {
    meta: usize,
    data: i128,
}

/// What the walk goes through.
#[derive(Clone, Copy)]
struct Way<'f> {
    file: &'f [u8],
    generation: FormatVersion,
    format: &'static Format,
    /// Where descriptions end: at the header, or with the file.
    limit: usize,
    /// Where data ends, as the header has it.
    data_end: i128,
}

impl<'f> Way<'f> {
    fn new(generation: FormatVersion, file: &'f [u8], header: &Header) -> Self {
        let format = generation.format();
        let fs = usize::try_from(header.fs).unwrap_or(0);
        let (limit, data_end) = if generation.is_header_first() {
            (fs.min(file.len()), i128::from(header.fs))
        } else {
            (header.offset as usize, i128::from(header.data_size.unwrap_or_default()))
        };
        Self { file, generation, format, limit, data_end }
    }

    /// How many containers there is room for.
    fn most(&self, at: At) -> usize {
        self.limit.saturating_sub(at.meta + self.format.block) / self.format.container
    }

    fn block(&self, at: At) -> &'f [u8] {
        &self.file[at.meta..][..self.format.block]
    }

    fn container(&self, at: At, index: usize) -> &'f [u8] {
        &self.file[at.meta + self.format.block + index * self.format.container..][..self.format.container]
    }

    /// A number of a container, of which there is room for `index + 1`.
    fn of(&self, at: At, index: usize, field: Option<Place>) -> i128 {
        get(field, self.container(at, index)).into()
    }

    fn count(&self, at: At) -> i64 {
        get(COUNT, self.block(at))
    }

    fn db_size(&self, at: At) -> i128 {
        get(self.format.db_size, self.block(at)).into()
    }

    fn meta_size(&self, count: usize) -> usize {
        self.format.block + count * self.format.container
    }

    /// Where the data of a block of `count` containers begins.
    fn begin(&self, at: At, count: usize) -> i128 {
        if self.generation.is_header_first() { (at.meta + self.meta_size(count)) as i128 } else { at.data }
    }

    /// Where it ends, by the block's size.
    fn end(&self, at: At) -> i128 {
        self.db_size(at) + if self.generation.is_header_first() { at.meta as i128 } else { at.data }
    }

    /// Whether sizes, places and the block's size agree.
    fn agrees(&self, at: At, count: usize) -> bool {
        let mut next = self.begin(at, count);
        for index in 0..count {
            let size = self.of(at, index, self.format.container_size);
            if self.of(at, index, self.format.fptr) != next || size < 0 {
                return false;
            }
            next += size;
        }
        next == self.end(at)
    }

    /// The number of containers that is right: by the block itself, and, as that says nothing of containers of size 0 at its end, by what
    /// comes behind it.
    fn right_count(&self, at: At) -> Option<usize> {
        let most = self.most(at);
        if self.generation.is_header_first() {
            // Where the first container begins tells it.
            let first = (most > 0).then(|| self.of(at, 0, self.format.fptr))?;
            let meta = usize::try_from(first).ok()?.checked_sub(at.meta + self.format.block)?;
            let count = meta / self.format.container;
            let fits = |count| self.agrees(at, count) && self.goes_on(at, count, self.end(at));
            return (meta % self.format.container == 0 && count <= most && fits(count)).then_some(count);
        }
        let mut next = at.data;
        for index in 0..most {
            let size = self.of(at, index, self.format.container_size);
            if self.of(at, index, self.format.fptr) != next || size < 0 {
                break;
            }
            next += size;
            if next == self.end(at) && self.goes_on(at, index + 1, next) {
                return Some(index + 1);
            }
        }
        None
    }

    /// Whether what comes behind a block fits, if its data ends at `end`.
    fn goes_on(&self, at: At, count: usize, end: i128) -> bool {
        let Ok(data) = usize::try_from(end) else { return false };
        let next = if self.generation.is_header_first() {
            At { meta: data, data: 0 }
        } else {
            At { meta: at.meta + self.meta_size(count), data: end }
        };
        let is_last = if self.generation.is_header_first() { end == self.data_end } else { next.meta == self.limit };
        if is_last {
            return end == self.data_end;
        }
        if next.meta.checked_add(self.meta_size(1)).is_none_or(|end| end > self.limit) {
            return false;
        }
        let count = usize::try_from(self.count(next)).unwrap_or(0).min(self.most(next));
        let size = self.of(next, 0, self.format.container_size);
        self.of(next, 0, self.format.fptr) == self.begin(next, count)
            && (0..=self.db_size(next)).contains(&size)
            && self.end(next) <= self.data_end
    }
}

impl Checkpoint<'_> {
    /// Where the descriptions begin: by one number of the header, or by another one if that fits better.
    pub(super) fn walk_start(generation: FormatVersion, file: &[u8], header: &Header) -> Option<usize> {
        if generation.is_header_first() {
            return (file.len() >= generation.format().header).then_some(generation.format().header);
        }
        let end = header.offset as i64 + generation.format().header as i64;
        let places = [header.data_size, header.meta_size.and_then(|size| end.checked_sub(size))];
        let places = places.map(|place| usize::try_from(place?).ok().filter(|place| *place as u64 <= header.offset));
        // Worst where the blocks don't end at the header, best where their sizes are those of the data too; in doubt the first.
        let rank = |place: &usize| Self::sum_of_blocks(generation, file, header, *place).map(|sum| sum == *place as i128);
        places.into_iter().flatten().rev().max_by_key(rank)
    }

    /// Whether descriptions that begin at `start` end where they should, going by the numbers of containers alone.
    pub(super) fn fits(generation: FormatVersion, file: &[u8], header: &Header, start: usize) -> bool {
        Self::sum_of_blocks(generation, file, header, start).is_some()
    }

    /// The sum of the sizes of all blocks, if that is so.
    fn sum_of_blocks(generation: FormatVersion, file: &[u8], header: &Header, start: usize) -> Option<i128> {
        let way = Way::new(generation, file, header);
        let (mut at, mut sum) = (At { meta: start, data: 0 }, 0);
        while at.meta < way.limit {
            if way.limit - at.meta < way.format.block {
                return None;
            }
            let count = usize::try_from(way.count(at)).ok().filter(|count| *count <= way.most(at))?;
            let meta = way.meta_size(count);
            let step = if generation.is_header_first() { way.db_size(at) } else { meta as i128 };
            if step < meta as i128 {
                return None;
            }
            sum += way.db_size(at);
            at.meta = usize::try_from(at.meta as i128 + step).ok()?;
        }
        // Where a header in front says that there is less than itself, nothing was gone through.
        (at.meta == way.limit || (generation.is_header_first() && at.meta > start)).then_some(sum)
    }

    /// How many containers at the begin of the first block follow each other.
    pub(super) fn in_order(generation: FormatVersion, file: &[u8], header: &Header) -> usize {
        let way = Way::new(generation, file, header);
        let Some(meta) = Self::walk_start(generation, file, header) else { return 0 };
        let at = At { meta, data: 0 };
        let mut next = at.data;
        let follows = |&index: &usize| {
            let [fptr, size] = [way.format.fptr, way.format.container_size].map(|field| way.of(at, index, field));
            let follows = fptr == next && size >= 0;
            next += size;
            follows
        };
        (0..way.most(at)).take_while(follows).count()
    }

    /// Goes through all blocks. What is wrong with a number is told, and what it should be is gone by.
    pub(super) fn walk(&mut self) -> Result<(), Error> {
        let (generation, header) = (self.generation, self.header);
        let mut way = Way::new(generation, self.file, &Header { fs: self.fs, ..header });
        let is_first = generation.is_header_first();
        let Some(start) = Self::walk_start(generation, self.file, &header) else {
            let place = way.format.data_size.map_or(0, |field| field.at as u64);
            return self.damage(Field::DataSize, header.offset + place, 0, header.data_size.unwrap_or_default().into());
        };
        if !is_first {
            let meta_size = way.limit as i128 + way.format.header as i128 - start as i128;
            for (field, place, found, expected) in [
                (Field::DataSize, way.format.data_size, header.data_size, start as i128),
                (Field::MetaSize, way.format.meta_size, header.meta_size, meta_size),
            ] {
                let (found, place) = (found.unwrap_or_default(), place.map_or(0, |place| place.at as u64));
                if i128::from(found) != expected {
                    self.damage(field, header.offset + place, expected, found.into())?;
                }
            }
            way.data_end = start as i128;
        }

        let mut tries = TRIES;
        let mut at = At { meta: start, data: 0 };
        let end = if is_first { way.data_end } else { way.limit as i128 };
        while (at.meta as i128) < end {
            if way.limit.saturating_sub(at.meta) < way.format.block {
                // Of a file that is cut off that is told already, but for B.
                let field = if is_first { Field::FileSize } else { Field::MetaSize };
                let expected = at.meta as i128 + way.format.block as i128;
                return self.damage(field, at.meta as u64, expected, way.limit as i128);
            }
            let Some(next) = self.block(&way, at, &mut tries)? else { return Ok(()) };
            at = next;
        }
        if !is_first && at.data != way.data_end && i128::from(header.data_size.unwrap_or_default()) == way.data_end {
            let place = header.offset + way.format.data_size.map_or(0, |field| field.at as u64);
            self.damage(Field::DataSize, place, at.data, way.data_end)?;
        }
        Ok(())
    }

    /// Reads the block that is `at`, and returns where the next one is; nothing where that can't be told.
    fn block(&mut self, way: &Way<'_>, at: At, tries: &mut usize) -> Result<Option<At>, Error> {
        let stored = way.count(at);
        let mut count = usize::try_from(stored).ok().filter(|count| *count <= way.most(at));
        let agrees = count.is_some_and(|count| way.agrees(at, count));
        let mut end = way.end(at);
        let mut other = None;
        let is_right = agrees && count.is_some_and(|count| way.goes_on(at, count, end));
        if !is_right && *tries > 0 {
            *tries -= 1;
            other = way.right_count(at).filter(|other| Some(*other) != count);
        }
        if let Some(other) = other {
            self.damage(Field::NumVars, at.meta as u64, other as i128, stored.into())?;
            count = Some(other);
        }
        let Some(count) = count else {
            let most = Value::AtMost(way.most(at) as i64);
            self.flaw(super::Finding::damage(Field::NumVars, at.meta as u64, most, Value::Number(stored)))?;
            return Ok(None);
        };
        let first = self.containers.len();
        self.containers.try_reserve(count).and(self.blocks.try_reserve(1))?;
        for index in 0..count {
            let offset = (at.meta + way.meta_size(index)) as u64;
            self.containers.push(Container::read(way.format, way.container(at, index), offset));
        }
        let (num_vars, db_size) = (stored as i32, way.db_size(at) as i64);
        self.blocks.push(Block { offset: at.meta as u64, num_vars, db_size, containers: first..first + count });
        if !agrees && other.is_none() {
            end = self.disagreement(way, at, first, count)?;
        }

        if !way.generation.is_header_first() {
            return Ok(Some(At { meta: at.meta + way.meta_size(count), data: end }));
        }
        let next = usize::try_from(end).ok().filter(|end| *end >= at.meta + way.meta_size(count));
        Ok(next.map(|meta| At { meta, data: 0 }))
    }

    /// Tells which numbers of a block do not agree with the others, and returns where its data ends.
    fn disagreement(&mut self, way: &Way<'_>, at: At, first: usize, count: usize) -> Result<i128, Error> {
        let (begin, end) = (way.begin(at, count), way.end(at));
        let sum: i128 = (0..count).map(|index| way.of(at, index, way.format.container_size)).sum();
        let by_sizes = begin + sum;
        let goes_on_by_sizes = way.goes_on(at, count, by_sizes);
        let db_size_at = at.meta as u64 + way.format.db_size.map_or(0, |field| field.at as u64);

        // One size that is wrong moves all that comes behind it.
        let mut next = begin;
        let mut differing = None;
        for index in 0..count {
            let fptr = way.of(at, index, way.format.fptr);
            if fptr != next {
                differing = Some(index);
                break;
            }
            next += way.of(at, index, way.format.container_size);
        }
        let suspect = match differing {
            _ if by_sizes == end => None,
            Some(0) => None,
            Some(index) => Some(index - 1),
            None if count > 0 && !goes_on_by_sizes && way.goes_on(at, count, end) => Some(count - 1),
            None => None,
        };
        if let Some(suspect) = suspect {
            let size = way.of(at, suspect, way.format.container_size);
            let right = size + end - by_sizes;
            let shift = right - size;
            let rest_agrees = {
                let mut next = begin;
                (0..count).all(|index| {
                    let agrees = way.of(at, index, way.format.fptr) == next;
                    next += way.of(at, index, way.format.container_size) + if index == suspect { shift } else { 0 };
                    agrees
                })
            };
            if right >= 0 && rest_agrees {
                self.damage_of(first + suspect, Field::ContainerSize, number(right), size)?;
                // The rest goes by what it should be.
                self.containers[first + suspect].container_size = right as i64;
                return Ok(end);
            }
        }

        let mut next = begin;
        for index in 0..count {
            let fptr = way.of(at, index, way.format.fptr);
            if fptr != next {
                self.damage_of(first + index, Field::Fptr, number(next), fptr)?;
            }
            next += way.of(at, index, way.format.container_size);
        }
        if by_sizes != end {
            self.damage(Field::DbSize, db_size_at, way.db_size(at) + by_sizes - end, way.db_size(at))?;
        }
        Ok(if by_sizes != end && !goes_on_by_sizes && way.goes_on(at, count, end) { end } else { by_sizes })
    }
}

impl Container {
    fn read(format: &Format, bytes: &[u8], offset: u64) -> Self {
        let mut hash = [0; HASH];
        hash.copy_from_slice(&bytes[format.hash..][..HASH]);
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
