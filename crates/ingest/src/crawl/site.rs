//! One site, page by page, with a gate between any two.

use super::{
    Context,
    page::{Bounds, Page, links_of, mapped, moved, understand},
    rules::Rules,
};
use bytes::Bytes;
use domain::{
    DocumentId, FileKind,
    crawl::{CRAWL_BYTES, PAGE_BYTES, PageFault, ROBOTS_BYTES, SkipReason},
};
use futures::FutureExt;
use services::{
    crawl::address,
    keys,
    ports::{
        CrawlClaim, DuePage, FetchError, FetchRequest, Fetched, KnownPage, NewDocument, PageDone, PageEnd,
        StoreError,
    },
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug_span, field::Empty};
use url::Url;

/// Why the work on a crawl ends before its end.
#[derive(Clone, Default)]
pub(super) struct Halt {
    /// It is no longer ours.
    pub(super) lost: CancellationToken,
    /// Somebody asked to pause or cancel it.
    pub(super) asked: CancellationToken,
}

/// How a crawl left the worker's hands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Given back: nothing waits any more, or at a gate.
    Released,
    /// Another worker has it, or its job has ended.
    Lost,
}

/// Why a unit of work did not end well.
enum Stop {
    /// Asked to stop.
    Asked,
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Fenced => Stop::Lost,
            other => Stop::Store(other),
        }
    }
}

/// Why something could not be had, and for how long its site wants to be left alone.
type Trouble = (PageFault, Option<Duration>);

/// How long a page in hand may still take when somebody pauses or cancels: most come to their end, and are not asked for
/// again.
const ASKED_GRACE: Duration = Duration::from_millis(1_500);
/// Redirects on the way to a robots.txt or a site map.
const HOPS: u32 = 5;

pub(super) async fn read(context: Arc<Context>, claim: CrawlClaim, halt: Halt) -> Result<Ended, StoreError> {
    let mut site = Site { context: &context, rules: None, claim, halt };
    let ended = site.run().await;
    match ended {
        Ok(()) | Err(Stop::Asked) => {
            let services = &context.services;
            match services.crawls.release_crawl(&site.claim, services.clock.now()).await {
                Err(StoreError::Fenced) => Ok(Ended::Lost),
                other => other.map(|()| Ended::Released),
            }
        }
        Err(Stop::Lost) => Ok(Ended::Lost),
        Err(Stop::Store(e)) => Err(e),
    }
}

struct Site<'a> {
    context: &'a Context,
    claim: CrawlClaim,
    halt: Halt,
    /// What its robots.txt says, once that was read.
    rules: Option<Arc<Rules>>,
}

impl Site<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let correlation_id = self.claim.job_id;
        loop {
            self.gate()?;
            let services = &self.context.services;
            let Some(due) = services.crawls.next_page(&self.claim, services.clock.now()).await? else {
                return Ok(());
            };
            if self.rules.is_some() {
                self.unit(&due).await?;
                continue;
            }
            // First of all: the site maps that they name go before the first page, or nobody would wait for them.
            let robots = self.read_robots().instrument(debug_span!("robots", %correlation_id));
            if let Some((fault, retry_after)) = robots.await? {
                // Without its rules nothing of a site is asked for.
                self.commit(PageDone { retry_after, ..end(&due, PageEnd::Failed(fault)) }).await?;
            }
        }
    }

    /// Asks for one page, or site map. What our code panics at fails, and the crawl goes on: whoever gave it back would meet
    /// the same again, without an end.
    async fn unit(&mut self, due: &DuePage) -> Result<(), Stop> {
        // Each unit repeats the id, since a line as JSON has the fields of the innermost span alone.
        let correlation_id = self.claim.job_id;
        let work = async {
            if due.is_sitemap {
                self.site_map(due).instrument(debug_span!("site_map", %correlation_id)).await
            } else {
                let span = debug_span!("page", %correlation_id, status = Empty);
                self.page(due).instrument(span).await
            }
        };
        if let Some(done) = surviving(work).await {
            return done;
        }
        tracing::error!(job_id = %correlation_id, url = due.url, "the crawler's code failed on this page");
        self.commit(end(due, PageEnd::Failed(PageFault::Internal))).await
    }

    /// Between two units: is the crawl still ours, and may we go on?
    fn gate(&self) -> Result<(), Stop> {
        if self.halt.lost.is_cancelled() {
            Err(Stop::Lost)
        } else if self.context.shutdown.is_cancelled() || self.halt.asked.is_cancelled() {
            Err(Stop::Asked)
        } else {
            Ok(())
        }
    }

    async fn commit(&self, done: PageDone) -> Result<(), Stop> {
        let services = &self.context.services;
        let put = match &done.end {
            PageEnd::Taken(new) => Some((new.blob_key.clone(), new.id)),
            PageEnd::Unchanged(_) | PageEnd::Failed(_) | PageEnd::Skipped(_) | PageEnd::SiteMap => None,
        };
        let committed = services.crawls.page_done(&self.claim, done, services.clock.now()).await;
        // Where nobody knows whether it was written the file stays, and the sweep looks.
        let came_to_nothing = match &committed {
            Ok(is_kept) => !is_kept,
            Err(e) => e.wrote_nothing(),
        };
        if let Some((key, document)) = put.filter(|_| came_to_nothing) {
            match services.give_up_file(&key, document).await {
                Ok(()) => tracing::debug!(key, "the file of a page that came to nothing was removed"),
                Err(error) => {
                    tracing::warn!(key, %error, "the file of a page that came to nothing stays behind");
                }
            }
        }
        committed?;
        Ok(())
    }

    /// Asks for one address, when it is the turn of its host. Waiting for that is given up at once, the asking itself only
    /// when it takes long.
    async fn ask(&self, request: FetchRequest) -> Result<Result<Fetched, FetchError>, Stop> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let turn = tokio::select! {
            turn = self.context.hosts.turn(&host, self.delay()) => turn,
            () = self.halt.lost.cancelled() => return Err(Stop::Lost),
            () = self.halt.asked.cancelled() => return Err(Stop::Asked),
            () = self.context.shutdown.cancelled() => return Err(Stop::Asked),
        };
        let answer = tokio::select! {
            answer = self.context.services.fetcher.fetch(request) => Ok(answer),
            () = self.halt.lost.cancelled() => Err(Stop::Lost),
            () = after(&self.halt.asked, ASKED_GRACE) => Err(Stop::Asked),
            () = after(&self.context.shutdown, self.context.options.grace) => Err(Stop::Asked),
        };
        drop(turn);
        answer
    }

    /// Between two pages, as the site asks for.
    fn delay(&self) -> Duration {
        let asked = self.rules.as_ref().map(|rules| rules.delay()).unwrap_or_default();
        self.context.options.delay.max(asked)
    }

    /// Asks for something of the site that is no page, and follows where it leads within the site.
    async fn ask_on(
        &self,
        url: Url,
        most_bytes: u64,
        in_part: bool,
    ) -> Result<Result<Fetched, FetchError>, Stop> {
        let mut request = FetchRequest { url, etag: None, last_modified: None, most_bytes, in_part };
        for _ in 0..=HOPS {
            let fetched = match self.ask(request.clone()).await? {
                Ok(fetched) => fetched,
                Err(e) => return Ok(Err(e)),
            };
            if !is_redirect(fetched.status) {
                return Ok(Ok(fetched));
            }
            match fetched.location.as_deref().and_then(|to| address::join(&request.url, to).ok()) {
                Some(target) => request.url = target,
                None => break,
            }
        }
        // It leads nowhere: as good as not there.
        Ok(Ok(Fetched { status: 404, ..Fetched::default() }))
    }

    /// Reads the rules of the site, once: later claims find them kept. Answers why they cannot be had.
    async fn read_robots(&mut self) -> Result<Option<Trouble>, Stop> {
        let text = match self.claim.robots.clone() {
            Some(text) => text,
            None => match self.fetch_robots().await? {
                Ok(text) => text,
                Err(trouble) => return Ok(Some(trouble)),
            },
        };
        let rules = Rules::read(text.clone()).await;
        if self.claim.robots.is_none() {
            let services = &self.context.services;
            let maps = self.site_maps(&rules);
            services.crawls.robots_read(&self.claim, text.clone(), maps, services.clock.now()).await?;
            self.claim.robots = Some(text);
        }
        self.rules = Some(Arc::new(rules));
        Ok(None)
    }

    async fn fetch_robots(&self) -> Result<Result<String, Trouble>, Stop> {
        let Some(url) = self.root().and_then(|root| address::join(&root, "/robots.txt").ok()) else {
            return Ok(Ok(String::new()));
        };
        Ok(match self.ask_on(url, ROBOTS_BYTES, true).await? {
            Ok(fetched) if (200..300).contains(&fetched.status) => {
                Ok(String::from_utf8_lossy(whole_lines(&fetched.body)).into_owned())
            }
            // A site that is in trouble is left alone; one that has no rules has none.
            Ok(fetched) if in_trouble(fetched.status) => {
                Err((PageFault::RobotsUnreachable, fetched.retry_after))
            }
            Ok(_) => Ok(String::new()),
            Err(e) => Err((fault_of(&e), None)),
        })
    }

    /// Where the part of the site that is read begins.
    fn root(&self) -> Option<Url> {
        address::parse(&self.claim.crawl.prefix).ok()
    }

    /// The site maps that its rules name, or the usual one.
    fn site_maps(&self, rules: &Rules) -> Vec<String> {
        let Some(root) = self.root() else { return vec![] };
        let named = rules.sitemaps().iter().filter_map(|map| address::join(&root, map).ok());
        let named: Vec<String> =
            named.filter(|map| address::same_site(&root, map)).map(String::from).collect();
        if !named.is_empty() {
            return named;
        }
        address::join(&root, "/sitemap.xml").map(String::from).into_iter().collect()
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds { crawl: &self.claim.crawl, rules: self.rules.as_deref() }
    }

    /// A site map that cannot be read is none: the pages lead to one another as well. Whether it is there is noted, since what
    /// it names is not gone because it cannot be had just now.
    async fn site_map(&self, due: &DuePage) -> Result<(), Stop> {
        let mut done = end(due, PageEnd::SiteMap);
        if let Ok(url) = address::parse(&due.url)
            && self.context.services.fetcher.check(&url).is_ok()
        {
            match self.ask_on(url.clone(), PAGE_BYTES, false).await? {
                Ok(fetched) if (200..300).contains(&fetched.status) => {
                    let (crawl, rules) = (self.claim.crawl.clone(), self.rules.clone());
                    let found = apart(move || {
                        let bounds = Bounds { crawl: &crawl, rules: rules.as_deref() };
                        mapped(&url, &fetched.body, &bounds)
                    });
                    done.found = found.await?;
                }
                Ok(fetched) if in_trouble(fetched.status) => {
                    done.end = PageEnd::Failed(PageFault::Http(fetched.status));
                    done.retry_after = fetched.retry_after;
                }
                Ok(_) => {}
                Err(e) => done.end = PageEnd::Failed(fault_of(&e)),
            }
        }
        self.commit(done).await
    }

    async fn page(&mut self, due: &DuePage) -> Result<(), Stop> {
        let services = &self.context.services;
        let Ok(url) = address::parse(&due.url) else {
            return self.commit(end(due, PageEnd::Failed(PageFault::BadRedirect))).await;
        };
        if services.fetcher.check(&url).is_err() {
            return self.commit(end(due, PageEnd::Failed(PageFault::NotAllowed))).await;
        }
        if self.rules.as_ref().is_some_and(|rules| !rules.allow(&url)) {
            return self.commit(end(due, PageEnd::Skipped(SkipReason::Robots))).await;
        }
        if due.bytes_taken >= CRAWL_BYTES {
            return self.commit(end(due, PageEnd::Skipped(SkipReason::MaxBytes))).await;
        }
        let kept = self.kept(due).await;
        let request = FetchRequest {
            url: url.clone(),
            etag: kept.as_ref().and_then(|(known, _)| known.etag.clone()),
            last_modified: kept.as_ref().and_then(|(known, _)| known.last_modified.clone()),
            most_bytes: PAGE_BYTES.min(services.limits.file_bytes),
            in_part: false,
        };
        let fetched = match self.ask(request).await? {
            Ok(fetched) => fetched,
            Err(e) => {
                tracing::debug!(url = due.url, error = %e, "a page could not be had");
                return self.commit(end(due, PageEnd::Failed(fault_of(&e)))).await;
            }
        };
        let (status, retry_after) = (fetched.status, fetched.retry_after);
        Span::current().record("status", status);
        let mut done = match (status, &kept) {
            (304, Some((known, body))) => self.as_it_was(due, &url, known, body),
            (200..=299, _) => self.take(due, &url, fetched).await?,
            _ if is_redirect(status) => self.lead_on(due, &url, &fetched),
            _ => PageDone { retry_after, ..end(due, PageEnd::Failed(PageFault::Http(status))) },
        };
        done.http_status = Some(status);
        let goes_on = done.prefix.clone();
        self.commit(done).await?;
        if let Some(prefix) = goes_on {
            // Another site has rules of its own.
            self.claim.crawl.prefix = prefix;
            self.claim.robots = None;
            self.rules = None;
        }
        Ok(())
    }

    /// What is known of a page by which its site can be asked whether it is so still, with its file. It helps only where
    /// nothing is to be done when it is, and where what it leads to can be read.
    async fn kept<'d>(&self, due: &'d DuePage) -> Option<(&'d KnownPage, Bytes)> {
        let known = due.known.as_ref().filter(|known| known.is_ready)?;
        if known.etag.is_none() && known.last_modified.is_none() {
            return None;
        }
        match self.context.services.blobs.get(&known.blob_key).await {
            Ok(body) => Some((known, body)),
            Err(error) => {
                tracing::warn!(url = due.url, %error, "the file of a page cannot be read; it is asked for anew");
                None
            }
        }
    }

    /// The site says that its page is the one that is kept: what that leads to is still to be found.
    fn as_it_was(&self, due: &DuePage, url: &Url, known: &KnownPage, body: &[u8]) -> PageDone {
        let mut done = end(due, PageEnd::Unchanged(known.document_id));
        done.content_hash = Some(known.content_hash.clone());
        done.etag.clone_from(&known.etag);
        done.last_modified.clone_from(&known.last_modified);
        if is_page(body, url) {
            done.found = links_of(url, due.depth, body, &self.bounds());
        }
        done
    }

    fn lead_on(&self, due: &DuePage, url: &Url, fetched: &Fetched) -> PageDone {
        let follows = due.depth == 0 && !self.claim.has_own_prefix;
        let location = fetched.location.as_deref();
        match moved(url, (due.depth, due.hops), location, follows, &self.bounds()) {
            Err(Err(fault)) => end(due, PageEnd::Failed(fault)),
            // A target that nobody may ask is told of, wherever it lies.
            _ if self.leads_home(url, location) => end(due, PageEnd::Failed(PageFault::NotAllowed)),
            Err(Ok(reason)) => end(due, PageEnd::Skipped(reason)),
            Ok(moved) => PageDone {
                found: vec![moved.target],
                prefix: moved.prefix,
                ..end(due, PageEnd::Skipped(SkipReason::Moved))
            },
        }
    }

    fn leads_home(&self, url: &Url, location: Option<&str>) -> bool {
        let target = location.and_then(|to| address::join(url, to).ok());
        target.is_some_and(|target| self.context.services.fetcher.check(&target).is_err())
    }

    async fn take(&self, due: &DuePage, url: &Url, fetched: Fetched) -> Result<PageDone, Stop> {
        if fetched.body.is_empty() {
            return Ok(end(due, PageEnd::Skipped(SkipReason::Empty)));
        }
        let etag = fetched.etag.clone();
        let last_modified = fetched.last_modified.clone();
        let (crawl, rules, url, depth) =
            (self.claim.crawl.clone(), self.rules.clone(), url.clone(), due.depth);
        // Large pages keep nobody else waiting.
        let page = apart(move || {
            let bounds = Bounds { crawl: &crawl, rules: rules.as_deref() };
            understand(&url, depth, &fetched, &bounds)
        });
        let Page { body, hash, kind, filename, found } = page.await?;
        let Some(kind) = kind else { return Ok(end(due, PageEnd::Skipped(SkipReason::UnsupportedType))) };
        let done = PageDone {
            content_hash: Some(hash.clone()),
            etag,
            last_modified,
            found,
            ..end(due, PageEnd::SiteMap)
        };
        let end = match &due.known {
            Some(known) if known.content_hash == hash && (known.is_ready || known.is_busy) => {
                PageEnd::Unchanged(known.document_id)
            }
            Some(known) if known.is_busy => PageEnd::Failed(PageFault::Busy),
            known => self.keep(known.as_ref(), body, kind, filename, hash).await,
        };
        Ok(PageDone { end, ..done })
    }

    /// Makes the body durable, for the document that comes with the commit.
    async fn keep(
        &self,
        known: Option<&KnownPage>,
        body: Bytes,
        kind: FileKind,
        filename: String,
        content_hash: String,
    ) -> PageEnd {
        let services = &self.context.services;
        let user = self.claim.user_id;
        // Beside the file that is the document's until then, and beside what another crawl may be keeping for it.
        let own = DocumentId::new(services.ids.uuid());
        let (id, blob_key) = (known.map_or(own, |known| known.document_id), keys::document(user, own));
        let size_bytes = body.len() as u64;
        if let Err(e) = services.blobs.put(&blob_key, body).await {
            tracing::error!(error = format!("{e:?}"), "a page could not be kept");
            return PageEnd::Failed(PageFault::NotKept);
        }
        PageEnd::Taken(NewDocument {
            id,
            filename,
            mime_type: kind.mime().to_owned(),
            size_bytes,
            content_hash,
            blob_key,
            sent_ahead: false,
        })
    }
}

/// What counts of a robots.txt of which no more was read than its beginning: half of a rule would be another rule.
fn whole_lines(body: &[u8]) -> &[u8] {
    if (body.len() as u64) < ROBOTS_BYTES {
        return body;
    }
    let end = body.iter().rposition(|byte| matches!(*byte, b'\n' | b'\r'));
    &body[..end.unwrap_or(body.len())]
}

fn is_page(body: &[u8], url: &Url) -> bool {
    crate::extract::detect(body, &address::filename(url, true)) == Ok(FileKind::Html)
}

const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// What a site answers that may answer otherwise in a while: it says nothing of what was asked for.
fn in_trouble(status: u16) -> bool {
    status >= 500 || PageFault::Http(status).may_heal()
}

async fn after(token: &CancellationToken, grace: Duration) {
    token.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// What came of it; `None` when it panicked.
async fn surviving<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Does it beside the runtime. Panics where it does.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|e| match e.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Only a runtime that stops leaves it out.
        Err(e) => Stop::Store(StoreError::backend(e)),
    })
}

/// A page that ended so, of which nothing more is known.
fn end(due: &DuePage, end: PageEnd) -> PageDone {
    PageDone {
        url: due.url.clone(),
        end,
        http_status: None,
        content_hash: None,
        etag: None,
        last_modified: None,
        found: vec![],
        prefix: None,
        retry_after: None,
    }
}

fn fault_of(error: &FetchError) -> PageFault {
    match error {
        FetchError::NotAllowed => PageFault::NotAllowed,
        FetchError::NoCertificates => PageFault::NoCertificates,
        FetchError::Unreachable(_) => PageFault::Unreachable,
        FetchError::TookTooLong => PageFault::TookTooLong,
        FetchError::TooLarge => PageFault::TooLarge,
        FetchError::Broken(_) => PageFault::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_rules_that_were_cut_off_only_whole_ones_count() {
        let short = b"User-agent: *\nDisallow: /pri";
        assert_eq!(whole_lines(short), short);
        let filler = b"# So it goes on.\n".repeat(ROBOTS_BYTES as usize / 17 + 1);
        let cut = [b"Disallow: /a\n".as_slice(), filler.as_slice()].concat();
        let left = whole_lines(&cut[..ROBOTS_BYTES as usize]);
        assert!(left.ends_with(b"goes on.") && left.len() + 17 > ROBOTS_BYTES as usize);
    }

    #[tokio::test]
    async fn what_panics_while_a_page_is_read_ends_that_page_alone() {
        let read = |body: &'static [u8]| surviving(async move { apart(move || body[0]).await.ok() });
        assert_eq!(read(b"").await, None, "it panics beside the runtime");
        assert_eq!(read(b"a").await, Some(Some(b'a')));
    }
}
