//! Runs one document again.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/retry", output = Answer)]
pub async fn retry_document(id: DocumentId) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let done = services.retry_document(who.user.id, id, None).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
