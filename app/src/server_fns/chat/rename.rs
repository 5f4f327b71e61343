//! Names a conversation.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "chat/rename", output = Answer)]
pub async fn rename_talk(
    id: WorkspaceId,
    conversation: String,
    #[server(default)] title: String,
) -> Result<(), AppError> {
    use crate::{paths, ssr};
    use services::Error;
    let (services, who) = ssr::signed_in()?;
    let renamed = match conversation.parse() {
        Ok(of) => services.rename_conversation(who.user.id, &of, &title).await,
        Err(_) => Err(Error::NotFound("conversation")),
    };
    let page = paths::chat(id, &conversation);
    ssr::finish(
        renamed.map(drop),
        ssr::Form { page: &page, next: &page, values: &[("title", &title)], said: "" },
    )
}
