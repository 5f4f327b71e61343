//! The name of a file in a narrow place: it loses its middle, and its end, which tells versions and types apart, stays.

use crate::view;
use leptos::prelude::*;

/// Characters that always stay at the end.
const TAIL: usize = 10;

/// `name`: the whole; it is shown in full where there is room, and when pointed at or focused.
#[component]
pub fn FileName(#[prop(into)] name: Signal<String>) -> impl IntoView {
    view! {
        <span class="fname">
            <span class="fname-start">{move || name.with(|n| split(n).0.to_owned())}</span>
            <span class="fname-end">{move || name.with(|n| split(n).1.to_owned())}</span>
        </span>
    }
}

/// Parts the name before its last characters; a short one stays whole.
fn split(name: &str) -> (&str, &str) {
    let characters = name.chars().count();
    if characters < TAIL * 2 {
        return (name, "");
    }
    let at = name.char_indices().nth(characters - TAIL).map_or(name.len(), |(i, _)| i);
    name.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_end_of_a_long_name_stays_and_nothing_is_lost() {
        assert_eq!(split("annual-report-2024-final.pdf"), ("annual-report-2024", "-final.pdf"));
        assert_eq!(split("notes.md"), ("notes.md", ""));
        let name = "Ärztekammer-Übersicht-für-Größen.html";
        let (start, end) = split(name);
        assert_eq!(format!("{start}{end}"), name);
        assert_eq!(end.chars().count(), 10);
    }
}
