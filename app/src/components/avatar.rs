//! A person, as initials.

use crate::view;
use leptos::prelude::*;

/// `name`: of the person; `large`: 40 px instead of 24. The name stands beside it or labels its button, so it is
/// hidden from screen readers.
#[component]
pub fn Avatar(#[prop(into)] name: Signal<String>, #[prop(optional)] large: bool) -> impl IntoView {
    view! {
        <span
            class="avatar"
            data-size=large.then_some("lg")
            data-initials=move || name.with(|n| initials(n))
            aria-hidden="true"
        ></span>
    }
}

/// First letters of the first and the last word.
fn initials(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    let letters = [words.next(), words.next_back()];
    letters.into_iter().flatten().filter_map(|w| w.chars().next()).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn initials_are_of_the_first_and_last_word() {
        assert_eq!(initials("Ada King Lovelace"), "AL");
        assert_eq!(initials("grace_hopper"), "GH");
        assert_eq!(initials("linus"), "L");
        assert_eq!(initials("--"), "");
    }
}
