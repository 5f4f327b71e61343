//! How a workspace is made ready: the steps, the rules between them, and what may be done with a workspace meanwhile.
//! The steps themselves are carried out by a use case; each of them may be run twice.

use crate::{
    ingest::Failure,
    resource::Workspace,
    status::{IllegalMove, WorkspaceStatus, named},
    timestamp::Timestamp,
    validate::FieldErrors,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// One step on the way to a ready workspace, in their order.
    ProvisionStep, "provisioning step" {
        Settings = "settings",
        Storage = "storage",
        Model = "model",
        Index = "index",
    }
);

impl ProvisionStep {
    /// The words on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            ProvisionStep::Settings => "Check the settings",
            ProvisionStep::Storage => "Prepare the place for files",
            ProvisionStep::Model => "Load the embedding model",
            ProvisionStep::Index => "Prepare the search index",
        }
    }
}

named!(
    /// What became of a step.
    ProvisionStatus, "status of a provisioning step" {
        Pending = "pending",
        Running = "running",
        Completed = "completed",
        /// Not needed with these settings.
        Skipped = "skipped",
        Failed = "failed",
    }
);

impl ProvisionStatus {
    pub const fn is_through(self) -> bool {
        matches!(self, ProvisionStatus::Completed | ProvisionStatus::Skipped)
    }
}

/// A step with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProvisionDetail {
    pub name: ProvisionStep,
    pub status: ProvisionStatus,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// How far a workspace that is not ready has come. The reason of a failure is the workspace's `status_message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provisioning {
    /// From 1; each retry is the next.
    pub attempt: u32,
    /// All of them, in order.
    pub steps: Vec<ProvisionDetail>,
    /// Stable code of the failure.
    pub error_code: Option<String>,
    /// What a person can do about it.
    pub error_hint: Option<String>,
}

impl Provisioning {
    /// All steps still to be done.
    pub fn attempt(attempt: u32) -> Self {
        let detail = |&name| ProvisionDetail {
            name,
            status: ProvisionStatus::Pending,
            started_at: None,
            completed_at: None,
        };
        let steps = ProvisionStep::ALL.iter().map(detail).collect();
        Self { attempt, steps, error_code: None, error_hint: None }
    }

    /// The first step that is not through: the one to do now.
    pub fn next(&self) -> Option<ProvisionStep> {
        self.steps.iter().find(|s| !s.status.is_through()).map(|s| s.name)
    }
}

/// What happened to a workspace on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A step begins, or begins again after a crash.
    Begin(ProvisionStep),
    Done(ProvisionStep),
    Skip(ProvisionStep),
    Failed(ProvisionStep, Failure),
    /// A person wants another attempt.
    Retry,
}

/// Applies a change; answers whether anything is different, and so has to be told. After the last step the workspace
/// is ready, and nothing is left of an earlier failure.
///
/// # Errors
/// When it is not that step's turn: another server was faster, or the workspace is no longer being made.
pub fn advance(workspace: &mut Workspace, change: &Change, now: Timestamp) -> Result<bool, IllegalMove> {
    let changed = match change {
        Change::Retry => {
            move_to(workspace, WorkspaceStatus::Provisioning, None)?;
            true
        }
        Change::Begin(step) => {
            let detail = in_turn(workspace, *step, ProvisionStatus::Running)?;
            let begins = detail.status == ProvisionStatus::Pending;
            if begins {
                detail.status = ProvisionStatus::Running;
                detail.started_at = Some(now);
            }
            begins
        }
        Change::Done(step) => {
            let detail = running(workspace, *step, ProvisionStatus::Completed)?;
            detail.status = ProvisionStatus::Completed;
            detail.completed_at = Some(now);
            true
        }
        Change::Skip(step) => {
            in_turn(workspace, *step, ProvisionStatus::Skipped)?.status = ProvisionStatus::Skipped;
            true
        }
        Change::Failed(step, failure) => {
            let detail = running(workspace, *step, ProvisionStatus::Failed)?;
            detail.status = ProvisionStatus::Failed;
            detail.completed_at = Some(now);
            if let Some(provisioning) = &mut workspace.provisioning {
                provisioning.error_code = Some(failure.code.clone());
                provisioning.error_hint.clone_from(&failure.hint);
            }
            move_to(workspace, WorkspaceStatus::Error, Some(failure.message.clone()))?;
            true
        }
    };
    let through = workspace.provisioning.as_ref().is_some_and(|p| p.next().is_none());
    if workspace.status == WorkspaceStatus::Provisioning && through {
        move_to(workspace, WorkspaceStatus::Ready, None)?;
    }
    if changed {
        workspace.updated_at = now;
    }
    Ok(changed)
}

/// Moves the status by its table, with what belongs to it: a workspace that is to be made has all its steps before it,
/// and one that is ready has none.
///
/// # Errors
/// When the table does not have the move.
pub fn move_to(
    workspace: &mut Workspace,
    to: WorkspaceStatus,
    message: Option<String>,
) -> Result<(), IllegalMove> {
    workspace.status = workspace.status.go(to)?;
    workspace.status_message = message;
    match to {
        WorkspaceStatus::Provisioning => {
            let attempt = workspace.provisioning.as_ref().map_or(0, |p| p.attempt) + 1;
            workspace.provisioning = Some(Provisioning::attempt(attempt));
        }
        WorkspaceStatus::Ready | WorkspaceStatus::Deleting => workspace.provisioning = None,
        WorkspaceStatus::Error => {}
    }
    Ok(())
}

/// What a workspace was before it was deleted, so that it can be that again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeleted {
    status: WorkspaceStatus,
    status_message: Option<String>,
    provisioning: Option<Provisioning>,
}

/// The workspace is being deleted from now on; answers what it was.
///
/// # Errors
/// When it is being deleted already.
pub fn delete(workspace: &mut Workspace, message: String, now: Timestamp) -> Result<Undeleted, IllegalMove> {
    let before = Undeleted {
        status: workspace.status,
        status_message: workspace.status_message.clone(),
        provisioning: workspace.provisioning.clone(),
    };
    move_to(workspace, WorkspaceStatus::Deleting, Some(message))?;
    workspace.updated_at = now;
    Ok(before)
}

/// Whoever deletes a workspace on its page types its name first.
///
/// # Errors
/// At `confirm` when it is another name.
pub fn confirm_name(name: &str, typed: &str) -> Result<(), FieldErrors> {
    if typed.trim() == name {
        return Ok(());
    }
    Err(FieldErrors::one("confirm", "Type the name exactly as it is shown."))
}

/// The deletion is taken back. The table of the statuses has no way out of it, so that nothing else finds one.
pub fn undelete(workspace: &mut Workspace, before: Undeleted, now: Timestamp) {
    workspace.status = before.status;
    workspace.status_message = before.status_message;
    workspace.provisioning = before.provisioning;
    workspace.updated_at = now;
}

/// The step, when it is the next one of a workspace that is being made.
fn in_turn(
    workspace: &mut Workspace,
    step: ProvisionStep,
    to: ProvisionStatus,
) -> Result<&mut ProvisionDetail, IllegalMove> {
    let being_made = workspace.status == WorkspaceStatus::Provisioning;
    let provisioning = workspace.provisioning.as_mut().filter(|p| being_made && p.next() == Some(step));
    let detail = provisioning.and_then(|p| p.steps.iter_mut().find(|s| s.name == step));
    detail.ok_or(IllegalMove {
        what: "This step of the provisioning",
        from: "not in turn",
        to: to.as_str(),
        allowed: vec![],
    })
}

fn running(
    workspace: &mut Workspace,
    step: ProvisionStep,
    to: ProvisionStatus,
) -> Result<&mut ProvisionDetail, IllegalMove> {
    let detail = in_turn(workspace, step, to)?;
    if detail.status == ProvisionStatus::Running {
        return Ok(detail);
    }
    Err(IllegalMove {
        what: "This step of the provisioning",
        from: detail.status.as_str(),
        to: to.as_str(),
        allowed: vec![ProvisionStatus::Running.as_str()],
    })
}

named!(
    /// What a person may want to do with a workspace.
    WorkspaceAction, "action" {
        Upload = "upload",
        Chat = "chat",
        Edit = "edit",
        Retry = "retry",
    }
);

/// Why something cannot be done now: a stable code, and the sentence that stands beside the disabled control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    pub code: &'static str,
    pub sentence: &'static str,
    /// Where this is about the state of a job or a document: what may become of it now.
    pub allowed: Option<&'static [&'static str]>,
}

impl Refusal {
    pub const fn new(code: &'static str, sentence: &'static str) -> Self {
        Self { code, sentence, allowed: None }
    }

    pub const fn allowing(self, allowed: &'static [&'static str]) -> Self {
        Self { allowed: Some(allowed), ..self }
    }
}

impl WorkspaceStatus {
    /// Why the action is not possible in this status; `None` when it is. Screen and server ask the same table.
    pub const fn refuses(self, action: WorkspaceAction) -> Option<Refusal> {
        use WorkspaceAction::{Chat, Edit, Retry, Upload};
        let (code, sentence) = match (self, action) {
            (Self::Deleting, _) => ("workspace_deleting", "This workspace is being deleted."),
            (_, Edit) | (Self::Ready, Upload | Chat) | (Self::Error, Retry) => return None,
            (Self::Provisioning, Upload) => (
                "workspace_provisioning",
                "This workspace is still being made ready. Files can be added as soon as it is.",
            ),
            (Self::Provisioning, Chat) => (
                "workspace_provisioning",
                "This workspace is still being made ready. Questions can be asked as soon as it is.",
            ),
            (Self::Provisioning, Retry) => {
                ("workspace_provisioning", "This workspace is already being made ready.")
            }
            (Self::Error, Upload | Chat) => {
                ("workspace_error", "This workspace could not be made ready. Retry that first.")
            }
            (Self::Ready, Retry) => {
                ("workspace_ready", "This workspace is ready; there is nothing to retry.")
            }
        };
        Some(Refusal::new(code, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Counts;
    use crate::status::Processor;
    use uuid::Uuid;

    fn at(n: i64) -> Timestamp {
        Timestamp::from_micros(n)
    }

    fn fresh() -> Workspace {
        Workspace {
            id: crate::WorkspaceId::new(Uuid::from_u128(1)),
            user_id: crate::UserId::new(Uuid::from_u128(2)),
            name: "Papers".into(),
            description: String::new(),
            status: WorkspaceStatus::Provisioning,
            status_message: None,
            provisioning: Some(Provisioning::attempt(1)),
            processor: Processor::Builtin,
            metadata: crate::resource::no_metadata(),
            counts: Counts::default(),
            paused: false,
            bulk: None,
            rev: 0,
            created_at: at(0),
            updated_at: at(0),
            last_activity_at: at(0),
        }
    }

    fn failure() -> Failure {
        Failure {
            code: "model_missing".into(),
            message: "The model is missing.".into(),
            hint: Some("Bring it.".into()),
            retryable: true,
        }
    }

    fn do_steps(w: &mut Workspace, steps: &[ProvisionStep]) {
        for &step in steps {
            assert_eq!(advance(w, &Change::Begin(step), at(1)), Ok(true));
            assert_eq!(advance(w, &Change::Done(step), at(2)), Ok(true));
        }
    }

    #[test]
    fn the_last_step_makes_the_workspace_ready() {
        let mut w = fresh();
        do_steps(&mut w, &ProvisionStep::ALL[..3]);
        assert_eq!(w.status, WorkspaceStatus::Provisioning);
        do_steps(&mut w, &ProvisionStep::ALL[3..]);
        assert_eq!((w.status, &w.provisioning, &w.status_message), (WorkspaceStatus::Ready, &None, &None));
    }

    #[test]
    fn a_skipped_step_counts_as_through() {
        let mut w = fresh();
        do_steps(&mut w, &ProvisionStep::ALL[..2]);
        assert_eq!(advance(&mut w, &Change::Skip(ProvisionStep::Model), at(3)), Ok(true));
        do_steps(&mut w, &ProvisionStep::ALL[3..]);
        assert_eq!(w.status, WorkspaceStatus::Ready);
    }

    #[test]
    fn beginning_again_after_a_crash_changes_nothing() {
        let mut w = fresh();
        assert_eq!(advance(&mut w, &Change::Begin(ProvisionStep::Settings), at(1)), Ok(true));
        let before = w.clone();
        assert_eq!(advance(&mut w, &Change::Begin(ProvisionStep::Settings), at(9)), Ok(false));
        assert_eq!(w, before);
    }

    #[test]
    fn a_step_out_of_turn_is_refused_and_changes_nothing() {
        let mut w = fresh();
        do_steps(&mut w, &ProvisionStep::ALL[..1]);
        let before = w.clone();
        for change in [
            Change::Begin(ProvisionStep::Settings),
            Change::Done(ProvisionStep::Settings),
            Change::Begin(ProvisionStep::Index),
            Change::Done(ProvisionStep::Storage),
            Change::Skip(ProvisionStep::Index),
            Change::Failed(ProvisionStep::Storage, failure()),
            Change::Retry,
        ] {
            assert!(advance(&mut w, &change, at(9)).is_err(), "{change:?}");
            assert_eq!(w, before, "{change:?}");
        }
    }

    #[test]
    fn a_failure_tells_its_reason_and_a_retry_begins_anew_without_it() {
        let mut w = fresh();
        do_steps(&mut w, &ProvisionStep::ALL[..2]);
        assert_eq!(advance(&mut w, &Change::Begin(ProvisionStep::Model), at(3)), Ok(true));
        assert_eq!(advance(&mut w, &Change::Failed(ProvisionStep::Model, failure()), at(4)), Ok(true));
        assert_eq!(
            (w.status, w.status_message.as_deref()),
            (WorkspaceStatus::Error, Some("The model is missing."))
        );
        let told = w.provisioning.clone().unwrap();
        assert_eq!(
            (told.error_code.as_deref(), told.error_hint.as_deref()),
            (Some("model_missing"), Some("Bring it."))
        );
        assert_eq!(told.steps[2].status, ProvisionStatus::Failed);

        assert_eq!(advance(&mut w, &Change::Retry, at(5)), Ok(true));
        assert_eq!((w.status, &w.status_message), (WorkspaceStatus::Provisioning, &None));
        assert_eq!(w.provisioning, Some(Provisioning::attempt(2)));
        do_steps(&mut w, ProvisionStep::ALL);
        assert_eq!((w.status, w.provisioning), (WorkspaceStatus::Ready, None));
    }

    #[test]
    fn what_is_refused_in_which_status_is_this_table() {
        use {WorkspaceAction as A, WorkspaceStatus as S};
        let allowed = [(S::Ready, A::Upload), (S::Ready, A::Chat), (S::Error, A::Retry)];
        for &status in S::ALL {
            for &action in A::ALL {
                let may = allowed.contains(&(status, action)) || (action == A::Edit && status != S::Deleting);
                assert_eq!(status.refuses(action).is_none(), may, "{status} {action}");
            }
        }
    }
}
