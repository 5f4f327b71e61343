//! Asks a question.

use super::ShownTurn;
use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::WorkspaceId;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A question that was taken; its answer is on its way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub conversation: String,
    pub title: String,
    pub turn: ShownTurn,
}

/// `conversation`: none means a new one. `key`: the same question under it again is the same.
#[server(prefix = "/_fn", endpoint = "chat/ask", output = Answer)]
pub async fn ask(
    id: WorkspaceId,
    #[server(default)] query: String,
    #[server(default)] conversation: String,
    #[server(default)] key: String,
) -> Result<Wire<Asked>, AppError> {
    use crate::{paths, ssr};
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let page = paths::chat(id, &conversation);
    let form = services::AskForm {
        query: query.clone(),
        workspace_id: Some(id),
        session_id: Some(conversation),
        without_sources: false,
    };
    let command = (!key.is_empty()).then(|| format!("ask {key}"));
    let asked = match services.ask(user, form, command).await {
        Ok(turn) => super::asked(&services, turn).await,
        Err(e) => Err(e),
    };
    let next = asked.as_ref().map_or_else(|_| page.clone(), |asked| paths::chat(id, &asked.conversation));
    ssr::finish(
        asked.map(Wire),
        ssr::Form { page: &page, next: &next, values: &[("query", &query)], said: "" },
    )
}

#[cfg(feature = "ssr")]
pub(super) async fn asked(
    services: &services::Services,
    turn: domain::chat::Turn,
) -> services::Result<Asked> {
    let conversation = services.conversation(turn.user_id, &turn.conversation_id).await?;
    let conversation_id = turn.conversation_id.to_string();
    // From its beginning, so that every step is seen.
    let turn = ShownTurn { last_event: 0, html: String::new(), ..super::shown(services, turn, &[]) };
    Ok(Asked { conversation: conversation_id, title: conversation.title, turn })
}
