//! The place of a page, or of a part of it, that could not be read: what is wrong, and the way out. The rest of the
//! page goes on.

use super::not_found::Missing;
use crate::{
    AppError,
    components::{Button, ErrorPanel},
    layout::SignInAgain,
    live::Live,
};
use leptos::prelude::*;

/// `what` could not be read: "workspace", "document", "list"; `retry` reads it again.
#[component]
pub fn ProblemView(error: AppError, what: &'static str, retry: Callback<()>) -> impl IntoView {
    match error.status() {
        404 => view! { <Missing what /> }.into_any(),
        401 => {
            let live = Live::expect();
            Effect::new(move |_| live.signed_out());
            view! {
                <div class="page">
                    <ErrorPanel title="You are signed out" detail="Sign in again to go on where you were.">
                        <SignInAgain />
                    </ErrorPanel>
                </div>
            }
            .into_any()
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
        }
        .into_any(),
    }
}
