//! Finding the passages that answer a question, and answering out of them. `retrieval` is the whole of the first, behind the
//! port [`services::ports::Retriever`], and `answerer` of the second, behind [`services::ports::Answerer`]; the others are
//! their parts, and know neither a database nor a server.

mod answerer;
mod bm25;
mod cache;
mod extract;
mod fusion;
mod graph;
mod html;
mod prompt;
mod retrieval;

pub use answerer::Answers;
pub use retrieval::Retrieval;
