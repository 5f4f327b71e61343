//! Files that were sent ahead, on both databases: kept, named, taken by one job, or forgotten.

use crate::{
    desk::{Desk, JobSubject, new_document},
    on_every_database,
    subject::Database,
};
use domain::{DocumentId, UserId, WorkspaceId};
use services::ports::{Deletions, Documents, NewDocument, NewJob, SentFile, SentFiles, StoreError};
use std::ops::Deref;

pub fn file(s: &Database, user_id: UserId, workspace_id: WorkspaceId) -> SentFile {
    let id = DocumentId::new(s.world().uuid());
    SentFile {
        document: NewDocument { sent_ahead: true, ..new_document(id, "sent.txt") },
        user_id,
        workspace_id,
        command_id: None,
        command_print: None,
        created_at: s.world().now(),
    }
}

async fn named(s: &Database, user: UserId, workspace: WorkspaceId, ids: &[DocumentId]) -> Vec<DocumentId> {
    let mut found: Vec<DocumentId> =
        s.store.sent_files(user, workspace, ids).await.unwrap().iter().map(|d| d.id).collect();
    found.sort_unstable();
    found
}

fn job_of<S: JobSubject + Deref<Target = Database>>(
    desk: &Desk<S>,
    user: UserId,
    workspace: WorkspaceId,
    documents: Vec<NewDocument>,
) -> NewJob {
    NewJob { documents, ..desk.new_job(user, workspace, &[]) }
}

async fn a_file_is_there_for_its_own_upload_until_that_takes_it(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let notes = desk.s.workspace(ada, Default::default()).await;
    let (bob, _) = desk.home().await;
    let kept = s.store.keep_file(file(s, ada, papers)).await.unwrap();
    let ids = [kept.id, desk.document_id()];
    assert_eq!(named(s, ada, papers, &ids).await, [kept.id]);
    assert!(named(s, ada, notes, &ids).await.is_empty(), "it was sent for another workspace");
    assert!(named(s, bob, papers, &ids).await.is_empty(), "it is somebody else's");
    assert!(s.store.existing(&ids).await.unwrap().contains(&kept.id), "its file is no orphan");
    let not_his = s.store.keep_file(file(s, bob, papers)).await;
    assert!(matches!(not_his, Err(StoreError::NotFound)), "{not_his:?}");

    let found = s.store.sent_files(ada, papers, &ids).await.unwrap();
    let plain = new_document(desk.document_id(), "plain.txt");
    let (job, documents) =
        desk.jobs.create_job(job_of(&desk, ada, papers, vec![found[0].clone(), plain])).await.unwrap();
    assert_eq!((job.metrics.documents_total, documents[0].id), (2, kept.id));
    assert_eq!((documents[0].filename.as_str(), documents[0].size_bytes), ("sent.txt", 100));
    assert!(named(s, ada, papers, &ids).await.is_empty(), "it is a document now");
    // The one who named it at the same moment gets nothing, not even the others.
    let late = new_document(desk.document_id(), "late.txt");
    let refused =
        desk.jobs.create_job(job_of(&desk, ada, papers, vec![late.clone(), found[0].clone()])).await;
    assert!(matches!(&refused, Err(StoreError::Refused(r)) if r.code == "file_taken"), "{refused:?}");
    assert!(s.store.document(ada, late.id).await.unwrap().is_none());
    assert!(s.store.document(ada, kept.id).await.unwrap().is_some());
}

async fn the_same_key_keeps_one_file(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, his) = desk.home().await;
    let with_key = |user, workspace, print: &str| SentFile {
        command_id: Some("file-1".into()),
        command_print: Some(print.into()),
        ..file(s, user, workspace)
    };
    let first = s.store.keep_file(with_key(ada, papers, "a")).await.unwrap();
    let again = s.store.keep_file(with_key(ada, papers, "a")).await.unwrap();
    assert_eq!(first.id, again.id);
    let other = s.store.keep_file(with_key(ada, papers, "b")).await;
    assert!(matches!(other, Err(StoreError::OtherCommand)), "{other:?}");
    let theirs = s.store.keep_file(with_key(bob, his, "b")).await.unwrap();
    assert_ne!(theirs.id, first.id, "a key is one's own");
}

async fn one_that_is_dropped_or_old_is_forgotten(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let (bob, his) = desk.home().await;
    let old = s.store.keep_file(file(s, ada, papers)).await.unwrap();
    let old_of_bob = s.store.keep_file(file(s, bob, his)).await.unwrap();
    s.world().clock.advance_seconds(100);
    let [fresh, dropped] = [(); 2].map(|()| file(s, ada, papers));
    let fresh = s.store.keep_file(fresh).await.unwrap();
    let dropped = s.store.keep_file(dropped).await.unwrap();
    let stranger = s.store.drop_file(bob, dropped.id).await;
    assert!(matches!(stranger, Err(StoreError::NotFound)));
    assert_eq!(s.store.drop_file(ada, dropped.id).await.unwrap(), dropped.blob_key);
    assert!(matches!(s.store.drop_file(ada, dropped.id).await, Err(StoreError::NotFound)));
    assert_eq!(s.store.drop_old_files(s.world().now().plus_seconds(-50)).await.unwrap(), 2);
    assert_eq!(named(s, ada, papers, &[old.id, fresh.id, dropped.id]).await, [fresh.id]);
    let left = s.store.existing(&[old.id, old_of_bob.id, fresh.id]).await.unwrap();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [fresh.id], "the others are orphans now");
}

async fn nothing_is_kept_for_an_account_that_goes(s: impl JobSubject + Deref<Target = Database>) {
    let desk = Desk::new(s);
    let s: &Database = &desk.s;
    let (ada, papers) = desk.home().await;
    let kept = s.store.keep_file(file(s, ada, papers)).await.unwrap();
    let job = domain::JobId::new(s.world().uuid());
    s.store.begin_account_deletion(ada, job, s.world().now()).await.unwrap();
    assert!(named(s, ada, papers, &[kept.id]).await.is_empty());
    let late = s.store.keep_file(file(s, ada, papers)).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
}

on_every_database!(
    a_file_is_there_for_its_own_upload_until_that_takes_it,
    the_same_key_keeps_one_file,
    one_that_is_dropped_or_old_is_forgotten,
    nothing_is_kept_for_an_account_that_goes,
);
