//! Users, their settings and their passwords.

use crate::{fault::Fault, open::Store, sessions, workspaces};
use async_trait::async_trait;
use domain::{
    Timestamp, User, UserId,
    event::{Event, SettingsChanged},
    resource::{Density, Language, Notifications, Theme},
    validate,
};
use services::ports::{Accounts, NewUser, NewWorkspace, PasswordChange, StoreError, UserEdit};
use sqlx::{AnyConnection, Row, any::AnyRow};

pub(crate) const USER: &str = "users.id, users.username, users.email, users.full_name, users.theme, \
                               users.density, users.language, users.created_at, users.notify_done, \
                               users.notify_failed, users.notify_stalled, users.notify_sign_ins, users.notify_desktop";

/// Reads the columns of [`USER`], in that order, from column `from` on.
pub(crate) fn user_of(row: &AnyRow, from: usize) -> Result<User, Fault> {
    let is = |at: usize| row.try_get::<i64, _>(from + at).map(|n| n != 0);
    Ok(User {
        id: row.try_get::<&str, _>(from)?.parse().map_err(Fault::corrupt)?,
        username: row.try_get(from + 1)?,
        email: row.try_get(from + 2)?,
        full_name: row.try_get(from + 3)?,
        theme: row.try_get::<&str, _>(from + 4)?.parse().map_err(Fault::corrupt)?,
        density: row.try_get::<&str, _>(from + 5)?.parse().map_err(Fault::corrupt)?,
        language: row.try_get::<&str, _>(from + 6)?.parse().map_err(Fault::corrupt)?,
        created_at: Timestamp::from_micros(row.try_get(from + 7)?),
        notifications: Notifications {
            done: is(8)?,
            failed: is(9)?,
            stalled: is(10)?,
            sign_ins: is(11)?,
            desktop: is(12)?,
        },
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
                         (id, username, username_key, email, full_name, theme, density, language, password_hash, \
                          created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    )
                    .bind(user.id.to_string())
                    .bind(user.username.as_str())
                    .bind(user.username.as_str().to_lowercase())
                    .bind(user.email.as_str())
                    .bind(user.full_name.as_ref().map(|n| n.as_str().to_owned()))
                    .bind(Theme::System.as_str())
                    .bind(Density::default().as_str())
                    .bind(Language::default().as_str())
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
                        density: Density::default(),
                        language: Language::default(),
                        notifications: Notifications::default(),
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
        let sql = format!("SELECT password_hash, {USER} FROM users WHERE email = $1 AND deleting_at IS NULL");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(email.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let Some(row) = row else { return Ok(None) };
        let hash: String = row.try_get(0).map_err(Fault::from)?;
        Ok(Some((user_of(&row, 1)?, hash)))
    }

    async fn taken(
        &self,
        username: &validate::Username,
        email: &validate::Email,
    ) -> Result<(bool, bool), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM users WHERE username_key = $1), \
                    (SELECT COUNT(*) FROM users WHERE email = $2)",
        )
        .bind(username.as_str().to_lowercase())
        .bind(email.as_str())
        .fetch_one(self.readers())
        .await
        .map_err(Fault::from)?;
        let some = |at: usize| row.try_get::<i64, _>(at).map(|n| n > 0).map_err(Fault::from);
        Ok((some(0)?, some(1)?))
    }

    async fn edit_user(&self, id: UserId, edit: UserEdit, now: Timestamp) -> Result<User, StoreError> {
        let written = self
            .writer()
            .write_for(id, "edit user", (id, edit, now), |tx, (id, edit, now)| {
                Box::pin(async move {
                    let before = load(&mut tx.conn, *id).await?.ok_or(StoreError::NotFound)?;
                    let after = edited(&before, edit);
                    if after == before {
                        return Ok(after);
                    }
                    sqlx::query(
                        "UPDATE users SET full_name = $1, email = $2, theme = $3, density = $4, language = $5, \
                         notify_done = $6, notify_failed = $7, notify_stalled = $8, notify_sign_ins = $9, \
                         notify_desktop = $10 WHERE id = $11",
                    )
                    .bind(after.full_name.clone())
                    .bind(after.email.clone())
                    .bind(after.theme.as_str())
                    .bind(after.density.as_str())
                    .bind(after.language.as_str())
                    .bind(i64::from(after.notifications.done))
                    .bind(i64::from(after.notifications.failed))
                    .bind(i64::from(after.notifications.stalled))
                    .bind(i64::from(after.notifications.sign_ins))
                    .bind(i64::from(after.notifications.desktop))
                    .bind(id.to_string())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| Fault::from(e).taken("users_email_key", "users.email"))?;
                    let changed = SettingsChanged::of(after.clone());
                    tx.emit(*id, Event::SettingsChanged(changed), *now);
                    Ok(after)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        let hash = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(hash)
    }

    async fn change_password(&self, change: PasswordChange) -> Result<u64, StoreError> {
        let written = self
            .writer()
            .write_for(change.user_id, "change password", change, |tx, change| {
                Box::pin(async move {
                    let changed = sqlx::query(
                        "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
                    )
                    .bind(change.new_hash.as_str())
                    .bind(change.user_id.to_string())
                    .bind(change.old_hash.as_str())
                    .execute(&mut tx.conn)
                    .await?;
                    if changed.rows_affected() == 0 {
                        return Err(StoreError::NotFound.into());
                    }
                    sessions::renew(tx, change).await?;
                    sessions::end_others(tx, change.user_id, change.session_id, change.now).await
                })
            })
            .await?;
        Ok(written.value)
    }
}

pub(crate) async fn load(conn: &mut AnyConnection, id: UserId) -> Result<Option<User>, Fault> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {USER} FROM users WHERE id = $1")))
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| user_of(&row, 0)).transpose()
}

fn edited(user: &User, edit: &UserEdit) -> User {
    let name = |name: &Option<validate::FullName>| name.as_ref().map(|n| n.as_str().to_owned());
    User {
        full_name: edit.full_name.as_ref().map_or_else(|| user.full_name.clone(), name),
        email: edit.email.as_ref().map_or_else(|| user.email.clone(), |e| e.as_str().to_owned()),
        theme: edit.theme.unwrap_or(user.theme),
        density: edit.density.unwrap_or(user.density),
        language: edit.language.unwrap_or(user.language),
        notifications: edit.notifications.of(user.notifications),
        ..user.clone()
    }
}
