//! Looking for what no transaction of ours leaves behind, and mending what can be mended from what is there.

use super::{lock_document, parsed, rows, tell};
use crate::{engine::Engine, fault::Fault, index, open::Store, workspaces};
use async_trait::async_trait;
use domain::{
    DocumentId, JobId, Timestamp, WorkspaceId,
    ingest::{self, DocumentState, Told},
};
use services::ports::{Checks, Cut, CutWords, Misfit, StoreError, StoredFile, StoredVersion};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

const PASSAGES: &str = "SELECT d.id FROM documents d WHERE d.live > 0 AND d.deleted_at IS NULL AND d.live_chunks <> \
    (SELECT COUNT(*) FROM chunks c WHERE c.document_id = d.id AND c.generation = d.live) ORDER BY d.id";

const VECTORS: &str = "SELECT d.id FROM documents d \
    JOIN chunks c ON c.document_id = d.id AND c.generation = d.live \
    LEFT JOIN chunk_vectors v ON v.chunk_id = c.id \
    WHERE d.live > 0 AND d.deleted_at IS NULL AND d.embedded_with <> '' GROUP BY d.id \
    HAVING COUNT(v.chunk_id) <> COUNT(*) OR MIN(LENGTH(v.vector)) <> MAX(LENGTH(v.vector)) ORDER BY d.id";

/// See `mark_stale`.
const MARKED: &str =
    "SELECT id FROM documents WHERE live > 0 AND cut_with = '' AND deleted_at IS NULL ORDER BY id";

/// Those of a version that was replaced are moved part by part, so some may still lie where they were.
const CUTS: &str = "SELECT c.ordinal AS ordinal, c.char_start AS char_start, c.char_end AS char_end, \
        COALESCE(c.cut_hash, c.content_hash) AS hash, NULL AS words \
    FROM chunks c JOIN documents d ON d.id = c.document_id \
    WHERE c.document_id = $1 AND c.version = $2 AND (c.generation = d.live OR c.generation IN \
        (SELECT x.generation FROM dead_chunks x WHERE x.document_id = $1 AND x.version = $2)) \
    UNION ALL SELECT o.ordinal, o.char_start, o.char_end, o.cut_hash, \
        CASE WHEN o.cut_hash IS NULL THEN o.text END \
    FROM old_chunks o WHERE o.document_id = $1 AND o.version = $2 ORDER BY ordinal";

/// A deletion has no tasks, and a crawl has none before its first page was read.
const IDLE_JOBS: &str = "SELECT j.id FROM jobs j WHERE j.status IN ('pending', 'running') AND j.kind <> 'delete' \
    AND NOT EXISTS (SELECT 1 FROM crawl_pages p WHERE p.job_id = j.id AND p.state = 'waiting') AND NOT EXISTS \
    (SELECT 1 FROM tasks t WHERE t.job_id = j.id AND t.attempt = j.attempt \
     AND t.status IN ('pending', 'running', 'paused')) ORDER BY j.id";

/// What is counted of the documents of a workspace, each with how that is found out anew.
const COUNTED: [(&str, &str); 7] = [
    ("documents", "COUNT(*)"),
    ("ready", "COUNT(CASE WHEN status = 'ready' THEN 1 END)"),
    ("processing", "COUNT(CASE WHEN status IN ('pending', 'processing') THEN 1 END)"),
    ("failed", "COUNT(CASE WHEN status = 'failed' THEN 1 END)"),
    ("chunks", "CAST(COALESCE(SUM(chunk_count), 0) AS BIGINT)"),
    ("bytes", "CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT)"),
    ("stale", "COUNT(CASE WHEN status = 'ready' AND stale = 1 THEN 1 END)"),
];

/// All the names, and all the sums.
fn counted() -> (String, String) {
    let names: Vec<&str> = COUNTED.iter().map(|(name, _)| *name).collect();
    let sums: Vec<&str> = COUNTED.iter().map(|(_, sum)| *sum).collect();
    (names.join(", "), sums.join(", "))
}

/// A document of which a passage is in no row of the full text.
fn words(engine: Engine) -> String {
    let row = match engine {
        Engine::Sqlite => "t.rowid = c.place",
        Engine::Postgres => "t.chunk_id = c.id",
    };
    format!(
        "SELECT DISTINCT d.id FROM documents d JOIN chunks c ON c.document_id = d.id AND c.generation = d.live \
         WHERE d.live > 0 AND d.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM chunk_text t WHERE {row}) ORDER BY d.id"
    )
}

impl Store {
    async fn ids<T: std::str::FromStr<Err: std::fmt::Display>>(&self, sql: String) -> Result<Vec<T>, Fault> {
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.readers()).await?;
        found
            .iter()
            .map(|row| {
                row.try_get::<&str, _>("id")?.parse().map_err(|e: T::Err| Fault::corrupt(e.to_string()))
            })
            .collect()
    }

    async fn read_stored_files(
        &self,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<StoredFile>, Fault> {
        let found = sqlx::query(
            "SELECT id, user_id, version, filename, blob_key, size_bytes, content_hash, live AS was_read \
             FROM documents WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2",
        )
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        found.iter().map(stored).collect()
    }

    async fn read_stored_versions(
        &self,
        after: Option<(DocumentId, u32)>,
        limit: u32,
    ) -> Result<Vec<StoredVersion>, Fault> {
        // One that was replaced before it was found has no passages, and may never have been read.
        let found = sqlx::query(
            "SELECT v.document_id AS id, d.user_id AS user_id, v.version AS version, v.filename AS filename, \
                 v.blob_key AS blob_key, v.size_bytes AS size_bytes, v.content_hash AS content_hash, \
                 v.chunk_count AS was_read, d.next_version AS next_version \
             FROM document_versions v JOIN documents d ON d.id = v.document_id \
             WHERE (v.document_id > $1 OR (v.document_id = $1 AND v.version > $2)) AND d.deleted_at IS NULL \
                 AND v.version <> d.version AND (v.served = 1 OR v.version = d.next_version) \
             ORDER BY v.document_id, v.version LIMIT $3",
        )
        .bind(after.map(|(id, _)| id.to_string()).unwrap_or_default())
        .bind(after.map_or(0, |(_, version)| i64::from(version)))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let version = |row: &AnyRow| {
            let file = stored(row)?;
            let is_coming = rows::maybe_number(row, "next_version")? == Some(file.version);
            Ok(StoredVersion { file, is_coming })
        };
        found.iter().map(version).collect()
    }

    async fn read_cuts(&self, document: DocumentId, version: u32) -> Result<Vec<Cut>, Fault> {
        let found = sqlx::query(CUTS)
            .bind(document.to_string())
            .bind(i64::from(version))
            .fetch_all(self.readers())
            .await?;
        let cut = |row: &AnyRow| {
            let words = match row.try_get::<Option<String>, _>("hash")? {
                Some(hash) => CutWords::Hash(hash),
                None => CutWords::Text(row.try_get("words")?),
            };
            Ok(Cut {
                char_start: rows::number(row, "char_start")?,
                char_end: rows::number(row, "char_end")?,
                words,
            })
        };
        found.iter().map(cut).collect()
    }
}

fn stored(row: &AnyRow) -> Result<StoredFile, Fault> {
    Ok(StoredFile {
        document_id: parsed(row, "id")?,
        user_id: parsed(row, "user_id")?,
        version: rows::number(row, "version")?,
        filename: row.try_get("filename")?,
        blob_key: row.try_get("blob_key")?,
        size_bytes: rows::number(row, "size_bytes")?,
        content_hash: row.try_get("content_hash")?,
        is_read: row.try_get::<i64, _>("was_read")? > 0,
    })
}

#[async_trait]
impl Checks for Store {
    async fn misfits(&self, what: Misfit) -> Result<Vec<DocumentId>, StoreError> {
        let sql = match what {
            Misfit::Passages => PASSAGES.to_owned(),
            Misfit::Vectors => VECTORS.to_owned(),
            Misfit::Words => words(self.engine()),
        };
        Ok(self.ids(sql).await?)
    }

    async fn idle_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        Ok(self.ids(IDLE_JOBS.to_owned()).await?)
    }

    async fn stored_files(
        &self,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<StoredFile>, StoreError> {
        Ok(self.read_stored_files(after, limit).await?)
    }

    async fn stored_versions(
        &self,
        after: Option<(DocumentId, u32)>,
        limit: u32,
    ) -> Result<Vec<StoredVersion>, StoreError> {
        Ok(self.read_stored_versions(after, limit).await?)
    }

    async fn cuts(&self, document: DocumentId, version: u32) -> Result<Vec<Cut>, StoreError> {
        Ok(self.read_cuts(document, version).await?)
    }

    async fn mark_stale(&self, document: DocumentId, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write("mark stale", (document, now), |tx, (document, now)| {
                Box::pin(async move {
                    let Some((mut state, _)) = lock_document(tx, *document).await? else { return Ok(()) };
                    let (user, workspace) = (state.document.user_id, state.document.workspace_id);
                    // As if it had been cut in a way that nobody asks for.
                    if let Some(indexed) = &mut state.indexed {
                        indexed.cut.clear();
                    }
                    let wanted = workspaces::config(tx, workspace).await?;
                    let processor = domain::status::Processor::Builtin;
                    let told = ingest::compare(&mut state, &wanted, processor, *now);
                    rows::update_document(&mut tx.conn, &state).await?;
                    let counts_changed = told.is_some();
                    let events = told.into_iter().collect();
                    tell(tx, user, workspace, Told { events, counts_changed }, *now).await
                })
            })
            .await?;
        Ok(())
    }

    async fn marked_stale(&self) -> Result<Vec<DocumentId>, StoreError> {
        Ok(self.ids(MARKED.to_owned()).await?)
    }

    async fn write_words(&self, document: DocumentId) -> Result<(), StoreError> {
        self.writer()
            .write("write words", document, |tx, document| {
                Box::pin(async move {
                    let Some((state, _)) = lock_document(tx, *document).await? else { return Ok(()) };
                    let found = DocumentState { generation: state.live, ..state };
                    index::add_text(tx, &found, 0..i64::MAX).await
                })
            })
            .await?;
        Ok(())
    }

    async fn miscounted(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let (names, sums) = counted();
        let sql = format!(
            "SELECT w.id FROM workspaces w WHERE NOT EXISTS (SELECT {names} FROM workspace_counts \
                 WHERE workspace_id = w.id \
                 INTERSECT SELECT {sums} FROM documents WHERE workspace_id = w.id AND deleted_at IS NULL) ORDER BY w.id"
        );
        Ok(self.ids(sql).await?)
    }

    async fn count_anew(&self, workspace: WorkspaceId, now: Timestamp) -> Result<(), StoreError> {
        let counted = self.writer().write("count anew", (workspace, now), |tx, (workspace, now)| {
            Box::pin(async move {
                workspaces::lock_owner(tx, *workspace).await?;
                let (names, sums) = counted();
                let renewed: Vec<String> =
                    COUNTED.iter().map(|(name, _)| format!("{name} = excluded.{name}")).collect();
                let sql = format!(
                    "INSERT INTO workspace_counts (workspace_id, {names}) \
                     SELECT w.id, n.* FROM workspaces w CROSS JOIN (SELECT {sums} FROM documents \
                         WHERE workspace_id = $1 AND deleted_at IS NULL) AS n WHERE w.id = $1 \
                     ON CONFLICT (workspace_id) DO UPDATE SET {}",
                    renewed.join(", ")
                );
                sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string()).execute(&mut tx.conn).await?;
                workspaces::tell_counts(tx, *workspace, *now).await
            })
        });
        match counted.await {
            // Somebody deleted it meanwhile.
            Ok(_) | Err(StoreError::NotFound) => Ok(()),
            Err(e) => Err(e),
        }
    }
}
