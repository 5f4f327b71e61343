//! Several servers on one database, each with a writer of its own: what one process cannot show, since its writes
//! stand in one line.

use crate::{
    desk::{Desk, JobSubject, LONG, loaded, step, vector_of, worker},
    on_every_database,
    subject::Database,
};
use domain::{
    DocumentId, DocumentStatus, Event, JobId, JobStatus, Step, UserId, WorkspaceId,
    ingest::{Checkpoint, Stage},
};
use futures::future::join_all;
use services::ports::{Claim, History, HistoryOf, HistoryQuery, JobStore, PageQuery, StoreError};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::DerefMut,
    sync::Arc,
};
use storage::{Engine, Store};

const SERVERS: usize = 3;
const CHUNKS: u32 = 4;

/// The subject's own store and others on the same database.
async fn servers(s: &impl DerefMut<Target = Database>) -> Vec<Store> {
    let mut servers = vec![s.store.clone()];
    while servers.len() < SERVERS {
        servers.push(s.open_another().await);
    }
    servers
}

/// Ends the servers. Their transactions must never have waited for one another crosswise: the database would have
/// broken that up, but only after a second in which neither went on.
async fn close(servers: Vec<Store>, d: &Desk<impl JobSubject + DerefMut<Target = Database>>) {
    for server in servers {
        server.close().await;
    }
    if d.s.store.engine() == Engine::Postgres {
        let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let mut conn = d.s.place.connect().await;
        let deadlocks: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
        assert_eq!(deadlocks, 0);
    }
}

async fn claims_of_several_servers_never_share_a_document(s: impl JobSubject + DerefMut<Target = Database>) {
    let servers = servers(&s).await;
    let d = Desk::new(s);
    let mut uploaded = BTreeSet::new();
    for n in 0..2 {
        let (user, workspace) = d.home().await;
        let names: Vec<String> = (0..30).map(|i| format!("{n}-{i}.txt")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        uploaded.extend(d.upload(user, workspace, &names).await.1.iter().map(|d| d.id));
    }
    let queues = servers.iter().cycle().take(SERVERS * 3);
    let mut claimed = d.race(queues.map(|server| Arc::new(server.clone()) as Arc<dyn JobStore>)).await;
    // Nobody waits for a row that another server looks at: at the end of the queue each one only finds nothing left.
    let mut rest = d.claim("rest", 100).await;
    claimed.extend(rest.drain(..).map(|c| c.document_id));
    assert_eq!(claimed.len(), uploaded.len());
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), uploaded);
    close(servers, &d).await;
}

/// Works on the document to its end, or until the lease is lost.
async fn work_or_lose<S: JobSubject>(d: &Desk<S>, server: &Store, claim: &Claim) -> Result<(), StoreError> {
    let check = |checkpoint| server.checkpoint(claim, checkpoint, d.now());
    let mut stage = claim.stage;
    while stage != Stage::Done {
        stage = match stage {
            Stage::Loading => {
                check(step(Step::ExtractingText)).await?;
                check(loaded()).await?;
                Stage::Chunking
            }
            Stage::Chunking => {
                check(step(Step::ChunkingText)).await?;
                check(d.chunks_of(&claim.filename, CHUNKS)).await?;
                Stage::Embedding
            }
            Stage::Embedding => {
                let left = server.unembedded(claim.document_id, 2).await?;
                if left.is_empty() {
                    Stage::Indexing
                } else {
                    let vectors = left.iter().map(|c| (c.id, vector_of(c.id))).collect();
                    check(Checkpoint::Embedded { vectors }).await?;
                    Stage::Embedding
                }
            }
            Stage::Indexing | Stage::Done => {
                check(Checkpoint::Indexed).await?;
                Stage::Done
            }
        };
    }
    Ok(())
}

async fn servers_that_take_one_anothers_work_bring_each_document_to_its_end_once(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let servers = servers(&s).await;
    let d = Arc::new(Desk::new(s));
    let mut jobs: BTreeMap<JobId, UserId> = BTreeMap::new();
    let mut homes: Vec<(UserId, WorkspaceId)> = vec![];
    for _ in 0..2 {
        let (user, workspace) = d.home().await;
        homes.push((user, workspace));
        for n in 0..2 {
            let names: Vec<String> = (0..4).map(|i| format!("{n}-{i}.txt")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            jobs.insert(d.upload(user, workspace, &names).await.0.job_id, user);
        }
    }
    let workers: Vec<_> = (0..SERVERS * 2)
        .map(|n| {
            let (server, d, homes) = (servers[n % SERVERS].clone(), Arc::clone(&d), homes.clone());
            tokio::spawn(async move {
                let me = worker(&format!("w{n}"));
                let (mut ended, mut lost) = (0, 0);
                loop {
                    // Every other worker's leases are over at once: it is robbed while it works.
                    let lease = if n % 2 == 0 { 0 } else { LONG };
                    let claims = server.claim(&me, lease, 1, d.now()).await.unwrap();
                    for claim in &claims {
                        match work_or_lose(&d, &server, claim).await {
                            Ok(()) => ended += 1,
                            Err(StoreError::Fenced) => lost += 1,
                            Err(e) => panic!("{e:?}"),
                        }
                    }
                    if claims.is_empty() {
                        let mut busy = false;
                        for (user, _) in &homes {
                            let jobs = server.jobs(*user, None, services::ports::PageQuery::first(10)).await;
                            busy |= jobs.unwrap().items.iter().any(|j| !j.status.is_final());
                        }
                        if !busy {
                            break (ended, lost);
                        }
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let mut ended = 0;
    for w in workers {
        ended += w.await.unwrap().0;
    }
    assert_eq!(ended, 16, "each document has one worker that ended it");

    for (&id, &user) in &jobs {
        let job = d.job(user, id).await;
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(
            (job.metrics.documents_done, job.metrics.chunks_created, job.metrics.chunks_embedded),
            (4, 16, 16)
        );
    }
    for (user, workspace) in homes {
        let page = services::ports::PageQuery::first(50);
        for document in d.documents.documents(user, workspace, None, page).await.unwrap().items {
            assert_eq!(document.status, DocumentStatus::Ready);
            let ordinals: Vec<u32> = d.chunks(user, document.id).await.iter().map(|c| c.ordinal).collect();
            assert_eq!(ordinals, [0, 1, 2, 3]);
        }
        the_stream_makes_sense(&d, user).await;
        d.assert_that_the_stream_told_the_truth(user).await;
    }
    close(servers, &d).await;
}

/// Numbers without a gap, statuses that only move on, bars that never fall, and the final counts last.
async fn the_stream_makes_sense<S: JobSubject>(d: &Desk<S>, user: UserId) {
    let logged = d.log.after(user, 0, u32::MAX).await.unwrap();
    assert_eq!(
        logged.iter().map(|e| e.seq).collect::<Vec<_>>(),
        (1..=logged.len() as u64).collect::<Vec<_>>()
    );
    let mut jobs: BTreeMap<JobId, (f64, bool)> = BTreeMap::new();
    let mut documents: BTreeMap<DocumentId, DocumentStatus> = BTreeMap::new();
    let mut ready = 0;
    for event in d.events_after(user, 0).await {
        match event {
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => {
                let (progress, ended) = jobs.entry(j.job_id).or_default();
                assert!(!*ended, "nothing is told of a job that has ended");
                assert!(j.progress >= *progress, "{} fell to {}", *progress, j.progress);
                (*progress, *ended) = (j.progress, j.status.is_final());
            }
            Event::DocumentStatus(document) => {
                if let Some(before) = documents.insert(document.id, document.status) {
                    assert!(before.may_become(document.status), "{before} became {}", document.status);
                }
            }
            Event::WorkspaceStatus(w) => {
                assert!(w.counts.ready >= ready, "the workspace went back to fewer ready documents");
                ready = w.counts.ready;
            }
            _ => {}
        }
    }
    assert_eq!(ready, 8);
}

/// Each server keeps the log, and none of them leads.
async fn servers_that_keep_the_log_at_once_forget_what_one_would(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    let servers = servers(&s).await;
    let d = Desk::new(s);
    let mut homes = vec![];
    for _ in 0..3 {
        let (user, workspace) = d.home().await;
        d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
        homes.push((user, workspace));
    }
    for _ in 0..9 {
        let claim = d.claim_one("w").await;
        d.work(&claim, CHUNKS).await;
    }
    let turns = async || {
        let mut all = vec![];
        for (user, workspace) in &homes {
            let query =
                HistoryQuery { limit: PageQuery::MAX, after: None, newest_first: false, transitions: true };
            let of = HistoryOf::Workspace(*workspace);
            all.push((d.head(*user).await, d.history.history(*user, of, query).await.unwrap().items));
        }
        all
    };
    let logged = async || {
        let mut events = 0;
        for (user, _) in &homes {
            events += d.log.after(*user, 0, u32::MAX).await.unwrap().len();
        }
        events
    };
    let (turns_before, logged_before) = (turns().await, logged().await);

    let before = d.now().plus_seconds(86_400);
    let keeping = servers.iter().map(|server| async move {
        let mut removed = 0;
        loop {
            match server.forget_events(before, 7).await.unwrap() {
                0 => return removed,
                some => removed += some,
            }
        }
    });
    let removed: Vec<usize> = join_all(keeping).await;
    let removed: usize = removed.into_iter().sum();
    assert!(removed > 0, "there was progress to forget");
    assert_eq!(logged().await, logged_before - removed, "each event went once");
    assert_eq!(turns().await, turns_before, "every turn is kept");
    assert_eq!(d.history.forget_events(before, 100).await.unwrap(), 0, "nothing is left to forget");
    for (user, _) in homes {
        assert_eq!(d.log.floor(user).await.unwrap(), 0, "whoever missed it can still be resumed");
    }
    close(servers, &d).await;
}

/// Each server has a herald, and all of them hear at the same moment that the queue moved.
async fn servers_that_look_at_the_queue_at_once_tell_a_place_once(
    s: impl JobSubject + DerefMut<Target = Database>,
) {
    const JOBS: usize = 10;
    let servers = servers(&s).await;
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let mut waiting = BTreeSet::new();
    for _ in 0..JOBS {
        waiting.insert(d.upload(user, workspace, &["a.txt"]).await.0.job_id);
    }
    while waiting.len() > 1 {
        let claim = d.claim_one("w").await;
        d.work(&claim, CHUNKS).await;
        waiting.remove(&claim.job_id);
        let (before, now) = (d.head(user).await, d.now());
        let telling = servers.iter().map(|server| async move { server.tell_queue(100, now).await.unwrap() });
        let told: usize = join_all(telling).await.into_iter().sum();
        assert_eq!(told, waiting.len(), "all the others go up by one");
        let mut places = vec![];
        for event in d.events_after(user, before).await {
            match event {
                Event::JobUpdate(job) => places.push((job.job_id, job.queue_position)),
                other => panic!("only places were told: {other:?}"),
            }
        }
        places.sort_unstable();
        let mut shown = vec![];
        for &id in &waiting {
            shown.push((id, d.job(user, id).await.queue_position));
        }
        assert_eq!(places, shown, "each is told once, and what is shown");
    }
    close(servers, &d).await;
}

on_every_database!(
    servers_that_keep_the_log_at_once_forget_what_one_would,
    claims_of_several_servers_never_share_a_document,
    servers_that_look_at_the_queue_at_once_tell_a_place_once,
    servers_that_take_one_anothers_work_bring_each_document_to_its_end_once,
);
