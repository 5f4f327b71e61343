//! Pauses one document; the others of its job go on.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/pause", output = Answer)]
pub async fn pause_document(id: DocumentId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::DocumentControl;
    let (services, who) = ssr::signed_in()?;
    let done = services.control_document(who.user.id, id, DocumentControl::Pause).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
