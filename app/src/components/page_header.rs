//! The head of a page: its title, there and in the browser's tab, what stands beside it, and what can be done.

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

/// The title of the browser's tab. The server writes it into the head as a plain text, since the parts of a page may be
/// rendered once more on another thread while the head is written. In the browser an effect of the page sets it, so
/// nothing of a page that is left is asked for its title again.
#[component]
pub fn TabTitle(#[prop(into)] text: Signal<String>) -> impl IntoView {
    #[cfg(feature = "ssr")]
    {
        // The unit stands for what the browser's half renders here.
        (view! { <leptos_meta::Title text=whole_title(&text.get_untracked()) /> }, ())
    }
    #[cfg(not(feature = "ssr"))]
    Effect::new(move |_| document().set_title(&whole_title(&text.get())));
}

fn whole_title(title: &str) -> String {
    if title.is_empty() { "InsightHub".to_owned() } else { format!("{title} · InsightHub") }
}
