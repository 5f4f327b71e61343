//! Following an answer as it is made. After a cut the browser reconnects by itself and says what it had last, so nothing is
//! missing and nothing comes twice; where it gives up, since it was answered by something else than a stream, the page is told.
//! The last message closes the stream.

use leptos::prelude::*;
use serde_json::Value;
use std::rc::Rc;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

/// A stream that is open; dropping it closes it.
pub struct Stream {
    source: EventSource,
    // Kept alive as long as the source may call them.
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// What a message says to the page.
pub enum Told {
    /// A step began, with its title and the moment in microseconds.
    Step { name: String, words: String, at: i64 },
    /// The answer so far, as HTML that the server made safe.
    Html(String),
    /// The stream is over; what became of the answer is to be read.
    End,
}

/// Follows a turn from behind a message; `tell` hears of all that comes, until the page is left.
pub fn follow(turn: &str, after: u64, tell: impl Fn(Told) + 'static) {
    let address = format!("/v1/chat/turns/{turn}/stream?after={after}&html=s-{turn}");
    let Ok(source) = EventSource::new(&address) else { return };
    let tell = Rc::new(tell);
    let (closing, lost, told) = (source.clone(), source.clone(), tell.clone());
    let error = Closure::<dyn FnMut()>::new(move || {
        // Otherwise the browser is at it.
        if lost.ready_state() == EventSource::CLOSED {
            told(Told::End);
        }
    });
    let message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        let Some(told) = message.data().as_string().and_then(|text| read(&text)) else { return };
        if matches!(told, Told::End) {
            closing.close();
        }
        tell(told);
    });
    source.set_onmessage(Some(message.as_ref().unchecked_ref()));
    source.set_onerror(Some(error.as_ref().unchecked_ref()));
    let stream = StoredValue::new_local(Some(Stream { source, _message: message, _error: error }));
    on_cleanup(move || {
        stream.try_update_value(Option::take);
    });
}

fn read(text: &str) -> Option<Told> {
    let message: Value = serde_json::from_str(text).ok()?;
    let of = |name: &str| Some(message.get(name)?.as_str()?.to_owned());
    Some(match message.get("type")?.as_str()? {
        "status" => Told::Step {
            name: of("step")?,
            words: of("message")?,
            at: domain::Timestamp::parse(&of("at")?)?.micros(),
        },
        // Of pieces that come together the last one has it.
        "chunk" => Told::Html(of("html")?),
        "complete" | "error" => Told::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_protocol_writes_them() {
        let status = r#"{"type":"status","turn_id":"1","conversation_id":"c","status":"processing","step":"initializing",
            "message":"Starting…","at":"2026-01-01T00:00:00.5Z"}"#;
        let Some(Told::Step { name, words, at }) = read(status) else { panic!("a step") };
        assert_eq!((name.as_str(), words.as_str(), at % 1_000_000), ("initializing", "Starting…", 500_000));
        let piece = r#"{"type":"chunk","content":"a","html":"<p>a</p>"}"#;
        assert!(matches!(read(piece), Some(Told::Html(html)) if html == "<p>a</p>"));
        for last in [r#"{"type":"complete"}"#, r#"{"type":"error","code":"interrupted"}"#] {
            assert!(matches!(read(last), Some(Told::End)), "{last}");
        }
        for other in ["", "{}", r#"{"type":"new"}"#, r#"{"type":"chunk","content":"a"}"#] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
