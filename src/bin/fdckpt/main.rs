//! fdckpt: inspects, verifies, creates, restores and converts checkpoint files.
//!
//! It uses the public API of the library only. `cli` defines the command line, `commands` has one file per command,
//! `format` knows how each format is printed, verified and compared; `detect` finds out the format of a file, and
//! `term` prints.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod detect;
mod error;
mod exit;
mod foreign;
mod format;
mod input;
mod json;
mod output;
mod path;
mod regions;
mod select;
mod signals;
mod term;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use error::CliError;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print().and_then(|()| io::stdout().flush());
            return match printed {
                // Nobody reads the rest of the help.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit::OK),
                Err(error) => ExitCode::from(CliError::from(error).with_context("standard output").print()),
                Ok(()) => ExitCode::from(if error.use_stderr() { exit::ERROR } else { exit::OK }),
            };
        }
    };
    term::message::set_quiet(cli.quiet);
    if let Err(error) = signals::install() {
        return ExitCode::from(CliError::from(error).print());
    }
    let result = commands::run(cli.command);
    signals::exit_by_signal();
    ExitCode::from(result.unwrap_or_else(|error| error.print()))
}
