//! P6: jobs with nothing to do, a second (`P6`, `P6-celery`), and how soon one that is added to an idle queue begins
//! (`P6-start`).

use crate::{
    ours::{self, Found},
    peers::{self, Peer},
};
use measure::{
    Failure,
    report::{self, Goal},
};

const ROUNDS: usize = 7;
const SECONDS: f64 = 20.0;

#[derive(Clone, Copy)]
enum Who {
    Ours,
    Peer(Peer),
}

async fn round(who: Who, seconds: f64) -> Result<Found, Failure> {
    match who {
        Who::Ours => ours::round(seconds).await,
        Who::Peer(which) => peers::round(which, seconds).await,
    }
}

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let (rounds, seconds) = if smoke { (1, 1.0) } else { (ROUNDS, SECONDS) };
    let all = [Who::Ours, Who::Peer(Peer::BullMq), Who::Peer(Peer::Celery)];
    let mut found: [Vec<Found>; 3] = Default::default();
    for turn in 0..rounds {
        for step in 0..all.len() {
            // There and back: whoever goes last may find a throttled core.
            let place = if turn % 2 == 0 { step } else { all.len() - 1 - step };
            let one = round(all[place], seconds).await?;
            eprintln!(
                "  {}: {:.0} jobs/s, begun after {:.2} ms",
                ["ours", "BullMQ", "Celery"][place],
                one.rate,
                one.start
            );
            found[place].push(one);
        }
    }
    let rates = |place: usize| found[place].iter().map(|one| one.rate).collect::<Vec<_>>();
    let starts = |place: usize| found[place].iter().map(|one| one.start).collect::<Vec<_>>();
    let suffix = if smoke { report::SMOKE } else { "" };
    let lines = [
        report::compared("P6-start", "ms", &starts(0), &starts(1), Goal::AtMost(0.5)),
        report::compared("P6-celery", "/s", &rates(0), &rates(2), Goal::AtLeast(10.0)),
        report::compared("P6", "/s", &rates(0), &rates(1), Goal::AtLeast(3.0)),
    ];
    Ok(lines.map(|line| line + suffix).join("\n"))
}
