//! The ring that tells of work, and the spinner for a request that this browser is waiting for.

use crate::view;
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// 12 px
    Sm,
    /// 16 px
    #[default]
    Md,
    /// 28 px
    Lg,
}

impl Size {
    pub const fn as_str(self) -> &'static str {
        match self {
            Size::Sm => "sm",
            Size::Md => "md",
            Size::Lg => "lg",
        }
    }
}

/// Something that was asked for is on its way. It is no status of a document: it turns whether or not the live link is
/// up, stands still with reduced motion, and is hidden from screen readers (what waits has `aria-busy`).
#[component]
pub fn LoadingSpinner(#[prop(optional)] size: Size) -> impl IntoView {
    view! {
        <span class="spinner" data-size=size.as_str() aria-hidden="true">
            <svg class="icon spin-ring" viewBox="0 0 16 16" inner_html=ring(None)></svg>
        </span>
    }
}

/// What stands inside the `<svg class="ring">`: a track, the arc that turns, and the share done, which replaces the
/// arc for people who want no motion.
pub(super) fn ring(percent: Option<f64>) -> String {
    let mut out = String::from(
        r#"<circle class="ring-track" cx="8" cy="8" r="5.75"/><circle class="ring-arc" cx="8" cy="8" r="5.75" pathLength="100" stroke-dasharray="28 72"/>"#,
    );
    if let Some(percent) = percent {
        let share = percent.clamp(0.0, 100.0) as u32;
        out.push_str(&format!(
            r#"<circle class="ring-part" cx="8" cy="8" r="5.75" pathLength="100" stroke-dasharray="{share} 100"/>"#
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::ring;

    #[test]
    fn a_ring_never_shows_more_than_the_whole_nor_a_share_that_nobody_knows() {
        assert!(ring(Some(140.0)).contains(r#"stroke-dasharray="100 100""#));
        assert!(ring(Some(-3.0)).contains(r#"stroke-dasharray="0 100""#));
        assert!(!ring(None).contains("ring-part"));
    }
}
