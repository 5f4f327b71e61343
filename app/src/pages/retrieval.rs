//! Trying the retrieval of a workspace: a question with the passages that it finds and the score of each way of looking,
//! with other settings than those that are saved, and the test cases. The question and what is tried stand in the address,
//! so all of it works without a script.

use super::{loaded, not_found::no_such, problem::Around};
use crate::{
    components::{
        Button, ButtonKind, ErrorPanel, Field, Icon, IconName, LinkButton, PageHeader, RowsSkeleton, Select,
        SelectOption, TabTitle,
    },
    forms::{Deed, FormState, Refused},
    layout::{header_note, workspace_name},
    live::{Live, Screen},
    paths,
    server_fns::retrieval::{
        AddCase, NONE, RemoveCase, RetrievalPage as Read, TriedCase, TriedHit, read_retrieval,
    },
    view,
    wire::page_data,
};
use domain::{WorkspaceId, message::count, rag::RagChoice};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use serde_json::Value;

/// Names of the columns, in the order of the scores.
const COLUMNS: [&str; 5] = ["Vector", "Keyword", "Graph", "Fused", "Rerank"];

#[component]
pub fn RetrievalPage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Around::default());
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id")?.parse::<WorkspaceId>().ok()));
    let asked = Memo::new(move |_| {
        query.with(|q| {
            let text = |name: &str| q.get(name).unwrap_or_default();
            ([text("q"), text("retriever"), text("rerank"), text("top_k")], q.get("run").is_some())
        })
    });
    let page = page_data(
        move || (id.get(), asked.get()),
        move |(id, ([question, retriever, rerank, top_k], run))| async move {
            match id {
                Some(id) => read_retrieval(id, question, retriever, rerank, top_k, run).await,
                None => Err(no_such("workspace")),
            }
        },
        true,
    );
    let refused = StoredValue::new(FormState::of_page());
    view! {
        <TabTitle text="Retrieval test" />
        <div class="page">
            <Refused left=refused />
            {loaded::read(
                page,
                || async {},
                "workspace",
                || view! { <RowsSkeleton rows=8 /> },
                |_, _, _| {},
                move |read, (), again| match id.get_untracked() {
                    Some(id) => view! { <Tried id read again /> },
                    None => ().into_any(),
                },
            )}
        </div>
    }
}

/// The form of what is tried. Running all test cases sends it as well, so that they are tried with what stands in it.
const TRYOUT: &str = "tryout";

#[component]
fn Tried(id: WorkspaceId, read: Read, again: Callback<()>) -> impl IntoView {
    let Read {
        name,
        question,
        retriever,
        rerank,
        top_k,
        retrievers,
        reranks,
        saved,
        trouble,
        hits,
        cases,
        verdict,
    } = read;
    let name = workspace_name(id, name);
    let here = paths::retrieval(id);
    let is_asked = !question.is_empty();
    let of_question = question.clone();
    let mut anew = vec![SelectOption::new(NONE, "No")];
    anew.extend(choices(reranks));
    view! {
        <PageHeader title="Retrieval test" note=header_note("of", name)>
            <LinkButton href=paths::workspace(id)>"Back"</LinkButton>
            <LinkButton href=paths::rag(Some(id)) icon=IconName::Settings>"RAG config"</LinkButton>
        </PageHeader>
        <form id=TRYOUT class="panel stack gap-2 tryout" method="get" action=here role="search">
            <Field label="Question" name="q" value=question maxlength=1000 />
            <div class="tryout-how">
                <Select label="Retriever" name="retriever" options=choices(retrievers) value=retriever />
                <Select label="Rerank" name="rerank" options=anew value=rerank />
                <Field label="Top k" name="top_k" value=top_k numeric=true maxlength=2 />
                <Button submit=true kind=ButtonKind::Primary>"Try"</Button>
            </div>
            <p class="meta">
                {saved.unwrap_or_else(|| "This is what is saved for this workspace. Trying something else saves nothing.".into())}
            </p>
        </form>
        {trouble.into_iter().map(|text| view! { <ErrorPanel title=text /> }).collect_view()}
        {is_asked.then(|| view! { <Found id hits question=of_question again /> })}
        <Cases id cases verdict again />
    }
}

fn choices(all: Vec<RagChoice>) -> Vec<SelectOption> {
    let option = |choice: RagChoice| {
        let disabled = !choice.available;
        let words = if disabled { format!("{} (not available)", choice.name) } else { choice.name.clone() };
        SelectOption { disabled, ..SelectOption::new(choice.name, words) }
    };
    all.into_iter().map(option).collect()
}

#[component]
fn Found(id: WorkspaceId, hits: Vec<TriedHit>, question: String, again: Callback<()>) -> impl IntoView {
    let title = match hits.len() {
        0 => "Nothing found".to_owned(),
        n => count(n as u64, "passage", "passages"),
    };
    // Only what was looked for has a column.
    let shown: Vec<usize> = (0..COLUMNS.len())
        .filter(|n| hits.iter().any(|h| h.columns.get(*n).is_some_and(|c| !c.is_empty())))
        .collect();
    let heads = shown.iter().map(|n| view! { <th scope="col">{COLUMNS[*n]}</th> }).collect_view();
    let lines = (1..).zip(hits).map(|(place, hit)| {
        let cells = shown.iter().map(|n| {
            let text = hit.columns.get(*n).cloned().unwrap_or_default();
            view! { <td class="num" data-label=COLUMNS[*n]>{if text.is_empty() { "–".to_owned() } else { text }}</td> }
        });
        let cells = cells.collect_view();
        let fields = vec![
            ("id", id.to_string()),
            ("question", question.clone()),
            ("document", hit.document.to_string()),
            ("chunk", hit.chunk.to_string()),
        ];
        let done = Callback::new(move |_: Value| again.run(()));
        view! {
            <tr data-chunk-id=hit.chunk.to_string()>
                <td class="num">{place}</td>
                <td class="tryout-passage">
                    <a class="link" href=paths::passage(hit.document, hit.chunk)>{hit.filename.clone()}</a>
                    <span class="meta">{format!(" {}", hit.place)}</span>
                    <p class="tryout-text">{hit.text.clone()}</p>
                </td>
                {cells}
                <td>
                    <Deed
                        action=AddCase::url()
                        words="Save as test case"
                        name=format!("Save as test case: {} {}", hit.filename, hit.place)
                        fields
                        done
                    />
                </td>
            </tr>
        }
    });
    let lines = lines.collect_view();
    view! {
        <section class="section" aria-labelledby="found-title">
            <h2 class="section-title" id="found-title"><span role="status">{title}</span></h2>
            <div class="tryout-box">
                <table class="history tryout-table">
                    <thead>
                        <tr>
                            <th scope="col">"Rank"</th>
                            <th scope="col">"Passage"</th>
                            {heads}
                            <th scope="col"><span class="sr-only">"Test case"</span></th>
                        </tr>
                    </thead>
                    <tbody>{lines}</tbody>
                </table>
            </div>
            <p class="meta">"Each column has the score and the rank."</p>
        </section>
    }
}

#[component]
fn Cases(
    id: WorkspaceId,
    cases: Vec<TriedCase>,
    verdict: Option<String>,
    again: Callback<()>,
) -> impl IntoView {
    let is_empty = cases.is_empty();
    let lines = cases.into_iter().map(|case| {
        let fields = vec![("id", id.to_string()), ("case", case.id.clone())];
        let done = Callback::new(move |_: Value| again.run(()));
        let outcome = case.passed.map(|passed| {
            let icon = if passed { IconName::Check } else { IconName::Warning };
            view! { <span class="case-outcome" data-passed=passed.to_string()><Icon name=icon />{case.outcome.clone()}</span> }
        });
        view! {
            <tr data-case-id=case.id.clone()>
                <td class="tryout-question">{case.question.clone()}</td>
                <td class="muted">{case.wanted.clone()}</td>
                <td>{outcome}</td>
                <td>
                    <Deed
                        action=RemoveCase::url()
                        words="Delete"
                        name=format!("Delete: {}", case.question)
                        fields
                        done
                    />
                </td>
            </tr>
        }
    });
    let lines = lines.collect_view();
    view! {
        <section class="section" aria-labelledby="cases-title">
            <div class="row justify-between">
                <h2 class="section-title" id="cases-title">"Test cases"</h2>
                {(!is_empty).then(|| view! {
                    <Button submit=true icon=IconName::Activity attr:form=TRYOUT attr:name="run">"Run all"</Button>
                })}
            </div>
            {verdict.map(|text| view! { <p role="status" data-verdict="">{text}</p> })}
            {if is_empty {
                view! {
                    <p class="muted">
                        "None yet. Ask a question, and save the passage that has to be found as a test case."
                    </p>
                }
                    .into_any()
            } else {
                view! {
                    <div class="tryout-box">
                        <table class="history tryout-table">
                            <thead>
                                <tr>
                                    <th scope="col">"Question"</th>
                                    <th scope="col">"Has to be found"</th>
                                    <th scope="col">"Outcome"</th>
                                    <th scope="col"><span class="sr-only">"Delete"</span></th>
                                </tr>
                            </thead>
                            <tbody>{lines}</tbody>
                        </table>
                    </div>
                }
                    .into_any()
            }}
        </section>
    }
}
