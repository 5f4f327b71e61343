//! Deleting documents and workspaces, with a time to undo it; actions over many documents; workspaces whose work is
//! paused. On both databases.

mod documents;
mod many;
mod workspaces;

use crate::{
    desk::{Desk, JobSubject},
    subject::Database,
};
use domain::{
    Actor, BulkId, Document, DocumentId, JobId, Timestamp, UserId, WorkspaceId,
    bulk::{Bulk, BulkAction},
    resource::Counts,
};
use services::ports::{Bulks, Chosen, Deletions, Index, NewBulk, PageQuery, StoreError, Workspaces};
use sqlx::{AssertSqlSafe, Row};
use std::ops::Deref;

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, code: &str) {
    match answer {
        Err(StoreError::Refused(refusal)) => assert_eq!(refusal.code, code),
        other => panic!("{code} was expected: {other:?}"),
    }
}

async fn count(s: &Database, sql: &str) -> i64 {
    let mut conn = s.place.connect().await;
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut conn).await.unwrap().try_get(0).unwrap()
}

impl<S: JobSubject + Deref<Target = Database>> Desk<S> {
    fn job_id(&self) -> JobId {
        JobId::new(self.s.world().uuid())
    }

    async fn delete(&self, user: UserId, id: DocumentId) -> Timestamp {
        let now = self.now();
        let deleted = self.s.store.delete_document(user, id, now).await.unwrap();
        assert_eq!((deleted.id, deleted.undo_until), (id, now.plus_seconds(8)));
        now
    }

    async fn restore(&self, user: UserId, id: DocumentId, since: Timestamp) -> Result<Document, StoreError> {
        self.s.store.restore_document(user, id, self.job_id(), since, self.now()).await
    }

    async fn listed(&self, user: UserId, workspace: WorkspaceId) -> Vec<String> {
        let page = self.documents.documents(user, workspace, None, PageQuery::first(100)).await.unwrap();
        page.items.into_iter().map(|d| d.filename).collect()
    }

    async fn counts(&self, user: UserId, workspace: WorkspaceId) -> Counts {
        self.s.store.workspace(user, workspace).await.unwrap().unwrap().counts
    }

    async fn hits(&self, workspace: WorkspaceId) -> usize {
        let found = self.s.store.keyword(workspace, "passage", 50).await.unwrap().len();
        assert_eq!(self.s.store.vectors(workspace).await.unwrap().1.len(), found);
        found
    }

    fn new_bulk(
        &self,
        user_id: UserId,
        workspace_id: WorkspaceId,
        action: BulkAction,
        chosen: Chosen,
    ) -> NewBulk {
        NewBulk {
            id: BulkId::new(self.s.world().uuid()),
            user_id,
            workspace_id,
            action,
            tag: None,
            chosen,
            actor: Actor::user(user_id, "ada"),
            command_id: None,
            command_print: None,
            created_at: self.now(),
        }
    }

    /// Carries an action out to its end, so many documents at a time; answers the handle.
    async fn carry_out(&self, user: UserId, id: BulkId, at_once: usize) -> Bulk {
        loop {
            let jobs = (0..at_once).map(|_| self.job_id()).collect();
            let since = self.s.world().now().plus_seconds(-9);
            if !self.s.store.go_on_bulk(user, id, jobs, since, self.now()).await.unwrap() {
                return self.s.store.bulk(user, id).await.unwrap().unwrap();
            }
        }
    }
}
