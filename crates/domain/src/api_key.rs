//! API keys: what they may do, and what may be entered when one is made. The key itself is drawn on the server and
//! shown once.

use crate::{
    ids::ApiKeyId,
    status::named,
    timestamp::Timestamp,
    validate::{FieldErrors, Invalid, KeyName},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// What a key may do.
    Scope, "scope" {
        /// Read data, search, and follow the live streams.
        Read = "read",
        /// Upload and change.
        Write = "write",
        /// Ask questions.
        Chat = "chat",
        /// Report the status of documents that a worker of one's own processes.
        StatusWrite = "status:write",
    }
);

/// Keys of one user, at most.
pub const MOST_KEYS: u32 = 50;
/// What a form without a scope is told.
pub const NO_SCOPE: &str = "Choose at least one thing that the key may do.";
/// The longest life of a key that expires, in days.
pub const MOST_DAYS: i64 = 3_650;
/// How every key begins, so that people and scanners of leaked secrets recognise it.
pub const KEY_PREFIX: &str = "ihk_";
/// Characters of a key that stay visible, so that its owner recognises it.
pub const VISIBLE: usize = 12;

/// A key as its owner sees it. The key itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// Its first characters.
    #[cfg_attr(feature = "openapi", schema(example = "ihk_0f3a91c2"))]
    pub prefix: String,
    /// In the order of the table of scopes.
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    /// To about a minute; null until it is used.
    pub last_used_at: Option<Timestamp>,
    /// From then on it is refused; null: never.
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewApiKey {
    pub key: ApiKey,
    /// The key itself. It is told this once; null when the same `Idempotency-Key` made it before.
    pub secret: Option<String>,
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey").field("id", &self.key.id).finish_non_exhaustive()
    }
}

/// The form of a new key, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKeyForm {
    pub name: String,
    pub scopes: Vec<String>,
    /// 1–3650; with neither of the two it never expires.
    pub expires_in_days: Option<i64>,
    /// A moment, RFC 3339.
    pub expires_at: Option<String>,
}

/// A form that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidApiKey {
    pub name: KeyName,
    /// At least one, each once, in the order of the table.
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Timestamp>,
}

fn bad_days() -> String {
    format!("Use 1 to {MOST_DAYS} days.")
}

/// In how many days a key expires, as a form sends it; nothing: never.
///
/// # Errors
/// The message for everything else.
pub fn days(text: &str) -> Result<Option<i64>, Invalid> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(days) if (1..=MOST_DAYS).contains(&days) => Ok(Some(days)),
            _ => Err(Invalid(vec![bad_days()])),
        },
    }
}

impl ApiKeyForm {
    /// # Errors
    /// The messages by field.
    pub fn check(&self, now: Timestamp) -> Result<ValidApiKey, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", KeyName::parse(&self.name));
        let scopes = self.scopes(&mut errors);
        let expires_at = self.expiry(now, &mut errors);
        match name {
            Some(name) if errors.is_empty() => Ok(ValidApiKey { name, scopes, expires_at }),
            _ => Err(errors),
        }
    }

    fn scopes(&self, errors: &mut FieldErrors) -> Vec<Scope> {
        let mut scopes = vec![];
        for text in &self.scopes {
            match text.parse() {
                Ok(scope) => scopes.push(scope),
                Err(_) => {
                    errors.add("scopes", "Use read, write, chat and status:write only.");
                    return vec![];
                }
            }
        }
        if scopes.is_empty() {
            errors.add("scopes", NO_SCOPE);
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    fn expiry(&self, now: Timestamp, errors: &mut FieldErrors) -> Option<Timestamp> {
        let latest = now.plus_seconds(MOST_DAYS * 86_400);
        let at = self.expires_at.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match (self.expires_in_days, at) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                errors.add("expires_at", "Say either in how many days the key expires, or when.");
                None
            }
            (Some(days), None) if (1..=MOST_DAYS).contains(&days) => Some(now.plus_seconds(days * 86_400)),
            (Some(_), None) => {
                errors.add("expires_in_days", bad_days());
                None
            }
            (None, Some(text)) => match Timestamp::parse(text) {
                Some(at) if at > now && at <= latest => Some(at),
                Some(_) => {
                    errors.add(
                        "expires_at",
                        format!("Use a moment in the future, at most {MOST_DAYS} days from now."),
                    );
                    None
                }
                None => {
                    errors.add("expires_at", "Use a moment such as 2030-01-31T12:00:00Z.");
                    None
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form() -> ApiKeyForm {
        ApiKeyForm { name: "backup".into(), scopes: vec!["read".into()], ..ApiKeyForm::default() }
    }

    const NOW: Timestamp = Timestamp::from_micros(1_760_000_000_000_000);

    #[test]
    fn scopes_come_out_once_and_in_order() {
        let scopes = ["status:write", "read", "chat", "read"].map(String::from).to_vec();
        let valid = ApiKeyForm { scopes, ..form() }.check(NOW).unwrap();
        assert_eq!(valid.scopes, [Scope::Read, Scope::Chat, Scope::StatusWrite]);
        assert_eq!((valid.name.as_str(), valid.expires_at), ("backup", None));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = ApiKeyForm { expires_in_days: Some(0), ..ApiKeyForm::default() };
        let errors = wrong.check(NOW).unwrap_err();
        assert_eq!(errors.of("name"), ["Use 1 to 60 characters."]);
        assert_eq!(errors.of("scopes"), ["Choose at least one thing that the key may do."]);
        assert_eq!(errors.of("expires_in_days"), ["Use 1 to 3650 days."]);
        let unknown = ApiKeyForm { scopes: vec!["read".into(), "admin".into()], ..form() };
        assert_eq!(
            unknown.check(NOW).unwrap_err().of("scopes"),
            ["Use read, write, chat and status:write only."]
        );
    }

    #[test]
    fn a_key_expires_in_the_future_and_within_ten_years() {
        let days = |days| ApiKeyForm { expires_in_days: Some(days), ..form() }.check(NOW);
        assert_eq!(days(1).unwrap().expires_at, Some(NOW.plus_seconds(86_400)));
        assert_eq!(days(3_650).unwrap().expires_at, Some(NOW.plus_seconds(3_650 * 86_400)));
        for wrong in [-1, 0, 3_651, i64::MAX, i64::MIN] {
            assert!(!days(wrong).unwrap_err().of("expires_in_days").is_empty(), "{wrong}");
        }
        let at = |at: String| ApiKeyForm { expires_at: Some(at), ..form() }.check(NOW);
        let soon = NOW.plus_seconds(1);
        assert_eq!(at(soon.to_string()).unwrap().expires_at, Some(soon));
        assert_eq!(at("  ".into()).unwrap().expires_at, None);
        for wrong in [NOW.to_string(), NOW.plus_seconds(3_650 * 86_400 + 1).to_string(), "tomorrow".into()] {
            assert!(!at(wrong.clone()).unwrap_err().of("expires_at").is_empty(), "{wrong}");
        }
        let both =
            ApiKeyForm { expires_in_days: Some(1), expires_at: Some(soon.to_string()), ..form() }.check(NOW);
        assert!(!both.unwrap_err().of("expires_at").is_empty());
    }

    #[test]
    fn a_new_key_never_shows_itself_by_accident() {
        let valid = form().check(NOW).unwrap();
        let key = ApiKey {
            id: ApiKeyId::new(uuid::Uuid::from_u128(1)),
            name: valid.name.into_string(),
            prefix: "ihk_00000000".into(),
            scopes: valid.scopes,
            created_at: NOW,
            last_used_at: None,
            expires_at: None,
        };
        let new = NewApiKey { key, secret: Some("ihk_secret".into()) };
        assert!(!format!("{new:?}").contains("secret\""), "{new:?}");
        assert!(!format!("{new:?}").contains("ihk_secret"), "{new:?}");
    }

    proptest! {
        #[test]
        fn any_form_is_either_taken_or_told_what_is_wrong(
            name in "\\PC{0,80}",
            scopes in proptest::collection::vec("read|write|chat|status:write|\\PC{0,8}", 0..5),
            days in proptest::option::of(any::<i64>()),
            at in proptest::option::of("\\PC{0,30}"),
        ) {
            let form = ApiKeyForm { name, scopes, expires_in_days: days, expires_at: at };
            match form.check(NOW) {
                Ok(valid) => {
                    prop_assert!(!valid.scopes.is_empty());
                    prop_assert!((1..=60).contains(&valid.name.as_str().chars().count()));
                    prop_assert!(valid.expires_at.is_none_or(|at| at > NOW));
                }
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }
}
