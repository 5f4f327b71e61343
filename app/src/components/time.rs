//! Times on the screen. The first render, on the server and in the browser alike, shows what does not depend on a
//! clock or a zone; once the page is alive, [`Now`] turns it into "2 min ago" in the reader's zone.

use super::words;
use crate::view;
use domain::Timestamp;
use leptos::prelude::*;

/// How many minutes east of UTC the reader's clock is, or was, at a moment: a zone has its summers and winters.
pub type Zone = fn(Timestamp) -> i32;

/// The moment and the zone of the reader; both unknown until the page is alive.
#[derive(Clone, Copy)]
pub struct Now {
    pub at: RwSignal<Option<Timestamp>>,
    pub zone: RwSignal<Option<Zone>>,
}

impl Now {
    fn unknown() -> Self {
        Self { at: RwSignal::new(None), zone: RwSignal::new(None) }
    }

    /// Minutes east of UTC at that moment; `None` while the zone is unknown, and times stay in UTC.
    pub fn offset(self, at: Timestamp) -> Option<i32> {
        self.zone.get().map(|zone| zone(at))
    }
}

/// Puts a [`Now`] into the context. Whoever calls this sets it after mount and keeps it going.
pub fn provide_now() -> Now {
    let now = Now::unknown();
    provide_context(now);
    now
}

/// The nearest [`Now`]; without one all times stay in UTC.
pub fn use_now() -> Now {
    use_context().unwrap_or_else(Now::unknown)
}

/// The date of something to come, with the exact time for whoever points at it.
#[component]
pub fn OnDay(at: Timestamp) -> impl IntoView {
    let now = use_now();
    view! {
        <time datetime=at.to_string() title=move || words::exact(at, now.offset(at))>
            {move || words::date(at, now.offset(at).unwrap_or(0))}
        </time>
    }
}

/// The exact time, for lists that are read by it.
#[component]
pub fn Exactly(at: Timestamp) -> impl IntoView {
    let now = use_now();
    let text = move || words::exact(at, now.offset(at));
    view! {
        <time datetime=at.to_string() title=text>
            {text}
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
            title=move || words::exact(at.get(), now.offset(at.get()))
        >
            {move || {
                let offset = now.offset(at.get()).unwrap_or(0);
                match now.at.get() {
                    Some(moment) => words::ago(at.get(), moment, offset),
                    None => words::date(at.get(), offset),
                }
            }}
        </time>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour east of UTC, and two from April on.
    fn zone(at: Timestamp) -> i32 {
        if at < moment("2025-04-01T00:00:00Z") { 60 } else { 120 }
    }

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn shown(now: Option<&str>, zone: Option<Zone>, show: impl FnOnce() -> AnyView) -> String {
        Owner::new().with(|| {
            let here = provide_now();
            here.at.set(now.map(moment));
            here.zone.set(zone);
            show().to_html()
        })
    }

    #[test]
    fn a_time_is_told_as_the_readers_clock_showed_it_then() {
        for (at, exact) in [
            ("2025-01-24T23:30:45Z", "25 Jan 2025, 00:30:45"),
            ("2025-06-24T22:30:45Z", "25 Jun 2025, 00:30:45"),
        ] {
            let day = exact.split(',').next().expect("a day");
            let at = moment(at);
            let all: [fn(Timestamp) -> AnyView; 3] = [
                |at| view! { <OnDay at /> }.into_any(),
                |at| view! { <Ago at=Signal::stored(at) /> }.into_any(),
                |at| view! { <Exactly at /> }.into_any(),
            ];
            for show in all {
                let html = shown(None, Some(zone), || show(at));
                assert!(html.contains(&format!("title=\"{exact}\"")), "{html}");
                assert!(html.contains(&format!("datetime=\"{at}\"")), "{html}");
                assert!(html.contains(&format!(">{day}")), "{html}");
            }
        }
    }

    #[test]
    fn before_the_page_is_alive_times_are_in_utc_and_say_so_on_hover() {
        let at = moment("2025-01-24T23:30:45Z");
        let html = shown(None, None, || view! { <Ago at=Signal::stored(at) /> }.into_any());
        assert!(
            html.contains("title=\"24 Jan 2025, 23:30:45 UTC\"") && html.contains(">24 Jan 2025<"),
            "{html}"
        );
        let html = shown(Some("2025-01-24T23:32:45Z"), Some(zone), || {
            view! { <Ago at=Signal::stored(at) /> }.into_any()
        });
        assert!(html.contains("title=\"25 Jan 2025, 00:30:45\"") && html.contains(">2 min ago<"), "{html}");
    }
}
