//! Conversations and their turns. `rows` reads and writes them; `making` has the conversations and `turns` the turns as they
//! change, `conversations` what is read of both, `deleting` their end and the way back.

mod conversations;
mod deleting;
mod making;
mod rows;
mod turns;

use crate::{
    fault::Fault,
    jobs::{clean, clean_option, lease_micros, parsed},
    open::Store,
};
use async_trait::async_trait;
use domain::{
    Timestamp, TurnId, UserId,
    chat::{Conversation, ConversationDeleted, ConversationId, StatusEntry, Turn, TurnChange, TurnEvent},
    resource::Page,
};
use rows::{LIVE, event, row_of, turn_of};
use services::ports::{Begun, Chats, ConversationFilter, NewTurn, PageQuery, StoreError, TurnWrite};
use sqlx::AssertSqlSafe;

#[async_trait]
impl Chats for Store {
    async fn begin_turn(&self, mut new: NewTurn) -> Result<Begun, StoreError> {
        clean(&mut new.opening.query);
        clean(&mut new.title);
        clean_option(&mut new.command_id);
        let user = new.opening.user_id;
        let written = self
            .writer()
            .write_for(user, "begin a turn", new, |tx, new| Box::pin(turns::begin(tx, new)))
            .await?;
        Ok(written.value)
    }

    async fn write_turn(&self, turn: TurnWrite) -> Result<(), StoreError> {
        let user = turn.user;
        let written =
            self.writer().write_for(user, "write a turn", turn, |tx, turn| Box::pin(turns::write(tx, turn)));
        written.await.map(|written| written.value)
    }

    async fn end_turn(
        &self,
        user: UserId,
        id: TurnId,
        ending: TurnChange,
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        let argument = (user, id, ending, now);
        let written = self.writer().write_for(user, "end a turn", argument, |tx, (user, id, ending, now)| {
            Box::pin(turns::end(tx, *user, *id, ending, *now))
        });
        Ok(written.await?.value)
    }

    async fn beat_turns(
        &self,
        owner: &str,
        turns: &[TurnId],
        lease_seconds: u32,
    ) -> Result<Vec<TurnId>, StoreError> {
        // Ids are letters, digits and hyphens.
        let ids: Vec<String> = turns.iter().map(|id| format!("'{id}'")).collect();
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let argument = (owner.to_owned(), ids.join(", "), lease_micros(lease_seconds));
        let written = self.writer().write("keep turns", argument, |tx, (owner, ids, lease)| {
            Box::pin(turns::keep(tx, owner, ids, *lease))
        });
        Ok(written.await?.value)
    }

    async fn abandoned_turns(&self, limit: u32) -> Result<Vec<(UserId, TurnId)>, StoreError> {
        let sql = format!(
            "SELECT user_id, id FROM turns WHERE status = 'processing' AND lease_until <= {} \
             ORDER BY lease_until LIMIT $1",
            self.engine().now_micros()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(self.readers()).await;
        let found: Result<Vec<_>, Fault> = rows
            .map_err(Fault::from)?
            .iter()
            .map(|row| Ok((parsed(row, "user_id")?, parsed(row, "id")?)))
            .collect();
        Ok(found?)
    }

    async fn void_turn_leases(&self) -> Result<u64, StoreError> {
        let written = self.writer().write("void leases of turns", (), |tx, ()| {
            Box::pin(async move {
                let voided = sqlx::query("UPDATE turns SET lease_until = 0 WHERE status = 'processing'")
                    .execute(&mut tx.conn)
                    .await?;
                Ok(voided.rows_affected())
            })
        });
        Ok(written.await?.value)
    }

    async fn turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turn(user, id)).await?)
    }

    async fn turn_without_text(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        let read = async {
            let mut conn = self.readers().acquire().await?;
            row_of(&mut conn, user, id).await
        };
        let Some(row) = self.readers().unless_lost(read).await? else { return Ok(None) };
        let mut turn = turn_of(&row)?;
        if !turn.status.is_final() {
            turn.answer.clear();
        }
        Ok(Some(turn))
    }

    async fn turn_events(
        &self,
        user: UserId,
        id: TurnId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TurnEvent>, StoreError> {
        let sql = format!(
            "SELECT e.id, e.at, e.said FROM turn_events e JOIN turns ON turns.id = e.turn_id \
             WHERE e.turn_id = $1 AND turns.user_id = $2 AND e.id > $3 AND {LIVE} ORDER BY e.id LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let events: Result<Vec<TurnEvent>, Fault> = rows.iter().map(event).collect();
        Ok(events?)
    }

    async fn turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        page: PageQuery,
    ) -> Result<Page<Turn>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turns(user, conversation, page)).await?)
    }

    async fn status_history(
        &self,
        user: UserId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<StatusEntry>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turn_history(user, conversation, since)).await?)
    }

    async fn create_conversation(&self, mut new: Conversation) -> Result<Conversation, StoreError> {
        clean(&mut new.title);
        let (user, id) = (new.user_id, new.conversation_id.clone());
        let made = self
            .writer()
            .write_for(user, "make a conversation", new, |tx, new| Box::pin(making::create(tx, new)));
        made.await?;
        self.read_conversation(user, &id).await?.ok_or(StoreError::NotFound)
    }

    async fn conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.read_conversation(user, id).await?)
    }

    async fn conversations(
        &self,
        user: UserId,
        filter: &ConversationFilter,
        page: PageQuery,
    ) -> Result<Page<Conversation>, StoreError> {
        Ok(self.read_conversations(user, filter, page).await?)
    }

    async fn rename_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        title: &str,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let mut title = title.to_owned();
        clean(&mut title);
        let argument = (user, id.clone(), title, now);
        let renamed =
            self.writer().write_for(user, "name a conversation", argument, |tx, (user, id, title, now)| {
                Box::pin(making::rename(tx, *user, id, title, *now))
            });
        renamed.await?;
        Ok(self.read_conversation(user, id).await?)
    }

    async fn delete_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        now: Timestamp,
    ) -> Result<Option<ConversationDeleted>, StoreError> {
        let argument = (user, id.clone(), now);
        let deleted =
            self.writer().write_for(user, "delete a conversation", argument, |tx, (user, id, now)| {
                Box::pin(deleting::delete(tx, *user, id, *now))
            });
        Ok(deleted.await?.value)
    }

    async fn restore_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Conversation, StoreError> {
        let argument = (user, id.clone(), since, now);
        self.writer()
            .write_for(user, "restore a conversation", argument, |tx, (user, id, since, now)| {
                Box::pin(deleting::restore(tx, *user, id, *since, *now))
            })
            .await?;
        self.read_conversation(user, id).await?.ok_or(StoreError::NotFound)
    }

    async fn remove_deleted_conversations(&self, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
        self.remove_deleted(before, limit).await
    }

    async fn forget_turn_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        // Read first: nearly always there is nothing to forget, which is no reason to write.
        let due: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM turns WHERE events_kept = 1 AND completed_at <= $1")
                .bind(before.micros())
                .fetch_one(self.readers())
                .await
                .map_err(Fault::from)?;
        if due == 0 {
            return Ok(0);
        }
        let written =
            self.writer().write("forget what turns told", (before, limit), |tx, (before, limit)| {
                Box::pin(turns::forget(tx, *before, *limit))
            });
        Ok(written.await?.value)
    }
}
