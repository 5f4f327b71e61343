//! A field for what is searched for, with its sign.

use super::{Icon, IconName};
use crate::view;
use leptos::{html, prelude::*};

/// `label`: what it searches, also shown while it is empty; `name`: of the field in the address; `node`: for whoever
/// reads what is typed.
#[component]
pub fn SearchField(
    label: &'static str,
    name: &'static str,
    #[prop(into)] value: String,
    maxlength: u32,
    #[prop(optional)] node: NodeRef<html::Input>,
) -> impl IntoView {
    view! {
        <label class="search-box">
            <Icon name=IconName::Search />
            <span class="sr-only">{label}</span>
            <input
                class="input"
                type="search"
                name=name
                value=value
                placeholder=label
                autocomplete="off"
                maxlength=maxlength
                node_ref=node
            />
        </label>
    }
}
