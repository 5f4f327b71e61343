//! Files in the data directory. A file comes into being whole and durable, or not at all: it is written under
//! `incoming/`, synced, and renamed to its place.

use super::{
    INCOMING, KEYS, Part, Seen, check_key,
    pieces::{self, Piece, chain},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use services::ports::{Appended, BlobError, Blobs, Ids, LocalFile, Received, Stored};
use std::{
    fs,
    io::{self, Read, Seek, Write},
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
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

    fn parts(&self, key: &str) -> Result<Parts, BlobError> {
        let (base, folder) = (self.place(key)?, self.root.join(pieces::folder_of(key)));
        let probe = folder.join(format!("probe-{}", self.ids.uuid()));
        Ok(Parts { folder, base, probe })
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

/// What there is of a file that comes in parts.
struct Parts {
    /// Where its pieces lie.
    folder: PathBuf,
    /// Where servers of versions before let it grow.
    base: PathBuf,
    /// A name in the folder that nothing else has.
    probe: PathBuf,
}

impl Parts {
    fn pieces(&self) -> io::Result<Vec<Piece<PathBuf>>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries?,
        };
        let mut found = vec![];
        for entry in entries {
            let entry = entry?;
            found.extend(entry.file_name().to_str().and_then(|name| pieces::piece_of(name, entry.path())));
        }
        Ok(found)
    }

    /// The same as it is by now. Of a folder that lies on another machine a server may go on listing what it saw a while
    /// ago, until it changes something there itself.
    fn pieces_by_now(&self) -> io::Result<Vec<Piece<PathBuf>>> {
        make_dir(&self.folder)?;
        fs::File::create_new(&self.probe)?;
        fs::remove_file(&self.probe)?;
        self.pieces()
    }

    /// How many bytes lie where it grew.
    fn held(&self) -> io::Result<u64> {
        // Opening asks the machine where it lies how long it is.
        match fs::File::open(&self.base) {
            Ok(file) => Ok(file.metadata()?.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Looks whether as many bytes came as that, before a turn goes on from there. What earlier turns left behind it goes.
    fn go_on(&self, at: u64, turn: u64) -> io::Result<()> {
        let comes_to = |pieces: &[Piece<PathBuf>]| at == 0 || pieces.iter().any(|piece| piece.end == at);
        let mut pieces = self.pieces()?;
        if !comes_to(&pieces) && self.held()? < at {
            pieces = self.pieces_by_now()?;
            if !comes_to(&pieces) {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        for piece in pieces.iter().filter(|piece| piece.is_left(at, turn)) {
            gone(fs::remove_file(&piece.place))?;
        }
        Ok(())
    }

    /// Makes a file at `path` of the first `size` bytes. Blocking.
    fn put_together(&self, size: u64, path: &Path) -> io::Result<Received> {
        let mut pieces = self.pieces_by_now()?;
        pieces::add_base(&mut pieces, self.held()?, &self.base, size);
        let chain = chain(pieces, size).ok_or(io::ErrorKind::NotFound)?;
        // A piece is never written to again, so one that is all of the file need not be copied. There are disks without
        // links.
        if let [only] = &chain[..]
            && only.place != self.base
            && fs::hard_link(&only.place, path).is_ok()
        {
            let mut file = fs::File::open(path)?;
            // It comes into being now, by the clock that files go by.
            #[allow(clippy::disallowed_methods)]
            let now = SystemTime::now();
            file.set_modified(now)?;
            let mut seen = Seen::default();
            copy(&mut file, only.end, &mut seen, &mut io::sink())?;
            return Ok(seen.received());
        }
        let (mut seen, mut whole) = (Seen::default(), fs::File::create_new(path)?);
        for piece in &chain {
            copy(&mut fs::File::open(&piece.place)?, piece.end - piece.begin, &mut seen, &mut whole)?;
        }
        whole.sync_all()?;
        Ok(seen.received())
    }
}

/// Copies so many bytes, which have to be there.
fn copy(from: &mut fs::File, bytes: u64, seen: &mut Seen, to: &mut impl Write) -> io::Result<()> {
    let (mut from, mut buffer) = (from.take(bytes), vec![0; BUFFER]);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        seen.take(&buffer[..n]);
        to.write_all(&buffer[..n])?;
    }
    if from.limit() > 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
}

/// Whether below the folder there is a file of that key, or are parts of it.
pub(crate) fn lies_below(root: &Path, key: &str) -> bool {
    root.join(key).is_file() || root.join(pieces::folder_of(key)).is_dir()
}

/// Removes a folder. Once more where something has just come into it, as a part does that is late.
fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(folder),
        other => other,
    }
}

/// Whether something was removed; what was not there is fine.
fn gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
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
        turn: u64,
        at: u64,
        body: &mut BoxStream<'static, Result<Bytes, BlobError>>,
        enough: u64,
        room: u64,
    ) -> Result<Appended, BlobError> {
        let parts = self.parts(key)?;
        let folder = parts.folder.clone();
        blocking(move || parts.go_on(at, turn)).await?;
        let incoming = self.new_incoming();
        let file = tokio::fs::File::create_new(incoming.path()?).await?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let mut part = Part::new(body, at, enough, room);
        while let Some(chunk) = part.next().await? {
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let appended = part.appended();
        if appended.end > at {
            file.get_ref().sync_all().await?;
            // From here on nobody writes to it.
            drop(file);
            let piece = folder.join(pieces::name_of(at, appended.end, turn));
            blocking(move || incoming.settle(&piece)).await?;
        }
        Ok(appended)
    }

    async fn put_together(&self, parts_of: &str, size: u64, key: &str) -> Result<Received, BlobError> {
        let (parts, place, incoming) = (self.parts(parts_of)?, self.place(key)?, self.new_incoming());
        blocking(move || {
            let received = parts.put_together(size, incoming.path()?)?;
            incoming.settle(&place)?;
            Ok(received)
        })
        .await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        let (place, incoming) = (self.place(key)?, self.new_incoming());
        blocking(move || {
            let mut file = fs::File::create_new(incoming.path()?)?;
            file.write_all(&bytes)?;
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
        let Parts { folder, base, .. } = self.parts(key)?;
        blocking(move || {
            for (was_there, place) in
                [(gone(fs::remove_file(&base))?, &base), (gone(remove_all(&folder))?, &folder)]
            {
                if let (true, Some(above)) = (was_there, place.parent()) {
                    sync_dir(above)?;
                }
            }
            Ok(())
        })
        .await
    }

    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>> {
        let (root, incoming) = (self.root.clone(), self.incoming.clone());
        let (found, finds) = tokio::sync::mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let (mut some, mut last) = (vec![], None);
            let walked = walk(&root, &mut |path| {
                if path.starts_with(&incoming) || !is_older(path, age)? {
                    return Ok(true);
                }
                let key = path.strip_prefix(&root).ok().and_then(Path::to_str);
                let key = key.map(|key| pieces::file_of(key).unwrap_or_else(|| key.to_owned()));
                // The pieces of one file lie in one folder.
                if key != last {
                    some.extend(key.clone());
                    last = key;
                }
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
