//! The crawl of a site: pages are found while the job runs, and each becomes a document or is told of. The job is through
//! when no page waits any more and all its documents are through.

use super::{
    advance::run_phase,
    job::{message, say_how_far, settle, tell, tell_job},
    retry_later::{all_of, pause_of},
    stall::{TRIES, estimate_nothing, nothing_moves},
    *,
};
use crate::crawl::{Change, Crawl, PageFault, SkipReason};
use std::time::Duration;

/// Where a document of a crawl keeps its address, in its metadata.
pub(super) const SOURCE: &str = "source_url";

/// What one page, or a site map, brought to light; each address for the first time in this job, but for those `after_all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// To be asked for, `after_all` among them though they were listed as skipped before.
    pub waiting: u64,
    pub after_all: u64,
    /// Listed only, `blocked` among them by robots.txt.
    pub skipped: u64,
    pub blocked: u64,
}

/// What became of a page that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageOutcome {
    /// Its document, which comes with it, has so many bytes. `Unchanged` is none of these.
    Taken(Change, u64),
    /// The document that an earlier crawl made of it holds.
    Unchanged,
    /// The sentence tells why, with the address.
    Failed(String),
    Skipped(SkipReason),
}

/// A page, or a site map, that waits for its next try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// What its tries failed by, the last one last.
    pub failures: Vec<String>,
    /// Says why it waits, and for how long.
    pub message: String,
    pub until: Timestamp,
}

/// So long at most a site is left alone that says itself when it wants to be asked again.
const LONGEST_WISH: Duration = Duration::from_secs(300);

/// What becomes of a page that could not be had by `fault`, and before that by what `earlier` says: it waits for its next try,
/// as long as its site wishes where that says so.
///
/// # Errors
/// The sentence that it fails by, where nothing heals it, or where it was tried often enough.
pub fn put_off_page(
    (url, fault): (&str, &PageFault),
    earlier: &[String],
    wish: Option<Duration>,
    now: Timestamp,
) -> Result<PutOff, String> {
    let why = fault.sentence();
    let failures: Vec<String> = earlier.iter().chain([&why]).cloned().collect();
    let tries = failures.len() as u32;
    if !fault.may_heal() || tries >= TRIES {
        return Err(all_of(&failures));
    }
    // Pages that failed together do not come back together: each has a pause of its own, drawn from its address (FNV-1a).
    let bits = url.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |bits, byte| {
        (bits ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let own = Duration::from_millis(pause_of(bits, failures.len()));
    let pause = wish.map_or(own, |wish| wish.min(LONGEST_WISH)).as_millis() as u64;
    let seconds = pause.div_ceil(1_000);
    let message = say(WRITTEN, &Sentence::RetryIn { next: tries + 1, of: TRIES, seconds, why: &why });
    Ok(PutOff { failures, message, until: now.plus_micros(pause as i64 * 1_000) })
}

/// A new crawl. Its first page waits.
pub fn create_crawl(
    job_id: JobId,
    user_id: UserId,
    workspace_id: WorkspaceId,
    crawl: Crawl,
    config: &RagConfig,
    now: Timestamp,
) -> (JobState, Told) {
    let mut state = new_job(job_id, JobKind::Crawl, user_id, workspace_id, (0, 0), config, now);
    state.job.crawl = Some(crawl);
    state.job.message = say(WRITTEN, &Sentence::WaitingToCrawl);
    count(&mut state.job, Discovered { waiting: 1, ..Discovered::default() });
    let events = vec![Event::JobUpdate(state.job.clone())];
    (state, Told { events, counts_changed: false })
}

/// What was found is a part of the whole from now on.
fn count(job: &mut Job, found: Discovered) {
    job.metrics.pages_found += found.waiting.saturating_sub(found.after_all) + found.skipped;
    job.metrics.pages_skipped = (job.metrics.pages_skipped + found.skipped).saturating_sub(found.after_all);
    job.metrics.pages_blocked += found.blocked;
    for phase in &mut job.phase_details[..2] {
        phase.items_total += found.waiting;
    }
}

/// A worker took the crawl: the job starts, where it has not yet.
///
/// # Errors
/// When the job is neither pending nor running.
pub fn start_crawl(job: &mut JobState, now: Timestamp) -> Result<Told, IllegalMove> {
    let before = job.job.clone();
    if job.job.status != JobStatus::Running {
        job.job.status = job.job.status.go(JobStatus::Running)?;
        job.job.started_at.get_or_insert(now);
    }
    waits_no_more(&mut job.job);
    run_phase(&mut job.job, PhaseName::Loading, now)?;
    say_how_far(&mut job.job);
    Ok(told(job, &before, now))
}

/// The site map brought pages to light.
pub fn found_first(job: &mut JobState, found: Discovered, now: Timestamp) -> Told {
    let before = job.job.clone();
    count(&mut job.job, found);
    told(job, &before, now)
}

/// A page is asked for; `None`: none is just now.
pub fn page_begins(job: &mut JobState, url: Option<&str>, now: Timestamp) -> Told {
    let before = job.job.clone();
    waits_no_more(&mut job.job);
    if let Some(crawl) = &mut job.job.crawl {
        crawl.current_url = url.map(str::to_owned);
    }
    told(job, &before, now)
}

/// Nothing is asked for before that moment: all pages that are left wait for their next try.
pub fn crawl_waits(job: &mut JobState, until: Timestamp, now: Timestamp) -> Told {
    let before = job.job.clone();
    if let Some(crawl) = &mut job.job.crawl {
        crawl.current_url = None;
        crawl.waits_until = Some(until);
    }
    told(job, &before, now)
}

pub(super) fn waits_no_more(job: &mut Job) {
    if let Some(crawl) = &mut job.crawl {
        crawl.waits_until = None;
    }
}

fn told(job: &mut JobState, before: &Job, now: Timestamp) -> Told {
    job.job.halted = None;
    if job.job.requested.is_none() && job.job.status == JobStatus::Running {
        job.job.phase = progress::current_phase(&job.job.phase_details);
        job.job.message = message(&job.job);
    }
    let mut events = vec![];
    tell_job(job, before, now, &mut events);
    Told { events, counts_changed: false }
}

/// Nobody reads the site any more, and nothing else of the job moves: its worker died, or gave it back. It says so until
/// the next one takes it, which needs nobody's doing.
pub fn interrupt_crawl(job: &mut JobState, now: Timestamp) -> Told {
    let waits = job.job.status == JobStatus::Running && job.job.goes_on_finding();
    if !waits || job.job.halted.is_some() || !nothing_moves(job, interrupt::QUIET, now) {
        return Told::default();
    }
    job.job.halted = Some(Halt::Interrupted);
    waits_no_more(&mut job.job);
    if let Some(crawl) = &mut job.job.crawl {
        crawl.current_url = None;
    }
    estimate_nothing(&mut job.job);
    let mut events = vec![];
    tell(job, now, &mut events);
    Told { events, counts_changed: false }
}

/// The document of a page that no earlier crawl had.
pub fn new_page(job: &JobState, upload: &Upload, url: &str, now: Timestamp) -> (DocumentState, Event) {
    let mut state = new_document(&job.job, upload, embeds(job), now);
    state.document.metadata = serde_json::json!({ SOURCE: url });
    let event = Event::DocumentStatus(state.document.clone());
    (state, event)
}

/// Whether vectors are made of what the job takes in from now on.
fn embeds(job: &JobState) -> bool {
    let embedding = &job.job.phase_details[PhaseName::Embedding.index()];
    job.config.embeds() && embedding.status != PhaseStatus::Skipped
}

/// Counts what became of a page, and what was found on it. The last one may be the end of the job.
///
/// # Errors
/// When the table does not have the move: the job has ended.
pub fn page_done(
    job: &mut JobState,
    outcome: &PageOutcome,
    found: Discovered,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let before = job.job.clone();
    let j = &mut job.job;
    count(j, found);
    let (loading, chunking) = (PhaseName::Loading.index(), PhaseName::Chunking.index());
    match outcome {
        PageOutcome::Taken(change, bytes) => {
            j.metrics.pages_fetched += 1;
            j.metrics.documents_total += 1;
            j.metrics.bytes += bytes;
            *(if *change == Change::Changed {
                &mut j.metrics.pages_changed
            } else {
                &mut j.metrics.pages_new
            }) += 1;
        }
        PageOutcome::Unchanged => {
            j.metrics.pages_fetched += 1;
            j.metrics.pages_unchanged += 1;
            j.phase_details[loading].items_processed += 1;
            less(&mut j.phase_details[chunking].items_total);
        }
        PageOutcome::Failed(why) => {
            j.metrics.pages_failed += 1;
            j.phase_details[loading].items_processed += 1;
            less(&mut j.phase_details[chunking].items_total);
            j.phase_details[loading].error = Some(why.clone());
        }
        PageOutcome::Skipped(reason) => {
            j.metrics.pages_skipped += 1;
            j.metrics.pages_blocked += u64::from(*reason == SkipReason::Robots);
            less(&mut j.phase_details[loading].items_total);
            less(&mut j.phase_details[chunking].items_total);
        }
    }
    j.halted = None;
    if let Some(crawl) = &mut j.crawl
        && !matches!(j.metrics.pages_waiting(), 1..)
    {
        crawl.current_url = None;
    }
    settle(job, now)?;
    let mut events = vec![];
    tell_job(job, &before, now, &mut events);
    Ok(Told { events, counts_changed: matches!(outcome, PageOutcome::Taken(..)) })
}

fn less(n: &mut u64) {
    *n = n.saturating_sub(1);
}

/// So many pages of earlier crawls are gone from the site. Counted before the last page is.
pub fn removed(job: &mut JobState, pages: u64) {
    job.job.metrics.pages_removed = pages;
}

/// The step of a document as a crawl names it.
pub(super) fn step_of(job: &Job, step: &Step) -> Step {
    match step {
        Step::Validating if job.kind == JobKind::Crawl => Step::Initializing,
        Step::ExtractingText if job.kind == JobKind::Crawl => Step::Crawling,
        Step::ChunkingText if job.kind == JobKind::Crawl => Step::ProcessingContent,
        other => other.clone(),
    }
}

/// What is said of a crawl that reads its site.
pub(super) fn at_work(job: &Job) -> Option<Sentence<'static>> {
    let m = job.metrics;
    let reads = job.goes_on_finding() && job.phase == PhaseName::Loading;
    let (done, of) = (m.pages_fetched + m.pages_failed, m.pages_found - m.pages_skipped.min(m.pages_found));
    let until = job.crawl.as_ref().and_then(|crawl| crawl.waits_until);
    reads.then_some(Sentence::Crawling { done, of, until })
}

/// What is said of one that is through.
pub(super) fn site_read(m: &Metrics) -> Sentence<'static> {
    Sentence::SiteRead {
        ready: m.documents_done,
        unchanged: m.pages_unchanged,
        failed: m.pages_failed + m.documents_failed.saturating_sub(m.documents_cancelled),
        cancelled: m.documents_cancelled,
        skipped: m.pages_skipped,
        removed: m.pages_removed,
    }
}
