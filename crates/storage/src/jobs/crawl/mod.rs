//! Crawls: their making, the lease under which a worker reads a site, the frontier (`frontier`) and what becomes of each page
//! (`done`). The documents that come of it are tasks like any others.

mod again;
mod done;
mod frontier;
mod retry;

pub(super) use retry::{ask_again, begin_anew, failed_of};

use super::{
    clean_option, create, lease_micros, lock_job, parsed,
    queue::{self, Place},
    requests, rest, rows, tell,
};
use crate::{
    bulk, commands,
    fault::Fault,
    open::Store,
    page::{Cursor, List, limit_of, paged},
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Job, JobId, JobStatus, Timestamp, UserId,
    crawl::{CrawlPage, PageState},
    ingest::{self, JobState, Told},
    resource::Page,
};
use services::ports::{
    CrawlClaim, CrawlStore, DuePage, NewCrawl, PageDone, PageQuery, Signal, StoreError, WorkerId,
};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

/// Answers the id of the job, the first one's, when the same command made one before; and its place.
async fn create(tx: &mut Tx, new: &NewCrawl) -> Result<(JobId, Place), Fault> {
    commands::note(tx, new.user_id, new.command_id.as_deref(), new.command_print.as_deref()).await?;
    if let Some(known) = create::made_before(tx, new.user_id, new.command_id.as_deref()).await? {
        return Ok((known, Place::Unknown));
    }
    let config = create::rag_config(tx, new.user_id, new.workspace_id).await?;
    let (job, mut told) = ingest::create_crawl(
        new.id,
        new.user_id,
        new.workspace_id,
        new.crawl.clone(),
        &config,
        new.created_at,
    );
    let ahead = queue::ahead_of_new(tx, &job).await?;
    if !rows::insert_job(&mut tx.conn, &job, new.command_id.as_deref()).await? {
        // Another server was faster with the same command; its job is committed, or the insert would still wait.
        let made = create::made_before(tx, new.user_id, new.command_id.as_deref()).await?;
        return Ok((made.ok_or_else(|| Fault::corrupt("a job's command"))?, Place::Unknown));
    }
    sqlx::query(
        "INSERT INTO crawls (job_id, user_id, workspace_id, own_prefix, robots, places, owner, lease_until, fence) \
         VALUES ($1, $2, $3, $4, NULL, 0, NULL, 0, 0)",
    )
    .bind(new.id.to_string())
    .bind(new.user_id.to_string())
    .bind(new.workspace_id.to_string())
    .bind(i64::from(new.has_own_prefix))
    .execute(&mut tx.conn)
    .await?;
    frontier::begin(tx, new).await?;
    queue::note_told(tx, new.id, ahead).await?;
    told.set_queue_position(ahead);
    tell(tx, new.user_id, new.workspace_id, told, new.created_at).await?;
    tx.signal(Signal::WorkReady);
    Ok((new.id, Place::Told(ahead)))
}

/// A page or site map `p` that waits, and whose turn it can be. While a site map waits no page goes before it: the crawl would
/// be at its end with the last page that it knows.
const WAITS: &str = "p.state = 'waiting' AND (p.kind = 'sitemap' OR NOT EXISTS (SELECT 1 FROM crawl_pages m \
    WHERE m.job_id = p.job_id AND m.kind = 'sitemap' AND m.state = 'waiting'))";

/// One that may be asked for at that moment, which is a parameter of the statement.
fn due(now: &str) -> String {
    format!("{WAITS} AND p.not_before <= {now}")
}

/// The crawls `c` of which the job `o` has not ended: SQLite goes over what is on the left of a cross join first, so none
/// that was through long ago is looked at.
const UNFINISHED: &str = "jobs o CROSS JOIN crawls c \
    WHERE c.job_id = o.id AND o.status IN ('pending', 'running', 'paused')";

/// A crawl `c` that may be worked on at that moment, and that nobody holds. Leases go by the clock of the database, which `clock`
/// reads. One that rests has documents to do alone; in an address the quotes would be escaped.
fn free(clock: &str, now: &str) -> String {
    format!(
        "(c.owner IS NULL OR c.lease_until <= {clock}) \
         AND EXISTS (SELECT 1 FROM crawl_pages p WHERE p.job_id = c.job_id AND {}) \
         AND EXISTS (SELECT 1 FROM jobs j JOIN workspaces w ON w.id = j.workspace_id WHERE j.id = c.job_id \
             AND j.status IN ('pending', 'running') AND j.requested IS NULL \
             AND COALESCE(j.crawl, '') NOT LIKE '%\"rests\":true%' AND w.status = 'ready' AND w.paused = 0)",
        due(now)
    )
}

/// Crawls of one user that are worked on at the same time: the sites of many would take all hands.
const AT_ONCE: i64 = 2;

/// Those of whoever has the fewest in hand first, then of whoever got one longest ago, as with documents. The looking is
/// done by a reader, so that writers wait only for the rows that change.
async fn waiting(store: &Store, limit: u32, now: Timestamp) -> Result<Vec<(UserId, JobId)>, Fault> {
    let clock = store.engine().now_micros();
    let sql = format!(
        "SELECT user_id, job_id FROM (SELECT c.user_id, c.job_id, \
             (SELECT j.turn_at FROM jobs j WHERE j.id = c.job_id) AS turn, \
             (SELECT COUNT(*) FROM crawls h WHERE h.user_id = c.user_id AND h.owner IS NOT NULL \
                 AND h.lease_until > {clock}) AS held, \
             (SELECT MAX(h.claimed_at) FROM crawls h WHERE h.user_id = c.user_id) AS served \
         FROM {UNFINISHED} AND {}) AS free WHERE held < $1 ORDER BY held, served, turn, job_id LIMIT $2",
        free(clock, "$3")
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(AT_ONCE)
        .bind(i64::from(limit))
        .bind(now.micros())
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| Ok((parsed(row, "user_id")?, parsed(row, "job_id")?))).collect()
}

/// Takes one crawl; `None` when somebody else was faster, or its user has enough of them.
async fn claim(
    tx: &mut Tx,
    (user, id): (UserId, JobId),
    worker: &str,
    lease: i64,
    now: Timestamp,
) -> Result<Option<CrawlClaim>, Fault> {
    let clock = tx.engine.now_micros();
    let Some(mut job) = lock_job(tx, id).await? else { return Ok(None) };
    let sql = format!(
        "UPDATE crawls SET owner = $2, lease_until = {clock} + $3, claimed_at = \
             (SELECT CASE WHEN last.at < {clock} THEN {clock} ELSE last.at + 1 END \
              FROM (SELECT COALESCE(MAX(claimed_at), 0) AS at FROM crawls) last), fence = fence + 1 WHERE job_id IN \
         (SELECT c.job_id FROM crawls c WHERE c.job_id = $1 AND {} AND (SELECT COUNT(*) FROM crawls h \
             WHERE h.user_id = $4 AND h.owner IS NOT NULL AND h.lease_until > {clock}) < $5) \
         RETURNING fence, own_prefix, robots",
        free(clock, "$6")
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(worker)
        .bind(lease)
        .bind(user.to_string())
        .bind(AT_ONCE)
        .bind(now.micros())
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let claim = CrawlClaim {
        job_id: id,
        workspace_id: job.job.kb_id,
        user_id: user,
        fence: rows::number(&row, "fence")?,
        crawl: job.job.crawl.clone().ok_or_else(|| Fault::corrupt("a crawl without its bounds"))?,
        has_own_prefix: row.try_get::<i64, _>("own_prefix")? != 0,
        robots: row.try_get("robots")?,
    };
    let before = job.held_back;
    let told = ingest::start_crawl(&mut job, now).map_err(StoreError::from)?;
    write_job(tx, before, &job, told, now).await?;
    Ok(Some(claim))
}

/// Writes the job of a crawl after a change, with what that tells. `before`: it held a word back by then.
async fn write_job(
    tx: &mut Tx,
    before: bool,
    job: &JobState,
    told: Told,
    now: Timestamp,
) -> Result<(), Fault> {
    rest::note(tx, (before, job.held_back), (false, false));
    rows::update_job(&mut tx.conn, job).await?;
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await
}

/// The job of a claim that holds, kept from everybody else until the transaction ends.
async fn held(tx: &mut Tx, claim: &CrawlClaim) -> Result<JobState, Fault> {
    let sql = format!(
        "SELECT fence FROM crawls WHERE job_id = $1 AND fence = $2 AND owner IS NOT NULL{}",
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.job_id.to_string())
        .bind(rows::int(claim.fence))
        .fetch_optional(&mut tx.conn)
        .await?;
    let job = match row {
        Some(_) => lock_job(tx, claim.job_id).await?,
        None => None,
    };
    let job = job.filter(|job| job.job.status == JobStatus::Running);
    Ok(job.ok_or(StoreError::Fenced)?)
}

/// Lets go of crawls whose lease ran out; answers how many are in hand of that job, which is one or none.
pub(super) async fn in_hand(tx: &mut Tx, job: &JobState) -> Result<i64, Fault> {
    let sql = format!(
        "UPDATE crawls SET owner = NULL, lease_until = 0 WHERE job_id = $1 AND owner IS NOT NULL AND lease_until <= {}",
        tx.engine.now_micros()
    );
    let id = job.job.job_id.to_string();
    sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).execute(&mut tx.conn).await?;
    let sql = "SELECT COUNT(*) FROM crawls WHERE job_id = $1 AND owner IS NOT NULL";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_one(&mut tx.conn).await?)
}

/// Whoever held a lease is dead.
pub(super) async fn void_leases(tx: &mut Tx) -> Result<u64, Fault> {
    let sql = "UPDATE crawls SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL";
    Ok(sqlx::query(sql).execute(&mut tx.conn).await?.rows_affected())
}

/// Crawls that were begun, that had something to ask for at that moment and of which nothing was told since, and that nobody
/// holds.
pub(super) async fn unheld(
    store: &Store,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(UserId, JobId)>, Fault> {
    let sql = format!(
        "SELECT c.user_id, c.job_id FROM {UNFINISHED} AND {} \
         AND o.status = 'running' AND o.event_at <= $1 AND o.estimate NOT LIKE '%\"halted\":\"%' \
         ORDER BY c.job_id LIMIT $2",
        free(store.engine().now_micros(), "$1")
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| Ok((parsed(row, "user_id")?, parsed(row, "job_id")?))).collect()
}

/// False when somebody took it since it was found.
pub(super) async fn interrupt(tx: &mut Tx, id: JobId, now: Timestamp) -> Result<bool, Fault> {
    let Some(mut job) = lock_job(tx, id).await? else { return Ok(false) };
    if in_hand(tx, &job).await? > 0 {
        return Ok(false);
    }
    let told = ingest::interrupt_crawl(&mut job, now);
    if told.events.is_empty() {
        return Ok(false);
    }
    rows::update_job(&mut tx.conn, &job).await?;
    let (user, workspace) = (job.job.user_id, job.job.kb_id);
    tell(tx, user, workspace, told, now).await?;
    Ok(true)
}

async fn release(tx: &mut Tx, held: &CrawlClaim, now: Timestamp) -> Result<Vec<domain::DocumentId>, Fault> {
    let released = sqlx::query(
        "UPDATE crawls SET owner = NULL, lease_until = 0 WHERE job_id = $1 AND fence = $2 AND owner IS NOT NULL",
    )
    .bind(held.job_id.to_string())
    .bind(rows::int(held.fence))
    .execute(&mut tx.conn)
    .await?;
    if released.rows_affected() == 0 {
        return Err(StoreError::Fenced.into());
    }
    tx.signal(Signal::WorkReady);
    let Some(mut job) = lock_job(tx, held.job_id).await? else { return Ok(vec![]) };
    if job.job.status == JobStatus::Running {
        let before = job.held_back;
        let told = match next_moment(tx, held.job_id).await?.filter(|at| *at > now) {
            Some(until) => ingest::crawl_waits(&mut job, until, now),
            None => ingest::page_begins(&mut job, None, now),
        };
        write_job(tx, before, &job, told, now).await?;
    }
    requests::honour_job(tx, &mut job, now).await
}

/// When the first of the pages that wait may be asked for; `None` when none waits.
async fn next_moment(tx: &mut Tx, job: JobId) -> Result<Option<Timestamp>, Fault> {
    let sql = format!("SELECT MIN(p.not_before) FROM crawl_pages p WHERE p.job_id = $1 AND {WAITS}");
    let first: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(job.to_string()).fetch_one(&mut tx.conn).await?;
    Ok(first.map(Timestamp::from_micros))
}

async fn extend(tx: &mut Tx, worker: &str, in_hand: &[JobId], lease: i64) -> Result<Vec<JobId>, Fault> {
    let mut held = vec![];
    for part in bulk::parts(in_hand, 64) {
        let sql = format!(
            "UPDATE crawls SET lease_until = {} + $2 WHERE owner = $1 AND job_id IN ({}) RETURNING job_id",
            tx.engine.now_micros(),
            bulk::list(3, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(worker).bind(lease);
        for job in part {
            query = query.bind(job.to_string());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            held.push(parsed(&row, "job_id")?);
        }
    }
    Ok(held)
}

impl Store {
    async fn read_crawl_pages(
        &self,
        user: UserId,
        job: JobId,
        state: Option<PageState>,
        page: PageQuery,
    ) -> Result<Option<Page<CrawlPage>>, Fault> {
        if self.row_of_job(user, job).await?.is_none() {
            return Ok(None);
        }
        let from = List::Pages.behind(&page)?;
        let limit = limit_of(&page);
        let rows = sqlx::query(
            "SELECT url, place, state, depth, http_status, code, message, not_before, change, document_id, found_on, \
             updated_at FROM crawl_pages WHERE job_id = $1 AND kind = 'page' AND ($2 = '' OR state = $2) AND place > $3 \
             ORDER BY place LIMIT $4",
        )
        .bind(job.to_string())
        .bind(state.map_or("", PageState::as_str))
        .bind(from.number)
        .bind(i64::from(limit) + 1)
        .fetch_all(self.readers())
        .await?;
        let pages: Vec<(i64, CrawlPage)> = rows
            .iter()
            .map(|row| Ok((row.try_get("place")?, shown_page(row)?)))
            .collect::<Result<_, Fault>>()?;
        let Page { items, next } = paged(List::Pages, pages, limit, |(place, _)| Cursor::new(*place, job));
        Ok(Some(Page { items: items.into_iter().map(|(_, page)| page).collect(), next }))
    }
}

fn shown_page(row: &AnyRow) -> Result<CrawlPage, Fault> {
    let state: PageState = parsed(row, "state")?;
    let not_before: i64 = row.try_get("not_before")?;
    let is_put_off = state == PageState::Waiting && not_before > 0;
    Ok(CrawlPage {
        url: row.try_get("url")?,
        state,
        depth: rows::number(row, "depth")?,
        http_status: rows::maybe_number(row, "http_status")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        waits_until: is_put_off.then(|| Timestamp::from_micros(not_before)),
        change: rows::maybe_parsed(row, "change")?,
        document_id: rows::maybe_parsed(row, "document_id")?,
        found_on: row.try_get("found_on")?,
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

#[async_trait]
impl CrawlStore for Store {
    async fn create_crawl(&self, mut new: NewCrawl) -> Result<Job, StoreError> {
        clean_option(&mut new.command_id);
        let user = new.user_id;
        let written =
            self.writer().write_for(user, "create crawl", new, |tx, new| Box::pin(create(tx, new))).await?;
        let (id, place) = written.value;
        // Read back: only what is committed has its rev.
        Ok(self.read_job_at(user, id, place).await?.ok_or(StoreError::NotFound)?)
    }

    async fn claim_crawls(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<CrawlClaim>, StoreError> {
        let mut claims = vec![];
        for (user, job) in waiting(self, limit, now).await? {
            let argument = (user, job, worker.0.clone(), lease_micros(lease_seconds), now);
            let written = self
                .writer()
                .write_for(user, "claim crawl", argument, |tx, (user, job, worker, lease, now)| {
                    Box::pin(claim(tx, (*user, *job), worker, *lease, *now))
                })
                .await?;
            claims.extend(written.value);
        }
        Ok(claims)
    }

    async fn extend_crawls(
        &self,
        worker: &WorkerId,
        in_hand: &[JobId],
        lease_seconds: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let argument = (worker.0.clone(), in_hand.to_vec(), lease_micros(lease_seconds));
        let written = self
            .writer()
            .write("extend crawls", argument, |tx, (worker, in_hand, lease)| {
                Box::pin(extend(tx, worker, in_hand, *lease))
            })
            .await?;
        Ok(written.value)
    }

    async fn asked_crawls(&self, worker: &WorkerId) -> Result<Vec<JobId>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.job_id FROM crawls c JOIN jobs j ON j.id = c.job_id \
             WHERE c.owner = $1 AND j.requested IS NOT NULL ORDER BY c.job_id",
        )
        .bind(worker.0.as_str())
        .fetch_all(self.readers())
        .await
        .map_err(Fault::from)?;
        Ok(rows.iter().map(|row| parsed(row, "job_id")).collect::<Result<_, Fault>>()?)
    }

    async fn robots_read(
        &self,
        claim: &CrawlClaim,
        mut robots: String,
        sitemaps: Vec<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        super::input::clean(&mut robots);
        let argument = (claim.clone(), robots, sitemaps, now);
        self.writer()
            .write_for(claim.user_id, "robots read", argument, |tx, (claim, robots, sitemaps, now)| {
                Box::pin(frontier::robots_read(tx, claim, robots, sitemaps, *now))
            })
            .await?;
        Ok(())
    }

    async fn next_page(&self, claim: &CrawlClaim, now: Timestamp) -> Result<Option<DuePage>, StoreError> {
        let written = self
            .writer()
            .write_for(claim.user_id, "next page", (claim.clone(), now), |tx, (claim, now)| {
                Box::pin(frontier::next(tx, claim, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn page_done(
        &self,
        claim: &CrawlClaim,
        mut done: PageDone,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for text in [&mut done.etag, &mut done.last_modified] {
            clean_option(text);
        }
        if let services::ports::PageEnd::Taken(document) = &mut done.end {
            super::clean_document(document);
        }
        let written = self
            .writer()
            .write_for(claim.user_id, "page done", (claim.clone(), done, now), |tx, (claim, done, now)| {
                Box::pin(done::done(tx, claim, done, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn release_crawl(&self, claim: &CrawlClaim, now: Timestamp) -> Result<(), StoreError> {
        let written = self
            .writer()
            .write_for(claim.user_id, "release crawl", (claim.clone(), now), |tx, (claim, now)| {
                Box::pin(release(tx, claim, *now))
            })
            .await?;
        super::parts::drop_all_dead(self, claim.user_id, &written.value).await;
        Ok(())
    }

    async fn crawl_pages(
        &self,
        user: UserId,
        job: JobId,
        state: Option<PageState>,
        page: PageQuery,
    ) -> Result<Option<Page<CrawlPage>>, StoreError> {
        Ok(self.read_crawl_pages(user, job, state, page).await?)
    }
}
