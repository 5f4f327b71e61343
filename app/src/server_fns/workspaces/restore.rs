//! Takes the deletion of a workspace back.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/restore", output = Answer)]
pub async fn restore_workspace(id: WorkspaceId) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let done = services.restore_workspace(who.user.id, id).await;
    let page = crate::paths::workspace(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
