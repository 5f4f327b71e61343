//! The server, or several of them, and their data folder: started, stopped, killed, and put back to a backup.

use crate::several::{Installation, ROLES, serve};
use measure::{Failure, dice::Dice, server::Server};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// Where there are several servers.
    installation: Option<Arc<Installation>>,
    roles: &'static [&'static str],
    /// One for each role; `None` while it is down.
    servers: Arc<Mutex<Vec<Option<Server>>>>,
    /// Of those that are up and serve people.
    bases: watch::Sender<Vec<String>>,
    /// How often an address was asked for, which is answered by turns.
    asked: Arc<AtomicUsize>,
}

impl Place {
    pub async fn open(installation: Option<Installation>) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("backup"))?;
        let roles: &[&'static str] = if installation.is_some() { &ROLES } else { &["all"] };
        let place = Self {
            dir: Arc::new(dir),
            installation: installation.map(Arc::new),
            roles,
            servers: Arc::new(Mutex::new(roles.iter().map(|_| None).collect())),
            bases: watch::channel(vec![]).0,
            asked: Arc::default(),
        };
        place.start().await?;
        Ok(place)
    }

    /// The address of a server; waits while none is up.
    pub async fn base(&self) -> String {
        let mut bases = self.bases.subscribe();
        loop {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst);
            let found = {
                let up = bases.borrow_and_update();
                up.get(turn % up.len().max(1)).cloned()
            };
            if let Some(base) = found {
                return base;
            }
            // The sender lives as long as this place: this ends with a change.
            let _ = bases.changed().await;
        }
    }

    pub async fn restart(&self, how: Restart) -> Result<(), Failure> {
        let (dir, backup) = (self.dir.path(), self.dir.path().join("backup"));
        self.stop().await?;
        if how == Restart::FromBackup {
            match &self.installation {
                Some(installation) => installation.put_back().await?,
                None => copy(&backup, dir)?,
            }
            // The start finds the log behind its mark and draws a new epoch, which the next backup has to have.
            let found = self.launch(self.roles[0]).await?;
            tokio::task::spawn_blocking(move || found.stop()).await??;
        }
        match &self.installation {
            Some(installation) => installation.back_up().await?,
            None => copy(dir, &backup)?,
        }
        self.start().await
    }

    /// Kills one that serves people and one that works, as a power cut would, and starts both again. Answers the address of the
    /// first.
    pub async fn kill_some(&self, dice: &mut Dice) -> Result<String, Failure> {
        let mut dead = vec![];
        let base = {
            let mut servers = self.servers.lock().await;
            for role in ["web", "worker"] {
                let of_it: Vec<usize> = (0..self.roles.len()).filter(|n| self.roles[*n] == role).collect();
                dead.extend(servers[*dice.one_of(&of_it)].take());
            }
            // Nobody is sent there from here on.
            self.tell(&servers);
            dead.first().ok_or("nobody was there to be killed")?.base.clone()
        };
        // Dropping them kills them, and waits for their ends.
        tokio::task::spawn_blocking(move || drop(dead)).await?;
        self.start().await?;
        Ok(base)
    }

    pub async fn close(&self) -> Result<(), Failure> {
        self.stop().await
    }

    /// Starts all that are down.
    async fn start(&self) -> Result<(), Failure> {
        let mut servers = self.servers.lock().await;
        let down: Vec<usize> = (0..servers.len()).filter(|n| servers[*n].is_none()).collect();
        let starting = down.iter().map(|n| self.launch(self.roles[*n]));
        let started = futures::future::try_join_all(starting).await?;
        for (n, server) in down.into_iter().zip(started) {
            servers[n] = Some(server);
        }
        self.tell(&servers);
        Ok(())
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.bases.send_replace(vec![]);
        let all: Vec<Server> = self.servers.lock().await.iter_mut().filter_map(Option::take).collect();
        let stopping = all.into_iter().map(|server| tokio::task::spawn_blocking(move || server.stop()));
        for stopped in futures::future::join_all(stopping).await {
            stopped??;
        }
        Ok(())
    }

    /// Tells everybody which addresses there are.
    fn tell(&self, servers: &[Option<Server>]) {
        let serving = self.roles.iter().zip(servers).filter(|(role, _)| **role != "worker");
        let bases = serving.filter_map(|(_, server)| server.as_ref().map(|server| server.base.clone()));
        self.bases.send_replace(bases.collect());
    }

    async fn launch(&self, role: &str) -> Result<Server, Failure> {
        let mut command = serve(self.dir.path(), role, self.installation.as_deref())?;
        tokio::task::spawn_blocking(move || Server::start(&mut command)).await?
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
