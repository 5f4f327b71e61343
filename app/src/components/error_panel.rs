//! Something did not work: what, why, and what can be done.

use super::{Icon, IconName};
use crate::view;
use leptos::prelude::*;

/// `title`: what did not work; `detail`: why, and the hint; `code`: the stable name of the error; the children are
/// the ways out.
#[component]
pub fn ErrorPanel(
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] detail: MaybeProp<String>,
    #[prop(optional, into)] code: MaybeProp<String>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="error-panel" role="alert">
            <Icon name=IconName::CrossCircle />
            <p class="error-title">{move || title.get()}</p>
            {move || detail.get().map(|text| view! { <p>{text}</p> })}
            {move || code.get().map(|code| view! { <p class="error-code mono">{code}</p> })}
            {children.map(|children| view! { <div class="error-actions">{children()}</div> })}
        </div>
    }
}
