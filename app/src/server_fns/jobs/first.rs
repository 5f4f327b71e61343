//! Puts a job before the person's other ones.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/first", output = Answer)]
pub async fn put_job_first(id: JobId, workspace: WorkspaceId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::Control;
    let (services, who) = ssr::signed_in()?;
    let done = services.control_job(who.user.id, id, Control::First).await;
    let page = crate::paths::workspace(workspace);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
