//! Terminal output: messages, tables, progress, and how sizes and names are printed.

pub mod escape;
pub mod message;
pub mod progress;
pub mod stdout;
pub mod style;
pub mod table;
pub mod units;
