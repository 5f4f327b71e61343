//! What the pages ask of the reducer's store that it has no answer of its own for: which job a panel shows, what is listed
//! in which order.

use domain::{
    DocumentId, DocumentStatus, Job, JobId, JobStatus, Timestamp, WorkspaceId, event::FileProgress,
    reducer::Store,
};

/// Questions that the pages put to what the reducer keeps.
pub(super) trait Known {
    fn known_steps(&self, id: DocumentId) -> Option<Vec<FileProgress>>;
    fn panel_job(&self, id: WorkspaceId) -> Option<JobId>;
    fn jobs_of(&self, id: WorkspaceId) -> Vec<(Timestamp, JobId)>;
    fn newest_in(&self, id: WorkspaceId, with_steps: bool) -> u64;
    fn newest_workspaces(&self) -> Vec<WorkspaceId>;
    fn unfinished(&self) -> Vec<JobId>;
    fn documents_with(&self, id: WorkspaceId, wanted: impl Fn(DocumentStatus) -> bool) -> Vec<DocumentId>;
}

impl Known for Store {
    fn known_steps(&self, id: DocumentId) -> Option<Vec<FileProgress>> {
        let steps: Vec<_> = self.steps(id).into_iter().cloned().collect();
        (!steps.is_empty()).then_some(steps)
    }

    fn panel_job(&self, id: WorkspaceId) -> Option<JobId> {
        let urgency = |job: &Job| match job.status {
            JobStatus::Running => 2,
            status if !status.is_final() => 1,
            _ => 0,
        };
        let here = self.jobs().filter(|job| job.kb_id == id);
        here.max_by_key(|job| (urgency(job), job.created_at, job.job_id)).map(|job| job.job_id)
    }

    fn jobs_of(&self, id: WorkspaceId) -> Vec<(Timestamp, JobId)> {
        self.jobs().filter(|job| job.kb_id == id).map(|job| (job.created_at, job.job_id)).collect()
    }

    fn newest_in(&self, id: WorkspaceId, with_steps: bool) -> u64 {
        let own = self.workspace(id).map(|w| w.rev);
        let jobs = self.jobs().filter(|job| job.kb_id == id).map(|job| job.rev);
        let documents = self.documents().filter(|d| d.workspace_id == id).flat_map(|d| {
            let steps = if with_steps { self.steps(d.id) } else { vec![] };
            steps.into_iter().map(|step| step.rev).chain([d.rev])
        });
        own.into_iter().chain(jobs).chain(documents).max().unwrap_or_default()
    }

    fn newest_workspaces(&self) -> Vec<WorkspaceId> {
        let mut all: Vec<_> = self.workspaces().map(|w| (w.created_at, w.id)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn unfinished(&self) -> Vec<JobId> {
        let mut all: Vec<_> = self.active_jobs().map(|job| (job.created_at, job.job_id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn documents_with(&self, id: WorkspaceId, wanted: impl Fn(DocumentStatus) -> bool) -> Vec<DocumentId> {
        self.documents().filter(|d| d.workspace_id == id && wanted(d.status)).map(|d| d.id).collect()
    }
}
