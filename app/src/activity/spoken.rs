//! A region out of which a screen reader says what comes into it. It is there before its words: what comes into the page
//! together with them is not heard everywhere.

use crate::{components::Each, view};
use leptos::prelude::*;

/// Sentences that stay in a region. A screen reader takes what is new in it; what is old only fills the page.
const KEPT: usize = 8;

/// A sentence in the region, and what it is known by: the same words twice are two sentences.
type Sentence = (u64, String);

/// What a region has to say.
#[derive(Clone, Copy)]
pub struct Sentences(RwSignal<Vec<Sentence>>);

impl Sentences {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(RwSignal::new(vec![]))
    }

    /// Puts sentences behind those that are there, each as one of its own.
    pub fn say(self, fresh: Vec<String>) {
        if !fresh.is_empty() {
            self.0.update(|all| put(all, fresh));
        }
    }
}

/// `at_once`: whatever is being said is broken off for it.
#[component]
pub fn Spoken(sentences: Sentences, #[prop(optional)] at_once: bool) -> impl IntoView {
    let Sentences(all) = sentences;
    view! {
        <div
            class="sr-only"
            role=(!at_once).then_some("status")
            aria-live=if at_once { "assertive" } else { "polite" }
            aria-atomic="false"
        >
            <Each
                each=move || all.get()
                key=|(n, _): &Sentence| u128::from(*n)
                show=|(_, text)| view! { <p>{text}</p> }
            />
        </div>
    }
}

fn put(all: &mut Vec<Sentence>, fresh: Vec<String>) {
    for text in fresh {
        let next = all.last().map_or(0, |(n, _)| n + 1);
        all.push((next, text));
    }
    all.drain(..all.len().saturating_sub(KEPT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_jobs_say_at_once_are_two_sentences_also_in_the_same_words() {
        let mut all = vec![];
        put(&mut all, vec!["Upload of 1 file has started.".into(); 2]);
        put(&mut all, vec!["Upload of 1 file: 25 percent.".into()]);
        put(&mut all, vec!["Upload of 1 file: 25 percent.".into()]);
        let keys: Vec<u64> = all.iter().map(|(n, _)| *n).collect();
        assert_eq!(keys, [0, 1, 2, 3], "each is a line of its own, so each is read");
        assert_eq!(
            (all[0].1.as_str(), all[3].1.as_str()),
            ("Upload of 1 file has started.", "Upload of 1 file: 25 percent.")
        );
        for n in 0..20 {
            put(&mut all, vec![format!("{n}")]);
        }
        assert_eq!((all.len(), all[0].0, all[KEPT - 1].1.as_str()), (KEPT, 16, "19"));
    }

    #[test]
    fn a_region_that_has_nothing_to_say_yet_is_there_all_the_same() {
        for (at_once, live) in [(false, "polite"), (true, "assertive")] {
            let drawn = || view! { <Spoken sentences=Sentences::new() at_once /> }.to_html();
            let html = Owner::new().with(drawn);
            assert!(html.contains(&format!("aria-live=\"{live}\"")) && !html.contains("<p>"), "{html}");
            assert_eq!(html.contains("role=\"status\""), !at_once, "{html}");
        }
    }
}
