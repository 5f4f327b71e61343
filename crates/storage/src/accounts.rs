//! Users and their sign-in sessions.

use crate::{fault::Fault, open::Store, workspaces};
use async_trait::async_trait;
use domain::{
    SessionId, Timestamp, User, UserId,
    event::{Event, SettingsChanged},
    resource::Theme,
    validate,
};
use services::ports::{Accounts, NewSession, NewUser, NewWorkspace, SessionInfo, StoreError};
use sqlx::{Row, any::AnyRow};

const USER: &str = "users.id, users.username, users.email, users.full_name, users.theme, users.created_at";

/// Reads the columns of [`USER`], in that order, from column `from` on.
fn user_of(row: &AnyRow, from: usize) -> Result<User, Fault> {
    Ok(User {
        id: row.try_get::<&str, _>(from)?.parse().map_err(Fault::corrupt)?,
        username: row.try_get(from + 1)?,
        email: row.try_get(from + 2)?,
        full_name: row.try_get(from + 3)?,
        theme: row.try_get::<&str, _>(from + 4)?.parse().map_err(Fault::corrupt)?,
        created_at: Timestamp::from_micros(row.try_get(from + 5)?),
    })
}

#[async_trait]
impl Accounts for Store {
    async fn create_user(&self, user: NewUser, first: NewWorkspace) -> Result<User, StoreError> {
        let written = self
            .writer()
            .write("create user", (user, first), |tx, (user, first)| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO users \
                         (id, username, username_key, email, full_name, theme, password_hash, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    )
                    .bind(user.id.to_string())
                    .bind(user.username.as_str())
                    .bind(user.username.as_str().to_lowercase())
                    .bind(user.email.as_str())
                    .bind(user.full_name.as_ref().map(|n| n.as_str().to_owned()))
                    .bind(Theme::System.as_str())
                    .bind(user.password_hash.as_str())
                    .bind(user.created_at.micros())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| {
                        Fault::from(e)
                            .taken("users_username_key", "users.username_key")
                            .taken("users_email_key", "users.email")
                    })?;
                    // Its event is the user's first, which makes the counter.
                    workspaces::insert(tx, first).await?;
                    Ok(User {
                        id: user.id,
                        username: user.username.as_str().to_owned(),
                        email: user.email.as_str().to_owned(),
                        full_name: user.full_name.as_ref().map(|n| n.as_str().to_owned()),
                        theme: Theme::System,
                        created_at: user.created_at,
                    })
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {USER} FROM users WHERE id = $1")))
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(row.map(|row| user_of(&row, 0)).transpose()?)
    }

    async fn user_by_email(&self, email: &validate::Email) -> Result<Option<(User, String)>, StoreError> {
        let sql = format!("SELECT password_hash, {USER} FROM users WHERE email = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(email.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let Some(row) = row else { return Ok(None) };
        let hash: String = row.try_get(0).map_err(Fault::from)?;
        Ok(Some((user_of(&row, 1)?, hash)))
    }

    async fn set_theme(&self, id: UserId, theme: Theme, now: Timestamp) -> Result<User, StoreError> {
        let written = self
            .writer()
            .write_for(id, "set theme", (id, theme, now), |tx, (id, theme, now)| {
                Box::pin(async move {
                    let sql = format!("UPDATE users SET theme = $1 WHERE id = $2 RETURNING {USER}");
                    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                        .bind(theme.as_str())
                        .bind(id.to_string())
                        .fetch_optional(&mut tx.conn)
                        .await?
                        .ok_or(StoreError::NotFound)?;
                    let user = user_of(&row, 0)?;
                    let changed = SettingsChanged { user: user.clone(), theme: *theme, rev: 0 };
                    tx.emit(*id, Event::SettingsChanged(changed), *now);
                    Ok(user)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn create_session(&self, session: NewSession) -> Result<(), StoreError> {
        self.writer()
            .write_for(session.user_id, "create session", session, |tx, session| {
                Box::pin(async move {
                    // Nobody asks for expired ones any more; here is the moment to let go of them.
                    sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND expires_at <= $2")
                        .bind(session.user_id.to_string())
                        .bind(session.created_at.micros())
                        .execute(&mut tx.conn)
                        .await?;
                    sqlx::query(
                        "INSERT INTO sessions \
                         (id, user_id, token_hash, user_agent, ip, created_at, last_seen_at, expires_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    )
                    .bind(session.id.to_string())
                    .bind(session.user_id.to_string())
                    .bind(session.token_hash.as_str())
                    .bind(session.user_agent.as_str())
                    .bind(session.ip.as_str())
                    .bind(session.created_at.micros())
                    .bind(session.created_at.micros())
                    .bind(session.expires_at.micros())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| Fault::from(e).orphan())?;
                    Ok(())
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
            "SELECT s.id, s.user_agent, s.ip, s.created_at, s.last_seen_at, s.expires_at, {USER} \
             FROM sessions s JOIN users ON users.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(token_hash)
            .bind(now.micros())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(row.map(|row| session_of(&row)).transpose()?)
    }

    async fn touch_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write("touch session", (id, now), |tx, (id, now)| {
                Box::pin(async move {
                    sqlx::query("UPDATE sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1")
                        .bind(now.micros())
                        .bind(id.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn end_session(&self, user: UserId, id: SessionId) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(user, "end session", (user, id), |tx, (user, id)| {
                Box::pin(async move {
                    let done = sqlx::query("DELETE FROM sessions WHERE id = $1 AND user_id = $2")
                        .bind(id.to_string())
                        .bind(user.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(done.rows_affected() > 0)
                })
            })
            .await?;
        Ok(written.value)
    }
}

fn session_of(row: &AnyRow) -> Result<(SessionInfo, User), Fault> {
    let user = user_of(row, 6)?;
    let info = SessionInfo {
        id: row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?,
        user_id: user.id,
        user_agent: row.try_get(1)?,
        ip: row.try_get(2)?,
        created_at: Timestamp::from_micros(row.try_get(3)?),
        last_seen_at: Timestamp::from_micros(row.try_get(4)?),
        expires_at: Timestamp::from_micros(row.try_get(5)?),
    };
    Ok((info, user))
}
