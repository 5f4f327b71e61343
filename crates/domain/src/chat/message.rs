//! What a client reads of a turn: the messages of its stream, each one line of JSON with an id.

use super::{ConversationId, Said, Source, Turn, TurnError, TurnEvent, TurnMetadata, TurnStatus, TurnStep};
use crate::{ids::TurnId, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

/// What a step says of itself.
pub const fn of_step(step: TurnStep) -> &'static str {
    match step {
        TurnStep::Initializing => "Starting…",
        TurnStep::RetrievingContext => "Looking for passages…",
        TurnStep::SelectingModel => "Choosing who answers…",
        TurnStep::GeneratingResponse => "Answering…",
        TurnStep::StoringResponse => "Storing the answer…",
        TurnStep::Finished => "Finished.",
    }
}

/// What comes at the end beside the metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ending {
    /// `completed`, `stopped` or `failed`.
    pub status: TurnStatus,
    #[serde(flatten)]
    pub metadata: TurnMetadata,
}

/// One message of the stream of a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnMessage {
    /// A step begins.
    Status {
        turn_id: TurnId,
        conversation_id: ConversationId,
        status: TurnStatus,
        step: TurnStep,
        message: String,
        at: Timestamp,
    },
    /// The next piece of the answer.
    Chunk {
        content: String,
        /// The answer so far as HTML that is safe to show, where that is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        html: Option<String>,
    },
    /// The end of a turn that was completed or stopped, with the whole answer.
    Complete {
        turn_id: TurnId,
        conversation_id: ConversationId,
        answer: String,
        sources: Vec<Source>,
        metadata: Ending,
    },
    /// The end of a turn that failed, with what there is of an answer.
    Error {
        turn_id: TurnId,
        conversation_id: ConversationId,
        #[serde(flatten)]
        error: TurnError,
        answer: String,
        sources: Vec<Source>,
        metadata: Ending,
    },
}

impl TurnMessage {
    /// The event as a client reads it. Of the last one, `turn` has to be as it is after it.
    pub fn new(turn: &Turn, event: &TurnEvent) -> Self {
        match &event.said {
            Said::Status { status, step, message } => TurnMessage::Status {
                turn_id: turn.turn_id,
                conversation_id: turn.conversation_id.clone(),
                status: *status,
                step: *step,
                message: message.clone(),
                at: event.at,
            },
            Said::Chunk { content } => TurnMessage::Chunk { content: content.clone(), html: None },
            Said::Complete | Said::Error => Self::last(turn),
        }
    }

    /// The last message of a turn that has ended.
    pub fn last(turn: &Turn) -> Self {
        let (turn_id, conversation_id) = (turn.turn_id, turn.conversation_id.clone());
        let (answer, sources) = (turn.answer.clone(), turn.sources.clone());
        let metadata = Ending { status: turn.status, metadata: turn.metadata.clone() };
        match &turn.error {
            None => TurnMessage::Complete { turn_id, conversation_id, answer, sources, metadata },
            Some(error) => TurnMessage::Error {
                turn_id,
                conversation_id,
                error: error.clone(),
                answer,
                sources,
                metadata,
            },
        }
    }
}
