//! The event log as the outbox of a broker: how far each user's events were sent, and leases, so that one relay sends a
//! user's events at a time.
//!
//! None of this has to survive a crash of the database: a lost row costs an event that is sent twice. So on PostgreSQL it
//! goes past the writer, over connections that do not wait for the disk.

use crate::{engine::Engine, fault::Fault, open::Store};
use async_trait::async_trait;
use bytes::Bytes;
use domain::UserId;
use services::ports::{LoggedEvent, Outbox, StoreError, Unsent};
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection, Row,
    any::{AnyArguments, AnyRow},
    query::Query,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

/// Users in one statement: as many as a relay takes at once.
const ROWS: usize = 256;

/// An expression beside a row of `relays`: how far the log of its user has come.
const HEAD: &str = "(SELECT COALESCE(MAX(s.seq), 0) FROM user_seq s WHERE s.user_id = relays.user_id)";

#[async_trait]
impl Outbox for Store {
    async fn begin_outbox(&self) -> Result<(), StoreError> {
        let begun = self.writer().write("begin the outbox", (), |tx, ()| {
            Box::pin(async move {
                let first = sqlx::query(
                    "INSERT INTO meta (name, value) VALUES ('outbox', 'begun') ON CONFLICT (name) DO NOTHING",
                )
                .execute(&mut tx.conn)
                .await?;
                if first.rows_affected() > 0 {
                    sqlx::query(
                        "INSERT INTO relays (user_id, sent, owner, until) \
                         SELECT user_id, seq, '', 0 FROM user_seq WHERE true ON CONFLICT (user_id) DO NOTHING",
                    )
                    .execute(&mut tx.conn)
                    .await?;
                }
                Ok(())
            })
        });
        begun.await.map(drop)
    }

    async fn take_unsent(
        &self,
        relay: &str,
        users: &[UserId],
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Unsent>, StoreError> {
        // In the order of the ids, so that two relays never wait for one another crosswise.
        let users: BTreeSet<UserId> = users.iter().copied().collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let asked = Take { engine: self.engine(), relay: relay.to_owned(), users, lease, limit };
        if self.engine() == Engine::Sqlite {
            let taken = self.writer().write("take unsent events", asked, |tx, asked| {
                Box::pin(async move { take(&mut tx.conn, asked).await })
            });
            return Ok(taken.await?.value);
        }
        let taken = async {
            let mut conn = self.unhurried().acquire().await?;
            take(&mut conn, &asked).await
        };
        Ok(self.unhurried().unless_lost(taken).await?)
    }

    async fn settle_sent(&self, relay: &str, sent: &[(UserId, u64)]) -> Result<(), StoreError> {
        let sent: BTreeMap<UserId, u64> = sent.iter().copied().collect();
        let (engine, relay) = (self.engine(), relay.to_owned());
        let asked = Settle { engine, relay, sent: sent.into_iter().collect() };
        if self.engine() == Engine::Sqlite {
            let settled = self.writer().write("settle sent events", asked, |tx, asked| {
                Box::pin(async move { settle(&mut tx.conn, asked).await })
            });
            return settled.await.map(drop);
        }
        let settled = async {
            let mut conn = self.unhurried().acquire().await?;
            // One transaction, so that the rows are locked in order and let go together.
            let mut tx = conn.begin().await?;
            settle(&mut tx, &asked).await?;
            tx.commit().await?;
            Ok::<_, Fault>(())
        };
        Ok(self.unhurried().unless_lost(settled).await?)
    }

    async fn left_unsent(&self, limit: u32) -> Result<Vec<UserId>, StoreError> {
        // Under the nil id stands the sum of those who are gone.
        let sql = format!(
            "SELECT s.user_id FROM user_seq s LEFT JOIN relays r ON r.user_id = s.user_id \
             WHERE s.seq > COALESCE(r.sent, 0) AND COALESCE(r.until, 0) <= {now} AND s.user_id <> $1 LIMIT $2",
            now = self.engine().now_micros()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(Uuid::nil().to_string())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let users: Result<Vec<UserId>, Fault> =
            rows.iter().map(|row| row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)).collect();
        Ok(users?)
    }
}

struct Take {
    engine: Engine,
    relay: String,
    users: Vec<UserId>,
    lease: Duration,
    limit: u32,
}

async fn take(conn: &mut AnyConnection, asked: &Take) -> Result<Vec<Unsent>, Fault> {
    let mut left = asked.limit;
    let mut taken = vec![];
    for users in asked.users.chunks(ROWS) {
        let sent = lease(conn, asked, users).await?;
        if sent.is_empty() {
            continue;
        }
        // The heads before the events: what is committed in between is in the events and not in the heads, and so is
        // not passed over.
        let heads = heads(conn, &sent).await?;
        let mut events = events(conn, &sent, left).await?;
        let rows: u32 = events.values().map(|waiting| waiting.rows).sum();
        let full = rows >= left;
        left = left.saturating_sub(rows);
        // Users come in order, so of the last of them, and of those behind it, there may be more.
        let last = events.keys().next_back().copied();
        for (user_id, sent) in sent {
            let Waiting { events, newest, .. } = events.remove(&user_id).unwrap_or_default();
            let cut = full && last.is_none_or(|last| user_id >= last);
            let newest = newest.max(sent);
            let head = heads.get(&user_id).copied().unwrap_or(sent);
            let upto = if cut { newest } else { newest.max(head) };
            taken.push(Unsent { user_id, events, upto, more: cut });
        }
    }
    Ok(taken)
}

/// Takes those that nobody else has; answers how far each was sent.
async fn lease(
    conn: &mut AnyConnection,
    asked: &Take,
    users: &[UserId],
) -> Result<BTreeMap<UserId, u64>, Fault> {
    let now = asked.engine.now_micros();
    let micros = i64::try_from(asked.lease.as_micros()).unwrap_or(i64::MAX / 4);
    let sql = format!(
        "INSERT INTO relays (user_id, sent, owner, until) \
         SELECT user_id, 0, $1, {now} + $2 FROM user_seq WHERE user_id IN ({ids}) ORDER BY user_id \
         ON CONFLICT (user_id) DO UPDATE SET owner = excluded.owner, until = excluded.until \
         WHERE relays.until <= {now} OR relays.owner = excluded.owner RETURNING user_id, sent",
        ids = ids(users)
    );
    let rows = once(sql).bind(asked.relay.as_str()).bind(micros).fetch_all(conn).await?;
    numbers(&rows)
}

async fn heads(conn: &mut AnyConnection, of: &BTreeMap<UserId, u64>) -> Result<BTreeMap<UserId, u64>, Fault> {
    let users: Vec<UserId> = of.keys().copied().collect();
    let sql = format!("SELECT user_id, seq FROM user_seq WHERE user_id IN ({})", ids(&users));
    numbers(&once(sql).fetch_all(conn).await?)
}

/// What the log has of a user behind what was sent.
#[derive(Default)]
struct Waiting {
    events: Vec<LoggedEvent>,
    /// With those that cannot be read.
    rows: u32,
    newest: u64,
}

async fn events(
    conn: &mut AnyConnection,
    of: &BTreeMap<UserId, u64>,
    limit: u32,
) -> Result<BTreeMap<UserId, Waiting>, Fault> {
    let users: Vec<UserId> = of.keys().copied().collect();
    let sql = format!(
        "SELECT e.user_id, e.seq, e.data FROM relays r JOIN events e ON e.user_id = r.user_id AND e.seq > r.sent \
         WHERE r.user_id IN ({}) ORDER BY e.user_id, e.seq LIMIT $1",
        ids(&users)
    );
    let mut found: BTreeMap<UserId, Waiting> = BTreeMap::new();
    for row in once(sql).bind(i64::from(limit)).fetch_all(conn).await? {
        let user: UserId = row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?;
        let seq = row.try_get::<i64, _>(1)? as u64;
        let waiting = found.entry(user).or_default();
        (waiting.rows, waiting.newest) = (waiting.rows + 1, seq);
        match LoggedEvent::stored(user, Bytes::from(row.try_get::<String, _>(2)?)) {
            Some(event) => waiting.events.push(event),
            // It would hold up all that come after it, of everybody.
            None => {
                tracing::error!(user_id = %user, seq, "an event of the log cannot be read; it is passed over")
            }
        }
    }
    Ok(found)
}

struct Settle {
    engine: Engine,
    relay: String,
    sent: Vec<(UserId, u64)>,
}

async fn settle(conn: &mut AnyConnection, asked: &Settle) -> Result<(), Fault> {
    for part in asked.sent.chunks(ROWS) {
        let cases: Vec<String> =
            part.iter().map(|(user, seq)| format!("WHEN '{user}' THEN {}", *seq as i64)).collect();
        let users: Vec<UserId> = part.iter().map(|(user, _)| *user).collect();
        // An update locks its rows in whatever order it finds them; whoever takes them goes by their ids.
        let lock = asked.engine.for_update();
        if !lock.is_empty() {
            let ids = ids(&users);
            let sql = format!("SELECT 1 FROM relays WHERE user_id IN ({ids}) ORDER BY user_id{lock}");
            once(sql).execute(&mut *conn).await?;
        }
        let sql = format!(
            "UPDATE relays SET sent = CASE user_id {} ELSE sent END, owner = '', until = 0 \
             WHERE user_id IN ({}) AND owner = $1",
            cases.join(" "),
            ids(&users)
        );
        once(sql).bind(asked.relay.as_str()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// For a log that begins a new life: nobody holds a user any more, and of no user more was sent than the log has. A relay of
/// the life that is over may have noted what it sent of the other log.
pub(crate) async fn begin_anew(conn: &mut AnyConnection, engine: Engine) -> sqlx::Result<()> {
    // In the order of the ids, as everybody does.
    let sql = format!(
        "UPDATE relays SET owner = '', until = 0, sent = CASE WHEN sent > {HEAD} THEN {HEAD} ELSE sent END \
         WHERE user_id IN (SELECT user_id FROM relays ORDER BY user_id{lock})",
        lock = engine.for_update()
    );
    once(sql).execute(conn).await.map(drop)
}

/// A statement whose text has ids in it, and so is not worth being remembered.
fn once(sql: String) -> Query<'static, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
}

/// Ids are letters, digits and hyphens, so they may stand in the text.
fn ids(users: &[UserId]) -> String {
    users.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
}

fn numbers(rows: &[AnyRow]) -> Result<BTreeMap<UserId, u64>, Fault> {
    rows.iter()
        .map(|row| {
            let user = row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?;
            Ok((user, row.try_get::<i64, _>(1)? as u64))
        })
        .collect()
}
