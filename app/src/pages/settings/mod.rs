//! The settings: a frame with one tab for each page, and the pages in it.

mod account;
mod api_keys;
mod notifications;
mod password;
mod preferences;
mod profile;
mod sessions;

pub use account::AccountPage;
pub use api_keys::ApiKeysPage;
pub use notifications::NotificationsPage;
pub use password::PasswordPage;
pub use preferences::PreferencesPage;
pub use profile::ProfilePage;
pub use sessions::SessionsPage;

use super::problem::{Around, ProblemView};
use crate::{
    components::{PageHeader, RowsSkeleton},
    layout::{ShellData, part, take_shell},
    live::{Live, Screen},
    paths,
    stores::Stores,
    view,
    wire::Wire,
};
use domain::User;
use leptos::prelude::*;
use leptos_router::{components::Outlet, hooks::use_location};

/// The tabs, in their order.
const TABS: [(&str, &str); 8] = [
    (paths::SETTINGS_PROFILE, "Profile"),
    (paths::SETTINGS_PASSWORD, "Password"),
    (paths::SETTINGS_PREFERENCES, "Preferences"),
    (paths::SETTINGS_NOTIFICATIONS, "Notifications"),
    (paths::SETTINGS_RAG, "RAG config"),
    (paths::SETTINGS_SESSIONS, "Sessions"),
    (paths::SETTINGS_API_KEYS, "API keys"),
    (paths::SETTINGS_ACCOUNT, "Account"),
];

#[component]
pub fn SettingsFrame() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Around { has_heading: true, needs_title: false });
    let path = use_location().pathname;
    let tab = move |(href, words): (&'static str, &'static str)| {
        view! {
            <a class="tab" href=href aria-current=move || (path.get() == href).then_some("page")>
                {words}
            </a>
        }
    };
    view! {
        <div class="page">
            <PageHeader title="Settings" />
            <nav class="tabs" aria-label="Settings">
                {TABS.map(tab).collect_view()}
            </nav>
            <div class="settings">
                <Outlet />
            </div>
        </div>
    }
}

/// A page that shows what the person's account says: `show` renders it once that is read.
fn with_user<V: IntoView + 'static>(
    show: impl Fn(RwSignal<Option<User>>) -> V + Clone + Send + Sync + 'static,
) -> impl IntoView {
    let ShellData(shell) = expect_context();
    view! {
        <Suspense fallback=|| view! { <RowsSkeleton rows=4 /> }>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                match shell.await {
                    Ok(Wire(shell)) => {
                        let take = |stores: Stores, live: Live| take_shell(stores, live, &shell);
                        part(&take, move || show(RwSignal::from(Stores::expect().user()))).into_any()
                    }
                    Err(error) => {
                        let retry = Callback::new(move |()| shell.refetch());
                        view! { <ProblemView error what="account" retry /> }
                    }
                }
            })}}
        </Suspense>
    }
}
