//! Runs again what failed in a job.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/retry", output = Answer)]
pub async fn retry_job(id: JobId, workspace: WorkspaceId, attempt: u32) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::{Control, Retry};
    let (services, who) = ssr::signed_in()?;
    let done = services
        .control_job(who.user.id, id, Control::Retry(Retry { attempt: Some(attempt), ..Retry::failed() }))
        .await;
    let page = crate::paths::workspace(workspace);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
