//! The crawler: claims crawls, asks for one page after the other, and commits each with what was found on it. It holds no
//! truth of its own: kill it anywhere, and the next claim goes on from the frontier in the rows. A page that was in hand
//! then is asked for once more; no other is.

mod page;
mod polite;
mod rules;
mod site;

use domain::{Actor, JobId};
use polite::Hosts;
use services::{
    Services,
    actor::{self, acting},
    ports::{CrawlClaim, Signal, StoreError, WorkerId, heard},
};
use site::{Ended, Halt, read};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

#[derive(Clone, Debug)]
pub struct CrawlerOptions {
    /// Sites that are read at the same time: most of the time is spent waiting for them.
    pub crawls: usize,
    /// After this long without a heartbeat another worker may take the crawl over.
    pub lease_seconds: u32,
    /// How long a page in hand may still take when the server stops.
    pub grace: Duration,
    /// Between two pages of one host, where its robots.txt asks for no more.
    pub delay: Duration,
}

impl Default for CrawlerOptions {
    fn default() -> Self {
        Self {
            crawls: 16,
            lease_seconds: 5,
            grace: Duration::from_secs(8),
            delay: Duration::from_millis(200),
        }
    }
}

/// What every crawl in hand shares.
struct Context {
    services: Services,
    options: CrawlerOptions,
    hosts: Hosts,
    shutdown: CancellationToken,
}

/// The crawls in hand, by the task that works on each.
type Hands = Arc<Mutex<HashMap<Id, (CrawlClaim, Halt)>>>;

/// Works until `shutdown`; then finishes the pages in hand and gives the crawls back.
pub async fn run(services: Services, options: CrawlerOptions, shutdown: CancellationToken) {
    let worker = WorkerId(services.ids.uuid().to_string());
    let actor = Actor::worker(&worker.0);
    acting(actor, work(services, worker, options, shutdown)).await;
}

async fn work(services: Services, worker: WorkerId, options: CrawlerOptions, shutdown: CancellationToken) {
    let context = Arc::new(Context {
        services: services.clone(),
        options: options.clone(),
        hosts: Hosts::default(),
        shutdown: shutdown.clone(),
    });
    let hands = Hands::default();
    // On a task of its own, so that no slow page can make the leases run out.
    let heart = tokio::spawn(beat(services.clone(), worker.clone(), options.lease_seconds, hands.clone()));
    let ears = tokio::spawn(listen(services.clone(), worker.clone(), hands.clone()));
    // Interest first, then the look, or a wake-up between the two is lost.
    let mut bus = services.bus.subscribe();
    let mut tasks = JoinSet::new();
    tracing::info!(worker = worker.0, crawls = options.crawls, "crawler started");
    while !shutdown.is_cancelled() {
        let free = options.crawls.saturating_sub(tasks.len());
        if free > 0 {
            let now = services.clock.now();
            match services.crawls.claim_crawls(&worker, options.lease_seconds, free as u32, now).await {
                Ok(claims) => {
                    for claim in claims {
                        let halt = Halt::default();
                        let task = read(context.clone(), claim.clone(), halt.clone());
                        let span = tracing::info_span!("crawl", correlation_id = %claim.job_id);
                        let task = acting(actor::current(), task).instrument(span);
                        // The lock is held over the spawn, or the heart could miss a crawl.
                        let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
                        let handle = tasks.spawn(task);
                        hands.insert(handle.id(), (claim, halt));
                    }
                }
                Err(e) => tracing::warn!(error = %e, "no crawl could be claimed; trying again"),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => settle(&services, &hands, ended),
            () = ready(&mut bus), if tasks.len() < options.crawls => {}
            // The fallback of the push: leases of the dead run out without a signal.
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        settle(&services, &hands, ended);
    }
    heart.abort();
    ears.abort();
    tracing::info!(worker = worker.0, "crawler stopped");
}

/// Until there may be something to do. Each document that gets on says so too, so it is looked at most a few times a second.
async fn ready(bus: &mut services::ports::BusReceiver) {
    heard(bus, |signal| matches!(signal, Signal::WorkReady)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Extends the leases of what is in hand and of nothing else, as with documents; a crawl that is no longer ours is
/// stopped at once.
async fn beat(services: Services, worker: WorkerId, lease_seconds: u32, hands: Hands) {
    let mut every = tokio::time::interval(Duration::from_millis(u64::from(lease_seconds) * 1000 / 4));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Only what was in hand before the beat is judged by its answer.
        let before: Vec<(JobId, CancellationToken)> = {
            let hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            hands.values().map(|(claim, halt)| (claim.job_id, halt.lost.clone())).collect()
        };
        if before.is_empty() {
            continue;
        }
        let in_hand: Vec<JobId> = before.iter().map(|(id, _)| *id).collect();
        match services.crawls.extend_crawls(&worker, &in_hand, lease_seconds).await {
            Ok(held) => {
                for (_, lost) in before.iter().filter(|(id, _)| !held.contains(id)) {
                    lost.cancel();
                }
            }
            Err(e) => tracing::warn!(error = %e, "the leases of crawls could not be extended"),
        }
        // The fallback of the push: a signal may be lost, or come from another server.
        look_for_requests(&services, &worker, &hands).await;
    }
}

/// Hears at once when somebody asks to pause or cancel what is in hand.
async fn listen(services: Services, worker: WorkerId, hands: Hands) {
    let mut bus = services.bus.subscribe();
    loop {
        heard(&mut bus, |signal| matches!(signal, Signal::Requested)).await;
        look_for_requests(&services, &worker, &hands).await;
    }
}

async fn look_for_requests(services: &Services, worker: &WorkerId, hands: &Hands) {
    match services.crawls.asked_crawls(worker).await {
        Ok(ids) => {
            let hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = hands.values().filter(|(claim, _)| ids.contains(&claim.job_id));
            asked.for_each(|(_, halt)| halt.asked.cancel());
        }
        Err(e) => tracing::warn!(error = %e, "requests will be looked for later"),
    }
}

/// Takes note of a crawl that left our hands.
fn settle(
    services: &Services,
    hands: &Hands,
    ended: Result<(Id, Result<Ended, StoreError>), tokio::task::JoinError>,
) {
    let (task, outcome) = match ended {
        Ok((task, outcome)) => (task, Some(outcome)),
        Err(e) => (e.id(), None),
    };
    let taken = hands.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
    let Some((claim, _)) = taken else { return };
    match outcome {
        Some(Ok(Ended::Released | Ended::Lost) | Err(StoreError::Fenced)) => {}
        Some(Err(e)) => {
            tracing::warn!(job_id = %claim.job_id, error = format!("{e:?}"), "the store failed; giving the crawl back");
            give_back(services.clone(), claim);
        }
        None => {
            tracing::error!(job_id = %claim.job_id, "the crawler's code failed; giving the crawl back");
            give_back(services.clone(), claim);
        }
    }
}

/// Tries until it is done, so that nobody waits for the lease to run out who could go on at once.
fn give_back(services: Services, claim: CrawlClaim) {
    tokio::spawn(async move {
        let mut pause = Duration::from_millis(500);
        loop {
            tokio::time::sleep(pause).await;
            match services.crawls.release_crawl(&claim, services.clock.now()).await {
                Ok(()) | Err(StoreError::Fenced | StoreError::NotFound | StoreError::Illegal(_)) => return,
                Err(e) => tracing::warn!(job_id = %claim.job_id, error = %e, "it could not be given back"),
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    });
}
