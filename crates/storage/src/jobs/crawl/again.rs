//! A crawl of what an earlier crawl of the workspace read: what is known of a page, and which pages are gone.

use super::frontier::{NewPage, insert};
use crate::{
    fault::Fault,
    jobs::{parsed, rows},
    writer::Tx,
};
use domain::{Timestamp, crawl::MOST_SKIPPED, ingest::JobState};
use services::ports::{CrawlClaim, KnownPage};
use sqlx::Row;

/// What an earlier crawl of the workspace made of the page, when that is there still: what somebody has just deleted is not,
/// although it could be brought back.
pub(super) async fn known(tx: &mut Tx, claim: &CrawlClaim, url: &str) -> Result<Option<KnownPage>, Fault> {
    let row = sqlx::query(
        "SELECT p.etag, p.last_modified, p.content_hash, d.id, d.status, d.blob_key, \
             (SELECT v.content_hash FROM document_versions v \
                 WHERE v.document_id = d.id AND v.version = d.next_version) AS coming_hash, \
             d.content_hash AS document_hash, \
             (SELECT COUNT(*) FROM tasks t JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt \
                 WHERE t.document_id = d.id AND t.status IN ('pending', 'running', 'paused') \
                 AND j.status IN ('pending', 'running', 'paused')) AS tasks \
         FROM crawl_pages p JOIN documents d ON d.id = p.document_id \
         WHERE p.workspace_id = $1 AND p.url = $2 AND p.job_id <> $3 AND p.document_id IS NOT NULL \
         AND d.deleted_at IS NULL ORDER BY p.updated_at DESC, p.job_id DESC LIMIT 1",
    )
    .bind(claim.workspace_id.to_string())
    .bind(url)
    .bind(claim.job_id.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let is_busy = row.try_get::<i64, _>("tasks")? > 0;
    let coming: Option<String> = row.try_get("coming_hash")?;
    // One that nobody works on any more did not get through.
    let content_hash = match coming.filter(|_| is_busy) {
        Some(hash) => hash,
        None => row.try_get("document_hash")?,
    };
    // What the site calls its version says nothing of a document that was made of another one.
    let same = row.try_get::<Option<String>, _>("content_hash")?.as_deref() == Some(content_hash.as_str());
    let when_same = |text: Option<String>| text.filter(|_| same);
    Ok(Some(KnownPage {
        document_id: parsed(&row, "id")?,
        is_ready: row.try_get::<&str, _>("status")? == "ready",
        is_busy,
        blob_key: row.try_get("blob_key")?,
        etag: when_same(row.try_get("etag")?),
        last_modified: when_same(row.try_get("last_modified")?),
        content_hash,
    }))
}

/// Pages that earlier crawls of this part of the site had, of which the documents are there, and that this one did not
/// have: not found, or not there any more. Where it left pages out, or could not have one that leads to others (the first, a
/// site map, one that was read before), nobody knows, and none is told: a site that does not answer has lost nothing.
/// Answers how many; they are listed behind the others.
pub(super) async fn note_removed(tx: &mut Tx, job: &JobState, now: Timestamp) -> Result<u64, Fault> {
    let Some(crawl) = &job.job.crawl else { return Ok(0) };
    let id = job.job.job_id.to_string();
    // What a page names is found also where its document could not be made.
    let left_out: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM crawl_pages n WHERE n.job_id = $1 AND \
             (n.code IN ('max_pages', 'max_bytes', 'too_deep', 'max_links', 'max_sitemaps') \
             OR (n.kind = 'sitemap' AND n.code IS NOT NULL) \
             OR (n.kind = 'page' AND n.depth = 0 AND n.state IN ('failed', 'skipped') \
                 AND n.code NOT IN ('moved', 'http_404', 'http_410', 'document_busy', 'storage_failed')) \
             OR (n.state = 'failed' AND n.code NOT IN ('http_404', 'http_410', 'document_busy', 'storage_failed') \
                 AND EXISTS (SELECT 1 FROM crawl_pages p WHERE p.workspace_id = $2 AND p.url = n.url \
                     AND p.job_id <> $1 AND p.document_id IS NOT NULL)))",
    )
    .bind(id.as_str())
    .bind(job.job.kb_id.to_string())
    .fetch_one(&mut tx.conn)
    .await?;
    if left_out > 0 {
        return Ok(0);
    }
    let rows = sqlx::query(
        "SELECT p.url, MIN(p.depth) AS depth FROM crawl_pages p \
         JOIN documents d ON d.id = p.document_id \
         WHERE p.workspace_id = $2 AND p.document_id IS NOT NULL AND p.job_id <> $1 AND d.deleted_at IS NULL \
         AND SUBSTR(p.url, 1, CAST($3 AS INTEGER)) = $4 \
         AND NOT EXISTS (SELECT 1 FROM crawl_pages n WHERE n.job_id = $1 AND n.url = p.url AND n.kind = 'page') \
         GROUP BY p.url ORDER BY p.url LIMIT $5",
    )
    .bind(id.as_str())
    .bind(job.job.kb_id.to_string())
    .bind(crawl.prefix.chars().count() as i64)
    .bind(crawl.prefix.as_str())
    .bind(MOST_SKIPPED as i64)
    .fetch_all(&mut tx.conn)
    .await?;
    let gone: Vec<(String, u32)> = rows
        .iter()
        .map(|row| Ok((row.try_get("url")?, rows::number(row, "depth")?)))
        .collect::<Result<_, Fault>>()?;
    let pages: Vec<NewPage<'_>> = gone
        .iter()
        .map(|(url, depth)| NewPage {
            url,
            kind: "page",
            state: "removed",
            depth: *depth,
            hops: 0,
            found_on: None,
            skipped: None,
        })
        .collect();
    insert(tx, job.job.job_id, &job.job.kb_id.to_string(), &pages, now).await?;
    // Those that were asked for and are not there.
    let missing: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM crawl_pages n WHERE n.job_id = $1 AND n.code IN ('http_404', 'http_410') AND EXISTS \
             (SELECT 1 FROM crawl_pages p JOIN documents d ON d.id = p.document_id \
             WHERE p.workspace_id = $2 AND p.url = n.url AND p.job_id <> $1 AND p.document_id IS NOT NULL \
             AND d.deleted_at IS NULL)",
    )
    .bind(id)
    .bind(job.job.kb_id.to_string())
    .fetch_one(&mut tx.conn)
    .await?;
    Ok(gone.len() as u64 + missing.max(0) as u64)
}
