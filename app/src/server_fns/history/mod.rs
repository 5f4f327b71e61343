//! What happened to a workspace or a document, and how its documents went.

mod analytics;
#[cfg(feature = "ssr")]
mod charts;
mod document;
mod workspace;

pub use analytics::{Chart, Figures, ReadAnalytics, read_analytics};
#[cfg(all(feature = "ssr", debug_assertions))]
pub use charts::sample_charts;
pub use document::{DocumentHistory, document_history};
pub use workspace::{WorkspaceHistory, workspace_history};

use domain::{Timestamp, resource::Page};
use serde::{Deserialize, Serialize};

/// A part of a history, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// What it is the history of, by its name.
    pub name: String,
    pub lines: Page<HistoryLine>,
}

/// One thing that happened, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryLine {
    pub seq: u64,
    pub at: Timestamp,
    /// What it was about.
    pub about: String,
    /// The page of that, where it has one that does not go with it.
    pub page: Option<String>,
    /// The step or the sentence that was told.
    pub told: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub who: String,
}

/// A page of entries in words.
#[cfg(feature = "ssr")]
fn worded(name: String, page: Page<domain::HistoryEntry>) -> HistoryPage {
    let lines = page.items.iter().map(line).collect();
    HistoryPage { name, lines: Page { items: lines, next: page.next } }
}

/// So many lines are read at once.
#[cfg(feature = "ssr")]
fn query(after: Option<String>, all: bool) -> services::ports::HistoryQuery {
    services::ports::HistoryQuery { limit: 50, after, newest_first: true, transitions: !all }
}

#[cfg(feature = "ssr")]
fn line(entry: &domain::HistoryEntry) -> HistoryLine {
    let text = |field: &str| entry.data.get(field).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let job =
        entry.event.starts_with("job_").then(|| serde_json::from_value::<domain::Job>(entry.data.clone()));
    let job = job.and_then(Result::ok);
    let title = || job.as_ref().map_or_else(|| "Job".to_owned(), crate::activity::job_title);
    let (about, told) = match entry.event.as_str() {
        "document_status" => (text("filename"), about_content(entry).unwrap_or_else(|| text("error"))),
        "file_progress" => (text("filename"), text("message")),
        "workspace_status" => (text("name"), text("status_message")),
        "job_update" | "job_complete" | "job_error" => (title(), text("error")),
        "document_deleted" => (text("filename"), "Deleted".to_owned()),
        other => (other.replace('_', " "), String::new()),
    };
    HistoryLine {
        seq: entry.seq,
        at: entry.at,
        about,
        page: job.as_ref().map(|job| crate::paths::job(job.kb_id, job.job_id)),
        told,
        from: entry.from.clone(),
        to: entry.to.clone(),
        who: entry.actor.as_ref().map(domain::Actor::words).unwrap_or_default(),
    }
}

/// What became of the content of a document, where that is what its turn is about.
#[cfg(feature = "ssr")]
fn about_content(entry: &domain::HistoryEntry) -> Option<String> {
    let document: domain::Document = serde_json::from_value(entry.data.clone()).ok()?;
    let is = |status: Option<&str>, wanted: &str| status == Some(wanted);
    let (from, to) = (entry.from.as_deref(), entry.to.as_deref());
    match document.next_version {
        Some(next) if is(to, "pending") && !is(from, "pending") => Some(format!("Version {next} was added")),
        Some(next) if is(to, "ready") && !is(from, "ready") => {
            Some(format!("Version {next} was not processed; version {} stays", document.version))
        }
        None if is(to, "ready") && is(from, "processing") && document.version > 1 => {
            Some(format!("Version {} took its place", document.version))
        }
        _ => None,
    }
}
