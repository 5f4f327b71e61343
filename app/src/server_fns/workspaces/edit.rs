//! Changes the name and the description of a workspace.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{Workspace, WorkspaceId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/edit", output = Answer)]
pub async fn edit_workspace(
    id: WorkspaceId,
    #[server(default)] name: String,
    #[server(default)] description: String,
) -> Result<Wire<Option<Workspace>>, AppError> {
    use crate::ssr::{self, Form};
    let (services, who) = ssr::signed_in()?;
    let form = services::EditWorkspaceForm {
        name: Some(name.clone()),
        description: Some(description.clone()),
        ..Default::default()
    };
    let changed = services.edit_workspace(who.user.id, id, form).await;
    let values = [("name", &*name), ("description", &*description)];
    let page = crate::paths::workspace(id);
    ssr::finish(changed.map(|w| Wire(Some(w))), Form { page: &page, next: &page, values: &values, said: "" })
}
