//! The head of a page: its title, there and in the browser's tab, what stands beside it, and what can be done.

use crate::AppError;
use crate::view;
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
    crate::effect::effect(move || document().set_title(&crate::activity::titled(&whole_title(&text.get()))));
}

/// The title of a page that waits for its data. The head leaves the server when those have come and before the parts
/// of the page are rendered, so it is told where the data are read. The browser sets the title with [`TabTitle`].
#[derive(Clone, Default)]
pub struct AwaitedTitle {
    #[cfg(feature = "ssr")]
    text: std::sync::Arc<std::sync::OnceLock<String>>,
}

impl AwaitedTitle {
    /// What the page is about, or why it cannot be shown.
    pub fn tell(&self, title: Result<&str, &AppError>) {
        #[cfg(feature = "ssr")]
        let _ = self.text.set(match title {
            Ok(title) => title.to_owned(),
            Err(error) => error.title().to_owned(),
        });
        #[cfg(not(feature = "ssr"))]
        let _ = title;
    }
}

/// Holds the place of the title in the head.
#[component]
pub fn AwaitedTabTitle(title: AwaitedTitle) -> impl IntoView {
    #[cfg(feature = "ssr")]
    {
        let text = move || whole_title(title.text.get().map(String::as_str).unwrap_or_default());
        (view! { <leptos_meta::Title text /> }, ())
    }
    #[cfg(not(feature = "ssr"))]
    let _ = title;
}

/// The title of a page about something that is not there.
pub const NOT_FOUND: &str = "Not found";

fn whole_title(title: &str) -> String {
    if title.is_empty() { "InsightHub".to_owned() } else { format!("{title} · InsightHub") }
}
