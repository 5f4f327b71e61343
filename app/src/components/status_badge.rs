//! The badge of a state: colour, icon and word, always all three.

use super::{IconName, spinner::ring};
use crate::view;
use domain::shown::Shown;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadgeSize {
    /// Icon and word alone, for rows.
    #[default]
    Sm,
    /// On a wash of its colour, for headings.
    Md,
}

/// What the badge draws for a state.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Still(IconName),
    /// The share in whole percent, if it is known: the drawing then changes only when it can be seen.
    Ring(Option<u8>),
}

impl Sign {
    fn of(shown: &Shown) -> Self {
        match shown {
            Shown::Pending { .. } => Sign::Still(IconName::Clock),
            Shown::Processing { percent } => Sign::Ring(Some(percent.clamp(0.0, 100.0) as u8)),
            Shown::Provisioning | Shown::Deleting => Sign::Ring(None),
            Shown::Ready { warnings: 0 } | Shown::Completed => Sign::Still(IconName::CheckCircle),
            Shown::Ready { .. } => Sign::Still(IconName::CheckDot),
            Shown::Stalled | Shown::Interrupted | Shown::Retrying | Shown::Waiting => {
                Sign::Still(IconName::Warning)
            }
            Shown::Paused | Shown::Stopping { cancels: false } => Sign::Still(IconName::Pause),
            Shown::Failed => Sign::Still(IconName::CrossCircle),
            Shown::Cancelled | Shown::Stopping { cancels: true } => Sign::Still(IconName::SlashCircle),
            Shown::Stale => Sign::Still(IconName::Refresh),
            Shown::Disabled => Sign::Still(IconName::Skip),
        }
    }

    fn body(self) -> String {
        match self {
            Sign::Still(icon) => icon.body().to_owned(),
            Sign::Ring(percent) => ring(percent.map(f64::from)),
        }
    }
}

/// `shown`: the state; `message`: a muted sentence behind the word; `size`: bare in rows, on a wash in headings.
///
/// The ring of a state that [moves](Shown::moves) turns only below `data-live="open"`.
#[component]
pub fn StatusBadge(
    #[prop(into)] shown: Signal<Shown>,
    #[prop(optional, into)] message: MaybeProp<String>,
    #[prop(optional)] size: BadgeSize,
) -> impl IntoView {
    let sign = Memo::new(move |_| shown.with(Sign::of));
    let key = Memo::new(move |_| shown.with(Shown::key));
    view! {
        <span
            class="badge"
            data-status=move || key.get()
            data-size=match size {
                BadgeSize::Sm => "sm",
                BadgeSize::Md => "md",
            }
        >
            <svg
                class=move || if matches!(sign.get(), Sign::Ring(_)) { "icon spin-ring" } else { "icon" }
                data-known=move || matches!(sign.get(), Sign::Ring(Some(_))).then_some("")
                viewBox="0 0 16 16"
                aria-hidden="true"
                inner_html=move || sign.get().body()
            ></svg>
            <span class="badge-word">{move || shown.with(Shown::words)}</span>
            {move || message.get().map(|m| view! { <span class="badge-message">{m}</span> })}
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The badge as a browser gets it.
    fn drawn(shown: Shown) -> String {
        let owner = Owner::new();
        owner.with(|| view! { <StatusBadge shown=Signal::stored(shown) size=BadgeSize::Md /> }.to_html())
    }

    #[test]
    fn a_document_that_gets_nowhere_says_so_and_turns_no_ring() {
        for (shown, key, word) in
            [(Shown::Stalled, "stalled", "Stalled"), (Shown::Interrupted, "interrupted", "Interrupted")]
        {
            let html = drawn(shown);
            assert!(html.contains(&format!(r#"data-status="{key}""#)) && html.contains(word), "{html}");
            assert!(!html.contains("spin-ring"), "{html}");
        }
        assert!(drawn(Shown::Processing { percent: 5.0 }).contains("spin-ring"));
    }

    #[test]
    fn exactly_the_states_that_move_have_a_ring() {
        let states = [
            Shown::Pending { behind: Some(12) },
            Shown::Provisioning,
            Shown::Processing { percent: 62.0 },
            Shown::Stalled,
            Shown::Interrupted,
            Shown::Retrying,
            Shown::Waiting,
            Shown::Stopping { cancels: true },
            Shown::Ready { warnings: 0 },
            Shown::Ready { warnings: 2 },
            Shown::Completed,
            Shown::Paused,
            Shown::Failed,
            Shown::Cancelled,
            Shown::Stale,
            Shown::Deleting,
        ];
        for shown in &states {
            assert_eq!(matches!(Sign::of(shown), Sign::Ring(_)), shown.moves(), "{shown:?}");
        }
    }
}
