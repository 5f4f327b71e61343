//! What people do to single passages: with their words, vectors and graph in the index, and kept over a re-index.

use crate::{
    desk::{Desk, JobSubject, new_chunk},
    on_every_database,
    subject::Database,
};
use domain::{
    Chunk, ChunkId, DocumentId, OnDuplicate, UserId, WorkspaceId,
    graph::ChunkGraph,
    ingest::{Checkpoint, NewChunk, Stage},
    rag::RagConfig,
};
use services::ports::{
    ChunkChange, Claim, Command, Index, JobStore, NewReindex, PageQuery, Passages, RetrievalCases,
    StoreError, Written,
};
use std::ops::Deref;

trait Kept: JobSubject + Deref<Target = Database> {}
impl<S: JobSubject + Deref<Target = Database>> Kept for S {}

const TEXTS: [&str; 3] = ["apples grow here", "pears grow there", "50 % of_ÄPFEL [1]*"];

fn cut<S: JobSubject>(d: &Desk<S>) -> Vec<NewChunk> {
    (0..).zip(TEXTS).map(|(n, text)| new_chunk(d.chunk_id(), n, text)).collect()
}

async fn put<S: Kept>(d: &Desk<S>, user: UserId, workspace: WorkspaceId) -> (Claim, Vec<ChunkId>) {
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    let chunks = cut(d);
    let ids = chunks.iter().map(|c| c.id).collect();
    d.check(&claim, Checkpoint::Chunked { chunks }).await.unwrap();
    d.work_until(&Claim { stage: Stage::Embedding, ..claim.clone() }, 0, Stage::Done).await;
    (claim, ids)
}

fn written(text: &str) -> Option<Written> {
    Some(Written {
        text: text.to_owned(),
        content_hash: format!("hash of {text}"),
        token_count: 7,
        graph: ChunkGraph::default(),
    })
}

fn change<S: JobSubject>(d: &Desk<S>, user: UserId, document: DocumentId, chunk: ChunkId) -> ChunkChange {
    ChunkChange { user, document, chunk, words: None, enabled: None, vector: None, now: d.now() }
}

/// A vector of the model that the document was embedded with.
fn vector(x: f32) -> Option<(String, Vec<f32>)> {
    Some((RagConfig::default().embedding_model, vec![x, 0.0, 0.0]))
}

async fn found<S: Kept>(d: &Desk<S>, workspace: WorkspaceId, words: &str) -> Vec<ChunkId> {
    d.s.store.keyword(workspace, words, 9).await.unwrap().into_iter().map(|h| h.chunk_id).collect()
}

async fn other_words_are_found_and_the_former_are_not<S: Kept>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (claim, ids) = put(&d, user, workspace).await;
    let (store, document) = (&d.s.store, claim.document_id);
    let version = store.index_version(workspace).await.unwrap();
    let rev = d.document(user, document).await.rev;
    let edit = ChunkChange {
        words: written("quinces only"),
        vector: vector(0.5),
        ..change(&d, user, document, ids[0])
    };
    let edited = store.change_passage(edit.clone()).await.unwrap();
    assert_eq!((edited.text.as_str(), edited.token_count, edited.edited), ("quinces only", 7, true));
    assert_eq!(found(&d, workspace, "quinces").await, [ids[0]]);
    assert!(found(&d, workspace, "apples").await.is_empty());
    let (now, vectors) = store.vectors(workspace).await.unwrap();
    assert_eq!(now, version + 1);
    let own = vectors.iter().find(|v| v.chunk_id == ids[0]).unwrap();
    assert_eq!((own.vector.as_slice(), vectors.len()), (&[0.5, 0.0, 0.0][..], 3));
    assert!(d.document(user, document).await.rev > rev, "everybody is told");
    // Words that are put back are the document's own.
    let back = ChunkChange {
        words: written(TEXTS[0]).map(|w| Written { token_count: 20, ..w }),
        vector: vector(0.25),
        ..change(&d, user, document, ids[0])
    };
    let back = store.change_passage(back).await.unwrap();
    assert_eq!((back.text.as_str(), back.edited), (TEXTS[0], false));
    assert_eq!(found(&d, workspace, "apples").await, [ids[0]]);
    // New words without a vector would be found by what they no longer say.
    let half = ChunkChange { words: written("x"), ..change(&d, user, document, ids[0]) };
    assert!(matches!(store.change_passage(half).await, Err(StoreError::Refused(_))));
    let other = Some(("another".to_owned(), vec![1.0]));
    let other = ChunkChange { vector: other, ..change(&d, user, document, ids[0]) };
    assert!(matches!(store.change_passage(other).await, Err(StoreError::Refused(_))));
    // Nor is it found beside the others by a vector of another length.
    let longer = Some((RagConfig::default().embedding_model, vec![0.5; 4]));
    let longer = ChunkChange { words: written("y"), vector: longer, ..change(&d, user, document, ids[0]) };
    let Err(StoreError::Refused(refusal)) = store.change_passage(longer).await else {
        panic!("it was taken over");
    };
    assert_eq!(refusal.code, "document_stale");
    assert_eq!(found(&d, workspace, "apples").await, [ids[0]]);
}

async fn one_that_is_switched_off_is_not_found_and_comes_back<S: Kept>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (claim, ids) = put(&d, user, workspace).await;
    let (store, document) = (&d.s.store, claim.document_id);
    let off = ChunkChange { enabled: Some(false), ..change(&d, user, document, ids[1]) };
    assert!(!store.change_passage(off.clone()).await.unwrap().enabled);
    assert!(found(&d, workspace, "pears").await.is_empty());
    assert_eq!(store.vectors(workspace).await.unwrap().1.len(), 2);
    assert!(store.hits(user, &[ids[1]]).await.unwrap().is_empty());
    // What is so already is told nobody.
    let (version, head) = (store.index_version(workspace).await.unwrap(), d.log.head(user).await.unwrap());
    store.change_passage(off.clone()).await.unwrap();
    assert_eq!(store.index_version(workspace).await.unwrap(), version);
    assert_eq!(d.log.head(user).await.unwrap(), head);
    store.change_passage(ChunkChange { enabled: Some(true), ..off }).await.unwrap();
    assert_eq!(found(&d, workspace, "pears").await, [ids[1]]);
}

async fn what_was_done_outlives_a_reindex_that_cuts_the_same<S: Kept>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (claim, ids) = put(&d, user, workspace).await;
    let (store, document) = (&d.s.store, claim.document_id);
    let edit =
        ChunkChange { words: written("quinces"), vector: vector(0.5), ..change(&d, user, document, ids[0]) };
    store.change_passage(edit).await.unwrap();
    store
        .change_passage(ChunkChange { enabled: Some(false), ..change(&d, user, document, ids[1]) })
        .await
        .unwrap();
    let marks = store.marks(&claim).await.unwrap();
    assert_eq!(marks.len(), 2);
    let mut chunks = cut(&d);
    for chunk in &mut chunks {
        if let Some(mark) = marks.iter().find(|m| m.cut_hash == chunk.content_hash) {
            chunk.take(mark);
        }
    }
    let told: Vec<_> = chunks.iter().map(|c| (c.text.as_str(), c.enabled, c.cut_hash.is_some())).collect();
    assert_eq!(told, [("quinces", true, true), (TEXTS[1], false, false), (TEXTS[2], true, false)]);
    // Made stale by hand, so that it is indexed anew.
    let mut conn = d.s.place.connect().await;
    sqlx::query("UPDATE documents SET cut_with = 'x', stale = 1").execute(&mut conn).await.unwrap();
    let new = NewReindex {
        id: domain::JobId::new(d.s.world().uuid()),
        user_id: user,
        workspace_id: workspace,
        command_id: None,
        created_at: d.now(),
    };
    store.reindex(new).await.unwrap().unwrap();
    let next = d.claim_one("w").await;
    // While it is worked on nobody changes anything.
    let busy =
        store.change_passage(ChunkChange { enabled: Some(true), ..change(&d, user, document, ids[1]) }).await;
    let free: &[&str] = &["paused", "cancelled"];
    assert!(
        matches!(busy, Err(StoreError::Refused(r)) if r.code == "document_busy" && r.allowed == Some(free))
    );
    d.work_until(&next, 0, Stage::Chunking).await;
    d.check(&next, Checkpoint::Chunked { chunks }).await.unwrap();
    d.work_until(&Claim { stage: Stage::Embedding, ..next }, 0, Stage::Done).await;
    let kept: Vec<Chunk> = d.chunks(user, document).await;
    let told: Vec<_> = kept.iter().map(|c| (c.text.as_str(), c.enabled, c.edited)).collect();
    assert_eq!(told, [("quinces", true, true), (TEXTS[1], false, false), (TEXTS[2], true, false)]);
    assert!(found(&d, workspace, "pears").await.is_empty());
    assert_eq!(found(&d, workspace, "quinces").await.len(), 1);
}

async fn passages_are_the_owners_and_found_by_their_words<S: Kept>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, _) = d.home().await;
    let (claim, ids) = put(&d, user, workspace).await;
    let (store, document) = (&d.s.store, claim.document_id);
    assert_eq!(store.passage(user, document, ids[2]).await.unwrap().unwrap().text, TEXTS[2]);
    assert!(store.passage(other, document, ids[2]).await.unwrap().is_none());
    assert!(store.passage(user, d.document_id(), ids[2]).await.unwrap().is_none());
    assert_eq!(store.neighbours(user, document, 1).await.unwrap(), (Some(ids[0]), Some(ids[2])));
    assert_eq!(store.neighbours(user, document, 2).await.unwrap(), (Some(ids[1]), None));
    assert_eq!(store.neighbours(other, document, 1).await.unwrap(), (None, None));
    let theirs = ChunkChange { enabled: Some(false), ..change(&d, other, document, ids[2]) };
    assert!(matches!(store.change_passage(theirs).await, Err(StoreError::NotFound)));
    let with =
        |words: &'static str, limit| store.passages_with(user, document, words, PageQuery::first(limit));
    let ids_of =
        |page: domain::resource::Page<Chunk>| page.items.into_iter().map(|c| c.id).collect::<Vec<_>>();
    assert_eq!(ids_of(with("GROW", 9).await.unwrap()), ids[..2]);
    assert_eq!(ids_of(with("50 % of_", 9).await.unwrap()), ids[2..]);
    assert_eq!(ids_of(with("äpfel [1]*", 9).await.unwrap()), ids[2..], "letters beyond ASCII have cases too");
    assert!(with("o%f", 9).await.unwrap().items.is_empty(), "a sign stands for itself");
    assert_eq!(ids_of(with("section 1", 9).await.unwrap()), [ids[1]], "the heading counts");
    let first = with("grow", 1).await.unwrap();
    let next = PageQuery { limit: 1, after: first.next.clone() };
    assert_eq!(ids_of(store.passages_with(user, document, "grow", next).await.unwrap()), [ids[1]]);
    assert!(
        store.passages_with(other, document, "grow", PageQuery::first(9)).await.unwrap().items.is_empty()
    );
}

async fn passages_of_a_replaced_version_are_read_under_the_ids_that_they_had<S: Kept>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, _) = d.home().await;
    let (claim, ids) = put(&d, user, workspace).await;
    let (store, document) = (&d.s.store, claim.document_id);
    let before = store.passage(user, document, ids[0]).await.unwrap().unwrap();
    assert_eq!(store.old_passage(user, document, ids[0]).await.unwrap(), None, "searches find it");
    let mut new = d.new_job(user, workspace, &["a.txt"]);
    new.documents[0].content_hash = "hash of other words".to_owned();
    d.jobs.take_files(new, OnDuplicate::Replace).await.unwrap();
    let next = d.claim_one("w").await;
    assert_eq!((next.document_id, next.version), (document, 2));
    d.work_until(&next, 0, Stage::Chunking).await;
    d.check(&next, Checkpoint::Chunked { chunks: cut(&d) }).await.unwrap();
    d.work_until(&Claim { stage: Stage::Embedding, ..next.clone() }, 0, Stage::Done).await;
    assert_eq!(store.passage(user, document, ids[0]).await.unwrap(), None);
    assert_eq!(store.old_passage(user, document, ids[0]).await.unwrap(), Some(before));
    assert_eq!(store.old_passage(other, document, ids[0]).await.unwrap(), None);
    assert_eq!(store.old_passage(user, d.document_id(), ids[0]).await.unwrap(), None);
}

async fn cases_are_kept_with_their_workspace<S: Kept>(s: S) {
    use domain::{
        CaseId,
        retrieval::{CasePassage, RetrievalCase},
    };
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, others) = d.home().await;
    let store = &d.s.store;
    let case = |workspace_id, passage| RetrievalCase {
        id: CaseId::new(d.s.world().uuid()),
        workspace_id,
        question: "Where do apples\0 grow?".into(),
        document_id: d.document_id(),
        filename: "a.txt".into(),
        passage,
        created_at: d.now(),
    };
    let passage = CasePassage { char_start: 3, char_end: 9, excerpt: "apples".into() };
    let command = |print: &str| Some(Command { id: "POST /cases key".to_owned(), print: print.to_owned() });
    let first = store.add_case(user, case(workspace, Some(passage)), command("a")).await.unwrap();
    assert_eq!(first.question, "Where do apples\u{fffd} grow?");
    let second = store.add_case(user, case(workspace, None), None).await.unwrap();
    let again = store.add_case(user, case(workspace, None), command("a")).await;
    assert_eq!(again.unwrap(), first, "the same command");
    let reused = store.add_case(user, case(workspace, None), command("b")).await;
    assert!(matches!(reused, Err(StoreError::OtherCommand)), "{reused:?}");
    assert_eq!(store.cases(user, workspace).await.unwrap(), [first.clone(), second.clone()]);
    assert!(store.cases(other, workspace).await.unwrap().is_empty());
    assert!(matches!(store.add_case(other, case(workspace, None), None).await, Err(StoreError::NotFound)));
    assert!(!store.remove_case(other, workspace, first.id).await.unwrap());
    assert!(!store.remove_case(other, others, first.id).await.unwrap());
    assert!(store.remove_case(user, workspace, first.id).await.unwrap());
    assert!(!store.remove_case(user, workspace, first.id).await.unwrap());
    for _ in 1..200 {
        store.add_case(user, case(workspace, None), None).await.unwrap();
    }
    let refused = store.add_case(user, case(workspace, None), None).await;
    assert!(matches!(refused, Err(StoreError::Refused(refusal)) if refusal.code == "too_many_cases"));
}

on_every_database!(
    other_words_are_found_and_the_former_are_not,
    one_that_is_switched_off_is_not_found_and_comes_back,
    what_was_done_outlives_a_reindex_that_cuts_the_same,
    passages_are_the_owners_and_found_by_their_words,
    passages_of_a_replaced_version_are_read_under_the_ids_that_they_had,
    cases_are_kept_with_their_workspace,
);
