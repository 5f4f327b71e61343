//! Renames and tags a document, or says whether searches find it.

use crate::{error::AppError, wire::Answer};
use domain::DocumentId;
use leptos::prelude::*;

/// `tags`: all of them, with commas between. What is not named stays as it is.
#[server(prefix = "/_fn", endpoint = "documents/edit", output = Answer)]
pub async fn edit_document(
    id: DocumentId,
    #[server(default)] filename: Option<String>,
    #[server(default)] tags: Option<String>,
    #[server(default)] enabled: Option<bool>,
) -> Result<(), AppError> {
    use crate::ssr;
    use domain::labels::Edit;
    let (services, who) = ssr::signed_in()?;
    let split = |tags: String| {
        let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        tags.map(str::to_owned).collect::<Vec<_>>()
    };
    let edit = Edit { filename, enabled, tags: tags.map(split), ..Edit::default() };
    let done = services.edit_document(who.user.id, id, edit).await;
    let page = crate::paths::document(id);
    ssr::finish(done.map(|_| ()), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
