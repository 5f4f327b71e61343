//! Actions over many documents.

use super::refused;
use crate::{
    desk::{Desk, JobSubject},
    on_every_database,
    subject::Database,
};
use domain::{
    Actor, BulkId, Document, DocumentId, DocumentStatus, Event, Job, JobStatus, Timestamp, UserId,
    WorkspaceId,
    bulk::{BulkAction, BulkStatus},
    ingest::control::Control,
};
use services::ports::{Bulks, Chosen, Workspaces};
use std::ops::{Deref, DerefMut};

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

async fn a_document_of_an_action_is_passed_over_once_however_many_servers_failed_at_it(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let these = Chosen::These(documents.iter().map(|document| document.id).collect());
    let begun = d.s.store.begin_bulk(d.new_bulk(user, workspace, BulkAction::Delete, these)).await.unwrap();
    for _ in 0..2 {
        d.s.store.skip_in_bulk(user, begun.id, 0, d.now()).await.unwrap();
    }
    let now = d.s.store.bulk(user, begun.id).await.unwrap().unwrap();
    assert_eq!((now.done, now.failed, now.status), (0, 1, BulkStatus::Running));
    let done = d.carry_out(user, begun.id, 2).await;
    assert_eq!((done.done, done.failed, done.status), (1, 1, BulkStatus::Completed));
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

async fn the_actions_of_one_person_keep_nobody_elses_waiting(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let d = Desk::new(s);
    let mut begun = vec![];
    for actions in [3, 1] {
        let (user, workspace) = d.home().await;
        let (_, documents) = mixed(&d, user, workspace).await;
        for _ in 0..actions {
            let new = d.new_bulk(user, workspace, BulkAction::Disable, Chosen::These(vec![documents[0].id]));
            begun.push(d.s.store.begin_bulk(new).await.unwrap().id);
        }
    }
    let running = d.s.store.running_bulks(3).await.unwrap();
    let ids: Vec<BulkId> = running.iter().map(|action| action.id).collect();
    assert_eq!(ids, [begun[0], begun[3], begun[1]], "each person's first, then the others");
}

on_every_database!(
    an_action_takes_each_document_once_and_survives_a_stop_anywhere,
    a_document_of_an_action_is_passed_over_once_however_many_servers_failed_at_it,
    a_retry_takes_what_failed_into_one_attempt_and_refuses_the_rest,
    a_retry_takes_all_that_failed_of_a_large_job,
    what_is_chosen_is_indexed_anew_in_one_job,
    the_actions_of_one_person_keep_nobody_elses_waiting,
);
