//! The search box, and the passages that it found. The question stands in the address, so it can be sent to somebody,
//! and the form works without a script.
use crate::{
    AppError,
    components::{Boundary, Button, FileTypeIcon, LinkButton, SearchField, words},
    effect::effect_after,
    live::Live,
    paths,
    server_fns::workspaces::SearchAnswer,
    view,
};
use domain::{WorkspaceId, message::count, resource::SearchHit};
use leptos::{ev::SubmitEvent, html, prelude::*};
use leptos_router::hooks::use_navigate;

/// Characters of a passage that a hit shows.
const EXCERPT: usize = 320;

#[component]
pub fn SearchBox(id: WorkspaceId, asked: Memo<Option<String>>) -> impl IntoView {
    let paused = Live::expect().paused_reason();
    let input = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    // Follows the address, on the way back too; what is being typed is left alone.
    effect_after(move |before: Option<Option<String>>| {
        let asked = asked.get();
        if let (Some(input), true) = (input.get_untracked(), before.is_some_and(|before| before != asked)) {
            input.set_value(asked.as_deref().unwrap_or_default());
        }
        asked
    });
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        let question = input.get_untracked().map(|input| input.value()).unwrap_or_default();
        let question = question.trim();
        let query =
            if question.is_empty() { String::new() } else { format!("?q={}", paths::encode(question)) };
        navigate(&format!("/w/{id}{query}"), Default::default());
    };
    view! {
        <form class="toolbar" role="search" method="get" action=format!("/w/{id}") on:submit=on_submit>
            <SearchField
                label="Search in this workspace"
                name="q"
                value=asked.get_untracked().unwrap_or_default()
                maxlength=500
                node=input
            />
            <Button submit=true disabled=Signal::derive(move || paused.get().is_some()) title=paused>
                "Search"
            </Button>
        </form>
    }
}

/// `asked`: the question that `found` answers. A search that fails leaves the documents below as they are.
#[component]
pub fn Hits(found: Result<SearchAnswer, AppError>, asked: String, workspace: WorkspaceId) -> impl IntoView {
    let all = format!("/w/{workspace}");
    let clear = all.clone();
    view! {
        <Boundary
            title="The search did not work"
            actions=move || view! { <LinkButton href=clear.clone()>"Clear search"</LinkButton> }
        >
            {found.map(|answer| view! { <Found answer asked all /> })}
        </Boundary>
    }
}

#[component]
fn Found(answer: SearchAnswer, asked: String, all: String) -> impl IntoView {
    let SearchAnswer { hits, warnings } = answer;
    view! {
        <section class="section" aria-label="Search results">
            <div class="row justify-between">
                <h2 class="section-title">
                    <span role="status">
                        {match hits.len() {
                            0 => format!("Nothing found for “{asked}”"),
                            n => format!("{} for “{asked}”", count(n as u64, "passage", "passages")),
                        }}
                    </span>
                </h2>
                <LinkButton href=all>"Clear search"</LinkButton>
            </div>
            {warnings.into_iter().map(|warning| view! { <p class="muted">{warning.message}</p> }).collect_view()}
            {hits.is_empty().then(|| view! {
                <p class="muted">"Try other words. Only documents that are ready are searched."</p>
            })}
            {(!hits.is_empty()).then(|| view! {
                <ol class="hits">{hits.into_iter().map(|hit| view! { <Hit hit /> }).collect_view()}</ol>
            })}
        </section>
    }
}

#[component]
fn Hit(hit: SearchHit) -> impl IntoView {
    let SearchHit { chunk, document, score, .. } = hit;
    let place = [chunk.heading.clone(), chunk.page.map(|page| format!("page {page}"))];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    view! {
        <li class="hit" data-document-id=document.id.to_string() data-chunk-id=chunk.id.to_string()>
            <div class="hit-head">
                <FileTypeIcon mime=document.mime_type />
                <a class="trunc" href=format!("/d/{}", document.id)>{document.filename}</a>
                {(!place.is_empty()).then(|| view! { <span class="trunc">{place}</span> })}
                <span class="hit-score" title="How close the passage is to the question">
                    {words::percent(score * 100.0, false)}
                </span>
            </div>
            <p class="hit-text">{excerpt(&chunk.text)}</p>
        </li>
    }
}

/// The beginning of a passage in one run of words, cut at a word.
fn excerpt(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.char_indices().nth(EXCERPT).map(|(end, _)| end);
    let Some(end) = end else {
        return text;
    };
    let cut = text[..end].rfind(' ').unwrap_or(end);
    format!("{}…", &text[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_passage_is_cut_at_a_word() {
        assert_eq!(excerpt(" short\n\ntext "), "short text");
        let long = "wörter ".repeat(100);
        let cut = excerpt(&long);
        assert!(cut.ends_with("wörter…") && cut.chars().count() <= EXCERPT + 1, "{cut}");
        assert_eq!(excerpt(&"x".repeat(1_000)).chars().count(), EXCERPT + 1);
    }
}
