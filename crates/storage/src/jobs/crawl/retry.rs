//! The pages of a crawl that the next attempt of its job asks for.

use crate::{fault::Fault, writer::Tx};
use domain::{Timestamp, ingest::JobState};

/// The next attempt asks for the pages again that could not be had. What was told to be gone from the site may be found on
/// them, like any other page.
pub(crate) async fn ask_again(
    tx: &mut Tx,
    job: &JobState,
    these: Option<&[String]>,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM crawl_pages WHERE job_id = $1 AND state = 'removed'")
        .bind(job.job.job_id.to_string())
        .execute(&mut tx.conn)
        .await?;
    let sql = "UPDATE crawl_pages SET state = 'waiting', http_status = NULL, code = NULL, message = NULL, updated_at = $2 \
         WHERE job_id = $1 AND state = 'failed' AND ($3 = 1 OR url = $4)";
    let all = [String::new()];
    for url in these.unwrap_or(&all) {
        sqlx::query(sql)
            .bind(job.job.job_id.to_string())
            .bind(now.micros())
            .bind(i64::from(these.is_none()))
            .bind(url.as_str())
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}

/// The next attempt begins anew with what waits: nothing of it was tried, and it is asked for at once.
pub(crate) async fn begin_anew(tx: &mut Tx, job: &JobState) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE crawl_pages SET failures = '[]', not_before = 0, http_status = NULL, code = NULL, message = NULL \
         WHERE job_id = $1 AND state = 'waiting' AND (failures <> '[]' OR not_before > 0)",
    )
    .bind(job.job.job_id.to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Those of the addresses that the job could not have, each once.
pub(crate) async fn failed_of(tx: &mut Tx, job: &JobState, urls: &[String]) -> Result<Vec<String>, Fault> {
    let mut failed: Vec<String> = vec![];
    // No address has a NUL, which PostgreSQL would not even look for.
    for url in urls.iter().filter(|url| !url.contains('\0')) {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT url FROM crawl_pages WHERE job_id = $1 AND url = $2 AND kind = 'page' AND state = 'failed'",
        )
        .bind(job.job.job_id.to_string())
        .bind(url.as_str())
        .fetch_optional(&mut tx.conn)
        .await?;
        failed.extend(found.filter(|url| !failed.contains(url)));
    }
    Ok(failed)
}
