//! What waits for outside workers, and whose it is.

use crate::{
    desk::{Desk, JobSubject},
    on_every_database,
    subject::Database,
};
use domain::{
    DocumentId, DocumentStatus, WorkspaceId, rag::RagConfig, report::DocumentReport, status::Processor,
};
use services::ports::OutsideWork;
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
        let documents = store.awaiting_outside(after, limit).await.unwrap();
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
    of_a_document_and_a_workspace_it_is_known_whose_they_are,
);
