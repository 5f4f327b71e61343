//! The event log as a history, and removing from it what is not kept.

use crate::{
    bulk,
    fault::Fault,
    jobs::{number, parsed},
    open::Store,
    page::{Cursor, List, limit_of, paged},
    writer::Tx,
};
use async_trait::async_trait;
use domain::{HistoryEntry, Timestamp, UserId, resource::Page};
use serde::Deserialize;
use serde_json::json;
use services::ports::{History, HistoryOf, HistoryQuery, PageQuery, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeMap;

/// What a person did to a workspace (a new name, a pause) turns no status and is no progress of its work.
const NOT_BY_A_PERSON: &str = r#"AND e.actor NOT LIKE '{"kind":"user"%'"#;

/// The column by which a history is found, and the id to look for.
fn place(of: HistoryOf) -> (&'static str, String) {
    match of {
        HistoryOf::Document(id) => ("document_id", id.to_string()),
        HistoryOf::Job(id) => ("job_id", id.to_string()),
        HistoryOf::Workspace(id) => ("workspace_id", id.to_string()),
    }
}

fn entry(row: &AnyRow) -> Result<HistoryEntry, Fault> {
    /// The part of a frame that is wanted.
    #[derive(Deserialize)]
    struct Frame {
        data: serde_json::Value,
    }
    let seq: u64 = number(row, "seq")?;
    // One that cannot be read, or is of a newer build, hides neither the others nor what stands beside it.
    let unreadable = |error: &serde_json::Error| {
        tracing::error!(seq, %error, "an event of the log cannot be read; its history has what stands beside it");
    };
    let frame: Result<Frame, _> = serde_json::from_str(row.try_get("data")?);
    let data = frame.inspect_err(unreadable).map_or_else(|_| json!({}), |frame| frame.data);
    let actor: Option<String> = row.try_get("actor")?;
    let actor = actor.and_then(|text| serde_json::from_str(&text).inspect_err(unreadable).ok());
    Ok(HistoryEntry {
        seq,
        at: Timestamp::from_micros(row.try_get("at")?),
        event: row.try_get("name")?,
        from: row.try_get("status_from")?,
        to: row.try_get("status_to")?,
        actor,
        data,
    })
}

/// The place behind which a page begins.
pub(crate) fn begin(query: &HistoryQuery) -> Result<i64, StoreError> {
    let page = PageQuery { limit: query.limit, after: query.after.clone() };
    let place = if query.newest_first { List::History.before(&page) } else { List::History.behind(&page) };
    place.map(|cursor| cursor.number)
}

/// The page of entries of which one more than was asked for was read.
pub(crate) fn page_of(entries: Vec<HistoryEntry>, query: &HistoryQuery) -> Page<HistoryEntry> {
    paged(List::History, entries, limit(query), |e| Cursor::new(e.seq as i64, "seq"))
}

pub(crate) fn limit(query: &HistoryQuery) -> u32 {
    limit_of(&PageQuery::first(query.limit))
}

impl Store {
    async fn read_history(
        &self,
        user: UserId,
        of: HistoryOf,
        query: &HistoryQuery,
    ) -> Result<Vec<HistoryEntry>, Fault> {
        let (column, id) = place(of);
        let (compare, order) = if query.newest_first { ("<", "DESC") } else { (">", "ASC") };
        let only = if query.transitions { "AND status_from IS DISTINCT FROM status_to" } else { "" };
        let sql = format!(
            "SELECT seq, at, name, status_from, status_to, actor, data FROM events \
             WHERE {column} = $1 AND user_id = $2 AND seq {compare} $3 AND name <> 'conversation_changed' {only} \
             ORDER BY seq {order} LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(user.to_string())
            .bind(begin(query)?)
            .bind(i64::from(limit(query)) + 1)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// Superseded progress, by whose it is. It is read without a lock: what was superseded stays so.
    async fn superseded(&self, before: Timestamp, limit: u32) -> Result<BTreeMap<UserId, Vec<i64>>, Fault> {
        // One part for each index. What was told of a conversation has no status and is in no history.
        let part = |name: &str, column: &str, only: &str| {
            format!(
                "SELECT e.user_id, e.seq FROM events e WHERE e.progress = 1 AND e.status_from = e.status_to \
                 AND e.at < $1 AND e.name = '{name}' {only} AND EXISTS (SELECT 1 FROM events n \
                     WHERE n.{column} = e.{column} AND n.seq > e.seq AND n.entity = e.entity)"
            )
        };
        let sql = format!(
            "{} UNION ALL {} UNION ALL {} UNION ALL \
             SELECT e.user_id, e.seq FROM events e WHERE e.name = 'conversation_changed' AND e.at < $1 \
             AND EXISTS (SELECT 1 FROM events n WHERE n.name = 'conversation_changed' AND n.user_id = e.user_id \
                 AND n.entity = e.entity AND n.seq > e.seq) LIMIT $2",
            part("job_update", "job_id", ""),
            part("file_progress", "document_id", ""),
            part("workspace_status", "workspace_id", NOT_BY_A_PERSON)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before.micros())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        let mut found = BTreeMap::<UserId, Vec<i64>>::new();
        for row in &rows {
            found.entry(parsed(row, "user_id")?).or_default().push(row.try_get("seq")?);
        }
        Ok(found)
    }

    /// Documents and workspaces whose deletion was told before that moment, and which nobody brought back: whose they
    /// were, and the last event.
    async fn gone(&self, before: Timestamp, limit: u32) -> Result<Vec<Gone>, Fault> {
        let rows = sqlx::query(
            "SELECT user_id, seq, name, document_id, workspace_id FROM events e \
             WHERE name IN ('document_deleted', 'workspace_deleted') AND at < $1 \
             AND (name = 'workspace_deleted' OR NOT EXISTS (SELECT 1 FROM events back \
                 WHERE back.document_id = e.document_id AND back.seq > e.seq AND back.name = 'document_status')) \
             ORDER BY at LIMIT $2",
        )
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let one = |row: &AnyRow| {
            let column = match row.try_get::<&str, _>("name")? {
                "document_deleted" => "document_id",
                _ => "workspace_id",
            };
            Ok(Gone {
                user: parsed(row, "user_id")?,
                column,
                id: row.try_get(column)?,
                last: row.try_get("seq")?,
            })
        };
        rows.iter().map(one).collect()
    }
}

struct Gone {
    user: UserId,
    column: &'static str,
    id: String,
    last: i64,
}

async fn remove(tx: &mut Tx, user: UserId, seqs: &[i64]) -> Result<usize, Fault> {
    let mut removed = 0;
    for part in bulk::parts(seqs, 256) {
        let sql = format!("DELETE FROM events WHERE user_id = $1 AND seq IN ({})", bulk::list(2, part.len()));
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string());
        for seq in part {
            query = query.bind(*seq);
        }
        removed += query.execute(&mut tx.conn).await?.rows_affected() as usize;
    }
    Ok(removed)
}

/// Removes the oldest events about something that is gone, its deletion as the last; whoever has not seen them cannot be
/// resumed any more.
async fn remove_gone(tx: &mut Tx, gone: &Gone, limit: u32) -> Result<usize, Fault> {
    let Gone { user, column, id, last } = gone;
    let sql = format!(
        "SELECT seq FROM events WHERE {column} = $1 AND user_id = $2 AND seq <= $3 ORDER BY seq LIMIT $4"
    );
    let seqs: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(id.clone())
        .bind(user.to_string())
        .bind(*last)
        .bind(i64::from(limit))
        .fetch_all(&mut tx.conn)
        .await?;
    let Some(highest) = seqs.last() else { return Ok(0) };
    sqlx::query("UPDATE user_seq SET floor = $2 WHERE user_id = $1 AND floor < $2")
        .bind(user.to_string())
        .bind(*highest)
        .execute(&mut tx.conn)
        .await?;
    remove(tx, *user, &seqs).await
}

#[async_trait]
impl History for Store {
    async fn history(
        &self,
        user: UserId,
        of: HistoryOf,
        query: HistoryQuery,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        Ok(page_of(self.read_history(user, of, &query).await?, &query))
    }

    async fn forget_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let mut removed = 0;
        for (user, seqs) in self.superseded(before, limit).await? {
            let written = self
                .writer()
                .write_for(user, "forget progress", (user, seqs), |tx, (user, seqs)| {
                    Box::pin(remove(tx, *user, seqs))
                })
                .await?;
            removed += written.value;
        }
        if removed > 0 {
            return Ok(removed);
        }
        for gone in self.gone(before, limit).await? {
            let user = gone.user;
            let written = self
                .writer()
                .write_for(user, "forget what is gone", (gone, limit), |tx, (gone, limit)| {
                    Box::pin(remove_gone(tx, gone, *limit))
                })
                .await?;
            removed += written.value;
            if removed >= limit as usize {
                break;
            }
        }
        Ok(removed)
    }
}
