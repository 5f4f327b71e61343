//! Brings a document back that was just deleted.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/restore", output = Answer)]
pub async fn restore_document(id: DocumentId) -> Result<(), AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let done = services.restore_document(who.user.id, id).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
