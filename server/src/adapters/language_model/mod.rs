//! A language model behind the interface of OpenAI (`/v1/chat/completions`, streamed): Ollama, vLLM, Groq, OpenAI. It is
//! asked anew only as long as it has not said a word; after that what it said stands, and it breaks off where it breaks off.
//! Dropping the stream closes the connection, by which such servers notice that nobody listens any more.

mod events;

use super::{
    chat::ChatServer,
    circuit::{Circuit, Way},
    openai,
};
use async_trait::async_trait;
use domain::rag::Outage;
use events::{Reader, Said};
use futures::{StreamExt, stream};
use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use services::ports::{Clock, LanguageModel, ModelError, PromptMessage, Role, Token, Tokens};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Until the first word: it may have to load the model, and reads the whole prompt.
const FIRST_WORD: Duration = Duration::from_secs(90);
/// Between two words.
const SILENCE: Duration = Duration::from_secs(30);
/// For the whole answer.
const ANSWER: Duration = Duration::from_secs(600);
/// Of one answer, in bytes with all that goes around it.
const LONGEST: usize = 8 << 20;
/// Of an answer that is no stream, and of a refusal.
const WHOLE: usize = 1 << 20;
/// Tries until the first word, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A server that asks for a longer pause is left alone by everybody.
const SHORT_WISH: Duration = Duration::from_secs(2);

pub struct RemoteModel {
    server: ChatServer,
    http: Client,
    circuit: Circuit,
    clock: Arc<dyn Clock>,
}

/// Why a try came to nothing.
struct Failed {
    error: ModelError,
    /// Whether the same may succeed a moment later: the server is away, or has too much to do.
    may_heal: bool,
    wait: Option<Duration>,
    busy: bool,
}

impl Failed {
    fn away(sentence: &str) -> Self {
        Self { error: unreachable(sentence), may_heal: true, wait: None, busy: false }
    }

    fn refused(code: &'static str, sentence: impl Into<String>) -> Self {
        let error = ModelError { code, sentence: sentence.into(), retryable: false };
        Self { error, may_heal: false, wait: None, busy: false }
    }
}

fn unreachable(sentence: &str) -> ModelError {
    ModelError { code: "model_unreachable", sentence: sentence.to_owned(), retryable: true }
}

impl RemoteModel {
    /// # Errors
    /// A sentence, when the client cannot be made.
    pub fn new(server: ChatServer, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let http = openai::client("LLM_URL")?;
        Ok(Self { server, http, circuit: Circuit::default(), clock })
    }

    /// Asks until there is a first word.
    async fn first_word(&self, prompt: &[PromptMessage]) -> Result<Speech, ModelError> {
        let trial = match self.circuit.ask(self.clock.now()) {
            Way::Free => false,
            Way::Trial => true,
            Way::Barred(outage) => return Err(self.barred(outage)),
        };
        let mut pause = PAUSE;
        for tries in 1.. {
            let tried = timeout(FIRST_WORD, self.ask(prompt)).await;
            // Nobody waits for that several times.
            let is_slow = tried.is_err();
            let tried =
                tried.unwrap_or_else(|_| Err(Failed::away("The language model does not answer in time.")));
            let failed = match tried {
                Ok(speech) => {
                    self.note_answer();
                    return Ok(speech);
                }
                Err(failed) if failed.may_heal => failed,
                // Also a refusal is an answer.
                Err(refused) => {
                    self.note_answer();
                    return Err(refused.error);
                }
            };
            let wish = failed.wait;
            let long_wish = wish.filter(|wish| *wish > SHORT_WISH);
            let was_away = self.circuit.outage().is_some();
            if let Some(outage) = self.circuit.failed(self.clock.now(), failed.busy, long_wish, trial) {
                if !was_away {
                    tracing::warn!(error = %failed.error, "the language model is left alone for a while");
                }
                return Err(self.barred(outage));
            }
            if tries >= TRIES || is_slow {
                return Err(failed.error);
            }
            tracing::debug!(error = %failed.error, "the language model will be asked again");
            tokio::time::sleep(wish.unwrap_or(pause)).await;
            pause *= 2;
        }
        Err(unreachable("The language model does not answer."))
    }

    fn note_answer(&self) {
        if self.circuit.answered() {
            tracing::info!("the language model answers again");
        }
    }

    fn barred(&self, outage: Outage) -> ModelError {
        let seconds = outage.next_try.seconds_since(self.clock.now()) + 1;
        let what = if outage.busy { "has too much to do" } else { "does not answer" };
        unreachable(&format!("The language model {what}. It will be asked again in about {seconds} s."))
    }

    /// One try, up to the first word.
    async fn ask(&self, prompt: &[PromptMessage]) -> Result<Speech, Failed> {
        let response = match self.send(prompt, true).await? {
            // Some servers do not know that option.
            refused if matches!(refused.status().as_u16(), 400 | 422) => self.send(prompt, false).await?,
            response => response,
        };
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut speech = if kind.starts_with("application/json") {
            Speech::whole(response).await?
        } else {
            Speech::streamed(response)
        };
        match speech.next().await {
            Some(Ok(first)) => {
                speech.waiting.push_front(first);
                Ok(speech)
            }
            Some(Err(error)) => Err(Failed { may_heal: error.retryable, error, wait: None, busy: false }),
            None => Err(Failed::refused("model_said_nothing", "The language model answered without a word.")),
        }
    }

    async fn send(&self, prompt: &[PromptMessage], with_usage: bool) -> Result<Response, Failed> {
        let messages: Vec<Value> = prompt
            .iter()
            .map(|message| {
                let role = match message.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                json!({ "role": role, "content": message.content })
            })
            .collect();
        let mut body =
            json!({ "model": self.server.model, "messages": messages, "temperature": 0.2, "stream": true });
        if with_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
        let request = self.http.post(self.server.url()).json(&body);
        let request = match &self.server.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        request.send().await.map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string);
            tracing::debug!(cause, connect = e.is_connect(), "the language model does not answer");
            // The address may hold a password, so it is kept out of log and sentence.
            Failed::away("The language model does not answer.")
        })
    }

    async fn refusal(&self, response: Response) -> Failed {
        let (status, wait) = (response.status(), openai::wish(&response));
        let text = read(response, WHOLE).await.unwrap_or_default();
        let text: String = String::from_utf8_lossy(&text).chars().take(300).collect();
        tracing::warn!(%status, text, "the language model refused");
        let model = &self.server.model;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::refused(
                "model_key_refused",
                "The server of the language model refuses the key; the operator sets LLM_KEY.",
            ),
            StatusCode::NOT_FOUND => Failed::refused(
                "model_unknown",
                format!("The server has no language model {model}; the operator sets LLM_MODEL."),
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                Failed { wait, busy: true, ..Failed::away("The language model has too much to do.") }
            }
            status if status.is_server_error() => Failed {
                wait,
                ..Failed::away(&format!("The language model fails with status {}.", status.as_u16()))
            },
            status => Failed::refused(
                "model_refused",
                format!("The language model refuses the question with status {}.", status.as_u16()),
            ),
        }
    }
}

#[async_trait]
impl LanguageModel for RemoteModel {
    fn name(&self) -> String {
        self.server.model.clone()
    }

    async fn stream(&self, prompt: Vec<PromptMessage>) -> Result<Tokens, ModelError> {
        let speech = self.first_word(&prompt).await?;
        let until = tokio::time::Instant::now() + ANSWER;
        let tokens = stream::unfold(Some(speech), move |speech| async move {
            let mut speech = speech?;
            let next = tokio::time::timeout_at(until, timeout(SILENCE, speech.next())).await;
            match next {
                Ok(Ok(Some(Ok(token)))) => Some((Ok(token), Some(speech))),
                Ok(Ok(Some(Err(error)))) => Some((Err(error), None)),
                Ok(Ok(None)) => None,
                Ok(Err(_)) => Some((Err(broke_off("The language model fell silent.")), None)),
                Err(_) => Some((Err(broke_off("The language model did not come to an end.")), None)),
            }
        });
        Ok(tokens.boxed())
    }
}

fn broke_off(sentence: &str) -> ModelError {
    ModelError { code: "model_broke_off", sentence: sentence.to_owned(), retryable: true }
}

/// Reads a body whole; `None` when it is longer, or broke off.
async fn read(mut response: Response, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    while let Some(part) = response.chunk().await.ok()? {
        if bytes.len() + part.len() > most {
            return None;
        }
        bytes.extend_from_slice(&part);
    }
    Some(bytes)
}

/// An answer on its way.
struct Speech {
    response: Option<Response>,
    reader: Reader,
    read: usize,
    waiting: VecDeque<Token>,
    /// What it ended with, behind those.
    failed: Option<ModelError>,
    /// It said that it has come to its end.
    is_done: bool,
}

impl Speech {
    fn streamed(response: Response) -> Self {
        Self {
            response: Some(response),
            reader: Reader::default(),
            read: 0,
            waiting: VecDeque::new(),
            failed: None,
            is_done: false,
        }
    }

    /// Of a server that does not stream.
    async fn whole(response: Response) -> Result<Self, Failed> {
        let bytes =
            read(response, WHOLE).await.ok_or_else(|| Failed::away("The language model broke off."))?;
        let tokens = events::whole(&bytes).ok_or_else(|| {
            Failed::refused("model_wrong_answer", "The language model answers something that is no message.")
        })?;
        let (response, reader, waiting) = (None, Reader::default(), tokens.into());
        Ok(Self { response, reader, read: 0, waiting, failed: None, is_done: true })
    }

    async fn next(&mut self) -> Option<Result<Token, ModelError>> {
        loop {
            if let Some(token) = self.waiting.pop_front() {
                return Some(Ok(token));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            if self.is_done {
                return None;
            }
            let part = match self.response.as_mut()?.chunk().await {
                Ok(Some(part)) => part,
                Ok(None) if self.reader.has_finished() => {
                    self.is_done = true;
                    continue;
                }
                // An end that it did not announce is a line that was cut.
                Ok(None) | Err(_) => {
                    self.response = None;
                    return Some(Err(broke_off("The language model broke off in the middle of its answer.")));
                }
            };
            self.read += part.len();
            if self.read > LONGEST {
                self.response = None;
                return Some(Err(broke_off("The language model answers without an end.")));
            }
            for said in self.reader.push(&part) {
                match said {
                    Said::Token(token) => self.waiting.push_back(token),
                    Said::Done => self.is_done = true,
                    // The words before it were said.
                    Said::Error => {
                        self.is_done = true;
                        self.failed = Some(broke_off("The language model ended its answer with an error."));
                    }
                }
            }
        }
    }
}
