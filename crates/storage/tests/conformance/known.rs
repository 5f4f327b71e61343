//! Passages that a workspace has word for word already: they take the vector that is there, and tell which documents are
//! alike. Never those of another workspace.

use crate::{
    desk::{Desk, JobSubject, loaded, new_chunk, step},
    on_every_store,
};
use domain::{
    DocumentId, JobStatus, Step, UserId, WorkspaceId,
    ingest::{Checkpoint, Stage},
};
use services::ports::{Alike, Claim};
use std::collections::BTreeSet;

impl<S: JobSubject> Desk<S> {
    /// A claim on a new document that has just been cut into these passages.
    async fn cut(&self, user: UserId, workspace: WorkspaceId, name: &str, passages: &[&str]) -> Claim {
        self.upload(user, workspace, &[name]).await;
        let claim = self.claim_one("w").await;
        self.check(&claim, step(Step::ExtractingText)).await.unwrap();
        self.check(&claim, loaded()).await.unwrap();
        let chunk = |(n, text): (usize, &&str)| new_chunk(self.chunk_id(), n as u32, text);
        let chunks = passages.iter().enumerate().map(chunk).collect();
        self.check(&claim, Checkpoint::Chunked { chunks }).await.unwrap();
        self.check(&claim, step(Step::CreatingEmbeddings)).await.unwrap();
        claim
    }

    /// Takes it from there to its end, and answers its id.
    async fn finish(&self, claim: &Claim) -> DocumentId {
        let left = Claim { stage: Stage::Embedding, ..claim.clone() };
        self.work(&left, 0).await;
        claim.document_id
    }
}

async fn what_the_workspace_has_is_not_embedded_again(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let first = d.cut(user, workspace, "a.txt", &["one", "two", "three", "four"]).await;
    assert_eq!(d.jobs.known(&first, 10).await.unwrap(), [], "nothing is known yet");
    assert_eq!(d.jobs.most_alike(&first).await.unwrap(), None);
    let a = d.finish(&first).await;
    let second = d.cut(user, workspace, "b.txt", &["two", "new", "three", "four"]).await;
    let like_a = Alike { document_id: a, filename: "a.txt".into(), shared: 3 };
    assert_eq!(d.jobs.most_alike(&second).await.unwrap(), Some(like_a));
    assert_eq!(d.jobs.known(&second, 2).await.unwrap().len(), 2, "no more than asked for");
    let passages = d.jobs.known(&second, 10).await.unwrap();
    assert_eq!(passages.len(), 3);
    d.check(&second, Checkpoint::Known { passages: passages.clone() }).await.unwrap();
    // Told twice, it counts once.
    d.check(&second, Checkpoint::Known { passages }).await.unwrap();
    assert_eq!(d.jobs.known(&second, 10).await.unwrap(), []);
    let left = d.jobs.unembedded(second.document_id, 10).await.unwrap();
    assert_eq!(left.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["new"]);
    let b = d.finish(&second).await;
    let job = d.job(user, second.job_id).await;
    assert_eq!(
        (job.status, job.metrics.chunks_created, job.metrics.chunks_embedded, job.metrics.chunks_skipped),
        (JobStatus::Completed, 4, 4, 3)
    );
    assert_eq!(d.document(user, b).await.metadata["known_chunks"], 3);
}

async fn one_that_is_all_known_is_through_at_once(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let first = d.cut(user, workspace, "a.txt", &["one", "two"]).await;
    d.finish(&first).await;
    let second = d.cut(user, workspace, "again.txt", &["one", "two"]).await;
    let passages = d.jobs.known(&second, 10).await.unwrap();
    d.check(&second, Checkpoint::Known { passages }).await.unwrap();
    let last = Claim { stage: Stage::Indexing, ..second.clone() };
    d.work(&last, 0).await;
    let job = d.job(user, second.job_id).await;
    assert_eq!((job.status, job.metrics.chunks_skipped), (JobStatus::Completed, 2));
    assert!(job.phase_details.iter().all(|p| p.items_processed == p.items_total), "{job:?}");
}

async fn a_text_that_stands_in_it_many_times_is_known_each_time(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let first = d.cut(user, workspace, "a.txt", &["again", "again", "again", "once"]).await;
    let a = d.finish(&first).await;
    let second = d.cut(user, workspace, "b.txt", &["again", "again", "new", "again", "again"]).await;
    let like_a = Alike { document_id: a, filename: "a.txt".into(), shared: 4 };
    assert_eq!(d.jobs.most_alike(&second).await.unwrap(), Some(like_a));
    let passages = d.jobs.known(&second, 10).await.unwrap();
    let mine: BTreeSet<_> = passages.iter().map(|(mine, _)| *mine).collect();
    assert_eq!((passages.len(), mine.len()), (4, 4), "each once");
    d.check(&second, Checkpoint::Known { passages }).await.unwrap();
    assert_eq!(d.jobs.unembedded(second.document_id, 10).await.unwrap().len(), 1);
}

async fn what_another_workspace_or_nobody_finds_is_not_known(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, elsewhere) = d.home().await;
    let theirs = d.cut(other, elsewhere, "theirs.txt", &["one", "two"]).await;
    d.finish(&theirs).await;
    // One that is not ready yet serves nobody.
    let half = d.cut(user, workspace, "half.txt", &["one", "two"]).await;
    let vectors = d.next_vectors(half.document_id).await;
    d.check(&half, vectors).await.unwrap();
    let mine = d.cut(user, workspace, "mine.txt", &["one", "two"]).await;
    assert_eq!(d.jobs.known(&mine, 10).await.unwrap(), []);
    assert_eq!(d.jobs.most_alike(&mine).await.unwrap(), None);
    // What somebody claims to know and is not there gives no vector.
    let invented: Vec<_> = d.jobs.unembedded(mine.document_id, 10).await.unwrap();
    let passages = invented.iter().map(|c| (c.id, d.chunk_id())).collect();
    d.check(&mine, Checkpoint::Known { passages }).await.unwrap();
    assert_eq!(d.jobs.unembedded(mine.document_id, 10).await.unwrap().len(), 2);
}

on_every_store!(
    what_the_workspace_has_is_not_embedded_again,
    one_that_is_all_known_is_through_at_once,
    a_text_that_stands_in_it_many_times_is_known_each_time,
    what_another_workspace_or_nobody_finds_is_not_known,
);

/// Databases only: the store in memory does not know what a model answers.
mod of_another_length {
    use super::*;
    use crate::{desk::vector_of, on_every_database, subject::Database};
    use domain::{
        DocumentStatus,
        ingest::{
            WRONG_DIMENSION,
            control::{Control, Retry},
        },
        rag::{BUILTIN_MODEL, RagConfig},
    };
    use services::ports::{RagConfigs, StoreError};
    use std::ops::Deref;

    trait Kept: JobSubject + Deref<Target = Database> {}
    impl<S: JobSubject + Deref<Target = Database>> Kept for S {}

    /// The model answers vectors of that length from now on; everybody is told.
    async fn answers(d: &Desk<impl Kept>, workspace: WorkspaceId, dim: u32) {
        d.s.store.note_dim(BUILTIN_MODEL, dim).await.unwrap();
        while d.s.store.mark_other_lengths(1).await.unwrap() {}
        while d.jobs.compare(workspace, 1, d.now()).await.unwrap() > 0 {}
    }

    async fn vectors_of_another_length_are_not_copied_and_make_their_document_stale(s: impl Kept) {
        let d = Desk::new(s);
        let (user, workspace) = d.home().await;
        let dim = vector_of(d.chunk_id()).len() as u32;
        let first = d.cut(user, workspace, "a.txt", &["one", "two"]).await;
        let a = d.finish(&first).await;
        answers(&d, workspace, dim).await;
        assert!(!d.document(user, a).await.stale);
        let second = d.cut(user, workspace, "b.txt", &["one", "two"]).await;
        assert_eq!(d.jobs.known(&second, 10).await.unwrap().len(), 2);

        answers(&d, workspace, dim + 1).await;
        let stale = d.document(user, a).await;
        assert!(
            stale.stale && stale.indexed_with.as_ref().is_some_and(|with| with.other_length),
            "{stale:?}"
        );
        assert_eq!(d.jobs.known(&second, 10).await.unwrap(), []);
        // One that is not found yet is stale from its first moment on.
        let b = d.finish(&second).await;
        let stale = d.document(user, b).await;
        assert!(
            stale.stale && stale.indexed_with.as_ref().is_some_and(|with| with.other_length),
            "{stale:?}"
        );
        d.assert_that_the_stream_told_the_truth(user).await;
        let wanted = RagConfig::default();
        let found = d.s.store.stale_documents(user, workspace, &wanted).await.unwrap();
        assert_eq!(found.iter().map(|f| f.id).collect::<BTreeSet<_>>(), BTreeSet::from([a, b]));

        // The old model is there again.
        answers(&d, workspace, dim).await;
        for id in [a, b] {
            assert!(!d.document(user, id).await.stale);
        }
        d.assert_that_the_stream_told_the_truth(user).await;
    }

    async fn a_run_with_vectors_of_two_lengths_fails_and_its_next_attempt_begins_anew(s: impl Kept) {
        let d = Desk::new(s);
        let (user, workspace) = d.home().await;
        let claim = d.cut(user, workspace, "a.txt", &["one", "two", "three"]).await;
        let left = d.jobs.unembedded(claim.document_id, 9).await.unwrap();
        let batch =
            |n: usize, vector: &[f32]| Checkpoint::Embedded { vectors: vec![(left[n].id, vector.to_vec())] };
        d.check(&claim, batch(0, &[1.0, 0.0])).await.unwrap();
        d.check(&claim, batch(1, &[1.0, 0.0, 0.0])).await.unwrap();
        let failed = d.document(user, claim.document_id).await;
        assert_eq!(
            (failed.status, failed.error_code.as_deref()),
            (DocumentStatus::Failed, Some(WRONG_DIMENSION))
        );
        let late = d.check(&claim, batch(2, &[1.0, 0.0, 0.0])).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
        d.jobs.control(user, claim.job_id, Control::Retry(Retry::failed()), d.now()).await.unwrap();
        let again = d.claim_one("w").await;
        assert_eq!(again.stage, Stage::Loading);
        d.work(&again, 3).await;
        assert_eq!(d.document(user, claim.document_id).await.status, DocumentStatus::Ready);
        assert_eq!(d.job(user, claim.job_id).await.status, JobStatus::Completed);
        d.assert_that_the_stream_told_the_truth(user).await;
    }

    async fn what_is_known_is_not_put_beside_vectors_of_another_length(s: impl Kept) {
        let d = Desk::new(s);
        let (user, workspace) = d.home().await;
        let first = d.cut(user, workspace, "a.txt", &["two", "three"]).await;
        d.finish(&first).await;
        let claim = d.cut(user, workspace, "b.txt", &["one", "two"]).await;
        let left = d.jobs.unembedded(claim.document_id, 9).await.unwrap();
        d.check(&claim, Checkpoint::Embedded { vectors: vec![(left[0].id, vec![1.0])] }).await.unwrap();
        answers(&d, workspace, vector_of(d.chunk_id()).len() as u32).await;
        let passages = d.jobs.known(&claim, 10).await.unwrap();
        assert_eq!(passages.len(), 1);
        d.check(&claim, Checkpoint::Known { passages }).await.unwrap();
        let failed = d.document(user, claim.document_id).await;
        assert_eq!(failed.error_code.as_deref(), Some(WRONG_DIMENSION), "{failed:?}");
    }

    on_every_database!(
        what_is_known_is_not_put_beside_vectors_of_another_length,
        vectors_of_another_length_are_not_copied_and_make_their_document_stale,
        a_run_with_vectors_of_two_lengths_fails_and_its_next_attempt_begins_anew,
    );
}
