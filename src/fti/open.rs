//! Opening a file for reading, after the completion of an interrupted update.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::differential::complete_update;
use super::error::Error;
use crate::atomic_file;
use crate::error_base::IoOperation;
use crate::mapped_file::map_file;
use crate::sys::dir;
use crate::sys::fd::{self, FileId};
use crate::sys::mmap::Mmap;

/// Maps a file for reading, after completing an interrupted update.
pub(crate) fn open(path: &Path) -> Result<Mmap, Error> {
    open_with_id(path).map(|(map, _)| map)
}

/// Maps a file as [`open`] does, and returns its identity too.
pub(crate) fn open_with_id(path: &Path) -> Result<(Mmap, FileId), Error> {
    complete_update(path)?;
    let file = dir::open(&c_path(path)?).map_err(IoOperation::Open.failed())?;
    let id = fd::file_id(file.as_fd()).map_err(IoOperation::Open.failed())?;
    Ok((map_file(file)?, id))
}

/// Converts a path to a C string.
pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    Ok(atomic_file::c_path(path.as_os_str().as_bytes())?)
}
