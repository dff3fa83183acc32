//! `fdckpt man` and `fdckpt completions`, generated from the definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::term::stdout::write_stdout;

/// Renders a page. Unlike clap_mangen, examples are not filled as text.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let extra = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let name = command.get_name().to_owned();
    let has_commands = command.has_subcommands();
    let version = format!("fdckpt {}", env!("CARGO_PKG_VERSION"));
    // No date, so that builds are reproducible.
    let man = clap_mangen::Man::new(command).date("").source(version).manual("libfdckpt");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut is_filled = true;
    for line in extra.lines() {
        let text = line.replace('\\', "\\e").replace('-', "\\-");
        let is_list = line.starts_with(' ');
        match line {
            "Examples:" => writeln!(page, ".SH EXAMPLES")?,
            "Exit status:" => writeln!(page, ".SH EXIT STATUS")?,
            "" => writeln!(page, "{}", if is_filled { ".PP" } else { ".fi\n.PP" })?,
            _ if is_list && is_filled => writeln!(page, ".nf\n{text}")?,
            _ => writeln!(page, "{text}")?,
        }
        is_filled = !is_list;
    }
    if !is_filled {
        writeln!(page, ".fi")?;
    }
    writeln!(
        page,
        ".SH SEE ALSO\n{}",
        if name == "fdckpt" { "The file docs/cli.md has examples and describes the JSON output." } else { "fdckpt(1)" }
    )?;
    Ok(page)
}

/// Prints the page of the program, or writes the pages of all commands to a directory.
pub fn man(directory: Option<&Path>) -> Result<u8, CliError> {
    let command = Cli::command();
    let Some(directory) = directory else {
        write_stdout(&page(command)?)?;
        return Ok(exit::OK);
    };
    fs::create_dir_all(directory).with_file(directory)?;
    let write = |name: &str, command: clap::Command| {
        let path = directory.join(format!("{name}.1"));
        fs::write(&path, page(command)?).with_file(&path)
    };
    let mut built = command.clone();
    built.build();
    for subcommand in built.get_subcommands() {
        let name = format!("fdckpt-{}", subcommand.get_name());
        // clap needs a 'static name.
        let name: &'static str = Box::leak(name.into_boxed_str());
        write(name, subcommand.clone().name(name).display_name(name))?;
    }
    write("fdckpt", command)?;
    Ok(exit::OK)
}

/// Prints a completion script.
pub fn completions(shell: Shell) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fdckpt", &mut script);
    write_stdout(&script)?;
    Ok(exit::OK)
}
