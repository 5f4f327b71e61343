//! Ends an answer; what came by then stays.

use crate::{error::AppError, wire::Answer};
use domain::{TurnId, WorkspaceId};
use leptos::prelude::*;

/// `workspace` and `conversation`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "chat/stop", output = Answer)]
pub async fn stop_turn(
    id: TurnId,
    workspace: WorkspaceId,
    #[server(default)] conversation: String,
) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let stopped = services.stop_turn(who.user.id, id).await;
    let page = paths::chat(workspace, &conversation);
    ssr::finish(stopped.map(drop), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
