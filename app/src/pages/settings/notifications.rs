//! Of what a person is told while they are at something else, in every browser; and whether this browser may show it
//! while nobody looks at a page.

use super::with_user;
use crate::{
    activity::desktop::{self, Permission},
    components::{Button, TabTitle},
    effect::effect,
    forms::{FormState, SaveForm},
    server_fns::settings::SaveNotifications,
    view,
};
use domain::{User, resource::Notifications};
use leptos::{ev, prelude::*, server_fn::ServerFn, task::spawn_local};

#[component]
pub fn NotificationsPage() -> impl IntoView {
    let start = FormState::of_page();
    view! {
        <TabTitle text="Notifications" />
        {with_user(move |user| view! { <NotificationsForm user start=start.clone() /> })}
    }
}

#[component]
fn NotificationsForm(user: RwSignal<Option<User>>, start: FormState) -> impl IntoView {
    let saved = Memo::new(move |_| user.with(|u| u.as_ref().map(|u| u.notifications)).unwrap_or_default());
    let is = move |part: fn(Notifications) -> bool| Signal::derive(move || part(saved.get()));
    view! {
        <SaveForm
            action=SaveNotifications::url()
            verb="Save notifications"
            said="Your notifications are saved."
            start
            bar=true
            guarded=true
        >
            <p class="muted">
                "A notice comes once, on the page that you look at, whichever that is. It needs JavaScript; what you choose here holds in all your browsers."
            </p>
            <fieldset class="field">
                <legend class="field-label">"Tell me when"</legend>
                <div class="stack gap-2">
                    <Choice
                        label="Work is done"
                        name="done"
                        about="all files of an upload, or of a new indexing, are ready"
                        checked=is(|n| n.done)
                    />
                    <Choice
                        label="Something failed"
                        name="failed"
                        about="some files, or all of them, could not be made ready"
                        checked=is(|n| n.failed)
                    />
                    <Choice
                        label="A document stalls"
                        name="stalled"
                        about="it gets nowhere, and is tried again"
                        checked=is(|n| n.stalled)
                    />
                    <Choice
                        label="Another browser signs in"
                        name="sign_ins"
                        about="to your account, whoever it is"
                        checked=is(|n| n.sign_ins)
                    />
                </div>
            </fieldset>
            <fieldset class="field">
                <legend class="field-label">"While you look at another window"</legend>
                <div class="stack gap-2">
                    <Choice
                        label="Tell me by a notification of the system"
                        name="desktop"
                        about="instead of waiting until you come back; a page has to be open, in a browser that allows it"
                        checked=is(|n| n.desktop)
                    />
                    <ThisBrowser />
                </div>
            </fieldset>
        </SaveForm>
    }
}

#[component]
fn Choice(
    label: &'static str,
    name: &'static str,
    about: &'static str,
    checked: Signal<bool>,
) -> impl IntoView {
    view! {
        <label class="check" data-field=label>
            <input type="checkbox" name=name value="true" checked=move || checked.get() />
            <span>
                {label}
                <span class="muted">" · " {about}</span>
            </span>
        </label>
    }
}

/// What the browser in front of the person does, which no server can know, and the way to ask it. It only asks after a
/// click.
#[component]
fn ThisBrowser() -> impl IntoView {
    let permission = RwSignal::new(None::<Permission>);
    let look = move || {
        permission.try_set(Some(Permission::of_browser()));
    };
    effect(move || {
        look();
        // Somebody may come back from the browser's settings.
        let back = window_event_listener(ev::focus, move |_| look());
        on_cleanup(move || back.remove());
    });
    let ask = move |_| {
        spawn_local(async move {
            let answer = desktop::ask().await;
            permission.try_set(Some(answer));
        });
    };
    view! {
        <div class="row" data-scripted="" data-permission=move || permission.get().map(key)>
            <p class="muted" role="status">
                {move || permission.get().map(sentence)}
            </p>
            {move || {
                (permission.get() == Some(Permission::Unasked))
                    .then(|| view! { <Button on:click=ask>"Allow in this browser"</Button> })
            }}
        </div>
        <p class="muted" data-unscripted="">
            "Whether this browser allows it can be asked with JavaScript only."
        </p>
    }
}

const fn key(permission: Permission) -> &'static str {
    match permission {
        Permission::Missing => "missing",
        Permission::Insecure => "insecure",
        Permission::Unasked => "unasked",
        Permission::Granted => "granted",
        Permission::Refused => "refused",
    }
}

const fn sentence(permission: Permission) -> &'static str {
    match permission {
        Permission::Missing => "This browser cannot show notifications of pages.",
        Permission::Insecure => "This browser shows notifications only of pages that come over HTTPS.",
        Permission::Unasked => "This browser does not show them yet.",
        Permission::Granted => "This browser shows them.",
        Permission::Refused => "This browser refuses them. Its settings for this site can allow them.",
    }
}
