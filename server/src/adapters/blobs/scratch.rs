//! Room on this machine's disk for copies of files that lie elsewhere. A copy has no name, so it is gone when it is closed,
//! also by a `kill -9`; and there is only so much room for all of them.

use services::ports::{BlobError, Ids, LocalFile};
use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
};
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};

const MEGABYTE: u64 = 1 << 20;
/// For all copies together, in megabytes. A larger file gets all of it, and is alone then.
const ROOM: u32 = 2_048;

#[derive(Clone)]
pub(super) struct Scratch {
    dir: PathBuf,
    room: Arc<Semaphore>,
    ids: Arc<dyn Ids>,
}

/// A copy that is being written.
pub(super) struct Copy {
    file: tokio::fs::File,
    held: OwnedSemaphorePermit,
}

impl Scratch {
    /// Prepares the folder.
    pub(super) fn open(dir: PathBuf, ids: Arc<dyn Ids>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            // Of a process that was killed between making a file and taking its name away; another one may be just there.
            let _ = fs::remove_file(entry?.path());
        }
        Ok(Self { dir, room: Arc::new(Semaphore::new(ROOM as usize)), ids })
    }

    /// Begins a copy of a file of that size, as soon as there is room for it.
    pub(super) async fn begin(&self, size: u64) -> Result<Copy, BlobError> {
        let megabytes = u32::try_from(size.div_ceil(MEGABYTE)).unwrap_or(ROOM).clamp(1, ROOM);
        let held = self.room.clone().acquire_many_owned(megabytes).await.map_err(io::Error::other)?;
        let path = self.dir.join(self.ids.uuid().to_string());
        let made = tokio::task::spawn_blocking(move || {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            match fs::remove_file(&path) {
                // A server that is just starting in the same folder was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            Ok::<_, io::Error>(file)
        });
        let file = made.await.map_err(io::Error::other)??;
        Ok(Copy { file: tokio::fs::File::from_std(file), held })
    }
}

impl Copy {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        Ok(self.file.write_all(bytes).await?)
    }

    /// It is whole.
    pub(super) async fn done(mut self) -> Result<LocalFile, BlobError> {
        self.file.flush().await?;
        let mut file = self.file.into_std().await;
        io::Seek::rewind(&mut file)?;
        Ok(LocalFile::copy(file, self.held))
    }
}
