//! The browser's half of the link: one WebSocket for the page. It reports what happens to the machine and does what
//! that says; it decides nothing. `web_sys` is used directly, because the close code decides what comes next, and the
//! callbacks map one to one onto the machine's inputs.

use super::{Live, machine::Input};
use crate::wire;
use domain::ClientFrame;
use leptos::prelude::window;
use std::cell::RefCell;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{CloseEvent, MessageEvent, WebSocket};

/// Code of a connection that broke without a word.
const BROKEN: u16 = 1006;

struct Socket {
    ws: WebSocket,
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
    /// A page has one socket, and a browser's page has one thread.
    static SOCKET: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

pub fn connect(live: Live) {
    hangup();
    match open(live) {
        Ok(socket) => {
            SOCKET.replace(Some(socket));
        }
        Err(_) => live.feed(Input::Closed(BROKEN)),
    }
}

pub fn hangup() {
    // Taken out first: dropping it may run code that asks for the socket.
    let socket = SOCKET.take();
    drop(socket);
}

pub fn send(frame: &ClientFrame) {
    let Ok(text) = serde_json::to_string(frame) else {
        return;
    };
    SOCKET.with_borrow(|socket| {
        if let Some(socket) = socket {
            // A socket that is closing says so by itself.
            let _ = socket.ws.send_with_str(&text);
        }
    });
}

fn open(live: Live) -> Result<Socket, wasm_bindgen::JsValue> {
    let location = window().location();
    let scheme = if location.protocol()? == "https:" { "wss" } else { "ws" };
    let ws = WebSocket::new(&format!("{scheme}://{}/api/status/ws", location.host()?))?;

    let on_open = Closure::<dyn FnMut()>::new(move || live.feed(Input::Opened));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        let frame = message.data().as_string().and_then(|text| wire::frame(&text));
        // A frame that this client does not know belongs to a newer server; the next one may be known.
        if let Some(frame) = frame {
            live.feed(Input::Frame(frame));
        }
    });
    let on_close =
        Closure::<dyn FnMut(CloseEvent)>::new(move |end: CloseEvent| live.feed(Input::Closed(end.code())));
    ws.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    ws.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    ws.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    Ok(Socket { ws, _open: on_open, _message: on_message, _close: on_close })
}
