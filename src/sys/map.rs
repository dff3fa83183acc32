//! Memory maps: of files, which are only ever read and written through [`Region`] and [`RegionMut`]: the file may change under
//! them, so nobody gets a slice to keep; and of nothing, for large memory that is needed for a while.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};

use super::memory::{Region, RegionMut};

/// A file mapped into memory for reading.
pub(crate) struct Map(MmapRaw);

impl Map {
    /// Maps the whole of `file`, as large as it is now.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        MmapOptions::new().map_raw_read_only(file.as_fd().as_raw_fd()).map(Self)
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: the map is as large as it says and lives as long as the borrow.
        unsafe { Region::from_raw(self.0.as_ptr(), self.0.len() as u64) }
    }
}

/// A file mapped into memory for writing.
pub(crate) struct MapMut(MmapRaw);

impl MapMut {
    /// Maps the whole of `file`, as large as it is now.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        MmapOptions::new().map_raw(file).map(Self)
    }

    pub(crate) fn region(&mut self) -> RegionMut<'_> {
        // SAFETY: the map is writable, as large as it says, and lives as long as the borrow.
        unsafe { RegionMut::from_raw(self.0.as_mut_ptr(), self.0.len() as u64) }
    }
}

pub(crate) type FreshMemory = MmapMut;

/// Memory of the process's own, `size` zero bytes straight from the system: it is there only once it is written to, and gone when this is
/// dropped. `None` where memory is short.
pub(crate) fn fresh_memory(size: usize) -> Option<FreshMemory> {
    let memory = MmapMut::map_anon(size).ok()?;
    // A hint: touching fresh memory page by page takes long.
    _ = memory.advise(Advice::HugePage);
    Some(memory)
}
