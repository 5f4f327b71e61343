//! One document: its state, steps and passages.

mod chunks;
mod read;

pub use chunks::{ListChunks, list_chunks};
pub use read::{ReadDocument, read_document};
