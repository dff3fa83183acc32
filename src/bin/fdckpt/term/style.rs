//! Colours. `anstream` removes them when the output is not a terminal or `NO_COLOR` is set.

use std::fmt::{self, Display};

use clap::builder::styling::{AnsiColor, Style};

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const OK: Style = AnsiColor::Green.on_default();
pub const TITLE: Style = Style::new().bold();

/// Displays a value in a style.
pub struct Styled<T>(pub Style, pub T);

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.0.render(), self.1, self.0.render_reset())
    }
}
