//! Making, listing and provisioning workspaces.

use crate::{
    Error, Result, Services,
    ports::{NewWorkspace, PageQuery, Signal},
};
use domain::{
    FieldErrors, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    rag::RagConfig,
    resource::Page,
    validate::{Description, WorkspaceName},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// The form of a new workspace, as it was typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewWorkspaceForm {
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
}

impl Services {
    /// Makes the workspace in `provisioning`; it turns ready (or error) by itself.
    pub async fn create_workspace(
        &self,
        user: UserId,
        form: NewWorkspaceForm,
        command_id: Option<String>,
    ) -> Result<Workspace> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", WorkspaceName::parse(&form.name));
        let description =
            errors.take("description", Description::parse(form.description.as_deref().unwrap_or("")));
        let (Some(name), Some(description)) = (name, description) else {
            return Err(Error::Invalid(errors));
        };
        let workspace = self
            .workspaces
            .create_workspace(NewWorkspace {
                id: WorkspaceId::new(self.ids.uuid()),
                user_id: user,
                name,
                description,
                status: WorkspaceStatus::Provisioning,
                rag_config: RagConfig::default(),
                command_id,
                created_at: self.clock.now(),
            })
            .await?;
        self.bus.publish(Signal::WorkReady);
        Ok(workspace)
    }

    pub async fn workspace(&self, user: UserId, id: WorkspaceId) -> Result<Workspace> {
        self.workspaces.workspace(user, id).await?.ok_or(Error::NotFound("workspace"))
    }

    pub async fn list_workspaces(&self, user: UserId, page: PageQuery) -> Result<Page<Workspace>> {
        Ok(self.workspaces.workspaces(user, page).await?)
    }

    /// Makes waiting workspaces ready: checks that their model can run and that files can be stored. Answers how many
    /// were settled. Safe to run twice and after a crash: it starts from the rows.
    pub async fn provision_waiting(&self) -> Result<usize> {
        let waiting = self.workspaces.provisioning(50).await?;
        for workspace in &waiting {
            let (to, message) = match self.provision(workspace).await {
                Ok(()) => (WorkspaceStatus::Ready, None),
                Err(e) => (WorkspaceStatus::Error, Some(e.to_problem().detail)),
            };
            match self.workspaces.set_workspace_status(workspace.id, to, message, self.clock.now()).await {
                Ok(_) => {}
                // Another node was first, or the workspace is gone.
                Err(crate::ports::StoreError::Illegal(_) | crate::ports::StoreError::NotFound) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(waiting.len())
    }

    async fn provision(&self, workspace: &Workspace) -> Result<()> {
        let config = self.workspaces.rag_config(workspace.user_id, workspace.id).await?;
        let config = config.ok_or(Error::NotFound("workspace"))?;
        if config.embeds() {
            // Loads the model and proves that it answers.
            self.embedder.embed(&config.embedding_model, vec!["InsightHub".into()]).await?;
        }
        let key = format!("probes/{}", workspace.id);
        self.blobs.put(&key, bytes::Bytes::from_static(b"ok")).await?;
        self.blobs.delete(&key).await?;
        self.index.index_version(workspace.id).await?;
        Ok(())
    }

    /// Provisions for as long as the future is polled: woken by the bus, with a slow poll in case a wake-up was lost.
    pub async fn run_provisioner(self) {
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        loop {
            match self.provision_waiting().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(e) => tracing::warn!(error = %e, "provisioning will be tried again"),
            }
            let wake = async {
                loop {
                    match bus.recv().await {
                        Ok(Signal::WorkReady) | Err(RecvError::Lagged(_)) => break,
                        Ok(_) => {}
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(5), wake).await;
        }
    }
}
