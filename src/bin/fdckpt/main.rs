//! fdckpt: looks into checkpoint files, checks, saves, restores, converts and resumes them.
//!
//! It is written on the public API of the library alone: what it can't do, no other program can. One file per command or group of
//! commands; `cli` is what the command line may be, `kind` tells what a file is, `files` reads and writes, `ui` is what people see.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod detect;
mod format;
mod json;
mod output;
mod term;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use commands::{bench, convert, diff, extract, inflate, info, man, restore, verify};
use term::Trouble;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that goes to a closed pipe is no reason to fail.
            _ = error.print();
            return ExitCode::from(if error.use_stderr() { term::TROUBLE } else { term::GOOD });
        }
    };
    term::QUIET.store(cli.quiet, std::sync::atomic::Ordering::Relaxed);
    if let Err(error) = output::handle_signals() {
        return term::report(&Trouble::from(error));
    }
    let result = run(cli.command);
    output::leave_to_signal();
    match result {
        Ok(status) => ExitCode::from(status),
        Err(trouble) => term::report(&trouble),
    }
}

fn run(command: Command) -> Result<u8, Trouble> {
    match command {
        Command::Info(look) => info::info(&look),
        Command::List(look) => info::list(&look),
        Command::Verify(verify) => verify::verify(&verify),
        Command::Extract(extract) => extract::extract(&extract),
        Command::Cat(cat) => extract::cat(&cat),
        Command::Save(save) => restore::save(&save),
        Command::Restore(restore) => restore::restore(&restore),
        Command::Diff(diff) => diff::diff(&diff),
        Command::Convert(convert) => convert::convert(&convert),
        Command::Inflate(inflate) => inflate::inflate(&inflate),
        Command::Salvage(salvage) => restore::salvage(&salvage),
        Command::Bench(bench) => bench::bench(&bench),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fdckpt", &mut script);
            output::to_stdout(&script)
        }
        Command::Man { folder } => man::man(folder.as_deref()),
    }
}
