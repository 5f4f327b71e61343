//! What a worker of somebody's own does to a document, by the tables that hold for the built-in workers too. Its
//! document has no checkpoints: it stays in the first stage until it is through, and counts for its job then.

use super::{
    advance::{begin_step, end_step, fail, run_phase, tell_step},
    held_back::{is_due, tell_document},
    job::{settle, tell_job},
    *,
};
use crate::{
    provision::Refusal,
    report::{DocumentReport, merge},
};

/// Why a report changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Applies a report. One that says what is so already changes nothing and tells nothing, unless the document was said to be
/// [`unheard`] of; so does the end of a document that is told again, whatever comes with it. `wanted` is what the workspace
/// asks for by now, `sentence` what is kept of a model for a step that the catalogue does not know.
///
/// # Errors
/// When the table does not have the move, or the job stands still.
pub fn report(
    job: &mut JobState,
    doc: &mut DocumentState,
    report: &DocumentReport,
    wanted: &RagConfig,
    sentence: Option<&str>,
    now: Timestamp,
) -> Result<Told, ReportError> {
    use DocumentStatus::{Failed, Pending, Processing, Ready};
    let (from, to) = (doc.document.status, report.status);
    if from == to && from != Processing {
        return Ok(Told::default());
    }
    if matches!(from, Ready | Failed) {
        // Only a new attempt of its job leads on from here.
        let (from, to) = (from.as_str(), to.as_str());
        return Err(IllegalMove { what: "The document", from, to, allowed: vec![] }.into());
    }
    // Asked before anything is changed, and before the job: a move that never is possible is told as such.
    if from != to {
        from.go(to)?;
    }
    if let Some(refusal) = stands(&job.job, doc) {
        return Err(refusal.into());
    }
    let (before, job_before) = (doc.document.clone(), job.job.clone());
    let mut events = vec![];
    let mut counts_changed = false;
    // Whatever it says, it was heard of.
    stall::forget(doc);
    begin(&mut job.job, now)?;
    merge(&mut doc.document.metadata, report.metadata.as_ref());
    if let Some(chunks) = report.chunk_count {
        doc.document.chunk_count = chunks;
    }
    match to {
        Pending => {
            doc.document.status = to;
            let given_back = say(WRITTEN, &Sentence::GivenBack);
            end_step(doc, StepStatus::Error, Some(&given_back), now, &mut events);
            doc.document.step = None;
            doc.document.message = Some(given_back);
        }
        Processing => {
            doc.document.status = to;
            go_on(job, doc, (report, sentence), now, &mut events)?;
        }
        Ready => {
            another_step(job, doc, (report, sentence), now, &mut events)?;
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            finish(job, doc, report, now, &mut events)?;
            counts_changed = true;
        }
        Failed => {
            another_step(job, doc, (report, sentence), now, &mut events)?;
            let failure = Failure {
                code: report.error_code.clone().unwrap_or_else(|| "worker_failed".to_owned()),
                message: report
                    .error
                    .clone()
                    .or_else(|| report.message.clone())
                    .unwrap_or_else(|| say(WRITTEN, &Sentence::WorkerFailed)),
                hint: None,
                retryable: true,
            };
            fail(job, doc, &failure, wanted, now, &mut events)?;
            counts_changed = true;
        }
    }
    if from == to && doc.document == before {
        return Ok(Told::default());
    }
    doc.document.updated_at = now;
    // With its last word, which the events that are there already do not have.
    if from != to {
        events.retain(|e| !matches!(e, Event::DocumentStatus(_)));
        tell_document(doc, &mut events);
    } else if doc.document.metadata != before.metadata || doc.document.warnings != before.warnings {
        // The events of steps have neither.
        doc.event_at = now;
        tell_document(doc, &mut events);
    } else if events.is_empty() {
        tell_when_due(doc, now, &mut events);
    }
    job.job.halted = None;
    move_bar(&mut job.job, &doc.document, before.progress);
    settle(job, now)?;
    follow_last(&mut job.job, &doc.document, job_before.phase);
    if job.job != job_before {
        tell_job(job, &job_before, now, &mut events);
    }
    Ok(Told { events, counts_changed })
}

/// The bar of the job moves with its documents, each of which is the same part of the whole. Its counts do not: a document
/// is through with no phase before it is ready.
fn move_bar(job: &mut Job, document: &Document, before: f64) {
    let raised = document.progress - before;
    let all = job.phase_details[0].items_total as f64;
    // Nobody knows how many pages a site has.
    if raised <= 0.0 || all < 1.0 || job.crawl.is_some() {
        return;
    }
    // So far it is when all others are through. Documents that were taken out of the job have moved it as well.
    let most = 100.0 - (100.0 - document.progress) / all;
    job.progress = job.progress.max((job.progress + raised / all).min(most));
}

/// Where one document is left, the job is where that is, and says what that says of its step. Of several, each may be
/// somewhere else, so then the counts speak. A step of which nothing is known leaves the phase, `before`, as it was.
fn follow_last(job: &mut Job, document: &Document, before: PhaseName) {
    let Metrics { documents_total, documents_done, documents_failed, .. } = job.metrics;
    let is_last = !job.goes_on_finding() && documents_done + documents_failed + 1 == documents_total;
    let Some(step) = document.step.as_ref().filter(|_| is_last) else { return };
    if document.status != DocumentStatus::Processing {
        return;
    }
    let phase = step.phase().unwrap_or(before);
    // One that is skipped here is nothing to be in.
    if job.phase_details[phase.index()].status == PhaseStatus::Running {
        job.phase = phase;
    }
    if let Some(message) = &document.message {
        job.message.clone_from(message);
    }
}

/// Why nobody works on the job's documents now.
fn stands(job: &Job, doc: &DocumentState) -> Option<Refusal> {
    let (code, sentence) = match (job.status, job.requested) {
        (JobStatus::Pending | JobStatus::Running, None) if doc.paused => {
            ("document_paused", "This document is paused. Resume it first.")
        }
        (JobStatus::Pending | JobStatus::Running, None) => return None,
        (JobStatus::Pending | JobStatus::Running, Some(_)) => {
            ("job_stopping", "The job of this document is being paused or cancelled.")
        }
        (JobStatus::Paused, _) => ("job_paused", "The job of this document is paused. Resume it first."),
        (JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled, _) => {
            ("job_ended", "The job of this document has ended.")
        }
    };
    Some(Refusal::new(code, sentence).allowing(&[]))
}

fn begin(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    if job.status != JobStatus::Running {
        job.status = job.status.go(JobStatus::Running)?;
        job.started_at.get_or_insert(now);
    }
    run_phase(job, PhaseName::Loading, now)
}

/// Something about the document is new, beside its status and its step.
fn tell_when_due(doc: &mut DocumentState, now: Timestamp, events: &mut Vec<Event>) {
    if !is_due(doc.event_at, DOCUMENT_EVERY_MICROS, now) {
        doc.held_back = true;
    } else if doc.document.step.is_some() {
        tell_step(doc, StepStatus::InProgress, now, events);
    } else {
        doc.event_at = now;
        tell_document(doc, events);
    }
}

/// What the sentence of a step may speak of: what is known of the document, and what its worker told beside the step.
fn facts(doc: &DocumentState, report: Option<&DocumentReport>, sentence: Option<&str>) -> Facts {
    let told = report.and_then(|r| r.metadata.as_ref());
    Facts {
        filename: Some(doc.document.filename.clone()),
        chunks: Some(doc.document.chunk_count).filter(|&n| n > 0),
        reason: report.and_then(|r| r.error.clone()),
        sentence: sentence.map(str::to_owned),
        ..told.map(Facts::told).unwrap_or_default()
    }
}

/// Says the step that the document is in by a sentence that a model has found since. A document that is in another step
/// by now, or whose worker said something of its own, stays as it is.
pub fn reword(doc: &mut DocumentState, step: &Step, sentence: &str, now: Timestamp) -> Option<Event> {
    let by_rule = friendly(WRITTEN, step, &facts(doc, None, None));
    let better = friendly(WRITTEN, step, &facts(doc, None, Some(sentence)));
    let d = &mut doc.document;
    let is_meant = d.status == DocumentStatus::Processing
        && d.step.as_ref() == Some(step)
        && d.message.as_ref() == Some(&by_rule);
    if !is_meant || better == by_rule {
        return None;
    }
    d.message = Some(better);
    d.updated_at = now;
    let mut events = vec![];
    tell_step(doc, StepStatus::InProgress, now, &mut events);
    events.pop()
}

/// Begins the step of the report, when it is another one than the document is in; answers whether it is.
fn another_step(
    job: &mut JobState,
    doc: &mut DocumentState,
    (report, sentence): (&DocumentReport, Option<&str>),
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<bool, IllegalMove> {
    let Some(step) = report.step().filter(|step| doc.document.step.as_ref() != Some(step)) else {
        return Ok(false);
    };
    if report.status == DocumentStatus::Ready && step == Step::Finished {
        return Ok(false);
    }
    if let Some(phase) = step.phase() {
        run_phase(&mut job.job, phase, now)?;
    }
    let known = f64::from(step.percent().unwrap_or(0));
    end_step(doc, StepStatus::Complete, None, now, events);
    doc.document.progress = doc.document.progress.max(known).max(report.progress.unwrap_or(0.0));
    let message = report
        .message
        .clone()
        .unwrap_or_else(|| friendly(WRITTEN, &step, &facts(doc, Some(report), sentence)));
    begin_step(doc, step, message, now, events);
    Ok(true)
}

fn go_on(
    job: &mut JobState,
    doc: &mut DocumentState,
    (report, sentence): (&DocumentReport, Option<&str>),
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), IllegalMove> {
    if another_step(job, doc, (report, sentence), now, events)? {
        return Ok(());
    }
    doc.document.progress = doc.document.progress.max(report.progress.unwrap_or(0.0));
    if report.message.is_some() {
        doc.document.message.clone_from(&report.message);
    }
    Ok(())
}

/// The document is through, and counts for all phases of its job at once.
fn finish(
    job: &mut JobState,
    doc: &mut DocumentState,
    report: &DocumentReport,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), IllegalMove> {
    for &phase in PhaseName::ALL {
        run_phase(&mut job.job, phase, now)?;
    }
    let n = doc.document.chunk_count;
    let phases = &mut job.job.phase_details;
    for at in [0, 1] {
        phases[at].items_processed += 1;
    }
    for at in [2, 3] {
        if phases[at].status != PhaseStatus::Skipped {
            phases[at].items_total += n;
            phases[at].items_processed += n;
        }
    }
    let metrics = &mut job.job.metrics;
    metrics.chunks_created += n;
    if doc.embeds {
        metrics.chunks_embedded += n;
    }
    metrics.documents_done += 1;
    doc.stage = Stage::Done;
    let d = &mut doc.document;
    d.status = d.status.go(DocumentStatus::Ready)?;
    d.error = None;
    d.error_code = None;
    d.error_hint = None;
    d.progress = 100.0;
    d.step = Some(Step::Finished);
    d.message =
        Some(report.message.clone().unwrap_or_else(|| say(WRITTEN, &Sentence::WorkerDone { chunks: n })));
    doc.step_started_at = now;
    tell_step(doc, StepStatus::Complete, now, events);
    Ok(())
}
