//! How the documents of a workspace went: charts that the server drew, each with its figures as a table. They follow what
//! happens; what is open stays open.

use super::{
    following::{Follower, Reading, rests_at},
    loaded::loaded,
    not_found::{WorkspaceDeleted, no_such},
};
use crate::{
    components::{EmptyState, IconName, LinkButton, PageHeader, TabTitle},
    layout::{header_note, workspace_name},
    paths,
    server_fns::history::{Chart, Figures, read_analytics},
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::WorkspaceId;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

const CHOICES: [u32; 3] = [7, 30, 90];

#[component]
pub fn AnalyticsPage() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id")?.parse::<WorkspaceId>().ok()));
    let days = Memo::new(move |_| query.with(|q| q.get("days").and_then(|d| d.parse().ok()).unwrap_or(0u32)));
    let anew = Stores::expect().anew();
    let page = page_data(
        move || (id.get(), days.get(), anew.get()),
        move |(id, days, _)| async move {
            match id {
                Some(id) => read_analytics(id, days).await.map(|Wire(figures)| Wire((id, figures))),
                None => Err(no_such("workspace")),
            }
        },
        true,
    );
    view! {
        <TabTitle text="Analytics" />
        {loaded(page, "workspace", |(id, figures)| view! { <Whole id figures /> })}
    }
}

#[component]
fn Whole(id: WorkspaceId, figures: Figures) -> impl IntoView {
    let (days, many) = (figures.days, figures.charts.len());
    let name = workspace_name(id, figures.name.clone());
    let figures = RwSignal::new(figures);
    follow(id, days, figures);
    let is_empty = Memo::new(move |_| figures.with(|f| f.charts.iter().all(|chart| chart.rows.is_empty())));
    let is_part = Memo::new(move |_| figures.with(|f| f.is_part));
    let choice = move |choice: u32| {
        let href = format!("{}/analytics?days={choice}", paths::workspace(id));
        view! {
            <a class="chip" href=href aria-current=(choice == days).then_some("page")>
                {format!("{choice} days")}
            </a>
        }
    };
    let chart = move |n: usize| {
        Signal::derive(move || figures.with(|f| f.charts.get(n).cloned()).unwrap_or_default())
    };
    let charts = move || (0..many).map(|n| view! { <Drawn chart=chart(n) /> }).collect_view();
    view! {
        <PageHeader title="Analytics" note=header_note("of", name)>
            <LinkButton href=paths::workspace(id)>"Back"</LinkButton>
        </PageHeader>
        <WorkspaceDeleted id />
        <nav class="chips" aria-label="How far back">{CHOICES.map(choice).collect_view()}</nav>
        <dl class="facts">
            {move || {
                figures
                    .with(|f| f.facts.clone())
                    .into_iter()
                    .map(|(name, value)| view! {
                        <div>
                            <dt>{name}</dt>
                            <dd>{value}</dd>
                        </div>
                    })
                    .collect_view()
            }}
        </dl>
        {move || is_part.get().then(|| view! { <p class="muted">"So much happened that only the newest part of it is counted here."</p> })}
        {move || {
            if is_empty.get() {
                view! {
                    <EmptyState
                        icon=IconName::Activity
                        title="No documents in these days"
                        text="As soon as documents were processed, their numbers and times stand here."
                    />
                }
                    .into_any()
            } else {
                charts().into_any()
            }
        }}
    }
}

/// Reads the figures again when documents came, went or ended.
fn follow(id: WorkspaceId, days: u32, figures: RwSignal<Figures>) {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let counted = Memo::new(move |_| {
        workspace
            .with(|w| w.as_ref().map(|w| (w.counts.documents, w.counts.ready, w.counts.failed, rests_at(w))))
    });
    let read = move |()| {
        Box::pin(async move {
            read_analytics(id, days).await.map(|Wire(read)| {
                figures.try_set(read);
            })
        }) as Reading
    };
    Follower::new(Callback::new(read)).follow(counted);
}

#[component]
pub fn Drawn(chart: Signal<Chart>) -> impl IntoView {
    let Chart { title, about, legend, columns, .. } = chart.get_untracked();
    let svg = Memo::new(move |_| chart.with(|c| c.svg.clone()));
    let rows = Memo::new(move |_| chart.with(|c| c.rows.clone()));
    let (label, caption) = (title.clone(), title.clone());
    view! {
        <section class="card" aria-label=label>
            <div class="card-head">
                <div class="stack gap-1">
                    <h2 class="section-title">{title}</h2>
                    <p class="meta">{about}</p>
                </div>
                <ul class="legend">
                    {legend
                        .into_iter()
                        .map(|(class, name)| view! {
                            <li>
                                <span class=format!("legend-sign tone-{class}") aria-hidden="true"></span>
                                {name}
                            </li>
                        })
                        .collect_view()}
                </ul>
            </div>
            <div class="card-body stack">
                <div class="chart-box" inner_html=move || svg.get()></div>
                <details class="details">
                    <summary class="meta">"The figures as a table"</summary>
                    <table class="history">
                        <caption class="sr-only">{caption}</caption>
                        <thead>
                            <tr>
                                {columns.into_iter().map(|name| view! { <th scope="col">{name}</th> }).collect_view()}
                            </tr>
                        </thead>
                        <tbody>
                            {move || {
                                rows.get()
                                    .into_iter()
                                    .map(|row| view! {
                                        <tr>
                                            {row.into_iter().map(|cell| view! { <td>{cell}</td> }).collect_view()}
                                        </tr>
                                    })
                                    .collect_view()
                            }}
                        </tbody>
                    </table>
                </details>
            </div>
        </section>
    }
}
