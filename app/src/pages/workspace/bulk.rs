//! What can be done to the documents that are selected, with the reason where it cannot, and how far it is.

use super::{
    super::deleting::{CanBeUndone, cost},
    Locked,
    selection::{Chosen, Selection},
};
use crate::{
    activity::{Sentences, Spoken},
    components::{Button, ButtonKind, Dialog, Field, IconButton, IconName, Reason, words},
    effect::{effect, effect_after},
    server_fns::workspaces::begin_bulk,
    stores::Stores,
    undo::{Deleted, Undo},
    upload::idempotency_key,
    view,
    wire::Wire,
};
use domain::{
    BulkId, Document, DocumentStatus, Workspace, WorkspaceId,
    bulk::{Bulk, BulkAction, BulkStatus},
    message::{count, number},
    resource::Counts,
};
use leptos::{html, prelude::*, task::spawn_local};

/// What is offered, in this order, with the words of its button.
const ACTIONS: [(BulkAction, &str); 9] = [
    (BulkAction::Pause, "Pause"),
    (BulkAction::Resume, "Resume"),
    (BulkAction::Cancel, "Cancel"),
    (BulkAction::Retry, "Retry"),
    (BulkAction::Reindex, "Re-index"),
    (BulkAction::Enable, "Enable"),
    (BulkAction::Disable, "Disable"),
    (BulkAction::Tag, "Tag…"),
    (BulkAction::Delete, "Delete…"),
];

/// What the selected documents are, as far as an action goes by it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Are {
    in_work: bool,
    paused: bool,
    failed: bool,
    ready: bool,
    enabled: bool,
    disabled: bool,
}

impl Are {
    fn of(document: &Document) -> Self {
        let goes_on = document.is_unfinished() && document.stopping().is_none();
        Self {
            in_work: goes_on,
            paused: document.is_paused(),
            failed: document.status == DocumentStatus::Failed,
            ready: document.status == DocumentStatus::Ready,
            enabled: document.enabled,
            disabled: !document.enabled,
        }
    }

    /// Of all that match nobody here knows more than how many there are.
    fn of_all(wanted: Option<DocumentStatus>, counts: &Counts) -> Self {
        let means = |status| wanted.is_none_or(|wanted| wanted == status);
        let in_work =
            counts.processing > 0 && (means(DocumentStatus::Pending) || means(DocumentStatus::Processing));
        Self {
            in_work,
            paused: in_work,
            failed: counts.failed > 0 && means(DocumentStatus::Failed),
            ready: counts.ready > 0 && means(DocumentStatus::Ready),
            enabled: true,
            disabled: true,
        }
    }

    const fn or(self, other: Self) -> Self {
        Self {
            in_work: self.in_work || other.in_work,
            paused: self.paused || other.paused,
            failed: self.failed || other.failed,
            ready: self.ready || other.ready,
            enabled: self.enabled || other.enabled,
            disabled: self.disabled || other.disabled,
        }
    }

    /// Why the action would change nothing.
    const fn refuses(self, action: BulkAction) -> Option<&'static str> {
        match action {
            BulkAction::Pause | BulkAction::Cancel if !self.in_work => Some("None of them is in work."),
            BulkAction::Resume if !self.paused => Some("None of them is paused."),
            BulkAction::Retry if !self.failed => Some("None of them has failed."),
            BulkAction::Reindex if !self.ready => Some("Only what is ready can be indexed anew."),
            BulkAction::Enable if !self.disabled => Some("None of them is disabled."),
            BulkAction::Disable if !self.enabled => Some("All of them are disabled."),
            _ => None,
        }
    }
}

/// Why some of the actions would change nothing: a line a reason, with the actions that it stands against.
fn refusals(are: Are) -> Vec<String> {
    let mut lines: Vec<(&str, Vec<&str>)> = vec![];
    for (action, words) in ACTIONS {
        let Some(why) = are.refuses(action) else { continue };
        match lines.iter_mut().find(|(known, _)| *known == why) {
            Some((_, actions)) => actions.push(words),
            None => lines.push((why, vec![words])),
        }
    }
    lines.into_iter().map(|(why, actions)| format!("{}: {why}", actions.join(", "))).collect()
}

/// `all`: the table shows all documents, so that all that match are what is seen.
#[component]
pub fn BulkBar(
    id: WorkspaceId,
    selection: Selection,
    begun: RwSignal<Option<BulkId>>,
    locked: Locked,
    all: Signal<bool>,
) -> impl IntoView {
    let stores = Stores::expect();
    let workspace = RwSignal::from(stores.workspace(id));
    let counts = Memo::new(move |_| workspace.with(|w| w.as_ref().map(|w| w.counts).unwrap_or_default()));
    let listed = RwSignal::from(stores.document_ids(id));
    effect(move || {
        listed.track();
        selection.keep(|id| stores.knows_document(id));
    });
    let is_open = Memo::new(move |_| !selection.is_empty());
    let are = Memo::new(move |_| match selection.get() {
        Chosen::Nothing => Are::default(),
        Chosen::All(status) => Are::of_all(status, &counts.get()),
        Chosen::These(ids) => ids.into_iter().fold(Are::default(), |all, id| {
            let one = stores.document(id).with(|d| d.as_ref().map(Are::of).unwrap_or_default());
            all.or(one)
        }),
    });
    let is_locked = Signal::derive(move || locked.get().is_some());
    // What locks all of them is said by itself.
    let refused = Memo::new(move |_| if is_locked.get() { vec![] } else { refusals(are.get()) });
    let is_refused = Memo::new(move |_| refused.with(|lines| !lines.is_empty()));
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<String>);
    let asks = RwSignal::new(false);
    let undo = Undo::expect();
    let tags = RwSignal::new(false);
    let tag = NodeRef::<html::Input>::new();
    effect(move || {
        if !tags.get() {
            return;
        }
        failed.set(None);
        if let Some(field) = tag.get() {
            field.set_value("");
        }
    });
    let begin = move |action: BulkAction| {
        if busy.get_untracked() {
            return;
        }
        let (ids, status) = match selection.get() {
            Chosen::Nothing => return,
            Chosen::These(ids) => (ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), None),
            Chosen::All(status) => (String::new(), status),
        };
        let tag = tag.get_untracked().filter(|_| action.has_tag()).map(|field| field.value());
        busy.set(true);
        failed.set(None);
        spawn_local(async move {
            let answer = begin_bulk(id, action, ids, status, tag, idempotency_key()).await;
            busy.try_set(false);
            match answer {
                Ok(Wire(bulk)) => {
                    if action == BulkAction::Delete {
                        let deleted = count(bulk.total, "document was deleted", "documents were deleted");
                        undo.offer(Deleted::Bulk(bulk.id), format!("{deleted}."));
                    }
                    begun.try_set(Some(bulk.id));
                    asks.try_set(false);
                    tags.try_set(false);
                    selection.set(Chosen::Nothing);
                }
                Err(error) => {
                    failed.try_set(Some(error.0.detail));
                }
            }
        });
    };
    let act = move |action: BulkAction| match action {
        BulkAction::Delete => asks.set(true),
        BulkAction::Tag => tags.set(true),
        _ => untrack(|| begin(action)),
    };
    let selected = move || selection.get().number(&counts.get());
    view! {
        {move || {
            is_open.get().then(|| view! {
                <div class="bulk-bar" role="group" aria-label="Selected documents">
                    <strong class="num" role="status">{move || format!("{} selected", number(selected()))}</strong>
                    {move || all.get().then(|| view! { <Which selection counts /> })}
                    <div class="row">
                        {ACTIONS
                            .map(|(action, words)| {
                                let why = Memo::new(move |_| locked.get().or_else(|| are.get().refuses(action)));
                                view! {
                                    <Button
                                        kind=if action == BulkAction::Delete { ButtonKind::Danger } else { ButtonKind::Plain }
                                        disabled=Signal::derive(move || why.get().is_some())
                                        on:click=move |_| act(action)
                                        title=why
                                        attr:data-action=action.as_str()
                                    >
                                        {words}
                                    </Button>
                                }
                            })
                            .collect_view()}
                        <IconButton
                            icon=IconName::Cross
                            label="Select none"
                            on:click=move |_| selection.set(Chosen::Nothing)
                        />
                    </div>
                    <Reason text=Signal::derive(move || locked.get()) />
                    // The title of a button that is disabled is reached by no key and no finger.
                    {move || is_refused.get().then(|| view! {
                        <details class="details meta" data-refused="">
                            <summary>"Why some are disabled"</summary>
                            <ul>{move || refused.get().into_iter().map(|line| view! { <li>{line}</li> }).collect_view()}</ul>
                        </details>
                    })}
                    {move || {
                        // An open dialog tells it itself.
                        let told = failed.get().filter(|_| !tags.get());
                        told.map(|text| view! { <p class="deed-note" role="alert">{text}</p> })
                    }}
                </div>
            })
        }}
        <Dialog id="tag-documents" title="Tag these documents" open=tags>
            <form
                class="form"
                on:submit=move |ev| {
                    ev.prevent_default();
                    untrack(|| begin(BulkAction::Tag));
                }
            >
                <Field label="Tag" name="bulk-tag" error=failed autocomplete="off" maxlength=40 node=tag />
                <div class="form-actions">
                    <Button
                        kind=ButtonKind::Quiet
                        busy
                        disabled=is_locked
                        on:click=move |_| untrack(|| begin(BulkAction::Untag))
                        title=locked
                    >
                        "Remove tag"
                    </Button>
                    <Button
                        kind=ButtonKind::Primary
                        submit=true
                        busy
                        disabled=is_locked
                        title=locked
                    >
                        "Add tag"
                    </Button>
                </div>
                <Reason text=Signal::derive(move || locked.get()) />
            </form>
        </Dialog>
        <Dialog id="delete-documents" title="Delete these documents?" open=asks>
            <p>{move || what_goes(selection.get(), stores, &counts.get())}</p>
            <CanBeUndone />
            <div class="form-actions">
                <Button kind=ButtonKind::Quiet on:click=move |_| asks.set(false)>
                    "Cancel"
                </Button>
                <Button
                    kind=ButtonKind::Danger
                    busy
                    disabled=is_locked
                    on:click=move |_| untrack(|| begin(BulkAction::Delete))
                    title=locked
                >
                    "Delete"
                </Button>
            </div>
            <Reason text=Signal::derive(move || locked.get()) />
        </Dialog>
    }
}

/// All that match, also those that the page has not read yet.
#[component]
fn Which(selection: Selection, counts: Memo<Counts>) -> impl IntoView {
    const MATCHING: [(Option<DocumentStatus>, &str); 3] = [
        (None, "Select all"),
        (Some(DocumentStatus::Ready), "Ready"),
        (Some(DocumentStatus::Failed), "Failed"),
    ];
    MATCHING
        .map(|(status, words)| {
            let all = Chosen::All(status);
            let number_of = {
                let all = all.clone();
                Memo::new(move |_| all.number(&counts.get()))
            };
            let is_chosen = {
                let all = all.clone();
                Memo::new(move |_| selection.get() == all)
            };
            let choose = StoredValue::new(all);
            view! {
                <button
                    type="button"
                    class="button quiet"
                    hidden=move || number_of.get() == 0
                    aria-pressed=move || is_chosen.get().to_string()
                    on:click=move |_| selection.set(choose.get_value())
                >
                    {move || format!("{words} {}", number(number_of.get()))}
                </button>
            }
        })
        .collect_view()
}

/// The names of a few, and what all of them are together.
fn what_goes(chosen: Chosen, stores: Stores, counts: &Counts) -> String {
    let Chosen::These(ids) = &chosen else {
        return match chosen {
            Chosen::All(None) => cost(counts.documents, counts.bytes),
            _ => count(chosen.number(counts), "document", "documents"),
        };
    };
    let known: Vec<Document> = ids.iter().filter_map(|id| stores.document(*id).get()).collect();
    let bytes = known.iter().map(|d| d.size_bytes).sum();
    let names: Vec<&str> = known.iter().map(|d| d.filename.as_str()).collect();
    match names.as_slice() {
        [one] => format!("{one}, {}", words::bytes(bytes)),
        few if few.len() <= 3 => format!("{}: {}", cost(few.len() as u64, bytes), few.join(", ")),
        many => cost(many.len() as u64, bytes),
    }
}

/// How far the newest action is: while it runs, and, where this tab began it, how it ended.
#[component]
pub fn BulkProgress(
    workspace: RwSignal<Option<Workspace>>,
    begun: RwSignal<Option<BulkId>>,
) -> impl IntoView {
    let told = Memo::new(move |_| {
        let bulk = workspace.with(|w| w.as_ref().and_then(|w| w.bulk.clone()));
        bulk.filter(|bulk| shows(bulk, begun.get()))
    });
    let running = move || told.with(|b| b.as_ref().is_some_and(|b| b.status == BulkStatus::Running));
    let panel = move || {
        told.with(Option::is_some).then(|| {
            view! {
                <div class="panel row" data-bulk=move || told.with(|b| b.as_ref().map(|b| b.status.as_str()))>
                    <p class="grow num">{move || told.with(|b| b.as_ref().map(Bulk::words))}</p>
                    <progress
                        class="bar"
                        hidden=move || !running()
                        max=move || told.with(|b| b.as_ref().map_or(1, |b| b.total.max(1)))
                        value=move || told.with(|b| b.as_ref().map_or(0, Bulk::counted))
                        aria-label="Progress of the action"
                    ></progress>
                    {move || {
                        (!running()).then(|| view! {
                            <IconButton icon=IconName::Cross label="Dismiss" on:click=move |_| begun.set(None) />
                        })
                    }}
                </div>
            }
        })
    };
    // A screen reader hears the start of the action, each quarter and the end.
    let sentences = Sentences::new();
    effect_after(move |before: Option<Option<Said>>| {
        let is_first = before.is_none();
        let mut heard = before.flatten();
        let fresh = told.with(|bulk| bulk.as_ref().and_then(|bulk| news(bulk, &mut heard)));
        // What was under way when the page came is no news.
        if !is_first {
            sentences.say(fresh.into_iter().collect());
        }
        heard
    });
    view! {
        <Spoken sentences attr:data-bulk-said="" />
        {panel}
    }
}

/// What was said of an action: which it is, and the quarters that it had through by then.
type Said = (BulkId, u8);

/// What is new about an action, if it is to be said.
fn news(bulk: &Bulk, heard: &mut Option<Said>) -> Option<String> {
    let quarter = match bulk.status {
        BulkStatus::Running => (bulk.counted().saturating_mul(4) / bulk.total.max(1)).min(3) as u8,
        BulkStatus::Completed => 4,
    };
    let is_new = heard.is_none_or(|(id, said)| id != bulk.id || said < quarter);
    is_new.then(|| {
        *heard = Some((bulk.id, quarter));
        bulk.words()
    })
}

fn shows(bulk: &Bulk, begun: Option<BulkId>) -> bool {
    bulk.status == BulkStatus::Running || begun == Some(bulk.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at, document, id};

    #[test]
    fn an_action_is_said_at_its_start_each_quarter_and_its_end() {
        let mut heard = None;
        let action = |n: u64, done: u64| Bulk {
            id: id(n),
            workspace_id: id(1),
            action: BulkAction::Delete,
            status: if done == 40 { BulkStatus::Completed } else { BulkStatus::Running },
            total: 40,
            done,
            failed: 0,
            refused: 0,
            created_at: at(1),
            completed_at: None,
        };
        let mut say = |n, done| news(&action(n, done), &mut heard);
        let all: Vec<String> = (0..=40).filter_map(|done| say(7, done)).collect();
        let of = |done: u64| format!("Deleting {done} of 40");
        assert_eq!(all, [of(0), of(10), of(20), of(30), "40 deleted".to_owned()]);
        // It is told again with each change of its workspace.
        assert_eq!(say(7, 40), None);
        // The next one may be through, or on its way, before anything is heard of it.
        assert_eq!(say(8, 12), Some(of(12)));
        assert_eq!(say(8, 11), None, "what comes late says nothing");
        assert_eq!(say(8, 13), None);
        assert_eq!(say(9, 40).as_deref(), Some("40 deleted"));
    }

    #[test]
    fn why_an_action_is_not_offered_is_told_once_for_all_that_it_stands_against() {
        let of = |status| refusals(Are::of(&document(1, 1, status)));
        assert_eq!(
            of(DocumentStatus::Ready),
            [
                "Pause, Cancel: None of them is in work.",
                "Resume: None of them is paused.",
                "Retry: None of them has failed.",
                "Enable: None of them is disabled.",
            ]
        );
        let all =
            Are { in_work: true, paused: true, failed: true, ready: true, enabled: true, disabled: true };
        assert!(refusals(all).is_empty());
    }

    #[test]
    fn an_action_is_offered_where_it_would_change_something() {
        let are = |status| Are::of(&document(1, 1, status));
        let can = |are: Are| ACTIONS.map(|(action, _)| are.refuses(action).is_none());
        assert_eq!(
            can(are(DocumentStatus::Processing)),
            [true, false, true, false, false, false, true, true, true]
        );
        assert_eq!(
            can(are(DocumentStatus::Failed)),
            [false, false, false, true, false, false, true, true, true]
        );
        assert_eq!(
            can(are(DocumentStatus::Ready)),
            [false, false, false, false, true, false, true, true, true]
        );
        let both = are(DocumentStatus::Ready).or(are(DocumentStatus::Failed));
        assert_eq!(can(both), [false, false, false, true, true, false, true, true, true]);
        // Of all that match nobody here knows whether some are disabled.
        let counts = Counts { documents: 5, failed: 2, ready: 3, ..Counts::default() };
        let maybe = |are: Are| can(Are { disabled: true, ..are });
        assert_eq!(
            can(Are::of_all(Some(DocumentStatus::Failed), &counts)),
            maybe(are(DocumentStatus::Failed))
        );
        assert_eq!(can(Are::of_all(None, &counts)), maybe(both));
    }
}
