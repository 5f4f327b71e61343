//! Deletes a conversation with its questions and answers; for some seconds it can be brought back.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "chat/delete", output = Answer)]
pub async fn delete_talk(id: WorkspaceId, conversation: String) -> Result<(), AppError> {
    use crate::{paths, ssr};
    use services::Error;
    let (services, who) = ssr::signed_in()?;
    let deleted = match conversation.parse() {
        Ok(of) => services.delete_conversation(who.user.id, &of).await,
        Err(_) => Err(Error::NotFound("conversation")),
    };
    let (page, next) = (paths::chat(id, &conversation), paths::chat(id, ""));
    ssr::finish(deleted.map(drop), ssr::Form { page: &page, next: &next, values: &[], said: "" })
}
