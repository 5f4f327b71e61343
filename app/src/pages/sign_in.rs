//! Signing in: plain HTML, rendered by the server and never hydrated.

#[cfg(feature = "ssr")]
mod plain;
#[cfg(feature = "ssr")]
pub use plain::SignInPage;
#[cfg(feature = "ssr")]
pub(super) use plain::{AuthCard, way_on};

/// Whoever comes here inside of the running page gets the plain one instead.
#[cfg(not(feature = "ssr"))]
pub use elsewhere::Reload as SignInPage;

#[cfg(not(feature = "ssr"))]
pub(super) mod elsewhere {
    use leptos::prelude::*;

    #[component]
    pub fn Reload() -> impl IntoView {
        crate::effect::effect(|| {
            let _ = window().location().reload();
        });
    }
}
