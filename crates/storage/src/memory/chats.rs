//! Conversations and turns, in memory.

use super::{MemoryStore, State};
use crate::page::{Cursor, List, limit_of, paged};
use async_trait::async_trait;
use domain::{
    Timestamp, TurnId, UserId, WorkspaceId,
    chat::{
        Conversation, ConversationChange, ConversationDeleted, ConversationId, NEW_TITLE, Said, StatusEntry,
        Turn, TurnChange, TurnEvent, history,
    },
    event::{ConversationChanged, Event},
    ingest::deletion::{UNDO_OVER, UNDO_SECONDS},
    provision::{Refusal, WorkspaceAction},
    resource::Page,
};
use services::{
    hex::hex,
    ports::{
        ASKED_AGAIN, Begun, Chats, ConversationFilter, NewTurn, OTHER_WORKSPACE, PageQuery, STILL_ANSWERED,
        StoreError, TOO_MANY_TURNS, TurnWrite,
    },
};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct ChatState {
    conversations: BTreeMap<(UserId, ConversationId), Conversation>,
    /// Since when those of them are deleted that are.
    deleted: BTreeMap<(UserId, ConversationId), Timestamp>,
    turns: BTreeMap<TurnId, TurnRow>,
    /// What each command began, and what for.
    commands: BTreeMap<(UserId, String), (Option<String>, TurnId)>,
}

struct TurnRow {
    turn: Turn,
    events: Vec<TurnEvent>,
    owner: String,
    lease_until: Timestamp,
}

impl ChatState {
    fn of(&self, user: UserId, id: TurnId) -> Option<&TurnRow> {
        self.turns.get(&id).filter(|row| row.turn.user_id == user && self.is_there(&row.turn))
    }

    /// Nobody has deleted its conversation.
    fn is_there(&self, turn: &Turn) -> bool {
        !self.deleted.contains_key(&(turn.user_id, turn.conversation_id.clone()))
    }

    fn conversation(&self, key: &(UserId, ConversationId)) -> Option<&Conversation> {
        self.conversations.get(key).filter(|_| !self.deleted.contains_key(key))
    }

    fn remove(&mut self, key: &(UserId, ConversationId)) {
        self.turns.retain(|_, row| (row.turn.user_id, &row.turn.conversation_id) != (key.0, &key.1));
        self.conversations.remove(key);
        self.deleted.remove(key);
    }

    /// `refusal`: why nothing can be asked in its workspace now, if so.
    fn keep(&mut self, new: Conversation, refusal: Option<Refusal>) -> Result<&mut Conversation, StoreError> {
        let key = (new.user_id, new.conversation_id.clone());
        if self.conversation(&key).is_some_and(|kept| kept.workspace_id != new.workspace_id) {
            return Err(StoreError::Refused(OTHER_WORKSPACE));
        }
        if let Some(refusal) = refusal {
            return Err(StoreError::Refused(refusal));
        }
        if self.deleted.contains_key(&key) {
            self.remove(&key);
        }
        Ok(self.conversations.entry(key).or_insert(new))
    }

    /// How many conversations a workspace has, and questions in them.
    pub(super) fn counts(&self, workspace: WorkspaceId) -> (u64, u64) {
        let there = self.conversations.iter().filter(|(key, _)| !self.deleted.contains_key(*key));
        let of = there.filter(|(_, c)| c.workspace_id == workspace);
        of.fold((0, 0), |(conversations, turns), (_, c)| (conversations + 1, turns + c.turns))
    }
}

fn place(conversation: &Conversation) -> Cursor {
    let id = hex(conversation.conversation_id.as_str().as_bytes());
    Cursor::new(conversation.updated_at.micros(), id)
}

/// What is told of the conversation itself.
fn itself(conversation: &Conversation, status: ConversationChange) -> ConversationChanged {
    let Conversation { conversation_id, workspace_id, .. } = conversation.clone();
    ConversationChanged { conversation_id, workspace_id, turn_id: None, status, rev: 0 }
}

impl MemoryStore {
    /// The workspace is there; why nothing can be asked in it now, if so.
    fn workspace_refuses(&self, user: UserId, workspace: WorkspaceId) -> Result<Option<Refusal>, StoreError> {
        let state = self.lock();
        let found = state.workspaces.get(&workspace).filter(|(w, _)| w.user_id == user);
        found.map(|(w, _)| w.status.refuses(WorkspaceAction::Chat)).ok_or(StoreError::NotFound)
    }

    fn tell(
        &self,
        state: &mut State,
        user: UserId,
        changed: ConversationChanged,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let logged = state.emit(user, Event::ConversationChanged(changed), now)?;
        self.publish(vec![logged]);
        Ok(())
    }

    /// Tells what is counted in the workspace, after something that somebody did elsewhere changed it.
    fn tell_counts(
        &self,
        state: &mut State,
        user: UserId,
        id: WorkspaceId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(workspace) = state.workspace(id) else { return Ok(()) };
        let logged = state.emit(user, Event::WorkspaceStatus(workspace), now)?;
        self.publish(vec![logged]);
        Ok(())
    }

    fn begin(&self, new: NewTurn) -> Result<Begun, StoreError> {
        let opening = new.opening;
        let user = opening.user_id;
        let lease_until = self.lease(new.lease_seconds);
        if let Some(command) = &new.command_id {
            let chats = &self.lock().chats;
            if let Some((print, id)) = chats.commands.get(&(user, command.clone())) {
                if *print != new.command_print {
                    return Err(StoreError::OtherCommand);
                }
                // Where that was deleted, the command is for another turn now.
                if let Some(row) = chats.of(user, *id) {
                    return Ok(Begun { turn: row.turn.clone(), events: vec![] });
                }
            }
        }
        let refusal = self.workspace_refuses(user, opening.workspace_id)?;
        let state = &mut *self.lock();
        let chats = &mut state.chats;
        if let Some(earlier) = opening.again_of {
            let turn = &chats.of(user, earlier).ok_or(StoreError::NotFound)?.turn;
            if !turn.status.is_final() {
                return Err(StoreError::Refused(STILL_ANSWERED));
            }
            if !turn.may_be_asked_again() {
                return Err(StoreError::Refused(ASKED_AGAIN));
            }
        }
        let running =
            chats.turns.values().map(|row| &row.turn).filter(|t| t.user_id == user && !t.status.is_final());
        if running.count() >= new.most as usize {
            return Err(StoreError::Refused(TOO_MANY_TURNS));
        }
        let named = Conversation {
            conversation_id: opening.conversation_id.clone(),
            user_id: user,
            workspace_id: opening.workspace_id,
            title: new.title.clone(),
            turns: 0,
            created_at: new.now,
            updated_at: new.now,
        };
        let conversation = chats.keep(named, refusal)?;
        if conversation.turns == 0 && conversation.title == NEW_TITLE {
            conversation.title = new.title;
        }
        conversation.turns += u64::from(opening.again_of.is_none());
        conversation.updated_at = new.now;
        if let Some(row) = opening.again_of.and_then(|earlier| chats.turns.get_mut(&earlier)) {
            row.turn.again_as = Some(opening.turn_id);
        }
        let (turn, events) = Turn::begin(opening, new.now);
        let row = TurnRow { turn: turn.clone(), events: events.clone(), owner: new.owner, lease_until };
        chats.turns.insert(turn.turn_id, row);
        if let Some(command) = new.command_id {
            chats.commands.insert((user, command), (new.command_print, turn.turn_id));
        }
        self.tell(state, user, ConversationChanged::of(&turn), new.now)?;
        Ok(Begun { turn, events })
    }

    /// Ends a turn from outside; one that has ended is answered as it is.
    fn end(
        &self,
        state: &mut State,
        user: UserId,
        id: TurnId,
        ending: TurnChange,
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        if state.chats.of(user, id).is_none() {
            return Err(StoreError::NotFound);
        }
        let row = state.chats.turns.get_mut(&id).ok_or(StoreError::NotFound)?;
        if row.turn.status.is_final() {
            return Ok(row.turn.clone());
        }
        let events = row.turn.advance(ending, now).map_err(StoreError::backend)?;
        row.events.extend(events);
        let turn = row.turn.clone();
        self.tell(state, user, ConversationChanged::of(&turn), now)?;
        Ok(turn)
    }

    fn lease(&self, seconds: u32) -> Timestamp {
        self.clock.now().plus_seconds(i64::from(seconds))
    }
}

#[async_trait]
impl Chats for MemoryStore {
    async fn begin_turn(&self, new: NewTurn) -> Result<Begun, StoreError> {
        let (user, workspace, now) = (new.opening.user_id, new.opening.workspace_id, new.now);
        let begun = self.begin(new)?;
        // One that was begun before tells nothing.
        if !begun.events.is_empty() {
            let state = &mut *self.lock();
            state.note_activity(workspace, now);
            self.tell_counts(state, user, workspace, now)?;
        }
        Ok(begun)
    }

    async fn write_turn(&self, write: TurnWrite) -> Result<(), StoreError> {
        let lease_until = self.lease(write.lease_seconds);
        let state = &mut *self.lock();
        let row = state.chats.turns.get_mut(&write.turn_id).filter(|row| {
            row.turn.user_id == write.user
                && row.owner == write.owner
                && !row.turn.status.is_final()
                && row.turn.last_event == write.after
        });
        let row = row.ok_or(StoreError::Fenced)?;
        for event in &write.events {
            row.turn.last_event = event.id;
            if let Said::Chunk { content } = &event.said {
                row.turn.answer.push_str(content);
            }
        }
        if let Some(turn) = write.turn {
            row.turn = Turn { again_as: row.turn.again_as, ..*turn };
        }
        let ended = row.turn.status.is_final().then(|| ConversationChanged::of(&row.turn));
        let at = write.events.last().map(|event| event.at);
        row.events.extend(write.events);
        row.lease_until = lease_until;
        match ended.zip(at) {
            Some((ended, at)) => self.tell(state, write.user, ended, at),
            None => Ok(()),
        }
    }

    async fn end_turn(
        &self,
        user: UserId,
        id: TurnId,
        ending: TurnChange,
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        self.end(&mut self.lock(), user, id, ending, now)
    }

    async fn beat_turns(
        &self,
        owner: &str,
        turns: &[TurnId],
        lease_seconds: u32,
    ) -> Result<Vec<TurnId>, StoreError> {
        let lease_until = self.lease(lease_seconds);
        let chats = &mut self.lock().chats;
        let mut held = vec![];
        for id in turns {
            let row = chats.turns.get_mut(id).filter(|row| row.owner == owner && !row.turn.status.is_final());
            if let Some(row) = row {
                row.lease_until = lease_until;
                held.push(*id);
            }
        }
        Ok(held)
    }

    async fn abandoned_turns(&self, limit: u32) -> Result<Vec<(UserId, TurnId)>, StoreError> {
        let now = self.clock.now();
        let state = self.lock();
        let mut dead: Vec<&TurnRow> = state
            .chats
            .turns
            .values()
            .filter(|row| !row.turn.status.is_final() && row.lease_until <= now)
            .collect();
        dead.sort_by_key(|row| row.lease_until);
        Ok(dead.into_iter().take(limit as usize).map(|row| (row.turn.user_id, row.turn.turn_id)).collect())
    }

    async fn void_turn_leases(&self) -> Result<u64, StoreError> {
        let mut voided = 0;
        for row in self.lock().chats.turns.values_mut().filter(|row| !row.turn.status.is_final()) {
            row.lease_until = Timestamp::default();
            voided += 1;
        }
        Ok(voided)
    }

    async fn turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        Ok(self.lock().chats.of(user, id).map(|row| row.turn.clone()))
    }

    async fn turn_without_text(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        let turn = self.turn(user, id).await?;
        Ok(turn
            .map(|turn| if turn.status.is_final() { turn } else { Turn { answer: String::new(), ..turn } }))
    }

    async fn turn_events(
        &self,
        user: UserId,
        id: TurnId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TurnEvent>, StoreError> {
        let state = self.lock();
        let events = state.chats.of(user, id).map_or(&[][..], |row| &row.events);
        Ok(events.iter().filter(|e| e.id > after).take(limit as usize).cloned().collect())
    }

    async fn turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        page: PageQuery,
    ) -> Result<Page<Turn>, StoreError> {
        let (behind, limit) = (List::Turns.before(&page)?, limit_of(&page));
        let state = self.lock();
        let key = |turn: &Turn| (turn.created_at.micros(), turn.turn_id.to_string());
        let mut turns: Vec<Turn> = state
            .chats
            .turns
            .values()
            .map(|row| &row.turn)
            .filter(|t| t.user_id == user && t.conversation_id == *conversation && state.chats.is_there(t))
            .filter(|t| key(t) < (behind.number, behind.id.clone()))
            .cloned()
            .collect();
        turns.sort_by_key(|turn| std::cmp::Reverse(key(turn)));
        turns.truncate(limit as usize + 1);
        let mut page = paged(List::Turns, turns, limit, |t| Cursor::new(t.created_at.micros(), t.turn_id));
        page.items.reverse();
        Ok(page)
    }

    async fn status_history(
        &self,
        user: UserId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<StatusEntry>, StoreError> {
        let state = self.lock();
        let mut rows: Vec<&TurnRow> = state
            .chats
            .turns
            .values()
            .filter(|row| row.turn.user_id == user && row.turn.conversation_id == *conversation)
            .filter(|row| state.chats.is_there(&row.turn))
            .collect();
        rows.sort_by_key(|row| (row.turn.created_at, row.turn.turn_id));
        let told = rows.into_iter().flat_map(|row| history(&row.turn, &row.events));
        Ok(told.filter(|entry| entry.created_at >= since).collect())
    }

    async fn create_conversation(&self, new: Conversation) -> Result<Conversation, StoreError> {
        let refusal = self.workspace_refuses(new.user_id, new.workspace_id)?;
        let (key, now) = ((new.user_id, new.conversation_id.clone()), new.created_at);
        let state = &mut *self.lock();
        let is_new = state.chats.conversation(&key).is_none();
        let kept = state.chats.keep(new, refusal)?.clone();
        if is_new {
            self.tell(state, key.0, itself(&kept, ConversationChange::Created), now)?;
            self.tell_counts(state, key.0, kept.workspace_id, now)?;
        }
        Ok(kept)
    }

    async fn conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.lock().chats.conversation(&(user, id.clone())).cloned())
    }

    async fn conversations(
        &self,
        user: UserId,
        filter: &ConversationFilter,
        page: PageQuery,
    ) -> Result<Page<Conversation>, StoreError> {
        let (behind, limit) = (List::Conversations.before(&page)?, limit_of(&page));
        let state = self.lock();
        let words = filter.search.as_ref().map(|words| words.to_lowercase());
        let has = |text: &str| words.as_ref().is_none_or(|words| text.to_lowercase().contains(words));
        let is_found = |c: &Conversation| {
            has(&c.title)
                || state.chats.turns.values().map(|row| &row.turn).any(|t| {
                    t.user_id == user
                        && t.conversation_id == c.conversation_id
                        && (has(&t.query) || (t.status.is_final() && has(&t.answer)))
                })
        };
        let key = |c: &Conversation| (place(c).number, place(c).id);
        let mut found: Vec<Conversation> = state
            .chats
            .conversations
            .values()
            .filter(|c| c.user_id == user && filter.workspace.is_none_or(|id| c.workspace_id == id))
            .filter(|c| !state.chats.deleted.contains_key(&(user, c.conversation_id.clone())))
            .filter(|c| page.after.is_none() || key(c) < (behind.number, behind.id.clone()))
            .filter(|c| is_found(c))
            .cloned()
            .collect();
        found.sort_by_key(|c| std::cmp::Reverse(key(c)));
        found.truncate(limit as usize + 1);
        Ok(paged(List::Conversations, found, limit, place))
    }

    async fn rename_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        title: &str,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let state = &mut *self.lock();
        let key = (user, id.clone());
        if state.chats.deleted.contains_key(&key) {
            return Ok(None);
        }
        let Some(conversation) = state.chats.conversations.get_mut(&key) else { return Ok(None) };
        conversation.title = title.to_owned();
        let renamed = conversation.clone();
        self.tell(state, user, itself(&renamed, ConversationChange::Renamed), now)?;
        Ok(Some(renamed))
    }

    async fn delete_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        now: Timestamp,
    ) -> Result<Option<ConversationDeleted>, StoreError> {
        let state = &mut *self.lock();
        let key = (user, id.clone());
        let Some(gone) = state.chats.conversation(&key).cloned() else { return Ok(None) };
        let mut running: Vec<Turn> = state
            .chats
            .turns
            .values()
            .map(|row| &row.turn)
            .filter(|t| t.user_id == user && t.conversation_id == *id && !t.status.is_final())
            .cloned()
            .collect();
        running.sort_by_key(|turn| (turn.created_at, turn.turn_id));
        for turn in running {
            self.end(state, user, turn.turn_id, TurnChange::Stop, now)?;
        }
        state.chats.deleted.insert(key, now);
        self.tell(state, user, itself(&gone, ConversationChange::Deleted), now)?;
        self.tell_counts(state, user, gone.workspace_id, now)?;
        let Conversation { conversation_id, workspace_id, title, .. } = gone;
        let undo_until = now.plus_seconds(UNDO_SECONDS);
        Ok(Some(ConversationDeleted { conversation_id, workspace_id, title, undo_until }))
    }

    async fn restore_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Conversation, StoreError> {
        let state = &mut *self.lock();
        let key = (user, id.clone());
        let back = state.chats.conversations.get(&key).cloned().ok_or(StoreError::NotFound)?;
        let Some(deleted_at) = state.chats.deleted.get(&key).copied() else { return Ok(back) };
        if deleted_at < since {
            return Err(StoreError::from(UNDO_OVER));
        }
        state.chats.deleted.remove(&key);
        self.tell(state, user, itself(&back, ConversationChange::Created), now)?;
        self.tell_counts(state, user, back.workspace_id, now)?;
        Ok(back)
    }

    async fn remove_deleted_conversations(&self, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
        let chats = &mut self.lock().chats;
        let due = chats.deleted.iter().find(|(_, at)| **at <= before).map(|(key, _)| key.clone());
        let Some(key) = due else { return Ok(false) };
        // Nothing brings it back any more.
        chats.deleted.insert(key.clone(), Timestamp::default());
        let of: Vec<TurnId> = chats
            .turns
            .values()
            .map(|row| &row.turn)
            .filter(|t| (t.user_id, &t.conversation_id) == (key.0, &key.1))
            .map(|turn| turn.turn_id)
            .take(limit as usize)
            .collect();
        let is_some_left = of.len() >= limit as usize;
        for id in of {
            chats.turns.remove(&id);
        }
        if !is_some_left {
            chats.remove(&key);
        }
        Ok(true)
    }

    async fn forget_turn_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let chats = &mut self.lock().chats;
        let is_due = |row: &&mut TurnRow| {
            !row.events.is_empty() && row.turn.completed_at.is_some_and(|at| at <= before)
        };
        let mut forgotten = 0;
        for row in chats.turns.values_mut().filter(is_due).take(limit as usize) {
            row.events.clear();
            forgotten += 1;
        }
        Ok(forgotten)
    }
}
