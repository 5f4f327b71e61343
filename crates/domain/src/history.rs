//! The history of a document, a job or a workspace: what happened, when, by whom, and from which state.

use crate::{status::named, timestamp::Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// Who did something.
    ActorKind, "kind of actor" {
        /// A person, at the screen or through an API key.
        User = "user",
        /// One of the server's own workers.
        Worker = "worker",
        /// A worker of somebody's own, which reports through an API key.
        ExternalWorker = "external_worker",
        /// The server by itself.
        System = "system",
    }
);

/// Who did something, by the names that held when it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    pub kind: ActorKind,
    /// Of the user, or of the worker.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub id: Option<String>,
    /// The user's name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub name: Option<String>,
    /// The name of the API key, when a program did it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub key: Option<String>,
}

impl Actor {
    pub const SYSTEM: Self = Self { kind: ActorKind::System, id: None, name: None, key: None };

    pub fn user(id: impl fmt::Display, name: &str) -> Self {
        Self { kind: ActorKind::User, id: Some(id.to_string()), name: Some(name.to_owned()), key: None }
    }

    pub fn worker(id: &str) -> Self {
        Self { kind: ActorKind::Worker, id: Some(id.to_owned()), name: None, key: None }
    }

    /// The same, through the API key of that name.
    pub fn through(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// The same, as a worker that reports.
    pub fn reporting(self) -> Self {
        Self { kind: ActorKind::ExternalWorker, ..self }
    }

    /// Who it was, in words.
    pub fn words(&self) -> String {
        let name = self.name.as_deref().unwrap_or("somebody");
        match (self.kind, self.key.as_deref()) {
            (ActorKind::User, None) => name.to_owned(),
            (ActorKind::User, Some(key)) => format!("{name} (API key {key})"),
            (ActorKind::Worker, _) => "Worker".to_owned(),
            (ActorKind::ExternalWorker, Some(key)) => format!("Outside worker {key}"),
            (ActorKind::ExternalWorker, None) => format!("Outside worker of {name}"),
            (ActorKind::System, _) => "InsightHub".to_owned(),
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// Its number in the user's log.
    pub seq: u64,
    pub at: Timestamp,
    /// The event's name, as on the stream.
    #[cfg_attr(feature = "openapi", schema(example = "document_status"))]
    pub event: String,
    /// The status before; `null` when the thing began with this.
    #[cfg_attr(feature = "openapi", schema(example = "pending"))]
    pub from: Option<String>,
    /// The status after; `null` when the thing ended with this, or has no status.
    #[cfg_attr(feature = "openapi", schema(example = "processing"))]
    pub to: Option<String>,
    /// `null` when it happened before this was kept.
    pub actor: Option<Actor>,
    /// What the event told: the whole thing, as it was after this.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_told_in_words_and_reads_back() {
        let ada = Actor::user(7, "ada");
        for (actor, words) in [
            (ada.clone(), "ada"),
            (ada.clone().through("CI"), "ada (API key CI)"),
            (ada.clone().through("OCR box").reporting(), "Outside worker OCR box"),
            (ada.reporting(), "Outside worker of ada"),
            (Actor::worker("w1"), "Worker"),
            (Actor::SYSTEM, "InsightHub"),
        ] {
            assert_eq!(actor.words(), words);
            let text = serde_json::to_string(&actor).unwrap();
            assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), actor);
        }
    }
}
