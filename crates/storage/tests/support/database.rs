//! A database for one test: a file in a folder of its own, or a database of its own on the PostgreSQL that the test
//! run started. Gone when it is dropped, also after a panic.

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, any::install_default_drivers, raw_sql};
use std::{
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

pub struct Place {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Place {
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), postgres: None }
    }

    pub async fn postgres() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), postgres: Some(Postgres::create().await) }
    }

    pub fn url(&self) -> String {
        match &self.postgres {
            Some(p) => p.url.clone(),
            None => format!("sqlite://{}", self.folder.path().join("test.db").display()),
        }
    }

    /// Where the high-water mark of the event log is kept.
    pub fn high_water(&self) -> PathBuf {
        self.folder.path().join("log.mark")
    }

    /// A connection past the store, to look at what is there or to do it harm.
    pub async fn connect(&self) -> AnyConnection {
        install_default_drivers();
        AnyConnection::connect(&self.url()).await.unwrap()
    }
}

struct Postgres {
    server: String,
    name: String,
    url: String,
}

impl Postgres {
    async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        install_default_drivers();
        let server = std::env::var("INSIGHTHUB_TEST_POSTGRES_URL").expect(
            "INSIGHTHUB_TEST_POSTGRES_URL is not set; run the tests with `cargo xtask test`, which starts a \
             PostgreSQL for them",
        );
        let name = format!("insighthub_test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let mut conn = AnyConnection::connect(&server).await.unwrap();
        // An earlier run that was killed may have left one of the same name.
        for sql in [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")]
        {
            conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
        }
        conn.close().await.unwrap();
        let (front, _) = server.rsplit_once('/').expect("the URL names a database");
        Self { url: format!("{front}/{name}"), server, name }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // A thread of its own: a test's runtime cannot be waited for from within.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut conn = AnyConnection::connect(&server).await?;
                conn.execute(raw_sql(AssertSqlSafe(sql))).await?;
                conn.close().await
            })
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("the test database {} stays behind: {dropped:?}", self.name);
        }
    }
}
