//! Tries once more to make a workspace ready.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{Workspace, WorkspaceId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/retry", output = Answer)]
pub async fn retry_workspace(id: WorkspaceId) -> Result<Wire<Option<Workspace>>, AppError> {
    use crate::ssr::{self, Form};
    let (services, who) = ssr::signed_in()?;
    let retried = services.retry_workspace(who.user.id, id).await;
    let page = crate::paths::workspace(id);
    ssr::finish(retried.map(|w| Wire(Some(w))), Form { page: &page, next: &page, values: &[], said: "" })
}
