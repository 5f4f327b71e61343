//! The next passages of a document, or its first ones when nothing was read yet; with `words` those that have them.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{Chunk, DocumentId, resource::Page};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/chunks", output = Answer)]
pub async fn list_chunks(
    id: DocumentId,
    #[server(default)] after: Option<String>,
    #[server(default)] words: String,
) -> Result<Wire<Page<Chunk>>, AppError> {
    use super::read::PAGE;
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let page = PageQuery { limit: PAGE, after };
    services.find_chunks(who.user.id, id, None, Some(&words), page).await.map(Wire).map_err(ssr::told)
}
