//! Changes of what a person is told.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

/// A box that is not ticked is not sent.
#[server(prefix = "/_fn", endpoint = "settings/save_notifications", output = Answer)]
pub async fn save_notifications(
    #[server(default)] done: bool,
    #[server(default)] failed: bool,
    #[server(default)] stalled: bool,
    #[server(default)] sign_ins: bool,
    #[server(default)] desktop: bool,
) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_NOTIFICATIONS, ssr};
    use services::{PreferencesForm, ports::NotificationsEdit};
    let (services, who) = ssr::signed_in()?;
    let notifications = NotificationsEdit {
        done: Some(done),
        failed: Some(failed),
        stalled: Some(stalled),
        sign_ins: Some(sign_ins),
        desktop: Some(desktop),
    };
    let form = PreferencesForm { notifications, ..PreferencesForm::default() };
    let saved = services.edit_preferences(who.user.id, form).await;
    ssr::finish(
        saved.map(|_| ()),
        ssr::Form {
            page: SETTINGS_NOTIFICATIONS,
            next: SETTINGS_NOTIFICATIONS,
            values: &[],
            said: "Your notifications are saved.",
        },
    )
}
