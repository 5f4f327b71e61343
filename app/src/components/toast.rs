//! A short word about something that was done elsewhere on the page. Toasts stand in one `<section class="toasts">`.

use super::{Icon, IconButton, IconName};
use crate::view;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Done,
    Warning,
    Failed,
}

impl Tone {
    const fn icon(self) -> IconName {
        match self {
            Tone::Done => IconName::CheckCircle,
            Tone::Warning => IconName::Warning,
            Tone::Failed => IconName::CrossCircle,
        }
    }

    /// The state whose colour it wears.
    const fn status(self) -> &'static str {
        match self {
            Tone::Done => "ready",
            Tone::Warning => "paused",
            Tone::Failed => "failed",
        }
    }
}

/// The children are an action, if there is one ("Undo"). `is_said`: a screen reader hears of it elsewhere.
#[component]
pub fn Toast(
    #[prop(optional)] tone: Tone,
    #[prop(into)] text: String,
    #[prop(into)] on_close: Callback<()>,
    #[prop(optional)] is_said: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let role = (!is_said).then_some(if tone == Tone::Failed { "alert" } else { "status" });
    view! {
        <div class="toast" role=role data-status=tone.status()>
            <Icon name=tone.icon() />
            <p class="toast-text">{text}</p>
            {children.map(|children| children())}
            <IconButton icon=IconName::Cross label="Dismiss" on:click=move |_| on_close.run(()) />
        </div>
    }
}
