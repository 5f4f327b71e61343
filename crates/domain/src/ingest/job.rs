//! What the work on its documents means for a job: its phases, its end, its rate, and how often it is told.

use super::{held_back::is_due, stall::estimate_nothing, *};

/// A failed document is through with the phase it failed in, and later phases no longer wait for it.
pub(super) fn drop_from_totals(job: &mut Job, doc: &DocumentState, failed_in: PhaseName) {
    let chunks = doc.document.chunk_count;
    let phases = &mut job.phase_details;
    match failed_in {
        PhaseName::Loading => {
            phases[0].items_processed += 1;
            phases[1].items_total = phases[1].items_total.saturating_sub(1);
        }
        PhaseName::Chunking => phases[1].items_processed += 1,
        PhaseName::Embedding => {
            phases[2].items_total = phases[2].items_total.saturating_sub(chunks.saturating_sub(doc.embedded));
            phases[3].items_total = phases[3].items_total.saturating_sub(chunks);
        }
        PhaseName::Indexing => {
            phases[3].items_total = phases[3].items_total.saturating_sub(chunks.saturating_sub(doc.read()));
        }
    }
}

/// What a crawl counts as done while it finds more pages, at most.
const STILL_FINDING: f64 = 0.9;

/// Brings phases, progress, message and status of the job in line with its counts.
pub(super) fn settle(state: &mut JobState, now: Timestamp) -> Result<(), IllegalMove> {
    let job = &mut state.job;
    let m = job.metrics;
    let goes_on_finding = job.goes_on_finding();
    let through = m.documents_done + m.documents_failed >= m.documents_total && !goes_on_finding;
    // Nobody knows how many pages a site has: the bars of a crawl keep some room until the last one was found.
    let known_yet = if goes_on_finding { STILL_FINDING } else { 1.0 };
    let share_known = if job.phase_details[1].items_total == 0 {
        0.0
    } else {
        job.phase_details[1].items_processed as f64 / job.phase_details[1].items_total as f64
    };
    let mut before_is_done = true;
    for (i, p) in job.phase_details.iter_mut().enumerate() {
        let known = known_yet * if i < 2 { 1.0 } else { share_known };
        // An outside worker need not say how many chunks there are: then the documents are what is counted.
        let is_uncounted = i >= 2 && p.items_total == 0 && p.status == PhaseStatus::Running;
        let (done, total) = if is_uncounted { (1, 1) } else { (p.items_processed, p.items_total) };
        p.progress = p.progress.max(progress::of_phase(done, total, known));
        if p.status == PhaseStatus::Running
            && before_is_done
            && p.items_processed >= p.items_total
            && !through
            && !goes_on_finding
        {
            p.status = p.status.go(PhaseStatus::Completed)?;
            p.completed_at = Some(now);
            p.progress = 100.0;
        }
        before_is_done &= matches!(p.status, PhaseStatus::Completed | PhaseStatus::Skipped);
    }
    // A cancel that is requested is honoured by whoever commits this, also when nothing is left to do.
    if through && !job.status.is_final() && job.requested != Some(JobRequest::Cancel) {
        if job.rests() { rest_again(job, now)? } else { finish(job, now)? }
    } else {
        job.progress = job.progress.max(progress::of_job(&job.phase_details));
        job.phase = progress::current_phase(&job.phase_details);
        say_how_far(job);
    }
    estimate(state, now);
    if goes_on_finding {
        // When it ends nobody knows yet.
        state.job.eta_seconds = None;
        state.job.phase_details.iter_mut().for_each(|phase| phase.eta_seconds = None);
    }
    Ok(())
}

/// What waits, stands or is asked to says that instead.
pub(super) fn say_how_far(job: &mut Job) {
    let waits = job.halted == Some(Halt::Waiting);
    if job.requested.is_none() && job.status == JobStatus::Running && !waits {
        job.message = message(job);
    }
}

/// Whether the job ended with something left to run again.
pub(super) const fn may_be_retried(job: &Job) -> bool {
    match job.status {
        JobStatus::Failed | JobStatus::Cancelled => true,
        JobStatus::Completed => job.metrics.documents_failed + job.metrics.pages_failed > 0,
        JobStatus::Pending | JobStatus::Running | JobStatus::Paused => false,
    }
}

/// What may become of the job now: by its table, or by a retry, which begins another attempt.
pub(super) fn moves_of(job: &Job) -> Vec<&'static str> {
    if job.requested == Some(JobRequest::Cancel) {
        return vec![JobStatus::Cancelled.as_str()];
    }
    let again = may_be_retried(job).then_some(JobStatus::Pending);
    job.status.allowed().iter().copied().chain(again).map(JobStatus::as_str).collect()
}

/// Moves the job to its end, also from where it stands: what stands is resumed for it.
fn reach(job: &mut Job, end: JobStatus) -> Result<(), IllegalMove> {
    if !job.status.may_become(end) {
        job.status = job.status.go(JobStatus::Running)?;
    }
    job.status = job.status.go(end)?;
    Ok(())
}

/// Ends the phases that are not through.
pub(super) fn cancel_phases(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    for p in &mut job.phase_details {
        if p.status.may_become(PhaseStatus::Cancelled) {
            p.status = p.status.go(PhaseStatus::Cancelled)?;
            p.completed_at = Some(now);
        }
    }
    Ok(())
}

/// The job was cancelled, as a whole or document by document.
pub(super) fn finish_cancelled(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    let (ready, of) = (job.metrics.documents_done, job.metrics.documents_total);
    end_job(job, &Sentence::Cancelled { ready, of }, now)
}

/// What was retried of a cancelled crawl is through; the crawl is as cancelled as before, and can be retried itself.
fn rest_again(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    let through = |p: &&mut PhaseDetail| {
        p.status == PhaseStatus::Running && p.error.is_none() && p.items_processed >= p.items_total
    };
    for p in job.phase_details.iter_mut().filter(through) {
        p.status = p.status.go(PhaseStatus::Completed)?;
        p.completed_at = Some(now);
        p.progress = 100.0;
    }
    finish_cancelled(job, now)
}

/// The job ends with nothing left to do, for the reason that is said.
pub(super) fn end_job(job: &mut Job, why: &Sentence<'_>, now: Timestamp) -> Result<(), IllegalMove> {
    reach(job, JobStatus::Cancelled)?;
    // The one that it ends in: once all that was left is cancelled, none of them tells.
    job.phase = progress::current_phase(&job.phase_details);
    cancel_phases(job, now)?;
    crawl::waits_no_more(job);
    job.requested = None;
    job.completed_at = Some(now);
    job.message = say(WRITTEN, why);
    estimate_nothing(job);
    Ok(())
}

fn finish(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    let m = job.metrics;
    let without = m.documents_done + m.pages_unchanged == 0 && m.documents_failed > 0;
    if without && m.documents_cancelled == m.documents_failed {
        return finish_cancelled(job, now);
    }
    let outcome =
        progress::outcome(m.documents_done + m.pages_unchanged, m.documents_failed + m.pages_failed);
    job.requested = None;
    let nobody_cancelled = job.crawl.is_some() && m.documents_cancelled == 0;
    for p in &mut job.phase_details {
        let ended = match (p.status, outcome) {
            (PhaseStatus::Running, JobStatus::Failed) if p.error.is_some() => PhaseStatus::Failed,
            (PhaseStatus::Running, _) => PhaseStatus::Completed,
            // Nobody cancelled anything: each document's embedding was left out by itself.
            (PhaseStatus::Pending, JobStatus::Completed)
                if p.name == PhaseName::Embedding && m.documents_cancelled == 0 =>
            {
                PhaseStatus::Skipped
            }
            // A crawl that found nothing to do in it.
            (PhaseStatus::Pending, JobStatus::Completed) if nobody_cancelled => PhaseStatus::Skipped,
            // All that was left to do in it was cancelled.
            (PhaseStatus::Paused, _) | (PhaseStatus::Pending, JobStatus::Completed) => PhaseStatus::Cancelled,
            _ => continue,
        };
        p.status = p.status.go(ended)?;
        p.completed_at = Some(now);
        if ended == PhaseStatus::Completed {
            p.progress = 100.0;
        }
    }
    reach(job, outcome)?;
    job.completed_at = Some(now);
    job.phase = progress::current_phase(&job.phase_details);
    job.message = if outcome == JobStatus::Failed {
        let first = job.phase_details.iter().find_map(|p| p.error.clone());
        job.error.clone_from(&first);
        let of = if job.crawl.is_some() { m.pages_failed + m.documents_total } else { m.documents_total };
        first.filter(|_| of == 1).unwrap_or_else(|| say(WRITTEN, &Sentence::NoneReady { of }))
    } else {
        job.progress = 100.0;
        if job.crawl.is_some() {
            job.message = say(WRITTEN, &crawl::site_read(&m));
            return Ok(());
        }
        let (ready, of, cancelled) = (m.documents_done, m.documents_total, m.documents_cancelled);
        let sentence = match m.documents_failed {
            0 => Sentence::AllReady { documents: ready },
            failed => Sentence::SomeReady { ready, of, failed: failed - cancelled.min(failed), cancelled },
        };
        say(WRITTEN, &sentence)
    };
    Ok(())
}

pub(super) fn message(job: &Job) -> String {
    if let Some(sentence) = crawl::at_work(job) {
        return say(WRITTEN, &sentence);
    }
    let p = &job.phase_details[job.phase.index()];
    say(WRITTEN, &Sentence::AtWork { phase: job.phase, done: p.items_processed, of: p.items_total })
}

/// Seconds that something runs before its pace is told.
const WARM_UP: f64 = 3.0;

/// Rate and remaining time of the job and of each phase that runs, once it has run for three seconds; none when the job
/// stands. What is still to be read and cut is taken to be like what was. A job without vectors goes by its documents.
fn estimate(state: &mut JobState, now: Timestamp) {
    let pace = state.pace;
    let job = &mut state.job;
    estimate_nothing(job);
    let goes_on = job.status == JobStatus::Running && job.requested.is_none();
    let Some(started) = job.started_at.filter(|_| goes_on) else { return };
    let since = |at: Timestamp| (now.micros() - at.micros()) as f64 / 1e6;
    estimate_phases(&mut job.phase_details, &pace, since);
    let phase = |name: PhaseName| &job.phase_details[name.index()];
    let (chunking, embedding) = (phase(PhaseName::Chunking), phase(PhaseName::Embedding));
    let (done, all, begun) = if embedding.status == PhaseStatus::Skipped {
        (job.metrics.documents_done as f64, job.metrics.documents_total as f64, Some(started))
    } else {
        let cut = chunking.items_processed.max(1) as f64;
        let expected = embedding.items_total as f64 * chunking.items_total.max(1) as f64 / cut;
        (embedding.items_processed as f64, expected, embedding.started_at)
    };
    let Some(elapsed) = begun.map(|at| pace.since(at)).map(since).filter(|elapsed| *elapsed >= WARM_UP)
    else {
        return;
    };
    let before = if embedding.status == PhaseStatus::Skipped {
        pace.documents
    } else {
        pace.units[PhaseName::Embedding.index()]
    };
    let since_then = done - before as f64;
    if since_then <= 0.0 {
        return;
    }
    let rate = since_then / elapsed;
    if job.metrics.chunks_embedded > 0 {
        job.rate = Some((rate * 10.0).round() / 10.0);
    }
    let left = ((all - done).max(0.0) / rate).ceil() as u64;
    job.eta_seconds = Some(left);
    // A phase gets what the ones before it have done, so its own pace may only say for how long it had nothing to do: the passages
    // of a long document are indexed when the last of them is embedded. None takes longer than the whole.
    for phase in &mut job.phase_details {
        phase.eta_seconds = phase.eta_seconds.map(|own| own.min(left));
    }
}

fn estimate_phases(phases: &mut [PhaseDetail], pace: &Pace, since: impl Fn(Timestamp) -> f64) {
    let cut = &phases[PhaseName::Chunking.index()];
    // How many chunks there will be for each that there is.
    let growth = cut.items_total.max(1) as f64 / cut.items_processed.max(1) as f64;
    for phase in phases.iter_mut().filter(|p| p.status == PhaseStatus::Running) {
        let begun = phase.started_at.map(|at| pace.since(at));
        let Some(elapsed) = begun.map(&since).filter(|elapsed| *elapsed >= WARM_UP) else {
            continue;
        };
        let done = phase.items_processed as f64;
        let since_then = done - pace.units[phase.name.index()] as f64;
        if since_then <= 0.0 {
            continue;
        }
        let all = match phase.name {
            PhaseName::Loading | PhaseName::Chunking => phase.items_total as f64,
            PhaseName::Embedding | PhaseName::Indexing => phase.items_total as f64 * growth,
        };
        let rate = since_then / elapsed;
        phase.rate = Some((rate * 100.0).round() / 100.0);
        phase.eta_seconds = Some(((all - done).max(0.0) / rate).ceil() as u64);
    }
}

/// What [`estimate`] counts, as it stands: the pace is measured from here on.
pub(super) fn pace_from(state: &mut JobState, at: Option<Timestamp>) {
    let mut units = [0; 4];
    for phase in &state.job.phase_details {
        units[phase.name.index()] = phase.items_processed;
    }
    state.pace = Pace { from: at, documents: state.job.metrics.documents_done, units };
}

/// Tells what became of the job since `before`: a turn at once, progress when it is its time.
pub(super) fn tell_job(job: &mut JobState, before: &Job, now: Timestamp, events: &mut Vec<Event>) {
    // A phase that turns is progress: a small job passes all four within one of these moments.
    let told = |job: &Job| (job.status, job.halted, job.requested);
    let turned = told(&job.job) != told(before);
    if turned || is_due(job.event_at, JOB_EVERY_MICROS, now) {
        tell(job, now, events);
    } else {
        job.held_back |= job.job != *before;
    }
}

pub(super) fn tell(job: &mut JobState, now: Timestamp, events: &mut Vec<Event>) {
    let told = job.job.clone();
    events.push(match told.status {
        JobStatus::Completed => Event::JobComplete(told),
        JobStatus::Failed => Event::JobError(told),
        _ => Event::JobUpdate(told),
    });
    job.event_at = now;
    job.held_back = false;
}
