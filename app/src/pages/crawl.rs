//! How a crawl goes: what was found of its site so far, the page that is asked for just now, and the pages that wait, could not
//! be had or were left out, with the reason.

use super::following::read_until_current;
use crate::{
    AppError,
    activity::{is_doomed, job_shown},
    components::{Button, Each, Exactly, key_of},
    effect::effect,
    forms::Deed,
    live::Live,
    server_fns::jobs::{RetryPage, list_pages},
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{
    Job, JobId, JobStatus, Timestamp, WorkspaceId,
    crawl::{CrawlPage, PageState},
    message::{count, number},
    resource::{Metrics, Page},
    shown::Shown,
};
use leptos::{html, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde_json::Value;

/// Nothing for a job that is no crawl.
#[component]
pub fn CrawlProgress(id: JobId, job: RwSignal<Option<Job>>) -> impl IntoView {
    let is_crawl = Memo::new(move |_| job.with(|j| j.as_ref().is_some_and(|j| j.crawl.is_some())));
    move || is_crawl.get().then(|| view! { <Site id job /> })
}

#[component]
fn Site(id: JobId, job: RwSignal<Option<Job>>) -> impl IntoView {
    let facts = Memo::new(move |_| job.with(|j| j.as_ref().map(|j| facts(&j.metrics)).unwrap_or_default()));
    let (shown, is_lost) = (job_shown(job), Live::expect().is_lost());
    let current = Memo::new(move |_| {
        let known = !is_lost.get();
        job.with(|j| shown.with(|shown| asked_for(j.as_ref()?, shown, known)))
    });
    view! {
        <div class="stack" data-crawl="">
            <dl class="facts">
                {move || {
                    facts
                        .get()
                        .into_iter()
                        .map(|(name, n)| view! {
                            <div data-fact=name>
                                <dt>{name}</dt>
                                <dd class="num">{number(n)}</dd>
                            </div>
                        })
                        .collect_view()
                }}
            </dl>
            {move || {
                current.get().map(|url| {
                    let title = url.clone();
                    view! { <p class="meta trunc" data-current-url="" title=title>"Asking for " {url}</p> }
                })
            }}
            <LeftOut id job state=PageState::Waiting />
            <LeftOut id job state=PageState::Failed />
            <LeftOut id job state=PageState::Skipped />
            <LeftOut id job state=PageState::Removed />
        </div>
    }
}

/// The page that is asked for just now. There is none while nobody is at the crawl, and none in a workspace that is being
/// deleted, whatever the row says; a crawl that is being stopped ends the page that it is at. Where `known` is false, what is
/// on screen may be old, and nobody knows.
fn asked_for(job: &Job, shown: &Shown, known: bool) -> Option<String> {
    let is_at_it = job.halted.is_none() && matches!(shown, Shown::Processing { .. } | Shown::Stopping { .. });
    job.crawl.as_ref().filter(|_| known && is_at_it)?.current_url.clone()
}

/// What is counted of a site. Of what a first crawl cannot have, nothing is said.
fn facts(m: &Metrics) -> Vec<(&'static str, u64)> {
    let mut facts = vec![
        ("Found", m.pages_found),
        ("Fetched", m.pages_fetched),
        ("Failed", m.pages_failed),
        ("Skipped", m.pages_skipped),
    ];
    let more = [
        ("Blocked by robots.txt", m.pages_blocked),
        ("Changed", m.pages_changed),
        ("Unchanged", m.pages_unchanged),
        ("Gone", m.pages_removed),
    ];
    facts.extend(more.into_iter().filter(|(_, n)| *n > 0));
    if m.pages_changed + m.pages_unchanged > 0 {
        facts.push(("New", m.pages_new));
    }
    facts
}

fn how_many(m: &Metrics, state: PageState) -> u64 {
    match state {
        PageState::Failed => m.pages_failed,
        PageState::Skipped => m.pages_skipped,
        PageState::Removed => m.pages_removed,
        PageState::Waiting => m.pages_waiting(),
        PageState::Fetched => 0,
    }
}

/// Whether what waits is asked for by itself, as things are.
fn goes_on(job: &Job) -> bool {
    matches!(job.status, JobStatus::Pending | JobStatus::Running) && job.goes_on_finding()
}

/// "3 pages failed"
fn headline(job: &Job, state: PageState) -> String {
    let words = match state {
        PageState::Failed => "failed",
        PageState::Skipped => "skipped",
        PageState::Removed => "gone from the site",
        PageState::Waiting if job.status.is_final() || !job.goes_on_finding() => "not fetched",
        PageState::Waiting => "waiting",
        PageState::Fetched => "fetched",
    };
    format!("{} {words}", count(how_many(&job.metrics, state), "page", "pages"))
}

/// What the list of the pages in that state goes by. One that could not be had just now goes on waiting: then it is seen by the
/// page that is asked for next, or by the moment until which all wait. One that was skipped may be asked for after
/// all, while another one comes in its place: then it is seen by how many were found.
type GoesBy = (u64, u64, Option<String>, Option<Timestamp>);

fn goes_by(job: &Job, state: PageState) -> GoesBy {
    let crawl = job.crawl.as_ref().filter(|_| state == PageState::Waiting);
    let (current, until) = crawl.map(|c| (c.current_url.clone(), c.waits_until)).unwrap_or_default();
    let found = if state == PageState::Skipped { job.metrics.pages_found } else { 0 };
    (how_many(&job.metrics, state), found, current, until)
}

/// The pages in one state, read when somebody looks, and again when there are others.
#[component]
fn LeftOut(id: JobId, job: RwSignal<Option<Job>>, state: PageState) -> impl IntoView {
    let any = Memo::new(move |_| job.with(|j| j.as_ref().is_some_and(|j| how_many(&j.metrics, state) > 0)));
    move || any.get().then(|| view! { <Lines id job state /> })
}

/// The first pages in that state, and as many as are on screen: whoever has read on stays there.
async fn as_listed(id: JobId, state: PageState, listed: usize) -> Result<Page<CrawlPage>, AppError> {
    let Wire(mut all) = list_pages(id, Some(state), None).await?;
    while all.items.len() < listed
        && let Some(after) = all.next.take()
    {
        let Wire(part) = list_pages(id, Some(state), Some(after)).await?;
        all.items.extend(part.items);
        all.next = part.next;
    }
    Ok(all)
}

#[component]
fn Lines(id: JobId, job: RwSignal<Option<Job>>, state: PageState) -> impl IntoView {
    let stores = Stores::expect();
    let again =
        Memo::new(
            move |_| {
                if state == PageState::Failed { job.with(|job| may_retry(stores, job)) } else { None }
            },
        );
    let asks = Memo::new(move |_| job.with(|j| j.as_ref().is_some_and(goes_on)));
    let words = move || job.with(|j| j.as_ref().map(|j| headline(j, state)));
    let seen = Memo::new(move |_| job.with(|j| j.as_ref().map(|j| goes_by(j, state))));
    let node = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(false);
    let pages = RwSignal::new(Vec::<CrawlPage>::new());
    let next = RwSignal::new(None::<String>);
    let failed = RwSignal::new(None::<String>);
    // So many are to be listed, where there are as many.
    let wanted = RwSignal::new(0_usize);
    let busy = StoredValue::new(false);
    let anew = stores.anew();
    effect(move || {
        seen.track();
        wanted.track();
        anew.track();
        if !is_open.get() || busy.try_update_value(|busy| std::mem::replace(busy, true)).unwrap_or(true) {
            return;
        }
        let now = move || seen.try_get_untracked().zip(wanted.try_get_untracked());
        let read = move |(_, listed): (Option<GoesBy>, usize)| async move {
            match as_listed(id, state, listed).await {
                Ok(Page { items, next: rest }) => {
                    failed.try_set(None);
                    pages.try_set(items);
                    next.try_set(rest);
                }
                Err(error) => {
                    failed.try_set(Some(error.0.detail));
                }
            }
        };
        spawn_local(async move {
            read_until_current(now, read).await;
            busy.try_set_value(false);
        });
    });
    let more = move |_: leptos::ev::MouseEvent| wanted.set(pages.with_untracked(Vec::len) + 1);
    view! {
        <details
            class="details"
            data-scripted=""
            data-pages=state.as_str()
            node_ref=node
            // Told a moment later, when the page may be gone.
            on:toggle=move |ev| {
                is_open.try_set(event_target::<leptos::web_sys::HtmlDetailsElement>(&ev).open());
            }
        >
            <summary class="meta">{words}</summary>
            <ul class="stack">
                <Each
                    each=move || pages.get().into_iter().map(|page| (id, page, again, asks)).collect()
                    key=|(_, page, ..): &(JobId, CrawlPage, Again, Memo<bool>)| key_of(told_at(page), &page.url)
                    show=|(id, page, again, asks)| view! { <Line id page again asks /> }
                />
            </ul>
            {move || next.get().map(|_| view! { <Button on:click=more>"Show more"</Button> })}
            <p class="text-status-failed" role="status">{move || failed.get()}</p>
        </details>
    }
}

/// Changes with all that a line says of a page.
fn told_at(page: &CrawlPage) -> u64 {
    let until = page.waits_until.map_or(0, Timestamp::micros);
    page.updated_at.micros().wrapping_add(until).unsigned_abs()
}

/// A page of the site, which is somebody else's: whoever follows the link tells nobody where from. `asks`: what waits is asked for.
#[component]
fn Line(id: JobId, page: CrawlPage, again: Again, asks: Memo<bool>) -> impl IntoView {
    let CrawlPage { url, http_status, message, waits_until, found_on, .. } = page;
    let (known_by, href, page) = (url.clone(), url.clone(), url.clone());
    let retry = move || {
        again.get().map(|(workspace, attempt, _)| {
            let fields = vec![
                ("id", id.to_string()),
                ("workspace", workspace.to_string()),
                ("attempt", attempt.to_string()),
                ("page", page.clone()),
            ];
            let name = Some(format!("Retry: {page}"));
            let done = Callback::new(|_: Value| {});
            view! { <Deed action=RetryPage::url() words="Retry" fields name steers=true done /> }
        })
    };
    view! {
        <li data-url=known_by>
            <p class="row">
                {http_status.map(|status| view! { <code class="mono" data-http-status="">{status}</code> })}
                <a class="link trunc" href=href rel="noopener noreferrer external" target="_blank">{url}</a>
                {retry}
            </p>
            <p class="meta">{message} {found_on.map(|on| format!(" Found on {on}"))}</p>
            {waits_until.map(|at| view! {
                <p class="meta" data-waits-until="" hidden=move || !asks.get()>"Next try at " <Exactly at /></p>
            })}
        </li>
    }
}

/// What a retry of a crawl's pages says of it.
type Again = Memo<Option<(WorkspaceId, u32, u64)>>;

/// The workspace, the attempt and how many pages failed in it, once it has ended.
fn may_retry(stores: Stores, job: &Option<Job>) -> Option<(WorkspaceId, u32, u64)> {
    let job = job.as_ref().filter(|j| j.status.is_final() && j.metrics.pages_failed > 0)?;
    (!is_doomed(stores, job)).then_some((job.kb_id, job.attempt, job.metrics.pages_failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job, site, workspace};
    use domain::{
        Event, Workspace, WorkspaceStatus,
        crawl::Crawl,
        event::WorkspaceDeleted,
        status::{Halt, JobRequest},
    };

    #[test]
    fn a_retry_of_a_page_is_offered_unless_the_workspace_is_being_deleted_or_is_gone() {
        Owner::new().with(|| {
            let stores = Stores::new();
            let mut crawl = Job { crawl: Some(site()), ..job(1, 5, JobStatus::Completed) };
            crawl.metrics.pages_failed = 2;
            let place = crawl.kb_id;
            let crawl = Some(crawl);
            assert_eq!(may_retry(stores, &crawl), Some((place, 1, 2)));
            stores.apply(Event::WorkspaceStatus(Workspace {
                status: WorkspaceStatus::Deleting,
                ..workspace(1, 6)
            }));
            assert_eq!(may_retry(stores, &crawl), None);
            stores.apply(Event::WorkspaceDeleted(WorkspaceDeleted { id: place, rev: 7 }));
            assert_eq!(may_retry(stores, &crawl), None);
        });
    }

    #[test]
    fn what_waits_is_listed_as_what_is_asked_for_again_only_while_it_is() {
        let mut crawl = Job { crawl: Some(site()), ..job(1, 5, JobStatus::Running) };
        (crawl.metrics.pages_found, crawl.metrics.pages_fetched, crawl.metrics.pages_failed) = (6, 2, 1);
        let of = |job: &Job| (headline(job, PageState::Waiting), goes_on(job));
        assert_eq!(of(&crawl), ("3 pages waiting".to_owned(), true));
        assert_eq!(headline(&crawl, PageState::Failed), "1 page failed");
        // It stands, and goes on one day.
        crawl.status = JobStatus::Paused;
        assert_eq!(of(&crawl), ("3 pages waiting".to_owned(), false));
        crawl.status = JobStatus::Cancelled;
        assert_eq!(of(&crawl), ("3 pages not fetched".to_owned(), false));
        // Documents of it alone are retried.
        crawl.status = JobStatus::Running;
        crawl.crawl = Some(Crawl { rests: true, ..site() });
        assert_eq!(of(&crawl), ("3 pages not fetched".to_owned(), false));
    }

    #[test]
    fn the_list_of_what_waits_is_read_again_when_a_page_waits_on_for_its_next_try() {
        let mut crawl = Job { crawl: Some(site()), ..job(1, 5, JobStatus::Running) };
        (crawl.metrics.pages_found, crawl.metrics.pages_fetched) = (6, 2);
        let before = [PageState::Waiting, PageState::Failed].map(|state| goes_by(&crawl, state));
        crawl.crawl = Some(Crawl { current_url: Some("https://example.org/next".into()), ..site() });
        let after = [PageState::Waiting, PageState::Failed].map(|state| goes_by(&crawl, state));
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1], after[1], "it says nothing of those that failed");
    }

    #[test]
    fn the_list_of_what_was_skipped_is_read_again_when_one_of_it_is_asked_for_and_another_takes_its_place() {
        let mut crawl = Job { crawl: Some(site()), ..job(1, 5, JobStatus::Running) };
        (crawl.metrics.pages_found, crawl.metrics.pages_skipped) = (6, 2);
        let before = [PageState::Skipped, PageState::Failed].map(|state| goes_by(&crawl, state));
        crawl.metrics.pages_found = 7;
        let after = [PageState::Skipped, PageState::Failed].map(|state| goes_by(&crawl, state));
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1], after[1], "it says nothing of those that failed");
    }

    #[test]
    fn a_page_is_asked_for_only_while_somebody_is_at_the_crawl_and_that_is_known() {
        let url = "https://example.org/now".to_owned();
        let at_it = Crawl { current_url: Some(url.clone()), ..site() };
        let crawl = |status, halted| Job { crawl: Some(at_it.clone()), halted, ..job(1, 5, status) };
        let told = |job: &Job, known| asked_for(job, &Shown::of_job(job), known);
        let mut running = crawl(JobStatus::Running, None);
        assert_eq!(told(&running, true), Some(url.clone()));
        assert_eq!(told(&running, false), None, "the link is down");
        assert_eq!(asked_for(&running, &Shown::of_job(&running).in_doomed_workspace(), true), None);
        running.requested = Some(JobRequest::Pause);
        assert_eq!(told(&running, true), Some(url), "it ends the page that it is at");
        running.halted = Some(Halt::Interrupted);
        assert_eq!(told(&running, true), None, "nobody is there to end it");
        for halt in [Halt::Stalled, Halt::Interrupted, Halt::Waiting] {
            assert_eq!(told(&crawl(JobStatus::Running, Some(halt)), true), None, "{halt:?}");
        }
        for status in [JobStatus::Pending, JobStatus::Paused, JobStatus::Completed, JobStatus::Cancelled] {
            assert_eq!(told(&crawl(status, None), true), None, "{status:?}");
        }
    }

    #[test]
    fn a_first_crawl_is_not_compared_with_anything() {
        let m = Metrics {
            pages_found: 9,
            pages_fetched: 4,
            pages_failed: 1,
            pages_skipped: 2,
            ..Metrics::default()
        };
        assert_eq!(facts(&m), [("Found", 9), ("Fetched", 4), ("Failed", 1), ("Skipped", 2)]);
        let again = Metrics { pages_blocked: 1, pages_unchanged: 3, pages_new: 1, ..m };
        let more = [("Blocked by robots.txt", 1), ("Unchanged", 3), ("New", 1)];
        assert_eq!(facts(&again)[4..], more);
    }
}
