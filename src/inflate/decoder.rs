//! Decoder of raw Deflate and Deflate64 streams, with input and output in pieces of any size.
//!
//! A stream consists of *elements*: block headers (including LEN or all code lengths), bytes of stored blocks, and
//! symbols. An element is decoded as a whole or not at all. If the input ends inside an element, its bytes so far are
//! *carried* to the next call. So there is no state inside an element, and the position is always a bit offset between
//! two of them.
//!
//! Output goes to the [`Window`] and from there to the caller. If the caller's buffer is large enough and contains the
//! whole history, output is written to it directly and the window is updated at the end of the call.

use super::bit_reader::BitReader;
use super::block_header::{self, BlockKind};
use super::decode::{self, CodeTables, DecodeOutcome, INPUT_MARGIN, OUTPUT_SLACK};
use super::error::{DataError, Error};
use super::huffman::{CodeLengths, DIST_SYMBOLS, LITLEN_SYMBOLS};
use super::progress::{Progress, Status};
use super::window::{HISTORY_SIZE, Window};

/// Maximum number of carried bytes. The longest element is the header of a dynamic block: up to 7 bits before it in the
/// same byte, then 17 + 19 * 3 + 320 * 7 bits.
pub(super) const CARRY_MAX: usize = 320;

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A block header.
    BlockHeader,
    /// This many bytes of a stored block, at least one.
    Stored(u32),
    /// A symbol of a compressed block.
    Symbols,
    /// Nothing: the last block has ended.
    Done,
    /// Nothing: an earlier call failed.
    Failed(Error),
}

/// Position between two elements, with the state of the block that is needed to resume there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResumePoint {
    /// Offset in bits in the stream.
    pub(super) bit_offset: u64,
    /// The bits of the byte at `bit_offset` from that bit on, moved to the lowest bit; 0 at a byte boundary.
    pub(super) partial_byte: u8,
    pub(super) kind: BlockKind,
    pub(super) is_last: bool,
    /// Number of bytes of a stored block not yet copied. If 0, a block header follows, or nothing after the last block.
    pub(super) stored_remaining: u32,
}

/// Which position [`Decoder::resume_point`] returns. An event is a literal, a match, the header of a stored block, or
/// copied bytes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResumeAt {
    /// After the last event, as stored by the unversioned layout of crate deflate64.
    LastEvent,
    /// The same, but the end of a block is also an event, as in layout 0x1001.
    LastEventOrBlockEnd,
    /// The current position.
    Current,
}

/// State from which a decoder resumes: the content of a checkpoint.
pub(super) struct Snapshot<'a> {
    pub(super) point: ResumePoint,
    /// Code lengths of the block, if it is dynamic.
    pub(super) code_lengths: &'a CodeLengths,
    /// Number of bytes of output, read by the caller or not.
    pub(super) bytes_produced: u64,
    /// The last output.
    pub(super) window: &'a [u8],
    /// Number of bytes at the end of `window` that the caller has not read yet.
    pub(super) unread_len: usize,
    /// Consumed bytes of the stream from the first byte boundary at or after `point`.
    pub(super) read_ahead: &'a [u8],
}

pub(super) struct Decoder {
    tables: CodeTables,
    window: Window,
    /// Number of bytes of output so far, read by the caller or not.
    bytes_produced: u64,
    state: State,
    /// Position in the stream in bits.
    bit_offset: u64,
    /// Consumed input from the byte of `bit_offset` on.
    carry: [u8; CARRY_MAX],
    /// Number of valid bytes in `carry`.
    carry_len: usize,
    /// The current block, or the last one that ended.
    block_kind: BlockKind,
    is_last_block: bool,
    code_lengths: CodeLengths,
    /// Position of the first symbol of the block. At that position the block has no event yet.
    first_symbol: u64,
    /// Position of the last event before the current block. `None` at the start of the stream.
    last_event: Option<ResumePoint>,
    /// Code lengths at `last_event`.
    last_event_code_lengths: CodeLengths,
    /// Position before the header of the current block.
    block_start: ResumePoint,
}

const STREAM_START: ResumePoint =
    ResumePoint { bit_offset: 0, partial_byte: 0, kind: BlockKind::Stored, is_last: false, stored_remaining: 0 };

impl Decoder {
    pub(super) fn new(deflate64: bool) -> Self {
        Self {
            tables: CodeTables::new(deflate64),
            window: Window::default(),
            bytes_produced: 0,
            state: State::BlockHeader,
            bit_offset: 0,
            carry: [0; CARRY_MAX],
            carry_len: 0,
            block_kind: BlockKind::Stored,
            is_last_block: false,
            code_lengths: [0; _],
            first_symbol: 0,
            last_event: None,
            last_event_code_lengths: [0; _],
            block_start: STREAM_START,
        }
    }

    /// Returns to the start of a stream. The memory of the window is kept.
    pub(super) fn reset(&mut self) {
        // Cannot fail: an empty window needs no memory.
        _ = self.window.restore(0, &[], 0);
        (self.bytes_produced, self.state, self.bit_offset, self.carry_len) = (0, State::BlockHeader, 0, 0);
        (self.block_kind, self.is_last_block) = (BlockKind::Stored, false);
        (self.last_event, self.block_start) = (None, STREAM_START);
    }

    pub(super) fn deflate64(&self) -> bool {
        self.tables.deflate64()
    }

    /// Number of bytes of the stream consumed, including carried ones.
    pub(super) fn bytes_consumed(&self) -> u64 {
        self.bit_offset / 8 + self.carry_len as u64
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// Number of bytes of output so far, read by the caller or not.
    pub(super) fn bytes_produced(&self) -> u64 {
        self.bytes_produced
    }

    /// Returns the consumed bytes from the first byte boundary at or after the current position.
    pub(super) fn read_ahead(&self) -> &[u8] {
        let partial = usize::from(!self.bit_offset.is_multiple_of(8)).min(self.carry_len);
        &self.carry[partial..self.carry_len]
    }

    /// Decompresses until the input or the space for output is used up, or the stream ends.
    pub(super) fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let start = self.bytes_consumed();
        let mut call = Call {
            input_end: start + input.len() as u64,
            input,
            output,
            produced: 0,
            window_is_stale: false,
            match_does_not_fit: false,
        };
        let skip = (self.bit_offset % 8) as u32;
        let (reader, result) = if 8 * self.carry_len <= 64 + skip as usize {
            let mut reader = BitReader::with_carried(&self.carry[..self.carry_len], skip, input);
            let result = self.decode_elements(&mut reader, &mut call);
            (reader, result)
        } else {
            self.decode_carried_header(&mut call)
        };
        let produced = call.produced;
        if call.window_is_stale {
            self.window.set_history(&call.output[..produced]);
        }

        let bit_offset = call.bit_offset(&reader);
        let end = if result == Ok(Status::NeedsInput) { call.input_end } else { bit_offset.div_ceil(8).max(start) };
        match self.move_to(bit_offset, start, end, input) {
            Ok(()) => Progress { consumed: (end - start) as usize, produced, result },
            Err(error) => {
                self.state = State::Failed(error);
                Progress { consumed: 0, produced, result: Err(error) }
            }
        }
    }

    /// Moves to `bit_offset` and carries the bytes of the stream from there to byte `end`. `input` begins at byte
    /// `start` of the stream.
    fn move_to(&mut self, bit_offset: u64, start: u64, end: u64, input: &[u8]) -> Result<(), Error> {
        let first = bit_offset / 8;
        let old_len = start.saturating_sub(first) as usize;
        let (from, to) = (first.saturating_sub(start) as usize, (end - start) as usize);
        let new = input.get(from..to.max(from)).ok_or(Error::Internal)?;
        let old_from = self.carry_len.checked_sub(old_len).ok_or(Error::Internal)?;
        let carry = self.carry.get_mut(..old_len + new.len()).ok_or(Error::Internal)?;
        carry.copy_within(old_from.min(carry.len()).., 0);
        carry[old_len..].copy_from_slice(new);
        (self.bit_offset, self.carry_len) = (bit_offset, carry.len());
        Ok(())
    }

    /// Decodes the carried block header, which is too long for the bit buffer, then the elements after it. Returns the
    /// reader at the new position.
    fn decode_carried_header<'a>(&mut self, call: &mut Call<'a, '_>) -> (BitReader<'a>, Result<Status, Error>) {
        let mut joined = [0; 2 * CARRY_MAX];
        let (old, new) = joined.split_at_mut(self.carry_len);
        old.copy_from_slice(&self.carry[..self.carry_len]);
        let count = new.len().min(call.input.len());
        new[..count].copy_from_slice(&call.input[..count]);
        let joined = &joined[..self.carry_len + count];

        let carried_bits = 8 * self.carry_len as u32 - (self.bit_offset % 8) as u32;
        let mut joined_reader = BitReader::new(joined);
        _ = joined_reader.read_bits((self.bit_offset % 8) as u32);
        let joined_end = self.bit_offset / 8 + joined.len() as u64;
        let result = match self.state {
            State::BlockHeader => self.read_block_header(&mut joined_reader, joined_end),
            _ => Err(Error::Internal),
        };
        // The header ends in the input, because the carried part was not enough; unless there is an error.
        let bit_offset = joined_end * 8 - joined_reader.remaining_bits();
        let input_bit = bit_offset.saturating_sub(8 * (call.input_end - call.input.len() as u64));
        let mut reader = BitReader::new(call.input.get((input_bit / 8) as usize..).unwrap_or_default());
        _ = reader.read_bits((input_bit % 8) as u32);
        // If nothing was consumed, only the position of the returned reader is used, not its bits.
        let unchanged = BitReader { input: call.input, bits: 0, bit_count: carried_bits };
        match result {
            Ok(true) => {
                let result = self.decode_elements(&mut reader, call);
                (reader, result)
            }
            Ok(false) => (unchanged, Ok(Status::NeedsInput)),
            Err(error) => (unchanged, Err(error)),
        }
    }

    /// Decodes elements until the call ends.
    fn decode_elements<'a>(&mut self, reader: &mut BitReader<'a>, call: &mut Call<'a, '_>) -> Result<Status, Error> {
        loop {
            call.produced += self.window.read(&mut call.output[call.produced..]);
            if self.window.unread_len() > 0 {
                return Ok(Status::NeedsOutput);
            }
            let status = match self.state {
                State::BlockHeader => {
                    if self.read_block_header(reader, call.input_end)? {
                        None
                    } else {
                        Some(Status::NeedsInput)
                    }
                }
                State::Stored(remaining) => self.copy_stored(remaining, reader, call)?,
                State::Symbols => self.decode_symbols(reader, call)?,
                State::Done => Some(Status::Done),
                State::Failed(error) => return Err(error),
            };
            if let Some(status) = status {
                return Ok(status);
            }
        }
    }

    fn fail(&mut self, error: DataError, bit: u64) -> Error {
        let error = Error::Corrupt { error, bit };
        self.state = State::Failed(error);
        error
    }

    /// Reads a block header. Returns false, and consumes nothing, if the input ends inside it, at byte `input_end` of
    /// the stream.
    fn read_block_header(&mut self, reader: &mut BitReader<'_>, input_end: u64) -> Result<bool, Error> {
        let start = input_end * 8 - reader.remaining_bits();
        let mut ahead = *reader;
        let mut code_lengths = [0; LITLEN_SYMBOLS + DIST_SYMBOLS];
        let header = block_header::parse(&mut ahead, start, &mut code_lengths, self.deflate64())
            .map_err(|error| self.fail(error, start))?;
        let Some(header) = header else { return Ok(false) };
        let block_start = ResumePoint {
            bit_offset: start,
            partial_byte: partial_byte(reader, start),
            kind: BlockKind::Stored,
            is_last: self.is_last_block,
            stored_remaining: 0,
        };
        self.state = match header.kind {
            BlockKind::Stored if header.stored_len == 0 => State::BlockHeader,
            BlockKind::Stored => State::Stored(header.stored_len),
            BlockKind::Fixed => {
                self.tables.build_fixed();
                State::Symbols
            }
            BlockKind::Dynamic => {
                self.tables.build(&code_lengths).map_err(|error| self.fail(error, start))?;
                self.code_lengths = code_lengths;
                State::Symbols
            }
        };
        *reader = ahead;
        self.block_start = block_start;
        self.is_last_block = header.is_last;
        self.first_symbol = input_end * 8 - reader.remaining_bits();
        self.block_kind = header.kind;
        if header.kind == BlockKind::Stored && header.stored_len == 0 {
            self.end_stored_block(self.first_symbol);
        }
        Ok(true)
    }

    /// Ends a stored block, which is an event.
    fn end_stored_block(&mut self, bit_offset: u64) {
        self.last_event = Some(ResumePoint {
            bit_offset,
            partial_byte: 0,
            kind: BlockKind::Stored,
            is_last: self.is_last_block,
            stored_remaining: 0,
        });
        self.state = if self.is_last_block { State::Done } else { State::BlockHeader };
    }

    /// Copies bytes of a stored block. Returns a status if the call ends.
    fn copy_stored<'a>(
        &mut self,
        remaining: u32,
        reader: &mut BitReader<'a>,
        call: &mut Call<'a, '_>,
    ) -> Result<Option<Status>, Error> {
        // Give the whole bytes in the bit buffer back to the input.
        let from = call.input.len().checked_sub(reader.input.len() + reader.bit_count as usize / 8).ok_or(Error::Internal)?;
        *reader = BitReader::new(&call.input[from..]);
        let space = call.output.len() - call.produced;
        if space == 0 {
            return Ok(Some(Status::NeedsOutput));
        }
        if reader.input.is_empty() {
            return Ok(Some(Status::NeedsInput));
        }
        let mut count = reader.input.len().min(remaining as usize).min(space);
        if self.start_direct_output(call)? {
            call.output[call.produced..][..count].copy_from_slice(&reader.input[..count]);
            call.produced += count;
        } else {
            self.sync_window(call);
            self.window.reserve_match(self.deflate64())?;
            let (buffer, pos) = self.window.buffer_mut();
            count = count.min(buffer.len() - pos);
            buffer[pos..][..count].copy_from_slice(&reader.input[..count]);
            self.window.advance_to(pos + count);
        }
        self.bytes_produced += count as u64;
        reader.input = &reader.input[count..];
        let remaining = remaining - count as u32;
        self.state = State::Stored(remaining);
        if remaining == 0 {
            self.end_stored_block(call.bit_offset(reader));
        }
        Ok(None)
    }

    /// Decodes symbols of a compressed block. Returns a status if the call ends.
    fn decode_symbols(&mut self, reader: &mut BitReader<'_>, call: &mut Call<'_, '_>) -> Result<Option<Status>, Error> {
        let result;
        if self.start_direct_output(call)? {
            let before = call.produced;
            let limit = call.output.len();
            result = decode_block(&self.tables, reader, call.output, &mut call.produced, limit);
            self.bytes_produced += (call.produced - before) as u64;
            if result == Ok(DecodeOutcome::NeedsOutput) {
                call.match_does_not_fit = true;
            }
        } else {
            self.sync_window(call);
            self.window.reserve_match(self.deflate64())?;
            let (buffer, before) = self.window.buffer_mut();
            let (mut pos, limit) = (before, before + (call.output.len() - call.produced));
            result = decode_block(&self.tables, reader, buffer, &mut pos, limit);
            self.window.advance_to(pos);
            self.bytes_produced += (pos - before) as u64;
            call.produced += self.window.read(&mut call.output[call.produced..]);
        }
        let bit_offset = call.bit_offset(reader);
        let has_unread = self.window.unread_len() > 0;
        match result {
            Ok(DecodeOutcome::EndOfBlock(code_length)) => {
                if bit_offset != self.first_symbol {
                    self.last_event = Some(ResumePoint {
                        bit_offset,
                        partial_byte: partial_byte(reader, bit_offset),
                        kind: self.block_kind,
                        is_last: self.is_last_block,
                        stored_remaining: 0,
                    });
                    self.last_event_code_lengths = self.code_lengths;
                }
                reader.refill();
                reader.consume(code_length);
                self.state = if self.is_last_block { State::Done } else { State::BlockHeader };
                Ok(None)
            }
            Ok(DecodeOutcome::NeedsInput) => Ok(Some(if has_unread { Status::NeedsOutput } else { Status::NeedsInput })),
            Ok(DecodeOutcome::NeedsOutput) if call.produced == call.output.len() => Ok(Some(Status::NeedsOutput)),
            Ok(DecodeOutcome::NeedsOutput | DecodeOutcome::Decoded) => Ok(None),
            // The output before the error is returned first; a later call finds the error again.
            Err(_) if has_unread => Ok(Some(Status::NeedsOutput)),
            Err(error) => Err(self.fail(error, bit_offset)),
        }
    }

    /// Decides whether output is written to the caller's buffer directly: it must contain the whole history and have
    /// enough space. If so, the window is stale from now on.
    fn start_direct_output(&mut self, call: &mut Call<'_, '_>) -> Result<bool, Error> {
        let has_history = call.produced >= HISTORY_SIZE || call.produced as u64 == self.bytes_produced;
        let has_space = call.output.len() - call.produced >= DIRECT_OUTPUT_MIN;
        if !has_history || !has_space || call.match_does_not_fit {
            return Ok(false);
        }
        if !call.window_is_stale {
            self.window.reserve_history(call.output.len())?;
            call.window_is_stale = true;
        }
        Ok(true)
    }

    /// Copies output that was written directly to the window, if it is stale.
    fn sync_window(&mut self, call: &mut Call<'_, '_>) {
        if call.window_is_stale {
            self.window.set_history(&call.output[..call.produced]);
            call.window_is_stale = false;
        }
    }

    /// Returns the position to store in a checkpoint, and the code lengths of the block there if it is dynamic.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if an earlier call failed.
    pub(super) fn resume_point(&self, at: ResumeAt) -> Result<(ResumePoint, &CodeLengths), Error> {
        let bit_offset = self.bit_offset;
        let partial_byte = if bit_offset.is_multiple_of(8) { 0 } else { self.carry[0] >> (bit_offset % 8) };
        let current =
            ResumePoint { bit_offset, partial_byte, kind: BlockKind::Stored, is_last: self.is_last_block, stored_remaining: 0 };
        match self.state {
            State::Failed(_) => Err(Error::Poisoned),
            State::Stored(stored_remaining) => Ok((ResumePoint { stored_remaining, ..current }, &self.code_lengths)),
            State::Symbols if at == ResumeAt::Current || bit_offset != self.first_symbol => {
                Ok((ResumePoint { kind: self.block_kind, ..current }, &self.code_lengths))
            }
            State::Symbols if at == ResumeAt::LastEventOrBlockEnd => Ok((self.block_start, &self.code_lengths)),
            State::BlockHeader | State::Done if at != ResumeAt::LastEvent => Ok((current, &self.code_lengths)),
            // The rules of the unversioned layout define no position once all output was read; the end of the stream is
            // used.
            State::Done if self.window.unread_len() == 0 => Ok((current, &self.code_lengths)),
            State::Symbols | State::BlockHeader | State::Done => {
                Ok((self.last_event.unwrap_or(STREAM_START), &self.last_event_code_lengths))
            }
        }
    }

    /// Resumes from a snapshot, whose fields must be validated except that code lengths and read-ahead may not fit the
    /// block. On failure, nothing has changed.
    pub(super) fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), Error> {
        let ResumePoint { bit_offset, partial_byte, kind, is_last, stored_remaining } = snapshot.point;
        let mut tables = CodeTables::new(self.deflate64());
        if kind == BlockKind::Dynamic {
            tables.build(snapshot.code_lengths).map_err(|_| Error::InvalidCheckpoint("has invalid code lengths"))?;
        }
        let partial_len = usize::from(!bit_offset.is_multiple_of(8));
        let carry_len = partial_len + snapshot.read_ahead.len();
        // Only bytes of an incomplete block header or symbol are read ahead.
        let read_ahead_max = match kind {
            BlockKind::Stored if stored_remaining > 0 || is_last => 0,
            BlockKind::Stored => CARRY_MAX - 1,
            BlockKind::Fixed | BlockKind::Dynamic => 7,
        };
        if snapshot.read_ahead.len() > read_ahead_max {
            return Err(Error::InvalidCheckpoint("has too many bytes of read-ahead"));
        }
        let history_len = snapshot.bytes_produced.min(HISTORY_SIZE as u64) as usize;
        let unknown_len = history_len.saturating_sub(snapshot.window.len());
        self.window.restore(unknown_len, snapshot.window, snapshot.unread_len)?;
        self.bytes_produced = snapshot.bytes_produced;
        self.bit_offset = bit_offset;
        self.carry[0] = partial_byte << (bit_offset % 8);
        self.carry[partial_len..carry_len].copy_from_slice(snapshot.read_ahead);
        self.carry_len = carry_len;
        (self.block_kind, self.is_last_block) = (kind, is_last);
        self.block_start = ResumePoint { kind: BlockKind::Stored, stored_remaining: 0, ..snapshot.point };
        self.last_event = Some(snapshot.point);
        // No position equals this one: at a restored position an event has already happened.
        self.first_symbol = u64::MAX;
        self.state = match kind {
            BlockKind::Stored if stored_remaining > 0 => State::Stored(stored_remaining),
            BlockKind::Stored if is_last => State::Done,
            BlockKind::Stored => State::BlockHeader,
            BlockKind::Fixed => {
                self.tables.build_fixed();
                State::Symbols
            }
            BlockKind::Dynamic => {
                self.tables = tables;
                (self.code_lengths, self.last_event_code_lengths) = (*snapshot.code_lengths, *snapshot.code_lengths);
                State::Symbols
            }
        };
        Ok(())
    }
}

/// Minimum space in the caller's buffer for direct output. With less, copying the history to the window costs more than
/// it saves.
const DIRECT_OUTPUT_MIN: usize = 4096;

/// Buffers and state of one call of [`Decoder::decompress`].
struct Call<'a, 'b> {
    input: &'a [u8],
    /// Offset in bytes in the stream of the end of `input`.
    input_end: u64,
    output: &'b mut [u8],
    /// Number of bytes of `output` written.
    produced: usize,
    /// Whether `output` has bytes that are missing in the window.
    window_is_stale: bool,
    /// Whether the next match is longer than the rest of `output`, so that it must go through the window.
    match_does_not_fit: bool,
}

impl Call<'_, '_> {
    /// Position of `reader` in the stream in bits.
    fn bit_offset(&self, reader: &BitReader<'_>) -> u64 {
        self.input_end * 8 - reader.remaining_bits()
    }
}

/// Returns the loaded bits from `bit_offset` to the end of its byte.
fn partial_byte(reader: &BitReader<'_>, bit_offset: u64) -> u8 {
    (reader.bits & ((1 << ((8 - bit_offset % 8) % 8)) - 1)) as u8
}

/// Decodes symbols to `out[*pos..]` until the block ends or no further symbol can be decoded. Never returns
/// [`DecodeOutcome::Decoded`].
fn decode_block(
    tables: &CodeTables,
    reader: &mut BitReader<'_>,
    out: &mut [u8],
    pos: &mut usize,
    limit: usize,
) -> Result<DecodeOutcome, DataError> {
    loop {
        if *pos < limit && reader.input.len() >= INPUT_MARGIN && out.len() - *pos > OUTPUT_SLACK {
            *pos = decode::decode_fast(tables, reader, out, *pos, limit);
        }
        let outcome = decode::decode_symbol(tables, reader, out, pos, limit)?;
        if outcome != DecodeOutcome::Decoded {
            return Ok(outcome);
        }
    }
}
