//! A client of either side's socket that costs as little as possible, so that the server is the first to be out of breath:
//! it splits the stream into frames and looks at their first bytes only.

use measure::Failure;
use std::{cell::RefCell, io};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Whose protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Ours,
    Peer,
}

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said<'a> {
    /// The next step of the greeting has to be sent.
    Greet(&'static str),
    /// The stream begins after this seq.
    Welcome(u64),
    /// A change, and all of its frame.
    Event(u64, &'a [u8]),
    /// To be answered with this.
    Ping(&'static str),
    Other,
}

impl Side {
    fn path(self) -> &'static str {
        match self {
            Self::Ours => "/api/status/ws",
            Self::Peer => "/socket.io/?EIO=4&transport=websocket",
        }
    }

    /// What the client says first; of the peer the server does.
    fn first(self, resume: Option<&str>) -> Option<String> {
        let new = r#"{"type":"hello","epoch":null,"last_seq":null}"#;
        (self == Self::Ours).then(|| resume.unwrap_or(new).to_owned())
    }

    fn read(self, frame: &[u8]) -> Said<'_> {
        match self {
            Self::Ours => {
                if let Some(rest) = frame.strip_prefix(br#"{"type":"event","seq":"#) {
                    return Said::Event(number(rest), frame);
                }
                match frame {
                    br#"{"type":"ping"}"# => Said::Ping(r#"{"type":"pong"}"#),
                    _ if frame.starts_with(br#"{"type":"welcome""#) => Said::Welcome(seq(frame)),
                    _ => Said::Other,
                }
            }
            Self::Peer => {
                if let Some(rest) = frame.strip_prefix(br#"42["event",{"type":"event","seq":"#) {
                    return Said::Event(number(rest), frame);
                }
                match frame.first() {
                    Some(b'0') => Said::Greet("40"),
                    Some(b'2') => Said::Ping("3"),
                    Some(b'4') if frame.get(1) == Some(&b'0') => Said::Welcome(0),
                    _ => Said::Other,
                }
            }
        }
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}

fn seq(frame: &[u8]) -> u64 {
    let name = br#""seq":"#;
    frame.windows(name.len()).position(|w| w == name).map_or(0, |at| number(&frame[at + name.len()..]))
}

thread_local! {
    /// What was just read, of whichever socket: ten thousand of them have no buffer of their own while they are idle.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

pub struct Wire {
    side: Side,
    stream: TcpStream,
    /// The beginning of a frame whose end is still to come.
    rest: Vec<u8>,
}

impl Wire {
    /// Opens a socket with a session, and waits until the stream begins; answers the seq after which it does. `resume` is
    /// our hello, when it is not that of a newcomer; what follows the welcome at once is handed to `each`.
    pub async fn open(
        side: Side,
        addr: &str,
        token: &str,
        resume: Option<&str>,
        each: &mut impl FnMut(u64, &[u8]),
    ) -> Result<(Self, u64), Failure> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Cookie: insighthub_session={token}\r\n\r\n",
            side.path()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = vec![];
        let end = loop {
            if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut head).await? == 0 {
                return Err("the server closed the connection instead of answering the upgrade".into());
            }
        };
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(format!("no upgrade: {}", String::from_utf8_lossy(&head)).into());
        }
        let mut wire = Self { side, stream, rest: head.split_off(end) };
        if let Some(first) = side.first(resume) {
            wire.say(&first).await?;
        }
        // Frames may have come with the answer.
        let mut begun = wire.take_rest(each)?;
        loop {
            if let Some(greeting) = begun.greet.take() {
                wire.say(greeting).await?;
            }
            if let Some(seq) = begun.welcome {
                return Ok((wire, seq));
            }
            begun = wire.read(each).await?;
        }
    }

    /// Waits for bytes and hands on the events among them; pings are answered.
    pub async fn read(&mut self, each: &mut impl FnMut(u64, &[u8])) -> Result<Heard, Failure> {
        loop {
            self.stream.readable().await?;
            let heard = SCRATCH.with_borrow_mut(|scratch| {
                let read = match self.stream.try_read(scratch) {
                    Ok(0) => return Err("the server closed the socket".into()),
                    Ok(read) => read,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(e) => return Err(Failure::from(e)),
                };
                let new = &scratch[..read];
                if self.rest.is_empty() {
                    let (heard, used) = split(self.side, new, each)?;
                    self.rest.extend_from_slice(&new[used..]);
                    return Ok(Some(heard));
                }
                self.rest.extend_from_slice(new);
                self.take_rest(each).map(Some)
            })?;
            if let Some(mut heard) = heard {
                if let Some(pong) = heard.ping.take() {
                    self.say(pong).await?;
                }
                return Ok(heard);
            }
        }
    }

    fn take_rest(&mut self, each: &mut impl FnMut(u64, &[u8])) -> Result<Heard, Failure> {
        let (heard, used) = split(self.side, &self.rest, each)?;
        self.rest.drain(..used);
        if self.rest.is_empty() {
            self.rest = vec![];
        }
        Ok(heard)
    }

    /// A client has to mask what it sends; a mask of zeros is one.
    async fn say(&mut self, text: &str) -> Result<(), Failure> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(short @ ..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(text.len())?.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }
}

/// What was among the frames besides events.
#[derive(Default)]
pub struct Heard {
    greet: Option<&'static str>,
    pub welcome: Option<u64>,
    ping: Option<&'static str>,
}

/// Hands on the events among the whole frames; how many bytes these took.
fn split(side: Side, mut bytes: &[u8], each: &mut impl FnMut(u64, &[u8])) -> Result<(Heard, usize), Failure> {
    let (mut heard, all) = (Heard::default(), bytes.len());
    while let Some((opcode, frame, rest)) = first_frame(bytes) {
        bytes = rest;
        if opcode == 8 {
            let why = frame.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
            return Err(format!("the server closed the socket with {why}").into());
        }
        if opcode != 1 {
            continue;
        }
        match side.read(frame) {
            Said::Event(seq, frame) => each(seq, frame),
            Said::Welcome(seq) => heard.welcome = Some(seq),
            Said::Greet(words) => heard.greet = Some(words),
            Said::Ping(pong) => heard.ping = Some(pong),
            Said::Other => {}
        }
    }
    Ok((heard, all - bytes.len()))
}

/// Opcode and content of the first frame, and what comes after it. `None`: it is not all there.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[first, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length & 0x7F {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let (frame, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((first & 0x0F, frame, rest))
}
