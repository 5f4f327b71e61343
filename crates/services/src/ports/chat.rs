//! Conversations and their turns as they are kept, the language model, and whoever makes an answer out of passages.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{
    Timestamp, TurnId, UserId, WorkspaceId,
    chat::{
        AnswerKind, Conversation, ConversationDeleted, ConversationId, Opening, StatusEntry, Turn,
        TurnChange, TurnError, TurnEvent,
    },
    provision::Refusal,
    resource::{Page, SearchHit},
};
use futures::stream::BoxStream;

/// A question to begin a turn with.
#[derive(Clone, Debug)]
pub struct NewTurn {
    pub opening: Opening,
    /// What the conversation is called, when this makes it.
    pub title: String,
    /// The server that works on it.
    pub owner: String,
    pub lease_seconds: u32,
    /// The client's `Idempotency-Key`: a second question with the same one answers the first one's turn.
    pub command_id: Option<String>,
    /// What that command is for.
    pub command_print: Option<String>,
    /// Turns of the user that may be worked on at the same time, on all servers.
    pub most: u32,
    pub now: Timestamp,
}

/// A turn that was begun, or found.
#[derive(Clone, Debug)]
pub struct Begun {
    pub turn: Turn,
    /// Its first events; empty when the command had begun it before.
    pub events: Vec<TurnEvent>,
}

/// A piece of work on a turn, by the server that works on it.
#[derive(Clone, Debug)]
pub struct TurnWrite {
    pub owner: String,
    pub user: UserId,
    pub turn_id: TurnId,
    /// Id of the last event before these.
    pub after: u64,
    /// At least one.
    pub events: Vec<TurnEvent>,
    /// The turn after them, where more of it changed than its text.
    pub turn: Option<Box<Turn>>,
    pub lease_seconds: u32,
}

/// Which conversations are wanted.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    pub workspace: Option<WorkspaceId>,
    /// Words that title, questions or answers have, in any case.
    pub search: Option<String>,
}

/// Why no turn was begun.
pub const OTHER_WORKSPACE: Refusal =
    Refusal::new("other_workspace", "This conversation belongs to another workspace. Ask in a new one.");
pub const STILL_ANSWERED: Refusal =
    Refusal::new("turn_running", "This question is still being answered. Stop it first.");
pub const ASKED_AGAIN: Refusal = Refusal::new("asked_again", "This question was asked again already.");

pub const TOO_MANY_TURNS: Refusal = Refusal::new(
    "too_many_turns",
    "Too many questions are being answered for this account. Wait until one is.",
);

/// Whatever begins or ends a turn, and makes, names, deletes or brings back a conversation, emits `conversation_changed`
/// with it. A conversation that is deleted is not there for anybody who reads, and neither are its turns, although they are
/// kept for some seconds.
#[async_trait]
pub trait Chats: Send + Sync {
    /// Begins a turn, and with it the conversation where there is none of that name; one that is deleted goes for good then.
    /// Where the opening names a turn to be asked again, that one names the new one from then on.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace of that user, or no such turn to ask again; `Refused` when the
    /// conversation belongs to another workspace, the workspace is not ready, the turn cannot be asked again, or too many
    /// are being answered.
    async fn begin_turn(&self, new: NewTurn) -> Result<Begun, StoreError>;

    /// Commits what a turn told, and extends its lease.
    ///
    /// # Errors
    /// `Fenced` when the turn has ended, is gone, or another server wrote to it; nothing was written then.
    async fn write_turn(&self, write: TurnWrite) -> Result<(), StoreError>;

    /// Ends a turn from outside, by [`TurnChange::Stop`] or [`TurnChange::Fail`]; one that has ended is answered as it is.
    ///
    /// # Errors
    /// `NotFound`.
    async fn end_turn(
        &self,
        user: UserId,
        id: TurnId,
        ending: TurnChange,
        now: Timestamp,
    ) -> Result<Turn, StoreError>;

    /// Extends the leases of a server on these turns by the database's clock; answers those that it still holds.
    async fn beat_turns(
        &self,
        owner: &str,
        turns: &[TurnId],
        lease_seconds: u32,
    ) -> Result<Vec<TurnId>, StoreError>;

    /// Turns whose server has died: those whose lease ran out.
    async fn abandoned_turns(&self, limit: u32) -> Result<Vec<(UserId, TurnId)>, StoreError>;

    /// Makes every lease run out; for a start on a database that nobody else uses.
    async fn void_turn_leases(&self) -> Result<u64, StoreError>;

    /// With the answer as far as it was committed.
    async fn turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError>;

    /// The same, but for the answer of a turn that has not ended, which is left out: it stands in what the turn told.
    async fn turn_without_text(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError>;

    /// What a turn of that user told behind an id, in order, while it is kept.
    async fn turn_events(
        &self,
        user: UserId,
        id: TurnId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TurnEvent>, StoreError>;

    /// The newest turns of a conversation, the oldest of them first. `next` leads to earlier ones.
    async fn turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        page: PageQuery,
    ) -> Result<Page<Turn>, StoreError>;

    /// The steps of its turns since then, in order.
    async fn status_history(
        &self,
        user: UserId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<StatusEntry>, StoreError>;

    /// Keeps a conversation without turns; one of that name is answered as it is, and goes for good when it is deleted.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace of that user; `Refused` when the name is another workspace's, or the
    /// workspace is not ready.
    async fn create_conversation(&self, new: Conversation) -> Result<Conversation, StoreError>;

    async fn conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<Option<Conversation>, StoreError>;

    /// The one that was asked in last first.
    async fn conversations(
        &self,
        user: UserId,
        filter: &ConversationFilter,
        page: PageQuery,
    ) -> Result<Page<Conversation>, StoreError>;

    /// The list stays in its order.
    async fn rename_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        title: &str,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError>;

    /// Takes it out of view with its turns, of which those that go on are stopped; `None` when there is none.
    async fn delete_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        now: Timestamp,
    ) -> Result<Option<ConversationDeleted>, StoreError>;

    /// Brings one back that was deleted at `since` or later; one that is there is answered as it is.
    ///
    /// # Errors
    /// `NotFound` when nothing is left of it; `Refused` when it was deleted before.
    async fn restore_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Conversation, StoreError>;

    /// Removes for good, with its turns, a conversation that was deleted at that moment or earlier: at most so many rows
    /// of each kind, and nobody brings it back any more. False when there is none.
    async fn remove_deleted_conversations(&self, before: Timestamp, limit: u32) -> Result<bool, StoreError>;

    /// Removes what turns told that ended before then, at most of so many turns; answers of how many.
    async fn forget_turn_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Who says a message of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptMessage {
    pub role: Role,
    pub content: String,
}

/// A piece of what a language model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Text(String),
    /// As the model counted them.
    Usage {
        prompt: u64,
        completion: u64,
    },
}

/// Why a language model said nothing, or broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ModelError {
    /// Stable word for programs.
    pub code: &'static str,
    /// One sentence for people, which names no secret.
    pub sentence: String,
    pub retryable: bool,
}

impl From<ModelError> for TurnError {
    fn from(e: ModelError) -> Self {
        Self { code: e.code.to_owned(), message: e.sentence, hint: None, retryable: e.retryable }
    }
}

pub type Tokens = BoxStream<'static, Result<Token, ModelError>>;

/// A language model that speaks while it thinks. Whoever drops the stream stops it.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    fn name(&self) -> String;

    /// # Errors
    /// Before the first token: when it cannot be reached, also after tries; within the stream when it breaks off.
    async fn stream(&self, prompt: Vec<PromptMessage>) -> Result<Tokens, ModelError>;
}

/// A question and answer of before.
#[derive(Clone, Debug)]
pub struct Earlier {
    pub query: String,
    pub answer: String,
}

/// A passage to answer from.
#[derive(Clone, Debug)]
pub struct Passage {
    pub filename: String,
    pub page: Option<u32>,
    pub heading: Option<String>,
    pub text: String,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
pub struct ToAnswer {
    pub query: String,
    /// `[1]` first.
    pub passages: Vec<Passage>,
    /// The turns before, the oldest first.
    pub earlier: Vec<Earlier>,
}

/// Who would answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenModel {
    pub kind: AnswerKind,
    pub model: String,
}

/// Makes answers out of passages.
#[async_trait]
pub trait Answerer: Send + Sync {
    /// Those of the passages that have to do with the question; the order stays.
    fn relevant(&self, query: &str, passages: Vec<SearchHit>) -> Vec<SearchHit>;

    /// Whether a question says so little by itself that it may mean what was asked before it.
    fn is_follow_up(&self, query: &str) -> bool;

    /// Who answers now.
    fn choose(&self) -> ChosenModel;

    /// The answer, piece by piece; `[n]` in it names the n-th passage, and no other number stands there like that.
    ///
    /// # Errors
    /// As [`LanguageModel::stream`].
    async fn answer(&self, chosen: &ChosenModel, asked: ToAnswer) -> Result<Tokens, ModelError>;

    /// The answer as HTML that is safe to show: no script, no foreign address is loaded or led to. `[n]` up to `sources`
    /// becomes a link to `#{anchor}-{n}`.
    fn html(&self, answer: &str, sources: usize, anchor: &str) -> String;
}
