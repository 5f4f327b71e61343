//! Changing the password: its rules tick as one types, and all other sessions end with the old one.
use crate::{
    components::{Field, Icon, IconName, TabTitle},
    forms::{Afterwards, FormState, Hooks, SaveForm, Typed, error_of},
    rules,
    server_fns::settings::{ChangePassword, password_said},
    view,
};
use domain::validate::password_rules;
use leptos::{prelude::*, server_fn::ServerFn};

#[component]
pub fn PasswordPage() -> impl IntoView {
    let start = FormState::of_page();
    let new = RwSignal::new(String::new());
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| rules::password(&|field| typed.text(field)))),
        typed: Some(Callback::new(move |typed: Typed| new.set(typed.text("new_password")))),
        saved: Some(Callback::new(|ended: serde_json::Value| ended.as_u64().map(password_said))),
    };
    view! {
        <TabTitle text="Password" />
        <SaveForm
            action=ChangePassword::url()
            verb="Change password"
            said="Your password is changed."
            start
            hooks
            afterwards=Afterwards::Clear
            guarded=true
        >
            <p class="muted">
                "All your other sessions end when you change your password. This browser stays signed in."
            </p>
            <Field
                label="Current password"
                name="current_password"
                kind="password"
                error=error_of("current_password")
                autocomplete="current-password"
            />
            <Field
                label="New password"
                name="new_password"
                kind="password"
                error=error_of("new_password")
                autocomplete="new-password"
            />
            <ul class="rules" aria-label="Rules for the new password">
                {move || {
                    let typed = new.get();
                    password_rules(&typed)
                        .map(|(sentence, kept)| view! { <Rule sentence kept /> })
                        .collect_view()
                }}
            </ul>
            <Field
                label="New password again"
                name="repeated_password"
                kind="password"
                error=error_of("repeated_password")
                autocomplete="new-password"
            />
        </SaveForm>
    }
}

#[component]
fn Rule(sentence: &'static str, kept: bool) -> impl IntoView {
    view! {
        <li class="rule" data-kept=kept.then_some("")>
            <Icon name=if kept { IconName::Check } else { IconName::Circle } />
            {sentence}
            <span class="sr-only">{if kept { " (kept)" } else { " (not yet)" }}</span>
        </li>
    }
}
