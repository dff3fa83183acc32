//! Limits of buffer sizes.

/// Maximum size in bytes of a metadata buffer.
pub const META_MAX: usize = 65_536;

/// Minimum size in bytes of a buffer for reading from or writing to a descriptor. It holds a compressed chunk of any content.
pub const BUFFER_MIN: usize = 69_632;
