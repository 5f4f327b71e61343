//! What a worker of somebody's own reports: its bounds, and the rules by which a report changes a workspace. What it
//! does to a document and its job is in `ingest`.

use crate::{
    provision,
    resource::Workspace,
    status::{DocumentStatus, IllegalMove, Processor, WorkspaceStatus},
    step::Step,
    timestamp::Timestamp,
    validate::FieldErrors,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest message and error, in characters.
const MOST_TEXT: usize = 1_000;
/// Longest code and name of a step, in characters.
const MOST_NAME: usize = 64;
/// Most chunks of a document.
const MOST_CHUNKS: u64 = 10_000_000;
/// Largest metadata, in bytes of JSON.
const MOST_METADATA: usize = 16 * 1024;

/// What a worker says of a document. What is absent stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentReport {
    pub status: DocumentStatus,
    /// Why it failed: one sentence for people. Looked at with `failed` only.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "Page 3 could not be read."))]
    pub error: Option<String>,
    /// A stable word for it; `worker_failed` when absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "ocr_failed"))]
    pub error_code: Option<String>,
    /// What the worker is at: letters, digits, `_`, `-`, `.`
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "extracting_text"))]
    pub step: Option<String>,
    /// A sentence about the step; without it, the one that goes with the step.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "Reading page 3 of 12…"))]
    pub message: Option<String>,
    /// 0–100. Less than was told before changes nothing.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100, example = 25))]
    pub progress: Option<f64>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = 42))]
    pub chunk_count: Option<u64>,
    /// An object, whose fields are put beside those that the document has.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub metadata: Option<Value>,
}

/// What a worker says of a workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspaceReport {
    pub status: WorkspaceStatus,
    /// A sentence about the status.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "The index of the worker is full."))]
    pub message: Option<String>,
    /// An object, whose fields are put beside those that the workspace has.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub metadata: Option<Value>,
}

impl DocumentReport {
    /// A report that says nothing but the status.
    pub const fn of(status: DocumentStatus) -> Self {
        Self {
            status,
            error: None,
            error_code: None,
            step: None,
            message: None,
            progress: None,
            chunk_count: None,
            metadata: None,
        }
    }

    /// The report, its texts trimmed and what is empty left out.
    ///
    /// # Errors
    /// By field.
    pub fn check(mut self) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        text("error", &mut self.error, &mut errors);
        text("message", &mut self.message, &mut errors);
        name("error_code", &mut self.error_code, &mut errors);
        name("step", &mut self.step, &mut errors);
        if self.progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            errors.add("progress", "Use a number from 0 to 100.");
        }
        if self.chunk_count.is_some_and(|n| n > MOST_CHUNKS) {
            errors.add("chunk_count", "Use a number from 0 to 10,000,000.");
        }
        object(self.metadata.as_ref(), &mut errors);
        errors.check()?;
        Ok(self)
    }

    pub(crate) fn step(&self) -> Option<Step> {
        self.step.as_deref().map(Step::from)
    }

    /// The step whose sentence the catalogue does not have, and its worker did not bring.
    pub fn wordless_step(&self) -> Option<String> {
        match self.step()? {
            Step::Other(name) if self.message.is_none() => Some(name),
            _ => None,
        }
    }
}

impl WorkspaceReport {
    /// The report, its text trimmed.
    ///
    /// # Errors
    /// By field.
    pub fn check(mut self) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        text("message", &mut self.message, &mut errors);
        object(self.metadata.as_ref(), &mut errors);
        errors.check()?;
        Ok(self)
    }
}

fn text(field: &str, value: &mut Option<String>, errors: &mut FieldErrors) {
    let Some(given) = value else { return };
    let trimmed = given.trim().to_owned();
    if trimmed.chars().count() > MOST_TEXT {
        errors.add(field, "Use at most 1,000 characters.");
    }
    if trimmed.chars().any(|c| c.is_control() && c != '\n') {
        errors.add(field, "Control characters cannot be shown.");
    }
    *value = Some(trimmed).filter(|text| !text.is_empty());
}

fn name(field: &str, value: &mut Option<String>, errors: &mut FieldErrors) {
    let Some(given) = value else { return };
    let trimmed = given.trim().to_owned();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if trimmed.len() > MOST_NAME || !trimmed.chars().all(allowed) {
        errors.add(field, "Use 1 to 64 letters, digits, `_`, `-`, `.`");
    }
    *value = Some(trimmed).filter(|text| !text.is_empty());
}

fn object(metadata: Option<&Value>, errors: &mut FieldErrors) {
    match metadata {
        None | Some(Value::Null) => {}
        Some(Value::Object(_)) if !has_nul(metadata) && is_small(metadata) => {}
        Some(Value::Object(_)) if has_nul(metadata) => {
            errors.add("metadata", "The character NUL cannot be kept.");
        }
        Some(Value::Object(_)) => errors.add("metadata", "Use at most 16 KB."),
        Some(_) => errors.add("metadata", "Send an object."),
    }
}

fn is_small(metadata: Option<&Value>) -> bool {
    metadata.is_none_or(|value| value.to_string().len() <= MOST_METADATA)
}

fn has_nul(metadata: Option<&Value>) -> bool {
    // JSON writes it as an escape; the text of the escape itself has its backslash doubled.
    metadata.is_some_and(|value| value.to_string().replace("\\\\", "").contains("\\u0000"))
}

/// Puts the fields of a report beside those that are there; what would grow too large stays as it is.
pub(crate) fn merge(into: &mut Value, report: Option<&Value>) {
    let Some(Value::Object(fields)) = report else { return };
    let mut merged = match into {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    merged.extend(fields.clone());
    let merged = Value::Object(merged);
    if is_small(Some(&merged)) {
        *into = merged;
    }
}

/// Applies what a worker says of its workspace; answers whether anything is different, and so has to be told.
///
/// # Errors
/// When the table does not have the move. A workspace is deleted by its owner, never by a report.
pub fn of_workspace(
    workspace: &mut Workspace,
    report: &WorkspaceReport,
    now: Timestamp,
) -> Result<bool, IllegalMove> {
    let before = workspace.clone();
    if workspace.status == report.status {
        if let Some(message) = &report.message {
            workspace.status_message = Some(message.clone());
        }
    } else {
        let refused = |mut e: IllegalMove| {
            e.allowed.retain(|to| *to != WorkspaceStatus::Deleting.as_str());
            e
        };
        if report.status == WorkspaceStatus::Deleting {
            let (from, allowed) = (workspace.status, workspace.status.allowed());
            let allowed = allowed.iter().map(|s| s.as_str()).collect();
            let (from, to) = (from.as_str(), report.status.as_str());
            return Err(refused(IllegalMove { what: "The workspace", from, to, allowed }));
        }
        provision::move_to(workspace, report.status, report.message.clone()).map_err(refused)?;
    }
    merge(&mut workspace.metadata, report.metadata.as_ref());
    let changed = *workspace != before;
    if changed {
        workspace.updated_at = now;
    }
    Ok(changed)
}

/// Why a report is not for this workspace; `None` when it is.
pub const fn refused(processor: Processor, status: WorkspaceStatus) -> Option<provision::Refusal> {
    match (processor, status) {
        (_, WorkspaceStatus::Deleting) => {
            Some(provision::Refusal::new("workspace_deleting", "This workspace is being deleted."))
        }
        (Processor::Builtin, _) => Some(provision::Refusal::new(
            "not_external",
            "The built-in workers process this workspace. Set its processor to `external` first.",
        )),
        (Processor::External, _) => None,
    }
}

/// Why there is nothing to leave out of an outside worker's work.
pub const NOT_EMBEDDED_HERE: provision::Refusal = provision::Refusal::new(
    "external_workspace",
    "An outside worker processes this workspace; whether it embeds is its own business.",
);

/// Why documents of an external workspace are not indexed anew here.
pub const NOT_INDEXED_HERE: provision::Refusal = provision::Refusal::new(
    "external_workspace",
    "An outside worker processes this workspace, so there is nothing to index anew here.",
);

/// Why a report is not for a document that a built-in worker has begun.
pub const BUILTIN_AT_WORK: provision::Refusal =
    provision::Refusal::new("builtin_at_work", "A built-in worker has begun this document, and finishes it.")
        .allowing(&[]);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_out_of_bounds_is_refused_at_its_fields() {
        let good = DocumentReport {
            message: Some("  Reading…  ".into()),
            step: Some("reading.page-3".into()),
            error: Some(" ".into()),
            progress: Some(100.0),
            chunk_count: Some(0),
            metadata: Some(json!({ "path": "C:\\u0000" })),
            ..DocumentReport::of(DocumentStatus::Processing)
        };
        let checked = good.check().unwrap();
        assert_eq!((checked.message.as_deref(), checked.error), (Some("Reading…"), None));

        let bad = DocumentReport {
            error: Some("x".repeat(1_001)),
            error_code: Some("no spaces".into()),
            step: Some("x".repeat(65)),
            message: Some("a\0b".into()),
            progress: Some(100.1),
            chunk_count: Some(10_000_001),
            metadata: Some(json!([1])),
            ..DocumentReport::of(DocumentStatus::Failed)
        };
        let errors = bad.check().unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["chunk_count", "error", "error_code", "message", "metadata", "progress", "step"]);
        for metadata in [json!({ "a": "\0" }), json!({ "a": "x".repeat(20_000) }), json!("text"), json!(1)] {
            let report =
                WorkspaceReport { status: WorkspaceStatus::Ready, message: None, metadata: Some(metadata) };
            assert!(report.check().is_err());
        }
        for progress in [-0.1, f64::NAN, f64::INFINITY] {
            let report =
                DocumentReport { progress: Some(progress), ..DocumentReport::of(DocumentStatus::Ready) };
            assert!(report.check().is_err(), "{progress}");
        }
    }

    #[test]
    fn metadata_is_put_beside_what_is_there_and_never_grows_without_end() {
        let mut kept = json!({ "pages": 3, "title": "A" });
        merge(&mut kept, Some(&json!({ "title": "B", "lang": "en" })));
        assert_eq!(kept, json!({ "pages": 3, "title": "B", "lang": "en" }));
        let before = kept.clone();
        merge(&mut kept, None);
        merge(&mut kept, Some(&json!({ "more": "x".repeat(16_384) })));
        assert_eq!(kept, before);
    }
}
