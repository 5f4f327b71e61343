//! Cancels a job; what is ready is kept, or taken back.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/cancel", output = Answer)]
pub async fn cancel_job(id: JobId, workspace: WorkspaceId, keep_results: bool) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::Control;
    let (services, who) = ssr::signed_in()?;
    let done = services.control_job(who.user.id, id, Control::Cancel { keep_results }).await;
    let page = crate::paths::workspace(workspace);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
