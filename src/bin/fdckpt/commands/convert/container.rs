//! Conversions of containers and block indexes.

use std::path::Path;

use fdckpt::container::{IssueKind, Section};
use fdckpt::{BlockIndex, Container};

use super::output::{create_checkpoint, report_lost, write_file};
use crate::error::CliError;
use crate::format::container::BLOCK_INDEX_SECTION;
use crate::output::Output;
use crate::term::progress::{Progress, ProgressWriter};

fn write_container(container: &Container<'_>, output: &Path) -> Result<(), CliError> {
    let output = Output::create(Some(output))?;
    let mut writer = ProgressWriter { output, progress: Progress::new("writing", container.serialized_size().ok(), 0) };
    container.copy_to(&mut writer)?;
    writer.output.finish()
}

/// The first section of each type, which is the one that is looked up. Reports the others as lost.
fn first_of_each_type<'c>(container: &'c Container<'_>) -> impl Iterator<Item = Section<'c>> {
    let mut seen = [false; 256];
    container.sections().enumerate().filter_map(move |(position, section)| {
        let kind = section.kind();
        let is_first = !std::mem::replace(&mut seen[usize::from(kind)], true);
        if !is_first {
            report_lost(format_args!("section {position}: not the first of type {kind}"));
        }
        is_first.then_some(section)
    })
}

/// Writes the container as setting its sections one by one would.
pub fn to_canonical(container: &Container<'_>, output: &Path) -> Result<(), CliError> {
    let mut canonical = Container::new();
    for section in first_of_each_type(container) {
        let with_hint = |error| CliError::from(error).with_hint("`fdckpt extract` can save the intact sections");
        canonical.set(section.kind(), section.data().map_err(with_hint)?)?;
    }
    if container.version() != 1 {
        report_lost(format_args!("version {}, replaced by 1", container.version()));
    }
    for issue in container.verify()? {
        match issue.kind {
            IssueKind::UnknownKey | IssueKind::TrailingData { .. } => report_lost(issue),
            IssueKind::NotAdjacent { expected, found } if found > expected => {
                report_lost(format_args!("{} bytes at offset {expected}, which belong to no section", found - expected));
            }
            _ => {}
        }
    }
    write_container(&canonical, output)
}

/// Each section becomes a region, named by its type.
pub fn to_checkpoint(container: &Container<'_>, output: &Path) -> Result<(), CliError> {
    let mut writer = create_checkpoint(output)?;
    for section in first_of_each_type(container) {
        writer.add(&format!("section-{}", section.kind()), section.data()?)?;
    }
    writer.commit()?;
    Ok(())
}

pub fn to_block_index(container: &Container<'_>, output: &Path) -> Result<(), CliError> {
    let data = container.get(BLOCK_INDEX_SECTION)?;
    check_intact(&BlockIndex::decode(data)?)?;
    for (position, section) in container.sections().enumerate() {
        if section.kind() != BLOCK_INDEX_SECTION {
            report_lost(format_args!("section {position} of type {}: not a block index", section.kind()));
        }
    }
    write_file(output, data)
}

pub fn from_block_index(index: &BlockIndex, file: &[u8], output: &Path) -> Result<(), CliError> {
    check_intact(index)?;
    let mut container = Container::new();
    container.set(BLOCK_INDEX_SECTION, file)?;
    write_container(&container, output)
}

fn check_intact(index: &BlockIndex) -> Result<(), CliError> {
    match &index.stop {
        None => Ok(()),
        Some(stop) => Err(CliError::damaged(format!("damaged block index: at offset {}: {}", stop.offset, stop.reason))),
    }
}
