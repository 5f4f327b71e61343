//! The pages of a crawl: its frontier, its end, what is missing then, and its retry.

use super::{Home, START, done, link};
use crate::{desk::JobSubject, on_every_database, subject::Database};
use domain::{
    JobId, JobStatus,
    crawl::{CrawlPage, MOST_SITEMAPS, PageFault, PageState, SkipReason},
    errors::{Left, LeftOver},
    ingest::control::{Control, Retry},
};
use services::ports::{CrawlStore, Errors, FoundPage, PageEnd, PageQuery};
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

async fn skipped<S: JobSubject + Deref<Target = Database>>(home: &Home<S>, job: JobId) -> Vec<CrawlPage> {
    let first = PageQuery::first(200);
    let pages = home.store().crawl_pages(home.user, job, Some(PageState::Skipped), first).await;
    pages.unwrap().unwrap().items
}

/// A link that the page has beyond those that are followed.
fn beyond(name: &str) -> FoundPage {
    FoundPage { skipped: Some(SkipReason::MaxLinks), ..link(name) }
}

async fn what_is_left_out_for_the_links_of_one_page_is_listed_until_another_leads_to_it(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), beyond("b"), beyond("c")]).await;
    let left = skipped(&home, job.job_id).await;
    assert_eq!(left.iter().map(|p| p.url.as_str()).collect::<Vec<_>>(), ["b", "c"].map(|n| link(n).url));
    let why = SkipReason::MaxLinks;
    for page in &left {
        assert_eq!((page.code.as_deref(), page.message.clone()), (Some(why.as_str()), Some(why.sentence())));
        assert_eq!(page.found_on.as_deref(), Some(START));
    }
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (4, 2, 1));
    // Only one of the two is followed from there.
    let a = home.take_next(&claim, vec![FoundPage { depth: 2, ..link("b") }, beyond("c")]).await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (4, 1, 1));
    let listed = home.store().crawl_pages(home.user, job.job_id, None, PageQuery::first(9)).await;
    let b =
        listed.unwrap().unwrap().items.into_iter().find(|p| p.url == link("b").url).expect("it is listed");
    assert_eq!((b.state, b.depth, b.code, b.message), (PageState::Waiting, 2, None, None));
    assert_eq!(b.found_on, Some(a.url));
    assert_eq!(home.take_next(&claim, vec![]).await.url, b.url);
    assert!(home.next(&claim).await.is_none());
    home.work().await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.pages_fetched), (JobStatus::Completed, 3));
    assert_eq!(skipped(&home, job.job_id).await.len(), 1);

    // Of what an earlier crawl had nobody knows whether it is gone.
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![beyond("c")]).await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.pages_removed), (JobStatus::Completed, 0));
}

async fn a_page_that_was_left_out_is_asked_for_only_where_there_is_room(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(3).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), beyond("b"), beyond("c")]).await;
    home.take_next(&claim, vec![link("b"), link("c")]).await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (4, 1, 1));
    let left = skipped(&home, job.job_id).await;
    assert_eq!(left.iter().map(|p| p.url.clone()).collect::<Vec<_>>(), [link("c").url]);
}

async fn a_site_map_that_is_not_read_is_listed_as_left_out(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let map = |n: usize| FoundPage { depth: 0, ..link(&format!("{n}.xml")) };
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let told: Vec<String> = (0..MOST_SITEMAPS - 2).map(|n| map(n).url).collect();
    home.store().robots_read(&claim, String::new(), told, home.desk.now()).await.unwrap();
    assert_eq!(home.job(job.job_id).await.metrics.pages_skipped, 0);
    let mut index = home.next(&claim).await.expect("a site map");
    let named: Vec<FoundPage> = (MOST_SITEMAPS - 3..MOST_SITEMAPS + 3).map(map).collect();
    let first = index.url.clone();
    // The second one names the same, and nothing is told twice.
    for _ in 0..2 {
        assert!(index.is_sitemap);
        let read = done(&index, PageEnd::SiteMap, named.clone());
        home.store().page_done(&claim, read, home.desk.now()).await.unwrap();
        let left = skipped(&home, job.job_id).await;
        let urls: Vec<&str> = left.iter().map(|p| p.url.as_str()).collect();
        assert_eq!(urls, (MOST_SITEMAPS..MOST_SITEMAPS + 3).map(|n| map(n).url).collect::<Vec<_>>());
        let why = SkipReason::MaxSitemaps;
        for page in &left {
            assert_eq!(
                (page.code.as_deref(), page.message.clone()),
                (Some(why.as_str()), Some(why.sentence()))
            );
            assert_eq!(page.found_on.as_deref(), Some(first.as_str()));
        }
        let m = home.job(job.job_id).await.metrics;
        assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (4, 3, 1));
        index = home.next(&claim).await.expect("another site map");
    }

    let job = home.begin(10).await;
    let claim = home.claim("v").await.expect("a crawl");
    let told: Vec<String> = (0..=MOST_SITEMAPS).map(|n| map(n).url).collect();
    home.store().robots_read(&claim, String::new(), told, home.desk.now()).await.unwrap();
    let left = skipped(&home, job.job_id).await;
    assert_eq!(left.iter().map(|p| p.url.clone()).collect::<Vec<_>>(), [map(MOST_SITEMAPS).url]);
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (2, 1, 1));
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
    what_is_left_out_for_the_links_of_one_page_is_listed_until_another_leads_to_it,
    a_page_that_was_left_out_is_asked_for_only_where_there_is_room,
    a_site_map_that_is_not_read_is_listed_as_left_out,
    a_retry_asks_for_the_failed_pages_alone,
    a_retry_of_one_document_of_a_cancelled_crawl_asks_for_no_page,
    pages_that_could_not_be_had_are_missing_until_a_later_crawl_asks_for_them,
);
