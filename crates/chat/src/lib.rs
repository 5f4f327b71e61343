//! Finding the passages that answer a question, and putting them in order. `retrieval` is the whole of it, behind the port
//! [`services::ports::Retriever`]; the others are its parts, and know neither a database nor a model.

mod bm25;
mod cache;
mod fusion;
mod graph;
mod retrieval;

pub use retrieval::Retrieval;
