//! Who has a crawl in hand: its lease, what is asked of it meanwhile, and fairness between people.

use super::{Home, START, done, link, new_crawl};
use crate::{
    desk::{JobSubject, LONG, worker},
    on_every_database,
    subject::Database,
};
use domain::{JobStatus, crawl::SkipReason, ingest::control::Control};
use services::ports::{CrawlStore, JobStore, PageEnd, PageQuery, StoreError};
use std::ops::Deref;

async fn a_lost_lease_writes_nothing_and_the_next_goes_on(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let dead = home
        .store()
        .claim_crawls(&worker("dead"), 0, 1, home.desk.now())
        .await
        .unwrap()
        .pop()
        .expect("a crawl");
    let claim = home.claim("w").await.expect("its lease ran out at once");
    assert!(claim.fence > dead.fence);
    let due = home.next(&claim).await.expect("a page");
    let late = home
        .store()
        .page_done(&dead, done(&due, PageEnd::Skipped(SkipReason::Empty), vec![]), home.desk.now())
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = home.store().next_page(&dead, home.desk.now()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = home.store().release_crawl(&dead, home.desk.now()).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert!(home.store().extend_crawls(&worker("dead"), &[job.job_id], LONG).await.unwrap().is_empty());
    assert!(home.store().extend_crawls(&worker("w"), &[], LONG).await.unwrap().is_empty());
    assert_eq!(home.store().extend_crawls(&worker("w"), &[job.job_id], LONG).await.unwrap(), [job.job_id]);
    home.end(&claim, &due, home.taken(&due), vec![]).await;
    let twice = home.store().page_done(&claim, done(&due, home.taken(&due), vec![]), home.desk.now()).await;
    assert!(matches!(twice, Err(StoreError::Fenced)), "{twice:?}");
    assert_eq!(home.job(job.job_id).await.metrics.documents_total, 1);
}

async fn what_is_asked_of_a_crawl_waits_for_its_worker(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let asked = home.desk.jobs.control(home.user, job.job_id, Control::Pause, home.desk.now()).await.unwrap();
    assert_eq!(asked.status, JobStatus::Running, "a worker has it in hand");
    assert_eq!(home.store().asked_crawls(&worker("w")).await.unwrap(), [job.job_id]);
    assert_eq!(home.store().honour_requests(9, home.desk.now()).await.unwrap(), 0, "its lease holds");
    home.take_next(&claim, vec![link("a")]).await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Paused);
    assert!(home.claim("w").await.is_none(), "nobody takes it");
    home.desk.jobs.control(home.user, job.job_id, Control::Resume, home.desk.now()).await.unwrap();
    let claim = home.claim("w").await.expect("it goes on");
    let due = home.next(&claim).await.expect("where it was");
    assert_eq!(due.url, format!("{START}a"));
    // A worker that died gives nothing back: what is asked is honoured without it.
    home.store().void_leases().await.unwrap();
    let dead = home.store().claim_crawls(&worker("dead"), 0, 1, home.desk.now()).await.unwrap();
    assert_eq!(dead.len(), 1);
    let cancel = Control::Cancel { keep_results: true };
    let cancelled = home.desk.jobs.control(home.user, job.job_id, cancel, home.desk.now()).await.unwrap();
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    assert_eq!(cancelled.metrics.pages_waiting(), 1);
    assert!(home.claim("w").await.is_none());
}

async fn nobody_has_more_than_two_crawls_in_hand(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    for _ in 0..3 {
        home.begin(10).await;
    }
    let (bob, papers) = home.desk.home().await;
    let other = home.store().create_crawl(new_crawl(&home.desk.s, bob, papers, 10)).await.unwrap();
    let claims = home.store().claim_crawls(&worker("w"), LONG, 9, home.desk.now()).await.unwrap();
    let mine = claims.iter().filter(|claim| claim.user_id == home.user).count();
    assert_eq!((mine, claims.iter().any(|claim| claim.job_id == other.job_id)), (2, true));
    assert!(home.claim("v").await.is_none());
    let not_his = home.store().crawl_pages(home.user, other.job_id, None, PageQuery::first(9)).await.unwrap();
    assert!(not_his.is_none());
}

async fn the_crawls_of_one_person_let_that_of_another_in_between(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let mine = [home.begin(10).await.job_id, home.begin(10).await.job_id];
    let (bob, papers) = home.desk.home().await;
    let other = home.store().create_crawl(new_crawl(&home.desk.s, bob, papers, 10)).await.unwrap();
    // With one hand, which gives back what it has.
    for expected in [mine[0], other.job_id, mine[0], other.job_id] {
        let claim = home.claim("w").await.expect("a crawl");
        assert_eq!(claim.job_id, expected);
        home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    }
}

async fn a_crawl_that_nobody_reads_says_so_until_somebody_does(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let quiet = || home.desk.now().plus_seconds(60);
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, quiet()).await.unwrap(), 0, "it was not begun");
    let claim = home.claim("w").await.expect("a crawl");
    home.next(&claim).await.expect("a page");
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, quiet()).await.unwrap(), 0, "it is in hand");
    home.store().void_leases().await.unwrap();
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, home.desk.now()).await.unwrap(), 0, "just now");
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, quiet()).await.unwrap(), 1);
    let told = home.job(job.job_id).await;
    assert_eq!(told.halted, Some(domain::status::Halt::Interrupted));
    assert_eq!(told.crawl.unwrap().current_url, None);
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, quiet()).await.unwrap(), 0, "once");
    home.claim("w").await.expect("a crawl");
    assert_eq!(home.job(job.job_id).await.halted, None);
}

on_every_database!(
    a_lost_lease_writes_nothing_and_the_next_goes_on,
    what_is_asked_of_a_crawl_waits_for_its_worker,
    nobody_has_more_than_two_crawls_in_hand,
    the_crawls_of_one_person_let_that_of_another_in_between,
    a_crawl_that_nobody_reads_says_so_until_somebody_does,
);
