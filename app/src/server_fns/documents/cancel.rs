//! Cancels one document; the others of its job go on.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/cancel", output = Answer)]
pub async fn cancel_document(id: DocumentId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::DocumentControl;
    let (services, who) = ssr::signed_in()?;
    let done =
        services.control_document(who.user.id, id, DocumentControl::Cancel { keep_results: true }).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
