//! Files: what was uploaded and what was extracted from it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the file is not there")]
    NotFound,
    /// The sender went away in the middle.
    #[error("the transfer broke off: {0}")]
    BrokenOff(String),
    /// The disk, or what this server may use of it, is full.
    #[error("there is no room left on the disk")]
    Full(#[source] std::io::Error),
    #[error("the disk failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for BlobError {
    fn from(e: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match e.kind() {
            // Uploads are far smaller than what a file system takes, so it is a limit of the process that was met.
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(e),
            _ => Self::Io(e),
        }
    }
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

/// How a part of a file came.
#[derive(Debug)]
pub struct Appended {
    /// The size of the file by now.
    pub end: u64,
    /// Whether the body goes on.
    pub more: bool,
    /// Why the body ended before its end.
    pub broken_off: Option<BlobError>,
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

    /// Puts the next bytes of a body behind the first `at` bytes of a file, in place of whatever was there; makes the
    /// file where `at` is 0. Ends with the body, when at least `enough` bytes came, or when it breaks off, which is an
    /// end like any other here: what came is kept. Takes at most `room` bytes. Durable when it returns.
    ///
    /// # Errors
    /// `NotFound` when there are fewer than `at` bytes; `TooLarge` when more came than there is room for, and then the
    /// file ends at `at`.
    async fn append(
        &self,
        key: &str,
        at: u64,
        body: &mut BoxStream<'static, Result<Bytes, BlobError>>,
        enough: u64,
        room: u64,
    ) -> Result<Appended, BlobError>;

    /// What [`Blobs::receive`] answers, of a file that is there.
    async fn examine(&self, key: &str) -> Result<Received, BlobError>;

    /// Writes a small thing whole, replacing what was there; durable when it returns.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError>;

    async fn get(&self, key: &str) -> Result<Bytes, BlobError>;

    /// A path that may be opened for reading.
    async fn path(&self, key: &str) -> Result<PathBuf, BlobError>;

    /// Gone when it returns; a key that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), BlobError>;

    /// The keys of all files that were written at least `age` ago, some at a time.
    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>>;

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

    /// Markdown as HTML that holds nothing but text and its structure: no script, no address, no picture, no style.
    fn markdown(&self, text: &str) -> String;
}
