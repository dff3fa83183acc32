//! Paths given on the command line, and names from files that become paths.

use std::path::{Path, PathBuf};

use crate::term::escape::escape_for_terminal;

/// The file that standard output is connected to.
pub const STDOUT: &str = "/proc/self/fd/1";

/// Whether the path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether the path stands for standard output. If that is a file, it is written from its current position, as `>>`
/// needs, and not replaced.
pub fn is_stdout(path: &Path) -> bool {
    is_dash(path) || ["/dev/stdout", STDOUT, "/dev/fd/1"].iter().any(|stdout| path.as_os_str() == *stdout)
}

/// Whether the path can only be a directory.
pub fn has_trailing_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The path as messages show it.
pub fn display_name(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { escape_for_terminal(&path.to_string_lossy()) }
}

/// The directory of a file.
pub fn parent_directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name as a path below a directory; `None` if it would leave it.
pub fn safe_relative_path(name: &str) -> Option<PathBuf> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    name.split('/').all(is_plain).then(|| name.into())
}
