//! Which workspaces the list shows, and in which order. It stands in the address, so it can be kept and sent, and the
//! controls are links and a form that work without a script.

use crate::{
    components::{Icon, IconName, SearchField},
    effect::effect,
    paths,
    stores::Stores,
    view,
};
use domain::{Workspace, WorkspaceId, WorkspaceStatus};
use leptos::{ev, html, prelude::*, web_sys};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use std::cmp::Reverse;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Newest,
    Name,
    Changed,
    Documents,
}

impl Sort {
    const ALL: [Sort; 4] = [Sort::Newest, Sort::Name, Sort::Changed, Sort::Documents];

    const fn as_str(self) -> &'static str {
        match self {
            Sort::Newest => "newest",
            Sort::Name => "name",
            Sort::Changed => "changed",
            Sort::Documents => "documents",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Sort::Newest => "Newest first",
            Sort::Name => "By name",
            Sort::Changed => "Last changed first",
            Sort::Documents => "Most documents first",
        }
    }

    fn put(self, all: &mut [Workspace]) {
        match self {
            Sort::Newest => all.sort_by_key(|w| Reverse((w.created_at, w.id))),
            Sort::Name => all.sort_by_cached_key(|w| (w.name.to_lowercase(), w.id)),
            Sort::Changed => all.sort_by_key(|w| Reverse((w.last_activity(), w.id))),
            Sort::Documents => {
                all.sort_by_key(|w| Reverse((w.counts.documents, w.id)));
            }
        }
    }
}

/// What the address asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    status: Option<WorkspaceStatus>,
    words: String,
    sort: Sort,
}

impl Filter {
    /// Follows the address.
    pub fn of_address() -> Memo<Self> {
        let query = use_query_map();
        Memo::new(move |_| {
            query.with(|q| {
                let text = |name: &str| q.get(name).map(|t| t.trim().to_owned()).unwrap_or_default();
                let sort = text("sort");
                Self {
                    status: text("status").parse().ok(),
                    words: text("q"),
                    sort: Sort::ALL.into_iter().find(|s| s.as_str() == sort).unwrap_or_default(),
                }
            })
        })
    }

    fn takes(&self, workspace: &Workspace) -> bool {
        self.status.is_none_or(|status| workspace.status == status) && self.has_words(workspace)
    }

    fn has_words(&self, workspace: &Workspace) -> bool {
        let text = format!("{} {}", workspace.name, workspace.description).to_lowercase();
        self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// The workspaces to show.
    pub fn of(&self, mut all: Vec<Workspace>) -> Vec<WorkspaceId> {
        all.retain(|w| self.takes(w));
        self.sort.put(&mut all);
        all.into_iter().map(|w| w.id).collect()
    }

    fn address(&self) -> String {
        let mut query = vec![];
        if let Some(status) = self.status {
            query.push(format!("status={status}"));
        }
        if !self.words.is_empty() {
            query.push(format!("q={}", paths::encode(&self.words)));
        }
        if self.sort != Sort::default() {
            query.push(format!("sort={}", self.sort.as_str()));
        }
        if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
    }
}

/// All workspaces as they are now.
pub fn all(stores: Stores, ids: RwSignal<Vec<WorkspaceId>>) -> Vec<Workspace> {
    ids.with(|ids| ids.iter().filter_map(|id| stores.workspace(*id).get()).collect())
}

const CHIPS: [(Option<WorkspaceStatus>, &str); 5] = [
    (None, "All"),
    (Some(WorkspaceStatus::Ready), "Ready"),
    (Some(WorkspaceStatus::Provisioning), "Provisioning"),
    (Some(WorkspaceStatus::Error), "Failed"),
    (Some(WorkspaceStatus::Deleting), "Deleting"),
];

/// The controls: one link a status with its live count, a search box and the order.
#[component]
pub fn FilterBar(filter: Memo<Filter>, workspaces: Memo<Vec<Workspace>>) -> impl IntoView {
    let navigate = use_navigate();
    let go = StoredValue::new(move |filter: Filter| {
        let options = NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        navigate(&filter.address(), options);
    });
    let type_words = move |ev: ev::Event| {
        let words = event_target_value(&ev).trim().to_owned();
        go.with_value(|go| go(Filter { words, ..filter.get_untracked() }));
    };
    let choose = move |ev: ev::Event| {
        let chosen = event_target_value(&ev);
        let sort = Sort::ALL.into_iter().find(|s| s.as_str() == chosen).unwrap_or_default();
        go.with_value(|go| go(Filter { sort, ..filter.get_untracked() }));
    };
    let (field, order) = (NodeRef::<html::Input>::new(), NodeRef::<html::Select>::new());
    // Both follow the address, as after "Show all". Where somebody is at one of them, the address follows it.
    effect(move || {
        let Filter { words, sort, .. } = filter.get();
        let at = document().active_element();
        let is_left = |element: &web_sys::Element| at.as_ref() != Some(element);
        if let Some(field) = field.get_untracked()
            && is_left(&field)
            && field.value().trim() != words
        {
            field.set_value(&words);
        }
        if let Some(order) = order.get_untracked()
            && is_left(&order)
        {
            order.set_value(sort.as_str());
        }
    });
    let chip = move |(status, title): (Option<WorkspaceStatus>, &'static str)| {
        let number = Memo::new(move |_| {
            let filter = filter.get();
            workspaces.with(|all| {
                all.iter().filter(|w| status.is_none_or(|s| w.status == s) && filter.has_words(w)).count()
            })
        });
        let is_chosen = Memo::new(move |_| filter.with(|n| n.status == status));
        // A state that no workspace is in would only be noise.
        let is_idle = move || {
            number.get() == 0 && !is_chosen.get() && !matches!(status, None | Some(WorkspaceStatus::Ready))
        };
        view! {
            <a
                class="chip"
                hidden=is_idle
                href=move || Filter { status, ..filter.get() }.address()
                aria-current=move || is_chosen.get().then_some("true")
                data-filter=status.map_or("all", WorkspaceStatus::as_str)
            >
                {title}
                " "
                <span class="num">{move || number.get()}</span>
            </a>
        }
    };
    view! {
        <form class="toolbar" role="search" method="get" action="/" on:submit=|ev| ev.prevent_default()>
            <nav class="chips" aria-label="Show workspaces by status">
                {CHIPS.map(chip).collect_view()}
            </nav>
            {move || filter.with(|n| n.status).map(|status| {
                view! { <input type="hidden" name="status" value=status.as_str() /> }
            })}
            <SearchField
                label="Search workspaces"
                name="q"
                value=filter.with_untracked(|f| f.words.clone())
                maxlength=100
                node=field
                on:input=type_words
            />
            <label class="field-box sort-box">
                <span class="sr-only">"Order"</span>
                <select class="input" name="sort" node_ref=order on:change=choose>
                    {Sort::ALL
                        .map(|sort| {
                            view! {
                                <option value=sort.as_str() selected=move || filter.with(|n| n.sort == sort)>
                                    {sort.title()}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
                <Icon name=IconName::ChevronDown />
            </label>
            <noscript>
                <button class="button" type="submit">"Show"</button>
            </noscript>
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at, workspace};

    fn named(n: u64, name: &str, status: WorkspaceStatus) -> Workspace {
        Workspace { name: name.into(), status, ..workspace(n, n) }
    }

    fn names(filter: &Filter) -> Vec<String> {
        let all = vec![
            named(1, "Harbour", WorkspaceStatus::Ready),
            named(2, "archive of the harbour", WorkspaceStatus::Error),
            named(3, "Cranes", WorkspaceStatus::Ready),
        ];
        let name = |id: &WorkspaceId| all.iter().find(|w| w.id == *id).map(|w| w.name.clone());
        filter.of(all.clone()).iter().filter_map(name).collect()
    }

    #[test]
    fn status_words_and_order_narrow_the_list_together() {
        assert_eq!(names(&Filter::default()), ["Cranes", "archive of the harbour", "Harbour"]);
        let by_name = Filter { sort: Sort::Name, ..Filter::default() };
        assert_eq!(names(&by_name), ["archive of the harbour", "Cranes", "Harbour"]);
        let words = Filter { words: "HARBOUR".into(), ..Filter::default() };
        assert_eq!(names(&words), ["archive of the harbour", "Harbour"]);
        let ready = Filter { status: Some(WorkspaceStatus::Ready), ..words };
        assert_eq!(names(&ready), ["Harbour"]);
        assert_eq!(names(&Filter { words: "dock".into(), ..Filter::default() }), Vec::<String>::new());
    }

    #[test]
    fn what_was_worked_in_last_goes_before_what_was_only_made_last() {
        let of = |n: u64, updated: u64, active: u64| Workspace {
            updated_at: at(updated),
            last_activity_at: at(active),
            ..workspace(n, n)
        };
        let all = vec![of(1, 1, 9), of(2, 5, 2), of(3, 3, 3)];
        let changed = Filter { sort: Sort::Changed, ..Filter::default() };
        assert_eq!(changed.of(all.clone()), [all[0].id, all[1].id, all[2].id]);
    }

    #[test]
    fn what_is_chosen_stands_in_the_address() {
        assert_eq!(Filter::default().address(), "/");
        let all = Filter { status: Some(WorkspaceStatus::Error), words: "a&b".into(), sort: Sort::Name };
        assert_eq!(all.address(), "/?status=error&q=a%26b&sort=name");
    }
}
