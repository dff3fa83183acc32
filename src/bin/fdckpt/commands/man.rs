//! man: the pages, made of the same texts as `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::output;
use crate::term::{GOOD, Trouble};

/// The text of a page for man. Not all of it is as clap_mangen has it: examples are no text to be filled.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let extra = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let name = command.get_name().to_owned();
    let has_commands = command.has_subcommands();
    let version = format!("fdckpt {}", env!("CARGO_PKG_VERSION"));
    // Without a date, so that the same source gives the same page.
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
        if name == "fdckpt" { "The file docs/tool.md has sessions and the schema of JSON." } else { "fdckpt(1)" }
    )?;
    Ok(page)
}

/// Prints the man page of the tool, or writes it and those of its commands to a folder.
pub fn man(folder: Option<&Path>) -> Result<u8, Trouble> {
    let command = Cli::command();
    let Some(folder) = folder else {
        return output::to_stdout(&page(command)?);
    };
    let of_path = |path: &Path, error: io::Error| Trouble::from(error).of(output::name(path));
    fs::create_dir_all(folder).map_err(|error| of_path(folder, error))?;
    let write = |name: &str, command: clap::Command| {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(command)?).map_err(|error| of_path(&path, error))
    };
    let mut all = command.clone();
    all.build();
    for sub in all.get_subcommands() {
        let name = format!("fdckpt-{}", sub.get_name());
        // clap wants names that live as long as the program.
        let name: &'static str = Box::leak(name.into_boxed_str());
        write(name, sub.clone().name(name).display_name(name))?;
    }
    write("fdckpt", command)?;
    Ok(GOOD)
}
