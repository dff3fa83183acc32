//! The result of verifying a file.

use serde_json::{Value, json};

use crate::detect::Format;
use crate::error::CliError;
use crate::exit;
use crate::foreign::ForeignFormat;
use crate::json::merge;
use crate::term::escape::escape_for_terminal;

fn with_hint(text: String, hint: Option<&str>) -> String {
    hint.map_or_else(|| text.clone(), |hint| format!("{text} ({hint})"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Data may be wrong or missing.
    Damage,
    /// The data is intact, but FTI rejects the file.
    Rejected,
    /// Unusual, but harmless.
    Note,
}

impl Severity {
    /// The name in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Rejected => "rejected",
            Self::Note => "note",
        }
    }
}

/// Something that verification found.
pub struct Issue {
    pub severity: Severity,
    pub text: String,
    /// Fields for JSON beyond severity and text.
    fields: Value,
}

/// What is known about a file.
pub struct Report {
    /// The exit status that the file calls for.
    pub status: u8,
    /// The format and size of the file, or why it can't be read.
    pub description: String,
    pub format: Option<Format>,
    pub issues: Vec<Issue>,
    /// What can still be read of a damaged file.
    pub readable: Option<Vec<String>>,
    /// Whether the format is unknown, rather than the file unreadable.
    pub is_unknown: bool,
}

impl Report {
    /// A report without issues. `details` follow the title of the format.
    pub fn new(format: Format, details: &str) -> Self {
        let description = format!("{}, {details}", format.title());
        Self { status: exit::OK, description, format: Some(format), issues: Vec::new(), readable: None, is_unknown: false }
    }

    /// The report on a file that can't be verified.
    pub fn failed(error: CliError) -> Self {
        let description = with_hint(error.message, error.hint.as_deref());
        Self { status: error.status, description, format: None, issues: Vec::new(), readable: None, is_unknown: false }
    }

    /// The report on a file of an unknown format.
    pub fn unknown(format: &ForeignFormat) -> Self {
        let description = with_hint(format!("looks like {}", format.looks_like), format.hint);
        let status = exit::ERROR;
        Self { status, description, format: None, issues: Vec::new(), readable: None, is_unknown: true }
    }

    pub fn add_issue(&mut self, severity: Severity, text: impl Into<String>, fields: Value) {
        if severity == Severity::Damage {
            self.status = exit::DAMAGED;
        }
        self.issues.push(Issue { severity, text: text.into(), fields });
    }

    /// The status, or with `strict` that of a file in which every issue is damage.
    pub fn status(&self, strict: bool) -> u8 {
        let is_strict = strict && self.issues.iter().any(|issue| issue.severity != Severity::Damage);
        if is_strict { self.status.max(exit::DAMAGED) } else { self.status }
    }

    pub fn status_word(&self, status: u8) -> &'static str {
        match status {
            exit::OK => "ok",
            exit::DAMAGED => "damaged",
            _ if self.is_unknown => "unknown",
            _ => "unreadable",
        }
    }

    /// The first names of what is readable.
    pub fn readable_text(&self) -> Option<String> {
        const LIMIT: usize = 20;
        let names = self.readable.as_ref()?;
        if names.is_empty() {
            return Some("nothing".to_owned());
        }
        let shown: Vec<String> = names.iter().take(LIMIT).map(|name| escape_for_terminal(name)).collect();
        let omitted = names.len() - shown.len();
        let text = shown.join(", ");
        Some(if omitted > 0 { format!("{text} and {omitted} more") } else { text })
    }

    pub fn to_json(&self, file: &str, status: u8) -> Value {
        let issue_json = |issue: &Issue| {
            let mut value = json!({"severity": issue.severity.id(), "text": issue.text});
            merge(&mut value, issue.fields.clone());
            value
        };
        let mut value = json!({
            "file": file,
            "format": self.format.map_or("unknown", Format::id),
            "status": self.status_word(status),
            "description": self.description,
            "issues": self.issues.iter().map(issue_json).collect::<Vec<_>>(),
        });
        if let Some(readable) = &self.readable {
            merge(&mut value, json!({"readable": readable}));
        }
        value
    }
}
