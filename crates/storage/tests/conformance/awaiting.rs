//! What waits for outside workers, and whose it is.

use crate::{
    desk::{Desk, JobSubject},
    on_every_database,
    subject::Database,
};
use domain::{
    DocumentId, DocumentStatus, WorkspaceId,
    ingest::{
        Stage,
        control::{Control, DocumentControl},
    },
    rag::RagConfig,
    report::DocumentReport,
    status::Processor,
};
use services::ports::{Deletions, OutsideWork, Signal, Untold};
use std::ops::Deref;

async fn only_what_waits_in_external_workspaces_is_told_to_outside_workers(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let user = desk.s.user().await;
    let outside = desk.s.workspace(user, RagConfig::default()).await;
    let inside = desk.s.workspace(user, RagConfig::default()).await;
    desk.s.set_processor(user, outside, Processor::External).await;
    let (_, documents) = desk.upload(user, outside, &["a.txt", "b.txt", "c.txt"]).await;
    desk.upload(user, inside, &["d.txt"]).await;
    let mut ids: Vec<DocumentId> = documents.iter().map(|document| document.id).collect();
    ids.sort();
    let store = &desk.s.store;
    let waiting = async |after, limit| -> Vec<DocumentId> {
        let documents = store.awaiting_outside(Untold::Waiting, after, limit).await.unwrap();
        documents.into_iter().map(|document| document.id).collect()
    };
    assert_eq!(waiting(None, 10).await, ids);
    assert_eq!(waiting(None, 1).await, ids[..1]);
    assert_eq!(waiting(Some(ids[0]), 10).await, ids[1..]);

    let says = async |status| {
        desk.jobs.report_document(user, ids[1], DocumentReport::of(status), desk.now()).await.unwrap();
    };
    says(DocumentStatus::Processing).await;
    assert_eq!(waiting(None, 10).await, [ids[0], ids[2]], "somebody has begun it");
    says(DocumentStatus::Pending).await;
    assert_eq!(waiting(None, 10).await, ids, "it was given back");
    desk.s.set_processor(user, outside, Processor::Builtin).await;
    assert_eq!(waiting(None, 10).await, []);
}

async fn what_outside_workers_have_begun_is_told_to_them_again_where_that_may_be_lost(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let user = desk.s.user().await;
    let (first, second) = (
        desk.s.workspace(user, RagConfig::default()).await,
        desk.s.workspace(user, RagConfig::default()).await,
    );
    let (_, inside) = desk.upload(user, first, &["a.txt"]).await;
    let claim = desk.claim_one("w").await;
    desk.work_until(&claim, 4, Stage::Embedding).await;
    for workspace in [first, second] {
        desk.s.set_processor(user, workspace, Processor::External).await;
    }
    let (_, begun) = desk.upload(user, first, &["b.txt"]).await;
    let (_, waits) = desk.upload(user, second, &["c.txt"]).await;
    let report = DocumentReport::of(DocumentStatus::Processing);
    desk.jobs.report_document(user, begun[0].id, report, desk.now()).await.unwrap();
    let store = &desk.s.store;
    let told = async |which| -> Vec<DocumentId> {
        let documents = store.awaiting_outside(which, None, 10).await.unwrap();
        documents.into_iter().map(|document| document.id).collect()
    };
    assert_eq!(told(Untold::Waiting).await, [waits[0].id]);
    assert_eq!(
        told(Untold::Unfinished).await,
        [begun[0].id, waits[0].id],
        "{} is the built-in's",
        inside[0].id
    );
    assert_eq!(told(Untold::UnfinishedIn(first)).await, [begun[0].id]);
    assert_eq!(told(Untold::UnfinishedIn(second)).await, [waits[0].id]);
}

async fn what_was_refused_to_outside_workers_is_told_to_them_again_as_soon_as_it_is_theirs(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let user = desk.s.user().await;
    let workspace = desk.s.workspace(user, RagConfig::default()).await;
    let (job, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let bus = desk.s.world().bus.clone();
    let owed = || {
        let signals = bus.signals();
        signals.iter().filter(|signal| matches!(signal, Signal::Untold(id) if *id == workspace)).count()
    };
    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    assert_eq!(owed(), 0, "it was so already");
    desk.s.set_processor(user, workspace, Processor::External).await;
    assert_eq!(owed(), 1);

    let store = &desk.s.store;
    let waiting =
        async || store.awaiting_outside(Untold::UnfinishedIn(workspace), None, 10).await.unwrap().len();
    assert_eq!(waiting().await, 2);
    desk.jobs.control(user, job.job_id, Control::Pause, desk.now()).await.unwrap();
    assert_eq!((waiting().await, owed()), (0, 1), "nobody works on it now");
    desk.jobs.control(user, job.job_id, Control::Resume, desk.now()).await.unwrap();
    assert_eq!((waiting().await, owed()), (2, 2));

    let id = documents[0].id;
    desk.jobs.control_document(user, id, DocumentControl::Pause, desk.now()).await.unwrap();
    assert_eq!((waiting().await, owed()), (1, 2));
    desk.jobs.control_document(user, id, DocumentControl::Resume, desk.now()).await.unwrap();
    assert_eq!((waiting().await, owed()), (2, 3));

    let (deletion, now) = (domain::JobId::new(desk.s.world().uuid()), desk.now());
    store.begin_workspace_deletion(user, workspace, deletion, now.plus_seconds(10), now).await.unwrap();
    assert_eq!((waiting().await, owed()), (0, 3));
    store.restore_workspace(user, workspace, now, now).await.unwrap();
    assert_eq!((waiting().await, owed()), (2, 4));

    desk.s.set_processor(user, workspace, Processor::Builtin).await;
    desk.jobs.control(user, job.job_id, Control::Pause, desk.now()).await.unwrap();
    desk.jobs.control(user, job.job_id, Control::Resume, desk.now()).await.unwrap();
    assert_eq!(owed(), 4, "the built-in workers look by themselves");
}

async fn of_a_document_and_a_workspace_it_is_known_whose_they_are(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let (ada, bob) = (desk.s.user().await, desk.s.user().await);
    let workspace = desk.s.workspace(ada, RagConfig::default()).await;
    let (_, documents) = desk.upload(ada, workspace, &["a.txt"]).await;
    let store = &desk.s.store;
    assert_eq!(store.owner_of_document(documents[0].id).await.unwrap().map(|user| user.id), Some(ada));
    assert_eq!(store.owner_of_workspace(workspace).await.unwrap().map(|user| user.id), Some(ada));
    let nothing = desk.s.world().uuid();
    assert_eq!(store.owner_of_document(DocumentId::new(nothing)).await.unwrap(), None);
    assert_eq!(store.owner_of_workspace(WorkspaceId::new(nothing)).await.unwrap(), None);
    let his = desk.s.workspace(bob, RagConfig::default()).await;
    assert_eq!(store.owner_of_workspace(his).await.unwrap().map(|user| user.id), Some(bob));
}

on_every_database!(
    only_what_waits_in_external_workspaces_is_told_to_outside_workers,
    what_outside_workers_have_begun_is_told_to_them_again_where_that_may_be_lost,
    what_was_refused_to_outside_workers_is_told_to_them_again_as_soon_as_it_is_theirs,
    of_a_document_and_a_workspace_it_is_known_whose_they_are,
);
