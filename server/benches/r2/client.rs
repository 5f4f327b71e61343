//! A client as a browser's tab is one: the machine of the live link decides, the reducer keeps. Only the socket, the
//! clock and the reading of what is on screen are made anew here.

use crate::{account::Account, line::Line, place::Place};
use app::live::{
    Transport,
    machine::{Action, Input, Link, Machine, Millis},
};
use domain::{ServerFrame, pages::Since, reducer::Store};
use futures::{SinkExt, StreamExt};
use measure::{Failure, dice::Dice};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// A tab has a tick a second; here more, since its seconds pass sooner.
const TICK: Duration = Duration::from_millis(100);
/// A little more than both sides wait for a sign of life.
const SILENCE: Millis = 46_000;
const CONNECT: Duration = Duration::from_secs(60);
/// What a client has not come to by then, it never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be seen of it from outside.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    pub open: bool,
    pub since: Option<Since>,
    pub welcomes: u64,
    /// How often everything was read anew.
    pub resyncs: u64,
    /// What it waits for, when it is not for the server or its clock.
    pub doing: Option<&'static str>,
    pub broken: Option<String>,
}

impl Looks {
    /// Whether it knows the log up to there.
    pub fn has(&self, head: &Since) -> bool {
        self.since.as_ref().is_some_and(|since| since.epoch == head.epoch && since.seq >= head.seq)
    }

    pub fn epoch(&self) -> Option<&domain::Epoch> {
        self.since.as_ref().map(|since| &since.epoch)
    }
}

enum Order {
    Forward(Millis),
    Show(oneshot::Sender<Store>),
}

pub struct Client {
    pub line: Line,
    pub account: Arc<Account>,
    looks: watch::Receiver<Looks>,
    orders: mpsc::UnboundedSender<Order>,
    running: JoinHandle<()>,
}

impl Client {
    pub async fn new(place: &Place, account: &Arc<Account>, dice: Dice) -> Result<Self, Failure> {
        let line = Line::open(place).await?;
        let (told, looks) = watch::channel(Looks::default());
        let (orders, received) = mpsc::unbounded_channel();
        let tab = Tab {
            address: line.address.to_string(),
            account: account.clone(),
            machine: Machine::default(),
            store: Store::default(),
            socket: None,
            began: Instant::now(),
            put_forward: 0,
            dice,
            looks: Looks::default(),
            told,
        };
        let running = tokio::spawn(tab.run(received));
        Ok(Self { line, account: account.clone(), looks, orders, running })
    }

    pub fn looks(&self) -> Looks {
        self.looks.borrow().clone()
    }

    /// Waits until it looks like that.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Looks) -> bool) -> Result<(), Failure> {
        let mut looks = self.looks.clone();
        let reached = timeout(PATIENCE, looks.wait_for(|looks| looks.broken.is_some() || is_so(looks))).await;
        match reached {
            Ok(Ok(now)) => match &now.broken {
                None => Ok(()),
                Some(why) => Err(format!("a client gave up: {why}").into()),
            },
            _ => Err(format!("a client never {what}: {:?}", self.looks()).into()),
        }
    }

    /// Its clock is put forward by as much as a link may be silent.
    pub fn silence_passes(&self) {
        // One that has broken down shows it in its looks.
        let _ = self.orders.send(Order::Forward(SILENCE));
    }

    /// What it shows.
    pub async fn shown(&self) -> Result<Store, Failure> {
        let (reply, shown) = oneshot::channel();
        self.orders.send(Order::Show(reply)).map_err(|_| "a client has ended")?;
        Ok(shown.await?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Tab {
    address: String,
    account: Arc<Account>,
    machine: Machine,
    store: Store,
    socket: Option<Socket>,
    began: Instant,
    put_forward: Millis,
    dice: Dice,
    looks: Looks,
    told: watch::Sender<Looks>,
}

impl Tab {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut input = Input::Start;
        loop {
            if let Err(why) = self.take(input).await {
                self.looks.broken = Some(why.to_string());
                self.show();
            }
            if self.looks.broken.is_some() {
                return;
            }
            input = loop {
                tokio::select! {
                    message = next(&mut self.socket) => match message {
                        Some(input) => break input,
                        None => continue,
                    },
                    order = orders.recv() => match order {
                        Some(Order::Forward(by)) => {
                            self.put_forward += by;
                            break Input::Tick;
                        }
                        Some(Order::Show(reply)) => {
                            // Whoever asked may have gone.
                            let _ = reply.send(self.store.clone());
                        }
                        None => return,
                    },
                    () = sleep(TICK) => break Input::Tick,
                }
            };
        }
    }

    /// Tells whoever looks on what it looks like now.
    fn show(&mut self) {
        self.looks.open = matches!(self.machine.link(), Link::Open { .. });
        self.looks.since = self.machine.since().cloned();
        self.told.send_replace(self.looks.clone());
    }

    fn now(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis + self.put_forward
    }

    async fn take(&mut self, input: Input) -> Result<(), Failure> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if matches!(input, Input::Frame(ServerFrame::Welcome { .. })) {
                self.looks.welcomes += 1;
            }
            let (now, unit) = (self.now(), self.dice.unit());
            for action in self.machine.on(input, now, unit) {
                let doing = match &action {
                    Action::Connect(..) => Some("connects"),
                    Action::Send(_) => Some("sends"),
                    Action::Resync => Some("reads anew"),
                    _ => None,
                };
                if doing.is_some() {
                    self.looks.doing = doing;
                    self.show();
                }
                if let Some(next) = self.carry_out(action).await? {
                    inputs.push_back(next);
                }
            }
            self.looks.doing = None;
            self.show();
            // Nobody waits for a pause between two tries.
            if let Link::Waiting { until } = self.machine.link()
                && inputs.is_empty()
            {
                sleep(Duration::from_millis(2)).await;
                self.put_forward += until.saturating_sub(self.now());
                inputs.push_back(Input::Tick);
            }
        }
        Ok(())
    }

    async fn carry_out(&mut self, action: Action) -> Result<Option<Input>, Failure> {
        match action {
            Action::Connect(Transport::Socket, _) => {
                self.socket = None;
                return Ok(Some(match timeout(CONNECT, self.connect()).await {
                    Ok(Ok(socket)) => {
                        self.socket = Some(Socket { stream: socket, frames: VecDeque::new() });
                        Input::Opened
                    }
                    _ => Input::Closed(1006),
                }));
            }
            // This client has sockets alone: on a lower rung nothing is to be had, which leads back up.
            Action::Connect(..) | Action::Poll(_) => return Ok(Some(Input::Closed(1006))),
            Action::Probe => return Ok(Some(Input::ProbeClosed)),
            Action::Hangup => self.socket = None,
            Action::Send(frame) => {
                let text = serde_json::to_string(&frame)?;
                if let Some(socket) = &mut self.socket
                    && socket.stream.send(Message::text(text)).await.is_err()
                {
                    self.socket = None;
                    return Ok(Some(Input::Closed(1006)));
                }
            }
            Action::Apply(event) => {
                self.store.apply(&event);
            }
            Action::Resync => {
                // What comes meanwhile waits in the socket, and is applied to what was read.
                self.store = self.account.read_anew().await?;
                self.looks.resyncs += 1;
                return Ok(Some(Input::Renewed));
            }
            Action::SignIn => return Err("the session ended".into()),
            Action::SendProbe(_)
            | Action::DropProbe
            | Action::Adopt
            | Action::Tell(_)
            | Action::Pass { .. }
            | Action::CatchUp(_)
            | Action::TakeOver => return Err(format!("a lone tab was told: {action:?}").into()),
        }
        Ok(None)
    }

    async fn connect(&self) -> Result<WebSocketStream<TcpStream>, Failure> {
        let mut request = format!("ws://{}/api/status/ws", self.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("cookie", HeaderValue::from_str(&self.account.cookie)?);
        headers.insert("origin", HeaderValue::from_str(&format!("http://{}", self.address))?);
        let stream = TcpStream::connect(&self.address).await?;
        Ok(client_async(request, stream).await?.0)
    }
}

struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// What a message brought, and was not taken yet.
    frames: VecDeque<ServerFrame>,
}

/// What the socket brings; never anything while there is none.
async fn next(socket: &mut Option<Socket>) -> Option<Input> {
    let Some(open) = socket else { return std::future::pending().await };
    if let Some(frame) = open.frames.pop_front() {
        return Some(Input::Frame(frame));
    }
    let closed = match open.stream.next().await {
        // A frame a line.
        Some(Ok(Message::Text(text))) => match text.lines().map(serde_json::from_str).collect() {
            Ok(frames) => {
                open.frames = frames;
                return None;
            }
            Err(_) => 1006,
        },
        Some(Ok(Message::Close(frame))) => frame.map_or(1005, |frame| frame.code.into()),
        Some(Ok(_)) => return None,
        Some(Err(_)) | None => 1006,
    };
    *socket = None;
    Some(Input::Closed(closed))
}
