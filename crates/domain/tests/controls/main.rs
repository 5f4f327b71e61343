//! What people ask of jobs and documents: every state with every command, and random commands between random work.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod courses;
mod random;
mod tables;
