//! A step: so many sockets, changes at one rate for a while, and what became of them.

use crate::{
    plan::{self, Plan},
    servers::Server,
    wire::Wire,
};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use measure::Failure;
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout};

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub sockets: usize,
    /// The sockets are spread evenly over them.
    pub rooms: usize,
    /// Changes a second.
    pub rate: f64,
    /// Seconds before the measured ones, and these.
    pub warm: f64,
    pub seconds: f64,
    /// After the last change, so long nothing may be heard of it before it counts as lost.
    pub grace: Duration,
}

/// What became of it.
pub struct Outcome {
    /// Microseconds from when a change was due to its delivery.
    pub latency: Histogram<u64>,
    /// Deliveries a second, from the first measured change to the last delivery.
    pub achieved: f64,
    /// Deliveries a second that were asked for.
    pub offered: f64,
    /// Sockets that did not get each change once and in order.
    pub incomplete: usize,
}

impl Outcome {
    pub fn quantile_ms(&self, q: f64) -> f64 {
        self.latency.value_at_quantile(q) as f64 / 1e3
    }

    /// All that was asked for came, and 99 of 100 in time.
    pub fn holds(&self) -> bool {
        self.incomplete == 0 && self.quantile_ms(0.99) <= 100.0 && self.achieved >= 0.98 * self.offered
    }

    pub fn line(&self) -> String {
        format!(
            "{:.0} of {:.0} deliveries/s, p50 {:.2} p90 {:.2} p99 {:.2} p99.9 {:.2} max {:.2} ms, {} incomplete",
            self.achieved,
            self.offered,
            self.quantile_ms(0.5),
            self.quantile_ms(0.9),
            self.quantile_ms(0.99),
            self.quantile_ms(0.999),
            self.latency.max() as f64 / 1e3,
            self.incomplete
        )
    }
}

/// A histogram of microseconds up to ten minutes.
pub fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

impl Step {
    pub async fn run(&self, server: &mut Server) -> Result<Outcome, Failure> {
        let wires = open(server, self.sockets, self.rooms).await?;
        let plan = Plan {
            start: plan::now() + 100_000_000,
            rate: self.rate,
            count: ((self.warm + self.seconds) * self.rate).ceil().max(1.0) as u64,
            rooms: self.rooms as u64,
            entities: 0,
            kept: false,
        };
        let first = (self.warm * self.rate) as u64;
        let seen = Rc::new(RefCell::new(Seen { latency: histogram()?, last: plan.start }));
        server.tell(&plan).await?;
        let end = Instant::now() + Duration::from_nanos(plan.end().saturating_sub(plan::now())) + self.grace;
        let watching: Vec<_> = wires
            .into_iter()
            .map(|(room, wire, base)| {
                tokio::task::spawn_local(watch(wire, base, plan, room, first, seen.clone(), end))
            })
            .collect();
        let mut incomplete = 0;
        for socket in watching {
            incomplete += usize::from(!socket.await?);
        }
        if timeout(Duration::from_secs(60), server.told()).await.is_err() {
            return Err("the server did not come to the end of its changes".into());
        }
        let seen = seen.borrow();
        let offered = self.rate * self.sockets as f64 / self.rooms as f64;
        // What the rate asked for is delivered by the last due moment; later ones stretch the time.
        let due = plan.at(plan.count.saturating_sub(1)).max(seen.last);
        let measured = (due - plan.at(first)) as f64 / 1e9 + 1.0 / self.rate;
        Ok(Outcome {
            achieved: seen.latency.len() as f64 / measured,
            latency: seen.latency.clone(),
            offered,
            incomplete,
        })
    }
}

struct Seen {
    latency: Histogram<u64>,
    /// When the last delivery came.
    last: u64,
}

/// Opens sockets, spread over the people of a server; each with its room and the seq after which it begins.
pub async fn open(server: &Server, sockets: usize, rooms: usize) -> Result<Vec<(u64, Wire, u64)>, Failure> {
    let one = async |n: usize| -> Result<_, Failure> {
        let room = n % rooms;
        let token = server.tokens.get(room).ok_or("there are too few people")?;
        let (wire, base) = Wire::open(server.side, &server.addr, token, None, &mut |_, _| {}).await?;
        Ok((room as u64, wire, base))
    };
    stream::iter(0..sockets).map(one).buffer_unordered(64).try_collect().await
}

/// Takes what comes; whether each change of the room came once, in order.
async fn watch(
    mut wire: Wire,
    base: u64,
    plan: Plan,
    room: u64,
    first: u64,
    seen: Rc<RefCell<Seen>>,
    end: Instant,
) -> bool {
    let expected = plan.of_room(room);
    let (mut nth, mut in_order) = (0, true);
    let read = async {
        while in_order && nth < expected {
            let now = std::cell::OnceCell::new();
            let mut each = |seq: u64, _: &[u8]| {
                in_order &= seq == base + nth + 1;
                let n = plan.overall(room, nth);
                nth += 1;
                if n >= first {
                    let now = *now.get_or_init(plan::now);
                    let mut seen = seen.borrow_mut();
                    seen.latency.saturating_record((now.saturating_sub(plan.at(n)) / 1_000).max(1));
                    seen.last = seen.last.max(now);
                }
            };
            match wire.read(&mut each).await {
                // A second welcome says that something was left out.
                Ok(heard) if heard.welcome.is_none() => {}
                _ => return,
            }
        }
    };
    tokio::select! { () = read => {}, () = sleep_until(end) => {} }
    in_order && nth == expected
}
