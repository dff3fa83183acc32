//! The trailer: the last bytes of the file, which locate the metadata.

use super::error::Error;

/// Magic bytes at the end of a container.
pub(super) const MAGIC: &[u8; 4] = b"CKPT";

/// Size of the trailer in bytes: the length of the metadata, and the magic.
pub(super) const TRAILER_SIZE: usize = 8;

/// Splits a file into data and metadata.
pub(super) fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if file.len() < TRAILER_SIZE {
        return Err(Error::UnknownFormat("not a CKPT container: fewer than 8 bytes"));
    }
    let Some((rest, length)) = file.strip_suffix(MAGIC).and_then(|rest| rest.split_last_chunk()) else {
        return Err(Error::UnknownFormat("not a CKPT container: it does not end in \"CKPT\" (truncated?)"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    let data = rest.len().checked_sub(length).ok_or(Error::Corrupt {
        offset: rest.len() as u64,
        reason: "the metadata is larger than the file, according to the trailer",
    })?;
    Ok(rest.split_at(data))
}
