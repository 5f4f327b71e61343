//! Sign-in sessions. Whatever ends one tells the bus behind the commit; and whatever changes the list of them tells the
//! user's other sessions.

use crate::{
    accounts::{self, USER, user_of},
    bulk,
    fault::Fault,
    in_use::SESSIONS,
    jobs::parsed,
    open::Store,
    page::{Cursor, List, limit_of, paged},
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Event, SessionId, Timestamp, User, UserId,
    event::{SessionsChanged, SettingsChanged},
    resource::Page,
};
use services::ports::{
    LiveSession, NewSession, PageQuery, PasswordChange, SessionInfo, Sessions, Signal, StoreError,
};
use sqlx::{Row, any::AnyRow};
use std::{collections::BTreeSet, time::Duration};

const SESSION: &str =
    "s.id, s.user_id, s.user_agent, s.ip, s.created_at, s.last_seen_at, s.expires_at, s.renewed_at";
/// How many columns those are.
const SESSION_COLUMNS: usize = 8;
/// Users whose expired sessions are removed in one transaction.
const SWEPT_USERS: u32 = 200;

/// Reads the columns of [`SESSION`], in that order.
fn session_of(row: &AnyRow) -> Result<SessionInfo, Fault> {
    Ok(SessionInfo {
        id: row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?,
        user_id: row.try_get::<&str, _>(1)?.parse().map_err(Fault::corrupt)?,
        user_agent: row.try_get(2)?,
        ip: row.try_get(3)?,
        created_at: Timestamp::from_micros(row.try_get(4)?),
        last_seen_at: Timestamp::from_micros(row.try_get(5)?),
        expires_at: Timestamp::from_micros(row.try_get(6)?),
        renewed_at: row.try_get::<Option<i64>, _>(7)?.map(Timestamp::from_micros),
    })
}

/// Gives the session that changes the password its new token.
pub(crate) async fn renew(tx: &mut Tx, change: &PasswordChange) -> Result<(), Fault> {
    // By the database's clock, since every server asks how long ago that was.
    let sql = format!(
        "UPDATE sessions SET token_hash = $1, renewed_at = {}, expires_at = $2 \
         WHERE id = $3 AND user_id = $4 AND expires_at > $5",
        tx.engine.now_micros()
    );
    let renewed = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(change.token_hash.as_str())
        .bind(change.expires_at.micros())
        .bind(change.session_id.to_string())
        .bind(change.user_id.to_string())
        .bind(change.now.micros())
        .execute(&mut tx.conn)
        .await?;
    if renewed.rows_affected() == 0 {
        return Err(StoreError::NotFound.into());
    }
    tx.signal(Signal::SessionRenewed { user_id: change.user_id, session_id: change.session_id });
    Ok(())
}

/// Tells the user's sessions other than `id` that this one began (`signed_in` says what browser it is) or that some have
/// ended. Where there are none, nobody could hear of it, and nothing is logged.
async fn tell(
    tx: &mut Tx,
    user_id: UserId,
    id: Option<SessionId>,
    signed_in: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    let others: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND id <> $2 AND expires_at > $3",
    )
    .bind(user_id.to_string())
    .bind(id.map(|id| id.to_string()).unwrap_or_default())
    .bind(now.micros())
    .fetch_one(&mut tx.conn)
    .await?;
    if others == 0 {
        return Ok(());
    }
    let Some(user) = accounts::load(&mut tx.conn, user_id).await? else { return Ok(()) };
    let sessions = Some(SessionsChanged { signed_in: signed_in.map(str::to_owned) });
    let changed = SettingsChanged { sessions, ..SettingsChanged::of(user) };
    tx.emit(user_id, Event::SettingsChanged(changed), now);
    Ok(())
}

/// Ends all sessions of the user but one; answers how many of them were still alive.
pub(crate) async fn end_others(
    tx: &mut Tx,
    user_id: UserId,
    keep: SessionId,
    now: Timestamp,
) -> Result<u64, Fault> {
    let rows = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING id, expires_at")
        .bind(user_id.to_string())
        .bind(keep.to_string())
        .fetch_all(&mut tx.conn)
        .await?;
    let mut alive = 0;
    for row in rows {
        let session_id = row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?;
        alive += u64::from(row.try_get::<i64, _>(1)? > now.micros());
        tx.signal(Signal::SessionEnded { user_id, session_id });
    }
    if alive > 0 {
        tell(tx, user_id, None, None, now).await?;
    }
    Ok(alive)
}

#[async_trait]
impl Sessions for Store {
    async fn create_session(&self, session: NewSession) -> Result<(), StoreError> {
        self.writer()
            .write_for(session.user_id, "create session", session, |tx, session| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO sessions \
                         (id, user_id, token_hash, user_agent, ip, created_at, last_seen_at, expires_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
                    )
                    .bind(session.id.to_string())
                    .bind(session.user_id.to_string())
                    .bind(session.token_hash.as_str())
                    .bind(session.user_agent.as_str())
                    .bind(session.ip.as_str())
                    .bind(session.created_at.micros())
                    .bind(session.expires_at.micros())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| Fault::from(e).orphan())?;
                    let (id, device) = (Some(session.id), Some(session.device.as_str()));
                    tell(tx, session.user_id, id, device, session.created_at).await
                })
            })
            .await?;
        Ok(())
    }

    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(SessionInfo, User)>, StoreError> {
        let sql = format!(
            "SELECT {SESSION}, {USER} FROM sessions s JOIN users ON users.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND users.deleting_at IS NULL"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(token_hash)
            .bind(now.micros())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let both = |row: AnyRow| Ok::<_, Fault>((session_of(&row)?, user_of(&row, SESSION_COLUMNS)?));
        Ok(row.map(both).transpose()?)
    }

    async fn session_of(
        &self,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let sql = format!(
            "SELECT {SESSION} FROM sessions s WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > $3"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(now.micros())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(row.map(|row| session_of(&row)).transpose()?)
    }

    async fn live_among(&self, ids: &[SessionId], now: Timestamp) -> Result<Vec<LiveSession>, StoreError> {
        let sql = format!(
            "SELECT s.id, s.token_hash, {} - s.renewed_at AS renewed_ago \
             FROM sessions s JOIN users ON users.id = s.user_id \
             WHERE s.expires_at > $1 AND users.deleting_at IS NULL AND s.id IN ({})",
            self.engine().now_micros(),
            bulk::list(2, ids.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now.micros());
        for id in ids {
            query = query.bind(id.to_string());
        }
        let rows = query.fetch_all(self.readers()).await.map_err(Fault::from)?;
        // A clock may be put back.
        let passed = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        let live = |row: &AnyRow| {
            Ok::<_, Fault>(LiveSession {
                id: parsed(row, "id")?,
                token_hash: row.try_get("token_hash")?,
                renewed_ago: row.try_get::<Option<i64>, _>("renewed_ago")?.map(passed),
            })
        };
        Ok(rows.iter().map(live).collect::<Result<_, Fault>>()?)
    }

    async fn sessions(
        &self,
        user: UserId,
        page: PageQuery,
        now: Timestamp,
    ) -> Result<Page<SessionInfo>, StoreError> {
        let (place, limit) = (List::Sessions.before(&page)?, limit_of(&page));
        let sql = format!(
            "SELECT {SESSION} FROM sessions s WHERE s.user_id = $1 AND s.expires_at > $2 \
             AND (s.created_at < $3 OR (s.created_at = $3 AND s.id < $4)) \
             ORDER BY s.created_at DESC, s.id DESC LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(now.micros())
            .bind(place.number)
            .bind(place.id)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let sessions = rows.iter().map(session_of).collect::<Result<Vec<_>, _>>()?;
        Ok(paged(List::Sessions, sessions, limit, |s| Cursor::new(s.created_at.micros(), s.id)))
    }

    async fn touch_sessions(&self, ids: &[SessionId], at: Timestamp) -> Result<(), StoreError> {
        self.note_use(&SESSIONS, ids, at).await
    }

    async fn end_session(&self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(user, "end session", (user, id, now), |tx, (user, id, now)| {
                Box::pin(async move {
                    let done = sqlx::query("DELETE FROM sessions WHERE id = $1 AND user_id = $2")
                        .bind(id.to_string())
                        .bind(user.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    let was_there = done.rows_affected() > 0;
                    if was_there {
                        tx.signal(Signal::SessionEnded { user_id: *user, session_id: *id });
                        tell(tx, *user, None, None, *now).await?;
                    }
                    Ok(was_there)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn end_other_sessions(
        &self,
        user: UserId,
        keep: SessionId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let written = self
            .writer()
            .write_for(user, "end other sessions", (user, keep, now), |tx, (user, keep, now)| {
                Box::pin(async move { end_others(tx, *user, *keep, *now).await })
            })
            .await?;
        Ok(written.value)
    }

    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT DISTINCT user_id FROM sessions WHERE expires_at <= $1 ORDER BY user_id LIMIT $2";
        let users: Vec<String> = sqlx::query_scalar(sql)
            .bind(now.micros())
            .bind(i64::from(SWEPT_USERS))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        if users.is_empty() {
            return Ok(0);
        }
        let users = users.iter().map(|id| id.parse().map_err(Fault::corrupt));
        let users = users.collect::<Result<BTreeSet<UserId>, _>>()?;
        let written = self
            .writer()
            .write("sweep sessions", (users, now), |tx, (users, now)| {
                Box::pin(async move {
                    tx.lock_users(users).await?;
                    let ids: Vec<String> = users.iter().map(|id| format!("'{id}'")).collect();
                    let sql = format!(
                        "DELETE FROM sessions WHERE expires_at <= $1 AND user_id IN ({}) RETURNING id, user_id",
                        ids.join(", ")
                    );
                    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                        .bind(now.micros())
                        .fetch_all(&mut tx.conn)
                        .await?;
                    // Another server may have removed those of the others meanwhile, and told of it.
                    let mut swept: BTreeSet<UserId> = BTreeSet::new();
                    for row in &rows {
                        let session_id = row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?;
                        let user_id = row.try_get::<&str, _>(1)?.parse().map_err(Fault::corrupt)?;
                        swept.insert(user_id);
                        tx.signal(Signal::SessionEnded { user_id, session_id });
                    }
                    for user in swept {
                        tell(tx, user, None, None, *now).await?;
                    }
                    Ok(rows.len() as u64)
                })
            })
            .await?;
        Ok(written.value)
    }
}
