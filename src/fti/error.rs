//! Errors of FTI files.

use std::fmt;
use std::io::ErrorKind;

use super::issue::Field;
use crate::error_base::{INTERNAL, IoError, OUT_OF_MEMORY, impl_module_error};
use crate::file_error::impl_from_file_error;

/// Why a call on an FTI file failed. Offsets are in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument is invalid; says which and why.
    InvalidArgument(&'static str),
    /// A system call failed.
    Io(IoError),
    /// The file is not of this format; says why.
    UnknownFormat(&'static str),
    /// The file holds the parity data of FTI's level 3, not a checkpoint.
    ParityFile,
    /// The file is corrupt.
    Corrupt {
        /// The inconsistent field.
        field: Field,
        /// Id of the variable to which the field belongs, if any.
        variable: Option<i32>,
        /// Index of the container within the variable, if any.
        container: Option<i32>,
        /// Offset of the field in the file.
        offset: u64,
    },
    /// The checkpoint has no variable with this id.
    VariableNotFound {
        /// Id that was looked up.
        id: i32,
    },
    /// The container with this index does not exist.
    IndexNotFound {
        /// The index, from 0.
        index: u64,
    },
    /// A variable has another size in the checkpoint.
    VariableSizeMismatch {
        /// Id of the variable.
        id: i32,
        /// Size in the checkpoint in bytes.
        stored: u64,
        /// Size of the protected memory in bytes.
        protected: u64,
    },
    /// The checkpoint has a variable that is not protected.
    VariableNotProtected {
        /// Id of the variable.
        id: i32,
    },
    /// Verification found corruption.
    VerifyFailed {
        /// Number of issues of [`Severity::Corrupt`](super::Severity::Corrupt).
        issues: u64,
    },
    /// Another process changed the file while it was read.
    FileChanged,
    /// Another process is updating the file.
    FileBusy,
    /// A prepared update is neither committed nor rolled back.
    TransactionInDoubt,
    /// A prepared update can't be rolled back, because part of it was applied.
    PartiallyApplied,
    /// A prepared update can't be rolled back, because the file is corrupt: part of it was applied, or it was corrupt before.
    CorruptTarget,
    /// Data would end beyond the largest possible file offset.
    OffsetOverflow {
        /// Size of the data in bytes.
        size: u64,
    },
    /// An allocation failed. The call may be repeated.
    OutOfMemory,
    /// A defect of the library. Please report it.
    Internal,
}

impl_module_error!(Error);
impl_from_file_error!(Error);

impl Error {
    /// Returns the offset in bytes at which reading or writing failed, if any.
    pub fn offset(&self) -> Option<u64> {
        match *self {
            Self::Io(error) => error.offset,
            Self::Corrupt { offset, .. } => Some(offset),
            _ => None,
        }
    }

    pub(crate) fn io_kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => std::io::Error::from(error.errno).kind(),
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::UnknownFormat(_) | Self::ParityFile | Self::Corrupt { .. } | Self::VerifyFailed { .. } => {
                ErrorKind::InvalidData
            }
            Self::VariableNotFound { .. } | Self::IndexNotFound { .. } => ErrorKind::NotFound,
            Self::Internal => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidArgument(message) | Self::UnknownFormat(message) => f.write_str(message),
            Self::Io(error) => error.fmt(f),
            Self::Corrupt { field, variable, container, offset } => {
                f.write_str("corrupt checkpoint: ")?;
                if let Some(id) = variable {
                    write!(f, "variable {id}, ")?;
                }
                if let Some(container) = container {
                    write!(f, "container {container}, ")?;
                }
                write!(f, "{field} at offset {offset} is inconsistent; verify reports the details")
            }
            Self::ParityFile => f.write_str("not an FTI checkpoint: a parity file of FTI's level 3"),
            Self::VariableNotFound { id } => write!(f, "no variable {id} in the checkpoint"),
            Self::IndexNotFound { index } => write!(f, "no entry with index {index} (from 0)"),
            Self::VariableSizeMismatch { id, stored, protected } => {
                write!(f, "variable {id} has {stored} bytes in the checkpoint, but {protected} are protected")
            }
            Self::VariableNotProtected { id } => {
                write!(f, "variable {id} of the checkpoint is not protected; protect all, or recover one by one")
            }
            Self::VerifyFailed { issues } => write!(f, "verification failed: {issues} issues"),
            Self::FileChanged => f.write_str("the file was changed by another process; try again"),
            Self::FileBusy => f.write_str("the file is being updated by another process; try again later"),
            Self::TransactionInDoubt => {
                f.write_str("a prepared update is neither committed nor rolled back; resolve it first (fdckpt_fti_resolve)")
            }
            Self::PartiallyApplied => f.write_str("can't roll back: the update was applied in part; commit it"),
            Self::CorruptTarget => f.write_str("can't roll back: the file is corrupt; commit the update, or remove the file"),
            Self::OffsetOverflow { size } => write!(f, "{size} bytes end beyond the largest file offset"),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::Internal => f.write_str(INTERNAL),
        }
    }
}
