//! P3: what an idle socket that is signed in costs in memory, and how soon all are as they should be when 10,000 come back
//! within ten seconds, each having missed a change. Ours is the real program.

use crate::{
    plan::{self, Plan},
    rest::Rest,
    servers::Server,
    step, turns,
    wire::{Side, Wire},
};
use futures::{StreamExt, TryStreamExt, stream};
use measure::{
    Failure,
    report::{self, Goal},
    stats,
};
use std::{cell::Cell, rc::Rc, time::Duration};
use tokio::time::timeout;

/// How many sockets, and how many people they belong to.
struct Crowd {
    sockets: usize,
    people: usize,
    /// Within so many seconds they come back.
    back_in: f64,
}

const CROWD: Crowd = Crowd { sockets: 10_000, people: 1_000, back_in: 10.0 };
const SMOKE: Crowd = Crowd { sockets: 100, people: 10, back_in: 0.5 };
/// A socket that has not what it missed after this time never gets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a round found.
struct Found {
    /// KiB a socket.
    memory: f64,
    /// Seconds from when a socket was to come back until it had what it missed; the worst of all.
    behind: f64,
}

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let (crowd, rounds) = if smoke { (SMOKE, 1) } else { (CROWD, turns::ROUNDS) };
    let found = turns::take(rounds, async |side| {
        let found = round(side, &crowd).await?;
        eprintln!("{side:?}: {:.2} KiB a socket, back after {:.2} s", found.memory, found.behind);
        Ok(found)
    })
    .await?;
    let of = |which: fn(&(Found, Found)) -> f64| found.iter().map(which).collect::<Vec<f64>>();
    let (ours, peer) = (of(|f| f.0.memory), of(|f| f.1.memory));
    let behind = of(|f| f.0.behind);
    let lines = [
        report::bound_line("P3-memory", "KiB", stats::of_ratios(&ours), Goal::AtMost(6.0)),
        report::bound_line("P3-reconnect", "s", stats::of_ratios(&behind), Goal::AtMost(5.0)),
        // The peer's is 2.5 times ours.
        report::compared("P3", "KiB", &ours, &peer, Goal::AtMost(0.4)),
    ];
    let note = if smoke { report::SMOKE } else { "" };
    Ok(lines.map(|line| line + note).join("\n"))
}

async fn round(side: Side, crowd: &Crowd) -> Result<Found, Failure> {
    let mut server = match side {
        Side::Ours => Server::product(crowd.people).await?,
        Side::Peer => Server::start(side, crowd.people).await?,
    };
    // What the first socket brings along is not what a socket costs.
    drop(step::open(&server, 1, 1).await?);
    let before = server.memory().await?;
    let idle = step::open(&server, crowd.sockets, crowd.people).await?;
    let memory = (server.memory().await? - before) / crowd.sockets as f64 / 1024.0;
    let mut places = vec![0; crowd.people];
    for (room, _, seq) in &idle {
        places[*room as usize] = *seq;
    }
    drop(idle);
    change_all(&mut server, crowd.people).await?;
    let behind = come_back(&server, crowd, &places).await?;
    server.stop().await?;
    Ok(Found { memory, behind })
}

/// Something happens to everybody while nobody listens.
async fn change_all(server: &mut Server, people: usize) -> Result<(), Failure> {
    match server.side {
        Side::Ours => {
            let http = reqwest::Client::builder().no_proxy().no_gzip().no_brotli().build()?;
            let all = server.tokens.iter().map(|token| Rest::rename(server, &http, token));
            stream::iter(all).buffer_unordered(16).try_collect::<()>().await
        }
        Side::Peer => {
            let people = people as u64;
            let start = plan::now();
            let once = Plan { start, rate: 1e6, count: people, rooms: people, entities: 0, kept: true };
            server.tell(&once).await?;
            server.told().await
        }
    }
}

/// All sockets come back on an even schedule; the most seconds that one of them was behind it until it had what it missed.
async fn come_back(server: &Server, crowd: &Crowd, places: &[u64]) -> Result<f64, Failure> {
    let epoch = match server.side {
        Side::Ours => Some(server.epoch().await?),
        Side::Peer => None,
    };
    let worst = Rc::new(Cell::new(0u64));
    let start = plan::now();
    let mut coming = vec![];
    for n in 0..crowd.sockets {
        let due = start + (n as f64 * crowd.back_in * 1e9 / crowd.sockets as f64) as u64;
        let early = due.saturating_sub(plan::now());
        if early > 0 {
            tokio::time::sleep(Duration::from_nanos(early)).await;
        }
        let room = n % crowd.people;
        let place = places[room];
        let hello =
            epoch.as_ref().map(|epoch| format!(r#"{{"type":"hello","epoch":"{epoch}","last_seq":{place}}}"#));
        let (side, addr, token) = (server.side, server.addr.clone(), server.tokens[room].clone());
        let worst = worst.clone();
        coming.push(tokio::task::spawn_local(async move {
            let has = Cell::new(false);
            let mut each = |seq: u64, _: &[u8]| has.set(has.get() || seq > place);
            let back = async {
                let (mut wire, _) = Wire::open(side, &addr, &token, hello.as_deref(), &mut each).await?;
                while !has.get() {
                    wire.read(&mut each).await?;
                }
                Ok::<_, Failure>(wire)
            };
            let wire = timeout(PATIENCE, back).await.map_err(|_| "a socket never got what it missed")??;
            worst.set(worst.get().max(plan::now().saturating_sub(due)));
            // It stays while the others come.
            Ok::<_, Failure>(wire)
        }));
    }
    let mut back = vec![];
    for one in coming {
        back.push(one.await??);
    }
    drop(back);
    Ok(worst.get() as f64 / 1e9)
}
