//! The link without a socket: server-sent events, long polling, and the one question by which a tab that follows another
//! catches up. All three are plain requests, which pass where an upgrade does not.

use super::{
    BROKEN, Live,
    machine::{Input, Millis},
};
use crate::{error::AppError, wire};
use domain::{
    Epoch, ServerFrame, Timestamp,
    event::{FOREIGN_STREAM, close},
    pages::Since,
};
use gloo_net::http::Request;
use js_sys::{Array, JSON, Reflect};
use leptos::{prelude::set_timeout, task::spawn_local};
use std::{cell::RefCell, time::Duration};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{AbortController, EventSource, MessageEvent};

/// So long the server may keep a poll waiting, in seconds.
const WAIT: u32 = 25;
/// An answer that takes longer than this will not come.
const PATIENCE: Millis = 40_000;
/// The same of a question that is answered at once.
const PROMPT: Millis = 10_000;

/// `?user_id=…&epoch=…&after=…`: whose stream is meant, and from which place in the log on.
fn place(live: Live, since: Option<&Since>) -> String {
    let whose = live.whose().map(|user| format!("user_id={user}"));
    let place = since
        .map(|Since { epoch, seq }| format!("epoch={}&after={seq}", js_sys::encode_uri_component(&epoch.0)));
    whose.into_iter().chain(place).collect::<Vec<_>>().join("&")
}

struct Events {
    source: EventSource,
    // Kept alive as long as the source may call them.
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// A question that waits for its answer; dropping it gives it up.
struct Question(AbortController);

impl Drop for Question {
    fn drop(&mut self) {
        self.0.abort();
    }
}

thread_local! {
    // A browser's page has one thread.
    static EVENTS: RefCell<Option<Events>> = const { RefCell::new(None) };
    static POLL: RefCell<Option<Question>> = const { RefCell::new(None) };
}

/// Opens the stream of server-sent events. The browser's own reconnecting is not used: the machine decides when.
pub fn connect_events(live: Live, since: Option<&Since>) {
    let Ok(source) = EventSource::new(&format!("/api/status/events?{}", place(live, since))) else {
        live.feed(Input::Closed(BROKEN));
        return;
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        if let Some(text) = message.data().as_string() {
            live.receive(&text);
        }
    });
    let broken = source.clone();
    let on_error = Closure::<dyn FnMut()>::new(move || {
        let broken = broken.clone();
        // Not from within its own callback; the link may be another one by then.
        set_timeout(
            move || {
                if EVENTS.with_borrow(|now| now.as_ref().is_some_and(|e| e.source == broken)) {
                    hangup();
                    live.feed(Input::Closed(BROKEN));
                }
            },
            Duration::ZERO,
        );
    });
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    EVENTS.replace(Some(Events { source, _message: on_message, _error: on_error }));
}

/// Drops the stream or the poll that is open.
pub fn hangup() {
    let events = EVENTS.take();
    let poll = POLL.take();
    drop((events, poll));
}

/// Asks what changed; the first question is answered at once, the later ones when something changed.
pub fn poll(live: Live, since: Option<Since>, is_first: bool) {
    let Ok(abort) = AbortController::new() else {
        live.feed(Input::Closed(BROKEN));
        return;
    };
    let signal = abort.signal();
    let mine = abort.clone();
    POLL.replace(Some(Question(abort)));
    spawn_local(async move {
        let wait = if is_first { 0 } else { WAIT };
        let giving_up = mine.clone();
        set_timeout(move || giving_up.abort(), Duration::from_millis(PATIENCE));
        let answer = ask(live, since.as_ref(), wait, &mine.signal()).await;
        // The link was dropped meanwhile, or asks something else by now.
        let current = POLL.with_borrow(|now| now.as_ref().is_some_and(|q| q.0 == mine));
        if !current {
            return;
        }
        match answer {
            Ok(answer) => {
                let late = answer.late;
                answer.tell(live);
                live.feed(Input::Answered { late });
            }
            Err(_) if signal.aborted() => live.feed(Input::Closed(BROKEN)),
            Err(401) => live.signed_out(),
            Err(429) => live.feed(Input::Closed(close::TOO_MANY)),
            Err(503) => live.feed(Input::Closed(close::GOING_AWAY)),
            Err(_) => live.feed(Input::Closed(BROKEN)),
        }
    });
}

/// Asks what a tab that follows has missed, part after part.
pub fn catch_up(live: Live, mut since: Option<Since>) {
    spawn_local(async move {
        let mut frames = vec![];
        loop {
            let Ok(abort) = AbortController::new() else { break live.feed(Input::CaughtUp(None)) };
            let signal = abort.signal();
            // Over a line that is dead no answer comes, nor any word of that.
            set_timeout(move || abort.abort(), Duration::from_millis(PROMPT));
            match ask(live, since.as_ref(), 0, &signal).await {
                Ok(Answer { welcome, more, events, .. }) => {
                    if let ServerFrame::Welcome { epoch, seq, .. } = &welcome {
                        since = Some(Since { epoch: epoch.clone(), seq: *seq });
                    }
                    frames.push(welcome);
                    frames.extend(events.iter().filter_map(|event| wire::frame(event)));
                    if !more {
                        break live.feed(Input::CaughtUp(Some(frames)));
                    }
                }
                Err(401) => break live.signed_out(),
                Err(_) => break live.feed(Input::CaughtUp(None)),
            }
        }
    });
}

struct Answer {
    welcome: ServerFrame,
    /// What is changed at other servers comes late.
    late: bool,
    /// There is more than these events.
    more: bool,
    events: Vec<String>,
}

impl Answer {
    /// Hands the answer on as the frames that a socket would have brought.
    fn tell(self, live: Live) {
        live.feed(Input::Frame(self.welcome));
        for event in self.events {
            live.receive(&event);
        }
    }

    fn parse(text: &str) -> Result<Self, JsValue> {
        let body = JSON::parse(text)?;
        let of = |field: &str| Reflect::get(&body, &field.into());
        let wrong = || JsValue::from("not an answer");
        let welcome = ServerFrame::Welcome {
            epoch: Epoch(of("epoch")?.as_string().ok_or_else(wrong)?),
            seq: of("seq")?.as_f64().ok_or_else(wrong)? as u64,
            resumed: of("resumed")?.as_bool().ok_or_else(wrong)?,
            // Not every server tells it.
            at: of("at")?.as_string().and_then(|at| Timestamp::parse(&at)),
        };
        let events = of("events")?.dyn_into::<Array>()?;
        let events = events.iter().filter_map(|event| JSON::stringify(&event).ok()?.as_string()).collect();
        // These are only there when it is so.
        let is = |field: &str| Ok::<_, JsValue>(of(field)?.as_bool().unwrap_or_default());
        Ok(Self { welcome, late: is("late")?, more: is("more")?, events })
    }
}

/// The status of a refusal, or 0 when there was no answer. That somebody else is signed in by now is 401: whose page this
/// is has to sign in again.
async fn ask(
    live: Live,
    since: Option<&Since>,
    wait: u32,
    signal: &web_sys::AbortSignal,
) -> Result<Answer, u16> {
    let request = Request::get(&format!("/api/status/changes?wait={wait}&{}", place(live, since)));
    let answer = request.abort_signal(Some(signal)).send().await.map_err(|_| 0u16)?;
    if !answer.ok() {
        let status = answer.status();
        let is_anothers = status == 403 && answer.text().await.is_ok_and(|text| tells_of_another(&text));
        return Err(if is_anothers { 401 } else { status });
    }
    let text = answer.text().await.map_err(|_| 0u16)?;
    Answer::parse(&text).map_err(|_| 0)
}

/// Whether a refusal says that the stream is another person's. A proxy may answer 403 as well, which says nothing of anybody.
fn tells_of_another(refusal: &str) -> bool {
    wire::from_json::<AppError>(refusal).is_some_and(|error| error.0.code == FOREIGN_STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Problem;

    #[test]
    fn only_the_servers_own_refusal_says_that_somebody_else_is_signed_in() {
        let says = |code: &str| {
            serde_json::to_string(&Problem::new(403, code, "Leave it out.")).expect("a problem is JSON")
        };
        assert!(tells_of_another(&says(FOREIGN_STREAM)));
        assert!(!tells_of_another(&says("forbidden")));
        for page in ["", "<h1>403</h1> foreign_stream", r#"{"detail":"foreign_stream"}"#] {
            assert!(!tells_of_another(page), "{page}");
        }
    }
}
