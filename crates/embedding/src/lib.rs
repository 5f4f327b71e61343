//! Sentence vectors of all-MiniLM-L6-v2 on the CPU: tokenizer, forward pass and pooling from local files.
//! Knows texts and vectors only: no documents, no queue, no async, nothing of the other crates, and it
//! never downloads anything.

mod error;
mod files;
mod forward;
mod kernels;
mod model;
mod tokenizer;

pub use error::{EmbedError, ModelError};
pub use model::MiniLm;
pub use tokenizer::Token;
