//! One document, from its last checkpoint to its end, with a gate between any two units of work.

use super::Context;
use crate::{
    chunk::{ChunkDraft, ChunkError, ChunkSettings, Stop as StopCutting, chunk_with},
    classify,
    extract::{ExtractError, ExtractedText, FileKind, detect_file},
    graph::{self, Passage},
};
use bytes::Bytes;
use domain::{
    ChunkId, Step,
    graph::ChunkGraph,
    ingest::{Checkpoint, ChunkMark, Failure, NewChunk, Stage},
    message::Facts,
    rag::Outage,
    resource::Warning,
};
use services::{
    keys,
    ports::{BlobError, Claim, EmbedError, LocalFile, StoreError},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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
/// Tries of a unit that may heal, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long a text may be cut, and how much longer for each megabyte: an honest one takes a twentieth of it. Asking a
/// model for the topics may take its time.
const CUT_TIME: Duration = Duration::from_secs(60);
const CUT_TIME_PER_MEGABYTE: Duration = Duration::from_secs(6);
/// A batch of chunks should take about this long, so that a gate is never far.
const BATCH_TIME: f64 = 0.5;
/// Passages whose vectors are copied in one transaction.
const KNOWN_AT_ONCE: usize = 500;
/// Passages that are asked for at once: the question looks at all of a document.
const KNOWN_ASKED: u32 = 20_000;
const BATCH: std::ops::RangeInclusive<usize> = 4..=64;

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

    async fn load(&mut self) -> Result<Stage, Stop> {
        self.step(Step::Validating, Facts::file(&self.claim.filename)).await?;
        // One that is indexed anew was read before.
        let text = self.stored_text().await?;
        self.text = Some(text.clone());
        let pages = text.spans.iter().filter_map(|s| s.page).max();
        let warnings =
            text.warnings.iter().map(|w| Warning { code: w.code.clone(), message: w.message.clone() });
        self.checkpoint(Checkpoint::Loaded {
            pages: pages.map(u64::from),
            characters: text.text.chars().count() as u64,
            title: text.title.clone(),
            warnings: warnings.collect(),
        })
        .await?;
        self.look_at(&text).await?;
        Ok(Stage::Chunking)
    }

    /// Says what can be told of the document before it is cut: where it comes from; of a table its columns, and what is
    /// new since the last one of that name; of other texts what kind of document that is.
    async fn look_at(&self, text: &ExtractedText) -> Result<(), Stop> {
        if let Some(origin) = text.made_with.as_deref().and_then(classify::origin_of) {
            let facts = Facts { origin: Some(origin.to_owned()), ..Facts::default() };
            self.step(Step::PlatformDetection, facts).await?;
        }
        if let Some(table) = text.table {
            let facts = Facts { columns: Some(table.columns), rows: Some(table.rows), ..Facts::default() };
            self.step(Step::FieldDetection, facts).await?;
            if let Some((new, existing)) = self.new_rows(text).await? {
                let facts = Facts { new_rows: Some(new), existing_rows: Some(existing), ..Facts::default() };
                self.step(Step::DeltaAnalysisComplete, facts).await?;
            }
        } else if let Some(kind) = classify::kind_of(&text.text) {
            let facts = Facts { kind: Some(kind.to_owned()), ..Facts::default() };
            self.step(Step::DocumentClassification, facts).await?;
        }
        Ok(())
    }

    /// How many rows of a table are not in the last document of the same name, and how many are; `None` when there is no
    /// such document.
    async fn new_rows(&self, text: &ExtractedText) -> Result<Option<(u64, u64)>, Stop> {
        let services = &self.context.services;
        let Some((namesake, version)) = services.jobs.namesake(self.claim).await? else { return Ok(None) };
        // Without its text there is nothing to compare with.
        let Ok(bytes) = services.blobs.get(&keys::text(self.claim.user_id, namesake, version)).await else {
            return Ok(None);
        };
        let Ok(before) = serde_json::from_slice::<ExtractedText>(&bytes) else { return Ok(None) };
        let facts = Facts { rows: text.table.map(|table| table.rows), ..Facts::default() };
        self.step(Step::Extracting, facts).await?;
        let known: HashSet<&str> = rows_of(&before.text).collect();
        let (mut new, mut existing) = (0, 0);
        for row in rows_of(&text.text) {
            *(if known.contains(row) { &mut existing } else { &mut new }) += 1;
        }
        Ok(Some((new, existing)))
    }

    /// Reads the file in a process of its own and keeps the text beside it, durable before the checkpoint says so.
    async fn extracted(&mut self) -> Result<Arc<ExtractedText>, Stop> {
        let blobs = &self.context.services.blobs;
        let pulse = Pulse::default();
        // It may have to be fetched, and wait for room before that: both may take long, and whoever fetches gives up by itself
        // when nothing comes. The room of a copy is given back when the text is there.
        let opening = beating(&pulse, blobs.open(&self.claim.blob_key));
        let opening = self.minding(&pulse, opening).await?;
        let LocalFile { mut file, room } = opening.map_err(missing_file)?;
        let name = self.claim.filename.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let kind = detect_file(&mut file, &name)?;
            // Telling the kind read the first bytes.
            std::io::Seek::rewind(&mut file)?;
            Ok::<_, std::io::Error>((file, kind))
        });
        let (file, kind) = opened.await.map_err(broken)?.map_err(|e| missing_file(BlobError::Io(e)))?;
        let kind: FileKind = kind.map_err(|refused| {
            Stop::Failed(Failure {
                code: refused.code.to_owned(),
                message: refused.sentence,
                hint: Some(refused.hint),
                retryable: false,
            })
        })?;
        self.step(Step::ExtractingText, Facts::file(&self.claim.filename)).await?;
        let extraction = self.context.tools.extractor.extract(file, kind, |_| pulse.beat());
        let text = self.minding(&pulse, extraction).await?.map_err(|e| Stop::Failed(failure_of(e)))?;
        drop(room);
        let bytes = serde_json::to_vec(&text).map_err(broken)?;
        let key = keys::text(self.claim.user_id, self.claim.document_id, self.claim.version);
        blobs.put(&key, Bytes::from(bytes)).await.map_err(full_disk)?;
        let text = Arc::new(text);
        self.text = Some(text.clone());
        Ok(text)
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

    /// The text of an earlier unit or an earlier claim; read anew from the file when it is not there.
    async fn stored_text(&mut self) -> Result<Arc<ExtractedText>, Stop> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let key = keys::text(self.claim.user_id, self.claim.document_id, self.claim.version);
        match self.context.services.blobs.get(&key).await {
            Ok(bytes) => match serde_json::from_slice::<ExtractedText>(&bytes) {
                Ok(text) => Ok(Arc::new(text)),
                Err(_) => self.extracted().await,
            },
            Err(BlobError::NotFound) => self.extracted().await,
            Err(e) => Err(missing_file(e)),
        }
    }

    async fn cut(&mut self) -> Result<Stage, Stop> {
        let text = self.stored_text().await?;
        self.step(Step::ChunkingText, Facts::default()).await?;
        let config = self.claim.rag_config.clone();
        let tokenizers = self.context.tools.tokenizers.clone();
        let embedder = self.context.services.embedder.clone();
        let runtime = tokio::runtime::Handle::current();
        let patience = CUT_TIME + CUT_TIME_PER_MEGABYTE.mul_f64(text.text.len() as f64 / 1e6);
        let stop = StopCutting::default();
        let _guard = stop.when_dropped();
        let pulse = Pulse::default();
        let beat = pulse.clone();
        let cutting = tokio::task::spawn_blocking(move || {
            let tokens = tokenizers.tokens(&config.embedding_model).map_err(|e| without_vectors(&e))?;
            let embed = |texts: &[&str]| {
                beat.beat();
                let texts = texts.iter().map(|t| (*t).to_owned()).collect();
                runtime.block_on(embedder.embed(&config.embedding_model, texts))
            };
            chunk_with(&text, &ChunkSettings::from(&config), tokens.as_ref(), Some(&embed), &stop)
                .map_err(not_cut)
        });
        let drafts = match self.minding(&pulse, tokio::time::timeout(patience, cutting)).await? {
            Ok(drafts) => drafts.map_err(broken)??,
            Err(_) => {
                return Err(Stop::Failed(Failure {
                    code: "took_too_long".into(),
                    message: "Splitting this text takes longer than one document may.".into(),
                    hint: Some("Check what is in it, or choose another chunking strategy.".into()),
                    retryable: false,
                }));
            }
        };
        if drafts.is_empty() {
            return Err(Stop::Failed(Failure {
                code: "no_text".into(),
                message: "No text was found in this file.".into(),
                hint: None,
                retryable: false,
            }));
        }
        let mut chunks: Vec<NewChunk> = drafts.into_iter().map(|d| self.new_chunk(d)).collect();
        let marks = self.context.services.jobs.marks(self.claim).await?;
        let marks: HashMap<&str, &ChunkMark> = marks.iter().map(|m| (m.cut_hash.as_str(), m)).collect();
        for chunk in &mut chunks {
            if let Some(mark) = marks.get(chunk.content_hash.as_str()) {
                chunk.take(mark);
            }
        }
        if self.claim.rag_config.has_graph() {
            chunks = self.with_graph(chunks).await?;
        }
        self.checkpoint(Checkpoint::Chunked { chunks }).await?;
        self.compare().await?;
        Ok(if self.claim.embeds { Stage::Embedding } else { Stage::Indexing })
    }

    /// Finds out what the passages speak of; it is committed with them.
    async fn with_graph(&self, chunks: Vec<NewChunk>) -> Result<Vec<NewChunk>, Stop> {
        self.step(Step::Classification, Facts::default()).await?;
        let (chunks, found) = off_the_runtime(move || {
            let passages: Vec<Passage<'_>> =
                chunks.iter().map(|c| Passage { heading: c.heading.as_deref(), text: &c.text }).collect();
            let found = graph::classify(&passages);
            (chunks, found)
        })
        .await?;
        self.gate()?;
        self.step(Step::EntityResolution, Facts::default()).await?;
        let found = off_the_runtime(move || graph::resolve(found)).await?;
        self.gate()?;
        self.step(Step::Enrichment, Facts::default()).await?;
        off_the_runtime(move || {
            let graphs = graph::relate(&found);
            chunks.into_iter().zip(graphs).map(|(chunk, graph)| NewChunk { graph, ..chunk }).collect()
        })
        .await
    }

    /// Says with which document of the workspace this one has most in common.
    async fn compare(&self) -> Result<(), Stop> {
        let Some(alike) = self.context.services.jobs.most_alike(self.claim).await? else { return Ok(()) };
        let (with, filename, shared) = (alike.document_id, alike.filename, alike.shared);
        self.checkpoint(Checkpoint::Compared { with, filename, shared }).await
    }

    fn new_chunk(&self, d: ChunkDraft) -> NewChunk {
        NewChunk {
            id: ChunkId::new(self.context.services.ids.uuid()),
            ordinal: d.ordinal,
            text: d.text,
            content_hash: d.content_hash,
            page: d.page,
            heading: d.heading,
            char_start: d.char_start,
            char_end: d.char_end,
            token_count: d.token_count,
            enabled: true,
            cut_hash: None,
            graph: ChunkGraph::default(),
        }
    }

    async fn embed(&mut self) -> Result<Stage, Stop> {
        let services = &self.context.services;
        let id = self.claim.document_id;
        let away = services.embedder.outage(&self.claim.rag_config.embedding_model);
        if let Some(outage) = away.filter(|outage| outage.next_try > services.clock.now()) {
            return Err(Stop::Waits(outage));
        }
        self.step(Step::CreatingEmbeddings, Facts::default()).await?;
        self.take_known().await?;
        let mut size = *BATCH.start() * 2;
        loop {
            self.gate()?;
            let batch = services.jobs.unembedded(id, size as u32).await?;
            if batch.is_empty() {
                return Ok(Stage::Indexing);
            }
            let began;
            let vectors = {
                // Others use the model: whoever waits for them is not stalled.
                let turn = self.context.embedding.acquire();
                let _turn = self.minding(&Pulse::steady(), turn).await?.map_err(broken)?;
                self.gate()?;
                began = Instant::now();
                let vectors = self.vectors(batch.iter().map(|c| c.text.clone()).collect());
                self.minding(&Pulse::default(), vectors).await??
            };
            if vectors.len() != batch.len() {
                return Err(Stop::Failed(Failure {
                    code: "embedding_failed".into(),
                    message: "The embedding model answered with the wrong number of vectors.".into(),
                    hint: None,
                    retryable: true,
                }));
            }
            let wanted = self.claim.rag_config.embedding_dim;
            if let Some((other, dim)) = vectors.first().map(Vec::len).zip(wanted)
                && other != dim as usize
            {
                return Err(Stop::Failed(Failure {
                    code: "model_wrong_dimension".into(),
                    message: format!(
                        "The embedding model answered vectors with {other} dimensions instead of {dim}."
                    ),
                    hint: Some(
                        "Change the dimensions in the workspace's settings, or ask the operator.".into(),
                    ),
                    retryable: false,
                }));
            }
            let per_second = batch.len() as f64 / began.elapsed().as_secs_f64().max(1e-3);
            size = ((per_second * BATCH_TIME) as usize).clamp(*BATCH.start(), *BATCH.end());
            let vectors = batch.iter().map(|c| c.id).zip(vectors).collect();
            self.checkpoint(Checkpoint::Embedded { vectors }).await?;
        }
    }

    /// What the workspace has word for word already is not embedded again.
    async fn take_known(&self) -> Result<(), Stop> {
        loop {
            self.gate()?;
            let passages = self.context.services.jobs.known(self.claim, KNOWN_ASKED).await?;
            if passages.is_empty() {
                return Ok(());
            }
            for part in passages.chunks(KNOWN_AT_ONCE) {
                self.gate()?;
                self.checkpoint(Checkpoint::Known { passages: part.to_vec() }).await?;
            }
        }
    }

    async fn vectors(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Stop> {
        let model = &self.claim.rag_config.embedding_model;
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.context.services.embedder.embed(model, texts.clone()).await {
                // A server that does not answer was asked several times already.
                Err(EmbedError::Failed(reason)) => {
                    tracing::warn!(document_id = %self.claim.document_id, reason, "embedding will be tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    self.gate()?;
                }
                other => return other.map_err(|e| without_vectors(&e)),
            }
        }
        self.context.services.embedder.embed(model, texts).await.map_err(|e| without_vectors(&e))
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

/// Work that takes its time and waits for nothing.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(broken)
}

/// The rows of a table, as the readers write them.
fn rows_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("- "))
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

fn failure_of(e: ExtractError) -> Failure {
    if let Some(technical) = &e.technical {
        tracing::info!(code = e.code.as_str(), technical, "a file could not be read");
    }
    Failure { code: e.code.as_str().to_owned(), message: e.sentence, hint: e.hint, retryable: e.retryable }
}

/// No vectors were had: the document fails, or waits for the server of its model.
fn without_vectors(e: &EmbedError) -> Stop {
    match e {
        EmbedError::Away(outage) => Stop::Waits(*outage),
        other => Stop::Failed(failure_of_embedding(other)),
    }
}

fn failure_of_embedding(e: &EmbedError) -> Failure {
    match e {
        EmbedError::Missing(sentence) => Failure {
            code: "model_missing".into(),
            message: "The embedding model is not there.".into(),
            hint: Some(sentence.clone()),
            retryable: false,
        },
        EmbedError::Unreachable(_) | EmbedError::Away(_) => Failure {
            code: e.code().into(),
            message: e.to_string(),
            hint: Some("Try again when the embedding server answers.".into()),
            retryable: true,
        },
        EmbedError::Refused { code, sentence } => Failure {
            code: (*code).into(),
            message: sentence.clone(),
            hint: Some("Ask the operator, or choose another embedding model.".into()),
            retryable: false,
        },
        EmbedError::Failed(reason) => Failure {
            code: "embedding_failed".into(),
            message: "The embedding model could not process this text.".into(),
            hint: Some(reason.clone()),
            retryable: true,
        },
    }
}

fn not_cut(e: ChunkError) -> Stop {
    match &e {
        ChunkError::Embedding(e) => without_vectors(e),
        _ => Stop::Failed(failure_of_cut(&e)),
    }
}

fn failure_of_cut(e: &ChunkError) -> Failure {
    if let ChunkError::TooMany(_) = e {
        return Failure {
            code: "too_many_chunks".into(),
            message: format!("The text could not be cut: {e}."),
            hint: Some("Choose a larger chunk size or a smaller overlap, or split the file.".into()),
            retryable: false,
        };
    }
    Failure {
        code: "chunking_failed".into(),
        message: format!("The text could not be cut: {e}."),
        hint: None,
        retryable: false,
    }
}

/// Does what gets on as long as it has not ended, since it ends by itself when it does not.
async fn beating<T>(pulse: &Pulse, work: impl Future<Output = T>) -> T {
    let beats = async {
        loop {
            pulse.beat();
            tokio::time::sleep(SAYS).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = beats => unreachable!("it beats for ever"),
    }
}

/// The file is ours to keep; when it cannot be read, the disk is at fault, or what keeps the files, not the document.
fn missing_file(e: BlobError) -> Stop {
    tracing::error!(error = format!("{e:?}"), "a stored file could not be read");
    let hint = "Check the server's disk, then try again.";
    storage_failed(&e, "The stored file could not be read.", hint)
}

/// The text of a document cannot be kept.
fn full_disk(e: BlobError) -> Stop {
    tracing::error!(error = format!("{e:?}"), "a text could not be written");
    let hint = "Its disk may be full. Check it, then try again.";
    storage_failed(&e, "The server could not keep the text of this document.", hint)
}

fn storage_failed(e: &BlobError, message: &str, hint: &str) -> Stop {
    let hint = match e {
        BlobError::Away(_) => "The store of the files did not answer, or failed. Try again in a moment.",
        BlobError::Refused(_) => {
            "The store of the files refuses this server. Its operator has to see to that."
        }
        BlobError::Full(_) => "There is no room left for files. Make some, then try again.",
        _ => hint,
    };
    Stop::Failed(Failure {
        code: "storage_failed".into(),
        message: message.into(),
        hint: Some(hint.into()),
        retryable: true,
    })
}

pub(super) fn broken(e: impl std::error::Error + Send + Sync + 'static) -> Stop {
    Stop::Store(StoreError::backend(e))
}
