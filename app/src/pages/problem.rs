//! The place of a page, or of a part of it, that could not be read: what is wrong, and the way out. The rest of the
//! page goes on.

use super::not_found::Missing;
use crate::{
    AppError,
    components::{Button, ButtonKind, EmptyState, ErrorPanel, IconName, LinkButton},
    effect::{effect, effect_after},
    error::UNREACHABLE,
    layout::SignInAgain,
    live::Live,
    view,
};
use leptos::prelude::*;

/// `what` could not be read: "workspace", "document", "list"; `retry` reads it again.
#[component]
pub fn ProblemView(error: AppError, what: &'static str, retry: Callback<()>) -> impl IntoView {
    match error.status() {
        404 => view! { <Missing what /> },
        401 => {
            let live = Live::expect();
            effect(move || live.signed_out());
            view! {
                <div class="page">
                    <ErrorPanel title="You are signed out" detail="Sign in again to go on where you were.">
                        <SignInAgain />
                    </ErrorPanel>
                </div>
            }
        }
        403 => view! { <NoAccess what detail=error.0.detail.clone() /> },
        _ if error.0.code == UNREACHABLE => {
            // As soon as the link is back there is no need to ask.
            let is_open = Live::expect().is_open();
            effect_after(move |was_open: Option<bool>| {
                let is_open = is_open.get();
                if is_open && was_open == Some(false) {
                    retry.run(());
                }
                is_open
            });
            // Or as soon as the browser has a network again: the link may not have noticed that it was gone.
            effect(move || {
                let back = window_event_listener(leptos::ev::online, move |_| retry.run(()));
                on_cleanup(move || back.remove());
            });
            view! { <Offline what retry /> }
        }
        _ => view! {
            <div class="page">
                <ErrorPanel
                    title=format!("The {what} could not be read")
                    detail=error.0.detail.clone()
                    code=error.0.code.clone()
                >
                    <Button on:click=move |_| retry.run(())>"Try again"</Button>
                </ErrorPanel>
            </div>
        },
    }
}

/// The server did not answer.
#[component]
pub fn Offline(what: &'static str, retry: Callback<()>) -> impl IntoView {
    view! {
        <div class="page">
            <EmptyState
                icon=IconName::LinkBroken
                title="The server cannot be reached"
                text=format!("The {what} comes as soon as the connection is back.")
            >
                <Button kind=ButtonKind::Primary icon=IconName::Retry on:click=move |_| retry.run(())>
                    "Try again"
                </Button>
            </EmptyState>
        </div>
    }
}

/// It is there, and not for this person.
#[component]
pub fn NoAccess(what: &'static str, #[prop(into)] detail: String) -> impl IntoView {
    view! {
        <div class="page">
            <EmptyState icon=IconName::SlashCircle title=format!("You have no access to this {what}") text=detail>
                <LinkButton href="/" kind=ButtonKind::Primary>
                    "All workspaces"
                </LinkButton>
            </EmptyState>
        </div>
    }
}
