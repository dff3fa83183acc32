//! `fdckpt list`: everything in a file.

use crate::cli::ListArgs;
use crate::detect::Content;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::zip::Archive;
use crate::format::{block_index, checkpoint, container, fti, inflate_checkpoint, inflate_index};
use crate::input::Input;
use crate::json::JsonObjectWriter;
use crate::term::stdout::TextOutput;

pub fn list(args: &ListArgs) -> Result<u8, CliError> {
    let file = Input::open(&args.file)?;
    let content = Content::detect(&file).with_file(&args.file)?;
    let archive = matches!(content, Content::Foreign(_)).then(|| Archive::open(&file)).flatten();
    if archive.is_none() && matches!(content, Content::Damaged(..) | Content::Foreign(_)) {
        return Err(content.unsupported("").with_file(&args.file));
    }
    if args.frames && !matches!(content, Content::Checkpoint(_)) {
        return Err(CliError::new("only self-describing checkpoints have frames to list").with_file(&args.file));
    }
    if args.json {
        write_json(args, &content, archive.as_ref(), file.len())?;
    } else {
        print(args, &content, archive.as_ref())?;
    }
    Ok(exit::OK)
}

fn print(args: &ListArgs, content: &Content<'_>, archive: Option<&Archive<'_>>) -> Result<(), CliError> {
    let mut out = TextOutput::new();
    if let Some(archive) = archive {
        archive.print_list(&mut out)?;
    }
    match content {
        Content::Checkpoint(reader) if args.frames => checkpoint::print_frames(&mut out, reader)?,
        Content::Checkpoint(reader) => checkpoint::print_list(&mut out, reader, usize::MAX)?,
        Content::Container(container) => container::print_list(&mut out, container, usize::MAX)?,
        Content::BlockIndex(index) => block_index::print_list(&mut out, index, usize::MAX)?,
        Content::Fti(checkpoint) => fti::print_list(&mut out, checkpoint)?,
        Content::InflateIndex(index) => inflate_index::print_info(&mut out, index)?,
        Content::InflateCheckpoint(checkpoint) => inflate_checkpoint::print_info(&mut out, checkpoint)?,
        Content::Damaged(..) | Content::Foreign(_) => {}
    }
    Ok(out.finish()?)
}

fn write_json(args: &ListArgs, content: &Content<'_>, archive: Option<&Archive<'_>>, size: usize) -> Result<(), CliError> {
    let format = if archive.is_some() { "zip" } else { content.format_id() };
    let mut object = JsonObjectWriter::for_file(&args.file, format, size)?;
    if let Some(archive) = archive {
        archive.write_json(&mut object)?;
    }
    match content {
        Content::Checkpoint(reader) if args.frames => checkpoint::write_frames_json(&mut object, reader)?,
        Content::Checkpoint(reader) => checkpoint::write_list_json(&mut object, reader)?,
        Content::Container(container) => container::write_list_json(&mut object, container)?,
        Content::BlockIndex(index) => block_index::write_json(&mut object, index)?,
        Content::Fti(checkpoint) => fti::write_list_json(&mut object, checkpoint)?,
        Content::InflateIndex(index) => inflate_index::write_json(&mut object, index)?,
        Content::InflateCheckpoint(checkpoint) => inflate_checkpoint::write_json(&mut object, checkpoint)?,
        Content::Damaged(..) | Content::Foreign(_) => {}
    }
    Ok(object.finish()?)
}
