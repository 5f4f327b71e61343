//! Signing up, in and out, and finding out who asks.

use crate::{
    Error, Result, Services,
    ports::{NewSession, NewUser, NewWorkspace, Signal, StoreError},
};
use domain::{
    FieldErrors, Problem, SessionId, Timestamp, User, UserId, WorkspaceId, WorkspaceStatus, message,
    rag::RagConfig,
    resource::Theme,
    validate::{Description, Email, FullName, Password, Username, WorkspaceName},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The sign-up form, as it was typed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SignUp {
    pub username: String,
    pub email: String,
    pub password: String,
    #[serde(default)]
    pub full_name: Option<String>,
}

/// The sign-in form, as it was typed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SignIn {
    pub email: String,
    pub password: String,
}

/// Where a sign-in comes from, for the list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub user_agent: String,
    pub ip: String,
}

/// A new sign-in session. The token goes into the cookie and nowhere else.
#[derive(Clone)]
pub struct SignedIn {
    pub user: User,
    pub session_id: SessionId,
    pub token: String,
    pub expires_at: Timestamp,
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

impl Services {
    /// Makes the account with its first workspace, "My documents", and signs in.
    ///
    /// # Errors
    /// `Invalid` by field; 409 with the message at the field for a taken name or address; 429 `too_many_sign_ups`.
    pub async fn sign_up(&self, form: SignUp, client: Client) -> Result<SignedIn> {
        let mut errors = FieldErrors::default();
        let username = errors.take("username", Username::parse(&form.username));
        let email = errors.take("email", Email::parse(&form.email));
        let password = errors.take("password", Password::parse(&form.password));
        let full_name =
            errors.take("full_name", FullName::parse(form.full_name.as_deref().unwrap_or_default()));
        let (Some(username), Some(email), Some(password), Some(full_name)) =
            (username, email, password, full_name)
        else {
            return Err(Error::Invalid(errors));
        };
        self.door.sign_up(&client.ip, self.clock.now()).map_err(|seconds| {
            let sentence = format!(
                "Too many accounts were made from this address. Try again in {}.",
                message::duration(seconds)
            );
            Error::Problem(Box::new(Problem::too_often("too_many_sign_ups", sentence, seconds)))
        })?;
        let password_hash = self.hasher.hash(password.secret().to_owned()).await?;
        let now = self.clock.now();
        let id = UserId::new(self.ids.uuid());
        let user = NewUser { id, username, email, full_name, password_hash, created_at: now };
        // Both texts keep their rules; a test says so.
        let (Ok(name), Ok(description)) = (WorkspaceName::parse("My documents"), Description::parse(""))
        else {
            return Err(Error::problem(500, "internal", "The first workspace has no name."));
        };
        let first = NewWorkspace {
            id: WorkspaceId::new(self.ids.uuid()),
            user_id: id,
            name,
            description,
            status: WorkspaceStatus::Ready,
            rag_config: RagConfig::default(),
            command_id: None,
            created_at: now,
        };
        let user = self.accounts.create_user(user, first).await.map_err(|e| match e {
            StoreError::Taken("users_username_key") => Error::Problem(Box::new(Problem::conflict(
                "username_taken",
                "username",
                "This username is taken.",
            ))),
            StoreError::Taken("users_email_key") => Error::Problem(Box::new(Problem::conflict(
                "email_taken",
                "email",
                "This e-mail address is taken.",
            ))),
            other => other.into(),
        })?;
        self.open_session(user, client).await
    }

    /// # Errors
    /// 401 `wrong_credentials` with one sentence, whichever of the two was wrong; 429 `too_many_attempts` after too many
    /// of those, whether or not there is such an account, and before anything is looked up.
    pub async fn sign_in(&self, form: SignIn, client: Client) -> Result<SignedIn> {
        let knock = self.door.sign_in(&form.email, &client.ip, self.clock.now()).await;
        let knock = knock.map_err(|seconds| {
            let sentence = format!("Too many sign-ins failed. Try again in {}.", message::duration(seconds));
            Error::Problem(Box::new(Problem::too_often("too_many_attempts", sentence, seconds)))
        })?;
        let found = match Email::parse(&form.email) {
            Ok(email) => self.accounts.user_by_email(&email).await?,
            Err(_) => None,
        };
        let (user, hash) = found.map_or((None, None), |(u, h)| (Some(u), Some(h)));
        let right = self.hasher.verify(form.password, hash).await?;
        match user {
            Some(user) if right => {
                knock.was_good();
                self.open_session(user, client).await
            }
            _ => {
                knock.was_bad(self.clock.now());
                Err(Error::problem(401, "wrong_credentials", "The e-mail address or the password is wrong."))
            }
        }
    }

    async fn open_session(&self, user: User, client: Client) -> Result<SignedIn> {
        let now = self.clock.now();
        let expires_at = now.plus_seconds(i64::from(self.limits.session_days) * 86_400);
        let token = hex(&self.secrets.bytes32());
        let session_id = SessionId::new(self.ids.uuid());
        self.accounts
            .create_session(NewSession {
                id: session_id,
                user_id: user.id,
                token_hash: token_hash(&token),
                user_agent: client.user_agent.chars().take(300).collect(),
                ip: client.ip,
                created_at: now,
                expires_at,
            })
            .await?;
        Ok(SignedIn { user, session_id, token, expires_at })
    }

    /// Who holds that token now; `None` for an unknown, expired or ended one.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Who>> {
        let now = self.clock.now();
        let Some((session, user)) = self.accounts.session(&token_hash(token), now).await? else {
            return Ok(None);
        };
        if now.seconds_since(session.last_seen_at) >= 60 {
            self.accounts.touch_session(session.id, now).await?;
        }
        Ok(Some(Who { user, session_id: session.id }))
    }

    /// Ends the session everywhere: its cookie, its sockets and its streams.
    pub async fn sign_out(&self, who: &Who) -> Result<()> {
        self.accounts.end_session(who.user.id, who.session_id).await?;
        self.bus.publish(Signal::SessionEnded { user_id: who.user.id, session_id: who.session_id });
        Ok(())
    }

    pub async fn set_theme(&self, user: UserId, theme: Theme) -> Result<User> {
        Ok(self.accounts.set_theme(user, theme, self.clock.now()).await?)
    }
}

fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_workspace_has_a_valid_name() {
        assert!(WorkspaceName::parse("My documents").is_ok() && Description::parse("").is_ok());
    }

    #[test]
    fn a_token_is_kept_as_its_hash() {
        assert_eq!(token_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
