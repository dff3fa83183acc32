//! Limits of the sizes of buffers.

/// The largest metadata buffer in bytes.
pub const META_MAX: usize = 65_536;

/// The smallest buffer in bytes for reading from or writing to a descriptor. It holds a compressed chunk of any content.
pub const BUFFER_MIN: usize = 69_632;
