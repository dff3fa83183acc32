//! What a writer knows of the file that it updates.

use super::block_hash::Hashes;
use super::checkpoint::Checkpoint;
use super::error::Error;
use super::journal::Identity;
use super::layout::Layout;
use crate::sys::fd::FileId;

/// A state that the file may be in.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) identity: Identity,
    pub(super) layout: Layout,
    /// Nothing after a restart.
    pub(super) hashes: Option<Hashes>,
    /// The file that was found to be sound after a restart, if it is known which one that is: a copy in the same state may be damaged.
    pub(super) sound: Option<FileId>,
}

/// States that the file may be in, none without an update: the last one; where an update has failed or was prepared, also that which it
/// was to lead to.
#[derive(Debug, Default)]
pub(super) struct Bases(pub(super) [Option<Base>; 2]);

impl Bases {
    /// That of a file that is read.
    pub(super) fn resumed(checkpoint: &Checkpoint<'_>, sound: Option<FileId>) -> Result<Self, Error> {
        let (identity, layout) = (Identity::of(checkpoint.file), Layout::of(checkpoint)?);
        Ok(Self([Some(Base { identity, layout, hashes: None, sound }), None]))
    }

    pub(super) fn take(&mut self, identity: &Identity) -> Option<Base> {
        let found = self.0.iter_mut().find(|base| base.as_ref().is_some_and(|base| base.identity == *identity));
        found.and_then(Option::take)
    }
}
