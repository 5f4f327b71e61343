//! Reading documents, their chunks and their steps.

use crate::{
    bulk,
    bulk_actions::in_list,
    fault::Fault,
    jobs::{self, CHUNK, DOCUMENT, chunk, clean_option, document, number, parsed},
    open::Store,
    page::{Cursor, List, limit_of, paged},
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Chunk, Document, DocumentId, Event, JobId, Step, Timestamp, UserId, WorkspaceId,
    event::FileProgress,
    labels::Edit,
    resource::{Page, Version},
};
use services::ports::{Documents, FileOf, LoggedEvent, PageQuery, StoreError, VersionFile};
use sqlx::{AssertSqlSafe, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Steps in one statement, of those that are looked through for the documents that began first.
const PIECE: usize = 1_000;

/// Of all that was told about a document's steps: the last state of each step, in the order in which they began, attempt
/// by attempt. `told` comes in the order of the log.
fn steps_by_attempt(told: impl Iterator<Item = FileProgress>) -> Vec<Vec<FileProgress>> {
    let mut attempts: BTreeMap<u32, BTreeMap<Step, FileProgress>> = BTreeMap::new();
    for step in told {
        attempts.entry(step.attempt).or_default().insert(step.step.clone(), step);
    }
    let in_order = |steps: BTreeMap<Step, FileProgress>| {
        let mut steps: Vec<FileProgress> = steps.into_values().collect();
        steps.sort_by_key(|s| (s.started_at, s.rev));
        steps
    };
    attempts.into_values().map(in_order).collect()
}

/// Those of the newest attempt.
pub(crate) fn newest_steps(told: impl Iterator<Item = FileProgress>) -> Vec<FileProgress> {
    steps_by_attempt(told).pop().unwrap_or_default()
}

/// Those of the attempts before that.
pub(crate) fn earlier_steps(told: impl Iterator<Item = FileProgress>) -> Vec<FileProgress> {
    let mut attempts = steps_by_attempt(told);
    attempts.pop();
    attempts.concat()
}

/// The newest of several documents, one document after the other. `told` has all that was told of each.
pub(crate) fn steps_by_document(told: impl IntoIterator<Item = Vec<FileProgress>>) -> Vec<FileProgress> {
    told.into_iter().flat_map(|of_one| newest_steps(of_one.into_iter())).collect()
}

/// A step as the log keeps it. `None` for one that cannot be read, as of a newer build: it hides no other.
fn step(user: UserId, data: String) -> Option<FileProgress> {
    match LoggedEvent::stored(user, Bytes::from(data)).and_then(|logged| logged.event()) {
        Some(Event::FileProgress(step)) => Some(step),
        _ => {
            tracing::error!(user_id = %user, "a step in the log cannot be read; it is left out");
            None
        }
    }
}

impl Store {
    pub(crate) async fn read_document(
        &self,
        user: UserId,
        id: DocumentId,
    ) -> Result<Option<Document>, Fault> {
        let sql = format!(
            "SELECT {DOCUMENT} FROM documents WHERE documents.id = $1 AND documents.user_id = $2 \
                 AND documents.deleted_at IS NULL"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| Ok(document(&row)?.document)).transpose()
    }

    async fn read_documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        tag: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Document>, Fault> {
        let from = List::Documents.before(&page)?;
        let limit = limit_of(&page);
        let sql = format!(
            "SELECT {DOCUMENT} FROM documents WHERE documents.workspace_id = $1 AND documents.user_id = $2 \
             AND documents.deleted_at IS NULL AND (documents.created_at, documents.id) < ($3, $4) \
             AND ($6 = '' OR REPLACE(documents.tags, $6, '') <> documents.tags) \
             ORDER BY documents.created_at DESC, documents.id DESC LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(workspace.to_string())
            .bind(user.to_string())
            .bind(from.number)
            .bind(from.id)
            .bind(i64::from(limit) + 1)
            .bind(in_list(tag))
            .fetch_all(self.readers())
            .await?;
        let documents: Vec<Document> =
            rows.iter().map(|row| Ok(document(row)?.document)).collect::<Result<_, Fault>>()?;
        Ok(paged(List::Documents, documents, limit, |d| Cursor::new(d.created_at.micros(), d.id)))
    }

    async fn read_chunks(
        &self,
        user: UserId,
        id: DocumentId,
        version: Option<u32>,
        page: PageQuery,
    ) -> Result<Page<Chunk>, Fault> {
        let from = List::Chunks.behind(&page)?;
        let limit = limit_of(&page);
        if let Some(version) = version {
            let present = self.read_document(user, id).await?.map(|d| d.version);
            if Some(version) != present {
                let chunks =
                    self.read_old_chunks((user, id, version), from.number, i64::from(limit) + 1).await?;
                return Ok(paged(List::Chunks, chunks, limit, |c| Cursor::new(i64::from(c.ordinal), c.id)));
            }
        }
        let sql = format!(
            "SELECT {CHUNK} FROM chunks JOIN documents ON documents.id = chunks.document_id \
             WHERE chunks.document_id = $1 AND documents.user_id = $2 AND documents.deleted_at IS NULL \
             AND chunks.generation = CASE WHEN documents.live > 0 THEN documents.live ELSE documents.generation END \
             AND (documents.live > 0 OR documents.stage NOT IN ('loading', 'chunking')) \
             AND chunks.ordinal > $3 ORDER BY chunks.ordinal LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(from.number)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await?;
        let chunks: Vec<Chunk> = rows.iter().map(chunk).collect::<Result<_, _>>()?;
        Ok(paged(List::Chunks, chunks, limit, |c| Cursor::new(i64::from(c.ordinal), c.id)))
    }

    /// All that was told about its steps, in the order of the log.
    async fn told_steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, Fault> {
        let rows = sqlx::query(
            "SELECT data FROM events WHERE document_id = $1 AND user_id = $2 AND name = 'file_progress' ORDER BY seq",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_all(self.readers())
        .await?;
        let mut told = vec![];
        for row in rows {
            told.extend(step(user, row.try_get("data")?));
        }
        Ok(told)
    }

    async fn read_steps_of_job(
        &self,
        user: UserId,
        job: JobId,
        most: u32,
    ) -> Result<Vec<FileProgress>, Fault> {
        let begun = self.begun_in_job(user, job, most as usize).await?;
        let mut told = BTreeMap::<DocumentId, Vec<FileProgress>>::new();
        for part in bulk::parts(&begun, bulk::IDS) {
            // Put together with nothing, neither the job nor the user is what SQLite goes by: they have very many events.
            let sql = format!(
                "SELECT data FROM events WHERE document_id IN ({}) AND job_id || '' = $1 AND user_id || '' = $2 \
                 AND name = 'file_progress' ORDER BY document_id, seq",
                bulk::list(3, part.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(job.to_string()).bind(user.to_string());
            let query = part.iter().fold(query, |query, id| query.bind(id.to_string()));
            for row in query.fetch_all(self.readers()).await? {
                if let Some(step) = step(user, row.try_get("data")?) {
                    told.entry(step.document_id).or_default().push(step);
                }
            }
        }
        Ok(steps_by_document(begun.iter().filter_map(|id| told.remove(id))))
    }

    /// The documents that began first in a job, in that order. By the log, not by the documents: one that was indexed anew
    /// since is in another job by now, or gone.
    async fn begun_in_job(&self, user: UserId, job: JobId, most: usize) -> Result<Vec<DocumentId>, Fault> {
        let mut begun: Vec<DocumentId> = vec![];
        let mut after = 0i64;
        // A piece at a time, since very many may come behind those that are wanted.
        while begun.len() < most {
            let rows = sqlx::query(
                "SELECT document_id, seq FROM events WHERE job_id = $1 AND user_id = $2 AND seq > $3 \
                 AND name = 'file_progress' ORDER BY seq LIMIT $4",
            )
            .bind(job.to_string())
            .bind(user.to_string())
            .bind(after)
            .bind(PIECE as i64)
            .fetch_all(self.readers())
            .await?;
            for row in &rows {
                let id = parsed(row, "document_id")?;
                if begun.len() < most && !begun.contains(&id) {
                    begun.push(id);
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() == PIECE) else { break };
            after = last.try_get("seq")?;
        }
        Ok(begun)
    }

    /// What [`Documents::kept_files`] answers: by the files that rows name, and by the versions that there are.
    async fn read_kept_files(&self, files: &[FileOf]) -> Result<BTreeSet<FileOf>, Fault> {
        let mut keys = BTreeSet::<String>::new();
        let mut texts = BTreeSet::<(DocumentId, u32)>::new();
        for part in bulk::parts(files, bulk::IDS) {
            let these = bulk::list(1, part.len());
            let sql = format!(
                "SELECT d.id AS id, d.version AS version, d.blob_key AS blob_key FROM documents d WHERE d.id IN ({these}) \
                 UNION ALL SELECT d.id, d.next_version, d.blob_key FROM documents d \
                     WHERE d.id IN ({these}) AND d.next_version IS NOT NULL \
                 UNION ALL SELECT v.document_id, v.version, v.blob_key FROM document_versions v \
                     WHERE v.document_id IN ({these}) AND v.served = 1 \
                 UNION ALL SELECT s.id, 0, s.blob_key FROM sent_files s WHERE s.id IN ({these}) AND s.became IS NULL \
                 UNION ALL SELECT p.id, 0, p.blob_key FROM partial_files p WHERE p.id IN ({these})"
            );
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = part.iter().fold(query, |query, file| query.bind(file.document.to_string()));
            for row in query.fetch_all(self.readers()).await? {
                texts.insert((parsed(&row, "id")?, number(&row, "version")?));
                keys.insert(row.try_get("blob_key")?);
            }
            // The file of a version may have come under an id of its own.
            let sql = format!(
                "SELECT v.blob_key FROM document_versions v JOIN documents d ON d.id = v.document_id \
                 WHERE v.blob_key IN ({these}) AND (v.served = 1 OR v.version = d.next_version)"
            );
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = part.iter().fold(query, |query, file| query.bind(file.key.clone()));
            for row in query.fetch_all(self.readers()).await? {
                keys.insert(row.try_get("blob_key")?);
            }
        }
        let is_kept = |file: &&FileOf| match file.text_of {
            Some(version) => texts.contains(&(file.document, version)),
            None => keys.contains(&file.key),
        };
        Ok(files.iter().filter(is_kept).cloned().collect())
    }

    async fn read_blob_key(&self, user: UserId, id: DocumentId) -> Result<Option<String>, Fault> {
        let key = sqlx::query_scalar(
            "SELECT blob_key FROM documents WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(self.readers())
        .await?;
        Ok(key)
    }
}

#[async_trait]
impl Documents for Store {
    async fn existing(&self, ids: &[DocumentId]) -> Result<BTreeSet<DocumentId>, StoreError> {
        let mut found = BTreeSet::new();
        for part in bulk::parts(ids, bulk::IDS) {
            let these = bulk::list(1, part.len());
            let sql = format!(
                "SELECT id FROM documents WHERE id IN ({these}) \
                 UNION SELECT id FROM sent_files WHERE id IN ({these}) AND became IS NULL \
                 UNION SELECT id FROM partial_files WHERE id IN ({these})"
            );
            let query =
                part.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.to_string()));
            for row in query.fetch_all(self.readers()).await.map_err(Fault::from)? {
                found.insert(parsed(&row, "id")?);
            }
        }
        Ok(found)
    }

    async fn document(&self, user: UserId, id: DocumentId) -> Result<Option<Document>, StoreError> {
        Ok(self.read_document(user, id).await?)
    }

    async fn documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        tag: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Document>, StoreError> {
        Ok(self.read_documents(user, workspace, tag, page).await?)
    }

    async fn chunks(
        &self,
        user: UserId,
        id: DocumentId,
        version: Option<u32>,
        page: PageQuery,
    ) -> Result<Page<Chunk>, StoreError> {
        Ok(self.read_chunks(user, id, version, page).await?)
    }

    async fn versions(&self, user: UserId, id: DocumentId) -> Result<Option<Vec<Version>>, StoreError> {
        Ok(self.read_versions(user, id).await?)
    }

    async fn version_file(
        &self,
        user: UserId,
        id: DocumentId,
        version: u32,
    ) -> Result<Option<VersionFile>, StoreError> {
        Ok(self.read_version_file(user, id, version).await?)
    }

    async fn edit_document(
        &self,
        user: UserId,
        id: DocumentId,
        mut edit: Edit,
        now: Timestamp,
    ) -> Result<Document, StoreError> {
        clean_option(&mut edit.filename);
        self.writer()
            .write_for(user, "edit document", (user, id, edit, now), |tx, (user, id, edit, now)| {
                Box::pin(jobs::edit(tx, *user, *id, edit, *now))
            })
            .await?;
        // Read back: only what is committed has its rev.
        Ok(self.read_document(user, id).await?.ok_or(StoreError::NotFound)?)
    }

    async fn kept_files(&self, files: &[FileOf]) -> Result<BTreeSet<FileOf>, StoreError> {
        Ok(self.read_kept_files(files).await?)
    }

    async fn steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError> {
        Ok(newest_steps(self.told_steps(user, id).await?.into_iter()))
    }

    async fn earlier_steps(&self, user: UserId, id: DocumentId) -> Result<Vec<FileProgress>, StoreError> {
        Ok(earlier_steps(self.told_steps(user, id).await?.into_iter()))
    }

    async fn steps_of_job(
        &self,
        user: UserId,
        job: JobId,
        most: u32,
    ) -> Result<Vec<FileProgress>, StoreError> {
        Ok(self.read_steps_of_job(user, job, most).await?)
    }

    async fn blob_key(&self, user: UserId, id: DocumentId) -> Result<Option<String>, StoreError> {
        Ok(self.read_blob_key(user, id).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_step_that_cannot_be_read_is_left_out() {
        assert!(step(UserId::new(Uuid::nil()), "nonsense".to_owned()).is_none());
    }
}
