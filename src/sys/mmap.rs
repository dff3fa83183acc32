//! Memory maps: of files, and anonymous ones for large temporary buffers.
//!
//! A file may change while it is mapped, so maps of files are accessed through [`SharedBytes`] and [`SharedBytesMut`].

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use memmap2::{MmapOptions, MmapRaw};

use super::errno::Errno;
use super::shared_bytes::{SharedBytes, SharedBytesMut};

/// A file that is mapped for reading.
pub(crate) struct Mmap(MmapRaw);

impl Mmap {
    /// Maps a whole file, at its current size.
    pub(crate) fn map_file(file: impl AsFd) -> Result<Self, Errno> {
        let map = MmapOptions::new().map_raw_read_only(file.as_fd().as_raw_fd());
        map.map(Self).map_err(|error| Errno::from_io_error(&error))
    }

    /// Returns the bytes of the file. If another process writes to it, they change; if it is truncated, accessing them
    /// raises SIGBUS.
    pub(crate) fn bytes(&self) -> &[u8] {
        let region = self.region();
        region.get(0, region.size()).unwrap_or_default()
    }

    pub(crate) fn region(&self) -> SharedBytes<'_> {
        // SAFETY: the map is readable, has this length, and lives as long as the borrow. That no other process changes
        // the file is documented as a duty of the caller in the public API.
        unsafe { SharedBytes::from_raw(self.0.as_ptr(), self.0.len() as u64) }
    }
}

/// A file that is mapped for writing.
pub(crate) struct MmapMut(MmapRaw);

impl MmapMut {
    /// Maps a whole file, at its current size.
    pub(crate) fn map_file(file: &File) -> Result<Self, Errno> {
        MmapOptions::new().map_raw(file).map(Self).map_err(|error| Errno::from_io_error(&error))
    }

    pub(crate) fn region(&mut self) -> SharedBytesMut<'_> {
        // SAFETY: the map is writable, has this length, and lives as long as the exclusive borrow.
        unsafe { SharedBytesMut::from_raw(self.0.as_mut_ptr(), self.0.len() as u64) }
    }
}

/// Anonymous memory of the process.
pub(crate) type AnonymousMap = memmap2::MmapMut;

/// Maps `size` zero bytes. Only pages that are written to become resident. `None` if the allocation failed.
pub(crate) fn map_anonymous(size: usize) -> Option<AnonymousMap> {
    let memory = memmap2::MmapMut::map_anon(size).ok()?;
    advise_huge_pages(memory.as_ptr(), memory.len());
    Some(memory)
}

/// Advises the kernel to back memory that is about to be filled with huge pages: faulting it in page by page takes
/// several times as long as copying to it.
pub(crate) fn advise_huge_pages_for(memory: &mut [MaybeUninit<u8>]) {
    advise_huge_pages(memory.as_ptr().cast(), memory.len());
}

fn advise_huge_pages(begin: *const u8, len: usize) {
    const HUGE_PAGE_SIZE: usize = 2 << 20;
    let holds_huge_page = begin.align_offset(HUGE_PAGE_SIZE).checked_add(HUGE_PAGE_SIZE).is_some_and(|end| end <= len);
    if holds_huge_page {
        // SAFETY: sysconf takes no pointers. The advised range lies within the memory (a page is smaller than a huge
        // page), but for the end of its last page, and the advice changes no content anyway.
        unsafe {
            let skipped = begin.align_offset(libc::sysconf(libc::_SC_PAGESIZE) as usize);
            libc::madvise(begin.add(skipped).cast_mut().cast(), len - skipped, libc::MADV_HUGEPAGE);
        }
    }
}
