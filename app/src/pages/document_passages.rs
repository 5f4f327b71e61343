//! The passages that a document was cut into, as far as they were read, and a search in them.

use super::document::of;
use crate::{
    AppError,
    components::{Boundary, Button, Each, SearchField},
    effect::effect_after,
    paths,
    server_fns::documents::list_chunks,
    view,
    wire::Wire,
};
use domain::{
    Chunk, Document, DocumentId, DocumentStatus,
    message::{count, number},
    resource::Page as List,
};
use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};

/// The passages that were read so far.
#[derive(Clone, Copy)]
pub struct Passages {
    id: DocumentId,
    read: RwSignal<List<Chunk>>,
    busy: RwSignal<bool>,
    failed: RwSignal<Option<AppError>>,
    /// After which of them was asked last.
    asked: StoredValue<Option<String>>,
    /// Only those that have these words; empty: all.
    words: RwSignal<String>,
}

impl Passages {
    /// Starts with what the page brought, and reads anew when the document has other passages than before.
    pub fn new(id: DocumentId, document: RwSignal<Option<Document>>, first: List<Chunk>) -> Self {
        let passages = Self {
            id,
            read: RwSignal::new(first),
            busy: RwSignal::new(false),
            failed: RwSignal::new(None),
            asked: StoredValue::new(None),
            words: RwSignal::new(String::new()),
        };
        let edition = Memo::new(move |_| {
            of(document, |d| Some((d.status == DocumentStatus::Ready, d.version, d.attempt, d.chunk_count)))
        });
        effect_after(move |before: Option<Option<(bool, u32, u32, u64)>>| {
            let now = edition.get();
            let is_ready = now.is_some_and(|(ready, ..)| ready);
            if before.is_some_and(|before| before != now) && is_ready {
                passages.load(None);
            }
            now
        });
        passages
    }

    /// Reads the part after `after`, or the first one in place of all.
    fn load(self, after: Option<String>) {
        self.busy.set(true);
        self.asked.set_value(after.clone());
        let words = self.words.get_untracked();
        spawn_local(async move {
            match list_chunks(self.id, after.clone(), words.clone()).await {
                // Somebody looks for something else by now.
                Ok(_) if self.words.try_get_untracked().is_some_and(|now| now != words) => {}
                Ok(Wire(mut part)) => {
                    self.failed.try_set(None);
                    self.read.try_update(|all| {
                        if after.is_some() {
                            all.items.append(&mut part.items);
                            all.next = part.next.take();
                        } else {
                            *all = part;
                        }
                    });
                }
                Err(e) => {
                    self.failed.try_set(Some(e));
                }
            }
            self.busy.try_set(false);
        });
    }
}

#[component]
pub fn PassageList(chunks: Passages, document: RwSignal<Option<Document>>) -> impl IntoView {
    let Passages { read, busy, failed, words, .. } = chunks;
    let input = NodeRef::<html::Input>::new();
    let is_empty = Memo::new(move |_| read.with(|list| list.items.is_empty()));
    let has_more = Memo::new(move |_| read.with(|list| list.next.is_some()));
    let total = move || of(document, |d| d.chunk_count);
    view! {
        <section class="section" aria-labelledby="chunks-title">
            <h2 class="section-title" id="chunks-title">
                "Chunks" <span class="meta num">{move || (total() > 0).then(|| number(total()))}</span>
            </h2>
            {move || (!words.with(String::is_empty) || has_more.get() || total() > 5).then(|| view! {
                <form class="toolbar" role="search" on:submit=move |ev: SubmitEvent| {
                    ev.prevent_default();
                    words.set(input.get_untracked().map(|input| input.value()).unwrap_or_default().trim().to_owned());
                    chunks.load(None);
                }>
                    <SearchField label="Search in these chunks" name="chunks" value="" maxlength=200 node=input />
                    <Button submit=true busy>"Search"</Button>
                </form>
            })}
            {move || {
                if is_empty.get() && !words.with(String::is_empty) {
                    view! { <p class="muted" role="status">"No chunk has these words."</p> }
                } else if is_empty.get() {
                    let why = move || match of(document, |d| Some(d.status)) {
                        Some(DocumentStatus::Failed) => "There are none, since the document could not be read to its end.",
                        Some(DocumentStatus::Ready) => "The document has no text to be cut into chunks.",
                        _ => "The text has not been cut into chunks yet.",
                    };
                    view! { <p class="muted">{why}</p> }
                } else {
                    view! {
                        <ol class="hits">
                            <Each
                                each=move || read.with(|list| list.items.clone())
                                key=|chunk: &Chunk| chunk.id.uuid().as_u128()
                                show=|chunk| view! { <Passage chunk /> }
                            />
                        </ol>
                    }
                }
            }}
            <div class="row justify-center">
                {move || {
                    (has_more.get() && failed.with(Option::is_none)).then(|| view! {
                        <Button busy on:click=move |_| chunks.load(read.with_untracked(|list| list.next.clone()))>
                            "Load more"
                        </Button>
                    })
                }}
            </div>
            <Boundary
                title="The chunks could not be read"
                actions=move || view! {
                    <Button busy on:click=move |_| chunks.load(chunks.asked.get_value())>"Try again"</Button>
                }
            >
                {move || failed.get().map_or(Ok(()), Err)}
            </Boundary>
        </section>
    }
}

#[component]
fn Passage(chunk: Chunk) -> impl IntoView {
    let place = [
        Some(format!("#{}", chunk.ordinal + 1)),
        chunk.heading.clone(),
        chunk.page.map(|page| format!("page {page}")),
        Some(count(u64::from(chunk.token_count), "token", "tokens")),
        chunk.edited.then(|| "edited".to_owned()),
        (!chunk.enabled).then(|| "switched off".to_owned()),
    ];
    let label = format!("Inspect chunk {}", chunk.ordinal + 1);
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    view! {
        <li class="hit" data-chunk-id=chunk.id.to_string()>
            <div class="row justify-between">
                <p class="meta num">{place}</p>
                <a class="link" href=paths::passage(chunk.document_id, chunk.id) aria-label=label>"Inspect"</a>
            </div>
            <p class="hit-text">{chunk.text}</p>
        </li>
    }
}
