//! Indexes the stale documents of a workspace anew, and only those.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "rag/reindex", output = Answer)]
pub async fn reindex(
    id: WorkspaceId,
    /// Drawn with the form, so that a form that is sent twice starts one job.
    #[server(default)]
    key: String,
) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let started = services.reindex(who.user.id, id, (!key.is_empty()).then_some(key)).await;
    let page = crate::paths::workspace(id);
    ssr::finish(started.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
