//! Conversions between the layouts of inflate checkpoints.

use fdckpt::inflate::{CheckpointEncoding, CheckpointInfo, Inflate};

use super::output::{report_lost, write_file};
use crate::cli::ConvertArgs;
use crate::error::CliError;
use crate::format::inflate_checkpoint::stream_name;
use crate::term::message;

pub fn to_layout(
    file: &[u8],
    description: &CheckpointInfo,
    layout: CheckpointEncoding,
    args: &ConvertArgs,
) -> Result<(), CliError> {
    let given = args.stream.map(Into::into);
    let format = description.format.or(given).ok_or_else(|| {
        CliError::new("this layout does not record the stream format").with_hint("add --stream deflate or --stream deflate64")
    })?;
    if given.is_some_and(|given| given != format) {
        return Err(CliError::new(format!("the stream format is {}, not that of --stream", stream_name(format))));
    }
    let mut inflate = Inflate::new(format)?;
    inflate.restore(file)?;
    let (checkpoint, position) = inflate.checkpoint(layout)?;
    if matches!(layout, CheckpointEncoding::Deflate64V0 | CheckpointEncoding::Deflate64V0x1001) {
        if description.format.is_some() {
            report_lost("the stream format, which this layout does not record");
        }
        if position != description.position {
            message::info(format_args!(
                "the new checkpoint resumes at other offsets: input {}, output {}",
                position.in_offset, position.out_offset
            ));
        }
    }
    write_file(&args.output, &checkpoint)
}
