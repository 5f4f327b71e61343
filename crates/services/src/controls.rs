//! Pausing, resuming, cancelling and retrying jobs and documents.

use crate::{
    Error, Result, Services, command,
    ports::{Command, StoreError},
    spans,
};
use domain::{
    DocumentId, FieldErrors, Job, JobId, PhaseName, UserId, Workspace, WorkspaceId,
    ingest::control::{Control, DocumentControl, Retry, RetryScope, Stop},
    report::NOT_EMBEDDED_HERE,
    status::Processor,
};
use std::time::Duration;

/// Jobs whose requests are honoured in one go.
const AT_ONCE: u32 = 50;
/// Pages that one retry may name.
const PAGES: usize = 100;
/// So soon a request is honoured after the leases of a dead worker ran out.
const LOOK: Duration = Duration::from_secs(1);

impl Services {
    /// Does what somebody wants of a job, or asks the workers that have it in hand.
    ///
    /// # Errors
    /// 404 also when it is somebody else's; 409 with what is allowed when it cannot be done from where the job is.
    pub async fn control_job(&self, user: UserId, id: JobId, control: Control) -> Result<Job> {
        match &control {
            Control::Retry(retry) => check(retry)?,
            Control::CancelPhase(PhaseName::Embedding) => {
                let job = self.job(user, id).await?;
                self.embeds_here(user, job.kb_id).await?;
            }
            _ => {}
        }
        let job = self.jobs.control(user, id, control, self.clock.now()).await;
        let job = job.map_err(|e| missing(e, "job"))?;
        spans::concerns(job.job_id);
        Ok(job)
    }

    /// The same for one document; answers its job.
    ///
    /// # Errors
    /// As for a job.
    pub async fn control_document(
        &self,
        user: UserId,
        id: DocumentId,
        control: DocumentControl,
    ) -> Result<Job> {
        if control == DocumentControl::SkipEmbedding {
            let document = self.document(user, id).await?;
            self.embeds_here(user, document.workspace_id).await?;
        }
        let now = self.clock.now();
        let job = self.jobs.control_document(user, id, control, now).await;
        let job = job.map_err(|e| missing(e, "document"))?;
        spans::concerns(job.job_id);
        Ok(job)
    }

    /// What an outside worker does would go on, whatever were said of it.
    async fn embeds_here(&self, user: UserId, workspace: WorkspaceId) -> Result<()> {
        match self.workspace(user, workspace).await?.processor {
            Processor::Builtin => Ok(()),
            Processor::External => Err(NOT_EMBEDDED_HERE.into()),
        }
    }

    /// The next attempt of a job. Sent again under the same key it is that very attempt, also when it has ended by then.
    ///
    /// # Errors
    /// As for any other control; 422 when the key was sent before with something else.
    pub async fn retry_job(
        &self,
        user: UserId,
        id: JobId,
        retry: Retry,
        command_id: Option<String>,
    ) -> Result<Job> {
        let Some(command_id) = command_id else {
            return self.control_job(user, id, Control::Retry(retry)).await;
        };
        check(&retry)?;
        let command = Command { id: command_id, print: print(&retry) };
        let job = self.jobs.retry_under(user, id, retry, command, self.clock.now()).await;
        let job = job.map_err(|e| missing(e, "job"))?;
        spans::concerns(job.job_id);
        Ok(job)
    }

    /// Runs one document again: an attempt of its job with nothing else in it.
    ///
    /// # Errors
    /// As for a job.
    pub async fn retry_document(
        &self,
        user: UserId,
        id: DocumentId,
        command_id: Option<String>,
    ) -> Result<Job> {
        let document = self.document(user, id).await?;
        let job = document.job_id.ok_or(Error::NotFound("job"))?;
        self.retry_job(user, job, Retry::document(id), command_id).await
    }

    /// Pauses all work of a workspace: what is in hand is finished before, or stops as well. What is uploaded meanwhile
    /// waits.
    ///
    /// # Errors
    /// 404 also when it is somebody else's; 409 `workspace_deleting`.
    pub async fn pause_workspace(&self, user: UserId, id: WorkspaceId, stop: Stop) -> Result<Workspace> {
        let paused = self.workspaces.pause_workspace(user, id, stop, self.clock.now()).await;
        paused.map_err(|e| missing(e, "workspace"))
    }

    /// Lets the work of a workspace go on.
    ///
    /// # Errors
    /// As for pausing it.
    pub async fn resume_workspace(&self, user: UserId, id: WorkspaceId) -> Result<Workspace> {
        let resumed = self.workspaces.resume_workspace(user, id, self.clock.now()).await;
        resumed.map_err(|e| missing(e, "workspace"))
    }

    /// Honours requests of which no worker is left to do it, for as long as the future is polled.
    pub async fn run_request_herald(self) {
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.jobs.honour_requests(AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "requests were honoured that no worker was left for"),
                Err(error) => tracing::warn!(%error, "requests will be looked for later"),
            }
            if let Err(error) = self.workspaces.stand_paused(AT_ONCE, self.clock.now()).await {
                tracing::warn!(%error, "jobs of paused workspaces will be looked for later");
            }
        }
    }
}

fn missing(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}

fn print(retry: &Retry) -> String {
    let Retry { scope, phase, document_ids, pages, attempt } = retry;
    let phase = phase.map_or("", PhaseName::as_str);
    let attempt = attempt.map(|attempt| attempt.to_string()).unwrap_or_default();
    let ids: Vec<String> = document_ids.iter().map(ToString::to_string).collect();
    let begin = [scope.as_str(), phase, attempt.as_str()];
    let documents = ids.iter().map(String::as_str);
    let pages = pages.iter().map(String::as_str);
    command::print(begin.into_iter().chain(documents).chain(["pages"]).chain(pages))
}

fn check(retry: &Retry) -> Result<()> {
    match retry.scope {
        RetryScope::Phase if retry.phase.is_none() => {
            Err(FieldErrors::one("phase", "Name the phase that is to run again.").into())
        }
        RetryScope::Documents if retry.document_ids.is_empty() => {
            Err(FieldErrors::one("document_ids", "Name the documents that are to run again.").into())
        }
        RetryScope::Pages if retry.pages.is_empty() || retry.pages.len() > PAGES => {
            Err(FieldErrors::one("pages", "Name the pages that are to be asked for again, at most 100.")
                .into())
        }
        _ => Ok(()),
    }
}
