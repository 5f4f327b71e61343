//! The way in for files: picking them, or dropping them anywhere on the page.

use super::{Locked, upload_row::UploadRow};
use crate::{
    components::{Icon, IconName},
    effect::effect,
    paths,
    upload::{Chosen, Uploads, has_unfinished},
    view,
};
use domain::{WorkspaceId, files::ACCEPT};
use leptos::{attr::custom::custom_attribute, ev, prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use wasm_split_helpers::{SplitLoaderError, wasm_split};
use web_sys::{DataTransfer, DragEvent, File, FileList, FileSystemEntry, HtmlInputElement};

/// The buttons that open the picker of files and that of folders. Labels around inputs, so that keyboard and screen
/// reader meet real file inputs. Folders are for scripts alone; without one, files go by a form with the browser's own.
/// While nothing can be added it says why.
#[component]
pub fn Picker(id: WorkspaceId, locked: Locked) -> impl IntoView {
    let uploads = Uploads::expect();
    // What was on its way when the page was loaded anew.
    effect(move || {
        if has_unfinished(id) {
            add(uploads, id, None);
        }
    });
    let on_change = move |ev: ev::Event| {
        let Some(input) = ev.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else { return };
        let files = input.files().map(|list| files_of(&list)).unwrap_or_default();
        if !files.is_empty() {
            add(uploads, id, Some(Chosen { files, folders: vec![] }));
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    view! {
        <form class="picker" method="post" enctype="multipart/form-data" action=paths::add_files(id)>
            <label class="button primary" aria-disabled=move || locked.get().map(|_| "true") title=move || locked.get()>
                <Icon name=IconName::Upload />
                "Add files"
                <input
                    class="sr-only"
                    type="file"
                    name="file"
                    multiple
                    required
                    accept=ACCEPT
                    disabled=move || locked.get().is_some()
                    on:change=on_change
                />
            </label>
            <label
                class="button"
                data-scripted=""
                aria-disabled=move || locked.get().map(|_| "true")
                title=move || locked.get().unwrap_or("Add the files of a folder, and of the folders in it")
            >
                "Add folder"
                <input
                    class="sr-only"
                    disabled=move || locked.get().is_some()
                    on:change=on_change
                    type="file"
                    multiple
                    {..custom_attribute("webkitdirectory", "")}
                />
            </label>
            <noscript>
                <button type="submit" class="button">
                    "Upload"
                </button>
            </noscript>
            {move || locked.get().map(|reason| view! { <span class="meta picker-reason" data-paused="">{reason}</span> })}
        </form>
    }
}

/// Takes files that are dropped anywhere, and says so while they hover.
#[component]
pub fn DropOverlay(id: WorkspaceId, locked: Locked) -> impl IntoView {
    let uploads = Uploads::expect();
    let over = RwSignal::new(false);
    let on_over = move |ev: DragEvent| {
        if carries_files(&ev) {
            // Without this the browser would open the file in place of the page.
            ev.prevent_default();
            over.set(true);
        }
    };
    let on_leave = move |ev: DragEvent| {
        // Leaving the window, not an element of the page.
        if ev.related_target().is_none() {
            over.set(false);
        }
    };
    let on_drop = move |ev: DragEvent| {
        if !carries_files(&ev) {
            return;
        }
        ev.prevent_default();
        over.set(false);
        if locked.get_untracked().is_some() {
            return;
        }
        if let Some(chosen) = ev.data_transfer().map(|data| chosen(&data)) {
            add(uploads, id, Some(chosen));
        }
    };
    effect(move || {
        let listeners = [
            window_event_listener(ev::dragenter, on_over),
            window_event_listener(ev::dragover, on_over),
            window_event_listener(ev::dragleave, on_leave),
            window_event_listener(ev::drop, on_drop),
        ];
        on_cleanup(move || listeners.into_iter().for_each(WindowListenerHandle::remove));
    });
    view! {
        <div class="drop-overlay" data-over=move || over.get().then_some("") aria-hidden="true">
            <Icon name=IconName::Upload size=32 />
            {move || locked.get().unwrap_or("Drop files or folders to add them")}
        </div>
    }
}

/// Begins with what was chosen, or brings back what was on its way, once the part of the WASM that does it is here.
fn add(uploads: Uploads, id: WorkspaceId, chosen: Option<Chosen>) {
    spawn_local(async move {
        let begun = begin(uploads, id, chosen).await;
        uploads.failed().set(begun.is_err());
    });
}

#[wasm_split(upload, fallible)]
fn begin(uploads: Uploads, id: WorkspaceId, chosen: Option<Chosen>) -> Result<(), SplitLoaderError> {
    let row = |key| view! { <UploadRow key_of=key /> };
    match chosen {
        Some(chosen) => uploads.add(id, chosen, row),
        None => uploads.restore(id, row),
    }
    Ok(())
}

fn carries_files(ev: &DragEvent) -> bool {
    ev.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0))
}

fn files_of(list: &FileList) -> Vec<File> {
    (0..list.length()).filter_map(|i| list.get(i)).collect()
}

/// Parts what was dropped into files and folders. It has to be asked at once: after the event the browser forgets it.
fn chosen(data: &DataTransfer) -> Chosen {
    let (mut files, mut folders) = (vec![], vec![]);
    let items = data.items();
    for item in (0..items.length()).filter_map(|i| items.get(i)) {
        match item.webkit_get_as_entry().ok().flatten().filter(FileSystemEntry::is_directory) {
            Some(folder) => folders.push(folder),
            None => files.extend(item.get_as_file().ok().flatten()),
        }
    }
    Chosen { files, folders }
}
