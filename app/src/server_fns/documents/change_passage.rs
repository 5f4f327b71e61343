//! Writes other words in place of a passage's, or switches it off or on.

use crate::{error::AppError, wire::Answer};
use domain::{ChunkId, DocumentId};
use leptos::prelude::*;

/// `enabled`: "true" or "false"; what is absent stays.
#[server(prefix = "/_fn", endpoint = "documents/change_passage", output = Answer)]
pub async fn change_passage(
    document: DocumentId,
    chunk: ChunkId,
    #[server(default)] text: Option<String>,
    #[server(default)] enabled: Option<bool>,
) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    // Browsers send each end of a line as two characters.
    let text = text.map(|text| text.replace("\r\n", "\n"));
    let form = services::PassageForm { text: text.clone(), enabled };
    let changed = services.change_chunk(who.user.id, document, chunk, form).await;
    let page = paths::passage(document, chunk);
    let values = [("text", text.as_deref().unwrap_or_default())];
    let values = if text.is_some() { &values[..] } else { &[] };
    ssr::finish(changed.map(|_| ()), ssr::Form { page: &page, next: &page, values, said: "" })
}
