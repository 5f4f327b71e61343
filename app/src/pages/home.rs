//! The workspaces of a person, as cards, and the making of a new one.

use super::problem::ProblemView;
use crate::{
    AppError,
    components::{
        Ago, Button, ButtonKind, CardSkeleton, Dialog, EmptyState, Field, IconName, LinkButton, PageHeader,
        StatusBadge, TextArea, words,
    },
    layout::{ShellData, part, take_shell, workspace_shown},
    live::{Live, Screen},
    server_fns::workspaces::{CreateWorkspace, create_workspace},
    stores::Stores,
    wire::Wire,
};
use domain::{
    WorkspaceId,
    message::count,
    resource::Counts,
    validate::{Description, FieldErrors, WorkspaceName},
};
use leptos::{ev::SubmitEvent, html, prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use litemap::LiteMap;

#[component]
pub fn HomePage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    let ShellData(shell) = expect_context();
    // Made here and not below the data: its place among what the server sends along has to be fixed.
    let refused = SharedValue::new(refused_form).into_inner();
    let query = use_query_map();
    let open = RwSignal::new(!refused.0.is_empty() || query.with_untracked(|q| q.get("new").is_some()));
    Effect::new(move |_| {
        if query.with(|q| q.get("new").is_some()) {
            open.set(true);
        }
    });
    view! {
        <Title text="Workspaces" />
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
                            view! { <ProblemView error what="list" retry /> }.into_any()
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
    let ids = RwSignal::from(Stores::expect().workspace_ids());
    let is_empty = Memo::new(move |_| ids.with(Vec::is_empty));
    view! {
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
            <For each=move || ids.get() key=|id| *id let(id)>
                <Card id />
            </For>
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
    let updated =
        Signal::derive(move || workspace.with(|w| w.as_ref().map(|w| w.updated_at).unwrap_or_default()));
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
        parts.push(format!("{} in work", counts.processing));
    }
    if counts.failed > 0 {
        parts.push(format!("{} failed", counts.failed));
    }
    if counts.bytes > 0 {
        parts.push(words::bytes(counts.bytes));
    }
    parts.join(" · ")
}

/// Values and messages of a form that was refused without a script.
type Refused = (FieldErrors, LiteMap<String, String>);

fn refused_form() -> Refused {
    #[cfg(feature = "ssr")]
    {
        let form = crate::ssr::flash::take("/");
        let mut errors = form.errors;
        if let Some(message) = form.message {
            errors.add("name", message);
        }
        (errors, form.values)
    }
    #[cfg(not(feature = "ssr"))]
    Refused::default()
}

/// The dialog; the server renders it open for `/?new`, so that it is there without a script too.
#[component]
fn NewWorkspace(open: RwSignal<bool>, refused: Refused) -> impl IntoView {
    let stores = Stores::expect();
    let (errors, values) = refused;
    let errors = RwSignal::new(errors);
    let busy = RwSignal::new(false);
    let form = NodeRef::<html::Form>::new();
    let error = move |field: &'static str| {
        Signal::derive(move || errors.with(|e| (!e.of(field).is_empty()).then(|| e.of(field).join(" "))))
    };
    let [name, description] = ["name", "description"].map(|field| values.get(field).cloned());
    let navigate = use_navigate();
    let query = use_query_map();
    // Closed in whatever way: the address no longer asks for it.
    Effect::new(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            errors.set(FieldErrors::default());
            if query.with_untracked(|q| q.get("new").is_some()) {
                navigate("/", NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() });
            }
        }
        is_open
    });
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        let Some(form) = form.get_untracked() else { return };
        let (name, description) = (text_of(&form, "name"), text_of(&form, "description"));
        let wrong = check(&name, &description);
        let is_wrong = !wrong.is_empty();
        errors.set(wrong);
        if is_wrong || busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let made = create_workspace(name, description, None).await;
            busy.try_set(false);
            match made {
                Ok(made) => {
                    if let Wire(Some(workspace)) = made {
                        stores.put_workspace(&workspace);
                    }
                    form.reset();
                    open.try_set(false);
                }
                Err(e) => {
                    errors.try_set(told(e));
                }
            }
        });
    };
    view! {
        <Dialog id="new-workspace" title="New workspace" open close_href="/">
            <form class="form" method="post" action=CreateWorkspace::url() node_ref=form novalidate on:submit=on_submit>
                <Field
                    label="Name"
                    name="name"
                    value=name
                    error=error("name")
                    help="3 to 100 letters, digits, spaces, - and _"
                    maxlength=100
                    autocomplete="off"
                    autofocus=true
                />
                <TextArea
                    label="Description"
                    name="description"
                    value=description
                    error=error("description")
                    maxlength=500
                    optional=true
                />
                <div class="form-actions">
                    <Button kind=ButtonKind::Primary submit=true busy>
                        "Create workspace"
                    </Button>
                </div>
            </form>
        </Dialog>
    }
}

/// The same rules as on the server, before it is asked.
fn check(name: &str, description: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("name", WorkspaceName::parse(name));
    errors.take("description", Description::parse(description));
    errors
}

/// Messages at their fields; one that belongs to none stands at the name.
fn told(error: AppError) -> FieldErrors {
    if error.0.errors.is_empty() { FieldErrors::one("name", error.0.detail) } else { error.0.errors }
}

/// What a field of the form holds.
fn text_of(form: &web_sys::HtmlFormElement, field: &str) -> String {
    let data = web_sys::FormData::new_with_form(form).ok();
    data.and_then(|d| d.get(field).as_string()).unwrap_or_default()
}
