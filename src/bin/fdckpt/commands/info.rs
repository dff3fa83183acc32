//! `fdckpt info`: the format of a file and a summary of its contents.

use std::io::Write;

use crate::cli::InfoArgs;
use crate::detect::{Content, Format};
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::{block_index, checkpoint, container, fti, inflate_checkpoint, inflate_index};
use crate::input::Input;
use crate::json::JsonObjectWriter;
use crate::path::display_name;
use crate::term::stdout::TextOutput;
use crate::term::units::size_with_unit;

pub fn info(args: &InfoArgs) -> Result<u8, CliError> {
    let file = Input::open(&args.file)?;
    let content = Content::detect(&file).with_file(&args.file)?;
    if let Content::Damaged(..) = content {
        return Err(content.unsupported("").with_file(&args.file));
    }
    // An unknown format is a result here, not an error.
    if args.json {
        write_json(args, &content, &file)?
    } else {
        print(args, &content, &file)?
    }
    Ok(match &content {
        Content::Fti(checkpoint) if fti::is_damaged(checkpoint) => exit::DAMAGED,
        _ => exit::OK,
    })
}

fn print(args: &InfoArgs, content: &Content<'_>, file: &[u8]) -> Result<(), CliError> {
    let mut out = TextOutput::new();
    let description = match content {
        Content::Container(container) => format!("CKPT container, version {}", container.version()),
        Content::Fti(checkpoint) => format!("{}, {}", Format::Fti.title(), fti::releases(checkpoint.version())),
        Content::Foreign(format) => format!("unknown format, looks like {}", format.looks_like),
        known => known.format().map_or("", Format::title).to_owned(),
    };
    out.title(&display_name(&args.file), description)?;
    out.field("size", size_with_unit(file.len() as u64))?;
    match content {
        Content::Checkpoint(reader) => checkpoint::print_info(&mut out, reader)?,
        Content::Container(container) => container::print_info(&mut out, container)?,
        Content::InflateIndex(index) => inflate_index::print_info(&mut out, index)?,
        Content::BlockIndex(index) => block_index::print_info(&mut out, index)?,
        Content::Fti(checkpoint) => fti::print_info(&mut out, checkpoint)?,
        Content::InflateCheckpoint(checkpoint) => inflate_checkpoint::print_info(&mut out, checkpoint)?,
        Content::Foreign(format) => {
            if let Some(hint) = format.hint {
                writeln!(out, "  hint: {hint}")?;
            }
        }
        Content::Damaged(..) => {}
    }
    Ok(out.finish()?)
}

fn write_json(args: &InfoArgs, content: &Content<'_>, file: &[u8]) -> Result<(), CliError> {
    let mut object = JsonObjectWriter::for_file(&args.file, content.format_id(), file.len())?;
    match content {
        Content::Checkpoint(reader) => checkpoint::write_info_json(&mut object, reader, file)?,
        Content::Container(container) => container::write_info_json(&mut object, container)?,
        Content::InflateIndex(index) => inflate_index::write_json(&mut object, index)?,
        Content::BlockIndex(index) => block_index::write_json(&mut object, index)?,
        Content::Fti(checkpoint) => fti::write_info_json(&mut object, checkpoint)?,
        Content::InflateCheckpoint(checkpoint) => inflate_checkpoint::write_json(&mut object, checkpoint)?,
        Content::Foreign(format) => object.fields(&serde_json::json!({"looks_like": format.looks_like}))?,
        Content::Damaged(..) => {}
    }
    Ok(object.finish()?)
}
