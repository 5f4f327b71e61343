//! One row of the table: type, name, badge, what happens, size, when, and a thin line of progress.
use super::selection::{Chosen, Selection};
use crate::{
    components::{Ago, DocumentProgress, FileName, FileTypeIcon, IconButton, IconName, StatusBadge, words},
    kept::kept,
    pages::document::of,
    stores::{JobState, Stores},
    view,
};
use domain::{Document, DocumentId, DocumentStatus, Job, message::count, resource::CANCELLED, shown::Shown};
use leptos::prelude::*;

#[component]
pub fn DocumentRow(id: DocumentId) -> impl IntoView {
    kept(move || says(id), move || drawn(id))
}

/// All that a row shows before the page is alive.
fn says(id: DocumentId) -> String {
    let selects = use_context::<Selection>().is_some();
    let (document, job) = Stores::expect().document_now(id);
    let is_doomed = use_context::<Doomed>().is_some_and(|Doomed(is)| is.get_untracked());
    let shown = shown_of(document.as_ref(), job.as_ref(), is_doomed);
    let of = document
        .as_ref()
        .map(|d| (&d.filename, &d.mime_type, what_happens(d), d.size_bytes, d.created_at, d.progress));
    format!("row {:?}", (id, selects, shown, of))
}

fn drawn(id: DocumentId) -> AnyView {
    let document = RwSignal::from(Stores::expect().document(id));
    let shown = document_shown(id);
    let name = Signal::derive(move || of(document, |d| d.filename.clone()));
    let mime = Signal::derive(move || of(document, |d| d.mime_type.clone()));
    let message = Memo::new(move |_| of(document, what_happens));
    let selection = use_context::<Selection>();
    let is_selected = Memo::new(move |_| selection.is_some_and(|all| document.with(|d| all.has(d.as_ref()))));
    let stores = Stores::expect();
    // Of those on the page, the ones that are selected by what they have in common.
    let listed = move || {
        let workspace = document.with_untracked(|d| d.as_ref().map(|d| d.workspace_id));
        let ids = workspace.map(|id| stores.document_ids(id).get_untracked()).unwrap_or_default();
        let is_meant = |id: &DocumentId| {
            selection.is_some_and(|all| untrack(|| stores.document(*id).with(|d| all.has(d.as_ref()))))
        };
        ids.into_iter().filter(is_meant).collect()
    };
    view! {
        <div class="doc-row" role="row" data-document-id=id.to_string() data-status=move || shown.with(|s| s.key())>
            <span class="doc-icon" role="cell">
                {selection.map(|selection| view! {
                    <input
                        class="doc-check"
                        type="checkbox"
                        autocomplete="off"
                        data-scripted=""
                        aria-label=move || format!("Select {}", name.get())
                        prop:checked=move || is_selected.get()
                        on:change=move |ev| selection.toggle(id, event_target_checked(&ev), listed)
                    />
                })}
                <FileTypeIcon mime />
            </span>
            <span class="doc-name" role="cell">
                <a href=format!("/d/{id}") title=move || name.get()>
                    <FileName name />
                </a>
            </span>
            <span class="doc-state" role="cell">
                <StatusBadge shown />
            </span>
            <span class="doc-message" role="cell" title=move || message.get()>
                {move || message.get()}
            </span>
            <span class="doc-size" role="cell">
                {move || words::bytes(of(document, |d| d.size_bytes))}
            </span>
            <span class="doc-when" role="cell">
                <Ago at=Signal::derive(move || of(document, |d| d.created_at)) />
            </span>
            <span class="doc-actions" role="cell">
                {selection.map(|selection| view! {
                    <IconButton
                        icon=IconName::More
                        label=Signal::derive(move || format!("Actions for {}", name.get()))
                        on:click=move |_| selection.set(Chosen::These(vec![id]))
                        attr:data-scripted=""
                    />
                })}
            </span>
            <DocumentProgress value=Signal::derive(move || of(document, |d| d.progress)) />
        </div>
    }
}

/// Whether the workspace around is being deleted; it says so to its rows, which listen to nothing else of it.
#[derive(Clone, Copy)]
pub struct Doomed(pub Memo<bool>);

/// What a document's badge shows: its own state and what its job does, followed live. It listens to the job's state
/// alone, not to its counters.
pub fn document_shown(id: DocumentId) -> Memo<Shown> {
    let stores = Stores::expect();
    let document = stores.document(id);
    let doomed = use_context::<Doomed>();
    Memo::new(move |_| {
        let is_doomed = doomed.is_some_and(|Doomed(is)| is.get());
        document.with(|d| match d.as_ref().and_then(|d| d.job_id) {
            Some(job) => stores
                .job_state(job)
                .with(|job| shown_of(d.as_ref(), job.as_ref().map(JobState::job), is_doomed)),
            None => shown_of(d.as_ref(), None, is_doomed),
        })
    })
}

fn shown_of(document: Option<&Document>, job: Option<&Job>, is_doomed: bool) -> Shown {
    let shown = document.map_or(Shown::Pending { behind: None }, |d| Shown::of_document(d, job));
    if is_doomed { shown.in_doomed_workspace() } else { shown }
}

/// The one line beside the badge.
fn what_happens(document: &Document) -> String {
    match document.status {
        DocumentStatus::Failed if document.error_code.as_deref() == Some(CANCELLED) => String::new(),
        DocumentStatus::Failed => document.error.clone().unwrap_or_default(),
        DocumentStatus::Ready => match (document.warnings.first(), &document.indexed_with) {
            (Some(warning), _) => warning.message.clone(),
            (None, Some(with)) if document.stale => with.stale_words(),
            (None, _) => count(document.chunk_count, "chunk", "chunks"),
        },
        DocumentStatus::Pending | DocumentStatus::Processing => {
            let said = document.held_up().or(document.message.as_deref());
            said.unwrap_or_default().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::document;
    use domain::{
        rag::{ChunkingStrategy, IndexedWith},
        resource::{INTERRUPTED, STALLED, Warning},
    };

    #[test]
    fn an_interrupted_document_does_not_look_as_if_somebody_worked_on_it() {
        let mut left = document(1, 1, DocumentStatus::Processing);
        left.message = Some("Reading the text of a.txt…".into());
        left.warnings = vec![Warning { code: INTERRUPTED.into(), message: "Nobody is at it.".into() }];
        assert_eq!(what_happens(&left), "Nobody is at it.");
        assert_eq!(Shown::of_document(&left, None), Shown::Interrupted);
        assert!(!Shown::Interrupted.moves());
    }

    #[test]
    fn a_stale_document_tells_what_it_was_embedded_with() {
        let mut old = document(1, 1, DocumentStatus::Ready);
        old.indexed_with = Some(IndexedWith {
            embedding_model: Some("words-embed".into()),
            chunking_strategy: ChunkingStrategy::Token,
            chunk_size: 300,
            chunk_overlap: 30,
            other_length: false,
        });
        old.chunk_count = 7;
        assert_eq!(what_happens(&old), "7 chunks");
        old.stale = true;
        assert_eq!(what_happens(&old), "Stale: embedded with words-embed, token 300 / 30");
        assert_eq!(Shown::of_document(&old, None).key(), "stale");
    }

    #[test]
    fn a_stalled_document_tells_its_reason_while_it_is_in_work_alone() {
        let why = "There was no progress for 5 minutes while reading the file. Trying again (2 of 3).";
        let mut stalled = document(1, 1, DocumentStatus::Processing);
        stalled.message = Some("Reading the text of a.txt…".into());
        assert_eq!(what_happens(&stalled), "Reading the text of a.txt…");
        stalled.warnings = vec![Warning { code: STALLED.into(), message: why.into() }];
        assert_eq!(what_happens(&stalled), why);
        assert_eq!(Shown::of_document(&stalled, None), Shown::Stalled);
        stalled.status = DocumentStatus::Ready;
        assert_eq!(Shown::of_document(&stalled, None), Shown::Ready { warnings: 1 });
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_row_that_was_drawn_before_says_when_its_workspace_is_being_deleted() {
        use crate::{live::Live, samples::workspace};
        use domain::{
            Epoch,
            pages::{Since, WorkspacePage},
            resource::Page,
        };
        let row = |is_doomed: bool| {
            Owner::new().with(|| {
                let stores = Stores::new();
                provide_context(stores);
                provide_context(Live::new(stores));
                let at_work = document(71, 1, DocumentStatus::Processing);
                let id = at_work.id;
                stores.put_workspace_page(&WorkspacePage {
                    since: Since { epoch: Epoch("e".into()), seq: 1 },
                    workspace: workspace(1, 1),
                    documents: Page { items: vec![at_work], next: None },
                    jobs: vec![],
                });
                provide_context(Doomed(Memo::new(move |_| is_doomed)));
                view! { <DocumentRow id /> }.to_html()
            })
        };
        let (stays, goes) = (row(false), row(true));
        assert!(stays.contains("data-status=\"processing\""), "{stays}");
        assert!(goes.contains("data-status=\"deleting\"") && !goes.contains("processing"), "{goes}");
        assert_eq!((row(false), row(true)), (stays, goes));
    }
}
