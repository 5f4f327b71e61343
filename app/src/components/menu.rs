//! A menu on `<details>`: it opens without a script; with one it also closes on Escape, on a click elsewhere and when
//! one of its items was taken.

use super::{Icon, IconName};
use crate::effect::effect;
use crate::view;
use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

/// `label`: the name of the button; `trigger`: what the button shows; the children are `.menu-item` buttons and links,
/// `.menu-note` lines and [`MenuLine`]s. `start`: the panel hangs from the button's left edge, not from its right.
#[component]
pub fn Menu(
    #[prop(into)] label: Signal<String>,
    #[prop(into)] trigger: ViewFn,
    #[prop(optional)] start: bool,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Details>::new();
    // Listens to the whole page only while the menu is open.
    let (is_open, set_open) = signal(false);
    effect(move || {
        if !is_open.get() {
            return;
        }
        let listener = window_event_listener(ev::pointerdown, move |ev| {
            let target = ev.target().and_then(|t| t.dyn_into::<web_sys::Node>().ok());
            if let Some(menu) = node.get_untracked()
                && !menu.contains(target.as_ref())
            {
                menu.set_open(false);
            }
        });
        // Also when one of its items led to another page.
        on_cleanup(move || listener.remove());
    });
    let on_key = move |ev: ev::KeyboardEvent| {
        let Some(menu) = node.get_untracked() else { return };
        if ev.key() == "Escape" && menu.open() {
            ev.stop_propagation();
            menu.set_open(false);
            let button = menu.query_selector("summary").ok().flatten();
            if let Some(button) = button.and_then(|b| b.dyn_into::<web_sys::HtmlElement>().ok()) {
                let _ = button.focus();
            }
        }
    };
    let on_take = move |ev: ev::MouseEvent| {
        let item = ev.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let taken = item.and_then(|e| e.closest(".menu-item").ok().flatten()).is_some();
        if let (true, Some(menu)) = (taken, node.get_untracked()) {
            menu.set_open(false);
        }
    };
    view! {
        <details
            class="menu"
            data-side=start.then_some("start")
            node_ref=node
            on:keydown=on_key
            // It is told a moment later, when an item may have led to another page and the menu is gone.
            on:toggle=move |ev| {
                set_open.try_set(event_target::<web_sys::HtmlDetailsElement>(&ev).open());
            }
        >
            <summary class="icon-button" aria-label=move || label.get() title=move || label.get()>
                {trigger.run()}
            </summary>
            <div class="menu-panel" on:click=on_take>
                {children()}
            </div>
        </details>
    }
}

/// A line between two groups of items.
#[component]
pub fn MenuLine() -> impl IntoView {
    view! { <hr class="menu-line" /> }
}

/// An item that leads somewhere. While it is `locked` it leads nowhere and says why.
#[component]
pub fn MenuLink(
    #[prop(into)] href: Signal<String>,
    icon: IconName,
    words: &'static str,
    #[prop(optional, into)] locked: MaybeProp<&'static str>,
) -> impl IntoView {
    let is_locked = move || locked.get().is_some();
    view! {
        <a
            class="menu-item"
            href=move || (!is_locked()).then(|| href.get())
            // Without an address it would be no link any more, and out of reach of the keyboard.
            role=move || is_locked().then_some("link")
            tabindex=move || is_locked().then_some("0")
            aria-disabled=move || is_locked().then_some("true")
            title=move || locked.get()
        >
            <Icon name=icon />
            {words}
        </a>
    }
}
