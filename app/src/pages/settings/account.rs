//! Taking everything along, and leaving.

use super::super::problem::ProblemView;
use crate::{
    components::{
        Ago, Field, Icon, IconName, LinkButton, LoadingSpinner, RowsSkeleton, Size, TabTitle, words,
    },
    forms::{Afterwards, Deed, FormState, Hooks, SaveForm, Typed, error_of},
    paths, rules,
    server_fns::settings::{DeleteAccount, StartExport, read_export},
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::{Export, export::ExportStatus};
use leptos::{prelude::*, server_fn::ServerFn};

#[component]
pub fn AccountPage() -> impl IntoView {
    let start = FormState::of_page();
    let anew = Stores::expect().anew();
    let export = page_data(move || anew.get(), |_| read_export(), false);
    view! {
        <TabTitle text="Account" />
        <section class="section" aria-labelledby="export-title">
            <h2 class="section-title" id="export-title">"Take your data along"</h2>
            <p class="muted">
                "One JSON file with what is kept of you: profile, settings, workspaces, documents with their texts, jobs and history. The files themselves are on the pages of their documents. It is kept for 24 hours."
            </p>
            <Transition fallback=|| view! { <RowsSkeleton rows=1 /> }>
                {move || Suspend::new(async move {
                    match export.await {
                        Ok(Wire(read)) => {
                            let again = Callback::new(move |_| export.refetch());
                            view! { <ExportLine read again /> }
                        }
                        Err(error) => {
                            let retry = Callback::new(move |()| export.refetch());
                            view! { <ProblemView error what="export" retry /> }
                        }
                    }
                })}
            </Transition>
        </section>
        <Leave start />
    }
}

#[component]
fn ExportLine(read: Option<Export>, again: Callback<serde_json::Value>) -> impl IntoView {
    let live = Stores::expect().export();
    // What the stream told since is newer than what was read.
    let shown = Memo::new(move |_| {
        let told =
            live.get().filter(|told| read.as_ref().is_none_or(|read| told.created_at >= read.created_at));
        told.or_else(|| read.clone())
    });
    let words = move || {
        shown.get().map(|export| match export.status {
            ExportStatus::Pending | ExportStatus::Running => view! {
                <LoadingSpinner size=Size::Md />
                "Your export is being made. You may leave this page."
            },
            ExportStatus::Ready => view! {
                <Icon name=IconName::CheckCircle />
                <span>
                    {words::bytes(export.bytes)} ", made "
                    <Ago at=Signal::stored(export.completed_at.unwrap_or(export.created_at)) />
                </span>
                <LinkButton href="/api/auth/export/content" attr:rel="external" attr:download="">
                    "Download"
                </LinkButton>
            },
            ExportStatus::Failed => view! {
                <Icon name=IconName::CrossCircle />
                {export.error.clone().unwrap_or_else(|| "The export failed.".to_owned())}
            },
        })
    };
    let is_busy = Memo::new(move |_| shown.with(|e| e.as_ref().is_some_and(|e| !e.status.is_final())));
    let status = move || shown.with(|e| e.as_ref().map(|e| e.status.as_str()));
    view! {
        <div class="row" role="status" data-export=status>
            {words}
        </div>
        {move || {
            (!is_busy.get()).then(|| view! {
                <Deed action=StartExport::url() words="Make an export" once=true done=again />
            })
        }}
    }
}

#[component]
fn Leave(start: FormState) -> impl IntoView {
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| rules::leave(&|field| typed.text(field)))),
        saved: Some(Callback::new(|_| {
            let _ = window().location().assign(&paths::sign_in_since(paths::Why::Deleted, ""));
            None
        })),
        ..Hooks::default()
    };
    view! {
        <section class="section" aria-labelledby="delete-title">
            <h2 class="section-title" id="delete-title">"Delete your account"</h2>
            <p class="muted">
                "Everything goes: your workspaces with their documents, files and vectors, your keys and your sessions. What is being worked on is stopped. This cannot be undone."
            </p>
            // Not guarded: a password that was typed and not sent is nothing to lose.
            <SaveForm
                action=DeleteAccount::url()
                verb="Delete my account"
                said="Your account is being deleted."
                start
                hooks
                afterwards=Afterwards::Clear
                danger=true
            >
                <Field
                    label="Your password"
                    name="password"
                    kind="password"
                    error=error_of("password")
                    help="So that nobody else can do this."
                    autocomplete="current-password"
                />
            </SaveForm>
        </section>
    }
}
