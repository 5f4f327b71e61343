//! An embedding server with the interface of OpenAI (`/v1/models`, `/v1/embeddings`): Ollama, vLLM and the like. What it
//! answers is not believed unchecked, and every way to fail has a code and a sentence that name no secret.

mod address;
mod answers;
mod models;

pub use address::EmbeddingServer;

use crate::adapters::circuit::{Circuit, Way};
use crate::adapters::openai;
use answers::{Answer, Failed, Question, REFUSED, TOO_LARGE, refusal, unreachable, whole, wrong_answer};
use domain::rag::{EmbeddingModel, Outage};
use reqwest::{Client, RequestBuilder};
use services::ports::{Clock, EmbedError};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For a first word. A server that has to load the model first takes longer; it goes on loading, and the next look
/// finds it ready.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// For a batch of passages on a server without a graphics card.
const BATCH: Duration = Duration::from_secs(120);
/// Texts in one request.
const TEXTS: usize = 64;
/// Tries of a request that may heal, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A server that asks for a longer pause is left alone by everybody; a shorter one is waited for on the spot.
const SHORT_WISH: Duration = Duration::from_secs(2);
/// What a model is tried with.
const WORD: &str = "InsightHub";

pub struct RemoteEmbedder {
    server: EmbeddingServer,
    http: Client,
    /// What was found out last, and when. Held over the asking, so that many who ask at once ask once.
    found: tokio::sync::Mutex<Option<(Instant, Vec<EmbeddingModel>)>>,
    /// Dimensions of models that answered. A model that answers others later is refused.
    dims: Mutex<BTreeMap<String, u32>>,
    circuit: Circuit,
    clock: Arc<dyn Clock>,
}

impl RemoteEmbedder {
    /// # Errors
    /// A sentence, when the client cannot be made.
    pub fn new(server: EmbeddingServer, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let http = openai::client("EMBEDDINGS_URL")?;
        let (found, dims, circuit) = (tokio::sync::Mutex::default(), Mutex::default(), Circuit::default());
        Ok(Self { server, http, found, dims, circuit, clock })
    }

    fn request(&self, method: reqwest::Method, path: &str, timeout: Duration) -> RequestBuilder {
        // `path` has no scheme and no dots: joining it cannot fail.
        let url = self.server.base.join(path).unwrap_or_else(|_| self.server.base.clone());
        let request = self.http.request(method, url).timeout(timeout);
        match &self.server.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn dims(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.dims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One unit vector a text, in order.
    pub async fn embed(&self, model: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut most = TEXTS;
        while vectors.len() < texts.len() {
            let left = &texts[vectors.len()..];
            let batch = &left[..left.len().min(most)];
            match self.ask(model, batch).await {
                // It may take them when they are fewer: some say so, others refuse them like anything else that is wrong.
                Err(EmbedError::Refused { code: TOO_LARGE | REFUSED, .. }) if batch.len() > 1 => {
                    most = batch.len() / 2;
                }
                answer => vectors.extend(answer?),
            }
        }
        Ok(vectors)
    }

    async fn ask(&self, model: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.may_ask(model).await?;
        let mut pause = PAUSE;
        for tries in 1.. {
            match self.ask_once(model, texts, BATCH).await {
                Err(failed) if failed.error.may_heal() => {
                    let wish = failed.wait;
                    let may_be_the_texts = !failed.busy && wish.is_none();
                    let said = failed.error.to_string();
                    let error = self.note_failure(failed, false);
                    if tries >= TRIES || matches!(error, EmbedError::Away(_)) {
                        if may_be_the_texts && self.answers(model).await {
                            // Whoever waited for it would wait for ever, and all others again and again.
                            return Err(EmbedError::Failed(said));
                        }
                        return Err(error);
                    }
                    tracing::debug!(model, %error, "the embedding server will be asked again");
                    tokio::time::sleep(wish.unwrap_or(pause)).await;
                    pause *= 2;
                }
                // Also a refusal is an answer.
                other => {
                    self.note_answer();
                    return other.map_err(|failed| failed.error);
                }
            }
        }
        unreachable!("the tries are counted")
    }

    /// Whether it answers a word. Then it is there, and what it failed at are the texts.
    async fn answers(&self, model: &str) -> bool {
        let answers = self.ask_once(model, &[WORD.to_owned()], FIRST_WORD).await.is_ok();
        if answers {
            self.note_answer();
        }
        answers
    }

    /// Whether the server is to be asked: not while it is left alone. Whoever comes first when that time is over finds out
    /// with a word whether it is there again.
    async fn may_ask(&self, model: &str) -> Result<(), EmbedError> {
        match self.circuit.ask(self.clock.now()) {
            Way::Free => Ok(()),
            Way::Barred(outage) => Err(EmbedError::Away(outage)),
            Way::Trial => match self.ask_once(model, &[WORD.to_owned()], FIRST_WORD).await {
                Err(failed) if failed.error.may_heal() => Err(self.note_failure(failed, true)),
                _ => {
                    self.note_answer();
                    Ok(())
                }
            },
        }
    }

    /// What a question failed by; an outage, once it is one.
    fn note_failure(&self, failed: Failed, trial: bool) -> EmbedError {
        metrics::counter!("insighthub_embedding_server_failures_total").increment(1);
        let was_away = self.circuit.outage().is_some();
        let wish = failed.wait.filter(|wish| *wish > SHORT_WISH);
        let Some(outage) = self.circuit.failed(self.clock.now(), failed.busy, wish, trial) else {
            return failed.error;
        };
        if !was_away {
            tracing::warn!(error = %failed.error, "the embedding server is left alone for a while");
            metrics::gauge!("insighthub_embedding_server_away").set(1.0);
        }
        EmbedError::Away(outage)
    }

    fn note_answer(&self) {
        if self.circuit.answered() {
            tracing::info!("the embedding server answers again");
            metrics::gauge!("insighthub_embedding_server_away").set(0.0);
        }
    }

    pub fn outage(&self) -> Option<Outage> {
        self.circuit.outage()
    }

    async fn ask_once(
        &self,
        model: &str,
        texts: &[String],
        timeout: Duration,
    ) -> Result<Vec<Vec<f32>>, Failed> {
        let question = Question { model, input: texts, encoding_format: "float" };
        let sent = self.request(reqwest::Method::POST, "embeddings", timeout).json(&question).send().await;
        let response = sent.map_err(|e| Failed::from(unreachable(&e)))?;
        if !response.status().is_success() {
            return Err(refusal(response, model).await);
        }
        let answer: Answer = serde_json::from_slice(&whole(response).await?)
            .map_err(|_| wrong_answer("something that is not a list of vectors"))?;
        Ok(self.check(model, texts.len(), answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Timestamp, rag::ModelState};
    use std::net::TcpListener;

    /// So that nothing is tried again, however long that takes.
    struct StandsStill;

    impl Clock for StandsStill {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_700_000_000_000_000)
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_the_models_are_unreachable() {
        // At an address of this machine that nothing else uses.
        let address = TcpListener::bind("127.0.0.9:0").and_then(|free| free.local_addr()).expect("a port");
        let mut server: EmbeddingServer = format!("http://{address}").parse().expect("an address");
        server.models = vec!["one".to_owned()];
        crate::install_cryptography();
        let e = RemoteEmbedder::new(server, Arc::new(StandsStill)).expect("a client");
        let models = e.models().await;
        assert_eq!((models[0].name.as_str(), models[0].state), ("one", ModelState::Unreachable));
        let said = e.embed("one", &["text".to_owned()]).await.expect_err("nobody answers");
        assert_eq!((said.code(), said.may_heal()), ("model_unreachable", true));
        assert!(matches!(said, EmbedError::Away(_)), "three tries in a row came to nothing");
        assert!(e.outage().is_some());
        let listens = TcpListener::bind(address).expect("the same port");
        listens.set_nonblocking(true).expect("a socket");
        let said = e.embed("one", &["text".to_owned()]).await.expect_err("left alone");
        assert!(matches!(said, EmbedError::Away(_)) && listens.accept().is_err(), "nothing is asked");
    }
}
