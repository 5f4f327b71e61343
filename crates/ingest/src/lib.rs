//! From a stored file to passages that can be found: extraction and chunking, and the pipeline that drives them.
//!
//! `extract` and `chunk` are pure (bytes in, text and passages out) save for the one type that starts the reading
//! process. `crawl` reads web sites, whose pages become documents. Nothing here knows the database or HTTP.

pub mod chunk;
mod classify;
pub mod crawl;
pub mod extract;
pub mod pipeline;
