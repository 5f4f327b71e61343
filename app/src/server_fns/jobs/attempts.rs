//! The attempts of a job.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{JobId, resource::Attempt};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "jobs/attempts", output = Answer)]
pub async fn list_attempts(id: JobId) -> Result<Wire<Vec<Attempt>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.attempts(who.user.id, id).await.map(Wire).map_err(ssr::told)
}
