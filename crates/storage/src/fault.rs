//! What can go wrong inside a statement or a write item, and what is to be done about it.

use domain::status::IllegalMove;
use services::ports::StoreError;
use std::sync::Arc;

/// An error on its way out. Items and reads return it, so that `?` works on errors of sqlx and of the ports alike;
/// the writer still sees the driver's own error in it and can tell whether to try again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Db(#[from] sqlx::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a failure means for the transaction in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This item is at fault; the others go on.
    Item,
    /// A lock was not to be had, or two transactions crossed: all of it runs again.
    Again,
    /// The connection is gone: all of it runs again on a new one.
    Lost,
    /// The database itself cannot: disk full, out of memory, damaged. Nobody's item can be done.
    Broken,
}

impl Fault {
    /// Turns the violation of one uniqueness rule into `Taken`; leaves any other error as it is. PostgreSQL names the
    /// constraint, SQLite its columns (`users.email`).
    pub(crate) fn taken(self, constraint: &'static str, columns: &str) -> Self {
        let hit = match &self {
            Self::Db(sqlx::Error::Database(e)) if e.is_unique_violation() => {
                e.constraint() == Some(constraint) || e.message().ends_with(&format!(": {columns}"))
            }
            _ => false,
        };
        if hit { Self::Store(StoreError::Taken(constraint)) } else { self }
    }

    /// Turns the violation of a foreign key into `NotFound`: what the row belongs to is gone.
    pub(crate) fn orphan(self) -> Self {
        match &self {
            Self::Db(sqlx::Error::Database(e)) if e.is_foreign_key_violation() => {
                Self::Store(StoreError::NotFound)
            }
            _ => self,
        }
    }

    /// A stored value that its type cannot be.
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Store(StoreError::backend(format!("stored value is damaged: {what}")))
    }

    pub(crate) fn meaning(&self) -> Meaning {
        match self {
            Self::Db(e) => meaning(e),
            Self::Store(_) => Meaning::Item,
        }
    }
}

impl From<IllegalMove> for Fault {
    fn from(e: IllegalMove) -> Self {
        Self::Store(e.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(e: serde_json::Error) -> Self {
        Self::corrupt(e)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Db(e) if is_full(&e) => Self::Full(Box::new(e)),
            Fault::Db(e) if meaning(&e) == Meaning::Lost => Self::Away(Box::new(e)),
            Fault::Db(e) => Self::backend(e),
            Fault::Store(e) => e,
        }
    }
}

/// Whether the disk of the database is full.
fn is_full(e: &sqlx::Error) -> bool {
    // SQLite's FULL; PostgreSQL's disk_full.
    matches!(e, sqlx::Error::Database(e) if matches!(e.code().as_deref(), Some("13" | "53100")))
}

/// One failure that several callers have to be told of.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Shared(Arc<Fault>);

impl Shared {
    pub(crate) fn new(fault: Fault) -> Self {
        Self(Arc::new(fault))
    }

    pub(crate) fn to_store_error(&self) -> StoreError {
        match &*self.0 {
            Fault::Db(e) if is_full(e) => StoreError::Full(Box::new(self.clone())),
            Fault::Db(e) if meaning(e) == Meaning::Lost => StoreError::Away(Box::new(self.clone())),
            _ => StoreError::backend(self.clone()),
        }
    }
}

pub(crate) fn meaning(e: &sqlx::Error) -> Meaning {
    use sqlx::Error as E;
    match e {
        E::Database(e) => {
            let code = e.code().unwrap_or_default();
            match code.parse::<u32>() {
                // SQLite: an extended result code, whose low byte is the primary one. PostgreSQL's codes have five
                // characters, SQLite's extended ones at most four.
                Ok(code_number) if code.len() < 5 => sqlite_meaning(code_number & 0xff),
                _ => postgres_meaning(&code),
            }
        }
        E::Io(_)
        | E::Tls(_)
        | E::Protocol(_)
        | E::WorkerCrashed
        | E::PoolTimedOut
        | E::PoolClosed
        | E::BeginFailed => Meaning::Lost,
        _ => Meaning::Item,
    }
}

const fn sqlite_meaning(primary: u32) -> Meaning {
    match primary {
        // BUSY, LOCKED, PROTOCOL (a race in taking WAL locks)
        5 | 6 | 15 => Meaning::Again,
        // NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB. SQLite may have rolled all back.
        7..=11 | 13 | 14 | 26 => Meaning::Broken,
        _ => Meaning::Item,
    }
}

fn postgres_meaning(code: &str) -> Meaning {
    match code {
        // serialization failure, deadlock, lock not available
        "40001" | "40P01" | "55P03" => Meaning::Again,
        // a primary that became a standby, and so not the one to write to any more; idle in a transaction for too long; the
        // server stops or starts, or has no connection to spare just now
        "25006" | "25P03" | "53300" | "57P01" | "57P02" | "57P03" | "57P05" => Meaning::Lost,
        _ => match code.get(..2) {
            Some("08") => Meaning::Lost,
            // resources, system, internal
            Some("53" | "58" | "XX") => Meaning::Broken,
            _ => Meaning::Item,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_a_free_connection_is_away_and_not_broken() {
        assert_eq!(postgres_meaning("53300"), Meaning::Lost);
        assert_eq!(postgres_meaning("53100"), Meaning::Broken);
    }

    #[test]
    fn a_primary_that_became_a_standby_is_looked_for_elsewhere() {
        assert_eq!(postgres_meaning("25006"), Meaning::Lost);
    }

    #[test]
    fn a_database_that_cannot_be_reached_is_told_from_one_that_is_broken() {
        let gone = || sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        for e in [gone(), sqlx::Error::PoolTimedOut] {
            assert!(matches!(StoreError::from(Fault::Db(e)), StoreError::Away(_)));
        }
        let shared = Shared::new(Fault::Db(gone()));
        assert!(matches!(shared.to_store_error(), StoreError::Away(_)), "also to several callers");
        assert!(matches!(StoreError::from(Fault::Db(sqlx::Error::RowNotFound)), StoreError::Backend(_)));
    }
}
