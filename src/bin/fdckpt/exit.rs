//! Exit statuses.

/// Success: intact, identical, done.
pub const OK: u8 = 0;
/// The data is damaged, or differs.
pub const DAMAGED: u8 = 1;
/// The command could not be carried out.
pub const ERROR: u8 = 2;
/// SIGPIPE, as shells report it.
pub const BROKEN_PIPE: u8 = by_signal(13);

/// The status of a program that a signal ended, as shells report it.
pub const fn by_signal(signal: i32) -> u8 {
    128 + signal as u8
}
