//! A dialog on the browser's own `<dialog>`: focus stays inside, Escape closes it, what lies behind is inert.

use super::IconButton;
use super::IconName;
use crate::effect::effect;
use crate::view;
use leptos::{html, prelude::*};

/// `id`: names it for its title; `open`: shown or not; closing it in any way sets it to false. Rendered open from the
/// start it is also there without a script, which is how a page such as `/workspaces?new` works before hydration;
/// `close_href` is then where its cross leads.
#[component]
pub fn Dialog(
    id: &'static str,
    #[prop(into)] title: String,
    open: RwSignal<bool>,
    #[prop(optional, into)] close_href: Option<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    effect(move || {
        let wanted = open.get();
        let Some(dialog) = node.get() else { return };
        if !wanted {
            dialog.close();
        } else if !dialog.matches(":modal").unwrap_or(false) {
            // One that the server rendered open stands there without being modal; it must be shut to become so, and
            // without an event that would be taken for the reader's wish.
            let _ = dialog.remove_attribute("open");
            let _ = dialog.show_modal();
        }
    });
    let label = format!("{id}-title");
    let labelled_by = label.clone();
    view! {
        <dialog
            id=id
            class="dialog"
            aria-labelledby=labelled_by
            open=open.get_untracked()
            node_ref=node
            // Escape tells of itself at once and closes a moment later. What belongs to closing, such as the address, is
            // done by then: somebody may press the button that opens it before the browser says that it is closed.
            on:cancel=move |ev: web_sys::Event| {
                // One of a file picker inside comes by here, too.
                if node.get_untracked().is_some_and(|d| ev.target().as_ref() == Some(d.as_ref())) {
                    open.set(false);
                }
            }
            on:close=move |_| {
                // News of a closing that was overtaken by the next opening is none.
                if !node.get_untracked().is_some_and(|dialog| dialog.open()) {
                    open.set(false);
                }
            }
            on:click=move |ev| {
                // A click on the dialog itself, not on anything inside, is one on its backdrop.
                let on_backdrop = node.get_untracked().is_some_and(|d| ev.target().as_ref() == Some(d.as_ref()));
                if on_backdrop {
                    open.set(false);
                }
            }
        >
            <div class="dialog-head">
                <h2 class="dialog-title" id=label>
                    {title}
                </h2>
                {match close_href {
                    Some(href) => {
                        view! {
                            <a
                                class="icon-button"
                                href=href
                                aria-label="Close"
                                on:click=move |ev| {
                                    ev.prevent_default();
                                    open.set(false);
                                }
                            >
                                <super::Icon name=IconName::Cross />
                            </a>
                        }
                    }
                    None => {
                        view! { <IconButton icon=IconName::Cross label="Close" on:click=move |_| open.set(false) /> }
                    }
                }}
            </div>
            <div class="dialog-body">{children()}</div>
        </dialog>
    }
}
