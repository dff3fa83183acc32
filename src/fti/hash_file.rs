//! The hashes of a file's blocks, kept in a container beside it, so that the first update after a restart can be differential.
//!
//! docs/format/fti-journal.md describes it.

use std::os::fd::AsFd;

use super::block_hash::{BlockHash, Hashes};
use super::error::Error;
use super::journal::{self, Beside, Identity, Place};
use super::layout::Layout;
use crate::container::Container;
use crate::sys::lock::FileLock;

/// The types of the container's sections.
const DESCRIPTION: u8 = 130;
const HASHES: u8 = 131;

const MAGIC: [u8; 8] = *b"FDCKHASH";
const VERSION: u8 = 1;

/// Bytes of the description, the last of them its checksum.
const SIZE: usize = 80;
const SUM: usize = 64;

/// What is said of hashes that belong to this state of a file.
fn describe(hashes: &Hashes, identity: &Identity) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = VERSION;
    bytes[9] = hashes.kind as u8;
    bytes[16..24].copy_from_slice(&(hashes.size as u64).to_le_bytes());
    bytes[24..32].copy_from_slice(&identity.size.to_le_bytes());
    bytes[32..48].copy_from_slice(&identity.mark);
    bytes[48..64].copy_from_slice(&fast_md5::digest(&hashes.bytes));
    let sum = fast_md5::digest(&bytes[..SUM]);
    bytes[SUM..].copy_from_slice(&sum);
    bytes
}

/// Keeps the hashes of a file in this state. They are written over those of the last one, and not synced: what a crash makes of them, is
/// noticed. `None` if that failed: then the next update writes more.
pub(super) fn keep(place: &Place, hashes: &Hashes, identity: &Identity, file: Option<&FileLock>) -> Option<()> {
    let description = describe(hashes, identity);
    let mut container = Container::new();
    container.set(DESCRIPTION, &description[..]).ok()?;
    container.set(HASHES, &hashes.bytes[..]).ok()?;
    let bytes = container.serialize().ok()?;
    let file = place.open_or_create(Beside::Hashes, file).ok()?;
    journal::write_at(file.as_fd(), &bytes, 0).ok()?;
    journal::set_size(file.as_fd(), bytes.len() as u64).ok()
}

/// The hashes of the file with this layout and in this state, of blocks of this kind; nothing where they are not there, damaged, or those
/// of another state.
pub(super) fn load(
    place: &Place,
    layout: &Layout,
    identity: &Identity,
    (kind, size): (BlockHash, usize),
) -> Result<Option<Hashes>, Error> {
    let mut hashes = Hashes::empty(layout, kind, size)?;
    let Ok(Some(map)) = place.map_hashes() else { return Ok(None) };
    let read = read(map.bytes(), &mut hashes, identity);
    Ok(read.then_some(hashes))
}

fn read(bytes: &[u8], hashes: &mut Hashes, identity: &Identity) -> bool {
    let Ok(container) = Container::parse(bytes) else { return false };
    let (Ok(description), Ok(stored)) = (container.get(DESCRIPTION), container.get(HASHES)) else { return false };
    if stored.len() != hashes.bytes.len() {
        return false;
    }
    hashes.bytes.copy_from_slice(stored);
    description == describe(hashes, identity)
}
