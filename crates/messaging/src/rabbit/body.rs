//! What stands in the messages. Each is JSON; the bodies of events are the frames of the stream with `user_id` before
//! them, so that nothing has to be encoded a second time.

use bytes::{BufMut, Bytes, BytesMut};
use domain::{
    ApiKeyId, Document, DocumentId, Event, ServerFrame, SessionId, Timestamp, UserId, WorkspaceId,
    event::EventFrame,
    report::{DocumentReport, WorkspaceReport},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use services::ports::{LoggedEvent, Signal};

const BEFORE_ID: &[u8] = b"{\"user_id\":\"";
const BEHIND_ID: &[u8] = b"\",";
/// Letters of an id.
const ID: usize = 36;

/// The frame with the user's id as its first field.
pub fn of_event(event: &LoggedEvent) -> Bytes {
    framed(event.user_id, &event.frame)
}

fn framed(user: UserId, frame: &[u8]) -> Bytes {
    let fields = frame.strip_prefix(b"{").unwrap_or(frame);
    let mut body = BytesMut::with_capacity(frame.len() + BEFORE_ID.len() + ID + BEHIND_ID.len());
    body.put_slice(BEFORE_ID);
    body.put_slice(user.to_string().as_bytes());
    body.put_slice(BEHIND_ID);
    body.put_slice(fields);
    body.freeze()
}

/// A session's end, which no log keeps: a frame without a number.
pub fn of_session_end(user: UserId, session_id: SessionId, at: Timestamp) -> Bytes {
    let frame = ServerFrame::Event(EventFrame { seq: 0, at, event: Event::SessionEnded { session_id } });
    // Plain data with text keys: encoding it cannot fail.
    framed(user, &serde_json::to_vec(&frame).unwrap_or_default())
}

/// The signal that a body carries; `None` when it is none of ours.
pub fn to_signal(body: Vec<u8>) -> Option<Signal> {
    let body = Bytes::from(body);
    let rest = body.strip_prefix(BEFORE_ID)?;
    let (id, rest) = rest.split_at_checked(ID)?;
    let fields = rest.strip_prefix(BEHIND_ID)?;
    let user: UserId = std::str::from_utf8(id).ok()?.parse().ok()?;
    let mut frame = BytesMut::with_capacity(fields.len() + 1);
    frame.put_u8(b'{');
    frame.put_slice(fields);
    let event = LoggedEvent::stored(user, frame.freeze())?;
    if event.name != "session_ended" {
        return Some(Signal::Event(event.into()));
    }
    match event.event()? {
        Event::SessionEnded { session_id } => Some(Signal::SessionEnded { user_id: user, session_id }),
        _ => None,
    }
}

/// What outside workers hear of a document that waits for them.
#[derive(Debug, Serialize)]
pub struct Uploaded<'a> {
    document_id: DocumentId,
    user_id: UserId,
    workspace_id: WorkspaceId,
    filename: &'a str,
    /// The route of its content, below the address of the server; an API key with the scope `read` opens it.
    file_path: String,
    mime_type: &'a str,
    size_bytes: u64,
    content_hash: &'a str,
    uploaded_at: Timestamp,
}

pub fn of_upload(document: &Document) -> Vec<u8> {
    let uploaded = Uploaded {
        document_id: document.id,
        user_id: document.user_id,
        workspace_id: document.workspace_id,
        filename: &document.filename,
        file_path: format!("/api/documents/{}/content", document.id),
        mime_type: &document.mime_type,
        size_bytes: document.size_bytes,
        content_hash: &document.content_hash,
        uploaded_at: document.created_at,
    };
    serde_json::to_vec(&uploaded).unwrap_or_default()
}

/// What nodes tell each other beside the events.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum NodeSignal {
    SessionRenewed { user_id: UserId, session_id: SessionId },
    KeyRevoked { user_id: UserId, key_id: ApiKeyId },
    AccountClosed { user_id: UserId },
    Requested,
    WorkReady,
}

impl NodeSignal {
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn into_signal(self) -> Signal {
        match self {
            Self::SessionRenewed { user_id, session_id } => Signal::SessionRenewed { user_id, session_id },
            Self::KeyRevoked { user_id, key_id } => Signal::KeyRevoked { user_id, key_id },
            Self::AccountClosed { user_id } => Signal::AccountClosed { user_id },
            Self::Requested => Signal::Requested,
            Self::WorkReady => Signal::WorkReady,
        }
    }
}

/// What an outside worker says, and of what.
#[derive(Debug)]
pub enum Report {
    Document(DocumentId, DocumentReport),
    Workspace(WorkspaceId, WorkspaceReport),
}

impl Report {
    /// # Errors
    /// What is wrong with the body, in words for whoever wrote the worker.
    pub fn document(body: &[u8]) -> Result<Self, String> {
        let (id, body) = parts(body, "document_id")?;
        let report = serde_json::from_value(body).map_err(|e| e.to_string())?;
        Ok(Self::Document(id.parse().map_err(|_| "`document_id` is no id".to_owned())?, report))
    }

    /// # Errors
    /// As [`document`](Self::document).
    pub fn workspace(body: &[u8]) -> Result<Self, String> {
        let (id, body) = parts(body, "workspace_id")?;
        let report = serde_json::from_value(body).map_err(|e| e.to_string())?;
        Ok(Self::Workspace(id.parse().map_err(|_| "`workspace_id` is no id".to_owned())?, report))
    }

    /// What it is about: reports about one thing stay in order.
    pub fn about(&self) -> String {
        match self {
            Self::Document(id, _) => id.to_string(),
            Self::Workspace(id, _) => id.to_string(),
        }
    }
}

fn parts(body: &[u8], field: &str) -> Result<(String, Value), String> {
    let body: Value = serde_json::from_slice(body).map_err(|e| format!("this is no JSON: {e}"))?;
    let Value::Object(fields) = &body else { return Err("send a JSON object".to_owned()) };
    match fields.get(field) {
        Some(Value::String(id)) => Ok((id.clone(), body)),
        Some(_) => Err(format!("`{field}` has to be a string")),
        None => Err(format!("`{field}` is missing")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
mod tests {
    //! Samples of the messages, as others program against them.

    use super::*;
    use crate::rabbit::names;
    use domain::{DocumentStatus, event::WorkspaceDeleted};
    use serde_json::json;

    const USER: &str = "01930000-0000-7000-8000-000000000001";
    const THING: &str = "01930000-0000-7000-8000-000000000002";
    const OTHER: &str = "01930000-0000-7000-8000-000000000003";

    fn user() -> UserId {
        USER.parse().unwrap()
    }

    fn at() -> Timestamp {
        serde_json::from_value(json!("2026-11-29T08:00:00Z")).unwrap()
    }

    fn as_json(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    fn document() -> Document {
        serde_json::from_value(json!({
            "id": THING, "workspace_id": OTHER, "user_id": USER, "job_id": null, "filename": "letter.txt",
            "mime_type": "text/plain", "size_bytes": 7, "content_hash": "ab", "status": "pending",
            "error": null, "error_code": null, "error_hint": null, "warnings": [], "chunk_count": 0,
            "progress": 0.0, "step": null, "message": null, "metadata": {}, "attempt": 1, "stale": false,
            "indexed_with": null, "version": 1, "rev": 3, "created_at": at(), "updated_at": at(),
        }))
        .unwrap()
    }

    /// Whether the broker hands out a message with that key to nodes that serve people. A star stands for one word.
    fn is_heard(key: &str) -> bool {
        names::FOR_WEB.iter().any(|pattern| {
            let pattern: Vec<&str> = pattern.split('.').collect();
            let key: Vec<&str> = key.split('.').collect();
            pattern.len() == key.len() && pattern.iter().zip(&key).all(|(p, k)| *p == "*" || p == k)
        })
    }

    #[test]
    fn every_event_has_the_key_that_others_bind_to() {
        for (event, key) in [
            ("document_status", "document.status.updated"),
            ("document_deleted", "document.status.updated"),
            ("workspace_status", "workspace.status.updated"),
            ("workspace_deleted", "workspace.status.updated"),
            ("job_update", "job.status.updated"),
            ("job_complete", "job.status.updated"),
            ("job_error", "job.status.updated"),
            ("file_progress", "file.progress"),
            ("settings_changed", "user.settings.changed"),
            ("conversation_changed", "conversation.status.updated"),
            ("session_ended", "user.session.ended"),
            (LoggedEvent::UNKNOWN, "user.event.other"),
        ] {
            assert_eq!(names::key_of(event), Some(key));
            assert!(is_heard(key), "every node that serves people hears {key}");
        }
        assert!(is_heard("moon.status.updated") && is_heard("user.moon.rose"), "also what comes later");
        for key in [names::DOCUMENT_UPLOADED, names::DOCUMENT_REPORT, names::WORKSPACE_REPORT] {
            assert!(!is_heard(key), "{key} is for outside workers, or from them");
        }
        assert_eq!(
            (names::DOCUMENT_UPLOADED, names::DOCUMENT_REPORT, names::WORKSPACE_REPORT),
            ("document.uploaded", "document.status.report", "workspace.status.report")
        );
    }

    /// A whole message.
    #[derive(Deserialize)]
    struct Sample {
        routing_key: String,
        body: Value,
    }

    macro_rules! files {
        ($($event:literal),+ $(,)?) => {
            [$(($event, include_str!(concat!("../../tests/samples/", $event, ".json")))),+]
        };
    }

    /// What lies in `tests/samples`: of each event some, which together have all that it may carry.
    fn samples() -> Vec<(&'static str, Vec<Sample>)> {
        let files = files![
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
        files.into_iter().map(|(event, text)| (event, serde_json::from_str(text).unwrap())).collect()
    }

    #[test]
    fn each_event_is_read_from_its_samples_and_written_back_as_it_was() {
        let samples = samples();
        assert_eq!(samples.iter().map(|(event, _)| *event).collect::<Vec<_>>(), Event::NAMES);
        for (event, samples) in samples {
            assert!(!samples.is_empty(), "{event}");
            for Sample { routing_key, body } in samples {
                assert_eq!(names::key_of(event), Some(routing_key.as_str()));
                assert_eq!((&body["event"], &body["user_id"]), (&json!(event), &json!(USER)));
                let mut frame = body.clone();
                frame.as_object_mut().unwrap().remove("user_id");
                let read = LoggedEvent::stored(user(), Bytes::from(frame.to_string())).unwrap();
                let written = match read.event().unwrap() {
                    Event::SessionEnded { session_id } => of_session_end(user(), session_id, read.at),
                    told => of_event(&LoggedEvent::new(user(), read.seq, read.at, told)),
                };
                assert_eq!(as_json(&written), body, "{event}");
                match to_signal(written.to_vec()) {
                    Some(Signal::Event(heard)) => assert_eq!(heard.event(), read.event()),
                    Some(Signal::SessionEnded { user_id, session_id }) => {
                        assert_eq!(user_id, user());
                        assert_eq!(read.event(), Some(Event::SessionEnded { session_id }));
                    }
                    other => panic!("{event} is heard as {other:?}"),
                }
            }
        }
    }

    #[test]
    fn clients_of_older_status_apis_find_their_fields_in_the_samples() {
        const JOB: &[&str] = &[
            "job_id",
            "kb_id",
            "status",
            "phase",
            "progress",
            "message",
            "error",
            "metrics",
            "started_at",
            "completed_at",
            "phase_details/3/name",
            "phase_details/3/status",
            "phase_details/3/progress",
            "phase_details/3/items_processed",
            "phase_details/3/items_total",
            "phase_details/3/started_at",
            "phase_details/3/completed_at",
            "phase_details/3/error",
        ];
        for (event, samples) in samples() {
            let fields: &[&str] = match event {
                "document_status" => &[
                    "document_id",
                    "user_id",
                    "workspace_id",
                    "status",
                    "error",
                    "processing_status",
                    "processing_error",
                    "chunk_count",
                    "metadata",
                ],
                "workspace_status" => {
                    &["workspace_id", "user_id", "status", "status_message", "message", "metadata"]
                }
                "job_update" | "job_complete" | "job_error" => JOB,
                "file_progress" => {
                    &["fileId", "filename", "step", "message", "status", "progress", "timestamp", "extra"]
                }
                _ => &[],
            };
            for sample in samples {
                for field in fields {
                    let place = format!("/data/{field}");
                    assert!(sample.body.pointer(&place).is_some(), "{event} lacks {field}");
                }
            }
        }
    }

    #[test]
    fn an_event_is_the_frame_of_the_stream_and_the_user() {
        let deleted = WorkspaceDeleted { id: THING.parse().unwrap(), rev: 0 };
        let logged = LoggedEvent::new(user(), 7, at(), Event::WorkspaceDeleted(deleted));
        let body = of_event(&logged);
        assert_eq!(
            as_json(&body),
            json!({
                "user_id": USER, "type": "event", "seq": 7, "at": "2026-11-29T08:00:00Z",
                "event": "workspace_deleted", "data": as_json(&logged.frame)["data"],
            })
        );
        let Some(Signal::Event(heard)) = to_signal(body.to_vec()) else { panic!("it is an event") };
        assert_eq!(*heard, logged, "byte for byte");
        let status = LoggedEvent::new(user(), 8, at(), Event::DocumentStatus(document()));
        let body = as_json(&of_event(&status));
        assert_eq!(
            (&body["data"]["status"], &body["data"]["document_id"]),
            (&json!("pending"), &json!(THING))
        );
    }

    #[test]
    fn an_event_of_a_newer_build_is_carried_byte_for_byte() {
        let frame =
            r#"{"type":"event","seq":9,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{"n":1}}"#;
        let logged = LoggedEvent::stored(user(), Bytes::from(frame)).unwrap();
        let body = of_event(&logged);
        assert_eq!(as_json(&body)["event"], json!("moon_rose"));
        let Some(Signal::Event(heard)) = to_signal(body.to_vec()) else { panic!("it is an event") };
        assert_eq!((*heard).clone(), logged);
        assert_eq!(heard.frame, frame.as_bytes());
    }

    #[test]
    fn the_end_of_a_session_names_it_and_has_no_number() {
        let body = of_session_end(user(), THING.parse().unwrap(), at());
        assert_eq!(
            as_json(&body),
            json!({
                "user_id": USER, "type": "event", "seq": 0, "at": "2026-11-29T08:00:00Z",
                "event": "session_ended", "data": { "session_id": THING },
            })
        );
        let heard = to_signal(body.to_vec());
        assert!(
            matches!(heard, Some(Signal::SessionEnded { user_id, session_id })
                if user_id == user() && session_id.to_string() == THING),
            "{heard:?}"
        );
    }

    #[test]
    fn an_upload_tells_what_a_worker_needs() {
        assert_eq!(
            as_json(&of_upload(&document())),
            json!({
                "document_id": THING, "user_id": USER, "workspace_id": OTHER, "filename": "letter.txt",
                "file_path": format!("/api/documents/{THING}/content"), "mime_type": "text/plain",
                "size_bytes": 7, "content_hash": "ab", "uploaded_at": "2026-11-29T08:00:00Z",
            })
        );
    }

    #[test]
    fn reports_have_the_body_of_the_routes_and_an_id() {
        let body = json!({
            "document_id": THING, "status": "failed", "error": "Page 3 is torn.", "error_code": "torn",
            "step": "reading", "message": "…", "progress": 25, "chunk_count": 2, "metadata": { "a": 1 },
            "mood": "unknown fields are passed over",
        });
        let Ok(Report::Document(id, report)) = Report::document(body.to_string().as_bytes()) else {
            panic!("it is a report")
        };
        assert_eq!((id.to_string().as_str(), report.status), (THING, DocumentStatus::Failed));
        assert_eq!((report.progress, report.chunk_count), (Some(25.0), Some(2)));
        let body = json!({ "workspace_id": THING, "status": "error", "message": "full" }).to_string();
        assert!(matches!(Report::workspace(body.as_bytes()), Ok(Report::Workspace(..))));
        for (body, why) in [
            ("{", "no JSON"),
            ("[]", "object"),
            ("{}", "missing"),
            (r#"{"document_id":1}"#, "string"),
            (r#"{"document_id":"x","status":"ready"}"#, "no id"),
        ] {
            let said = Report::document(body.as_bytes()).unwrap_err();
            assert!(said.contains(why), "{body}: {said}");
        }
    }

    #[test]
    fn what_is_no_message_of_ours_is_nothing() {
        for body in ["", "{}", "{\"user_id\":\"", "{\"user_id\":\"x\",\"type\":\"ping\"}", "[1]"] {
            assert!(to_signal(body.as_bytes().to_vec()).is_none(), "{body}");
        }
    }

    #[test]
    fn what_nodes_tell_each_other_comes_back_as_it_was() {
        let (user_id, id) = (user(), THING);
        for signal in [
            NodeSignal::SessionRenewed { user_id, session_id: id.parse().unwrap() },
            NodeSignal::KeyRevoked { user_id, key_id: id.parse().unwrap() },
            NodeSignal::AccountClosed { user_id },
            NodeSignal::Requested,
            NodeSignal::WorkReady,
        ] {
            assert_eq!(serde_json::from_slice::<NodeSignal>(&signal.body()).unwrap(), signal);
        }
    }
}
