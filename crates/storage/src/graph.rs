//! The graph of a workspace: rows that belong to passages, written with them and gone with them. Reading joins them with
//! the live rows, so that nothing is followed that no search would find.

use crate::{
    bulk,
    fault::Fault,
    jobs::{number, parsed},
    open::Store,
    writer::Tx,
};
use domain::{ChunkId, WorkspaceId, graph::ChunkGraph};
use services::ports::{GraphEdge, GraphEntity, GraphMention};
use sqlx::{AssertSqlSafe, Row};

/// Rows in one statement.
const ROWS: usize = 64;
/// Names in one question to the database; what a question names is far less.
const NAMES: usize = 256;

/// The passages that searches find, of the rows `part`.
fn live(part: &str) -> String {
    format!(
        "JOIN chunks ON chunks.id = {part}.chunk_id \
         JOIN documents ON documents.id = chunks.document_id AND documents.live = chunks.generation \
         WHERE {part}.workspace_id = $1 AND documents.deleted_at IS NULL AND documents.enabled = 1 AND chunks.enabled = 1"
    )
}

/// Writes what these passages speak of; of none of them anything is there yet.
pub(crate) async fn insert<'a>(
    tx: &mut Tx,
    workspace: WorkspaceId,
    passages: impl Iterator<Item = (ChunkId, &'a ChunkGraph)> + Clone,
) -> Result<(), Fault> {
    let workspace = workspace.to_string();
    let mentions: Vec<_> =
        passages.clone().flat_map(|(id, graph)| graph.mentions.iter().map(move |m| (id, m))).collect();
    for part in bulk::parts(&mentions, ROWS) {
        let sql = format!(
            "INSERT INTO chunk_entities (chunk_id, workspace_id, entity, surface, name, kind, times) VALUES {} \
             ON CONFLICT (chunk_id, entity, surface) DO NOTHING",
            bulk::rows(part.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, m) in part {
            query = query
                .bind(id.to_string())
                .bind(workspace.clone())
                .bind(m.entity.clone())
                .bind(m.surface.clone())
                .bind(m.name.clone())
                .bind(m.kind.as_str())
                .bind(i64::from(m.times));
        }
        query.execute(&mut tx.conn).await?;
    }
    let relations: Vec<_> =
        passages.flat_map(|(id, graph)| graph.relations.iter().map(move |r| (id, r))).collect();
    for part in bulk::parts(&relations, ROWS) {
        let sql = format!(
            "INSERT INTO chunk_relations (chunk_id, workspace_id, source, target, kind) VALUES {} \
             ON CONFLICT (chunk_id, source, target, kind) DO NOTHING",
            bulk::rows(part.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, r) in part {
            query = query
                .bind(id.to_string())
                .bind(workspace.clone())
                .bind(r.source.clone())
                .bind(r.target.clone())
                .bind(r.kind.as_str());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// Forgets what a passage speaks of: it has other words now.
pub(crate) async fn forget(tx: &mut Tx, id: ChunkId) -> Result<(), Fault> {
    for sql in
        ["DELETE FROM chunk_entities WHERE chunk_id = $1", "DELETE FROM chunk_relations WHERE chunk_id = $1"]
    {
        sqlx::query(sql).bind(id.to_string()).execute(&mut tx.conn).await?;
    }
    Ok(())
}

impl Store {
    pub(crate) async fn read_entities(
        &self,
        workspace: WorkspaceId,
        surfaces: &[String],
    ) -> Result<Vec<GraphEntity>, Fault> {
        let mut found: Vec<GraphEntity> = vec![];
        for part in bulk::parts(surfaces, NAMES) {
            // How many passages name it by any of its names: what is named everywhere tells little.
            let sql = format!(
                "WITH meant AS (SELECT DISTINCT chunk_entities.entity, chunk_entities.surface FROM chunk_entities {} \
                     AND chunk_entities.surface IN ({})), \
                 named AS (SELECT chunk_entities.entity, COUNT(DISTINCT chunk_entities.chunk_id) AS passages \
                     FROM chunk_entities {} AND chunk_entities.entity IN (SELECT entity FROM meant) \
                     GROUP BY chunk_entities.entity) \
                 SELECT meant.entity, meant.surface, named.passages FROM meant JOIN named ON named.entity = meant.entity \
                 ORDER BY meant.entity, meant.surface",
                live("chunk_entities"),
                bulk::list(2, part.len()),
                live("chunk_entities"),
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string());
            let query = part.iter().fold(query, |query, surface| query.bind(surface.clone()));
            for row in query.fetch_all(self.readers()).await? {
                found.push(GraphEntity {
                    entity: row.try_get("entity")?,
                    surface: row.try_get("surface")?,
                    passages: number(&row, "passages")?,
                });
            }
        }
        Ok(found)
    }

    pub(crate) async fn read_edges(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphEdge>, Fault> {
        let mut found = vec![];
        for part in bulk::parts(entities, NAMES) {
            let these = bulk::list(3, part.len());
            // What a rule could tell goes before what merely stands together.
            let sql = format!(
                "SELECT chunk_relations.source, chunk_relations.target, chunk_relations.kind, \
                     COUNT(*) AS passages FROM chunk_relations {} \
                 AND (chunk_relations.source IN ({these}) OR chunk_relations.target IN ({these})) \
                 GROUP BY chunk_relations.source, chunk_relations.target, chunk_relations.kind \
                 ORDER BY CASE WHEN chunk_relations.kind = 'occurs_with' THEN 1 ELSE 0 END, passages DESC, \
                     chunk_relations.source, chunk_relations.target LIMIT $2",
                live("chunk_relations"),
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string()).bind(i64::from(limit));
            let query = part.iter().fold(query, |query, entity| query.bind(entity.clone()));
            for row in query.fetch_all(self.readers()).await? {
                found.push(GraphEdge {
                    source: row.try_get("source")?,
                    target: row.try_get("target")?,
                    kind: parsed(&row, "kind")?,
                    passages: number(&row, "passages")?,
                });
            }
        }
        Ok(found)
    }

    pub(crate) async fn read_mentions(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphMention>, Fault> {
        let mut found = vec![];
        for part in bulk::parts(entities, NAMES) {
            let sql = format!(
                "SELECT chunk_entities.chunk_id, chunk_entities.entity, CAST(SUM(chunk_entities.times) AS BIGINT) AS times \
                 FROM chunk_entities {} AND chunk_entities.entity IN ({}) \
                 GROUP BY chunk_entities.chunk_id, chunk_entities.entity \
                 ORDER BY times DESC, chunk_entities.chunk_id LIMIT $2",
                live("chunk_entities"),
                bulk::list(3, part.len()),
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string()).bind(i64::from(limit));
            let query = part.iter().fold(query, |query, entity| query.bind(entity.clone()));
            for row in query.fetch_all(self.readers()).await? {
                found.push(GraphMention {
                    chunk_id: parsed(&row, "chunk_id")?,
                    entity: row.try_get("entity")?,
                    times: number(&row, "times")?,
                });
            }
        }
        Ok(found)
    }
}
