//! The frontier of a crawl: which addresses are known, and which come next.

use super::{again::known, due, held, write_job};
use crate::{bulk, fault::Fault, jobs::rows, writer::Tx};
use domain::{
    JobId, Timestamp,
    crawl::{MOST_SITEMAPS, MOST_SKIPPED, SkipReason, room},
    ingest::{self, Discovered, JobState},
};
use services::ports::{CrawlClaim, DuePage, FoundPage, NewCrawl};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

const PAGE_COLUMNS: usize = 12;

/// An address as it comes into the frontier.
pub(super) struct NewPage<'a> {
    pub(super) url: &'a str,
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) depth: u32,
    pub(super) hops: u32,
    pub(super) found_on: Option<&'a str>,
    pub(super) skipped: Option<SkipReason>,
}

pub(super) async fn begin(tx: &mut Tx, new: &NewCrawl) -> Result<(), Fault> {
    let first = NewPage {
        url: &new.crawl.url,
        kind: "page",
        state: "waiting",
        depth: 0,
        hops: 0,
        found_on: None,
        skipped: None,
    };
    insert(tx, new.id, &new.workspace_id.to_string(), &[first], new.created_at).await
}

/// New addresses, in their order behind those that are known.
pub(super) async fn insert(
    tx: &mut Tx,
    job: JobId,
    workspace: &str,
    pages: &[NewPage<'_>],
    now: Timestamp,
) -> Result<(), Fault> {
    if pages.is_empty() {
        return Ok(());
    }
    let behind: i64 =
        sqlx::query_scalar("UPDATE crawls SET places = places + $2 WHERE job_id = $1 RETURNING places")
            .bind(job.to_string())
            .bind(pages.len() as i64)
            .fetch_one(&mut tx.conn)
            .await?;
    let placed: Vec<(i64, &NewPage<'_>)> = (behind - pages.len() as i64..).zip(pages).collect();
    for part in bulk::parts(&placed, rows::PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO crawl_pages (job_id, url, place, kind, state, depth, hops, workspace_id, found_on, code, \
             message, updated_at) VALUES {}",
            bulk::rows(part.len(), PAGE_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, page) in part {
            query = query
                .bind(job.to_string())
                .bind(page.url.to_owned())
                .bind(*place)
                .bind(page.kind)
                .bind(page.state)
                .bind(i64::from(page.depth))
                .bind(i64::from(page.hops))
                .bind(workspace.to_owned())
                .bind(page.found_on.map(str::to_owned))
                .bind(page.skipped.map(|reason| reason.as_str().to_owned()))
                .bind(page.skipped.map(SkipReason::sentence))
                .bind(now.micros());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// Of what an answer named, each once.
struct Named<'a> {
    /// What the job does not know yet.
    new: Vec<&'a FoundPage>,
    /// What it left out only because another page has more links than are followed, and may be asked for from here.
    left_out: Vec<&'a FoundPage>,
}

async fn named<'a>(tx: &mut Tx, job: JobId, found: &'a [FoundPage]) -> Result<Named<'a>, Fault> {
    let (mut known, mut left_out) = (BTreeSet::<String>::new(), BTreeSet::<String>::new());
    for part in bulk::parts(found, rows::PARAMETERS) {
        let sql = format!(
            "SELECT url, code FROM crawl_pages WHERE job_id = $1 AND url IN ({})",
            bulk::list(2, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(job.to_string());
        for page in part {
            query = query.bind(page.url.clone());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            let url: String = row.try_get("url")?;
            if row.try_get::<Option<String>, _>("code")?.as_deref() == Some(SkipReason::MaxLinks.as_str()) {
                left_out.insert(url.clone());
            }
            known.insert(url);
        }
    }
    Ok(Named {
        new: found.iter().filter(|page| known.insert(page.url.clone())).collect(),
        left_out: found.iter().filter(|page| page.skipped.is_none() && left_out.remove(&page.url)).collect(),
    })
}

/// What was left out for the links of another page waits after all: this one leads to it, and so as far away from the first
/// one as to all that it leads to.
async fn take_back(
    tx: &mut Tx,
    job: JobId,
    (pages, found_on): (&[&FoundPage], &str),
    now: Timestamp,
) -> Result<(), Fault> {
    for part in bulk::parts(pages, rows::PARAMETERS) {
        let sql = format!(
            "UPDATE crawl_pages SET state = 'waiting', depth = $2, hops = $3, found_on = $4, code = NULL, \
             message = NULL, updated_at = $5 WHERE job_id = $1 AND url IN ({})",
            bulk::list(6, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(job.to_string())
            .bind(i64::from(part[0].depth))
            .bind(i64::from(part[0].hops))
            .bind(found_on.to_owned())
            .bind(now.micros());
        for page in part {
            query = query.bind(page.url.clone());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// Takes up what a page named. `leaves`: that page makes room for another, since nothing is taken of it.
pub(super) async fn discover(
    tx: &mut Tx,
    job: &JobState,
    (found, found_on, leaves): (&[FoundPage], &str, bool),
    now: Timestamp,
) -> Result<Discovered, Fault> {
    let id = job.job.job_id;
    let max_pages = job.job.crawl.as_ref().map_or(0, |crawl| crawl.max_pages);
    let m = job.job.metrics;
    let mut room = room(max_pages, m.pages_found - m.pages_skipped.min(m.pages_found) - u64::from(leaves));
    let mut listed = MOST_SKIPPED.saturating_sub(m.pages_skipped);
    let mut discovered = Discovered::default();
    let mut pages = vec![];
    let Named { new, mut left_out } = named(tx, id, found).await?;
    left_out.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    take_back(tx, id, (left_out.as_slice(), found_on), now).await?;
    discovered.after_all = left_out.len() as u64;
    discovered.waiting = discovered.after_all;
    room -= discovered.after_all;
    for page in new {
        let skipped = page.skipped.or((room == 0).then_some(SkipReason::MaxPages));
        if let Some(reason) = skipped {
            if listed == 0 {
                continue;
            }
            listed -= 1;
            discovered.skipped += 1;
            discovered.blocked += u64::from(reason == SkipReason::Robots);
        } else {
            room -= 1;
            discovered.waiting += 1;
        }
        pages.push(NewPage {
            url: &page.url,
            kind: "page",
            state: if skipped.is_some() { "skipped" } else { "waiting" },
            depth: page.depth,
            hops: page.hops,
            found_on: Some(found_on),
            skipped,
        });
    }
    insert(tx, id, &job.job.kb_id.to_string(), &pages, now).await?;
    Ok(discovered)
}

pub(super) async fn robots_read(
    tx: &mut Tx,
    claim: &CrawlClaim,
    robots: &str,
    sitemaps: &[String],
    now: Timestamp,
) -> Result<(), Fault> {
    let mut job = held(tx, claim).await?;
    sqlx::query("UPDATE crawls SET robots = $2 WHERE job_id = $1")
        .bind(claim.job_id.to_string())
        .bind(robots)
        .execute(&mut tx.conn)
        .await?;
    let left_out = add_sitemaps(tx, &job, (sitemaps, None), now).await?;
    if left_out == Discovered::default() {
        return Ok(());
    }
    let before = job.held_back;
    let told = ingest::found_first(&mut job, left_out, now);
    write_job(tx, before, &job, told, now).await
}

/// Takes up site maps, which robots.txt names or another site map, `found_on`. Those beyond the ones that are read are listed
/// like pages that are not asked for; answers how many.
pub(super) async fn add_sitemaps(
    tx: &mut Tx,
    job: &JobState,
    (sitemaps, found_on): (&[String], Option<&str>),
    now: Timestamp,
) -> Result<Discovered, Fault> {
    let id = job.job.job_id;
    let known: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM crawl_pages WHERE job_id = $1 AND kind = 'sitemap'")
            .bind(id.to_string())
            .fetch_one(&mut tx.conn)
            .await?;
    let more = MOST_SITEMAPS.saturating_sub(usize::try_from(known).unwrap_or(MOST_SITEMAPS));
    let found: Vec<FoundPage> =
        sitemaps.iter().map(|url| FoundPage { url: url.clone(), depth: 0, hops: 0, skipped: None }).collect();
    let Named { new, .. } = named(tx, id, &found).await?;
    let listed = MOST_SKIPPED.saturating_sub(job.job.metrics.pages_skipped);
    let pages: Vec<NewPage<'_>> = new
        .into_iter()
        .take(more + usize::try_from(listed).unwrap_or_default())
        .enumerate()
        .map(|(at, page)| {
            let is_read = at < more;
            NewPage {
                url: &page.url,
                kind: if is_read { "sitemap" } else { "page" },
                state: if is_read { "waiting" } else { "skipped" },
                // The first page alone is no link away, and what a site map names is one.
                depth: u32::from(!is_read),
                hops: page.hops,
                found_on,
                skipped: (!is_read).then_some(SkipReason::MaxSitemaps),
            }
        })
        .collect();
    insert(tx, id, &job.job.kb_id.to_string(), &pages, now).await?;
    Ok(Discovered { skipped: pages.len().saturating_sub(more) as u64, ..Discovered::default() })
}

/// What [`services::ports::CrawlStore::next_page`] answers.
pub(super) async fn next(tx: &mut Tx, claim: &CrawlClaim, now: Timestamp) -> Result<Option<DuePage>, Fault> {
    let mut job = held(tx, claim).await?;
    // In a workspace that is paused, or about to go, no page is begun.
    let sql = format!(
        "SELECT p.url, p.kind, p.depth, p.hops FROM crawl_pages p WHERE p.job_id = $1 AND {} \
         AND EXISTS (SELECT 1 FROM crawls c JOIN workspaces w ON w.id = c.workspace_id \
             WHERE c.job_id = $1 AND w.status = 'ready' AND w.paused = 0) \
         ORDER BY p.kind DESC, p.place LIMIT 1",
        due("$2")
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.job_id.to_string())
        .bind(now.micros())
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let url: String = row.try_get("url")?;
    let is_sitemap = row.try_get::<&str, _>("kind")? == "sitemap";
    let due = DuePage {
        known: if is_sitemap { None } else { known(tx, claim, &url).await? },
        is_sitemap,
        depth: rows::number(&row, "depth")?,
        hops: rows::number(&row, "hops")?,
        bytes_taken: job.job.metrics.bytes,
        url,
    };
    let before = job.held_back;
    let told = ingest::page_begins(&mut job, Some(&due.url), now);
    write_job(tx, before, &job, told, now).await?;
    Ok(Some(due))
}
