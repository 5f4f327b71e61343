//! The two engines and the few places where their SQL differs. Everything else is written once, with `$1` parameters.
//!
//! Column types are those that both speak through the Any driver: BIGINT for numbers, moments (microseconds) and
//! yes/no (0 or 1), TEXT for ids, enums and JSON, DOUBLE PRECISION, and BLOB / BYTEA for bytes.

use std::path::Path;

/// The URL of a SQLite file, whatever characters its path has.
pub fn sqlite_url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for c in path.to_string_lossy().chars() {
        match c {
            '%' => url.push_str("%25"),
            '?' => url.push_str("%3F"),
            '#' => url.push_str("%23"),
            c => url.push(c),
        }
    }
    url
}

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
    /// so there it is always so. `NO KEY`: a row that refers to it may be inserted meanwhile, or two transactions that
    /// insert such rows first and lock then would wait for one another.
    pub(crate) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_tells_the_engine() {
        assert_eq!(Engine::of_url("sqlite:///data/x.db"), Some(Engine::Sqlite));
        assert_eq!(Engine::of_url("postgres://localhost/x"), Some(Engine::Postgres));
        assert_eq!(Engine::of_url("postgresql://localhost/x"), Some(Engine::Postgres));
        assert_eq!(Engine::of_url("mysql://localhost/x"), None);
        assert_eq!(Engine::of_url("/data/x.db"), None);
    }

    #[test]
    fn a_path_keeps_its_odd_characters_in_the_url() {
        assert_eq!(sqlite_url(Path::new("/tmp/50% a?b#c.db")), "sqlite:///tmp/50%25 a%3Fb%23c.db");
    }
}
