//! What failed and was not seen to yet, by what it has in common: a group can be tried again as a whole, or resolved.

use super::loaded::read;
use crate::{
    components::{EmptyState, Exactly, IconName, PageHeader, RowsSkeleton, TabTitle},
    forms::{Deed, FormState, Refused},
    live::{Live, Screen},
    server_fns::errors::{
        ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage as Part, LeftLine, ResolveErrors, RetryErrors,
        list_errors,
    },
    stores::Stores,
    view,
    wire::page_data,
};
use domain::{PhaseName, WorkspaceId};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;
use serde_json::Value;

/// What the address narrows the list down to.
type Narrow = (Option<WorkspaceId>, Option<PhaseName>, String, u32, bool);

#[component]
pub fn ErrorsPage() -> impl IntoView {
    let query = use_query_map();
    let narrow = Memo::new(move |_| {
        query.with(|q| {
            let days = q.get("days").and_then(|days| days.parse().ok()).unwrap_or(0);
            (
                q.get("workspace").and_then(|id| id.parse().ok()),
                q.get("phase").and_then(|phase| phase.parse().ok()),
                q.get("type").unwrap_or_default(),
                days,
                q.get("resolved").is_some(),
            )
        })
    });
    let anew = Stores::expect().anew();
    let page = page_data(
        move || (narrow.get(), anew.get()),
        move |((workspace, phase, kind, days, resolved), _): (Narrow, u32)| {
            list_errors(workspace, phase, kind, days, resolved)
        },
        true,
    );
    let refused = StoredValue::new(FormState::of_page());
    let keep = |_: &Part, _, live: Live| live.shows(Screen::Other);
    let skeleton = || view! { <RowsSkeleton rows=8 /> };
    view! {
        <TabTitle text="Errors" />
        <div class="page">
            <Refused left=refused />
            {read(page, || async {}, "list of errors", skeleton, keep, move |part, (), again| {
                view! { <Whole part narrow=narrow.get_untracked() again /> }
            })}
        </div>
    }
}

#[component]
fn Whole(part: Part, narrow: Narrow, again: Callback<()>) -> impl IntoView {
    let Part { narrow: rows, lines, left, note } = part;
    let (is_empty, has_left) = (lines.is_empty(), !left.is_empty());
    let (title, text) = if narrow.4 {
        ("Nothing is resolved yet", "What you resolve is listed here until it is tried again.")
    } else {
        (
            "Nothing has failed",
            "Documents that could not be processed are listed here by what they failed by.",
        )
    };
    view! {
        <PageHeader title="Errors" note />
        {rows.into_iter().map(|row| view! { <Row row /> }).collect_view()}
        {if is_empty {
            (!has_left).then(|| view! { <EmptyState icon=IconName::CheckCircle title text /> }).into_any()
        } else {
            let lines = lines.into_iter().map(|line| view! { <Group line narrow=narrow.clone() again /> });
            view! { <ul class="error-groups">{lines.collect_view()}</ul> }.into_any()
        }}
        {has_left.then(|| view! {
            <section class="stack gap-2" aria-label="What is missing">
                <h2 class="section-title">"What is missing"</h2>
                <ul class="error-groups">{left.into_iter().map(missing).collect_view()}</ul>
            </section>
        })}
    }
}

/// It is seen to where it stands: a page of a crawl is asked for again there, a document tried again.
fn missing(line: LeftLine) -> AnyView {
    let LeftLine { text, place, newest_at, page, link } = line;
    view! {
        <li class="error-group" data-left="">
            <div class="stack gap-1">
                <p><strong>{text}</strong></p>
                <p class="row meta">
                    <span>{place}</span>
                    <span>"last " <Exactly at=newest_at /></span>
                    <a class="link" href=page>{link}</a>
                </p>
            </div>
        </li>
    }
}

#[component]
fn Row(row: ErrorChoices) -> impl IntoView {
    let chip = |ErrorChoice { words, href, is_chosen }: ErrorChoice| {
        view! { <a class="chip" href=href aria-current=is_chosen.then_some("page")>{words}</a> }
    };
    view! {
        <nav class="chips" aria-label=row.name.clone()>
            {row.choices.into_iter().map(chip).collect_view()}
        </nav>
    }
}

#[component]
fn Group(line: ErrorLine, narrow: Narrow, again: Callback<()>) -> impl IntoView {
    let (workspace, _, _, days, resolved) = narrow;
    let mut fields = vec![
        ("code", line.code.clone()),
        ("phase", line.phase.to_string()),
        ("kind", line.mime_type.clone()),
        ("days", days.to_string()),
    ];
    fields.extend(workspace.map(|id| ("workspace", id.to_string())));
    let done = Callback::new(move |_: Value| again.run(()));
    let name = |words: &str| Some(format!("{words}: {}, {}", line.count, line.code));
    view! {
        <li class="error-group" data-code=line.code.clone() data-phase=line.phase.as_str()>
            <div class="stack gap-1">
                <p class="row">
                    <strong>{line.message}</strong>
                    <code class="meta">{line.code.clone()}</code>
                </p>
                {line.hint.map(|hint| view! { <p class="muted">{hint}</p> })}
                <p class="row meta">
                    <span class="num" data-count="">{line.count.clone()}</span>
                    <span>{line.about}</span>
                    <span>"last " <Exactly at=line.newest_at /></span>
                    {line.page.map(|page| view! { <a class="link" href=page>"Open the workspace"</a> })}
                </p>
            </div>
            {(!resolved).then(|| view! {
                <div class="row">
                    <Deed action=RetryErrors::url() words="Retry" fields=fields.clone() name=name("Retry") steers=true done />
                    <Deed action=ResolveErrors::url() words="Resolve" fields=fields.clone() name=name("Resolve") steers=true done />
                </div>
            })}
        </li>
    }
}
