//! Black-box tests: the real binary, started on a free port with a data folder of its own, asked over HTTP and
//! WebSocket. One module an area; one test binary, so that the server's crates are linked once.

mod access;
mod account;
mod api_keys;
mod auth;
mod cli;
mod common;
mod crash;
mod curl;
mod demo;
mod documents;
mod embeddings;
mod full_disk;
mod health;
mod history;
mod jobs;
mod live;
mod openapi;
mod origin;
mod outside;
mod ownership;
mod pages;
mod patience;
mod pollers;
mod problems;
mod provisioning;
mod queue;
mod rag;
mod sessions;
mod settings;
mod stop;
mod stream;
mod sweep;
mod throttle;
mod upload;
mod workspaces;
