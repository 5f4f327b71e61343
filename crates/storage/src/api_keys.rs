//! API keys, by the hash of the key.

use crate::{
    accounts::{USER, user_of},
    bulk, commands,
    fault::Fault,
    in_use::KEYS,
    jobs::parsed,
    open::Store,
};
use async_trait::async_trait;
use domain::{ApiKey, ApiKeyId, Timestamp, User, UserId};
use services::ports::{ApiKeys, KeyMade, NewKey, Signal, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

const KEY: &str = "api_keys.id AS key_id, api_keys.name AS key_name, api_keys.prefix, api_keys.scopes, \
     api_keys.created_at AS key_created_at, api_keys.last_used_at, api_keys.expires_at";

fn key_of(row: &AnyRow) -> Result<ApiKey, Fault> {
    let moment = |column: &str| -> Result<Option<Timestamp>, Fault> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
    };
    Ok(ApiKey {
        id: parsed(row, "key_id")?,
        name: row.try_get("key_name")?,
        prefix: row.try_get("prefix")?,
        scopes: serde_json::from_str(row.try_get("scopes")?)?,
        created_at: Timestamp::from_micros(row.try_get("key_created_at")?),
        last_used_at: moment("last_used_at")?,
        expires_at: moment("expires_at")?,
    })
}

impl Store {
    async fn read_keys(&self, user: UserId) -> Result<Vec<ApiKey>, Fault> {
        let sql = format!(
            "SELECT {KEY} FROM api_keys WHERE user_id = $1 ORDER BY api_keys.created_at DESC, api_keys.id DESC"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string()).fetch_all(self.readers()).await?;
        rows.iter().map(key_of).collect()
    }

    async fn read_key(&self, secret_hash: &str) -> Result<Option<(ApiKey, User)>, Fault> {
        let sql = format!(
            "SELECT {USER}, {KEY} FROM api_keys JOIN users ON users.id = api_keys.user_id \
             WHERE api_keys.secret_hash = $1 AND users.deleting_at IS NULL"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(secret_hash).fetch_optional(self.readers()).await?;
        row.map(|row| Ok((key_of(&row)?, user_of(&row, 0)?))).transpose()
    }
}

#[async_trait]
impl ApiKeys for Store {
    async fn create_key(&self, new: NewKey, most: u32) -> Result<KeyMade, StoreError> {
        let written = self
            .writer()
            .write_for(new.user_id, "create key", (new, most), |tx, (new, most)| {
                Box::pin(async move {
                    let print = new.command_print.as_deref();
                    commands::note(tx, new.user_id, new.command_id.as_deref(), print).await?;
                    if let Some(command) = &new.command_id {
                        let sql = format!("SELECT {KEY} FROM api_keys WHERE user_id = $1 AND command_id = $2");
                        let row = sqlx::query(AssertSqlSafe(sql))
                            .bind(new.user_id.to_string())
                            .bind(command.as_str())
                            .fetch_optional(&mut tx.conn)
                            .await?;
                        if let Some(row) = row {
                            return Ok(KeyMade::Before(key_of(&row)?));
                        }
                    }
                    // Nobody else changes what is this user's meanwhile, so the count holds.
                    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM api_keys WHERE user_id = $1")
                        .bind(new.user_id.to_string())
                        .fetch_one(&mut tx.conn)
                        .await?;
                    if count >= i64::from(*most) {
                        return Err(StoreError::Taken("api_keys_most").into());
                    }
                    let key = ApiKey {
                        id: new.id,
                        name: new.valid.name.as_str().to_owned(),
                        prefix: new.prefix.clone(),
                        scopes: new.valid.scopes.clone(),
                        created_at: new.created_at,
                        last_used_at: None,
                        expires_at: new.valid.expires_at,
                    };
                    sqlx::query(
                        "INSERT INTO api_keys (id, user_id, name, name_key, prefix, secret_hash, scopes, command_id, \
                         created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    )
                    .bind(key.id.to_string())
                    .bind(new.user_id.to_string())
                    .bind(key.name.as_str())
                    .bind(key.name.to_lowercase())
                    .bind(key.prefix.as_str())
                    .bind(new.secret_hash.as_str())
                    .bind(serde_json::to_string(&key.scopes)?)
                    .bind(new.command_id.clone())
                    .bind(key.created_at.micros())
                    .bind(key.expires_at.map(Timestamp::micros))
                    .execute(&mut tx.conn)
                    .await
                    .map_err(|e| {
                        Fault::from(e)
                            .taken("api_keys_name_key", "api_keys.user_id, api_keys.name_key")
                            .orphan()
                    })?;
                    Ok(KeyMade::New(key))
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn keys(&self, user: UserId) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.read_keys(user).await?)
    }

    async fn key(&self, secret_hash: &str) -> Result<Option<(ApiKey, User)>, StoreError> {
        Ok(self.read_key(secret_hash).await?)
    }

    async fn touch_keys(&self, ids: &[ApiKeyId], at: Timestamp) -> Result<(), StoreError> {
        self.note_use(&KEYS, ids, at).await
    }

    async fn left_among(&self, ids: &[ApiKeyId]) -> Result<Vec<ApiKeyId>, StoreError> {
        let sql = format!(
            "SELECT api_keys.id FROM api_keys JOIN users ON users.id = api_keys.user_id \
             WHERE users.deleting_at IS NULL AND api_keys.id IN ({})",
            bulk::list(1, ids.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id.to_string());
        }
        let rows = query.fetch_all(self.readers()).await.map_err(Fault::from)?;
        Ok(rows.iter().map(|row| parsed(row, "id")).collect::<Result<_, Fault>>()?)
    }

    async fn revoke_key(&self, user: UserId, id: ApiKeyId) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(user, "revoke key", (user, id), |tx, (user, id)| {
                Box::pin(async move {
                    let done = sqlx::query("DELETE FROM api_keys WHERE id = $1 AND user_id = $2")
                        .bind(id.to_string())
                        .bind(user.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    let gone = done.rows_affected() > 0;
                    if gone {
                        tx.signal(Signal::KeyRevoked { user_id: *user, key_id: *id });
                    }
                    Ok(gone)
                })
            })
            .await?;
        Ok(written.value)
    }
}
