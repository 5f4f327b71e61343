//! Finished work: what each checkpoint commits, and that nothing is written twice, late or out of order.

use crate::{
    desk::{Desk, JobSubject, failed, loaded, new_chunk, step, vector_of},
    on_every_store,
};
use domain::{
    DocumentStatus, Event, JobStatus, PhaseName, PhaseStatus, Step,
    ingest::{Checkpoint, Stage},
    resource::{Metrics, Warning},
};
use services::ports::{PageQuery, StoreError};

async fn a_full_run_tells_every_step_and_ends_with_exact_numbers(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let before = d.head(user).await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 5).await;

    assert_eq!(
        d.words_after(user, before).await,
        [
            "a.txt pending",
            "job pending",
            "workspace 0/1 ready",
            "a.txt processing",
            "job running",
            "a.txt extracting_text in_progress",
            "job running",
            // Loaded
            "job running",
            "a.txt extracting_text complete",
            "a.txt chunking_text in_progress",
            "job running",
            // Chunked
            "a.txt chunking_text complete",
            "a.txt duplicate_check in_progress",
            "job running",
            "a.txt duplicate_check complete",
            "a.txt creating_embeddings in_progress",
            "job running",
            // Three vectors, then two
            "a.txt creating_embeddings in_progress",
            "job running",
            "a.txt creating_embeddings in_progress",
            "job running",
            "a.txt creating_embeddings complete",
            "a.txt storing_metadata in_progress",
            "job running",
            "a.txt storing_metadata complete",
            "a.txt finished complete",
            "a.txt complete complete",
            "a.txt ready",
            "job complete: completed",
            "workspace 1/1 ready",
        ]
    );

    let ended = d.job(user, job.job_id).await;
    assert_eq!(ended.status, JobStatus::Completed);
    assert_eq!(
        ended.metrics,
        Metrics {
            documents_total: 1,
            documents_done: 1,
            documents_failed: 0,
            documents_cancelled: 0,
            pages_found: 3,
            chunks_created: 5,
            chunks_embedded: 5,
            chunks_skipped: 0,
            tokens: 20 + 21 + 22 + 23 + 24,
            bytes: 100,
            ..Metrics::default()
        }
    );
    let phases: Vec<_> =
        ended.phase_details.iter().map(|p| (p.name, p.status, p.items_processed, p.items_total)).collect();
    assert_eq!(
        phases,
        [
            (PhaseName::Loading, PhaseStatus::Completed, 1, 1),
            (PhaseName::Chunking, PhaseStatus::Completed, 1, 1),
            (PhaseName::Embedding, PhaseStatus::Completed, 5, 5),
            (PhaseName::Indexing, PhaseStatus::Completed, 5, 5),
        ]
    );
    for p in &ended.phase_details {
        assert!((p.progress - 100.0).abs() < f64::EPSILON);
        assert!(p.started_at.unwrap() <= p.completed_at.unwrap());
    }
    assert!((ended.progress - 100.0).abs() < f64::EPSILON);
    assert_eq!((ended.message.as_str(), ended.completed_at), ("1 document ready", Some(d.s.world().now())));

    let document = d.document(user, documents[0].id).await;
    assert_eq!(
        (document.status, document.chunk_count, document.step),
        (DocumentStatus::Ready, 5, Some(Step::Finished))
    );
    let metadata =
        serde_json::json!({ "characters": 1_000, "pages": 3, "title": "A title", "total_tokens": 110 });
    assert_eq!(document.metadata, metadata);
    let Some(Event::WorkspaceStatus(told)) = d.events_after(user, 0).await.pop() else {
        panic!("the workspace comes last");
    };
    let counts = told.counts;
    assert_eq!(
        (counts.documents, counts.ready, counts.processing, counts.failed, counts.chunks, counts.bytes),
        (1, 1, 0, 0, 5, 100)
    );
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn what_is_published_is_what_is_logged_in_the_same_order(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for claim in d.claim("w", 2).await {
        d.work(&claim, 4).await;
    }
    let logged = d.log.after(user, 0, u32::MAX).await.unwrap();
    let published = d.s.world().bus.events_of(user);
    assert_eq!(logged.len(), published.len());
    for ((l, p), seq) in logged.iter().zip(&published).zip(1..) {
        assert_eq!((l.seq, l), (seq, &**p));
    }
}

async fn chunks_are_kept_as_they_were_made(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    let made: Vec<_> =
        (0..40).map(|n| new_chunk(d.chunk_id(), n, &format!("Text {n} \u{e9}\u{1f600}"))).collect();
    // The order in which they come does not matter.
    let mut shuffled = made.clone();
    shuffled.reverse();
    d.check(&claim, Checkpoint::Chunked { chunks: shuffled }).await.unwrap();
    let kept = d.chunks(user, claim.document_id).await;
    assert_eq!(kept.len(), made.len());
    for (k, m) in kept.iter().zip(&made) {
        assert_eq!(
            (k.id, k.ordinal, &k.text, k.page, &k.heading),
            (m.id, m.ordinal, &m.text, m.page, &m.heading)
        );
        assert_eq!(
            (k.char_start, k.char_end, k.token_count, k.enabled),
            (m.char_start, m.char_end, m.token_count, true)
        );
        assert_eq!(k.document_id, claim.document_id);
    }
}

async fn a_book_of_thousands_of_chunks_is_one_checkpoint(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["book.pdf"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    d.check(&claim, d.chunks_of("book.pdf", 3_000)).await.unwrap();
    let left = d.jobs.unembedded(claim.document_id, 5_000).await.unwrap();
    assert_eq!(left.len(), 3_000);
    assert!(left.windows(2).all(|w| w[0].ordinal + 1 == w[1].ordinal));
    let vectors = left.iter().map(|c| (c.id, vector_of(c.id))).collect();
    d.check(&claim, Checkpoint::Embedded { vectors }).await.unwrap();
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    let job = d.job(user, job.job_id).await;
    assert_eq!((job.status, job.metrics.chunks_embedded), (JobStatus::Completed, 3_000));
}

async fn what_is_left_to_embed_is_listed_exactly(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "other.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 7, Stage::Embedding).await;
    let other = d.claim_one("w").await;
    d.work_until(&other, 3, Stage::Embedding).await;
    let all = d.jobs.unembedded(claim.document_id, 100).await.unwrap();
    assert_eq!(all.iter().map(|c| c.ordinal).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(all, d.chunks(user, claim.document_id).await);
    // Out of order, as several batches may end.
    for n in [5, 0, 3] {
        let vectors = vec![(all[n].id, vector_of(all[n].id))];
        d.check(&claim, Checkpoint::Embedded { vectors }).await.unwrap();
    }
    let left = d.jobs.unembedded(claim.document_id, 3).await.unwrap();
    assert_eq!(left.iter().map(|c| c.ordinal).collect::<Vec<_>>(), [1, 2, 4]);
    let left = d.jobs.unembedded(claim.document_id, 100).await.unwrap();
    assert_eq!(left.iter().map(|c| c.ordinal).collect::<Vec<_>>(), [1, 2, 4, 6]);
}

async fn one_failing_document_does_not_stop_the_others(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["good.txt", "bad.pdf", "fine.txt"]).await;
    let claims = d.claim("w", 3).await;
    d.work(&claims[0], 2).await;
    d.check(&claims[1], step(Step::ExtractingText)).await.unwrap();
    let before = d.head(user).await;
    d.check(&claims[1], failed("The file is damaged.")).await.unwrap();
    assert_eq!(
        d.words_after(user, before).await,
        ["bad.pdf extracting_text error", "bad.pdf failed", "job running", "workspace 1/3 ready"]
    );
    d.work(&claims[2], 2).await;

    let job = d.job(user, job.job_id).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!((job.metrics.documents_done, job.metrics.documents_failed), (2, 1));
    assert_eq!(job.message, "2 of 3 documents ready, 1 failed");
    assert_eq!(job.phase_details[0].error.as_deref(), Some("bad.pdf: The file is damaged."));
    let bad = d.document(user, documents[1].id).await;
    assert_eq!(
        (bad.status, bad.error.as_deref(), bad.error_code.as_deref(), bad.error_hint.as_deref()),
        (DocumentStatus::Failed, Some("The file is damaged."), Some("unreadable"), Some("Try another file."))
    );
    // It is through: nobody gets it again, and its worker cannot go on.
    assert!(d.claim("w", 5).await.is_empty());
    let late = d.check(&claims[1], loaded()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_job_fails_when_all_its_documents_do(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.pdf", "b.pdf"]).await;
    let claims = d.claim("w", 2).await;
    d.check(&claims[0], failed("No.")).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Running);
    let before = d.head(user).await;
    d.check(&claims[1], failed("Neither.")).await.unwrap();
    assert_eq!(
        d.words_after(user, before).await,
        ["b.pdf failed", "job error: failed", "workspace 0/2 ready"]
    );
    let job = d.job(user, job.job_id).await;
    assert_eq!((job.status, job.phase_details[0].status), (JobStatus::Failed, PhaseStatus::Failed));
    assert_eq!(job.message, "None of 2 documents could be processed");
    assert!(job.error.is_some() && job.completed_at.is_some());
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn work_that_comes_out_of_order_is_refused_and_writes_nothing(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    let ids = [documents[0].id];
    let before = d.everything(user, job.job_id, &ids).await;
    for early in [d.chunks_of("a.txt", 2), Checkpoint::Indexed] {
        let refused = d.check(&claim, early).await;
        assert!(matches!(refused, Err(StoreError::Illegal(_))), "{refused:?}");
    }
    assert_eq!(d.everything(user, job.job_id, &ids).await, before);

    d.work_until(&claim, 3, Stage::Embedding).await;
    let before = d.everything(user, job.job_id, &ids).await;
    for doubled in [loaded(), d.chunks_of("a.txt", 9)] {
        let refused = d.check(&claim, doubled).await;
        assert!(matches!(refused, Err(StoreError::Illegal(_))), "{refused:?}");
    }
    assert_eq!(d.everything(user, job.job_id, &ids).await, before);
    // The claim is as good as before.
    let rest = services::ports::Claim { stage: Stage::Embedding, ..claim };
    d.work(&rest, 3).await;
    assert_eq!(d.document(user, ids[0]).await.status, DocumentStatus::Ready);
}

async fn a_vector_that_is_there_is_neither_stored_nor_counted_again(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let claims = d.claim("w", 2).await;
    d.work_until(&claims[0], 4, Stage::Embedding).await;
    d.work_until(&claims[1], 4, Stage::Embedding).await;
    let mine = d.chunks(user, claims[0].document_id).await;
    let theirs = d.chunks(user, claims[1].document_id).await;
    let pair = |c: &domain::Chunk| (c.id, vector_of(c.id));
    let first = Checkpoint::Embedded { vectors: vec![pair(&mine[0]), pair(&mine[1])] };
    d.check(&claims[0], first.clone()).await.unwrap();
    d.check(&claims[0], first).await.unwrap();
    // One known, one doubled within the batch, one of another document, one of nobody's.
    let mixed =
        vec![pair(&mine[1]), pair(&mine[2]), pair(&mine[2]), pair(&theirs[0]), (d.chunk_id(), vec![1.0])];
    d.check(&claims[0], Checkpoint::Embedded { vectors: mixed }).await.unwrap();
    let left = d.jobs.unembedded(claims[0].document_id, 10).await.unwrap();
    assert_eq!(left.iter().map(|c| c.ordinal).collect::<Vec<_>>(), [3]);
    assert_eq!(d.jobs.unembedded(claims[1].document_id, 10).await.unwrap().len(), 4);
    let job = d.job(user, job.job_id).await;
    assert_eq!((job.metrics.chunks_embedded, job.phase_details[2].items_processed), (3, 3));
}

async fn after_a_takeover_at_any_point_the_chunks_are_those_of_an_undisturbed_run(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let undisturbed = {
        d.upload(user, workspace, &["a.txt"]).await;
        let claim = d.claim_one("w").await;
        d.work(&claim, 8).await;
        d.chunks(user, claim.document_id).await
    };
    // How many checkpoints the first worker lives through.
    for lives in 0..9 {
        let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
        let dead = d.claim_and_die("dead", 1).await.remove(0);
        let mut left = lives;
        let steps: [fn() -> Checkpoint; 2] = [|| step(Step::ExtractingText), loaded];
        for checkpoint in steps {
            if left > 0 {
                d.check(&dead, checkpoint()).await.unwrap();
                left -= 1;
            }
        }
        for checkpoint in [step(Step::ChunkingText), d.chunks_of("a.txt", 8), step(Step::CreatingEmbeddings)]
        {
            if left > 0 {
                d.check(&dead, checkpoint).await.unwrap();
                left -= 1;
            }
        }
        while left > 0 {
            let vectors = d.next_vectors(dead.document_id).await;
            d.check(&dead, vectors).await.unwrap();
            left -= 1;
        }

        let heir = d.claim_one("heir").await;
        assert_eq!((heir.document_id, heir.attempt), (dead.document_id, 1));
        d.work(&heir, 8).await;
        // What the dead worker had still in hand comes too late.
        let vectors = d.chunks(user, heir.document_id).await.iter().map(|c| (c.id, vec![9.0])).collect();
        let late = d.check(&dead, Checkpoint::Embedded { vectors }).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");

        let same = |chunks: &[domain::Chunk]| {
            chunks
                .iter()
                .map(|c| (c.ordinal, c.text.clone(), c.char_start, c.token_count))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            same(&d.chunks(user, documents[0].id).await),
            same(&undisturbed),
            "after {lives} checkpoints"
        );
        let job = d.job(user, job.job_id).await;
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(
            (job.metrics.chunks_created, job.metrics.chunks_embedded, job.metrics.documents_done),
            (8, 8, 1),
            "after {lives} checkpoints"
        );
    }
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_document_without_text_becomes_ready_with_a_warning(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["scan.pdf"]).await;
    let claim = d.claim_one("w").await;
    let warnings = vec![Warning { code: "no_text".into(), message: "The pages hold pictures only.".into() }];
    let nothing = Checkpoint::Loaded { pages: None, characters: 0, title: None, warnings: warnings.clone() };
    d.check(&claim, nothing).await.unwrap();
    d.check(&claim, Checkpoint::Chunked { chunks: vec![] }).await.unwrap();
    d.check(&claim, Checkpoint::Embedded { vectors: vec![] }).await.unwrap();
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    let document = d.document(user, claim.document_id).await;
    assert_eq!(
        (document.status, document.chunk_count, document.warnings),
        (DocumentStatus::Ready, 0, warnings)
    );
}

async fn documents_are_listed_newest_first_page_by_page(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let other = d.s.workspace(user, domain::rag::RagConfig::default()).await;
    for n in 0..3 {
        let names: Vec<String> = (0..4).map(|i| format!("{n}-{i}.txt")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        d.upload(user, workspace, &names).await;
    }
    d.upload(user, other, &["elsewhere.txt"]).await;
    let all = d.documents.documents(user, workspace, None, PageQuery::first(200)).await.unwrap();
    assert_eq!((all.items.len(), &all.next), (12, &None));
    assert!(all.items.windows(2).all(|w| (w[0].created_at, w[0].id) > (w[1].created_at, w[1].id)));
    assert!(all.items[0].filename.starts_with("2-"));
    for limit in [1, 5, 12] {
        let (mut paged, mut after) = (vec![], None);
        loop {
            let page =
                d.documents.documents(user, workspace, None, PageQuery { limit, after }).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            paged.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, all.items);
    }
}

async fn chunks_are_listed_in_their_order_page_by_page(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 23, Stage::Embedding).await;
    let (mut ordinals, mut after) = (vec![], None);
    loop {
        let query = PageQuery { limit: 5, after };
        let page = d.documents.chunks(user, claim.document_id, None, query).await.unwrap();
        ordinals.extend(page.items.iter().map(|c| c.ordinal));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ordinals, (0..23).collect::<Vec<_>>());
}

on_every_store!(
    a_full_run_tells_every_step_and_ends_with_exact_numbers,
    what_is_published_is_what_is_logged_in_the_same_order,
    chunks_are_kept_as_they_were_made,
    a_book_of_thousands_of_chunks_is_one_checkpoint,
    what_is_left_to_embed_is_listed_exactly,
    one_failing_document_does_not_stop_the_others,
    a_job_fails_when_all_its_documents_do,
    work_that_comes_out_of_order_is_refused_and_writes_nothing,
    a_vector_that_is_there_is_neither_stored_nor_counted_again,
    after_a_takeover_at_any_point_the_chunks_are_those_of_an_undisturbed_run,
    a_document_without_text_becomes_ready_with_a_warning,
    documents_are_listed_newest_first_page_by_page,
    chunks_are_listed_in_their_order_page_by_page,
);
