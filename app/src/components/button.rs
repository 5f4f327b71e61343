//! Buttons. Attributes and events given to a component (`on:click`, `attr:name`) go to its element.

use super::{Icon, IconName, LoadingSpinner, Size};
use crate::view;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ButtonKind {
    /// The one deed that a form or a page is for.
    Primary,
    #[default]
    Plain,
    /// Without an outline, beside others.
    Quiet,
    /// What cannot be taken back.
    Danger,
}

impl ButtonKind {
    const fn class(self) -> &'static str {
        match self {
            ButtonKind::Primary => "button primary",
            ButtonKind::Plain => "button",
            ButtonKind::Quiet => "button quiet",
            ButtonKind::Danger => "button danger",
        }
    }
}

/// `kind`; `submit`: sends its form; `icon` before the words; `busy`: shows progress inside, keeps its width and
/// takes no second click; `wide`: as wide as its place, and 40 px high; `title`: what it does, or why it does nothing now. That
/// is no attribute from outside: what is spread over a component and changes goes on running when the component was drawn
/// anew, and reads what is gone.
#[component]
pub fn Button(
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] submit: bool,
    #[prop(optional)] icon: Option<IconName>,
    #[prop(optional, into)] busy: Signal<bool>,
    #[prop(optional, into)] disabled: Signal<bool>,
    #[prop(optional)] wide: bool,
    #[prop(optional, into)] title: MaybeProp<&'static str>,
    children: Children,
) -> impl IntoView {
    view! {
        <button
            type=if submit { "submit" } else { "button" }
            title=move || title.get()
            class=(["wide", "large"], wide)
            class=kind.class()
            disabled=move || disabled.get()
            // Not `disabled` while it works: that would take the focus away from who pressed it.
            aria-disabled=move || busy.get().then_some("true")
            on:click=move |ev| {
                if busy.get_untracked() {
                    ev.prevent_default();
                }
            }
            aria-busy=move || busy.get().then_some("true")
        >
            <span class="button-face">{icon.map(|name| view! { <Icon name /> })} {children()}</span>
            {move || busy.get().then(|| view! { <LoadingSpinner size=Size::Md /> })}
        </button>
    }
}

/// A link that looks like a button. While it is `locked` it leads nowhere and says why.
#[component]
pub fn LinkButton(
    #[prop(into)] href: Signal<String>,
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] icon: Option<IconName>,
    #[prop(optional, into)] locked: MaybeProp<&'static str>,
    children: Children,
) -> impl IntoView {
    let is_locked = move || locked.get().is_some();
    view! {
        <a
            class=kind.class()
            href=move || (!is_locked()).then(|| href.get())
            // Without an address it would be no link any more, and out of reach of the keyboard.
            role=move || is_locked().then_some("link")
            tabindex=move || is_locked().then_some("0")
            aria-disabled=move || is_locked().then_some("true")
            title=move || locked.get()
        >
            {icon.map(|name| view! { <Icon name /> })}
            {children()}
        </a>
    }
}

/// A button that is an icon alone; `label` is its name for screen readers and on hover.
#[component]
pub fn IconButton(
    icon: IconName,
    #[prop(into)] label: Signal<String>,
    #[prop(optional)] submit: bool,
    #[prop(optional, into)] disabled: Signal<bool>,
) -> impl IntoView {
    view! {
        <button
            type=if submit { "submit" } else { "button" }
            class="icon-button"
            aria-label=move || label.get()
            title=move || label.get()
            disabled=move || disabled.get()
        >
            <Icon name=icon />
        </button>
    }
}
