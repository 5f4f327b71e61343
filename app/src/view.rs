//! The one kind of view.

/// Like the macro of Leptos, but every view that it makes is of the one type [`AnyView`](leptos::prelude::AnyView) from
/// the start. The code that builds a view, takes it over and changes it is compiled for each type of views; so every
/// `Option`, list and closure of one more type is code that each visitor downloads.
macro_rules! view {
    ($($view:tt)*) => {
        ::leptos::prelude::IntoAny::into_any(::leptos::prelude::view! { $($view)* }.into_inner())
    };
}

pub(crate) use view;
