//! Crawls as they are kept: the frontier, with what became of each page, and who works on it.

use super::{NewDocument, PageQuery, StoreError, WorkerId};
use async_trait::async_trait;
use domain::{
    DocumentId, Job, JobId, Timestamp, UserId, WorkspaceId,
    crawl::{Crawl, CrawlPage, PageFault, PageState, SkipReason},
    resource::Page,
};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct NewCrawl {
    pub id: JobId,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    pub crawl: Crawl,
    /// Somebody named the prefix; otherwise it follows the first page, where that leads on to another address.
    pub has_own_prefix: bool,
    /// The client's `Idempotency-Key`: a second creation with the same key answers the first one's job.
    pub command_id: Option<String>,
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// A crawl that a worker may work on, as long as nobody claims it after.
#[derive(Clone, Debug)]
pub struct CrawlClaim {
    pub job_id: JobId,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    /// Rises with each claim; every write of the worker is conditional on it.
    pub fence: u64,
    pub crawl: Crawl,
    pub has_own_prefix: bool,
    /// The site's robots.txt, once it was read.
    pub robots: Option<String>,
}

/// What is to be asked for next.
#[derive(Clone, Debug)]
pub struct DuePage {
    pub url: String,
    pub is_sitemap: bool,
    pub depth: u32,
    /// Redirects that led here.
    pub hops: u32,
    /// What an earlier crawl of the workspace made of it.
    pub known: Option<KnownPage>,
    /// What the crawl took in so far.
    pub bytes_taken: u64,
}

#[derive(Clone, Debug)]
pub struct KnownPage {
    pub document_id: DocumentId,
    /// The document is ready: when the page is as it was, nothing is to be done.
    pub is_ready: bool,
    /// Another job has it in hand.
    pub is_busy: bool,
    pub blob_key: String,
    /// Of what another job makes of it, where one has it in hand.
    pub content_hash: String,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// An address that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPage {
    pub url: String,
    pub depth: u32,
    pub hops: u32,
    /// Why it is not to be asked for.
    pub skipped: Option<SkipReason>,
}

/// What became of a page.
#[derive(Clone, Debug)]
pub enum PageEnd {
    /// Its document, of which the file is durable. It takes the place of the one that is known, where there is one.
    Taken(NewDocument),
    /// As it was, by what the site says or by its content.
    Unchanged(DocumentId),
    /// It could not be had. Where that may heal it goes on waiting, for its next try.
    Failed(PageFault),
    Skipped(SkipReason),
    /// A site map is read, or there is none. One that could not be had is `Failed`.
    SiteMap,
}

/// A page that was asked for, with what was found on it.
#[derive(Clone, Debug)]
pub struct PageDone {
    pub url: String,
    pub end: PageEnd,
    pub http_status: Option<u16>,
    pub content_hash: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub found: Vec<FoundPage>,
    /// The crawl goes on there: its first page led on to another site.
    pub prefix: Option<String>,
    /// Of one that could not be had: for how long the site wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// The frontier of each crawl, under a lease as documents are. A crawl is claimed as a whole; what a page brings (its
/// document with the work on it, the addresses that it names, the counts) is one transaction with the page's row.
#[async_trait]
pub trait CrawlStore: Send + Sync {
    /// Makes the job with its first page. Emits `job_update`.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `OtherCommand`.
    async fn create_crawl(&self, new: NewCrawl) -> Result<Job, StoreError>;

    /// Takes at most `limit` crawls with something to ask for by now that nobody holds: of a pending or running job without a
    /// request, in a ready workspace. Fair: the user with the fewest goes first, then whoever got one longest ago, then the
    /// oldest, and nobody has more than two at a time. Starts the job where it is pending.
    async fn claim_crawls(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<CrawlClaim>, StoreError>;

    /// Extends the leases of those crawls, as far as the worker still holds them; answers which those are. As with
    /// documents, a crawl that the worker does not name loses its lease.
    async fn extend_crawls(
        &self,
        worker: &WorkerId,
        in_hand: &[JobId],
        lease_seconds: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Of the crawls that the worker holds, those of which somebody asked something.
    async fn asked_crawls(&self, worker: &WorkerId) -> Result<Vec<JobId>, StoreError>;

    /// Keeps the robots.txt of the site, and the site maps that are to be read.
    ///
    /// # Errors
    /// `Fenced`, as all that follow, when the claim is no longer the newest or the job does not run any more.
    async fn robots_read(
        &self,
        claim: &CrawlClaim,
        robots: String,
        sitemaps: Vec<String>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The next page to ask for, site maps first, then in the order in which they were found; tells that it is asked for.
    /// `None` when there is none, or none whose moment has come. No page goes before a site map that waits for its next try:
    /// the last one that is known would end the crawl.
    async fn next_page(&self, claim: &CrawlClaim, now: Timestamp) -> Result<Option<DuePage>, StoreError>;

    /// Commits what became of a page; of one that could not be had, that it is asked for again later, or that it failed,
    /// which `ingest::put_off_page` decides. Emits `job_update`, and for a document `document_status` and `workspace_status`; the
    /// last page of a job whose documents are through ends the job. False when a page was taken of which another crawl has
    /// made or renewed the document since it was asked for: its file is nobody's.
    async fn page_done(&self, claim: &CrawlClaim, done: PageDone, now: Timestamp)
    -> Result<bool, StoreError>;

    /// Gives the crawl back, and says until when it waits where all that is left does. What was asked of the job is honoured
    /// with it, when nothing of it is in hand any more.
    async fn release_crawl(&self, claim: &CrawlClaim, now: Timestamp) -> Result<(), StoreError>;

    /// The pages of a job in the order in which they were found; `None` when the user has no such job.
    async fn crawl_pages(
        &self,
        user: UserId,
        job: JobId,
        state: Option<PageState>,
        page: PageQuery,
    ) -> Result<Option<Page<CrawlPage>>, StoreError>;
}
