//! Leaves out the embedding of one document: it is found by its words alone.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/skip_embedding", output = Answer)]
pub async fn skip_embedding(id: DocumentId) -> Result<(), AppError> {
    use crate::ssr;
    use domain::ingest::control::DocumentControl;
    let (services, who) = ssr::signed_in()?;
    let done = services.control_document(who.user.id, id, DocumentControl::SkipEmbedding).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
