//! Files: what was uploaded and what was extracted from it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the file is not there")]
    NotFound,
    /// The sender went away in the middle.
    #[error("the transfer broke off: {0}")]
    BrokenOff(String),
    #[error("the disk failed")]
    Io(#[from] std::io::Error),
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// The first bytes (at most 8 KiB), for telling the type by content.
    pub head: Bytes,
}

/// Keys look like `users/<id>/documents/<id>` and never come from a client.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Streams to disk, hashing on the way, never holding more than a buffer; durable when it returns. On an error
    /// nothing stays behind.
    async fn receive(
        &self,
        key: &str,
        body: BoxStream<'static, Result<Bytes, BlobError>>,
        limit: u64,
    ) -> Result<Received, BlobError>;

    /// Writes a small thing whole, replacing what was there; durable when it returns.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError>;

    async fn get(&self, key: &str) -> Result<Bytes, BlobError>;

    /// A path that may be opened for reading.
    async fn path(&self, key: &str) -> Result<PathBuf, BlobError>;

    /// Gone when it returns; a key that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), BlobError>;

    /// All files whose keys begin with `folder/` are gone when it returns; that there are none is fine.
    async fn delete_folder(&self, folder: &str) -> Result<(), BlobError>;
}

/// Tells what a file is.
#[async_trait]
pub trait FileTypes: Send + Sync {
    /// The MIME type, told by content (the name only breaks ties between kinds of text).
    ///
    /// # Errors
    /// A sentence that names the types that are taken.
    async fn detect(&self, path: &std::path::Path, head: &[u8], filename: &str) -> Result<String, String>;
}
