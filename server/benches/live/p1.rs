//! P1: how many deliveries a second hold at a p99 of 100 ms: 500 sockets in one room, and 5,000 in rooms of their own;
//! against Socket.IO, and against Bun's own WebSockets.

use crate::{
    search,
    servers::{self, Server},
    step::Step,
    turns,
    wire::Side,
};
use measure::{
    Failure,
    report::{self, Goal},
};
use std::time::Duration;

pub struct Shape {
    name: &'static str,
    against_bun: &'static str,
    sockets: usize,
    rooms: usize,
}

pub const ONE_ROOM: Shape = Shape { name: "P1", against_bun: "P1-bun", sockets: 500, rooms: 1 };
pub const ROOMS: Shape =
    Shape { name: "P1-rooms", against_bun: "P1-rooms-bun", sockets: 5_000, rooms: 5_000 };
/// Deliveries a second that the search begins with.
const BEGIN: f64 = 20_000.0;

#[derive(Clone, Copy)]
enum Who {
    Ours,
    SocketIo,
    Bun,
}

impl Who {
    async fn start(self, people: usize) -> Result<Server, Failure> {
        match self {
            Self::Ours => Server::start(Side::Ours, people).await,
            Self::SocketIo => Server::start(Side::Peer, people).await,
            Self::Bun => Server::bun(people).await,
        }
    }
}

pub async fn compare(shape: &Shape, smoke: bool) -> Result<String, Failure> {
    let mut begin = [BEGIN; 3];
    let round = async |who: Who| {
        if smoke {
            let mut server = who.start(shape.rooms.min(20)).await?;
            let rate = once(&mut server, shape).await?;
            server.stop().await?;
            return Ok(rate);
        }
        let begin = &mut begin[who as usize];
        let rate = most(async || who.start(shape.rooms).await, shape.sockets, shape.rooms, *begin).await?;
        *begin = rate * 0.8;
        Ok(rate)
    };
    let line = |name, ours: &[f64], peer: &[f64], goal| {
        let line = report::compared(name, "/s", ours, peer, goal);
        if smoke { line + report::SMOKE } else { line }
    };
    let rounds = if smoke { 1 } else { turns::ROUNDS };
    if smoke && !servers::has_bun() {
        let [ours, peer] = turns::among(rounds, [Who::Ours, Who::SocketIo], round).await?;
        let bun = format!("{}: skipped, since a smoke run does not fetch Bun", shape.against_bun);
        return Ok([line(shape.name, &ours, &peer, Goal::AtLeast(3.0)), bun].join("\n"));
    }
    let [ours, peer, bun] = turns::among(rounds, [Who::Ours, Who::SocketIo, Who::Bun], round).await?;
    let lines = [
        line(shape.name, &ours, &peer, Goal::AtLeast(3.0)),
        line(shape.against_bun, &ours, &bun, Goal::AtLeast(0.8)),
    ];
    Ok(lines.join("\n"))
}

/// A little of everything; what was delivered a second.
async fn once(server: &mut Server, shape: &Shape) -> Result<f64, Failure> {
    let rooms = shape.rooms.min(20);
    let rate = 5.0 * rooms as f64;
    let step = Step { sockets: 20, rooms, rate, warm: 0.2, seconds: 1.0, grace: Duration::from_secs(60) };
    let outcome = step.run(server).await?;
    eprintln!("{:?}: {}", server.side, outcome.line());
    if outcome.incomplete > 0 {
        return Err(format!("{} sockets did not get each change once", outcome.incomplete).into());
    }
    Ok(outcome.achieved)
}

/// The most deliveries a second that hold. A server that was given too much has the rest of it still to do, which must not
/// reach the sockets of the next step: that has a server of its own, made by `start`.
pub async fn most(
    start: impl AsyncFn() -> Result<Server, Failure>,
    sockets: usize,
    rooms: usize,
    begin: f64,
) -> Result<f64, Failure> {
    let each = sockets as f64 / rooms as f64;
    let mut running = None;
    let found = search::most(begin, async |deliveries: f64, warm, seconds| {
        let mut server = match running.take() {
            Some(server) => server,
            None => start().await?,
        };
        let (rate, grace) = (deliveries / each, Duration::from_secs(5));
        let step = Step { sockets, rooms, rate, warm, seconds, grace };
        let outcome = step.run(&mut server).await?;
        eprintln!("{:?}: {}", server.side, outcome.line());
        if outcome.holds() {
            running = Some(server);
            return Ok(Some(outcome.achieved));
        }
        server.stop().await?;
        Ok(None)
    })
    .await?;
    if let Some(server) = running {
        server.stop().await?;
    }
    Ok(found)
}
