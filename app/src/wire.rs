//! How values come into the browser: always through one [`Value`], so that each type brings one deserializer into the
//! WASM instead of one for every reader (the answer of a server function, the data in the page, a frame of the
//! stream). That is a third of what a visitor would download otherwise.

use domain::{Epoch, Event, EventFrame, ServerFrame, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};

/// Carries a value between server and browser.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wire<T>(pub T);

impl<T: Serialize> Serialize for Wire<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::from_value(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// Reads a frame of the stream; `None` for one that this client does not know, which belongs to a newer server.
pub fn frame(text: &str) -> Option<ServerFrame> {
    let Value::Object(mut frame) = serde_json::from_str(text).ok()? else {
        return None;
    };
    match text_of(&mut frame, "type")?.as_str() {
        "welcome" => Some(ServerFrame::Welcome {
            epoch: Epoch(text_of(&mut frame, "epoch")?),
            seq: frame.get("seq")?.as_u64()?,
            resumed: frame.get("resumed")?.as_bool()?,
        }),
        "event" => Some(ServerFrame::Event(EventFrame {
            seq: frame.get("seq")?.as_u64()?,
            at: Timestamp::parse(&text_of(&mut frame, "at")?)?,
            event: event(&text_of(&mut frame, "event")?, frame.remove("data")?)?,
        })),
        "ping" => Some(ServerFrame::Ping),
        _ => None,
    }
}

fn text_of(frame: &mut Map<String, Value>, field: &str) -> Option<String> {
    match frame.remove(field)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn event(name: &str, mut data: Value) -> Option<Event> {
    fn read<T: DeserializeOwned>(data: Value) -> Option<T> {
        serde_json::from_value(data).ok()
    }
    Some(match name {
        "document_status" => Event::DocumentStatus(read(data)?),
        "workspace_status" => Event::WorkspaceStatus(read(data)?),
        "job_update" => Event::JobUpdate(read(data)?),
        "file_progress" => Event::FileProgress(read(data)?),
        "job_complete" => Event::JobComplete(read(data)?),
        "job_error" => Event::JobError(read(data)?),
        "document_deleted" => Event::DocumentDeleted(read(data)?),
        "workspace_deleted" => Event::WorkspaceDeleted(read(data)?),
        "settings_changed" => Event::SettingsChanged(read(data)?),
        "session_ended" => Event::SessionEnded { session_id: read(data.get_mut("session_id")?.take())? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{document, id, job, person, step, workspace};
    use domain::{
        DocumentStatus, JobStatus, Problem,
        event::{DocumentDeleted, SettingsChanged, WorkspaceDeleted},
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
            Event::DocumentDeleted(DocumentDeleted { id: id(1), workspace_id: id(2), rev: 9 }),
            Event::WorkspaceDeleted(WorkspaceDeleted { id: id(2), rev: 9 }),
            Event::SettingsChanged(SettingsChanged {
                theme: Theme::Dark,
                rev: 9,
                ..SettingsChanged::of(person())
            }),
            Event::SessionEnded { session_id: id(3) },
        ];
        let event =
            |event| ServerFrame::Event(EventFrame { seq: 9, at: Timestamp::from_micros(5_000_000), event });
        let others =
            [ServerFrame::Welcome { epoch: Epoch("e".into()), seq: 12, resumed: false }, ServerFrame::Ping];
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
    }

    #[test]
    fn a_carried_value_reads_back() {
        let problem = Wire(Problem::not_found("workspace"));
        let text = serde_json::to_string(&problem).expect("JSON");
        assert_eq!(serde_json::from_str::<Wire<Problem>>(&text).expect("read"), problem);
    }
}
