//! Times on the screen. The first render, on the server and in the browser alike, shows what does not depend on a
//! clock or a zone; once the page is alive, [`Now`] turns it into "2 min ago" in the reader's zone.

use super::words;
use crate::view;
use domain::Timestamp;
use leptos::prelude::*;

/// The moment and the zone of the reader; both unknown until the page is alive.
#[derive(Clone, Copy)]
pub struct Now {
    pub at: RwSignal<Option<Timestamp>>,
    /// Minutes east of UTC.
    pub offset_minutes: RwSignal<Option<i32>>,
}

/// Puts a [`Now`] into the context. Whoever calls this sets it after mount and keeps it going.
pub fn provide_now() -> Now {
    let now = Now { at: RwSignal::new(None), offset_minutes: RwSignal::new(None) };
    provide_context(now);
    now
}

/// The nearest [`Now`]; without one all times stay in UTC.
pub fn use_now() -> Now {
    use_context().unwrap_or_else(|| Now { at: RwSignal::new(None), offset_minutes: RwSignal::new(None) })
}

/// The date of something to come, with the exact time for whoever points at it.
#[component]
pub fn OnDay(at: Timestamp) -> impl IntoView {
    let offset = use_now().offset_minutes;
    view! {
        <time datetime=at.to_string() title=move || words::exact(at, offset.get())>
            {move || words::date(at, offset.get().unwrap_or(0))}
        </time>
    }
}

/// "2 min ago", with the exact time for whoever points at it; a date while the present is unknown.
#[component]
pub fn Ago(#[prop(into)] at: Signal<Timestamp>) -> impl IntoView {
    let now = use_now();
    view! {
        <time
            datetime=move || at.get().to_string()
            title=move || words::exact(at.get(), now.offset_minutes.get())
        >
            {move || {
                let offset = now.offset_minutes.get().unwrap_or(0);
                match now.at.get() {
                    Some(moment) => words::ago(at.get(), moment, offset),
                    None => words::date(at.get(), offset),
                }
            }}
        </time>
    }
}
