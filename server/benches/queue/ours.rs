//! Our queue in a process: the store as the server opens it, people who add jobs, and a worker that has nothing to do.

use crate::people::{new_user, new_workspace};
use domain::{
    DocumentId, JobId, JobKind, UserId, WorkspaceId,
    ingest::{Checkpoint, Failure as Broken},
};
use hdrhistogram::Histogram;
use measure::{Failure, peer};
use messaging::InProcessBus;
use server::adapters::{OsSecrets, SystemClock, TimeOrderedIds};
use services::ports::{
    Accounts, Bus, Claim, Clock, Ids, JobStore, NewDocument, NewJob, Signal, WorkerId, heard,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use storage::{OpenOptions, Store};
use tempfile::TempDir;

/// Who add jobs at the same time, and whose these are.
const CALLERS: usize = 64;
const PEOPLE: usize = 8;
/// Jobs that the worker has in hand.
const HANDS: u32 = 32;
const LEASE: u32 = 60;

/// What came of a round.
pub struct Found {
    /// Jobs a second.
    pub rate: f64,
    /// Milliseconds from adding a job to its beginning; the median.
    pub start: f64,
}

struct Queue {
    store: Store,
    bus: Arc<InProcessBus>,
    clock: Arc<dyn Clock>,
    ids: TimeOrderedIds,
    homes: Vec<(UserId, WorkspaceId)>,
    added: AtomicU64,
    done: AtomicU64,
    stopping: AtomicBool,
    /// When jobs that are waited for were due.
    due: Mutex<BTreeMap<DocumentId, Instant>>,
    starts: Mutex<Histogram<u64>>,
    _folder: TempDir,
}

/// As many jobs as go through for some seconds; then, one after the other at a rate that leaves it idle, how soon each begins.
pub async fn round(seconds: f64) -> Result<Found, Failure> {
    let queue = Arc::new(Queue::open().await?);
    let worker = tokio::spawn(queue.clone().work());
    let rate = queue.rate(seconds).await?;
    queue.clone().trickle(seconds).await?;
    queue.stopping.store(true, Ordering::SeqCst);
    queue.bus.publish(Signal::WorkReady);
    worker.await??;
    let (added, done) = (queue.added.load(Ordering::SeqCst), queue.done.load(Ordering::SeqCst));
    if added != done {
        return Err(format!("{added} jobs were added, and {done} done").into());
    }
    let start =
        queue.starts.lock().unwrap_or_else(PoisonError::into_inner).value_at_quantile(0.5) as f64 / 1e3;
    queue.store.close().await;
    Ok(Found { rate, start })
}

impl Queue {
    async fn open() -> Result<Self, Failure> {
        // On a disk: a folder for temporary files may lie in memory.
        let home = peer::cache().join("bench");
        std::fs::create_dir_all(&home)?;
        let folder = tempfile::tempdir_in(home)?;
        let (bus, clock): (_, Arc<dyn Clock>) = (InProcessBus::new(), Arc::new(SystemClock));
        let store = Store::open(OpenOptions {
            url: format!("sqlite://{}", folder.path().join("queue.db").display()),
            bus: bus.clone(),
            clock: clock.clone(),
            secrets: Arc::new(OsSecrets),
            high_water: None,
            readers: 2,
            pgvector: true,
        })
        .await?;
        let ids = TimeOrderedIds::new(clock.clone());
        let mut homes = vec![];
        for n in 0..PEOPLE {
            let (user, workspace) = (UserId::new(ids.uuid()), WorkspaceId::new(ids.uuid()));
            store.create_user(new_user(user, n)?, new_workspace(workspace, user)?).await?;
            homes.push((user, workspace));
        }
        let (added, done, stopping) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let starts = Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?);
        let due = Mutex::default();
        Ok(Self { store, bus, clock, ids, homes, added, done, stopping, due, starts, _folder: folder })
    }

    async fn add(&self, nth: usize, due: Option<Instant>) -> Result<(), Failure> {
        let (user_id, workspace_id) = self.homes[nth % self.homes.len()];
        let id = DocumentId::new(self.ids.uuid());
        if let Some(due) = due {
            self.due.lock().unwrap_or_else(PoisonError::into_inner).insert(id, due);
        }
        let document = NewDocument {
            id,
            filename: "nothing.txt".to_owned(),
            mime_type: "text/plain".to_owned(),
            size_bytes: 1,
            // Of a file of its own, as most are: whatever is like another one is looked at more closely.
            content_hash: format!("{id:0>64}"),
            blob_key: String::new(),
            sent_ahead: false,
        };
        let new = NewJob {
            id: JobId::new(self.ids.uuid()),
            kind: JobKind::Upload,
            user_id,
            workspace_id,
            documents: vec![document],
            command_id: None,
            command_print: None,
            created_at: self.clock.now(),
        };
        self.added.fetch_add(1, Ordering::SeqCst);
        self.store.create_job(new).await?;
        Ok(())
    }

    /// All callers add one job after the other, each waiting for its commit, but never so many that the queue grows.
    async fn rate(self: &Arc<Self>, seconds: f64) -> Result<f64, Failure> {
        let warm = Duration::from_secs_f64((seconds / 4.0).min(5.0));
        let (from, to) = (Instant::now() + warm, Instant::now() + warm + Duration::from_secs_f64(seconds));
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                let queue = self.clone();
                tokio::spawn(async move {
                    while Instant::now() < to {
                        if queue.waiting() > 1_000 {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        } else {
                            queue.add(n, None).await?;
                        }
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        tokio::time::sleep_until(from.into()).await;
        let (before, began) = (self.done.load(Ordering::SeqCst), Instant::now());
        tokio::time::sleep_until(to.into()).await;
        let rate = (self.done.load(Ordering::SeqCst) - before) as f64 / began.elapsed().as_secs_f64();
        for caller in callers {
            caller.await??;
        }
        self.empty().await?;
        Ok(rate)
    }

    fn waiting(&self) -> u64 {
        self.added.load(Ordering::SeqCst) - self.done.load(Ordering::SeqCst)
    }

    async fn empty(&self) -> Result<(), Failure> {
        let patience = Instant::now() + Duration::from_secs(120);
        while self.waiting() > 0 {
            if Instant::now() > patience {
                return Err(format!("{} jobs never came through", self.waiting()).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// A hundred jobs a second, on a schedule that waits for nobody.
    async fn trickle(self: Arc<Self>, seconds: f64) -> Result<(), Failure> {
        let (began, mut adding) = (Instant::now(), vec![]);
        for n in 0..(seconds * 100.0) as usize {
            let due = began + Duration::from_millis(10 * n as u64);
            tokio::time::sleep_until(due.into()).await;
            let queue = self.clone();
            adding.push(tokio::spawn(async move { queue.add(n, Some(due)).await }));
        }
        for one in adding {
            one.await??;
        }
        self.empty().await
    }

    async fn work(self: Arc<Self>) -> Result<(), Failure> {
        let me = WorkerId("worker".to_owned());
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        while !self.stopping.load(Ordering::SeqCst) {
            let claims = self.store.claim(&me, LEASE, HANDS, self.clock.now()).await?;
            if claims.is_empty() {
                let wake = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady));
                // The fallback of the push.
                let _ = tokio::time::timeout(Duration::from_secs(1), wake).await;
                continue;
            }
            let now = Instant::now();
            for claim in &claims {
                let due = self.due.lock().unwrap_or_else(PoisonError::into_inner).remove(&claim.document_id);
                if let Some(due) = due {
                    let micros = (now.saturating_duration_since(due).as_micros() as u64).max(1);
                    self.starts.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
                }
            }
            futures::future::try_join_all(claims.iter().map(|claim| self.finish(claim))).await?;
        }
        Ok(())
    }

    /// There is nothing to do, so the job comes to its end at once.
    async fn finish(&self, claim: &Claim) -> Result<(), Failure> {
        let (code, message) = ("nothing".to_owned(), "There was nothing to do.".to_owned());
        let end = Checkpoint::Failed(Broken { code, message, hint: None, retryable: false });
        self.store.checkpoint(claim, end, self.clock.now()).await?;
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
