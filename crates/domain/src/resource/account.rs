//! A person, and what they chose.

use crate::{
    ids::{SessionId, UserId},
    status::named,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// The look that a person chose.
    Theme, "theme" { Light = "light", Dark = "dark", System = "system" }
);
named!(
    /// How much room rows and controls take.
    #[derive(Default)]
    Density, "density" { #[default] Comfortable = "comfortable", Compact = "compact" }
);
named!(
    /// The languages that the screen is translated into, by their tags.
    #[derive(Default)]
    Language, "language" { #[default] English = "en" }
);

impl Language {
    /// What it is called by those who speak it.
    pub const fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub email: String,
    pub full_name: Option<String>,
    pub theme: Theme,
    // Events that were logged before there was such a choice do not have it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub density: Density,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub language: Language,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub notifications: Notifications,
    pub created_at: Timestamp,
}

/// Of what a person wants to be told while they are at something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notifications {
    /// Work that ended as it should.
    pub done: bool,
    /// Work that failed, also in part.
    pub failed: bool,
    /// A document that gets nowhere.
    pub stalled: bool,
    /// Another browser that signed in to the account.
    pub sign_ins: bool,
    /// While nobody looks at a page, the system shows it, in the browsers that may.
    pub desktop: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { done: true, failed: true, stalled: true, sign_ins: true, desktop: false }
    }
}

impl User {
    /// What the header calls the person.
    pub fn display_name(&self) -> &str {
        self.full_name.as_deref().unwrap_or(&self.username)
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub id: SessionId,
    /// The browser and its system in plain words, such as "Firefox on Linux".
    pub device: String,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where the sign-in came from.
    pub ip: String,
    pub created_at: Timestamp,
    /// To about a minute.
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}
