//! Accounts: signing up, in and out, finding out who asks, and what a person may change of the own account.

mod device;
mod password;
mod preferences;
mod profile;
mod seals;
mod sessions;
mod sign_in;

pub use password::{ChangePassword, PasswordChanged};
pub use preferences::PreferencesForm;
pub use profile::{ProfileChanged, ProfileForm};
pub use seals::Seals;
pub use sessions::Standing;
pub use sign_in::{SignIn, SignUp};

use crate::{Error, hex::hex, ports::StoreError};
use domain::{Problem, SessionId, Timestamp, User, UserId};
use sha2::{Digest, Sha256};
use std::fmt;

/// The browser or program that asks: where it is, and what it holds of earlier sign-ins.
#[derive(Clone, Default)]
pub struct Client {
    pub user_agent: String,
    pub ip: String,
    /// The session that it is signed in with; a new sign-in takes its place.
    pub session: Option<Held>,
    /// The mark that an earlier sign-in left there, as it came.
    pub device: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session.as_ref().map(|held| held.session_id);
        f.debug_struct("Client").field("ip", &self.ip).field("session", &session).finish_non_exhaustive()
    }
}

/// A live session in the hands of who asks.
#[derive(Clone)]
pub struct Held {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub token: String,
}

/// A session with its token, which goes into the cookie and nowhere else.
#[derive(Clone)]
pub struct SignedIn {
    pub user: User,
    pub session_id: SessionId,
    pub token: String,
    pub expires_at: Timestamp,
    /// The mark by which this browser is known at its next sign-in, for a cookie of its own; `None`: it keeps its own.
    pub device: Option<String>,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").field("user", &self.user.id).finish_non_exhaustive()
    }
}

/// The one who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Who {
    pub user: User,
    pub session_id: SessionId,
}

const EMAIL_TAKEN: &str = "This e-mail address is taken.";

/// Where a name or an address belongs to somebody else: 409 at its field.
fn taken(e: StoreError) -> Error {
    let (code, field, message) = match e {
        StoreError::Taken("users_username_key") => ("username_taken", "username", "This username is taken."),
        StoreError::Taken("users_email_key") => ("email_taken", "email", EMAIL_TAKEN),
        other => return other.into(),
    };
    Error::Problem(Box::new(Problem::conflict(code, field, message)))
}

/// What is kept of a secret that a client holds.
pub(crate) fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_token_is_kept_as_its_hash() {
        assert_eq!(token_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_a_client_holds_is_never_shown() {
        let (user_id, session_id) = (UserId::new(Uuid::nil()), SessionId::new(Uuid::nil()));
        let held = Held { user_id, session_id, token: "tok".into() };
        let client = Client { session: Some(held), device: Some("dev".into()), ..Client::default() };
        let text = format!("{client:?}");
        assert!(!text.contains("tok") && !text.contains("dev"), "{text}");
    }
}
