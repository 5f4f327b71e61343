//! When sessions and API keys were used last: of many at once, and so that nobody has to wait for it.

use crate::{engine::Engine, fault::Fault, open::Store};
use domain::Timestamp;
use services::ports::StoreError;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::fmt::Display;

/// So many are noted in one statement: more than a server with 10,000 open pages has in some seconds.
const AT_ONCE: usize = 1_000;

/// Where the last use of a kind of things is kept.
pub(crate) struct LastUse {
    /// What noting it is called in the log.
    what: &'static str,
    table: &'static str,
    column: &'static str,
}

pub(crate) static SESSIONS: LastUse =
    LastUse { what: "touch sessions", table: "sessions", column: "last_seen_at" };
pub(crate) static KEYS: LastUse = LastUse { what: "touch keys", table: "api_keys", column: "last_used_at" };

impl LastUse {
    /// Past the writer nobody's counter is locked, so a row that somebody else is changing is not waited for: two could wait
    /// for one another.
    async fn note(
        &self,
        conn: &mut AnyConnection,
        engine: Engine,
        ids: &[String],
        at: Timestamp,
    ) -> Result<(), Fault> {
        let Self { table, column, .. } = self;
        let lock = match engine {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR NO KEY UPDATE SKIP LOCKED",
        };
        for part in ids.chunks(AT_ONCE) {
            // The moment is that of the first of many, so another one may have been made after it.
            let sql = format!(
                "UPDATE {table} SET {column} = CASE WHEN created_at > $1 THEN created_at ELSE $1 END WHERE id IN \
                 (SELECT id FROM {table} WHERE id IN ({}) AND COALESCE({column}, 0) < $1{lock})",
                part.join(", ")
            );
            // Another text each time, and so not worth being remembered.
            let noted = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(at.micros());
            noted.execute(&mut *conn).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Notes that all of these were used at that moment, or a little later; on PostgreSQL past the writer, with a commit that
    /// does not wait for the disk.
    pub(crate) async fn note_use<Id: Display>(
        &self,
        of: &'static LastUse,
        ids: &[Id],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // They are hexadecimal digits and hyphens, so they may stand in the text.
        let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
        if self.engine() == Engine::Sqlite {
            let noted = self.writer().write(of.what, (ids, at), move |tx, (ids, at)| {
                Box::pin(async move { of.note(&mut tx.conn, tx.engine, ids, *at).await })
            });
            return noted.await.map(drop);
        }
        let noted = async {
            let mut conn = self.unhurried().acquire().await?;
            of.note(&mut conn, self.engine(), &ids, at).await
        };
        Ok(self.unhurried().unless_lost(noted).await?)
    }
}
