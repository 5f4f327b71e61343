//! Reading conversations, and the turns in them.

use super::rows::{LIVE, TURN, text_of, turn_of};
use crate::{
    containing,
    fault::Fault,
    jobs::{number, parsed},
    open::Store,
    page::{Cursor, List, limit_of, paged},
};
use domain::{
    Timestamp, UserId,
    chat::{Conversation, ConversationId, Turn},
    resource::Page,
};
use services::{
    hex::{hex, unhex},
    ports::{ConversationFilter, PageQuery, StoreError},
};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

const CONVERSATION: &str = "user_id, id, workspace_id, title, turns, created_at, updated_at";

fn conversation(row: &AnyRow) -> Result<Conversation, Fault> {
    Ok(Conversation {
        conversation_id: parsed(row, "id")?,
        user_id: parsed(row, "user_id")?,
        workspace_id: parsed(row, "workspace_id")?,
        title: row.try_get("title")?,
        turns: number(row, "turns")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

/// An id of the client's own may have any letters; in a cursor it stands by its bytes.
fn place(conversation: &Conversation) -> Cursor {
    let id = hex(conversation.conversation_id.as_str().as_bytes());
    Cursor::new(conversation.updated_at.micros(), id)
}

/// Back from that.
fn id_of(cursor: &Cursor) -> Result<String, StoreError> {
    unhex(&cursor.id).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(StoreError::BadCursor)
}

impl Store {
    pub(super) async fn read_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<Option<Conversation>, Fault> {
        let sql = format!(
            "SELECT {CONVERSATION} FROM conversations WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(conversation).transpose()
    }

    pub(super) async fn read_conversations(
        &self,
        user: UserId,
        filter: &ConversationFilter,
        page: PageQuery,
    ) -> Result<Page<Conversation>, Fault> {
        let limit = limit_of(&page);
        let behind = List::Conversations.before(&page)?;
        let behind_id = if page.after.is_some() { id_of(&behind)? } else { String::new() };
        let workspace = filter.workspace.map_or("", |_| " AND c.workspace_id = $5");
        let search = filter.search.as_ref().map_or_else(String::new, |_| {
            let has = |column| containing::condition(self.engine(), column, 6);
            format!(
                " AND ({} OR EXISTS (SELECT 1 FROM turns t WHERE t.user_id = c.user_id AND t.conversation_id = c.id \
                 AND ({} OR {})))",
                has("c.title"),
                has("t.query"),
                has("t.answer")
            )
        });
        let found = filter.search.as_ref().map(|words| {
            let words = words.replace('\0', "\u{fffd}");
            containing::pattern(self.engine(), &words)
        });
        // Every parameter stands in the text, whatever is asked for.
        let sql = format!(
            "SELECT {CONVERSATION} FROM conversations c WHERE c.user_id = $1 AND c.deleted_at IS NULL \
             AND (c.updated_at < $2 OR (c.updated_at = $2 AND c.id < $3)) \
             AND COALESCE($5, '') IS NOT NULL AND COALESCE($6, '') IS NOT NULL{workspace}{search} \
             ORDER BY c.updated_at DESC, c.id DESC LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(behind.number)
            .bind(behind_id)
            .bind(i64::from(limit) + 1)
            .bind(filter.workspace.map(|id| id.to_string()).unwrap_or_default())
            .bind(found.unwrap_or_default())
            .fetch_all(self.readers())
            .await?;
        let all: Vec<Conversation> = rows.iter().map(conversation).collect::<Result<_, _>>()?;
        Ok(paged(List::Conversations, all, limit, place))
    }

    /// The newest, the oldest of them first.
    pub(super) async fn read_turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        page: PageQuery,
    ) -> Result<Page<Turn>, Fault> {
        let limit = limit_of(&page);
        let behind = List::Turns.before(&page)?;
        let sql = format!(
            "SELECT {TURN} FROM turns WHERE user_id = $1 AND conversation_id = $2 AND {LIVE} \
             AND (created_at < $3 OR (created_at = $3 AND id < $4)) ORDER BY created_at DESC, id DESC LIMIT $5"
        );
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(conversation.as_str())
            .bind(behind.number)
            .bind(behind.id)
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *tx)
            .await?;
        let mut turns = vec![];
        for row in &rows {
            let mut turn = turn_of(row)?;
            if !turn.status.is_final() {
                turn.answer = text_of(&mut tx, turn.turn_id).await?;
            }
            turns.push(turn);
        }
        let mut page = paged(List::Turns, turns, limit, |t| Cursor::new(t.created_at.micros(), t.turn_id));
        page.items.reverse();
        Ok(page)
    }
}
