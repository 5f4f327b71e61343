//! The screen of InsightHub: pages, components, stores and the live link. Rendered by the server (feature `ssr`) and
//! hydrated in the browser (feature `hydrate`). No web framework and no database is named here, save `leptos_axum` in
//! the one helper module [`ssr`].
#![recursion_limit = "256"]

mod activity;
mod app;
mod clock;
pub mod components;
mod document;
#[cfg(feature = "ssr")]
mod early;
mod effect;
mod error;
mod forms;
mod kept;
mod layout;
pub mod live;
mod locks;
mod pages;
pub mod paths;
pub mod rules;
#[cfg(any(test, all(feature = "ssr", debug_assertions)))]
#[cfg_attr(not(test), allow(dead_code, reason = "the gallery of components needs a part of it"))]
mod samples;
pub mod server_fns;
#[cfg(feature = "ssr")]
pub mod ssr;
pub mod stores;
mod undo;
pub mod upload;
mod view;
pub mod wire;

pub use app::App;
#[cfg(feature = "ssr")]
pub use document::shell;
pub use error::AppError;
pub(crate) use view::view;

/// Hydrates the page that the server rendered; the entry of the WASM.
#[cfg(feature = "hydrate")]
pub fn hydrate() {
    // A panic ends all that moves on the page, so the page has to say so and offer the way out.
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        document::mark("data-crashed", "");
    }));
    // Nothing of the page runs before all of it is there: an effect or a click in between would change what has yet to
    // be taken over.
    wasm_bindgen_futures::spawn_local(async {
        for part in pages::parts_here() {
            if part.fetch().await.is_err() {
                // The page stays as the server rendered it, and says so.
                return document::mark("data-crashed", "");
            }
        }
        leptos::mount::hydrate_body(App);
    });
}
