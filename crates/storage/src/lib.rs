//! What is kept, in SQLite or PostgreSQL: users and sessions, workspaces, documents with their chunks, jobs, and the
//! event log. [`Store`] stands behind the ports of `services`; [`memory::MemoryStore`] stands behind some of them in
//! tests.
//!
//! Everything that is written goes through the group-commit writer (`writer.rs`); everything that is read goes
//! through a pool of readers. No rule of the product is decided here: statuses move by the tables of `domain`.

mod accounts;
mod api_keys;
mod backup;
mod bulk;
mod bulk_actions;
mod chats;
mod commands;
mod connections;
mod containing;
mod deletions;
mod dims;
mod documents;
mod engine;
mod errors;
mod events;
mod exports;
mod fault;
mod graph;
mod high_water;
mod history;
mod in_use;
mod index;
mod jobs;
mod kept;
pub mod memory;
mod migrations;
mod moving;
mod open;
mod outbox;
mod outside;
mod page;
mod partial_files;
mod pgvector;
mod pulse;
mod rag;
mod retrieval_cases;
mod sent_files;
mod sentences;
mod sessions;
mod silence;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the conformance suite uses the rest; a test may end there")]
mod support;
mod workspaces;
mod writer;

pub use backup::{Begun, Copied, CopyError, copy_database, newest_schema};
pub use engine::{Engine, sqlite_url};
pub use kept::{FILES_KEY, FOLDER_MARK};
pub use moving::{MoveError, Moved, move_installation};
pub use open::{OpenError, OpenOptions, Store, migrate};
