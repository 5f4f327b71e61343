//! The jobs of a workspace, and one of them with the steps of its documents.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{
    JobId, WorkspaceId,
    pages::{JobPage, JobsPage},
};
use leptos::prelude::*;

/// Jobs on one page.
#[cfg(feature = "ssr")]
const PAGE: u32 = 50;

#[server(prefix = "/_fn", endpoint = "workspaces/job", output = Answer)]
pub async fn read_job(id: WorkspaceId, job: JobId) -> Result<Wire<JobPage>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.job_page(who.user.id, id, job).await.map(Wire).map_err(ssr::told)
}

#[server(prefix = "/_fn", endpoint = "workspaces/jobs", output = Answer)]
pub async fn list_jobs(
    id: WorkspaceId,
    #[server(default)] after: Option<String>,
) -> Result<Wire<JobsPage>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let query = PageQuery { limit: PAGE, after };
    services.jobs_of(who.user.id, id, query).await.map(Wire).map_err(ssr::told)
}
