//! Black-box tests: the real binary, started on a free port with a data folder of its own, asked over HTTP and
//! WebSocket. One module an area; one test binary, so that the server's crates are linked once.

mod access;
mod account;
mod api_keys;
mod auth;
mod away;
mod backup;
mod bounds;
mod broker;
mod bucket;
mod bulk;
mod chat;
mod check;
mod cli;
mod common;
mod composed;
mod controls;
mod crash;
mod crawls;
mod curl;
mod deleting;
mod demo;
mod documents;
mod duplicates;
mod embeddings;
mod errors;
mod formats;
mod full_disk;
mod graph;
mod health;
mod history;
mod hostile;
mod jobs;
mod known;
mod line;
mod live;
mod load;
#[path = "../../../crates/ingest/tests/support/office.rs"]
#[allow(clippy::unwrap_used, reason = "it is a part of tests")]
mod office;
mod openapi;
mod origin;
mod outside;
mod ownership;
mod pages;
mod patience;
#[path = "../../../crates/ingest/tests/support/pdf.rs"]
#[allow(clippy::unwrap_used, reason = "it is a part of tests")]
mod pdf;
mod plain_forms;
mod pollers;
mod problems;
mod progress;
mod provisioning;
mod queue;
mod rag;
mod retrieval;
mod rolling;
#[allow(dead_code, reason = "it is a part of tests, of which each uses its own part")]
#[path = "../support/s3.rs"]
mod s3;
mod sent_files;
mod servers;
mod sessions;
mod settings;
mod slow_client;
mod stalled;
mod stop;
mod stream;
mod sweep;
mod throttle;
mod traces;
mod turns;
mod upload;
mod uploads;
mod versions;
mod way_to_broker;
mod with_pgvector;
mod wording;
mod workspaces;

// For `servers::database`, which finds it at the root of every test that it is a part of.
use storage::migrate;
