//! Asks a PostgreSQL once a second, over a connection of its own, whether it is there, and whether it only reads. What is
//! under way over other connections cannot be asked itself: a long read is as silent as a line on which everything is
//! swallowed. So theirs have to be as young as that of the pulse, or younger: what it hears is true of them as well.

use crate::{connections::Connections, open::connect_options};
use sqlx::{AnyConnection, Connection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

const BEAT: Duration = Duration::from_secs(1);
/// How long an answer may take. Longer than one whose connection lies idle waits for its own: what is under way is lost with
/// it. Short enough for those who wait for that.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the database said.
struct Heard {
    /// To be asked over again.
    conn: AnyConnection,
    /// Whether it is another one than before.
    is_new: bool,
    only_reads: bool,
}

/// Tells all of those connections when the database has fallen silent, and notes whether it only reads. None of theirs is
/// older than the one to begin with, which was there at that moment.
pub(crate) async fn keep_asking(
    url: String,
    (conn, mut since): (AnyConnection, Instant),
    all: Vec<Arc<Connections>>,
    only_reads: Arc<AtomicBool>,
) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut conn = Some(conn);
    loop {
        beat.tick().await;
        let asked = Instant::now();
        let lost_before = match timeout(PATIENCE, ask(&url, conn.take())).await {
            Ok(Ok(heard)) => {
                if only_reads.swap(heard.only_reads, Ordering::Relaxed) != heard.only_reads {
                    tell(heard.only_reads);
                }
                if heard.is_new {
                    all.iter().for_each(|connections| connections.begin_anew());
                    since = Instant::now();
                }
                conn = Some(heard.conn);
                // Nothing is known of what is under way from before; it gets as long as an answer may take.
                asked.checked_sub(PATIENCE).map(|early| early.min(since))
            }
            // Whoever uses such a connection learns it as soon.
            Ok(Err(error)) => {
                tracing::debug!(%error, "whether the database is there is asked again");
                None
            }
            Err(_) => {
                tracing::warn!("the database says nothing any more; what is being read is given up");
                all.iter().for_each(|connections| connections.begin_anew());
                Some(asked)
            }
        };
        if let Some(moment) = lost_before {
            all.iter().for_each(|connections| connections.lose(moment));
        }
    }
}

fn tell(only_reads: bool) {
    if only_reads {
        tracing::warn!("the database only reads: it is a standby, or was set so; nothing can be written");
    } else {
        tracing::info!("the database can be written to again");
    }
}

/// Over that connection, or over a new one. Dropped before the answer comes, it takes the connection along.
async fn ask(url: &str, known: Option<AnyConnection>) -> sqlx::Result<Heard> {
    if let Some(mut conn) = known {
        if !only_reads(&mut conn).await? {
            return Ok(Heard { conn, is_new: false, only_reads: false });
        }
        // By now the address may lead to a primary.
        let mut other = connect(url).await?;
        let only_reads = only_reads(&mut other).await?;
        let conn = if only_reads { conn } else { other };
        return Ok(Heard { conn, is_new: !only_reads, only_reads });
    }
    let mut conn = connect(url).await?;
    let only_reads = only_reads(&mut conn).await?;
    Ok(Heard { conn, is_new: true, only_reads })
}

pub(crate) async fn connect(url: &str) -> sqlx::Result<AnyConnection> {
    AnyConnection::connect_with(&connect_options(url)?).await
}

/// A standby says so, whatever is set there.
async fn only_reads(conn: &mut AnyConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on'").fetch_one(conn).await
}

#[cfg(test)]
mod tests {
    use super::PATIENCE;
    use crate::{
        open::{OpenOptions, Store},
        support::{Place, World},
    };
    use sqlx::AssertSqlSafe;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_read_takes_its_time_while_the_database_is_there() {
        let (place, world) = (Place::postgres().await, World::new());
        let store = Store::open(OpenOptions {
            url: place.url(),
            bus: world.bus.clone(),
            clock: world.clock.clone(),
            secrets: world.secrets.clone(),
            high_water: None,
            readers: 1,
            pgvector: false,
        })
        .await
        .unwrap();
        let seconds = PATIENCE.as_secs() + 2;
        let sql = format!("SELECT CAST(1 AS BIGINT) FROM pg_sleep({seconds})");
        let read: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(store.readers()).await.unwrap();
        assert_eq!(read, 1);
        store.close().await;
    }
}
