//! Events (one committed change each) and the frames that carry them over WebSocket, SSE and long polling.

use crate::{
    chat::{ConversationChange, ConversationId, Turn},
    export::Export,
    ids::{DocumentId, Epoch, JobId, SessionId, TurnId, UserId, WorkspaceId},
    rag::DefaultRagConfig,
    resource::{Document, Job, Theme, User, Workspace},
    status::named,
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What changed, with the state after the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    DocumentStatus(Document),
    WorkspaceStatus(Workspace),
    JobUpdate(Job),
    FileProgress(FileProgress),
    JobComplete(Job),
    JobError(Job),
    DocumentDeleted(DocumentDeleted),
    WorkspaceDeleted(WorkspaceDeleted),
    SettingsChanged(SettingsChanged),
    ConversationChanged(ConversationChanged),
    /// Travels to the streams of that sign-in session alone; never logged, never replayed.
    SessionEnded {
        session_id: SessionId,
    },
}

named!(
    /// How a step of a document ended, if it has.
    StepStatus, "step status" { InProgress = "in_progress", Complete = "complete", Error = "error" }
);

/// One step of one document, with the sentence for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileProgress {
    pub document_id: DocumentId,
    pub workspace_id: WorkspaceId,
    pub job_id: Option<JobId>,
    pub attempt: u32,
    pub filename: String,
    pub step: Step,
    pub message: String,
    pub status: StepStatus,
    /// Of the whole document, 0–100.
    pub progress: f64,
    /// When this was said.
    pub timestamp: Timestamp,
    /// When the step began; with the timestamp of its end it tells how long the step took.
    pub started_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub extra: serde_json::Value,
    /// Seq of this change.
    pub rev: u64,
    /// The older name of `document_id`.
    #[serde(rename = "fileId")]
    pub file_id: DocumentId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentDeleted {
    pub id: DocumentId,
    pub workspace_id: WorkspaceId,
    /// Its name, for whoever says what was deleted. Events that were logged before it was told have none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub filename: String,
    /// Until then it can be brought back.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub undo_until: Timestamp,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceDeleted {
    pub id: WorkspaceId,
    pub rev: u64,
}

/// What the other open tabs must know of a change in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChanged {
    pub user: User,
    pub theme: Theme,
    /// The default configuration, when it is that what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rag_config: Option<DefaultRagConfig>,
    pub rev: u64,
    /// The newest export, when it is what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
    /// The browsers that are signed in, when it is they that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsChanged>,
}

/// Another browser signed in, or some were signed out. Who wants to know which ones are left reads the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsChanged {
    /// What the browser is that signed in ("Firefox on Linux"); `None`: some ended.
    pub signed_in: Option<String>,
}

impl SettingsChanged {
    /// Tells the user as it is now; gets its rev when it is committed.
    pub fn of(user: User) -> Self {
        Self { theme: user.theme, user, rag_config: None, rev: 0, export: None, sessions: None }
    }
}

/// Something is different in a conversation: whoever shows it reads it anew. How an answer is made is not told here, but by
/// the stream of its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationChanged {
    pub conversation_id: ConversationId,
    pub workspace_id: WorkspaceId,
    /// The question that was asked, or whose answer ended; `None` when it is about the conversation itself.
    pub turn_id: Option<TurnId>,
    pub status: ConversationChange,
    pub rev: u64,
}

impl ConversationChanged {
    /// The turn began, or ended.
    pub fn of(turn: &Turn) -> Self {
        Self {
            conversation_id: turn.conversation_id.clone(),
            workspace_id: turn.workspace_id,
            turn_id: Some(turn.turn_id),
            status: turn.status.into(),
            rev: 0,
        }
    }
}

/// What an event is about. Progress of one entity replaces older progress of the same entity on a slow connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKey {
    Document(DocumentId),
    Workspace(WorkspaceId),
    Job(JobId),
    FileStep(DocumentId, Step),
    Settings(UserId),
    /// Among those of its user.
    Conversation(ConversationId),
    Session(SessionId),
}

/// What an event is about, for looking up the history of a document, a job or a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub document: Option<DocumentId>,
    pub job: Option<JobId>,
    pub workspace: Option<WorkspaceId>,
}

impl Event {
    /// All the names. An event of another name is a newer build's: whoever carries it hands it on as it is.
    pub const NAMES: [&'static str; 11] = [
        "document_status",
        "workspace_status",
        "job_update",
        "file_progress",
        "job_complete",
        "job_error",
        "document_deleted",
        "workspace_deleted",
        "settings_changed",
        "conversation_changed",
        "session_ended",
    ];

    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::DocumentStatus(_) => "document_status",
            Event::WorkspaceStatus(_) => "workspace_status",
            Event::JobUpdate(_) => "job_update",
            Event::FileProgress(_) => "file_progress",
            Event::JobComplete(_) => "job_complete",
            Event::JobError(_) => "job_error",
            Event::DocumentDeleted(_) => "document_deleted",
            Event::WorkspaceDeleted(_) => "workspace_deleted",
            Event::SettingsChanged(_) => "settings_changed",
            Event::ConversationChanged(_) => "conversation_changed",
            Event::SessionEnded { .. } => "session_ended",
        }
    }

    pub fn entity(&self) -> EntityKey {
        match self {
            Event::DocumentStatus(d) => EntityKey::Document(d.id),
            Event::WorkspaceStatus(w) => EntityKey::Workspace(w.id),
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => EntityKey::Job(j.job_id),
            Event::FileProgress(p) => EntityKey::FileStep(p.document_id, p.step.clone()),
            Event::DocumentDeleted(d) => EntityKey::Document(d.id),
            Event::WorkspaceDeleted(w) => EntityKey::Workspace(w.id),
            Event::SettingsChanged(s) => EntityKey::Settings(s.user.id),
            Event::ConversationChanged(c) => EntityKey::Conversation(c.conversation_id.clone()),
            Event::SessionEnded { session_id } => EntityKey::Session(*session_id),
        }
    }

    /// Progress, where it turns no status: while it waits for a slow connection, its successor for the same entity may
    /// replace it. The end of a step or of a job is none. Whether a status turned with it only those know who know the one
    /// before: the log, and whoever has told it ([`Event::turning`]).
    pub fn is_progress(&self) -> bool {
        match self {
            Event::JobUpdate(j) => !j.status.is_final(),
            Event::FileProgress(p) => p.status == StepStatus::InProgress,
            Event::WorkspaceStatus(_) => true,
            // It only says that there is something to read, and what is read has all of it.
            Event::ConversationChanged(_) => true,
            _ => false,
        }
    }

    /// The status that may have turned with what is progress otherwise. A step that is in progress was never anything else.
    pub const fn turning(&self) -> Option<&'static str> {
        match self {
            Event::JobUpdate(_) | Event::WorkspaceStatus(_) => self.status(),
            _ => None,
        }
    }

    /// The status that the thing has after the change; `None` where it has none, or is no more.
    pub const fn status(&self) -> Option<&'static str> {
        match self {
            Event::DocumentStatus(d) => Some(d.status.as_str()),
            Event::WorkspaceStatus(w) => Some(w.status.as_str()),
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => Some(j.status.as_str()),
            Event::FileProgress(p) => Some(p.status.as_str()),
            Event::DocumentDeleted(_)
            | Event::WorkspaceDeleted(_)
            | Event::SettingsChanged(_)
            | Event::ConversationChanged(_)
            | Event::SessionEnded { .. } => None,
        }
    }

    /// The status before the change, given the one that the thing had. Of a step only its own event knows whether it
    /// began with it.
    pub fn status_before(&self, known: Option<&'static str>) -> Option<&'static str> {
        match self {
            Event::FileProgress(p) => {
                (p.timestamp != p.started_at).then_some(StepStatus::InProgress.as_str())
            }
            _ => known,
        }
    }

    /// In whose histories it stands.
    pub const fn about(&self) -> About {
        let (document, job, workspace) = match self {
            Event::DocumentStatus(d) => (Some(d.id), d.job_id, Some(d.workspace_id)),
            Event::FileProgress(p) => (Some(p.document_id), p.job_id, Some(p.workspace_id)),
            Event::DocumentDeleted(d) => (Some(d.id), None, Some(d.workspace_id)),
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => {
                (None, Some(j.job_id), Some(j.kb_id))
            }
            Event::WorkspaceStatus(w) => (None, None, Some(w.id)),
            Event::WorkspaceDeleted(w) => (None, None, Some(w.id)),
            Event::ConversationChanged(c) => (None, None, Some(c.workspace_id)),
            Event::SettingsChanged(_) | Event::SessionEnded { .. } => (None, None, None),
        };
        About { document, job, workspace }
    }

    /// The seq of the change; 0 where it stands in no log.
    pub const fn rev(&self) -> u64 {
        match self {
            Event::DocumentStatus(d) => d.rev,
            Event::WorkspaceStatus(w) => w.rev,
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => j.rev,
            Event::FileProgress(p) => p.rev,
            Event::DocumentDeleted(d) => d.rev,
            Event::WorkspaceDeleted(w) => w.rev,
            Event::SettingsChanged(s) => s.rev,
            Event::ConversationChanged(c) => c.rev,
            Event::SessionEnded { .. } => 0,
        }
    }

    /// Stamps the change with its seq.
    pub fn set_rev(&mut self, seq: u64) {
        match self {
            Event::DocumentStatus(d) => d.rev = seq,
            Event::WorkspaceStatus(w) => w.rev = seq,
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => j.rev = seq,
            Event::FileProgress(p) => p.rev = seq,
            Event::DocumentDeleted(d) => d.rev = seq,
            Event::WorkspaceDeleted(w) => w.rev = seq,
            Event::SettingsChanged(s) => s.rev = seq,
            Event::ConversationChanged(c) => c.rev = seq,
            Event::SessionEnded { .. } => {}
        }
    }
}

/// An event with its place in the user's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventFrame {
    pub seq: u64,
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every frame is an event; a box would cost each of them"
)]
pub enum ServerFrame {
    /// First frame. When `resumed`, what was missed follows and `seq` is the last event of it; otherwise the client
    /// refetches what is on screen and goes on from `seq`.
    Welcome {
        epoch: Epoch,
        seq: u64,
        resumed: bool,
        /// The server's time when it said so. Servers did not always tell it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    Event(EventFrame),
    /// The link is there.
    Ping {
        /// What is changed at other servers comes up to a second late, since their messages do not get through.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
    /// What a client of an older build makes of an event that it cannot read: nothing but its place in the log, behind which
    /// it goes on. Never sent.
    #[serde(skip)]
    Unknown {
        seq: u64,
    },
}

/// What the client sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First frame. Both null: start from now.
    Hello {
        epoch: Option<Epoch>,
        last_seq: Option<u64>,
        /// For so many milliseconds the server may gather frames; they come as one message then, a line each. Absent:
        /// each is a message of its own, and comes at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gather_ms: Option<u64>,
        /// Whose stream is meant. It is always that of whoever opened the link; who names another person is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
    },
    Pong,
}

/// Close codes of the socket.
pub mod close {
    /// The server stops or restarts: reconnect at once.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame that the protocol does not have.
    pub const POLICY: u16 = 1008;
    /// A frame over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// No valid session, or it ended: go to sign-in.
    pub const SESSION_ENDED: u16 = 4401;
    /// The client did not say hello in time.
    pub const HELLO_TIMEOUT: u16 = 4408;
    /// Too many connections of this user.
    pub const TOO_MANY: u16 = 4429;
}

/// Code of the refusal of a stream that belongs to somebody else.
pub const FOREIGN_STREAM: &str = "foreign_stream";

/// Seconds between two pings.
pub const PING_SECONDS: u64 = 20;
/// Seconds of silence after which either side calls the link dead.
pub const SILENCE_SECONDS: u64 = 45;
/// Longest time for which frames are gathered, in milliseconds; who asks for more gets this.
pub const MAX_GATHER_MS: u64 = 1_000;
/// Largest frame that a client may send, in bytes.
pub const MAX_CLIENT_FRAME: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn frames_look_as_the_protocol_says() {
        let hello: ClientFrame =
            serde_json::from_str(r#"{"type":"hello","epoch":null,"last_seq":null}"#).unwrap();
        assert_eq!(hello, ClientFrame::Hello { epoch: None, last_seq: None, gather_ms: None, user_id: None });
        let told = Timestamp::from_micros(1_764_403_200_000_000);
        for (at, more) in [(None, ""), (Some(told), r#","at":"2025-11-29T08:00:00Z""#)] {
            let welcome = ServerFrame::Welcome { epoch: Epoch("e1".into()), seq: 1050, resumed: true, at };
            let text = format!(r#"{{"type":"welcome","epoch":"e1","seq":1050,"resumed":true{more}}}"#);
            assert_eq!(serde_json::to_string(&welcome).unwrap(), text);
            assert_eq!(serde_json::from_str::<ServerFrame>(&text).unwrap(), welcome);
        }
        for (late, text) in [(false, r#"{"type":"ping"}"#), (true, r#"{"type":"ping","late":true}"#)] {
            let ping = ServerFrame::Ping { late };
            assert_eq!(serde_json::to_string(&ping).unwrap(), text);
            assert_eq!(serde_json::from_str::<ServerFrame>(text).unwrap(), ping);
        }
    }

    #[test]
    fn every_name_that_an_event_can_have_is_in_the_list() {
        let unknown = serde_json::from_str::<Event>(r#"{"event":"new","data":{}}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown variant `new`"), "{unknown}");
        for name in Event::NAMES {
            assert!(unknown.contains(&format!("`{name}`")), "{name}: {unknown}");
        }
        assert_eq!(unknown.matches('`').count(), 2 * (1 + Event::NAMES.len()), "{unknown}");
    }

    #[test]
    fn an_event_frame_reads_back() {
        let frame = ServerFrame::Event(EventFrame {
            seq: 1051,
            at: Timestamp::from_micros(1_000_000),
            event: Event::WorkspaceDeleted(WorkspaceDeleted {
                id: WorkspaceId::new(Uuid::from_u128(9)),
                rev: 1051,
            }),
        });
        let text = serde_json::to_string(&frame).unwrap();
        assert!(text.starts_with(r#"{"type":"event","seq":1051,"at":"1970-01-01T00:00:01Z","event":"workspace_deleted","data":{"#), "{text}");
        assert_eq!(serde_json::from_str::<ServerFrame>(&text).unwrap(), frame);
    }
}
