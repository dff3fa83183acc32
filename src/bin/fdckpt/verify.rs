//! verify: whether files are whole, what is damaged, and what can be read all the same.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use fdckpt::checkpoint::Reader;
use fdckpt::inflate::Index;
use fdckpt::{BlockIndex, Container, IssueKind, fti};
use serde_json::{Value, json};

use crate::cli::Verify;
use crate::files::{self, Input};
use crate::kind::{self, Format, Kind};
use crate::look;
use crate::ui::{self, BAD, ERROR, GOOD, Out, Painted, Progress, SOUND, TROUBLE, Trouble, WARNING, bytes, count};

/// What was found in one file.
struct Report {
    status: u8,
    /// What the file is.
    what: String,
    format: Option<Format>,
    findings: Vec<Finding>,
    /// What can be read, where not all can.
    readable: Option<Vec<String>>,
    /// Whether it can be read, but is of no format that is known here.
    is_unknown: bool,
}

struct Finding {
    severity: &'static str,
    text: String,
    /// What JSON has of it beyond that.
    json: Value,
}

const DAMAGE: &str = "damage";
const REFUSED: &str = "refused";
const REMARK: &str = "remark";

impl Report {
    fn new(format: Format, what: String) -> Self {
        Self { status: GOOD, what, format: Some(format), findings: Vec::new(), readable: None, is_unknown: false }
    }

    /// Of a file that nothing can be said of.
    fn failed(trouble: Trouble) -> Self {
        let what = match trouble.advice {
            Some(advice) => format!("{} ({advice})", trouble.what),
            None => trouble.what,
        };
        Self { status: trouble.status, what, format: None, findings: Vec::new(), readable: None, is_unknown: false }
    }

    fn word(&self, status: u8) -> &'static str {
        match status {
            GOOD => "whole",
            BAD => "damaged",
            _ if self.is_unknown => "unknown",
            _ => "unreadable",
        }
    }

    fn find(&mut self, severity: &'static str, text: impl Into<String>, json: Value) {
        if severity == DAMAGE {
            self.status = BAD;
        }
        self.findings.push(Finding { severity, text: text.into(), json });
    }
}

/// So many findings of a file are printed.
const MOST: usize = 100;

pub fn verify(verify: &Verify) -> Result<u8, Trouble> {
    let mut worst = GOOD;
    let mut all = Vec::new();
    let mut out = Out::new();
    for path in &verify.files {
        let report = match check(path, verify) {
            Ok(report) => report,
            Err(trouble) => Report::failed(trouble),
        };
        let strict = verify.strict && report.findings.iter().any(|finding| finding.severity != DAMAGE);
        let status = if strict { report.status.max(BAD) } else { report.status };
        worst = worst.max(status);
        if verify.json {
            all.push(json(path, &report, status));
        } else {
            print(&mut out, path, &report, status)?;
            out.flush()?;
        }
    }
    if verify.json { ui::print_json(&Value::Array(all), worst) } else { out.finish(worst) }
}

fn check(path: &Path, options: &Verify) -> Result<Report, Trouble> {
    let file = Input::of(path)?;
    let kind = Kind::of(&file)?;
    let size = bytes(file.len() as u64);
    match &kind {
        Kind::Container(container) => check_container(container, &size),
        Kind::Index(index) => Ok(check_index(index, &size)),
        Kind::Blocks(index) => {
            let mut report = Report::new(
                Format::Blocks,
                format!("{}, {}, {size}", Format::Blocks.title(), count(index.blocks.len(), "block")),
            );
            check_blocks(&mut report, index);
            Ok(report)
        }
        Kind::Fti(checkpoint) => {
            let threads = options.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
            let mut report = check_fti(checkpoint, threads.unwrap_or(1), &size)?;
            tell_update(&mut report, path);
            Ok(report)
        }
        Kind::Inflate(checkpoint) => {
            let what = format!("{}, layout {}, {size}", Format::Inflate.title(), look::layout(checkpoint.form));
            Ok(Report::new(Format::Inflate, what))
        }
        Kind::Checkpoint(reader) => check_checkpoint(reader, &size),
        Kind::Damaged(format, why) => {
            let mut report = Report::new(*format, format!("{}, {size}", format.title()));
            report.find(DAMAGE, why, json!({}));
            tell_update(&mut report, path);
            report.readable = Some(Vec::new());
            Ok(report)
        }
        Kind::Unknown(..) => {
            let trouble = kind::refusal(&kind, "");
            let mut report = Report::failed(trouble);
            report.is_unknown = true;
            Ok(report)
        }
    }
}

fn check_checkpoint(reader: &Reader<'_>, size: &str) -> Result<Report, Trouble> {
    let what = format!("self-describing checkpoint, {}, {size}", count(reader.len(), "region"));
    let mut report = Report::new(Format::Checkpoint, what);
    let mut lost = Vec::new();
    let mut progress = Progress::new("verifying", Some(reader.data_size()), 0);
    let verdict = reader.verify_with(
        &mut |damage| {
            let (region, name) = damage.region.unzip();
            let frame = damage.frame.map_or_else(String::new, |frame| format!(", frame {frame}"));
            let text = match name {
                Some(name) => format!("region {}{frame}: {}", ui::printable(name), damage.error),
                None => damage.error.to_string(),
            };
            lost.extend(region);
            let offset = damage.error.offset();
            report.find(DAMAGE, text, json!({"region": name, "number": region, "frame": damage.frame, "offset": offset}));
        },
        Some(&mut |done| {
            progress.set(done.data);
            ControlFlow::Continue(())
        }),
    )?;
    drop(progress);
    if !verdict.has_checksums {
        report.find(REMARK, "it has no checksums: damage to data can go unnoticed", json!({}));
    }
    if !verdict.is_sound() {
        report.status = BAD;
        lost.sort_unstable();
        let sound = reader.entries().filter(|entry| lost.binary_search(&entry.number()).is_err());
        report.readable = Some(sound.map(|entry| entry.name().to_owned()).collect());
    }
    Ok(report)
}

fn check_container(container: &Container<'_>, size: &str) -> Result<Report, Trouble> {
    let mut report = Report::new(Format::Container, format!("CKPT container, {}, {size}", count(container.len(), "section")));
    for finding in container.verify()? {
        let severity = if matches!(finding.kind, IssueKind::OutOfRange { .. }) { DAMAGE } else { REMARK };
        report.find(severity, finding.to_string(), json!({"offset": finding.offset, "section": finding.section}));
    }
    // Others of the type are not found by it.
    if let Some((position, section)) = container.sections().enumerate().find(|(_, section)| section.kind() == 1)
        && let Ok(data) = section.data()
    {
        match BlockIndex::decode(data) {
            Ok(index) => {
                if let Some(stop) = index.stop {
                    let text = format!(
                        "section {position}: index of blocks, of which {} can be read: at byte {}, {}",
                        index.blocks.len(),
                        stop.offset,
                        stop.why
                    );
                    report.find(DAMAGE, text, json!({"section": position, "offset": section.offset() as u64 + stop.offset}));
                }
            }
            // Nobody says that it has to be one, unless it begins as one.
            Err(error) if kind::begins_with_block(data) => {
                report.find(DAMAGE, format!("section {position}: {error}"), json!({"section": position}));
            }
            Err(_) => {}
        }
    }
    if report.status != GOOD {
        let readable = container.sections().enumerate().filter(|(_, section)| section.data().is_ok());
        report.readable = Some(readable.map(|(position, section)| format!("#{position} (type {})", section.kind())).collect());
    }
    Ok(report)
}

fn check_blocks(report: &mut Report, index: &BlockIndex) {
    if let Some(stop) = &index.stop {
        report.find(DAMAGE, format!("at byte {}: {}", stop.offset, stop.why), json!({"offset": stop.offset}));
        report.readable = Some(index.blocks.iter().map(|block| format!("block {}", block.number)).collect());
    }
}

fn check_index(index: &Index<'_>, size: &str) -> Report {
    let mut report =
        Report::new(Format::Index, format!("{}, {}, {size}", Format::Index.title(), count(index.point_count(), "point")));
    if let Err(error) = index.verify() {
        report.find(DAMAGE, error.to_string(), json!({}));
    }
    report
}

fn check_fti(checkpoint: &fti::Checkpoint<'_>, threads: usize, size: &str) -> Result<Report, Trouble> {
    let variables = checkpoint.variables();
    let what = format!("FTI-FF, generation {}, {}, {size}", checkpoint.generation(), count(variables.len(), "variable"));
    let mut report = Report::new(Format::Fti, what);
    let data = ui::total(variables.iter().map(|variable| variable.size));
    let times = if matches!(checkpoint.generation(), fti::FormatVersion::V1_1 | fti::FormatVersion::V1_2) { 2 } else { 1 };
    let progress = Mutex::new(Progress::new("verifying", Some(data.saturating_mul(times)), 0));
    let mut note = |finding: &fti::Finding| {
        let severity = match finding.severity {
            fti::Severity::Damage => DAMAGE,
            fti::Severity::Refused => REFUSED,
            fti::Severity::Remark => REMARK,
        };
        report.find(severity, finding.to_string(), fti_finding_json(finding));
    };
    let verdict = checkpoint.verify_telling(threads, &mut note, &|bytes| {
        if let Ok(mut progress) = progress.lock() {
            progress.add(bytes);
        }
    })?;
    drop(progress);
    if !verdict.is_sound() {
        let mut progress = Progress::new("reading", Some(data), 0);
        let mut readable = Vec::new();
        for variable in variables {
            let read = checkpoint.copy_variable(variable.id, &mut |piece| {
                progress.add(piece.len() as u64);
                Ok(())
            });
            if read.is_ok() {
                readable.push(format!("variable {}", variable.id));
            }
        }
        report.readable = Some(readable);
    }
    Ok(report)
}

/// Tells of an update of a file of FTI that was begun and not ended: what looks like damage may be one.
fn tell_update(report: &mut Report, path: &Path) {
    if let Ok(Some(update)) = fti::pending(path) {
        let (id, journal) = (update.ckpt_id, format!("{}.journal", ui::printable(&path.to_string_lossy())));
        let text = if update.prepared {
            format!("an update to checkpoint {id} is prepared in {journal}: the program that did so is to commit or abandon it")
        } else {
            format!(
                "an update to checkpoint {id} was interrupted: {journal} has the rest, and the program ends it when it opens the file"
            )
        };
        report.find(REMARK, text, json!({}));
    }
}

pub fn fti_finding_json(finding: &fti::Finding) -> Value {
    json!({
        "field": finding.field.to_string(),
        "variable": finding.variable,
        "container": finding.container,
        "offset": finding.offset,
        "expected": fti_value(finding.expected),
        "found": fti_value(finding.found),
    })
}

fn fti_value(value: fti::Value) -> Value {
    match value {
        fti::Value::Number(number) => json!(number),
        fti::Value::Unknown => Value::Null,
        other => json!(other.to_string()),
    }
}

fn print(out: &mut Out, path: &Path, report: &Report, status: u8) -> io::Result<()> {
    let style = if status == GOOD { SOUND } else { ERROR };
    let only_strict = status == BAD && report.status == GOOD;
    let word = Painted(style, if only_strict { "not as it should be" } else { report.word(status) });
    writeln!(out, "{}: {word}: {}", files::name(path), report.what)?;
    for finding in report.findings.iter().take(MOST) {
        let text = match finding.severity {
            REMARK => format!("remark: {}", finding.text),
            _ => finding.text.clone(),
        };
        let style = if finding.severity == DAMAGE { ERROR } else { WARNING };
        writeln!(out, "  {}", Painted(style, text))?;
    }
    if report.findings.len() > MOST {
        writeln!(out, "  and {} more findings: --json has all", report.findings.len() - MOST)?;
    }
    if report.findings.iter().any(|finding| finding.severity == REFUSED) && status < TROUBLE {
        writeln!(out, "  `fdckpt convert` to the same generation writes a file that FTI accepts")?;
    }
    if report.format == Some(Format::Checkpoint) && status == BAD {
        writeln!(out, "  `fdckpt salvage` gets out of it what is left")?;
    }
    if let Some(readable) = &report.readable {
        let what = if readable.is_empty() { "nothing".to_owned() } else { shortened(readable) };
        writeln!(out, "  still readable: {what}")?;
    }
    Ok(())
}

fn shortened(names: &[String]) -> String {
    const FEW: usize = 20;
    let more = names.len().saturating_sub(FEW);
    let text = names[..names.len() - more].iter().map(|name| ui::printable(name)).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

fn json(path: &Path, report: &Report, status: u8) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let mut value = json!({"severity": finding.severity, "text": finding.text});
            crate::json::merge(&mut value, finding.json.clone());
            value
        })
        .collect();
    let mut value = json!({
        "file": path.to_string_lossy(),
        "format": report.format.map_or("unknown", Format::id),
        "status": report.word(status),
        "what": report.what,
        "findings": findings,
    });
    if let Some(readable) = &report.readable {
        crate::json::merge(&mut value, json!({"readable": readable}));
    }
    value
}
