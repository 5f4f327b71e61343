//! An address that leads nowhere, and a thing that is not there or not yours: the two look the same.

use super::problem::around;
use crate::{
    AppError,
    components::{ButtonKind, EmptyState, IconName, LinkButton, NOT_FOUND, TabTitle},
    stores::Stores,
    view,
};
use domain::{Problem, WorkspaceId};
use leptos::prelude::*;

/// An address that leads nowhere.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::ssr::set_status(404);
    view! { <Missing what="page" /> }
}

/// An address that is no id names nothing.
pub fn no_such(what: &str) -> AppError {
    #[cfg(feature = "ssr")]
    crate::ssr::set_status(404);
    Problem::not_found(what).into()
}

/// `what` is not there: "page", "workspace", "document".
#[component]
pub fn Missing(what: &'static str) -> impl IntoView {
    view! {
        <TabTitle text=NOT_FOUND />
        <NotThere what />
    }
}

/// The same without a title for the tab.
#[component]
pub fn NotThere(what: &'static str) -> impl IntoView {
    view! {
        <div class="page">
            <EmptyState
                icon=IconName::SlashCircle
                of_page=!around().has_heading
                title=format!("There is no such {what}")
                text="It may have been deleted, or the address is not quite right."
            >
                <LinkButton href="/" kind=ButtonKind::Primary>
                    "All workspaces"
                </LinkButton>
            </EmptyState>
        </div>
    }
}

/// On a page that tells of something and keeps what it tells for itself: says that the thing was deleted since. `what` it is;
/// `is_there`: whether the stores know it.
#[component]
pub fn Deleted(what: &'static str, is_there: Signal<bool>) -> impl IntoView {
    let is_gone = gone(is_there);
    view! {
        <p class="panel" role="status" data-gone="" hidden=move || !is_gone.get()>
            {move || is_gone.get().then(|| format!("This {what} was deleted. What stands here is as it was before."))}
        </p>
    }
}

/// The same of a workspace.
#[component]
pub fn WorkspaceDeleted(id: WorkspaceId) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    view! { <Deleted what="workspace" is_there=Signal::derive(move || workspace.with(Option::is_some)) /> }
}

/// What was there once and is not any more. What never was may only be unknown here.
fn gone(is_there: Signal<bool>) -> Signal<bool> {
    let seen = Memo::new(move |before: Option<&(bool, bool)>| {
        let is = is_there.get();
        (is || before.is_some_and(|(was, _)| *was), is)
    });
    Signal::derive(move || {
        let (was, is) = seen.get();
        was && !is
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_can_be_gone_and_what_is_brought_back_is_not() {
        Owner::new().with(|| {
            let is_there = RwSignal::new(false);
            let is_gone = gone(is_there.into());
            assert!(!is_gone.get_untracked(), "nobody knows of it yet");
            for (is, told) in [(true, false), (false, true), (true, false), (false, true)] {
                is_there.set(is);
                assert_eq!(is_gone.get_untracked(), told);
            }
        });
    }
}
