//! Documents of external workspaces: the built-in workers leave them alone, and what an outside worker reports changes
//! document, job and counts by the same tables.

use crate::{
    desk::{Desk, JobSubject, words},
    on_every_store,
};
use domain::{
    Document, DocumentId, DocumentStatus, UserId, WorkspaceId,
    ingest::{
        Stage,
        control::{Control, DocumentControl},
    },
    message::{Sentence, WRITTEN, say},
    rag::RagConfig,
    report::DocumentReport,
    status::{Halt, JobStatus, PhaseStatus, Processor},
};
use services::ports::{NewReindex, StoreError};

use DocumentStatus::{Failed, Pending, Processing, Ready};

impl<S: JobSubject> Desk<S> {
    /// A user with an external workspace.
    async fn outside(&self) -> (UserId, WorkspaceId) {
        let user = self.s.user().await;
        let workspace = self.s.workspace(user, RagConfig::default()).await;
        self.s.set_processor(user, workspace, Processor::External).await;
        (user, workspace)
    }

    async fn say(
        &self,
        user: UserId,
        id: DocumentId,
        report: DocumentReport,
    ) -> Result<Document, StoreError> {
        self.jobs.report_document(user, id, report, self.now()).await
    }

    /// So many seconds go by, and the watchdog looks for what was silent for five minutes.
    async fn listen(&self, seconds: i64) -> usize {
        self.s.world().clock.advance_seconds(seconds);
        self.jobs.tell_unheard(300, 10, self.now()).await.unwrap()
    }
}

fn step(name: &str, progress: Option<f64>) -> DocumentReport {
    DocumentReport { step: Some(name.into()), progress, ..DocumentReport::of(Processing) }
}

async fn reports_take_a_job_to_its_end_with_totals_that_fit(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    assert_eq!(job.queue_position, None);
    assert!(desk.claim("w", 10).await.is_empty(), "the built-in workers leave it alone");
    let base = desk.head(user).await;
    let (a, b) = (documents[0].id, documents[1].id);

    let told = desk.say(user, a, step("extracting_text", None)).await.unwrap();
    assert_eq!((told.status, told.progress), (Processing, 25.0));
    desk.say(user, a, step("extracting_text", Some(40.0))).await.unwrap();
    assert_eq!(desk.job(user, job.job_id).await.progress.round(), 20.0);
    desk.say(user, a, step("own_step", Some(30.0))).await.unwrap();
    let done = DocumentReport { chunk_count: Some(9), ..DocumentReport::of(Ready) };
    let ready = desk.say(user, a, done).await.unwrap();
    assert_eq!((ready.status, ready.progress, ready.chunk_count), (Ready, 100.0, 9));
    assert_eq!(desk.job(user, job.job_id).await.status, JobStatus::Running);
    let failed = DocumentReport { error: Some("No page.".into()), ..DocumentReport::of(Failed) };
    desk.say(user, b, failed).await.unwrap();

    let told: Vec<String> = desk.events_after(user, base).await.iter().map(words).collect();
    assert_eq!(
        told,
        [
            "a.txt extracting_text in_progress",
            "a.txt processing",
            "job running",
            "a.txt extracting_text in_progress",
            "job running",
            "a.txt extracting_text complete",
            "a.txt own_step in_progress",
            "a.txt own_step complete",
            "a.txt finished complete",
            "a.txt ready",
            "job running",
            "workspace 1/2 ready",
            "b.txt failed",
            "job complete: completed",
            "workspace 1/2 ready",
        ]
    );
    let ended = desk.job(user, job.job_id).await;
    assert_eq!((ended.status, ended.progress), (JobStatus::Completed, 100.0));
    let m = ended.metrics;
    assert_eq!((m.documents_done, m.documents_failed, m.chunks_created, m.chunks_embedded), (1, 1, 9, 9));
    for phase in &ended.phase_details {
        assert_eq!(phase.status, PhaseStatus::Completed, "{phase:?}");
        assert_eq!(phase.items_processed, phase.items_total, "{phase:?}");
    }
    desk.assert_that_the_stream_told_the_truth(user).await;
    assert!(desk.claim("w", 10).await.is_empty());
}

async fn a_report_that_is_repeated_or_refused_changes_nothing(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let id = documents[0].id;
    let stranger = desk.s.user().await;
    let all = async || desk.everything(user, job.job_id, &[id]).await;
    let before = all().await;
    for (user, report) in [
        (stranger, DocumentReport::of(Processing)),
        (user, DocumentReport::of(Ready)),
        (user, DocumentReport::of(Pending)),
    ] {
        let answer = desk.say(user, id, report).await;
        if let Ok(document) = answer {
            assert_eq!(document.status, Pending);
        }
    }
    assert_eq!(all().await, before);

    let reports = [
        step("validating", Some(50.0)),
        DocumentReport { metadata: Some(serde_json::json!({ "a": 1 })), ..step("own_step", None) },
        DocumentReport { chunk_count: Some(3), ..DocumentReport::of(Ready) },
    ];
    for report in reports {
        desk.say(user, id, report.clone()).await.unwrap();
        let before = all().await;
        desk.say(user, id, report).await.unwrap();
        assert_eq!(all().await, before);
    }
    let before = all().await;
    for status in [Pending, Processing, Failed] {
        let refused = desk.say(user, id, DocumentReport::of(status)).await;
        assert!(matches!(refused, Err(StoreError::Illegal(_))), "{refused:?}");
    }
    assert_eq!(all().await, before);
}

async fn what_a_built_in_worker_has_begun_it_finishes(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let begun = desk.claim_one("w").await;
    desk.work_until(&begun, 4, Stage::Embedding).await;
    desk.s.set_processor(user, workspace, Processor::External).await;
    let refused = desk.say(user, begun.document_id, DocumentReport::of(Failed)).await;
    assert!(matches!(refused, Err(StoreError::Refused(r)) if r.code == "builtin_at_work"), "{refused:?}");
    // Given back, it is still theirs.
    desk.jobs.release(&begun, desk.now()).await.unwrap();
    let again = desk.claim("w", 10).await;
    assert_eq!(again.iter().map(|c| c.document_id).collect::<Vec<_>>(), [begun.document_id]);
    desk.work(&again[0], 4).await;
    assert_eq!(desk.document(user, begun.document_id).await.status, Ready);
    // The other one waited, and is the outside worker's.
    let other = documents.iter().map(|d| d.id).find(|id| *id != begun.document_id).unwrap();
    desk.say(user, other, DocumentReport::of(Processing)).await.unwrap();
    let done = desk.say(user, other, DocumentReport::of(Ready)).await.unwrap();
    let job = desk.job(user, done.job_id.unwrap()).await;
    assert_eq!((job.status, job.metrics.documents_done), (JobStatus::Completed, 2));
}

async fn turned_back_a_workspace_is_the_built_in_workers_again(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let report = DocumentReport { chunk_count: Some(77), ..step("creating_embeddings", Some(80.0)) };
    desk.say(user, documents[0].id, report).await.unwrap();
    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    let refused = desk.say(user, documents[0].id, DocumentReport::of(Ready)).await;
    assert!(matches!(refused, Err(StoreError::Refused(r)) if r.code == "not_external"), "{refused:?}");
    for claim in desk.claim("w", 10).await {
        assert_eq!(claim.stage, Stage::Loading, "it is begun anew");
        desk.work(&claim, 5).await;
    }
    let first = desk.document(user, documents[0].id).await;
    assert_eq!((first.status, first.chunk_count), (Ready, 5));
    let job = desk.job(user, job.job_id).await;
    assert_eq!(
        (job.status, job.metrics.documents_done, job.metrics.chunks_created),
        (JobStatus::Completed, 2, 10)
    );
    assert!(job.phase_details.iter().all(|p| p.items_processed == p.items_total), "{job:?}");
}

async fn what_an_outside_worker_made_ready_is_stale_for_the_built_in_ones(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let done = DocumentReport { chunk_count: Some(77), ..DocumentReport::of(Ready) };
    for document in &documents {
        desk.say(user, document.id, DocumentReport::of(Processing)).await.unwrap();
        desk.say(user, document.id, done.clone()).await.unwrap();
    }
    let compare = async || desk.jobs.compare(workspace, 10, desk.now()).await.unwrap();
    let stale = async || {
        let mut stale = vec![];
        for document in &documents {
            stale.push(desk.document(user, document.id).await.stale);
        }
        stale
    };
    let new = || NewReindex {
        id: domain::JobId::new(desk.s.world().uuid()),
        user_id: user,
        workspace_id: workspace,
        command_id: None,
        created_at: desk.now(),
    };
    assert_eq!((compare().await, stale().await), (0, vec![false, false]), "its passages are with its worker");
    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    assert_eq!((compare().await, stale().await), (2, vec![true, true]));
    assert_eq!(compare().await, 0, "it is told once");
    desk.s.set_processor(user, workspace, Processor::External).await;
    assert_eq!((compare().await, stale().await), (2, vec![false, false]));
    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    compare().await;

    let job = desk.jobs.reindex(new()).await.unwrap().expect("they are stale");
    assert_eq!(job.metrics.documents_total, 2);
    let claims = desk.claim("w", 10).await;
    assert!(claims.iter().all(|c| c.stage == Stage::Loading));
    desk.work(&claims[0], 5).await;
    let indexed = desk.document(user, claims[0].document_id).await;
    assert_eq!((indexed.status, indexed.chunk_count, indexed.stale), (Ready, 5, false));
    assert_eq!(desk.chunks(user, indexed.id).await.len(), 5);
    desk.check(&claims[1], crate::desk::failed("It is damaged.")).await.unwrap();
    let lost = desk.document(user, claims[1].document_id).await;
    assert_eq!(lost.status, Failed, "there is nothing here that could serve on");
    assert!(desk.jobs.reindex(new()).await.unwrap().is_none());
    desk.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_document_of_which_nothing_is_reported_says_so_until_the_next_report(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let (a, b, c) = (documents[0].id, documents[1].id, documents[2].id);
    let first = desk.say(user, a, step("extracting_text", Some(40.0))).await.unwrap();
    desk.say(user, b, step("own_step", None)).await.unwrap();
    assert_eq!(desk.listen(290).await, 0, "it is not long enough");
    // What says nothing new is a word as well.
    desk.say(user, b, step("own_step", None)).await.unwrap();

    let before = desk.head(user).await;
    assert_eq!(desk.listen(20).await, 1);
    assert_eq!(desk.words_after(user, before).await, ["a.txt processing"]);
    let told = desk.document(user, a).await;
    let why = say(WRITTEN, &Sentence::Unheard { since: first.updated_at });
    assert_eq!(told.stalled(), Some(why.as_str()));
    let stands = |d: &Document| (d.status, d.step.clone(), d.message.clone(), d.progress, d.attempt);
    assert_eq!(stands(&told), stands(&first), "nothing is done about it");
    assert_eq!(desk.job(user, job.job_id).await.halted, None, "of the other one something is heard");
    assert_eq!(desk.listen(1).await, 0, "it is said once");
    assert!(desk.claim("w", 10).await.is_empty());

    let before = desk.head(user).await;
    assert_eq!(desk.listen(300).await, 1);
    assert_eq!(desk.words_after(user, before).await, ["b.txt processing", "job running"]);
    assert_eq!(desk.job(user, job.job_id).await.halted, Some(Halt::Stalled), "nothing else is in work");
    let before = desk.head(user).await;
    let again = desk.say(user, a, step("extracting_text", Some(40.0))).await.unwrap();
    assert_eq!((again.stalled(), again.warnings.len()), (None, 0));
    assert_eq!(desk.job(user, job.job_id).await.halted, None);
    assert_eq!(desk.words_after(user, before).await, ["a.txt processing", "job running"]);
    let ready = desk.say(user, b, DocumentReport::of(Ready)).await.unwrap();
    assert_eq!((ready.status, ready.warnings.len()), (Ready, 0));

    assert_eq!(desk.listen(1_000_000).await, 1, "what is through and what waits is not looked at");
    assert_eq!(desk.document(user, c).await.status, Pending);
    assert!(desk.document(user, a).await.stalled().is_some());
    desk.assert_that_the_stream_told_the_truth(user).await;
}

async fn what_nobody_could_report_of_has_its_whole_time_from_when_somebody_can(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, workspace) = desk.outside().await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt"]).await;
    let id = documents[0].id;
    desk.say(user, id, step("extracting_text", None)).await.unwrap();
    desk.jobs.control(user, job.job_id, Control::Pause, desk.now()).await.unwrap();
    assert_eq!(desk.listen(1_000).await, 0, "its job stands");
    desk.jobs.control(user, job.job_id, Control::Resume, desk.now()).await.unwrap();
    assert_eq!(desk.listen(290).await, 0);

    desk.jobs.control_document(user, id, DocumentControl::Pause, desk.now()).await.unwrap();
    assert_eq!(desk.listen(1_000).await, 0, "it stands itself");
    desk.jobs.control_document(user, id, DocumentControl::Resume, desk.now()).await.unwrap();
    assert_eq!(desk.listen(290).await, 0);

    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    assert_eq!(desk.listen(1_000).await, 0, "it is the built-in workers'");
    desk.s.set_processor(user, workspace, Processor::External).await;
    assert_eq!(desk.listen(290).await, 0);
    assert_eq!(desk.listen(20).await, 1);
    assert!(desk.document(user, id).await.stalled().is_some());

    // Whoever takes it over and gets on takes the word back as well.
    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    let claim = desk.claim_one("w").await;
    desk.work(&claim, 3).await;
    let ready = desk.document(user, id).await;
    assert_eq!((ready.status, ready.warnings.len()), (Ready, 0));
    desk.assert_that_the_stream_told_the_truth(user).await;
}

async fn jobs_of_external_workspaces_hold_nobody_up_in_the_queue(s: impl JobSubject) {
    let desk = Desk::new(s);
    let (user, outside) = desk.outside().await;
    let inside = desk.s.workspace(user, RagConfig::default()).await;
    let (external, _) = desk.upload(user, outside, &["a.txt"]).await;
    let (first, _) = desk.upload(user, inside, &["b.txt"]).await;
    let (second, _) = desk.upload(user, inside, &["c.txt"]).await;
    let places = async || {
        let mut places = vec![];
        for job in [&external, &first, &second] {
            places.push(desk.job(user, job.job_id).await.queue_position);
        }
        places
    };
    assert_eq!(places().await, [None, Some(0), Some(1)]);
    assert_eq!(desk.jobs.tell_queue(10, desk.now()).await.unwrap(), 0, "that was told at the making");
    desk.s.set_processor(user, outside, Processor::Builtin).await;
    assert_eq!(places().await, [Some(0), Some(1), Some(2)]);
    assert_eq!(desk.jobs.tell_queue(10, desk.now()).await.unwrap(), 3);
    assert_eq!(desk.jobs.tell_queue(10, desk.now()).await.unwrap(), 0);
    desk.s.set_processor(user, inside, Processor::External).await;
    assert_eq!(places().await, [Some(0), None, None]);
    let base = desk.head(user).await;
    assert_eq!(desk.jobs.tell_queue(10, desk.now()).await.unwrap(), 2);
    let told = desk.events_after(user, base).await;
    assert!(
        told.iter().all(|e| matches!(e, domain::Event::JobUpdate(j) if j.queue_position.is_none())),
        "{told:?}"
    );
    let reindex = NewReindex {
        id: domain::JobId::new(desk.s.world().uuid()),
        user_id: user,
        workspace_id: inside,
        command_id: None,
        created_at: desk.now(),
    };
    let refused = desk.jobs.reindex(reindex).await;
    assert!(matches!(refused, Err(StoreError::Refused(r)) if r.code == "external_workspace"), "{refused:?}");
}

on_every_store!(
    reports_take_a_job_to_its_end_with_totals_that_fit,
    a_report_that_is_repeated_or_refused_changes_nothing,
    what_a_built_in_worker_has_begun_it_finishes,
    turned_back_a_workspace_is_the_built_in_workers_again,
    what_an_outside_worker_made_ready_is_stale_for_the_built_in_ones,
    a_document_of_which_nothing_is_reported_says_so_until_the_next_report,
    what_nobody_could_report_of_has_its_whole_time_from_when_somebody_can,
    jobs_of_external_workspaces_hold_nobody_up_in_the_queue,
);
