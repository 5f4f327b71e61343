//! Brings a conversation back that was just deleted.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "chat/restore", output = Answer)]
pub async fn restore_talk(id: WorkspaceId, conversation: String) -> Result<(), AppError> {
    use crate::{paths, ssr};
    use services::Error;
    let (services, who) = ssr::signed_in()?;
    let restored = match conversation.parse() {
        Ok(of) => services.restore_conversation(who.user.id, &of).await,
        Err(_) => Err(Error::NotFound("conversation")),
    };
    let page = paths::chat(id, &conversation);
    ssr::finish(restored.map(drop), ssr::Form { page: &page, next: &page, values: &[], said: "" })
}
