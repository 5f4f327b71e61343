//! A site that is crawled again, or by two at once: what is known of its pages.

use super::{Home, done, link};
use crate::{desk::JobSubject, on_every_database, subject::Database};
use domain::{
    JobStatus,
    crawl::{Change, PageState},
};
use services::ports::{CrawlStore, Deletions, DuePage, NewDocument, PageEnd, PageQuery};
use std::ops::Deref;

async fn a_later_crawl_knows_what_an_earlier_one_made(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a"), link("b")]).await;
    for _ in 0..2 {
        home.take_next(&claim, vec![]).await;
    }
    home.work().await;

    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    let known = first.known.clone().expect("it is known");
    assert!(known.is_ready && !known.is_busy);
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    home.end(&claim, &first, PageEnd::Unchanged(known.document_id), vec![link("a")]).await;
    let a = home.next(&claim).await.expect("a page");
    let PageEnd::Taken(new) = home.taken(&a) else { unreachable!() };
    let new = NewDocument { content_hash: "another".into(), blob_key: "elsewhere".into(), ..new };
    let id = new.id;
    home.end(&claim, &a, PageEnd::Taken(new), vec![]).await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_unchanged, m.pages_changed, m.pages_new, m.pages_removed), (1, 1, 0, 1));
    let document = home.desk.documents.document(home.user, id).await.unwrap().unwrap();
    assert_eq!((document.version, document.next_version, document.job_id), (1, Some(2), Some(job.job_id)));
    assert_ne!(document.content_hash, "another", "that of what is found");
    home.work().await;
    let document = home.desk.documents.document(home.user, id).await.unwrap().unwrap();
    assert_eq!((document.version, document.content_hash.as_str()), (2, "another"));
    assert_eq!(home.desk.documents.blob_key(home.user, id).await.unwrap().as_deref(), Some("elsewhere"));
    assert_eq!(home.job(job.job_id).await.status, JobStatus::Completed);
    let gone = home.listed(job.job_id).await;
    assert_eq!(gone.last().map(|(url, state)| (url.as_str(), *state)), Some(("b", PageState::Removed)));
    let pages =
        home.store().crawl_pages(home.user, job.job_id, Some(PageState::Fetched), PageQuery::first(9)).await;
    let pages = pages.unwrap().unwrap().items;
    assert_eq!(
        pages.iter().map(|p| p.change).collect::<Vec<_>>(),
        [Some(Change::Unchanged), Some(Change::Changed)]
    );
}

async fn two_crawls_of_one_site_make_one_document_of_a_page(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    home.begin(10).await;
    home.begin(10).await;
    let one = home.claim("v").await.expect("a crawl");
    let other = home.claim("w").await.expect("the other crawl");
    // Both ask for it before either knows what it is.
    let first = home.next(&one).await.expect("a page");
    let second = home.next(&other).await.expect("the same page");
    assert!(first.known.is_none() && second.known.is_none());
    home.end(&one, &first, home.taken(&first), vec![]).await;
    home.end(&other, &second, home.taken(&second), vec![]).await;
    let documents = home.desk.documents.documents(home.user, home.workspace, None, PageQuery::first(9)).await;
    assert_eq!(documents.unwrap().items.len(), 1);
    let ended = home.job(other.job_id).await;
    assert_eq!((ended.status, ended.metrics.pages_unchanged), (JobStatus::Completed, 1));
    home.work().await;
    assert_eq!(home.job(one.job_id).await.metrics.documents_done, 1);
}

async fn two_crawls_that_renew_one_page_renew_it_once(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![]).await;
    home.work().await;
    home.store().release_crawl(&claim, home.desk.now()).await.unwrap();

    let renewed = |due: &DuePage, content: &str, key: &str| {
        let PageEnd::Taken(new) = home.taken(due) else { unreachable!() };
        let new = NewDocument { content_hash: content.to_owned(), blob_key: key.to_owned(), ..new };
        done(due, PageEnd::Taken(new), vec![])
    };
    // The site may answer the other one with something else.
    for (version, ours, theirs, counts) in [(2, "two", "two", (1, 0)), (3, "three", "another", (0, 1))] {
        home.begin(10).await;
        home.begin(10).await;
        let one = home.claim("v").await.expect("a crawl");
        let other = home.claim("w").await.expect("the other crawl");
        let first = home.next(&one).await.expect("a page");
        let second = home.next(&other).await.expect("the same page");
        let id = first.known.as_ref().expect("it is known").document_id;
        let page = renewed(&first, ours, &format!("{ours} of one"));
        assert!(home.store().page_done(&one, page, home.desk.now()).await.unwrap());
        let page = renewed(&second, theirs, &format!("{theirs} of the other"));
        let is_kept = home.store().page_done(&other, page, home.desk.now()).await.unwrap();
        assert!(!is_kept, "its file is nobody's");
        let m = home.job(other.job_id).await.metrics;
        assert_eq!((m.pages_unchanged, m.pages_failed), counts);
        home.work().await;
        for claim in [&one, &other] {
            home.store().release_crawl(claim, home.desk.now()).await.unwrap();
        }
        let document = home.desk.documents.document(home.user, id).await.unwrap().unwrap();
        assert_eq!((document.version, document.content_hash.as_str()), (version, ours));
        let key = home.desk.documents.blob_key(home.user, id).await.unwrap();
        assert_eq!(key, Some(format!("{ours} of one")), "the file is the one of that content");
    }
}

async fn what_somebody_has_just_deleted_is_read_anew_by_a_later_crawl(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    home.take_next(&claim, vec![link("a")]).await;
    home.take_next(&claim, vec![]).await;
    home.work().await;
    let documents = home.desk.documents.documents(home.user, home.workspace, None, PageQuery::first(9)).await;
    for document in documents.unwrap().items {
        home.store().delete_document(home.user, document.id, home.desk.now()).await.unwrap();
    }

    // They can still be brought back, and nothing of them is found any more.
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let again = home.next(&claim).await.expect("a page");
    assert!(again.known.is_none(), "{:?}", again.known);
    home.end(&claim, &again, home.taken(&again), vec![]).await;
    home.work().await;
    let m = home.job(job.job_id).await.metrics;
    assert_eq!((m.pages_new, m.pages_unchanged, m.pages_removed, m.documents_done), (1, 0, 0, 1));
}

on_every_database!(
    a_later_crawl_knows_what_an_earlier_one_made,
    two_crawls_of_one_site_make_one_document_of_a_page,
    two_crawls_that_renew_one_page_renew_it_once,
    what_somebody_has_just_deleted_is_read_anew_by_a_later_crawl,
);
