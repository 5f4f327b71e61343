//! The moves of a turn: a pure function from a turn and a change to the turn after it and the events that tell of it.
//! Whoever works on a turn, stops it or finds it abandoned goes this way, so its events are the same whoever it was.

use super::{
    AnswerKind, ConversationId, Said, Source, TurnError, TurnEvent, TurnMetadata, TurnStatus, TurnStep,
    citation, message,
};
use crate::{
    ids::{TurnId, UserId, WorkspaceId},
    status::IllegalMove,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    pub turn_id: TurnId,
    pub conversation_id: ConversationId,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub query: String,
    pub status: TurnStatus,
    pub step: TurnStep,
    /// As far as it came. Markdown; `[n]` names a source.
    pub answer: String,
    /// `[1]` first; empty until they were looked for.
    pub sources: Vec<Source>,
    pub metadata: TurnMetadata,
    /// Of a failed one.
    pub error: Option<TurnError>,
    /// The turn whose question this one asks again.
    pub again_of: Option<TurnId>,
    /// The turn that asks this one's question again.
    pub again_as: Option<TurnId>,
    /// Id of the last event.
    pub last_event: u64,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

/// What a turn begins with.
#[derive(Clone, Debug)]
pub struct Opening {
    pub turn_id: TurnId,
    pub conversation_id: ConversationId,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub query: String,
    pub again_of: Option<TurnId>,
}

/// What may happen to a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnChange {
    /// It goes on to the next step; `None`: with the words of the step itself.
    Step(Option<String>),
    /// The passages that were found, while it retrieves.
    Found(Vec<Source>),
    /// The next piece of the answer, while it generates.
    Text(String),
    /// The answer is whole and kept: the end, out of the step in which it is stored.
    Complete,
    /// Somebody wants no more of it.
    Stop,
    Fail(TurnError),
}

/// A change that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTurn {
    /// It has ended.
    #[error(transparent)]
    Over(#[from] IllegalMove),
    #[error("a turn in the step {0} does not do this")]
    OutOfStep(TurnStep),
}

impl Turn {
    /// A turn that was just asked, with its first event.
    pub fn begin(opening: Opening, now: Timestamp) -> (Self, Vec<TurnEvent>) {
        let Opening { turn_id, conversation_id, workspace_id, user_id, query, again_of } = opening;
        let mut turn = Self {
            turn_id,
            conversation_id,
            workspace_id,
            user_id,
            query,
            status: TurnStatus::Processing,
            step: TurnStep::Initializing,
            answer: String::new(),
            sources: vec![],
            metadata: TurnMetadata::default(),
            error: None,
            again_of,
            again_as: None,
            last_event: 0,
            created_at: now,
            completed_at: None,
        };
        let first = turn.status_event(None, now);
        (turn, vec![first])
    }

    /// Carries out a change; answers what is told of it.
    ///
    /// # Errors
    /// When the turn has ended, or is in a step that has no such change; then nothing is changed.
    pub fn advance(&mut self, change: TurnChange, now: Timestamp) -> Result<Vec<TurnEvent>, IllegalTurn> {
        let to = match &change {
            TurnChange::Complete => TurnStatus::Completed,
            TurnChange::Stop => TurnStatus::Stopped,
            TurnChange::Fail(_) => TurnStatus::Failed,
            TurnChange::Step(_) | TurnChange::Found(_) | TurnChange::Text(_) => TurnStatus::Processing,
        };
        // What goes on is no move, but out of an end there is none at all.
        if self.status.is_final() || to.is_final() {
            self.status.go(to)?;
        }
        let out_of_step = Err(IllegalTurn::OutOfStep(self.step));
        match change {
            TurnChange::Step(words) => match self.step.next() {
                // The last one is a part of the end.
                None | Some(TurnStep::Finished) => out_of_step,
                Some(next) => {
                    self.step = next;
                    Ok(vec![self.status_event(words, now)])
                }
            },
            TurnChange::Found(sources) if self.step == TurnStep::RetrievingContext => {
                self.sources = sources;
                Ok(vec![])
            }
            TurnChange::Text(content) if self.step == TurnStep::GeneratingResponse => {
                if content.is_empty() {
                    return Ok(vec![]);
                }
                self.answer.push_str(&content);
                Ok(vec![self.event(Said::Chunk { content }, now)])
            }
            TurnChange::Complete if self.step == TurnStep::StoringResponse => {
                self.status = to;
                self.step = TurnStep::Finished;
                let last = self.status_event(None, now);
                Ok(vec![last, self.end(now)])
            }
            TurnChange::Found(_) | TurnChange::Text(_) | TurnChange::Complete => out_of_step,
            TurnChange::Stop => {
                self.status = to;
                Ok(vec![self.end(now)])
            }
            TurnChange::Fail(error) => {
                self.status = to;
                self.error = Some(error);
                Ok(vec![self.end(now)])
            }
        }
    }

    /// Whether its question may be asked again in its place: it has ended, and nobody has asked it again.
    pub fn may_be_asked_again(&self) -> bool {
        self.status.is_final() && self.again_as.is_none()
    }

    /// Whether the answer says that no passage answers the question.
    pub fn found_nothing(&self) -> bool {
        self.metadata.kind == Some(AnswerKind::Nothing)
    }

    /// Whoever ends it, the sources that the answer names are marked, as far as it came.
    fn end(&mut self, now: Timestamp) -> TurnEvent {
        for number in citation::cited(&self.answer, self.sources.len()) {
            if let Some(source) = self.sources.get_mut(number - 1) {
                source.cited = true;
            }
        }
        let micros = now.micros().saturating_sub(self.created_at.micros());
        self.metadata.latency_ms = u64::try_from(micros / 1_000).unwrap_or(0);
        self.metadata.response_length = self.answer.chars().count() as u64;
        self.completed_at = Some(now);
        let said = if self.status == TurnStatus::Failed { Said::Error } else { Said::Complete };
        self.event(said, now)
    }

    fn status_event(&mut self, words: Option<String>, now: Timestamp) -> TurnEvent {
        let (status, step) = (self.status, self.step);
        let message = words.unwrap_or_else(|| message::of_step(step).to_owned());
        self.event(Said::Status { status, step, message }, now)
    }

    fn event(&mut self, said: Said, at: Timestamp) -> TurnEvent {
        self.last_event += 1;
        TurnEvent { id: self.last_event, at, said }
    }
}
