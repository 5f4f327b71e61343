//! The beginning of a document's text.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::DocumentId;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewText {
    /// Of the document's content.
    pub version: u32,
    /// HTML that the server made, which holds nothing but text and its structure; otherwise plain text.
    pub is_html: bool,
    pub body: String,
    pub whole: bool,
}

#[server(prefix = "/_fn", endpoint = "documents/preview", output = Answer)]
pub async fn preview_document(
    id: DocumentId,
    #[server(default)] version: Option<u32>,
) -> Result<Wire<PreviewText>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let preview = services.preview(who.user.id, id, version).await.map_err(ssr::told)?;
    let services::Preview { version, is_html, body, whole } = preview;
    Ok(Wire(PreviewText { version, is_html, body, whole }))
}
