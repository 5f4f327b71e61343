//! The chat.

use super::{FromJson, at};
use crate::server_fns::chat::{Asked, ChatPage, ShownSource, ShownStep, ShownTurn, TalkLine};
use domain::event::ConversationChanged;
use serde_json::Value;

objects! {
    ChatPage { name, conversation, title, talks, search, older, turns, earlier, is_past, has_model }
    TalkLine { conversation, title }
    ShownTurn {
        id,
        query,
        status,
        html,
        steps,
        sources,
        note,
        error,
        hint,
        found_nothing,
        unsearched,
        searched,
        may_repeat,
        is_replaced,
        again_as,
        last_event,
    }
    ShownStep { title, took }
    ShownSource { number, href, filename, place, text, cited }
    Asked { conversation, title, turn }
    ConversationChanged { conversation_id, workspace_id, turn_id, status, rev }
}
