//! Sentences for steps that the catalogue does not know: who words them, and where they are kept.

use super::StoreError;
use async_trait::async_trait;
use domain::Timestamp;

/// Why there is no sentence. The text names no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wordless(pub String);

/// A language model, asked for one sentence.
#[async_trait]
pub trait Wordsmith: Send + Sync {
    /// What it says of a step, in whatever form: the caller looks at it. The file is named only where that is allowed.
    async fn sentence(&self, step: &str, filename: Option<&str>) -> Result<String, Wordless>;
}

/// A step whose turn it is to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub step: String,
    /// Tries before this one.
    pub tries: u32,
}

/// Sentences of steps, for all users and all servers.
#[async_trait]
pub trait Sentences: Send + Sync {
    /// Notes that a step has no sentence, unless it is noted already, or `most` are.
    async fn want_sentence(&self, step: &str, most: u32, now: Timestamp) -> Result<(), StoreError>;

    /// Takes a step that has no sentence and whose time has come. Nobody else gets it before `pause` has gone by, which
    /// is told the number of tries before this one and answers seconds.
    async fn take_wordless(&self, now: Timestamp, pause: fn(u32) -> u32)
    -> Result<Option<Asked>, StoreError>;

    /// Keeps the sentence for good: from here on, reports take it.
    async fn keep_sentence(&self, step: &str, sentence: &str) -> Result<(), StoreError>;

    /// Lets at most `limit` documents that are in the step say it by the sentence; emits `file_progress` for each.
    /// Answers how many changed: 0 is the end.
    async fn reword_step(
        &self,
        step: &str,
        sentence: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// The name of a file that is in the step, whosever it is.
    async fn file_in_step(&self, step: &str) -> Result<Option<String>, StoreError>;
}
