//! Crawls on both databases: the frontier, its lease, and the job that ends with the last page.

use crate::{
    desk::{Desk, JobSubject, LONG, keyword_only, worker},
    on_every_database,
    subject::Database,
};
use domain::{
    Job, JobId, JobStatus, UserId, WorkspaceId,
    crawl::{Change, Crawl, PageFault, PageState, SkipReason},
    errors::{Left, LeftOver},
    ingest::{
        Checkpoint,
        control::{Control, Retry},
    },
};
use services::ports::{
    CrawlClaim, CrawlStore, Deletions, DuePage, Errors, FoundPage, JobStore, NewCrawl, NewDocument, PageDone,
    PageEnd, PageQuery, StoreError,
};
use std::{ops::Deref, time::Duration};

const START: &str = "https://example.org/docs/";

pub(crate) fn new_crawl(
    s: &Database,
    user_id: UserId,
    workspace_id: WorkspaceId,
    max_pages: u32,
) -> NewCrawl {
    NewCrawl {
        id: JobId::new(s.world().uuid()),
        user_id,
        workspace_id,
        crawl: Crawl {
            url: START.into(),
            prefix: START.into(),
            max_pages,
            max_depth: 5,
            current_url: None,
            waits_until: None,
            rests: false,
        },
        has_own_prefix: false,
        command_id: None,
        command_print: None,
        created_at: s.world().now(),
    }
}

fn link(name: &str) -> FoundPage {
    FoundPage { url: format!("{START}{name}"), depth: 1, hops: 0, skipped: None }
}

fn done(due: &DuePage, end: PageEnd, found: Vec<FoundPage>) -> PageDone {
    PageDone {
        url: due.url.clone(),
        end,
        http_status: Some(200),
        content_hash: Some(format!("hash of {}", due.url)),
        etag: Some("\"1\"".into()),
        last_modified: None,
        found,
        prefix: None,
        retry_after: None,
    }
}

struct Home<S> {
    desk: Desk<S>,
    user: UserId,
    workspace: WorkspaceId,
}

impl<S: JobSubject + Deref<Target = Database>> Home<S> {
    async fn new(s: S) -> Self {
        let desk = Desk::new(s);
        let user = desk.s.user().await;
        let workspace = desk.s.workspace(user, keyword_only()).await;
        Self { desk, user, workspace }
    }

    fn store(&self) -> &storage::Store {
        &self.desk.s.store
    }

    async fn begin(&self, max_pages: u32) -> Job {
        let new = new_crawl(&self.desk.s, self.user, self.workspace, max_pages);
        self.store().create_crawl(new).await.unwrap()
    }

    async fn claim(&self, name: &str) -> Option<CrawlClaim> {
        self.store().claim_crawls(&worker(name), LONG, 1, self.desk.now()).await.unwrap().pop()
    }

    async fn next(&self, claim: &CrawlClaim) -> Option<DuePage> {
        self.store().next_page(claim, self.desk.now()).await.unwrap()
    }

    async fn end(&self, claim: &CrawlClaim, due: &DuePage, end: PageEnd, found: Vec<FoundPage>) {
        self.store().page_done(claim, done(due, end, found), self.desk.now()).await.unwrap();
    }

    fn taken(&self, due: &DuePage) -> PageEnd {
        let id = due.known.as_ref().map_or_else(|| self.desk.document_id(), |known| known.document_id);
        PageEnd::Taken(NewDocument {
            blob_key: format!("documents/{id}"),
            content_hash: format!("hash of {}", due.url),
            ..crate::desk::new_document(id, &due.url)
        })
    }

    async fn job(&self, id: JobId) -> Job {
        self.desk.jobs.job(self.user, id).await.unwrap().unwrap()
    }

    /// Every document that waits is worked on to its end.
    async fn work(&self) {
        while let Some(claim) = self.desk.claim("documents", 1).await.pop() {
            for checkpoint in
                [crate::desk::loaded(), Checkpoint::Chunked { chunks: vec![] }, Checkpoint::Indexed]
            {
                self.desk.jobs.checkpoint(&claim, checkpoint, self.desk.now()).await.unwrap();
            }
        }
    }

    async fn listed(&self, job: JobId) -> Vec<(String, PageState)> {
        let all =
            self.store().crawl_pages(self.user, job, None, PageQuery::first(200)).await.unwrap().unwrap();
        all.items.into_iter().map(|p| (p.url.replace(START, ""), p.state)).collect()
    }
}

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
    let a = home.next(&claim).await.expect("a page");
    home.end(&claim, &a, home.taken(&a), vec![link(""), link("b")]).await;
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
    let due = home.next(&claim).await.expect("the unit in hand comes to its end");
    home.end(&claim, &due, home.taken(&due), vec![link("a")]).await;
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

async fn a_retry_asks_for_the_failed_pages_alone(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a")]).await;
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
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a"), link("b")]).await;
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
        let due = home.next(&claim).await.expect("a page");
        home.end(&claim, &due, home.taken(&due), vec![]).await;
    }
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.documents_done), (JobStatus::Completed, 3));
}

async fn a_later_crawl_knows_what_an_earlier_one_made(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a"), link("b")]).await;
    for _ in 0..2 {
        let due = home.next(&claim).await.expect("a page");
        home.end(&claim, &due, home.taken(&due), vec![]).await;
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
    let due = home.next(&claim).await.expect("a page");
    home.end(&claim, &due, home.taken(&due), vec![]).await;
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
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a")]).await;
    let a = home.next(&claim).await.expect("a page");
    home.end(&claim, &a, home.taken(&a), vec![]).await;
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

async fn pages_that_could_not_be_had_are_missing_until_a_later_crawl_asks_for_them(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let home = Home::new(s).await;
    let left =
        async |workspace, since| home.store().left_over(home.user, workspace, since, 10).await.unwrap();
    let job = home.begin(10).await;
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a"), link("b")]).await;
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

async fn a_page_that_may_be_had_later_waits_for_its_next_try(s: impl JobSubject + Deref<Target = Database>) {
    let home = Home::new(s).await;
    let job = home.begin(10).await;
    let listed = async |url: &str| {
        let all = home.store().crawl_pages(home.user, job.job_id, None, PageQuery::first(9)).await;
        all.unwrap().unwrap().items.into_iter().find(|page| page.url.ends_with(url)).unwrap()
    };
    let claim = home.claim("w").await.expect("a crawl");
    let first = home.next(&claim).await.expect("a page");
    home.end(&claim, &first, home.taken(&first), vec![link("a"), link("b")]).await;
    let a = home.next(&claim).await.expect("a page");
    let away = PageDone {
        retry_after: Some(Duration::from_secs(60)),
        ..done(&a, PageEnd::Failed(PageFault::Http(503)), vec![])
    };
    home.store().page_done(&claim, away, home.desk.now()).await.unwrap();
    let page = listed("/a").await;
    assert_eq!((page.state, page.code.as_deref()), (PageState::Waiting, Some("http_503")));
    assert!(page.message.as_deref().is_some_and(|m| m.starts_with("Retry 2 of 3 in ")), "{page:?}");
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
    assert_eq!(page.state, PageState::Failed);
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
    let due = home.next(&claim).await.expect("the page");
    home.end(&claim, &due, home.taken(&due), vec![]).await;
    home.work().await;
    let ended = home.job(job.job_id).await;
    assert_eq!((ended.status, ended.metrics.pages_fetched), (JobStatus::Completed, 1));
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
        ..done(&map, PageEnd::Failed(PageFault::Http(429)), vec![])
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
    no_page_goes_before_a_site_map_that_may_come_later,
    pages_that_could_not_be_had_are_missing_until_a_later_crawl_asks_for_them,
    a_crawl_that_nobody_reads_says_so_until_somebody_does,
    a_crawl_ends_with_its_last_page_and_its_last_document,
    no_more_pages_wait_than_there_may_be,
    a_lost_lease_writes_nothing_and_the_next_goes_on,
    what_is_asked_of_a_crawl_waits_for_its_worker,
    a_retry_asks_for_the_failed_pages_alone,
    a_retry_of_one_document_of_a_cancelled_crawl_asks_for_no_page,
    a_later_crawl_knows_what_an_earlier_one_made,
    two_crawls_of_one_site_make_one_document_of_a_page,
    two_crawls_that_renew_one_page_renew_it_once,
    what_somebody_has_just_deleted_is_read_anew_by_a_later_crawl,
    nobody_has_more_than_two_crawls_in_hand,
    the_crawls_of_one_person_let_that_of_another_in_between,
);
