//! Views whose HTML the server keeps. On the server nothing that a row shows will ever change, and yet each word of it is
//! a signal of its own, for the browser's sake; that makes a row cost a tenth of a millisecond. A list has fifty of them,
//! and most say what they said at the last request.

use leptos::prelude::*;

/// What `draw` makes, a single element. The server keeps its HTML under what it `says`, which therefore has to name
/// everything that decides how it looks: nothing in here ever grows old. The browser just draws.
#[cfg(not(feature = "ssr"))]
pub fn kept(_says: impl FnOnce() -> String, draw: impl FnOnce() -> AnyView) -> AnyView {
    draw()
}

#[cfg(feature = "ssr")]
pub fn kept(says: impl FnOnce() -> String, draw: impl FnOnce() -> AnyView) -> AnyView {
    use leptos::tachys::html::InertElement;
    let says = says();
    if let Some(html) = server::read(&says) {
        return InertElement::new(html).into_any();
    }
    let html = draw().to_html();
    server::keep(says, &html);
    InertElement::new(html).into_any()
}

#[cfg(feature = "ssr")]
mod server {
    use hashlink::LruCache;
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    /// Some two kilobytes each.
    const MOST: usize = 4_096;
    /// What is longer than this is drawn each time: a few long ones would be worth as much memory as all others.
    const LONGEST: usize = 8 * 1_024;

    static KEPT: LazyLock<Mutex<LruCache<String, Box<str>>>> =
        LazyLock::new(|| Mutex::new(LruCache::new(MOST)));

    fn kept() -> MutexGuard<'static, LruCache<String, Box<str>>> {
        // Whoever panicked here left a whole cache behind.
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read(says: &str) -> Option<String> {
        kept().get(says).map(|html| html.to_string())
    }

    pub fn keep(says: String, html: &str) {
        if says.len() + html.len() <= LONGEST {
            kept().insert(says, html.into());
        }
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use crate::view;

    /// A view and how often it was drawn.
    fn shown(says: &str, text: &'static str, drawn: &mut u32) -> String {
        kept(
            || format!("kept::tests {says}"),
            || {
                *drawn += 1;
                view! { <p>{move || text}</p> }
            },
        )
        .to_html()
    }

    #[test]
    fn what_says_the_same_is_drawn_once_and_what_says_something_else_is_drawn() {
        Owner::new().with(|| {
            let mut drawn = 0;
            let first = shown("a", "<one>", &mut drawn);
            assert_eq!(first, view! { <p>{move || "<one>"}</p> }.to_html());
            assert_eq!((shown("a", "<one>", &mut drawn), drawn), (first, 1));
            assert!(shown("b", "two", &mut drawn).contains("two"));
            assert_eq!(drawn, 2);
        });
    }

    #[test]
    fn a_long_one_is_drawn_each_time() {
        Owner::new().with(|| {
            let mut drawn = 0;
            let long = "x".repeat(9_000);
            shown(&long, "long", &mut drawn);
            shown(&long, "long", &mut drawn);
            assert_eq!(drawn, 2);
        });
    }
}
