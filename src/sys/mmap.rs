//! Memory maps: of files, which are only ever read and written through [`SharedBytes`] and [`SharedBytesMut`]: the file may change under
//! them, so nobody gets a slice to keep; and of nothing, for large memory that is needed for a while.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::errno::Errno;
use super::shared_bytes::{SharedBytes, SharedBytesMut};

/// A file mapped into memory for reading.
pub(crate) struct Mmap(MmapRaw);

impl Mmap {
    /// Maps the whole of `file`, as large as it is now.
    pub(crate) fn of(file: impl AsFd) -> Result<Self, Errno> {
        MmapOptions::new().map_raw_read_only(file.as_fd().as_raw_fd()).map(Self).map_err(|error| Errno::of(&error))
    }

    pub(crate) fn region(&self) -> SharedBytes<'_> {
        // SAFETY: the map is as large as it says and lives as long as the borrow.
        unsafe { SharedBytes::from_raw(self.0.as_ptr(), self.0.len() as u64) }
    }

    /// All of it, for files that nobody changes meanwhile.
    pub(crate) fn bytes(&self) -> &[u8] {
        let region = self.region();
        region.get(0, region.size()).unwrap_or_default()
    }
}

/// A file mapped into memory for writing.
pub(crate) struct MmapMut(MmapRaw);

impl MmapMut {
    /// Maps the whole of `file`, as large as it is now.
    pub(crate) fn of(file: &File) -> Result<Self, Errno> {
        MmapOptions::new().map_raw(file).map(Self).map_err(|error| Errno::of(&error))
    }

    pub(crate) fn region(&mut self) -> SharedBytesMut<'_> {
        // SAFETY: the map is writable, as large as it says, and lives as long as the borrow.
        unsafe { SharedBytesMut::from_raw(self.0.as_mut_ptr(), self.0.len() as u64) }
    }
}

pub(crate) type AnonymousMap = memmap2::MmapMut;

/// Memory of the process's own, `size` zero bytes straight from the system: it is there only once it is written to, and gone when this is
/// dropped. `None` where memory is short.
pub(crate) fn map_anonymous(size: usize) -> Option<AnonymousMap> {
    let memory = memmap2::MmapMut::map_anon(size).ok()?;
    // A hint: touching fresh memory page by page takes long.
    _ = memory.advise(Advice::HugePage);
    Some(memory)
}
