//! The screen of InsightHub: pages, components, stores and the live link. Rendered by the server (feature `ssr`) and
//! hydrated in the browser (feature `hydrate`). No web framework and no database is named here, save `leptos_axum` in
//! the one helper module [`ssr`].

pub mod components;
