//! Reading jobs.

use crate::{Error, Result, Services, ports::PageQuery};
use domain::{
    Job, JobId, JobStatus, UserId, WorkspaceId,
    event::FileProgress,
    resource::{Attempt, Page},
};

/// Documents of one job that are drawn at most.
const DRAWN: usize = 50;

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

    /// Whether whoever asks is the first to tell the person of the end of this attempt, in whichever browser, and so is the
    /// one to tell it.
    pub async fn first_to_tell_end(&self, user: UserId, id: JobId, attempt: u32) -> Result<bool> {
        let job = self.job(user, id).await?;
        // What has not come so far has no end that could be told.
        if attempt > job.attempt || attempt == job.attempt && !job.status.is_final() {
            return Ok(false);
        }
        Ok(self.jobs.tell_end(user, id, attempt).await?)
    }

    /// What was told of the steps of a job's documents, for those that stand first in the list of its workspace: enough for a
    /// picture of how they went. In the order of their files.
    pub async fn job_steps(&self, user: UserId, id: JobId) -> Result<Vec<FileProgress>> {
        let job = self.job(user, id).await?;
        let newest = self.documents.documents(user, job.kb_id, PageQuery::first(PageQuery::MAX)).await?;
        let mut steps = vec![];
        let mine = newest.items.iter().rev().filter(|d| d.job_id == Some(id));
        for document in mine.take(DRAWN) {
            steps.extend(self.documents.steps(user, document.id).await?);
        }
        Ok(steps)
    }

    /// The attempts of a job, the present one last.
    pub async fn attempts(&self, user: UserId, id: JobId) -> Result<Vec<Attempt>> {
        self.jobs.attempts(user, id).await?.ok_or(Error::NotFound("job"))
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
