//! The end of a transaction: its events take their numbers, go into the log, and leave their seq as `rev` in the rows
//! that they are about. A few statements for the whole transaction, however many events it has.

use super::{Emitted, Stamped, Tx};
use crate::{
    bulk::{self, parts},
    engine::Engine,
    fault::Fault,
};
use domain::{EntityKey, UserId, event::About};
use services::ports::LoggedEvent;
use sqlx::{AnyConnection, AssertSqlSafe, Row, query::Query};
use std::{collections::BTreeMap, sync::Arc};

type AnyQuery = Query<'static, sqlx::Any, sqlx::any::AnyArguments>;

/// Rows in one statement are a power of two, so that few different statements are kept prepared, and at most this:
/// SQLite looks each parameter up by its name in a list.
const ROWS: usize = 16;

/// The events of each item with their numbers, and whether the transaction was committed with them.
pub(super) struct Logs {
    pub(super) stamped: Vec<Vec<Stamped>>,
    pub(super) committed: bool,
}

/// Stamps the events of each item; answers them item by item.
pub(super) async fn stamp(tx: &mut Tx, emitted: Vec<Vec<Emitted>>) -> Result<Logs, Fault> {
    let mut counts = BTreeMap::<UserId, u64>::new();
    for e in emitted.iter().flatten() {
        *counts.entry(e.user).or_default() += 1;
    }
    if counts.is_empty() {
        return Ok(Logs { stamped: emitted.into_iter().map(|_| vec![]).collect(), committed: false });
    }
    let mut heads = take_numbers(&mut tx.conn, &counts).await?;
    let mut stamped = Vec::with_capacity(emitted.len());
    let mut rows = Vec::new();
    let mut revs = Revs::default();
    for item in emitted {
        let mut of_item = Vec::with_capacity(item.len());
        for Emitted { user, at, event, from, actor } in item {
            let head = heads.entry(user).or_default();
            *head += 1;
            let entity = event.entity();
            let (about, to) = (event.about(), event.status());
            revs.note(&entity, *head);
            let event = Arc::new(LoggedEvent::new(user, *head, at, event));
            rows.push(Logged { about, entity: entity_text(&entity), from, to, actor, event: event.clone() });
            of_item.push(Stamped { entity, event });
        }
        stamped.push(of_item);
    }
    let committed = match (tx.engine, rows.as_slice(), revs.only()) {
        (Engine::Sqlite, [row], Some((table, id))) => {
            insert_one_and_commit(&mut tx.conn, row, table, id).await?;
            true
        }
        _ => {
            insert(&mut tx.conn, &rows).await?;
            revs.store(&mut tx.conn).await?;
            false
        }
    };
    Ok(Logs { stamped, committed })
}

/// Raises each user's counter by the number of events; answers what it was before. In the order of the ids, so that
/// two writers never wait for one another crosswise.
async fn take_numbers(
    conn: &mut AnyConnection,
    counts: &BTreeMap<UserId, u64>,
) -> Result<BTreeMap<UserId, u64>, Fault> {
    let counts: Vec<(&UserId, &u64)> = counts.iter().collect();
    let mut heads = BTreeMap::new();
    for part in parts(&counts, ROWS) {
        let sql = format!(
            "INSERT INTO user_seq (user_id, seq) VALUES {} \
             ON CONFLICT (user_id) DO UPDATE SET seq = user_seq.seq + excluded.seq RETURNING user_id, seq",
            bulk::rows(part.len(), 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (user, n) in part {
            query = query.bind(user.to_string()).bind(**n as i64);
        }
        for row in query.fetch_all(&mut *conn).await? {
            let user: UserId = row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?;
            let head = row.try_get::<i64, _>(1)? as u64;
            let taken = part.iter().find(|(u, _)| **u == user).map_or(0, |(_, n)| **n);
            heads.insert(user, head - taken);
        }
    }
    Ok(heads)
}

/// An event with what the log keeps beside it.
struct Logged {
    about: About,
    entity: String,
    from: Option<&'static str>,
    to: Option<&'static str>,
    actor: Arc<str>,
    event: Arc<LoggedEvent>,
}

const INSERT: &str = "INSERT INTO events \
     (user_id, seq, at, name, entity, document_id, job_id, workspace_id, progress, data, status_from, status_to, actor) \
     VALUES";
const COLUMNS: usize = 13;

async fn insert(conn: &mut AnyConnection, rows: &[Logged]) -> Result<(), Fault> {
    for part in parts(rows, ROWS) {
        let sql = format!("{INSERT} {}", bulk::rows(part.len(), COLUMNS));
        let query = part.iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// What [`insert`] and [`Revs::store`] do, for one event about a row of `table`, and the commit, in one trip to the
/// database: SQLite takes several statements at once. It is what a lone caller waits for. Whichever of them fails, the
/// transaction is still open and is rolled back as after any other error.
async fn insert_one_and_commit(
    conn: &mut AnyConnection,
    row: &Logged,
    table: &str,
    id: &str,
) -> Result<(), Fault> {
    let sql = format!(
        "{INSERT} {}; UPDATE {table} SET rev = $2 WHERE id = ${}; COMMIT",
        bulk::rows(1, COLUMNS),
        COLUMNS + 1
    );
    bind(sqlx::query(AssertSqlSafe(sql)), row).bind(id.to_owned()).execute(conn).await?;
    Ok(())
}

fn bind(query: AnyQuery, row: &Logged) -> AnyQuery {
    let Logged { about, entity, from, to, actor, event } = row;
    query
        .bind(event.user_id.to_string())
        .bind(event.seq as i64)
        .bind(event.at.micros())
        .bind(event.name)
        .bind(entity.clone())
        .bind(about.document.map(|id| id.to_string()))
        .bind(about.job.map(|id| id.to_string()))
        .bind(about.workspace.map(|id| id.to_string()))
        .bind(i64::from(event.progress))
        .bind(String::from_utf8_lossy(&event.frame).into_owned())
        .bind(*from)
        .bind(*to)
        .bind(actor.to_string())
}

/// Highest seq of each row that an event of this transaction is about, by table.
#[derive(Default)]
struct Revs(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Revs {
    fn note(&mut self, entity: &EntityKey, seq: u64) {
        let (table, id) = match entity {
            // A step is kept in its document's row.
            EntityKey::Document(id) | EntityKey::FileStep(id, _) => ("documents", id.to_string()),
            EntityKey::Job(id) => ("jobs", id.to_string()),
            EntityKey::Workspace(id) => ("workspaces", id.to_string()),
            EntityKey::Settings(_) | EntityKey::Conversation(_) | EntityKey::Session(_) => return,
        };
        let rev = self.0.entry(table).or_default().entry(id).or_default();
        *rev = (*rev).max(seq);
    }

    /// Table and id, when it is about one row only.
    fn only(&self) -> Option<(&'static str, &str)> {
        let mut rows = self.0.iter().flat_map(|(table, rows)| rows.keys().map(|id| (*table, id.as_str())));
        let first = rows.next()?;
        rows.next().is_none().then_some(first)
    }

    async fn store(&self, conn: &mut AnyConnection) -> Result<(), Fault> {
        for (table, revs) in &self.0 {
            let revs: Vec<(&String, &u64)> = revs.iter().collect();
            for part in parts(&revs, ROWS) {
                let sql = format!(
                    "UPDATE {table} SET rev = v.column2 FROM (VALUES {}) AS v WHERE {table}.id = v.column1",
                    bulk::rows(part.len(), 2)
                );
                let mut query: AnyQuery = sqlx::query(AssertSqlSafe(sql));
                for (id, rev) in part {
                    query = query.bind((*id).clone()).bind(**rev as i64);
                }
                query.execute(&mut *conn).await?;
            }
        }
        Ok(())
    }
}

fn entity_text(entity: &EntityKey) -> String {
    match entity {
        EntityKey::Document(id) => format!("document:{id}"),
        EntityKey::Workspace(id) => format!("workspace:{id}"),
        EntityKey::Job(id) => format!("job:{id}"),
        EntityKey::FileStep(id, step) => format!("step:{id}:{step}"),
        EntityKey::Settings(id) => format!("settings:{id}"),
        EntityKey::Conversation(id) => format!("conversation:{id}"),
        EntityKey::Session(id) => format!("session:{id}"),
    }
}
