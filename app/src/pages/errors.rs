//! What failed and was not seen to yet, by what it has in common: a group can be tried again as a whole, or resolved. The list
//! follows what happens.

use super::{
    following::{Follower, Reading, rests_at},
    in_place::{keep_in_place, pointer_leaves, pointer_moves},
    loaded::read,
};
use crate::{
    components::{Each, EmptyState, Exactly, IconName, PageHeader, RowsSkeleton, TabTitle, key_of},
    forms::{Deed, FormState, Refused},
    live::{Live, Screen},
    server_fns::errors::{
        ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage as Part, LeftLine, ResolveErrors, RetryErrors,
        list_errors,
    },
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::{PhaseName, Workspace, WorkspaceId};
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
            {read(page, || async {}, "list of errors", skeleton, keep, move |part, (), _| {
                view! { <Whole part narrow=narrow.get_untracked() /> }
            })}
        </div>
    }
}

#[component]
fn Whole(part: Part, narrow: Narrow) -> impl IntoView {
    let (title, text) = if narrow.4 {
        ("Nothing is resolved yet", "What you resolve is listed here until it is tried again.")
    } else {
        (
            "Nothing has failed",
            "Documents that could not be processed are listed here by what they failed by.",
        )
    };
    let part = RwSignal::new(part);
    let again = follow(narrow.clone(), part);
    let narrow = StoredValue::new(narrow);
    let note = Signal::derive(move || Some(part.with(|p| p.note.clone())));
    let rows = Memo::new(move |_| part.with(|p| p.narrow.clone()));
    let lines = Memo::new(move |_| part.with(|p| p.lines.clone()));
    let left = Memo::new(move |_| part.with(|p| p.left.clone()));
    let is_empty = Memo::new(move |_| lines.with(Vec::is_empty));
    let has_left = Memo::new(move |_| left.with(|left| !left.is_empty()));
    keep_in_place(move || {
        lines.track();
        false
    });
    view! {
        <PageHeader title="Errors" note />
        {move || rows.get().into_iter().map(|row| view! { <Row row /> }).collect_view()}
        {move || {
            if is_empty.get() {
                (!has_left.get()).then(|| view! { <EmptyState icon=IconName::CheckCircle title text /> }).into_any()
            } else {
                view! {
                    <ul
                        class="error-groups"
                        on:pointermove=move |ev| pointer_moves(&ev)
                        on:pointerleave=move |_| pointer_leaves()
                    >
                        <Each
                            each=move || lines.get().into_iter().map(|line| (line, narrow.get_value(), again)).collect()
                            key=|(line, ..): &(ErrorLine, Narrow, Callback<()>)| known_by(line)
                            show=|(line, narrow, again)| view! { <Group line narrow again /> }
                        />
                    </ul>
                }
                    .into_any()
            }
        }}
        {move || has_left.get().then(|| view! {
            <section class="stack gap-2" aria-label="What is missing">
                <h2 class="section-title">"What is missing"</h2>
                <ul class="error-groups">{move || left.get().into_iter().map(missing).collect_view()}</ul>
            </section>
        })}
    }
}

/// Changes with all that is shown of a group, so that one of which nothing is new stays as it is.
fn known_by(line: &ErrorLine) -> u128 {
    let ErrorLine { code, phase, mime_type, count, message, newest_at, .. } = line;
    let text = format!("{code}\n{phase}\n{mime_type}\n{count}\n{message}");
    key_of(newest_at.micros().unsigned_abs(), &text)
}

/// Where in the log a workspace was told of last, once some of it failed, also while others are in work: that somebody resolved
/// what failed is told and changes no count.
fn told_at(workspace: &Workspace) -> Option<u64> {
    if workspace.counts.failed > 0 { Some(workspace.rev) } else { rests_at(workspace) }
}

/// Reads the list again when other documents have failed than before, when some were resolved, or when other jobs are under way:
/// a crawl may have ended without some of its pages. What it answers reads it at once.
fn follow(narrow: Narrow, part: RwSignal<Part>) -> Callback<()> {
    let stores = Stores::expect();
    let (workspaces, active) = (RwSignal::from(stores.workspace_ids()), RwSignal::from(stores.active()));
    let failed = move |id: &WorkspaceId| {
        stores.workspace(*id).with(|w| w.as_ref().map(|w| (w.counts.documents, w.counts.failed, told_at(w))))
    };
    let told = Memo::new(move |_| {
        let failed: Vec<_> = workspaces.with(|ids| ids.iter().map(failed).collect());
        (failed, active.get())
    });
    let read = move |()| {
        let (workspace, phase, kind, days, resolved) = narrow.clone();
        Box::pin(async move {
            list_errors(workspace, phase, kind, days, resolved).await.map(|Wire(read)| {
                part.try_set(read);
            })
        }) as Reading
    };
    let follower = Follower::new(Callback::new(read));
    follower.follow(told);
    Callback::new(move |()| follower.now())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::workspace;
    use domain::resource::Counts;

    #[test]
    fn what_was_resolved_is_seen_also_while_others_are_in_work() {
        let seen = |rev, failed, processing| {
            let counts = Counts { documents: 3, failed, processing, ..Counts::default() };
            told_at(&Workspace { counts, ..workspace(1, rev) })
        };
        assert_ne!(seen(5, 1, 2), seen(6, 1, 2));
        assert_ne!(seen(5, 1, 0), seen(6, 1, 0));
        // Where nothing failed, the list has nothing that goes by the work.
        assert_eq!(seen(5, 0, 2), seen(6, 0, 1));
    }
}
