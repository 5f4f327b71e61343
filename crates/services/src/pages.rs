//! What the pages show. The seq is read first, then the data: a change that falls between the two is in the data and
//! comes again on the stream, where the reducer sees that it is not new.

use crate::{Error, Result, Services, ports::PageQuery};
use domain::{
    DocumentId, Job, JobId, JobStatus, User, UserId, WorkspaceId,
    pages::{DocumentPage, JobPage, Shell, Since, WorkspacePage},
};

impl Services {
    async fn since(&self, user: UserId) -> Result<Since> {
        Ok(Since { epoch: self.events.epoch(), seq: self.events.head(user).await? })
    }

    pub async fn shell(&self, user: User) -> Result<Shell> {
        let since = self.since(user.id).await?;
        let workspaces = self.workspaces.workspaces(user.id, PageQuery::first(PageQuery::MAX)).await?.items;
        let mut jobs = vec![];
        for status in [JobStatus::Running, JobStatus::Paused, JobStatus::Pending] {
            jobs.extend(self.jobs.jobs(user.id, Some(status), PageQuery::first(50)).await?.items);
        }
        Ok(Shell { since, user, workspaces, jobs, max_file_bytes: self.limits.file_bytes })
    }

    pub async fn workspace_page(
        &self,
        user: UserId,
        id: WorkspaceId,
        page: PageQuery,
    ) -> Result<WorkspacePage> {
        let since = self.since(user).await?;
        let workspace = self.workspace(user, id).await?;
        let documents = self.documents.documents(user, id, page).await?;
        let mut jobs: Vec<Job> = self.jobs.newest_job(user, id).await?.into_iter().collect();
        for job_id in documents.items.iter().filter_map(|d| d.job_id) {
            if !jobs.iter().any(|j| j.job_id == job_id) {
                jobs.extend(self.jobs.job(user, job_id).await?);
            }
        }
        Ok(WorkspacePage { since, workspace, documents, jobs })
    }

    /// A job of that workspace.
    ///
    /// # Errors
    /// 404 also when it is another workspace's.
    pub async fn job_page(&self, user: UserId, workspace: WorkspaceId, id: JobId) -> Result<JobPage> {
        let since = self.since(user).await?;
        let workspace = self.workspace(user, workspace).await?;
        let job = self.job(user, id).await?;
        if job.kb_id != workspace.id {
            return Err(Error::NotFound("job"));
        }
        let steps = self.job_steps(user, id).await?;
        Ok(JobPage { since, workspace, job, steps })
    }

    pub async fn document_page(
        &self,
        user: UserId,
        id: DocumentId,
        chunks: PageQuery,
    ) -> Result<DocumentPage> {
        let since = self.since(user).await?;
        let document = self.document(user, id).await?;
        let workspace = self.workspace(user, document.workspace_id).await?;
        let job = match document.job_id {
            Some(job) => self.jobs.job(user, job).await?,
            None => None,
        };
        let steps = self.documents.steps(user, id).await?;
        let chunks = self.documents.chunks(user, id, chunks).await?;
        Ok(DocumentPage { since, workspace, document, job, steps, chunks })
    }

    /// The workspace that a request means which names none.
    pub async fn first_workspace(&self, user: UserId) -> Result<WorkspaceId> {
        Ok(self.workspaces.first_workspace(user).await?.ok_or(Error::NotFound("workspace"))?.id)
    }
}
