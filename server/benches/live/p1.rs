//! P1: how many deliveries a second hold at a p99 of 100 ms: 500 sockets in one room, and 5,000 in rooms of their own.

use crate::{
    servers::Server,
    step::{Outcome, Step},
    turns,
    wire::Side,
};
use measure::{
    Failure,
    report::{self, Goal},
    stats,
};

struct Shape {
    name: &'static str,
    sockets: usize,
    rooms: usize,
}

const SHAPES: [Shape; 2] =
    [Shape { name: "P1", sockets: 500, rooms: 1 }, Shape { name: "P1-rooms", sockets: 5_000, rooms: 5_000 }];
/// Deliveries a second that the search begins with.
const BEGIN: f64 = 20_000.0;

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let mut lines = vec![];
    for shape in SHAPES {
        let rounds = if smoke { 1 } else { turns::ROUNDS };
        let mut begin = [BEGIN; 2];
        let found = turns::take(rounds, async |side| {
            let mut server =
                Server::start(side, if smoke { shape.rooms.min(20) } else { shape.rooms }).await?;
            let rate = if smoke {
                once(&mut server, &shape).await?
            } else {
                let begin = &mut begin[usize::from(side == Side::Peer)];
                let rate = most(&mut server, shape.sockets, shape.rooms, *begin).await?;
                *begin = rate * 0.8;
                rate
            };
            server.stop().await?;
            Ok(rate)
        })
        .await?;
        let (ours, peer): (Vec<f64>, Vec<f64>) = found.into_iter().unzip();
        let ratio = stats::compare(&ours, &peer);
        let (ours, peer) = (stats::median(&ours), stats::median(&peer));
        let line = report::line(shape.name, "/s", ours, peer, ratio, Goal::AtLeast(3.0));
        lines.push(if smoke { line + report::SMOKE } else { line });
    }
    Ok(lines.join("\n"))
}

/// A little of everything; what was delivered a second.
async fn once(server: &mut Server, shape: &Shape) -> Result<f64, Failure> {
    let rooms = shape.rooms.min(20);
    let step = Step { sockets: 20, rooms, rate: 5.0 * rooms as f64, warm: 0.2, seconds: 1.0 };
    let outcome = step.run(server).await?;
    eprintln!("{:?}: {}", server.side, outcome.line());
    if outcome.incomplete > 0 {
        return Err(format!("{} sockets did not get each change once", outcome.incomplete).into());
    }
    Ok(outcome.achieved)
}

/// The most deliveries a second that hold: doubled until they do not, then halved in between, and confirmed by a whole
/// round of 20 seconds.
pub async fn most(server: &mut Server, sockets: usize, rooms: usize, begin: f64) -> Result<f64, Failure> {
    let each = sockets as f64 / rooms as f64;
    let mut tried = async |deliveries: f64, warm: f64, seconds: f64| -> Result<Outcome, Failure> {
        let step = Step { sockets, rooms, rate: deliveries / each, warm, seconds };
        let outcome = step.run(server).await?;
        eprintln!("{:?}: {}", server.side, outcome.line());
        Ok(outcome)
    };
    let (mut good, mut bad) = (0.0, begin);
    while tried(bad, 1.0, 3.0).await?.holds() {
        (good, bad) = (bad, bad * 2.0);
    }
    while good == 0.0 {
        let lower = bad / 2.0;
        if lower < 1.0 {
            return Err("no rate holds".into());
        }
        if tried(lower, 1.0, 3.0).await?.holds() { good = lower } else { bad = lower }
    }
    for _ in 0..4 {
        let middle = f64::midpoint(good, bad);
        if tried(middle, 1.0, 3.0).await?.holds() { good = middle } else { bad = middle }
    }
    loop {
        let outcome = tried(good, 5.0, 20.0).await?;
        if outcome.holds() {
            return Ok(outcome.achieved);
        }
        good *= 0.95;
        if good < 1.0 {
            return Err("no rate holds for twenty seconds".into());
        }
    }
}
