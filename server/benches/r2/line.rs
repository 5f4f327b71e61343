//! A line between a client and the server, on which things go wrong: a proxy of TCP for one client.

use crate::place::Place;
use measure::Failure;
use socket2::SockRef;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// What the proxy keeps of what comes from the server: little, so that a client that does not read is felt there soon.
const RECEIVED: u32 = 16 * 1024;
/// The size of a segment, as on most networks. That of the loopback device is larger than all that the proxy keeps, and then
/// TCP sends by its timers alone, which grow while nobody reads: what waits would come minutes after the client reads again.
const SEGMENT: u32 = 1_400;
/// A link that is to be reset within the next bytes is reset after this at the latest.
const RESET_WAITS: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Both ends are reset after so many more bytes from the server.
    Reset { after: usize },
    /// Nothing arrives any more, and nobody says so.
    Swallow,
    /// Nothing moves any more.
    Hold,
    /// Nothing that comes from the server is read.
    HoldDown,
    /// All is well again.
    Go,
}

/// Where a line leads.
#[derive(Default)]
struct Leads {
    /// Connections so far.
    connections: u64,
    /// The address of the server that the newest one leads to.
    server: String,
}

pub struct Line {
    pub address: SocketAddr,
    /// Of the newest connection.
    faults: Arc<Mutex<Option<mpsc::UnboundedSender<Fault>>>>,
    leads: Arc<Mutex<Leads>>,
    serving: JoinHandle<()>,
}

impl Line {
    pub async fn open(place: &Place) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (faults, leads) = (Arc::new(Mutex::new(None)), Arc::default());
        let serving = tokio::spawn(serve(listener, place.clone(), faults.clone(), Arc::clone(&leads)));
        Ok(Self { address, faults, leads, serving })
    }

    /// The address of the server that the newest connection leads to.
    pub fn leads(&self) -> String {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner).server.clone()
    }

    /// What goes wrong on the connection that there is now; later ones are well.
    pub fn meet(&self, fault: Fault) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(faults) = faults.as_ref() {
            // One that has ended meets nothing any more.
            let _ = faults.send(fault);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    listener: TcpListener,
    place: Place,
    faults: Arc<Mutex<Option<mpsc::UnboundedSender<Fault>>>>,
    leads: Arc<Mutex<Leads>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (sender, receiver) = mpsc::unbounded_channel();
        *faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let nth = {
            let mut leads = leads.lock().unwrap_or_else(PoisonError::into_inner);
            leads.connections += 1;
            leads.connections
        };
        let (place, leads) = (place.clone(), leads.clone());
        tokio::spawn(async move {
            let Ok(server) = connect(&place, &leads, nth).await else { return };
            // A connection that breaks is what this is for.
            carry(client, server, receiver).await.unwrap_or_default();
        });
    }
}

async fn connect(place: &Place, leads: &Mutex<Leads>, nth: u64) -> std::io::Result<TcpStream> {
    let base = place.base().await;
    {
        let mut leads = leads.lock().unwrap_or_else(PoisonError::into_inner);
        if leads.connections == nth {
            leads.server.clone_from(&base);
        }
    }
    let address = base.trim_start_matches("http://").parse().map_err(std::io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVED)?;
    SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
    socket.connect(address).await
}

/// How the line is.
enum State {
    Well,
    Resetting { left: usize, at: Instant },
    Swallowing,
    Held,
    HeldDown,
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut faults: mpsc::UnboundedReceiver<Fault>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = (vec![0; 4 * 1024], vec![0; 4 * 1024]);
    let mut state = State::Well;
    loop {
        let reads_down = !matches!(state, State::Held | State::HeldDown);
        let reset_at = match &state {
            State::Resetting { at, .. } => Some(*at),
            _ => None,
        };
        tokio::select! {
            fault = faults.recv() => state = match fault {
                Some(Fault::Reset { after }) => State::Resetting { left: after, at: Instant::now() + RESET_WAITS },
                Some(Fault::Swallow) => State::Swallowing,
                Some(Fault::Hold) => State::Held,
                Some(Fault::HoldDown) => State::HeldDown,
                Some(Fault::Go) => State::Well,
                // A newer connection has taken its place: this one goes on as it is.
                None => return rest(client, server, state).await,
            },
            read = client.read(&mut up) => match (read?, &state) {
                // However the line is: a client that is gone takes its connection along.
                (0, _) => return reset(&client, &server),
                (_, State::Swallowing | State::Held) => {}
                (n, _) => server.write_all(&up[..n]).await?,
            },
            read = server.read(&mut down), if reads_down => match (read?, &mut state) {
                (0, _) => return client.shutdown().await,
                (_, State::Swallowing) => {}
                (n, State::Resetting { left, .. }) => {
                    let n = n.min(*left);
                    client.write_all(&down[..n]).await?;
                    *left -= n;
                    if *left == 0 {
                        return reset(&client, &server);
                    }
                }
                (n, _) => client.write_all(&down[..n]).await?,
            },
            () = async { if let Some(at) = reset_at { sleep_until(at).await } }, if reset_at.is_some() => {
                return reset(&client, &server);
            }
        }
    }
}

/// What is left of a connection that nobody tells anything any more: it waits for its end.
async fn rest(mut client: TcpStream, server: TcpStream, state: State) -> std::io::Result<()> {
    if matches!(state, State::Well) {
        return reset(&client, &server);
    }
    let mut bytes = vec![0; 1024];
    while client.read(&mut bytes).await? > 0 {}
    reset(&client, &server)
}

/// Both ends find it broken, and not closed.
fn reset(client: &TcpStream, server: &TcpStream) -> std::io::Result<()> {
    client.set_zero_linger()?;
    server.set_zero_linger()
}
