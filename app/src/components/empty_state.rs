//! Nothing here yet, and what to do about it. The same shape serves "not found", "no access" and "offline".

use super::{Icon, IconName};
use crate::view;
use leptos::prelude::*;

/// `title`: what is so; `text`: why, or what it means; the children are the next actions.
#[component]
pub fn EmptyState(
    #[prop(default = IconName::File)] icon: IconName,
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] text: MaybeProp<String>,
    /// It is the whole page, so that its title is the page's.
    #[prop(optional)]
    of_page: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon name=icon size=32 />
            {if of_page {
                view! { <h1 class="empty-title">{move || title.get()}</h1> }
            } else {
                view! { <h2 class="empty-title">{move || title.get()}</h2> }
            }}
            {move || text.get().map(|text| view! { <p class="empty-text">{text}</p> })}
            {children.map(|children| view! { <div class="empty-actions">{children()}</div> })}
        </div>
    }
}
