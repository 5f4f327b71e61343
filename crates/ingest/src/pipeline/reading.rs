//! The part of a language model in the graph, where the operator gives it one: it reads the passages after the rules did, a
//! few at a time, and each is committed with what it read, so that no stop of any kind has it asked about one twice. Where it
//! cannot be used, the rules alone have spoken, and the document says so.

use super::document::{Pulse, Stop, Work, broken};
use crate::graph::{Passage, reader};
use domain::{ChunkId, Step, graph::ChunkGraph, ingest::Checkpoint, message::Facts};
use futures::{StreamExt, stream::FuturesUnordered};
use services::ports::{LanguageModel, ModelError, Token, UnreadPassage};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Passages that it is asked about at the same time.
const AT_ONCE: usize = 4;
/// For one passage, from the question to the end of the answer.
const READ_TIME: Duration = Duration::from_secs(120);
/// Of an answer, in bytes: well above the longest list that is taken.
const LONGEST: usize = 256 << 10;
/// Errors that would come again at each passage.
const USELESS: [&str; 3] = ["model_unreachable", "model_key_refused", "model_unknown"];

impl Work<'_> {
    pub(super) async fn read_passages(&self) -> Result<(), Stop> {
        let Some(model) = self.context.tools.reader.clone() else { return Ok(()) };
        let jobs = &self.context.services.jobs;
        let mut is_useful = true;
        loop {
            self.gate()?;
            let unread = jobs.unread(self.claim.document_id, AT_ONCE as u32).await?;
            if unread.passages.is_empty() || !is_useful {
                let passages = unread.all - unread.asked + unread.in_vain;
                return self.checkpoint(Checkpoint::ByRules { passages }).await;
            }
            // Others use the model: whoever waits for it is not stalled.
            let turn = self.minding(&Pulse::steady(), self.context.reading.acquire()).await?;
            let _turn = turn.map_err(broken)?;
            self.gate()?;
            let facts = Facts { done: Some(unread.asked), chunks: Some(unread.all), ..Facts::default() };
            self.step(Step::Enrichment, facts).await?;
            let mut asked = unread.asked;
            let answers = unread.passages.into_iter().map(|passage| read(model.clone(), passage));
            let mut answers: FuturesUnordered<_> = answers.collect();
            while let Some((passage, answer)) = self.minding(&Pulse::default(), answers.next()).await? {
                let graph = match answer {
                    Ok(graph) => graph,
                    Err(error) => {
                        tracing::warn!(document_id = %self.claim.document_id, %error, "a passage is left to the rules");
                        if USELESS.contains(&error.code) {
                            is_useful = false;
                            continue;
                        }
                        None
                    }
                };
                asked += 1;
                self.checkpoint(Checkpoint::Read { passage, graph, asked }).await?;
            }
        }
    }
}

/// What the model reads in a passage; `None`: nothing that can be used.
async fn read(
    model: Arc<dyn LanguageModel>,
    passage: UnreadPassage,
) -> (ChunkId, Result<Option<ChunkGraph>, ModelError>) {
    let UnreadPassage { chunk, known } = passage;
    let text = Passage { heading: chunk.heading.as_deref(), text: &chunk.text };
    let said = timeout(READ_TIME, whole(&*model, &text)).await;
    let graph = said.unwrap_or(Ok(None)).map(|said| said.and_then(|said| reader::read(&said, &text, &known)));
    (chunk.id, graph)
}

/// The whole answer; `None` when it has no end.
async fn whole(model: &dyn LanguageModel, passage: &Passage<'_>) -> Result<Option<String>, ModelError> {
    let mut tokens = model.stream(reader::prompt(passage)).await?;
    let mut said = String::new();
    while let Some(token) = tokens.next().await {
        if let Token::Text(text) = token? {
            said.push_str(&text);
        }
        if said.len() > LONGEST {
            return Ok(None);
        }
    }
    Ok(Some(said))
}
