//! Making jobs and reading them.

use crate::{
    desk::{Desk, JobSubject, keyword_only, new_document},
    on_every_store,
};
use domain::{
    DocumentStatus, Event, Job, JobId, JobKind, JobStatus, PhaseName, PhaseStatus, UserId,
    ingest::control::{Control, DocumentControl, Retry},
    resource::Page,
};
use services::ports::{NewJob, PageQuery, StoreError};
use std::sync::Arc;

async fn a_new_job_waits_with_its_documents_and_everybody_hears_of_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (before, woken) = (d.head(user).await, d.s.world().bus.work_ready());
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;

    assert_eq!(
        (job.status, job.kind, job.attempt, job.kb_id),
        (JobStatus::Pending, JobKind::Upload, 1, workspace)
    );
    assert_eq!((job.queue_position, job.metrics.documents_total, job.metrics.bytes), (Some(0), 2, 200));
    assert_eq!(job.phase_details.iter().map(|p| p.name).collect::<Vec<_>>(), PhaseName::ALL);
    assert_eq!(documents.iter().map(|d| d.filename.as_str()).collect::<Vec<_>>(), ["a.txt", "b.txt"]);
    assert!(documents.iter().all(|d| d.status == DocumentStatus::Pending && d.job_id == Some(job.job_id)));
    assert_eq!(
        d.words_after(user, before).await,
        ["a.txt pending", "b.txt pending", "job pending", "workspace 0/2 ready"]
    );
    // What is answered carries the seq of the event that told of it.
    assert_eq!((documents[0].rev, documents[1].rev, job.rev), (before + 1, before + 2, before + 3));
    assert_eq!(d.job(user, job.job_id).await, job);
    assert_eq!(d.document(user, documents[1].id).await, documents[1]);
    assert_eq!(d.s.world().bus.work_ready(), woken + 1);
    let published: Vec<u64> = d.s.world().bus.events_of(user).iter().map(|e| e.seq).collect();
    assert_eq!(published, (1..=before + 4).collect::<Vec<_>>());
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_job_of_a_thousand_files_is_made_whole(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let names: Vec<String> = (0..1000).map(|n| format!("{n}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (job, documents) = d.upload(user, workspace, &names).await;
    assert_eq!(documents.iter().map(|d| d.filename.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(job.metrics.documents_total, 1000);
    let claims = d.claim("w", 3).await;
    assert_eq!(claims.iter().map(|c| c.filename.as_str()).collect::<Vec<_>>(), ["0.txt", "1.txt", "2.txt"]);
}

async fn nobody_makes_a_job_in_anothers_workspace(s: impl JobSubject) {
    let d = Desk::new(s);
    let (_, workspace) = d.home().await;
    let (stranger, _) = d.home().await;
    let before = d.head(stranger).await;
    let made = d.jobs.create_job(d.new_job(stranger, workspace, &["a.txt"])).await;
    assert!(matches!(made, Err(StoreError::NotFound)), "{made:?}");
    assert_eq!(d.head(stranger).await, before);
    assert_eq!(d.jobs.jobs(stranger, None, PageQuery::first(10)).await.unwrap().items, []);
}

async fn others_see_nothing(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (stranger, _) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 4).await;
    let id = documents[0].id;
    let page = || PageQuery::first(10);
    assert!(d.jobs.job(stranger, job.job_id).await.unwrap().is_none());
    assert!(d.jobs.jobs(stranger, None, page()).await.unwrap().items.is_empty());
    assert!(d.jobs.newest_job(stranger, workspace).await.unwrap().is_none());
    assert!(d.documents.document(stranger, id).await.unwrap().is_none());
    assert!(d.documents.documents(stranger, workspace, None, page()).await.unwrap().items.is_empty());
    assert!(d.documents.chunks(stranger, id, None, page()).await.unwrap().items.is_empty());
    assert!(d.documents.steps(stranger, id).await.unwrap().is_empty());
    assert!(d.documents.blob_key(stranger, id).await.unwrap().is_none());
    // The owner does.
    assert_eq!(d.chunks(user, id).await.len(), 4);
    assert_eq!(d.documents.blob_key(user, id).await.unwrap(), Some(format!("documents/{id}")));
}

async fn jobs_are_listed_newest_first_page_by_page(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let mut made: Vec<JobId> = vec![];
    for n in 0..7 {
        let name = format!("{n}.txt");
        if n % 3 == 2 {
            // Two jobs of the same moment must neither hide one another nor repeat.
            let mut new = d.new_job(user, workspace, &[&name]);
            new.created_at = d.s.world().now().plus_seconds(-1);
            made.push(d.jobs.create_job(new).await.unwrap().0.job_id);
        } else {
            made.push(d.upload(user, workspace, &[&name]).await.0.job_id);
        }
    }
    let first = d.claim_one("w").await;
    d.work(&first, 1).await;

    let all = d.jobs.jobs(user, None, PageQuery::first(200)).await.unwrap();
    assert!(all.next.is_none());
    assert!(all.items.windows(2).all(|w| (w[0].created_at, w[0].job_id) > (w[1].created_at, w[1].job_id)));
    let mut listed: Vec<JobId> = all.items.iter().map(|j| j.job_id).collect();
    let mut paged = vec![];
    let mut after = None;
    loop {
        let page = d.jobs.jobs(user, None, PageQuery { limit: 2, after }).await.unwrap();
        paged.extend(page.items.iter().map(|j| j.job_id));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(page.items.len(), 2);
    }
    assert_eq!(paged, listed);
    listed.sort_unstable();
    made.sort_unstable();
    assert_eq!(listed, made);

    let done = d.jobs.jobs(user, Some(JobStatus::Completed), PageQuery::first(200)).await.unwrap().items;
    assert_eq!(done.iter().map(|j| j.job_id).collect::<Vec<_>>(), [first.job_id]);
    let waiting = d.jobs.jobs(user, Some(JobStatus::Pending), PageQuery::first(200)).await.unwrap().items;
    assert_eq!(waiting.len(), 6);
}

async fn jobs_under_way_come_by_what_they_do_and_jobs_by_their_ids(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (stranger, elsewhere) = d.home().await;
    let mut made = vec![];
    for n in 0..5 {
        made.push(d.upload(user, workspace, &[&format!("{n}.txt")]).await.0.job_id);
    }
    let running = d.claim_one("w").await;
    let strange = d.upload(stranger, elsewhere, &["s.txt"]).await.0.job_id;
    d.jobs.control(user, made[3], Control::Pause, d.now()).await.unwrap();
    d.jobs.control(user, made[4], Control::Cancel { keep_results: true }, d.now()).await.unwrap();

    let under_way = d.jobs.jobs_under_way(user, 10).await.unwrap();
    let waiting: Vec<JobId> = made[..3].iter().rev().copied().filter(|id| *id != running.job_id).collect();
    let wanted: Vec<JobId> = [running.job_id, made[3]].into_iter().chain(waiting).collect();
    assert_eq!(under_way.iter().map(|j| j.job_id).collect::<Vec<_>>(), wanted);
    for job in &under_way {
        assert_eq!(Some(job), d.jobs.job(user, job.job_id).await.unwrap().as_ref());
    }
    assert_eq!(d.jobs.jobs_under_way(user, 2).await.unwrap(), under_way[..2]);

    let asked = [made[4], strange, made[0], JobId::new(d.document_id().uuid())];
    let mut found: Vec<JobId> =
        d.jobs.jobs_by_id(user, &asked).await.unwrap().iter().map(|j| j.job_id).collect();
    found.sort_unstable();
    let mut mine = [made[0], made[4]];
    mine.sort_unstable();
    assert_eq!(found, mine);
    assert_eq!(d.jobs.jobs_by_id(user, &[]).await.unwrap(), []);
}

async fn a_cursor_that_no_list_gave_out_is_no_page(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let documents = d.documents.documents(user, workspace, None, PageQuery::first(1)).await.unwrap();
    let of_documents = documents.next.unwrap();
    let page = PageQuery { limit: 2, after: Some(of_documents.clone()) };
    assert!(matches!(d.jobs.jobs(user, None, page).await, Err(StoreError::BadCursor)), "{of_documents}");
    let damaged = format!("{of_documents}0");
    for cursor in ["", "x", "12", "'; DROP TABLE jobs; --", "1.\u{0}", damaged.as_str()] {
        let page = || PageQuery { limit: 2, after: Some(cursor.to_owned()) };
        assert!(matches!(d.jobs.jobs(user, None, page()).await, Err(StoreError::BadCursor)), "{cursor}");
        let documents = d.documents.documents(user, workspace, None, page()).await;
        assert!(matches!(documents, Err(StoreError::BadCursor)), "{cursor}");
    }
}

async fn the_newest_job_of_a_workspace_is_found(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let other = d.s.workspace(user, keyword_only()).await;
    assert!(d.jobs.newest_job(user, workspace).await.unwrap().is_none());
    let (old, _) = d.upload(user, workspace, &["old.txt"]).await;
    let (newest, _) = d.upload(user, workspace, &["new.txt"]).await;
    d.upload(user, other, &["elsewhere.txt"]).await;
    assert_eq!(d.jobs.newest_job(user, workspace).await.unwrap().unwrap(), newest);
    let all = d.jobs.jobs_of(user, workspace, PageQuery::first(9)).await.unwrap();
    let ids = |page: &Page<Job>| page.items.iter().map(|job| job.job_id).collect::<Vec<_>>();
    assert_eq!((ids(&all), all.next), (vec![newest.job_id, old.job_id], None));
    let first = d.jobs.jobs_of(user, workspace, PageQuery::first(1)).await.unwrap();
    let rest = PageQuery { limit: 1, after: first.next.clone() };
    let rest = d.jobs.jobs_of(user, workspace, rest).await.unwrap();
    assert_eq!((ids(&first), ids(&rest)), (vec![newest.job_id], vec![old.job_id]));
    let stranger = d.s.user().await;
    assert!(d.jobs.jobs_of(stranger, workspace, PageQuery::first(9)).await.unwrap().items.is_empty());
}

async fn a_waiting_job_tells_how_many_go_first(s: impl JobSubject) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let (ben, bens) = d.home().await;
    let (first, _) = d.upload(anna, annas, &["1.txt"]).await;
    let (second, _) = d.upload(ben, bens, &["2.txt"]).await;
    let (third, _) = d.upload(anna, annas, &["3.txt"]).await;
    assert_eq!(
        (first.queue_position, second.queue_position, third.queue_position),
        (Some(0), Some(1), Some(2))
    );
    let claim = d.claim_one("w").await;
    assert_eq!(claim.job_id, first.job_id);
    // A job that runs has no place; those behind it still wait for it.
    assert_eq!(d.job(anna, first.job_id).await.queue_position, None);
    assert_eq!(d.job(anna, third.job_id).await.queue_position, Some(2));
    d.work(&claim, 1).await;
    assert_eq!(d.job(ben, second.job_id).await.queue_position, Some(0));
    assert_eq!(d.job(anna, third.job_id).await.queue_position, Some(1));
    let listed = d.jobs.jobs(anna, None, PageQuery::first(10)).await.unwrap().items;
    assert_eq!(listed.iter().map(|j| j.queue_position).collect::<Vec<_>>(), [Some(1), None]);
}

async fn those_who_wait_are_told_when_their_place_falls(s: impl JobSubject) {
    let d = Desk::new(s);
    let (anna, annas) = d.home().await;
    let (ben, bens) = d.home().await;
    d.upload(anna, annas, &["1.txt"]).await;
    let (second, _) = d.upload(ben, bens, &["2.txt"]).await;
    let (third, _) = d.upload(anna, annas, &["3.txt"]).await;
    // Their first event says it already: there is nothing to add.
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 0);
    let created = d.log.after(ben, 0, 100).await.unwrap().iter().rev().find_map(|e| match e.event() {
        Some(Event::JobUpdate(job)) => Some(job.queue_position),
        _ => None,
    });
    assert_eq!(created, Some(Some(1)));

    let claim = d.claim_one("w").await;
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 0, "a job that runs is still ahead");
    d.work(&claim, 1).await;
    let (annas_head, bens_head) = (d.head(anna).await, d.head(ben).await);
    assert_eq!(d.jobs.tell_queue(1, d.now()).await.unwrap(), 1);
    assert_eq!(d.head(anna).await, annas_head, "the nearest goes first");
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 1);
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 0, "nobody is told twice");
    for (user, head, job, position) in [(ben, bens_head, second, 0), (anna, annas_head, third, 1)] {
        let told: Vec<_> = d.log.after(user, head, 10).await.unwrap().iter().map(|e| e.event()).collect();
        let now = d.job(user, job.job_id).await;
        assert_eq!(now.queue_position, Some(position));
        assert_eq!(told, [Some(Event::JobUpdate(now))], "what was told is what is read");
    }
}

async fn what_changes_of_a_waiting_job_is_told_with_its_place(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["1.txt"]).await;
    let (waits, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    assert_eq!(waits.queue_position, Some(1));
    let before = d.head(user).await;
    let (cancel, now) = (DocumentControl::Cancel { keep_results: true }, d.now());
    // The word of the second comes too soon after that of the first, and is told a moment later.
    for document in &documents[..2] {
        d.jobs.control_document(user, document.id, cancel, now).await.unwrap();
    }
    d.jobs.tell_rest(10, d.now()).await.unwrap();
    let told = d.events_after(user, before).await.into_iter().filter_map(|event| match event {
        Event::JobUpdate(job) => {
            Some((job.job_id, job.status, job.queue_position, job.metrics.documents_cancelled))
        }
        _ => None,
    });
    let place = |cancelled| (waits.job_id, JobStatus::Pending, Some(1), cancelled);
    assert_eq!(told.collect::<Vec<_>>(), [place(1), place(2)]);
    assert_eq!(d.job(user, waits.job_id).await.queue_position, Some(1));
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 0, "there is nothing to add");
}

async fn a_place_in_the_queue_is_the_one_that_claims_give(s: impl JobSubject) {
    let d = Desk::new(s);
    let mut homes = vec![];
    for _ in 0..3 {
        homes.push(d.home().await);
    }
    // Whose each of them is: one person has many, and the others come later.
    let mut jobs = vec![];
    for owner in [0, 0, 0, 0, 1, 0, 2, 1, 2, 0] {
        let (user, workspace) = homes[owner];
        let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
        jobs.push((user, job.job_id));
    }
    let mut waiting = vec![];
    for &(user, id) in &jobs {
        waiting.push((d.job(user, id).await.queue_position.expect("it waits"), id));
    }
    waiting.sort_unstable();
    let places: Vec<u64> = waiting.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (0..10).collect::<Vec<u64>>(), "each has a place of its own");
    // Those who came before the others did were told other places at first, and hear of it. Then there is nothing to add.
    assert_eq!(d.jobs.tell_queue(20, d.now()).await.unwrap(), 4);
    assert_eq!(d.jobs.tell_queue(20, d.now()).await.unwrap(), 0);
    for (_, id) in waiting {
        assert_eq!(d.claim_one("w").await.job_id, id);
    }
}

async fn what_is_not_begun_keeps_nobody_waiting(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (first, _) = d.upload(user, workspace, &["1.txt"]).await;
    let (second, _) = d.upload(user, workspace, &["2.txt"]).await;
    let (third, _) = d.upload(user, workspace, &["3.txt"]).await;
    let place = async |id: JobId| d.job(user, id).await.queue_position;
    d.jobs.control(user, first.job_id, Control::Pause, d.now()).await.unwrap();
    assert_eq!((place(second.job_id).await, place(third.job_id).await), (Some(0), Some(1)));
    assert_eq!(d.jobs.tell_queue(10, d.now()).await.unwrap(), 2);
    // One that runs and is asked to stop goes no further either.
    let claim = d.claim_one("w").await;
    assert_eq!(claim.job_id, second.job_id);
    assert_eq!(place(third.job_id).await, Some(1));
    d.jobs.control(user, second.job_id, Control::Pause, d.now()).await.unwrap();
    assert_eq!(place(third.job_id).await, Some(0));
    d.jobs.control(user, first.job_id, Control::Resume, d.now()).await.unwrap();
    assert_eq!(place(third.job_id).await, Some(1), "it goes first again");
}

async fn behind_many_a_place_is_told_a_moment_later(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (early, _) = d.upload(user, workspace, &["early.txt"]).await;
    let cancel = Control::Cancel { keep_results: true };
    d.jobs.control(user, early.job_id, cancel, d.now()).await.unwrap();
    for _ in 0..201 {
        d.upload(user, workspace, &["a.txt"]).await;
    }
    let told_since = async |id: JobId, before: u64| {
        d.events_after(user, before).await.into_iter().rev().find_map(|event| match event {
            Event::JobUpdate(job) if job.job_id == id => Some(job),
            _ => None,
        })
    };
    let before = d.head(user).await;
    let (late, _) = d.upload(user, workspace, &["b.txt"]).await;
    while d.jobs.tell_queue(100, d.now()).await.unwrap() > 0 {}
    let now = d.job(user, late.job_id).await;
    assert_eq!((now.queue_position, told_since(late.job_id, before).await), (Some(201), Some(now.clone())));
    // One that is tried again is answered as it was told, and nobody looks for its place once more.
    let before = d.head(user).await;
    let retry = Control::Retry(Retry::failed());
    let retried = d.jobs.control(user, early.job_id, retry, d.now()).await.unwrap();
    assert_eq!(retried.status, JobStatus::Pending);
    assert_eq!(told_since(early.job_id, before).await, Some(retried));
}

fn with_command<S: JobSubject>(d: &Desk<S>, user: UserId, workspace: domain::WorkspaceId) -> NewJob {
    NewJob { command_id: Some("upload-1".into()), ..d.new_job(user, workspace, &["a.txt", "b.txt"]) }
}

async fn the_same_command_makes_one_job(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, others) = d.home().await;
    let (first, documents) = d.jobs.create_job(with_command(&d, user, workspace)).await.unwrap();
    let before = d.head(user).await;
    let (again, same) = d.jobs.create_job(with_command(&d, user, workspace)).await.unwrap();
    assert_eq!((&again, &same), (&first, &documents));
    assert_eq!(d.head(user).await, before);

    // The second answer is what the job is by then, not what it was.
    let claim = d.claim_one("w").await;
    let (running, _) = d.jobs.create_job(with_command(&d, user, workspace)).await.unwrap();
    assert_eq!((running.job_id, running.status), (claim.job_id, JobStatus::Running));

    // A command is one's own.
    let (theirs, _) = d.jobs.create_job(with_command(&d, other, others)).await.unwrap();
    assert_ne!(theirs.job_id, first.job_id);
}

async fn a_command_for_something_else_is_refused_and_changes_nothing(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (other, others) = d.home().await;
    let command = |user, workspace, print: Option<&str>| NewJob {
        command_print: print.map(str::to_owned),
        ..with_command(&d, user, workspace)
    };
    let (first, _) = d.jobs.create_job(command(user, workspace, Some("a"))).await.unwrap();
    let head = d.head(user).await;
    let refused = d.jobs.create_job(command(user, workspace, Some("b"))).await;
    assert!(matches!(refused, Err(StoreError::OtherCommand)), "{refused:?}");
    assert_eq!(d.head(user).await, head);
    for same in [Some("a"), None] {
        assert_eq!(d.jobs.create_job(command(user, workspace, same)).await.unwrap().0.job_id, first.job_id);
    }
    d.jobs.create_job(command(other, others, Some("b"))).await.expect("a command is one's own");
    // What could not be done was no command: its key is free.
    let nowhere = domain::WorkspaceId::new(d.s.world().uuid());
    let failed = NewJob { command_id: Some("new".into()), ..command(user, nowhere, Some("x")) };
    assert!(matches!(d.jobs.create_job(failed).await, Err(StoreError::NotFound)));
    let next = NewJob { command_id: Some("new".into()), ..command(user, workspace, Some("y")) };
    d.jobs.create_job(next).await.expect("nothing was made under that key");
}

async fn the_same_command_at_the_same_time_makes_one_job(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let (jobs, new) = (Arc::clone(&d.jobs), with_command(&d, user, workspace));
            tokio::spawn(async move { jobs.create_job(new).await.unwrap() })
        })
        .collect();
    let mut answers = vec![];
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert!(answers.iter().all(|(job, documents)| {
        job.job_id == answers[0].0.job_id && *documents == answers[0].1 && documents.len() == 2
    }));
    assert_eq!(d.jobs.jobs(user, None, PageQuery::first(10)).await.unwrap().items.len(), 1);
    let listed = d.documents.documents(user, workspace, None, PageQuery::first(10)).await.unwrap().items;
    assert_eq!(listed.len(), 2);
}

async fn a_workspace_searched_by_keyword_skips_embedding(s: impl JobSubject) {
    let d = Desk::new(s);
    let user = d.s.user().await;
    let workspace = d.s.workspace(user, keyword_only()).await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    assert_eq!(job.phase_details[2].status, PhaseStatus::Skipped);
    let claim = d.claim_one("w").await;
    d.work(&claim, 4).await;
    let job = d.job(user, job.job_id).await;
    let statuses: Vec<PhaseStatus> = job.phase_details.iter().map(|p| p.status).collect();
    assert_eq!(
        statuses,
        [PhaseStatus::Completed, PhaseStatus::Completed, PhaseStatus::Skipped, PhaseStatus::Completed]
    );
    assert_eq!((job.status, job.metrics.chunks_embedded), (JobStatus::Completed, 0));
    assert!((job.progress - 100.0).abs() < f64::EPSILON);
    let document = d.document(user, documents[0].id).await;
    assert_eq!((document.status, document.chunk_count), (DocumentStatus::Ready, 4));
}

async fn a_text_that_a_database_cannot_keep_is_mended(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let mut new = d.new_job(user, workspace, &[]);
    new.documents.push(new_document(d.document_id(), "n\0ul.txt"));
    let (_, documents) = d.jobs.create_job(new).await.unwrap();
    assert_eq!(documents[0].filename, "n\u{fffd}ul.txt");
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, domain::ingest::Stage::Chunking).await;
    let chunk = crate::desk::new_chunk(d.chunk_id(), 0, "before\0after \u{1f680} \u{10ffff}");
    d.check(&claim, domain::ingest::Checkpoint::Chunked { chunks: vec![chunk] }).await.unwrap();
    d.check(&claim, crate::desk::failed("broken at \0")).await.unwrap();
    assert_eq!(d.chunks(user, claim.document_id).await[0].text, "before\u{fffd}after \u{1f680} \u{10ffff}");
    assert_eq!(d.document(user, claim.document_id).await.error.as_deref(), Some("broken at \u{fffd}"));
    d.assert_that_the_stream_told_the_truth(user).await;
}

on_every_store!(
    a_new_job_waits_with_its_documents_and_everybody_hears_of_it,
    a_job_of_a_thousand_files_is_made_whole,
    nobody_makes_a_job_in_anothers_workspace,
    others_see_nothing,
    jobs_are_listed_newest_first_page_by_page,
    jobs_under_way_come_by_what_they_do_and_jobs_by_their_ids,
    a_cursor_that_no_list_gave_out_is_no_page,
    the_newest_job_of_a_workspace_is_found,
    a_waiting_job_tells_how_many_go_first,
    those_who_wait_are_told_when_their_place_falls,
    what_changes_of_a_waiting_job_is_told_with_its_place,
    a_place_in_the_queue_is_the_one_that_claims_give,
    what_is_not_begun_keeps_nobody_waiting,
    behind_many_a_place_is_told_a_moment_later,
    the_same_command_makes_one_job,
    a_command_for_something_else_is_refused_and_changes_nothing,
    the_same_command_at_the_same_time_makes_one_job,
    a_workspace_searched_by_keyword_skips_embedding,
    a_text_that_a_database_cannot_keep_is_mended,
);
