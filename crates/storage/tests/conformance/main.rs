//! One suite for every implementation. A case is a function over a [`Subject`]; `on_every_store!` makes it one test
//! for the store in memory, one for SQLite and one for PostgreSQL, `on_every_database!` only the latter two. What
//! holds for one holds for all, so that the engines never grow apart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod accounts;
mod api_keys;
mod awaiting;
mod backup;
mod chats;
mod controls;
mod crawls;
mod deleting;
mod deletions;
mod desk;
mod errors;
mod event_log;
mod exports;
mod graph;
mod history;
mod jobs;
mod jobs_lease;
mod jobs_model;
mod jobs_servers;
mod jobs_work;
mod known;
mod moving;
mod outbox;
mod outside;
mod partial_files;
mod parts;
mod passages;
mod r3;
mod recovery;
mod reindex;
mod search_index;
mod sent_files;
mod sentences;
mod sessions;
mod stalls;
mod starts;
mod steps;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod turns;
mod versions;
mod waiting;
mod with_pgvector;
mod words;
mod workspaces;

use storage::migrate;

/// Makes each case one test per store.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(<crate::subject::Memory as crate::subject::Subject>::fresh().await).await;
            })+
        }
        crate::on_every_database!($($case),+);
    };
}

/// Makes each case one test per database.
macro_rules! on_every_database {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(<crate::subject::Sqlite as crate::subject::Subject>::fresh().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(<crate::subject::Postgres as crate::subject::Subject>::fresh().await).await;
            })+
        }
    };
}

pub(crate) use {on_every_database, on_every_store};
