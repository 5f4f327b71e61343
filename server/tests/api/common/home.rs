//! Where the servers of an installation keep what they keep: a folder, and on PostgreSQL a database that belongs to it.

use crate::servers::database::{Place, migrated_file};
use sqlx::{AnyConnection, Connection, any::install_default_drivers};
use std::{
    env::{self, VarError},
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    thread,
};
use storage::{Engine, sqlite_url};
use tempfile::TempDir;

/// The engine of all servers whose test does not name a database itself: SQLite, unless `INSIGHTHUB_TEST_ENGINE` says
/// `postgres`.
pub fn engine() -> Engine {
    match env::var("INSIGHTHUB_TEST_ENGINE").as_deref() {
        Err(VarError::NotPresent) | Ok("sqlite") => Engine::Sqlite,
        Ok("postgres") => Engine::Postgres,
        other => panic!("INSIGHTHUB_TEST_ENGINE is `sqlite` or `postgres`, and not {other:?}"),
    }
}

/// Servers and commands that have the same one are of the same installation, one after the other or at once. Gone when it
/// is dropped.
pub struct Home {
    folder: TempDir,
    /// Made when something first asks for it, on PostgreSQL.
    database: OnceLock<Place>,
}

impl Home {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { folder: tempfile::tempdir().expect("a folder"), database: OnceLock::new() })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What DATABASE_URL has to say; `None` on SQLite, where it is a file in the folder unless something is said.
    pub fn database_url(&self) -> Option<String> {
        match engine() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(self.database.get_or_init(database).url()),
        }
    }

    /// Brings the tables on SQLite, where no server has been yet: making them takes longer than many a test. A database on
    /// PostgreSQL comes with them.
    pub async fn furnish(&self) {
        let file = self.path().join("insighthub.db");
        // Where a test took the file away, the mark of the log is still there, and the next server begins with nothing.
        let was_used = file.exists() || self.path().join("high-water").exists();
        if engine() == Engine::Sqlite && !was_used {
            fs::copy(migrated_file().await, file).expect("copied");
        }
    }

    /// A connection past the server, to look at what is there or to do it harm.
    pub async fn connect(&self) -> AnyConnection {
        install_default_drivers();
        let file = || format!("{}?mode=rw", sqlite_url(&self.path().join("insighthub.db")));
        let url = self.database_url().unwrap_or_else(file);
        AnyConnection::connect(&url).await.expect("the database")
    }
}

/// A database of its own. On a thread of its own: commands are put together where nothing can be waited for.
fn database() -> Place {
    let making = thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(Place::postgres())
    });
    making.join().expect("a database")
}
