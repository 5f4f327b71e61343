//! The part of a language model in the graph, where the operator gives it one: it reads the passages after the rules did, a
//! few at a time, and each is committed with what it read, so that no stop of any kind has it asked about one twice. Where it
//! cannot be used, the rules alone have spoken, and the document says so.

use super::document::{Pulse, Stop, Work, broken};
use crate::graph::{Passage, reader};
use domain::{ChunkId, Step, graph::ChunkGraph, ingest::Checkpoint, message::Facts};
use futures::{StreamExt, stream::FuturesUnordered};
use services::ports::{LanguageModel, ModelError, Token, UnreadPassage};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Passages that it is asked about at the same time.
const AT_ONCE: usize = 4;
/// For one passage, from the question to the end of the answer.
const READ_TIME: Duration = Duration::from_secs(120);
/// Of an answer, in bytes: well above the longest list that is taken.
const LONGEST: usize = 256 << 10;
/// Errors that would come again at each passage.
const USELESS: [&str; 2] = ["model_key_refused", "model_unknown"];
/// It is away, slow, or has too much to do.
const AWAY: &str = "model_unreachable";
/// Tries of a passage for which it was away while it answered others, and of any at all while it answers nothing.
const TRIES: u32 = 3;
/// Before the second of these; the next one is five times as long.
const PAUSE: Duration = Duration::from_secs(1);

impl Work<'_> {
    pub(super) async fn read_passages(&mut self) -> Result<(), Stop> {
        let Some(model) = self.context.tools.reader.clone() else { return Ok(()) };
        // From here on the text is of no use, and others may have this document's place.
        self.text = None;
        let _waits = self.context.hold_no_hand();
        let jobs = &self.context.services.jobs;
        let (mut is_useful, mut is_told, mut silent) = (true, false, 0);
        let mut failed: HashMap<ChunkId, u32> = HashMap::new();
        loop {
            self.gate()?;
            let unread = jobs.unread(self.claim.document_id, AT_ONCE as u32).await?;
            if unread.passages.is_empty() || !is_useful || silent >= TRIES {
                let passages = unread.all - unread.asked + unread.in_vain;
                return self.checkpoint(Checkpoint::ByRules { passages }).await;
            }
            if silent > 0 {
                let pause = tokio::time::sleep(PAUSE * 5_u32.pow(silent - 1));
                self.minding(&Pulse::steady(), pause).await?;
            }
            // Others use the model: whoever waits for it is not stalled.
            let turn = self.minding(&Pulse::steady(), self.context.reading.acquire()).await?;
            let _turn = turn.map_err(broken)?;
            self.gate()?;
            if !std::mem::replace(&mut is_told, true) {
                let facts = Facts { read: Some(unread.asked), chunks: Some(unread.all), ..Facts::default() };
                self.step(Step::Enrichment, facts).await?;
            }
            let (mut asked, mut has_answered) = (unread.asked, false);
            let answers = unread.passages.into_iter().map(|passage| read(model.clone(), passage));
            let mut answers: FuturesUnordered<_> = answers.collect();
            // An answer takes its time, which is bounded.
            while let Some((passage, answer)) = self.minding(&Pulse::steady(), answers.next()).await? {
                let graph = match answer {
                    Ok(graph) => {
                        has_answered = true;
                        graph
                    }
                    Err(error) => {
                        tracing::debug!(document_id = %self.claim.document_id, %error, "a passage could not be read");
                        if USELESS.contains(&error.code) {
                            is_useful = false;
                            continue;
                        }
                        let tries = failed.entry(passage).or_default();
                        *tries += 1;
                        if error.code == AWAY && *tries < TRIES {
                            continue;
                        }
                        None
                    }
                };
                asked += 1;
                self.checkpoint(Checkpoint::Read { passage, graph, asked }).await?;
            }
            silent = if has_answered { 0 } else { silent + 1 };
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
