//! Deletions: the mark, and taking rows away in pieces that are each well under a second of work. What hangs on a row by
//! a foreign key goes with it; where that may be much, it is removed before in pieces.

mod account;
mod workspace;

use crate::{
    engine::Engine,
    fault::Fault,
    index,
    jobs::{self, parsed},
    open::Store,
    workspaces::with_rev,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Document, DocumentId, EntityKey, JobId, Timestamp, UserId, Workspace, WorkspaceId, event::DocumentDeleted,
};
use services::ports::{Deletion, Deletions, Doomed, DoomedDocument, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

/// Pages of the full-text index that are written anew at once, some 400 KB: a part of which nobody notices that waits.
const MERGED_PAGES: i64 = 100;

const DELETION: &str = "job_id, kind, doomed_id, user_id, created_at";

const fn kind(doomed: Doomed) -> &'static str {
    match doomed {
        Doomed::Account(_) => "account",
        Doomed::Workspace(..) => "workspace",
        Doomed::Document(..) => "document",
    }
}

fn doomed_id(doomed: Doomed) -> String {
    match doomed {
        Doomed::Account(user) => user.to_string(),
        Doomed::Workspace(_, workspace) => workspace.to_string(),
        Doomed::Document(_, document) => document.to_string(),
    }
}

/// The documents of what is doomed, as a condition on `documents` with `$1` for its id.
const fn its_documents(doomed: Doomed) -> &'static str {
    match doomed {
        Doomed::Account(_) => "documents.user_id = $1",
        // Only of one that is being deleted.
        Doomed::Workspace(..) => {
            "documents.workspace_id = $1 AND EXISTS (SELECT 1 FROM workspaces w WHERE w.id = $1 AND w.status = 'deleting')"
        }
        // Nothing brings it back any more.
        Doomed::Document(..) => "documents.id = $1 AND documents.deleted_at = 0",
    }
}

/// What hangs on it besides documents: statements that remove at most `$2` rows each, in an order in which none takes
/// much along by a foreign key.
const fn its_rows(doomed: Doomed) -> &'static [&'static str] {
    match doomed {
        Doomed::Account(_) => &[
            "DELETE FROM bulk_items WHERE (bulk_id, place) IN (SELECT i.bulk_id, i.place FROM bulk_items i \
             JOIN bulk_actions b ON b.id = i.bulk_id WHERE b.user_id = $1 LIMIT $2)",
            "DELETE FROM events WHERE user_id = $1 AND seq IN \
             (SELECT seq FROM events WHERE user_id = $1 ORDER BY seq LIMIT $2)",
            "DELETE FROM crawl_pages WHERE (job_id, url) IN (SELECT p.job_id, p.url FROM crawl_pages p \
             JOIN crawls c ON c.job_id = p.job_id WHERE c.user_id = $1 LIMIT $2)",
            "DELETE FROM turn_events WHERE (turn_id, id) IN (SELECT e.turn_id, e.id FROM turn_events e \
             JOIN turns t ON t.id = e.turn_id WHERE t.user_id = $1 LIMIT $2)",
            "DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE user_id = $1 LIMIT $2)",
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE user_id = $1 LIMIT $2)",
            "DELETE FROM workspaces WHERE id IN (SELECT id FROM workspaces WHERE user_id = $1 LIMIT $2)",
        ],
        // The job that deletes it outlives it by a day, and so does what was told.
        Doomed::Workspace(..) => &[
            "DELETE FROM bulk_items WHERE (bulk_id, place) IN (SELECT i.bulk_id, i.place FROM bulk_items i \
             JOIN bulk_actions b ON b.id = i.bulk_id WHERE b.workspace_id = $1 LIMIT $2)",
            "DELETE FROM crawl_pages WHERE (job_id, url) IN (SELECT p.job_id, p.url FROM crawl_pages p \
             JOIN crawls c ON c.job_id = p.job_id WHERE c.workspace_id = $1 LIMIT $2)",
            "DELETE FROM turn_events WHERE (turn_id, id) IN (SELECT e.turn_id, e.id FROM turn_events e \
             JOIN turns t ON t.id = e.turn_id WHERE t.workspace_id = $1 LIMIT $2)",
            "DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE workspace_id = $1 LIMIT $2)",
            "DELETE FROM jobs WHERE id IN \
             (SELECT id FROM jobs WHERE workspace_id = $1 AND kind <> 'delete' LIMIT $2)",
        ],
        Doomed::Document(..) => &[],
    }
}

fn doomed_document(row: &AnyRow) -> Result<DoomedDocument, Fault> {
    Ok(DoomedDocument { id: parsed(row, "id")?, blob_key: row.try_get("blob_key")? })
}

fn deletion_of(row: &AnyRow) -> Result<Deletion, Fault> {
    let doomed = match row.try_get::<&str, _>("kind")? {
        "account" => Doomed::Account(parsed(row, "doomed_id")?),
        "workspace" => Doomed::Workspace(parsed(row, "user_id")?, parsed(row, "doomed_id")?),
        other => return Err(Fault::corrupt(format!("a deletion of {other}"))),
    };
    Ok(Deletion {
        job_id: parsed(row, "job_id")?,
        doomed,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}

/// Makes the row of the deletion, or finds the one that is there. `undo`: what the thing was, and until when that can be
/// restored.
async fn begin(
    tx: &mut Tx,
    doomed: Doomed,
    job: JobId,
    undo: Option<(String, Timestamp)>,
    now: Timestamp,
) -> Result<Deletion, Fault> {
    let (undo, not_before) = undo.map_or((None, now), |(undo, not_before)| (Some(undo), not_before));
    sqlx::query(
        "INSERT INTO deletions (job_id, kind, doomed_id, user_id, created_at, not_before, undo) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, doomed_id) DO NOTHING",
    )
    .bind(job.to_string())
    .bind(kind(doomed))
    .bind(doomed_id(doomed))
    .bind(doomed.user().to_string())
    .bind(now.micros())
    .bind(not_before.micros())
    .bind(undo)
    .execute(&mut tx.conn)
    .await?;
    let sql = format!("SELECT {DELETION} FROM deletions WHERE kind = $1 AND doomed_id = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(kind(doomed))
        .bind(doomed_id(doomed))
        .fetch_one(&mut tx.conn)
        .await?;
    deletion_of(&row)
}

async fn remove_document(
    tx: &mut Tx,
    doomed: Doomed,
    document: DocumentId,
    limit: u32,
) -> Result<bool, Fault> {
    let sql = format!(
        "SELECT documents.workspace_id FROM documents WHERE {} AND documents.id = $2",
        its_documents(doomed)
    );
    let workspace: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(doomed_id(doomed))
        .bind(document.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(workspace) = workspace else {
        if let Doomed::Workspace(..) = doomed {
            forget_file(tx, doomed, document).await?;
        }
        return Ok(true);
    };
    let removed =
        sqlx::query("DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE document_id = $1 LIMIT $2)")
            .bind(document.to_string())
            .bind(i64::from(limit))
            .execute(&mut tx.conn)
            .await?;
    if removed.rows_affected() >= u64::from(limit) {
        return Ok(false);
    }
    let removed = sqlx::query(
        "DELETE FROM old_chunks WHERE (document_id, version, ordinal) IN \
         (SELECT o.document_id, o.version, o.ordinal FROM old_chunks o WHERE o.document_id = $1 LIMIT $2)",
    )
    .bind(document.to_string())
    .bind(i64::from(limit))
    .execute(&mut tx.conn)
    .await?;
    if removed.rows_affected() >= u64::from(limit) {
        return Ok(false);
    }
    sqlx::query("DELETE FROM documents WHERE id = $1")
        .bind(document.to_string())
        .execute(&mut tx.conn)
        .await?;
    let workspace: WorkspaceId = workspace.parse().map_err(Fault::corrupt)?;
    index::raise_version(tx, workspace).await?;
    Ok(true)
}

/// A file of the workspace that is no document yet.
async fn forget_file(tx: &mut Tx, doomed: Doomed, document: DocumentId) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM sent_files WHERE workspace_id = $1 AND id = $2",
        "DELETE FROM partial_files WHERE workspace_id = $1 AND id = $2",
    ] {
        sqlx::query(sql).bind(doomed_id(doomed)).bind(document.to_string()).execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// Answers false when somebody brought it back meanwhile.
async fn doom(tx: &mut Tx, document: DocumentId, before: Timestamp) -> Result<bool, Fault> {
    let doomed = sqlx::query("UPDATE documents SET deleted_at = 0 WHERE id = $1 AND deleted_at <= $2")
        .bind(document.to_string())
        .bind(before.micros())
        .execute(&mut tx.conn)
        .await?;
    Ok(doomed.rows_affected() > 0)
}

#[async_trait]
impl Deletions for Store {
    async fn begin_account_deletion(
        &self,
        user: UserId,
        job: JobId,
        now: Timestamp,
    ) -> Result<Deletion, StoreError> {
        let written = self
            .writer()
            .write_for(user, "begin account deletion", (user, job, now), |tx, (user, job, now)| {
                Box::pin(account::begin_deletion(tx, *user, *job, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn delete_document(
        &self,
        user: UserId,
        document: DocumentId,
        now: Timestamp,
    ) -> Result<DocumentDeleted, StoreError> {
        let argument = (user, document, now);
        let written = self
            .writer()
            .write_for(user, "delete document", argument, |tx, (user, document, now)| {
                Box::pin(jobs::delete(tx, *user, *document, *now))
            })
            .await?;
        let rev = written.rev(&EntityKey::Document(document));
        let (deleted, buried) = written.value;
        jobs::drop_all_dead(self, user, &buried).await;
        Ok(DocumentDeleted { rev, ..deleted })
    }

    async fn restore_document(
        &self,
        user: UserId,
        document: DocumentId,
        job: JobId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Document, StoreError> {
        let argument = (user, document, job, since, now);
        self.writer()
            .write_for(user, "restore document", argument, |tx, (user, document, job, since, now)| {
                Box::pin(jobs::restore(tx, *user, *document, *job, *since, *now))
            })
            .await?;
        // Read back: only what is committed has its rev.
        Ok(self.read_document(user, document).await?.ok_or(StoreError::NotFound)?)
    }

    async fn doom_documents(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Doomed, DoomedDocument)>, StoreError> {
        // The looking is done by a reader, so that writers wait only for the rows that change.
        let rows = sqlx::query(
            "SELECT id, user_id, blob_key FROM documents WHERE deleted_at <= $1 ORDER BY deleted_at, id LIMIT $2",
        )
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await
        .map_err(Fault::from)?;
        let mut doomed = vec![];
        for row in &rows {
            let document = doomed_document(row)?;
            let user: UserId = parsed(row, "user_id")?;
            let argument = (document.id, before);
            let written = self
                .writer()
                .write_for(user, "doom document", argument, |tx, (id, before)| {
                    Box::pin(doom(tx, *id, *before))
                })
                .await?;
            if written.value {
                doomed.push((Doomed::Document(user, document.id), document));
            }
        }
        Ok(doomed)
    }

    async fn begin_workspace_deletion(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        job: JobId,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<Deletion, StoreError> {
        let argument = (Doomed::Workspace(user, workspace), job, not_before, now);
        let written = self
            .writer()
            .write_for(user, "begin workspace deletion", argument, |tx, (doomed, job, not_before, now)| {
                Box::pin(workspace::begin_deletion(tx, *doomed, *job, *not_before, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn restore_workspace(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let argument = (user, workspace, since, now);
        let written = self
            .writer()
            .write_for(user, "restore workspace", argument, |tx, (user, workspace, since, now)| {
                Box::pin(workspace::restore(tx, *user, *workspace, *since, *now))
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(workspace)), written.value))
    }

    async fn tell_deletion(&self, deletion: &Deletion, now: Timestamp) -> Result<bool, StoreError> {
        let Doomed::Workspace(user, id) = deletion.doomed else { return Ok(true) };
        let argument = (id, deletion.job_id, now);
        let written = self
            .writer()
            .write_for(user, "tell deletion", argument, |tx, (id, job, now)| {
                Box::pin(workspace::tell_deletion(tx, *id, *job, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn deletions(&self, now: Timestamp, limit: u32) -> Result<Vec<Deletion>, StoreError> {
        let sql = format!(
            "SELECT {DELETION} FROM deletions WHERE completed_at IS NULL AND not_before <= $1 \
             ORDER BY created_at, job_id LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(now.micros())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(deletion_of).collect::<Result<_, _>>()?)
    }

    async fn doomed_documents(&self, doomed: Doomed, limit: u32) -> Result<Vec<DoomedDocument>, StoreError> {
        let files = match doomed {
            Doomed::Workspace(..) => {
                " UNION ALL SELECT id, blob_key FROM sent_files WHERE workspace_id = $1 \
                 UNION ALL SELECT id, blob_key FROM partial_files WHERE workspace_id = $1"
            }
            _ => "",
        };
        let sql =
            format!("SELECT id, blob_key FROM documents WHERE {}{files} LIMIT $2", its_documents(doomed));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(doomed_id(doomed))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(doomed_document).collect::<Result<_, _>>()?)
    }

    async fn files_of_versions(&self, document: DocumentId) -> Result<Vec<String>, StoreError> {
        let keys = sqlx::query_scalar("SELECT blob_key FROM document_versions WHERE document_id = $1")
            .bind(document.to_string())
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(keys)
    }

    async fn remove_document(
        &self,
        doomed: Doomed,
        document: DocumentId,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let argument = (doomed, document, limit);
        let written = self
            .writer()
            .write_for(doomed.user(), "remove document", argument, |tx, (doomed, document, limit)| {
                Box::pin(remove_document(tx, *doomed, *document, *limit))
            })
            .await?;
        Ok(written.value)
    }

    async fn remove_rows(&self, doomed: Doomed, limit: u32) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(doomed.user(), "remove rows", (doomed, limit), |tx, (doomed, limit)| {
                Box::pin(async move {
                    for sql in its_rows(*doomed) {
                        let removed = sqlx::query(*sql)
                            .bind(doomed_id(*doomed))
                            .bind(i64::from(*limit))
                            .execute(&mut tx.conn)
                            .await?;
                        if removed.rows_affected() > 0 {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn remove_doomed(&self, deletion: &Deletion, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write_for(deletion.doomed.user(), "remove doomed", (*deletion, now), |tx, (deletion, now)| {
                Box::pin(async move {
                    match deletion.doomed {
                        Doomed::Account(user) => account::remove(tx, user).await,
                        Doomed::Workspace(user, id) => {
                            workspace::remove(tx, user, id, deletion.job_id, *now).await
                        }
                        Doomed::Document(..) => Ok(()),
                    }
                })
            })
            .await?;
        Ok(())
    }

    async fn forget_words(&self, anew: bool) -> Result<bool, StoreError> {
        // PostgreSQL keeps the words in the row, and goes with it.
        if self.engine() == Engine::Postgres {
            return Ok(true);
        }
        let written = self
            .writer()
            .write("forget words", anew, |tx, anew| {
                Box::pin(async move {
                    // FTS5 only notes which rows are gone; their words go when segments are merged. A negative number
                    // of pages has all segments merged into one; it is done when nothing changes any more.
                    let pages = if *anew { -MERGED_PAGES } else { MERGED_PAGES };
                    let changes = "SELECT total_changes()";
                    let before: i64 = sqlx::query_scalar(changes).fetch_one(&mut tx.conn).await?;
                    sqlx::query("INSERT INTO chunk_text (chunk_text, rank) VALUES ('merge', $1)")
                        .bind(pages)
                        .execute(&mut tx.conn)
                        .await?;
                    let after: i64 = sqlx::query_scalar(changes).fetch_one(&mut tx.conn).await?;
                    Ok(after - before < 2)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn end_deletion(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write("end deletion", (job, now), |tx, (job, now)| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE deletions SET completed_at = $2 WHERE job_id = $1 AND completed_at IS NULL",
                    )
                    .bind(job.to_string())
                    .bind(now.micros())
                    .execute(&mut tx.conn)
                    .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn ended_deletions(&self, before: Timestamp, limit: u32) -> Result<Vec<Deletion>, StoreError> {
        let sql = format!("SELECT {DELETION} FROM deletions WHERE completed_at <= $1 LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before.micros())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(deletion_of).collect::<Result<_, _>>()?)
    }

    async fn forget_deletion(&self, job: JobId) -> Result<(), StoreError> {
        self.writer()
            .write("forget deletion", job, |tx, job| {
                Box::pin(async move {
                    let forgotten =
                        sqlx::query("DELETE FROM deletions WHERE job_id = $1 AND completed_at IS NOT NULL")
                            .bind(job.to_string())
                            .execute(&mut tx.conn)
                            .await?;
                    // Of a workspace, the job under which its deletion was told.
                    if forgotten.rows_affected() > 0 {
                        sqlx::query("DELETE FROM jobs WHERE id = $1 AND kind = 'delete'")
                            .bind(job.to_string())
                            .execute(&mut tx.conn)
                            .await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}
