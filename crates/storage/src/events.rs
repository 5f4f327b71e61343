//! The event log as streams read it. Events get into it with the changes that they tell of, through the writer.

use crate::{bulk, fault::Fault, open::Store};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Epoch, Event, Timestamp, UserId};
use services::ports::{EventLog, LoggedEvent, StoreError};
use sqlx::{AssertSqlSafe, Row};
use std::{collections::BTreeMap, time::Duration};

/// Users whose place is asked for in one statement.
const ROWS: usize = 128;

#[async_trait]
impl EventLog for Store {
    fn epoch(&self) -> Epoch {
        self.log_epoch().clone()
    }

    async fn head(&self, user: UserId) -> Result<u64, StoreError> {
        let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM user_seq WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(seq.unwrap_or_default() as u64)
    }

    async fn ahead_of(&self, known: &[(UserId, u64)]) -> Result<Vec<UserId>, StoreError> {
        let mut ahead = vec![];
        for part in bulk::parts(known, ROWS) {
            let sql =
                format!("SELECT user_id, seq FROM user_seq WHERE user_id IN ({})", bulk::list(1, part.len()));
            let known: BTreeMap<UserId, u64> = part.iter().copied().collect();
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (user, _) in part {
                query = query.bind(user.to_string());
            }
            for row in query.fetch_all(self.readers()).await.map_err(Fault::from)? {
                let user = row.try_get::<&str, _>(0).map_err(Fault::from)?.parse().map_err(Fault::corrupt)?;
                let seq: i64 = row.try_get(1).map_err(Fault::from)?;
                if known.get(&user).is_some_and(|known| seq as u64 > *known) {
                    ahead.push(user);
                }
            }
        }
        Ok(ahead)
    }

    async fn floor(&self, user: UserId) -> Result<u64, StoreError> {
        let floor: Option<i64> = sqlx::query_scalar("SELECT floor FROM user_seq WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(floor.unwrap_or_default() as u64)
    }

    async fn after(&self, user: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows =
            sqlx::query("SELECT seq, data FROM events WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(user.to_string())
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await
                .map_err(Fault::from)?;
        let events: Result<Vec<LoggedEvent>, Fault> = rows
            .iter()
            .map(|row| {
                let seq: i64 = row.try_get(0)?;
                let frame = Bytes::from(row.try_get::<String, _>(1)?);
                let stored = LoggedEvent::stored(user, frame.clone());
                Ok(stored.unwrap_or_else(|| LoggedEvent::unreadable(user, seq as u64, frame)))
            })
            .collect();
        Ok(events?)
    }

    fn longest_wait(&self) -> Duration {
        self.writer().waiting.longest()
    }

    fn only_reads(&self) -> bool {
        self.known().only_reads()
    }

    fn clocks_apart(&self) -> Option<Duration> {
        self.known().clocks_apart()
    }

    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let written = self
            .writer()
            .write_for(user, "append events", (user, events, now), |tx, (user, events, now)| {
                Box::pin(async move {
                    // Otherwise a counter would be made for a user who is not there.
                    sqlx::query("SELECT seq FROM user_seq WHERE user_id = $1")
                        .bind(user.to_string())
                        .fetch_optional(&mut tx.conn)
                        .await?
                        .ok_or(StoreError::NotFound)?;
                    for event in events {
                        tx.emit(*user, event.clone(), *now);
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(written.events().map(|e| LoggedEvent::clone(e)).collect())
    }
}
