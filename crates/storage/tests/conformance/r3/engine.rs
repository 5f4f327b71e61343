//! The engine as a course uses it: the ports of a store, with a mistake in between where one is planted. A planted mistake
//! is what a wrong line in a store would look like from outside, so it shows whether the course would find that line.

use crate::{desk::LONG, support::World};
use domain::{
    BulkId, DocumentId, Job, JobId, Timestamp, UserId,
    ingest::{
        Checkpoint, Stage,
        control::{Control, DocumentControl, RetryScope},
    },
};
use services::ports::{
    Bulks, Claim, Deletions, Documents, EventLog, JobStore, NewBulk, NewJob, StoreError, WorkerId,
};
use std::{collections::BTreeMap, sync::Arc};
use storage::Store;

/// The ports, and the database behind them where there is one.
pub struct Engine {
    pub jobs: Arc<dyn JobStore>,
    pub documents: Arc<dyn Documents>,
    pub log: Arc<dyn EventLog>,
    pub store: Option<Store>,
    pub bug: Option<Bug>,
    /// For a mistake with fences.
    newest: BTreeMap<DocumentId, Claim>,
}

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A mistake that may be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $name),+ }

        impl Bug {
            pub const ALL: &[Bug] = &[$(Bug::$name),+];
        }
    };
}

bugs!(
    /// Who lost a lease may still write.
    FenceUnchecked,
    /// The end of a document is taken twice.
    FinishedTwice,
    /// A document begins anew whenever it is claimed.
    CursorForgotten,
    /// A batch is acknowledged and not written.
    BatchLost,
    /// Its last vector is not written.
    VectorLost,
    /// The last passage is not written.
    PassageLost,
    /// A document of an upload gets no task.
    DocumentLost,
    PauseForgotten,
    ResumeForgotten,
    FirstForgotten,
    /// A cancel that keeps takes back, and the other way round.
    ResultsTakenBack,
    ResultsKept,
    /// A retry runs more than was asked for.
    RetryOfAll,
    RetryOfAllThatFailed,
    SkipForgotten,
    /// Two workers on one document.
    LeaseIgnored,
    /// The dead hold on.
    LeaseForEver,
    LeaseNotExtended,
    CrashUnnoticed,
    ReleaseForgotten,
    /// What is asked reaches no worker.
    RequestUnheard,
    /// What no worker is left for is never done.
    RequestLeft,
    OneTooMany,
    OneTooFew,
    /// Whose turn it is, is told the other way round.
    OrderTurned,
    /// What cannot heal is tried again, and the other way round.
    HealsAlways,
    HealsNever,
    PauseOfDocumentForgotten,
    ResumeOfDocumentForgotten,
    CancelOfDocumentForgotten,
    DeletionForgotten,
    UndoForgotten,
    UndoLate,
    BulkStopsEarly,
);

impl Bug {
    /// Found only where documents can be deleted.
    pub const fn wants_a_database(self) -> bool {
        matches!(self, Bug::DeletionForgotten | Bug::UndoForgotten | Bug::UndoLate | Bug::BulkStopsEarly)
    }
}

impl Engine {
    pub fn new(
        jobs: Arc<dyn JobStore>,
        documents: Arc<dyn Documents>,
        log: Arc<dyn EventLog>,
        store: Option<Store>,
    ) -> Self {
        Self { jobs, documents, log, store, bug: None, newest: BTreeMap::new() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    async fn read(&self, user: UserId, job: JobId) -> Result<Job, StoreError> {
        self.jobs.job(user, job).await?.ok_or(StoreError::NotFound)
    }

    pub async fn create(&self, mut new: NewJob) -> Result<(), StoreError> {
        if self.has(Bug::DocumentLost) {
            new.documents.pop();
        }
        self.jobs.create_job(new).await.map(drop)
    }

    pub async fn claim(
        &mut self,
        worker: &WorkerId,
        dies: bool,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let lease = if dies && !self.has(Bug::LeaseForEver) { 0 } else { LONG };
        let limit = match self.bug {
            Some(Bug::OneTooMany) => limit + 1,
            Some(Bug::OneTooFew) => limit - 1,
            _ => limit,
        };
        if self.has(Bug::LeaseIgnored) {
            self.jobs.void_leases().await?;
        }
        let mut claims = self.jobs.claim(worker, lease, limit, now).await?;
        for claim in &mut claims {
            self.newest.insert(claim.document_id, claim.clone());
            if self.bug == Some(Bug::CursorForgotten) {
                claim.stage = Stage::Loading;
            }
        }
        if self.has(Bug::OrderTurned) {
            claims.reverse();
        }
        Ok(claims)
    }

    pub async fn checkpoint(
        &self,
        claim: &Claim,
        mut checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut claim = claim;
        match (&mut checkpoint, self.bug) {
            (_, Some(Bug::FenceUnchecked)) => {
                claim = self.newest.get(&claim.document_id).unwrap_or(claim);
            }
            (Checkpoint::Embedded { .. }, Some(Bug::BatchLost)) => return Ok(()),
            (Checkpoint::Embedded { vectors }, Some(Bug::VectorLost)) => drop(vectors.pop()),
            (Checkpoint::Chunked { chunks }, Some(Bug::PassageLost)) => drop(chunks.pop()),
            (Checkpoint::Failed(failure), Some(Bug::HealsAlways)) => failure.retryable = true,
            (Checkpoint::Failed(failure), Some(Bug::HealsNever)) => failure.retryable = false,
            _ => {}
        }
        let is_last = checkpoint == Checkpoint::Indexed;
        let done = self.jobs.checkpoint(claim, checkpoint, now).await;
        match done {
            Err(StoreError::Fenced) if is_last && self.has(Bug::FinishedTwice) => Ok(()),
            done => done,
        }
    }

    pub async fn release(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        if self.has(Bug::ReleaseForgotten) {
            return self.jobs.gets_on(claim, now).await;
        }
        self.jobs.release(claim, now).await
    }

    pub async fn heartbeat(
        &self,
        worker: &WorkerId,
        in_hand: &[DocumentId],
        dies: bool,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let lease = if dies || self.has(Bug::LeaseNotExtended) { 0 } else { LONG };
        self.jobs.heartbeat(worker, in_hand, lease).await
    }

    pub async fn asked(&self, worker: &WorkerId) -> Result<Vec<DocumentId>, StoreError> {
        if self.has(Bug::RequestUnheard) {
            return Ok(vec![]);
        }
        self.jobs.asked(worker).await
    }

    pub async fn honour_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.has(Bug::RequestLeft) {
            return Ok(());
        }
        self.jobs.honour_requests(1_000, now).await.map(drop)
    }

    pub async fn crash(&self) -> Result<(), StoreError> {
        if self.has(Bug::CrashUnnoticed) {
            return Ok(());
        }
        self.jobs.void_leases().await.map(drop)
    }

    pub async fn control(
        &self,
        user: UserId,
        job: JobId,
        mut control: Control,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match (&mut control, self.bug) {
            (Control::Pause, Some(Bug::PauseForgotten))
            | (Control::Resume, Some(Bug::ResumeForgotten))
            | (Control::First, Some(Bug::FirstForgotten))
            | (Control::CancelPhase(_), Some(Bug::SkipForgotten)) => {
                return self.read(user, job).await.map(drop);
            }
            (Control::Cancel { keep_results }, Some(Bug::ResultsTakenBack)) => *keep_results = false,
            (Control::Cancel { keep_results }, Some(Bug::ResultsKept)) => *keep_results = true,
            (Control::Retry(retry), Some(Bug::RetryOfAll)) => retry.scope = RetryScope::All,
            (Control::Retry(retry), Some(Bug::RetryOfAllThatFailed))
                if retry.scope == RetryScope::Documents =>
            {
                retry.scope = RetryScope::Failed;
            }
            _ => {}
        }
        self.jobs.control(user, job, control, now).await.map(drop)
    }

    pub async fn control_document(
        &self,
        user: UserId,
        document: DocumentId,
        control: DocumentControl,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match (control, self.bug) {
            (DocumentControl::Pause, Some(Bug::PauseOfDocumentForgotten))
            | (DocumentControl::Resume, Some(Bug::ResumeOfDocumentForgotten))
            | (DocumentControl::Cancel { .. }, Some(Bug::CancelOfDocumentForgotten)) => return Ok(()),
            _ => {}
        }
        self.jobs.control_document(user, document, control, now).await.map(drop)
    }

    /// Only with a database.
    pub async fn delete(&self, user: UserId, id: DocumentId, now: Timestamp) -> Result<(), StoreError> {
        let store = self.store.as_ref().ok_or(StoreError::NotFound)?;
        if self.has(Bug::DeletionForgotten) {
            return self.documents.document(user, id).await?.map(drop).ok_or(StoreError::NotFound);
        }
        store.delete_document(user, id, now).await.map(drop)
    }

    /// Only with a database.
    pub async fn undo(
        &self,
        user: UserId,
        id: DocumentId,
        job: JobId,
        mut since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = self.store.as_ref().ok_or(StoreError::NotFound)?;
        if self.has(Bug::UndoForgotten) {
            return Ok(());
        }
        if self.has(Bug::UndoLate) {
            since = Timestamp::default();
        }
        store.restore_document(user, id, job, since, now).await.map(drop)
    }

    /// Carries an action out to its end, so many documents at a time. Only with a database.
    pub async fn bulk(
        &self,
        new: NewBulk,
        at_once: usize,
        world: &World,
    ) -> Result<domain::bulk::Bulk, StoreError> {
        let store = self.store.as_ref().ok_or(StoreError::NotFound)?;
        let (user, now) = (new.user_id, new.created_at);
        let id: BulkId = store.begin_bulk(new).await?.id;
        let jobs = || (0..at_once).map(|_| JobId::new(world.uuid())).collect();
        while store.go_on_bulk(user, id, jobs(), now, now).await? {
            if self.has(Bug::BulkStopsEarly) {
                break;
            }
        }
        store.bulk(user, id).await?.ok_or(StoreError::NotFound)
    }
}
