//! Reads regions of checkpoints in bounded memory.

use std::io::{self, Write};

use fdckpt::checkpoint::{self, ReadRequest, Reader};

use crate::error::CliError;
use crate::term::progress::Progress;

/// Memory in bytes for reading regions. A larger frame is read as a whole.
pub const BATCH_SIZE: u64 = 16 << 20;

/// Maximum number of regions read by one call.
pub const BATCH_REGIONS: usize = 4096;

/// Receives the number of a region, some of its data, and whether that is the last.
pub type OnData<'a> = dyn FnMut(usize, &[u8], bool) -> Result<(), CliError> + 'a;

/// Receives the number of a region and why it can't be read.
pub type OnError<'a> = dyn FnMut(usize, checkpoint::Error) -> Result<(), CliError> + 'a;

/// Passes the data of regions to `on_data`. Continues with the next region after one that can't be read.
pub fn for_each_region(
    reader: &Reader<'_>,
    numbers: &[usize],
    on_data: &mut OnData<'_>,
    on_error: &mut OnError<'_>,
) -> Result<(), CliError> {
    let size = |number: usize| reader.region(number).map_or(0, |entry| entry.size());
    let mut rest = numbers;
    while let Some((&first, others)) = rest.split_first() {
        if size(first) > BATCH_SIZE {
            read_large(reader, first, on_data, on_error)?;
            rest = others;
            continue;
        }
        // Small regions share frames, which one call decodes once.
        let (mut count, mut total) = (0, 0);
        while count < rest.len().min(BATCH_REGIONS) && total + size(rest[count]) <= BATCH_SIZE {
            total += size(rest[count]);
            count += 1;
        }
        let (batch, others) = rest.split_at(count);
        rest = others;
        for (number, data) in batch.iter().zip(read_batch(reader, batch)?) {
            match data {
                Ok(data) => on_data(*number, &data, true)?,
                Err(error) => on_error(*number, error)?,
            }
        }
    }
    Ok(())
}

/// Reads several regions that fit into memory together. A damaged region does not affect the others.
pub fn read_batch(reader: &Reader<'_>, numbers: &[usize]) -> Result<Vec<Result<Vec<u8>, checkpoint::Error>>, CliError> {
    let size = |number: &usize| reader.region(*number).map_or(0, |entry| entry.size());
    let buffers: Result<Vec<Vec<u8>>, CliError> = numbers.iter().map(|number| zeroed(size(number))).collect();
    let mut buffers = buffers?;
    let mut requests: Vec<ReadRequest<'_>> =
        numbers.iter().zip(&mut buffers).map(|(&index, data)| ReadRequest { index, data }).collect();
    if reader.read_many(&mut requests).is_ok() {
        return Ok(buffers.into_iter().map(Ok).collect());
    }
    Ok(numbers.iter().map(|number| reader.read_index_to_vec(*number)).collect())
}

/// Passes the data of one region to a writer.
pub fn write_region(reader: &Reader<'_>, number: usize, to: &mut impl Write, progress: &mut Progress) -> Result<(), CliError> {
    for_each_region(
        reader,
        &[number],
        &mut |_, data, _| {
            progress.add(data.len() as u64);
            Ok(to.write_all(data)?)
        },
        &mut |_, error| Err(error.into()),
    )
}

fn read_large(reader: &Reader<'_>, number: usize, on_data: &mut OnData<'_>, on_error: &mut OnError<'_>) -> Result<(), CliError> {
    let Some(entry) = reader.region(number) else { return Ok(()) };
    // Steps of whole frames decode each frame once.
    let frame = entry.frame().and_then(|frame| reader.frame(frame)).map_or(1, |frame| frame.data.max(1));
    let step = (BATCH_SIZE / frame).max(1) * frame;
    let mut buffer = zeroed(step.min(entry.size()))?;
    let mut offset = 0;
    while offset < entry.size() {
        // The first step ends at the end of a frame.
        let skipped = if offset == 0 { entry.frame_offset() % frame } else { 0 };
        let count = (step - skipped).min(entry.size() - offset) as usize;
        if let Err(error) = reader.read_range(number, offset, &mut buffer[..count]) {
            return on_error(number, error);
        }
        offset += count as u64;
        on_data(number, &buffer[..count], offset == entry.size())?;
    }
    Ok(())
}

/// Allocates zeroed memory of a size that a file states.
fn zeroed(size: u64) -> Result<Vec<u8>, CliError> {
    let out_of_memory = || CliError::from(io::Error::from(io::ErrorKind::OutOfMemory));
    let size = usize::try_from(size).map_err(|_| out_of_memory())?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(size).map_err(|_| out_of_memory())?;
    buffer.resize(size, 0);
    Ok(buffer)
}
