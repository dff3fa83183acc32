//! Memory maps of files.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};

/// A file mapped into memory for reading, for [`Restore::mmio`](crate::Restore::mmio).
///
/// Dereferences to the file's bytes. Can be shared between threads, so that each can restore frames of its own.
///
/// While the map lives, nobody may shorten the file or write to it: a process that reads a part of a map that its file no
/// longer has is ended by the system (SIGBUS), and the bytes of a file that is written to are whatever they are at the time.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole of `file`, as large as it is now. An empty file gives an empty map.
    ///
    /// # Errors
    /// Where the system can't map the file: it is a pipe, say, or memory is short.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only. What is left of memmap2's contract (nobody changes the file meanwhile) can be kept
        // by nobody but the user, whom the type's documentation asks for it.
        Ok(Self(unsafe { memmap2::Mmap::map(file) }?))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A file mapped into memory for writing, for [`Checkpt::mmio`](crate::Checkpt::mmio).
///
/// Dereferences to the file's bytes; what is written to them is written to the file in the system's own time.
/// [`Map`]'s rule holds here too: nobody else may shorten the file or write to it while the map lives.
#[derive(Debug)]
pub struct MapMut(memmap2::MmapMut);

impl MapMut {
    /// Maps the whole of `file`, as large as it is now, and which must be open for reading and writing.
    /// [`File::set_len`] gives a file the size that is wanted.
    ///
    /// # Errors
    /// Where the system can't map the file.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: as for Map.
        Ok(Self(unsafe { memmap2::MmapMut::map_mut(file) }?))
    }

    /// Returns when all that was written to the map is in the file and the file on its medium.
    ///
    /// # Errors
    /// Where the system could not write it.
    pub fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Deref for MapMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for MapMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
