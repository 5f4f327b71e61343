//! The icons: outlines on a grid of 16, drawn inline so that they are there with the first paint. An icon is always
//! hidden from screen readers; the word beside it, or the label of its button, says what it means.

use crate::view;
use leptos::prelude::*;

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $body:expr),+ $(,)?) => {
        /// The drawings that there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum IconName { $($(#[$doc])* $name),+ }

        impl IconName {
            pub const ALL: &'static [(&'static str, IconName)] = &[$((stringify!($name), IconName::$name)),+];

            /// What stands inside the `<svg>`.
            pub const fn body(self) -> &'static str {
                match self { $(IconName::$name => $body),+ }
            }
        }
    };
}

/// The outline of a sheet with a folded corner, before what tells the type.
macro_rules! sheet {
    ($inner:literal) => {
        concat!(
            r#"<path d="M9.25 1.75H4.5c-.7 0-1.25.55-1.25 1.25v10c0 .7.55 1.25 1.25 1.25h7c.7 0 1.25-.55 1.25-1.25V5.25zv3.5h3.5"/>"#,
            $inner
        )
    };
}

icons! {
    // States
    Clock = r#"<circle cx="8" cy="8" r="5.75"/><path d="M8 4.75V8l2.25 1.5"/>"#,
    CheckCircle = r#"<circle cx="8" cy="8" r="5.75"/><path d="m5.5 8.25 1.75 1.75 3.25-3.75"/>"#,
    /// Ready, with a word of warning.
    CheckDot = r#"<path d="M13.6 6.6A5.75 5.75 0 1 1 9.4 2.4M5.5 8.25l1.75 1.75 3.25-3.75"/><circle class="icon-dot" cx="12.75" cy="3.25" r="2.25"/>"#,
    Pause = r#"<path d="M5.75 3.75v8.5M10.25 3.75v8.5" stroke-width="2"/>"#,
    Retry = r#"<path d="M13.25 8a5.25 5.25 0 1 1-1.6-3.77l1.6 1.52m0-3v3h-3"/>"#,
    CrossCircle = r#"<circle cx="8" cy="8" r="5.75"/><path d="m6 6 4 4m0-4-4 4"/>"#,
    SlashCircle = r#"<circle cx="8" cy="8" r="5.75"/><path d="m4 4 8 8"/>"#,
    Refresh = r#"<path d="M2.75 8a5.25 5.25 0 0 1 8.9-3.77l1.6 1.52m0-3v3h-3M13.25 8a5.25 5.25 0 0 1-8.9 3.77l-1.6-1.52m0 3v-3h3"/>"#,
    LinkBroken = r#"<path d="M6.75 4.5 8 3.2a3.4 3.4 0 0 1 4.8 4.8l-1.3 1.25M9.25 11.5 8 12.8A3.4 3.4 0 0 1 3.2 8l1.3-1.25M2.25 4.75h1.5m1-2.5v1.5m9 7.5h-1.5m-1 2.5v-1.5"/>"#,
    Skip = r#"<path d="M3.5 3.75v8.5L9.75 8zM12.25 3.75v8.5"/>"#,
    /// Not begun: a circle without content.
    Circle = r#"<circle cx="8" cy="8" r="5.75"/>"#,
    Warning = r#"<path d="M8 2.25 14.25 13.25H1.75zM8 6.5v3m0 1.85v.05"/>"#,
    Info = r#"<circle cx="8" cy="8" r="5.75"/><path d="M8 7.5v3.25m0-5.5v.05"/>"#,
    // Deeds
    Upload = r#"<path d="M8 10.25V2.5M4.75 5.75 8 2.5l3.25 3.25M2.75 10.25v2c0 .55.45 1 1 1h8.5c.55 0 1-.45 1-1v-2"/>"#,
    Search = r#"<circle cx="7" cy="7" r="4.5"/><path d="m10.4 10.4 3.1 3.1"/>"#,
    Plus = r#"<path d="M8 3v10M3 8h10"/>"#,
    Cross = r#"<path d="m4 4 8 8m0-8-8 8"/>"#,
    Check = r#"<path d="M3 8.5 6.25 12 13 4.5"/>"#,
    Play = r#"<path d="M4.75 3v10l8-5z"/>"#,
    Trash = r#"<path d="M2.75 4.25h10.5m-7 0v-1c0-.55.45-1 1-1h1.5c.55 0 1 .45 1 1v1m-5.5 0 .5 8.1c.04.65.6 1.15 1.25 1.15h4c.65 0 1.2-.5 1.25-1.15l.5-8.1"/>"#,
    Menu = r#"<path d="M2.5 4.5h11M2.5 8h11m-11 3.5h11"/>"#,
    Sidebar = r#"<rect x="2.25" y="2.75" width="11.5" height="10.5" rx="1.5"/><path d="M6.25 2.75v10.5"/>"#,
    More = r#"<path d="M3.5 8h.01M8 8h.01m4.49 0h.01" stroke-width="2.25"/>"#,
    SignOut = r#"<path d="M6.25 13.25h-2.5c-.55 0-1-.45-1-1v-8.5c0-.55.45-1 1-1h2.5m4.25 8.5L13.75 8 10.5 4.75M13.5 8H6.25"/>"#,
    Settings = r#"<path d="M2.5 5h5.75m3.5 0h1.75M2.5 11h1.75m3.5 0h5.75"/><circle cx="10" cy="5" r="1.75"/><circle cx="6" cy="11" r="1.75"/>"#,
    Edit = r#"<path d="m9.75 3.75 2.5 2.5M3 13l.6-2.9 6.9-6.9a1.4 1.4 0 0 1 2 0l.3.3a1.4 1.4 0 0 1 0 2L5.9 12.4z"/>"#,
    ChevronRight = r#"<path d="M6 3.5 10.5 8 6 12.5"/>"#,
    ChevronLeft = r#"<path d="M10 3.5 5.5 8l4.5 4.5"/>"#,
    ChevronDown = r#"<path d="M3.5 6 8 10.5 12.5 6"/>"#,
    // Things
    User = r#"<circle cx="8" cy="5.25" r="2.75"/><path d="M2.75 13.5c.55-2.6 2.6-4 5.25-4s4.7 1.4 5.25 4"/>"#,
    Workspace = r#"<path d="M8 2.25 14 5.5 8 8.75 2 5.5zM2.25 8.5 8 11.65l5.75-3.15"/>"#,
    Sun = r#"<circle cx="8" cy="8" r="2.75"/><path d="M8 1.5v.75m0 11.5v.75M1.5 8h.75m11.5 0h.75M3.4 3.4l.55.55m8.1 8.1.55.55m-9.2 0 .55-.55m8.1-8.1.55-.55"/>"#,
    Moon = r#"<path d="M13.5 9.6A5.75 5.75 0 1 1 6.4 2.5a4.5 4.5 0 0 0 7.1 7.1z"/>"#,
    /// As the system says: half light, half dark.
    Auto = r#"<circle cx="8" cy="8" r="5.75"/><path d="M8 2.25a5.75 5.75 0 0 1 0 11.5z" fill="currentColor"/>"#,
    Chat = r#"<path d="M3.5 2.75h9c.55 0 1 .45 1 1v6.5c0 .55-.45 1-1 1H7.75L4.5 13.5v-2.25h-1c-.55 0-1-.45-1-1v-6.5c0-.55.45-1 1-1zM5.25 5.75h5.5m-5.5 2.5h3.5"/>"#,
    Globe = r#"<circle cx="8" cy="8" r="5.75"/><path d="M2.5 8h11M8 2.25c3.6 3.3 3.6 8.2 0 11.5-3.6-3.3-3.6-8.2 0-11.5z"/>"#,
    Download = r#"<path d="M8 2.5v8m-3.25-3.25L8 10.5l3.25-3.25M2.75 13.5h10.5"/>"#,
    Activity = r#"<path d="M1.75 8.25h2.5l2-5.25 3.5 10 2-4.75h2.5"/>"#,
    // Types of files
    File = sheet!(""),
    FileText = sheet!(r#"<path d="M5.75 7.75h4.5m-4.5 2h4.5m-4.5 2h2.5" stroke-width="1.2"/>"#),
    FilePdf = sheet!(r#"<path d="M5.7 12c2.4-1 3.3-4.3 2.4-5-.7-.2-.7 2.9 2.5 3.5-2-.2-3.7.2-4.9 1.5z" stroke-width="1.1"/>"#),
    FileHtml = sheet!(r#"<path d="M6.9 7.75 5.25 9.6l1.65 1.85m2.2-3.7 1.65 1.85-1.65 1.85" stroke-width="1.2"/>"#),
    FileMarkdown = sheet!(r#"<path d="M7.1 7.5 6.5 12m3-4.5L8.9 12M5.5 8.8h5m-5.2 2h5" stroke-width="1.1"/>"#),
    FileWord = sheet!(r#"<path d="m5.35 7.75 1.2 4L8 8.5l1.45 3.25 1.2-4" stroke-width="1.2"/>"#),
    FileTable = sheet!(r#"<path d="M5.5 7.5h5v4.25h-5zm0 2.1h5M8 7.5v4.25" stroke-width="1.1"/>"#),
    FileJson = sheet!(r#"<path d="M7 7.35c-1.3 0-.6 1.9-1.6 2.25 1 .35.3 2.25 1.6 2.25m2-4.5c1.3 0 .6 1.9 1.6 2.25-1 .35-.3 2.25-1.6 2.25" stroke-width="1.1"/>"#),
}

/// An icon that stays as it is. `size`: 16 or 20, in CSS pixels; the stroke is 1.5 pixels in both.
#[component]
pub fn Icon(name: IconName, #[prop(default = 16)] size: u8) -> impl IntoView {
    view! { <svg class=class_of(size) viewBox="0 0 16 16" aria-hidden="true" inner_html=name.body()></svg> }
}

/// An icon that follows a signal.
#[component]
pub fn LiveIcon(#[prop(into)] name: Signal<IconName>, #[prop(default = 16)] size: u8) -> impl IntoView {
    view! {
        <svg class=class_of(size) viewBox="0 0 16 16" aria-hidden="true" inner_html=move || name.get().body()></svg>
    }
}

const fn class_of(size: u8) -> &'static str {
    match size {
        32 => "icon icon-32",
        20 => "icon icon-20",
        _ => "icon",
    }
}

/// The mark of InsightHub: a hub with an open ring. The favicon is the same drawing.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
            <rect class="logo-ground" width="32" height="32" rx="8" />
            <path class="logo-ink" d="M23.6 11.6A8.8 8.8 0 1 1 16 7.2" stroke-width="3" stroke-linecap="round" />
            <circle class="logo-dot" cx="16" cy="16" r="3.2" />
            <circle class="logo-dot" cx="20.9" cy="8.7" r="1.8" />
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_draws_something_of_its_own_without_a_style() {
        let mut seen = std::collections::HashSet::new();
        for (name, icon) in IconName::ALL {
            assert!(icon.body().starts_with('<'), "{name} is empty");
            assert!(!icon.body().contains("style="), "{name} has a style");
            assert!(seen.insert(icon.body()), "{name} is drawn like another");
        }
    }
}
