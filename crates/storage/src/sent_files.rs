//! Files that were sent ahead: kept until a job takes them, or until nobody asked for them for a day.

use crate::{
    bulk, commands,
    fault::Fault,
    jobs::{clean_document, clean_option, number, parsed},
    open::Store,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    DocumentId, OnDuplicate, Timestamp, UserId, WorkspaceId, duplicates::Taken, provision::Refusal,
};
use services::ports::{NewDocument, SentFile, SentFiles, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeSet;

pub(crate) const FILE: &str = "id, filename, mime_type, size_bytes, content_hash, blob_key";
/// Two uploads named the same file at the same moment.
const TAKEN: Refusal = Refusal::new(
    "file_taken",
    "One of these files is being added by another request. Look at the list of documents.",
);

pub(crate) fn file_of(row: &AnyRow) -> Result<NewDocument, Fault> {
    Ok(NewDocument {
        id: parsed(row, "id")?,
        filename: row.try_get("filename")?,
        mime_type: row.try_get("mime_type")?,
        size_bytes: number(row, "size_bytes")?,
        content_hash: row.try_get("content_hash")?,
        blob_key: row.try_get("blob_key")?,
        sent_ahead: true,
    })
}

async fn keep(tx: &mut Tx, new: &SentFile) -> Result<NewDocument, Fault> {
    commands::note(tx, new.user_id, new.command_id.as_deref(), new.command_print.as_deref()).await?;
    let d = &new.document;
    let kept = sqlx::query(
        "INSERT INTO sent_files (id, user_id, workspace_id, filename, mime_type, size_bytes, content_hash, \
         blob_key, command_id, created_at) \
         SELECT $1, w.user_id, w.id, $4, $5, $6, $7, $8, $9, $10 FROM workspaces w WHERE w.id = $3 AND w.user_id = $2 \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = $2 AND u.deleting_at IS NULL) \
         ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(d.id.to_string())
    .bind(new.user_id.to_string())
    .bind(new.workspace_id.to_string())
    .bind(d.filename.as_str())
    .bind(d.mime_type.as_str())
    .bind(i64::try_from(d.size_bytes).map_err(Fault::corrupt)?)
    .bind(d.content_hash.as_str())
    .bind(d.blob_key.as_str())
    .bind(new.command_id.clone())
    .bind(new.created_at.micros())
    .execute(&mut tx.conn)
    .await?;
    if kept.rows_affected() > 0 {
        return Ok(d.clone());
    }
    let sql = format!("SELECT {FILE} FROM sent_files WHERE user_id = $1 AND command_id = $2");
    let before = sqlx::query(AssertSqlSafe(sql))
        .bind(new.user_id.to_string())
        .bind(new.command_id.clone())
        .fetch_optional(&mut tx.conn)
        .await?;
    file_of(&before.ok_or(StoreError::NotFound)?)
}

/// The files go to documents in this transaction. The row of one that becomes a document of its own goes; that of any
/// other says for a while which document has it. Answers what the senders of those that go said of them, for
/// [`note_metadata`].
pub(crate) async fn take(
    tx: &mut Tx,
    user: UserId,
    documents: &[NewDocument],
    taken: &[(DocumentId, DocumentId, Taken)],
) -> Result<Vec<(String, String)>, Fault> {
    let sent: BTreeSet<DocumentId> = documents.iter().filter(|d| d.sent_ahead).map(|d| d.id).collect();
    let of = taken.iter().filter(|(file, _, _)| sent.contains(file));
    let (own, others): (Vec<_>, Vec<_>) = of.partition(|(_, _, taken)| *taken == Taken::Added);
    let mut told = vec![];
    for part in bulk::parts(&own, bulk::IDS) {
        let sql = format!(
            "DELETE FROM sent_files WHERE user_id = $1 AND became IS NULL AND id IN ({}) RETURNING id, metadata",
            bulk::list(2, part.len())
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string());
        let query = part.iter().fold(query, |query, (file, _, _)| query.bind(file.to_string()));
        let gone = query.fetch_all(&mut tx.conn).await?;
        if gone.len() < part.len() {
            return Err(StoreError::from(TAKEN).into());
        }
        for row in gone {
            let metadata: Option<String> = row.try_get("metadata")?;
            if let Some(metadata) = metadata {
                told.push((row.try_get("id")?, metadata));
            }
        }
    }
    for (file, document, taken) in others {
        let went = sqlx::query(
            "UPDATE sent_files SET became = $3, on_duplicate = $4 WHERE user_id = $1 AND id = $2 AND became IS NULL",
        )
        .bind(user.to_string())
        .bind(file.to_string())
        .bind(document.to_string())
        .bind(if taken == Taken::Skipped { OnDuplicate::Skip.as_str() } else { OnDuplicate::Replace.as_str() })
        .execute(&mut tx.conn)
        .await?;
        if went.rows_affected() == 0 {
            return Err(StoreError::from(TAKEN).into());
        }
    }
    Ok(told)
}

/// The documents are there by now: each keeps what the sender of its file said.
pub(crate) async fn note_metadata(tx: &mut Tx, told: &[(String, String)]) -> Result<(), Fault> {
    for part in bulk::parts(told, bulk::IDS / 2) {
        let ids = (0..part.len()).map(|n| format!("${}", 2 * n + 1)).collect::<Vec<_>>();
        let when = ids.iter().enumerate().map(|(n, id)| format!(" WHEN {id} THEN ${}", 2 * n + 2));
        let sql = format!(
            "UPDATE documents SET upload_metadata = CASE id{} END WHERE id IN ({})",
            when.collect::<String>(),
            ids.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, metadata) in part {
            query = query.bind(id.clone()).bind(metadata.clone());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

#[async_trait]
impl SentFiles for Store {
    async fn keep_file(&self, mut new: SentFile) -> Result<NewDocument, StoreError> {
        clean_document(&mut new.document);
        clean_option(&mut new.command_id);
        let written =
            self.writer().write_for(new.user_id, "keep file", new, |tx, new| Box::pin(keep(tx, new))).await?;
        Ok(written.value)
    }

    async fn sent_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        ids: &[DocumentId],
    ) -> Result<Vec<NewDocument>, StoreError> {
        let mut found = vec![];
        for part in bulk::parts(ids, bulk::IDS) {
            let sql = format!(
                "SELECT {FILE} FROM sent_files WHERE user_id = $1 AND workspace_id = $2 AND became IS NULL \
                 AND id IN ({})",
                bulk::list(3, part.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string()).bind(workspace.to_string());
            let query = part.iter().fold(query, |query, id| query.bind(id.to_string()));
            for row in query.fetch_all(self.readers()).await.map_err(Fault::from)? {
                found.push(file_of(&row)?);
            }
        }
        Ok(found)
    }

    async fn became(&self, user: UserId, id: DocumentId) -> Result<Option<(DocumentId, Taken)>, StoreError> {
        let sql = "SELECT became, on_duplicate FROM sent_files WHERE id = $1 AND user_id = $2 AND became IS NOT NULL";
        let row = sqlx::query(sql)
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let went = |row: &AnyRow| {
            let skipped = parsed::<OnDuplicate>(row, "on_duplicate")? == OnDuplicate::Skip;
            let taken = if skipped { Taken::Skipped } else { Taken::Replaced };
            Ok::<_, Fault>((parsed(row, "became")?, taken))
        };
        Ok(row.as_ref().map(went).transpose()?)
    }

    async fn drop_file(&self, user: UserId, id: DocumentId) -> Result<String, StoreError> {
        forget(self, ("sent_files", "became IS NULL"), user, id).await
    }

    async fn drop_old_files(&self, before: Timestamp) -> Result<u64, StoreError> {
        forget_old(self, ("sent_files", "created_at"), before).await
    }
}

/// Forgets a file of one of the tables of files that are no documents yet; answers where it lies.
pub(crate) async fn forget(
    store: &Store,
    (table, condition): (&'static str, &'static str),
    user: UserId,
    id: DocumentId,
) -> Result<String, StoreError> {
    let written = store
        .writer()
        .write_for(user, "forget file", (user, id), move |tx, (user, id)| {
            Box::pin(async move {
                let sql = format!(
                    "DELETE FROM {table} WHERE id = $1 AND user_id = $2 AND {condition} RETURNING blob_key"
                );
                let key: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                    .bind(id.to_string())
                    .bind(user.to_string())
                    .fetch_optional(&mut tx.conn)
                    .await?;
                Ok(key.ok_or(StoreError::NotFound)?)
            })
        })
        .await?;
    Ok(written.value)
}

/// Forgets the files of such a table whose time, in that column, is before the given one.
pub(crate) async fn forget_old(
    store: &Store,
    (table, at): (&'static str, &'static str),
    before: Timestamp,
) -> Result<u64, StoreError> {
    let written = store
        .writer()
        .write("forget old files", before, move |tx, before| {
            Box::pin(async move {
                let sql = format!("SELECT DISTINCT user_id FROM {table} WHERE {at} < $1");
                let whose: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                    .bind(before.micros())
                    .fetch_all(&mut tx.conn)
                    .await?;
                let whose = whose.iter().map(|id| id.parse().map_err(Fault::corrupt));
                tx.lock_users(&whose.collect::<Result<_, _>>()?).await?;
                let sql = format!("DELETE FROM {table} WHERE {at} < $1");
                let gone =
                    sqlx::query(AssertSqlSafe(sql)).bind(before.micros()).execute(&mut tx.conn).await?;
                Ok(gone.rows_affected())
            })
        })
        .await?;
    Ok(written.value)
}
