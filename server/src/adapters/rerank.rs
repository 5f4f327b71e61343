//! A cross-encoder behind `/v1/rerank`, as Cohere, Jina and vLLM serve it, or behind the `/rerank` of text-embeddings-inference.
//! It reads the question and the passages; what it answers is not believed unchecked, and every way to fail has a code and a sentence that name
//! no secret.

use super::openai;
use async_trait::async_trait;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use services::ports::{CrossEncoder, RerankError};
use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

/// For the order of a question: a person waits for it.
const ANSWER: Duration = Duration::from_secs(15);
/// For a first word, by which it is told whether it is there.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long it is believed to be there, and not to be there, after it was asked: it may cost money.
const KEEP_READY: Duration = Duration::from_secs(60);
const KEEP_SILENT: Duration = Duration::from_secs(5);
/// Of the answer that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// What the call is named at the end of an address.
const CALL: &str = "/rerank";

/// Where the model is, as the operator wrote it.
#[derive(Clone)]
pub struct RerankServer {
    /// The whole address of the call.
    url: Url,
    /// text-embeddings-inference has the call without `/v1`, and other names in it.
    texts: bool,
    /// Its name there; empty: the server has only one.
    pub model: String,
    pub key: Option<String>,
}

impl FromStr for RerankServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url = Url::parse(text.trim()).map_err(|_| openai::WRONG)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(openai::WRONG);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        // An address that names the call is meant as it is: Cohere has `/v2/rerank` as well.
        let texts =
            path.ends_with(CALL) && !path.trim_end_matches(CALL).ends_with(|c: char| c.is_ascii_digit());
        if path.ends_with(CALL) {
            url.set_path(&path);
        } else {
            url = openai::base(text, CALL)?.join("rerank").map_err(|_| openai::WRONG)?;
        }
        Ok(Self { url, texts, model: String::new(), key: None })
    }
}

impl fmt::Debug for RerankServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RerankServer");
        shown.field("host", &self.url.host_str()).field("model", &self.model).finish_non_exhaustive()
    }
}

pub struct RemoteReranker {
    server: RerankServer,
    http: Client,
    /// What was found out last, and when. Held over the asking, so that many who ask at once ask once.
    found: tokio::sync::Mutex<Option<(Instant, Result<(), RerankError>)>>,
}

/// The two shapes of an answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Results { results: Vec<Rated> },
    Plain(Vec<Rated>),
}

#[derive(Deserialize)]
struct Rated {
    index: usize,
    #[serde(alias = "relevance_score")]
    score: f64,
}

fn failed(code: &'static str, sentence: impl Into<String>) -> RerankError {
    RerankError { code, sentence: sentence.into() }
}

fn wrong_answer(what: &str) -> RerankError {
    failed("rerank_wrong_answer", format!("The cross-encoder answered {what}."))
}

impl RemoteReranker {
    /// # Errors
    /// A sentence, when the client cannot be made.
    pub fn new(server: RerankServer) -> Result<Self, String> {
        let http = openai::client("RERANK_URL")?;
        Ok(Self { server, http, found: tokio::sync::Mutex::default() })
    }

    fn body(&self, question: &str, texts: &[String]) -> Value {
        if self.server.texts {
            return json!({ "query": question, "texts": texts, "truncate": true });
        }
        let mut body = json!({ "query": question, "documents": texts, "top_n": texts.len() });
        if !self.server.model.is_empty() {
            body["model"] = self.server.model.as_str().into();
        }
        body
    }

    async fn ask(
        &self,
        question: &str,
        texts: &[String],
        patience: Duration,
    ) -> Result<Vec<f64>, RerankError> {
        let request =
            self.http.post(self.server.url.clone()).timeout(patience).json(&self.body(question, texts));
        let request = match &self.server.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let mut response = request.send().await.map_err(|e| silent(&e))?;
        if response.status() != StatusCode::OK {
            return Err(said_no(response.status()));
        }
        let mut bytes = vec![];
        while let Some(part) = response.chunk().await.map_err(|e| silent(&e))? {
            if bytes.len() + part.len() > LONGEST {
                return Err(wrong_answer("without an end"));
            }
            bytes.extend_from_slice(&part);
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| wrong_answer("something that is not a list of scores"))?;
        check(answer, texts.len())
    }
}

/// A finite score for each text, in their order.
fn check(answer: Answer, texts: usize) -> Result<Vec<f64>, RerankError> {
    let (Answer::Results { results } | Answer::Plain(results)) = answer;
    let mut scores: Vec<Option<f64>> = vec![None; texts];
    for Rated { index, score } in results {
        match scores.get_mut(index) {
            Some(slot @ None) if score.is_finite() => *slot = Some(score),
            _ => return Err(wrong_answer("other scores than it was asked for")),
        }
    }
    let scores: Option<Vec<f64>> = scores.into_iter().collect();
    scores.ok_or_else(|| wrong_answer("fewer scores than it was asked for"))
}

/// The address may hold a password, so it is kept out of log and sentence.
fn silent(e: &reqwest::Error) -> RerankError {
    let sentence = if e.is_timeout() {
        "The cross-encoder does not answer in time."
    } else {
        "The cross-encoder does not answer."
    };
    tracing::debug!(timeout = e.is_timeout(), connect = e.is_connect(), "{sentence}");
    failed("rerank_unreachable", sentence)
}

fn said_no(status: StatusCode) -> RerankError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            failed("rerank_key_refused", "The cross-encoder refuses the key; the operator sets RERANK_KEY.")
        }
        StatusCode::NOT_FOUND => failed(
            "rerank_model_unknown",
            "The cross-encoder's server does not know that address or model; the operator sets RERANK_URL and RERANK_MODEL.",
        ),
        StatusCode::TOO_MANY_REQUESTS => {
            failed("rerank_unreachable", "The cross-encoder is asked too often just now.")
        }
        other if other.is_server_error() => {
            failed("rerank_unreachable", "The cross-encoder's server has a fault of its own just now.")
        }
        other => failed(
            "rerank_refused",
            format!("The cross-encoder refuses the question with status {}.", other.as_u16()),
        ),
    }
}

#[async_trait]
impl CrossEncoder for RemoteReranker {
    async fn state(&self) -> (bool, String) {
        let mut found = self.found.lock().await;
        let keep = |told: &Result<(), RerankError>| if told.is_ok() { KEEP_READY } else { KEEP_SILENT };
        let told = match found.as_ref().filter(|(at, told)| at.elapsed() < keep(told)) {
            Some((_, told)) => told.clone(),
            None => {
                let told = self.ask("InsightHub", &["InsightHub".to_owned()], FIRST_WORD).await.map(|_| ());
                *found = Some((Instant::now(), told.clone()));
                told
            }
        };
        match told {
            Ok(()) if self.server.model.is_empty() => {
                (true, "Reads question and passage together, on a server of its own; the most exact and the slowest.".into())
            }
            Ok(()) => (
                true,
                format!(
                    "Reads question and passage together with {}; the most exact and the slowest.",
                    self.server.model
                ),
            ),
            Err(e) => (false, e.sentence),
        }
    }

    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f64>, RerankError> {
        self.ask(question, texts, ANSWER).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, texts: usize) -> Result<Vec<f64>, RerankError> {
        check(serde_json::from_str(json).expect("one of the shapes"), texts)
    }

    #[test]
    fn the_address_of_the_call_may_be_left_out_or_named() {
        let url = |text: &str| {
            let server: RerankServer = text.parse().expect("an address");
            (server.url.to_string(), server.texts)
        };
        for (text, expected, texts) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/rerank", false),
            ("https://api.example.org/v1", "https://api.example.org/v1/rerank", false),
            ("https://api.example.org/v1/rerank/", "https://api.example.org/v1/rerank", false),
            ("https://api.example.org/v2/rerank", "https://api.example.org/v2/rerank", false),
            ("http://127.0.0.1:8080/rerank", "http://127.0.0.1:8080/rerank", true),
        ] {
            assert_eq!(url(text), (expected.to_owned(), texts), "{text}");
        }
        for bad in ["", "localhost:8080", "ftp://example.org"] {
            assert!(bad.parse::<RerankServer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neither_key_nor_password_shows() {
        let mut server: RerankServer = "https://ada:secret@api.example.org".parse().expect("an address");
        server.key = Some("sk-secret".to_owned());
        assert!(!format!("{server:?}").contains("secret"));
    }

    #[test]
    fn both_shapes_are_read_in_the_order_of_the_texts() {
        let cohere =
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":-2}]}"#;
        assert_eq!(read(cohere, 2), Ok(vec![-2.0, 0.9]));
        assert_eq!(read(r#"[{"index":0,"score":0.5}]"#, 1), Ok(vec![0.5]));
    }

    #[test]
    fn an_answer_that_cannot_be_used_is_refused() {
        for (texts, wrong) in [
            (2, r#"[{"index":0,"score":1}]"#),
            (1, r#"[{"index":0,"score":1},{"index":1,"score":1}]"#),
            (2, r#"[{"index":0,"score":1},{"index":0,"score":1}]"#),
            (1, r#"{"results":[]}"#),
        ] {
            assert_eq!(read(wrong, texts).expect_err("refused").code, "rerank_wrong_answer", "{wrong}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_it_cannot_be_chosen() {
        crate::install_cryptography();
        let server: RerankServer = "http://127.0.0.1:9".parse().expect("an address");
        let reranker = RemoteReranker::new(server).expect("a client");
        assert_eq!(reranker.state().await, (false, "The cross-encoder does not answer.".to_owned()));
        let said = reranker.rerank("q", &["a".to_owned()]).await.expect_err("nobody answers");
        assert_eq!(said.code, "rerank_unreachable");
    }
}
