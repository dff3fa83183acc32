//! `fdckpt verify`: whether files are intact, and what can be read if not.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{VerifyArgs, thread_count};
use crate::detect::{Content, Format};
use crate::error::CliError;
use crate::exit;
use crate::format::report::{Issue, Report, Severity};
use crate::format::{block_index, checkpoint, container, fti, inflate_checkpoint, inflate_index};
use crate::input::Input;
use crate::path::display_name;
use crate::term::stdout::TextOutput;
use crate::term::style::{ERROR, OK, Styled, WARNING};
use crate::term::units::size_with_unit;

/// Maximum number of issues printed per file.
const MAX_PRINTED_ISSUES: usize = 100;

pub fn verify(args: &VerifyArgs) -> Result<u8, CliError> {
    let mut worst = exit::OK;
    let mut reports = Vec::new();
    let mut out = TextOutput::new();
    for path in &args.files {
        let report = verify_file(path, args).unwrap_or_else(Report::failed);
        let status = report.status(args.strict);
        worst = worst.max(status);
        if args.json {
            reports.push(report.to_json(&path.to_string_lossy(), status));
        } else {
            print(&mut out, path, &report, status)?;
            out.flush()?;
        }
    }
    if args.json {
        crate::json::print(&Value::Array(reports))?;
    }
    out.finish()?;
    Ok(worst)
}

fn verify_file(path: &Path, args: &VerifyArgs) -> Result<Report, CliError> {
    let file = Input::open_unnamed(path)?;
    let content = Content::detect(&file)?;
    let size = size_with_unit(file.len() as u64);
    match &content {
        Content::Checkpoint(reader) => checkpoint::verify(reader, &size),
        Content::Container(container) => container::verify(container, &size),
        Content::InflateIndex(index) => Ok(inflate_index::verify(index, &size)),
        Content::BlockIndex(index) => Ok(block_index::verify(index, &size)),
        Content::Fti(checkpoint) => fti::verify(checkpoint, path, thread_count(args.threads), &size),
        Content::InflateCheckpoint(checkpoint) => Ok(inflate_checkpoint::verify(checkpoint, &size)),
        Content::Damaged(format, why) => {
            let mut report = Report::new(*format, &size);
            report.add_issue(Severity::Damage, why, json!({}));
            fti::report_pending_update(&mut report, path);
            report.readable = Some(Vec::new());
            Ok(report)
        }
        Content::Foreign(format) => Ok(Report::unknown(format)),
    }
}

fn print(out: &mut TextOutput, path: &Path, report: &Report, status: u8) -> io::Result<()> {
    let style = if status == exit::OK { OK } else { ERROR };
    let is_intact_but_strict = status == exit::DAMAGED && report.status == exit::OK;
    let word = if is_intact_but_strict { "ok with warnings (--strict)" } else { report.status_word(status) };
    writeln!(out, "{}: {}: {}", display_name(path), Styled(style, word), report.description)?;
    for issue in report.issues.iter().take(MAX_PRINTED_ISSUES) {
        print_issue(out, issue)?;
    }
    if report.issues.len() > MAX_PRINTED_ISSUES {
        writeln!(out, "  and {} more issues; --json prints all", report.issues.len() - MAX_PRINTED_ISSUES)?;
    }
    if let Some(readable) = report.readable_text() {
        writeln!(out, "  still readable: {readable}")?;
    }
    if report.issues.iter().any(|issue| issue.severity == Severity::Rejected) && status < exit::ERROR {
        writeln!(out, "  hint: `fdckpt convert` to the same FTI version writes a file that FTI accepts")?;
    }
    if report.format == Some(Format::Checkpoint) && status == exit::DAMAGED && !is_intact_but_strict {
        writeln!(out, "  hint: `fdckpt salvage` recovers what can still be read")?;
    }
    Ok(())
}

fn print_issue(out: &mut TextOutput, issue: &Issue) -> io::Result<()> {
    match issue.severity {
        Severity::Damage => writeln!(out, "  {}", Styled(ERROR, &issue.text)),
        Severity::Rejected => writeln!(out, "  {}", Styled(WARNING, format_args!("warning: {}", issue.text))),
        Severity::Note => writeln!(out, "  {}", Styled(WARNING, format_args!("note: {}", issue.text))),
    }
}
