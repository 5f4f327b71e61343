//! An embedding server with the interface of OpenAI (`/v1/models`, `/v1/embeddings`): Ollama, vLLM and the like. What it
//! answers is not believed unchecked, and every way to fail has a code and a sentence that name no secret.

use crate::adapters::circuit::{Circuit, Way};
use crate::adapters::openai;
use domain::rag::{EmbeddingModel, ModelState, Outage, Provider};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use services::ports::{Clock, EmbedError};
use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For the list of its models.
const LIST: Duration = Duration::from_secs(3);
/// For a first word. A server that has to load the model first takes longer; it goes on loading, and the next look
/// finds it ready.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// For a batch of passages on a server without a graphics card.
const BATCH: Duration = Duration::from_secs(120);
/// What was found out of its models holds for so long.
const KEEP: Duration = Duration::from_secs(5);
/// Texts in one request.
const TEXTS: usize = 64;
/// Tries of a request that may heal, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A server that asks for a longer pause is left alone by everybody; a shorter one is waited for on the spot.
const SHORT_WISH: Duration = Duration::from_secs(2);
/// Models that are tried with a word because nobody knows their dimensions, at most.
const TRIED: usize = 8;
/// Code of a request that is larger than the server takes.
const TOO_LARGE: &str = "model_text_too_large";
/// What a model is tried with.
const WORD: &str = "InsightHub";
/// What is tried when the server has no list and the operator named none.
const FALLBACK: &str = "nomic-embed-text";
/// Names of embedding models have one of these within, nearly always; those of chat models have not.
const LOOKS: [&str; 8] = ["embed", "minilm", "bge", "gte-", "e5-", "mpnet", "arctic", "retrieval"];

/// Where the server is, as the operator wrote it.
#[derive(Clone)]
pub struct EmbeddingServer {
    /// Ends with `/v1/`.
    base: Url,
    pub key: Option<String>,
    /// Names that the operator offers; empty: those of the server's list that look like it.
    pub models: Vec<String>,
}

impl FromStr for EmbeddingServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let base = openai::base(text, "/embeddings")?;
        Ok(Self { base, key: None, models: vec![] })
    }
}

impl fmt::Debug for EmbeddingServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingServer").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

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

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    index: usize,
    embedding: Vec<f32>,
}

fn refused(code: &'static str, sentence: impl Into<String>) -> EmbedError {
    EmbedError::Refused { code, sentence: sentence.into() }
}

fn wrong_answer(what: &str) -> EmbedError {
    refused("model_wrong_answer", format!("The embedding server answered {what}."))
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

    /// What is offered, found out now or a few seconds ago.
    pub async fn models(&self) -> Vec<EmbeddingModel> {
        let mut found = self.found.lock().await;
        if let Some((_, models)) = found.as_ref().filter(|(at, _)| at.elapsed() < KEEP) {
            return models.clone();
        }
        let models = self.find_out().await;
        *found = Some((Instant::now(), models.clone()));
        models
    }

    async fn find_out(&self) -> Vec<EmbeddingModel> {
        let known = self.known_names();
        let listed = match known.first() {
            // One that is left alone is told as such; when its time is over this is the trial.
            Some(first) => self.may_ask(first).await,
            None => Ok(()),
        };
        let listed = match listed {
            Ok(()) => self.list().await,
            Err(error) => Err(error),
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "the embedding server could not be asked for its models");
                return known.into_iter().map(|name| self.silent(name, &error)).collect();
            }
        };
        let names = match (&listed, self.server.models.is_empty()) {
            (Some(listed), true) => looks_like_it(listed),
            (None, true) => vec![FALLBACK.to_owned()],
            (_, false) => self.server.models.clone(),
        };
        let looks = names.into_iter().enumerate().map(|(n, name)| {
            let there = listed.as_ref().is_none_or(|all| all.iter().any(|id| is_same(id, &name)));
            async move {
                if there {
                    return self.try_out(name, n < TRIED).await;
                }
                let detail = "The embedding server does not have it; the operator adds it there.".to_owned();
                self.model(name, ModelState::NeedsConfiguration, detail)
            }
        });
        futures::future::join_all(looks).await
    }

    /// The names of its models; `None` when it has no list.
    async fn list(&self) -> Result<Option<Vec<String>>, EmbedError> {
        let response = self.request(reqwest::Method::GET, "models", LIST).send().await;
        let response = response.map_err(|e| unreachable(&e))?;
        match response.status() {
            StatusCode::OK => Ok(response
                .json::<List>()
                .await
                .ok()
                .map(|list| list.data.into_iter().map(|listed| listed.id).collect())),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
            status => Err(said_no(status, "")),
        }
    }

    /// The models that are offered while the server cannot be asked.
    fn known_names(&self) -> Vec<String> {
        if !self.server.models.is_empty() {
            return self.server.models.clone();
        }
        let seen: Vec<String> = self.dims().keys().cloned().collect();
        if seen.is_empty() { vec![FALLBACK.to_owned()] } else { seen }
    }

    fn silent(&self, name: String, error: &EmbedError) -> EmbeddingModel {
        let state = match error {
            EmbedError::Refused { .. } => ModelState::NeedsConfiguration,
            _ => ModelState::Unreachable,
        };
        self.model(name, state, error.to_string())
    }

    async fn try_out(&self, name: String, may_ask: bool) -> EmbeddingModel {
        let ready = "Runs on the embedding server.".to_owned();
        if self.dims().contains_key(&name) {
            return self.model(name, ModelState::Ready, ready);
        }
        if !may_ask {
            let detail = "Too many models are offered; the operator names those to use in EMBEDDINGS_MODELS.";
            return self.model(name, ModelState::NeedsConfiguration, detail.to_owned());
        }
        match self.ask_once(&name, &[WORD.to_owned()], FIRST_WORD).await {
            Ok(_) => self.model(name, ModelState::Ready, ready),
            Err(failed) => self.silent(name, &failed.error),
        }
    }

    fn model(&self, name: String, state: ModelState, detail: String) -> EmbeddingModel {
        let dim = self.dims().get(&name).copied();
        EmbeddingModel { name, dim, max_tokens: None, provider: Provider::Server, state, detail }
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
                // It may take them when they are fewer.
                Err(EmbedError::Refused { code: TOO_LARGE, .. }) if batch.len() > 1 => most = batch.len() / 2,
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
        let answer: Answer = response.json().await.map_err(|e| {
            // Broken off in the middle, or no such JSON.
            if e.is_decode() {
                wrong_answer("something that is not a list of vectors")
            } else {
                unreachable(&e)
            }
        })?;
        Ok(self.check(model, texts.len(), answer)?)
    }

    /// As many vectors as texts, in their order, of the model's dimensions, made to length 1.
    fn check(&self, model: &str, texts: usize, answer: Answer) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
        for Embedded { index, embedding } in answer.data {
            match vectors.get_mut(index) {
                Some(slot @ None) => *slot = Some(unit(embedding)?),
                _ => return Err(wrong_answer("other vectors than it was asked for")),
            }
        }
        let vectors: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
        let vectors = vectors.ok_or_else(|| wrong_answer("fewer vectors than it was asked for"))?;
        let Some(dim) = vectors.first().and_then(|v| u32::try_from(v.len()).ok()) else { return Ok(vectors) };
        let known = *self.dims().entry(model.to_owned()).or_insert(dim);
        match vectors.iter().find(|v| v.len() != known as usize) {
            None => Ok(vectors),
            Some(other) => Err(refused(
                "model_wrong_dimension",
                format!("{model} answered vectors with {} dimensions instead of {known}.", other.len()),
            )),
        }
    }
}

/// A request that failed, and how long its server asks to be left alone.
struct Failed {
    error: EmbedError,
    wait: Option<Duration>,
    /// It is there, and has too much to do.
    busy: bool,
}

impl From<EmbedError> for Failed {
    fn from(error: EmbedError) -> Self {
        Self { error, wait: None, busy: false }
    }
}

/// Of the models of a list, those that make vectors, by their names; a list of one is that one.
fn looks_like_it(listed: &[String]) -> Vec<String> {
    if let [only] = listed {
        return vec![plain(only).to_owned()];
    }
    let looks = |name: &&String| {
        let name = name.to_lowercase();
        LOOKS.iter().any(|part| name.contains(part))
    };
    let mut names: Vec<String> = listed.iter().filter(looks).map(|name| plain(name).to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Ollama adds a tag to every name, and takes names without that one.
fn plain(name: &str) -> &str {
    name.strip_suffix(":latest").unwrap_or(name)
}

fn is_same(a: &str, b: &str) -> bool {
    plain(a) == plain(b)
}

fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, EmbedError> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !length.is_finite() || length < 1e-12 {
        return Err(wrong_answer("a vector without a direction"));
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Ok(vector)
}

/// The address may hold a password, so it is kept out of log and sentence.
fn unreachable(e: &reqwest::Error) -> EmbedError {
    let sentence = if e.is_timeout() {
        "The embedding server does not answer in time."
    } else {
        "The embedding server does not answer."
    };
    let cause = std::error::Error::source(e).map(ToString::to_string);
    tracing::debug!(cause, timeout = e.is_timeout(), connect = e.is_connect(), "{sentence}");
    EmbedError::Unreachable(sentence.to_owned())
}

async fn refusal(response: Response, model: &str) -> Failed {
    let status = response.status();
    let wait = openai::wish(&response);
    let text = response.text().await.unwrap_or_default();
    let text: String = text.chars().take(300).collect();
    tracing::warn!(%status, model, text, "the embedding server refused");
    Failed { error: said_no(status, model), wait, busy: status == StatusCode::TOO_MANY_REQUESTS }
}

fn said_no(status: StatusCode, model: &str) -> EmbedError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(
            "model_key_refused",
            "The embedding server refuses the key; the operator sets EMBEDDINGS_KEY.",
        ),
        StatusCode::NOT_FOUND => refused(
            "model_unknown",
            format!("The embedding server does not have the model {model}; the operator adds it there."),
        ),
        StatusCode::TOO_MANY_REQUESTS => {
            EmbedError::Unreachable("The embedding server has too much to do.".to_owned())
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            refused(TOO_LARGE, "A passage of this document is larger than the embedding server takes.")
        }
        // It gave up waiting, or was not ready to answer.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            EmbedError::Unreachable(format!("The embedding server fails with status {}.", status.as_u16()))
        }
        status if status.is_server_error() => {
            EmbedError::Unreachable(format!("The embedding server fails with status {}.", status.as_u16()))
        }
        status => refused(
            "model_refused",
            format!("The embedding server refuses the request with status {}.", status.as_u16()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::SystemClock;

    fn embedder() -> RemoteEmbedder {
        crate::install_cryptography();
        RemoteEmbedder::new("http://127.0.0.1:9".parse().expect("an address"), Arc::new(SystemClock))
            .expect("a client")
    }

    fn answer(vectors: &[(usize, &[f32])]) -> Answer {
        let data = vectors.iter().map(|(index, v)| Embedded { index: *index, embedding: v.to_vec() });
        Answer { data: data.collect() }
    }

    #[test]
    fn an_address_may_be_written_in_several_ways() {
        for text in [
            "http://localhost:11434",
            "http://localhost:11434/",
            " http://localhost:11434/v1 ",
            "http://localhost:11434/v1/embeddings?x=1#y",
        ] {
            let server: EmbeddingServer = text.parse().expect(text);
            assert_eq!(server.base.as_str(), "http://localhost:11434/v1/");
        }
        let server: EmbeddingServer = "https://api.example.org/team/v1/".parse().expect("an address");
        assert_eq!(server.base.as_str(), "https://api.example.org/team/v1/");
        for bad in ["", "localhost:11434", "ftp://example.org", "http://", "/v1"] {
            assert!(bad.parse::<EmbeddingServer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neither_key_nor_password_shows() {
        let mut server: EmbeddingServer = "https://ada:secret@api.example.org".parse().expect("an address");
        server.key = Some("sk-secret".to_owned());
        assert!(!format!("{server:?}").contains("secret"));
    }

    #[test]
    fn embedding_models_are_known_by_their_names() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let found = looks_like_it(&list(&[
            "llama3:8b",
            "nomic-embed-text:latest",
            "mxbai-embed-large:335m",
            "BAAI/bge-small-en-v1.5",
            "nomic-embed-text",
        ]));
        assert_eq!(found, ["BAAI/bge-small-en-v1.5", "mxbai-embed-large:335m", "nomic-embed-text"]);
        assert_eq!(looks_like_it(&list(&["my-own"])), ["my-own"], "a server of one model");
        assert!(looks_like_it(&list(&["gpt", "llama"])).is_empty());
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts_with_length_one() {
        let got = embedder().check("m", 2, answer(&[(1, &[0.0, 2.0]), (0, &[3.0, 4.0])])).expect("vectors");
        assert_eq!(got, [vec![0.6, 0.8], vec![0.0, 1.0]]);
    }

    #[test]
    fn an_answer_that_cannot_be_used_is_refused() {
        let e = embedder();
        let nan = f32::NAN;
        for (texts, wrong) in [
            (2, answer(&[(0, &[1.0])])),
            (1, answer(&[(0, &[1.0]), (1, &[1.0])])),
            (2, answer(&[(0, &[1.0]), (0, &[1.0])])),
            (1, answer(&[(0, &[])])),
            (1, answer(&[(0, &[0.0, 0.0])])),
            (1, answer(&[(0, &[nan, 1.0])])),
        ] {
            let said = e.check("m", texts, wrong).expect_err("refused");
            assert_eq!((said.code(), said.may_heal()), ("model_wrong_answer", false));
        }
        e.check("m", 1, answer(&[(0, &[1.0, 0.0])])).expect("vectors");
        let other = e.check("m", 1, answer(&[(0, &[1.0])])).expect_err("refused");
        assert_eq!(other.code(), "model_wrong_dimension");
        let mixed = e.check("n", 2, answer(&[(0, &[1.0]), (1, &[1.0, 0.0])])).expect_err("refused");
        assert_eq!(mixed.code(), "model_wrong_dimension");
    }

    #[test]
    fn a_status_tells_whether_asking_again_may_help() {
        let said = |status: u16| said_no(StatusCode::from_u16(status).expect("a status"), "m");
        for status in [408, 425, 429, 500, 503] {
            assert!(said(status).may_heal(), "{status}");
        }
        for (status, code) in
            [(400, "model_refused"), (401, "model_key_refused"), (404, "model_unknown"), (413, TOO_LARGE)]
        {
            assert_eq!((said(status).code(), said(status).may_heal()), (code, false), "{status}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_the_models_are_unreachable() {
        let mut server: EmbeddingServer = "http://127.0.0.1:9".parse().expect("an address");
        server.models = vec!["one".to_owned()];
        crate::install_cryptography();
        let e = RemoteEmbedder::new(server, Arc::new(SystemClock)).expect("a client");
        let models = e.models().await;
        assert_eq!((models[0].name.as_str(), models[0].state), ("one", ModelState::Unreachable));
        let said = e.embed("one", &["text".to_owned()]).await.expect_err("nobody answers");
        assert_eq!((said.code(), said.may_heal()), ("model_unreachable", true));
        assert!(matches!(said, EmbedError::Away(_)), "three tries in a row came to nothing");
        assert!(e.outage().is_some());
        let (began, said) =
            (Instant::now(), e.embed("one", &["text".to_owned()]).await.expect_err("left alone"));
        assert!(matches!(said, EmbedError::Away(_)) && began.elapsed() < PAUSE, "nothing is asked");
    }
}
