//! One document, from its last checkpoint to its end, with a gate between any two units of work.

mod cutting;
mod embedding;
mod loading;
mod patience;

use super::Context;
use crate::extract::ExtractedText;
use domain::{
    Step,
    ingest::{Checkpoint, Failure, Stage},
    message::Facts,
    rag::Outage,
};
use services::ports::{Claim, StoreError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug_span};

/// Why the work on a document ends before its end.
#[derive(Clone, Default)]
pub(super) struct Halt {
    /// It is no longer ours.
    pub(super) lost: CancellationToken,
    /// Somebody asked to pause or cancel it.
    pub(super) asked: CancellationToken,
}

/// How a document left the worker's hands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Ready or failed.
    Through,
    /// Given back at a gate.
    Released,
    /// Another worker has it.
    Lost,
}

/// Why a unit of work did not end well.
pub(super) enum Stop {
    /// The document is at fault, or cannot be helped here: it fails with this.
    Failed(Failure),
    /// The server of its model cannot be had: it waits for that.
    Waits(Outage),
    /// Asked to stop.
    Asked,
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Fenced => Stop::Lost,
            other => Stop::Store(other),
        }
    }
}

/// So often at most it is written down that a document gets on within one unit, or waits for its turn.
const SAYS: Duration = Duration::from_secs(2);
/// How long a unit in hand may still take when somebody pauses or cancels: a batch of chunks comes to its end, a long
/// extraction does not.
const ASKED_GRACE: Duration = Duration::from_millis(500);

pub(super) async fn process(context: Arc<Context>, claim: Claim, halt: Halt) -> Result<Ended, StoreError> {
    let mut work = Work { context: &context, claim: &claim, halt, stage: claim.stage, text: None };
    match work.run().await {
        Ok(()) => Ok(Ended::Through),
        Err(Stop::Lost) => Ok(Ended::Lost),
        Err(Stop::Asked) => {
            let now = context.services.clock.now();
            match context.services.jobs.release(&claim, now).await {
                // What was asked took it out of our hands already.
                Err(StoreError::Fenced) => Ok(Ended::Lost),
                other => other.map(|()| Ended::Released),
            }
        }
        Err(Stop::Waits(outage)) => {
            tracing::debug!(document_id = %claim.document_id, "it waits for the embedding server");
            end(&context, &claim, Checkpoint::Waits(outage)).await
        }
        Err(Stop::Failed(failure)) => {
            tracing::info!(document_id = %claim.document_id, code = failure.code, "a document failed");
            Span::current().record("code", failure.code.as_str());
            end(&context, &claim, Checkpoint::Failed(failure)).await
        }
        Err(Stop::Store(e)) => Err(e),
    }
}

/// The last word of this claim.
async fn end(context: &Context, claim: &Claim, checkpoint: Checkpoint) -> Result<Ended, StoreError> {
    let now = context.services.clock.now();
    match context.services.jobs.checkpoint(claim, checkpoint, now).await {
        Err(StoreError::Fenced) => Ok(Ended::Lost),
        other => other.map(|()| Ended::Through),
    }
}

pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    pub(super) claim: &'a Claim,
    halt: Halt,
    stage: Stage,
    pub(super) text: Option<Arc<ExtractedText>>,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let correlation_id = self.claim.document_id;
        loop {
            self.gate()?;
            // Each repeats the id, since a line as JSON has the fields of the innermost span alone.
            self.stage = match self.stage {
                Stage::Loading => self.load().instrument(debug_span!("load", %correlation_id)).await?,
                Stage::Chunking => self.cut().instrument(debug_span!("cut", %correlation_id)).await?,
                Stage::Embedding => self.embed().instrument(debug_span!("embed", %correlation_id)).await?,
                Stage::Indexing => self.index().instrument(debug_span!("index", %correlation_id)).await?,
                Stage::Done => return Ok(()),
            };
        }
    }

    /// Between two units: is the document still ours, and may we go on?
    pub(super) fn gate(&self) -> Result<(), Stop> {
        if self.halt.lost.is_cancelled() {
            Err(Stop::Lost)
        } else if self.context.shutdown.is_cancelled() || self.halt.asked.is_cancelled() {
            Err(Stop::Asked)
        } else {
            Ok(())
        }
    }

    pub(super) async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), Stop> {
        let services = &self.context.services;
        Ok(services.jobs.checkpoint(self.claim, checkpoint, services.clock.now()).await?)
    }

    pub(super) async fn step(&self, step: Step, facts: Facts) -> Result<(), Stop> {
        self.checkpoint(Checkpoint::Step { step, facts }).await
    }

    /// Does what takes long, until the document is no longer ours or the server stops. As long as the pulse beats, the
    /// document is said to get on.
    pub(super) async fn minding<T>(&self, pulse: &Pulse, work: impl Future<Output = T>) -> Result<T, Stop> {
        let saying = async {
            let mut said = 0;
            loop {
                tokio::time::sleep(SAYS).await;
                let beats = pulse.beats();
                if beats != said {
                    said = beats;
                    let services = &self.context.services;
                    if let Err(e) = services.jobs.gets_on(self.claim, services.clock.now()).await {
                        break Stop::from(e);
                    }
                }
            }
        };
        tokio::select! {
            done = work => Ok(done),
            stop = saying => Err(stop),
            () = self.halt.lost.cancelled() => Err(Stop::Lost),
            () = self.stopped_for_long() => Err(Stop::Asked),
            () = self.asked_for_long() => Err(Stop::Asked),
        }
    }

    async fn stopped_for_long(&self) {
        self.context.shutdown.cancelled().await;
        tokio::time::sleep(self.context.options.grace).await;
    }

    /// Somebody asked to pause or cancel, and a short unit would have come to its end since.
    async fn asked_for_long(&self) {
        self.halt.asked.cancelled().await;
        tokio::time::sleep(ASKED_GRACE).await;
    }

    async fn index(&mut self) -> Result<Stage, Stop> {
        if self.claim.rag_config.has_graph() {
            self.read_passages().await?;
        }
        self.step(Step::StoringMetadata, Facts::default()).await?;
        self.checkpoint(Checkpoint::Indexed).await?;
        Ok(Stage::Done)
    }
}

/// Whether a unit gets on, as far as it can tell.
#[derive(Clone, Default)]
pub(super) struct Pulse {
    beats: Arc<AtomicU64>,
    /// It beats by itself.
    steady: bool,
}

impl Pulse {
    pub(super) fn steady() -> Self {
        Self { steady: true, ..Self::default() }
    }

    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    fn beats(&self) -> u64 {
        if self.steady {
            self.beat();
        }
        self.beats.load(Ordering::Relaxed)
    }
}

pub(super) fn broken(e: impl std::error::Error + Send + Sync + 'static) -> Stop {
    Stop::Store(StoreError::backend(e))
}
