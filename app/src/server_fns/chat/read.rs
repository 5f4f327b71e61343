//! A conversation with its turns, and the others of its workspace. Answers come as HTML that the server made safe; figures are
//! worded here, so that the page only shows them.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::WorkspaceId;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What the page needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatPage {
    /// Of the workspace.
    pub name: String,
    /// Empty: a new one, which gets its name with its first question.
    pub conversation: String,
    pub title: String,
    pub talks: Vec<TalkLine>,
    /// What the list was searched for.
    pub search: String,
    /// Where those behind them in the list begin; empty where there are none.
    pub older: String,
    /// The oldest first.
    pub turns: Vec<ShownTurn>,
    /// Where those before them are; empty where there are none.
    pub earlier: String,
    /// They are not the newest ones.
    pub is_past: bool,
    /// A language model answers; without one, answers are extracts.
    pub has_model: bool,
}

/// A conversation in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TalkLine {
    pub conversation: String,
    pub title: String,
}

/// A question with its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShownTurn {
    pub id: String,
    pub query: String,
    /// `processing`, `completed`, `stopped` or `failed`.
    pub status: String,
    /// The answer, as far as it came.
    pub html: String,
    /// The steps that it went through, while they are kept.
    pub steps: Vec<ShownStep>,
    pub sources: Vec<ShownSource>,
    /// Who answered and how long it took.
    pub note: String,
    /// Why it failed, and what helps.
    pub error: String,
    pub hint: String,
    /// No passage answers the question.
    pub found_nothing: bool,
    /// So many documents were not searched yet.
    pub unsearched: u64,
    /// So many were; none where that was not noted.
    pub searched: Option<u64>,
    /// Its question may be asked again in its place.
    pub may_repeat: bool,
    /// Its question was asked again.
    pub is_replaced: bool,
    /// As which turn; empty where it was not.
    pub again_as: String,
    /// Id of the last message of its stream that is in here.
    pub last_event: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownStep {
    pub title: String,
    /// How long it took; empty for the last one, and while it goes on.
    pub took: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownSource {
    pub number: u64,
    /// Where the passage stands on its page.
    pub href: String,
    pub filename: String,
    pub place: String,
    pub text: String,
    pub cited: bool,
}

/// Turns that a page shows.
#[cfg(feature = "ssr")]
const TURNS: u32 = 100;

/// Conversations that a page lists.
#[cfg(feature = "ssr")]
const TALKS: u32 = 100;

/// `conversation`: none means a new one. `before`: its turns from there back. `behind`: the list from there on.
#[server(prefix = "/_fn", endpoint = "chat/read", output = Answer)]
pub async fn read_chat(
    id: WorkspaceId,
    #[server(default)] conversation: String,
    #[server(default)] search: String,
    #[server(default)] before: String,
    #[server(default)] behind: String,
) -> Result<Wire<ChatPage>, AppError> {
    use super::shown;
    use crate::ssr::{self, told};
    use domain::chat::ConversationId;
    use services::{Error, ports::PageQuery};
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let workspace = services.workspace(user, id).await.map_err(told)?;
    let has_model = services.has_language_model();
    let list = PageQuery { limit: TALKS, after: Some(behind).filter(|behind| !behind.is_empty()) };
    let found = services.conversations(user, Some(id), Some(&search), list).await.map_err(told)?;
    let talks = found
        .items
        .into_iter()
        .map(|c| TalkLine { conversation: c.conversation_id.to_string(), title: c.title });
    let (name, talks, older) = (workspace.name, talks.collect(), found.next.unwrap_or_default());
    let mut page = ChatPage { name, talks, search, older, has_model, ..ChatPage::default() };
    if conversation.is_empty() {
        return Ok(Wire(page));
    }
    let missing = || told(Error::NotFound("conversation"));
    let of: ConversationId = conversation.parse().map_err(|_| missing())?;
    let found = services.conversation(user, &of).await.map_err(told)?;
    if found.workspace_id != id {
        return Err(missing());
    }
    let steps = services.chat_status(user, &of).await.map_err(told)?;
    let is_past = !before.is_empty();
    let turns = PageQuery { limit: TURNS, after: Some(before).filter(|_| is_past) };
    let turns = services.turns_of(user, &of, turns).await.map_err(told)?;
    (page.conversation, page.title) = (conversation, found.title);
    (page.earlier, page.is_past) = (turns.next.unwrap_or_default(), is_past);
    page.turns = turns.items.into_iter().map(|turn| shown(&services, turn, &steps)).collect();
    Ok(Wire(page))
}
