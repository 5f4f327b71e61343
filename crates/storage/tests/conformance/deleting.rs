//! Deleting documents and workspaces, with a time to undo it; actions over many documents; workspaces whose work is
//! paused. On both databases.

use crate::{
    desk::{Desk, JobSubject, LONG, loaded, worker},
    on_every_database,
    subject::Database,
};
use domain::{
    Actor, BulkId, Document, DocumentId, DocumentStatus, Event, Job, JobId, JobStatus, Timestamp, UserId,
    WorkspaceId, WorkspaceStatus,
    bulk::{Bulk, BulkAction, BulkStatus},
    ingest::{
        Stage,
        control::{Control, Stop},
        deletion::UNDO_OVER,
    },
    resource::Counts,
};
use services::ports::{
    Bulks, Chosen, Deletions, Doomed, Index, NewBulk, PageQuery, PartialFiles, SentFiles, StoreError,
    Workspaces,
};
use sqlx::{AssertSqlSafe, Row};
use std::ops::{Deref, DerefMut};

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, code: &str) {
    match answer {
        Err(StoreError::Refused(refusal)) => assert_eq!(refusal.code, code),
        other => panic!("{code} was expected: {other:?}"),
    }
}

async fn count(s: &Database, sql: &str) -> i64 {
    let mut conn = s.place.connect().await;
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut conn).await.unwrap().try_get(0).unwrap()
}

impl<S: JobSubject + Deref<Target = Database>> Desk<S> {
    fn job_id(&self) -> JobId {
        JobId::new(self.s.world().uuid())
    }

    async fn delete(&self, user: UserId, id: DocumentId) -> Timestamp {
        let now = self.now();
        let deleted = self.s.store.delete_document(user, id, now).await.unwrap();
        assert_eq!((deleted.id, deleted.undo_until), (id, now.plus_seconds(8)));
        now
    }

    async fn restore(&self, user: UserId, id: DocumentId, since: Timestamp) -> Result<Document, StoreError> {
        self.s.store.restore_document(user, id, self.job_id(), since, self.now()).await
    }

    async fn listed(&self, user: UserId, workspace: WorkspaceId) -> Vec<String> {
        let page = self.documents.documents(user, workspace, None, PageQuery::first(100)).await.unwrap();
        page.items.into_iter().map(|d| d.filename).collect()
    }

    async fn counts(&self, user: UserId, workspace: WorkspaceId) -> Counts {
        self.s.store.workspace(user, workspace).await.unwrap().unwrap().counts
    }

    async fn hits(&self, workspace: WorkspaceId) -> usize {
        let found = self.s.store.keyword(workspace, "passage", 50).await.unwrap().len();
        assert_eq!(self.s.store.vectors(workspace).await.unwrap().1.len(), found);
        found
    }

    fn new_bulk(
        &self,
        user_id: UserId,
        workspace_id: WorkspaceId,
        action: BulkAction,
        chosen: Chosen,
    ) -> NewBulk {
        NewBulk {
            id: BulkId::new(self.s.world().uuid()),
            user_id,
            workspace_id,
            action,
            tag: None,
            chosen,
            actor: Actor::user(user_id, "ada"),
            command_id: None,
            command_print: None,
            created_at: self.now(),
        }
    }

    /// Carries an action out to its end, so many documents at a time; answers the handle.
    async fn carry_out(&self, user: UserId, id: BulkId, at_once: usize) -> Bulk {
        loop {
            let jobs = (0..at_once).map(|_| self.job_id()).collect();
            let since = self.s.world().now().plus_seconds(-9);
            if !self.s.store.go_on_bulk(user, id, jobs, since, self.now()).await.unwrap() {
                return self.s.store.bulk(user, id).await.unwrap().unwrap();
            }
        }
    }
}

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
    refused(d.jobs.create_job(d.new_job(user, workspace, &["late.txt"])).await, "workspace_deleting");
    refused(store.delete_document(user, held.document_id, d.now()).await, "workspace_deleting");
    let deletes = d.job(user, id).await;
    assert_eq!((deletes.status, deletes.metrics.documents_total), (JobStatus::Pending, 2));
    refused(d.jobs.control(user, id, Control::Pause, d.now()).await, "job_deletes");
    assert_eq!(d.job(user, job.job_id).await.queue_position, None, "it runs");
    assert_eq!(store.deletions(now, 10).await.unwrap(), [], "there is time");

    refused(store.restore_workspace(user, workspace, now.plus_seconds(1), d.now()).await, UNDO_OVER.code);
    let back = store.restore_workspace(user, workspace, now, d.now()).await.unwrap();
    assert_eq!((back.status, &back.status_message), (before.status, &before.status_message));
    assert_eq!(d.job(user, id).await.status, JobStatus::Cancelled);
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

/// Three that are ready, and two that failed.
async fn mixed<S: JobSubject + Deref<Target = Database>>(
    d: &Desk<S>,
    user: UserId,
    workspace: WorkspaceId,
) -> (Job, Vec<Document>) {
    let names = ["good-1.txt", "bad-1.txt", "good-2.txt", "bad-2.txt", "good-3.txt"];
    let (job, documents) = d.upload(user, workspace, &names).await;
    for name in names {
        let claim = d.claim_one("w").await;
        if name.starts_with("bad") {
            d.check(&claim, crate::desk::failed("It is damaged.")).await.unwrap();
        } else {
            d.work(&claim, 2).await;
        }
    }
    (job, documents)
}

async fn an_action_takes_each_document_once_and_survives_a_stop_anywhere(
    mut s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = mixed(&d, user, workspace).await;
    let unknown = d.document_id();
    let mut ids: Vec<DocumentId> = documents.iter().map(|d| d.id).collect();
    ids.extend([unknown, ids[0]]);
    let new = d.new_bulk(user, workspace, BulkAction::Delete, Chosen::These(ids));
    let begun = d.s.store.begin_bulk(new.clone()).await.unwrap();
    assert_eq!(
        (begun.total, begun.status),
        (6, BulkStatus::Running),
        "the one that is named twice counts once"
    );
    let shown = d.s.store.workspace(user, workspace).await.unwrap().unwrap();
    assert_eq!(shown.bulk.as_ref(), Some(&begun));
    let id = begun.id;
    assert!(
        d.s.store
            .go_on_bulk(user, id, vec![d.job_id(), d.job_id()], Timestamp::default(), d.now())
            .await
            .unwrap()
    );
    s = d.s;
    s.reopen().await;
    let running = s.store.running_bulks(10).await.unwrap();
    assert_eq!(running.iter().map(|r| r.id).collect::<Vec<_>>(), [id]);
    assert_eq!(running[0].actor, new.actor);
    let d = Desk::new(s);
    assert_eq!(d.s.store.bulk(user, id).await.unwrap().unwrap().done, 2);
    let done = d.carry_out(user, id, 2).await;
    assert_eq!((done.done, done.failed, done.refused, done.status), (5, 1, 0, BulkStatus::Completed));
    let told = d.events_after(user, 0).await;
    assert_eq!(told.iter().filter(|e| matches!(e, Event::DocumentDeleted(_))).count(), 5);
    let last = told.iter().rev().find_map(|e| match e {
        Event::WorkspaceStatus(w) => Some(w.clone()),
        _ => None,
    });
    assert_eq!(last.unwrap().bulk, Some(done));
    assert!(d.listed(user, workspace).await.is_empty());
    assert_eq!(d.s.store.running_bulks(10).await.unwrap(), []);
    let stranger = d.s.user().await;
    assert!(d.s.store.bulk(stranger, id).await.unwrap().is_none());

    // And back again, in one go; a second click is the first.
    let (undo, actor) = (BulkId::new(d.s.world().uuid()), Actor::SYSTEM);
    let back = d.s.store.undo_bulk(user, id, undo, actor.clone(), d.now()).await.unwrap();
    let other = BulkId::new(d.s.world().uuid());
    assert_eq!(d.s.store.undo_bulk(user, id, other, actor.clone(), d.now()).await.unwrap().id, back.id);
    let done = d.carry_out(user, undo, 3).await;
    assert_eq!((done.action, done.total, done.done), (BulkAction::Restore, 5, 5));
    assert_eq!(d.listed(user, workspace).await.len(), 5);
    refused(d.s.store.undo_bulk(user, undo, other, actor, d.now()).await, "nothing_to_undo");
    assert_eq!(d.s.store.forget_bulks(d.now(), 10).await.unwrap(), 2);
    assert!(d.s.store.bulk(user, id).await.unwrap().is_none());
}

async fn a_retry_takes_what_failed_into_one_attempt_and_refuses_the_rest(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = mixed(&d, user, workspace).await;
    let all = Chosen::Matching { status: None, name: None, tag: None };
    let begun = d.s.store.begin_bulk(d.new_bulk(user, workspace, BulkAction::Retry, all)).await.unwrap();
    let done = d.carry_out(user, begun.id, 2).await;
    assert_eq!((done.total, done.done, done.refused), (5, 2, 3));
    let again = d.job(user, job.job_id).await;
    assert_eq!((again.attempt, again.status), (2, JobStatus::Pending));
    let claims = d.claim("w", 10).await;
    let mut names: Vec<_> = claims.iter().map(|c| c.filename.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bad-1.txt", "bad-2.txt"]);
    // While it runs there is no next attempt.
    let failed =
        Chosen::Matching { status: Some(DocumentStatus::Ready), name: Some("GOOD".into()), tag: None };
    let begun = d.s.store.begin_bulk(d.new_bulk(user, workspace, BulkAction::Retry, failed)).await.unwrap();
    let done = d.carry_out(user, begun.id, 5).await;
    assert_eq!((done.total, done.done, done.refused), (3, 0, 3));
}

async fn a_retry_takes_all_that_failed_of_a_large_job(s: impl JobSubject + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let names: Vec<String> = (0..1_100).map(|n| format!("{n}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (job, _) = d.upload(user, workspace, &names).await;
    let cancel = Control::Cancel { keep_results: true };
    d.jobs.control(user, job.job_id, cancel, d.now()).await.unwrap();
    let failed = Chosen::Matching { status: Some(DocumentStatus::Failed), name: None, tag: None };
    let begun = d.s.store.begin_bulk(d.new_bulk(user, workspace, BulkAction::Retry, failed)).await.unwrap();
    let done = d.carry_out(user, begun.id, 20).await;
    assert_eq!((done.total, done.done, done.failed, done.refused), (1_100, 1_100, 0, 0));
    let again = d.job(user, job.job_id).await;
    assert_eq!((again.attempt, again.status, again.metrics.documents_failed), (2, JobStatus::Pending, 0));
}

async fn what_is_chosen_is_indexed_anew_in_one_job(s: impl JobSubject + DerefMut<Target = Database>) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = mixed(&d, user, workspace).await;
    let ids = documents.iter().map(|d| d.id).collect();
    let new = d.new_bulk(user, workspace, BulkAction::Reindex, Chosen::These(ids));
    let begun = d.s.store.begin_bulk(new).await.unwrap();
    let done = d.carry_out(user, begun.id, 2).await;
    assert_eq!((done.done, done.refused, done.status), (3, 2, BulkStatus::Completed));
    let claims = d.claim("w", 10).await;
    assert_eq!(claims.len(), 3);
    for claim in &claims {
        assert_eq!(claim.job_id, claims[0].job_id);
        d.work(claim, 4).await;
    }
    let job = d.job(user, claims[0].job_id).await;
    assert_eq!((job.status, job.metrics.documents_done), (JobStatus::Completed, 3));
    assert_eq!(d.hits(workspace).await, 12);
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

on_every_database!(
    a_deleted_document_is_out_of_view_and_comes_back_as_it_was,
    one_in_work_leaves_its_job_and_goes_on_from_its_checkpoint_when_it_is_brought_back,
    a_job_of_which_every_document_is_deleted_ends_and_what_was_paused_comes_back_paused,
    once_the_time_is_over_nothing_of_it_is_left,
    a_workspace_that_is_being_deleted_stands_still_and_is_what_it_was_when_that_is_undone,
    a_workspace_goes_document_by_document_and_nothing_of_it_is_left,
    an_action_takes_each_document_once_and_survives_a_stop_anywhere,
    a_retry_takes_what_failed_into_one_attempt_and_refuses_the_rest,
    a_retry_takes_all_that_failed_of_a_large_job,
    what_is_chosen_is_indexed_anew_in_one_job,
    in_a_workspace_that_stands_nothing_is_begun_and_what_stood_goes_on_with_it,
);
