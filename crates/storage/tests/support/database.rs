//! A database for one test: a file in a folder of its own, or a database of its own on the PostgreSQL that the test
//! run started. Gone when it is dropped, also after a panic. Both are copies of one that was migrated and never used, since
//! migrating takes longer than most tests.

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, any::install_default_drivers, raw_sql};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};
use tempfile::TempDir;

pub struct Place {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Place {
    pub async fn sqlite() -> Self {
        let place = Self::empty();
        fs::copy(migrated_file().await, place.file()).unwrap();
        place
    }

    /// Where the file is not there yet: whoever opens it makes it, and its tables.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), postgres: None }
    }

    pub async fn postgres() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), postgres: Some(Postgres::create().await) }
    }

    pub fn url(&self) -> String {
        match &self.postgres {
            Some(p) => p.url.clone(),
            None => format!("sqlite://{}", self.file().display()),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("test.db")
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

/// A file of SQLite with the tables of this version and nothing else: not even the epoch is drawn, so each copy of it begins a
/// log of its own. It lies beside this program and is made by it; one that is older than the program may have other tables,
/// and is made anew.
pub async fn migrated_file() -> PathBuf {
    fn changed(path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path).and_then(|file| file.modified())
    }
    let program = std::env::current_exe().unwrap();
    let mut path = OsString::from(&program);
    path.push(".db");
    let path = PathBuf::from(path);
    let built = changed(&program).unwrap();
    if changed(&path).is_ok_and(|made| made > built) {
        return path;
    }
    // Each test is a process of its own, and several may come here at once: the file of the last one stays, and all are whole.
    let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let new = folder.path().join("new.db");
    crate::migrate(&format!("sqlite://{}", new.display())).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "all of it is in the file");
    fs::rename(&new, &path).unwrap();
    path
}

struct Postgres {
    server: String,
    name: String,
    url: String,
}

/// Names the database that all others are copied from: by what is in the migrations, since a server may have seen other ones.
/// Migrating takes ten times as long as copying.
fn template() -> String {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let dir = above.map(|dir| dir.join("migrations/postgres")).find(|dir| dir.is_dir()).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    // FNV-1a: the same in every process.
    let digest =
        files.iter().flat_map(|file| fs::read(file).unwrap()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("insighthub_template_{digest:016x}")
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
        let (front, _) = server.rsplit_once('/').expect("the URL names a database");
        let mut conn = AnyConnection::connect(&server).await.unwrap();
        let template = template();
        prepare(&mut conn, front, &template).await;
        // An earlier run that was killed may have left one of the same name.
        for sql in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        ] {
            conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
        }
        conn.close().await.unwrap();
        Self { url: format!("{front}/{name}"), server, name }
    }
}

/// Makes the template, unless it is there. Each test is a process of its own, so the server itself keeps them apart.
async fn prepare(conn: &mut AnyConnection, front: &str, template: &str) {
    const TURN: &str = "7265707";
    conn.execute(raw_sql(AssertSqlSafe(format!("SELECT pg_advisory_lock({TURN})")))).await.unwrap();
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(template)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    if there == 0 {
        // Under its name only when it is whole.
        let half = format!("{template}_half");
        for sql in [format!("DROP DATABASE IF EXISTS {half} WITH (FORCE)"), format!("CREATE DATABASE {half}")]
        {
            conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
        }
        crate::migrate(&format!("{front}/{half}")).await.unwrap();
        let rename = format!("ALTER DATABASE {half} RENAME TO {template}");
        conn.execute(raw_sql(AssertSqlSafe(rename))).await.unwrap();
    }
    conn.execute(raw_sql(AssertSqlSafe(format!("SELECT pg_advisory_unlock({TURN})")))).await.unwrap();
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A server that goes after the run takes its databases with it; dropping each makes it write out all others first.
        if std::env::var_os("INSIGHTHUB_TEST_POSTGRES_PASSES").is_some() {
            return;
        }
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
