//! The table of documents: files on their way first, then the documents, newest first. A row changes alone, and never
//! its height.

use super::{Locked, drop::Picker, rows::Rows, upload_row::UploadRow};
use crate::{
    components::{Button, Icon, IconName},
    server_fns::workspaces::list_documents,
    stores::Stores,
    upload::Uploads,
    wire::Wire,
};
use domain::{WorkspaceId, files, upload::size_limit};
use leptos::{prelude::*, task::spawn_local};

#[component]
pub fn Documents(id: WorkspaceId, locked: Locked) -> impl IntoView {
    let stores = Stores::expect();
    let ids = RwSignal::from(stores.document_ids(id));
    let uploads = Uploads::expect().rows(id);
    let is_empty = Memo::new(move |_| ids.with(Vec::is_empty) && uploads.with(Vec::is_empty));
    let near_end = Trigger::new();
    view! {
        <section class="section" aria-label="Documents">
            {move || {
                if is_empty.get() {
                    view! { <Invitation id locked /> }.into_any()
                } else {
                    view! {
                        <div class="doc-table" role="table" aria-label="Documents">
                            <Head />
                            <For each=move || uploads.get() key=|key| *key let(key)>
                                <UploadRow key_of=key />
                            </For>
                            <Rows id ids near_end=Callback::new(move |()| near_end.notify()) />
                        </div>
                        <More id near_end />
                    }
                        .into_any()
                }
            }}
        </section>
    }
}

#[component]
fn Head() -> impl IntoView {
    view! {
        <div class="doc-row doc-head" role="row">
            <span class="doc-icon" role="columnheader">
                <span class="sr-only">"Type"</span>
            </span>
            <span class="doc-name" role="columnheader">"Name"</span>
            <span class="doc-state" role="columnheader">"Status"</span>
            <span class="doc-message" role="columnheader">"What happens"</span>
            <span class="doc-size" role="columnheader">"Size"</span>
            <span class="doc-when" role="columnheader">"Added"</span>
            <span class="doc-actions" role="columnheader">
                <span class="sr-only">"Actions"</span>
            </span>
        </div>
    }
}

#[component]
fn Invitation(id: WorkspaceId, locked: Locked) -> impl IntoView {
    let limit = size_limit(Stores::expect().max_file_bytes());
    let what =
        format!("{}, up to {limit} each. You can watch each of them become searchable.", files::taken_list());
    let title = move || if locked.get().is_some() { "No documents yet" } else { "Drop files here" };
    view! {
        <div class="drop-zone">
            <Icon name=IconName::Upload size=32 />
            <h2 class="empty-title">{title}</h2>
            <p class="empty-text">{what}</p>
            <div class="empty-actions">
                <Picker id locked />
            </div>
        </div>
    }
}

/// The rest of a long list, part by part: as its end comes near the screen, or by hand.
#[component]
fn More(id: WorkspaceId, near_end: Trigger) -> impl IntoView {
    let stores = Stores::expect();
    let next = RwSignal::from(stores.next(id));
    let has_more = Memo::new(move |_| next.with(Option::is_some));
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<String>);
    let load = move || {
        let Some(after) = next.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        failed.set(None);
        spawn_local(async move {
            match list_documents(id, after).await {
                Ok(Wire(page)) => stores.put_workspace_page(&page),
                Err(e) => {
                    failed.try_set(Some(e.0.detail));
                }
            }
            busy.try_set(false);
        });
    };
    Effect::new(move |before: Option<()>| {
        near_end.track();
        // After a failure the button is there to try again.
        if before.is_some() && failed.with_untracked(Option::is_none) {
            load();
        }
    });
    view! {
        {move || {
            has_more
                .get()
                .then(|| {
                    view! {
                        <div class="row justify-center">
                            <Button busy on:click=move |_| load()>
                                "Load more"
                            </Button>
                            <span class="text-status-failed" role="status">{move || failed.get()}</span>
                        </div>
                    }
                })
        }}
    }
}
