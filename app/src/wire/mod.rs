//! How values come into the browser: as serde writes them, through one [`Value`], whether they are the answer of a
//! server function, data in the page or a frame of the stream. Each type is read from
//! that by a few lines (`types`): what serde derives would be a fifth of what a visitor downloads.

mod types;

use domain::{Epoch, Event, EventFrame, ServerFrame, Timestamp};
use leptos::{
    prelude::Resource,
    server::codee::{Decoder, Encoder},
    server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::{fmt, future::Future};

/// Carries a value between server and browser.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wire<T>(pub T);

impl<T: Serialize> Serialize for Wire<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What the browser takes out of JSON that the server wrote with serde.
pub trait FromJson: Sized {
    fn from_json(value: &Value) -> Option<Self>;
}

impl<T: FromJson> FromJson for Wire<T> {
    fn from_json(value: &Value) -> Option<Self> {
        T::from_json(value).map(Self)
    }
}

/// What was read is not what was asked for. Server and browser are built together, so nobody has to find out where: the
/// page is an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data are of an unknown form")
    }
}

impl std::error::Error for Unreadable {}

/// How all that travels is written and read.
#[derive(Clone, Copy, Debug)]
pub struct WireJson;

/// How server functions answer.
pub type Answer = Post<WireJson>;

/// Data of a page, which the server reads and writes into the page.
pub type PageData<T> = Resource<T, WireJson>;

/// Reads data of a page, by `fetcher` whenever `source` changes; the page is held back until they are there when they
/// are `blocking`.
pub fn page_data<S, T, F>(
    source: impl Fn() -> S + Send + Sync + 'static,
    fetcher: impl Fn(S) -> F + Send + Sync + 'static,
    blocking: bool,
) -> PageData<T>
where
    S: PartialEq + Clone + Send + Sync + 'static,
    T: Serialize + FromJson + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    Resource::new_with_options(source, fetcher, blocking)
}

impl ContentType for WireJson {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for WireJson {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for WireJson {
    type Error = serde_json::Error;

    fn encode(value: &T) -> Result<Bytes, Self::Error> {
        serde_json::to_vec(value).map(Bytes::from)
    }
}

impl<T: FromJson> Decodes<T> for WireJson {
    type Error = Unreadable;

    fn decode(bytes: Bytes) -> Result<T, Unreadable> {
        str::from_utf8(&bytes).ok().and_then(from_json).ok_or(Unreadable)
    }
}

impl<T: Serialize> Encoder<T> for WireJson {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, Self::Error> {
        serde_json::to_string(value)
    }
}

impl<T: FromJson> Decoder<T> for WireJson {
    type Error = Unreadable;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, Unreadable> {
        from_json(text).ok_or(Unreadable)
    }
}

/// Not by the browser's own parser: its objects would have to be brought over one field at a time, which takes longer than
/// all else that an event brings.
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Reads a value out of text; `None` when it is none of that type.
pub fn from_json<T: FromJson>(text: &str) -> Option<T> {
    T::from_json(&parse(text)?)
}

/// Reads a frame of the stream; `None` for one that this client does not know, which belongs to a newer server. Of an
/// event that it does not know, it takes the place.
pub fn frame(text: &str) -> Option<ServerFrame> {
    let frame = parse(text)?;
    Some(match frame.get("type")?.as_str()? {
        "welcome" => ServerFrame::Welcome {
            epoch: Epoch::from_json(frame.get("epoch")?)?,
            seq: frame.get("seq")?.as_u64()?,
            resumed: frame.get("resumed")?.as_bool()?,
            // Not every server tells it.
            at: frame.get("at").and_then(Timestamp::from_json),
        },
        "event" => {
            let (seq, at) = (frame.get("seq")?.as_u64()?, Timestamp::from_json(frame.get("at")?)?);
            match event(frame.get("event")?.as_str()?, frame.get("data")?) {
                Some(event) => ServerFrame::Event(EventFrame { seq, at, event }),
                None => ServerFrame::Unknown { seq },
            }
        }
        "ping" => ServerFrame::Ping { late: frame.get("late").and_then(Value::as_bool).unwrap_or_default() },
        _ => return None,
    })
}

fn event(name: &str, data: &Value) -> Option<Event> {
    Some(match name {
        "document_status" => Event::DocumentStatus(FromJson::from_json(data)?),
        "workspace_status" => Event::WorkspaceStatus(FromJson::from_json(data)?),
        "job_update" => Event::JobUpdate(FromJson::from_json(data)?),
        "file_progress" => Event::FileProgress(FromJson::from_json(data)?),
        "job_complete" => Event::JobComplete(FromJson::from_json(data)?),
        "job_error" => Event::JobError(FromJson::from_json(data)?),
        "document_deleted" => Event::DocumentDeleted(FromJson::from_json(data)?),
        "workspace_deleted" => Event::WorkspaceDeleted(FromJson::from_json(data)?),
        "settings_changed" => Event::SettingsChanged(FromJson::from_json(data)?),
        "conversation_changed" => Event::ConversationChanged(FromJson::from_json(data)?),
        "session_ended" => Event::SessionEnded { session_id: FromJson::from_json(data.get("session_id")?)? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppError;
    use crate::samples::{deleted, document, id, job, person, step, workspace};
    use domain::{
        DocumentStatus, JobStatus, Problem,
        chat::ConversationChange,
        event::{ConversationChanged, SettingsChanged, WorkspaceDeleted},
        resource::Theme,
    };

    #[test]
    fn every_frame_reads_back_as_the_protocol_writes_it() {
        let job = |status| job(1, 9, status);
        let events = [
            Event::DocumentStatus(document(1, 9, DocumentStatus::Ready)),
            Event::WorkspaceStatus(workspace(1, 9)),
            Event::JobUpdate(job(JobStatus::Running)),
            Event::FileProgress(step(1, 9, 25.0)),
            Event::JobComplete(job(JobStatus::Completed)),
            Event::JobError(job(JobStatus::Failed)),
            Event::DocumentDeleted(deleted(1, 9)),
            Event::WorkspaceDeleted(WorkspaceDeleted { id: id(2), rev: 9 }),
            Event::SettingsChanged(SettingsChanged {
                theme: Theme::Dark,
                rev: 9,
                ..SettingsChanged::of(person())
            }),
            Event::ConversationChanged(ConversationChanged {
                conversation_id: "a/b \"c\"".parse().expect("an id"),
                workspace_id: id(2),
                turn_id: Some(id(4)),
                status: ConversationChange::Processing,
                rev: 9,
            }),
            Event::ConversationChanged(ConversationChanged {
                conversation_id: "c".parse().expect("an id"),
                workspace_id: id(2),
                turn_id: None,
                status: ConversationChange::Deleted,
                rev: 9,
            }),
            Event::SessionEnded { session_id: id(3) },
        ];
        let event =
            |event| ServerFrame::Event(EventFrame { seq: 9, at: Timestamp::from_micros(5_000_000), event });
        let others = [
            ServerFrame::Welcome { epoch: Epoch("e".into()), seq: 12, resumed: false, at: None },
            ServerFrame::Welcome {
                epoch: Epoch("e".into()),
                seq: 12,
                resumed: true,
                at: Some(Timestamp::from_micros(5_000_001)),
            },
            ServerFrame::Ping { late: false },
            ServerFrame::Ping { late: true },
        ];
        for sent in events.map(event).into_iter().chain(others) {
            let text = serde_json::to_string(&sent).expect("JSON");
            assert_eq!(frame(&text).as_ref(), Some(&sent), "{text}");
        }
    }

    #[test]
    fn what_a_newer_server_says_is_passed_over() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"type":"new"}"#,
            r#"{"type":"event","seq":1,"at":"x","event":"new","data":{}}"#,
        ] {
            assert_eq!(frame(text), None, "{text}");
        }
        let newer =
            r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{"n":1}}"#;
        assert_eq!(frame(newer), Some(ServerFrame::Unknown { seq: 7 }), "its place is not lost");
    }

    #[test]
    fn what_the_server_writes_with_serde_reads_back() {
        fn back<T: Serialize + FromJson>(value: &T) -> Option<T> {
            let text = <WireJson as Encoder<T>>::encode(value).expect("JSON");
            <WireJson as Decoder<T>>::decode(&text).ok()
        }
        type Read = Result<Wire<Problem>, AppError>;
        let problem = Problem::not_found("workspace");
        for read in [Ok(Wire(problem.clone())), Err(problem.clone().into())] {
            assert_eq!(back::<Read>(&read), Some(read.clone()));
            assert_eq!(back::<Option<Read>>(&Some(read.clone())), Some(Some(read)));
        }
        assert_eq!(back::<Option<Read>>(&None), Some(None));
        assert_eq!(back(&Some("key".to_owned())), Some(Some("key".to_owned())));
        assert_eq!((back(&7_u64), back(&())), (Some(7), Some(())));
        assert_eq!(from_json::<u64>("many"), None);
    }
}
