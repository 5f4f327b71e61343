//! From a stored file to passages that can be found: extraction and chunking, and the pipeline that drives them.
//!
//! `extract`, `chunk` and `graph` are pure (bytes in, text, passages and what they speak of out) save for the one type that starts the reading
//! process. `crawl` reads web sites, whose pages become documents. Nothing here knows the database or HTTP.

pub mod chunk;
mod classify;
pub mod crawl;
pub mod extract;
pub mod graph;
pub mod pipeline;
pub mod show;
