//! Versions of documents as rows: a document that is replaced gets a row for what it was and one for what it becomes.
//! `domain::ingest::replace` decides what that means for the document itself.

use super::{parsed, parts, rows};
use crate::{bulk, fault::Fault, open::Store, writer::Tx};
use domain::{
    Chunk, ChunkId, DocumentId, Timestamp, UserId, WorkspaceId,
    duplicates::Known,
    ingest::{self, DocumentState, JobState, Told, Upload},
    resource::{Version, VersionState},
    status::Processor,
};
use services::ports::{NewDocument, StoreError, VersionFile};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeSet;

/// A passage of a version that was replaced, and whether the document $1 is one of the user $2.
const OLD_CHUNK: &str = "id, document_id, ordinal, text, page, heading, char_start, char_end, token_count, enabled, cut_hash, version";
const OWN: &str =
    "EXISTS (SELECT 1 FROM documents d WHERE d.id = $1 AND d.user_id = $2 AND d.deleted_at IS NULL)";

/// Names or hashes in one statement.
const AT_ONCE: usize = 256;

/// Documents of the workspace that have one of the names, or one of the contents, also where that is still on its way; the
/// newest first.
const LIKE: &str = "SELECT d.id AS id, d.filename AS filename, d.content_hash AS content_hash, d.created_at AS created_at \
    FROM documents d WHERE d.workspace_id = $1 AND d.deleted_at IS NULL AND d.";
const ON_ITS_WAY: &str = "SELECT d.id AS id, d.filename AS filename, v.content_hash AS content_hash, d.created_at AS created_at \
    FROM documents d JOIN document_versions v ON v.document_id = d.id AND v.version = d.next_version \
    WHERE d.workspace_id = $1 AND d.deleted_at IS NULL AND d.next_version IS NOT NULL";

fn known(row: &AnyRow) -> Result<(i64, Known), Fault> {
    let found = Known {
        id: parsed(row, "id")?,
        filename: row.try_get("filename")?,
        content_hash: row.try_get("content_hash")?,
    };
    Ok((row.try_get("created_at")?, found))
}

fn newest_first(mut found: Vec<(i64, Known)>) -> Vec<Known> {
    found.sort_by(|(a, x), (b, y)| (b, y.id).cmp(&(a, x.id)));
    found.dedup_by(|(_, a), (_, b)| a == b);
    found.into_iter().map(|(_, known)| known).collect()
}

/// What [`domain::duplicates::fates`] asks for, within the transaction that acts on it.
pub(super) async fn like(
    tx: &mut Tx,
    workspace: WorkspaceId,
    names: &[&str],
    hashes: &[&str],
) -> Result<Vec<Known>, Fault> {
    let mut found = vec![];
    for (sql, wanted) in statements(names, hashes) {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string());
        let query = wanted.into_iter().fold(query, |query, text| query.bind(text));
        for row in query.fetch_all(&mut tx.conn).await? {
            found.push(known(&row)?);
        }
    }
    Ok(newest_first(found))
}

/// The same without a transaction, for somebody who asks before anything is sent.
pub(super) async fn read_like(
    store: &Store,
    user: UserId,
    workspace: WorkspaceId,
    names: &[&str],
    hashes: &[&str],
) -> Result<Vec<Known>, Fault> {
    let mut found = vec![];
    for (sql, wanted) in statements(names, hashes) {
        let sql = format!(
            "SELECT * FROM ({sql}) AS found WHERE EXISTS \
            (SELECT 1 FROM workspaces w WHERE w.id = $1 AND w.user_id = ${})",
            wanted.len() + 2
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string());
        let query = wanted.into_iter().fold(query, |query, text| query.bind(text)).bind(user.to_string());
        for row in query.fetch_all(store.readers()).await? {
            found.push(known(&row)?);
        }
    }
    Ok(newest_first(found))
}

/// Those of the sizes that a document of the workspace has, or a version that is on its way.
pub(super) async fn read_sizes(
    store: &Store,
    user: UserId,
    workspace: WorkspaceId,
    sizes: &[u64],
) -> Result<BTreeSet<u64>, Fault> {
    let mut found = BTreeSet::new();
    for part in bulk::parts(sizes, AT_ONCE) {
        let these = bulk::list(3, part.len());
        let sql = format!(
            "SELECT d.size_bytes AS size_bytes FROM documents d WHERE d.workspace_id = $1 AND d.user_id = $2 \
                 AND d.deleted_at IS NULL AND d.size_bytes IN ({these}) \
             UNION SELECT v.size_bytes FROM documents d JOIN document_versions v ON v.document_id = d.id \
                 AND v.version = d.next_version WHERE d.workspace_id = $1 AND d.user_id = $2 \
                 AND d.deleted_at IS NULL AND d.next_version IS NOT NULL AND v.size_bytes IN ({these})"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string()).bind(user.to_string());
        let query = part.iter().fold(query, |query, size| query.bind(rows::int(*size)));
        for row in query.fetch_all(store.readers()).await? {
            found.insert(rows::number(&row, "size_bytes")?);
        }
    }
    Ok(found)
}

fn statements(names: &[&str], hashes: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut all = vec![];
    let mut add = |begin: &str, column: &str, wanted: &[&str]| {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        for part in bulk::parts(&wanted, AT_ONCE) {
            let sql = format!("{begin}{column} IN ({})", bulk::list(2, part.len()));
            all.push((sql, part.iter().map(|text| (*text).to_owned()).collect()));
        }
    };
    add(LIKE, "content_hash", hashes);
    add(ON_ITS_WAY, " AND v.content_hash", hashes);
    add(LIKE, "filename", names);
    all
}

/// The row of the version that the document has, where it has none yet: from here on the document may be called
/// something else, or have another content.
pub(super) async fn note_present(tx: &mut Tx, id: DocumentId) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO document_versions (document_id, version, filename, mime_type, size_bytes, content_hash, blob_key, \
             chunk_count, served, actor, created_at, replaced_at) \
         SELECT d.id, d.version, d.filename, d.mime_type, d.size_bytes, d.content_hash, d.blob_key, d.live_chunks, 1, \
             (SELECT e.actor FROM events e WHERE e.document_id = d.id ORDER BY e.seq LIMIT 1), d.created_at, NULL \
         FROM documents d WHERE d.id = $1 ON CONFLICT (document_id, version) DO NOTHING",
    )
    .bind(id.to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// A number that no version of the document ever had.
async fn next_number(tx: &mut Tx, id: DocumentId) -> Result<u32, Fault> {
    let last: i64 = sqlx::query_scalar("SELECT MAX(version) FROM document_versions WHERE document_id = $1")
        .bind(id.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    u32::try_from(last + 1).map_err(Fault::corrupt)
}

/// Gives a document that nobody has in hand its next content, to be worked on in the job. Answers what that tells, and
/// whether chunks are dead by it.
pub(super) async fn replace(
    tx: &mut Tx,
    job: &JobState,
    mut state: DocumentState,
    new: &NewDocument,
    processor: Processor,
    now: Timestamp,
) -> Result<(Told, bool), Fault> {
    let id = state.document.id;
    note_present(tx, id).await?;
    let version = next_number(tx, id).await?;
    let before = state.clone();
    if processor == Processor::External && state.live > 0 {
        // Its passages will lie elsewhere: nothing of it is found here any more.
        (state.live, state.live_chunks, state.indexed) = (0, 0, None);
        crate::index::raise_version(tx, state.document.workspace_id).await?;
    }
    let upload = Upload {
        id,
        filename: new.filename.clone(),
        mime_type: new.mime_type.clone(),
        size_bytes: new.size_bytes,
        content_hash: new.content_hash.clone(),
    };
    let told = ingest::replace(job, &mut state, &upload, version, now).map_err(StoreError::from)?;
    let serves = state.next.is_none();
    sqlx::query(
        "INSERT INTO document_versions (document_id, version, filename, mime_type, size_bytes, content_hash, blob_key, \
             chunk_count, served, actor, created_at, replaced_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, NULL)",
    )
    .bind(id.to_string())
    .bind(i64::from(version))
    .bind(new.filename.as_str())
    .bind(new.mime_type.as_str())
    .bind(rows::int(new.size_bytes))
    .bind(new.content_hash.as_str())
    .bind(new.blob_key.as_str())
    .bind(i64::from(serves))
    .bind(tx.actor_text())
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    rows::update_document(&mut tx.conn, &state).await?;
    if serves {
        take_over(tx, &before, &state, now).await?;
    }
    // What an unfinished or failed run over the content before left behind.
    let unfound = before.live.max(1)..before.generation + 1;
    let dead =
        if before.live == state.live && before.live > 0 { before.live + 1..unfound.end } else { unfound };
    parts::bury(tx, id, dead.clone()).await?;
    Ok((told, !dead.is_empty()))
}

/// The content of the document is another one from here on: its row and those of the two versions say so.
pub(super) async fn take_over(
    tx: &mut Tx,
    before: &DocumentState,
    after: &DocumentState,
    now: Timestamp,
) -> Result<(), Fault> {
    let d = &after.document;
    let id = d.id.to_string();
    sqlx::query(
        "UPDATE documents SET mime_type = $2, size_bytes = $3, content_hash = $4, blob_key = \
             (SELECT v.blob_key FROM document_versions v WHERE v.document_id = $1 AND v.version = $5) WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(d.mime_type.as_str())
    .bind(rows::int(d.size_bytes))
    .bind(d.content_hash.as_str())
    .bind(i64::from(d.version))
    .execute(&mut tx.conn)
    .await?;
    sqlx::query(
        "UPDATE document_versions SET chunk_count = $3, replaced_at = $4 WHERE document_id = $1 AND version = $2",
    )
    .bind(id.as_str())
    .bind(i64::from(before.document.version))
    .bind(rows::int(before.live_chunks))
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    sqlx::query("UPDATE document_versions SET served = 1 WHERE document_id = $1 AND version = $2")
        .bind(id)
        .bind(i64::from(d.version))
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// The file of the version that the document's run is about, where that has a row of its own: its name and where it lies.
pub(super) async fn file_of_run(
    tx: &mut Tx,
    state: &DocumentState,
) -> Result<Option<(String, String)>, Fault> {
    let row = sqlx::query(
        "SELECT filename, blob_key FROM document_versions WHERE document_id = $1 AND version = $2",
    )
    .bind(state.document.id.to_string())
    .bind(i64::from(state.run_version()))
    .fetch_optional(&mut tx.conn)
    .await?;
    row.map(|row| Ok((row.try_get("filename")?, row.try_get("blob_key")?))).transpose()
}

impl Store {
    pub(crate) async fn read_versions(
        &self,
        user: UserId,
        id: DocumentId,
    ) -> Result<Option<Vec<Version>>, Fault> {
        let sql = format!(
            "SELECT {} FROM documents WHERE documents.id = $1 AND documents.user_id = $2 AND documents.deleted_at IS NULL",
            super::DOCUMENT
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let state = super::document(&row)?;
        let chunks = if state.live > 0 { state.live_chunks } else { state.document.chunk_count };
        let rows = sqlx::query(
            "SELECT version, filename, mime_type, size_bytes, content_hash, chunk_count, served, actor, created_at, \
                 replaced_at FROM document_versions WHERE document_id = $1 ORDER BY version DESC",
        )
        .bind(id.to_string())
        .fetch_all(self.readers())
        .await?;
        let mut versions = vec![];
        for row in &rows {
            let version = rows::number(row, "version")?;
            let served = row.try_get::<i64, _>("served")? != 0;
            let state = VersionState::of(version, served, &state.document);
            let kept = rows::number(row, "chunk_count")?;
            let actor: Option<String> = row.try_get("actor")?;
            versions.push(Version {
                version,
                state,
                filename: row.try_get("filename")?,
                mime_type: row.try_get("mime_type")?,
                size_bytes: rows::number(row, "size_bytes")?,
                content_hash: row.try_get("content_hash")?,
                chunk_count: if state == VersionState::Current { chunks } else { kept },
                created_at: Timestamp::from_micros(row.try_get("created_at")?),
                replaced_at: row.try_get::<Option<i64>, _>("replaced_at")?.map(Timestamp::from_micros),
                actor: actor.map(|text| serde_json::from_str(&text)).transpose()?,
            });
        }
        if versions.is_empty() {
            versions.push(Version::only(&state.document, chunks));
        }
        Ok(Some(versions))
    }

    pub(crate) async fn read_version_file(
        &self,
        user: UserId,
        id: DocumentId,
        version: u32,
    ) -> Result<Option<VersionFile>, Fault> {
        let row = sqlx::query(
            "SELECT v.filename, v.mime_type, v.blob_key FROM document_versions v JOIN documents d ON d.id = v.document_id \
             WHERE d.id = $1 AND d.user_id = $2 AND d.deleted_at IS NULL AND v.version = $3 \
                 AND (v.served = 1 OR v.version = d.next_version) \
             UNION ALL SELECT d.filename, d.mime_type, d.blob_key FROM documents d \
             WHERE d.id = $1 AND d.user_id = $2 AND d.deleted_at IS NULL AND d.version = $3 AND NOT EXISTS \
                 (SELECT 1 FROM document_versions v WHERE v.document_id = d.id AND v.version = d.version)",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .bind(i64::from(version))
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| {
            Ok(VersionFile {
                filename: row.try_get("filename")?,
                mime_type: row.try_get("mime_type")?,
                blob_key: row.try_get("blob_key")?,
            })
        })
        .transpose()
    }

    /// Passages of a version that was replaced, behind that ordinal. Those that are still on their way to the old ones
    /// are read where they are.
    pub(crate) async fn read_old_chunks(
        &self,
        (user, id, version): (UserId, DocumentId, u32),
        after: i64,
        limit: i64,
    ) -> Result<Vec<Chunk>, Fault> {
        let sql = format!(
            "SELECT {OLD_CHUNK} FROM old_chunks WHERE document_id = $1 AND version = $3 AND ordinal > $4 AND {OWN} \
             UNION ALL SELECT {OLD_CHUNK} FROM chunks WHERE document_id = $1 AND version = $3 AND ordinal > $4 AND {OWN} \
                 AND generation IN (SELECT x.generation FROM dead_chunks x WHERE x.document_id = $1 AND x.version = $3) \
             ORDER BY ordinal LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(i64::from(version))
            .bind(after)
            .bind(limit)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(super::chunk).collect()
    }

    /// One of them, of whichever version.
    pub(super) async fn read_old_chunk(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
    ) -> Result<Option<Chunk>, Fault> {
        let sql = format!(
            "SELECT {OLD_CHUNK} FROM old_chunks WHERE document_id = $1 AND id = $3 AND {OWN} \
             UNION ALL SELECT {OLD_CHUNK} FROM chunks WHERE document_id = $1 AND id = $3 AND {OWN} \
                 AND generation IN (SELECT x.generation FROM dead_chunks x WHERE x.document_id = $1 AND x.version > 0)"
        );
        self.read_chunk(sql, user, document, id).await
    }
}

/// Copies the first chunks of a run, as many as are removed next, to those of old versions.
pub(super) async fn keep_part(
    tx: &mut Tx,
    document: DocumentId,
    generation: i64,
    limit: usize,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO old_chunks (document_id, version, ordinal, id, text, page, heading, char_start, char_end, \
             token_count, enabled, cut_hash) \
         SELECT document_id, version, ordinal, id, text, page, heading, char_start, char_end, token_count, enabled, \
             cut_hash \
         FROM chunks WHERE id IN (SELECT id FROM chunks WHERE document_id = $1 AND generation = $2 \
             ORDER BY ordinal LIMIT $3) ON CONFLICT (document_id, version, ordinal) DO NOTHING",
    )
        .bind(document.to_string())
        .bind(generation)
        .bind(limit as i64)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}
