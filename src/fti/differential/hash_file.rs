//! The block hashes of a file, saved in a container beside it, so that the first update after a restart can be differential.
//!
//! docs/format/fti-journal.md specifies it.

use std::os::fd::AsFd;

use super::block_hash::{BlockHash, BlockHashes};
use super::state::FileState;
use super::target_file::{self, Sidecar, TargetFile};
use crate::container::Container;
use crate::fti::error::Error;
use crate::fti::layout::Layout;
use crate::sys::lock::FileLock;

/// Types of the container's sections.
const DESCRIPTION: u8 = 130;
const HASHES: u8 = 131;

const MAGIC: [u8; 8] = *b"FDCKHASH";
const VERSION: u8 = 1;

/// Size of the description in bytes. It ends in its checksum.
const DESCRIPTION_SIZE: usize = 80;
const CHECKSUM_OFFSET: usize = 64;

/// Returns the description of hashes that belong to this state of a file.
fn describe(hashes: &BlockHashes, state: &FileState) -> [u8; DESCRIPTION_SIZE] {
    let mut bytes = [0; DESCRIPTION_SIZE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = VERSION;
    bytes[9] = hashes.kind as u8;
    bytes[16..24].copy_from_slice(&(hashes.block_size as u64).to_le_bytes());
    bytes[24..32].copy_from_slice(&state.size.to_le_bytes());
    bytes[32..48].copy_from_slice(&state.hash);
    bytes[48..64].copy_from_slice(&fast_md5::digest(&hashes.bytes));
    let checksum = fast_md5::digest(&bytes[..CHECKSUM_OFFSET]);
    bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum);
    bytes
}

/// Saves the hashes of a file in this state. Returns `None` on failure: the next update then writes more.
///
/// The hashes overwrite those of the previous state and are not synced: the checksum reveals what a crash leaves.
pub(super) fn save(target: &TargetFile, hashes: &BlockHashes, state: &FileState, file: Option<&FileLock>) -> Option<()> {
    let description = describe(hashes, state);
    let mut container = Container::new();
    container.set(DESCRIPTION, &description[..]).ok()?;
    container.set(HASHES, &hashes.bytes[..]).ok()?;
    let bytes = container.serialize().ok()?;
    let file = target.open_or_create(Sidecar::Hashes, file).ok()?;
    target_file::write_at(file.as_fd(), &bytes, 0).ok()?;
    target_file::set_size(file.as_fd(), bytes.len() as u64).ok()
}

/// Loads the saved hashes of a file with this layout and state, for blocks of this hash and size. Returns `None` if they are missing,
/// corrupt, or of another state.
pub(super) fn load(
    target: &TargetFile,
    layout: &Layout,
    state: &FileState,
    (kind, block_size): (BlockHash, usize),
) -> Result<Option<BlockHashes>, Error> {
    let mut hashes = BlockHashes::zeroed(layout, kind, block_size)?;
    let Ok(Some(map)) = target.map_hashes() else { return Ok(None) };
    let is_read = read(map.bytes(), &mut hashes, state);
    Ok(is_read.then_some(hashes))
}

/// Copies the hashes of this state from the container `bytes`. Returns whether they are intact.
fn read(bytes: &[u8], hashes: &mut BlockHashes, state: &FileState) -> bool {
    let Ok(container) = Container::parse(bytes) else { return false };
    let (Ok(description), Ok(stored)) = (container.get(DESCRIPTION), container.get(HASHES)) else { return false };
    if stored.len() != hashes.bytes.len() {
        return false;
    }
    hashes.bytes.copy_from_slice(stored);
    description == describe(hashes, state)
}
