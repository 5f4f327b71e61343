//! A line over which a server reaches what it stands on, as a network between machines is one: it can be cut, made to swallow
//! everything without a word, and mended.

use std::net::Ipv4Addr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Well,
    /// Every connection ends, and none can be had.
    Cut,
    /// Connections stay, and new ones can be had, but nothing arrives any more, in either direction.
    Swallows,
    /// The same for the connections of before; new ones are well. A fail-over to another machine looks like that.
    Forgets,
}

pub struct Line {
    port: u16,
    state: watch::Sender<State>,
    _serving: AbortOnDropHandle<()>,
}

impl Line {
    /// To what listens on that port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let (state, watched) = watch::channel(State::Well);
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, port, watched.clone()));
            }
        });
        Self { port: own, state, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The address that leads there over this line, of one that leads there directly.
    pub fn over(&self, url: &str) -> String {
        let (front, rest) = url.split_once("@127.0.0.1:").expect("a port of this machine");
        let path = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{front}@127.0.0.1:{}{path}", self.port)
    }

    /// A connection of which something was swallowed ends when the line is well again: no other end would ever notice.
    pub fn is_now(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// The port in such an address.
pub fn port_of(url: &str) -> u16 {
    let (_, rest) = url.split_once("@127.0.0.1:").expect("a port of this machine");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().expect("digits");
    digits.parse().expect("a port")
}

async fn carry(mut near: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    // What is cut off or breaks ends here, which is what this is for.
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let begun = *state.borrow();
    let mut has_lost = false;
    loop {
        let now = *state.borrow_and_update();
        let swallows = now == State::Swallows || (now == State::Forgets && begun != State::Forgets);
        if now == State::Cut || (now == State::Well && has_lost) {
            // Both ends find it broken, and not closed.
            let _ = (near.set_zero_linger(), far.set_zero_linger());
            return;
        }
        tokio::select! {
            // First: what arrives after the line was told something finds it so, however late this is looked at.
            biased;
            changed = state.changed() => if changed.is_err() { return },
            read = near.read(&mut up) => match read {
                Ok(n) if n > 0 && swallows => has_lost = true,
                Ok(n) if n > 0 => if far.write_all(&up[..n]).await.is_err() { return },
                _ => return,
            },
            read = far.read(&mut down) => match read {
                Ok(n) if n > 0 && swallows => has_lost = true,
                Ok(n) if n > 0 => if near.write_all(&down[..n]).await.is_err() { return },
                _ => return,
            },
        }
    }
}
