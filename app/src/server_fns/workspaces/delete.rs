//! Deletes a workspace with everything in it; for some seconds that can be undone.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

/// `confirm`: its name, typed by hand.
#[server(prefix = "/_fn", endpoint = "workspaces/delete", output = Answer)]
pub async fn delete_workspace(id: WorkspaceId, #[server(default)] confirm: String) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let begun = services.delete_workspace_by_name(who.user.id, id, &confirm).await;
    let page = paths::workspace(id);
    let values = [("confirm", &*confirm)];
    ssr::finish(begun.map(|_| ()), ssr::Form { page: &page, next: &page, values: &values, said: "" })
}
