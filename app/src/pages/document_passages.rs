//! The passages that a document was cut into, as far as they were read, and a search in them.

use super::document::of;
use crate::{
    AppError,
    components::{Boundary, Button, Each, SearchField, key_of},
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

/// What passages a document has: whether it is ready, its version, its attempt, and how many they are.
type Edition = (bool, u32, u32, u64);

/// The passages that were read so far.
#[derive(Clone, Copy)]
pub struct Passages {
    id: DocumentId,
    read: RwSignal<List<Chunk>>,
    busy: RwSignal<bool>,
    failed: RwSignal<Option<AppError>>,
    /// After which of them was asked last, and how often was asked: only the answer to the last question counts.
    asked: StoredValue<Option<String>>,
    turn: StoredValue<u32>,
    /// Only those that have these words; empty: all.
    words: RwSignal<String>,
}

impl Passages {
    /// Starts with what the page brought, and reads anew when the document has other passages than before, or one of them may
    /// have been changed.
    pub fn new(id: DocumentId, document: RwSignal<Option<Document>>, first: List<Chunk>) -> Self {
        let passages = Self {
            id,
            read: RwSignal::new(first),
            busy: RwSignal::new(false),
            failed: RwSignal::new(None),
            asked: StoredValue::new(None),
            turn: StoredValue::new(0),
            words: RwSignal::new(String::new()),
        };
        let edition = Memo::new(move |_| {
            of(document, |d| {
                let is_ready = d.status == DocumentStatus::Ready;
                Some(((is_ready, d.version, d.attempt, d.chunk_count), d.rev))
            })
        });
        effect_after(move |before: Option<Option<(Edition, u64)>>| {
            let now = edition.get();
            if let (Some(before), Some((edition @ (true, ..), _))) = (before, now)
                && before != now
            {
                // What was changed by hand is told as a change of its document, which has as many passages as before.
                let is_same = before.is_some_and(|(before, _)| before == edition);
                let listed = if is_same { passages.read.with_untracked(|all| all.items.len()) } else { 0 };
                passages.load(None, listed);
            }
            now
        });
        passages
    }

    /// Reads the part after `after`, or in place of all the first one, and as many as are `listed`: whoever has read on stays
    /// there.
    fn load(self, after: Option<String>, listed: usize) {
        self.busy.set(true);
        self.asked.set_value(after.clone());
        let turn = self.turn.try_update_value(|turn| {
            *turn += 1;
            *turn
        });
        let words = self.words.get_untracked();
        spawn_local(async move {
            let read = match &after {
                Some(_) => list_chunks(self.id, after.clone(), words.clone()).await.map(|Wire(part)| part),
                None => as_listed(self.id, &words, listed).await,
            };
            // Somebody looks for something else by now, or the document changed once more.
            if self.turn.try_get_value() != turn {
                return;
            }
            match read {
                Ok(mut part) => {
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

/// The first passages with these words, and as many as are listed.
async fn as_listed(id: DocumentId, words: &str, listed: usize) -> Result<List<Chunk>, AppError> {
    let Wire(mut all) = list_chunks(id, None, words.to_owned()).await?;
    while all.items.len() < listed
        && let Some(after) = all.next.take()
    {
        let Wire(part) = list_chunks(id, Some(after), words.to_owned()).await?;
        all.items.extend(part.items);
        all.next = part.next;
    }
    Ok(all)
}

/// Changes with all that is shown of a passage: one that was changed keeps its id.
fn known_by(chunk: &Chunk) -> u128 {
    let switches = u64::from(chunk.enabled) + 2 * u64::from(chunk.edited);
    key_of(switches, &format!("{} {}", chunk.id, chunk.text))
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
                    chunks.load(None, 0);
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
                                key=known_by
                                show=|chunk| view! { <Passage chunk /> }
                            />
                        </ol>
                    }
                }
            }}
            <div class="row justify-center">
                {move || {
                    (has_more.get() && failed.with(Option::is_none)).then(|| view! {
                        <Button busy on:click=move |_| chunks.load(read.with_untracked(|list| list.next.clone()), 0)>
                            "Load more"
                        </Button>
                    })
                }}
            </div>
            <Boundary
                title="The chunks could not be read"
                actions=move || view! {
                    <Button busy on:click=move |_| chunks.load(chunks.asked.get_value(), 0)>"Try again"</Button>
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
