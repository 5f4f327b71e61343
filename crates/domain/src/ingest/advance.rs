//! What a worker does to a document: it takes it, and finishes one piece of work after the other.

use super::{
    fixed_step::CHARACTERS,
    held_back::{is_due, tell_document},
    job::{drop_from_totals, say_how_far, settle, tell_job},
    *,
};
use crate::resource::CANCELLED;

/// A worker took the document: job and document start, where they have not yet.
///
/// # Errors
/// When the job is neither pending nor running.
pub fn start(job: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let mut events = vec![];
    let mut counts_changed = false;
    let before = job.job.clone();
    // One that is indexed anew may be taken before it was told that it waits.
    if job.job.kind == JobKind::Reindex && doc.document.job_id != Some(job.job.job_id) {
        let told = requeue(job, doc, now)?;
        events.extend(told.events);
        counts_changed = told.counts_changed;
    }
    if job.job.status != JobStatus::Running {
        job.job.status = job.job.status.go(JobStatus::Running)?;
        job.job.started_at.get_or_insert(now);
        run_phase(&mut job.job, PhaseName::Loading, now)?;
    }
    let is_begun = doc.document.status == DocumentStatus::Pending;
    if is_begun {
        doc.document.status = doc.document.status.go(DocumentStatus::Processing)?;
    }
    if interrupt::forget(doc) | retry_later::forget(doc) | is_begun {
        job.job.halted = None;
        doc.document.updated_at = now;
        tell_document(doc, &mut events);
    }
    // An outside worker that had the document before may have been at a later one.
    job.job.phase = progress::current_phase(&job.job.phase_details);
    say_how_far(&mut job.job);
    tell_job(job, &before, now, &mut events);
    Ok(Told { events, counts_changed })
}

/// Applies a finished piece of work. `wanted` is what the workspace asks for by now.
///
/// # Errors
/// When the table of a status does not have the move: the work came too late, or out of order.
pub fn advance(
    job: &mut JobState,
    doc: &mut DocumentState,
    checkpoint: &Checkpoint,
    wanted: &RagConfig,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let mut events = vec![];
    let mut counts_changed = false;
    let before = job.job.clone();
    if !matches!(checkpoint, Checkpoint::Waits(_)) {
        doc.document.updated_at = now;
    }
    // A step that begins anew is no progress yet.
    let is_progress = !matches!(checkpoint, Checkpoint::Step { .. } | Checkpoint::Waits(_));
    let got_on = (is_progress && (stall::forget(doc) | model_away::forget(doc))) | interrupt::forget(doc);
    if got_on || is_progress {
        job.job.halted = None;
    }
    if is_progress && !matches!(checkpoint, Checkpoint::Failed(_)) {
        doc.failures.clear();
    }
    match checkpoint {
        Checkpoint::Step { step, facts } => {
            let step = &crawl::step_of(&job.job, step);
            if let Some(phase) = step.phase() {
                run_phase(&mut job.job, phase, now)?;
            }
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            learn(doc, facts);
            doc.document.progress = doc.document.progress.max(progress::at_step(step));
            begin_step(doc, step.clone(), friendly(WRITTEN, step, facts), now, &mut events);
        }
        Checkpoint::Loaded { pages, characters, title, warnings } => {
            expect(doc, Stage::Loading, Stage::Chunking)?;
            doc.document.warnings.retain(|w| w.code == STOPPING);
            doc.document.warnings.extend_from_slice(warnings);
            let mut metadata = serde_json::json!({ CHARACTERS: characters });
            if let Some(pages) = pages {
                metadata["pages"] = (*pages).into();
                if job.job.crawl.is_none() {
                    job.job.metrics.pages_found += pages;
                }
            }
            if let Some(url) = doc.document.metadata.get(crawl::SOURCE) {
                metadata[crawl::SOURCE] = url.clone();
            }
            if let Some(title) = title {
                metadata["title"] = title.as_str().into();
            }
            doc.document.metadata = metadata;
            job.job.phase_details[0].items_processed += 1;
            set_progress(doc, 0);
        }
        Checkpoint::Chunked { chunks } => {
            expect(doc, Stage::Chunking, if doc.embeds { Stage::Embedding } else { Stage::Indexing })?;
            let n = chunks.len() as u64;
            doc.document.chunk_count = n;
            let phases = &mut job.job.phase_details;
            phases[1].items_processed += 1;
            if doc.embeds {
                phases[2].items_total += n;
            }
            phases[3].items_total += n;
            job.job.metrics.chunks_created += n;
            let tokens: u64 = chunks.iter().map(|c| u64::from(c.token_count)).sum();
            job.job.metrics.tokens += tokens;
            if let Some(metadata) = doc.document.metadata.as_object_mut() {
                metadata.remove(READ_CHUNKS);
                metadata.insert("total_tokens".to_owned(), tokens.into());
            }
            set_progress(doc, 0);
            // What the worker does next, before anything is embedded.
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            let facts = Facts::file(&doc.document.filename);
            let sentence = friendly(WRITTEN, &Step::DuplicateCheck, &facts);
            begin_step(doc, Step::DuplicateCheck, sentence, now, &mut events);
        }
        Checkpoint::Compared { with, filename, shared } => {
            if is_alike(*shared, doc.document.chunk_count) {
                say_alike(doc, *with, filename, *shared);
                let facts =
                    Facts { chunks: Some(doc.document.chunk_count), ..Facts::told(&doc.document.metadata) };
                end_step(doc, StepStatus::Complete, None, now, &mut events);
                let sentence = friendly(WRITTEN, &Step::NearDuplicateFound, &facts);
                begin_step(doc, Step::NearDuplicateFound, sentence, now, &mut events);
            } else if *shared > 0 {
                // Too little to be called alike: the row keeps nothing of it.
                end_step(doc, StepStatus::Complete, None, now, &mut events);
                let sentence = friendly(WRITTEN, &Step::ContentDuplicateFound, &Facts::default());
                begin_step(doc, Step::ContentDuplicateFound, sentence, now, &mut events);
                let noted = likeness_of(doc, *with, filename, *shared);
                add_likeness(events.last_mut(), &noted);
            }
        }
        Checkpoint::Embedded { .. } | Checkpoint::Known { .. } => {
            let n = match checkpoint {
                Checkpoint::Embedded { vectors } => vectors.len() as u64,
                Checkpoint::Known { passages } => {
                    let n = passages.len() as u64;
                    let known = doc.known() + n;
                    if let Some(metadata) = doc.document.metadata.as_object_mut() {
                        metadata.insert(KNOWN_CHUNKS.to_owned(), known.into());
                    }
                    job.job.metrics.chunks_skipped += n;
                    n
                }
                _ => 0,
            };
            doc.embedded += n;
            job.job.phase_details[2].items_processed += n;
            job.job.metrics.chunks_embedded += n;
            if doc.embedded >= doc.document.chunk_count {
                expect(doc, Stage::Embedding, Stage::Indexing)?;
                set_progress(doc, 0);
            } else {
                set_progress(doc, doc.embedded);
            }
            let facts = Facts {
                done: Some(doc.embedded),
                chunks: Some(doc.document.chunk_count),
                ..Facts::default()
            };
            doc.document.message = Some(friendly(WRITTEN, &Step::CreatingEmbeddings, &facts));
            tell_or_hold_back(doc, now, &mut events);
        }
        Checkpoint::Read { asked, .. } => {
            expect(doc, Stage::Indexing, Stage::Indexing)?;
            let asked = &(*asked).clamp(doc.read(), doc.document.chunk_count);
            job.job.phase_details[3].items_processed += asked - doc.read();
            if let Some(metadata) = doc.document.metadata.as_object_mut() {
                metadata.insert(READ_CHUNKS.to_owned(), (*asked).into());
            }
            set_progress(doc, doc.read());
            let facts =
                Facts { read: Some(*asked), chunks: Some(doc.document.chunk_count), ..Facts::default() };
            doc.document.message = Some(friendly(WRITTEN, &Step::Enrichment, &facts));
            tell_or_hold_back(doc, now, &mut events);
        }
        Checkpoint::ByRules { passages } => {
            expect(doc, Stage::Indexing, Stage::Indexing)?;
            let sentence = Sentence::GraphByRules { passages: *passages, of: doc.document.chunk_count };
            doc.document.warnings.retain(|w| w.code != GRAPH_BY_RULES);
            if *passages > 0 {
                doc.document
                    .warnings
                    .push(Warning { code: GRAPH_BY_RULES.to_owned(), message: say(WRITTEN, &sentence) });
            }
        }
        Checkpoint::Indexed => {
            let read = doc.read();
            expect(doc, Stage::Indexing, Stage::Done)?;
            doc.document.status = doc.document.status.go(DocumentStatus::Ready)?;
            doc.document.error = None;
            doc.document.error_code = None;
            doc.document.error_hint = None;
            control::forget(doc);
            if !doc.embeds && job.config.embeds() {
                control::say_skipped(&mut doc.document);
            }
            version::take_over(doc);
            let indexed = job.config.fingerprint(doc.embeds);
            doc.document.stale = !indexed.serves(wanted);
            doc.document.indexed_with = indexed.indexed_with();
            doc.indexed = Some(indexed);
            if doc.live == 0 {
                doc.found_since = Some(doc.document.version);
            }
            doc.live = doc.generation;
            doc.live_chunks = doc.document.chunk_count;
            job.job.phase_details[3].items_processed += doc.document.chunk_count - read;
            job.job.metrics.documents_done += 1;
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            let facts = Facts { chunks: Some(doc.document.chunk_count), ..Facts::default() };
            doc.document.progress = 100.0;
            doc.document.step = Some(Step::Finished);
            doc.document.message = Some(friendly(WRITTEN, &Step::Finished, &facts));
            doc.step_started_at = now;
            tell_step(doc, StepStatus::Complete, now, &mut events);
            tell_complete(doc, now, &mut events);
            tell_document(doc, &mut events);
            counts_changed = true;
        }
        Checkpoint::Waits(outage) => model_away::put_on_hold(doc, outage, now, &mut events),
        Checkpoint::Failed(failure) => match retry_later::put_off(doc, failure, now, &mut events) {
            None => {}
            Some(last) => {
                fail(job, doc, &last, wanted, now, &mut events)?;
                counts_changed = true;
            }
        },
    }
    if got_on && !events.iter().any(|e| matches!(e, Event::DocumentStatus(_))) {
        tell_document(doc, &mut events);
    }
    settle(job, now)?;
    if let Checkpoint::Waits(outage) = checkpoint {
        model_away::say_of_job(job, outage, now);
    }
    if doc.document.stalled().is_some() || job.job.halted.is_some() {
        stall::estimate_nothing(&mut job.job);
    }
    tell_job(job, &before, now, &mut events);
    Ok(Told { events, counts_changed })
}

/// What a step found out about the document itself stays with it.
fn learn(doc: &mut DocumentState, facts: &Facts) {
    let Facts { columns, rows, new_rows, existing_rows, kind, origin, .. } = facts;
    let found = Facts {
        columns: *columns,
        rows: *rows,
        new_rows: *new_rows,
        existing_rows: *existing_rows,
        kind: kind.clone(),
        origin: origin.clone(),
        ..Facts::default()
    };
    if let Some(metadata) = doc.document.metadata.as_object_mut() {
        metadata.extend(found.extra());
    }
}

/// From so much in common on, documents are told to be alike.
const ALIKE: f64 = 0.5;

/// Whether another document has so much of one that they are alike.
fn is_alike(shared: u64, all: u64) -> bool {
    shared.min(all) as f64 / all.max(1) as f64 >= ALIKE
}

/// What a document has in common with another one, under the names of the facts.
fn likeness_of(doc: &DocumentState, with: DocumentId, filename: &str, shared: u64) -> serde_json::Value {
    let all = doc.document.chunk_count;
    serde_json::json!({
        "similar_to": with,
        "similar_name": filename,
        "similarity_score": shared.min(all) as f64 / all.max(1) as f64,
        "shared_chunks": shared.min(all),
        "new_chunks": all.saturating_sub(shared),
    })
}

/// Notes with which document this one is alike.
fn say_alike(doc: &mut DocumentState, with: DocumentId, filename: &str, shared: u64) {
    let noted = likeness_of(doc, with, filename, shared);
    if let (Some(metadata), serde_json::Value::Object(noted)) = (doc.document.metadata.as_object_mut(), noted)
    {
        metadata.extend(noted);
    }
}

/// The document ends here; the job goes on with the others.
pub(super) fn fail(
    job: &mut JobState,
    doc: &mut DocumentState,
    failure: &Failure,
    wanted: &RagConfig,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), IllegalMove> {
    let failed_in = doc.stage.phase();
    drop_from_totals(&mut job.job, doc, failed_in);
    job.job.phase_details[failed_in.index()].error =
        Some(format!("{}: {}", doc.document.filename, failure.message));
    job.job.metrics.documents_failed += 1;
    end_badly(doc, failure, wanted, now, events)
}

/// The document's part of its end, when it does not become ready.
pub(super) fn end_badly(
    doc: &mut DocumentState,
    failure: &Failure,
    wanted: &RagConfig,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), IllegalMove> {
    // What a re-index made is removed with its failure, and made anew by a retry.
    let stopped_at = std::mem::replace(&mut doc.stage, Stage::Done);
    doc.reached = if doc.live > 0 { Stage::Loading } else { stopped_at };
    control::forget(doc);
    stall::forget(doc);
    interrupt::forget(doc);
    if doc.live > 0 {
        keep_serving(doc, stopped_at, failure, wanted)?;
    } else {
        doc.document.status = doc.document.status.go(DocumentStatus::Failed)?;
        doc.document.error = Some(failure.message.clone());
        doc.document.error_code = Some(failure.code.clone());
        doc.document.error_hint.clone_from(&failure.hint);
    }
    end_step(doc, StepStatus::Error, Some(&failure.message), now, events);
    tell_document(doc, events);
    Ok(())
}

/// A document that could not be indexed anew is found as it was before, which makes it ready; a warning tells the rest.
fn keep_serving(
    doc: &mut DocumentState,
    stopped_at: Stage,
    failure: &Failure,
    wanted: &RagConfig,
) -> Result<(), IllegalMove> {
    let d = &mut doc.document;
    if d.status == DocumentStatus::Pending {
        d.status = d.status.go(DocumentStatus::Processing)?;
    }
    d.status = d.status.go(DocumentStatus::Ready)?;
    d.stale = doc.indexed.as_ref().is_some_and(|indexed| !indexed.serves(wanted));
    let (why, hint) = (failure.message.as_str(), failure.hint.as_deref());
    let is_cancelled = failure.code == CANCELLED;
    let (code, sentence) = match doc.next.as_ref().map(|next| next.version) {
        None if is_cancelled => (REINDEX_CANCELLED, Sentence::ReindexCancelled),
        None => (REINDEX_FAILED, Sentence::NotIndexedAnew { why, hint }),
        Some(version) if is_cancelled => {
            (REPLACE_CANCELLED, Sentence::ReplaceCancelled { version, kept: doc.document.version })
        }
        Some(version) => {
            (REPLACE_FAILED, Sentence::NotReplaced { version, kept: doc.document.version, why, hint })
        }
    };
    version::go_back(doc, stopped_at);
    let d = &mut doc.document;
    d.chunk_count = doc.live_chunks;
    d.warnings.retain(|w| !NOT_RENEWED.contains(&w.code.as_str()));
    d.warnings.push(Warning { code: code.to_owned(), message: say(WRITTEN, &sentence) });
    Ok(())
}

/// Moves the stage on; a checkpoint that does not fit it was made from an older state.
fn expect(doc: &mut DocumentState, now: Stage, next: Stage) -> Result<(), IllegalMove> {
    if doc.stage != now {
        return Err(IllegalMove {
            what: "The document's checkpoint",
            from: doc.stage.as_str(),
            to: next.as_str(),
            allowed: vec![],
        });
    }
    doc.stage = next;
    Ok(())
}

pub(super) fn set_progress(doc: &mut DocumentState, done: u64) {
    let now = progress::of_document(doc.stage.phase(), done, doc.document.chunk_count);
    doc.document.progress = doc.document.progress.max(now);
}

pub(super) fn run_phase(job: &mut Job, phase: PhaseName, now: Timestamp) -> Result<(), IllegalMove> {
    let detail = &mut job.phase_details[phase.index()];
    // A phase that others completed, or that was skipped, stays so.
    if detail.status == PhaseStatus::Pending {
        detail.status = detail.status.go(PhaseStatus::Running)?;
        detail.started_at = Some(now);
    }
    Ok(())
}

pub(super) fn begin_step(
    doc: &mut DocumentState,
    step: Step,
    message: String,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    doc.document.step = Some(step);
    doc.document.message = Some(message);
    doc.step_started_at = now;
    tell_step(doc, StepStatus::InProgress, now, events);
}

/// Name of what goes along with a step that found a duplicate: of which document, and how much of it.
const DUPLICATE_INFO: &str = "duplicate_info";

/// That, out of what was noted of the likeness; `None` for a step that found none.
fn duplicate_info(step: &Step, noted: &serde_json::Value) -> Option<serde_json::Value> {
    let found = matches!(step, Step::DuplicateFound | Step::NearDuplicateFound | Step::ContentDuplicateFound);
    let names = [
        ("similar_to", "document_id"),
        ("similar_name", "filename"),
        ("similarity_score", "similarity_score"),
        ("shared_chunks", "shared_chunks"),
        ("new_chunks", "new_chunks"),
    ];
    let told = names.iter().filter_map(|(noted_as, name)| {
        let value = noted.get(noted_as)?;
        Some(((*name).to_owned(), value.clone()))
    });
    let info: serde_json::Map<String, serde_json::Value> = told.filter(|_| found).collect();
    (!info.is_empty()).then_some(serde_json::Value::Object(info))
}

/// What was noted of a likeness goes along with the step that found it, where the row does not keep it.
pub(super) fn add_likeness(event: Option<&mut Event>, noted: &serde_json::Value) {
    if let Some(Event::FileProgress(told)) = event
        && let Some(extra) = told.extra.as_object_mut()
    {
        extra.extend(Facts::told(noted).extra());
        extra.extend(duplicate_info(&told.step, noted).map(|info| (DUPLICATE_INFO.to_owned(), info)));
    }
}

/// The friendly end, beside the last step, in which the document stays.
fn tell_complete(doc: &mut DocumentState, now: Timestamp, events: &mut Vec<Event>) {
    let said = friendly(WRITTEN, &Step::Complete, &Facts::file(&doc.document.filename));
    let last = (doc.document.step.replace(Step::Complete), doc.document.message.replace(said));
    tell_step(doc, StepStatus::Complete, now, events);
    (doc.document.step, doc.document.message) = last;
}

/// Ends the step that runs, if one does.
pub(super) fn end_step(
    doc: &mut DocumentState,
    status: StepStatus,
    message: Option<&str>,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    // What was said while it waited is over, too.
    if let Some(message) = message
        && (doc.document.step.is_some() || doc.document.message.is_some())
    {
        doc.document.message = Some(message.to_owned());
    }
    tell_step(doc, status, now, events);
}

/// Tells how far the step is, unless it was told a moment ago.
fn tell_or_hold_back(doc: &mut DocumentState, now: Timestamp, events: &mut Vec<Event>) {
    if is_due(doc.event_at, DOCUMENT_EVERY_MICROS, now) {
        tell_step(doc, StepStatus::InProgress, now, events);
    } else {
        doc.held_back = true;
    }
}

pub(super) fn tell_step(
    doc: &mut DocumentState,
    status: StepStatus,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    let d = &doc.document;
    let Some(step) = d.step.clone() else { return };
    // All that is known by now: whoever words the step anew, in another language, has what it takes.
    let known = Facts {
        chunks: Some(d.chunk_count),
        done: Some(doc.embedded),
        reason: d.error.clone(),
        ..Facts::told(&d.metadata)
    };
    let mut extra = known.extra();
    extra.insert("phase".to_owned(), step.phase().map(PhaseName::as_str).into());
    extra.insert("filename".to_owned(), d.filename.as_str().into());
    if let Some(info) = duplicate_info(&step, &d.metadata) {
        extra.insert(DUPLICATE_INFO.to_owned(), info);
    }
    events.push(Event::FileProgress(FileProgress {
        document_id: d.id,
        workspace_id: d.workspace_id,
        job_id: d.job_id,
        attempt: d.attempt,
        filename: d.filename.clone(),
        message: d.message.clone().unwrap_or_default(),
        status,
        progress: d.progress,
        timestamp: now,
        started_at: doc.step_started_at,
        extra: serde_json::Value::Object(extra),
        rev: 0,
        file_id: d.id,
        step,
    }));
    doc.event_at = now;
    doc.held_back = false;
}
