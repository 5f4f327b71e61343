//! What is read of jobs and of their documents. Jobs are read as they are shown, with their places in the queue.

use super::{
    CHUNK, DOCUMENT, chunk, document,
    queue::{self, Place},
    rows::{self, JOB},
};
use crate::{
    bulk,
    fault::Fault,
    open::Store,
    page::{Cursor, List, limit_of, paged},
};
use domain::{Chunk, Document, DocumentId, Job, JobId, JobStatus, UserId, WorkspaceId, resource::Page};
use services::ports::PageQuery;
use sqlx::{AssertSqlSafe, any::AnyRow};

impl Store {
    pub(super) async fn documents_of_job(&self, id: JobId) -> Result<Vec<Document>, Fault> {
        let sql = format!(
            "SELECT {DOCUMENT} FROM documents JOIN tasks ON tasks.document_id = documents.id \
             WHERE tasks.job_id = $1 AND tasks.attempt = 1 AND documents.deleted_at IS NULL ORDER BY tasks.place"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok(document(row)?.document)).collect()
    }

    /// As they are shown, with their places in the queue.
    async fn shown_jobs(&self, rows: &[AnyRow]) -> Result<Vec<Job>, Fault> {
        let jobs = rows.iter().map(|row| Ok(rows::job(row)?.job)).collect::<Result<_, Fault>>()?;
        queue::with_places(self, jobs).await
    }

    async fn shown_job(&self, row: Option<&AnyRow>) -> Result<Option<Job>, Fault> {
        Ok(self.shown_jobs(row.map_or(&[], std::slice::from_ref)).await?.pop())
    }

    pub(super) async fn row_of_job(&self, user: UserId, id: JobId) -> Result<Option<AnyRow>, Fault> {
        let sql = format!("SELECT {JOB} FROM jobs WHERE jobs.id = $1 AND jobs.user_id = $2");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(user.to_string());
        Ok(row.fetch_optional(self.readers()).await?)
    }

    pub(super) async fn read_job(&self, user: UserId, id: JobId) -> Result<Option<Job>, Fault> {
        self.shown_job(self.row_of_job(user, id).await?.as_ref()).await
    }

    /// After a transaction that told its place: that is looked for once.
    pub(super) async fn read_job_at(
        &self,
        user: UserId,
        id: JobId,
        place: Place,
    ) -> Result<Option<Job>, Fault> {
        let Place::Told(place) = place else { return self.read_job(user, id).await };
        let Some(row) = self.row_of_job(user, id).await? else { return Ok(None) };
        let mut job = rows::job(&row)?.job;
        job.queue_position = place.filter(|_| job.status == JobStatus::Pending);
        Ok(Some(job))
    }

    pub(super) async fn read_jobs_by_id(&self, user: UserId, ids: &[JobId]) -> Result<Vec<Job>, Fault> {
        let mut found = Vec::with_capacity(ids.len());
        for part in bulk::parts(ids, 64) {
            let sql = format!(
                "SELECT {JOB} FROM jobs WHERE jobs.user_id = $1 AND jobs.id IN ({})",
                bulk::list(2, part.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string());
            for id in part {
                query = query.bind(id.to_string());
            }
            found.extend(query.fetch_all(self.readers()).await?);
        }
        self.shown_jobs(&found).await
    }

    pub(super) async fn read_jobs_under_way(&self, user: UserId, limit: u32) -> Result<Vec<Job>, Fault> {
        // What is not completed has an index: a person has had very many jobs, and few are under way.
        let sql = format!(
            "SELECT {JOB} FROM jobs WHERE jobs.user_id = $1 \
             AND jobs.status <> 'completed' AND jobs.status IN ('running', 'paused', 'pending') \
             ORDER BY CASE jobs.status WHEN 'running' THEN 0 WHEN 'paused' THEN 1 ELSE 2 END, \
             jobs.created_at DESC, jobs.id DESC LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        self.shown_jobs(&rows).await
    }

    pub(super) async fn read_jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>, Fault> {
        let from = List::Jobs.before(&page)?;
        let limit = limit_of(&page);
        // Every parameter stands in the text, whatever is asked for.
        let only = match status {
            None => "$2 = ''",
            Some(JobStatus::Completed) => "jobs.status = $2",
            // Nearly all jobs were completed, so the others have an index of their own.
            Some(_) => "jobs.status = $2 AND jobs.status <> 'completed'",
        };
        let sql = format!(
            "SELECT {JOB} FROM jobs WHERE jobs.user_id = $1 AND {only} \
             AND (jobs.created_at, jobs.id) < ($3, $4) ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(status.map_or("", JobStatus::as_str))
            .bind(from.number)
            .bind(from.id)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await?;
        let jobs = self.shown_jobs(&rows).await?;
        Ok(paged(List::Jobs, jobs, limit, |j| Cursor::new(j.created_at.micros(), j.job_id)))
    }

    pub(super) async fn read_jobs_of(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        page: PageQuery,
    ) -> Result<Page<Job>, Fault> {
        let from = List::Jobs.before(&page)?;
        let limit = limit_of(&page);
        let sql = format!(
            "SELECT {JOB} FROM jobs WHERE jobs.workspace_id = $1 AND jobs.user_id = $2 \
             AND (jobs.created_at, jobs.id) < ($3, $4) ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(workspace.to_string())
            .bind(user.to_string())
            .bind(from.number)
            .bind(from.id)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await?;
        let jobs = self.shown_jobs(&rows).await?;
        Ok(paged(List::Jobs, jobs, limit, |j| Cursor::new(j.created_at.micros(), j.job_id)))
    }

    pub(super) async fn read_newest_job(
        &self,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<Option<Job>, Fault> {
        let sql = format!(
            "SELECT {JOB} FROM jobs WHERE jobs.workspace_id = $1 AND jobs.user_id = $2 \
             AND jobs.kind <> 'delete' ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(workspace.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await?;
        self.shown_job(row.as_ref()).await
    }

    pub(super) async fn read_unembedded(
        &self,
        document: DocumentId,
        limit: u32,
    ) -> Result<Vec<Chunk>, Fault> {
        let sql = format!(
            "SELECT {CHUNK} FROM chunks JOIN documents ON documents.id = chunks.document_id \
             LEFT JOIN chunk_vectors ON chunk_vectors.chunk_id = chunks.id \
             WHERE chunks.document_id = $1 AND chunks.generation = documents.generation \
             AND chunk_vectors.chunk_id IS NULL ORDER BY chunks.ordinal LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(document.to_string())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(chunk).collect()
    }
}
