//! The WebSocket of the link, and the one that is tried beside a lower transport. They report what happens to the machine
//! and do what that says; they decide nothing. `web_sys` is used directly, because the close code decides what comes
//! next, and the callbacks map one to one onto the machine's inputs.

use super::{BROKEN, Live, machine::Input};
use crate::wire;
use domain::{ClientFrame, ServerFrame};
use leptos::prelude::window;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{CloseEvent, MessageEvent, WebSocket};

/// Which of the two a socket is; one that was tried and welcomed becomes the link's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Link,
    Probe,
}

struct Socket {
    ws: WebSocket,
    lane: Rc<Cell<Lane>>,
    // Kept alive as long as the socket may call them.
    _open: Closure<dyn FnMut()>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.ws.set_onopen(None);
        self.ws.set_onmessage(None);
        self.ws.set_onclose(None);
        let _ = self.ws.close();
    }
}

thread_local! {
    // A browser's page has one thread.
    static LINK: RefCell<Option<Socket>> = const { RefCell::new(None) };
    static PROBE: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

pub fn connect(live: Live) {
    match open(live, Lane::Link) {
        Ok(socket) => {
            LINK.replace(Some(socket));
        }
        Err(_) => live.feed(Input::Closed(BROKEN)),
    }
}

pub fn probe(live: Live) {
    match open(live, Lane::Probe) {
        Ok(socket) => {
            PROBE.replace(Some(socket));
        }
        Err(_) => live.feed(Input::ProbeClosed),
    }
}

pub fn hangup() {
    // Taken out first: dropping it may run code that asks for the socket.
    let socket = LINK.take();
    drop(socket);
}

pub fn drop_probe() {
    let socket = PROBE.take();
    drop(socket);
}

/// The socket that was tried becomes the link's.
pub fn adopt() {
    if let Some(socket) = PROBE.take() {
        socket.lane.set(Lane::Link);
        LINK.replace(Some(socket));
    }
}

pub fn send(frame: &ClientFrame) {
    LINK.with_borrow(|socket| speak(socket.as_ref(), frame));
}

pub fn send_probe(frame: &ClientFrame) {
    PROBE.with_borrow(|socket| speak(socket.as_ref(), frame));
}

fn speak(socket: Option<&Socket>, frame: &ClientFrame) {
    if let (Some(socket), Ok(text)) = (socket, serde_json::to_string(frame)) {
        // A socket that is closing says so by itself.
        let _ = socket.ws.send_with_str(&text);
    }
}

fn open(live: Live, lane: Lane) -> Result<Socket, JsValue> {
    let location = window().location();
    let scheme = if location.protocol()? == "https:" { "wss" } else { "ws" };
    let ws = WebSocket::new(&format!("{scheme}://{}/api/status/ws", location.host()?))?;
    let lane = Rc::new(Cell::new(lane));
    let on_open = {
        let lane = lane.clone();
        Closure::<dyn FnMut()>::new(move || {
            live.feed(if lane.get() == Lane::Probe { Input::ProbeOpened } else { Input::Opened });
        })
    };
    let on_message = {
        let lane = lane.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let Some(text) = message.data().as_string() else { return };
            for frame in text.lines() {
                if lane.get() == Lane::Probe {
                    match wire::frame(frame) {
                        Some(ServerFrame::Welcome { .. }) => live.feed(Input::ProbeWelcomed),
                        _ => return,
                    }
                }
                live.receive(frame);
            }
        })
    };
    let on_close = {
        let lane = lane.clone();
        Closure::<dyn FnMut(CloseEvent)>::new(move |end: CloseEvent| {
            live.feed(if lane.get() == Lane::Probe { Input::ProbeClosed } else { Input::Closed(end.code()) });
        })
    };
    ws.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    ws.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    ws.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    Ok(Socket { ws, lane, _open: on_open, _message: on_message, _close: on_close })
}
