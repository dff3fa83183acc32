//! `fdckpt diff`: where two files differ.

use std::io::Write;

use serde_json::{Value, json};

use crate::cli::DiffArgs;
use crate::detect::{Content, Format};
use crate::error::{CliError, WithFile};
use crate::exit;
use crate::format::difference::{Difference, Subject, compare_bytes};
use crate::format::{checkpoint, container, fti};
use crate::input::Input;
use crate::path::display_name;
use crate::term::progress::Progress;
use crate::term::stdout::TextOutput;

pub fn diff(args: &DiffArgs) -> Result<u8, CliError> {
    let (file_a, file_b) = (Input::open(&args.a)?, Input::open(&args.b)?);
    let a = Content::detect(&file_a).with_file(&args.a)?;
    let b = Content::detect(&file_b).with_file(&args.b)?;
    for (content, path) in [(&a, &args.a), (&b, &args.b)] {
        if matches!(content, Content::Damaged(..)) {
            // Status 1 would mean that the files were compared.
            return Err(CliError { status: exit::ERROR, ..content.unsupported("").with_file(path) });
        }
    }
    let (differences, compared) = match (&a, &b) {
        (Content::Checkpoint(a), Content::Checkpoint(b)) => (checkpoint::diff(a, b)?, "regions"),
        (Content::Container(a), Content::Container(b)) => (container::diff(a, b), "sections"),
        (Content::Fti(a), Content::Fti(b)) => (fti::diff(a, b), "variables"),
        _ if a.format() == b.format() => (diff_bytes(&file_a, &file_b), "bytes"),
        _ => {
            let [a, b] = [&a, &b].map(|content| content.format().map_or("unknown format", Format::title));
            let files = format!("{} and {}", display_name(&args.a), display_name(&args.b));
            return Err(
                CliError::new(format!("can't compare {files}: different formats ({a}, {b})")).with_hint("`cmp` compares bytes")
            );
        }
    };
    let status = if differences.is_empty() { exit::OK } else { exit::DAMAGED };
    if args.json {
        let list: Vec<Value> = differences.into_iter().map(|difference| difference.json).collect();
        crate::json::print(&json!({"format": a.format_id(), "identical": status == exit::OK, "differences": list}))?;
        return Ok(status);
    }
    let mut out = TextOutput::new();
    for difference in &differences {
        writeln!(out, "{}", difference.text)?;
    }
    if differences.is_empty() {
        writeln!(out, "{compared} are identical")?;
    }
    out.finish()?;
    Ok(status)
}

fn diff_bytes(a: &[u8], b: &[u8]) -> Vec<Difference> {
    let mut progress = Progress::new("comparing", Some(a.len().min(b.len()) as u64), 0);
    compare_bytes(&Subject::new("files", json!({})), a, b, &mut progress).into_iter().collect()
}
