//! What outside workers, who hear of their work from a broker, need.

use crate::{
    accounts::{USER, user_of},
    fault::Fault,
    jobs::{DOCUMENT, document},
    open::Store,
};
use async_trait::async_trait;
use domain::{Document, DocumentId, User, WorkspaceId};
use services::ports::{OutsideWork, StoreError, Untold};
use sqlx::AssertSqlSafe;

#[async_trait]
impl OutsideWork for Store {
    async fn owner_of_document(&self, id: DocumentId) -> Result<Option<User>, StoreError> {
        let of = "documents d ON d.user_id = users.id WHERE d.id = $1 AND d.deleted_at IS NULL";
        Ok(self.owner(of, id.to_string()).await?)
    }

    async fn owner_of_workspace(&self, id: WorkspaceId) -> Result<Option<User>, StoreError> {
        Ok(self.owner("workspaces w ON w.user_id = users.id WHERE w.id = $1", id.to_string()).await?)
    }

    async fn awaiting_outside(
        &self,
        which: Untold,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        let (these, there, workspace) = match which {
            Untold::Waiting => ("= 'pending'", "", None),
            Untold::Unfinished => ("IN ('pending', 'processing')", "", None),
            Untold::UnfinishedIn(workspace) => {
                ("IN ('pending', 'processing')", " AND w.id = $3", Some(workspace))
            }
        };
        // By the jobs that are not through, which are few: this is asked after every upload that no outside worker has a queue
        // for. Their status is asked for as the index has it. What a built-in worker has begun it finishes.
        let sql = format!(
            "WITH left_over (id, job_id) AS MATERIALIZED ( \
                 SELECT t.document_id, j.id FROM jobs j JOIN workspaces w ON w.id = j.workspace_id \
                 JOIN tasks t ON t.job_id = j.id AND t.attempt = j.attempt \
                 WHERE j.status IN ('pending', 'running', 'paused') AND j.status <> 'paused' AND j.requested IS NULL \
                 AND w.processor = 'external' AND w.status <> 'deleting'{there} \
                 AND t.status = 'pending' AND t.fence = 0 AND t.document_id > $1 \
             ) \
             SELECT {DOCUMENT} FROM left_over JOIN documents \
                 ON documents.id = left_over.id AND documents.job_id = left_over.job_id \
             WHERE documents.status {these} AND documents.deleted_at IS NULL \
             ORDER BY documents.id LIMIT $2"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(after.map_or_else(String::new, |id| id.to_string()))
            .bind(i64::from(limit));
        if let Some(workspace) = workspace {
            query = query.bind(workspace.to_string());
        }
        let rows = query.fetch_all(self.readers()).await.map_err(Fault::from)?;
        let documents: Result<Vec<Document>, Fault> =
            rows.iter().map(|row| Ok(document(row)?.document)).collect();
        Ok(documents?)
    }
}

impl Store {
    async fn owner(&self, of: &str, id: String) -> Result<Option<User>, Fault> {
        let sql = format!("SELECT {USER} FROM users JOIN {of} AND users.deleting_at IS NULL");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(self.readers()).await?;
        row.map(|row| user_of(&row, 0)).transpose()
    }
}
