//! What workers of somebody's own report.

use crate::{Caller, Error, Result, Services, actor::acting, ports::StoreError};
use domain::{
    Document, DocumentId, Workspace, WorkspaceId,
    report::{DocumentReport, WorkspaceReport},
};

impl Services {
    /// How far a document is, as its worker says. Answers the document as it is then.
    ///
    /// # Errors
    /// `Invalid` by field; 404; 409 with `allowed` for a move that the table does not have, `not_external`,
    /// `builtin_at_work`, `job_paused`, `job_stopping`, `job_ended`.
    pub async fn report_document(
        &self,
        caller: &Caller,
        id: DocumentId,
        report: DocumentReport,
    ) -> Result<Document> {
        let (user, report) = (caller.user.id, report.check()?);
        let wordless = report.wordless_step();
        let applied = self.jobs.report_document(user, id, report, self.clock.now());
        let document =
            acting(caller.actor().reporting(), applied).await.map_err(|e| missing(e, "document"))?;
        if let Some(step) = wordless {
            self.want_sentence(&step).await;
        }
        Ok(document)
    }

    /// How a workspace is, as its worker says. Answers the workspace as it is then.
    ///
    /// # Errors
    /// `Invalid` by field; 404; 409 with `allowed` for a move that the table does not have, `not_external`,
    /// `workspace_deleting`.
    pub async fn report_workspace(
        &self,
        caller: &Caller,
        id: WorkspaceId,
        report: WorkspaceReport,
    ) -> Result<Workspace> {
        let (user, report) = (caller.user.id, report.check()?);
        let applied = self.workspaces.report_workspace(user, id, report, self.clock.now());
        let workspace =
            acting(caller.actor().reporting(), applied).await.map_err(|e| missing(e, "workspace"))?;
        // It may have to be made ready again.
        self.bus.publish(crate::ports::Signal::WorkReady);
        Ok(workspace)
    }
}

fn missing(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}
