//! Pauses a job.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/pause", output = Answer)]
pub async fn pause_job(id: JobId, workspace: WorkspaceId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::Control;
    let (services, who) = ssr::signed_in()?;
    let done = services.control_job(who.user.id, id, Control::Pause).await;
    let page = crate::paths::workspace(workspace);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
