//! Documents of thousands of chunks: they are written, made findable and removed in parts, so that nobody waits for the
//! whole, and what a dead worker left half-done is never read and never doubled.

use crate::{
    desk::{Desk, JobSubject, failed, step, vector_of},
    on_every_database,
    subject::Database,
};
use domain::{
    DocumentId, DocumentStatus, Step,
    ingest::{Checkpoint, Stage, TRIES, control::DocumentControl},
    rag::RagConfig,
};
use services::ports::{Claim, Index, NewReindex, RagConfigs};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::{ops::Deref, pin::pin};

/// Chunks of a document that takes many parts.
const BOOK: u32 = 3_300;
/// More than any part has.
const PART: i64 = 1_000;

/// Databases only: the store in memory has no transactions that anybody could wait for.
trait Kept: JobSubject + Deref<Target = Database> {}
impl<S: JobSubject + Deref<Target = Database>> Kept for S {}

/// How many chunks of a document are in the database, of whatever run.
async fn rows(d: &Desk<impl Kept>, document: DocumentId) -> i64 {
    let mut conn = d.s.place.connect().await;
    let sql = format!("SELECT COUNT(*) FROM chunks WHERE document_id = '{document}'");
    let count = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap().try_get(0).unwrap();
    conn.close().await.unwrap();
    count
}

/// Commits the checkpoint of a book, and sees that somebody else's upload, which came right after it, is through before.
async fn check_without_holding_others_up(d: &Desk<impl Kept>, claim: &Claim, checkpoint: Checkpoint) -> i64 {
    let (other, workspace) = d.home().await;
    let mut working = pin!(d.check(claim, checkpoint));
    let mut upload = pin!(d.upload(other, workspace, &["small.txt"]));
    tokio::select! {
        biased;
        _ = &mut working => panic!("the other had to wait for the whole book"),
        _ = &mut upload => {}
    }
    let meanwhile = rows(d, claim.document_id).await;
    working.await.unwrap();
    meanwhile
}

/// A document that is about to be cut.
async fn about_to_be_cut(d: &Desk<impl Kept>) -> Claim {
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["book.pdf"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    claim
}

async fn embed_all(d: &Desk<impl Kept>, claim: &Claim) {
    let left = d.jobs.unembedded(claim.document_id, BOOK).await.unwrap();
    let vectors = left.iter().map(|c| (c.id, vector_of(c.id))).collect();
    d.check(claim, Checkpoint::Embedded { vectors }).await.unwrap();
}

/// Cuts the book until some of it is written, and is never heard of again.
async fn die_while_cutting(d: &Desk<impl Kept>, claim: &Claim) -> i64 {
    let mut cutting = pin!(d.check(claim, d.chunks_of("book.pdf", BOOK)));
    loop {
        tokio::select! {
            biased;
            _ = &mut cutting => panic!("it was written before anybody could look"),
            () = tokio::task::yield_now() => {}
        }
        // Only what is committed is seen.
        let written = rows(d, claim.document_id).await;
        if written > 0 {
            return written;
        }
    }
}

async fn another_write_waits_for_a_part_and_not_for_the_book(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    let meanwhile = check_without_holding_others_up(&d, &claim, d.chunks_of("book.pdf", BOOK)).await;
    assert!(meanwhile <= 2 * PART, "a transaction was too large: {meanwhile} chunks were there");
    assert_eq!(rows(&d, claim.document_id).await, i64::from(BOOK));
    embed_all(&d, &claim).await;
    d.check(&claim, step(Step::StoringMetadata)).await.unwrap();
    check_without_holding_others_up(&d, &claim, Checkpoint::Indexed).await;
    assert_eq!(d.document(claim.user_id, claim.document_id).await.status, DocumentStatus::Ready);
}

async fn the_last_word_of_a_book_is_found_like_the_first(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    d.check(&claim, d.chunks_of("book.pdf", BOOK)).await.unwrap();
    embed_all(&d, &claim).await;
    assert!(d.s.store.keyword(claim.workspace_id, "0", 5).await.unwrap().is_empty(), "it is not ready");
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    for ordinal in [0, 1, 499, 500, 501, 999, 1_000, BOOK / 2, BOOK - 1] {
        // The number of the passage is one of its words.
        let hits = d.s.store.keyword(claim.workspace_id, &format!("passage {ordinal}"), 3).await.unwrap();
        let (chunk, _) = d.s.store.hits(claim.user_id, &[hits[0].chunk_id]).await.unwrap().remove(0);
        assert_eq!(chunk.ordinal, ordinal);
    }
    assert_eq!(d.s.store.vectors(claim.workspace_id).await.unwrap().1.len(), BOOK as usize);
}

async fn what_a_dead_worker_wrote_of_a_book_is_not_read_and_not_doubled(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    let (user, document) = (claim.user_id, claim.document_id);
    let head = d.log.head(user).await.unwrap();
    let written = die_while_cutting(&d, &claim).await;
    assert!(written < i64::from(BOOK));
    assert_eq!(d.chunks(user, document).await, [], "half of a book is no book");
    assert_eq!(d.document(user, document).await.chunk_count, 0);
    assert_eq!(d.log.head(user).await.unwrap(), head, "nothing was told");

    d.jobs.void_leases().await.unwrap();
    let next = d.claim_one("w2").await;
    assert_eq!((next.document_id, next.stage), (document, Stage::Chunking));
    // Cut by another version of the program, say: into fewer, of which the first are others.
    d.check(&next, d.chunks_of("other.pdf", 700)).await.unwrap();
    assert_eq!(rows(&d, document).await, 700);
    let kept = d.chunks(user, document).await;
    assert!(kept.iter().all(|c| c.text.contains("other.pdf")));
    let late = d.check(&claim, d.chunks_of("book.pdf", BOOK)).await;
    assert!(matches!(late, Err(services::ports::StoreError::Fenced)), "{late:?}");
    assert_eq!(rows(&d, document).await, 700, "the dead worker's hand comes too late");
    d.work_until(&Claim { stage: Stage::Embedding, ..next }, 0, Stage::Done).await;
    assert_eq!(d.document(user, document).await.status, DocumentStatus::Ready);
    assert_eq!(d.document(user, document).await.chunk_count, 700);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_book_that_fails_while_it_is_cut_leaves_no_chunks(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    die_while_cutting(&d, &claim).await;
    d.jobs.void_leases().await.unwrap();
    let next = d.claim_one("w2").await;
    d.check(&next, failed("It could not be cut.")).await.unwrap();
    assert_eq!(rows(&d, claim.document_id).await, 0);
    assert_eq!(d.chunks(claim.user_id, claim.document_id).await, []);
}

async fn the_chunks_of_an_earlier_run_go_in_parts(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    let (user, workspace, document) = (claim.user_id, claim.workspace_id, claim.document_id);
    d.check(&claim, d.chunks_of("book.pdf", BOOK)).await.unwrap();
    embed_all(&d, &claim).await;
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    let config = RagConfig { chunk_size: 500, ..RagConfig::default() };
    d.s.store.set_rag_config(user, workspace, config, d.now()).await.unwrap();
    let new = NewReindex {
        id: domain::JobId::new(d.s.world().uuid()),
        user_id: user,
        workspace_id: workspace,
        command_id: None,
        created_at: d.now(),
    };
    d.jobs.reindex(new).await.unwrap().expect("a stale document");
    let again = d.claim_one("w").await;
    d.work_until(&again, 40, Stage::Indexing).await;
    assert_eq!(rows(&d, document).await, i64::from(BOOK) + 40, "the earlier ones serve until then");
    let meanwhile = check_without_holding_others_up(&d, &again, Checkpoint::Indexed).await;
    assert!(
        meanwhile >= i64::from(BOOK) + 40 - 2 * PART,
        "a transaction was too large: {meanwhile} are left"
    );
    assert_eq!(rows(&d, document).await, 40);
    assert_eq!(d.chunks(user, document).await.len(), 40);
    assert_eq!(d.jobs.drop_dead_chunks().await.unwrap(), 0, "nothing is left to do");
}

/// The document of a book of five passages, claimed to be indexed anew and cut into 40 for that.
async fn indexed_anew(d: &Desk<impl Kept>) -> Claim {
    let claim = about_to_be_cut(d).await;
    d.work_until(&Claim { stage: Stage::Chunking, ..claim.clone() }, 5, Stage::Done).await;
    let config = RagConfig { chunk_size: 500, ..RagConfig::default() };
    d.s.store.set_rag_config(claim.user_id, claim.workspace_id, config, d.now()).await.unwrap();
    let new = NewReindex {
        id: domain::JobId::new(d.s.world().uuid()),
        user_id: claim.user_id,
        workspace_id: claim.workspace_id,
        command_id: None,
        created_at: d.now(),
    };
    d.jobs.reindex(new).await.unwrap().expect("a stale document");
    let again = d.claim_one("w").await;
    d.work_until(&again, 40, Stage::Embedding).await;
    assert_eq!(rows(d, claim.document_id).await, 45);
    again
}

async fn the_chunks_of_a_run_that_ends_by_a_stall_go_at_once(s: impl Kept) {
    let d = Desk::new(s);
    let claim = indexed_anew(&d).await;
    let (user, document) = (claim.user_id, claim.document_id);
    let cancel = DocumentControl::Cancel { keep_results: true };
    d.jobs.control_document(user, document, cancel, d.now()).await.unwrap();
    assert_eq!(rows(&d, document).await, 45, "a worker has it in hand");
    d.s.world().clock.advance_seconds(301);
    assert_eq!(d.jobs.end_stalled(300, 10, d.now()).await.unwrap(), 1);
    assert_eq!(rows(&d, document).await, 5);
    // The same where nobody cancels, and the tries are used up.
    let claim = indexed_anew(&d).await;
    for n in 1..=TRIES {
        d.s.world().clock.advance_seconds(301);
        assert_eq!(d.jobs.end_stalled(300, 10, d.now()).await.unwrap(), 1);
        if n < TRIES {
            d.claim_one("w").await;
        }
    }
    assert_eq!(rows(&d, claim.document_id).await, 5);
    assert_eq!(d.jobs.drop_dead_chunks().await.unwrap(), 0, "nothing is left to do");
}

async fn chunks_that_nobody_removed_are_removed_later(s: impl Kept) {
    let d = Desk::new(s);
    let claim = about_to_be_cut(&d).await;
    d.work_until(&Claim { stage: Stage::Chunking, ..claim.clone() }, 5, Stage::Done).await;
    let document = claim.document_id;
    // What is left when a server is killed right after a document was indexed anew.
    let mut conn = d.s.place.connect().await;
    for sql in [
        format!(
            "INSERT INTO chunks (id, document_id, generation, ordinal, text, content_hash, char_start, char_end, \
             token_count, enabled) SELECT id || 'x', document_id, 77, ordinal, text, content_hash, 0, 0, 0, 1 \
             FROM chunks WHERE document_id = '{document}'"
        ),
        format!("INSERT INTO dead_chunks (document_id, generation) VALUES ('{document}', 77)"),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
    assert_eq!(rows(&d, document).await, 10);
    while d.jobs.drop_dead_chunks().await.unwrap() > 0 {}
    assert_eq!(rows(&d, document).await, 5);
    assert_eq!(d.chunks(claim.user_id, document).await.len(), 5);
}

on_every_database!(
    another_write_waits_for_a_part_and_not_for_the_book,
    the_last_word_of_a_book_is_found_like_the_first,
    what_a_dead_worker_wrote_of_a_book_is_not_read_and_not_doubled,
    a_book_that_fails_while_it_is_cut_leaves_no_chunks,
    the_chunks_of_an_earlier_run_go_in_parts,
    the_chunks_of_a_run_that_ends_by_a_stall_go_at_once,
    chunks_that_nobody_removed_are_removed_later,
);
