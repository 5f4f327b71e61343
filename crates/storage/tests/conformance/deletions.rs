//! Deletions, on both databases: nothing of the one is left, nothing of the others is touched, wherever it was broken off.

use crate::{
    desk::{Desk, JobSubject, LONG, keyword_only, worker},
    on_every_database,
    subject::Database,
};
use domain::{
    DocumentId, JobId, OnDuplicate, SessionId, UserId, api_key::ApiKeyForm, bulk::BulkAction, ingest::Stage,
    rag::RagConfig, validate::Email,
};
use services::ports::{
    Accounts, ApiKeys, Bulks, Chats, Chosen, CrawlStore, Deletion, Deletions, Doomed, EventLog, Exports,
    NewBulk, NewExport, NewKey, NewSession, Outbox, PageQuery, PartialFiles, RagConfigs, SentFiles, Sessions,
    Signal, StoreError, Workspaces,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// Every table, with what in it belongs to nobody: a table that is not among them makes the test fail until somebody
/// has thought about it.
const TABLES: &[(&str, &str)] = &[
    ("api_keys", "user_id = $1"),
    ("bulk_actions", "user_id = $1"),
    ("bulk_items", "bulk_id IN (SELECT id FROM bulk_actions WHERE user_id = $1)"),
    (
        "chunk_entities",
        "chunk_id IN (SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.user_id = $1)",
    ),
    ("chunk_marks", "document_id IN (SELECT id FROM documents WHERE user_id = $1)"),
    (
        "chunk_relations",
        "chunk_id IN (SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.user_id = $1)",
    ),
    ("chunks", "document_id IN (SELECT id FROM documents WHERE user_id = $1)"),
    (
        "chunk_vectors",
        "chunk_id IN (SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.user_id = $1)",
    ),
    ("commands", "user_id = $1"),
    ("conversations", "user_id = $1"),
    ("crawl_pages", "job_id IN (SELECT id FROM jobs WHERE user_id = $1)"),
    ("crawls", "user_id = $1"),
    ("dead_chunks", "document_id IN (SELECT id FROM documents WHERE user_id = $1)"),
    ("document_versions", "document_id IN (SELECT id FROM documents WHERE user_id = $1)"),
    ("documents", "user_id = $1"),
    ("events", "user_id = $1"),
    ("exports", "user_id = $1"),
    ("index_versions", "workspace_id IN (SELECT id FROM workspaces WHERE user_id = $1)"),
    ("job_attempts", "job_id IN (SELECT id FROM jobs WHERE user_id = $1)"),
    ("jobs", "user_id = $1"),
    ("old_chunks", "document_id IN (SELECT id FROM documents WHERE user_id = $1)"),
    ("partial_files", "user_id = $1"),
    ("rag_defaults", "user_id = $1"),
    ("relays", "user_id = $1"),
    ("retrieval_cases", "user_id = $1"),
    ("sent_files", "user_id = $1"),
    ("sessions", "user_id = $1"),
    ("tasks", "user_id = $1"),
    ("turn_events", "turn_id IN (SELECT id FROM turns WHERE user_id = $1)"),
    ("turns", "user_id = $1"),
    ("user_seq", "user_id = $1"),
    ("users", "id = $1"),
    ("workspace_counts", "workspace_id IN (SELECT id FROM workspaces WHERE user_id = $1)"),
    ("workspaces", "user_id = $1"),
];
/// Tables that belong to nobody, or that outlive what is deleted.
const OTHERS: &[&str] = &["meta", "writers", "deletions", "model_dims", "step_sentences"];

pub async fn tables(conn: &mut AnyConnection, sqlite: bool) -> Vec<String> {
    let sql = if sqlite {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    } else {
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    };
    let all: Vec<String> = sqlx::query_scalar(sql).fetch_all(conn).await.unwrap();
    // The tables of the migrations, those in which SQLite keeps the full text, and the one that is only where pgvector is
    // (`with_pgvector`).
    let own =
        |t: &String| t != "_sqlx_migrations" && t != "searchable_vectors" && !t.starts_with("chunk_text");
    all.into_iter().filter(own).collect()
}

async fn count(conn: &mut AnyConnection, sql: String) -> i64 {
    sqlx::query(AssertSqlSafe(sql)).fetch_one(conn).await.unwrap().try_get(0).unwrap()
}

/// How many rows of each table are the user's, and how many there are in all.
async fn rows(s: &Database, user: UserId) -> BTreeMap<String, (i64, i64)> {
    let mut conn = s.place.connect().await;
    let sqlite = s.place.url().starts_with("sqlite");
    let known: Vec<&str> = TABLES.iter().map(|(t, _)| *t).chain(OTHERS.iter().copied()).collect();
    for table in tables(&mut conn, sqlite).await {
        assert!(known.contains(&table.as_str()), "nobody has thought about what a deletion does to {table}");
    }
    let mut found = BTreeMap::new();
    for (table, whose) in TABLES {
        let whose = whose.replace("$1", &format!("'{user}'"));
        let own = count(&mut conn, format!("SELECT COUNT(*) FROM {table} WHERE {whose}")).await;
        let all = count(&mut conn, format!("SELECT COUNT(*) FROM {table}")).await;
        found.insert((*table).to_owned(), (own, all));
    }
    let words = count(&mut conn, "SELECT COUNT(*) FROM chunk_text".to_owned()).await;
    found.insert("chunk_text".to_owned(), (0, words));
    found
}

/// An account with some of everything: a document that is ready, one that is being worked on, and one that waits.
pub async fn full_account<S: JobSubject + Deref<Target = Database>>(desk: &Desk<S>) -> UserId {
    let (user, workspace) = desk.home().await;
    let uploaded = async |way| {
        desk.jobs.take_files(desk.new_job(user, workspace, &["ready.txt"]), way).await.unwrap();
        let claim = desk.claim_one("w").await;
        desk.work(&claim, 5).await;
        claim
    };
    uploaded(OnDuplicate::KeepBoth).await;
    // Ready, in its second version.
    let ready = uploaded(OnDuplicate::Replace).await;
    desk.upload(user, workspace, &["half.txt", "waiting.txt"]).await;
    let half = desk.claim_one("w").await;
    desk.work_until(&half, 4, Stage::Indexing).await;
    desk.s.workspace(user, keyword_only()).await;
    let s: &Database = &desk.s;
    let now = desk.now();
    s.store
        .create_session(NewSession {
            id: SessionId::new(s.world().uuid()),
            user_id: user,
            token_hash: format!("session of {user}"),
            user_agent: String::new(),
            device: String::new(),
            ip: String::new(),
            created_at: now,
            expires_at: now.plus_seconds(3_600),
        })
        .await
        .unwrap();
    // What a server that was killed has left to remove.
    let mut conn = s.place.connect().await;
    let sql =
        format!("INSERT INTO dead_chunks (document_id, generation) VALUES ('{}', 7)", ready.document_id);
    sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    // What people and rules made of its passages.
    let document = ready.document_id;
    for sql in [
        format!(
            "INSERT INTO chunk_entities (chunk_id, workspace_id, entity, surface, name, kind, times) \
             SELECT id, '{workspace}', 'x', 'x', 'X', 'name', 1 FROM chunks WHERE document_id = '{document}'"
        ),
        format!(
            "INSERT INTO chunk_relations (chunk_id, workspace_id, source, target, kind) \
             SELECT id, '{workspace}', 'x', 'y', 'uses' FROM chunks WHERE document_id = '{document}'"
        ),
        format!(
            "INSERT INTO chunk_marks (document_id, cut_hash, enabled, updated_at) VALUES ('{document}', 'h', 0, 1)"
        ),
        format!(
            "INSERT INTO retrieval_cases (id, user_id, workspace_id, question, document_id, filename, created_at) \
             VALUES ('case of {user}', '{user}', '{workspace}', '?', '{document}', 'ready.txt', 1)"
        ),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }
    let sql =
        format!("INSERT INTO job_attempts (job_id, attempt, data) VALUES ('{}', 1, '{{}}')", ready.job_id);
    sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    let form = ApiKeyForm { name: "key".into(), scopes: vec!["read".into()], ..ApiKeyForm::default() };
    let key = NewKey {
        id: domain::ApiKeyId::new(s.world().uuid()),
        user_id: user,
        valid: form.check(now).unwrap(),
        secret_hash: format!("key of {user}"),
        prefix: "ihk_".into(),
        command_id: Some(format!("key of {user}")),
        command_print: Some("print".into()),
        created_at: now,
    };
    s.store.create_key(key, 50).await.unwrap();
    s.store.set_default_config(user, Some(RagConfig::default()), now).await.unwrap();
    assert_eq!(s.store.take_unsent("relay", &[user], Duration::ZERO, 1).await.unwrap().len(), 1);
    let file = crate::sent_files::file(s, user, workspace);
    s.store.keep_file(file).await.unwrap();
    s.store.announce_file(crate::partial_files::file(s, user, workspace), None).await.unwrap();
    s.store.create_crawl(crate::crawls::new_crawl(s, user, workspace, 10)).await.unwrap();
    let asked = crate::chats::asked(s.world(), user, workspace, "c", "Where?");
    s.store.begin_turn(asked).await.unwrap();
    // One that could still be brought back.
    let asked = crate::chats::asked(s.world(), user, workspace, "deleted", "When?");
    let deleted = asked.opening.conversation_id.clone();
    s.store.begin_turn(asked).await.unwrap();
    assert!(s.store.delete_conversation(user, &deleted, now).await.unwrap().is_some());
    let id = domain::BulkId::new(s.world().uuid());
    s.store
        .begin_bulk(NewBulk {
            id,
            user_id: user,
            workspace_id: workspace,
            action: BulkAction::Pause,
            tag: None,
            chosen: Chosen::These(vec![ready.document_id]),
            actor: domain::Actor::SYSTEM,
            command_id: None,
            command_print: None,
            created_at: now,
        })
        .await
        .unwrap();
    let id = domain::ExportId::new(s.world().uuid());
    s.store.create_export(NewExport { id, user_id: user, command_id: None, created_at: now }).await.unwrap();
    user
}

async fn begin(s: &Database, user: UserId) -> Deletion {
    let job = JobId::new(s.world().uuid());
    s.store.begin_account_deletion(user, job, s.world().now()).await.unwrap()
}

/// Takes the deletion on until `pieces` were done; answers whether it is through. The pieces are tiny.
async fn go_on(s: &Database, deletion: &Deletion, mut pieces: usize) -> bool {
    let doomed = deletion.doomed;
    let mut left = || {
        pieces = pieces.saturating_sub(1);
        pieces > 0
    };
    loop {
        let documents = s.store.doomed_documents(doomed, 2).await.unwrap();
        let Some(document) = documents.first() else { break };
        // What replaced an earlier version keeps the file that it came with.
        assert!(document.blob_key.starts_with("documents/"));
        s.store.remove_document(doomed, document.id, 2).await.unwrap();
        if !left() {
            return false;
        }
    }
    while !s.store.remove_rows(doomed, 3).await.unwrap() {
        if !left() {
            return false;
        }
    }
    s.store.remove_doomed(deletion, s.world().now()).await.unwrap();
    if !left() {
        return false;
    }
    s.store.end_deletion(deletion.job_id, s.world().now()).await.unwrap();
    true
}

async fn of_a_deleted_account_nothing_is_left_and_of_others_nothing_is_gone(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let desk = Desk::new(s);
    let (ada, bob) = (full_account(&desk).await, full_account(&desk).await);
    let s: &Database = &desk.s;
    let (hers, his) = (rows(s, ada).await, rows(s, bob).await);
    for (table, (own, _)) in &hers {
        assert!(*own > 0 || table == "chunk_text", "the test lacks rows in {table}");
    }
    let told_to_bob = s.store.after(bob, 0, u32::MAX).await.unwrap();

    let deletion = begin(s, ada).await;
    assert!(go_on(s, &deletion, usize::MAX).await);
    assert!(rows(s, ada).await.values().all(|(own, _)| *own == 0), "{:?}", rows(s, ada).await);
    for (table, (own, all)) in rows(s, bob).await {
        assert_eq!(own, his[&table].0, "{table}");
        // What is left in all is his.
        let expected = match table.as_str() {
            // And the counter of those who are gone.
            "user_seq" => own + 1,
            // Both had the same words.
            "chunk_text" => his["chunk_text"].1 / 2,
            _ => own,
        };
        assert_eq!(all, expected, "{table}");
    }
    assert_eq!(s.store.after(bob, 0, u32::MAX).await.unwrap(), told_to_bob);
}

async fn a_deletion_that_was_broken_off_anywhere_goes_on_to_the_same_end(
    mut s: impl JobSubject + DerefMut<Target = Database>,
) {
    let mut pieces = 1;
    loop {
        let desk = Desk::new(s);
        let user = full_account(&desk).await;
        s = desk.s;
        let deletion = begin(&s, user).await;
        let through = go_on(&s, &deletion, pieces).await;
        s.reopen().await;
        // Whoever comes after finds it in the list and needs to know nothing else.
        let found = s.store.deletions(s.world().now(), 10).await.unwrap();
        assert_eq!(found, if through { vec![] } else { vec![deletion] }, "after {pieces} pieces");
        for deletion in &found {
            assert!(go_on(&s, deletion, usize::MAX).await);
        }
        let left = rows(&s, user).await;
        assert!(left.values().all(|(own, _)| *own == 0), "after {pieces} pieces: {left:?}");
        if through {
            break;
        }
        pieces += 1;
    }
    assert!(pieces > 8, "it was broken off at {pieces} places only");
}

async fn from_the_mark_on_nobody_comes_in_and_no_work_goes_on(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let held = desk.claim_one("w").await;
    let s: &Database = &desk.s;
    let account = s.store.user(user).await.unwrap().unwrap();
    let email = Email::parse(&account.email).unwrap();
    assert!(s.store.user_by_email(&email).await.unwrap().is_some());

    let first = begin(s, user).await;
    assert_eq!(begin(s, user).await, first, "a second time is the first");
    assert!(s.store.user_by_email(&email).await.unwrap().is_none());
    assert!(matches!(desk.check(&held, crate::desk::loaded()).await, Err(StoreError::Fenced)));
    assert!(matches!(desk.jobs.release(&held, desk.now()).await, Err(StoreError::Fenced)));
    assert_eq!(desk.jobs.heartbeat(&worker("w"), &[held.document_id], LONG).await.unwrap(), []);
    assert_eq!(desk.claim("other", 10).await.len(), 0);
    let refused = desk.jobs.create_job(desk.new_job(user, workspace, &["late.txt"])).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    // A session or key that was being made at that moment opens nothing.
    let now = desk.now();
    s.store
        .create_session(NewSession {
            id: SessionId::new(s.world().uuid()),
            user_id: user,
            token_hash: "late".into(),
            user_agent: String::new(),
            device: String::new(),
            ip: String::new(),
            created_at: now,
            expires_at: now.plus_seconds(60),
        })
        .await
        .unwrap();
    assert!(s.store.session("late", now).await.unwrap().is_none());
    // The name stays taken until the end.
    let taken = || async {
        let (new, first) = s.new_user(&account.username, &account.email);
        s.store.create_user(new, first).await
    };
    assert!(matches!(taken().await, Err(StoreError::Taken(_))));
    let closed = |sig: &&Signal| matches!(sig, Signal::AccountClosed { user_id } if *user_id == user);
    assert!(s.world().bus.signals().iter().filter(closed).count() > 0);
    assert_eq!(documents.len(), s.store.doomed_documents(first.doomed, 10).await.unwrap().len());

    assert!(go_on(s, &first, usize::MAX).await);
    assert!(taken().await.is_ok(), "the name is free");
    let gone = s.store.begin_account_deletion(user, first.job_id, now).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

async fn somebody_elses_document_is_not_removed(s: impl JobSubject + DerefMut<Target = Database>) {
    let desk = Desk::new(s);
    let (ada, bob) = (full_account(&desk).await, full_account(&desk).await);
    let s: &Database = &desk.s;
    let workspaces = s.store.workspaces(bob, PageQuery::first(10)).await.unwrap().items;
    let mut his: Vec<DocumentId> = vec![];
    for workspace in workspaces {
        let page = desk.documents.documents(bob, workspace.id, None, PageQuery::first(10)).await.unwrap();
        his.extend(page.items.iter().map(|d| d.id));
    }
    assert_eq!(his.len(), 3);
    let before = rows(s, bob).await;
    for id in his {
        assert!(s.store.remove_document(Doomed::Account(ada), id, 10).await.unwrap());
    }
    assert_eq!(rows(s, bob).await, before);
}

async fn the_log_of_all_never_seems_to_have_gone_back(mut s: impl JobSubject + DerefMut<Target = Database>) {
    let epoch = s.store.epoch();
    for _ in 0..2 {
        let user = s.user().await;
        let deletion = begin(&s, user).await;
        assert!(go_on(&s, &deletion, usize::MAX).await);
        s.reopen().await;
        assert_eq!(s.store.epoch(), epoch, "a client could not resume any more");
    }
}

async fn an_ended_deletion_is_kept_for_a_while(s: impl JobSubject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let deletion = begin(&s, user).await;
    assert!(s.store.ended_deletions(s.world().now(), 10).await.unwrap().is_empty(), "it is under way");
    assert!(go_on(&s, &deletion, usize::MAX).await);
    let now = s.world().now();
    assert!(s.store.ended_deletions(now.plus_seconds(-1), 10).await.unwrap().is_empty());
    assert_eq!(s.store.ended_deletions(now, 10).await.unwrap(), [deletion]);
    s.store.forget_deletion(deletion.job_id).await.unwrap();
    assert!(s.store.ended_deletions(now, 10).await.unwrap().is_empty());
}

on_every_database!(
    of_a_deleted_account_nothing_is_left_and_of_others_nothing_is_gone,
    a_deletion_that_was_broken_off_anywhere_goes_on_to_the_same_end,
    from_the_mark_on_nobody_comes_in_and_no_work_goes_on,
    somebody_elses_document_is_not_removed,
    the_log_of_all_never_seems_to_have_gone_back,
    an_ended_deletion_is_kept_for_a_while,
);
