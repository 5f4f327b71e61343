//! A workspace: its documents as they move, the job that moves them, search, and the way in for files.

mod documents;
mod drop;
mod job_panel;
mod row;
mod search;
mod upload_row;

use super::{not_found::Missing, problem::ProblemView};
use crate::{
    AppError,
    components::{BadgeSize, PageHeader, RowsSkeleton, StatusBadge},
    layout::{ShellData, part, take_shell, workspace_shown},
    live::{Live, Screen},
    server_fns::workspaces::{read_workspace, search as run_search},
    stores::Stores,
    wire::Wire,
};
use documents::Documents;
use domain::{Problem, WorkspaceId, resource::SearchHit};
use drop::{DropOverlay, Picker};
use job_panel::JobPanel;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
pub use row::document_shown;
use search::{Hits, SearchBox};

/// What was searched for, and what was found; `None` when nothing was asked.
type Found = Option<Result<Wire<Vec<SearchHit>>, AppError>>;

#[component]
pub fn WorkspacePage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").and_then(|id| id.parse::<WorkspaceId>().ok())));
    let query = use_query_map();
    let asked =
        Memo::new(move |_| query.with(|q| q.get("q").map(|q| q.trim().to_owned()).filter(|q| !q.is_empty())));
    // Both are made here, so that server and browser count them in the same order. The page waits for the first, so
    // that its answer can carry the right status.
    let page = Resource::new_blocking(
        move || id.get(),
        |id| async move {
            match id {
                Some(id) => read_workspace(id, None).await,
                None => Err(no_such_workspace()),
            }
        },
    );
    let found = Resource::new(
        move || (id.get(), asked.get()),
        |(id, asked)| async move { Some(run_search(id?, asked?, None).await) },
    );
    let ShellData(shell) = expect_context();
    view! {
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
                        part(&take, move || view! { <Workspace id found asked /> }).into_any()
                    }
                    Err(error) => {
                        let retry = Callback::new(move |()| page.refetch());
                        view! { <ProblemView error what="workspace" retry /> }.into_any()
                    }
                }
            })}
        </Suspense>
    }
}

/// An address that is no id names nothing.
fn no_such_workspace() -> AppError {
    #[cfg(feature = "ssr")]
    crate::ssr::set_status(404);
    Problem::not_found("workspace").into()
}

#[component]
fn Workspace(id: WorkspaceId, found: Resource<Found>, asked: Memo<Option<String>>) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let is_there = Memo::new(move |_| workspace.with(Option::is_some));
    let name =
        Signal::derive(move || workspace.with(|w| w.as_ref().map(|w| w.name.clone()).unwrap_or_default()));
    let note = Signal::derive(move || {
        workspace
            .with(|w| w.as_ref().map(|w| w.status_message.clone().unwrap_or_else(|| w.description.clone())))
    });
    let shown = workspace_shown(id);
    move || {
        if !is_there.get() {
            return view! { <Missing what="workspace" /> }.into_any();
        }
        view! {
            <Title text=move || name.get() />
            <div class="page" data-workspace-id=id.to_string()>
                <PageHeader
                    title=name
                    note
                    beside=move || view! { <StatusBadge shown size=BadgeSize::Md /> }
                >
                    <Picker id />
                </PageHeader>
                <SearchBox id asked />
                <Suspense>
                    {move || Suspend::new(async move {
                        let asked = asked.get_untracked().unwrap_or_default();
                        found.await.map(|found| {
                            let found = found.map(|Wire(hits)| hits);
                            view! { <Hits found asked workspace=id /> }
                        })
                    })}
                </Suspense>
                <JobPanel id />
                <Documents id />
            </div>
            <DropOverlay id />
        }
        .into_any()
    }
}
