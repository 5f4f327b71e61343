//! Files of which a part has come: announced, extended part by part, and then whole, or forgotten.

use crate::{
    commands,
    fault::Fault,
    jobs::{clean, clean_document, clean_option, number, parsed},
    open::Store,
    sent_files,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{DocumentId, Timestamp, UserId};
use services::ports::{NewDocument, PartialFile, PartialFiles, StoreError, WholeFile};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

const FILE: &str = "id, user_id, workspace_id, filename, size_bytes, received_bytes, content_hash, alone, on_duplicate, blob_key, metadata, updated_at";

fn file_of(row: &AnyRow) -> Result<PartialFile, Fault> {
    Ok(PartialFile {
        id: parsed(row, "id")?,
        user_id: parsed(row, "user_id")?,
        workspace_id: parsed(row, "workspace_id")?,
        filename: row.try_get("filename")?,
        size_bytes: number(row, "size_bytes")?,
        received_bytes: number(row, "received_bytes")?,
        content_hash: row.try_get("content_hash")?,
        alone: row.try_get::<i64, _>("alone")? != 0,
        on_duplicate: parsed(row, "on_duplicate")?,
        blob_key: row.try_get("blob_key")?,
        metadata: row.try_get("metadata")?,
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn int(bytes: u64) -> Result<i64, Fault> {
    i64::try_from(bytes).map_err(Fault::corrupt)
}

fn without_nul(filename: &mut String) {
    filename.retain(|c| c != '\0');
}

/// Of what a command announced.
fn print(filename: &str, size_bytes: u64) -> String {
    format!("{size_bytes} {filename}")
}

async fn announce(tx: &mut Tx, new: &PartialFile, command_id: Option<&str>) -> Result<PartialFile, Fault> {
    commands::note(tx, new.user_id, command_id, Some(&print(&new.filename, new.size_bytes))).await?;
    let kept = sqlx::query(
        "INSERT INTO partial_files (id, user_id, workspace_id, filename, size_bytes, received_bytes, content_hash, \
         alone, blob_key, command_id, updated_at, on_duplicate, metadata) \
         SELECT $1, w.user_id, w.id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM workspaces w \
         WHERE w.id = $3 AND w.user_id = $2 \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = $2 AND u.deleting_at IS NULL) \
         ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(new.id.to_string())
    .bind(new.user_id.to_string())
    .bind(new.workspace_id.to_string())
    .bind(new.filename.as_str())
    .bind(int(new.size_bytes)?)
    .bind(int(new.received_bytes)?)
    .bind(new.content_hash.clone())
    .bind(i64::from(new.alone))
    .bind(new.blob_key.as_str())
    .bind(command_id.map(str::to_owned))
    .bind(new.updated_at.micros())
    .bind(new.on_duplicate.as_str())
    .bind(new.metadata.clone())
    .execute(&mut tx.conn)
    .await?;
    if kept.rows_affected() > 0 {
        return Ok(new.clone());
    }
    let sql = format!("SELECT {FILE} FROM partial_files WHERE user_id = $1 AND command_id = $2");
    let before = sqlx::query(AssertSqlSafe(sql))
        .bind(new.user_id.to_string())
        .bind(command_id.map(str::to_owned))
        .fetch_optional(&mut tx.conn)
        .await?;
    let before = file_of(&before.ok_or(StoreError::NotFound)?)?;
    // The address of the command is the same for every workspace.
    if before.workspace_id != new.workspace_id {
        return Err(StoreError::OtherCommand.into());
    }
    Ok(before)
}

async fn complete(tx: &mut Tx, user: UserId, whole: &NewDocument, now: Timestamp) -> Result<(), Fault> {
    let taken = sqlx::query(
        "DELETE FROM partial_files WHERE id = $1 AND user_id = $2 \
         RETURNING workspace_id, alone, on_duplicate, metadata",
    )
    .bind(whole.id.to_string())
    .bind(user.to_string())
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::NotFound)?;
    sqlx::query(
        "INSERT INTO sent_files (id, user_id, workspace_id, filename, mime_type, size_bytes, content_hash, blob_key, \
         command_id, created_at, alone, on_duplicate, metadata) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(whole.id.to_string())
    .bind(user.to_string())
    .bind(taken.try_get::<String, _>("workspace_id")?)
    .bind(whole.filename.as_str())
    .bind(whole.mime_type.as_str())
    .bind(int(whole.size_bytes)?)
    .bind(whole.content_hash.as_str())
    .bind(whole.blob_key.as_str())
    .bind(None::<String>)
    .bind(now.micros())
    .bind(taken.try_get::<i64, _>("alone")?)
    .bind(taken.try_get::<String, _>("on_duplicate")?)
    .bind(taken.try_get::<Option<String>, _>("metadata")?)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

#[async_trait]
impl PartialFiles for Store {
    async fn announce_file(
        &self,
        mut new: PartialFile,
        mut command_id: Option<String>,
    ) -> Result<PartialFile, StoreError> {
        clean_option(&mut command_id);
        clean_option(&mut new.content_hash);
        clean_option(&mut new.metadata);
        without_nul(&mut new.filename);
        let written = self
            .writer()
            .write_for(new.user_id, "announce file", (new, command_id), |tx, (new, command_id)| {
                Box::pin(announce(tx, new, command_id.as_deref()))
            })
            .await?;
        Ok(written.value)
    }

    async fn has_announced(
        &self,
        user: UserId,
        command_id: &str,
        filename: &str,
        size_bytes: u64,
    ) -> Result<bool, StoreError> {
        let (mut command, mut filename) = (command_id.to_owned(), filename.to_owned());
        clean(&mut command);
        without_nul(&mut filename);
        let known: Option<String> =
            sqlx::query_scalar("SELECT print FROM commands WHERE user_id = $1 AND command_id = $2")
                .bind(user.to_string())
                .bind(command)
                .fetch_optional(self.readers())
                .await
                .map_err(Fault::from)?;
        Ok(known.is_some_and(|known| known == print(&filename, size_bytes)))
    }

    async fn partial_file(&self, user: UserId, id: DocumentId) -> Result<Option<PartialFile>, StoreError> {
        let sql = format!("SELECT {FILE} FROM partial_files WHERE id = $1 AND user_id = $2");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(row.as_ref().map(file_of).transpose()?)
    }

    async fn begin_part(
        &self,
        user: UserId,
        id: DocumentId,
        at: u64,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let written = self
            .writer()
            .write_for(user, "begin part", (user, id, int(at)?, now), |tx, (user, id, at, now)| {
                Box::pin(async move {
                    // A moment, since parts of turns that are not in the database any more may still lie there.
                    let sql = "UPDATE partial_files SET turn = CASE WHEN turn < $4 THEN $4 ELSE turn + 1 END \
                        WHERE id = $1 AND user_id = $2 AND received_bytes = $3 RETURNING turn";
                    let turn: Option<i64> = sqlx::query_scalar(sql)
                        .bind(id.to_string())
                        .bind(user.to_string())
                        .bind(*at)
                        .bind(now.micros())
                        .fetch_optional(&mut tx.conn)
                        .await?;
                    Ok(turn.map(|turn| turn as u64))
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn extend_file(
        &self,
        user: UserId,
        id: DocumentId,
        turn: u64,
        from: u64,
        to: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (turn, from, to) = (int(turn)?, int(from)?, int(to)?);
        let argument = (user, id, turn, from, to, now);
        let written = self
            .writer()
            .write_for(user, "extend file", argument, |tx, (user, id, turn, from, to, now)| {
                Box::pin(async move {
                    let sql = "UPDATE partial_files SET received_bytes = $4, updated_at = $5 \
                        WHERE id = $1 AND user_id = $2 AND received_bytes = $3 AND size_bytes >= $4 AND turn = $6";
                    let moved = sqlx::query(sql)
                        .bind(id.to_string())
                        .bind(user.to_string())
                        .bind(*from)
                        .bind(*to)
                        .bind(now.micros())
                        .bind(*turn)
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(moved.rows_affected() > 0)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn complete_file(
        &self,
        user: UserId,
        mut whole: NewDocument,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        clean_document(&mut whole);
        self.writer()
            .write_for(user, "complete file", (user, whole, now), |tx, (user, whole, now)| {
                Box::pin(complete(tx, *user, whole, *now))
            })
            .await?;
        Ok(())
    }

    async fn announced_metadata(&self, user: UserId, id: DocumentId) -> Result<Option<String>, StoreError> {
        let told: Option<String> = sqlx::query_scalar(
            "SELECT metadata FROM partial_files WHERE id = $1 AND user_id = $2 AND metadata IS NOT NULL \
             UNION ALL SELECT metadata FROM sent_files WHERE id = $1 AND user_id = $2 AND metadata IS NOT NULL \
             UNION ALL SELECT upload_metadata FROM documents \
                 WHERE id = $1 AND user_id = $2 AND upload_metadata IS NOT NULL",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(self.readers())
        .await
        .map_err(Fault::from)?;
        Ok(told)
    }

    async fn whole_file(&self, user: UserId, id: DocumentId) -> Result<Option<WholeFile>, StoreError> {
        let sql = format!(
            "SELECT {}, workspace_id, alone, on_duplicate FROM sent_files WHERE id = $1 AND user_id = $2 AND became IS NULL",
            sent_files::FILE
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let whole = |row: &AnyRow| {
            Ok::<_, Fault>(WholeFile {
                document: sent_files::file_of(row)?,
                workspace_id: parsed(row, "workspace_id")?,
                alone: row.try_get::<i64, _>("alone")? != 0,
                on_duplicate: parsed(row, "on_duplicate")?,
            })
        };
        Ok(row.as_ref().map(whole).transpose()?)
    }

    async fn left_files(&self, before: Timestamp) -> Result<Vec<(UserId, DocumentId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, id FROM sent_files WHERE alone = 1 AND became IS NULL AND created_at < $1 \
             UNION ALL SELECT user_id, id FROM partial_files \
             WHERE alone = 1 AND received_bytes = size_bytes AND updated_at < $1",
        )
        .bind(before.micros())
        .fetch_all(self.readers())
        .await
        .map_err(Fault::from)?;
        let left = |row: &AnyRow| Ok::<_, Fault>((parsed(row, "user_id")?, parsed(row, "id")?));
        Ok(rows.iter().map(left).collect::<Result<_, _>>()?)
    }

    async fn forget_file(&self, user: UserId, id: DocumentId) -> Result<String, StoreError> {
        sent_files::forget(self, ("partial_files", "1 = 1"), user, id).await
    }

    async fn forget_old_files(&self, before: Timestamp) -> Result<u64, StoreError> {
        sent_files::forget_old(self, ("partial_files", "updated_at"), before).await
    }
}
