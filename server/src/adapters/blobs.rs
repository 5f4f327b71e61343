//! Files in the data directory. A file comes into being whole and durable, or not at all: it is written under
//! `incoming/`, synced, and renamed to its place.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use services::ports::{Appended, BlobError, Blobs, Ids, Received};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::io::AsyncWriteExt;

/// What is kept of a file's beginning, for telling its type.
const HEAD: usize = 8 * 1024;
/// What is gathered before it is written: few system calls, little memory a transfer.
const BUFFER: usize = 256 * 1024;

/// Keys that are told at once.
const KEYS: usize = 200;

pub struct FileBlobs {
    root: PathBuf,
    incoming: PathBuf,
    ids: Arc<dyn Ids>,
}

impl FileBlobs {
    /// Prepares the folder.
    pub fn open(root: PathBuf, ids: Arc<dyn Ids>) -> io::Result<Self> {
        let incoming = root.join("incoming");
        fs::create_dir_all(&incoming)?;
        sync_dir(&root)?;
        if let Some(parent) = root.parent() {
            sync_dir(parent)?;
        }
        Ok(Self { root, incoming, ids })
    }

    /// Removes what earlier lives left half-written for longer than `age`; with zero, everything, which only the one
    /// process that uses the folder may ask for.
    pub fn clear_incoming(&self, age: Duration) -> io::Result<()> {
        for entry in fs::read_dir(&self.incoming)? {
            let entry = entry?;
            let written = entry.metadata()?.modified()?;
            if written.elapsed().unwrap_or_default() >= age {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Where a key lies. Keys are made by use cases, never by a client; they are checked all the same.
    fn place(&self, key: &str) -> Result<PathBuf, BlobError> {
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if key.len() > 200 || !key.split('/').all(plain) || key.split('/').next() == Some("incoming") {
            return Err(
                io::Error::new(io::ErrorKind::InvalidInput, format!("{key:?} is no key of a file")).into()
            );
        }
        Ok(self.root.join(key))
    }

    fn new_incoming(&self) -> Incoming {
        Incoming(Some(self.incoming.join(self.ids.uuid().to_string())))
    }
}

/// A file that is being written; removed when dropped before it was moved to its place.
struct Incoming(Option<PathBuf>);

impl Incoming {
    fn path(&self) -> io::Result<&Path> {
        self.0.as_deref().ok_or_else(|| io::Error::other("the file was moved"))
    }

    /// Renames to the final place and makes the rename durable. Blocking.
    fn settle(mut self, place: &Path) -> io::Result<()> {
        let dir = place.parent().ok_or_else(|| io::Error::other("a key without a folder"))?;
        make_dir(dir)?;
        fs::rename(self.path()?, place)?;
        self.0 = None;
        sync_dir(dir)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Whatever cannot be removed now goes at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a folder with those above it, each durable.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().ok_or_else(|| io::Error::other("a folder without one above"))?;
    make_dir(above)?;
    match fs::create_dir(dir) {
        // Another transfer was faster.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_dir(above)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // An empty parent means the working directory.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    fs::File::open(dir)?.sync_all()
}

/// Opens a file for writing behind its first `at` bytes; what was there is cut off. Makes it, durably, for the first one.
fn open_at(place: &Path, at: u64) -> io::Result<fs::File> {
    let is_new = at == 0 && !place.exists();
    if is_new {
        make_dir(place.parent().ok_or_else(|| io::Error::other("a key without a folder"))?)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create(is_new).open(place)?;
    if file.metadata()?.len() < at {
        return Err(io::ErrorKind::NotFound.into());
    }
    file.set_len(at)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    if let (true, Some(dir)) = (is_new, place.parent()) {
        sync_dir(dir)?;
    }
    Ok(file)
}

/// Shows all files below the folder, until `show` answers false. What goes meanwhile is not there.
fn walk(dir: &Path, show: &mut dyn FnMut(&Path) -> io::Result<bool>) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let goes_on = if path.is_dir() { walk(&path, show)? } else { show(&path)? };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_older(path: &Path, age: Duration) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(about) => Ok(about.modified()?.elapsed().unwrap_or_default() >= age),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => BlobError::NotFound,
        _ => e.into(),
    })
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn receive(
        &self,
        key: &str,
        mut body: BoxStream<'static, Result<Bytes, BlobError>>,
        limit: u64,
    ) -> Result<Received, BlobError> {
        let place = self.place(key)?;
        let incoming = self.new_incoming();
        let mut file = tokio::fs::File::create_new(incoming.path()?).await?;
        let (mut hash, mut size) = (Sha256::new(), 0u64);
        let (mut head, mut buffer) = (BytesMut::new(), BytesMut::with_capacity(BUFFER));
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(BlobError::TooLarge { limit });
            }
            hash.update(&chunk);
            head.extend_from_slice(&chunk[..chunk.len().min(HEAD - head.len())]);
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= BUFFER {
                file.write_all(&buffer).await?;
                buffer.clear();
            }
        }
        file.write_all(&buffer).await?;
        file.flush().await?;
        file.sync_all().await?;
        drop(file);
        blocking(move || incoming.settle(&place)).await?;
        Ok(Received { size, sha256: hex(&hash.finalize()), head: head.freeze() })
    }

    async fn append(
        &self,
        key: &str,
        at: u64,
        body: &mut BoxStream<'static, Result<Bytes, BlobError>>,
        enough: u64,
        room: u64,
    ) -> Result<Appended, BlobError> {
        let place = self.place(key)?;
        let file = blocking(move || open_at(&place, at)).await?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut came, mut broken_off, mut more) = (0u64, None, false);
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(reason) => {
                    broken_off = Some(reason);
                    break;
                }
            };
            came += chunk.len() as u64;
            if came > room {
                file.set_len(at).await?;
                return Err(BlobError::TooLarge { limit: at + room });
            }
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= BUFFER {
                file.write_all(&buffer).await?;
                buffer.clear();
            }
            if came >= enough {
                more = true;
                break;
            }
        }
        file.write_all(&buffer).await?;
        file.flush().await?;
        file.sync_all().await?;
        Ok(Appended { end: at + came, more, broken_off })
    }

    async fn examine(&self, key: &str) -> Result<Received, BlobError> {
        let place = self.place(key)?;
        blocking(move || {
            let mut file = fs::File::open(place)?;
            let (mut hash, mut size, mut head) = (Sha256::new(), 0u64, BytesMut::new());
            let mut buffer = vec![0; BUFFER];
            loop {
                let n = io::Read::read(&mut file, &mut buffer)?;
                if n == 0 {
                    return Ok(Received { size, sha256: hex(&hash.finalize()), head: head.freeze() });
                }
                hash.update(&buffer[..n]);
                head.extend_from_slice(&buffer[..n.min(HEAD - head.len())]);
                size += n as u64;
            }
        })
        .await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        let (place, incoming) = (self.place(key)?, self.new_incoming());
        blocking(move || {
            let mut file = fs::File::create_new(incoming.path()?)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()?;
            incoming.settle(&place)
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Bytes, BlobError> {
        let place = self.place(key)?;
        blocking(move || fs::read(place).map(Bytes::from)).await
    }

    async fn path(&self, key: &str) -> Result<PathBuf, BlobError> {
        let place = self.place(key)?;
        blocking(move || fs::metadata(&place).map(|_| place)).await
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        let place = self.place(key)?;
        let gone = blocking(move || {
            fs::remove_file(&place)?;
            place.parent().map_or(Ok(()), sync_dir)
        });
        match gone.await {
            Err(BlobError::NotFound) => Ok(()),
            other => other,
        }
    }

    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>> {
        let (root, incoming) = (self.root.clone(), self.incoming.clone());
        let (found, finds) = tokio::sync::mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let mut some = vec![];
            let walked = walk(&root, &mut |path| {
                if path.starts_with(&incoming) || !is_older(path, age)? {
                    return Ok(true);
                }
                some.extend(path.strip_prefix(&root).ok().and_then(Path::to_str).map(str::to_owned));
                Ok(some.len() < KEYS || found.blocking_send(Ok(std::mem::take(&mut some))).is_ok())
            });
            let rest = walked.map(|_| some).map_err(BlobError::from);
            // Nobody has to wait for the end.
            let _ = found.blocking_send(rest);
        });
        stream::unfold(finds, async |mut finds| Some((finds.recv().await?, finds))).boxed()
    }

    async fn delete_folder(&self, folder: &str) -> Result<(), BlobError> {
        let place = self.place(folder)?;
        let gone = blocking(move || {
            fs::remove_dir_all(&place)?;
            place.parent().map_or(Ok(()), sync_dir)
        });
        match gone.await {
            Err(BlobError::NotFound) => Ok(()),
            other => other,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::{SystemClock, TimeOrderedIds};

    fn blobs() -> (tempfile::TempDir, FileBlobs) {
        let dir = tempfile::tempdir().expect("a folder");
        let ids = Arc::new(TimeOrderedIds::new(Arc::new(SystemClock)));
        let blobs = FileBlobs::open(dir.path().join("blobs"), ids).expect("opened");
        (dir, blobs)
    }

    fn body(chunks: Vec<Result<Bytes, BlobError>>) -> BoxStream<'static, Result<Bytes, BlobError>> {
        stream::iter(chunks).boxed()
    }

    fn left_over(blobs: &FileBlobs) -> usize {
        fs::read_dir(&blobs.incoming).expect("a folder").count()
    }

    #[tokio::test]
    async fn a_received_file_is_whole_and_hashed() {
        let (_dir, blobs) = blobs();
        let big = Bytes::from(vec![7u8; 300_000]);
        let got = blobs.receive("documents/a", body(vec![Ok("ab".into()), Ok(big.clone())]), 1_000_000).await;
        let got = got.expect("received");
        assert_eq!((got.size, got.head.len()), (300_002, HEAD));
        assert!(got.head.starts_with(b"ab\x07"));
        let stored = blobs.get("documents/a").await.expect("stored");
        assert_eq!(got.sha256, hex(&Sha256::digest(&stored)));
        assert_eq!(stored.len(), 300_002);
        assert_eq!(left_over(&blobs), 0);
    }

    #[tokio::test]
    async fn a_broken_or_oversized_transfer_leaves_nothing() {
        let (_dir, blobs) = blobs();
        let broken = body(vec![Ok("ab".into()), Err(BlobError::BrokenOff("gone".into()))]);
        assert!(matches!(blobs.receive("documents/a", broken, 100).await, Err(BlobError::BrokenOff(_))));
        let large = body(vec![Ok("0123456789".into()), Ok("0".into())]);
        assert!(matches!(
            blobs.receive("documents/a", large, 10).await,
            Err(BlobError::TooLarge { limit: 10 })
        ));
        assert_eq!(left_over(&blobs), 0);
        assert!(matches!(blobs.path("documents/a").await, Err(BlobError::NotFound)));
    }

    #[tokio::test]
    async fn a_file_goes_on_behind_what_was_acknowledged_and_nothing_else_of_it_stays() {
        let (_dir, blobs) = blobs();
        let add = async |at, chunks, enough, room| {
            let mut body = body(chunks);
            blobs.append("documents/a", at, &mut body, enough, room).await
        };
        assert!(matches!(add(3, vec![Ok("x".into())], 99, 99).await, Err(BlobError::NotFound)));
        let first = add(0, vec![Ok("abc".into()), Ok("def".into())], 2, 99).await.expect("a part");
        assert_eq!((first.end, first.more, first.broken_off.is_some()), (3, true, false));
        let broken = vec![Ok("DE".into()), Err(BlobError::BrokenOff("gone".into()))];
        let second = add(3, broken, 99, 99).await.expect("a part");
        assert_eq!((second.end, second.more, second.broken_off.is_some()), (5, false, true));
        // What was not acknowledged makes way for what comes again.
        let again = add(4, vec![Ok("efg".into())], 99, 3).await.expect("a part");
        assert_eq!((again.end, again.more), (7, false));
        assert_eq!(blobs.get("documents/a").await.expect("there"), "abcDefg");
        let found = blobs.examine("documents/a").await.expect("there");
        assert_eq!((found.size, &found.head[..]), (7, &b"abcDefg"[..]));
        assert_eq!(found.sha256, hex(&Sha256::digest(b"abcDefg")));
        assert!(matches!(
            add(7, vec![Ok("0123".into())], 99, 3).await,
            Err(BlobError::TooLarge { limit: 10 })
        ));
        assert_eq!(blobs.get("documents/a").await.expect("there"), "abcDefg");
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
        for full in [StorageFull, QuotaExceeded, FileTooLarge] {
            assert!(matches!(BlobError::from(io::Error::from(full)), BlobError::Full(_)), "{full}");
        }
        assert!(matches!(BlobError::from(io::Error::from(PermissionDenied)), BlobError::Io(_)));
        // What the kernel says.
        assert!(matches!(
            BlobError::from(io::Error::from_raw_os_error(28)),
            BlobError::Full(e) if e.kind() == StorageFull
        ));
    }

    #[tokio::test]
    async fn a_transfer_that_is_given_up_leaves_nothing() {
        let (_dir, blobs) = blobs();
        let endless = stream::once(async { Ok(Bytes::from_static(b"ab")) }).chain(stream::pending()).boxed();
        let mut receiving = Box::pin(blobs.receive("documents/a", endless, 100));
        while left_over(&blobs) == 0 {
            assert!(futures::poll!(&mut receiving).is_pending());
            tokio::task::yield_now().await;
        }
        drop(receiving);
        assert_eq!(left_over(&blobs), 0);
    }

    #[tokio::test]
    async fn putting_replaces_and_deleting_twice_is_fine() {
        let (_dir, blobs) = blobs();
        blobs.put("probes/x", "one".into()).await.expect("put");
        blobs.put("probes/x", "two".into()).await.expect("put");
        assert_eq!(blobs.get("probes/x").await.expect("there"), "two");
        blobs.delete("probes/x").await.expect("gone");
        blobs.delete("probes/x").await.expect("still gone");
        assert!(matches!(blobs.get("probes/x").await, Err(BlobError::NotFound)));
    }

    #[tokio::test]
    async fn a_folder_goes_with_all_that_is_in_it_and_nothing_else() {
        let (_dir, blobs) = blobs();
        for key in ["users/a/documents/1", "users/a/exports/2", "users/ab/documents/3"] {
            blobs.put(key, "x".into()).await.expect("put");
        }
        blobs.delete_folder("users/a").await.expect("gone");
        blobs.delete_folder("users/a").await.expect("still gone");
        assert!(matches!(blobs.get("users/a/documents/1").await, Err(BlobError::NotFound)));
        assert!(!blobs.root.join("users/a").exists());
        assert_eq!(blobs.get("users/ab/documents/3").await.expect("somebody else's"), "x");
        for folder in ["", ".", "..", "users/..", "/", "incoming"] {
            assert!(blobs.delete_folder(folder).await.is_err(), "{folder:?}");
        }
        blobs.put("users/a/documents/1", "again".into()).await.expect("the folder is made anew");
    }

    #[tokio::test]
    async fn a_key_cannot_leave_the_folder() {
        let (_dir, blobs) = blobs();
        for key in [
            "../x",
            "documents/../../x",
            "/etc/passwd",
            "",
            "a//b",
            "documents/.",
            "a b",
            "incoming/x",
            "a\0",
        ] {
            assert!(blobs.put(key, Bytes::new()).await.is_err(), "{key:?}");
        }
    }

    #[tokio::test]
    async fn old_files_are_told_by_their_keys_however_many_they_are() {
        let (_dir, blobs) = blobs();
        let mut put: Vec<String> = (0..=KEYS).map(|n| format!("users/a/documents/{n}")).collect();
        for key in &put {
            blobs.put(key, "x".into()).await.expect("put");
        }
        fs::write(blobs.incoming.join("half"), "x").expect("written");
        let told = async |age| -> Vec<String> {
            let parts: Vec<_> = blobs.older_than(age).collect().await;
            let mut all: Vec<String> = parts.into_iter().flat_map(|part| part.expect("told")).collect();
            all.sort_unstable();
            all
        };
        put.sort_unstable();
        assert_eq!(told(Duration::ZERO).await, put);
        assert_eq!(told(Duration::from_secs(3_600)).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_was_half_written_is_cleared_by_its_age() {
        let (_dir, blobs) = blobs();
        fs::write(blobs.incoming.join("half"), "x").expect("written");
        blobs.clear_incoming(Duration::from_secs(3_600)).expect("looked");
        assert_eq!(left_over(&blobs), 1, "another server may be writing it");
        blobs.clear_incoming(Duration::ZERO).expect("cleared");
        assert_eq!(left_over(&blobs), 0);
    }
}
