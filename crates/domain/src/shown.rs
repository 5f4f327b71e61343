//! The state that a badge shows: derived from a document and from what its job does, so that a paused or cancelled
//! document never spins.

use crate::{
    message::{count, number},
    resource::{CANCELLED, Document, Job, Workspace},
    status::{DocumentStatus, Halt, JobRequest, JobStatus, WorkspaceStatus},
};

/// One look of the badge.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    Pending {
        behind: Option<u64>,
    },
    Provisioning,
    Processing {
        percent: f64,
    },
    /// In a worker's hands, and getting nowhere.
    Stalled,
    /// Begun, and in nobody's hands.
    Interrupted,
    /// Failed by something that may heal, and waiting for its next try.
    Retrying,
    /// For the server of its embedding model, which cannot be had.
    Waiting,
    /// Asked to stop, until its worker lets go of it.
    Stopping {
        cancels: bool,
    },
    Ready {
        warnings: usize,
    },
    Completed,
    Paused,
    Failed,
    Cancelled,
    Stale,
    /// Ready, and found by no search.
    Disabled,
    Deleting,
}

impl Shown {
    /// `job` is the document's current job, when it is known.
    pub fn of_document(document: &Document, job: Option<&Job>) -> Self {
        let job_status = job.map(|j| j.status);
        match document.status {
            DocumentStatus::Ready if !document.enabled => Shown::Disabled,
            DocumentStatus::Ready if document.stale => Shown::Stale,
            DocumentStatus::Ready => Shown::Ready { warnings: document.warnings.len() },
            DocumentStatus::Failed if document.error_code.as_deref() == Some(CANCELLED) => Shown::Cancelled,
            DocumentStatus::Failed => Shown::Failed,
            _ if job_status == Some(JobStatus::Paused) || document.is_paused() => Shown::Paused,
            DocumentStatus::Processing if document.retrying().is_some() => Shown::Retrying,
            _ if document.stopping().is_some() => {
                Shown::Stopping { cancels: document.stopping().is_some_and(|s| s.starts_with("Cancel")) }
            }
            DocumentStatus::Pending => Shown::Pending { behind: job.and_then(|j| j.queue_position) },
            DocumentStatus::Processing if document.stalled().is_some() => Shown::Stalled,
            DocumentStatus::Processing if document.waiting().is_some() => Shown::Waiting,
            DocumentStatus::Processing if document.interrupted().is_some() => Shown::Interrupted,
            DocumentStatus::Processing => Shown::Processing { percent: document.progress },
        }
    }

    /// What a document shows whose workspace is being deleted: nothing is worked on there, whatever its row says.
    #[must_use]
    pub fn in_doomed_workspace(self) -> Self {
        match self {
            Shown::Pending { .. }
            | Shown::Processing { .. }
            | Shown::Stalled
            | Shown::Interrupted
            | Shown::Retrying
            | Shown::Waiting
            | Shown::Stopping { .. } => Shown::Deleting,
            other => other,
        }
    }

    pub fn of_workspace(workspace: &Workspace) -> Self {
        match workspace.status {
            WorkspaceStatus::Provisioning => Shown::Provisioning,
            WorkspaceStatus::Ready => Shown::Ready { warnings: 0 },
            WorkspaceStatus::Error => Shown::Failed,
            WorkspaceStatus::Deleting => Shown::Deleting,
        }
    }

    pub fn of_job(job: &Job) -> Self {
        match job.status {
            JobStatus::Running if job.requested.is_some() => {
                Shown::Stopping { cancels: job.requested == Some(JobRequest::Cancel) }
            }
            JobStatus::Pending => Shown::Pending { behind: job.queue_position },
            JobStatus::Running => match job.halted {
                Some(Halt::Stalled) => Shown::Stalled,
                Some(Halt::Interrupted) => Shown::Interrupted,
                Some(Halt::Waiting) => Shown::Waiting,
                None => Shown::Processing { percent: job.progress },
            },
            JobStatus::Paused => Shown::Paused,
            JobStatus::Completed => Shown::Completed,
            JobStatus::Failed => Shown::Failed,
            JobStatus::Cancelled => Shown::Cancelled,
        }
    }

    /// Name for CSS and tests.
    pub const fn key(&self) -> &'static str {
        match self {
            Shown::Pending { .. } => "pending",
            Shown::Provisioning => "provisioning",
            Shown::Processing { .. } => "processing",
            Shown::Stalled => "stalled",
            Shown::Interrupted => "interrupted",
            Shown::Retrying => "retrying",
            Shown::Waiting => "waiting",
            Shown::Stopping { .. } => "stopping",
            Shown::Ready { .. } => "ready",
            Shown::Completed => "completed",
            Shown::Paused => "paused",
            Shown::Failed => "failed",
            Shown::Cancelled => "cancelled",
            Shown::Stale => "stale",
            Shown::Disabled => "disabled",
            Shown::Deleting => "deleting",
        }
    }

    /// Whether work is really going on, so that a ring may turn.
    pub const fn moves(&self) -> bool {
        matches!(self, Shown::Provisioning | Shown::Processing { .. } | Shown::Deleting)
    }

    /// The words beside the icon.
    pub fn words(&self) -> String {
        match self {
            Shown::Pending { behind: Some(n) } if *n > 0 => format!("Pending · behind {}", number(*n)),
            Shown::Pending { .. } => "Pending".into(),
            Shown::Provisioning => "Provisioning".into(),
            Shown::Processing { percent } => format!("Processing · {} %", *percent as u64),
            Shown::Stalled => "Stalled".into(),
            Shown::Interrupted => "Interrupted".into(),
            Shown::Retrying => "Retrying".into(),
            Shown::Waiting => "Waiting".into(),
            Shown::Stopping { cancels: false } => "Pausing…".into(),
            Shown::Stopping { cancels: true } => "Cancelling…".into(),
            Shown::Ready { warnings: 0 } => "Ready".into(),
            Shown::Ready { warnings } => {
                format!("Ready · {}", count(*warnings as u64, "warning", "warnings"))
            }
            Shown::Completed => "Completed".into(),
            Shown::Paused => "Paused".into(),
            Shown::Failed => "Failed".into(),
            Shown::Cancelled => "Cancelled".into(),
            Shown::Stale => "Stale".into(),
            Shown::Disabled => "Disabled".into(),
            Shown::Deleting => "Deleting".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_workspace_is_being_deleted_nothing_claims_to_be_worked_on() {
        for shown in [
            Shown::Pending { behind: Some(2) },
            Shown::Processing { percent: 62.0 },
            Shown::Stalled,
            Shown::Interrupted,
            Shown::Retrying,
            Shown::Waiting,
            Shown::Stopping { cancels: false },
        ] {
            assert_eq!(shown.in_doomed_workspace(), Shown::Deleting);
        }
        for shown in
            [Shown::Ready { warnings: 1 }, Shown::Failed, Shown::Paused, Shown::Stale, Shown::Cancelled]
        {
            assert_eq!(shown.clone().in_doomed_workspace(), shown);
        }
    }
}
