//! Moves an installation from SQLite to PostgreSQL: every row of every table goes over in one transaction, and before that
//! commits, both sides are read again and compared row by row. The log keeps its epoch and its numbers, so clients resume
//! where they were. Nothing in here knows a table by name but the few that are not the same in both engines.

use crate::{
    bulk,
    engine::Engine,
    fault::{Meaning, meaning},
    index, migrations,
    open::{OpenError, connect_migrated, connect_writer, existing, migrated},
};
use futures::{StreamExt, TryStreamExt};
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection, Executor, Row,
    any::{AnyArguments, AnyRow, install_default_drivers},
    query::Query,
    raw_sql,
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows in one statement, and values in it: PostgreSQL takes 65 535 of them.
const ROWS: usize = 256;
const VALUES: usize = 32_768;
/// What is not carried over: what the migrations did, who writes just now, the words of the passages, which each engine
/// keeps in its own way and are made anew, copies of the vectors, which the first server makes, and what is counted of the
/// documents of a workspace, which comes about with these.
const LEFT: [&str; 5] = [CHANGES, "writers", WORDS, "searchable_vectors", "workspace_counts"];
const CHANGES: &str = "_sqlx_migrations";
const WORDS: &str = "chunk_text";
/// By this number SQLite's full text knows a passage.
const PLACE: (&str, &str) = ("chunks", "place");

#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("an installation can be moved from sqlite:… to postgres://… only")]
    Engines,
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("the new database is not empty: InsightHub was used there already; name an empty one")]
    NotEmpty,
    #[error("the new database is not empty: its table {0} is none of InsightHub's; name an empty one")]
    Foreign(String),
    #[error("{0}")]
    Schema(String),
    #[error("{table} is not the same on both sides ({why}); nothing was changed")]
    Differs { table: String, why: String },
    #[error("{0}; nothing was changed")]
    Database(#[from] sqlx::Error),
    #[error(
        "{0}, just when it was committed: everything may be on the other side, or nothing; run the command again, which \
         finds it there, or moves it"
    )]
    InCommit(#[source] sqlx::Error),
}

/// What went over: the rows of each table, in the order in which they went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved(pub Vec<(String, u64)>);

/// Copies everything from the one database into the other, which has to be empty. Nobody may write to the first meanwhile: it
/// is locked, and the caller sees to it that no server runs on it. It stays as it is but for a mark: the files belong to the
/// other one from then on, and who opened the first again would take those that came since for files of nothing.
///
/// A new database that has exactly the same in it already is where a move has come to whose commit got no answer: that is well.
///
/// # Errors
/// As above. Whatever goes wrong, there are no rows in the new database that were not there before, but where the commit got no
/// answer. Where it was not refused at first sight, it may have the tables from then on.
pub async fn move_installation(from: &str, to: &str) -> Result<Moved, MoveError> {
    install_default_drivers();
    if (Engine::of_url(from), Engine::of_url(to)) != (Some(Engine::Sqlite), Some(Engine::Postgres)) {
        return Err(MoveError::Engines);
    }
    let mut old = connect_migrated(&existing(from), Engine::Sqlite).await?;
    let mut new = connect_writer(to, Engine::Postgres).await.map_err(OpenError::Connect)?;
    look(&mut old, &mut new).await?;
    let mut new = migrated(new, Engine::Postgres).await?;
    old.execute(Engine::Sqlite.begin_write()).await?;
    // It waits for the other side now and then.
    new.execute("SET idle_in_transaction_session_timeout = 0").await?;
    new.execute(Engine::Postgres.begin_write()).await?;
    let tables = tables(&mut old, &mut new).await?;
    let is_empty = empty(&mut new, &tables).await?;
    let mut moved = vec![];
    for table in &tables {
        if is_empty {
            table.copy(&mut old, &mut new).await?;
        }
        let rows = match table.compare(&mut old, &mut new).await {
            Err(MoveError::Differs { .. }) if !is_empty => return Err(MoveError::NotEmpty),
            compared => compared?,
        };
        tracing::info!(table = table.name, rows, "moved");
        moved.push((table.name.clone(), rows));
    }
    if is_empty {
        moved.push((WORDS.to_owned(), words(&mut old, &mut new).await?));
    }
    if let Err(error) = new.execute("COMMIT").await {
        return Err(match meaning(&error) {
            Meaning::Lost => MoveError::InCommit(error),
            _ => MoveError::Database(error),
        });
    }
    // Everything is there: what goes wrong from here on takes nothing back.
    if let Err(error) = mark(&mut old).await {
        tracing::warn!(%error, "the old database could not be marked as moved; nothing may be started on it again");
    }
    // Without it the first searches would be planned for empty tables.
    if let Err(error) = new.execute("ANALYZE").await {
        tracing::warn!(%error, "the new database does not know yet how full its tables are: run ANALYZE in it");
    }
    for side in [new, old] {
        if let Err(error) = side.close().await {
            tracing::debug!(%error, "a connection was not closed in order");
        }
    }
    Ok(Moved(moved))
}

/// Whether everything in that database was moved to another one.
pub(crate) async fn was_moved(conn: &mut AnyConnection) -> sqlx::Result<bool> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'moved'").fetch_optional(conn).await?;
    Ok(found.is_some())
}

/// Says so in it, and ends the transaction in which it was read.
async fn mark(old: &mut AnyConnection) -> sqlx::Result<()> {
    old.execute("INSERT INTO meta (name, value) VALUES ('moved', 'to PostgreSQL')").await?;
    old.execute("COMMIT").await?;
    Ok(())
}

/// Looks before anything is made there: what somebody else keeps in it, or an installation of another version that is in use,
/// stays as it is.
async fn look(old: &mut AnyConnection, new: &mut AnyConnection) -> Result<(), MoveError> {
    let there = new
        .fetch_all(
            "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f')",
        )
        .await?;
    let there = names(&there)?;
    let ours = names(&old.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'").await?)?;
    // The migrations make this one before any other.
    let foreign = if there.contains(CHANGES) {
        there.iter().find(|table| !ours.contains(*table) && !LEFT.contains(&table.as_str()))
    } else {
        there.first()
    };
    if let Some(table) = foreign {
        return Err(MoveError::Foreign(table.clone()));
    }
    // A move that was cut off may have come no further.
    if !there.contains("users") || !there.contains("events") {
        return Ok(());
    }
    let version = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    let version: i64 = new.fetch_one(version).await?.try_get(0)?;
    // One of this version may be where a move has come to whose commit got no answer.
    if version != migrations::newest() && is_used(new).await? {
        return Err(MoveError::NotEmpty);
    }
    Ok(())
}

fn names(rows: &[AnyRow]) -> sqlx::Result<BTreeSet<String>> {
    rows.iter().map(|row| text(row, 0)).collect()
}

async fn is_used(new: &mut AnyConnection) -> sqlx::Result<bool> {
    let rows = "SELECT CAST((SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM events) AS BIGINT)";
    Ok(new.fetch_one(rows).await?.try_get::<i64, _>(0)? > 0)
}

/// A type that both engines have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Fraction,
    Bytes,
}

#[derive(Debug, PartialEq)]
enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    /// Compared by its bits.
    Fraction(Option<u64>),
    Bytes(Option<Vec<u8>>),
}

struct Table {
    name: String,
    columns: Vec<(String, Kind)>,
    /// Places of the columns by which a row is known.
    key: Vec<usize>,
}

/// All that are carried over, each behind those that it refers to.
async fn tables(old: &mut AnyConnection, new: &mut AnyConnection) -> Result<Vec<Table>, MoveError> {
    let columns = new
        .fetch_all(
            "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT), \
             CAST(COALESCE(k.ordinal_position, 0) AS BIGINT) \
             FROM information_schema.columns c \
             JOIN information_schema.tables t USING (table_schema, table_name) \
             LEFT JOIN information_schema.table_constraints p \
                ON p.table_schema = c.table_schema AND p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY' \
             LEFT JOIN information_schema.key_column_usage k ON k.constraint_schema = p.constraint_schema \
                AND k.constraint_name = p.constraint_name AND k.table_name = c.table_name \
                AND k.column_name = c.column_name \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' \
             ORDER BY c.table_name, c.ordinal_position",
        )
        .await?;
    let mut found: BTreeMap<String, Vec<(String, Kind, i64)>> = BTreeMap::new();
    for row in &columns {
        let (table, column, kind) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
        if LEFT.contains(&table.as_str()) {
            continue;
        }
        let kind = match kind.as_str() {
            "text" => Kind::Text,
            "bigint" => Kind::Number,
            "double precision" => Kind::Fraction,
            "bytea" => Kind::Bytes,
            other => return Err(MoveError::Schema(format!("{table}.{column} is of the type {other}"))),
        };
        found.entry(table).or_default().push((column, kind, row.try_get(3)?));
    }
    agree(old, &found).await?;
    let mut refers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sql = "SELECT CAST(CAST(conrelid AS regclass) AS TEXT), CAST(CAST(confrelid AS regclass) AS TEXT) \
               FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid";
    for row in new.fetch_all(sql).await? {
        refers.entry(text(&row, 0)?).or_default().insert(text(&row, 1)?);
    }
    let mut ordered: Vec<Table> = vec![];
    while !found.is_empty() {
        let free = |name: &String| {
            refers.get(name).is_none_or(|others| others.iter().all(|other| !found.contains_key(other)))
        };
        let Some(name) = found.keys().find(|name| free(name)).cloned() else {
            return Err(MoveError::Schema("the tables refer to one another in a ring".to_owned()));
        };
        let columns = found.remove(&name).unwrap_or_default();
        let mut key: Vec<(i64, usize)> =
            columns.iter().enumerate().filter(|(_, c)| c.2 > 0).map(|(place, c)| (c.2, place)).collect();
        if key.is_empty() {
            return Err(MoveError::Schema(format!("{name} has no primary key")));
        }
        key.sort_unstable();
        ordered.push(Table {
            name,
            key: key.into_iter().map(|(_, place)| place).collect(),
            columns: columns.into_iter().map(|(name, kind, _)| (name, kind)).collect(),
        });
    }
    Ok(ordered)
}

/// Both sides have the same tables with the same columns: no migration may let them grow apart, or rows would be lost.
async fn agree(
    old: &mut AnyConnection,
    new: &BTreeMap<String, Vec<(String, Kind, i64)>>,
) -> Result<(), MoveError> {
    let rows = old
        .fetch_all(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
        )
        .await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let (table, column) = (text(row, 0)?, text(row, 1)?);
        // The full text keeps its own in tables beside it.
        let own = table.starts_with(WORDS) || LEFT.contains(&table.as_str());
        if !own && (table.as_str(), column.as_str()) != PLACE {
            found.entry(table).or_default().insert(column);
        }
    }
    let wanted: BTreeMap<String, BTreeSet<String>> = new
        .iter()
        .map(|(table, columns)| (table.clone(), columns.iter().map(|c| c.0.clone()).collect()))
        .collect();
    if found == wanted {
        return Ok(());
    }
    let apart = found.keys().chain(wanted.keys()).find(|table| found.get(*table) != wanted.get(*table));
    Err(MoveError::Schema(format!("{apart:?} has not the same columns on both sides")))
}

/// Takes the new database for this move alone. What a server leaves there that was started on it once goes; where people have
/// used it, nothing does, and the answer is no.
async fn empty(new: &mut AnyConnection, tables: &[Table]) -> Result<bool, MoveError> {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", "));
    new.execute(raw_sql(AssertSqlSafe(lock))).await?;
    if is_used(new).await? {
        return Ok(false);
    }
    for name in names.iter().rev() {
        new.execute(raw_sql(AssertSqlSafe(format!("DELETE FROM {name}")))).await?;
    }
    Ok(true)
}

impl Table {
    fn list(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    async fn copy(&self, old: &mut AnyConnection, new: &mut AnyConnection) -> Result<(), MoveError> {
        let all = format!("SELECT {} FROM {}", self.list(), self.name);
        let mut rows = sqlx::query(AssertSqlSafe(all))
            .fetch(old)
            .map(|row| self.values(&row?))
            .chunks(ROWS.min(VALUES / self.columns.len()));
        while let Some(some) = rows.next().await {
            let some = some.into_iter().collect::<Result<Vec<_>, _>>()?;
            let sql = format!(
                "INSERT INTO {} ({}) VALUES {}",
                self.name,
                self.list(),
                bulk::rows(some.len(), self.columns.len())
            );
            let insert = some.into_iter().flatten().fold(sqlx::query(AssertSqlSafe(sql)), bind);
            insert.execute(&mut *new).await?;
        }
        Ok(())
    }

    /// Answers how many rows both sides have.
    async fn compare(&self, old: &mut AnyConnection, new: &mut AnyConnection) -> Result<u64, MoveError> {
        let differs = |why: String| MoveError::Differs { table: self.name.clone(), why };
        let (old_sql, new_sql) = (self.in_order(Engine::Sqlite), self.in_order(Engine::Postgres));
        let mut old = sqlx::query(AssertSqlSafe(old_sql)).fetch(old);
        let mut new = sqlx::query(AssertSqlSafe(new_sql)).fetch(new);
        let mut rows = 0;
        loop {
            let (one, other) = (old.try_next().await?, new.try_next().await?);
            match (one, other) {
                (None, None) => return Ok(rows),
                (Some(one), Some(other)) => {
                    let (one, other) = (self.values(&one)?, self.values(&other)?);
                    if one != other {
                        let key: Vec<String> = self.key.iter().map(|i| format!("{:?}", one[*i])).collect();
                        return Err(differs(format!("the row {}", key.join(", "))));
                    }
                    rows += 1;
                }
                _ => return Err(differs("one side has more rows".to_owned())),
            }
        }
    }

    /// All rows in the order of the key, byte by byte, whatever language the database sorts in.
    fn in_order(&self, engine: Engine) -> String {
        let by = self.key.iter().map(|place| {
            let (name, kind) = &self.columns[*place];
            let by_bytes = engine == Engine::Postgres && *kind == Kind::Text;
            if by_bytes { format!("{name} COLLATE \"C\"") } else { name.clone() }
        });
        let by: Vec<String> = by.collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.list(), self.name, by.join(", "))
    }

    fn values(&self, row: &AnyRow) -> sqlx::Result<Vec<Value>> {
        let value = |(place, (_, kind)): (usize, &(String, Kind))| {
            Ok(match kind {
                Kind::Text => Value::Text(row.try_get(place)?),
                Kind::Number => Value::Number(row.try_get(place)?),
                Kind::Fraction => Value::Fraction(row.try_get::<Option<f64>, _>(place)?.map(f64::to_bits)),
                Kind::Bytes => Value::Bytes(row.try_get(place)?),
            })
        };
        self.columns.iter().enumerate().map(value).collect()
    }
}

fn bind(query: Query<'static, Any, AnyArguments>, value: Value) -> Query<'static, Any, AnyArguments> {
    match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Fraction(bits) => query.bind(bits.map(f64::from_bits)),
        Value::Bytes(bytes) => query.bind(bytes),
    }
}

/// Makes the words of the same passages searchable on the new side.
async fn words(old: &mut AnyConnection, new: &mut AnyConnection) -> Result<u64, MoveError> {
    let all = format!("SELECT c.id FROM chunks c JOIN {WORDS} t ON t.rowid = c.place");
    let mut ids =
        sqlx::query(AssertSqlSafe(all)).fetch(old).map(|row| row?.try_get::<String, _>(0)).chunks(ROWS);
    let mut made = 0;
    while let Some(some) = ids.next().await {
        let some = some.into_iter().collect::<sqlx::Result<Vec<_>>>()?;
        let sql = index::words_of(&bulk::list(1, some.len()));
        let wanted = some.len() as u64;
        let insert = some.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id));
        let done = insert.execute(&mut *new).await?.rows_affected();
        if done != wanted {
            let why = format!("{wanted} passages were to be found by their words, {done} are");
            return Err(MoveError::Differs { table: WORDS.to_owned(), why });
        }
        made += done;
    }
    Ok(made)
}

fn text(row: &AnyRow, place: usize) -> sqlx::Result<String> {
    row.try_get(place)
}
