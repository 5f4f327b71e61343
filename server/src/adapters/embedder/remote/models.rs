//! Which models it has, and what can be said of each.

use super::{
    FIRST_WORD, RemoteEmbedder, WORD,
    answers::{said_no, unreachable},
};
use domain::rag::{EmbeddingModel, ModelState, Provider};
use reqwest::StatusCode;
use serde::Deserialize;
use services::ports::EmbedError;
use std::time::{Duration, Instant};

/// For the list of its models.
const LIST: Duration = Duration::from_secs(3);
/// What was found out of its models holds for so long.
const KEEP: Duration = Duration::from_secs(5);
/// Models that are tried with a word because nobody knows their dimensions, at most.
const TRIED: usize = 8;
/// What is tried when the server has no list and the operator named none.
const FALLBACK: &str = "nomic-embed-text";
/// Names of embedding models have one of these within, nearly always; those of chat models have not.
const LOOKS: [&str; 8] = ["embed", "minilm", "bge", "gte-", "e5-", "mpnet", "arctic", "retrieval"];

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

impl RemoteEmbedder {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
