//! What comes over a wire: frames of the live stream and places in it, headers of resumable uploads, the stream of a
//! language model, messages of a broker. Forms and whole requests are tried on a real server (`server/benches/requests.rs`).

#[path = "../../messaging/src/rabbit/body.rs"]
#[allow(dead_code, reason = "only what reads is tried")]
mod broker;
#[path = "../../../server/src/adapters/language_model/events.rs"]
mod model;
#[path = "../../../server/src/http/tus.rs"]
mod tus;

use crate::{May, Target};
use broker::{NodeSignal, Report};
use domain::{ClientFrame, ServerFrame};
use services::{live::Resume, ports::Signal};

pub static TARGETS: [Target; 6] = [
    Target {
        name: "frames",
        samples: || {
            texts(&[
                r#"{"type":"hello","epoch":null,"last_seq":null}"#,
                r#"{"type":"hello","epoch":"e1","last_seq":7,"gather_ms":16,"user_id":"me"}"#,
                r#"{"type":"pong"}"#,
                r#"{"type":"welcome","epoch":"e1","seq":1050,"resumed":true}"#,
                r#"{"type":"ping","late":true}"#,
                EVENT,
            ])
        },
        words: &[
            "\"type\":",
            "\"hello\"",
            "\"pong\"",
            "\"event\"",
            "\"epoch\":",
            "\"last_seq\":",
            "\"data\":{",
            "18446744073709551616",
            "-1",
            "1e999",
            "null",
            "\\ud800",
            "\\u0000",
            "0000-01-01T00:00:00+23:59",
        ],
        run: frame,
        may: May::Nothing,
    },
    Target {
        name: "places",
        samples: || texts(&["e1.1050", "01930000-0000-7000-8000-000000000001.0", "a.b.7"]),
        words: &[".", "18446744073709551615", "18446744073709551616", "-", "+", "\0"],
        run: place,
        may: May::Nothing,
    },
    Target {
        name: "tus",
        samples: || {
            texts(&[
                "7\nfilename cmVwb3J0LnBkZg==,workspace_id MDE5MzAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAx,wait",
                "0\nname YQ==, on_duplicate c2tpcA==,sha256 YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYQ==",
                "\nsha1 9/+ei3uy4Jtwk1pdeF4MxdnQq/A=",
                "\nsha256 GF+NsyJx/iX1Yab8k4suJkMG7DBO2lGAB9F2SCY4GWk=",
            ])
        },
        words: &[
            ",",
            " ",
            "=",
            "\n",
            "filename ",
            "workspace_id ",
            "sha256 ",
            "sha1 ",
            "on_duplicate ",
            "wait",
            "AAAA",
            "\u{e9}",
        ],
        run: upload,
        may: May::Nothing,
    },
    Target {
        name: "model",
        samples: || {
            texts(&[
                "event: message\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n: keep-alive\n\n\
                 data: {\"choices\":[{\"delta\":{\"content\":\"Gr\u{fc}\u{df}e \"}}]}\r\n\r\n\
                 data:{\"choices\":[{\"delta\":{\"content\":\"an alle\"},\"finish_reason\":\"stop\"}]}\n\n\
                 data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
                "{\"choices\":[{\"message\":{\"content\":\"Yes.\"}}],\"usage\":{\"prompt_tokens\":1}}",
                "data: {\"error\":{\"message\":\"out of memory\"}}\n",
            ])
        },
        words: &[
            "data:",
            "data: [DONE]",
            "\n\n",
            "\r\n",
            "\"choices\":[",
            "\"delta\":{",
            "\"content\":",
            "\"finish_reason\":",
            "\"error\":null",
            "\"usage\":{",
            "18446744073709551616",
            "\\ud800",
            ": ",
        ],
        run: answer,
        may: May::Nothing,
    },
    Target {
        name: "reports",
        samples: || {
            texts(&[
                r#"{"document_id":"01930000-0000-7000-8000-000000000002","status":"processing","step":"reading.page-3","message":"Reading page 3 of 12","progress":25,"chunk_count":4,"metadata":{"pages":12}}"#,
                r#"{"document_id":"01930000-0000-7000-8000-000000000002","status":"failed","error":"Page 3 could not be read.","error_code":"ocr_failed"}"#,
                r#"{"workspace_id":"01930000-0000-7000-8000-000000000003","status":"ready","message":"Full.","metadata":null}"#,
            ])
        },
        words: &[
            "\"document_id\":",
            "\"workspace_id\":",
            "\"status\":",
            "\"processing\"",
            "\"ready\"",
            "\"failed\"",
            "\"progress\":",
            "\"metadata\":{",
            "100.0000001",
            "-0.0",
            "1e308",
            "\\u0000",
            "\\\\u0000",
            "[[[[[[[[",
        ],
        run: report,
        may: May::Nothing,
    },
    Target {
        name: "signals",
        samples: || {
            let event = EVENT.replacen('{', r#"{"user_id":"01930000-0000-7000-8000-000000000001","#, 1);
            texts(&[
                event.as_str(),
                r#"{"user_id":"01930000-0000-7000-8000-000000000001","type":"event","seq":0,"at":"2026-11-29T08:00:00Z","event":"session_ended","data":{"session_id":"01930000-0000-7000-8000-000000000002"}}"#,
                r#"{"signal":"session_renewed","user_id":"01930000-0000-7000-8000-000000000001","session_id":"01930000-0000-7000-8000-000000000002"}"#,
                r#"{"signal":"work_ready"}"#,
            ])
        },
        words: &[
            "{\"user_id\":\"",
            "\",",
            "\"type\":\"event\"",
            "\"session_ended\"",
            "\"signal\":",
            "\"requested\"",
            "\"key_revoked\"",
            "\"seq\":18446744073709551615",
            "\u{e9}",
            "null",
        ],
        run: signal,
        may: May::Nothing,
    },
];

const EVENT: &str = r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"workspace_deleted","data":{"id":"01930000-0000-7000-8000-000000000002","rev":7}}"#;

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A frame that a client sends is read again as it was written; one of a server can be written again.
fn frame(bytes: &[u8]) -> Result<bool, String> {
    let mut read = false;
    if let Ok(frame) = serde_json::from_slice::<ClientFrame>(bytes) {
        let text = serde_json::to_string(&frame).map_err(|e| format!("{frame:?}: {e}"))?;
        if serde_json::from_str::<ClientFrame>(&text).ok().as_ref() != Some(&frame) {
            return Err(format!("{frame:?} is not read from {text}"));
        }
        read = true;
    }
    if let Ok(frame) = serde_json::from_slice::<ServerFrame>(bytes) {
        serde_json::to_vec(&frame).map_err(|e| format!("{frame:?}: {e}"))?;
        read = true;
    }
    Ok(read)
}

/// Whoever goes on from a place goes on from that one.
fn place(bytes: &[u8]) -> Result<bool, String> {
    let Some(resume) = Resume::of_event_id(&String::from_utf8_lossy(bytes)) else { return Ok(false) };
    let (Some(epoch), Some(seq)) = (&resume.epoch, resume.last_seq) else {
        return Err(format!("{resume:?} is half a place"));
    };
    match Resume::of_event_id(&format!("{epoch}.{seq}")) {
        Some(again) if again == resume => Ok(true),
        other => Err(format!("{resume:?} became {other:?}")),
    }
}

/// A line with a length and one with metadata, which may be a checksum just as well.
fn upload(bytes: &[u8]) -> Result<bool, String> {
    let text = String::from_utf8_lossy(bytes);
    let (length, rest) = text.split_once('\n').unwrap_or(("", &*text));
    let mut read = false;
    match tus::announced(Some(length), Some(rest)) {
        Ok(announced) => {
            let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            if !announced.sha256.as_ref().is_none_or(is_digest) {
                return Err(format!("{:?} is no SHA-256", announced.sha256));
            }
            read = true;
        }
        Err(tus::Refused::Fields(errors)) if errors.is_empty() => {
            return Err("a refusal without a reason".to_owned());
        }
        Err(_) => {}
    }
    read |= tus::checksum(rest).is_some();
    Ok(read)
}

/// Wherever a stream is cut, it says the same; and an answer that came whole has words.
fn answer(bytes: &[u8]) -> Result<bool, String> {
    let mut whole = model::Reader::default();
    let said = whole.push(bytes);
    for size in [1, 7, 50] {
        let mut reader = model::Reader::default();
        let again: Vec<model::Said> = bytes.chunks(size).flat_map(|part| reader.push(part)).collect();
        if again != said || reader.has_finished() != whole.has_finished() {
            return Err(format!("in pieces of {size} it says {again:?}, and else {said:?}"));
        }
    }
    let tokens = model::whole(bytes);
    if tokens.as_ref().is_some_and(Vec::is_empty) {
        return Err("an answer of nothing".to_owned());
    }
    Ok(tokens.is_some() || said.iter().any(|said| matches!(said, model::Said::Token(_))))
}

/// What an outside worker reports stays within its bounds, or is refused at its fields.
fn report(bytes: &[u8]) -> Result<bool, String> {
    let mut read = false;
    for report in [Report::document(bytes), Report::workspace(bytes)] {
        let about = report.as_ref().map(Report::about);
        if about.is_ok_and(|about| about.len() != 36) {
            return Err(format!("{report:?} is about nothing"));
        }
        read |= match report {
            Ok(Report::Document(_, report)) => match report.check() {
                Ok(checked) if checked.progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) => {
                    return Err(format!("{checked:?} was taken"));
                }
                checked => checked.is_ok(),
            },
            Ok(Report::Workspace(_, report)) => report.check().is_ok(),
            Err(why) if why.is_empty() => return Err("a refusal without a reason".to_owned()),
            Err(_) => false,
        };
    }
    Ok(read)
}

/// An event that a node hears is passed on as it came.
fn signal(bytes: &[u8]) -> Result<bool, String> {
    let node = serde_json::from_slice::<NodeSignal>(bytes).ok();
    if let Some(node) = &node
        && serde_json::from_slice::<NodeSignal>(&node.body()).ok().as_ref() != Some(node)
    {
        return Err(format!("{node:?} is said otherwise"));
    }
    match broker::to_signal(bytes.to_vec()) {
        Some(Signal::Event(event)) => match broker::to_signal(broker::of_event(&event).to_vec()) {
            Some(Signal::Event(again)) if again == event => Ok(true),
            other => Err(format!("{event:?} became {other:?}")),
        },
        other => Ok(other.is_some() || node.map(NodeSignal::into_signal).is_some()),
    }
}
