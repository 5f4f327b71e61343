//! The server and its data folder: started, stopped, and put back to a backup.

use measure::{Failure, server::Server};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};

const DATABASE: &str = "insighthub.db";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The database is copied while the server is down.
    Backup,
    /// The database is put back to the last copy, which makes a new epoch; then that is copied.
    FromBackup,
}

#[derive(Clone)]
pub struct Place {
    dir: Arc<TempDir>,
    /// `None` while it is down.
    server: Arc<Mutex<Option<Server>>>,
    base: watch::Sender<Option<String>>,
}

impl Place {
    pub async fn open() -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("backup"))?;
        let place = Self { dir: Arc::new(dir), server: Arc::default(), base: watch::channel(None).0 };
        place.start().await?;
        Ok(place)
    }

    /// The address of the server; waits while it is down.
    pub async fn base(&self) -> String {
        let mut base = self.base.subscribe();
        loop {
            if let Some(base) = base.borrow_and_update().clone() {
                return base;
            }
            // The sender lives as long as this place: this ends with a change.
            let _ = base.changed().await;
        }
    }

    pub async fn restart(&self, how: Restart) -> Result<(), Failure> {
        self.stop().await?;
        if how == Restart::FromBackup {
            copy(&self.dir.path().join("backup"), self.dir.path())?;
            // The start finds the log behind its mark and draws a new epoch, which the next backup has to have.
            let found = self.launch().await?;
            tokio::task::spawn_blocking(move || found.stop()).await??;
        }
        copy(self.dir.path(), &self.dir.path().join("backup"))?;
        self.start().await
    }

    pub async fn close(&self) -> Result<(), Failure> {
        self.stop().await
    }

    async fn start(&self) -> Result<(), Failure> {
        let server = self.launch().await?;
        let base = server.base.clone();
        *self.server.lock().await = Some(server);
        self.base.send_replace(Some(base));
        Ok(())
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.base.send_replace(None);
        let Some(server) = self.server.lock().await.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || server.stop()).await?
    }

    async fn launch(&self) -> Result<Server, Failure> {
        let dir = self.dir.path().to_owned();
        let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
        let started = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_insighthub"));
            command
                .arg("serve")
                .current_dir(&dir)
                .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
                .env("INSIGHTHUB_DATA_DIR", &dir)
                .env("INSIGHTHUB_LOG", "warn")
                .stderr(log);
            Server::start(&mut command)
        });
        started.await?
    }
}

/// The database with what belongs to it, in place of what was there.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    for name in ["", "-wal", "-shm"] {
        let file = |dir: &Path| -> PathBuf { dir.join(format!("{DATABASE}{name}")) };
        let (from, to) = (file(from), file(to));
        if to.exists() {
            fs::remove_file(&to)?;
        }
        if from.exists() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
