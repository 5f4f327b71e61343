//! What workers of somebody's own report.

use crate::{
    Caller, Error, Result, Services,
    actor::acting,
    ports::{OutsideWork, Reports, StoreError},
    spans,
};
use async_trait::async_trait;
use domain::{
    Actor, Document, DocumentId, UserId, Workspace, WorkspaceId,
    report::{DocumentReport, WorkspaceReport},
};
use std::sync::Arc;

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
        self.document_reported(caller.user.id, caller.actor(), id, report).await
    }

    async fn document_reported(
        &self,
        user: UserId,
        actor: Actor,
        id: DocumentId,
        report: DocumentReport,
    ) -> Result<Document> {
        let report = report.check()?;
        let wordless = report.wordless_step();
        let applied = self.jobs.report_document(user, id, report, self.clock.now());
        let document = acting(actor.reporting(), applied).await.map_err(|e| missing(e, "document"))?;
        if let Some(job) = document.job_id {
            spans::concerns(job);
        }
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
        self.workspace_reported(caller.user.id, caller.actor(), id, report).await
    }

    async fn workspace_reported(
        &self,
        user: UserId,
        actor: Actor,
        id: WorkspaceId,
        report: WorkspaceReport,
    ) -> Result<Workspace> {
        let report = report.check()?;
        let applied = self.workspaces.report_workspace(user, id, report, self.clock.now());
        let workspace = acting(actor.reporting(), applied).await.map_err(|e| missing(e, "workspace"))?;
        // It may have to be made ready again.
        self.bus.publish(crate::ports::Signal::WorkReady);
        Ok(workspace)
    }
}

/// Reports that come over a broker.
pub struct HeardReports {
    pub services: Services,
    pub outside: Arc<dyn OutsideWork>,
}

#[async_trait]
impl Reports for HeardReports {
    async fn document_report(&self, id: DocumentId, report: DocumentReport) -> Result<()> {
        let owner = self.outside.owner_of_document(id).await?.ok_or(Error::NotFound("document"))?;
        let actor = Actor::user(owner.id, &owner.username).through(BROKER);
        self.services.document_reported(owner.id, actor, id, report).await.map(drop)
    }

    async fn workspace_report(&self, id: WorkspaceId, report: WorkspaceReport) -> Result<()> {
        let owner = self.outside.owner_of_workspace(id).await?.ok_or(Error::NotFound("workspace"))?;
        let actor = Actor::user(owner.id, &owner.username).through(BROKER);
        self.services.workspace_reported(owner.id, actor, id, report).await.map(drop)
    }
}

/// How the history names the way by which such a report came, in the place of an API key.
const BROKER: &str = "over RabbitMQ";

fn missing(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}
