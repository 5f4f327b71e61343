//! What ended while a person looked at no page: one sentence about all of it, for whoever comes back.

use crate::{
    ids::WorkspaceId,
    message::count,
    resource::Notifications,
    status::{JobKind, JobStatus},
};
use std::collections::BTreeSet;

/// A job that came to its end, of which nobody has told its person yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJob {
    pub workspace: WorkspaceId,
    pub kind: JobKind,
    pub status: JobStatus,
    pub documents_done: u64,
    pub documents_failed: u64,
}

impl EndedJob {
    /// As the notice of a single end has it: a job that failed in part is one that failed.
    const fn is_failed(&self) -> bool {
        matches!(self.status, JobStatus::Failed) || self.documents_failed > 0
    }

    fn is_wanted(&self, wanted: &Notifications) -> bool {
        match self.status {
            JobStatus::Completed | JobStatus::Failed if self.is_failed() => wanted.failed,
            // Whoever deleted something, or cancelled it, knows it.
            JobStatus::Completed => wanted.done && self.kind != JobKind::Delete,
            _ => false,
        }
    }
}

/// What is said to whoever comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    pub text: String,
    /// Something of it failed.
    pub failed: bool,
    /// The workspace of all of it, where there is no other.
    pub workspace: Option<WorkspaceId>,
}

impl Away {
    /// `None` when there is nothing of which the person wants to be told.
    pub fn of(ended: &[EndedJob], wanted: &Notifications) -> Option<Self> {
        let told: Vec<&EndedJob> = ended.iter().filter(|job| job.is_wanted(wanted)).collect();
        let (mut ready, mut failed, mut jobs_failed, mut empty) = (0, 0, 0, 0);
        for job in &told {
            // What a deletion has done is nothing that became ready.
            if job.kind != JobKind::Delete {
                ready += job.documents_done;
            }
            failed += job.documents_failed;
            match (job.is_failed(), job.documents_failed, job.documents_done) {
                (true, 0, _) => jobs_failed += 1,
                (false, _, 0) => empty += 1,
                _ => {}
            }
        }
        let mut parts = vec![];
        if ready > 0 {
            parts.push(count(ready, "document became ready", "documents became ready"));
        }
        if failed > 0 {
            parts.push(match ready {
                0 => count(failed, "document failed", "documents failed"),
                _ => count(failed, "failed", "failed"),
            });
        }
        if jobs_failed > 0 {
            parts.push(count(jobs_failed, "job failed", "jobs failed"));
        }
        if empty > 0 {
            parts.push(count(empty, "job ended without a new document", "jobs ended without a new document"));
        }
        let last = parts.pop()?;
        let said = match parts.is_empty() {
            true => last,
            false => format!("{} and {last}", parts.join(", ")),
        };
        let workspaces: BTreeSet<WorkspaceId> = told.iter().map(|job| job.workspace).collect();
        Some(Self {
            text: format!("While you were away: {said}."),
            failed: failed > 0 || jobs_failed > 0,
            workspace: workspaces.first().copied().filter(|_| workspaces.len() == 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ended(kind: JobKind, status: JobStatus, documents_done: u64, documents_failed: u64) -> EndedJob {
        EndedJob { workspace: at(1), kind, status, documents_done, documents_failed }
    }

    fn at(n: u128) -> WorkspaceId {
        WorkspaceId::new(Uuid::from_u128(n))
    }

    fn said(ended: &[EndedJob]) -> Option<String> {
        Away::of(ended, &Notifications::default()).map(|away| away.text)
    }

    #[test]
    fn all_that_ended_is_one_sentence() {
        use JobKind::{Crawl, Delete, Reindex, Upload};
        use JobStatus::{Cancelled, Completed, Failed};
        let good = ended(Upload, Completed, 9, 0);
        assert_eq!(
            said(&[good.clone(), ended(Reindex, Completed, 3, 2)]).as_deref(),
            Some("While you were away: 12 documents became ready and 2 failed.")
        );
        for (jobs, text) in [
            (vec![ended(Upload, Completed, 1, 0)], "1 document became ready"),
            (vec![ended(Upload, Failed, 0, 1)], "1 document failed"),
            (vec![ended(Crawl, Failed, 0, 0)], "1 job failed"),
            (vec![ended(Crawl, Completed, 0, 0)], "1 job ended without a new document"),
            (vec![good.clone(), ended(Delete, Failed, 2, 0)], "9 documents became ready and 1 job failed"),
            (
                vec![good.clone(), ended(Upload, Failed, 0, 1), ended(Crawl, Failed, 0, 0)],
                "9 documents became ready, 1 failed and 1 job failed",
            ),
        ] {
            assert_eq!(said(&jobs), Some(format!("While you were away: {text}.")), "{jobs:?}");
        }
        // Whoever did it knows it.
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[ended(Delete, Completed, 4, 0), ended(Upload, Cancelled, 1, 0)]), None);
    }

    #[test]
    fn only_what_is_wanted_is_said_and_a_part_that_failed_is_a_failure() {
        let jobs = [
            ended(JobKind::Upload, JobStatus::Completed, 5, 0),
            ended(JobKind::Upload, JobStatus::Completed, 3, 1),
        ];
        let nothing =
            Notifications { done: false, failed: false, stalled: true, sign_ins: true, desktop: true };
        let of = |wanted| Away::of(&jobs, &wanted).map(|away| (away.text, away.failed));
        assert_eq!(of(nothing), None);
        assert_eq!(
            of(Notifications { done: true, ..nothing }),
            Some(("While you were away: 5 documents became ready.".to_owned(), false))
        );
        assert_eq!(
            of(Notifications { failed: true, ..nothing }),
            Some(("While you were away: 3 documents became ready and 1 failed.".to_owned(), true))
        );
    }

    #[test]
    fn it_leads_to_a_workspace_where_there_is_one_alone() {
        let here = ended(JobKind::Upload, JobStatus::Completed, 1, 0);
        let there = EndedJob { workspace: at(2), ..here.clone() };
        let deleted = EndedJob { kind: JobKind::Delete, workspace: at(3), ..here.clone() };
        let place =
            |jobs: &[EndedJob]| Away::of(jobs, &Notifications::default()).and_then(|away| away.workspace);
        assert_eq!(place(&[here.clone(), here.clone(), deleted]), Some(at(1)), "only what is told counts");
        assert_eq!(place(&[here, there]), None);
    }
}
