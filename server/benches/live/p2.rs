//! P2: how stale a screen is when four times as many changes come as the peer can bear: 100 sockets in one room, progress
//! of 200 things. Staleness of a thing is the age of the first change of it that the screen does not show yet.

use crate::{
    p1,
    plan::{self, Plan},
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
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

struct Load {
    sockets: usize,
    entities: u64,
    /// Changes a second.
    rate: f64,
    warm: f64,
    seconds: f64,
    /// How long after the last change a screen may take until it shows the newest of everything.
    grace: Duration,
}

/// Screens are looked at so often.
const LOOK: Duration = Duration::from_millis(20);
const SOCKETS: usize = 100;
/// Deliveries a second that the search for the peer's knee begins with.
const BEGIN: f64 = 20_000.0;

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let rounds = if smoke { 1 } else { turns::ROUNDS };
    let load = if smoke {
        Load {
            sockets: 5,
            entities: 20,
            rate: 200.0,
            warm: 0.2,
            seconds: 1.0,
            grace: Duration::from_secs(60),
        }
    } else {
        let start = async || Server::start(Side::Peer, 1).await;
        let knee = p1::most(start, SOCKETS, 1, BEGIN).await? / SOCKETS as f64;
        let grace = Duration::from_secs(180);
        Load { sockets: SOCKETS, entities: 200, rate: 4.0 * knee, warm: 5.0, seconds: 20.0, grace }
    };
    let found = turns::take(rounds, async |side| {
        let mut server = Server::start(side, 1).await?;
        let (staleness, strays) = round(&mut server, &load).await?;
        server.stop().await?;
        let at = |q| staleness.value_at_quantile(q) as f64 / 1e3;
        eprintln!(
            "{side:?}: p50 {:.2} p90 {:.2} p99 {:.2} max {:.2} ms, {strays} did not converge",
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
        // Ours has to. What the peer loses is its own affair, and its line is none the better for it.
        if strays > 0 && (side == Side::Ours || smoke) {
            return Err(
                format!("{side:?}: {strays} screens did not end with the newest of everything").into()
            );
        }
        Ok(at(0.99))
    })
    .await?;
    let (ours, peer): (Vec<f64>, Vec<f64>) = found.into_iter().unzip();
    let lines = [
        report::bound_line("P2-p99", "ms", stats::of_ratios(&ours), Goal::AtMost(100.0)),
        report::compared("P2", "ms", &ours, &peer, Goal::AtMost(0.1)),
    ];
    let note = if smoke { report::SMOKE } else { "" };
    Ok(lines.map(|line| line + note).join("\n"))
}

/// Microseconds of staleness, of each thing on each screen at each look, and how many screens did not converge.
async fn round(server: &mut Server, load: &Load) -> Result<(Histogram<u64>, usize), Failure> {
    let wires = step::open(server, load.sockets, 1).await?;
    let plan = Plan {
        start: plan::now() + 100_000_000,
        rate: load.rate,
        count: ((load.warm + load.seconds) * load.rate).ceil() as u64,
        rooms: 1,
        entities: load.entities,
        kept: false,
    };
    server.tell(&plan).await?;
    let measured = plan.start + (load.warm * 1e9) as u64;
    let end = Instant::now() + Duration::from_nanos(plan.end().saturating_sub(plan::now())) + load.grace;
    let staleness = Rc::new(RefCell::new(step::histogram()?));
    let screens: Vec<_> = wires
        .into_iter()
        .map(|(_, wire, base)| {
            let screen = Screen::new(plan, base);
            tokio::task::spawn_local(screen.watch(wire, measured, staleness.clone(), end))
        })
        .collect();
    let mut strays = 0;
    for screen in screens {
        strays += usize::from(!screen.await?);
    }
    timeout(load.grace, server.told())
        .await
        .map_err(|_| "the server did not come to the end of its changes")??;
    let staleness = staleness.borrow().clone();
    Ok((staleness, strays))
}

/// What one socket's browser would show.
struct Screen {
    plan: Plan,
    base: u64,
    /// Of each thing, the first change that is not shown.
    next: Vec<Cell<u64>>,
}

impl Screen {
    fn new(plan: Plan, base: u64) -> Self {
        Self { plan, base, next: (0..plan.entities).map(Cell::new).collect() }
    }

    /// Whether it ended with the newest of everything.
    async fn watch(
        self,
        mut wire: Wire,
        measured: u64,
        staleness: Rc<RefCell<Histogram<u64>>>,
        end: Instant,
    ) -> bool {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut each = |seq: u64, _: &[u8]| self.show(seq);
        while !self.is_newest() {
            tokio::select! {
                biased;
                _ = looks.tick() => self.look(measured, &mut staleness.borrow_mut()),
                read = wire.read(&mut each) => match read {
                    Ok(heard) if heard.welcome.is_none() => {}
                    _ => return false,
                },
                () = sleep_until(end) => return false,
            }
        }
        true
    }

    fn show(&self, seq: u64) {
        let Some(n) = seq.checked_sub(self.base + 1) else { return };
        if let Some(next) = self.next.get((n % self.plan.entities) as usize) {
            next.set(next.get().max(n + self.plan.entities));
        }
    }

    fn is_newest(&self) -> bool {
        self.next.iter().all(|next| next.get() >= self.plan.count)
    }

    fn look(&self, measured: u64, staleness: &mut Histogram<u64>) {
        let now = plan::now();
        if now < measured {
            return;
        }
        for next in &self.next {
            let next = next.get();
            // What is due after the last change never comes.
            let since = if next < self.plan.count { now.saturating_sub(self.plan.at(next)) } else { 0 };
            staleness.saturating_record((since / 1_000).max(1));
        }
    }
}
