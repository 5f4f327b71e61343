//! Embeds a passage anew, alone.

use crate::{error::AppError, wire::Answer};
use domain::{ChunkId, DocumentId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/embed_passage", output = Answer)]
pub async fn embed_passage(document: DocumentId, chunk: ChunkId) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let done = services.embed_chunk(who.user.id, document, chunk).await;
    let page = paths::passage(document, chunk);
    let form = ssr::Form { page: &page, next: &page, values: &[], said: "The passage was embedded anew." };
    ssr::finish(done.map(|_| ()), form)
}
