//! Leases: who may work on what. A lease of no length is over at once, so no case has to wait for one.

use crate::{
    desk::{Desk, JobSubject, LONG, loaded, step, worker},
    on_every_store,
    subject::{Memory, Postgres, Sqlite, Subject},
};
use domain::{
    DocumentId, DocumentStatus, JobStatus, Step, UserId, WorkspaceStatus,
    ingest::{Checkpoint, Stage},
    rag::RagConfig,
};
use services::ports::{Claim, StoreError, Workspaces};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

fn names(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|c| c.filename.as_str()).collect()
}

async fn a_claim_starts_the_job_and_the_document(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let before = d.head(user).await;
    let claim = d.claim_one("w").await;
    assert_eq!(d.words_after(user, before).await, ["a.txt processing", "job running"]);
    assert_eq!(
        (claim.job_id, claim.document_id, claim.workspace_id, claim.user_id),
        (job.job_id, documents[0].id, workspace, user)
    );
    assert_eq!((claim.attempt, claim.fence, claim.stage, claim.version), (1, 1, Stage::Loading, 1));
    assert_eq!((claim.filename.as_str(), claim.mime_type.as_str()), ("a.txt", "text/plain"));
    assert_eq!(claim.blob_key, format!("documents/{}", claim.document_id));
    assert_eq!(claim.rag_config, RagConfig::default());
    let job = d.job(user, job.job_id).await;
    assert_eq!(
        (job.status, job.started_at, job.rev),
        (JobStatus::Running, Some(d.s.world().now()), before + 2)
    );
    assert_eq!(d.document(user, documents[0].id).await.status, DocumentStatus::Processing);
    assert_eq!(d.document(user, documents[1].id).await.status, DocumentStatus::Pending);

    // The job runs already: only the next document starts. (A second has passed, so the job's progress is told too.)
    let before = d.head(user).await;
    assert_eq!(names(&d.claim("w", 5).await), ["b.txt"]);
    assert_eq!(d.words_after(user, before).await, ["b.txt processing", "job running"]);
    assert!(d.claim("w", 5).await.is_empty());
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn claims_at_the_same_time_never_share_a_document(s: impl JobSubject) {
    const WORKERS: usize = 12;
    let d = Desk::new(s);
    let mut uploaded = BTreeSet::new();
    for n in 0..3 {
        let (user, workspace) = d.home().await;
        let filenames: Vec<String> = (0..20).map(|i| format!("{n}-{i}.txt")).collect();
        let filenames: Vec<&str> = filenames.iter().map(String::as_str).collect();
        uploaded.extend(d.upload(user, workspace, &filenames).await.1.iter().map(|d| d.id));
    }
    let claimed = d.race((0..WORKERS).map(|_| Arc::clone(&d.jobs))).await;
    assert_eq!(claimed.len(), uploaded.len());
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), uploaded);
}

async fn a_small_job_is_not_starved_by_a_large_one(s: impl JobSubject) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let filenames: Vec<String> = (0..100).map(|n| format!("{n}.txt")).collect();
    let filenames: Vec<&str> = filenames.iter().map(String::as_str).collect();
    d.upload(anna, annas, &filenames).await;
    assert_eq!(names(&d.claim("w", 2).await), ["0.txt", "1.txt"]);
    let (ben, bens) = d.home().await;
    d.upload(ben, bens, &["small.txt"]).await;
    assert_eq!(names(&d.claim("w", 1).await), ["small.txt"]);
    assert_eq!(names(&d.claim("w", 1).await), ["2.txt"]);
}

async fn users_take_turns_and_each_ones_oldest_job_goes_first(s: impl JobSubject) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let (ben, bens) = d.home().await;
    let (carl, carls) = d.home().await;
    d.upload(anna, annas, &["a1", "a2", "a3", "a4"]).await;
    d.upload(anna, annas, &["a5"]).await;
    d.upload(ben, bens, &["b1", "b2"]).await;
    d.upload(carl, carls, &["c1"]).await;
    // One each in the order of their oldest jobs, then again, as long as they have something.
    assert_eq!(names(&d.claim("w", 20).await), ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]);
}

async fn leases_that_are_over_do_not_count_against_their_user(s: impl JobSubject) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let (ben, bens) = d.home().await;
    d.upload(anna, annas, &["a1", "a2"]).await;
    assert_eq!(names(&d.claim_and_die("dead", 2).await), ["a1", "a2"]);
    d.upload(ben, bens, &["b1", "b2"]).await;
    assert_eq!(names(&d.claim_and_die("dead", 1).await), ["b1"]);
    // Nobody holds anything that lives, so Anna does not hold more than Ben does; and she was served longer ago.
    assert_eq!(names(&d.claim("w", 3).await), ["a1", "b1", "a2"]);
}

async fn a_lease_that_is_over_passes_to_the_next_and_the_old_claim_writes_nothing(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let old = d.claim_and_die("slow", 1).await.remove(0);
    // Nobody has taken it: the slow worker goes on as long as that is so.
    d.check(&old, step(Step::ExtractingText)).await.unwrap();
    d.check(&old, loaded()).await.unwrap();

    let new = d.claim_one("fast").await;
    assert_eq!((new.document_id, new.attempt, new.fence), (old.document_id, old.attempt, old.fence + 1));
    assert_eq!(new.stage, Stage::Chunking, "it goes on where the first one's checkpoints reach");

    let ids = [documents[0].id];
    let before = d.everything(user, job.job_id, &ids).await;
    for checkpoint in [step(Step::ChunkingText), d.chunks_of("a.txt", 3), Checkpoint::Indexed, loaded()] {
        let late = d.check(&old, checkpoint).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    }
    let late = d.jobs.release(&old, d.now()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(d.jobs.heartbeat(&worker("slow"), &[old.document_id], LONG).await.unwrap(), []);
    assert_eq!(d.everything(user, job.job_id, &ids).await, before);
    // And the new one is still held.
    assert!(d.claim("third", 1).await.is_empty());
    d.work(&new, 3).await;
    assert_eq!(d.document(user, ids[0]).await.status, DocumentStatus::Ready);
}

async fn a_heartbeat_extends_and_tells_what_is_still_held(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claims = d.claim_and_die("w", 2).await;
    let mut held: Vec<DocumentId> = claims.iter().map(|c| c.document_id).collect();
    held.sort_unstable();
    assert_eq!(d.jobs.heartbeat(&worker("w"), &held, LONG).await.unwrap(), held);
    assert_eq!(names(&d.claim("other", 5).await), ["c.txt"]);

    d.work(&claims[0], 1).await;
    assert_eq!(d.jobs.heartbeat(&worker("w"), &held, LONG).await.unwrap(), [claims[1].document_id]);
    d.jobs.release(&claims[1], d.now()).await.unwrap();
    assert_eq!(d.jobs.heartbeat(&worker("w"), &held, LONG).await.unwrap(), []);
    assert_eq!(d.jobs.heartbeat(&worker("nobody"), &held, LONG).await.unwrap(), []);
}

async fn a_document_that_its_worker_does_not_name_is_free_when_its_lease_is_over(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let claims = d.claim_and_die("w", 2).await;
    // The worker never heard of the second one: the answer was lost.
    let known = [claims[0].document_id];
    assert_eq!(d.jobs.heartbeat(&worker("w"), &known, LONG).await.unwrap(), known);
    assert_eq!(d.jobs.heartbeat(&worker("w"), &[], LONG).await.unwrap(), []);
    assert_eq!(names(&d.claim("w", 5).await), ["b.txt"], "also that worker itself may take it now");
}

async fn a_released_document_is_free_at_once_and_keeps_what_was_done(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 5, Stage::Embedding).await;
    let (woken, before) = (d.s.world().bus.work_ready(), d.head(user).await);
    d.jobs.release(&claim, d.now()).await.unwrap();
    assert_eq!(d.s.world().bus.work_ready(), woken + 1);
    assert_eq!(d.head(user).await, before, "nothing that a person sees has changed");
    let again = d.jobs.release(&claim, d.now()).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");

    let next = d.claim_one("other").await;
    assert_eq!((next.stage, next.fence, next.attempt), (Stage::Embedding, 2, 1));
    d.work(&next, 5).await;
    assert_eq!(d.chunks(user, next.document_id).await.len(), 5);
}

async fn void_leases_are_free_for_the_taking(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claims = d.claim("before the restart", 2).await;
    d.work(&claims[0], 1).await;
    let woken = d.s.world().bus.work_ready();
    assert_eq!(d.jobs.void_leases().await.unwrap(), 1);
    assert_eq!(d.s.world().bus.work_ready(), woken + 1);
    let late = d.check(&claims[1], loaded()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let after = d.claim("after", 5).await;
    assert_eq!(names(&after), ["b.txt", "c.txt"]);
    assert_eq!((after[0].fence, after[1].fence), (2, 1));
    assert_eq!(d.jobs.void_leases().await.unwrap(), 2);
    assert_eq!(d.jobs.void_leases().await.unwrap(), 0);
}

async fn a_takeover_at_the_same_time_has_one_winner(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt"]).await;
    let dead = d.claim_and_die("dead", 1).await.remove(0);
    let now = d.now();
    let rivals: Vec<_> = (0..8)
        .map(|n| {
            let jobs = Arc::clone(&d.jobs);
            tokio::spawn(async move { jobs.claim(&worker(&format!("w{n}")), LONG, 2, now).await.unwrap() })
        })
        .collect();
    let mut won = vec![];
    for rival in rivals {
        won.extend(rival.await.unwrap());
    }
    assert_eq!(won.iter().map(|c| c.fence).collect::<Vec<_>>(), [dead.fence + 1]);
}

/// A store in which a workspace may be anything.
#[allow(async_fn_in_trait)]
trait Provisioning: JobSubject {
    async fn unready_workspace(&self, user: UserId) -> domain::WorkspaceId;
    async fn make_ready(&self, user: UserId, id: domain::WorkspaceId);
}

impl Provisioning for Memory {
    async fn unready_workspace(&self, user: UserId) -> domain::WorkspaceId {
        let id = domain::WorkspaceId::new(self.world().uuid());
        let now = self.world().now();
        self.store.add_workspace(user, id, WorkspaceStatus::Provisioning, RagConfig::default(), now);
        id
    }

    async fn make_ready(&self, user: UserId, id: domain::WorkspaceId) {
        self.store.add_workspace(user, id, WorkspaceStatus::Ready, RagConfig::default(), self.world().now());
    }
}

macro_rules! provisioning {
    ($($name:ident),+) => {
        $(impl Provisioning for $name {
            async fn unready_workspace(&self, user: UserId) -> domain::WorkspaceId {
                let mut new = self.new_workspace(user, "Unready");
                new.status = WorkspaceStatus::Provisioning;
                self.store.create_workspace(new).await.unwrap().id
            }

            async fn make_ready(&self, _user: UserId, id: domain::WorkspaceId) {
                let now = Subject::world(self).now();
                self.store.set_workspace_status(id, WorkspaceStatus::Ready, None, now).await.unwrap();
            }
        })+
    };
}
provisioning!(Sqlite, Postgres);

async fn documents_wait_until_their_workspace_is_ready(s: impl Provisioning) {
    let d = Desk::new(s);
    let user = d.s.user().await;
    let unready = d.s.unready_workspace(user).await;
    let ready = d.s.workspace(user, RagConfig::default()).await;
    let (early, _) = d.upload(user, unready, &["early.txt"]).await;
    d.upload(user, ready, &["late.txt"]).await;
    assert_eq!(names(&d.claim("w", 5).await), ["late.txt"]);
    assert_eq!(d.job(user, early.job_id).await.status, JobStatus::Pending);
    d.s.make_ready(user, unready).await;
    assert_eq!(names(&d.claim("w", 5).await), ["early.txt"]);
}

async fn workers_in_parallel_bring_everything_to_an_end(s: impl JobSubject) {
    const WORKERS: usize = 6;
    let d = Arc::new(Desk::new(s));
    let mut jobs = BTreeMap::new();
    for _ in 0..2 {
        let (user, workspace) = d.home().await;
        for n in 0..2 {
            let filenames: Vec<String> = (0..5).map(|i| format!("{n}-{i}.txt")).collect();
            let filenames: Vec<&str> = filenames.iter().map(String::as_str).collect();
            jobs.insert(d.upload(user, workspace, &filenames).await.0.job_id, user);
        }
    }
    let workers: Vec<_> = (0..WORKERS)
        .map(|n| {
            let d = Arc::clone(&d);
            tokio::spawn(async move {
                let mut done = 0;
                loop {
                    let claims = d.claim(&format!("w{n}"), 2).await;
                    if claims.is_empty() {
                        break done;
                    }
                    for claim in claims {
                        d.work(&claim, 4).await;
                        done += 1;
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for w in workers {
        done += w.await.unwrap();
    }
    assert_eq!(done, 20);
    for (id, user) in &jobs {
        let job = d.job(*user, *id).await;
        assert_eq!(
            (job.status, job.metrics.documents_done, job.metrics.chunks_embedded),
            (JobStatus::Completed, 5, 20)
        );
        d.assert_that_the_stream_told_the_truth(*user).await;
    }
    for user in jobs.values().collect::<BTreeSet<_>>() {
        // Whatever the order in which transactions ended: the newest event about the workspace has the final counts.
        let told = d.words_after(*user, 0).await;
        let last = told.iter().rev().find(|w| w.starts_with("workspace")).unwrap();
        assert_eq!(last, "workspace 10/10 ready");
    }
}

on_every_store!(
    a_claim_starts_the_job_and_the_document,
    claims_at_the_same_time_never_share_a_document,
    a_small_job_is_not_starved_by_a_large_one,
    users_take_turns_and_each_ones_oldest_job_goes_first,
    leases_that_are_over_do_not_count_against_their_user,
    a_lease_that_is_over_passes_to_the_next_and_the_old_claim_writes_nothing,
    a_heartbeat_extends_and_tells_what_is_still_held,
    a_document_that_its_worker_does_not_name_is_free_when_its_lease_is_over,
    a_released_document_is_free_at_once_and_keeps_what_was_done,
    void_leases_are_free_for_the_taking,
    a_takeover_at_the_same_time_has_one_winner,
    documents_wait_until_their_workspace_is_ready,
    workers_in_parallel_bring_everything_to_an_end,
);
