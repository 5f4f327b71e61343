//! Leaves out the embedding of a job: what it has not finished is found by its words alone.

use crate::{error::AppError, wire::Answer};
use domain::{JobId, WorkspaceId};
use leptos::prelude::*;

/// `workspace`: whose page it leads back to without a script.
#[server(prefix = "/_fn", endpoint = "jobs/skip_embedding", output = Answer)]
pub async fn skip_embedding_of_job(id: JobId, workspace: WorkspaceId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::{PhaseName, ingest::control::Control};
    let (services, who) = ssr::signed_in()?;
    let done = services.control_job(who.user.id, id, Control::CancelPhase(PhaseName::Embedding)).await;
    let page = crate::paths::workspace(workspace);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
