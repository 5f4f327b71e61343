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
            let (detail, code, id) = errors.with_untracked(first);
            let actions = actions.run();
            view! {
                <ErrorPanel title detail code id>
                    {actions}
                </ErrorPanel>
            }
        }>{children()}</ErrorBoundary>
    }
}

/// What the first of the errors says, and its code and its id where it has them.
fn first(errors: &Errors) -> (Option<String>, Option<String>, Option<String>) {
    let Some((_, error)) = errors.iter().next() else { return (None, None, None) };
    let problem = error.downcast_ref::<AppError>().map(|e| &e.0);
    let code = problem.map(|p| p.code.clone());
    (Some(error.to_string()), code, problem.and_then(|p| p.correlation_id.clone()))
}
