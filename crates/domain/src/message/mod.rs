//! The sentences that people read while a document is worked on. One module a language has all of them, and is the only
//! place to translate; no model is needed. Where one is there, it words the steps that the catalogue does not know.
//!
//! What the server keeps and sends is worded in [`WRITTEN`]. The facts go along ([`Facts::extra`]), so whoever shows it
//! in another language words it anew.

use crate::{
    crawl::{PageFault, SkipReason},
    resource::Language,
    status::PhaseName,
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod en;
#[cfg(test)]
mod tests;

pub use en::{count, duration, number};

/// The language in which the server words what it keeps and sends.
pub const WRITTEN: Language = Language::English;

/// What is known when the sentence is made. A fact that is missing makes the sentence plainer, never wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub filename: Option<String>,
    pub pages: Option<u64>,
    pub chunks: Option<u64>,
    /// Chunks embedded so far.
    pub done: Option<u64>,
    /// Chunks that a language model was asked about so far.
    pub read: Option<u64>,
    pub columns: Option<u64>,
    pub rows: Option<u64>,
    pub new_rows: Option<u64>,
    pub existing_rows: Option<u64>,
    /// 0–1.
    pub similarity: Option<f64>,
    /// What it is similar to.
    pub similar_name: Option<String>,
    /// Passages of it that are in no other document, and those that are.
    pub new_chunks: Option<u64>,
    pub shared_chunks: Option<u64>,
    pub kind: Option<String>,
    /// The program or the place that a file comes from.
    pub origin: Option<String>,
    pub reason: Option<String>,
    /// What a model said of a step that the catalogue does not know. [`FILE`] stands where the name of the file belongs.
    pub sentence: Option<String>,
}

/// In a sentence that serves for every file: where the name of the file belongs.
pub const FILE: &str = "{file}";

/// What kind of document it is, in no more letters than these.
const LONGEST_KIND: usize = 60;
/// The name of another file, in no more than these.
const LONGEST_NAME: usize = 255;

impl Facts {
    pub fn file(name: &str) -> Self {
        Self { filename: Some(name.to_owned()), ..Self::default() }
    }

    /// What is said beside a step, by the names that outside workers use. What is no such fact is passed over.
    pub fn told(metadata: &Value) -> Self {
        let number = |name: &str| metadata.get(name).and_then(Value::as_u64);
        let short =
            |text: &&str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
        let plain = |text: &&str| short(text, LONGEST_KIND);
        let name = |text: &&str| short(text, LONGEST_NAME);
        Self {
            pages: number("pages"),
            read: number("read_chunks"),
            columns: number("columns"),
            rows: number("rows"),
            new_rows: number("new_rows"),
            existing_rows: number("existing_rows"),
            similarity: metadata.get("similarity_score").and_then(Value::as_f64),
            similar_name: metadata
                .get("similar_name")
                .and_then(Value::as_str)
                .filter(name)
                .map(str::to_owned),
            new_chunks: number("new_chunks"),
            shared_chunks: number("shared_chunks"),
            kind: metadata.get("kind").and_then(Value::as_str).filter(plain).map(str::to_owned),
            origin: metadata.get("origin").and_then(Value::as_str).filter(plain).map(str::to_owned),
            ..Self::default()
        }
    }

    /// The facts as they go along with a sentence, under the names that [`Facts::told`] reads; not what the sentence is
    /// sent with anyway, and none that is not known.
    pub fn extra(&self) -> Map<String, Value> {
        let Facts {
            filename: _,
            sentence: _,
            pages,
            chunks,
            done,
            read,
            columns,
            rows,
            new_rows,
            existing_rows,
            similarity,
            similar_name,
            new_chunks,
            shared_chunks,
            kind,
            origin,
            reason,
        } = self;
        let mut extra = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                extra.insert(name.to_owned(), value);
            }
        };
        let numbers = [
            ("pages", pages),
            ("chunks", chunks),
            ("embedded", done),
            ("read_chunks", read),
            ("columns", columns),
            ("rows", rows),
            ("new_rows", new_rows),
            ("existing_rows", existing_rows),
            ("new_chunks", new_chunks),
            ("shared_chunks", shared_chunks),
        ];
        for (name, number) in numbers {
            put(name, number.map(Value::from));
        }
        put("similarity_score", similarity.map(Value::from));
        put("similar_name", similar_name.as_deref().map(Value::from));
        put("kind", kind.as_deref().map(Value::from));
        put("origin", origin.as_deref().map(Value::from));
        put("reason", reason.as_deref().map(Value::from));
        extra
    }

    /// The facts that went along with a sentence about that file.
    pub fn of_extra(filename: &str, extra: &Value) -> Self {
        let number = |name: &str| extra.get(name).and_then(Value::as_u64);
        Self {
            filename: Some(filename.to_owned()),
            chunks: number("chunks").filter(|&n| n > 0),
            done: number("embedded"),
            reason: extra.get("reason").and_then(Value::as_str).map(str::to_owned),
            ..Self::told(extra)
        }
    }
}

/// What is said of a job, or of what became of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sentence<'a> {
    Waiting {
        documents: u64,
    },
    AtWork {
        phase: PhaseName,
        done: u64,
        of: u64,
    },
    AllReady {
        documents: u64,
    },
    /// `failed` are those that somebody did not cancel.
    SomeReady {
        ready: u64,
        of: u64,
        failed: u64,
        cancelled: u64,
    },
    /// Nothing is left to do, since somebody cancelled it.
    Cancelled {
        ready: u64,
        of: u64,
    },
    NoneReady {
        of: u64,
    },
    StalledOnce {
        seconds: u64,
        phase: PhaseName,
        next: u32,
        of: u32,
    },
    StalledForGood {
        seconds: u64,
        phase: PhaseName,
        tries: u32,
    },
    StalledHint,
    /// Its outside worker said nothing of it since then.
    Unheard {
        since: Timestamp,
    },
    Interrupted,
    /// `busy`: it answers, and says that it has too much to do. `next_try`: when it is asked again, where that is told.
    ModelAway {
        since: Timestamp,
        busy: bool,
        next_try: Option<Timestamp>,
    },
    GivenBack,
    Pausing,
    Cancelling,
    /// `begun`: the percentage, where it had begun.
    Paused {
        begun: Option<u64>,
    },
    PausedAlone,
    DocumentCancelled,
    CancelledHint,
    EmbeddingSkipped,
    /// Of so many passages a language model was to tell more than the rules, and could not.
    GraphByRules {
        passages: u64,
        of: u64,
    },
    WaitingToRetry {
        documents: u64,
        pages: u64,
    },
    WaitingToCrawl,
    /// `of` may grow. `until`: what is left is asked for again then, where nothing else is to be asked for.
    Crawling {
        done: u64,
        of: u64,
        until: Option<Timestamp>,
    },
    /// `failed`: pages and documents.
    SiteRead {
        ready: u64,
        unchanged: u64,
        failed: u64,
        cancelled: u64,
        skipped: u64,
        removed: u64,
    },
    PageSkipped(SkipReason),
    PageFailed(&'a PageFault),
    /// Nothing is left of the job, since all of its documents were deleted.
    AllDeleted,
    /// A workspace with so many documents is about to go.
    DeletingSoon {
        documents: u64,
    },
    Deleting {
        done: u64,
        of: u64,
    },
    Deleted {
        documents: u64,
    },
    DeletionUndone,
    WorkspaceDeleted,
    RetryIn {
        next: u32,
        of: u32,
        seconds: u64,
        why: &'a str,
    },
    /// `before`: what the earlier tries failed by, where that was something else.
    TriedOften {
        last: &'a str,
        before: &'a str,
        tries: u64,
    },
    WorkerFailed,
    WorkerDone {
        chunks: u64,
    },
    ReindexCancelled,
    /// The next version does not become ready, and the one before is found.
    ReplaceCancelled {
        version: u32,
        kept: u32,
    },
    NotReplaced {
        version: u32,
        kept: u32,
        why: &'a str,
        hint: Option<&'a str>,
    },
    NotIndexedAnew {
        why: &'a str,
        hint: Option<&'a str>,
    },
}

/// The sentence for a step.
pub fn friendly(language: Language, step: &Step, facts: &Facts) -> String {
    match language {
        Language::English => en::step(step, facts),
    }
}

/// The sentence in a language.
pub fn say(language: Language, sentence: &Sentence<'_>) -> String {
    match language {
        Language::English => en::sentence(sentence),
    }
}
