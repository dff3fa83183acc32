//! The engine: raw Deflate and Deflate64, in pieces of any size.
//!
//! A stream is a run of *elements*: block headers (with all code lengths), the lengths and the bytes of stored blocks, and symbols. An
//! element is decoded whole or not at all. Where the input ends inside of one, its bytes so far are *carried* over to the next call; so
//! there is no state of half an element, and the position is always a bit between two of them.
//!
//! Output goes into the [`Window`], and from there to the caller. Where there is much room, and the caller's buffer has all the history
//! that matches can refer to, it goes there directly.

use super::bit_reader::Bits;
use super::block_header::{self, Block, BlockKind};
use super::decode::{self, MARGIN, SLACK, Step, Tables};
use super::error::{DataError, Error};
use super::huffman::{DISTANCES, LITERALS, Lengths};
use super::progress::{Progress, Status};
use super::window::{HISTORY, Window};

/// Bytes of an unfinished element: the longest is a dynamic block's header, 17 bits, 19 times 3 and 320 times 7, and the bits before.
pub(super) const CARRY_MAX: usize = 320;

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A block's header.
    Header,
    /// So many bytes of a stored block, at least one.
    Stored(u32),
    /// A symbol of a compressed block.
    Codes,
    /// Nothing: the last block has ended.
    Done,
    /// Nothing: there was an error.
    Failed(Error),
}

/// A position between two elements, with what is needed to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How many bits of the stream are before it.
    pub(super) bit: u64,
    /// The bits of the byte in which it lies that are not before it, as a number; 0 where a byte begins.
    pub(super) rest: u8,
    pub(super) kind: BlockKind,
    pub(super) last: bool,
    /// Of a stored block, how many bytes of it are to come. 0: a block's header is next, or nothing if it was the last block.
    pub(super) stored: u32,
}

/// Which of the positions that there are to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// That after the last event, as the blob without version has it: a symbol, a stored block's lengths or bytes.
    Event,
    /// The same, but the end of a block is an event too, as the blob 0x1001 has it.
    EventOrEnd,
    /// Where the decoder is.
    Here,
}

pub(super) struct Engine {
    tables: Tables,
    window: Window,
    /// All output so far.
    written: u64,
    state: State,
    /// The position in the stream.
    bit: u64,
    /// The bytes from that in which `bit` lies on that were taken from the caller already.
    carry: [u8; CARRY_MAX],
    carried: usize,
    /// The block that `state` is about, or the one that ended.
    kind: BlockKind,
    last: bool,
    lengths: Lengths,
    /// Where the block's first symbol is: there, its first event is still to come.
    first_symbol: u64,
    /// The last event before this block, and the code lengths that held then; none at the start.
    event: Option<Place>,
    event_lengths: Lengths,
    /// Where the block's header is.
    header: Place,
}

const START: Place = Place { bit: 0, rest: 0, kind: BlockKind::Stored, last: false, stored: 0 };

impl Engine {
    pub(super) fn new(deflate64: bool) -> Self {
        Self {
            tables: Tables::new(deflate64),
            window: Window::default(),
            written: 0,
            state: State::Header,
            bit: 0,
            carry: [0; CARRY_MAX],
            carried: 0,
            kind: BlockKind::Stored,
            last: false,
            lengths: [0; _],
            first_symbol: 0,
            event: None,
            event_lengths: [0; _],
            header: START,
        }
    }

    /// Back to the start of a stream. The memory of the window stays.
    pub(super) fn reset(&mut self) {
        // Can't fail: nothing is to be kept.
        _ = self.window.restore(0, &[], 0);
        (self.written, self.state, self.bit, self.carried) = (0, State::Header, 0, 0);
        (self.kind, self.last, self.event, self.header) = (BlockKind::Stored, false, None, START);
    }

    pub(super) fn deflate64(&self) -> bool {
        self.tables.deflate64()
    }

    /// How many bytes of the stream were taken from the caller.
    pub(super) fn taken(&self) -> u64 {
        self.bit / 8 + self.carried as u64
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The bytes that were taken from the caller beyond the byte boundary after [`At::Here`].
    pub(super) fn ahead(&self) -> &[u8] {
        let partial = usize::from(!self.bit.is_multiple_of(8)).min(self.carried);
        &self.carry[partial..self.carried]
    }

    /// Takes input and gives output, as far as both go.
    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let begin = self.taken();
        let mut pass = Pass { end: begin + input.len() as u64, input, output, produced: 0, behind: false, no_direct: false };
        let skip = (self.bit % 8) as u32;
        let (bits, result) = if 8 * self.carried <= 64 + skip as usize {
            let mut bits = Bits::after(&self.carry[..self.carried], skip, input);
            let result = self.elements(&mut bits, &mut pass);
            (bits, result)
        } else {
            self.finish_header(&mut pass)
        };
        let produced = pass.produced;
        if pass.behind {
            self.window.replace(&pass.output[..produced]);
        }

        let place = pass.end * 8 - bits.left();
        let taken = if result == Ok(Status::NeedsInput) { pass.end } else { place.div_ceil(8).max(begin) };
        match self.keep(place, begin, taken, input) {
            Ok(()) => Progress { consumed: (taken - begin) as usize, produced, result },
            Err(error) => {
                self.state = State::Failed(error);
                Progress { consumed: 0, produced, result: Err(error) }
            }
        }
    }

    /// Moves to the position `bit`, and carries the bytes from there to `taken`. The input's first byte is the stream's byte `begin`.
    fn keep(&mut self, bit: u64, begin: u64, taken: u64, input: &[u8]) -> Result<(), Error> {
        let first = bit / 8;
        let old = begin.saturating_sub(first) as usize;
        let (from, to) = (first.saturating_sub(begin) as usize, (taken - begin) as usize);
        let new = input.get(from..to.max(from)).ok_or(Error::Internal)?;
        let old_from = self.carried.checked_sub(old).ok_or(Error::Internal)?;
        let place = self.carry.get_mut(..old + new.len()).ok_or(Error::Internal)?;
        place.copy_within(old_from.min(place.len()).., 0);
        place[old..].copy_from_slice(new);
        (self.bit, self.carried) = (bit, place.len());
        Ok(())
    }

    /// With the header of which a part is carried, and which is too long to be loaded at once.
    fn finish_header<'a>(&mut self, pass: &mut Pass<'a, '_>) -> (Bits<'a>, Result<Status, Error>) {
        let mut joined = [0; 2 * CARRY_MAX];
        let (old, new) = joined.split_at_mut(self.carried);
        old.copy_from_slice(&self.carry[..self.carried]);
        let count = new.len().min(pass.input.len());
        new[..count].copy_from_slice(&pass.input[..count]);
        let joined = &joined[..self.carried + count];

        let carried = 8 * self.carried as u32 - (self.bit % 8) as u32;
        let mut bits = Bits::new(joined);
        _ = bits.take((self.bit % 8) as u32);
        let end = self.bit / 8 + joined.len() as u64;
        let result = match self.state {
            State::Header => self.block_header(&mut bits, end),
            _ => Err(Error::Internal),
        };
        // The same position in the input alone. It lies there, since what was carried was not enough; but for errors.
        let place = end * 8 - bits.left();
        let into = place.saturating_sub(8 * (pass.end - pass.input.len() as u64));
        let mut bits = Bits::new(pass.input.get((into / 8) as usize..).unwrap_or_default());
        _ = bits.take((into % 8) as u32);
        match result {
            Ok(true) => {
                let result = self.elements(&mut bits, pass);
                (bits, result)
            }
            // Nothing was taken; what counts is the position alone.
            Ok(false) => (Bits { rest: pass.input, bits: 0, count: carried }, Ok(Status::NeedsInput)),
            Err(error) => (Bits { rest: pass.input, bits: 0, count: carried }, Err(error)),
        }
    }

    /// Goes from element to element.
    fn elements<'a>(&mut self, bits: &mut Bits<'a>, pass: &mut Pass<'a, '_>) -> Result<Status, Error> {
        loop {
            pass.produced += self.window.drain(&mut pass.output[pass.produced..]);
            if self.window.unread() > 0 {
                return Ok(Status::NeedsOutput);
            }
            let paused = match self.state {
                State::Header => {
                    if self.block_header(bits, pass.end)? {
                        None
                    } else {
                        Some(Status::NeedsInput)
                    }
                }
                State::Stored(left) => self.stored(left, bits, pass)?,
                State::Codes => self.codes(bits, pass)?,
                State::Done => Some(Status::Done),
                State::Failed(error) => return Err(error),
            };
            if let Some(status) = paused {
                return Ok(status);
            }
        }
    }

    fn fail(&mut self, fault: DataError, bit: u64) -> Error {
        let error = Error::Corrupt { error: fault, bit };
        self.state = State::Failed(error);
        error
    }

    /// Takes a block's header, if all of it is there: true.
    fn block_header(&mut self, bits: &mut Bits<'_>, end: u64) -> Result<bool, Error> {
        let place = end * 8 - bits.left();
        let mut ahead = *bits;
        let mut lengths = [0; LITERALS + DISTANCES];
        let header =
            block_header::parse(&mut ahead, place, &mut lengths, self.deflate64()).map_err(|fault| self.fail(fault, place))?;
        let Some((last, block)) = header else { return Ok(false) };
        let before = Place { bit: place, rest: rest_of_byte(bits, place), kind: BlockKind::Stored, last: self.last, stored: 0 };
        self.state = match block {
            Block::Stored(0) => State::Header,
            Block::Stored(size) => State::Stored(size),
            Block::Fixed => {
                self.tables.build_fixed();
                State::Codes
            }
            Block::Dynamic => {
                self.tables.build(&lengths).map_err(|fault| self.fail(fault, place))?;
                self.lengths = lengths;
                State::Codes
            }
        };
        *bits = ahead;
        self.header = before;
        self.last = last;
        self.first_symbol = end * 8 - bits.left();
        self.kind = match block {
            Block::Stored(_) => BlockKind::Stored,
            Block::Fixed => BlockKind::Fixed,
            Block::Dynamic => BlockKind::Dynamic,
        };
        if block == Block::Stored(0) {
            self.end_stored(self.first_symbol);
        }
        Ok(true)
    }

    /// A stored block has ended, which is an event.
    fn end_stored(&mut self, bit: u64) {
        self.event = Some(Place { bit, rest: 0, kind: BlockKind::Stored, last: self.last, stored: 0 });
        self.state = if self.last { State::Done } else { State::Header };
    }

    fn stored<'a>(&mut self, left: u32, bits: &mut Bits<'a>, pass: &mut Pass<'a, '_>) -> Result<Option<Status>, Error> {
        // Whole bytes were loaded ahead: they are input again.
        let from = pass.input.len().checked_sub(bits.rest.len() + bits.count as usize / 8).ok_or(Error::Internal)?;
        *bits = Bits::new(&pass.input[from..]);
        let space = pass.output.len() - pass.produced;
        if space == 0 {
            return Ok(Some(Status::NeedsOutput));
        }
        if bits.rest.is_empty() {
            return Ok(Some(Status::NeedsInput));
        }
        let mut count = bits.rest.len().min(left as usize).min(space);
        if self.may_write_directly(pass)? {
            pass.output[pass.produced..][..count].copy_from_slice(&bits.rest[..count]);
            pass.produced += count;
        } else {
            self.catch_up(pass);
            self.window.make_room(self.deflate64())?;
            let (memory, at) = self.window.room();
            count = count.min(memory.len() - at);
            memory[at..][..count].copy_from_slice(&bits.rest[..count]);
            self.window.advance(at + count);
        }
        self.written += count as u64;
        bits.rest = &bits.rest[count..];
        let left = left - count as u32;
        self.state = State::Stored(left);
        if left == 0 {
            self.end_stored(pass.end * 8 - bits.left());
        }
        Ok(None)
    }

    fn codes(&mut self, bits: &mut Bits<'_>, pass: &mut Pass<'_, '_>) -> Result<Option<Status>, Error> {
        let result;
        if self.may_write_directly(pass)? {
            let before = pass.produced;
            let limit = pass.output.len();
            result = codes(&self.tables, bits, pass.output, &mut pass.produced, limit);
            self.written += (pass.produced - before) as u64;
            if result == Ok(Step::NeedsRoom) {
                pass.no_direct = true;
            }
        } else {
            self.catch_up(pass);
            self.window.make_room(self.deflate64())?;
            let (memory, before) = self.window.room();
            let (mut at, limit) = (before, before + (pass.output.len() - pass.produced));
            result = codes(&self.tables, bits, memory, &mut at, limit);
            self.window.advance(at);
            self.written += (at - before) as u64;
            pass.produced += self.window.drain(&mut pass.output[pass.produced..]);
        }
        let bit = pass.end * 8 - bits.left();
        match result {
            Ok(Step::EndOfBlock(width)) => {
                if bit != self.first_symbol {
                    let (kind, last) = (self.kind, self.last);
                    self.event = Some(Place { bit, rest: rest_of_byte(bits, bit), kind, last, stored: 0 });
                    self.event_lengths = self.lengths;
                }
                bits.refill();
                bits.drop(width);
                self.state = if self.last { State::Done } else { State::Header };
                Ok(None)
            }
            Ok(Step::NeedsInput) => Ok(Some(if self.window.unread() > 0 { Status::NeedsOutput } else { Status::NeedsInput })),
            Ok(Step::NeedsRoom) if pass.produced == pass.output.len() => Ok(Some(Status::NeedsOutput)),
            Ok(Step::NeedsRoom | Step::Done) => Ok(None),
            // First what came before it is returned; then it is found again.
            Err(_) if self.window.unread() > 0 => Ok(Some(Status::NeedsOutput)),
            Err(fault) => Err(self.fail(fault, bit)),
        }
    }

    /// Whether the caller's buffer has all the history, and enough room. If so, the window is behind from now on.
    fn may_write_directly(&mut self, pass: &mut Pass<'_, '_>) -> Result<bool, Error> {
        let complete = pass.produced >= HISTORY || pass.produced as u64 == self.written;
        let worthwhile = pass.output.len() - pass.produced >= DIRECT_MIN;
        if !complete || !worthwhile || pass.no_direct {
            return Ok(false);
        }
        if !pass.behind {
            self.window.reserve(pass.output.len())?;
            pass.behind = true;
        }
        Ok(true)
    }

    /// Gives the window what was written directly.
    fn catch_up(&mut self, pass: &mut Pass<'_, '_>) {
        if pass.behind {
            self.window.replace(&pass.output[..pass.produced]);
            pass.behind = false;
        }
    }

    /// The position to store in a checkpoint, with its code lengths if it is in a dynamic block. After an error there is none.
    pub(super) fn place(&self, at: At) -> Result<(Place, &Lengths), Error> {
        let rest = if self.bit.is_multiple_of(8) { 0 } else { self.carry[0] >> (self.bit % 8) };
        let here = Place { bit: self.bit, rest, kind: BlockKind::Stored, last: self.last, stored: 0 };
        match self.state {
            State::Failed(_) => Err(Error::Poisoned),
            State::Stored(stored) => Ok((Place { stored, ..here }, &self.lengths)),
            State::Codes if at == At::Here || self.bit != self.first_symbol => {
                Ok((Place { kind: self.kind, ..here }, &self.lengths))
            }
            State::Codes if at == At::EventOrEnd => Ok((self.header, &self.lengths)),
            // The end, if everything was returned: the blob's rules have nothing for it.
            State::Header | State::Done if at != At::Event || (self.state == State::Done && self.window.unread() == 0) => {
                Ok((here, &self.lengths))
            }
            State::Codes | State::Header | State::Done => Ok((self.event.unwrap_or(START), &self.event_lengths)),
        }
    }

    /// Goes on from a position, which must be sound: `lengths` are those of a dynamic block, `kept` is the last output, of which the last
    /// `unread` bytes were not returned, `ahead` are the bytes of the stream from that after the position on that were taken already.
    /// If it fails, nothing has changed.
    pub(super) fn restore(&mut self, from: &Snapshot<'_>) -> Result<(), Error> {
        let Place { bit, rest, kind, last, stored } = from.place;
        let mut tables = Tables::new(self.deflate64());
        if kind == BlockKind::Dynamic {
            tables.build(from.lengths).map_err(|_| Error::InvalidCheckpoint("has invalid code lengths"))?;
        }
        let partial = usize::from(!bit.is_multiple_of(8));
        let carried = partial + from.ahead.len();
        // As much as an unfinished header or symbol has; nothing of what is not decoded is ever read ahead.
        let most = match kind {
            BlockKind::Stored if stored > 0 || last => 0,
            BlockKind::Stored => CARRY_MAX - 1,
            BlockKind::Fixed | BlockKind::Dynamic => 7,
        };
        if from.ahead.len() > most {
            return Err(Error::InvalidCheckpoint("has too many bytes of read-ahead"));
        }
        let history = from.written.min(HISTORY as u64) as usize;
        self.window.restore(history.saturating_sub(from.kept.len()), from.kept, from.unread)?;
        self.written = from.written;
        self.bit = bit;
        self.carry[0] = rest << (bit % 8);
        self.carry[partial..carried].copy_from_slice(from.ahead);
        self.carried = carried;
        (self.kind, self.last) = (kind, last);
        self.header = Place { kind: BlockKind::Stored, stored: 0, ..from.place };
        self.event = Some(from.place);
        // No position is this one: an event has been.
        self.first_symbol = u64::MAX;
        self.state = match kind {
            BlockKind::Stored if stored > 0 => State::Stored(stored),
            BlockKind::Stored if last => State::Done,
            BlockKind::Stored => State::Header,
            BlockKind::Fixed => {
                self.tables.build_fixed();
                State::Codes
            }
            BlockKind::Dynamic => {
                self.tables = tables;
                (self.lengths, self.event_lengths) = (*from.lengths, *from.lengths);
                State::Codes
            }
        };
        Ok(())
    }
}

/// A checkpoint's content.
pub(super) struct Snapshot<'a> {
    pub(super) place: Place,
    pub(super) lengths: &'a Lengths,
    pub(super) written: u64,
    pub(super) kept: &'a [u8],
    pub(super) unread: usize,
    pub(super) ahead: &'a [u8],
}

/// With less room than this, it is not worth the while to write directly.
const DIRECT_MIN: usize = 4096;

/// One call.
struct Pass<'a, 'b> {
    input: &'a [u8],
    /// The position in the stream of the input's end.
    end: u64,
    output: &'b mut [u8],
    produced: usize,
    /// Whether there is output that the window does not have.
    behind: bool,
    /// The next match is longer than the rest of the caller's buffer.
    no_direct: bool,
}

/// The bits from `bit` to the end of its byte, which have been loaded.
fn rest_of_byte(bits: &Bits<'_>, bit: u64) -> u8 {
    (bits.bits & ((1 << ((8 - bit % 8) % 8)) - 1)) as u8
}

/// Decodes symbols until one can't be, or the block ends.
fn codes(tables: &Tables, bits: &mut Bits<'_>, out: &mut [u8], at: &mut usize, limit: usize) -> Result<Step, DataError> {
    loop {
        if *at < limit && bits.rest.len() >= MARGIN && out.len() - *at > SLACK {
            *at = decode::run(tables, bits, out, *at, limit);
        }
        let step = decode::step(tables, bits, out, at, limit)?;
        if step != Step::Done {
            return Ok(step);
        }
    }
}
