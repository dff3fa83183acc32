//! The commands, one file each or one for a group.

pub mod bench;
pub mod convert;
pub mod diff;
pub mod extract;
pub mod inflate;
pub mod info;
pub mod man;
pub mod restore;
pub mod resume;
pub mod verify;
