//! Deleting a workspace, with a time to undo it, and letting one stand.

use super::{count, refused};
use crate::{
    desk::{Desk, JobSubject, loaded},
    on_every_database,
    subject::Database,
};
use domain::{
    Event, JobStatus, WorkspaceStatus,
    bulk::BulkAction,
    ingest::{
        Checkpoint, Stage,
        control::{Control, DocumentControl, Retry, Stop},
        deletion::UNDO_OVER,
    },
};
use services::ports::{Bulks, Chosen, Deletions, Doomed, PartialFiles, SentFiles, StoreError, Workspaces};
use std::ops::DerefMut;

async fn a_workspace_that_is_being_deleted_stands_still_and_is_what_it_was_when_that_is_undone(
    mut s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let held = d.claim_one("w").await;
    let before = d.s.store.workspace(user, workspace).await.unwrap().unwrap();
    let (id, now) = (d.job_id(), d.now());
    let later = now.plus_seconds(10);
    let store = &d.s.store;
    let deletion = store.begin_workspace_deletion(user, workspace, id, later, now).await.unwrap();
    assert_eq!((deletion.job_id, deletion.doomed), (id, Doomed::Workspace(user, workspace)));
    let again = store.begin_workspace_deletion(user, workspace, d.job_id(), later, d.now()).await.unwrap();
    assert_eq!(again, deletion, "a second click is the first");
    let stranger = d.s.user().await;
    let other = store.begin_workspace_deletion(stranger, workspace, d.job_id(), later, now).await;
    assert!(matches!(other, Err(StoreError::NotFound)));

    assert_eq!(store.workspace(user, workspace).await.unwrap().unwrap().status, WorkspaceStatus::Deleting);
    assert!(matches!(d.check(&held, loaded()).await, Err(StoreError::Fenced)));
    assert_eq!(d.claim("w", 10).await.len(), 0);
    assert_eq!(d.jobs.tell_interrupted(0, 10, d.now()).await.unwrap(), 0, "nobody is to be at it");
    refused(d.jobs.create_job(d.new_job(user, workspace, &["late.txt"])).await, "workspace_deleting");
    refused(store.delete_document(user, held.document_id, d.now()).await, "workspace_deleting");
    let deletes = d.job(user, id).await;
    assert_eq!((deletes.status, deletes.metrics.documents_total), (JobStatus::Pending, 2));
    refused(d.jobs.control(user, id, Control::Pause, d.now()).await, "job_deletes");
    for begins in [Control::Resume, Control::Retry(Retry::failed())] {
        refused(d.jobs.control(user, job.job_id, begins, d.now()).await, "workspace_deleting");
    }
    let resume = DocumentControl::Resume;
    refused(d.jobs.control_document(user, held.document_id, resume, d.now()).await, "workspace_deleting");
    assert_eq!(d.job(user, job.job_id).await.queue_position, None, "it runs");
    assert_eq!(store.deletions(now, 10).await.unwrap(), [], "there is time");

    refused(store.restore_workspace(user, workspace, now.plus_seconds(1), d.now()).await, UNDO_OVER.code);
    let back = store.restore_workspace(user, workspace, now, d.now()).await.unwrap();
    assert_eq!((back.status, &back.status_message), (before.status, &before.status_message));
    assert_eq!(d.job(user, id).await.status, JobStatus::Cancelled);
    assert_eq!(d.jobs.tell_interrupted(0, 10, d.now()).await.unwrap(), 1, "somebody may take it again");
    assert_eq!(d.claim("w", 10).await.len(), 2, "the work goes on");
    assert!(!store.tell_deletion(&deletion, d.now()).await.unwrap(), "whoever had found it leaves it alone");
    d.assert_that_the_stream_told_the_truth(user).await;
    s = d.s;
    s.reopen().await;
    assert_eq!(s.store.deletions(later, 10).await.unwrap(), []);
}

async fn a_workspace_goes_document_by_document_and_nothing_of_it_is_left(
    mut s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let other = d.s.workspace(user, domain::rag::RagConfig::default()).await;
    let (unfinished, _) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 3).await;
    d.upload(user, other, &["stays.txt"]).await;
    let s0: &Database = &d.s;
    s0.store.keep_file(crate::sent_files::file(s0, user, workspace)).await.unwrap();
    s0.store.announce_file(crate::partial_files::file(s0, user, workspace), None).await.unwrap();
    let these = Chosen::Matching { status: None, name: None, tag: None };
    s0.store.begin_bulk(d.new_bulk(user, workspace, BulkAction::Pause, these)).await.unwrap();
    let (id, now) = (d.job_id(), d.now());
    let begun = s0.store.begin_workspace_deletion(user, workspace, id, now, now).await.unwrap();
    let head = d.head(user).await;

    assert_eq!(s0.store.deletions(now, 10).await.unwrap(), [begun]);
    assert!(s0.store.tell_deletion(&begun, d.now()).await.unwrap());
    assert_eq!(
        d.job(user, unfinished.job_id).await.status,
        JobStatus::Cancelled,
        "who follows it hears its end"
    );
    refused(s0.store.restore_workspace(user, workspace, now, d.now()).await, UNDO_OVER.code);
    let some = s0.store.doomed_documents(begun.doomed, 2).await.unwrap();
    for document in &some {
        while !s0.store.remove_document(begun.doomed, document.id, 2).await.unwrap() {}
    }
    assert!(s0.store.tell_deletion(&begun, d.now()).await.unwrap());
    let told = d.job(user, id).await;
    assert_eq!((told.metrics.documents_done, told.metrics.documents_total), (2, 3), "{told:?}");
    assert_eq!(told.message, "Deleting 2 of 3 documents");
    let shown = s0.store.workspace(user, workspace).await.unwrap().unwrap();
    assert_eq!(shown.status_message.as_deref(), Some("Deleting 2 of 3 documents"));

    // Broken off there, another start goes on with what is left.
    s = d.s;
    s.reopen().await;
    assert_eq!(s.store.deletions(now, 10).await.unwrap(), [begun]);
    let mut files = 0;
    loop {
        let some = s.store.doomed_documents(begun.doomed, 2).await.unwrap();
        if some.is_empty() {
            break;
        }
        for document in &some {
            while !s.store.remove_document(begun.doomed, document.id, 2).await.unwrap() {}
            files += 1;
        }
    }
    assert_eq!(files, 3, "a document, a file that was sent ahead, and a part of one");
    while !s.store.remove_rows(begun.doomed, 3).await.unwrap() {}
    let d = Desk::new(s);
    d.s.store.remove_doomed(&begun, d.now()).await.unwrap();
    d.s.store.remove_doomed(&begun, d.now()).await.unwrap();
    d.s.store.end_deletion(id, d.now()).await.unwrap();
    for (table, column) in [
        ("workspaces", "id"),
        ("documents", "workspace_id"),
        ("sent_files", "workspace_id"),
        ("partial_files", "workspace_id"),
        ("index_versions", "workspace_id"),
        ("bulk_actions", "workspace_id"),
    ] {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{workspace}'");
        assert_eq!(count(&d.s, &sql).await, 0, "{table}");
    }
    for table in ["chunks", "chunk_vectors", "chunk_text", "bulk_items"] {
        assert_eq!(count(&d.s, &format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    let sql = format!("SELECT COUNT(*) FROM jobs WHERE workspace_id = '{workspace}' AND id <> '{id}'");
    assert_eq!(count(&d.s, &sql).await, 0);
    assert_eq!(d.listed(user, other).await, ["stays.txt"]);
    let ended = d.job(user, id).await;
    assert_eq!((ended.status, &*ended.message), (JobStatus::Completed, "3 documents deleted"));
    let told = d.events_after(user, head).await;
    let gone = told.iter().filter(|e| matches!(e, Event::WorkspaceDeleted(w) if w.id == workspace)).count();
    let complete = told.iter().filter(|e| matches!(e, Event::JobComplete(j) if j.job_id == id)).count();
    assert_eq!((gone, complete), (1, 1), "each is told once");
    d.s.store.forget_deletion(id).await.unwrap();
    assert!(d.jobs.job(user, id).await.unwrap().is_none());
}

async fn in_a_workspace_that_stands_nothing_is_begun_and_what_stood_goes_on_with_it(
    mut s: impl JobSubject + DerefMut<Target = Database>,
) {
    for stop in [Stop::FinishRunning, Stop::Now] {
        let d = Desk::new(s);
        let (user, workspace) = d.home().await;
        let elsewhere = d.s.workspace(user, domain::rag::RagConfig::default()).await;
        let cancel = Control::Cancel { keep_results: true };
        // What others left in the queue before.
        let (first, _) = d.upload(user, elsewhere, &["first.txt"]).await;
        d.jobs.control(user, first.job_id, cancel.clone(), d.now()).await.unwrap();
        let (job, _) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
        let (alone, _) = d.upload(user, workspace, &["c.txt"]).await;
        d.jobs.control(user, alone.job_id, Control::Pause, d.now()).await.unwrap();
        let held = d.claim_one("w").await;
        let paused = d.s.store.pause_workspace(user, workspace, stop, d.now()).await.unwrap();
        assert!(paused.paused);
        let (free, _) = d.upload(user, elsewhere, &["free.txt"]).await;
        assert_eq!(free.queue_position, first.queue_position, "what stands keeps nobody waiting");
        d.jobs.control(user, free.job_id, cancel, d.now()).await.unwrap();
        assert_eq!(d.claim("w", 10).await.len(), 0);
        let now = d.job(user, job.job_id).await;
        assert_eq!((now.status, now.requested.is_some()), (JobStatus::Running, stop == Stop::Now));
        match stop {
            Stop::FinishRunning => d.work(&held, 2).await,
            Stop::Now => d.jobs.release(&held, d.now()).await.unwrap(),
        }
        d.s.store.stand_paused(10, d.now()).await.unwrap();
        assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Paused);
        // What comes meanwhile is taken, and waits.
        let (late, _) = d.upload(user, workspace, &["late.txt"]).await;
        assert_eq!(d.claim("w", 10).await.len(), 0);
        d.s.store.stand_paused(10, d.now()).await.unwrap();
        assert_eq!(d.job(user, late.job_id).await.status, JobStatus::Paused);
        refused(d.jobs.control(user, job.job_id, Control::Resume, d.now()).await, "workspace_paused");
        s = d.s;
        s.reopen().await;
        let d = Desk::new(s);
        assert!(d.s.store.workspace(user, workspace).await.unwrap().unwrap().paused);
        assert_eq!(d.claim("w", 10).await.len(), 0);

        let resumed = d.s.store.resume_workspace(user, workspace, d.now()).await.unwrap();
        assert!(!resumed.paused);
        assert_eq!(d.job(user, alone.job_id).await.status, JobStatus::Paused, "somebody paused it by itself");
        let left = if stop == Stop::Now { 3 } else { 2 };
        assert_eq!(d.claim("w", 10).await.len(), left);
        d.assert_that_the_stream_told_the_truth(user).await;
        s = d.s;
    }
}

async fn what_was_begun_in_a_workspace_that_stands_is_not_told_to_be_interrupted(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let claims = d.claim("w", 2).await;
    // One is given back, and the other one is still being finished.
    d.jobs.release(&claims[0], d.now()).await.unwrap();
    d.s.store.pause_workspace(user, workspace, Stop::FinishRunning, d.now()).await.unwrap();
    assert_eq!(d.jobs.tell_interrupted(0, 10, d.now()).await.unwrap(), 0, "nobody is to be at it");
    d.s.store.resume_workspace(user, workspace, d.now()).await.unwrap();
    assert_eq!(d.jobs.tell_interrupted(0, 10, d.now()).await.unwrap(), 1, "somebody may take it again");
}

async fn a_document_that_was_paused_by_itself_still_stands_when_its_workspace_goes_on(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let [a, b] = [documents[0].id, documents[1].id];
    d.jobs.control_document(user, a, DocumentControl::Pause, d.now()).await.unwrap();
    d.s.store.pause_workspace(user, workspace, Stop::Now, d.now()).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Paused);
    d.s.store.resume_workspace(user, workspace, d.now()).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Running);
    assert!(d.document(user, a).await.is_paused());
    let claims = d.claim("w", 10).await;
    assert_eq!(claims.iter().map(|claim| claim.document_id).collect::<Vec<_>>(), [b]);
    // The other one comes to its end while all of them are to stop, and nothing else is left.
    d.work_until(&claims[0], 2, Stage::Indexing).await;
    d.s.store.pause_workspace(user, workspace, Stop::Now, d.now()).await.unwrap();
    d.check(&claims[0], Checkpoint::Indexed).await.unwrap();
    d.s.store.resume_workspace(user, workspace, d.now()).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Paused);
    assert!(d.document(user, a).await.is_paused());
    d.jobs.control(user, job.job_id, Control::Resume, d.now()).await.unwrap();
    assert_eq!(d.claim_one("w").await.document_id, a);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_document_that_is_brought_back_goes_on_with_the_workspace_it_stood_with(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let [a, b, c] = [documents[0].id, documents[1].id, documents[2].id];
    d.jobs.control_document(user, c, DocumentControl::Pause, d.now()).await.unwrap();
    d.s.store.pause_workspace(user, workspace, Stop::Now, d.now()).await.unwrap();
    // One is back while all stand, one only when its workspace goes on again.
    for document in [a, c] {
        let deleted_at = d.delete(user, document).await;
        d.restore(user, document, deleted_at).await.unwrap();
    }
    let deleted_at = d.delete(user, b).await;
    assert_eq!(d.claim("w", 10).await.len(), 0);
    d.s.store.resume_workspace(user, workspace, d.now()).await.unwrap();
    d.restore(user, b, deleted_at).await.unwrap();
    let claimed: Vec<_> = d.claim("w", 10).await.iter().map(|claim| claim.document_id).collect();
    assert!(claimed.len() == 2 && claimed.contains(&a) && claimed.contains(&b), "{claimed:?}");
    assert!(d.document(user, c).await.is_paused(), "somebody paused it by itself");
    d.assert_that_the_stream_told_the_truth(user).await;
}

on_every_database!(
    a_workspace_that_is_being_deleted_stands_still_and_is_what_it_was_when_that_is_undone,
    a_workspace_goes_document_by_document_and_nothing_of_it_is_left,
    in_a_workspace_that_stands_nothing_is_begun_and_what_stood_goes_on_with_it,
    what_was_begun_in_a_workspace_that_stands_is_not_told_to_be_interrupted,
    a_document_that_was_paused_by_itself_still_stands_when_its_workspace_goes_on,
    a_document_that_is_brought_back_goes_on_with_the_workspace_it_stood_with,
);
