//! What the live link is doing, in the top bar.

use super::{IconName, use_now, words};
use crate::view;
use domain::Timestamp;
use leptos::prelude::*;

/// The state of the live link; `as_str` is what stands in `data-live`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    Open,
    #[default]
    Connecting,
    Closed,
}

impl Link {
    pub const fn as_str(self) -> &'static str {
        match self {
            Link::Open => "open",
            Link::Connecting => "connecting",
            Link::Closed => "closed",
        }
    }
}

/// Said where servers do not hear of each other at once.
const LATE: &str = "The message broker is away: what is changed at other servers comes up to a second late.";

/// `link`: the state; `since`: the moment from which no change has come; `by`: how changes come when it is
/// not by the usual way, as a word and as a sentence; `late`: what is changed at other servers comes a moment later. Quiet
/// while all is well; said aloud, and with the time, once updates are missing. A try to get them back is not told apart:
/// that would be said at each one.
#[component]
pub fn ConnectionBadge(
    #[prop(into)] link: Signal<Link>,
    #[prop(optional, into)] since: MaybeProp<Timestamp>,
    #[prop(optional, into)] by: MaybeProp<(&'static str, &'static str)>,
    #[prop(optional, into)] late: Signal<bool>,
) -> impl IntoView {
    let now = use_now();
    let link = Memo::new(move |_| match link.get() {
        Link::Connecting if since.get().is_some() => Link::Closed,
        link => link,
    });
    let by = move || by.get().filter(|_| link.get() == Link::Open);
    let late = move || late.get() && link.get() == Link::Open;
    let title = move || match (late(), by()) {
        (true, _) => Some(LATE),
        (false, by) => by.map(|(_, sentence)| sentence),
    };
    view! {
        <span
            class="connection"
            role="status"
            data-scripted=""
            data-link=move || link.get().as_str()
            title=title
        >
            {move || match link.get() {
                Link::Open => {
                    view! {
                        <span class="dot" aria-hidden="true"></span>
                        <span class="connection-word">
                            "Live"{move || by().map(|(word, _)| format!(" by {word}"))}
                        </span>
                        {move || late().then(|| view! { <span>"up to a second late"</span> })}
                    }
                }
                Link::Connecting => {
                    view! {
                        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" inner_html=IconName::Circle.body()></svg>
                        <span class="connection-word">"Connecting…"</span>
                    }
                }
                Link::Closed => {
                    view! {
                        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" inner_html=IconName::LinkBroken.body()></svg>
                        <span class="connection-text">
                            <span class="connection-word">"Live updates "</span>
                            "paused"
                            {move || {
                                since
                                    .get()
                                    .map(|at| {
                                        view! {
                                            " since "
                                            <time datetime=at.to_string() title=move || words::exact(at, now.offset(at))>
                                                {move || words::clock(at, now.offset(at).unwrap_or(0))}
                                            </time>
                                        }
                                    })
                            }}
                        </span>
                    }
                }
            }}
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::provide_now;

    #[test]
    fn that_changes_come_late_is_told_while_the_link_is_open() {
        for (link, told) in [(Link::Open, true), (Link::Closed, false)] {
            let html = Owner::new().with(|| {
                provide_now();
                let (link, late) = (Signal::stored(link), Signal::stored(true));
                view! { <ConnectionBadge link late /> }.to_html()
            });
            assert_eq!(html.contains("up to a second late"), told, "{html}");
        }
    }

    #[test]
    fn while_it_is_tried_again_it_stays_told_since_when_updates_are_missing() {
        let since = Timestamp::parse("2025-01-24T10:30:00Z").expect("a time");
        for (since, told, other) in [(Some(since), "paused", "Connecting"), (None, "Connecting", "paused")] {
            let html = Owner::new().with(|| {
                provide_now();
                let (link, since) = (Signal::stored(Link::Connecting), Signal::stored(since));
                view! { <ConnectionBadge link since /> }.to_html()
            });
            assert!(html.contains(told) && !html.contains(other), "{html}");
        }
    }

    #[test]
    fn since_when_updates_are_missing_is_told_in_the_readers_zone() {
        let html = Owner::new().with(|| {
            let here = provide_now();
            here.zone.set(Some(|_| -150));
            let since = Timestamp::parse("2025-01-24T10:30:00Z").expect("a time");
            view! { <ConnectionBadge link=Signal::stored(Link::Closed) since /> }.to_html()
        });
        for part in ["08:00", "24 Jan 2025, 08:00:00", "2025-01-24T10:30:00"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
