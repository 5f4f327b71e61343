//! A vector for each passage, a batch at a time, and why there may be none.

use super::{Pulse, Stop, Work, broken};
use domain::{
    Step,
    ingest::{Checkpoint, Failure, Stage},
    message::Facts,
};
use services::ports::EmbedError;
use std::time::{Duration, Instant};

/// Tries of a unit that may heal, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A batch of chunks should take about this long, so that a gate is never far.
const BATCH_TIME: f64 = 0.5;
/// Passages whose vectors are copied in one transaction.
const KNOWN_AT_ONCE: usize = 500;
/// Passages that are asked for at once: the question looks at all of a document.
const KNOWN_ASKED: u32 = 20_000;
const BATCH: std::ops::RangeInclusive<usize> = 4..=64;

/// What helps where a model answers vectors of another length than before.
const CHANGED_MODEL: &str = "If the model was changed on purpose, the operator restarts this server. Its documents are \
    then offered to be indexed anew.";

impl Work<'_> {
    pub(super) async fn embed(&mut self) -> Result<Stage, Stop> {
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
                    hint: Some("Try again; if it happens once more, ask the operator.".into()),
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
}

/// No vectors were had: the document fails, or waits for the server of its model.
pub(super) fn without_vectors(e: &EmbedError) -> Stop {
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
            hint: Some(match *code {
                "model_text_too_large" => "Choose a smaller chunk size, or another embedding model.".into(),
                "model_wrong_dimension" => CHANGED_MODEL.into(),
                _ => "Ask the operator, or choose another embedding model.".into(),
            }),
            retryable: false,
        },
        EmbedError::Failed(reason) => Failure {
            code: "embedding_failed".into(),
            message: "The embedding model could not process this text.".into(),
            hint: Some(format!(
                "Try again; if it fails once more, ask the operator. What was said: {}.",
                reason.trim_end_matches('.')
            )),
            retryable: true,
        },
    }
}
