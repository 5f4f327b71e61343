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
        let (these, workspace) = match which {
            Untold::Waiting => ("documents.status = 'pending'", None),
            Untold::Begun => ("documents.status IN ('pending', 'processing')", None),
            Untold::Of(workspace) => (
                "documents.status IN ('pending', 'processing') AND documents.workspace_id = $3",
                Some(workspace),
            ),
        };
        // What a built-in worker has begun it finishes.
        let sql = format!(
            "SELECT {DOCUMENT} FROM documents JOIN workspaces ON workspaces.id = documents.workspace_id \
             WHERE workspaces.processor = 'external' AND workspaces.status <> 'deleting' \
             AND {these} AND documents.paused = 0 AND documents.deleted_at IS NULL AND documents.id > $1 \
             AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = documents.job_id \
                 AND j.status IN ('pending', 'running') AND j.requested IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.document_id = documents.id AND t.fence > 0 \
                 AND t.status IN ('pending', 'running', 'paused')) \
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
