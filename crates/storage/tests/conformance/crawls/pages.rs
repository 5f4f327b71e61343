//! The pages of a crawl: its frontier, its end, what is missing then, and its retry.

use super::{Home, START, link};
use crate::{desk::JobSubject, on_every_database, subject::Database};
use domain::{
    JobStatus,
    crawl::{PageFault, PageState, SkipReason},
    errors::{Left, LeftOver},
    ingest::control::{Control, Retry},
};
use services::ports::{CrawlStore, Errors, FoundPage, PageEnd};
use std::ops::Deref;

async fn a_crawl_ends_with_its_last_page_and_its_last_document(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    assert_eq!((job.status, job.metrics.pages_found, job.queue_position), (JobStatus::Pending, 1, Some(0)));
    let claim = home.claim("w").await.expect("a crawl");
    assert!(home.claim("v").await.is_none(), "it is in hand");
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Running);
    let first = home.next(&claim).await.expect("the first page");
    assert_eq!((first.url.as_str(), first.known.is_none()), (START, true));
    assert_eq!(home.job(job.job_id).await.crawl.unwrap().current_url.as_deref(), Some(START));
    let out = FoundPage { skipped: Some(SkipReason::OutOfScope), ..link("out") };
    home.end(&claim, &first, home.taken(&first), vec![link("a"), out, link("a"), link("b")]).await;
    home.work().await;
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Running, "two pages wait");
    home.take_next(&claim, vec![link(""), link("b")]).await;
    let b = home.next(&claim).await.expect("a page");
    home.end(&claim, &b, PageEnd::Failed(PageFault::Http(403)), vec![]).await;
    assert!(home.next(&claim).await.is_none());
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Running, "a document waits");
    home.work().await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let ended = home.job(job.job_id).await;
    let m = ended.metrics;
    assert_eq!((ended.status, m.documents_done, m.documents_total), (JobStatus::Completed, 2, 2));
    assert_eq!((m.pages_found, m.pages_fetched, m.pages_failed, m.pages_skipped), (4, 2, 1, 1));
    use PageState::{Failed, Fetched, Skipped};
    let wanted = [("", Fetched), ("a", Fetched), ("out", Skipped), ("b", Failed)];
    assert_eq!(home.listed(job.job_id).await, wanted.map(|(url, state)| (url.to_owned(), state)));
}

async fn no_more_pages_wait_than_there_may_be(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(3).await;
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    let many = (0..70).map(|n| link(&n.to_string())).collect();
    home.end(&claim, &first, PageEnd::Skipped(SkipReason::Moved), many).await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!(
        (m.pages_found, m.pages_waiting(), m.pages_skipped),
        (71, 3, 68),
        "the first one took no room"
    );
    let left = home.listed(job.job_id).await;
    assert_eq!(left.iter().filter(|(_, state)| *state == PageState::Waiting).count(), 3);
}

async fn a_retry_asks_for_the_failed_pages_alone(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a")]).await;
    let a = home.next(&claim).await.expect("a page");
    home.end(&claim, &a, PageEnd::Failed(PageFault::TooLarge), vec![]).await;
    home.work().await;
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Completed);
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let again = Control::Retry(Retry::failed());
    let again = home.desk.jobs.control(home.user, job.job_id, again, home.desk.now()).await.unwrap();
    assert_eq!((again.status, again.attempt, again.metrics.pages_failed), (JobStatus::Pending, 2, 0));
    let claim = home.claim("w").await.expect("a crawl");
    let due = home.next(&claim).await.expect("the failed one");
    assert_eq!(due.url, a.url);
    home.end(&claim, &due, home.taken(&due), vec![]).await;
    assert!(home.next(&claim).await.is_none());
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.documents_done), (JobStatus::Completed, 2));
}

async fn a_retry_of_one_document_of_a_cancelled_crawl_asks_for_no_page(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let control = async |control: Control| {
        home.desk.jobs.control(home.user, job.job_id, control, home.desk.now()).await.unwrap()
    };
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), link("b")]).await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let cancelled = control(Control::Cancel { keep_results: true }).await;
    assert_eq!((cancelled.status, cancelled.metrics.pages_waiting()), (JobStatus::Cancelled, 2));
    let documents = home.desk.jobs.attempts(home.user, job.job_id).await.unwrap().unwrap();
    let document = documents[0].errors[0].document_id;
    control(Control::Retry(Retry::document(document))).await;
    assert!(home.claim("w").await.is_none(), "nobody asked for the pages");
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!(
        (ended.status, ended.metrics.documents_done, ended.metrics.pages_waiting()),
        (JobStatus::Cancelled, 1, 2)
    );
    assert!(home.claim("w").await.is_none());
    // The crawl goes on as soon as it is what is retried.
    control(Control::Retry(Retry::failed())).await;
    let claim = home.claim("w").await.expect("a crawl");
    for _ in 0..2 {
        home.take_next(&claim, vec![]).await;
    }
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.documents_done), (JobStatus::Completed, 3));
}

async fn pages_that_could_not_be_had_are_missing_until_a_later_crawl_asks_for_them(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let left =
        async |workspace, since| home.store().left_over(home.user, workspace, since, 10).await.unwrap();
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), link("b")]).await;
    for _ in 0..2 {
        let due = home.next(&claim).await.expect("a page");
        home.end(&claim, &due, PageEnd::Failed(PageFault::Http(403)), vec![]).await;
    }
    assert_eq!(left(None, None).await, [], "it goes on");
    home.work().await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let ended = home.job(job.job_id).await;
    assert_eq!(ended.status, JobStatus::Completed);
    let newest_at = ended.completed_at.expect("its end");
    let what = Left::Pages { job: job.job_id, url: START.into() };
    let pages = [LeftOver { what, workspace_id: home.workspace, count: 2, newest_at }];
    assert_eq!(left(None, None).await, pages);
    assert_eq!(left(Some(home.workspace), Some(newest_at)).await, pages);
    assert_eq!(left(None, Some(newest_at.plus_micros(1))).await, []);
    let (stranger, elsewhere) = home.desk.home().await;
    assert_eq!(left(Some(elsewhere), None).await, []);
    assert_eq!(home.store().left_over(stranger, None, None, 10).await.unwrap(), []);
    // The newest crawl of a site says what is missing, and that one has not ended.
    home.begin(10).await;
    assert_eq!(left(None, None).await, []);
}

on_every_database!(
    a_crawl_ends_with_its_last_page_and_its_last_document,
    no_more_pages_wait_than_there_may_be,
    a_retry_asks_for_the_failed_pages_alone,
    a_retry_of_one_document_of_a_cancelled_crawl_asks_for_no_page,
    pages_that_could_not_be_had_are_missing_until_a_later_crawl_asks_for_them,
);
