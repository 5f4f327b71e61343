//! Making, listing and changing workspaces.

use crate::{
    Error, Result, Services, command,
    ports::{NewWorkspace, PageQuery, Signal, StoreError, WorkspaceEdit},
    text::composed,
};
use domain::{
    FieldErrors, Problem, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    provision::{Change, WorkspaceAction},
    resource::Page,
    status::Processor,
    validate::{Description, WorkspaceName},
};
use serde::{Deserialize, Serialize};

/// The form of a new workspace, as it was typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewWorkspaceForm {
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// The built-in workers, when absent.
    #[serde(default)]
    pub processor: Option<Processor>,
}

/// Changes of a workspace, as they were typed; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EditWorkspaceForm {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub processor: Option<Processor>,
}

impl Services {
    /// Makes the workspace in `provisioning`, with a snapshot of the user's default configuration; it turns ready (or
    /// error) by itself.
    pub async fn create_workspace(
        &self,
        user: UserId,
        form: NewWorkspaceForm,
        command_id: Option<String>,
    ) -> Result<Workspace> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", WorkspaceName::parse(&composed(form.name)));
        let description = composed(form.description.unwrap_or_default());
        let description = errors.take("description", Description::parse(&description));
        let (Some(name), Some(description)) = (name, description) else {
            return Err(Error::Invalid(errors));
        };
        let rag_config = self.default_rag_config(user).await?.config;
        let processor = form.processor.unwrap_or(Processor::Builtin);
        let print = command::print([name.as_str(), description.as_str(), processor.as_str()]);
        let workspace = self
            .workspaces
            .create_workspace(NewWorkspace {
                id: WorkspaceId::new(self.ids.uuid()),
                user_id: user,
                name,
                description,
                status: WorkspaceStatus::Provisioning,
                processor,
                rag_config,
                command_id,
                command_print: Some(print),
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

    /// Changes name, description and processor, by the same rules as at the making; what is not given stays.
    ///
    /// # Errors
    /// `Invalid` by field; 409 `workspace_deleting`.
    pub async fn edit_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        form: EditWorkspaceForm,
    ) -> Result<Workspace> {
        let mut errors = FieldErrors::default();
        let name = form.name.and_then(|name| errors.take("name", WorkspaceName::parse(&composed(name))));
        let description =
            form.description.and_then(|text| errors.take("description", Description::parse(&composed(text))));
        errors.check()?;
        let turned = form.processor.is_some();
        let edit = WorkspaceEdit { name, description, processor: form.processor };
        let edited = self.workspaces.edit_workspace(user, id, edit, self.clock.now()).await;
        let edited = edited.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("workspace"),
            other => other.into(),
        })?;
        if turned {
            self.tell_stale(id).await?;
            return self.workspace(user, id).await;
        }
        Ok(edited)
    }

    /// Another attempt at a workspace that could not be made ready; it goes on by itself.
    ///
    /// # Errors
    /// 409 from any other status, with the sentence of that status.
    pub async fn retry_workspace(&self, user: UserId, id: WorkspaceId) -> Result<Workspace> {
        self.allow(user, id, WorkspaceAction::Retry).await?;
        let workspace = self.workspaces.advance_workspace(id, Change::Retry, self.clock.now()).await?;
        self.bus.publish(Signal::WorkReady);
        Ok(workspace)
    }

    /// The workspace, when its status allows the action.
    ///
    /// # Errors
    /// 409 with the code and the sentence of the status.
    pub async fn allow(&self, user: UserId, id: WorkspaceId, action: WorkspaceAction) -> Result<Workspace> {
        let workspace = self.workspace(user, id).await?;
        match workspace.status.refuses(action) {
            None => Ok(workspace),
            Some(refusal) => {
                let mut problem = Problem::from(refusal);
                if action == WorkspaceAction::Retry {
                    let allowed = workspace.status.allowed().iter().map(|s| s.as_str().to_owned());
                    problem.allowed = Some(allowed.collect());
                }
                Err(Error::Problem(Box::new(problem)))
            }
        }
    }
}
