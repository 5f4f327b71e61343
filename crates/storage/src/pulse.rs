//! Asks a PostgreSQL once a second, over a connection of its own, whether it is there, whether it only reads, and what time
//! it has. What is under way over other connections cannot be asked itself: a long read is as silent as a line on which
//! everything is swallowed. So theirs have to be as young as that of the pulse, or younger: what it hears is true of them as well.

use crate::{connections::Connections, engine::Engine, open::connect_options};
use domain::Timestamp;
use services::ports::Clock;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

const BEAT: Duration = Duration::from_secs(1);
/// How long an answer may take. Longer than one whose connection lies idle waits for its own: what is under way is lost with
/// it. Short enough for those who wait for that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds by which the clock of this process may differ from the database's before that is told. What goes by either
/// clock goes by seconds.
const APART: u64 = 2_000;

/// What the database says of itself.
struct Look {
    only_reads: bool,
    /// By so much its clock differs from that of this process, at least.
    apart: Duration,
}

/// What was heard, and how.
struct Heard {
    /// To be asked over again.
    conn: AnyConnection,
    /// Whether it is another one than before.
    is_new: bool,
    look: Look,
}

/// What the database said last.
#[derive(Default)]
pub(crate) struct Known {
    only_reads: AtomicBool,
    apart_millis: AtomicU64,
}

impl Known {
    pub(crate) fn only_reads(&self) -> bool {
        self.only_reads.load(Ordering::Relaxed)
    }

    /// By how much its clock differs, where that is too much.
    pub(crate) fn clocks_apart(&self) -> Option<Duration> {
        let millis = self.apart_millis.load(Ordering::Relaxed);
        (millis > APART).then(|| Duration::from_millis(millis))
    }

    fn note(&self, look: &Look) {
        if self.only_reads.swap(look.only_reads, Ordering::Relaxed) != look.only_reads {
            tell(look.only_reads);
        }
        let millis = u64::try_from(look.apart.as_millis()).unwrap_or(u64::MAX);
        match (self.apart_millis.swap(millis, Ordering::Relaxed) > APART, millis > APART) {
            (false, true) => tracing::warn!(
                apart_millis = millis,
                "the clock of this server and that of the database differ; see to it that both keep the time"
            ),
            (true, false) => tracing::info!("the clock of this server and that of the database agree again"),
            _ => {}
        }
    }
}

/// Tells all of those connections when the database has fallen silent, and notes what it says of itself. None of theirs is
/// older than the one to begin with, which was there at that moment.
pub(crate) async fn keep_asking(
    url: String,
    (conn, mut since): (AnyConnection, Instant),
    all: Vec<Arc<Connections>>,
    known: Arc<Known>,
    clock: Arc<dyn Clock>,
) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut conn = Some(conn);
    loop {
        beat.tick().await;
        let asked = Instant::now();
        let lost_before = match timeout(PATIENCE, ask(&url, conn.take(), &*clock)).await {
            Ok(Ok(heard)) => {
                known.note(&heard.look);
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
async fn ask(url: &str, known: Option<AnyConnection>, clock: &dyn Clock) -> sqlx::Result<Heard> {
    if let Some(mut conn) = known {
        let look = look_at(&mut conn, clock).await?;
        if !look.only_reads {
            return Ok(Heard { conn, is_new: false, look });
        }
        // By now the address may lead to a primary.
        let mut other = connect(url).await?;
        let look = look_at(&mut other, clock).await?;
        let conn = if look.only_reads { conn } else { other };
        return Ok(Heard { conn, is_new: !look.only_reads, look });
    }
    let mut conn = connect(url).await?;
    let look = look_at(&mut conn, clock).await?;
    Ok(Heard { conn, is_new: true, look })
}

pub(crate) async fn connect(url: &str) -> sqlx::Result<AnyConnection> {
    AnyConnection::connect_with(&connect_options(url)?).await
}

/// A standby says that it is one, whatever is set there.
async fn look_at(conn: &mut AnyConnection, clock: &dyn Clock) -> sqlx::Result<Look> {
    let now = Engine::Postgres.now_micros();
    let sql = format!("SELECT current_setting('transaction_read_only') = 'on', {now}");
    let before = clock.now();
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(conn).await?;
    let apart = apart(before, row.try_get(1)?, clock.now());
    Ok(Look { only_reads: row.try_get(0)?, apart })
}

/// A clock that showed something between the two moments may be the same as theirs, however long it took to ask.
fn apart(before: Timestamp, there: i64, after: Timestamp) -> Duration {
    let early = before.micros().saturating_sub(there);
    let late = there.saturating_sub(after.micros());
    Duration::from_micros(early.max(late).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, apart};
    use crate::{
        open::{OpenOptions, Store},
        support::{Place, World},
    };
    use domain::Timestamp;
    use sqlx::AssertSqlSafe;
    use std::time::Duration;

    #[test]
    fn what_may_be_the_time_that_asking_took_is_no_difference() {
        let told = |there: i64| apart(Timestamp::from_micros(10), there, Timestamp::from_micros(30));
        for (there, micros) in [(10, 0), (17, 0), (30, 0), (3, 7), (42, 12)] {
            assert_eq!(told(there), Duration::from_micros(micros), "{there}");
        }
    }

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
