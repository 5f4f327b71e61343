//! Configurations that change: what is stale by them, and indexing that anew while it is found as before.

mod kept;

use crate::{
    desk::{Desk, JobSubject, failed, keyword_only, words},
    on_every_database, on_every_store,
    subject::{Memory, Postgres, Sqlite, Subject},
};
use async_trait::async_trait;
use domain::{
    DocumentId, DocumentStatus, Event, Job, JobId, JobKind, JobStatus, UserId, WorkspaceId,
    ingest::{
        REINDEX_FAILED, Stage,
        control::{Control, Retry},
    },
    rag::{IndexedWith, RagConfig},
};
use services::ports::{NewReindex, PageQuery, RagConfigs, StoreError};

/// A store whose workspaces can be configured.
#[async_trait]
pub(crate) trait Configured: JobSubject {
    async fn configure(&self, user: UserId, workspace: WorkspaceId, config: RagConfig);
}

#[async_trait]
impl Configured for Memory {
    async fn configure(&self, user: UserId, workspace: WorkspaceId, config: RagConfig) {
        self.store.set_rag_config(user, workspace, config, self.world().now()).unwrap();
    }
}

macro_rules! in_a_database {
    ($($name:ident),+) => {
        $(#[async_trait]
        impl Configured for $name {
            async fn configure(&self, user: UserId, workspace: WorkspaceId, config: RagConfig) {
                self.store.set_rag_config(user, workspace, config, self.world().now()).await.unwrap();
            }
        })+
    };
}
in_a_database!(Sqlite, Postgres);

fn short() -> RagConfig {
    RagConfig { chunk_size: 300, chunk_overlap: 50, ..RagConfig::default() }
}

fn shown(model: Option<&str>, chunk_size: u32, chunk_overlap: u32) -> Option<IndexedWith> {
    Some(IndexedWith {
        embedding_model: model.map(str::to_owned),
        chunking_strategy: RagConfig::default().chunking_strategy,
        chunk_size,
        chunk_overlap,
        other_length: false,
    })
}

impl<S: Configured> Desk<S> {
    /// Documents that are ready, with two passages each.
    async fn ready(&self, user: UserId, workspace: WorkspaceId, names: &[&str]) -> Vec<DocumentId> {
        let (_, documents) = self.upload(user, workspace, names).await;
        for _ in names {
            let claim = self.claim_one("w").await;
            self.work(&claim, 2).await;
        }
        documents.iter().map(|d| d.id).collect()
    }

    async fn tell_all(&self, workspace: WorkspaceId) -> usize {
        let mut told = 0;
        loop {
            match self.jobs.compare(workspace, 2, self.now()).await.unwrap() {
                0 => return told,
                n => told += n,
            }
        }
    }

    fn new_reindex(&self, user_id: UserId, workspace_id: WorkspaceId) -> NewReindex {
        let id = JobId::new(self.s.world().uuid());
        NewReindex { id, user_id, workspace_id, command_id: None, created_at: self.now() }
    }

    async fn reindex(&self, user: UserId, workspace: WorkspaceId) -> Option<Job> {
        self.jobs.reindex(self.new_reindex(user, workspace)).await.unwrap()
    }
}

async fn a_document_tells_what_it_was_indexed_with(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt"]).await;
    assert_eq!(documents[0].indexed_with, None);
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 2, Stage::Indexing).await;
    assert_eq!(d.document(user, claim.document_id).await.indexed_with, None, "not before it is found");
    d.work_until(&services::ports::Claim { stage: Stage::Indexing, ..claim.clone() }, 2, Stage::Done).await;
    let ready = d.document(user, claim.document_id).await;
    assert_eq!((ready.stale, ready.indexed_with), (false, shown(Some("all-MiniLM-L6-v2"), 1000, 200)));
    let by_keyword = d.s.workspace(user, keyword_only()).await;
    let id = d.ready(user, by_keyword, &["b.txt"]).await[0];
    assert_eq!(d.document(user, id).await.indexed_with, shown(None, 1000, 200));
}

async fn a_change_marks_exactly_what_it_leaves_behind_and_a_change_back_takes_the_mark_away(
    s: impl Configured,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let other = d.s.workspace(user, RagConfig::default()).await;
    let ids = d.ready(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let elsewhere = d.ready(user, other, &["d.txt"]).await[0];
    let (_, waiting) = d.upload(user, workspace, &["e.txt"]).await;
    // What only search uses leaves everything as it is.
    d.s.configure(user, workspace, RagConfig { top_k: 3, ..RagConfig::default() }).await;
    assert_eq!(d.tell_all(workspace).await, 0);

    d.s.configure(user, workspace, short()).await;
    let base = d.head(user).await;
    assert_eq!(d.tell_all(workspace).await, 3);
    // In batches of two, each with the counts after it.
    let told: Vec<String> = d
        .events_after(user, base)
        .await
        .iter()
        .map(|event| match event {
            Event::DocumentStatus(d) => format!("{} {} stale: {}", d.filename, d.status, d.stale),
            Event::WorkspaceStatus(w) => format!("workspace {} stale", w.counts.stale),
            other => words(other),
        })
        .collect();
    assert_eq!(
        told,
        [
            "a.txt ready stale: true",
            "b.txt ready stale: true",
            "workspace 2 stale",
            "c.txt ready stale: true",
            "workspace 3 stale",
        ]
    );
    for id in &ids {
        let stale = d.document(user, *id).await;
        assert!(stale.stale);
        assert_eq!(
            stale.indexed_with.unwrap().stale_words(),
            "Stale: embedded with all-MiniLM-L6-v2, sentence 1,000 / 200"
        );
    }
    assert!(!d.document(user, elsewhere).await.stale);
    assert!(!d.document(user, waiting[0].id).await.stale, "it has no passages yet");
    assert_eq!(d.tell_all(workspace).await, 0, "nothing is told twice");

    d.s.configure(user, workspace, RagConfig::default()).await;
    assert_eq!(d.tell_all(workspace).await, 3);
    assert!(!d.document(user, ids[0]).await.stale);
    // Who asks for no vectors does not mind those that are there; who asks for other ones does.
    d.s.configure(user, workspace, keyword_only()).await;
    assert_eq!(d.tell_all(workspace).await, 0);
    let another = RagConfig { embedding_model: "another".into(), ..RagConfig::default() };
    d.s.configure(user, workspace, another).await;
    assert_eq!(d.tell_all(workspace).await, 3);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_job_keeps_the_configuration_it_was_made_with(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let first = d.claim_and_die("w1", 1).await.remove(0);
    d.work_until(&first, 2, Stage::Embedding).await;
    d.s.configure(user, workspace, keyword_only()).await;
    d.s.configure(user, workspace, short()).await;
    d.tell_all(workspace).await;
    // Neither the one that is taken over in the middle nor the one that only begins now.
    for _ in 0..2 {
        let claim = d.claim_one("w2").await;
        assert_eq!(claim.rag_config, RagConfig::default());
        d.work(&claim, 2).await;
    }
    for document in documents {
        let ready = d.document(user, document.id).await;
        assert_eq!(ready.indexed_with, shown(Some("all-MiniLM-L6-v2"), 1000, 200));
        assert!(ready.stale, "and says so at once");
    }
    assert_eq!(d.tell_all(workspace).await, 0);
    let (_, new) = d.upload(user, workspace, &["c.txt"]).await;
    let claim = d.claim_one("w2").await;
    assert_eq!(claim.rag_config, short());
    d.work(&claim, 3).await;
    assert!(!d.document(user, new[0].id).await.stale);
}

async fn a_retry_goes_by_what_the_workspace_asks_for_by_now(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for _ in 0..2 {
        let claim = d.claim_one("w").await;
        d.work_until(&claim, 4, Stage::Embedding).await;
        d.check(&claim, failed("The embedding model is not there.")).await.unwrap();
    }
    assert_eq!(d.job(user, job.job_id).await.metrics.chunks_created, 8);
    d.s.configure(user, workspace, short()).await;
    // One alone, and then the other: neither goes on with what was cut before.
    for document in &documents {
        let retry = Control::Retry(Retry::document(document.id));
        d.jobs.control(user, job.job_id, retry, d.now()).await.unwrap();
        let claim = d.claim_one("w").await;
        assert_eq!((claim.document_id, claim.stage), (document.id, Stage::Loading));
        assert_eq!(claim.rag_config, short());
        d.work(&claim, 2).await;
        let ready = d.document(user, document.id).await;
        assert_eq!((ready.status, ready.stale, ready.chunk_count), (DocumentStatus::Ready, false, 2));
        assert_eq!(ready.indexed_with, shown(Some("all-MiniLM-L6-v2"), 300, 50));
        assert_eq!(d.chunks(user, document.id).await.len(), 2);
        d.assert_that_the_stream_told_the_truth(user).await;
    }
    let ended = d.job(user, job.job_id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 3));
    assert_eq!((ended.metrics.chunks_created, ended.metrics.chunks_embedded), (4, 4));
}

async fn the_stale_documents_are_indexed_anew_and_found_as_before_until_then(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let ids = d.ready(user, workspace, &["a.txt", "b.txt"]).await;
    d.s.configure(user, workspace, short()).await;
    d.tell_all(workspace).await;
    let fresh = d.ready(user, workspace, &["c.txt"]).await[0];
    let before = d.chunks(user, ids[0]).await;
    let base = d.head(user).await;

    let job = d.reindex(user, workspace).await.expect("something is stale");
    assert_eq!(
        (job.kind, job.status, job.metrics.documents_total),
        (JobKind::Reindex, JobStatus::Pending, 2)
    );
    assert_eq!(job.metrics.bytes, 200);
    assert_eq!(d.words_after(user, base).await, ["job pending"]);
    assert_eq!(d.document(user, ids[0]).await.status, DocumentStatus::Ready);
    assert_eq!(d.reindex(user, workspace).await, None, "they are in its hands");
    assert_eq!(d.jobs.requeue(user, job.job_id, 1, d.now()).await.unwrap(), 1);
    assert_eq!(d.words_after(user, base).await[1..], ["a.txt pending", "workspace 2/3 ready"]);
    let waiting = d.document(user, ids[0]).await;
    assert_eq!((waiting.job_id, waiting.attempt, waiting.progress), (Some(job.job_id), 2, 0.0));
    assert_eq!(d.reindex(user, workspace).await, None);

    // The second one is taken before it was told.
    let claims = d.claim("w", 2).await;
    assert_eq!(claims.iter().map(|c| c.document_id).collect::<Vec<_>>(), ids);
    assert!(claims.iter().all(|c| c.rag_config == short() && c.stage == Stage::Loading));
    assert_eq!(d.jobs.requeue(user, job.job_id, 9, d.now()).await.unwrap(), 0);
    assert_eq!(d.document(user, ids[1]).await.status, DocumentStatus::Processing);
    d.work_until(&claims[0], 5, Stage::Indexing).await;
    assert_eq!(d.chunks(user, ids[0]).await, before, "what is found is what is shown");
    assert!(d.document(user, ids[0]).await.stale);
    d.work_until(&services::ports::Claim { stage: Stage::Indexing, ..claims[0].clone() }, 5, Stage::Done)
        .await;
    let after = d.chunks(user, ids[0]).await;
    assert_eq!(after.len(), 5);
    assert!(after.iter().all(|c| before.iter().all(|b| b.id != c.id)));
    let anew = d.document(user, ids[0]).await;
    assert_eq!(
        (anew.status, anew.stale, anew.chunk_count, anew.version),
        (DocumentStatus::Ready, false, 5, 1)
    );
    assert_eq!(anew.indexed_with, shown(Some("all-MiniLM-L6-v2"), 300, 50));
    d.work(&claims[1], 5).await;
    let done = d.job(user, job.job_id).await;
    assert_eq!((done.status, done.progress), (JobStatus::Completed, 100.0));
    assert_eq!((done.metrics.documents_done, done.metrics.chunks_embedded), (2, 10));
    assert!(done.phase_details.iter().all(|p| p.items_processed == p.items_total));
    assert_eq!(d.document(user, fresh).await.attempt, 1, "what was right was left alone");
    assert_eq!(d.reindex(user, workspace).await, None);
    // The steps of the new run are the ones that are shown.
    assert!(d.steps(user, ids[0]).await.iter().all(|s| s.attempt == 2 && s.job_id == Some(job.job_id)));
    // Each job keeps those of its own run, one document after the other.
    let of_job = async |job: JobId, most| {
        let steps = d.documents.steps_of_job(user, job, most).await.unwrap();
        let mut documents: Vec<_> = steps.iter().map(|s| s.document_id).collect();
        documents.dedup();
        assert!(steps.iter().all(|s| s.job_id == Some(job)));
        (documents, steps.into_iter().map(|s| s.attempt).max())
    };
    let now = |id: DocumentId| ids.iter().position(|other| *other == id);
    let (anew, attempt) = of_job(job.job_id, 50).await;
    assert_eq!((anew.iter().filter_map(|id| now(*id)).collect::<Vec<_>>(), attempt), (vec![0, 1], Some(2)));
    assert_eq!(of_job(job.job_id, 1).await.0, [ids[0]], "those that began first");
    let jobs = d.jobs.jobs_of(user, workspace, PageQuery::first(9)).await.unwrap().items;
    let upload = jobs.iter().find(|j| j.metrics.documents_total == 2 && j.kind == JobKind::Upload).unwrap();
    assert_eq!(of_job(upload.job_id, 50).await, (ids.clone(), Some(1)), "as they went then");
    let stranger = d.s.user().await;
    assert!(d.documents.steps_of_job(stranger, job.job_id, 50).await.unwrap().is_empty());
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn one_that_cannot_be_indexed_anew_stays_ready_with_its_passages_and_a_warning(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let id = d.ready(user, workspace, &["a.txt"]).await[0];
    let before = d.chunks(user, id).await;
    d.s.configure(user, workspace, short()).await;
    d.tell_all(workspace).await;
    for round in 1..=2 {
        let job = d.reindex(user, workspace).await.expect("it is stale still");
        let claim = d.claim_one("w").await;
        d.work_until(&claim, 4, Stage::Embedding).await;
        let chunked = d.document(user, id).await;
        assert_eq!(chunked.chunk_count, 4);
        d.check(&claim, failed("The model is away.")).await.unwrap();
        let kept = d.document(user, id).await;
        assert_eq!(
            (kept.status, kept.stale, kept.chunk_count, kept.error),
            (DocumentStatus::Ready, true, 2, None)
        );
        let warnings: Vec<_> = kept.warnings.iter().filter(|w| w.code == REINDEX_FAILED).collect();
        assert_eq!(warnings.len(), 1, "in round {round}");
        assert!(warnings[0].message.contains("The model is away. Try another file."), "{warnings:?}");
        assert_eq!(d.chunks(user, id).await, before);
        assert!(d.jobs.unembedded(id, 9).await.unwrap().is_empty(), "nothing of the run is left");
        let job = d.job(user, job.job_id).await;
        assert_eq!((job.status, job.metrics.documents_failed), (JobStatus::Failed, 1));
    }
    d.reindex(user, workspace).await.expect("it is stale still");
    let claim = d.claim_one("w").await;
    d.work(&claim, 3).await;
    let anew = d.document(user, id).await;
    assert_eq!((anew.stale, anew.chunk_count, anew.warnings), (false, 3, vec![]));
}

async fn a_document_that_two_jobs_list_is_done_by_one_of_them_and_both_end(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.ready(user, workspace, &["a.txt", "b.txt"]).await;
    d.s.configure(user, workspace, short()).await;
    d.tell_all(workspace).await;
    let first = d.reindex(user, workspace).await.expect("two are stale").job_id;
    while d.jobs.requeue(user, first, 10, d.now()).await.unwrap() > 0 {}
    let cancel = Control::Cancel { keep_results: true };
    d.jobs.control(user, first, cancel, d.now()).await.unwrap();
    let second = d.reindex(user, workspace).await.expect("they are stale as before").job_id;
    // The first goes on with them before the second has told them that they wait.
    d.jobs.control(user, first, Control::Retry(Retry::failed()), d.now()).await.unwrap();
    assert_eq!(d.jobs.requeue(user, second, 10, d.now()).await.unwrap(), 0, "they are in other hands");
    let mut done = 0;
    loop {
        let claims = d.claim("w", 10).await;
        if claims.is_empty() {
            break;
        }
        assert!(claims.iter().all(|claim| claim.job_id == first));
        for claim in claims {
            d.work(&claim, 3).await;
            done += 1;
        }
    }
    assert_eq!(done, 2);
    assert_eq!(d.job(user, first).await.status, JobStatus::Completed);
    let second = d.job(user, second).await;
    assert_eq!((second.status, second.metrics.documents_total), (JobStatus::Cancelled, 0));
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_repeated_command_answers_the_first_ones_job(s: impl Configured) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.ready(user, workspace, &["a.txt"]).await;
    d.s.configure(user, workspace, short()).await;
    let command =
        |key: &str| NewReindex { command_id: Some(key.to_owned()), ..d.new_reindex(user, workspace) };
    let first = d.jobs.reindex(command("k")).await.unwrap().expect("a job");
    assert_eq!(d.jobs.reindex(command("k")).await.unwrap().expect("the same").job_id, first.job_id);
    assert_eq!(d.jobs.reindex(command("l")).await.unwrap(), None);
    let stranger = d.s.user().await;
    let foreign = d.jobs.reindex(d.new_reindex(stranger, workspace)).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)), "{foreign:?}");
}

on_every_store!(
    a_document_tells_what_it_was_indexed_with,
    a_change_marks_exactly_what_it_leaves_behind_and_a_change_back_takes_the_mark_away,
    a_job_keeps_the_configuration_it_was_made_with,
    a_retry_goes_by_what_the_workspace_asks_for_by_now,
    the_stale_documents_are_indexed_anew_and_found_as_before_until_then,
    one_that_cannot_be_indexed_anew_stays_ready_with_its_passages_and_a_warning,
    a_repeated_command_answers_the_first_ones_job,
    a_document_that_two_jobs_list_is_done_by_one_of_them_and_both_end,
);
