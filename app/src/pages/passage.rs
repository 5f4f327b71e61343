//! One passage: its words, where it stands in the document's text, its neighbours, and what can be done to it.

use super::{loaded, not_found::no_such, problem::Around as Surroundings};
use crate::{
    components::{IconName, LinkButton, PageHeader, RowsSkeleton, TabTitle, TextArea},
    forms::{Deed, FormState, Hooks, SaveForm, error_of},
    live::{Live, Screen},
    paths,
    server_fns::documents::{Around, ChangePassage, EmbedPassage, PassagePage as Read, read_passage},
    view,
    wire::page_data,
};
use domain::{ChunkId, DocumentId, message::count};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use serde_json::Value;

#[component]
pub fn PassagePage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Surroundings::default());
    let params = use_params_map();
    let ids = Memo::new(move |_| {
        params.with(|p| {
            let document = p.get("id")?.parse::<DocumentId>().ok()?;
            Some((document, p.get("chunk")?.parse::<ChunkId>().ok()?))
        })
    });
    // Of an answer that names it.
    let query = use_query_map();
    let turn = Memo::new(move |_| query.with(|q| q.get("turn").unwrap_or_default()));
    let start = StoredValue::new(FormState::of_page());
    let page = page_data(
        move || (ids.get(), turn.get()),
        move |(ids, turn)| async move {
            match ids {
                Some((document, chunk)) => read_passage(document, chunk, turn).await,
                None => Err(no_such("passage")),
            }
        },
        true,
    );
    view! {
        <TabTitle text="Passage" />
        <div class="page">
            {loaded::read(
                page,
                || async {},
                "passage",
                || view! { <RowsSkeleton rows=6 /> },
                |_, _, _| {},
                move |read, (), again| {
                    let start = FormState::told_once(start);
                    view! { <One read again start /> }
                },
            )}
        </div>
    }
}

#[component]
fn One(read: Read, again: Callback<()>, start: FormState) -> impl IntoView {
    let Read { document, filename, chunk, is_gone, is_old, around, previous, next, embeds } = read;
    let id = chunk.id;
    // What searches do not find any more is shown as it was, and nothing can be done to it.
    let is_present = !is_gone && !is_old;
    let place = [
        chunk.heading.clone(),
        chunk.page.map(|page| format!("page {page}")),
        Some(format!("version {}", chunk.version)),
        (!is_gone).then(|| count(u64::from(chunk.token_count), "token", "tokens")),
        chunk.edited.then(|| "edited".to_owned()),
        (!chunk.enabled && is_present).then(|| "disabled".to_owned()),
    ];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let done = Callback::new(move |_: Value| again.run(()));
    let fields = move || vec![("document", document.to_string()), ("chunk", id.to_string())];
    let mut switch = fields();
    switch.push(("enabled", (!chunk.enabled).to_string()));
    let words = if chunk.enabled { "Disable" } else { "Enable" };
    let text = start.typed_or("text", chunk.text.clone());
    let hooks = Hooks {
        saved: Some(Callback::new(move |_: Value| {
            again.run(());
            None
        })),
        ..Hooks::default()
    };
    let link = move |to: Option<ChunkId>, words: &'static str| {
        to.map(|to| view! { <LinkButton href=paths::passage(document, to)>{words}</LinkButton> })
    };
    let title = match is_gone {
        true => format!("Passage of {filename}"),
        false => format!("Passage {} of {filename}", chunk.ordinal + 1),
    };
    view! {
        <PageHeader title note=place>
            {link(previous, "Previous")}
            {link(next, "Next")}
            <LinkButton href=paths::document(document) icon=IconName::ChevronRight>"Document"</LinkButton>
        </PageHeader>
        {is_old.then(|| view! {
            <p class="panel">
                {format!("This is of version {} of the document, which was replaced since. No search finds it any more.", chunk.version)}
            </p>
        })}
        {(is_gone && !is_old).then(|| view! {
            <p class="panel">"The document was indexed anew since an answer named this passage. Its words stand here as they were."</p>
        })}
        {(!chunk.enabled && is_present).then(|| view! {
            <p class="panel">"It is disabled: it is kept, and no search and no answer uses it."</p>
        })}
        {is_present.then(|| view! {
            <div class="row">
                <Deed action=ChangePassage::url() words fields=switch steers=true done />
                {embeds.then(|| view! { <Deed action=EmbedPassage::url() words="Re-embed" fields=fields() steers=true done /> })}
            </div>
        })}
        <section class="section" aria-labelledby="text-title">
            <h2 class="section-title" id="text-title">
                {match chunk.page {
                    Some(page) => format!("In the text, page {page}"),
                    None => "In the text".to_owned(),
                }}
            </h2>
            {match around {
                Some(Around { before, passage, behind }) => view! {
                    <div class="panel source" tabindex="0" role="region" aria-labelledby="text-title">
                        <span class="muted">{before}</span>
                        <mark>{passage}</mark>
                        <span class="muted">{behind}</span>
                    </div>
                }
                    .into_any(),
                None => view! { <p class="muted">"The text of this version of the document is not kept any more."</p> }
                    .into_any(),
            }}
        </section>
        {is_present.then(|| view! { <section class="section" aria-labelledby="words-title">
            <h2 class="section-title" id="words-title">"Words in the index"</h2>
            <SaveForm
                action=ChangePassage::url()
                verb="Save and embed"
                said="The passage was saved and embedded."
                start
                hooks
                guarded=true
            >
                <input type="hidden" name="document" value=document.to_string() />
                <input type="hidden" name="chunk" value=id.to_string() />
                <TextArea
                    label="Words"
                    name="text"
                    value=text
                    error=error_of("text")
                    maxlength=10_000
                    help="They take the place of the document's words for searches and answers. They are kept as long as the \
                          text is cut into the same passages; a re-index with other settings takes the document's words again."
                />
            </SaveForm>
        </section> })}
    }
}
