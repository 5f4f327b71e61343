//! What it answers: vectors, of which each is looked at, and refusals.

use super::RemoteEmbedder;
use crate::adapters::openai;
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use services::ports::EmbedError;
use std::time::Duration;

/// Code of a request that is larger than the server takes.
pub(super) const TOO_LARGE: &str = "model_text_too_large";

/// Code of a request that the server refuses without saying more.
pub(super) const REFUSED: &str = "model_refused";
/// An answer is no longer than this, in bytes: what it was asked for, of the longest vectors that there are, is shorter.
const LONGEST_ANSWER: usize = 32 << 20;
/// Of why it refuses something so much is looked at, in bytes.
const LONGEST_REASON: usize = 1_024;

#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub(super) model: &'a str,
    pub(super) input: &'a [String],
    pub(super) encoding_format: &'static str,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    data: Vec<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    index: usize,
    embedding: Vec<f32>,
}

/// A request that failed, and how long its server asks to be left alone.
pub(super) struct Failed {
    pub(super) error: EmbedError,
    pub(super) wait: Option<Duration>,
    /// It is there, and has too much to do.
    pub(super) busy: bool,
}

impl From<EmbedError> for Failed {
    fn from(error: EmbedError) -> Self {
        Self { error, wait: None, busy: false }
    }
}

fn refused(code: &'static str, sentence: impl Into<String>) -> EmbedError {
    EmbedError::Refused { code, sentence: sentence.into() }
}

pub(super) fn wrong_answer(what: &str) -> EmbedError {
    refused("model_wrong_answer", format!("The embedding server answered {what}."))
}

impl RemoteEmbedder {
    /// As many vectors as texts, in their order, of the model's dimensions, made to length 1.
    pub(super) fn check(
        &self,
        model: &str,
        texts: usize,
        answer: Answer,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
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
        let known = self.dims().get(model).copied().unwrap_or(dim);
        match vectors.iter().find(|v| v.len() != known as usize) {
            None => {
                self.dims().insert(model.to_owned(), known);
                Ok(vectors)
            }
            Some(other) => Err(refused(
                "model_wrong_dimension",
                format!("{model} answered vectors with {} dimensions instead of {known}.", other.len()),
            )),
        }
    }
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
pub(super) fn unreachable(e: &reqwest::Error) -> EmbedError {
    let sentence = if e.is_timeout() {
        "The embedding server does not answer in time."
    } else {
        "The embedding server does not answer."
    };
    let cause = std::error::Error::source(e).map(ToString::to_string);
    tracing::debug!(cause, timeout = e.is_timeout(), connect = e.is_connect(), "{sentence}");
    EmbedError::Unreachable(sentence.to_owned())
}

/// The whole answer, as long as it is not too long: nobody says that it ever ends.
pub(super) async fn whole(mut response: Response) -> Result<Vec<u8>, EmbedError> {
    let mut whole: Vec<u8> = vec![];
    // It may break off in the middle.
    while let Some(part) = response.chunk().await.map_err(|e| unreachable(&e))? {
        if whole.len() + part.len() > LONGEST_ANSWER {
            return Err(wrong_answer("more than it was asked for"));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

pub(super) async fn refusal(mut response: Response, model: &str) -> Failed {
    let status = response.status();
    let wait = openai::wish(&response);
    let mut reason: Vec<u8> = vec![];
    while reason.len() < LONGEST_REASON
        && let Ok(Some(part)) = response.chunk().await
    {
        reason.extend_from_slice(&part);
    }
    let text: String = String::from_utf8_lossy(&reason).chars().take(300).collect();
    tracing::warn!(%status, model, text, "the embedding server refused");
    let meant = match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if speaks_of_length(&text) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        other => other,
    };
    Failed { error: said_no(meant, model), wait, busy: status == StatusCode::TOO_MANY_REQUESTS }
}

/// Whether it says that a text is longer than the model reads. Few have a status of its own for that.
fn speaks_of_length(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["context length", "context size", "maximum length", "too long", "too large", "too many tokens"]
        .iter()
        .any(|words| reason.contains(words))
}

pub(super) fn said_no(status: StatusCode, model: &str) -> EmbedError {
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
            REFUSED,
            format!("The embedding server refuses the request with status {}.", status.as_u16()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::SystemClock;
    use std::sync::Arc;

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
        e.check("n", 1, answer(&[(0, &[1.0, 0.0])])).expect("that said nothing of the model");
    }

    #[test]
    fn a_reason_tells_that_a_text_is_too_long() {
        for reason in [
            "This model's maximum context length is 8192 tokens, however you requested 9000 tokens.",
            "the input length exceeds the context length",
            "Input is too long for requested model.",
            "Too many tokens in batch.",
        ] {
            assert!(speaks_of_length(reason), "{reason}");
        }
        for reason in ["", "unknown field `dimensions`", "input must be a string or a list of strings"] {
            assert!(!speaks_of_length(reason), "{reason}");
        }
    }

    #[test]
    fn a_status_tells_whether_asking_again_may_help() {
        let said = |status: u16| said_no(StatusCode::from_u16(status).expect("a status"), "m");
        for status in [408, 425, 429, 500, 503] {
            assert!(said(status).may_heal(), "{status}");
        }
        for (status, code) in
            [(400, REFUSED), (401, "model_key_refused"), (404, "model_unknown"), (413, TOO_LARGE)]
        {
            assert_eq!((said(status).code(), said(status).may_heal()), (code, false), "{status}");
        }
    }
}
