//! Reading jobs.

use crate::{Error, Result, Services, ports::PageQuery};
use domain::{Job, JobId, JobStatus, UserId, WorkspaceId, resource::Page};

impl Services {
    pub async fn job(&self, user: UserId, id: JobId) -> Result<Job> {
        self.jobs.job(user, id).await?.ok_or(Error::NotFound("job"))
    }

    pub async fn list_jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>> {
        Ok(self.jobs.jobs(user, status, page).await?)
    }

    /// The newest job of a workspace.
    ///
    /// # Errors
    /// 404 `no_job` when there was none.
    pub async fn newest_job(&self, user: UserId, workspace: WorkspaceId) -> Result<Job> {
        self.workspace(user, workspace).await?;
        let job = self.jobs.newest_job(user, workspace).await?;
        job.ok_or_else(|| Error::problem(404, "no_job", "Nothing was ever processed in this workspace."))
    }
}
