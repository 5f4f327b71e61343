//! What a person does with a document beside its content: its name, its tags, whether it is found, and its file.

use super::{document::of, workspace_dialog::opened_by_address};
use crate::{
    AppError,
    components::{Button, ButtonKind, Dialog, Field, Icon, IconName, LinkButton, Reason},
    effect::effect,
    forms::Deed,
    live::Live,
    paths,
    server_fns::documents::{EditDocument, edit_document},
    view,
};
use domain::{Document, DocumentId};
use leptos::{ev::SubmitEvent, html, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde_json::Value;

/// The parameter of an address that has the dialog open.
const PARAMETER: &str = "edit";

#[component]
pub fn About(id: DocumentId, document: RwSignal<Option<Document>>) -> impl IntoView {
    let tags = Memo::new(move |_| of(document, |d| d.tags.clone()));
    let is_enabled = Memo::new(move |_| document.with(|d| d.as_ref().is_some_and(|d| d.enabled)));
    let is_disabled = Memo::new(move |_| document.with(|d| d.as_ref().is_some_and(|d| !d.enabled)));
    let paused = Live::expect().paused_reason();
    let done = Callback::new(|_: Value| {});
    let fields = move |enabled: bool| vec![("id", id.to_string()), ("enabled", enabled.to_string())];
    let workspace = move || document.with(|d| d.as_ref().map(|d| d.workspace_id));
    view! {
        <div class="row" data-about="">
            <ul class="tags" aria-label="Tags" hidden=move || tags.with(Vec::is_empty)>
                {move || {
                    let place = workspace();
                    tags.get()
                        .into_iter()
                        .map(|tag| {
                            let href = place.map(|place| format!("{}?tag={}", paths::workspace(place), paths::encode(&tag)));
                            view! { <li><a class="tag" href=href>{tag}</a></li> }
                        })
                        .collect_view()
                }}
            </ul>
            <a class="button" href=format!("/api/documents/{id}/content") rel="external" download="">
                <Icon name=IconName::Download />
                "Download"
            </a>
            <LinkButton href=format!("{}?{PARAMETER}", paths::document(id)) icon=IconName::Edit locked=paused>
                "Name and tags"
            </LinkButton>
            {move || is_enabled.get().then(|| view! {
                <Deed action=EditDocument::url() words="Disable" fields=fields(false) steers=true done />
            })}
            {move || is_disabled.get().then(|| view! {
                <Deed action=EditDocument::url() words="Enable" fields=fields(true) steers=true done />
            })}
            <p class="meta" hidden=move || !is_disabled.get()>"No search finds it until you enable it."</p>
            // For all that can be pressed on the page: the title of a button that is disabled is out of reach of many.
            <Reason text=paused />
        </div>
        <EditDialog id document />
    }
}

#[component]
fn EditDialog(id: DocumentId, document: RwSignal<Option<Document>>) -> impl IntoView {
    let close_href = paths::document(id);
    let without = close_href.clone();
    let open = opened_by_address(PARAMETER, false, move || without.clone());
    let (name, tags) = (NodeRef::<html::Input>::new(), NodeRef::<html::Input>::new());
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<AppError>);
    let error = move |fields: &'static [&'static str]| {
        let told = failed.get()?.0;
        let messages: Vec<String> = fields.iter().flat_map(|field| told.errors.of(field).to_vec()).collect();
        // What no field has stands below the last one.
        let homeless = told.errors.is_empty() && fields.contains(&"tags");
        if homeless { Some(told.detail) } else { (!messages.is_empty()).then(|| messages.join(" ")) }
    };
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        let (Some(name), Some(tags)) = (name.get_untracked(), tags.get_untracked()) else { return };
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        failed.set(None);
        spawn_local(async move {
            let answer = edit_document(id, Some(name.value()), Some(tags.value()), None).await;
            busy.try_set(false);
            match answer {
                Ok(()) => {
                    open.try_set(false);
                }
                Err(error) => {
                    failed.try_set(Some(error));
                }
            }
        });
    };
    let name_now = move || of(document, |d| d.filename.clone());
    let tags_now = move || of(document, |d| d.tags.join(", "));
    // It opens with what the document has now, whatever was typed and given up before.
    effect(move || {
        if !open.get() {
            return;
        }
        for (field, now) in [(name, untrack(name_now)), (tags, untrack(tags_now))] {
            if let Some(field) = field.get() {
                field.set_value(&now);
            }
        }
        failed.set(None);
    });
    view! {
        <Dialog id="edit-document" title="Name and tags" open close_href>
            <form class="form" method="post" action=EditDocument::url() on:submit=on_submit>
                <input type="hidden" name="id" value=id.to_string() />
                <Field
                    label="Name"
                    name="filename"
                    value=Signal::derive(move || Some(name_now()))
                    error=Signal::derive(move || error(&["filename"]))
                    maxlength=200
                    autocomplete="off"
                    node=name
                />
                <Field
                    label="Tags"
                    name="tags"
                    value=Signal::derive(move || Some(tags_now()))
                    error=Signal::derive(move || error(&["tags", "add_tags"]))
                    help="With commas between them."
                    placeholder="contract, 2026"
                    autocomplete="off"
                    optional=true
                    node=tags
                />
                <div class="form-actions">
                    <Button kind=ButtonKind::Quiet on:click=move |_| open.set(false)>
                        "Cancel"
                    </Button>
                    <Button kind=ButtonKind::Primary submit=true busy>
                        "Save"
                    </Button>
                </div>
            </form>
        </Dialog>
    }
}
