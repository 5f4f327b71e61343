//! One transaction: its items, their events, the commit. It never retries; it says why it stopped, and
//! [`super::task`] decides. A step to which a PostgreSQL says nothing in time stops it as a lost connection does.

use super::{
    Emitted, Item, Stamped, Tx, lock_users,
    stamp::{self, Logs},
};
use crate::{
    engine::Engine,
    fault::{Fault, Meaning, meaning},
    silence::{answered, answered_within},
};
use futures::FutureExt;
use services::ports::{Signal, StoreError};
use sqlx::{AssertSqlSafe, Executor, raw_sql};
use std::{mem, panic::AssertUnwindSafe, time::Duration};

/// A transaction that was committed, or that had nothing to commit.
pub(super) struct Outcome {
    /// In the order of the items.
    pub(super) items: Vec<Result<Vec<Stamped>, StoreError>>,
    pub(super) signals: Vec<Signal>,
}

/// Why a transaction did not come to its end.
pub(super) enum Stop {
    /// Nothing of it was committed.
    Before(Fault),
    /// What this writer committed before is not there any more: the database was put back to an older state.
    PutBack,
    /// An item failed, and what it wrote cannot be told from what the others wrote: the transaction has to run again
    /// with savepoints.
    Spoiled,
    /// The commit was sent and its answer never came. If it was carried out, this is what it did.
    InCommit(Fault, Outcome),
}

impl From<sqlx::Error> for Stop {
    fn from(e: sqlx::Error) -> Self {
        Self::Before(e.into())
    }
}

/// Names this transaction in the database, so that a commit without an answer can be looked up afterwards.
pub(super) struct Mark<'a> {
    pub(super) writer: &'a str,
    pub(super) batch: i64,
    /// The newest of this writer that was committed: the database has it, or a later one, unless it was put back.
    pub(super) before: i64,
}

/// Runs the items in one transaction and commits it; with a savepoint around each item, so that one that fails is
/// undone by itself. The locks, an item, and the stamping may each take as long as `limit`. When it stops, the caller
/// rolls back.
pub(super) async fn run(
    tx: &mut Tx,
    items: &mut [Box<dyn Item>],
    savepoints: bool,
    limit: Duration,
    mark: &Mark<'_>,
) -> Result<Outcome, Stop> {
    let (outcomes, signals, emitted) = run_items(tx, items, savepoints, limit).await?;
    if outcomes.iter().all(Result::is_err) {
        answered(tx.engine, tx.conn.execute(raw_sql("ROLLBACK"))).await?;
        let items = outcomes.into_iter().map(|o| o.map(|()| vec![])).collect();
        return Ok(Outcome { items, signals: vec![] });
    }
    let Logs { stamped, committed } =
        answered_within(tx.engine, limit, stamp::stamp(tx, emitted)).await.map_err(Stop::Before)?;
    if tx.engine == Engine::Postgres && !answered(tx.engine, leave_mark(tx, mark)).await? {
        return Err(Stop::PutBack);
    }
    let items = outcomes.into_iter().zip(stamped).map(|(o, stamped)| o.map(|()| stamped)).collect();
    let outcome = Outcome { items, signals };
    if committed {
        return Ok(outcome);
    }
    match answered(tx.engine, tx.conn.execute(raw_sql("COMMIT"))).await {
        Ok(_) => Ok(outcome),
        Err(e) if tx.engine == Engine::Postgres && meaning(&e) == Meaning::Lost => {
            Err(Stop::InCommit(e.into(), outcome))
        }
        Err(e) => Err(e.into()),
    }
}

type Ran = (Vec<Result<(), StoreError>>, Vec<Signal>, Vec<Vec<Emitted>>);

async fn run_items(
    tx: &mut Tx,
    items: &mut [Box<dyn Item>],
    savepoints: bool,
    limit: Duration,
) -> Result<Ran, Stop> {
    let users = items.iter().filter_map(|item| item.user()).collect();
    let begin = match (tx.engine.begin_write(), lock_users(tx.engine, &users)) {
        (begin, Some(lock)) => format!("{begin}; {lock}"),
        (begin, None) => begin.to_owned(),
    };
    answered_within(tx.engine, limit, tx.conn.execute(raw_sql(AssertSqlSafe(begin)))).await?;
    // A lone item needs none: when it fails, so does the transaction.
    let (savepoints, lone) = (savepoints && items.len() > 1, items.len() == 1);
    let (mut outcomes, mut signals, mut emitted) = (vec![], vec![], vec![]);
    let mut released = true;
    for item in items.iter_mut() {
        if savepoints {
            // One round trip for the end of the last savepoint and the start of the next.
            let sql = if released { "SAVEPOINT item" } else { "RELEASE SAVEPOINT item; SAVEPOINT item" };
            answered(tx.engine, tx.conn.execute(raw_sql(sql))).await?;
            released = false;
        }
        match answered_within(tx.engine, limit, run_item(tx, item)).await {
            Ok(()) => {
                outcomes.push(Ok(()));
                emitted.push(mem::take(&mut tx.emitted));
                signals.append(&mut tx.signals);
            }
            Err(fault) if fault.meaning() == Meaning::Item => {
                if !savepoints && !lone {
                    return Err(Stop::Spoiled);
                }
                tracing::debug!(item = item.what(), error = %fault, "item undone");
                tx.emitted.clear();
                tx.signals.clear();
                if savepoints {
                    let undo = raw_sql("ROLLBACK TO SAVEPOINT item; RELEASE SAVEPOINT item");
                    answered(tx.engine, tx.conn.execute(undo)).await?;
                    released = true;
                }
                outcomes.push(Err(fault.into()));
                emitted.push(vec![]);
            }
            Err(fault) => return Err(Stop::Before(fault)),
        }
    }
    Ok((outcomes, signals, emitted))
}

/// A panic in an item is that item's failure: the writer serves everybody and has to live on.
async fn run_item(tx: &mut Tx, item: &mut Box<dyn Item>) -> Result<(), Fault> {
    let what = item.what();
    tx.actor = item.actor();
    tx.known.clear();
    AssertUnwindSafe(item.run(tx)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(item = what, "a write item panicked");
        Err(StoreError::backend("a write item panicked").into())
    })
}

/// False when the mark of what was committed before is not there.
async fn leave_mark(tx: &mut Tx, mark: &Mark<'_>) -> sqlx::Result<bool> {
    let left = sqlx::query("UPDATE writers SET batch = $1 WHERE id = $2 AND batch >= $3")
        .bind(mark.batch)
        .bind(mark.writer)
        .bind(mark.before)
        .execute(&mut tx.conn)
        .await?;
    Ok(left.rows_affected() > 0)
}

/// Whether the transaction with that mark was committed. Waits for it when it is still under way: the row is locked
/// until then.
pub(super) async fn was_committed(tx: &mut Tx, mark: &Mark<'_>) -> sqlx::Result<bool> {
    let batch: Option<i64> = sqlx::query_scalar("SELECT batch FROM writers WHERE id = $1 FOR UPDATE")
        .bind(mark.writer)
        .fetch_optional(&mut tx.conn)
        .await?;
    Ok(batch == Some(mark.batch))
}

pub(super) async fn forget_marks(tx: &mut Tx, writer: &str) {
    let deleted = sqlx::query("DELETE FROM writers WHERE id = $1").bind(writer).execute(&mut tx.conn).await;
    if let Err(error) = deleted {
        tracing::debug!(%error, "the marks of this writer stay behind");
    }
}
