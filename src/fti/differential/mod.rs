//! Differential checkpoints: updates of a file that write only the blocks that changed, and survive a crash.
//!
//! `update` runs an update step by step; `block_hash` finds the changed blocks; `state` is what a writer knows of a file between
//! updates; `hash_file` saves the block hashes for the next process; `journal` is the format of the journal; `target_file` opens and
//! locks the file and its journal, and completes or rolls back an update.
//! docs/format/fti-journal.md specifies both sidecar files and the order of writes and syncs.

mod block_hash;
mod hash_file;
mod journal;
pub(super) mod state;
mod target_file;
mod update;

pub use block_hash::BlockHash;
#[cfg(fuzzing)]
pub use journal::fuzz_journal;
pub use update::{PendingUpdate, Resolution, UpdateMode, UpdateOptions, UpdateStats, complete_update, pending_update, resolve};
