//! The two engines and the few places where their SQL differs. Everything else is written once, with `$1` parameters.
//!
//! Column types are those that both speak through the Any driver: BIGINT for numbers, moments (microseconds) and
//! yes/no (0 or 1), TEXT for ids, enums and JSON, DOUBLE PRECISION, and BLOB / BYTEA for bytes.

/// Which database stands behind the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// By the scheme of the URL; `None` when it is neither's.
    pub fn of_url(url: &str) -> Option<Self> {
        let scheme = url.split(':').next()?;
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    /// Begins a writing transaction. SQLite has to take its write lock at once: a transaction that reads first and
    /// writes later fails when another wrote in between, whatever the timeout.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction whose reads all see the same state.
    pub(crate) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Ends a SELECT whose rows nobody else may change until the transaction ends. SQLite has one writer at a time,
    /// so there it is always so.
    pub(crate) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// An expression: microseconds since 1970 by the database's clock, moving on within a transaction. Leases are
    /// measured with it, so that servers whose clocks differ agree.
    pub(crate) const fn now_micros(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT",
        }
    }
}
