//! Who of all the person's browsers tells of the end of a job.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::JobId;
use leptos::prelude::*;

/// True for the first that asks.
#[server(prefix = "/_fn", endpoint = "shell/tell_end", output = Answer)]
pub async fn tell_end(job: JobId, attempt: u32) -> Result<Wire<bool>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.first_to_tell_end(who.user.id, job, attempt).await.map(Wire).map_err(ssr::told)
}
