//! How things look: theme, density and language, in every browser of the person.

use super::with_user;
use crate::{
    components::{Icon, IconName, Note, Select, SelectOption, TabTitle, takes_cursor},
    forms::{FormState, Hooks, SaveForm, Typed, error_of},
    rules,
    server_fns::settings::SavePreferences,
    stores::Stores,
    view,
};
use domain::{
    User,
    resource::{Density, Language, Theme},
};
use leptos::{prelude::*, server_fn::ServerFn};

#[component]
pub fn PreferencesPage() -> impl IntoView {
    let start = FormState::of_page();
    view! {
        <TabTitle text="Preferences" />
        {with_user(move |user| view! { <PreferencesForm user start=start.clone() /> })}
    }
}

#[component]
fn PreferencesForm(user: RwSignal<Option<User>>, start: FormState) -> impl IntoView {
    let stores = Stores::expect();
    let language = Memo::new(move |_| user.with(|u| u.as_ref().map(|u| u.language).unwrap_or_default()));
    // The page shows a choice at once; it stays when it is saved, and goes back when it is not. The marks of the choices
    // follow what is saved, here or elsewhere.
    let saved = stores.saved_look();
    let saved = Memo::new(move |_| saved.get().unwrap_or((Theme::System, Density::default())));
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| rules::preferences(&|field| typed.text(field)))),
        typed: Some(Callback::new(move |typed: Typed| {
            if let (Ok(theme), Ok(density)) = (typed.text("theme").parse(), typed.text("density").parse()) {
                stores.show_look(theme, density);
            }
        })),
        ..Hooks::default()
    };
    on_cleanup(move || {
        if let Some((theme, density)) = saved.try_get_untracked() {
            stores.show_look(theme, density);
        }
    });
    let languages: Vec<_> =
        Language::ALL.iter().map(|l| SelectOption::new(l.as_str(), l.own_name())).collect();
    view! {
        <SaveForm
            action=SavePreferences::url()
            verb="Save preferences"
            said="Your preferences are saved."
            start
            hooks
            bar=true
            guarded=true
        >
            <Choice
                label="Theme"
                name="theme"
                chosen=Signal::derive(move || saved.get().0.as_str())
                options=vec![
                    (Theme::Light.as_str(), "Light", Some(IconName::Sun)),
                    (Theme::Dark.as_str(), "Dark", Some(IconName::Moon)),
                    (Theme::System.as_str(), "Like the system", Some(IconName::Auto)),
                ]
            />
            <Choice
                label="Density"
                name="density"
                chosen=Signal::derive(move || saved.get().1.as_str())
                options=vec![
                    (Density::Comfortable.as_str(), "Comfortable", None),
                    (Density::Compact.as_str(), "Compact", None),
                ]
            />
            <Select
                label="Language"
                name="language"
                options=languages
                value=Signal::derive(move || Some(language.get().as_str().to_owned()))
                error=error_of("language")
                help="The languages that InsightHub is translated into."
            />
        </SaveForm>
    }
}

/// One of a few, side by side.
#[component]
fn Choice(
    label: &'static str,
    name: &'static str,
    chosen: Signal<&'static str>,
    options: Vec<(&'static str, &'static str, Option<IconName>)>,
) -> impl IntoView {
    let error = error_of(name);
    let note = format!("{name}-note");
    let takes_cursor = takes_cursor(error.into());
    let described = note.clone();
    let option = move |(value, words, icon): (&'static str, &'static str, Option<IconName>)| {
        view! {
            <label>
                <input
                    type="radio"
                    name=name
                    value=value
                    checked=move || chosen.get() == value
                    autofocus=takes_cursor && chosen.get_untracked() == value
                    aria-invalid=move || error.get().map(|_| "true")
                    aria-describedby=described.clone()
                />
                {icon.map(|name| view! { <Icon name /> })}
                {words}
            </label>
        }
    };
    view! {
        <fieldset class="field" data-field=label>
            <legend class="field-label">{label}</legend>
            <div class="segmented">{options.into_iter().map(option).collect_view()}</div>
            <Note id=note error=error.into() />
        </fieldset>
    }
}
