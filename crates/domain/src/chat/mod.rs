//! Questions over a workspace and their answers: conversations, the turns in them, and what a turn tells while it works.
//! [`turn`] has the moves of a turn; what can be said about it to a client is made from its events by [`message`]; which
//! sources an answer names, [`citation`] tells.

pub mod citation;
pub mod message;
mod turn;

pub use turn::{IllegalTurn, Opening, Turn, TurnChange};

use crate::{
    ids::{ChunkId, DocumentId, NotAnId, TurnId, UserId, WorkspaceId},
    rag::RetrieverType,
    resource::Warning,
    status::{moves, named},
    timestamp::Timestamp,
    validate::FieldErrors,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Longest question, in characters.
pub const MAX_QUERY: usize = 4_000;
/// Longest title of a conversation, in characters.
pub const MAX_TITLE: usize = 120;
/// Longest id that a client gives a conversation, in characters.
pub const MAX_CONVERSATION_ID: usize = 200;
/// How long the steps and pieces of a turn are kept after its end, in seconds; the answer itself stays.
pub const EVENTS_KEPT_SECONDS: i64 = 24 * 3_600;

named!(
    /// What a turn is. The last three are final; a retry is a turn of its own.
    TurnStatus, "turn status" {
        Processing = "processing",
        Completed = "completed",
        Failed = "failed",
        /// Somebody stopped it; what it had answered by then is kept.
        Stopped = "stopped",
    }
);
moves!(TurnStatus, "The turn" {
    Processing => [Completed, Failed, Stopped],
    Completed => [],
    Failed => [],
    Stopped => [],
});

impl TurnStatus {
    pub const fn is_final(self) -> bool {
        !matches!(self, TurnStatus::Processing)
    }
}

named!(
    /// What became of a conversation: how far a question in it is, or that it was made (also when it was brought back),
    /// named or deleted itself.
    ConversationChange, "change of a conversation" {
        Processing = "processing",
        Completed = "completed",
        Failed = "failed",
        Stopped = "stopped",
        Created = "created",
        Renamed = "renamed",
        Deleted = "deleted",
    }
);

impl From<TurnStatus> for ConversationChange {
    fn from(status: TurnStatus) -> Self {
        match status {
            TurnStatus::Processing => ConversationChange::Processing,
            TurnStatus::Completed => ConversationChange::Completed,
            TurnStatus::Failed => ConversationChange::Failed,
            TurnStatus::Stopped => ConversationChange::Stopped,
        }
    }
}

named!(
    /// What a turn is doing; it goes through all of them, in this order.
    TurnStep, "step of a turn" {
        Initializing = "initializing",
        RetrievingContext = "retrieving_context",
        SelectingModel = "selecting_model",
        GeneratingResponse = "generating_response",
        StoringResponse = "storing_response",
        Finished = "finished",
    }
);

impl TurnStep {
    /// The one behind it.
    pub const fn next(self) -> Option<Self> {
        match self {
            TurnStep::Initializing => Some(TurnStep::RetrievingContext),
            TurnStep::RetrievingContext => Some(TurnStep::SelectingModel),
            TurnStep::SelectingModel => Some(TurnStep::GeneratingResponse),
            TurnStep::GeneratingResponse => Some(TurnStep::StoringResponse),
            TurnStep::StoringResponse => Some(TurnStep::Finished),
            TurnStep::Finished => None,
        }
    }

    /// The short word on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            TurnStep::Initializing => "Start",
            TurnStep::RetrievingContext => "Search",
            TurnStep::SelectingModel => "Model",
            TurnStep::GeneratingResponse => "Answer",
            TurnStep::StoringResponse => "Store",
            TurnStep::Finished => "Done",
        }
    }
}

named!(
    /// Who made an answer.
    AnswerKind, "kind of answer" {
        /// Sentences of the sources, chosen and put in order by rules.
        Extract = "extract",
        /// A language model.
        Model = "model",
        /// Nobody: no passage answers the question.
        Nothing = "nothing",
    }
);

/// A conversation's name among those of its user: a string that the client chose, or a UUID that the server drew.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(String);

impl ConversationId {
    /// What is told of a string that cannot be one.
    pub const WRONG: &'static str = "Use 1 to 200 characters, without control characters.";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConversationId {
    type Err = NotAnId;

    fn from_str(s: &str) -> Result<Self, NotAnId> {
        let fits = !s.trim().is_empty() && s.chars().count() <= MAX_CONVERSATION_ID;
        if fits && !s.chars().any(char::is_control) { Ok(Self(s.to_owned())) } else { Err(NotAnId) }
    }
}

impl TryFrom<String> for ConversationId {
    type Error = NotAnId;

    fn try_from(s: String) -> Result<Self, NotAnId> {
        s.parse()
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Turns that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conversation {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    /// The first question, until a person names it otherwise.
    pub title: String,
    /// How many questions were asked in it.
    pub turns: u64,
    pub created_at: Timestamp,
    /// When somebody asked in it last.
    pub updated_at: Timestamp,
}

/// A conversation that somebody deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationDeleted {
    pub conversation_id: ConversationId,
    pub workspace_id: WorkspaceId,
    pub title: String,
    /// Until then it can be brought back.
    pub undo_until: Timestamp,
}

/// The title of a conversation in which nobody has asked yet; its first question takes the place of it.
pub const NEW_TITLE: &str = "New conversation";

/// The title of a conversation that begins with this question: one line, cut at a word.
pub fn title_of(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let most = 80;
    let Some((end, _)) = line.char_indices().nth(most) else { return line };
    let cut = line[..end].rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
    format!("{}…", line[..cut].trim_end())
}

/// A title that a person typed.
pub fn check_title(title: &str, errors: &mut FieldErrors) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() {
        errors.add("title", "Enter a title.");
    } else if title.chars().count() > MAX_TITLE {
        errors.add("title", format!("Use at most {MAX_TITLE} characters."));
    }
    title
}

/// A question that a person typed.
pub fn check_query(query: &str, errors: &mut FieldErrors) -> String {
    let query = query.trim();
    if query.is_empty() {
        errors.add("query", "Enter a question.");
    } else if query.chars().count() > MAX_QUERY {
        errors.add("query", format!("Use at most {MAX_QUERY} characters."));
    }
    query.to_owned()
}

/// A passage that an answer was made from; `[n]` in the answer names the n-th of a turn's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    pub document_id: DocumentId,
    pub chunk_id: ChunkId,
    pub filename: String,
    pub page: Option<u32>,
    pub text: String,
    pub score: f64,
    /// Of the document's content, as it was when the question was asked.
    pub document_version: u32,
    /// Place in the extracted text of that version, in characters; `null` of an answer that is older than this is kept.
    pub char_start: Option<u64>,
    pub char_end: Option<u64>,
    /// Whether the answer names it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub cited: bool,
}

/// How an answer came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnMetadata {
    /// From the question to the end.
    pub latency_ms: u64,
    /// From the question to the first text.
    pub first_chunk_ms: Option<u64>,
    /// Characters.
    pub response_length: u64,
    /// As the language model counted them; `null` where it does not tell, and of an extract.
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// The name of the language model; of the built-in answerer `extract`.
    pub model: Option<String>,
    pub kind: Option<AnswerKind>,
    pub retriever_type: Option<RetrieverType>,
    /// Documents that were not searched yet when the question was asked.
    pub documents_processing: u64,
    /// Documents that were searched; `null` where that was not noted.
    pub documents_ready: Option<u64>,
    /// What went otherwise than it was asked for.
    pub warnings: Vec<Warning>,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnError {
    /// Stable word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    pub hint: Option<String>,
    /// Whether asking again may help.
    pub retryable: bool,
}

impl TurnError {
    /// The server that made the answer stopped, or was killed.
    pub fn interrupted() -> Self {
        Self {
            code: "interrupted".to_owned(),
            message: "The server stopped before this answer was whole.".to_owned(),
            hint: Some("What had come by then is kept. Ask again for all of it.".to_owned()),
            retryable: true,
        }
    }
}

/// One thing that a turn told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEvent {
    /// From 1, without a gap within the turn.
    pub id: u64,
    pub at: Timestamp,
    pub said: Said,
}

/// What it told; as JSON this is what a store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    Status {
        status: TurnStatus,
        step: TurnStep,
        message: String,
    },
    /// The next piece of the answer.
    Chunk {
        content: String,
    },
    /// The last word of a turn that was completed or stopped. Answer and sources stand in the turn.
    Complete,
    /// The last word of one that failed.
    Error,
}

impl Said {
    /// Whether nothing follows it.
    pub const fn is_last(&self) -> bool {
        matches!(self, Said::Complete | Said::Error)
    }
}

/// A step, as the history of a conversation tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusEntry {
    pub conversation_id: ConversationId,
    pub turn_id: TurnId,
    pub status: TurnStatus,
    pub step: TurnStep,
    pub message: String,
    pub created_at: Timestamp,
    /// With the last entry of a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TurnMetadata>,
}

/// The steps of a turn, out of what it told. What is left out, such as its text, is not missed.
pub fn history(turn: &Turn, events: &[TurnEvent]) -> Vec<StatusEntry> {
    let entry = |event: &TurnEvent, status, step, message: &str| StatusEntry {
        conversation_id: turn.conversation_id.clone(),
        turn_id: turn.turn_id,
        status,
        step,
        message: message.to_owned(),
        created_at: event.at,
        metadata: None,
    };
    let mut entries: Vec<StatusEntry> = vec![];
    for event in events {
        match &event.said {
            Said::Status { status, step, message } => entries.push(entry(event, *status, *step, message)),
            Said::Chunk { .. } => {}
            Said::Error => {
                let message = turn.error.as_ref().map_or("Failed.", |e| e.message.as_str());
                entries.push(entry(event, turn.status, turn.step, message));
            }
            // That of one that was completed was told with its last step.
            Said::Complete if turn.status == TurnStatus::Stopped => {
                entries.push(entry(event, turn.status, turn.step, "Stopped."));
            }
            Said::Complete => {}
        }
    }
    if let Some(last) = entries.last_mut().filter(|last| last.status.is_final()) {
        last.metadata = Some(turn.metadata.clone());
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_name_a_conversation_as_it_likes_within_reason() {
        for good in ["session_001", "conv#1", "a/b c?", "ä", &"x".repeat(200)] {
            assert_eq!(good.parse::<ConversationId>().map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", "  ", "a\nb", "\u{0}", &"x".repeat(201)] {
            assert!(bad.parse::<ConversationId>().is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<ConversationId>("\"\"").is_err());
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title_of("  Where is\n the lantern? "), "Where is the lantern?");
        let long = title_of(&"lantern ".repeat(40));
        assert!(long.chars().count() <= 81 && long.ends_with("lantern…"), "{long}");
        assert_eq!(title_of(&"ä".repeat(300)).chars().count(), 81, "one word without end");
    }

    #[test]
    fn a_question_and_a_title_have_bounds() {
        let mut errors = FieldErrors::default();
        assert_eq!(check_query(" a ", &mut errors), "a");
        assert_eq!(check_title(" a\n b ", &mut errors), "a b");
        assert!(errors.is_empty());
        check_query(&"a".repeat(MAX_QUERY + 1), &mut errors);
        check_query("  ", &mut errors);
        check_title("", &mut errors);
        assert_eq!((errors.of("query").len(), errors.of("title").len()), (2, 1));
    }
}
