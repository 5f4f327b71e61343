//! Failures that stand at present, by what they have in common. A document is resolved as of the attempt that failed then,
//! so that it counts again when the next one fails as well.

use crate::{
    fault::Fault,
    jobs::{clean_option, number, parsed},
    open::Store,
    workspaces,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    DocumentId, JobStatus, PhaseName, Timestamp, UserId, WorkspaceId,
    crawl::Crawl,
    errors::{ErrorGroup, Left, LeftOver},
    ingest::{REINDEX_FAILED, REPLACE_FAILED, Stage},
    resource::{CANCELLED, Metrics},
};
use services::ports::{ErrorFilter, Errors, StoreError};
use sqlx::{
    Any, AssertSqlSafe, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Crawls that are looked at for those that are the newest of their site.
const CRAWLS: i64 = 1_000;

/// Documents `documents` that a filter means; its values are [`bind`]'s.
const MEANT: &str = "documents.user_id = $1 AND documents.status = 'failed' AND documents.deleted_at IS NULL \
    AND COALESCE(documents.error_code, '') <> $2 AND ($3 = '' OR documents.workspace_id = $3) \
    AND ($4 = '' OR COALESCE(documents.error_code, '') = $4) AND ($5 = '' OR documents.reached IN ($5, $6)) \
    AND ($7 = '' OR documents.mime_type = $7) AND documents.updated_at >= $8 \
    AND (documents.resolved_attempt >= documents.attempt) = ($9 = 1) \
    AND EXISTS (SELECT 1 FROM workspaces w WHERE w.id = documents.workspace_id AND w.status <> 'deleting')";

fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    user: UserId,
    filter: &ErrorFilter,
) -> Query<'q, Any, AnyArguments> {
    // The last stage has two names, and one phase.
    let phase = filter.phase.map_or("", PhaseName::as_str);
    let or = if filter.phase == Some(PhaseName::Indexing) { Stage::Done.as_str() } else { phase };
    let asked = |text: &Option<String>| {
        let mut text = text.clone();
        clean_option(&mut text);
        text.unwrap_or_default()
    };
    query
        .bind(user.to_string())
        .bind(CANCELLED)
        .bind(filter.workspace.map(|id| id.to_string()).unwrap_or_default())
        .bind(asked(&filter.code))
        .bind(phase)
        .bind(or)
        .bind(asked(&filter.mime_type))
        .bind(filter.since.map_or(0, Timestamp::micros))
        .bind(i64::from(filter.resolved))
}

/// Puts these aside, and tells it of each workspace that has some. None of its counts changes, but whoever looks at the failures
/// has to see that these are gone. While the item holds its user's counter, nobody else changes what is found here.
async fn resolve(tx: &mut Tx, user: UserId, filter: &ErrorFilter, now: Timestamp) -> Result<u64, Fault> {
    let sql = format!("SELECT DISTINCT workspace_id FROM documents WHERE {MEANT} ORDER BY workspace_id");
    let rows = bind(sqlx::query(AssertSqlSafe(sql)), user, filter).fetch_all(&mut tx.conn).await?;
    let sql = format!("UPDATE documents SET resolved_attempt = attempt WHERE {MEANT}");
    let resolved = bind(sqlx::query(AssertSqlSafe(sql)), user, filter).execute(&mut tx.conn).await?;
    for row in &rows {
        workspaces::tell_counts(tx, parsed(row, "workspace_id")?, now).await?;
    }
    Ok(resolved.rows_affected())
}

fn group(row: &AnyRow) -> Result<ErrorGroup, Fault> {
    let workspaces = number(row, "workspaces")?;
    Ok(ErrorGroup {
        code: row.try_get("code")?,
        phase: parsed(row, "phase")?,
        mime_type: row.try_get("mime_type")?,
        count: number(row, "documents")?,
        workspaces,
        workspace_id: if workspaces == 1 { Some(parsed(row, "workspace")?) } else { None },
        message: row.try_get::<Option<String>, _>("message")?.unwrap_or_default(),
        hint: row.try_get("hint")?,
        oldest_at: Timestamp::from_micros(row.try_get("oldest")?),
        newest_at: Timestamp::from_micros(row.try_get("newest")?),
    })
}

impl Store {
    /// Of each site the newest crawl alone: a later one has asked for the pages again.
    async fn pages_left(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        since: Timestamp,
    ) -> Result<Vec<LeftOver>, Fault> {
        let rows = sqlx::query(
            "SELECT jobs.id, jobs.workspace_id, jobs.status, jobs.crawl, jobs.metrics, jobs.completed_at FROM crawls \
             JOIN jobs ON jobs.id = crawls.job_id WHERE crawls.user_id = $1 \
             AND ($2 = '' OR crawls.workspace_id = $2) AND EXISTS \
             (SELECT 1 FROM workspaces w WHERE w.id = crawls.workspace_id AND w.status <> 'deleting') \
             ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT $3",
        )
        .bind(user.to_string())
        .bind(workspace.map(|id| id.to_string()).unwrap_or_default())
        .bind(CRAWLS)
        .fetch_all(self.readers())
        .await?;
        let (mut sites, mut left) = (BTreeSet::new(), vec![]);
        for row in &rows {
            let crawl: Crawl = serde_json::from_str(row.try_get("crawl")?)?;
            let metrics: Metrics = serde_json::from_str(row.try_get("metrics")?)?;
            let (workspace_id, status): (WorkspaceId, JobStatus) =
                (parsed(row, "workspace_id")?, parsed(row, "status")?);
            let is_newest = sites.insert((workspace_id, crawl.url.clone()));
            let newest_at =
                Timestamp::from_micros(row.try_get::<Option<i64>, _>("completed_at")?.unwrap_or(0));
            let has_ended = matches!(status, JobStatus::Completed | JobStatus::Failed);
            if is_newest && has_ended && metrics.pages_failed > 0 && newest_at >= since {
                let what = Left::Pages { job: parsed(row, "id")?, url: crawl.url };
                left.push(LeftOver { what, workspace_id, count: metrics.pages_failed, newest_at });
            }
        }
        Ok(left)
    }

    async fn documents_left(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        since: Timestamp,
    ) -> Result<Vec<LeftOver>, Fault> {
        let warned = |code: &str| format!(r#"%"code":"{code}"%"#);
        // Most have no warning; the others have an index.
        let rows = sqlx::query(
            "SELECT workspace_id, COUNT(*) AS documents, MAX(updated_at) AS newest FROM documents \
             WHERE user_id = $1 AND status = 'ready' AND warnings <> '[]' AND deleted_at IS NULL \
             AND ($2 = '' OR workspace_id = $2) AND updated_at >= $3 AND (warnings LIKE $4 OR warnings LIKE $5) AND EXISTS \
             (SELECT 1 FROM workspaces w WHERE w.id = documents.workspace_id AND w.status <> 'deleting') \
             GROUP BY workspace_id",
        )
        .bind(user.to_string())
        .bind(workspace.map(|id| id.to_string()).unwrap_or_default())
        .bind(since.micros())
        .bind(warned(REINDEX_FAILED))
        .bind(warned(REPLACE_FAILED))
        .fetch_all(self.readers())
        .await?;
        let one = |row: &AnyRow| {
            Ok::<_, Fault>(LeftOver {
                what: Left::Documents,
                workspace_id: parsed(row, "workspace_id")?,
                count: number(row, "documents")?,
                newest_at: Timestamp::from_micros(row.try_get("newest")?),
            })
        };
        rows.iter().map(one).collect()
    }
}

#[async_trait]
impl Errors for Store {
    async fn error_groups(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        limit: u32,
    ) -> Result<Vec<ErrorGroup>, StoreError> {
        let sql = format!(
            "SELECT COALESCE(error_code, '') AS code, CASE reached WHEN 'done' THEN 'indexing' ELSE reached END AS phase, \
             mime_type, COUNT(*) AS documents, COUNT(DISTINCT workspace_id) AS workspaces, MIN(workspace_id) AS workspace, \
             MAX(error) AS message, MAX(error_hint) AS hint, MIN(updated_at) AS oldest, MAX(updated_at) AS newest \
             FROM documents WHERE {MEANT} GROUP BY 1, 2, 3 ORDER BY documents DESC, newest DESC, code, phase, mime_type LIMIT $10"
        );
        let query = bind(sqlx::query(AssertSqlSafe(sql)), user, filter).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await.map_err(Fault::from)?;
        Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
    }

    async fn failed_documents(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, DocumentId)>, StoreError> {
        let sql = format!(
            "SELECT workspace_id, id FROM documents WHERE {MEANT} ORDER BY updated_at DESC, id DESC LIMIT $10"
        );
        let query = bind(sqlx::query(AssertSqlSafe(sql)), user, filter).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await.map_err(Fault::from)?;
        let one = |row: &AnyRow| Ok::<_, Fault>((parsed(row, "workspace_id")?, parsed(row, "id")?));
        Ok(rows.iter().map(one).collect::<Result<_, _>>()?)
    }

    async fn left_over(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<LeftOver>, StoreError> {
        let since = since.unwrap_or_default();
        let mut left = self.pages_left(user, workspace, since).await?;
        left.extend(self.documents_left(user, workspace, since).await?);
        left.sort_by_key(|left| Reverse(left.newest_at));
        left.truncate(limit as usize);
        Ok(left)
    }

    async fn resolve_errors(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let argument = (user, filter.clone(), now);
        let written = self
            .writer()
            .write_for(user, "resolve errors", argument, |tx, (user, filter, now)| {
                Box::pin(resolve(tx, *user, filter, *now))
            })
            .await?;
        Ok(written.value)
    }
}
