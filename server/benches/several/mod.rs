//! Several servers as one installation, as R1, R2 and P7 have it: on the PostgreSQL that the run was given, a RabbitMQ of this
//! program's own, and one folder.

use measure::{Failure, broker::Broker};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, raw_sql};
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// What runs: two that serve people, and two that work.
pub const ROLES: [&str; 4] = ["web", "web", "worker", "worker"];

/// What installations share.
pub struct Services {
    /// Where databases are made.
    postgres: String,
    broker: Broker,
    made: AtomicU32,
}

impl Services {
    pub async fn start() -> Result<Arc<Self>, Failure> {
        sqlx::any::install_default_drivers();
        let postgres = std::env::var("INSIGHTHUB_BENCH_POSTGRES_URL")
            .map_err(|_| "INSIGHTHUB_BENCH_POSTGRES_URL is not set; run it with `cargo xtask`, which starts a PostgreSQL")?;
        let broker = tokio::task::spawn_blocking(Broker::start).await??;
        Ok(Arc::new(Self { postgres, broker, made: AtomicU32::new(0) }))
    }

    /// With a database and an exchange that nobody else has.
    pub async fn installation(self: &Arc<Self>) -> Result<Installation, Failure> {
        let name =
            format!("insighthub_chaos_{}_{}", std::process::id(), self.made.fetch_add(1, Ordering::SeqCst));
        let installation = Installation { services: self.clone(), name };
        let name = &installation.name;
        installation.order(vec![format!("CREATE DATABASE {name}")]).await?;
        Ok(installation)
    }
}

/// What starts the real program in that folder, in that role, as a part of that installation where there is one. What it says
/// goes behind what was said before.
pub fn serve(dir: &Path, role: &str, installation: Option<&Installation>) -> Result<Command, Failure> {
    let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_insighthub"));
    command
        .args(["serve", "--role", role])
        .current_dir(dir)
        .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
        .env("INSIGHTHUB_DATA_DIR", dir)
        .env("INSIGHTHUB_LOG", "warn")
        .stderr(log);
    if let Some(installation) = installation {
        installation.tell(&mut command)?;
    }
    Ok(command)
}

/// An installation: its database and its exchange, both of that name.
pub struct Installation {
    services: Arc<Services>,
    name: String,
}

impl Installation {
    pub fn url(&self) -> Result<String, Failure> {
        let (server, _) = self.services.postgres.rsplit_once('/').ok_or("the URL names no database")?;
        Ok(format!("{server}/{}", self.name))
    }

    /// Tells a server which one it is part of.
    pub fn tell(&self, command: &mut Command) -> Result<(), Failure> {
        command
            .env("DATABASE_URL", self.url()?)
            .env("RABBITMQ_URL", self.services.broker.url())
            .env("RABBITMQ_EXCHANGE", &self.name);
        Ok(())
    }

    /// Copies the database, while no server runs.
    pub async fn back_up(&self) -> Result<(), Failure> {
        let (name, copy) = (&self.name, format!("{}_copy", self.name));
        self.order(vec![
            format!("DROP DATABASE IF EXISTS {copy} WITH (FORCE)"),
            format!("CREATE DATABASE {copy} TEMPLATE {name}"),
        ])
        .await
    }

    /// Puts the last copy in its place, while no server runs.
    pub async fn put_back(&self) -> Result<(), Failure> {
        let (name, copy) = (&self.name, format!("{}_copy", self.name));
        self.order(vec![
            format!("DROP DATABASE {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE {copy}"),
        ])
        .await
    }

    async fn order(&self, orders: Vec<String>) -> Result<(), Failure> {
        let mut server = AnyConnection::connect(&self.services.postgres).await?;
        for sql in orders {
            server.execute(raw_sql(AssertSqlSafe(sql))).await?;
        }
        Ok(server.close().await?)
    }
}
