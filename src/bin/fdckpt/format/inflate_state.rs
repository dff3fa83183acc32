//! The state file of `fdckpt inflate`: a container of a JSON description of input and position, an inflate checkpoint,
//! and a checksum.

use fdckpt::Container;
use serde_json::Value;

use crate::error::CliError;

/// The section types.
const STATE_SECTION: u8 = 140;
const CHECKPOINT_SECTION: u8 = 141;
const CHECKSUM_SECTION: u8 = 142;

/// Describes a section of a state file.
pub fn describe(kind: u8, data: &[u8]) -> Option<String> {
    let state: Value = serde_json::from_slice(data).ok().filter(|_| kind == STATE_SECTION)?;
    let [input, output] = ["position", "output"].map(|name| state[name].as_u64());
    Some(format!("state of `fdckpt inflate`: resumes at input offset {}, output offset {}", input?, output?))
}

/// Builds a state file.
pub fn encode(state: &Value, checkpoint: Vec<u8>) -> Result<Container<'static>, CliError> {
    let state = state.to_string().into_bytes();
    let checksum = checksum(&[&state, &checkpoint]).to_le_bytes().to_vec();
    let mut container = Container::new();
    container.set(STATE_SECTION, state)?;
    container.set(CHECKPOINT_SECTION, checkpoint)?;
    container.set(CHECKSUM_SECTION, checksum)?;
    Ok(container)
}

/// Returns the description and the checkpoint; `None` if the file is no state file or is damaged.
pub fn decode(file: &[u8]) -> Option<(Value, &[u8])> {
    let container = Container::parse(file).ok()?;
    let data = |kind| {
        let section = container.sections().find(|section| section.kind() == kind)?;
        file.get(usize::try_from(section.offset()).ok()?..)?.get(..usize::try_from(section.length()).ok()?)
    };
    let (state, checkpoint) = (data(STATE_SECTION)?, data(CHECKPOINT_SECTION)?);
    if data(CHECKSUM_SECTION)? != checksum(&[state, checkpoint]).to_le_bytes() {
        return None;
    }
    Some((serde_json::from_slice(state).ok()?, checkpoint))
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| checksum.update(part));
    checksum.finalize()
}
