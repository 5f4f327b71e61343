//! The head of a page: its title, there and in the browser's tab, what stands beside it, and what can be done.

use leptos::prelude::*;
use leptos_meta::Title;

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

/// The title of the browser's tab, for a page whose data come late. The server writes the document's head while parts of
/// the page may be rendered once more on another thread, so there the title must not hang on what is thrown away then.
#[component]
pub fn TabTitle(#[prop(into)] text: Signal<String>) -> impl IntoView {
    #[cfg(feature = "ssr")]
    {
        view! { <Title text=text.get_untracked() /> }
    }
    #[cfg(not(feature = "ssr"))]
    {
        view! { <Title text=move || text.get() /> }
    }
}
