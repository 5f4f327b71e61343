//! Crawls on both databases: the frontier, its lease, and the job that ends with the last page.

mod again;
mod claims;
mod pages;
mod waiting;

use crate::{
    desk::{Desk, JobSubject, LONG, keyword_only, worker},
    subject::Database,
};
use domain::{
    Job, JobId, UserId, WorkspaceId,
    crawl::{Crawl, PageState},
    ingest::Checkpoint,
};
use services::ports::{
    CrawlClaim, CrawlStore, DuePage, FoundPage, NewCrawl, NewDocument, PageDone, PageEnd, PageQuery,
};
use std::ops::Deref;

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

    /// The next page is had, and leads to these.
    async fn take_next(&self, claim: &CrawlClaim, found: Vec<FoundPage>) -> DuePage {
        let due = self.next(claim).await.expect("a page");
        self.end(claim, &due, self.taken(&due), found).await;
        due
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
