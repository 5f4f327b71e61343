//! A workspace: its documents as they move, the job that moves them, search, and the way in for files.

mod bulk;
mod documents;
mod doubled;
mod drop;
mod job_panel;
mod making;
mod row;
mod rows;
mod search;
mod selection;
mod standing;
mod stats;
mod upload_row;

use super::{
    crawl_dialog::{self, CrawlDialog},
    deleting::{BeingDeleted, DeleteWorkspace, workspace_href},
    not_found::{Missing, no_such},
    problem::{Around, ProblemView},
    rag::Stale,
    workspace_dialog::{Asked, Sending, Typed, WorkspaceDialog, opened_by_address},
};
use crate::{
    AppError,
    components::{
        AwaitedTabTitle, AwaitedTitle, BadgeSize, ErrorPanel, Icon, IconName, LinkButton, Menu, MenuLine,
        MenuLink, PageHeader, RowsSkeleton, StatusBadge, TabTitle,
    },
    forms::FormState,
    layout::{ShellData, part, take_shell, workspace_shown},
    live::{Live, Screen},
    paths,
    server_fns::workspaces::{
        EditWorkspace, SearchAnswer, edit_workspace, read_workspace, search as run_search,
    },
    stores::Stores,
    view,
    wire::{PageData, Wire, page_data},
};
use documents::Documents;
use domain::{Workspace as Held, WorkspaceId, provision::WorkspaceAction};
use doubled::Doubled;
use drop::{DropOverlay, Picker};
use job_panel::JobPanel;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use making::Making;
pub use row::{Doomed, document_shown};
use search::{Hits, SearchBox};
use standing::Standing;
use stats::{PartlyReady, Stats};

/// What the gallery of components shows of this page.
#[cfg(all(feature = "ssr", debug_assertions))]
pub mod gallery {
    pub use super::{
        drop::{DropOverlay, Picker},
        job_panel::JobPanel,
        making::Making,
        upload_row::UploadRow,
    };
}

/// What was searched for, and what was found; `None` when nothing was asked.
type Found = Option<Result<Wire<SearchAnswer>, AppError>>;

#[component]
pub fn WorkspacePage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").and_then(|id| id.parse::<WorkspaceId>().ok())));
    let query = use_query_map();
    let asked =
        Memo::new(move |_| query.with(|q| q.get("q").map(|q| q.trim().to_owned()).filter(|q| !q.is_empty())));
    // Both are made here, so that server and browser count them in the same order. The page waits for the first, so
    // that its answer can carry the right status.
    let title = AwaitedTitle::default();
    let told = title.clone();
    let page = page_data(
        move || id.get(),
        move |id| {
            let told = told.clone();
            async move {
                let page = match id {
                    Some(id) => read_workspace(id, None).await,
                    None => Err(no_such("workspace")),
                };
                told.tell(page.as_ref().map(|Wire(page)| page.workspace.name.as_str()));
                page
            }
        },
        true,
    );
    let found = page_data(
        move || (id.get(), asked.get()),
        |(id, asked)| async move { Some(run_search(id?, asked?, None).await) },
        false,
    );
    provide_context(Around { has_heading: false, needs_title: true });
    let refused = StoredValue::new(FormState::of_page());
    let ShellData(shell) = expect_context();
    view! {
        <AwaitedTabTitle title />
        <Suspense fallback=|| view! { <div class="page"><RowsSkeleton /></div> }>
            {move || Suspend::new(async move {
                let shell = shell.await;
                match page.await {
                    Ok(Wire(page)) => {
                        let take = |stores: Stores, live: Live| {
                            if let Ok(Wire(shell)) = &shell {
                                take_shell(stores, live, shell);
                            }
                            live.shows(Screen::Workspace(page.workspace.id));
                            stores.put_workspace_page(&page);
                            live.rendered(&page.since);
                        };
                        let id = page.workspace.id;
                        part(&take, move || view! { <Workspace id found asked refused /> }).into_any()
                    }
                    Err(error) => {
                        let retry = Callback::new(move |()| page.refetch());
                        view! { <ProblemView error what="workspace" retry /> }
                    }
                }
            })}
        </Suspense>
    }
}

#[component]
fn Workspace(
    id: WorkspaceId,
    found: PageData<Found>,
    asked: Memo<Option<String>>,
    refused: StoredValue<FormState>,
) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let is_there = Memo::new(move |_| workspace.with(Option::is_some));
    let shown = workspace_shown(id);
    let is_doomed = |w: &Option<Held>| w.as_ref().is_some_and(Held::is_deleting);
    provide_context(Doomed(Memo::new(move |_| workspace.with(is_doomed))));
    let name = Signal::derive(move || text(workspace, |w| &w.name));
    let note = Signal::derive(move || Some(text(workspace, |w| &w.description)));
    let paused = Live::expect().paused_reason();
    let unchangeable = locked(workspace, WorkspaceAction::Edit);
    let undeletable = Memo::new(move |_| unchangeable.get().or(paused.get()));
    let locked = locked(workspace, WorkspaceAction::Upload);
    let locked = Memo::new(move |_| locked.get().or(paused.get()));
    let refused = FormState::told_once(refused);
    // A page has four forms, and three of them have a field that no other has.
    let is_crawl = refused.is_refused() && refused.values.get("url").is_some();
    let is_deletion = !refused.errors.of("confirm").is_empty();
    let is_edit = refused.is_refused() && refused.errors.of("file").is_empty() && !is_crawl && !is_deletion;
    let files = refused.errors.of("file").iter().cloned();
    let is_dialog = is_edit || is_crawl || is_deletion;
    let mistakes: Vec<String> = files.chain(refused.message.clone().filter(|_| !is_dialog)).collect();
    let (open, edit) = dialog(id, asked, "edit", is_edit);
    let (crawls, crawl) = dialog(id, asked, "crawl", is_crawl);
    move || {
        if !is_there.get() {
            return view! { <Missing what="workspace" /> };
        }
        let mistakes = mistakes.join(" ");
        let left = |of: bool| if of { refused.clone() } else { FormState::default() };
        let (edited, crawled, of_deletion) = (left(is_edit), left(is_crawl), left(is_deletion));
        view! {
            <TabTitle text=name />
            <div class="page" data-workspace-id=id.to_string()>
                <PageHeader
                    title=name
                    note
                    beside=move || view! { <StatusBadge shown size=BadgeSize::Md /> }
                >
                    // Also where nothing can be asked now: what was answered before is there to be read.
                    <LinkButton href=paths::chat(id, "") icon=IconName::Chat>"Chat"</LinkButton>
                    <LinkButton href=paths::rag(Some(id)) icon=IconName::Settings locked=unchangeable>
                        "RAG config"
                    </LinkButton>
                    <LinkButton href=crawl icon=IconName::Globe locked>
                        "Crawl a site"
                    </LinkButton>
                    <Picker id locked />
                    <Menu label="More" trigger=|| view! { <Icon name=IconName::More /> }>
                        <MenuLink href=format!("{}/history", paths::workspace(id)) icon=IconName::Clock words="History" />
                        <MenuLink href=format!("{}/analytics", paths::workspace(id)) icon=IconName::Activity words="Analytics" />
                        <MenuLink href=paths::retrieval(id) icon=IconName::Search words="Retrieval test" />
                        <MenuLine />
                        <MenuLink href=edit icon=IconName::Edit words="Edit" locked=unchangeable />
                        <MenuLink href=workspace_href(id) icon=IconName::Trash words="Delete" locked=undeletable />
                    </Menu>
                </PageHeader>
                {(!mistakes.is_empty()).then(|| view! { <ErrorPanel title="That did not work" detail=mistakes /> })}
                <BeingDeleted id workspace />
                <Standing id workspace />
                <Stats id />
                <Making id workspace />
                <PartlyReady id />
                <Stale id />
                <SearchBox id asked />
                <Suspense>
                    {move || Suspend::new(async move {
                        let asked = asked.get_untracked().unwrap_or_default();
                        found.await.map(|found| {
                            let found = found.map(|Wire(answer)| answer);
                            view! { <Hits found asked workspace=id /> }
                        })
                    })}
                </Suspense>
                <JobPanel id />
                <Documents id locked />
            </div>
            <DropOverlay id locked />
            <Doubled id />
            <Edit id workspace open refused=edited />
            <CrawlDialog asked=crawl_dialog::Asked {
                workspace: id,
                open: crawls,
                close_href: paths::workspace(id),
                refused: crawled,
                locked,
            } />
            <DeleteWorkspace id workspace refused=of_deletion />
        }
    }
}

/// A text of a workspace that may be gone.
fn text(workspace: RwSignal<Option<Held>>, part: fn(&Held) -> &String) -> String {
    workspace.with(|w| w.as_ref().map(|w| part(w).clone()).unwrap_or_default())
}

/// Why no file can be added now.
pub type Locked = Memo<Option<&'static str>>;

/// Why that cannot be done with the workspace as it is.
fn locked(workspace: RwSignal<Option<Held>>, action: WorkspaceAction) -> Locked {
    Memo::new(move |_| {
        let refusal = workspace.with(|w| w.as_ref().and_then(|w| w.status.refuses(action)));
        refusal.map(|refusal| refusal.sentence)
    })
}

/// Whether a dialog is open, and the address that opens it. A search stays in the address meanwhile.
fn dialog(
    id: WorkspaceId,
    asked: Memo<Option<String>>,
    name: &'static str,
    refused: bool,
) -> (RwSignal<bool>, Signal<String>) {
    let here = move || asked.get().map(|q| format!("?q={}", paths::encode(&q))).unwrap_or_default();
    let open = opened_by_address(name, refused, move || format!("{}{}", paths::workspace(id), here()));
    let opens = Signal::derive(move || {
        let here = here();
        let sign = if here.is_empty() { '?' } else { '&' };
        format!("{}{here}{sign}{name}", paths::workspace(id))
    });
    (open, opens)
}

#[component]
fn Edit(
    id: WorkspaceId,
    workspace: RwSignal<Option<Held>>,
    open: RwSignal<bool>,
    refused: FormState,
) -> impl IntoView {
    let stores = Stores::expect();
    let typed = StoredValue::new(refused.clone());
    let value = move |field: &str, part: fn(&Held) -> &String| {
        typed.with_value(|form| form.typed_or(field, text(workspace, part)))
    };
    let name = Signal::derive(move || value("name", |w| &w.name));
    let description = Signal::derive(move || value("description", |w| &w.description));
    let send = move |typed: Typed| async move {
        if let Wire(Some(workspace)) = edit_workspace(id, typed.name, typed.description).await? {
            stores.put_workspace(&workspace);
        }
        Ok(())
    };
    view! {
        <WorkspaceDialog asked=Asked {
            title: "Edit workspace",
            verb: "Save",
            action: EditWorkspace::url(),
            open,
            close_href: paths::workspace(id),
            of: Some(id),
            refused,
            name,
            description,
            send: Callback::new(move |typed| Box::pin(send(typed)) as Sending),
        } />
    }
}
