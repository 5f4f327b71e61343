//! Files in the data directory. A file comes into being whole and durable, or not at all: it is written under
//! `incoming/`, synced, and renamed to its place.

use super::{INCOMING, KEYS, Part, Seen, check_key};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use services::ports::{Appended, BlobError, Blobs, Ids, LocalFile, Received, Stored};
use std::{
    fs,
    io::{self, Read, Seek},
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio_util::io::ReaderStream;

/// What is gathered before it is written: few system calls, little memory a transfer.
const BUFFER: usize = 256 * 1024;
/// What is read at once to be handed out.
const PIECE: usize = 64 * 1024;

pub struct FileBlobs {
    root: PathBuf,
    incoming: PathBuf,
    ids: Arc<dyn Ids>,
}

impl FileBlobs {
    /// Prepares the folder, for the owner's eyes only: the documents are other people's.
    pub fn open(root: PathBuf, ids: Arc<dyn Ids>) -> io::Result<Self> {
        let incoming = root.join(INCOMING);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&incoming)?;
        sync_dir(&root)?;
        if let Some(parent) = root.parent() {
            sync_dir(parent)?;
        }
        Ok(Self { root, incoming, ids })
    }

    /// Where a key lies.
    fn place(&self, key: &str) -> Result<PathBuf, BlobError> {
        check_key(key)?;
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

/// Makes durable what names there are in a folder.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
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
    file.seek(io::SeekFrom::Start(at))?;
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
        let file = tokio::fs::File::create_new(incoming.path()?).await?;
        let (mut seen, mut file) = (Seen::default(), BufWriter::with_capacity(BUFFER, file));
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            seen.take(&chunk);
            if seen.size() > limit {
                return Err(BlobError::TooLarge { limit });
            }
            file.write_all(&chunk).await?;
        }
        // The buffer is written by this alone: neither syncing nor dropping the file does it.
        file.flush().await?;
        file.get_ref().sync_all().await?;
        drop(file);
        blocking(move || incoming.settle(&place)).await?;
        Ok(seen.received())
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
        let mut file = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
        let mut part = Part::new(body, at, enough, room);
        loop {
            let chunk = match part.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(e) => {
                    // What is still in the buffer is dropped with it.
                    file.get_ref().set_len(at).await?;
                    return Err(e);
                }
            };
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        file.get_ref().sync_all().await?;
        Ok(part.appended())
    }

    async fn examine(&self, key: &str) -> Result<Received, BlobError> {
        let place = self.place(key)?;
        blocking(move || {
            let mut file = fs::File::open(place)?;
            let (mut seen, mut buffer) = (Seen::default(), vec![0; BUFFER]);
            loop {
                let n = file.read(&mut buffer)?;
                if n == 0 {
                    return Ok(seen.received());
                }
                seen.take(&buffer[..n]);
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

    async fn look(&self, key: &str) -> Result<Stored, BlobError> {
        let place = self.place(key)?;
        blocking(move || {
            let mut file = fs::File::open(place)?;
            let about = file.metadata()?;
            if !about.is_file() || (about.len() > 0 && file.read(&mut [0])? == 0) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Stored { size: about.len(), modified: about.modified()? })
        })
        .await
    }

    async fn read(
        &self,
        key: &str,
        stretch: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let place = self.place(key)?;
        let from = stretch.start;
        let file = blocking(move || {
            let mut file = fs::File::open(place)?;
            file.seek(io::SeekFrom::Start(from))?;
            Ok(file)
        });
        let file = tokio::fs::File::from_std(file.await?).take(stretch.end.saturating_sub(from));
        Ok(ReaderStream::with_capacity(file, PIECE).map_err(BlobError::from).boxed())
    }

    async fn open(&self, key: &str) -> Result<LocalFile, BlobError> {
        let place = self.place(key)?;
        blocking(move || fs::File::open(place).map(LocalFile::here)).await
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

    async fn clear_unfinished(&self, age: Duration) -> Result<(), BlobError> {
        let incoming = self.incoming.clone();
        blocking(move || {
            for entry in fs::read_dir(&incoming)? {
                let path = entry?.path();
                match is_older(&path, age).and_then(|old| if old { fs::remove_file(&path) } else { Ok(()) }) {
                    // Its transfer came to an end meanwhile.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    done => done?,
                }
            }
            Ok(())
        })
        .await
    }
}
