//! `fdckpt convert`: a file in another format.

mod container;
mod fti;
mod inflate;
mod output;

use fdckpt::Container;

use crate::cli::{ConvertArgs, TargetFormat};
use crate::detect::Content;
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::input::Input;

pub fn convert(args: &ConvertArgs) -> Result<u8, CliError> {
    let file = Input::open(&args.input)?;
    let content = Content::detect(&file).with_file(&args.input)?;
    if matches!(content, Content::Damaged(..) | Content::Foreign(_)) {
        return Err(content.unsupported("").with_file(&args.input));
    }
    let target = args.target.map_or_else(|| default_target(&content), Ok).with_file(&args.input)?;
    convert_to(target, &content, &file, args).with_file(&args.input)?;
    Ok(exit::OK)
}

/// Containers become canonical by default.
fn default_target(content: &Content<'_>) -> Result<TargetFormat, CliError> {
    match content {
        Content::Container(_) | Content::InflateIndex(_) | Content::BlockIndex(_) => Ok(TargetFormat::Ckpt),
        Content::Fti(_) => Err(content.unsupported("target format missing").with_hint("add --to, for example --to fti-post-1.6")),
        _ => Err(content.unsupported("target format missing").with_hint("add --to")),
    }
}

fn convert_to(target: TargetFormat, content: &Content<'_>, file: &[u8], args: &ConvertArgs) -> Result<(), CliError> {
    let output = &args.output;
    if let (Some(version), Content::Checkpoint(reader)) = (target.fti_version(), content) {
        return fti::from_checkpoint(reader, version, args);
    }
    if let (Some(version), Content::Fti(checkpoint)) = (target.fti_version(), content) {
        return fti::to_version(checkpoint, version, args);
    }
    if let (Some(layout), Content::InflateCheckpoint(description)) = (target.inflate_layout(), content) {
        return inflate::to_layout(file, description, layout, args);
    }
    match (content, target) {
        (Content::Checkpoint(_), TargetFormat::Ckpt) => {
            Err(CliError::new("a self-describing checkpoint is a CKPT container already").with_hint("`cp` copies it"))
        }
        (Content::Fti(checkpoint), TargetFormat::Checkpoint) => fti::to_checkpoint(checkpoint, args),
        (Content::Container(container), TargetFormat::Checkpoint) => container::to_checkpoint(container, output),
        (Content::Container(container), TargetFormat::Ckpt) => container::to_canonical(container, output),
        (Content::InflateIndex(_), TargetFormat::Ckpt) => container::to_canonical(&Container::parse(file)?, output),
        (Content::BlockIndex(index), TargetFormat::Ckpt) => container::from_block_index(index, file, output),
        (Content::Container(container), TargetFormat::BlockIndex) => container::to_block_index(container, output),
        _ => Err(content.unsupported(&format!("can't be converted to {}", target.name()))),
    }
}
