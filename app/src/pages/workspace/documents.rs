//! The table of documents: files on their way first, then the documents, newest first. A row changes alone, and never
//! its height.

use super::{
    Locked,
    bulk::{BulkBar, BulkProgress},
    drop::Picker,
    rows::Rows,
    selection::{Chosen, Selection},
};
use crate::{
    components::{Button, Each, ErrorPanel, Icon, IconName},
    effect::effect_after,
    live::Live,
    paths,
    server_fns::workspaces::list_documents,
    stores::Stores,
    upload::Uploads,
    view,
    wire::Wire,
};
use domain::{DocumentId, WorkspaceId, files, provision::WorkspaceAction, upload::size_limit};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;

#[component]
pub fn Documents(id: WorkspaceId, locked: Locked) -> impl IntoView {
    let stores = Stores::expect();
    let query = use_query_map();
    let tag = Memo::new(move |_| query.with(|q| q.get("tag").filter(|tag| !tag.is_empty())));
    let ids = with_tag(RwSignal::from(stores.document_ids(id)), tag);
    let failed = Uploads::expect().failed();
    let uploads = Uploads::expect().rows(id);
    let is_empty = Memo::new(move |_| {
        ids.with(Vec::is_empty) && uploads.with(Vec::is_empty) && tag.with(Option::is_none)
    });
    let near_end = Trigger::new();
    let selection = Selection::provide();
    let begun = RwSignal::new(None);
    let workspace = RwSignal::from(stores.workspace(id));
    let paused = Live::expect().paused_reason();
    let unchangeable = super::locked(workspace, WorkspaceAction::Edit);
    // All of them, though of a long list only some are in the page, with the head and the files on their way.
    let row_count = Memo::new(move |_| {
        let listed = ids.with(Vec::len);
        let there = workspace.with(|w| w.as_ref().map_or(0, |w| w.counts.documents as usize));
        let all = if tag.with(Option::is_some) { listed } else { there.max(listed) };
        1 + uploads.with(Vec::len) + all
    });
    let listed = Memo::new(move |_| tag.with(Option::is_some).then(|| ids.get()));
    let unsteered = Memo::new(move |_| unchangeable.get().or(paused.get()));
    view! {
        <section class="section" aria-label="Documents">
            <BulkProgress workspace begun />
            {move || failed.get().then(|| view! { <NotBegun /> })}
            {move || tag.get().map(|tag| view! { <Tagged id tag ids /> })}
            {move || {
                if is_empty.get() {
                    view! { <Invitation id locked /> }
                } else {
                    view! {
                        <div
                            class="doc-table"
                            role="table"
                            aria-label="Documents"
                            aria-rowcount=move || row_count.get().to_string()
                            data-selecting=move || (!selection.is_empty()).then_some("")
                        >
                            <Head selection listed />
                            <Each
                                each=move || uploads.get()
                                key=|key: &u64| u128::from(*key)
                                show=|key| Uploads::expect().show(key).into_any()
                            />
                            <Rows id ids near_end=Callback::new(move |()| near_end.notify()) />
                        </div>
                        <More id near_end whole=Signal::derive(move || tag.with(Option::is_some)) />
                    }
                }
            }}
            <BulkBar id selection begun locked=unsteered all=Signal::derive(move || tag.with(Option::is_none)) />
        </section>
    }
}

/// Those that have the tag, where one is asked for.
fn with_tag(all: RwSignal<Vec<DocumentId>>, tag: Memo<Option<String>>) -> Signal<Vec<DocumentId>> {
    let stores = Stores::expect();
    Memo::new(move |_| {
        let Some(tag) = tag.get() else { return all.get() };
        let has = |id: &DocumentId| {
            stores.document(*id).with(|d| d.as_ref().is_some_and(|d| d.tags.contains(&tag)))
        };
        all.get().into_iter().filter(has).collect()
    })
    .into()
}

#[component]
fn Tagged(id: WorkspaceId, tag: String, ids: Signal<Vec<DocumentId>>) -> impl IntoView {
    let next = RwSignal::from(Stores::expect().next(id));
    let has_none = Memo::new(move |_| ids.with(Vec::is_empty) && next.with(Option::is_none));
    view! {
        <p class="row" data-tag-filter="">
            <span>"With the tag" " " <span class="tag">{tag}</span></span>
            <a class="link" href=paths::workspace(id)>"Show all"</a>
        </p>
        {move || has_none.get().then(|| view! { <p class="muted">"No document has this tag."</p> })}
    }
}

/// What uploads files could not be fetched.
#[component]
fn NotBegun() -> impl IntoView {
    view! {
        <ErrorPanel
            title="The upload could not begin"
            detail="Check the connection and choose the files again. If that does not help, load the page anew."
        >
            <a class="button" href="" rel="external">
                "Load the page"
            </a>
        </ErrorPanel>
    }
}

/// What the box above the list selects: all, or those that are `listed`, where these are not all.
fn all_of(listed: Option<Vec<DocumentId>>) -> Chosen {
    match listed {
        Some(ids) if ids.is_empty() => Chosen::Nothing,
        Some(ids) => Chosen::These(ids),
        None => Chosen::All(None),
    }
}

/// Whether that is what is selected. Both change: others may be listed than were when somebody selected them.
fn is_all(selection: Selection, listed: Memo<Option<Vec<DocumentId>>>) -> Memo<bool> {
    Memo::new(move |_| {
        let chosen = selection.get();
        chosen != Chosen::Nothing && chosen == all_of(listed.get())
    })
}

/// `listed`: the documents that are shown, where those are not all.
#[component]
fn Head(selection: Selection, listed: Memo<Option<Vec<DocumentId>>>) -> impl IntoView {
    let is_all = is_all(selection, listed);
    view! {
        <div class="doc-row doc-head" role="row">
            <span class="doc-icon" role="columnheader">
                <span class="sr-only">"Type"</span>
                <input
                    class="doc-check"
                    type="checkbox"
                    autocomplete="off"
                    data-scripted=""
                    aria-label="Select all documents"
                    prop:checked=move || is_all.get()
                    on:change=move |ev| {
                        let is_on = event_target_checked(&ev);
                        selection.set(if is_on { all_of(listed.get_untracked()) } else { Chosen::Nothing });
                    }
                />
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

/// The rest of a long list, part by part: as its end comes near the screen, or by hand; `whole`: at once, since what is
/// looked for may stand anywhere in it.
#[component]
fn More(id: WorkspaceId, near_end: Trigger, whole: Signal<bool>) -> impl IntoView {
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
    effect_after(move |_: Option<()>| {
        if whole.get() && has_more.get() && !busy.get() && failed.with_untracked(Option::is_none) {
            load();
        }
    });
    effect_after(move |before: Option<()>| {
        near_end.track();
        // After a failure the button is there to try again.
        if before.is_some() && failed.with_untracked(Option::is_none) {
            load();
        }
    });
    move || {
        has_more.get().then(|| {
            view! {
                <div class="row justify-center">
                    <Button busy on:click=move |_| load()>
                        "Load more"
                    </Button>
                    <span class="text-status-failed" role="status">{move || failed.get()}</span>
                </div>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::id;

    #[test]
    fn the_box_above_the_list_is_ticked_while_all_that_are_listed_are_selected() {
        Owner::new().with(|| {
            let selection = Selection::provide();
            let ids = |ns: &[u64]| ns.iter().map(|n| id(*n)).collect::<Vec<DocumentId>>();
            let shown = RwSignal::new(Some(ids(&[2, 1])));
            let listed = Memo::new(move |_| shown.get());
            let ticked = is_all(selection, listed);
            assert!(!ticked.get_untracked());
            selection.set(all_of(listed.get_untracked()));
            assert!(ticked.get_untracked());
            shown.set(Some(ids(&[3, 2, 1])));
            assert!(!ticked.get_untracked(), "another one has the tag by now");
            shown.set(Some(ids(&[2, 1])));
            assert!(ticked.get_untracked());
            shown.set(None);
            assert!(!ticked.get_untracked(), "all are shown again, and some are selected");
            selection.set(all_of(listed.get_untracked()));
            assert!(ticked.get_untracked());
            shown.set(Some(vec![]));
            selection.set(Chosen::Nothing);
            assert!(!ticked.get_untracked(), "nothing is not all");
        });
    }
}
