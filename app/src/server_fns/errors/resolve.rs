//! Puts failures aside.

use crate::{error::AppError, wire::Answer};
use domain::{PhaseName, WorkspaceId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "errors/resolve", output = Answer)]
pub async fn resolve_errors(
    #[server(default)] code: String,
    #[server(default)] phase: Option<PhaseName>,
    #[server(default)] kind: String,
    #[server(default)] workspace: Option<WorkspaceId>,
    #[server(default)] days: u32,
) -> Result<(), AppError> {
    use crate::{paths::ERRORS, ssr};
    let (services, who) = ssr::signed_in()?;
    let filter = super::filter((code, kind), phase, workspace, days, services.clock.now());
    let done = services.resolve_errors(who.user.id, &filter).await;
    ssr::finish(done.map(|_| ()), ssr::Form { page: ERRORS, next: ERRORS, values: &[], said: "" })
}
