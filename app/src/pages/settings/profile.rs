//! What a person is called, and the address that they sign in with.

use super::with_user;
use crate::{
    components::{Field, TabTitle},
    forms::{FormState, Hooks, SaveForm, Typed, error_of},
    rules,
    server_fns::settings::SaveProfile,
    view,
};
use domain::User;
use leptos::{prelude::*, server_fn::ServerFn};

#[component]
pub fn ProfilePage() -> impl IntoView {
    let start = FormState::of_page();
    view! {
        <TabTitle text="Profile" />
        {with_user(move |user| view! { <ProfileForm user start=start.clone() /> })}
    }
}

#[component]
fn ProfileForm(user: RwSignal<Option<User>>, start: FormState) -> impl IntoView {
    let kept = StoredValue::new(start.clone());
    let value = move |field: &str, part: fn(&User) -> String| {
        let saved = user.with(|u| u.as_ref().map(part).unwrap_or_default());
        Some(kept.with_value(|form| form.typed_or(field, saved)))
    };
    let username = Signal::derive(move || value("", |u| u.username.clone()));
    let full_name = Signal::derive(move || value("full_name", |u| u.full_name.clone().unwrap_or_default()));
    let email = Signal::derive(move || value("email", |u| u.email.clone()));
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| rules::profile(&|field| typed.text(field)))),
        ..Hooks::default()
    };
    view! {
        <SaveForm
            action=SaveProfile::url()
            verb="Save profile"
            said="Your profile is saved."
            start
            hooks
            bar=true
            guarded=true
        >
            <Field
                label="Username"
                name="username"
                value=username
                help="Your username does not change."
                disabled=true
            />
            <Field
                label="Full name"
                name="full_name"
                value=full_name
                error=error_of("full_name")
                help="What InsightHub calls you. Leave it empty to be called by your username."
                maxlength=100
                autocomplete="name"
                optional=true
            />
            <Field
                label="E-mail"
                name="email"
                kind="email"
                value=email
                error=error_of("email")
                help="You sign in with it."
                autocomplete="email"
            />
        </SaveForm>
    }
}
