//! Working on a turn, from the question to the stored answer.
//!
//! **What was sent is kept.** A piece of the answer is committed first and shown then, so no restart takes back what
//! somebody has read. While one commit is on its way the language model goes on speaking; what it said by then goes into the
//! next one, together. A wish to stop is looked at between commits, which take milliseconds, and never within one.

use super::desk::{LEASE_SECONDS, Running, Turns, Wish};
use crate::{
    Error, Services,
    ports::{Earlier, ModelError, Passage, StoreError, ToAnswer, Token, TurnWrite},
};
use domain::{
    TurnId,
    chat::{AnswerKind, IllegalTurn, Source, Turn, TurnChange, TurnError},
    rag::RagConfig,
    resource::{SearchHit, Warning},
};
use futures::{FutureExt, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{Instrument, Span, debug_span};

/// Between two commits of text, at least: more often nobody can read.
const GAP: Duration = Duration::from_millis(30);
/// Longest answer, in characters. What goes beyond it is cut, and the turn says so.
const LONGEST: usize = 100_000;
/// Characters of all passages together; the first one is taken whatever its length.
const CONTEXT: usize = 40_000;
/// Turns of before that go along with a question, and characters of each of their answers.
const EARLIER: u32 = 6;
const EARLIER_CHARS: usize = 1_500;

/// What is said where no passage answers.
const NOTHING: &str = "Nothing in this workspace answers that question.";
const NOTHING_YET: &str = "Nothing that is searched so far answers that question.";

/// Why the work ended before the turn was complete.
enum Halt {
    Wish(Wish),
    Failed(TurnError),
    /// Others have ended it, or it is gone.
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Fenced | StoreError::NotFound => Halt::Lost,
            other => Halt::Store(other),
        }
    }
}

impl From<IllegalTurn> for Halt {
    fn from(e: IllegalTurn) -> Self {
        Halt::Store(StoreError::backend(e))
    }
}

impl From<Error> for Halt {
    fn from(e: Error) -> Self {
        let problem = e.to_problem();
        Halt::Failed(TurnError {
            retryable: problem.status >= 500,
            hint: None,
            code: problem.code,
            message: problem.detail,
        })
    }
}

impl From<ModelError> for Halt {
    fn from(e: ModelError) -> Self {
        Halt::Failed(e.into())
    }
}

type Step<T = ()> = std::result::Result<T, Halt>;

/// Works on a turn to its end, whatever that is.
pub(super) async fn work(services: Services, running: Arc<Running>, turn: Turn, without_sources: bool) {
    let id = turn.turn_id;
    // Also after a panic: else its lease would be kept for ever.
    let _held = Held { turns: services.turns.clone(), running: running.clone(), id };
    let wishes = running.wishes();
    let mut worker = Worker { services, running, turn, wishes, next_text: Instant::now() };
    let ended = match worker.answer(without_sources).await {
        Err(Halt::Wish(Wish::Stop)) => worker.note(TurnChange::Stop).await,
        Err(Halt::Wish(Wish::GoAway)) => worker.note(TurnChange::Fail(TurnError::interrupted())).await,
        Err(Halt::Wish(Wish::LetGo)) => Err(Halt::Lost),
        Err(Halt::Failed(error)) => {
            tracing::warn!(turn_id = %id, code = error.code, "a turn failed");
            Span::current().record("code", error.code.as_str());
            worker.note(TurnChange::Fail(error)).await
        }
        other => other,
    };
    if let Err(Halt::Store(error)) = &ended {
        // Its lease runs out, and then it is marked as interrupted.
        tracing::error!(turn_id = %id, error = format!("{error:?}"), "a turn could not be written");
    }
}

/// A turn in the hands of this server.
struct Held {
    turns: Arc<Turns>,
    running: Arc<Running>,
    id: TurnId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.turns.remove(self.id);
        self.running.let_go();
    }
}

struct Worker {
    services: Services,
    running: Arc<Running>,
    turn: Turn,
    wishes: watch::Receiver<Option<Wish>>,
    /// Text may be committed from then on.
    next_text: Instant,
}

impl Worker {
    /// Does something that may be given up when something else is wished.
    async fn unless_wished<T>(&mut self, work: impl Future<Output = T>) -> Step<T> {
        tokio::select! {
            biased;
            // Its sender is held by `running`.
            wish = self.wishes.wait_for(Option::is_some) => match wish.ok().and_then(|wish| *wish) {
                Some(wish) => Err(Halt::Wish(wish)),
                None => Err(Halt::Lost),
            },
            done = work => Ok(done),
        }
    }

    /// Carries out a change: commits it, and shows it then.
    async fn note(&mut self, change: TurnChange) -> Step {
        let is_text = matches!(change, TurnChange::Text(_));
        let after = self.turn.last_event;
        let events = self.turn.advance(change, self.services.clock.now())?;
        if events.is_empty() {
            return Ok(());
        }
        let write = TurnWrite {
            owner: self.services.turns.owner.clone(),
            user: self.turn.user_id,
            turn_id: self.turn.turn_id,
            after,
            events,
            turn: (!is_text).then(|| Box::new(self.turn.clone())),
            lease_seconds: LEASE_SECONDS,
        };
        self.services.chats.write_turn(write.clone()).await?;
        self.running.publish(write);
        Ok(())
    }

    async fn answer(&mut self, without_sources: bool) -> Step {
        let services = self.services.clone();
        let (user, workspace) = (self.turn.user_id, self.turn.workspace_id);
        let missing = || Error::NotFound("workspace");
        let config = services.workspaces.rag_config(user, workspace).await?.ok_or_else(missing)?;
        let counts = services.workspaces.workspace(user, workspace).await?.ok_or_else(missing)?.counts;
        self.turn.metadata.documents_processing = counts.processing;
        self.turn.metadata.documents_ready = Some(counts.ready);
        let earlier = self.earlier().await?;

        self.note(TurnChange::Step(None)).await?;
        let correlation_id = self.turn.turn_id;
        let hits = if without_sources {
            vec![]
        } else {
            self.find(config, &earlier).instrument(debug_span!("find", %correlation_id)).await?
        };
        self.note(TurnChange::Found(hits.iter().map(source).collect())).await?;

        self.note(TurnChange::Step(Some(found_words(hits.len(), without_sources)))).await?;
        let passages = hits.into_iter().map(passage).collect();
        let asked = ToAnswer { query: self.turn.query.clone(), passages, earlier };
        let chosen = services.answerer.choose();
        let nobody = asked.passages.is_empty() && (!without_sources || chosen.kind == AnswerKind::Extract);
        self.turn.metadata.kind = Some(if nobody { AnswerKind::Nothing } else { chosen.kind });
        self.turn.metadata.model = Some(chosen.model.clone());

        let words =
            (chosen.kind == AnswerKind::Model && !nobody).then(|| format!("{} is answering…", chosen.model));
        self.note(TurnChange::Step(words)).await?;
        if nobody {
            let said = if counts.processing > 0 { NOTHING_YET } else { NOTHING };
            self.say(said.to_owned()).await?;
        } else {
            let answering = async {
                let tokens = services.answerer.answer(&chosen, asked);
                let tokens = self.unless_wished(tokens).await??;
                self.listen(tokens).await
            };
            let answered: Step = answering.instrument(debug_span!("answer", %correlation_id)).await;
            answered?;
        }

        self.note(TurnChange::Step(None)).await?;
        self.note(TurnChange::Complete).await
    }

    /// The passages that have to do with the question; where it says next to nothing and finds nothing, those for the
    /// question before it together with it.
    async fn find(&mut self, config: RagConfig, earlier: &[Earlier]) -> Step<Vec<SearchHit>> {
        let query = self.turn.query.clone();
        self.turn.metadata.retriever_type = Some(config.retriever_type);
        let hits = self.find_for(query.clone(), config.clone()).await?;
        let answerer = self.services.answerer.clone();
        if !hits.is_empty() || !answerer.is_follow_up(&query) {
            return Ok(hits);
        }
        match earlier.iter().rev().find(|turn| !answerer.is_follow_up(&turn.query)) {
            Some(before) => self.find_for(format!("{} {query}", before.query), config).await,
            None => Ok(hits),
        }
    }

    async fn find_for(&mut self, query: String, config: RagConfig) -> Step<Vec<SearchHit>> {
        let services = self.services.clone();
        let (user, workspace) = (self.turn.user_id, self.turn.workspace_id);
        let asked = query.clone();
        let found = services.retrieve(user, workspace, asked, config);
        let found = self.unless_wished(found).await??;
        self.turn.metadata.warnings = found.warnings;
        let mut chars = 0;
        let fits = |hit: &SearchHit| {
            let is_first = chars == 0;
            chars += hit.chunk.text.chars().count();
            is_first || chars <= CONTEXT
        };
        let relevant = self.services.answerer.relevant(&query, found.hits);
        Ok(relevant.into_iter().take_while(fits).collect())
    }

    /// The last turns of the conversation that were answered.
    async fn earlier(&self) -> Step<Vec<Earlier>> {
        let page = crate::ports::PageQuery::first(EARLIER + 1);
        let turns = self.services.chats.turns(self.turn.user_id, &self.turn.conversation_id, page).await?;
        let answered = turns.items.into_iter().filter(|turn| {
            turn.turn_id != self.turn.turn_id
                && turn.status == domain::chat::TurnStatus::Completed
                && turn.again_as.is_none()
                && !turn.found_nothing()
        });
        Ok(answered
            .map(|turn| Earlier { query: turn.query, answer: cut(turn.answer, EARLIER_CHARS) })
            .collect())
    }

    /// Takes what is said, as it comes, to the end.
    async fn listen(&mut self, tokens: crate::ports::Tokens) -> Step {
        // Its end may be seen while what has come is gathered, and is asked for once more then.
        let mut tokens = tokens.fuse();
        let mut room = LONGEST;
        loop {
            let Some(first) = self.unless_wished(tokens.next()).await? else { break };
            let mut text = String::new();
            let mut next = Some(first);
            let mut failed = None;
            // What has come meanwhile goes along.
            while let Some(token) = next {
                match token {
                    Ok(Token::Text(piece)) => text.push_str(&piece),
                    Ok(Token::Usage { prompt, completion }) => {
                        self.turn.metadata.prompt_tokens = Some(prompt);
                        self.turn.metadata.completion_tokens = Some(completion);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                next = tokens.next().now_or_never().flatten();
            }
            let chars = text.chars().count();
            if chars > room {
                self.say(cut(text, room)).await?;
                let message = "The answer was longer than this server keeps; it was cut.".to_owned();
                self.turn.metadata.warnings.push(Warning { code: "answer_cut".to_owned(), message });
                break;
            }
            room -= chars;
            self.say(text).await?;
            if let Some(error) = failed {
                return Err(error.into());
            }
            // Not given up for a wish: it is shorter than anybody notices.
            sleep_until(self.next_text).await;
        }
        if self.turn.answer.trim().is_empty() {
            return Err(Halt::Failed(TurnError {
                code: "model_said_nothing".to_owned(),
                message: "The language model answered without a word.".to_owned(),
                hint: Some("Ask again, or in other words.".to_owned()),
                retryable: true,
            }));
        }
        Ok(())
    }

    async fn say(&mut self, text: String) -> Step {
        // No database keeps that character.
        let text = text.replace('\0', "\u{fffd}");
        if text.is_empty() {
            return Ok(());
        }
        self.next_text = Instant::now() + GAP;
        self.note(TurnChange::Text(text)).await?;
        if self.turn.metadata.first_chunk_ms.is_none() {
            let micros = self.services.clock.now().micros().saturating_sub(self.turn.created_at.micros());
            self.turn.metadata.first_chunk_ms = u64::try_from(micros / 1_000).ok();
        }
        Ok(())
    }
}

fn found_words(passages: usize, without_sources: bool) -> String {
    match passages {
        _ if without_sources => "Without passages, as asked…".to_owned(),
        0 => "No passage found…".to_owned(),
        1 => "1 passage found…".to_owned(),
        n => format!("{n} passages found…"),
    }
}

fn source(hit: &SearchHit) -> Source {
    Source {
        document_id: hit.document.id,
        chunk_id: hit.chunk.id,
        filename: hit.document.filename.clone(),
        page: hit.chunk.page,
        text: hit.chunk.text.clone(),
        score: hit.score,
        document_version: hit.chunk.version,
        char_start: Some(hit.chunk.char_start),
        char_end: Some(hit.chunk.char_end),
        cited: false,
    }
}

fn passage(hit: SearchHit) -> Passage {
    let SearchHit { chunk, document, .. } = hit;
    Passage { filename: document.filename, page: chunk.page, heading: chunk.heading, text: chunk.text }
}

/// The first characters of a text.
fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
    text
}
