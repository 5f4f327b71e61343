//! The history of a document.

use super::HistoryPage;
use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::DocumentId;
use leptos::prelude::*;

/// `all`: progress too, not only turns from one status to another.
#[server(prefix = "/_fn", endpoint = "history/document", output = Answer)]
pub async fn document_history(
    id: DocumentId,
    #[server(default)] after: Option<String>,
    #[server(default)] all: bool,
) -> Result<Wire<HistoryPage>, AppError> {
    use super::{query, worded};
    use crate::ssr;
    use services::ports::HistoryOf;
    let (services, who) = ssr::signed_in()?;
    let document = services.document(who.user.id, id).await.map_err(ssr::told)?;
    let page = services.history(who.user.id, HistoryOf::Document(id), query(after, all)).await;
    page.map(|page| Wire(worded(document.filename, page))).map_err(ssr::told)
}
