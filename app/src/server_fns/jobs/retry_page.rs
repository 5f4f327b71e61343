//! Asks for one page of a crawl again that could not be had.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/retry_page", output = Answer)]
pub async fn retry_page(
    id: JobId,
    workspace: WorkspaceId,
    attempt: u32,
    page: String,
) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::{Control, Retry};
    let (services, who) = ssr::signed_in()?;
    let control = Control::Retry(Retry::page(page, Some(attempt)));
    let done = services.control_job(who.user.id, id, control).await;
    let page = crate::paths::job(workspace, id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
