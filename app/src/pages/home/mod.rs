//! The workspaces of a person, as cards, and the making of a new one.

mod filter;

use super::{
    problem::{Around, ProblemView},
    workspace_dialog::{Asked, Sending, Typed, WorkspaceDialog, opened_by_address},
};
use crate::{
    components::{
        Ago, ButtonKind, CardSkeleton, Each, EmptyState, IconName, LinkButton, PageHeader, StatusBadge,
        TabTitle, words,
    },
    forms::FormState,
    layout::{ShellData, part, take_shell, workspace_shown},
    live::{Live, Screen},
    server_fns::workspaces::{CreateWorkspace, create_workspace},
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{
    Workspace, WorkspaceId,
    message::{count, number},
    resource::Counts,
};
use filter::{Filter, FilterBar};
use leptos::{prelude::*, server_fn::ServerFn};

#[component]
pub fn HomePage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Around { has_heading: true, needs_title: false });
    let ShellData(shell) = expect_context();
    let refused = FormState::of_page();
    let open = opened_by_address("new", refused.is_refused(), || "/".to_owned());
    view! {
        <TabTitle text="Workspaces" />
        <div class="page">
            <PageHeader title="Workspaces">
                <LinkButton href="/?new" kind=ButtonKind::Primary icon=IconName::Plus>
                    "New workspace"
                </LinkButton>
            </PageHeader>
            <Suspense fallback=|| view! { <CardSkeleton /> }>
                {move || Suspend::new(async move {
                    match shell.await {
                        Ok(Wire(shell)) => {
                            part(&|stores, live| take_shell(stores, live, &shell), Cards).into_any()
                        }
                        Err(error) => {
                            let retry = Callback::new(move |()| shell.refetch());
                            view! { <ProblemView error what="list" retry /> }
                        }
                    }
                })}
            </Suspense>
        </div>
        <NewWorkspace open refused />
    }
}

#[component]
fn Cards() -> impl IntoView {
    let stores = Stores::expect();
    let ids = RwSignal::from(stores.workspace_ids());
    let is_empty = Memo::new(move |_| ids.with(Vec::is_empty));
    let filter = Filter::of_address();
    let all = Memo::new(move |_| filter::all(stores, ids));
    let shown = Memo::new(move |_| filter.with(|f| f.of(all.get())));
    let is_nothing = Memo::new(move |_| shown.with(Vec::is_empty) && !is_empty.get());
    view! {
        <Show when=move || !is_empty.get()>
            <FilterBar filter workspaces=all />
        </Show>
        {move || {
            is_nothing
                .get()
                .then(|| {
                    view! {
                        <EmptyState
                            icon=IconName::Search
                            title="No workspace matches"
                            text="None of your workspaces has this status and these words."
                        >
                            <LinkButton href="/">"Show all"</LinkButton>
                        </EmptyState>
                    }
                })
        }}
        {move || {
            is_empty
                .get()
                .then(|| {
                    view! {
                        <EmptyState
                            icon=IconName::Workspace
                            title="No workspace yet"
                            text="A workspace holds documents that belong together. Make one, and drop your files in."
                        >
                            <LinkButton href="/?new" kind=ButtonKind::Primary>
                                "New workspace"
                            </LinkButton>
                        </EmptyState>
                    }
                })
        }}
        <div class="card-grid">
            <Each
                each=move || shown.get()
                key=|id: &WorkspaceId| id.uuid().as_u128()
                show=|id| view! { <Card id /> }
            />
        </div>
    }
}

#[component]
fn Card(id: WorkspaceId) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let shown = workspace_shown(id);
    let name = move || workspace.with(|w| w.as_ref().map(|w| w.name.clone()));
    let note = move || {
        workspace
            .with(|w| w.as_ref().map(|w| w.status_message.clone().unwrap_or_else(|| w.description.clone())))
    };
    let counts = move || workspace.with(|w| w.as_ref().map(|w| sentence(&w.counts)));
    let updated = Signal::derive(move || {
        workspace.with(|w| w.as_ref().map(Workspace::last_activity).unwrap_or_default())
    });
    view! {
        <article class="card card-link" data-workspace-id=id.to_string() data-status=move || shown.with(|s| s.key())>
            <div class="stack gap-1">
                <h2>
                    <a href=format!("/w/{id}")>{name}</a>
                </h2>
                <p class="muted line-clamp-2">{note}</p>
            </div>
            <div class="stack gap-1">
                <StatusBadge shown />
                <p class="meta num">{counts} " · " <Ago at=updated /></p>
            </div>
        </article>
    }
}

/// "12 documents · 3 in work · 1 failed · 4.2 MB"
fn sentence(counts: &Counts) -> String {
    let mut parts = vec![count(counts.documents, "document", "documents")];
    if counts.processing > 0 {
        parts.push(format!("{} in work", number(counts.processing)));
    }
    if counts.failed > 0 {
        parts.push(format!("{} failed", number(counts.failed)));
    }
    if counts.bytes > 0 {
        parts.push(words::bytes(counts.bytes));
    }
    parts.join(" · ")
}

/// The dialog; the server renders it open for `/?new`, so that it is there without a script too.
#[component]
fn NewWorkspace(open: RwSignal<bool>, refused: FormState) -> impl IntoView {
    let (name, description) = (refused.value("name"), refused.value("description"));
    let stores = Stores::expect();
    let send = move |typed: Typed| async move {
        if let Wire(Some(workspace)) = create_workspace(typed.name, typed.description, typed.key).await? {
            stores.put_workspace(&workspace);
        }
        Ok(())
    };
    view! {
        <WorkspaceDialog asked=Asked {
            title: "New workspace",
            verb: "Create workspace",
            action: CreateWorkspace::url(),
            open,
            close_href: "/".to_owned(),
            of: None,
            refused,
            name: name.into(),
            description: description.into(),
            send: Callback::new(move |typed| Box::pin(send(typed)) as Sending),
        } />
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_workspace_holds_is_told_with_separators_and_without_what_is_not_there() {
        let counts = Counts { documents: 12_000, processing: 1_500, failed: 1_000, ..Counts::default() };
        assert_eq!(sentence(&counts), "12,000 documents · 1,500 in work · 1,000 failed");
        assert_eq!(sentence(&Counts::default()), "0 documents");
    }
}
