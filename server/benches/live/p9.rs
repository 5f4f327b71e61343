//! P9: how many pages of a workspace with 50 documents the server renders in a second, data loaded for each, against a
//! Next.js twin that reads the same rows from the same database; and whether its memory stays flat over a million of them.
//! The twin may take 250 ms for the slowest of a hundred, ours a tenth of it.

use crate::{
    plan::{self, Plan},
    rest::Rest,
    search,
    servers::Server,
    step, turns,
    twin::Twin,
    wire::Side,
};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use measure::{
    Failure,
    report::{self, Goal},
    stats,
};
use reqwest::Client;
use serde_json::json;
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_local, time::timeout};

const DOCUMENTS: usize = 50;
/// Pages a second that the search begins with.
const BEGIN: f64 = 100.0;
/// Requests under way at once, at most; later ones wait for their turn, and their time runs.
const AT_ONCE: usize = 128;
/// How long after the last request was due an answer may come, and in a short run, which checks no time.
const GRACE: Duration = Duration::from_secs(5);
const GRACE_OF_SMOKE: Duration = Duration::from_secs(60);
/// Renders after which the memory is looked at: when the allocator has what it needs, and at the end.
const WARM_RENDERS: u64 = 100_000;
const RENDERS: u64 = 1_000_000;
/// What flat is.
const GROWTH: f64 = 1.05;

const fn allowed_ms(side: Side) -> f64 {
    match side {
        Side::Ours => 25.0,
        Side::Peer => 250.0,
    }
}

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let mut place = Place::prepare().await?;
    if smoke {
        let outcome = place.page().offered(20.0, 0.2, 1.0, GRACE_OF_SMOKE).await?;
        eprintln!("{:?}: {}", Side::Ours, outcome.line());
        outcome.whole()?;
        place.server.stop().await?;
        let told = format!("{} pages with their {DOCUMENTS} rows", outcome.latency.len());
        return Ok(format!("P9: {told}; the Next.js twin is left to a whole run{}", report::SMOKE));
    }
    let twin = Twin::built()?;
    let expected = place.page().rows().await?;
    let mut begin = [BEGIN; 2];
    let found = turns::take(turns::ROUNDS, async |side| {
        place.switch(side, &twin).await?;
        let page = place.page();
        if page.rows().await? != expected {
            return Err(format!("{side:?}: the two pages have different rows").into());
        }
        let begin = &mut begin[usize::from(side == Side::Peer)];
        let most = search::most(*begin, async |rate, warm, seconds| {
            let outcome = page.offered(rate, warm, seconds, GRACE).await?;
            eprintln!("{side:?}: {}", outcome.line());
            Ok(outcome.holds(allowed_ms(side)).then_some(outcome))
        });
        let most = most.await?;
        *begin = most.achieved * 0.8;
        Ok((most.achieved, most.p99_ms()))
    })
    .await?;
    let mut lines = vec![];
    let mut line = |name, unit, of: fn(&(f64, f64)) -> f64, goal| {
        let (ours, peer): (Vec<f64>, Vec<f64>) = found.iter().map(|(a, b)| (of(a), of(b))).unzip();
        lines.push(report::compared(name, unit, &ours, &peer, goal));
    };
    line("P9", "/s", |found| found.0, Goal::AtLeast(20.0));
    line("P9-p99", "ms", |found| found.1, Goal::AtMost(0.1));
    place.server.stop().await?;
    Ok(lines.join("\n"))
}

/// Whether the memory stays flat.
pub async fn memory(smoke: bool) -> Result<String, Failure> {
    let mut place = Place::prepare().await?;
    let (warm, all) = if smoke { (20, 40) } else { (WARM_RENDERS, RENDERS) };
    let growth = place.growth(warm, all).await?;
    place.server.stop().await?;
    if smoke {
        return Ok(format!("P9-memory: {all} pages with their {DOCUMENTS} rows{}", report::SMOKE));
    }
    Ok(report::bound_line("P9-memory", "x", stats::of_ratios(&[growth]), Goal::AtMost(GROWTH)))
}

/// A database with somebody's workspace, and the server that has it now.
struct Place {
    server: Server,
    path: String,
    cookie: String,
}

impl Place {
    async fn prepare() -> Result<Self, Failure> {
        let server = Server::product(1).await?;
        let worker = Rest::worker(&server, DOCUMENTS).await?;
        for n in 0..DOCUMENTS {
            let report = match n % 5 {
                0 => json!({ "status": "failed", "error": "Page 3 could not be read." }),
                // One in work would be told to be stalled before the run is over.
                1 => json!({ "status": "pending" }),
                _ => json!({ "status": "ready", "chunk_count": 10 + n }),
            };
            worker.tell(n, &report).await?;
        }
        let token = server.tokens.first().ok_or("nobody is signed in")?;
        let cookie = format!("insighthub_session={token}");
        Ok(Self { path: format!("/w/{}", worker.workspace), cookie, server })
    }

    /// Hands the database to a server of that side.
    async fn switch(&mut self, side: Side, twin: &Twin) -> Result<(), Failure> {
        let other = (side == Side::Peer).then(|| twin.command(&self.server.database()));
        self.server.again(other).await
    }

    fn page(&self) -> Rc<Page> {
        let url = format!("http://{}{}", self.server.addr, self.path);
        Rc::new(Page { http: Client::new(), url, cookie: self.cookie.clone() })
    }

    /// By how much the memory grows from when the server is warm to the last render, as a ratio.
    async fn growth(&mut self, warm: u64, all: u64) -> Result<f64, Failure> {
        let page = self.page();
        page.rendered(warm).await?;
        let before = self.server.memory().await?;
        page.rendered(all - warm).await?;
        Ok(self.server.memory().await? / before)
    }
}

/// The page of the workspace, as somebody who is signed in asks for it.
struct Page {
    http: Client,
    url: String,
    cookie: String,
}

impl Page {
    async fn html(&self) -> Result<String, Failure> {
        let answer = self.http.get(&self.url).header("cookie", &self.cookie).send().await?;
        let status = answer.status();
        let html = answer.text().await?;
        if status.is_success() { Ok(html) } else { Err(format!("{status}: {html}").into()) }
    }

    /// Whether a page came with all its rows.
    async fn is_whole(&self) -> bool {
        self.html().await.is_ok_and(|html| html.matches("data-document-id=\"").count() == DOCUMENTS)
    }

    /// Id, status and name of each row.
    async fn rows(&self) -> Result<Vec<[String; 3]>, Failure> {
        let html = self.html().await?;
        let rows: Vec<_> = html.split("data-document-id=\"").skip(1).collect();
        if rows.len() != DOCUMENTS {
            return Err(format!("there are {} rows instead of {DOCUMENTS}", rows.len()).into());
        }
        let part = |row: &str, before: &str| -> Result<String, Failure> {
            let (_, rest) = row.split_once(before).ok_or_else(|| format!("a row lacks {before}"))?;
            Ok(rest.split('"').next().unwrap_or_default().to_owned())
        };
        let of = |row: &&str| {
            let id = row.split('"').next().unwrap_or_default().to_owned();
            Ok([id, part(row, "data-status=\"")?, part(row, " title=\"")?])
        };
        rows.iter().map(of).collect()
    }

    /// Asks for so many pages a second, by a schedule that waits for no answer.
    async fn offered(
        self: &Rc<Self>,
        rate: f64,
        warm: f64,
        seconds: f64,
        grace: Duration,
    ) -> Result<Outcome, Failure> {
        let start = plan::now() + 50_000_000;
        let count = ((warm + seconds) * rate).ceil() as u64;
        let plan = Plan { start, rate, count, rooms: 1, entities: 0, kept: false };
        let first = (warm * rate) as u64;
        let found = Rc::new(RefCell::new(Found { latency: step::histogram()?, bad: 0 }));
        let places = Rc::new(Semaphore::new(AT_ONCE));
        let (mut answers, mut next) = (vec![], 0);
        while next < count {
            let due = plan.due(plan::now());
            for n in next..due {
                let (page, found, places) = (self.clone(), found.clone(), places.clone());
                answers.push(spawn_local(async move {
                    let place = places.acquire().await;
                    let whole = page.is_whole().await;
                    drop(place);
                    let now = plan::now();
                    let mut found = found.borrow_mut();
                    found.bad += u64::from(!whole);
                    if n >= first {
                        let micros = now.saturating_sub(plan.at(n)) / 1_000;
                        found.latency.saturating_record(micros.max(1));
                    }
                }));
            }
            next = due.max(next);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let all = async {
            for answer in &mut answers {
                answer.await?;
            }
            Ok::<_, Failure>(())
        };
        match timeout(grace, all).await {
            Ok(answered) => answered?,
            Err(_) => answers.iter().for_each(|answer| answer.abort()),
        }
        let found = found.borrow();
        let (latency, asked) = (found.latency.clone(), count - first);
        let missing = asked.saturating_sub(latency.len()) + found.bad;
        let achieved = rate * latency.len() as f64 / asked as f64;
        Ok(Outcome { achieved, offered: rate, latency, missing })
    }

    /// Asks for so many pages, a few at a time.
    async fn rendered(&self, count: u64) -> Result<(), Failure> {
        let one =
            async |_| self.is_whole().await.then_some(()).ok_or_else(|| Failure::from("a page lacks rows"));
        stream::iter(0..count).map(one).buffer_unordered(8).try_collect().await
    }
}

struct Found {
    latency: Histogram<u64>,
    bad: u64,
}

/// What came of a rate.
struct Outcome {
    /// Microseconds from when a request was due to the end of its answer.
    latency: Histogram<u64>,
    /// Answered, of those that were due in a second.
    achieved: f64,
    offered: f64,
    /// Requests without an answer, or with one that lacks rows.
    missing: u64,
}

impl Outcome {
    fn p99_ms(&self) -> f64 {
        self.latency.value_at_quantile(0.99) as f64 / 1e3
    }

    fn holds(&self, allowed_ms: f64) -> bool {
        self.missing == 0 && self.p99_ms() <= allowed_ms
    }

    fn whole(&self) -> Result<(), Failure> {
        if self.missing == 0 { Ok(()) } else { Err(format!("{} pages were not whole", self.missing).into()) }
    }

    fn line(&self) -> String {
        format!(
            "{:.0} of {:.0} pages/s, p50 {:.2} p99 {:.2} max {:.2} ms, {} missing",
            self.achieved,
            self.offered,
            self.latency.value_at_quantile(0.5) as f64 / 1e3,
            self.p99_ms(),
            self.latency.max() as f64 / 1e3,
            self.missing
        )
    }
}
