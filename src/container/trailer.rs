//! The trailer: the end of the file, which says where the metadata is.

use super::error::Error;

/// The last bytes of each container.
pub(super) const MAGIC: &[u8; 4] = b"CKPT";

/// Bytes of the trailer: the length of the metadata, and the magic.
pub(super) const TRAILER: usize = 8;

/// Data and metadata of a file.
pub(super) fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if file.len() < TRAILER {
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
