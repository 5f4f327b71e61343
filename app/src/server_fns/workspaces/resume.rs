//! Lets the work of a workspace go on.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/resume", output = Answer)]
pub async fn resume_workspace(id: WorkspaceId) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let done = services.resume_workspace(who.user.id, id).await;
    let page = crate::paths::workspace(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
