//! A document: what it is, what happens to it step by step, and what can be done with it.

use super::{
    attempts::{EarlierAttempts, Read, Reading},
    deleting::{DeleteDocument, document_href},
    document_about::About,
    document_content::Content,
    document_passages::{PassageList, Passages},
    loaded::read,
    not_found::{Missing, no_such},
    problem::Around,
    workspace::{Doomed, document_shown},
};
use crate::{
    clock::WorkClock,
    components::{
        Ago, AwaitedTabTitle, AwaitedTitle, BadgeSize, ErrorPanel, FileTypeIcon, Icon, IconName, LinkButton,
        Now, ProgressBar, RowsSkeleton, StatusBadge, StepTimeline, TabTitle, Waterfall, use_now, words,
    },
    forms::{Deed, FormState, Refused},
    layout::workspace_name,
    live::{Live, Screen},
    server_fns::documents::{
        CancelDocument, PauseDocument, ResumeDocument, RetryDocument, SkipEmbedding, list_earlier_steps,
        read_document,
    },
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::{
    Chunk, Document, DocumentId, DocumentStatus, Step, Timestamp, Workspace,
    event::FileProgress,
    ingest::{REINDEX_CANCELLED, REINDEX_FAILED, REPLACE_CANCELLED, REPLACE_FAILED},
    message::{count, number},
    pages::DocumentPage as DocumentPageData,
    rag::IndexedWith,
    resource::{CANCELLED, Page as List},
    shown::Shown,
    status::Processor,
};
use leptos::{context::Provider, prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use serde_json::Value;

#[component]
pub fn DocumentPage() -> impl IntoView {
    provide_context(Around { has_heading: false, needs_title: true });
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").and_then(|id| id.parse::<DocumentId>().ok())));
    let title = AwaitedTitle::default();
    let told = title.clone();
    let page = page_data(
        move || id.get(),
        move |id| {
            let told = told.clone();
            async move {
                let page = match id {
                    Some(id) => read_document(id).await,
                    None => Err(no_such("document")),
                };
                told.tell(page.as_ref().map(|Wire(page)| page.document.filename.as_str()));
                page
            }
        },
        true,
    );
    let keep = |page: &DocumentPageData, stores: Stores, live: Live| {
        live.shows(Screen::Document(page.document.id));
        stores.put_document_page(page);
        live.rendered(&page.since);
    };
    let skeleton = || view! { <div class="page"><RowsSkeleton /></div> };
    let refused = StoredValue::new(FormState::of_page());
    view! {
        <AwaitedTabTitle title />
        {read(page, || async {}, "document", skeleton, keep, move |page, (), _| {
            let id = page.document.id;
            view! { <OneDocument id workspace=page.workspace chunks=page.chunks refused /> }
        })}
    }
}

#[component]
fn OneDocument(
    id: DocumentId,
    workspace: Workspace,
    chunks: List<Chunk>,
    refused: StoredValue<FormState>,
) -> impl IntoView {
    let document = RwSignal::from(Stores::expect().document(id));
    let is_there = Memo::new(move |_| document.with(Option::is_some));
    let chunks = Passages::new(id, document, chunks);
    let place = workspace.id;
    let around = RwSignal::from(Stores::expect().workspace(place));
    provide_context(Doomed(Memo::new(move |_| {
        around.with(|w| w.as_ref().is_some_and(Workspace::is_deleting))
    })));
    view! {
        {move || {
            if is_there.get() {
                view! { <Body id document workspace=workspace.clone() chunks refused /> }
            } else {
                view! { <Missing what="document" /> }
            }
        }}
        <DeleteDocument id workspace=place document />
    }
}

#[component]
fn Body(
    id: DocumentId,
    document: RwSignal<Option<Document>>,
    workspace: Workspace,
    chunks: Passages,
    refused: StoredValue<FormState>,
) -> impl IntoView {
    let steps = RwSignal::from(Stores::expect().steps(id));
    let is_ours = workspace.processor == Processor::Builtin;
    let place = workspace_name(workspace.id, workspace.name);
    let paused = Live::expect().paused_reason();
    let shown = document_shown(id);
    let clock = expect_context::<WorkClock>().of(shown);
    let name = Signal::derive(move || of(document, |d| d.filename.clone()));
    let told = Signal::derive(move || steps.get().unwrap_or_default());
    let has_steps = Memo::new(move |_| steps.with(Option::is_some));
    let Doomed(is_doomed) = expect_context();
    let is_moving = Memo::new(move |_| {
        let goes_on =
            |d: &Document| Some(matches!(d.status, DocumentStatus::Pending | DocumentStatus::Processing));
        of(document, goes_on) == Some(true) && !is_doomed.get()
    });
    let attempt = Memo::new(move |_| of(document, |d| d.attempt));
    let earlier_steps: Read<Over> = Callback::new(move |()| {
        Box::pin(async move { list_earlier_steps(id).await.map(|Wire(steps)| Over::all(&steps)) })
            as Reading<_>
    });
    let progress = Signal::derive(move || Some(of(document, |d| d.progress)));
    let tenths = Memo::new(move |_| {
        let now = clock.at.get();
        steps.with(|steps| is_long(steps.as_deref().unwrap_or_default(), attempt.get(), now))
    });
    let label =
        Signal::derive(move || of(document, |d| d.message.clone()).unwrap_or_else(|| "Progress".into()));
    view! {
        <TabTitle text=name />
        <div class="page" data-document-id=id.to_string() data-status=move || shown.with(|s| s.key())>
            <header class="stack gap-2">
                <nav class="crumbs" aria-label="Where this is">
                    <a href="/">"Workspaces"</a>
                    <Icon name=IconName::ChevronRight />
                    <a href=format!("/w/{}", workspace.id)>{move || place.get()}</a>
                </nav>
                <h1 class="page-title">
                    <FileTypeIcon mime=Signal::derive(move || of(document, |d| d.mime_type.clone())) size=20 />
                    <span>{move || name.get()}</span>
                    <StatusBadge shown size=BadgeSize::Md />
                </h1>
                <Refused left=refused />
                <Facts document />
            </header>
            {move || is_moving.get().then(|| view! { <ProgressBar value=progress label tenths /> })}
            <Trouble document />
            <Controls id document is_ours />
            <About id document />
            <Content id document />
            <section class="section" aria-labelledby="steps-title">
                <div class="row justify-between">
                    <h2 class="section-title" id="steps-title">"Steps"</h2>
                    <div class="row">
                        <LinkButton href=format!("/d/{id}/history") icon=IconName::Clock>
                            "History"
                        </LinkButton>
                        <LinkButton href=document_href(id) icon=IconName::Trash locked=paused>
                            "Delete"
                        </LinkButton>
                    </div>
                </div>
                {move || {
                    if has_steps.get() {
                        view! {
                            <Provider value=clock>
                                <div class="panel">
                                    <StepTimeline steps=told />
                                    <details class="details">
                                        <summary class="meta">"Over time"</summary>
                                        <Waterfall steps=told />
                                    </details>
                                </div>
                            </Provider>
                        }
                    } else {
                        view! { <p class="muted">"Nothing has happened yet: the document waits for its turn."</p> }
                    }
                }}
                <EarlierAttempts attempt read=earlier_steps number=Over::attempt show=Over::shown />
            </section>
            <PassageList chunks document />
        </div>
    }
}

/// Whether an attempt has been going on for a minute: then its percentage has tenths, so that it is seen to move.
fn is_long(steps: &[FileProgress], attempt: u32, now: Option<Timestamp>) -> bool {
    let began = steps.iter().filter(|step| step.attempt == attempt).map(|step| step.started_at).min();
    began.zip(now).is_some_and(|(began, now)| now.seconds_since(began) >= 60)
}

/// An attempt that is over.
#[derive(Clone)]
struct Over {
    attempt: u32,
    steps: Vec<FileProgress>,
}

impl Over {
    fn all(steps: &[FileProgress]) -> Vec<Self> {
        let one = |steps: &[FileProgress]| Self { attempt: steps[0].attempt, steps: steps.to_vec() };
        steps.chunk_by(|a, b| a.attempt == b.attempt).map(one).collect()
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    /// No time runs on in it, also of a step that it was stopped in.
    fn shown(self) -> AnyView {
        let Now { zone, .. } = use_now();
        view! {
            <p class="meta">{format!("Attempt {}", self.attempt)}</p>
            <Provider value=Now { at: RwSignal::new(None), zone }>
                <div class="panel">
                    <StepTimeline steps=Signal::stored(self.steps) />
                </div>
            </Provider>
        }
        .into_any()
    }
}

const WITHOUT_VECTORS: &str = "It becomes ready now, and is found by its words alone";

/// The buttons of a document, as far as its state allows them. `is_ours`: no outside worker has it, whose steps are its own
/// business.
#[component]
fn Controls(id: DocumentId, document: RwSignal<Option<Document>>, is_ours: bool) -> impl IntoView {
    let stores = Stores::expect();
    let shown = document_shown(id);
    let Doomed(is_doomed) = expect_context();
    let can = Memo::new(move |_| {
        // What it is taken away with cannot be steered.
        if is_doomed.get() {
            return Default::default();
        }
        of(document, |d| {
            let is_stopping = d.stopping().is_some();
            let goes_on = d.is_unfinished() && !is_stopping;
            let is_paused = d.is_paused();
            // Its whole job is paused: it goes on with that.
            let stands = matches!(shown.get(), Shown::Paused);
            let pausing = matches!(shown.get(), Shown::Stopping { cancels: false });
            // While others of its job go on, there is no next attempt.
            let ended = d.job_id.is_none_or(|job| {
                stores.job_state(job).with(|j| j.as_ref().is_none_or(|j| j.job().status.is_final()))
            });
            (
                goes_on && !is_paused && !stands,
                is_paused || pausing,
                goes_on,
                is_left(d) && ended,
                goes_on && is_ours && d.step == Some(Step::CreatingEmbeddings),
            )
        })
    });
    let fields = move || vec![("id", id.to_string())];
    // The stream tells what came of it.
    let done = Callback::new(|_: Value| {});
    move || {
        let (pause, resume, cancel, retry, skip) = can.get();
        view! {
            <div class="row" data-controls="">
                {pause.then(|| view! { <Deed action=PauseDocument::url() words="Pause" fields=fields() steers=true done /> })}
                {resume.then(|| view! { <Deed action=ResumeDocument::url() words="Resume" fields=fields() steers=true done /> })}
                {skip.then(|| view! {
                    <Deed
                        action=SkipEmbedding::url()
                        words="Skip embedding"
                        fields=fields()
                        hint=WITHOUT_VECTORS
                        steers=true
                        done
                    />
                })}
                {cancel.then(|| view! { <Deed action=CancelDocument::url() words="Cancel" fields=fields() steers=true done /> })}
                {retry.then(|| view! { <Deed action=RetryDocument::url() words="Retry" fields=fields() steers=true done /> })}
            </div>
        }
    }
}

/// Whether its last run came to nothing: it failed, or is found as it was before.
fn is_left(document: &Document) -> bool {
    const NOT_RENEWED: [&str; 4] = [REINDEX_FAILED, REINDEX_CANCELLED, REPLACE_FAILED, REPLACE_CANCELLED];
    let is_as_before = || document.warnings.iter().any(|w| NOT_RENEWED.contains(&w.code.as_str()));
    match document.status {
        DocumentStatus::Failed => true,
        DocumentStatus::Ready => is_as_before(),
        DocumentStatus::Pending | DocumentStatus::Processing => false,
    }
}

/// A part of a document that may be gone.
pub(super) fn of<R: Default>(document: RwSignal<Option<Document>>, part: impl FnOnce(&Document) -> R) -> R {
    document.with(|d| d.as_ref().map(part).unwrap_or_default())
}

/// Where a page of a site is from. Outside workers write beside it, so an address of any other kind is none.
fn source(document: &Document) -> Option<String> {
    let url = document.metadata.get("source_url")?.as_str()?;
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}

#[component]
fn Facts(document: RwSignal<Option<Document>>) -> impl IntoView {
    view! {
        <dl class="facts">
            <div>
                <dt>"Size"</dt>
                <dd>{move || words::bytes(of(document, |d| d.size_bytes))}</dd>
            </div>
            <div>
                <dt>"Type"</dt>
                <dd>{move || of(document, |d| d.mime_type.clone())}</dd>
            </div>
            {move || {
                of(document, source).map(|url| {
                    let href = url.clone();
                    view! {
                        <div>
                            <dt>"Source"</dt>
                            <dd>
                                <a class="link" href=href rel="noopener noreferrer external" target="_blank">{url}</a>
                            </dd>
                        </div>
                    }
                })
            }}
            <div>
                <dt>"Added"</dt>
                <dd>
                    <Ago at=Signal::derive(move || of(document, |d| d.created_at)) />
                </dd>
            </div>
            <div>
                <dt>"Chunks"</dt>
                <dd>{move || number(of(document, |d| d.chunk_count))}</dd>
            </div>
            {move || {
                of(document, |d| d.indexed_with.as_ref().map(IndexedWith::words)).map(|text| view! {
                    <div>
                        <dt>"Indexed"</dt>
                        <dd>{text}</dd>
                    </div>
                })
            }}
            <div>
                <dt>"Version"</dt>
                <dd>{move || of(document, version_words)}</dd>
            </div>
            <div>
                <dt>"Attempt"</dt>
                <dd>{move || of(document, |d| d.attempt)}</dd>
            </div>
            <div>
                <dt>"SHA-256"</dt>
                <dd class="mono" title=move || of(document, |d| d.content_hash.clone())>
                    {move || of(document, |d| d.content_hash.chars().take(12).collect::<String>())}
                </dd>
            </div>
        </dl>
    }
}

/// "2", "2 · 3 is being read", "2 · 3 could not be processed"
fn version_words(document: &Document) -> String {
    let version = number(document.version.into());
    match document.next_version {
        Some(next) if document.is_unfinished() => format!("{version} · {next} is being read"),
        Some(next) => format!("{version} · {next} could not be processed"),
        None => version,
    }
}

/// In what it failed: the phase, by the name that the timeline has for it.
fn failed_in(document: &Document) -> Option<String> {
    let step = document.step.as_ref()?;
    let phase = step.phase().map_or_else(|| step.to_string(), |phase| phase.title().to_owned());
    Some(format!("Phase: {phase}"))
}

/// What only an operator has to know of a failure.
fn report(document: &Document) -> String {
    let step = document.step.as_ref().map(ToString::to_string);
    let lines = [
        ("Step", step),
        ("File", Some(document.filename.clone())),
        ("Attempt", Some(document.attempt.to_string())),
        ("At", Some(document.updated_at.to_string())),
    ];
    let lines = lines.into_iter().filter_map(|(name, text)| Some(format!("{name}: {}", text?)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Why it failed and what may help, or what went less than well.
#[component]
fn Trouble(document: RwSignal<Option<Document>>) -> impl IntoView {
    let error = Memo::new(move |_| {
        of(document, |d| {
            let is_failed = d.status == DocumentStatus::Failed && d.error_code.as_deref() != Some(CANCELLED);
            is_failed.then(|| d.clone())
        })
    });
    let warnings = Memo::new(move |_| of(document, |d| d.warnings.clone()));
    view! {
        {move || {
            error
                .get()
                .map(|d| {
                    let title = d.error.clone().unwrap_or_else(|| "This document could not be read.".into());
                    let (phase, more) = (failed_in(&d), report(&d));
                    // The lines of the log about a document bear its id.
                    let id = d.id.to_string();
                    view! { <ErrorPanel title detail=d.error_hint phase code=d.error_code id more /> }
                })
        }}
        {move || {
            warnings.with(|w| !w.is_empty()).then(|| {
                let lines = warnings.get().into_iter().map(|w| view! { <li>{w.message}</li> }).collect_view();
                view! {
                    <section class="panel stack gap-1" aria-label="Warnings">
                        <h2 class="section-title">
                            {count(warnings.with(Vec::len) as u64, "warning", "warnings")}
                        </h2>
                        <ul>{lines}</ul>
                    </section>
                }
            })
        }}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{document, step};
    use domain::resource::Warning;

    #[test]
    fn a_percentage_has_tenths_once_the_present_attempt_takes_more_than_a_minute() {
        let of = |attempt, began: i64| {
            let mut step = step(1, 5, 10.0);
            (step.attempt, step.started_at) = (attempt, Timestamp::from_micros(began * 1_000_000));
            step
        };
        let steps = [of(1, 0), of(2, 120), of(2, 100)];
        let now = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        assert!(!is_long(&steps, 2, now(159)));
        assert!(is_long(&steps, 2, now(160)));
        assert!(!is_long(&steps, 2, None), "it stands, or nobody knows");
        assert!(!is_long(&steps, 3, now(900)), "the next attempt has not begun");
    }

    #[test]
    fn what_failed_can_be_retried_and_so_can_what_is_found_as_before_since_its_last_run_failed() {
        use DocumentStatus::{Failed, Pending, Processing, Ready};
        let of = |status| document(1, 5, status);
        assert_eq!(
            [Failed, Ready, Processing, Pending].map(|status| is_left(&of(status))),
            [true, false, false, false]
        );
        let warned = |status, code: &str| {
            let mut document = of(status);
            document.warnings = vec![Warning { code: code.into(), message: "It was not.".into() }];
            is_left(&document)
        };
        for code in ["reindex_failed", "reindex_cancelled", "replace_failed", "replace_cancelled"] {
            assert!(warned(Ready, code) && !warned(Pending, code), "{code}");
        }
        assert!(!warned(Ready, "pages_unread"));
    }
}
