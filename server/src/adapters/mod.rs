//! What stands behind the small ports: the operating system's clock and randomness, argon2, the disk or an object store,
//! the embedding models, the language model, the cross-encoder, the web. The store and the bus have crates of their own.

mod blobs;
mod chat;
mod circuit;
mod clock;
mod embedder;
mod fetcher;
mod file_types;
mod form_seal;
mod hasher;
mod ids;
mod language_model;
mod openai;
mod rerank;
mod secrets;
pub(crate) mod tls;

pub use blobs::{BucketServer, Endpoint, FileBlobs, FilePlace, Keys, ObjectBlobs, SharedFolder};
pub(crate) use blobs::{INCOMING, MARK, lies_below, mark_of, sync_dir};
pub use chat::{ChatModel, ChatServer};
pub use clock::SystemClock;
pub use embedder::{EmbeddingServer, Models, Noting};
pub use fetcher::WebFetcher;
pub use file_types::ByContent;
pub use form_seal::FormSeal;
pub use hasher::Argon2Hasher;
pub use ids::TimeOrderedIds;
pub use language_model::RemoteModel;
pub use rerank::{RemoteReranker, RerankServer};
pub use secrets::{OsSecrets, random};
