//! What the pages show. The seq is read first, then the data: a change that falls between the two is in the data and
//! comes again on the stream, where the reducer sees that it is not new.

use crate::{Error, Result, Services, ports::PageQuery};
use domain::{
    DocumentId, Job, JobId, User, UserId, Workspace, WorkspaceId,
    pages::{DocumentPage, JobPage, Shell, Since, WorkspacePage},
};
use std::collections::BTreeSet;

/// How many jobs the tray of every page can know of.
const JOBS_UNDER_WAY: u32 = 150;

impl Services {
    async fn since(&self, user: UserId) -> Result<Since> {
        Ok(Since { epoch: self.events.epoch(), seq: self.events.head(user).await? })
    }

    pub async fn shell(&self, user: User) -> Result<Shell> {
        let since = self.since(user.id).await?;
        let workspaces = self.all_workspaces(user.id).await?;
        let jobs = self.jobs.jobs_under_way(user.id, JOBS_UNDER_WAY).await?;
        Ok(Shell { since, user, workspaces, jobs, max_file_bytes: self.limits.file_bytes })
    }

    /// Newest first. They are few as a rule, and every page names them all.
    async fn all_workspaces(&self, user: UserId) -> Result<Vec<Workspace>> {
        let mut all = vec![];
        let mut page = PageQuery::first(PageQuery::MAX);
        loop {
            let part = self.workspaces.workspaces(user, page).await?;
            all.extend(part.items);
            let Some(next) = part.next else { return Ok(all) };
            page = PageQuery { limit: PageQuery::MAX, after: Some(next) };
        }
    }

    pub async fn workspace_page(
        &self,
        user: UserId,
        id: WorkspaceId,
        page: PageQuery,
    ) -> Result<WorkspacePage> {
        let since = self.since(user).await?;
        let workspace = self.workspace(user, id).await?;
        let documents = self.documents.documents(user, id, None, page).await?;
        let mut jobs: Vec<Job> = self.jobs.newest_job(user, id).await?.into_iter().collect();
        let known = jobs.first().map(|job| job.job_id);
        let others: BTreeSet<JobId> =
            documents.items.iter().filter_map(|d| d.job_id).filter(|id| Some(*id) != known).collect();
        if !others.is_empty() {
            jobs.extend(self.jobs.jobs_by_id(user, &others.into_iter().collect::<Vec<_>>()).await?);
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
        let chunks = self.documents.chunks(user, id, None, chunks).await?;
        Ok(DocumentPage { since, workspace, document, job, steps, chunks })
    }

    /// The workspace that a request means which names none.
    pub async fn first_workspace(&self, user: UserId) -> Result<WorkspaceId> {
        Ok(self.workspaces.first_workspace(user).await?.ok_or(Error::NotFound("workspace"))?.id)
    }
}
