//! What search reads of a database: words, vectors, live rows.

use crate::{
    desk::{Desk, JobSubject, new_chunk, vector_of},
    on_every_database,
    subject::{Database, Postgres, Sqlite},
};
use domain::{
    ChunkId, UserId, WorkspaceId,
    ingest::{Checkpoint, Stage},
};
use services::ports::{Claim, Index};
use sqlx::{AssertSqlSafe, Executor, raw_sql};
use std::sync::Arc;

/// A store that can be searched.
trait Searched: JobSubject {
    fn index(&self) -> Arc<dyn Index>;
    fn database(&self) -> &Database;
}

macro_rules! searched {
    ($($name:ident),+) => {
        $(impl Searched for $name {
            fn index(&self) -> Arc<dyn Index> {
                Arc::new(self.store.clone())
            }

            fn database(&self) -> &Database {
                &self.0
            }
        })+
    };
}
searched!(Sqlite, Postgres);

/// A document with these passages, on its way up to `until`.
async fn put(
    d: &Desk<impl Searched>,
    user: UserId,
    workspace: WorkspaceId,
    texts: &[&str],
    until: Stage,
) -> (Claim, Vec<ChunkId>) {
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    let chunks: Vec<_> = (0..).zip(texts).map(|(n, text)| new_chunk(d.chunk_id(), n, text)).collect();
    let ids = chunks.iter().map(|c| c.id).collect();
    d.check(&claim, Checkpoint::Chunked { chunks }).await.unwrap();
    d.work_until(&Claim { stage: Stage::Embedding, ..claim.clone() }, 0, until).await;
    (claim, ids)
}

async fn found(d: &Desk<impl Searched>, workspace: WorkspaceId, query: &str) -> Vec<ChunkId> {
    let hits = d.s.index().keyword(workspace, query, 50).await.unwrap();
    assert!(hits.windows(2).all(|w| w[0].rank >= w[1].rank), "best first");
    assert!(hits.iter().all(|h| h.rank.is_finite()));
    hits.into_iter().map(|h| h.chunk_id).collect()
}

async fn words_find_their_passages(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let texts = [
        "The gearbox needs oil every 5000 kilometres.",
        "Check the tyre pressure; see tyre-table in /etc/tyres.conf.",
        "Der Ölstand wird mit dem Messstab geprüft. 北京",
        "Oil for the gearbox: SAE 75W-90, gearbox oil only.",
    ];
    let (_, ids) = put(&d, user, workspace, &texts, Stage::Done).await;
    assert_eq!(found(&d, workspace, "pressure").await, [ids[1]]);
    // In any form of the word, in any case, also within a path.
    assert_eq!(found(&d, workspace, "TYRES").await, [ids[1]]);
    assert_eq!(found(&d, workspace, "messstab").await, [ids[2]]);
    assert_eq!(found(&d, workspace, "北京").await, [ids[2]]);
    assert_eq!(found(&d, workspace, "geprüft").await, [ids[2]]);
    assert_eq!(found(&d, workspace, "75w").await, [ids[3]]);
    // A question finds what has some of its words, most of them first.
    let mut best = found(&d, workspace, "Which oil does the gearbox need?").await;
    best.truncate(2);
    best.sort_unstable();
    assert_eq!(best, [ids[0], ids[3]]);
    // The heading counts too.
    assert_eq!(found(&d, workspace, "Section 3").await.first(), Some(&ids[3]));
    assert!(found(&d, workspace, "bicycle").await.is_empty());
    assert_eq!(d.s.index().keyword(workspace, "oil gearbox", 1).await.unwrap().len(), 1);
}

async fn a_query_is_a_persons_text_whatever_is_in_it(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, ids) = put(&d, user, workspace, &["plain words about apples", "other things"], Stage::Done).await;
    for nothing in [
        "",
        " ",
        "\"",
        "\"\"",
        "'",
        "*",
        "()",
        "-",
        "\u{1f680}\u{1f469}\u{200d}\u{1f680}",
        "\0",
        "&|!:",
        "\\",
        "\u{301}",
        "%",
    ] {
        assert!(found(&d, workspace, nothing).await.is_empty(), "{nothing:?}");
    }
    let long = "apples ".repeat(10_000);
    for apples in [
        "\"apples",
        "apples\"",
        "apples' OR '1'='1",
        "apples AND",
        "NOT apples",
        "apples NEAR(",
        "text : apples",
        "scope : apples",
        "{heading text} : apples",
        "-apples",
        "apples*",
        "^apples",
        "apples & !things:*",
        "apples <-> | ",
        "(apples",
        "apples\0",
        "apples \u{1f34e}",
        "apples; DROP TABLE chunks; --",
        "apples\\",
        "apples $1 %s",
        &long,
    ] {
        assert!(found(&d, workspace, apples).await.contains(&ids[0]), "{apples:?}");
    }
}

async fn only_the_workspace_itself_is_searched(s: impl Searched) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let (ben, bens) = d.home().await;
    let (_, hers) = put(&d, anna, annas, &["a secret about apples"], Stage::Done).await;
    let (_, his) = put(&d, ben, bens, &["apples in public"], Stage::Done).await;
    assert_eq!(found(&d, annas, "apples").await, hers);
    assert_eq!(found(&d, bens, "apples").await, his);
    // Nor does naming the other workspace help.
    let name = annas.uuid().simple();
    assert!(found(&d, bens, &format!("w{name} secret {annas}")).await.is_empty());
    let (_, vectors) = d.s.index().vectors(bens).await.unwrap();
    assert_eq!(vectors.iter().map(|v| v.chunk_id).collect::<Vec<_>>(), his);
    // Hits are the asking user's own.
    let both = [hers[0], his[0]];
    let hits = d.s.index().hits(ben, &both).await.unwrap();
    assert_eq!(hits.iter().map(|(c, _)| c.id).collect::<Vec<_>>(), his);
}

async fn a_document_that_is_not_ready_is_not_found(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let index = d.s.index();
    assert_eq!(index.index_version(workspace).await.unwrap(), 0);
    let (claim, ids) = put(&d, user, workspace, &["apples", "pears"], Stage::Indexing).await;
    assert!(found(&d, workspace, "apples").await.is_empty());
    let (version, vectors) = index.vectors(workspace).await.unwrap();
    assert_eq!((version, vectors.len()), (0, 0));
    assert!(index.hits(user, &ids).await.unwrap().is_empty());

    d.work(&Claim { stage: Stage::Indexing, ..claim.clone() }, 0).await;
    assert_eq!(found(&d, workspace, "apples").await, [ids[0]]);
    let (version, vectors) = index.vectors(workspace).await.unwrap();
    assert_eq!((version, vectors.len()), (1, 2));
    assert_eq!(index.index_version(workspace).await.unwrap(), 1);
    assert_eq!(index.hits(user, &ids).await.unwrap().len(), 2);
    // The next document raises it again; another workspace has its own.
    put(&d, user, workspace, &["plums"], Stage::Done).await;
    assert_eq!(index.index_version(workspace).await.unwrap(), 2);
    let (_, other) = d.home().await;
    assert_eq!(index.index_version(other).await.unwrap(), 0);
}

async fn vectors_come_back_bit_by_bit(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let texts: Vec<String> = (0..50).map(|n| format!("passage {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (_, ids) = put(&d, user, workspace, &texts, Stage::Done).await;
    let (_, mut vectors) = d.s.index().vectors(workspace).await.unwrap();
    vectors.sort_by_key(|v| v.chunk_id);
    assert_eq!(vectors.iter().map(|v| v.chunk_id).collect::<Vec<_>>(), ids);
    for v in vectors {
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&v.vector), bits(&vector_of(v.chunk_id)));
    }
}

async fn hits_are_live_rows_in_the_order_of_the_ids(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let texts: Vec<String> = (0..600).map(|n| format!("passage {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (claim, ids) = put(&d, user, workspace, &texts, Stage::Done).await;
    let mut asked = ids.clone();
    asked.reverse();
    asked.insert(7, d.chunk_id());
    let hits = d.s.index().hits(user, &asked).await.unwrap();
    asked.remove(7);
    assert_eq!(hits.iter().map(|(c, _)| c.id).collect::<Vec<_>>(), asked);
    let (chunk, document) = &hits[0];
    assert_eq!((chunk.text.as_str(), document.id), ("passage 599", claim.document_id));
    assert_eq!((document.filename.as_str(), document.mime_type.as_str()), ("a.txt", "text/plain"));
    assert!(d.s.index().hits(user, &[]).await.unwrap().is_empty());
}

async fn nothing_deleted_or_disabled_is_ever_found(s: impl Searched) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (gone, gone_ids) = put(&d, user, workspace, &["apples gone"], Stage::Done).await;
    let (_, ids) = put(&d, user, workspace, &["apples kept", "apples disabled"], Stage::Done).await;
    let mut conn = d.s.database().place.connect().await;
    let sql = format!(
        "DELETE FROM documents WHERE id = '{}'; UPDATE chunks SET enabled = 0 WHERE id = '{}'",
        gone.document_id, ids[1]
    );
    conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
    assert_eq!(found(&d, workspace, "apples").await, [ids[0]]);
    let (_, vectors) = d.s.index().vectors(workspace).await.unwrap();
    assert_eq!(vectors.iter().map(|v| v.chunk_id).collect::<Vec<_>>(), [ids[0]]);
    let asked = [gone_ids[0], ids[0], ids[1]];
    let hits = d.s.index().hits(user, &asked).await.unwrap();
    assert_eq!(hits.iter().map(|(c, _)| c.id).collect::<Vec<_>>(), [ids[0]]);
    // The words went with their chunk: a new one in its place does not inherit them.
    let words: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM chunk_text").fetch_one(&mut conn).await.unwrap();
    assert_eq!(words, 2);
    let tasks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tasks").fetch_one(&mut conn).await.unwrap();
    assert_eq!(tasks, 1);
}

on_every_database!(
    words_find_their_passages,
    a_query_is_a_persons_text_whatever_is_in_it,
    only_the_workspace_itself_is_searched,
    a_document_that_is_not_ready_is_not_found,
    vectors_come_back_bit_by_bit,
    hits_are_live_rows_in_the_order_of_the_ids,
    nothing_deleted_or_disabled_is_ever_found,
);
