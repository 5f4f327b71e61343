//! Exports of accounts: who makes which, until when, and what became of it.

use crate::{
    accounts::{USER, user_of},
    fault::Fault,
    jobs::{lease_micros, number, parsed},
    open::Store,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Export, ExportId, ExportStatus, Timestamp, UserId,
    event::{Event, SettingsChanged},
};
use services::ports::{ExportClaim, ExportOutcome, Exports, NewExport, OldExport, StoreError, WorkerId};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeSet;

const EXPORT: &str = "id, status, bytes, created_at, completed_at, expires_at, error";

fn export_of(row: &AnyRow) -> Result<Export, Fault> {
    let moment = |column: &str| -> Result<Option<Timestamp>, Fault> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
    };
    Ok(Export {
        id: parsed(row, "id")?,
        status: parsed(row, "status")?,
        bytes: number(row, "bytes")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        completed_at: moment("completed_at")?,
        expires_at: moment("expires_at")?,
        error: row.try_get("error")?,
    })
}

/// Tells the user's tabs how far it is.
async fn tell(tx: &mut Tx, user: UserId, export: Export, now: Timestamp) -> Result<(), Fault> {
    let sql = format!("SELECT {USER} FROM users WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_string())
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::NotFound)?;
    let changed = SettingsChanged { export: Some(export), ..SettingsChanged::of(user_of(&row, 0)?) };
    tx.emit(user, Event::SettingsChanged(changed), now);
    Ok(())
}

async fn create(tx: &mut Tx, new: &NewExport) -> Result<Export, Fault> {
    let user = new.user_id.to_string();
    let sql = format!(
        "SELECT {EXPORT} FROM exports WHERE user_id = $1 AND (status IN ('pending', 'running') OR command_id = $2) \
         ORDER BY created_at DESC, id DESC LIMIT 1"
    );
    let known = sqlx::query(AssertSqlSafe(sql))
        .bind(user.as_str())
        .bind(new.command_id.clone())
        .fetch_optional(&mut tx.conn)
        .await?;
    if let Some(row) = known {
        return export_of(&row);
    }
    // Earlier ones expire, and with that they go.
    sqlx::query("UPDATE exports SET expires_at = $2 WHERE user_id = $1 AND expires_at > $2")
        .bind(user.as_str())
        .bind(new.created_at.micros())
        .execute(&mut tx.conn)
        .await?;
    let inserted = sqlx::query(
        "INSERT INTO exports (id, user_id, status, bytes, command_id, lease_until, fence, created_at) \
         SELECT $1, id, $3, 0, $4, 0, 0, $5 FROM users WHERE id = $2 AND deleting_at IS NULL",
    )
    .bind(new.id.to_string())
    .bind(user)
    .bind(ExportStatus::Pending.as_str())
    .bind(new.command_id.clone())
    .bind(new.created_at.micros())
    .execute(&mut tx.conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::NotFound.into());
    }
    let export = Export {
        id: new.id,
        status: ExportStatus::Pending,
        bytes: 0,
        created_at: new.created_at,
        completed_at: None,
        expires_at: None,
        error: None,
    };
    tell(tx, new.user_id, export.clone(), new.created_at).await?;
    Ok(export)
}

async fn claim(tx: &mut Tx, lease: i64, now: Timestamp) -> Result<Option<ExportClaim>, Fault> {
    let clock = tx.engine.now_micros();
    let free = format!("(status = 'pending' OR (status = 'running' AND lease_until <= {clock}))");
    let sql = format!(
        "SELECT id, user_id FROM exports WHERE status IN ('pending', 'running') AND {free} ORDER BY created_at, id LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut tx.conn).await?;
    let Some(row) = row else { return Ok(None) };
    let (id, user): (ExportId, UserId) = (parsed(&row, "id")?, parsed(&row, "user_id")?);
    tx.lock_users(&BTreeSet::from([user])).await?;
    let before: Option<String> = sqlx::query_scalar("SELECT status FROM exports WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let sql = format!(
        "UPDATE exports SET status = 'running', lease_until = {clock} + $2, fence = fence + 1 WHERE id = $1 AND {free} \
         RETURNING fence, {EXPORT}"
    );
    let row =
        sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(lease).fetch_optional(&mut tx.conn).await?;
    // Another server was faster.
    let Some(row) = row else { return Ok(None) };
    if before.as_deref() == Some(ExportStatus::Pending.as_str()) {
        tell(tx, user, export_of(&row)?, now).await?;
    }
    Ok(Some(ExportClaim { export_id: id, user_id: user, fence: number(&row, "fence")? }))
}

#[async_trait]
impl Exports for Store {
    async fn create_export(&self, new: NewExport) -> Result<Export, StoreError> {
        let written = self
            .writer()
            .write_for(new.user_id, "create export", new, |tx, new| Box::pin(create(tx, new)))
            .await?;
        Ok(written.value)
    }

    async fn newest_export(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<(Export, Option<String>)>, StoreError> {
        let sql = format!(
            "SELECT {EXPORT}, blob_key FROM exports WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) \
             ORDER BY created_at DESC, id DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(now.micros())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        let read = |row: AnyRow| Ok::<_, Fault>((export_of(&row)?, row.try_get("blob_key")?));
        Ok(row.map(read).transpose()?)
    }

    async fn claim_export(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        now: Timestamp,
    ) -> Result<Option<ExportClaim>, StoreError> {
        let argument = (lease_micros(lease_seconds), now);
        // Looked at by a reader first: most of the time there is nothing, and a writer would be woken for it.
        let waiting: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM exports WHERE status IN ('pending', 'running') LIMIT 1")
                .fetch_optional(self.readers())
                .await
                .map_err(Fault::from)?;
        if waiting.is_none() {
            return Ok(None);
        }
        let written = self
            .writer()
            .write("claim export", argument, |tx, (lease, now)| Box::pin(claim(tx, *lease, *now)))
            .await?;
        if let Some(claim) = &written.value {
            tracing::debug!(export_id = %claim.export_id, worker = worker.0, fence = claim.fence, "an export is being made");
        }
        Ok(written.value)
    }

    async fn keep_export(&self, claim: &ExportClaim, lease_seconds: u32) -> Result<(), StoreError> {
        let argument = (claim.clone(), lease_micros(lease_seconds));
        self.writer()
            .write_for(claim.user_id, "keep export", argument, |tx, (claim, lease)| {
                Box::pin(async move {
                    let sql = format!(
                        "UPDATE exports SET lease_until = {} + $3 WHERE id = $1 AND fence = $2 AND status = 'running'",
                        tx.engine.now_micros()
                    );
                    let kept = sqlx::query(AssertSqlSafe(sql))
                        .bind(claim.export_id.to_string())
                        .bind(i64::try_from(claim.fence).map_err(Fault::corrupt)?)
                        .bind(*lease)
                        .execute(&mut tx.conn)
                        .await?;
                    if kept.rows_affected() == 0 { Err(StoreError::Fenced.into()) } else { Ok(()) }
                })
            })
            .await?;
        Ok(())
    }

    async fn end_export(
        &self,
        claim: &ExportClaim,
        outcome: ExportOutcome,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let argument = (claim.clone(), outcome, expires_at, now);
        self.writer()
            .write_for(claim.user_id, "end export", argument, |tx, (claim, outcome, expires_at, now)| {
                Box::pin(async move {
                    let (status, bytes, key, error) = match outcome {
                        ExportOutcome::Ready { blob_key, bytes } => {
                            (ExportStatus::Ready, *bytes, Some(blob_key.clone()), None)
                        }
                        ExportOutcome::Failed(sentence) => (ExportStatus::Failed, 0, None, Some(sentence.clone())),
                    };
                    let sql = format!(
                        "UPDATE exports SET status = $3, bytes = $4, blob_key = $5, error = $6, completed_at = $7, \
                         expires_at = $8, lease_until = 0 WHERE id = $1 AND fence = $2 AND status = 'running' \
                         RETURNING {EXPORT}"
                    );
                    let row = sqlx::query(AssertSqlSafe(sql))
                        .bind(claim.export_id.to_string())
                        .bind(i64::try_from(claim.fence).map_err(Fault::corrupt)?)
                        .bind(status.as_str())
                        .bind(i64::try_from(bytes).map_err(Fault::corrupt)?)
                        .bind(key)
                        .bind(error)
                        .bind(now.micros())
                        .bind(expires_at.micros())
                        .fetch_optional(&mut tx.conn)
                        .await?
                        .ok_or(StoreError::Fenced)?;
                    tell(tx, claim.user_id, export_of(&row)?, *now).await
                })
            })
            .await?;
        Ok(())
    }

    async fn void_export_leases(&self) -> Result<u64, StoreError> {
        let written = self
            .writer()
            .write("void export leases", (), |tx, ()| {
                Box::pin(async move {
                    let voided = sqlx::query("UPDATE exports SET lease_until = 0 WHERE status = 'running'")
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(voided.rows_affected())
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn old_exports(&self, now: Timestamp, limit: u32) -> Result<Vec<OldExport>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, user_id, blob_key FROM exports WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        )
        .bind(now.micros())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await
        .map_err(Fault::from)?;
        let old = |row: &AnyRow| {
            Ok::<_, Fault>(OldExport {
                export_id: parsed(row, "id")?,
                user_id: parsed(row, "user_id")?,
                blob_key: row.try_get("blob_key")?,
            })
        };
        Ok(rows.iter().map(old).collect::<Result<_, _>>()?)
    }

    async fn forget_export(&self, old: &OldExport) -> Result<(), StoreError> {
        self.writer()
            .write_for(old.user_id, "forget export", old.export_id, |tx, id| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM exports WHERE id = $1 AND expires_at IS NOT NULL")
                        .bind(id.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}
