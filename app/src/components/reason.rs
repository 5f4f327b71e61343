//! Why a control beside it cannot be used now.

use crate::view;
use leptos::prelude::*;

#[component]
pub fn Reason(#[prop(into)] text: MaybeProp<&'static str>) -> impl IntoView {
    move || text.get().map(|text| view! { <span class="meta" data-paused="">{text}</span> })
}
