//! Something did not work: what, why, and what can be done.

use super::{CopyButton, Icon, IconName};
use crate::view;
use leptos::prelude::*;

/// `title`: what did not work; `detail`: why, and the hint; `phase`: in what it went wrong; `code`: the stable name of
/// the error; `id`: what finds it in the server's log; `more`: lines that only whoever looks for the fault needs; the
/// children are the ways out. What has a code can be copied as a whole, for whoever is asked about it.
#[component]
pub fn ErrorPanel(
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] detail: MaybeProp<String>,
    #[prop(optional, into)] phase: MaybeProp<String>,
    #[prop(optional, into)] code: MaybeProp<String>,
    #[prop(optional, into)] id: MaybeProp<String>,
    #[prop(optional, into)] more: MaybeProp<String>,
    /// It is the whole page, so that its title is the page's.
    #[prop(optional)]
    of_page: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let report = Signal::derive(move || {
        let named = |name: &str, text: Option<String>| text.map(|text| format!("{name}: {text}"));
        let lines = [
            Some(title.get()),
            detail.get(),
            phase.get(),
            named("Code", code.get()),
            named("Correlation id", id.get()),
            more.get(),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    });
    view! {
        <div class="error-panel" role="alert">
            <Icon name=IconName::CrossCircle />
            {if of_page {
                view! { <h1 class="error-title">{move || title.get()}</h1> }
            } else {
                view! { <p class="error-title">{move || title.get()}</p> }
            }}
            {move || detail.get().map(|text| view! { <p>{text}</p> })}
            {move || phase.get().map(|text| view! { <p class="meta">{text}</p> })}
            {move || code.get().map(|code| view! { <p class="error-code mono">{code}</p> })}
            {move || id.get().map(|id| view! { <p class="error-code">"Correlation id " <span class="mono">{id}</span></p> })}
            <div class="error-actions">
                {children.map(|children| children())}
                {move || code.get().map(|_| view! { <CopyButton words="Copy details" text=report /> })}
            </div>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(show: impl FnOnce() -> AnyView) -> String {
        Owner::new().with(|| show().to_html())
    }

    #[test]
    fn a_panel_with_a_code_tells_all_that_is_needed_to_find_the_fault_and_can_be_copied() {
        let html = html(|| {
            view! {
                <ErrorPanel
                    title="Page 14 is encrypted"
                    detail="Upload an unlocked copy."
                    phase="Phase: Loading"
                    code="pdf_encrypted"
                    id="0197-abc"
                />
            }
        });
        for told in [
            "Page 14 is encrypted",
            "Upload an unlocked copy.",
            "Phase: Loading",
            "pdf_encrypted",
            "0197-abc",
            "Copy details",
        ] {
            assert!(html.contains(told), "{told}: {html}");
        }
    }

    #[test]
    fn a_panel_without_a_code_has_nothing_to_copy() {
        let html = html(|| view! { <ErrorPanel title="The form is not complete" /> });
        assert!(!html.contains("Copy details") && !html.contains("Correlation id"), "{html}");
    }
}
