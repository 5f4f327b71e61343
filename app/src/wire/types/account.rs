//! The person, and the settings.

use super::{FromJson, at, at_or};
use domain::{
    User,
    api_key::ApiKey,
    event::{SessionsChanged, SettingsChanged},
    export::Export,
    resource::{Density, Language, Notifications, Session},
};
use serde_json::Value;

objects! {
    User {
        id,
        username,
        email,
        full_name,
        theme,
        density or Density::default(),
        language or Language::default(),
        notifications or Notifications::default(),
        created_at,
    }
    Notifications { done, failed, stalled, sign_ins, desktop }
    Session { id, device, user_agent, ip, created_at, last_seen_at, expires_at, current }
    ApiKey { id, name, prefix, scopes, created_at, last_used_at, expires_at }
    Export { id, status, bytes, created_at, completed_at, expires_at, error }

    SettingsChanged { user, theme, rag_config, rev, export, sessions }
    SessionsChanged { signed_in }
}
