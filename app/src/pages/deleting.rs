//! Deleting a document, or a workspace with everything in it: what it costs is said first, and afterwards it can be
//! undone for some seconds.

use super::workspace_dialog::opened_by_address;
use crate::{
    components::{Button, ButtonKind, Dialog, Field, Icon, IconName, words},
    forms::{Deed, FormState, Hooks, SaveForm, Typed, error_of},
    paths,
    server_fns::{
        documents::DeleteDocument as DeleteDocumentForm,
        workspaces::{DeleteWorkspace as DeleteWorkspaceForm, RestoreWorkspace},
    },
    stores::Stores,
    undo::{Deleted, Undo},
    view,
};
use domain::{
    Document, DocumentId, JobKind, JobStatus, Workspace, WorkspaceId, ingest::deletion::UNDO_SECONDS,
    message::count, provision,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use serde_json::Value;

/// The parameter of an address that has such a dialog open.
const PARAMETER: &str = "delete";

/// "12 documents, 3.4 MB"
pub fn cost(documents: u64, bytes: u64) -> String {
    format!("{}, {}", count(documents, "document", "documents"), words::bytes(bytes))
}

/// The address that opens the dialog of a document.
pub fn document_href(id: DocumentId) -> String {
    format!("{}?{PARAMETER}", paths::document(id))
}

/// The address that opens the dialog of a workspace.
pub fn workspace_href(id: WorkspaceId) -> String {
    format!("{}?{PARAMETER}", paths::workspace(id))
}

/// Said in every such dialog.
#[component]
pub fn CanBeUndone() -> impl IntoView {
    view! { <p class="muted">{format!("For {UNDO_SECONDS} seconds you can undo this. Then it is gone for good.")}</p> }
}

/// The dialog of a document's page. It stands beside what shows the document, since that goes with it.
#[component]
pub fn DeleteDocument(
    id: DocumentId,
    workspace: WorkspaceId,
    document: RwSignal<Option<Document>>,
) -> impl IntoView {
    let close_href = paths::document(id);
    let without = close_href.clone();
    let open = opened_by_address(PARAMETER, false, move || without.clone());
    let undo = Undo::expect();
    let navigate = use_navigate();
    // Once it is deleted, nobody knows its name any more.
    let name = Memo::new(move |before: Option<&String>| {
        let now = document.with(|d| d.as_ref().map(|d| d.filename.clone()));
        now.or_else(|| before.cloned()).unwrap_or_default()
    });
    let what = move || {
        document.with(|d| {
            d.as_ref().map(|d| {
                let chunks = count(d.chunk_count, "chunk", "chunks");
                format!("It goes with its file ({}) and its {chunks}.", words::bytes(d.size_bytes))
            })
        })
    };
    let done = Callback::new(move |_: Value| {
        undo.offer(Deleted::Document(id), format!("{} was deleted.", name.get_untracked()));
        // The dialog goes with the page, in whose place the other one comes: there is nothing left to go back to.
        let options = NavigateOptions { replace: true, ..NavigateOptions::default() };
        navigate(&paths::workspace(workspace), options);
    });
    view! {
        <Dialog id="delete-document" title="Delete this document?" open close_href>
            <p>
                <strong>{move || name.get()}</strong>
            </p>
            <p>{what}</p>
            <CanBeUndone />
            <div class="form-actions">
                <Button kind=ButtonKind::Quiet on:click=move |_| open.set(false) attr:data-scripted="">
                    "Cancel"
                </Button>
                <Deed
                    action=DeleteDocumentForm::url()
                    words="Delete"
                    fields=vec![("id", id.to_string())]
                    kind=ButtonKind::Danger
                    steers=true
                    done
                />
            </div>
        </Dialog>
    }
}

/// The dialog of a workspace's page: its name is typed first. `refused`: what a form without a script left.
#[component]
pub fn DeleteWorkspace(
    id: WorkspaceId,
    workspace: RwSignal<Option<Workspace>>,
    refused: FormState,
) -> impl IntoView {
    let close_href = paths::workspace(id);
    let without = close_href.clone();
    let open = opened_by_address(PARAMETER, refused.is_refused(), move || without.clone());
    let undo = Undo::expect();
    let name = move || workspace.with(|w| w.as_ref().map(|w| w.name.clone()).unwrap_or_default());
    let what = move || {
        workspace.with(|w| w.as_ref().map(|w| cost(w.counts.documents, w.counts.bytes)).unwrap_or_default())
    };
    let check = move |typed: Typed| {
        let name = workspace.with_untracked(|w| w.as_ref().map(|w| w.name.clone()).unwrap_or_default());
        provision::confirm_name(&name, &typed.text("confirm")).err().unwrap_or_default()
    };
    let saved = move |_: Value| {
        let name = workspace.with_untracked(|w| w.as_ref().map(|w| w.name.clone()).unwrap_or_default());
        open.set(false);
        undo.offer(Deleted::Workspace(id), format!("{name} is being deleted."));
        None
    };
    let hooks =
        Hooks { check: Some(Callback::new(check)), saved: Some(Callback::new(saved)), ..Hooks::default() };
    view! {
        <Dialog id="delete-workspace" title="Delete this workspace?" open close_href>
            <p>
                <strong>{name}</strong>
                " goes with everything in it: "
                {what}
                ". Work that is under way there stops."
            </p>
            <CanBeUndone />
            <SaveForm
                action=DeleteWorkspaceForm::url()
                verb="Delete workspace"
                said="It is being deleted."
                name="delete-workspace"
                start=refused
                hooks
                danger=true
            >
                <input type="hidden" name="id" value=id.to_string() />
                <Field
                    label="To confirm"
                    name="confirm"
                    error=error_of("confirm")
                    help="Type its name here, so that no other one is deleted."
                    autocomplete="off"
                />
            </SaveForm>
        </Dialog>
    }
}

/// On the page of a workspace that is being deleted: how far that is, and the way back while there is one.
#[component]
pub fn BeingDeleted(id: WorkspaceId, workspace: RwSignal<Option<Workspace>>) -> impl IntoView {
    let stores = Stores::expect();
    let active = RwSignal::from(stores.active());
    let is_deleting = Memo::new(move |_| workspace.with(|w| w.as_ref().is_some_and(Workspace::is_deleting)));
    // Its job waits as long as it can be undone.
    let can_be_undone = Memo::new(move |_| {
        let waits = |job| {
            stores.job(job).with(|job| {
                job.as_ref().is_some_and(|job| {
                    job.kind == JobKind::Delete && job.kb_id == id && job.status == JobStatus::Pending
                })
            })
        };
        active.with(|ids| ids.iter().any(|job| waits(*job)))
    });
    let message =
        move || workspace.with(|w| w.as_ref().and_then(|w| w.status_message.clone())).unwrap_or_default();
    let done = Callback::new(|_: Value| {});
    move || {
        is_deleting.get().then(|| {
            view! {
                <div class="panel row" data-deleting="">
                    <Icon name=IconName::Trash />
                    // How far it is, its job says aloud at each quarter.
                    <p class="grow">
                        <strong>"This workspace is being deleted"</strong>
                        ": "
                        {message}
                        "."
                    </p>
                    {move || {
                        can_be_undone.get().then(|| view! {
                            <Deed
                                action=RestoreWorkspace::url()
                                words="Undo"
                                fields=vec![("id", id.to_string())]
                                name=Some("Undo the deletion".to_owned())
                                steers=true
                                done
                            />
                        })
                    }}
                </div>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deletion_costs_is_said_in_numbers() {
        assert_eq!(cost(12, 3_400_000), "12 documents, 3.4 MB");
        assert_eq!(cost(1, 0), "1 document, 0 B");
    }
}
