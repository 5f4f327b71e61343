//! Keeps a question with the passage that has to be found for it.

use crate::{error::AppError, wire::Answer};
use domain::{ChunkId, DocumentId, WorkspaceId};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "retrieval/add_case", output = Answer)]
pub async fn add_case(
    id: WorkspaceId,
    #[server(default)] question: String,
    document: DocumentId,
    #[server(default)] chunk: Option<ChunkId>,
) -> Result<(), AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let page = paths::retrieval(id);
    let next = format!("{page}?q={}", paths::encode(&question));
    let form = services::CaseForm { question, document_id: document, chunk_id: chunk };
    let added = services.add_retrieval_case(who.user.id, id, form, None).await;
    ssr::finish(added.map(|_| ()), ssr::Form { page: &page, next: &next, values: &[], said: "" })
}
