//! Whether the database is still what it was: a look at it now and then, and the mark that says how far its log had come.

use crate::{
    connections::Connections, engine::Engine, high_water::Marks, silence::answered, writer::PUT_BACK,
};
use domain::Epoch;
use sqlx::{AssertSqlSafe, Row};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// The longest that a mark lags behind the log, in seconds.
const MARK_EVERY: Duration = Duration::from_secs(3);
/// A database that is away keeps no server from closing.
pub(super) const LAST_LOOK: Duration = Duration::from_secs(2);

/// Events that were ever appended, by whichever server. It never falls.
pub(super) const TOTAL: &str = "SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM user_seq";

/// How often a store looks whether its database was put back to an older state.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks now and then whether the database still has what this process committed, the log its epoch, and all that was seen
/// in it, by whomever it was written: a server that writes nothing would not notice by itself. `seen` events were ever
/// appended when it was opened.
pub(super) async fn watch_standing(
    readers: Arc<Connections>,
    id: String,
    epoch: Epoch,
    mut seen: i64,
    standing: Arc<watch::Sender<i64>>,
) {
    let sql = format!(
        "SELECT (SELECT batch FROM writers WHERE id = $1), (SELECT value FROM meta WHERE name = 'epoch'), ({TOTAL})"
    );
    let mut beat = tokio::time::interval(LOOK_EVERY);
    loop {
        beat.tick().await;
        // Before the look: what is committed in between is there by then.
        let known = *standing.borrow();
        let look =
            async { sqlx::query(AssertSqlSafe(sql.clone())).bind(id.as_str()).fetch_one(&*readers).await };
        // After a fail-over is when it matters, and then the connection may well say nothing.
        let found: sqlx::Result<(Option<i64>, Option<String>, i64)> = answered(Engine::Postgres, look)
            .await
            .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
        match found {
            Ok((Some(batch), Some(found), total)) if batch >= known && found == epoch.0 && total >= seen => {
                seen = total;
            }
            Ok(_) => {
                tracing::error!("the database was put back to an older state under this process");
                standing.send_replace(PUT_BACK);
                return;
            }
            // Away, and not older.
            Err(error) => tracing::debug!(%error, "whether the database was put back is looked at later"),
        }
    }
}

/// How far the log has come: what this server knows of, and of a database that others write to as well, what is there.
pub(super) async fn appended(own: u64, shared: Option<&Connections>) -> u64 {
    let Some(readers) = shared else { return own };
    let there = async {
        let total: i64 = sqlx::query_scalar(TOTAL).fetch_one(readers).await?;
        Ok::<_, sqlx::Error>(total as u64)
    };
    match tokio::time::timeout(LAST_LOOK, there).await {
        Ok(Ok(there)) => own.max(there),
        // A server that can ask marks it.
        Ok(Err(_)) | Err(_) => own,
    }
}

pub(super) async fn keep_marking(
    marks: Marks,
    epoch: Epoch,
    total: Arc<AtomicU64>,
    shared: Option<Arc<Connections>>,
) {
    let mut written = total.load(Ordering::Acquire);
    let mut beat = tokio::time::interval(MARK_EVERY);
    loop {
        beat.tick().await;
        let now = total.load(Ordering::Acquire);
        if now != written {
            written = now;
            let reached = appended(now, shared.as_deref()).await;
            let (mut marks, epoch) = (marks.clone(), epoch.clone());
            drop(tokio::task::spawn_blocking(move || write_mark(&mut marks, &epoch, reached)).await);
        }
    }
}

/// A mark that cannot be written is no reason to stop: it only guards against a database put back by hand.
pub(super) fn write_mark(marks: &mut Marks, epoch: &Epoch, total: u64) {
    if let Err(error) = marks.write(epoch, total) {
        tracing::warn!(%error, path = %marks.path().display(), "the high-water mark could not be written");
    }
}
