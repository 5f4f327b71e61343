//! The content of a document: its text, as far as a page can show it, and the versions that it had.

use crate::{
    AppError,
    components::{Ago, Button, ButtonKind, ErrorPanel, words},
    effect::effect_after,
    server_fns::documents::{PreviewText, VersionLine, list_versions, preview_document},
    view,
    wire::Wire,
};
use domain::{Document, DocumentId, message::number, resource::VersionState};
use leptos::{html, prelude::*, task::spawn_local, web_sys};

#[component]
pub fn Content(id: DocumentId, document: RwSignal<Option<Document>>) -> impl IntoView {
    let shown = RwSignal::new(None::<Result<PreviewText, AppError>>);
    let versions = RwSignal::new(None::<Result<Vec<VersionLine>, AppError>>);
    let panel = NodeRef::<html::Details>::new();
    // How many texts were asked for. The last one is what the person wants to see.
    let asked = StoredValue::new(0_u32);
    let is_awaited = StoredValue::new(false);
    let load = move |version: Option<u32>| {
        asked.update_value(|asked| *asked += 1);
        is_awaited.set_value(true);
        let turn = asked.get_value();
        spawn_local(async move {
            let read = preview_document(id, version).await;
            if asked.try_get_value() == Some(turn) {
                is_awaited.set_value(false);
                shown.try_set(Some(read.map(|Wire(preview)| preview)));
            }
        });
    };
    let list = move || {
        spawn_local(async move {
            let read = list_versions(id).await;
            versions.try_set(Some(read.map(|Wire(lines)| lines)));
        });
    };
    let edition =
        Memo::new(move |_| document.with(|d| d.as_ref().map(|d| (d.version, d.next_version, d.status))));
    // What is on screen follows the document.
    effect_after(move |before: Option<Option<_>>| {
        let now = edition.get();
        if before.is_some_and(|before| before != now) {
            if versions.with_untracked(Option::is_some) {
                list();
            }
            // What could not be shown of it may be there by now.
            if shown.with_untracked(|shown| matches!(shown, Some(Err(_)))) {
                load(None);
            }
        }
        now
    });
    let has_many =
        Memo::new(move |_| edition.get().is_some_and(|(version, next, _)| version > 1 || next.is_some()));
    let show = move |version: u32| {
        load(Some(version));
        if let Some(panel) = panel.get_untracked() {
            panel.set_open(true);
            panel.scroll_into_view();
        }
    };
    view! {
        <section class="section" aria-label="Content" data-scripted="">
            <details
                class="details panel"
                data-preview=""
                node_ref=panel
                // Told a moment later, when the page may be gone.
                on:toggle=move |ev| {
                    let is_read = shown.try_with_untracked(|shown| matches!(shown, Some(Ok(_))));
                    let is_missing = is_read == Some(false) && is_awaited.try_get_value() == Some(false);
                    if is_missing && event_target::<web_sys::HtmlDetailsElement>(&ev).open() {
                        load(None);
                    }
                }
            >
                <summary class="section-title">"Preview"</summary>
                {move || shown.get().map(|read| match read {
                    Ok(preview) => view! { <Shown preview document /> },
                    Err(error) => view! { <ErrorPanel title="The text cannot be shown" detail=error.0.detail /> },
                })}
            </details>
            {move || has_many.get().then(|| view! {
                <details
                    class="details panel"
                    data-versions=""
                    on:toggle=move |_| {
                        if versions.try_with_untracked(Option::is_none) == Some(true) {
                            list();
                        }
                    }
                >
                    <summary class="section-title">"Versions"</summary>
                    {move || versions.get().map(|read| match read {
                        Ok(lines) => view! {
                            <ul class="versions">
                                {lines.into_iter().map(|line| view! { <Line id line show=Callback::new(show) /> }).collect_view()}
                            </ul>
                        },
                        Err(error) => view! {
                            <ErrorPanel title="The versions could not be read" detail=error.0.detail />
                        },
                    })}
                </details>
            })}
        </section>
    }
}

#[component]
fn Shown(preview: PreviewText, document: RwSignal<Option<Document>>) -> impl IntoView {
    let PreviewText { version, is_html, body, whole } = preview;
    let is_old = move || document.with(|d| d.as_ref().is_some_and(|d| d.version != version));
    view! {
        <p class="meta" hidden=move || !is_old()>{format!("This is version {}.", number(version.into()))}</p>
        {if is_html {
            // The server made it, and nothing of the document is in it but text.
            view! { <div class="preview" data-kind="html" inner_html=body></div> }
        } else {
            view! { <pre class="preview" data-kind="text">{body}</pre> }
        }}
        {(!whole).then(|| view! { <p class="meta">"The document goes on. Download it to read all of it."</p> })}
    }
}

#[component]
fn Line(id: DocumentId, line: VersionLine, show: Callback<u32>) -> impl IntoView {
    let VersionLine { version, state, filename, size_bytes, created_at, by } = line;
    let is_kept = state != VersionState::GivenUp;
    let href = format!("/api/documents/{id}/content?version={version}");
    view! {
        <li class="version" data-version=version data-state=state.as_str()>
            <strong class="num">{format!("Version {}", number(version.into()))}</strong>
            <span class="meta">{means(state)}</span>
            <span class="grow version-name">{filename}</span>
            <span class="meta num">{words::bytes(size_bytes)}</span>
            <span class="meta"><Ago at=Signal::stored(created_at) /></span>
            {(!by.is_empty()).then(|| view! { <span class="meta">{format!("by {by}")}</span> })}
            {is_kept.then(|| view! {
                <span class="row">
                    <Button kind=ButtonKind::Quiet on:click=move |_| show.run(version)>"Preview"</Button>
                    <a class="button quiet" href=href rel="external" download="">"Download"</a>
                </span>
            })}
        </li>
    }
}

const fn means(state: VersionState) -> &'static str {
    match state {
        VersionState::Current => "found by searches",
        VersionState::Next => "being read",
        VersionState::Failed => "could not be processed",
        VersionState::Replaced => "replaced",
        VersionState::GivenUp => "given up",
    }
}
