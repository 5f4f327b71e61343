//! P4: how long a change takes from the moment it is due, over its commit, to the sockets that watch: 500 changes a second,
//! 200 watchers. Ours is the real program with its database on the disk; changes are reports of an outside worker. The
//! peer hands each change to BullMQ, whose Redis writes it to the disk first, and Socket.IO tells what BullMQ's events say;
//! without Redis the peer is Socket.IO alone, which keeps nothing.

use crate::{
    plan::{self, Plan},
    redis::Redis,
    rest::Rest,
    servers::Server,
    step, turns,
    wire::{Side, Wire},
};
use hdrhistogram::Histogram;
use measure::{
    Failure,
    report::{self, Goal},
    stats,
};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::{Instant, sleep_until};

struct Load {
    watchers: usize,
    documents: usize,
    rate: f64,
    warm: f64,
    seconds: f64,
    /// How long a change may be under way before it counts as lost.
    grace: Duration,
}

const LOAD: Load = Load {
    watchers: 200,
    documents: 50,
    rate: 500.0,
    warm: 5.0,
    seconds: 20.0,
    grace: Duration::from_secs(10),
};
const SMOKE: Load =
    Load { watchers: 10, documents: 5, rate: 40.0, warm: 0.5, seconds: 1.5, grace: Duration::from_secs(60) };

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let (load, rounds) = if smoke { (SMOKE, 1) } else { (LOAD, turns::ROUNDS) };
    let durable = Redis::is_there();
    // Of our messages about a document, and of the peer's.
    let (mut least, mut most) = (usize::MAX, 0);
    let found = turns::take(rounds, async |side| {
        let Found { latency, least: short, most: long } = round(side, &load).await?;
        match side {
            Side::Ours => least = least.min(short),
            Side::Peer => most = most.max(long),
        }
        let at = |q| latency.value_at_quantile(q) as f64 / 1e3;
        eprintln!(
            "{side:?}: p50 {:.2} p90 {:.2} p99 {:.2} p99.9 {:.2} max {:.2} ms",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
        Ok((at(0.5), at(0.99)))
    })
    .await?;
    if most > least {
        return Err(
            format!("the peer has to carry more: {most} bytes a message, and ours has {least}").into()
        );
    }
    let (ours, peer): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let (ours50, ours99): (Vec<f64>, Vec<f64>) = ours.into_iter().unzip();
    let peer99: Vec<f64> = peer.into_iter().map(|(_, p99)| p99).collect();
    let ratio = stats::compare(&ours99, &peer99);
    let mut note = String::new();
    if !durable {
        note += " (no Redis here: the peer is Socket.IO alone and keeps nothing)";
    }
    if smoke {
        note += report::SMOKE;
    }
    let bound = |name, values: &[f64], most| {
        report::bound_line(name, "ms", stats::of_ratios(values), Goal::AtMost(most)) + &note
    };
    let (ours, peer) = (stats::median(&ours99), stats::median(&peer99));
    Ok([
        bound("P4-p50", &ours50, 3.0),
        bound("P4-p99", &ours99, 15.0),
        report::line("P4", "ms", ours, peer, ratio, Goal::AtMost(0.333)) + &note,
    ]
    .join("\n"))
}

/// What a round found.
#[derive(Clone)]
struct Found {
    /// Microseconds from when each change was due to each of its deliveries.
    latency: Histogram<u64>,
    /// Bytes of the shortest and of the longest message about a change.
    least: usize,
    most: usize,
}

async fn round(side: Side, load: &Load) -> Result<Found, Failure> {
    let server = match side {
        Side::Ours => Server::product(1).await?,
        Side::Peer => Server::peer_with_jobs(1, load.documents).await?,
    };
    let worker = Rc::new(Rest::worker(&server, load.documents).await?);
    let wires = step::open(&server, load.watchers, 1).await?;
    let count = ((load.warm + load.seconds) * load.rate) as u64;
    let start = plan::now() + 200_000_000;
    let plan = Plan { start, rate: load.rate, count, rooms: 1, entities: 0, kept: false };
    let first = (load.warm * load.rate) as u64;
    let end = Instant::now() + Duration::from_nanos(plan.end().saturating_sub(plan::now())) + load.grace;
    let found = Found { latency: step::histogram()?, least: usize::MAX, most: 0 };
    let found = Rc::new(RefCell::new(found));
    let watching: Vec<_> = wires
        .into_iter()
        .map(|(_, wire, _)| tokio::task::spawn_local(watch(wire, plan, first, found.clone(), end)))
        .collect();
    let mut making = vec![];
    let mut next = 0;
    while next < count {
        let due = plan.due(plan::now());
        for n in next..due {
            let worker = worker.clone();
            making.push(tokio::task::spawn_local(async move { worker.report(n).await }));
        }
        next = due.max(next);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for made in making {
        made.await??;
    }
    for (n, socket) in watching.into_iter().enumerate() {
        let got = socket.await?;
        if got != count {
            return Err(format!("{side:?}: socket {n} got {got} of {count} changes once").into());
        }
    }
    server.stop().await?;
    let found = found.borrow().clone();
    Ok(found)
}

/// What is told of a change has its number in the metadata of the document; how many of them came; none when one came twice.
async fn watch(mut wire: Wire, plan: Plan, first: u64, found: Rc<RefCell<Found>>, end: Instant) -> u64 {
    let mut came = vec![false; plan.count as usize];
    let (mut once, mut doubled) = (0, false);
    let read = async {
        while once < plan.count {
            let mut each = |_: u64, frame: &[u8]| {
                let Some(n) = change_of(frame) else { return };
                let Some(came) = came.get_mut(n as usize) else { return };
                doubled |= std::mem::replace(came, true);
                once += 1;
                let mut found = found.borrow_mut();
                found.least = found.least.min(frame.len());
                found.most = found.most.max(frame.len());
                if n >= first {
                    let micros = plan::now().saturating_sub(plan.at(n)) / 1_000;
                    found.latency.saturating_record(micros.max(1));
                }
            };
            if wire.read(&mut each).await.is_err() || doubled {
                return;
            }
        }
    };
    tokio::select! { () = read => {}, () = sleep_until(end) => {} }
    if doubled { 0 } else { once }
}

/// The number of the change that a document's status is about.
fn change_of(frame: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(frame).ok()?;
    let (_, rest) = text.split_once(r#""event":"document_status""#)?;
    let (_, rest) = rest.split_once(r#""change":"#)?;
    rest.get(..rest.find(|c: char| !c.is_ascii_digit())?)?.parse().ok()
}
