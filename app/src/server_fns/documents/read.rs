//! A document with its steps and first passages.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{DocumentId, pages::DocumentPage};
use leptos::prelude::*;

/// Passages that a page starts with, and that "Load more" adds.
#[cfg(feature = "ssr")]
pub const PAGE: u32 = 20;

#[server(prefix = "/_fn", endpoint = "documents/read", output = Answer)]
pub async fn read_document(id: DocumentId) -> Result<Wire<DocumentPage>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    services.document_page(who.user.id, id, PageQuery::first(PAGE)).await.map(Wire).map_err(ssr::told)
}
