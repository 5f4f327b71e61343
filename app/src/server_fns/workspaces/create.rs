//! Makes a workspace. A script gets it back, still provisioning; a plain form is led to the list that shows it.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::Workspace;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/create", output = Answer)]
pub async fn create_workspace(
    #[server(default)] name: String,
    #[server(default)] description: String,
    /// Drawn with the form, so that a form that is sent twice makes one workspace.
    #[server(default)]
    key: String,
) -> Result<Wire<Option<Workspace>>, AppError> {
    use crate::ssr::{self, Form};
    let (services, who) = ssr::signed_in()?;
    let form = services::NewWorkspaceForm {
        name: name.clone(),
        description: Some(description.clone()),
        ..Default::default()
    };
    // What was typed anew since is another command.
    let command = (!key.is_empty()).then(|| format!("{key} {name} {description}"));
    let made = services.create_workspace(who.user.id, form, command).await;
    let values = [("name", &*name), ("description", &*description)];
    ssr::finish(made.map(|made| Wire(Some(made))), Form { page: "/", next: "/", values: &values, said: "" })
}
