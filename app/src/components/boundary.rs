//! Keeps what goes wrong in one part of a page inside that part.

use super::ErrorPanel;
use crate::AppError;
use crate::view;
use leptos::prelude::*;

/// Shows its children; when one of them is an error, a panel with what did not work (`title`), why, and the ways out
/// (`actions`) stands in their place, and the rest of the page goes on.
#[component]
pub fn Boundary<V: IntoView + 'static>(
    title: &'static str,
    #[prop(optional, into)] actions: ViewFn,
    children: TypedChildren<V>,
) -> impl IntoView {
    let children = children.into_inner();
    view! {
        <ErrorBoundary fallback=move |errors| {
            let (detail, code) = errors.with_untracked(first);
            let actions = actions.run();
            view! {
                <ErrorPanel title detail code>
                    {actions}
                </ErrorPanel>
            }
        }>{children()}</ErrorBoundary>
    }
}

/// What the first of the errors says, and its code when it has one.
fn first(errors: &Errors) -> (Option<String>, Option<String>) {
    let Some((_, error)) = errors.iter().next() else { return (None, None) };
    let code = error.downcast_ref::<AppError>().map(|e| e.0.code.clone());
    (Some(error.to_string()), code)
}
