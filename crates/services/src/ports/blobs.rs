//! Files: what was uploaded and what was extracted from it.

use async_trait::async_trait;
use bytes::Bytes;
use domain::FileKind;
use futures::stream::BoxStream;
use std::{
    error::Error,
    fs::File,
    ops::Range,
    time::{Duration, SystemTime},
};

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the file is not there")]
    NotFound,
    /// The sender went away in the middle.
    #[error("the transfer broke off: {0}")]
    BrokenOff(String),
    /// The disk, or what this server may use of it, is full; or so is the store of the files.
    #[error("there is no room left for files")]
    Full(#[source] std::io::Error),
    #[error("the disk failed")]
    Io(#[source] std::io::Error),
    /// The files lie elsewhere, and what keeps them does not answer, or fails. What it acknowledged is kept; it may be
    /// asked again.
    #[error("the store of the files does not answer, or fails")]
    Away(#[source] Box<dyn Error + Send + Sync>),
    /// It answers, and refuses what this server asks: its keys, its bucket. Somebody has to see to that.
    #[error("the store of the files refuses this server")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
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
    /// The first bytes (at most [`domain::files::HEAD`]), for telling the type by content.
    pub head: Bytes,
}

/// What is told of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// A file that is open on this machine, at its beginning.
pub struct LocalFile {
    pub file: File,
    pub room: Room,
}

/// What a file takes of this machine's disk that was fetched from elsewhere: there is only so much for all of them, and it
/// is given back when this is dropped.
pub struct Room(Option<Box<dyn Send + Sync>>);

impl LocalFile {
    /// One that lies here anyway.
    pub fn here(file: File) -> Self {
        Self { file, room: Room(None) }
    }

    /// A copy, with what is to be dropped when nobody needs it any more.
    pub fn copy(file: File, held: impl Send + Sync + 'static) -> Self {
        Self { file, room: Room(Some(Box::new(held))) }
    }
}

impl Room {
    /// Whether the file was fetched.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }
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
    /// Takes a file as it comes, hashing on the way, never holding more than a buffer or two; durable when it returns. On an
    /// error nothing stays behind, but for what a store elsewhere took without being able to say so: the sweep finds it.
    async fn receive(
        &self,
        key: &str,
        body: BoxStream<'static, Result<Bytes, BlobError>>,
        limit: u64,
    ) -> Result<Received, BlobError>;

    /// Keeps the next bytes of a body as those of a file that comes in parts, behind its first `at` bytes: they are a part
    /// of that turn, beside whatever other turns kept. `at` is where the turn began or what it has kept ends, so what earlier
    /// turns kept behind it counts for nothing, and may go. Nothing else that any turn kept is touched by it, however late
    /// it comes. Ends with the body, when at least `enough` bytes came, or when it breaks off, which is an end like any other here:
    /// what came is kept. Takes at most `room` bytes. Durable when it returns. Nobody reads the file under this key; see
    /// [`Blobs::put_together`].
    ///
    /// # Errors
    /// `NotFound` when no call ended at `at`; `TooLarge` when more came than there is room for, and then nothing of it is
    /// kept.
    async fn append(
        &self,
        key: &str,
        turn: u64,
        at: u64,
        body: &mut BoxStream<'static, Result<Bytes, BlobError>>,
        enough: u64,
        room: u64,
    ) -> Result<Appended, BlobError>;

    /// Makes a file of `size` bytes of the parts that came for another key, and answers what [`Blobs::receive`] does; durable
    /// when it returns. A later turn began where the ones before it had come to, so what it kept is taken before what
    /// they did. The parts stay, until their own key is deleted.
    ///
    /// # Errors
    /// `NotFound` when the parts do not reach from the beginning to `size`.
    async fn put_together(&self, parts_of: &str, size: u64, key: &str) -> Result<Received, BlobError>;

    /// Writes a small thing whole, replacing what was there; durable when it returns.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError>;

    async fn get(&self, key: &str) -> Result<Bytes, BlobError>;

    /// What is told of a file. One of which not even the first byte can be read is not there.
    async fn look(&self, key: &str) -> Result<Stored, BlobError>;

    /// A stretch of a file, which ends within it. What fails on the way ends the stream.
    async fn read(
        &self,
        key: &str,
        stretch: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError>;

    /// The file on this machine, for who needs it whole and in any order. One that lies elsewhere is fetched, which may
    /// have to wait until others have given back their room.
    async fn open(&self, key: &str) -> Result<LocalFile, BlobError>;

    /// Gone when it returns, with all parts of it; a key that is not there is fine.
    async fn delete(&self, key: &str) -> Result<(), BlobError>;

    /// The keys of all files that were written at least `age` ago, some at a time; of a file that is still coming in parts
    /// as well.
    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>>;

    /// All files whose keys begin with `folder/` are gone when it returns; that there are none is fine.
    async fn delete_folder(&self, folder: &str) -> Result<(), BlobError>;

    /// Removes what transfers of processes that died left half-written at least `age` ago. With zero everything that this
    /// process is not writing, which only the one process that uses the store may ask for.
    async fn clear_unfinished(&self, age: Duration) -> Result<(), BlobError>;
}

/// Tells what a file is.
#[async_trait]
pub trait FileTypes: Send + Sync {
    /// Whether the beginning of a file is not enough to tell what it is.
    fn wants_whole(&self, head: &[u8]) -> bool;

    /// The MIME type, told by content (the name only breaks ties between kinds of text). `whole` is there where
    /// [`FileTypes::wants_whole`] asked for it.
    ///
    /// # Errors
    /// A sentence that names the types that are taken.
    async fn detect(&self, head: &Bytes, whole: Option<LocalFile>, filename: &str) -> Result<String, String>;

    /// The text that was read of a document of that kind, as HTML that holds nothing but text and its structure: no script, no
    /// address, no picture, no style. `None` where it has no structure to show.
    fn structure(&self, kind: FileKind, text: &str) -> Option<String>;
}
