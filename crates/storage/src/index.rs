//! What search reads: vectors and full text, joined with the live rows, so that nothing that is gone, or whose
//! first run is not through, is ever found. Only words are looked for here; what to do with them is the retriever's business.

use crate::{
    bulk,
    engine::Engine,
    fault::Fault,
    jobs::{CHUNK, chunk, number, parsed},
    open::Store,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{Chunk, ChunkId, UserId, WorkspaceId, ingest::DocumentState, resource::DocumentRef};
use futures::TryStreamExt;
use services::ports::{
    Corpus, GraphEdge, GraphEntity, GraphMention, Index, KeywordHit, Outline, StoreError, StoredVector,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Words of a query that are looked for; a person's question has fewer, a pasted page would only slow the search.
const MAX_WORDS: usize = 32;
/// No word that means anything is longer, in characters.
const MAX_WORD: usize = 64;

/// What PostgreSQL's parser would take for parts of addresses, paths and numbers. They part words, as they do on
/// SQLite.
const PUNCTUATION: &str = "!\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~";

pub(crate) fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(crate) fn vector_of(bytes: &[u8]) -> Result<Vec<f32>, Fault> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Fault::corrupt("a vector"));
    }
    Ok(numbers.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// The word that names the workspace in the full text.
fn scope(workspace: WorkspaceId) -> String {
    format!("w{}", workspace.uuid().simple())
}

/// The words of a person's text. What is left are letters and digits: nothing that either engine's syntax could take
/// for an operator.
fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    for word in query.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        let word: String =
            word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).take(MAX_WORD).collect();
        if !words.contains(&word) {
            words.push(word);
        }
        if words.len() == MAX_WORDS {
            break;
        }
    }
    words
}

/// Writes the full text of the chunks of a document's newest run that have these ordinals.
pub(crate) async fn add_text(tx: &mut Tx, state: &DocumentState, ordinals: Range<i64>) -> Result<(), Fault> {
    let sql = match tx.engine {
        Engine::Sqlite => "INSERT OR REPLACE INTO chunk_text (rowid, scope, heading, text) \
             SELECT place, $3, COALESCE(heading, ''), text FROM chunks \
             WHERE document_id = $1 AND generation = $2 AND ordinal >= $4 AND ordinal < $5"
            .to_owned(),
        Engine::Postgres => format!(
            "INSERT INTO chunk_text (chunk_id, search) SELECT id, {} \
             FROM chunks WHERE document_id = $1 AND generation = $2 AND ordinal >= $4 AND ordinal < $5 \
             ON CONFLICT (chunk_id) DO UPDATE SET search = excluded.search",
            search("$3")
        ),
    };
    sqlx::query(AssertSqlSafe(sql))
        .bind(state.document.id.to_string())
        .bind(i64::from(state.generation))
        .bind(scope(state.document.workspace_id))
        .bind(ordinals.start)
        .bind(ordinals.end)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// PostgreSQL's value for the words of a passage, with the word of its workspace.
fn search(scope: &str) -> String {
    format!(
        "to_tsvector('english', translate(COALESCE(heading, '') || ' ' || text, '{PUNCTUATION}', \
             repeat(' ', {}))) || array_to_tsvector(ARRAY[{scope}])",
        PUNCTUATION.len() - 1
    )
}

/// Writes on PostgreSQL the full text of the passages with these ids.
pub(crate) fn words_of(ids: &str) -> String {
    format!(
        "INSERT INTO chunk_text (chunk_id, search) SELECT chunks.id, {} FROM chunks \
         JOIN documents ON documents.id = chunks.document_id WHERE chunks.id IN ({ids})",
        // As `scope` names it.
        search("'w' || replace(documents.workspace_id, '-', '')")
    )
}

pub(crate) async fn raise_version(tx: &mut Tx, workspace: WorkspaceId) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO index_versions (workspace_id, version) VALUES ($1, 1) \
         ON CONFLICT (workspace_id) DO UPDATE SET version = index_versions.version + 1",
    )
    .bind(workspace.to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

pub(crate) async fn version(conn: &mut AnyConnection, workspace: WorkspaceId) -> Result<u64, Fault> {
    let row = sqlx::query("SELECT version FROM index_versions WHERE workspace_id = $1")
        .bind(workspace.to_string())
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| number(&row, "version"))
}

impl Store {
    async fn read_index_version(&self, workspace: WorkspaceId) -> Result<u64, Fault> {
        let mut conn = self.readers().acquire().await?;
        version(&mut conn, workspace).await
    }

    async fn read_vectors(&self, workspace: WorkspaceId) -> Result<(u64, Vec<StoredVector>), Fault> {
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let version = version(&mut tx, workspace).await?;
        let mut vectors = vec![];
        let mut models = BTreeSet::<Arc<str>>::new();
        let mut rows = sqlx::query(
            "SELECT chunk_vectors.chunk_id, chunk_vectors.vector, documents.embedded_with FROM documents \
             JOIN chunks ON chunks.document_id = documents.id AND chunks.generation = documents.live \
             JOIN chunk_vectors ON chunk_vectors.chunk_id = chunks.id \
             WHERE documents.workspace_id = $1 AND documents.deleted_at IS NULL AND documents.live > 0 \
             AND documents.enabled = 1 AND chunks.enabled = 1",
        )
        .bind(workspace.to_string())
        .fetch(&mut *tx);
        while let Some(row) = rows.try_next().await? {
            let vector = vector_of(row.try_get("vector")?)?;
            let model: &str = row.try_get("embedded_with")?;
            let model = match models.get(model) {
                Some(known) => known.clone(),
                None => {
                    let new = Arc::<str>::from(model);
                    models.insert(new.clone());
                    new
                }
            };
            vectors.push(StoredVector { chunk_id: parsed(&row, "chunk_id")?, model, vector });
        }
        drop(rows);
        tx.commit().await?;
        Ok((version, vectors))
    }

    async fn read_keyword(
        &self,
        workspace: WorkspaceId,
        query: &str,
        limit: u32,
    ) -> Result<Vec<KeywordHit>, Fault> {
        let words = words(query);
        if words.is_empty() {
            return Ok(vec![]);
        }
        let scope = scope(workspace);
        // One word is enough to be found; those with more of them, and with rarer ones, come first.
        let (sql, scope, any) = match self.engine() {
            Engine::Sqlite => (
                "SELECT chunks.id, -bm25(chunk_text, 0.0, 1.0, 1.0) AS score FROM chunk_text \
                 JOIN chunks ON chunks.place = chunk_text.rowid \
                 JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
                 WHERE chunk_text MATCH 'scope : ' || $1 || ' AND {heading text} : (' || $2 || ')' \
                 AND documents.workspace_id = $3 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1 \
                 ORDER BY score DESC, chunks.id LIMIT $4",
                scope,
                words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" OR "),
            ),
            Engine::Postgres => (
                "SELECT chunks.id, CAST(ts_rank(chunk_text.search, any_word) AS DOUBLE PRECISION) AS score \
                 FROM to_tsquery('english', $2) AS any_word, chunk_text \
                 JOIN chunks ON chunks.id = chunk_text.chunk_id \
                 JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
                 WHERE chunk_text.search @@ CAST($1 AS tsquery) AND chunk_text.search @@ any_word \
                 AND documents.workspace_id = $3 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1 \
                 ORDER BY score DESC, chunks.id LIMIT $4",
                scope,
                words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" | "),
            ),
        };
        let rows = sqlx::query(sql)
            .bind(scope)
            .bind(any)
            .bind(workspace.to_string())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| Ok(KeywordHit { chunk_id: parsed(row, "id")?, rank: row.try_get("score")? }))
            .collect()
    }

    async fn read_corpus(&self, workspace: WorkspaceId, asked: &[String]) -> Result<Corpus, Fault> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS passages, CAST(COALESCE(SUM(chunks.token_count), 0) AS BIGINT) AS tokens FROM documents \
             JOIN chunks ON chunks.document_id = documents.id AND chunks.generation = documents.live \
             WHERE documents.workspace_id = $1 AND documents.deleted_at IS NULL AND documents.live > 0 \
             AND documents.enabled = 1 AND chunks.enabled = 1",
        )
        .bind(workspace.to_string())
        .fetch_one(self.readers())
        .await?;
        let mut corpus = Corpus {
            passages: number(&row, "passages")?,
            tokens: number(&row, "tokens")?,
            with_word: Vec::with_capacity(asked.len()),
        };
        let sql = match self.engine() {
            Engine::Sqlite => {
                "SELECT COUNT(*) AS passages FROM chunk_text JOIN chunks ON chunks.place = chunk_text.rowid \
                 JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
                 WHERE chunk_text MATCH 'scope : ' || $1 || ' AND {heading text} : (' || $2 || ')' \
                 AND documents.workspace_id = $3 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1"
            }
            Engine::Postgres => {
                "SELECT COUNT(*) AS passages FROM chunk_text JOIN chunks ON chunks.id = chunk_text.chunk_id \
                 JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
                 WHERE chunk_text.search @@ CAST($1 AS tsquery) \
                 AND chunk_text.search @@ to_tsquery('english', $2) \
                 AND documents.workspace_id = $3 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1"
            }
        };
        for word in asked {
            let Some(word) = words(word).into_iter().next() else {
                corpus.with_word.push(0);
                continue;
            };
            let word = match self.engine() {
                Engine::Sqlite => format!("\"{word}\""),
                Engine::Postgres => format!("'{word}'"),
            };
            let row = sqlx::query(sql)
                .bind(scope(workspace))
                .bind(word)
                .bind(workspace.to_string())
                .fetch_one(self.readers())
                .await?;
            corpus.with_word.push(number(&row, "passages")?);
        }
        Ok(corpus)
    }

    async fn read_hits(&self, user: UserId, ids: &[ChunkId]) -> Result<Vec<(Chunk, DocumentRef)>, Fault> {
        let mut found = BTreeMap::new();
        for part in bulk::parts(ids, bulk::IDS) {
            let sql = format!(
                "SELECT {CHUNK}, documents.filename, documents.mime_type FROM chunks \
                 JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
                 WHERE documents.user_id = $1 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1 \
                 AND NOT EXISTS (SELECT 1 FROM workspaces w \
                     WHERE w.id = documents.workspace_id AND w.status = 'deleting') \
                 AND chunks.id IN ({})",
                bulk::list(2, part.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string());
            for id in part {
                query = query.bind(id.to_string());
            }
            for row in query.fetch_all(self.readers()).await? {
                let chunk = chunk(&row)?;
                let document = DocumentRef {
                    id: chunk.document_id,
                    filename: row.try_get("filename")?,
                    mime_type: row.try_get("mime_type")?,
                };
                found.insert(chunk.id, (chunk, document));
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}

#[async_trait]
impl Index for Store {
    async fn index_version(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        Ok(self.readers().unless_lost(self.read_index_version(workspace)).await?)
    }

    async fn prepare(&self, user: UserId, workspace: WorkspaceId) -> Result<(), StoreError> {
        self.writer()
            .write_for(user, "prepare index", workspace, |tx, workspace| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO index_versions (workspace_id, version) VALUES ($1, 0) \
                         ON CONFLICT (workspace_id) DO NOTHING",
                    )
                    .bind(workspace.to_string())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| Fault::from(e).orphan())?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn vectors(&self, workspace: WorkspaceId) -> Result<(u64, Vec<StoredVector>), StoreError> {
        Ok(self.readers().unless_lost(self.read_vectors(workspace)).await?)
    }

    async fn outline(&self, workspace: WorkspaceId, budget: u64) -> Result<Option<Outline>, StoreError> {
        Ok(self.readers().unless_lost(self.read_outline(workspace, budget)).await?)
    }

    async fn candidates(
        &self,
        workspace: WorkspaceId,
        model: &str,
        query: &[f32],
        k: u32,
    ) -> Result<Option<Vec<StoredVector>>, StoreError> {
        Ok(self.readers().unless_lost(self.read_candidates(workspace, model, query, k)).await?)
    }

    async fn without_vectors(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        Ok(self.read_without_vectors(ids).await?)
    }

    async fn keyword(
        &self,
        workspace: WorkspaceId,
        query: &str,
        limit: u32,
    ) -> Result<Vec<KeywordHit>, StoreError> {
        Ok(self.read_keyword(workspace, query, limit).await?)
    }

    async fn corpus(&self, workspace: WorkspaceId, words: &[String]) -> Result<Corpus, StoreError> {
        Ok(self.read_corpus(workspace, words).await?)
    }

    async fn entities(
        &self,
        workspace: WorkspaceId,
        surfaces: &[String],
    ) -> Result<Vec<GraphEntity>, StoreError> {
        Ok(self.read_entities(workspace, surfaces).await?)
    }

    async fn edges(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphEdge>, StoreError> {
        Ok(self.read_edges(workspace, entities, limit).await?)
    }

    async fn mentions(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphMention>, StoreError> {
        Ok(self.read_mentions(workspace, entities, limit).await?)
    }

    async fn hits(&self, user: UserId, ids: &[ChunkId]) -> Result<Vec<(Chunk, DocumentRef)>, StoreError> {
        Ok(self.read_hits(user, ids).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_reads_back_bit_by_bit() {
        let vector = vec![0.0, -1.5, f32::MIN_POSITIVE, 1.0 / 3.0];
        assert_eq!(vector_of(&vector_bytes(&vector)).unwrap(), vector);
        assert!(vector_of(&[1, 2, 3]).is_err());
    }

    #[test]
    fn only_letters_and_digits_of_a_query_are_looked_for() {
        assert_eq!(
            words("\"Exact\" phrase* NEAR(a, b) OR -c col:d"),
            ["exact", "phrase", "near", "a", "b", "or", "c", "col", "d"]
        );
        assert!(words("  \u{1f680} \"\" ) AND_ *'").iter().all(|w| w == "and"));
        assert!(words("\u{1f680}\u{200d}\u{0}!?").is_empty());
        assert_eq!(words("Grüße, GRÜSSE"), ["grüße", "grüsse"]);
    }

    #[test]
    fn a_pasted_page_is_cut_to_a_query() {
        let page: String = (0..1000).map(|n| format!("word{n} ")).collect();
        assert_eq!(words(&page).len(), MAX_WORDS);
        assert_eq!(words(&"x".repeat(5000))[0].len(), MAX_WORD);
    }
}
