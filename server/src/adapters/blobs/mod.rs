//! Where files lie: in a folder, or in a bucket of an object store that speaks S3. Both keep them under the same keys, so
//! that one can be copied to the other with any tool; both pass the same tests.

mod bucket;
mod folder;
mod line;
mod mark;
mod pieces;
mod place;
mod scratch;
mod writing;

#[cfg(test)]
mod tests;

pub use bucket::ObjectBlobs;
pub use folder::FileBlobs;
pub(crate) use folder::{lies_below, sync_dir};
pub use mark::SharedFolder;
pub(crate) use mark::{MARK, mark_of};
pub use place::{BucketServer, Endpoint, FilePlace, Keys};

use bytes::{Bytes, BytesMut};
use domain::files::HEAD;
use futures::{StreamExt, stream::BoxStream};
use services::{
    hex::hex,
    ports::{Appended, BlobError, Received},
};
use sha2::{Digest, Sha256};
use std::io;

/// Keys that are told at once.
const KEYS: usize = 200;
/// The folder of what is being written.
pub(crate) const INCOMING: &str = "incoming";

/// Keys are made by use cases, never by a client; they are checked all the same. What begins with a dot is the stores' own.
fn check_key(key: &str) -> Result<(), BlobError> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if key.len() > 200 || !key.split('/').all(plain) || key.split('/').next() == Some(INCOMING) {
        let wrong = io::Error::new(io::ErrorKind::InvalidInput, format!("{key:?} is no key of a file"));
        return Err(wrong.into());
    }
    Ok(())
}

/// What is learnt of a file while it goes by.
#[derive(Default)]
struct Seen {
    hash: Sha256,
    size: u64,
    head: BytesMut,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD - self.head.len())]);
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn received(self) -> Received {
        Received { size: self.size, sha256: hex(&self.hash.finalize()), head: self.head.freeze() }
    }
}

/// A part of a file on its way: the next bytes of a body, as many as are wanted of it.
struct Part<'b> {
    body: &'b mut BoxStream<'static, Result<Bytes, BlobError>>,
    at: u64,
    enough: u64,
    room: u64,
    came: u64,
    more: bool,
    broken_off: Option<BlobError>,
}

impl<'b> Part<'b> {
    /// What is asked of [`services::ports::Blobs::append`].
    fn new(
        body: &'b mut BoxStream<'static, Result<Bytes, BlobError>>,
        at: u64,
        enough: u64,
        room: u64,
    ) -> Self {
        Self { body, at, enough, room, came: 0, more: false, broken_off: None }
    }

    /// `None` when the body ended or broke off, or when enough came.
    ///
    /// # Errors
    /// `TooLarge` when more came than there is room for.
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.more {
            return Ok(None);
        }
        match self.body.next().await {
            None => Ok(None),
            Some(Err(reason)) => {
                self.broken_off = Some(reason);
                Ok(None)
            }
            Some(Ok(chunk)) => {
                self.came += chunk.len() as u64;
                if self.came > self.room {
                    return Err(BlobError::TooLarge { limit: self.at + self.room });
                }
                self.more = self.came >= self.enough;
                Ok(Some(chunk))
            }
        }
    }

    fn appended(self) -> Appended {
        Appended { end: self.at + self.came, more: self.more, broken_off: self.broken_off }
    }
}

/// The name by which an installation marks a bucket as its own: it is the same for all its servers, and tells nothing.
fn owner(secret: &[u8; 32]) -> String {
    let hash = Sha256::new().chain_update(b"the files of an installation").chain_update(secret).finalize();
    hex(&hash)[..32].to_owned()
}
