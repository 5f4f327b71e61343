//! The line in which a page tells that something worked.

use super::{Icon, IconName};
use crate::effect::effect;
use crate::view;
use leptos::{html, prelude::*};

/// Stays in its place when there is nothing to tell, so that a screen reader hears of what comes. Where the thing that
/// was pressed has gone with its deed, the keyboard goes on from here; with `of_list` also where it is about to go, with
/// its line, once the list was read anew.
#[component]
pub fn Said(#[prop(into)] text: Signal<Option<String>>, #[prop(optional)] of_list: bool) -> impl IntoView {
    let line = NodeRef::<html::P>::new();
    effect(move || {
        if text.with(Option::is_none) {
            return;
        }
        if of_list {
            if let Some(line) = line.get_untracked() {
                let _ = line.focus();
            }
        } else {
            focus_if_lost(move || line.try_get_untracked().flatten().map(|line| (*line).clone()));
        }
    });
    view! {
        <p class="form-said" role="status" tabindex="-1" node_ref=line>
            {move || text.get().map(|text| view! { <Icon name=IconName::CheckCircle /> {text} })}
        </p>
    }
}

/// Puts the focus on `place` when it is nowhere. The browser takes it from what has gone or was hidden when it has drawn
/// the next picture, so this looks one picture later.
pub fn focus_if_lost(place: impl Fn() -> Option<web_sys::HtmlElement> + 'static) {
    request_animation_frame(move || {
        request_animation_frame(move || {
            let is_lost =
                document().active_element().is_none_or(|e| e.tag_name() == "BODY" || !e.is_connected());
            if let Some(place) = place().filter(|_| is_lost) {
                let _ = place.focus();
            }
        });
    });
}
