//! How the documents of a job went over time.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{JobId, event::FileProgress};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/job_steps", output = Answer)]
pub async fn job_steps(job: JobId) -> Result<Wire<Vec<FileProgress>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.job_steps(who.user.id, job).await.map(Wire).map_err(ssr::told)
}
