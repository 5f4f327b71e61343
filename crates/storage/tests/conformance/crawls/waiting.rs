//! Pages that may be had later, and wait for their next try.

use super::{Home, START, done, link};
use crate::{desk::JobSubject, on_every_database, subject::Database};
use domain::{
    JobStatus,
    crawl::{PageFault, PageState},
    ingest::control::{Control, Retry},
};
use services::ports::{CrawlClaim, CrawlStore, PageDone, PageEnd, PageQuery};
use std::{ops::Deref, time::Duration};

async fn a_page_that_may_be_had_later_waits_for_its_next_try(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let listed = async |url: &str| {
        let all = home.store().crawl_pages(home.user, job.job_id, None, PageQuery::first(9)).await;
        all.unwrap().unwrap().items.into_iter().find(|page| page.url.ends_with(url)).unwrap()
    };
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), link("b")]).await;
    let a = home.next(&claim).await.expect("a page");
    let away = PageDone {
        retry_after: Some(Duration::from_secs(60)),
        ..done(&a, PageEnd::Failed(PageFault::Http(502)), vec![])
    };
    home.store().page_done(&claim, away, home.desk.now()).await.unwrap();
    let page = listed("/a").await;
    assert_eq!((page.state, page.code.as_deref()), (PageState::Waiting, Some("http_502")));
    assert!(page.message.as_deref().is_some_and(|m| m.starts_with("Retry 2 of 3 in ")), "{page:?}");
    assert!(page.waits_until.is_some_and(|at| at > home.desk.now()), "{page:?}");
    assert_eq!(listed("/b").await.waits_until, None, "nobody asked for it yet");
    // The others go on meanwhile.
    let b = home.next(&claim).await.expect("another page");
    assert_eq!(b.url, format!("{START}b"));
    home.end(&claim, &b, home.taken(&b), vec![]).await;
    home.work().await;
    assert!(home.next(&claim).await.is_none(), "its moment has not come");
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let waits = home.job(job.job_id).await;
    let m = waits.metrics;
    assert_eq!((waits.status, m.pages_waiting(), m.pages_failed), (JobStatus::Running, 1, 0));
    assert!(waits.message.contains("It is asked again at "), "{}", waits.message);
    assert!(waits.crawl.unwrap().waits_until.is_some_and(|at| at > home.desk.now()));
    assert!(home.claim("w").await.is_none(), "nobody takes it before that");
    let soon = home.desk.now().plus_seconds(9);
    assert_eq!(home.desk.jobs.tell_interrupted(8, 9, soon).await.unwrap(), 0, "nobody has left it");

    for (fault, seconds) in [(PageFault::TookTooLong, 60), (PageFault::Http(503), 11)] {
        home.desk.s.world().clock.advance_seconds(seconds);
        let claim = home.claim("w").await.expect("its moment has come");
        assert_eq!(home.job(job.job_id).await.crawl.unwrap().waits_until, None);
        let again = home.next(&claim).await.expect("the same page");
        assert_eq!(again.url, a.url);
        home.end(&claim, &again, PageEnd::Failed(fault), vec![]).await;
        home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    }
    let ended = home.job(job.job_id).await;
    let m = ended.metrics;
    assert_eq!((ended.status, m.pages_fetched, m.pages_failed), (JobStatus::Completed, 2, 1));
    let page = listed("/a").await;
    let why = page.message.as_deref().unwrap_or_default();
    assert_eq!((page.state, page.waits_until), (PageState::Failed, None));
    assert!(why.contains("It was tried 3 times; before: "), "{why}");
}

async fn what_is_asked_of_a_crawl_of_which_all_pages_wait_is_done_at_once(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let control = async |control: Control| {
        home.desk.jobs.control(home.user, job.job_id, control, home.desk.now()).await.unwrap()
    };
    let fails = async |claim: &CrawlClaim| {
        let due = home.next(claim).await.expect("the page");
        home.end(claim, &due, PageEnd::Failed(PageFault::Unreachable), vec![]).await;
        assert!(home.next(claim).await.is_none(), "it waits");
        home.store().release_crawl(claim, home.desk.now()).await.unwrap();
    };
    fails(&home.claim("w").await.expect("a crawl")).await;
    assert_eq!(control(Control::Pause).await.status, JobStatus::Paused);
    home.desk.s.world().clock.advance_seconds(3);
    assert!(home.claim("w").await.is_none(), "it stands");
    assert_eq!(control(Control::Resume).await.status, JobStatus::Running);
    fails(&home.claim("w").await.expect("its moment has come")).await;
    let cancelled = control(Control::Cancel { keep_results: true }).await;
    assert_eq!((cancelled.status, cancelled.metrics.pages_waiting()), (JobStatus::Cancelled, 1));
    // A retry waits for nothing and counts anew.
    control(Control::Retry(Retry::failed())).await;
    for (next, seconds) in [("Retry 2 of 3 in ", 3), ("Retry 3 of 3 in ", 11)] {
        fails(&home.claim("w").await.expect("a crawl")).await;
        let pages = home.store().crawl_pages(home.user, job.job_id, None, PageQuery::first(9)).await;
        let message = pages.unwrap().unwrap().items.remove(0).message.unwrap();
        assert!(message.starts_with(next), "{message}");
        home.desk.s.world().clock.advance_seconds(seconds);
    }
    let claim = home.claim("w").await.expect("its last try");
    home.take_next(&claim, vec![]).await;
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.pages_fetched), (JobStatus::Completed, 1));
}

async fn a_site_that_has_too_much_to_do_is_left_alone_by_all_pages(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), link("b")]).await;
    let refused = async |claim: &CrawlClaim| {
        let due = home.next(claim).await.expect("a page");
        assert_eq!(due.url, format!("{START}a"));
        let refused = PageDone {
            retry_after: Some(Duration::from_secs(60)),
            ..done(&due, PageEnd::Failed(PageFault::Http(429)), vec![])
        };
        home.store().page_done(claim, refused, home.desk.now()).await.unwrap();
    };
    refused(&claim).await;
    assert!(home.next(&claim).await.is_none(), "nor is another page asked for");
    home.work().await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    let waits = home.job(job.job_id).await;
    assert!(waits.crawl.unwrap().waits_until.is_some_and(|at| at > home.desk.now()));
    assert!(home.claim("w").await.is_none(), "as long as the site wishes");

    // A retry waits for nothing.
    let control = async |control: Control| {
        home.desk.jobs.control(home.user, job.job_id, control, home.desk.now()).await.unwrap()
    };
    control(Control::Cancel { keep_results: true }).await;
    control(Control::Retry(Retry::failed())).await;
    let mut claim = home.claim("w").await.expect("a crawl");
    for _ in 0..2 {
        refused(&claim).await;
        assert!(home.next(&claim).await.is_none(), "nor is another page asked for");
        home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
        home.desk.s.world().clock.advance_seconds(61);
        claim = home.claim("w").await.expect("its moment has come");
    }
    // The last try of the first one. That was in vain, and the others wait for the site no more than for themselves.
    refused(&claim).await;
    let b = home.take_next(&claim, vec![link("c"), link("d")]).await;
    let c = home.next(&claim).await.expect("a page");
    home.end(&claim, &c, PageEnd::Failed(PageFault::Http(429)), vec![]).await;
    let d = home.next(&claim).await.expect("another page");
    assert!(b.url.ends_with("/b") && d.url.ends_with("/d"), "{} {}", b.url, d.url);
    home.end(&claim, &d, home.taken(&d), vec![]).await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_fetched, m.pages_failed, m.pages_waiting()), (3, 1, 1));
}

async fn no_page_goes_before_a_site_map_that_may_come_later(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let maps = ["a", "b"].map(|name| format!("https://example.org/{name}.xml"));
    home.store().robots_read(&claim, String::new(), maps.to_vec(), home.desk.now()).await.unwrap();
    let map = home.next(&claim).await.expect("a site map");
    assert_eq!((map.is_sitemap, &map.url), (true, &maps[0]));
    let fails = PageDone {
        retry_after: Some(Duration::from_secs(60)),
        ..done(&map, PageEnd::Failed(PageFault::Http(502)), vec![])
    };
    home.store().page_done(&claim, fails, home.desk.now()).await.unwrap();
    let other = home.next(&claim).await.expect("another site map");
    assert_eq!(other.url, maps[1]);
    home.end(&claim, &other, PageEnd::SiteMap, vec![]).await;
    assert!(home.next(&claim).await.is_none(), "the first page would be the last one");
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();
    // Each look takes a second of this clock.
    home.desk.s.world().clock.advance_seconds(54);
    assert!(home.claim("w").await.is_none(), "as long as the site wishes");
    let claim = home.claim("w").await.expect("its moment has come");
    let map = home.next(&claim).await.expect("the site map");
    home.end(&claim, &map, PageEnd::SiteMap, vec![link("mapped")]).await;
    for url in [START.to_owned(), format!("{START}mapped")] {
        let due = home.next(&claim).await.expect("a page");
        assert_eq!(due.url, url);
        home.end(&claim, &due, home.taken(&due), vec![]).await;
    }
    home.work().await;
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Completed);
}

on_every_database!(
    a_page_that_may_be_had_later_waits_for_its_next_try,
    what_is_asked_of_a_crawl_of_which_all_pages_wait_is_done_at_once,
    a_site_that_has_too_much_to_do_is_left_alone_by_all_pages,
    no_page_goes_before_a_site_map_that_may_come_later,
);
