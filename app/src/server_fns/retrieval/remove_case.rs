//! Forgets a test case.

use crate::{error::AppError, wire::Answer};
use domain::{CaseId, WorkspaceId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "retrieval/remove_case", output = Answer)]
pub async fn remove_case(id: WorkspaceId, case: CaseId) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let removed = services.remove_retrieval_case(who.user.id, id, case).await;
    let page = paths::retrieval(id);
    ssr::finish(removed, ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
