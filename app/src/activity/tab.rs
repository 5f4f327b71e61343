//! The browser's tab: the percentage before the title, and a ring around the icon, while a job runs.

#[cfg(not(feature = "ssr"))]
use super::Activity;
use crate::document::set_icon;
use crate::effect::effect_after;
use leptos::prelude::*;

/// The ring has so many lengths, one file each.
const LENGTHS: u8 = 8;

#[cfg(not(feature = "ssr"))]
/// A title, with the percentage while something runs: "(62 %) My documents · InsightHub".
pub fn titled(title: &str) -> String {
    // Pages without a frame have no activity.
    match use_context::<Activity>().and_then(|activity| activity.percent.get()) {
        Some(percent) => format!("({percent} %) {title}"),
        None => title.to_owned(),
    }
}

/// Keeps the icon true; in the browser alone.
pub fn keep(percent: Memo<Option<u8>>) {
    let length = Memo::new(move |_| percent.get().map(|p| p.min(99) / (100 / LENGTHS + 1)));
    effect_after(move |before: Option<Option<u8>>| {
        let now = length.get();
        if before.flatten() != now {
            match now {
                Some(length) => set_icon(&format!("/icons/busy-{length}.svg")),
                None => set_icon("/favicon.svg"),
            }
        }
        now
    });
}
