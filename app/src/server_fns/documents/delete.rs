//! Deletes a document; for some seconds it can be brought back.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{DocumentId, event::DocumentDeleted};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/delete", output = Answer)]
pub async fn delete_document(id: DocumentId) -> Result<Wire<Option<DocumentDeleted>>, AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let deleted = services.delete_document(who.user.id, id).await;
    let page = paths::document(id);
    let next = deleted.as_ref().map_or_else(|_| page.clone(), |d| paths::workspace(d.workspace_id));
    ssr::finish(
        deleted.map(|deleted| Wire(Some(deleted))),
        ssr::Form { page: &page, next: &next, values: &[], said: "" },
    )
}
