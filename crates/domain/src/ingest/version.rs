//! Versions of a document: the next one is read, cut and embedded beside the one that searches find, takes its place when it
//! is indexed, and leaves everything as it was when it does not get that far.

use super::{
    advance::{add_likeness, begin_step},
    *,
};

/// What a document becomes when its run is through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextVersion {
    pub version: u32,
    pub mime_type: String,
    pub size_bytes: u64,
    pub content_hash: String,
    /// What was said of the version that is found: it is said again when this one does not get through.
    pub metadata: serde_json::Value,
    pub warnings: Vec<Warning>,
    /// Of a run that did not get through: what it found out and counted, for the attempt that takes it out of the counts.
    #[serde(default)]
    pub run: Option<FailedRun>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedRun {
    metadata: serde_json::Value,
    chunks: u64,
}

/// Gives the document its next content. One that is found stays so until that is indexed; of any other the new content
/// takes the place of the old one at once. Nobody may have the document in hand. `version` was never given to another
/// content of it.
///
/// # Errors
/// When the table of its status does not have the move.
pub fn replace(
    job: &JobState,
    doc: &mut DocumentState,
    upload: &Upload,
    version: u32,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    control::forget(doc);
    stall::forget(doc);
    interrupt::forget(doc);
    // It is put aside for another content before it was through itself.
    go_back(doc, doc.stage);
    let d = &mut doc.document;
    if doc.live > 0 {
        d.warnings.retain(|w| !NOT_RENEWED.contains(&w.code.as_str()));
        d.chunk_count = doc.live_chunks;
        d.next_version = Some(version);
        doc.next = Some(NextVersion {
            version,
            mime_type: upload.mime_type.clone(),
            size_bytes: upload.size_bytes,
            content_hash: upload.content_hash.clone(),
            metadata: d.metadata.clone(),
            warnings: d.warnings.clone(),
            run: None,
        });
    } else {
        (doc.next, d.next_version) = (None, None);
        d.warnings.clear();
        d.chunk_count = 0;
        d.version = version;
        d.mime_type.clone_from(&upload.mime_type);
        d.size_bytes = upload.size_bytes;
        d.content_hash.clone_from(&upload.content_hash);
        // A page keeps its address.
        let source = d.metadata.get(crawl::SOURCE).cloned();
        d.metadata = serde_json::json!({});
        if let Some(source) = source {
            d.metadata[crawl::SOURCE] = source;
        }
    }
    begin_run(job, doc, now)
}

/// The run is through: its content is the document's from now on.
pub(super) fn take_over(doc: &mut DocumentState) {
    let Some(next) = doc.next.take() else { return };
    let d = &mut doc.document;
    d.next_version = None;
    d.version = next.version;
    d.mime_type = next.mime_type;
    d.size_bytes = next.size_bytes;
    d.content_hash = next.content_hash;
}

/// The run does not get through `stage`: the document is what it was before. The content stays at hand for a retry.
pub(super) fn go_back(doc: &mut DocumentState, stage: Stage) {
    let Some(next) = &mut doc.next else { return };
    let d = &mut doc.document;
    let metadata = std::mem::replace(&mut d.metadata, next.metadata.clone());
    let (metadata, chunks) = match stage {
        // Before it was read, all that is said is of the version before.
        Stage::Loading => (serde_json::json!({}), 0),
        Stage::Chunking => (metadata, 0),
        Stage::Embedding | Stage::Indexing | Stage::Done => (metadata, d.chunk_count),
    };
    next.run = Some(FailedRun { metadata, chunks });
    d.warnings.clone_from(&next.warnings);
}

/// What the run before counted is known again, so that it can be taken out of the counts.
pub(super) fn count_failed_run(doc: &mut DocumentState) {
    let Some(run) = doc.next.as_mut().and_then(|next| next.run.take()) else { return };
    doc.document.metadata = run.metadata;
    doc.document.chunk_count = run.chunks;
}

/// Says of a document that was just made that another one has the very same content.
pub fn say_duplicate(doc: &mut DocumentState, (id, name): (DocumentId, &str), now: Timestamp) -> Vec<Event> {
    let facts = Facts { similar_name: Some(name.to_owned()), ..Facts::file(&doc.document.filename) };
    let mut events = vec![];
    let step = Step::DuplicateFound;
    begin_step(doc, step.clone(), friendly(WRITTEN, &step, &facts), now, &mut events);
    // The row does not say it: what it says of a likeness is what its passages have in common with others.
    let noted = serde_json::json!({ "similar_to": id, "similar_name": name, "similarity_score": 1.0 });
    add_likeness(events.last_mut(), &noted);
    events
}
