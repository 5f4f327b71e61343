//! Signing up, in and out, and finding out who asks.

use super::{Client, EMAIL_TAKEN, SignedIn, Who, device::device_name, taken, token_hash};
use crate::{
    Error, Result, Services,
    actor::acting,
    hex::hex,
    ports::{NewSession, NewUser, NewWorkspace, StoreError},
    text::composed,
};
use domain::{
    Actor, FieldErrors, Problem, SessionId, User, UserId, WorkspaceId, WorkspaceStatus, message,
    rag::RagConfig,
    status::Processor,
    validate::{Description, Email, FullName, Password, Username, WorkspaceName},
};
use serde::{Deserialize, Serialize};

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

impl Services {
    /// Makes the account with its first workspace, "My documents", and signs in. A session that the client held ends.
    ///
    /// # Errors
    /// `Invalid` by field; 409 with the message at the field for a taken name or address; 429 `too_many_sign_ups`.
    pub async fn sign_up(&self, form: SignUp, client: Client) -> Result<SignedIn> {
        let mut errors = FieldErrors::default();
        let username = errors.take("username", Username::parse(&composed(form.username)));
        let email = errors.take("email", Email::parse(&composed(form.email)));
        let password = errors.take("password", Password::parse(&composed(form.password)));
        let full_name =
            errors.take("full_name", FullName::parse(&composed(form.full_name.unwrap_or_default())));
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
        let named = (username.clone(), email.clone());
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
            processor: Processor::Builtin,
            rag_config: RagConfig::default(),
            command_id: None,
            command_print: None,
            created_at: now,
        };
        // Nobody was signed in when the request came.
        let actor = Actor::user(id, user.username.as_str());
        let user = match acting(actor, self.accounts.create_user(user, first)).await {
            Ok(user) => user,
            Err(e) => return Err(self.all_taken(e, &named.0, &named.1).await),
        };
        self.door.know(&user.email, &client.ip);
        self.open_session(user, client).await
    }

    /// The store names one of name and address; when both are taken, both are told, as nobody wants to learn of one
    /// after the other.
    async fn all_taken(&self, e: StoreError, username: &Username, email: &Email) -> Error {
        if !matches!(e, StoreError::Taken(_))
            || !matches!(self.accounts.taken(username, email).await, Ok((true, true)))
        {
            return taken(e);
        }
        let mut error = taken(StoreError::Taken("users_username_key"));
        if let Error::Problem(problem) = &mut error {
            problem.errors.add("email", EMAIL_TAKEN);
        }
        error
    }

    /// Signs in. A session that the client held ends.
    ///
    /// # Errors
    /// 401 `wrong_credentials` with one sentence, whichever of the two was wrong; 429 `too_many_attempts` after too many
    /// of those, whether or not there is such an account, and before anything is looked up.
    pub async fn sign_in(&self, form: SignIn, client: Client) -> Result<SignedIn> {
        let SignIn { email, password } =
            SignIn { email: composed(form.email), password: composed(form.password) };
        let account = email.trim().to_lowercase();
        let device = client.device.as_deref().and_then(|mark| self.seals.known_device(&account, mark));
        let knock = self.door.sign_in(&account, &client.ip, device, self.clock.now()).await;
        let knock = knock.map_err(|seconds| {
            let sentence = format!("Too many sign-ins failed. Try again in {}.", message::duration(seconds));
            Error::Problem(Box::new(Problem::too_often("too_many_attempts", sentence, seconds)))
        })?;
        let found = match Email::parse(&email) {
            Ok(email) => self.accounts.user_by_email(&email).await?,
            Err(_) => None,
        };
        let (user, hash) = found.map_or((None, None), |(u, h)| (Some(u), Some(h)));
        let right = self.hasher.verify(password, hash).await?;
        match user {
            Some(user) if right => {
                drop(knock);
                self.door.know(&user.email, &client.ip);
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
        let expires_at = self.session_end();
        let token = hex(&self.secrets.bytes32());
        let session_id = SessionId::new(self.ids.uuid());
        self.sessions
            .create_session(NewSession {
                id: session_id,
                user_id: user.id,
                token_hash: token_hash(&token),
                device: device_name(&client.user_agent),
                user_agent: client.user_agent.chars().take(300).collect(),
                ip: client.ip,
                created_at: now,
                expires_at,
            })
            .await?;
        if let Some(old) = client.session {
            // It may be another person's, who used this browser before.
            self.sessions.end_session(old.user_id, old.session_id, now).await?;
        }
        let device = Some(self.seals.device(&user.email, &self.secrets.bytes32()));
        Ok(SignedIn { user, session_id, token, expires_at, device })
    }

    /// When a session ends that begins now.
    pub(super) fn session_end(&self) -> domain::Timestamp {
        self.clock.now().plus_seconds(i64::from(self.limits.session_days) * 86_400)
    }

    /// Who holds that token now; `None` for an unknown, expired or ended one.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Who>> {
        let now = self.clock.now();
        let Some((session, user)) = self.sessions.session(&token_hash(token), now).await? else {
            return Ok(None);
        };
        self.in_use.sessions.note(session.id, Some(session.last_seen_at), now);
        Ok(Some(Who { user, session_id: session.id }))
    }

    /// Ends the session everywhere: its cookie, its sockets and its streams.
    pub async fn sign_out(&self, who: &Who) -> Result<()> {
        self.sessions.end_session(who.user.id, who.session_id, self.clock.now()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_workspace_has_a_valid_name() {
        assert!(WorkspaceName::parse("My documents").is_ok() && Description::parse("").is_ok());
    }
}
