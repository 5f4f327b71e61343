//! The head of a page: its title, what stands beside it, and what can be done.

use leptos::prelude::*;

/// `title`; `note`: a muted line below; `beside`: next to the title, such as a badge; the children are the actions.
#[component]
pub fn PageHeader(
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] note: MaybeProp<String>,
    #[prop(optional, into)] beside: ViewFn,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <header class="page-head">
            <div class="page-heading">
                <h1 class="page-title">
                    <span>{move || title.get()}</span>
                    {beside.run()}
                </h1>
                {move || note.get().filter(|n| !n.is_empty()).map(|note| view! { <p class="page-note">{note}</p> })}
            </div>
            {children.map(|children| view! { <div class="page-actions">{children()}</div> })}
        </header>
    }
}
