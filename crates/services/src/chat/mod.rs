//! Questions over a workspace: asking, stopping and asking again, following an answer ([`follow`]), and the
//! conversations in which all of it stands. [`work`] makes an answer; [`desk`] knows the turns that are being worked on.

mod desk;
mod export;
mod follow;
mod keeper;
mod work;

pub use desk::Turns;
pub use export::{ConversationFile, Format};
pub use follow::{Followed, Following};

use crate::{
    Error, Result, Services, actor,
    command::print,
    deletion::in_time,
    ports::{Begun, ConversationFilter, NewTurn, PageQuery, StoreError, TOO_MANY_TURNS},
    spans,
};
use desk::{LEASE_SECONDS, Told, Wish};
use domain::{
    FieldErrors, TurnId, UserId, WorkspaceId,
    chat::{
        AnswerKind, Conversation, ConversationDeleted, ConversationId, EVENTS_KEPT_SECONDS, NEW_TITLE,
        Opening, StatusEntry, Turn, TurnChange, check_query, check_title, title_of,
    },
    provision::Refusal,
    resource::Page,
};
use std::time::Duration;
use tracing::{Instrument, field::Empty};

/// Questions of one user that are answered at the same time.
const MOST_AT_ONCE: u32 = 100;
/// A turn that is told to stop has ended after this time; longer nobody waits for it.
const STOP_WAIT: Duration = Duration::from_millis(250);
/// Longest search for conversations, in characters.
const MAX_SEARCH: usize = 200;

/// A question as somebody sent it.
#[derive(Clone, Debug, Default)]
pub struct AskForm {
    pub query: String,
    /// That of the conversation when absent, or the first one of the user.
    pub workspace_id: Option<WorkspaceId>,
    /// The conversation; a new one when absent.
    pub session_id: Option<String>,
    /// True: a language model answers out of what it knows, and nothing is looked for.
    pub without_sources: bool,
}

impl Services {
    /// Begins to answer a question; [`Services::follow_turn`] tells how it goes on. It does so whoever listens.
    ///
    /// # Errors
    /// `Invalid` by field; `NotFound` for the workspace; 409 `other_workspace` when the conversation is another one's, or
    /// with the sentence of a workspace that is not ready; 429 `too_many_turns`.
    pub async fn ask(&self, user: UserId, form: AskForm, command_id: Option<String>) -> Result<Turn> {
        let mut errors = FieldErrors::default();
        let query = check_query(&crate::composed(form.query), &mut errors);
        let conversation = match form.session_id.as_deref().filter(|id| !id.is_empty()) {
            None => None,
            Some(text) => match text.parse::<ConversationId>() {
                Ok(id) => Some(id),
                Err(_) => {
                    errors.add("session_id", ConversationId::WRONG);
                    None
                }
            },
        };
        errors.check()?;
        let known = match &conversation {
            Some(id) => self.chats.conversation(user, id).await?,
            None => None,
        };
        let workspace = match form.workspace_id.or(known.map(|c| c.workspace_id)) {
            Some(id) => id,
            None => self.first_workspace(user).await?,
        };
        // One that is drawn here is another one each time.
        let named = conversation.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default();
        let conversation_id = match conversation {
            Some(id) => id,
            None => self.new_conversation_id()?,
        };
        let opening = self.opening(user, workspace, conversation_id, query, None);
        self.begin(opening, &named, form.without_sources, command_id).await
    }

    /// Asks the question of a turn that has ended once more, in a turn of its own that takes its place.
    ///
    /// # Errors
    /// `NotFound`; 409 `turn_running`, `asked_again`, or with the sentence of a workspace that is not ready.
    pub async fn ask_again(
        &self,
        user: UserId,
        id: TurnId,
        without_sources: bool,
        command_id: Option<String>,
    ) -> Result<Turn> {
        let turn = self.turn(user, id).await?;
        let opening = self.opening(user, turn.workspace_id, turn.conversation_id, turn.query, Some(id));
        // The turn that it repeats names the conversation.
        self.begin(opening, "", without_sources, command_id).await
    }

    fn opening(
        &self,
        user_id: UserId,
        workspace_id: WorkspaceId,
        conversation_id: ConversationId,
        query: String,
        again_of: Option<TurnId>,
    ) -> Opening {
        let turn_id = TurnId::new(self.ids.uuid());
        Opening { turn_id, conversation_id, workspace_id, user_id, query, again_of }
    }

    fn new_conversation_id(&self) -> Result<ConversationId> {
        let drawn = self.ids.uuid().to_string();
        drawn.parse().map_err(|e| Error::Internal { what: "the id of a conversation", cause: Box::new(e) })
    }

    async fn begin(
        &self,
        opening: Opening,
        named: &str,
        without_sources: bool,
        command_id: Option<String>,
    ) -> Result<Turn> {
        let without = if without_sources { "without" } else { "" };
        let again = opening.again_of.map(|id| id.to_string()).unwrap_or_default();
        let workspace = opening.workspace_id.to_string();
        let command_print = command_id
            .as_ref()
            .map(|_| print([opening.query.as_str(), workspace.as_str(), named, again.as_str(), without]));
        let new = NewTurn {
            title: title_of(&opening.query),
            command_print,
            owner: self.turns.owner.clone(),
            lease_seconds: LEASE_SECONDS,
            command_id,
            most: MOST_AT_ONCE,
            now: self.clock.now(),
            opening,
        };
        let drawn = new.opening.turn_id;
        let services = self.clone();
        // On a task of its own: whoever goes away while it is written down leaves no turn that nobody works on.
        let begun = actor::spawn(async move {
            let Begun { turn, events } = services.chats.begin_turn(new).await?;
            if !events.is_empty() {
                let running = services.turns.add(&turn, events);
                let span = tracing::info_span!("turn", correlation_id = %turn.turn_id, code = Empty);
                let working = work::work(services.clone(), running, turn.clone(), without_sources);
                actor::spawn(working.instrument(span));
            }
            Ok(turn)
        });
        let begun = begun.await.map_err(|e| Error::Internal { what: "asking", cause: Box::new(e) })?;
        let turn = begun.map_err(|e: StoreError| match e {
            StoreError::NotFound => Error::NotFound("workspace"),
            StoreError::Refused(TOO_MANY_TURNS) => {
                let Refusal { code, sentence, .. } = TOO_MANY_TURNS;
                Error::Problem(Box::new(domain::Problem::too_often(code, sentence, 1)))
            }
            other => other.into(),
        })?;
        spans::led_to(turn.turn_id, drawn);
        Ok(turn)
    }

    /// Ends a turn; what it had answered by then is kept. One that has ended is answered as it is.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn stop_turn(&self, user: UserId, id: TurnId) -> Result<Turn> {
        let turn = self.turn(user, id).await?;
        if turn.status.is_final() {
            return Ok(turn);
        }
        if let Some(running) = self.turns.get(id) {
            let mut news = running.news();
            running.wish(Wish::Stop);
            let ended = async {
                loop {
                    // Listened to first, looked at then: what comes in between is noticed.
                    let is_lost = *news.borrow_and_update() == Told::Lost;
                    let (turn, _) = running.after(u64::MAX);
                    if is_lost || turn.status.is_final() || news.changed().await.is_err() {
                        return;
                    }
                }
            };
            drop(tokio::time::timeout(STOP_WAIT, ended).await);
        }
        // Where another server works on it, or this one is stuck, the end is written down all the same: who works on it
        // finds that out with its next word, which is not taken any more.
        let ended = self.chats.end_turn(user, id, TurnChange::Stop, self.clock.now()).await;
        ended.map_err(|e| of_turn(e, "turn"))
    }

    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn turn(&self, user: UserId, id: TurnId) -> Result<Turn> {
        self.chats.turn(user, id).await?.ok_or(Error::NotFound("turn"))
    }

    /// Whether a language model answers; without one, answers are extracts.
    pub fn has_language_model(&self) -> bool {
        self.answerer.choose().kind == AnswerKind::Model
    }

    /// The answer of a turn as HTML that is safe to show; `[n]` leads to `#{anchor}-{n}`.
    pub fn answer_html(&self, turn: &Turn, anchor: &str) -> String {
        self.answerer.html(&turn.answer, turn.sources.len(), anchor)
    }

    /// Conversations of the user, the one that was asked in last first.
    ///
    /// # Errors
    /// `Invalid` at `q` or `after`.
    pub async fn conversations(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        search: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Conversation>> {
        let search = search.map(str::trim).filter(|text| !text.is_empty());
        if search.is_some_and(|text| text.chars().count() > MAX_SEARCH) {
            return Err(FieldErrors::one("q", format!("Use at most {MAX_SEARCH} characters.")).into());
        }
        let filter = ConversationFilter { workspace, search: search.map(str::to_owned) };
        Ok(self.chats.conversations(user, &filter, page).await?)
    }

    /// Makes a conversation without a question.
    ///
    /// # Errors
    /// `Invalid` by field; `NotFound` for the workspace; 409 `other_workspace`, or with the sentence of a workspace that is
    /// not ready.
    pub async fn create_conversation(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        session_id: Option<&str>,
        title: Option<&str>,
        command_id: Option<String>,
    ) -> Result<Conversation> {
        let mut errors = FieldErrors::default();
        let title = match title {
            Some(title) => check_title(title, &mut errors),
            None => NEW_TITLE.to_owned(),
        };
        // The same command has the same name for it, so what is sent twice is made once.
        let named = command_id.map(|command| print(["conversation", command.as_str()]));
        let id = match session_id.or(named.as_deref()) {
            None => Some(self.new_conversation_id()?),
            Some(text) => {
                let id = text.parse().ok();
                if id.is_none() {
                    errors.add("session_id", ConversationId::WRONG);
                }
                id
            }
        };
        errors.check()?;
        let conversation_id = id.ok_or(Error::NotFound("conversation"))?;
        let workspace_id = match workspace {
            Some(id) => id,
            None => self.first_workspace(user).await?,
        };
        let now = self.clock.now();
        let new = Conversation {
            conversation_id,
            user_id: user,
            workspace_id,
            title,
            turns: 0,
            created_at: now,
            updated_at: now,
        };
        self.chats.create_conversation(new).await.map_err(|e| of_turn(e, "workspace"))
    }

    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn conversation(&self, user: UserId, id: &ConversationId) -> Result<Conversation> {
        self.chats.conversation(user, id).await?.ok_or(Error::NotFound("conversation"))
    }

    /// The newest turns of a conversation, the oldest of them first; `next` leads to earlier ones.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `after`.
    pub async fn turns_of(&self, user: UserId, id: &ConversationId, page: PageQuery) -> Result<Page<Turn>> {
        self.conversation(user, id).await?;
        Ok(self.chats.turns(user, id, page).await?)
    }

    /// # Errors
    /// `Invalid` at `title`; `NotFound`.
    pub async fn rename_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        title: &str,
    ) -> Result<Conversation> {
        let mut errors = FieldErrors::default();
        let title = check_title(title, &mut errors);
        errors.check()?;
        let renamed = self.chats.rename_conversation(user, id, &title, self.clock.now()).await?;
        renamed.ok_or(Error::NotFound("conversation"))
    }

    /// Deletes a conversation with all its turns: it is out of view when this returns, and what is being answered in it is
    /// stopped. Its rows go some seconds later, and until then [`Services::restore_conversation`] brings it back.
    ///
    /// # Errors
    /// `NotFound` also when it is deleted already.
    pub async fn delete_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<ConversationDeleted> {
        let deleted = self.chats.delete_conversation(user, id, self.clock.now()).await?;
        deleted.ok_or(Error::NotFound("conversation"))
    }

    /// Brings a conversation back that was just deleted. One that is there is answered as it is.
    ///
    /// # Errors
    /// `NotFound` when nothing is left of it; 409 `undo_over`.
    pub async fn restore_conversation(&self, user: UserId, id: &ConversationId) -> Result<Conversation> {
        let now = self.clock.now();
        let restored = self.chats.restore_conversation(user, id, in_time(now), now).await;
        restored.map_err(|e| of_turn(e, "conversation"))
    }

    /// The steps of a conversation's turns in the last 24 hours, in order.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn chat_status(&self, user: UserId, id: &ConversationId) -> Result<Vec<StatusEntry>> {
        self.conversation(user, id).await?;
        let since = self.clock.now().plus_seconds(-EVENTS_KEPT_SECONDS);
        Ok(self.chats.status_history(user, id, since).await?)
    }
}

fn of_turn(e: StoreError, what: &'static str) -> Error {
    match e {
        StoreError::NotFound => Error::NotFound(what),
        other => other.into(),
    }
}
