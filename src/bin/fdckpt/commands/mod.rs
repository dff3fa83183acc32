//! The commands. Each returns the exit status.

mod bench;
mod convert;
mod diff;
mod extract;
mod inflate;
mod info;
mod list;
mod man;
mod restore;
mod salvage;
mod save;
mod verify;

use crate::cli::Command;
use crate::error::CliError;

pub fn run(command: Command) -> Result<u8, CliError> {
    match command {
        Command::Info(args) => info::info(&args),
        Command::List(args) => list::list(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Extract(args) => extract::extract(&args),
        Command::Cat(args) => extract::cat(&args),
        Command::Save(args) => save::save(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Inflate(args) => inflate::inflate(&args),
        Command::Salvage(args) => salvage::salvage(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Completions { shell } => man::completions(shell),
        Command::Man { directory } => man::man(directory.as_deref()),
    }
}
