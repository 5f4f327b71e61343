//! Pauses all work of a workspace.

use crate::{error::AppError, wire::Answer};
use domain::{WorkspaceId, ingest::control::Stop};
use leptos::prelude::*;

/// `stop`: whether what is in hand is finished before.
#[server(prefix = "/_fn", endpoint = "workspaces/pause", output = Answer)]
pub async fn pause_workspace(id: WorkspaceId, stop: Stop) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let done = services.pause_workspace(who.user.id, id, stop).await;
    let page = crate::paths::workspace(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
