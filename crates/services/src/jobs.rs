//! Reading jobs.

use crate::{Error, Result, Services, ports::PageQuery};
use domain::{
    Job, JobId, JobStatus, User, UserId, WorkspaceId,
    away::Away,
    event::FileProgress,
    pages::{DRAWN, JobsPage},
    resource::{Attempt, Page},
};

/// Ends that are told in one transaction, and how many of these one answer may take: the rest is for the next one.
const ENDS: u32 = 500;
const ROUNDS: usize = 20;

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

    /// What ended while nobody was there to whom it could be told, up to that place in the person's log: what comes after it,
    /// the stream tells. Whoever asks is the one to say it; nobody is told of it again, also not of what is not wanted.
    pub async fn tell_what_ended(&self, user: &User, upto: u64) -> Result<Option<Away>> {
        let mut ended = vec![];
        for _ in 0..ROUNDS {
            let some = self.jobs.tell_ends(user.id, upto, ENDS).await?;
            let is_last = some.len() < ENDS as usize;
            ended.extend(some);
            if is_last {
                break;
            }
        }
        Ok(Away::of(&ended, &user.notifications))
    }

    /// What was told of the steps of a job's documents: of those that began first, enough for a picture of how they went.
    pub async fn job_steps(&self, user: UserId, id: JobId) -> Result<Vec<FileProgress>> {
        self.job(user, id).await?;
        Ok(self.documents.steps_of_job(user, id, DRAWN).await?)
    }

    /// The jobs of a workspace, newest first.
    pub async fn jobs_of(&self, user: UserId, workspace: WorkspaceId, page: PageQuery) -> Result<JobsPage> {
        let workspace = self.workspace(user, workspace).await?;
        let jobs = self.jobs.jobs_of(user, workspace.id, page).await?;
        Ok(JobsPage { workspace, jobs })
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
