//! An address that leads nowhere, and a thing that is not there or not yours: the two look the same.

use super::problem::around;
use crate::{
    AppError,
    components::{ButtonKind, EmptyState, IconName, LinkButton, NOT_FOUND, TabTitle},
    view,
};
use domain::Problem;
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
