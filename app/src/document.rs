//! The HTML document around every page: what the browser loads, and the attributes of `<html>` that tell style sheet
//! and tests how the page stands.

#[cfg(feature = "ssr")]
use crate::view;
#[cfg(feature = "ssr")]
use crate::{app::App, components::Link, early::EarlyParts, ssr};
#[cfg(feature = "ssr")]
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use leptos_meta::{HashedStylesheet, MetaTags};

/// Pages that are plain HTML: no script and no font is fetched for them.
#[cfg(feature = "ssr")]
const PLAIN: [&str; 2] = ["/signin", "/signup"];
/// Pages of the development build that are looked at and never hydrated.
#[cfg(feature = "ssr")]
const STILL: [&str; 1] = ["/components"];

/// The document; the server renders every page through it.
#[cfg(feature = "ssr")]
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let path = ssr::request_path();
    let (theme, density, language) = ssr::look();
    let plain = PLAIN.contains(&path.as_str());
    let hydrates = !plain && !STILL.contains(&path.as_str());
    view! {
        <!DOCTYPE html>
        <html
            lang=language.as_str()
            data-theme=theme.as_str()
            data-density=density.as_str()
            data-live=Link::Closed.as_str()
            data-transport="ws"
            data-session=ssr::session()
        >
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <HashedStylesheet options=options.clone() id="look" />
                {hydrates.then(|| view! {
                    <AutoReload options=options.clone() />
                    <HydrationScripts options=options.clone() />
                    <EarlyParts options=options.clone() path />
                })}
                <MetaTags />
            </head>
            <body class:font-system=plain>
                <App />
            </body>
        </html>
    }
}

/// What is told apart by the attribute of `<html>` of that name; in the browser only.
pub fn marked(name: &str) -> Option<String> {
    leptos::prelude::document().document_element()?.get_attribute(name)
}

/// Changes the icon of the browser's tab.
pub fn set_icon(href: &str) {
    let icon = leptos::prelude::document().query_selector("link[rel=icon]").ok().flatten();
    if let Some(icon) = icon {
        let _ = icon.set_attribute("href", href);
    }
}

/// Listens on the window before anybody below it does, for as long as the owner is there.
pub fn caught(event: &'static str, hear: impl Fn(web_sys::Event) + 'static) {
    use leptos::prelude::{StoredValue, WithValue, on_cleanup, window};
    use wasm_bindgen::{JsCast, closure::Closure};
    let closure = Closure::<dyn Fn(web_sys::Event)>::new(hear);
    let options = web_sys::AddEventListenerOptions::new();
    options.set_capture(true);
    let _ = window().add_event_listener_with_callback_and_add_event_listener_options(
        event,
        closure.as_ref().unchecked_ref(),
        &options,
    );
    let held = StoredValue::new_local(closure);
    on_cleanup(move || {
        held.try_with_value(|closure| {
            let hear = closure.as_ref().unchecked_ref();
            let _ = window().remove_event_listener_with_callback_and_bool(event, hear, true);
        });
    });
}

/// Sets an attribute of `<html>`; in the browser only.
pub fn mark(name: &str, value: &str) {
    let root = leptos::prelude::document().document_element();
    if let Some(root) = root {
        let _ = root.set_attribute(name, value);
    }
}
