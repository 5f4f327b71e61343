//! What a workspace holds, in numbers, and how far it can be used already; both follow the stream.

use crate::{
    components::{Ago, Icon, IconName, words},
    stores::Stores,
    view,
};
use domain::{Workspace, WorkspaceId, WorkspaceStatus, message::number, resource::Counts};
use leptos::prelude::*;

#[component]
pub fn Stats(id: WorkspaceId) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let counts = Memo::new(move |_| counts(workspace));
    let changed = Signal::derive(move || {
        workspace.with(|w| w.as_ref().map(Workspace::last_activity).unwrap_or_default())
    });
    let fact = move |name: &'static str, value: fn(&Counts) -> u64| {
        view! {
            <div data-fact=name>
                <dt>{name}</dt>
                <dd>{move || number(counts.with(value))}</dd>
            </div>
        }
    };
    view! {
        <dl class="facts" aria-label="Numbers">
            {fact("Documents", |c| c.documents)}
            {fact("Ready", |c| c.ready)}
            {fact("Failed", |c| c.failed)}
            {fact("Chunks", |c| c.chunks)}
            {fact("Conversations", |c| c.conversations)}
            {fact("Messages", |c| c.messages)}
            <div data-fact="Size">
                <dt>"Size"</dt>
                <dd>{move || words::bytes(counts.with(|c| c.bytes))}</dd>
            </div>
            <div data-fact="Last activity">
                <dt>"Last activity"</dt>
                <dd>
                    <Ago at=changed />
                </dd>
            </div>
        </dl>
    }
}

/// Says, while documents are in work, that those which are ready can be used.
#[component]
pub fn PartlyReady(id: WorkspaceId) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let words = Memo::new(move |_| {
        let is_ready = workspace.with(|w| w.as_ref().is_some_and(|w| w.status == WorkspaceStatus::Ready));
        partly(&counts(workspace)).filter(|_| is_ready)
    });
    move || {
        words.get().map(|words| {
            view! {
                <p class="panel row" data-partly="">
                    <Icon name=IconName::CheckCircle />
                    <span class="grow">{words}</span>
                </p>
            }
        })
    }
}

fn counts(workspace: RwSignal<Option<Workspace>>) -> Counts {
    workspace.with(|w| w.as_ref().map(|w| w.counts).unwrap_or_default())
}

fn partly(counts: &Counts) -> Option<String> {
    let (are, them) = if counts.ready == 1 { ("is", "it") } else { ("are", "them") };
    (counts.ready > 0 && counts.processing > 0).then(|| {
        format!(
            "{} of {} documents {are} ready. Searches find {them} already.",
            number(counts.ready),
            number(counts.documents)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_partly_ready_while_some_are_ready_and_some_in_work() {
        let counts = |ready, processing| Counts { documents: 5, ready, processing, ..Counts::default() };
        assert_eq!(
            partly(&counts(3, 2)).as_deref(),
            Some("3 of 5 documents are ready. Searches find them already.")
        );
        assert_eq!(
            partly(&counts(1, 4)).as_deref(),
            Some("1 of 5 documents is ready. Searches find it already.")
        );
        assert_eq!(partly(&counts(0, 5)), None);
        assert_eq!(partly(&counts(5, 0)), None);
    }
}
