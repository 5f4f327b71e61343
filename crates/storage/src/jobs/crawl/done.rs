//! What becomes of a page. `domain::ingest` counts; a page's row, its document with its task, what it named and the job change
//! in one transaction.

use super::{
    again::{known, note_removed},
    frontier::{add_sitemaps, discover},
    held, write_job,
};
use crate::{
    fault::Fault,
    jobs::{lock_document, rows, versions},
    writer::Tx,
};
use domain::{
    DocumentId, DocumentStatus, JobId, Timestamp,
    crawl::{Change, PageFault, SkipReason},
    ingest::{self, Discovered, JobState, PageOutcome, PutOff, Told, Upload},
    status::{IllegalMove, Processor},
};
use services::ports::{CrawlClaim, FoundPage, NewDocument, PageDone, PageEnd, Signal, StoreError};
use sqlx::Row;

/// What [`services::ports::CrawlStore::page_done`] does.
pub(super) async fn done(
    tx: &mut Tx,
    claim: &CrawlClaim,
    done: &PageDone,
    now: Timestamp,
) -> Result<bool, Fault> {
    let mut job = held(tx, claim).await?;
    let row = sqlx::query(
        "SELECT kind, place, failures FROM crawl_pages WHERE job_id = $1 AND url = $2 AND state = 'waiting'",
    )
    .bind(claim.job_id.to_string())
    .bind(done.url.as_str())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(row) = row else { return Err(StoreError::Fenced.into()) };
    let mut why = None;
    if let PageEnd::Failed(fault) = &done.end {
        let earlier: Vec<String> = serde_json::from_str(row.try_get("failures")?)?;
        match ingest::put_off_page((done.url.as_str(), fault), &earlier, done.retry_after, now) {
            Ok(waits) => {
                let is_of_site = fault.is_of_site(done.retry_after.is_some());
                // Where even waiting did not help a page, it is each page's own affair: the crawl would take days.
                if is_of_site && !was_in_vain(tx, claim.job_id, fault).await? {
                    leave_alone(tx, claim.job_id, waits.until).await?;
                }
                put_off(tx, &mut job, (done, fault, &waits), now).await?;
                return Ok(true);
            }
            Err(sentence) => why = Some(sentence),
        }
    }
    let before = job.held_back;
    if let Some(prefix) = &done.prefix {
        move_on(tx, &mut job, prefix).await?;
    }
    if row.try_get::<&str, _>("kind")? == "sitemap" {
        let told = sitemap_done(tx, &mut job, done, now).await?;
        write_job(tx, before, &job, told, now).await?;
        return Ok(true);
    }
    // What leads on to an address that led on before goes in a circle.
    let circle = matches!(done.end, PageEnd::Skipped(SkipReason::Moved)) && led_on(tx, claim, done).await?;
    let round = PageDone { end: PageEnd::Failed(PageFault::TooManyRedirects), found: vec![], ..done.clone() };
    let done = if circle { &round } else { done };
    let theirs = taken_meanwhile(tx, claim, done).await?;
    let done = theirs.as_ref().unwrap_or(done);
    let leaves = matches!(done.end, PageEnd::Skipped(_));
    let found = discover(tx, &job, (done.found.as_slice(), done.url.as_str(), leaves), now).await?;
    let mut told = Told::default();
    let (outcome, change, document) = match &done.end {
        PageEnd::Taken(new) => {
            let change = take(tx, &job, done, new, row.try_get("place")?, &mut told, now).await?;
            (PageOutcome::Taken(change, new.size_bytes), Some(change), Some(new.id))
        }
        PageEnd::Unchanged(document) => (PageOutcome::Unchanged, Some(Change::Unchanged), Some(*document)),
        PageEnd::Failed(fault) => {
            let why = why.get_or_insert_with(|| fault.sentence());
            (PageOutcome::Failed(format!("{}: {why}", done.url)), None, None)
        }
        PageEnd::Skipped(reason) => (PageOutcome::Skipped(*reason), None, None),
        PageEnd::SiteMap => return Err(Fault::corrupt("a page that is a site map")),
    };
    settle_row(tx, claim.job_id, (done, why), change, document, now).await?;
    if job.job.metrics.pages_waiting() + found.waiting <= 1 {
        let gone = note_removed(tx, &job, now).await?;
        ingest::removed(&mut job, gone);
    }
    let counted = ingest::page_done(&mut job, &outcome, found, now).map_err(StoreError::from)?;
    told.events.extend(counted.events);
    told.counts_changed |= counted.counts_changed;
    tx.signal(Signal::WorkReady);
    write_job(tx, before, &job, told, now).await?;
    Ok(theirs.is_none())
}

/// What becomes of a page of which another crawl of the workspace has made a document, or the next version of one, since
/// this one asked for it: nobody gets it twice.
async fn taken_meanwhile(
    tx: &mut Tx,
    claim: &CrawlClaim,
    done: &PageDone,
) -> Result<Option<PageDone>, Fault> {
    let PageEnd::Taken(new) = &done.end else { return Ok(None) };
    let Some(page) = known(tx, claim, &done.url).await? else { return Ok(None) };
    let is_new = page.document_id != new.id;
    let is_same = page.content_hash == new.content_hash;
    let end = if is_same && (is_new || page.is_ready || page.is_busy) {
        PageEnd::Unchanged(page.document_id)
    } else if is_new || page.is_busy {
        PageEnd::Failed(PageFault::Busy)
    } else {
        return Ok(None);
    };
    Ok(Some(PageDone { end, ..done.clone() }))
}

/// Whether the page leads on to one that led on as well, and was asked for before.
async fn led_on(tx: &mut Tx, claim: &CrawlClaim, done: &PageDone) -> Result<bool, Fault> {
    let Some(target) = done.found.first() else { return Ok(false) };
    let known: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM crawl_pages WHERE job_id = $1 AND url = $2 AND code = 'moved'",
    )
    .bind(claim.job_id.to_string())
    .bind(target.url.as_str())
    .fetch_one(&mut tx.conn)
    .await?;
    Ok(known > 0)
}

/// The first page led to another site, or another part of it: from there on that is what is read.
async fn move_on(tx: &mut Tx, job: &mut JobState, prefix: &str) -> Result<(), Fault> {
    if let Some(crawl) = &mut job.job.crawl {
        prefix.clone_into(&mut crawl.prefix);
    }
    // Another site has another robots.txt.
    sqlx::query("UPDATE crawls SET robots = NULL WHERE job_id = $1")
        .bind(job.job.job_id.to_string())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

async fn sitemap_done(
    tx: &mut Tx,
    job: &mut JobState,
    done: &PageDone,
    now: Timestamp,
) -> Result<Told, Fault> {
    let code = match &done.end {
        PageEnd::Failed(fault) => Some(fault.code()),
        _ => None,
    };
    sqlx::query(
        "UPDATE crawl_pages SET state = 'fetched', code = $4, updated_at = $3 WHERE job_id = $1 AND url = $2",
    )
    .bind(job.job.job_id.to_string())
    .bind(done.url.as_str())
    .bind(now.micros())
    .bind(code)
    .execute(&mut tx.conn)
    .await?;
    // A site map of site maps names those with a depth of zero.
    let (maps, pages): (Vec<FoundPage>, Vec<FoundPage>) =
        done.found.iter().cloned().partition(|page| page.depth == 0);
    let maps: Vec<String> = maps.into_iter().map(|map| map.url).collect();
    let left_out = add_sitemaps(tx, job, (maps.as_slice(), Some(done.url.as_str())), now).await?;
    let found = discover(tx, job, (pages.as_slice(), done.url.as_str(), false), now).await?;
    let found = Discovered { skipped: found.skipped + left_out.skipped, ..found };
    Ok(ingest::found_first(job, found, now))
}

/// Makes the document of a page, or renews the one that is there, and the task of working on it.
async fn take(
    tx: &mut Tx,
    job: &JobState,
    done: &PageDone,
    new: &NewDocument,
    place: i64,
    told: &mut Told,
    now: Timestamp,
) -> Result<Change, Fault> {
    let upload = Upload {
        id: new.id,
        filename: new.filename.clone(),
        mime_type: new.mime_type.clone(),
        size_bytes: new.size_bytes,
        content_hash: new.content_hash.clone(),
    };
    let change = match lock_document(tx, new.id).await? {
        None => {
            let (state, event) = ingest::new_page(job, &upload, &done.url, now);
            rows::insert_documents(&mut tx.conn, &[(&state, new.blob_key.as_str())]).await?;
            told.events.push(event);
            Change::New
        }
        Some((state, _)) => {
            if state.document.is_unfinished() {
                let (from, to) = (state.document.status.as_str(), DocumentStatus::Pending.as_str());
                let refused = IllegalMove { what: "The document", from, to, allowed: vec![] };
                return Err(StoreError::from(refused).into());
            }
            let change = if state.live > 0 { Change::Changed } else { Change::New };
            // Nobody reads a site for an outside worker.
            let (renewed, buries) = versions::replace(tx, job, state, new, Processor::Builtin, now).await?;
            if buries {
                tx.signal(Signal::WorkReady);
            }
            told.events.extend(renewed.events);
            change
        }
    };
    sqlx::query(
        "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, turn_at, status, owner, \
         lease_until, fence) VALUES ($1, $2, $3, $4, $5, $6, 'pending', NULL, 0, 0)",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(new.id.to_string())
    .bind(place)
    .bind(job.job.user_id.to_string())
    .bind(job.turn_at.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(change)
}

/// Whether a page of the job failed by it, although it was asked for often enough.
async fn was_in_vain(tx: &mut Tx, job: JobId, fault: &PageFault) -> Result<bool, Fault> {
    let failed: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM crawl_pages WHERE job_id = $1 AND state = 'failed' AND code = $2",
    )
    .bind(job.to_string())
    .bind(fault.code())
    .fetch_one(&mut tx.conn)
    .await?;
    Ok(failed > 0)
}

/// Nothing that waits is asked for before that moment: the site has too much to do, or none of it may be asked for.
async fn leave_alone(tx: &mut Tx, job: JobId, until: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE crawl_pages SET not_before = $2 WHERE job_id = $1 AND state = 'waiting' AND not_before < $2",
    )
    .bind(job.to_string())
    .bind(until.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// The page goes on waiting, for its next try.
async fn put_off(
    tx: &mut Tx,
    job: &mut JobState,
    (done, fault, waits): (&PageDone, &PageFault, &PutOff),
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE crawl_pages SET failures = $3, not_before = $4, http_status = $5, code = $6, message = $7, \
         updated_at = $8 WHERE job_id = $1 AND url = $2",
    )
    .bind(job.job.job_id.to_string())
    .bind(done.url.as_str())
    .bind(serde_json::to_string(&waits.failures)?)
    .bind(waits.until.micros())
    .bind(done.http_status.map(i64::from))
    .bind(fault.code())
    .bind(waits.message.as_str())
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    let before = job.held_back;
    let told = ingest::page_begins(job, None, now);
    write_job(tx, before, job, told, now).await
}

/// Writes what became of the page into its row, of one that failed with the sentence that says why.
async fn settle_row(
    tx: &mut Tx,
    job: JobId,
    (done, why): (&PageDone, Option<String>),
    change: Option<Change>,
    document: Option<DocumentId>,
    now: Timestamp,
) -> Result<(), Fault> {
    let (state, code, message) = match &done.end {
        PageEnd::Taken(_) | PageEnd::Unchanged(_) | PageEnd::SiteMap => ("fetched", None, None),
        PageEnd::Failed(fault) => ("failed", Some(fault.code()), why),
        PageEnd::Skipped(reason) => ("skipped", Some(reason.to_string()), Some(reason.sentence())),
    };
    sqlx::query(
        "UPDATE crawl_pages SET state = $3, http_status = $4, code = $5, message = $6, change = $7, content_hash = $8, \
         etag = $9, last_modified = $10, document_id = $11, updated_at = $12 WHERE job_id = $1 AND url = $2",
    )
    .bind(job.to_string())
    .bind(done.url.as_str())
    .bind(state)
    .bind(done.http_status.map(i64::from))
    .bind(code)
    .bind(message)
    .bind(change.map(|change| change.as_str().to_owned()))
    .bind(done.content_hash.clone())
    .bind(done.etag.clone())
    .bind(done.last_modified.clone())
    .bind(document.map(|id| id.to_string()))
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
