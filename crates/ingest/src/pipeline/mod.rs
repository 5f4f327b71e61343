//! The worker: claims documents, takes each from its last checkpoint to the end, and commits every unit of work with
//! its results. It holds no truth of its own: kill it anywhere, and the next claim goes on from the rows.

mod document;
mod reading;

use crate::{chunk::TokenCounter, extract::Extractor};
use document::{Ended, Halt, process};
use domain::{
    Actor, DocumentId,
    ingest::{Checkpoint, Failure},
};
use services::{
    Services,
    actor::{self, acting},
    ports::{Claim, EmbedError, LanguageModel, Signal, StoreError, WorkerId, heard},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{Id, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

/// How often work is looked for that nobody told of: with the lease of a dead worker, how soon it is taken over.
const LOOK: Duration = Duration::from_millis(500);

/// A model's tokenizer, shared between documents.
pub type SharedTokens = Arc<dyn TokenCounter + Send + Sync>;

/// Where the tokenizer of an embedding model comes from.
pub trait Tokenizers: Send + Sync {
    fn tokens(&self, model: &str) -> Result<SharedTokens, EmbedError>;
}

#[derive(Clone)]
pub struct Tools {
    pub extractor: Extractor,
    pub tokenizers: Arc<dyn Tokenizers>,
    /// Reads the passages of workspaces that are searched by their graph, beside the rules.
    pub reader: Option<Arc<dyn LanguageModel>>,
}

#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Documents that are worked on at the same time: while one is embedded, the next are read and cut.
    pub documents: usize,
    /// After this long without a heartbeat another worker may take the document over.
    pub lease_seconds: u32,
    /// How long a unit in hand may still take when the server stops.
    pub grace: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { documents: 4, lease_seconds: 5, grace: Duration::from_secs(8) }
    }
}

/// What every document in hand shares.
struct Context {
    services: Services,
    tools: Tools,
    options: WorkerOptions,
    /// The embedder uses all cores; two batches at once would only slow one another down.
    embedding: Semaphore,
    /// A language model has few hands: it is asked about the passages of one document at a time.
    reading: Semaphore,
    /// Documents that wait for that model, or for its answers: they need no hand.
    waiting: AtomicUsize,
    shutdown: CancellationToken,
}

/// So many documents may be in work beside those that need a hand.
const MOST_WAITING: usize = 256;

impl Context {
    /// Until the answer is dropped, the document does not count among those that are worked on.
    fn hold_no_hand(&self) -> impl Drop + '_ {
        struct Waits<'c>(&'c AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waits(&self.waiting)
    }

    /// How many more documents may be claimed while so many are in work.
    fn free_hands(&self, in_work: usize) -> usize {
        let busy = in_work.saturating_sub(self.waiting.load(Ordering::SeqCst));
        let most = self.options.documents + MOST_WAITING;
        self.options.documents.saturating_sub(busy).min(most.saturating_sub(in_work))
    }
}

/// The documents in hand, by the task that works on each.
#[derive(Default)]
struct Hands(HashMap<Id, (Claim, Halt)>);

impl Hands {
    /// Stops whoever works on that document, since a newer claim of it was had: the heart knows documents and not claims.
    fn leave(&self, id: DocumentId) {
        self.0.values().filter(|(claim, _)| claim.document_id == id).for_each(|(_, halt)| halt.lost.cancel());
    }

    /// Has those documents given back at the next gate.
    fn give_back(&self, ids: &[DocumentId]) {
        let asked = self.0.values().filter(|(claim, _)| ids.contains(&claim.document_id));
        asked.for_each(|(_, halt)| halt.asked.cancel());
    }
}

/// Works until `shutdown`; then finishes the units in hand and gives the documents back.
pub async fn run(services: Services, tools: Tools, options: WorkerOptions, shutdown: CancellationToken) {
    let worker = WorkerId(services.ids.uuid().to_string());
    let actor = Actor::worker(&worker.0);
    acting(actor, work(services, worker, tools, options, shutdown)).await;
}

async fn work(
    services: Services,
    worker: WorkerId,
    tools: Tools,
    options: WorkerOptions,
    shutdown: CancellationToken,
) {
    let context = Arc::new(Context {
        services: services.clone(),
        tools,
        options: options.clone(),
        embedding: Semaphore::new(1),
        reading: Semaphore::new(1),
        waiting: AtomicUsize::new(0),
        shutdown: shutdown.clone(),
    });
    let hands = Arc::new(Mutex::new(Hands::default()));
    // On a task of its own, so that no slow unit can make the leases run out.
    let heart = tokio::spawn(beat(services.clone(), worker.clone(), options.lease_seconds, hands.clone()));
    let ears = tokio::spawn(listen(services.clone(), worker.clone(), hands.clone()));
    // Interest first, then the look, or a wake-up between the two is lost.
    let mut bus = services.bus.subscribe();
    let mut tasks = JoinSet::new();
    tracing::info!(worker = worker.0, documents = options.documents, "worker started");
    while !shutdown.is_cancelled() {
        let free = context.free_hands(tasks.len());
        let mut pause = LOOK;
        if free > 0 {
            let now = services.clock.now();
            match services.jobs.claim(&worker, options.lease_seconds, free as u32, now).await {
                Ok(claims) => {
                    services.bus.looked_for_work(free, claims.len());
                    for claim in claims {
                        let halt = Halt::default();
                        let task = process(context.clone(), claim.clone(), halt.clone());
                        let span = tracing::info_span!(
                            "document",
                            correlation_id = %claim.document_id,
                            job_id = %claim.job_id,
                            code = Empty
                        );
                        let task = acting(actor::current(), task).instrument(span);
                        // The lock is held over the spawn, or the heart could miss a document.
                        let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
                        hands.leave(claim.document_id);
                        let handle = tasks.spawn(task);
                        hands.0.insert(handle.id(), (claim, halt));
                    }
                }
                Err(e) => {
                    tracing::warn!(error = %e, "no document could be claimed; trying again");
                    pause = Duration::from_millis(300);
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => settle(&services, &hands, ended).await,
            () = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady)), if context.free_hands(tasks.len()) > 0 => {}
            // The fallback of the push: leases of the dead run out without a signal.
            () = tokio::time::sleep(pause) => {}
        }
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        settle(&services, &hands, ended).await;
    }
    heart.abort();
    ears.abort();
    tracing::info!(worker = worker.0, "worker stopped");
}

/// Extends the leases of what is in hand and of nothing else: the answer to a claim may have been lost, and what nobody
/// works on has to lose its lease. A document that is no longer ours is stopped at once.
async fn beat(services: Services, worker: WorkerId, lease_seconds: u32, hands: Arc<Mutex<Hands>>) {
    let mut every = tokio::time::interval(Duration::from_millis(u64::from(lease_seconds) * 1000 / 4));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Only what was in hand before the beat is judged by its answer.
        let before: Vec<(DocumentId, CancellationToken)> = {
            let hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            hands.0.values().map(|(c, halt)| (c.document_id, halt.lost.clone())).collect()
        };
        if before.is_empty() {
            continue;
        }
        let in_hand: Vec<DocumentId> = before.iter().map(|(id, _)| *id).collect();
        match services.jobs.heartbeat(&worker, &in_hand, lease_seconds).await {
            Ok(held) => {
                for (id, lost) in before.iter().filter(|(id, _)| !held.contains(id)) {
                    tracing::debug!(document_id = %id, "the lease is gone");
                    lost.cancel();
                }
            }
            Err(e) => tracing::warn!(error = %e, "the leases could not be extended"),
        }
        // The fallback of the push: a signal may be lost, or come from another server.
        look_for_requests(&services, &worker, &hands).await;
    }
}

/// Hears at once when somebody asks to pause or cancel what is in hand.
async fn listen(services: Services, worker: WorkerId, hands: Arc<Mutex<Hands>>) {
    let mut bus = services.bus.subscribe();
    loop {
        heard(&mut bus, |signal| matches!(signal, Signal::Requested)).await;
        look_for_requests(&services, &worker, &hands).await;
    }
}

async fn look_for_requests(services: &Services, worker: &WorkerId, hands: &Mutex<Hands>) {
    match services.jobs.asked(worker).await {
        Ok(ids) => hands.lock().unwrap_or_else(PoisonError::into_inner).give_back(&ids),
        Err(e) => tracing::warn!(error = %e, "requests will be looked for later"),
    }
}

/// Takes note of a document that left our hands.
async fn settle(
    services: &Services,
    hands: &Mutex<Hands>,
    ended: Result<(Id, Result<Ended, StoreError>), tokio::task::JoinError>,
) {
    let (task, outcome) = match ended {
        Ok((task, outcome)) => (task, Some(outcome)),
        Err(e) => (e.id(), None),
    };
    let taken = hands.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&task);
    let Some((claim, _)) = taken else { return };
    match outcome {
        Some(Ok(Ended::Through | Ended::Lost)) => {}
        Some(Ok(Ended::Released)) => {
            tracing::info!(document_id = %claim.document_id, "given back at a gate")
        }
        Some(Err(StoreError::Fenced)) => {
            tracing::info!(document_id = %claim.document_id, "another worker has taken it over");
        }
        Some(Err(e)) => {
            tracing::warn!(document_id = %claim.document_id, error = format!("{e:?}"), "the store failed; giving it back");
            give_back(services.clone(), claim);
        }
        None => {
            tracing::error!(document_id = %claim.document_id, "the worker's code failed on this document");
            let failure = Checkpoint::Failed(Failure {
                code: "internal".into(),
                message: "The server made a mistake with this file.".into(),
                hint: Some("Try again; if it happens once more, report it with this file.".into()),
                retryable: true,
            });
            if let Err(e) = services.jobs.checkpoint(&claim, failure, services.clock.now()).await {
                tracing::error!(document_id = %claim.document_id, error = %e, "that could not be written down");
                give_back(services.clone(), claim);
            }
        }
    }
}

/// Tries until it is done, so that nobody waits for the lease to run out who could go on at once, and what was asked of
/// the document is honoured with it.
fn give_back(services: Services, claim: Claim) {
    tokio::spawn(async move {
        let mut pause = Duration::from_millis(200);
        loop {
            tokio::time::sleep(pause).await;
            match services.jobs.release(&claim, services.clock.now()).await {
                Ok(()) | Err(StoreError::Fenced | StoreError::NotFound | StoreError::Illegal(_)) => return,
                Err(e) => {
                    tracing::warn!(document_id = %claim.document_id, error = %e, "it could not be given back")
                }
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    });
}
