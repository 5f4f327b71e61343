//! Deleting a document, with a time to undo it.

use super::{count, refused};
use crate::{
    desk::{Desk, JobSubject, LONG, loaded, worker},
    on_every_database,
    subject::Database,
};
use domain::{
    Document, DocumentStatus, Event, JobStatus, Timestamp,
    ingest::{Stage, control::Control, deletion::UNDO_OVER},
};
use services::ports::{Deletions, Doomed, Index, StoreError};
use std::ops::DerefMut;

async fn a_deleted_document_is_out_of_view_and_comes_back_as_it_was(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for _ in 0..2 {
        let claim = d.claim_one("w").await;
        d.work(&claim, 3).await;
    }
    let id = documents[0].id;
    let (before, chunks) = (d.document(user, id).await, d.chunks(user, id).await);
    let order = d.listed(user, workspace).await;
    let version = d.s.store.index_version(workspace).await.unwrap();
    assert_eq!(d.hits(workspace).await, 6);

    let deleted_at = d.delete(user, id).await;
    assert_eq!(d.listed(user, workspace).await, ["b.txt"]);
    assert!(d.documents.document(user, id).await.unwrap().is_none());
    assert!(d.chunks(user, id).await.is_empty());
    assert!(d.documents.blob_key(user, id).await.unwrap().is_none());
    assert_eq!((d.counts(user, workspace).await.documents, d.counts(user, workspace).await.chunks), (1, 3));
    assert_eq!(d.hits(workspace).await, 3);
    assert!(d.s.store.index_version(workspace).await.unwrap() > version, "what is cached is out of date");
    let ids: Vec<_> = chunks.iter().map(|c| c.id).collect();
    assert!(d.s.store.hits(user, &ids).await.unwrap().is_empty());
    assert_eq!(d.documents.existing(&[id]).await.unwrap().len(), 1, "its file is no orphan");
    assert_eq!(d.job(user, job.job_id).await.metrics.documents_done, 2, "what was done was done");
    let told = d.events_after(user, 0).await;
    let deleted =
        told.iter().filter(|e| matches!(e, Event::DocumentDeleted(gone) if gone.id == id && gone.rev > 0));
    assert_eq!(deleted.count(), 1);
    assert!(matches!(d.s.store.delete_document(user, id, d.now()).await, Err(StoreError::NotFound)));
    let stranger = d.s.user().await;
    assert!(matches!(d.restore(stranger, id, deleted_at).await, Err(StoreError::NotFound)));
    assert!(matches!(
        d.s.store.delete_document(stranger, documents[1].id, d.now()).await,
        Err(StoreError::NotFound)
    ));

    refused(d.restore(user, id, deleted_at.plus_seconds(1)).await, UNDO_OVER.code);
    let back = d.restore(user, id, deleted_at).await.unwrap();
    assert!(back.rev > before.rev);
    assert_eq!(Document { rev: before.rev, ..back.clone() }, before);
    assert_eq!(d.listed(user, workspace).await, order, "in its old place");
    assert_eq!(d.chunks(user, id).await, chunks);
    assert_eq!(d.hits(workspace).await, 6);
    // A second click changes nothing.
    let head = d.head(user).await;
    assert_eq!(d.restore(user, id, deleted_at).await.unwrap(), back);
    assert_eq!(d.head(user).await, head);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn one_in_work_leaves_its_job_and_goes_on_from_its_checkpoint_when_it_is_brought_back(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let first = d.claim_one("w").await;
    d.work(&first, 3).await;
    let held = d.claim_one("w").await;
    d.work_until(&held, 4, Stage::Embedding).await;
    let id = documents[1].id;
    assert_eq!(held.document_id, id);

    let deleted_at = d.delete(user, id).await;
    assert!(matches!(d.check(&held, loaded()).await, Err(StoreError::Fenced)));
    assert!(matches!(d.jobs.release(&held, d.now()).await, Err(StoreError::Fenced)));
    assert_eq!(d.jobs.heartbeat(&worker("w"), &[id], LONG).await.unwrap(), []);
    assert_eq!(d.claim("other", 10).await.len(), 0);
    let ended = d.job(user, job.job_id).await;
    assert_eq!(ended.status, JobStatus::Completed, "the last that was left is gone: {ended:?}");
    assert_eq!((ended.metrics.documents_total, ended.metrics.documents_done), (1, 1));
    assert_eq!(ended.metrics.chunks_created, 3);

    let back = d.restore(user, id, deleted_at).await.unwrap();
    assert_eq!(back.status, DocumentStatus::Pending);
    let own = back.job_id.unwrap();
    assert_ne!(own, job.job_id);
    assert_eq!(d.job(user, own).await.metrics.documents_total, 1);
    let again = d.claim_one("w").await;
    assert_eq!((again.document_id, again.job_id, again.stage), (id, own, Stage::Embedding));
    d.work(&again, 4).await;
    assert_eq!(d.job(user, own).await.status, JobStatus::Completed);
    assert_eq!(d.document(user, id).await.status, DocumentStatus::Ready);
    assert_eq!(d.chunks(user, id).await.len(), 4);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_job_of_which_every_document_is_deleted_ends_and_what_was_paused_comes_back_paused(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    d.jobs.control(user, job.job_id, Control::Pause, d.now()).await.unwrap();
    for document in &documents {
        d.delete(user, document.id).await;
    }
    let ended = d.job(user, job.job_id).await;
    assert_eq!((ended.status, ended.metrics.documents_total), (JobStatus::Cancelled, 0));
    let back = d.restore(user, documents[0].id, Timestamp::default()).await.unwrap();
    assert!(back.is_paused(), "{back:?}");
    assert_eq!(d.claim("w", 10).await.len(), 0);
    assert_eq!(d.job(user, back.job_id.unwrap()).await.status, JobStatus::Paused);
}

async fn once_the_time_is_over_nothing_of_it_is_left(mut s: impl JobSubject + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    for _ in 0..2 {
        let claim = d.claim_one("w").await;
        d.work(&claim, 5).await;
    }
    let id = documents[0].id;
    let deleted_at = d.delete(user, id).await;
    s = d.s;
    assert_eq!(s.store.doom_documents(deleted_at.plus_seconds(-1), 10).await.unwrap(), []);
    let doomed = s.store.doom_documents(deleted_at, 10).await.unwrap();
    let [(whose, document)] = doomed.as_slice() else { panic!("one was expected: {doomed:?}") };
    assert_eq!((*whose, document.id), (Doomed::Document(user, id), id));
    s.reopen().await;
    // A server that was killed finds it again, and nobody brings it back.
    assert_eq!(s.store.doom_documents(deleted_at, 10).await.unwrap(), doomed);
    let d = Desk::new(s);
    refused(d.restore(user, id, Timestamp::from_micros(1)).await, UNDO_OVER.code);
    while !d.s.store.remove_document(*whose, id, 2).await.unwrap() {}
    assert_eq!(d.s.store.doom_documents(deleted_at, 10).await.unwrap(), []);
    for table in ["documents", "chunks", "tasks"] {
        let column = if table == "documents" { "id" } else { "document_id" };
        assert_eq!(
            count(&d.s, &format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{id}'")).await,
            0,
            "{table}"
        );
    }
    assert_eq!(count(&d.s, "SELECT COUNT(*) FROM chunk_vectors").await, 5);
    assert_eq!(count(&d.s, "SELECT COUNT(*) FROM chunk_text").await, 5);
    assert!(matches!(d.restore(user, id, deleted_at).await, Err(StoreError::NotFound)));
}

on_every_database!(
    a_deleted_document_is_out_of_view_and_comes_back_as_it_was,
    one_in_work_leaves_its_job_and_goes_on_from_its_checkpoint_when_it_is_brought_back,
    a_job_of_which_every_document_is_deleted_ends_and_what_was_paused_comes_back_paused,
    once_the_time_is_over_nothing_of_it_is_left,
);
