//! The live socket, seen from the client.

use super::PATIENCE;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    pub(super) fn new(stream: WebSocketStream<TcpStream>) -> Self {
        Self { stream }
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::binary(bytes)).await.expect("sent");
    }

    /// Sends a text that the server does not read to its end, while it listens for why; answers the code.
    pub async fn refused_text(self, text: String) -> u16 {
        let (mut out, mut messages) = self.stream.split();
        let sending = async move {
            // How far it comes depends on what the line holds.
            let _ = out.send(Message::text(text)).await;
            out
        };
        let listening = async move {
            loop {
                let next = tokio::time::timeout(PATIENCE, messages.next()).await.expect("something in time");
                if let Message::Close(frame) = next.expect("the socket is open").expect("a message") {
                    return frame.map_or(1005, |frame| frame.code.into());
                }
            }
        };
        tokio::join!(sending, listening).1
    }

    /// Says hello and answers the welcome.
    pub async fn hello(&mut self, epoch: Value, last_seq: Value) -> Value {
        self.send(json!({ "type": "hello", "epoch": epoch, "last_seq": last_seq })).await;
        let welcome = self.frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        welcome
    }

    /// The same where the server may end the stream instead.
    pub async fn hello_or_end(&mut self, epoch: Value, last_seq: Value) -> Option<Value> {
        let hello = json!({ "type": "hello", "epoch": epoch, "last_seq": last_seq });
        self.stream.send(Message::text(hello.to_string())).await.ok()?;
        self.event_or_end().await
    }

    /// The next event, or the welcome; `None` when the server ended the stream.
    pub async fn event_or_end(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something in time");
            let Some(Ok(message)) = next else { return None };
            match message {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] != "ping" {
                        return Some(frame);
                    }
                    // Whether it still gets there does not matter: the end is seen by the next read.
                    let _ = self.stream.send(Message::text(json!({ "type": "pong" }).to_string())).await;
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something in time");
        next.expect("the socket is open").expect("a message")
    }

    /// The next frame; pings are answered on the way.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["type"] == "ping" {
                        self.send(json!({ "type": "pong" })).await;
                        continue;
                    }
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of a frame: {other:?}"),
            }
        }
    }

    /// The next raw frame, pings included.
    pub async fn raw_frame(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("instead of a frame: {other:?}"),
        }
    }

    /// Events up to the one that is asked for, that one included.
    pub async fn events_until(&mut self, mut last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut seen = vec![];
        loop {
            let frame = self.frame().await;
            assert_eq!(frame["type"], "event", "{frame}");
            let found = last(&frame);
            seen.push(frame);
            if found {
                return seen;
            }
        }
    }

    /// Says that the link ends, as a browser does that leaves the page.
    pub async fn say_goodbye(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.stream.send(Message::Close(Some(frame))).await.expect("sent");
    }

    /// Reads on until the server closes; answers its code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => return 1005,
                _ => {}
            }
        }
    }
}
