//! Changing the password.

use super::{Client, Held, SignedIn, Who, token_hash};
use crate::{
    Error, Result, Services,
    ports::{PasswordChange, StoreError},
    text::composed,
};
use domain::{
    FieldErrors, Problem, message,
    validate::{self, Password},
};
use serde::{Deserialize, Serialize};

/// How long the same request may come again, in seconds, and is answered as done: a double click, a reload.
const AGAIN_SECONDS: i64 = 60;

/// The form, as it was typed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ChangePassword {
    pub current_password: String,
    pub new_password: String,
}

/// A password that was changed.
#[derive(Debug)]
pub struct PasswordChanged {
    /// Other sessions that it ended.
    pub sessions_ended: u64,
    /// The asking session with its new token; `None` when the browser has it already.
    pub renewed: Option<SignedIn>,
}

impl Services {
    /// Changes the password, gives the asking session a new token and ends all others, with their sockets and streams.
    /// A second request with the same passwords, at the same moment or shortly after, is answered as done.
    ///
    /// # Errors
    /// `Invalid` by field; 403 `wrong_password` with the message at `current_password`; 429 `too_many_attempts`.
    pub async fn change_password(
        &self,
        who: &Who,
        form: ChangePassword,
        client: &Client,
    ) -> Result<PasswordChanged> {
        let held = client.session.as_ref().filter(|held| held.session_id == who.session_id);
        let held = held.ok_or(Error::Unauthorized)?;
        let form = ChangePassword {
            current_password: composed(form.current_password),
            new_password: composed(form.new_password),
        };
        let mut errors = FieldErrors::default();
        let current = errors.take("current_password", validate::current_password(&form.current_password));
        let new = Password::instead_of(&form.current_password, &form.new_password);
        let new = errors.take("new_password", new);
        let (Some(()), Some(new)) = (current, new) else { return Err(Error::Invalid(errors)) };

        let knock = self.door.confirm(who, self.clock.now()).await.map_err(too_many)?;
        let stored = self.accounts.password_hash(who.user.id).await?.ok_or(Error::Unauthorized)?;
        if self.hasher.verify(form.current_password, Some(stored.clone())).await? {
            let token = self.seals.renewed(&held.token);
            let expires_at = self.session_end();
            let change = PasswordChange {
                user_id: who.user.id,
                session_id: who.session_id,
                old_hash: stored,
                new_hash: self.hasher.hash(new.secret().to_owned()).await?,
                token_hash: token_hash(&token),
                expires_at,
                now: self.clock.now(),
            };
            match self.accounts.change_password(change).await {
                Ok(sessions_ended) => {
                    let (user, session_id) = (who.user.clone(), who.session_id);
                    let renewed = Some(SignedIn { user, session_id, token, expires_at, device: None });
                    return Ok(PasswordChanged { sessions_ended, renewed });
                }
                // Somebody was faster: what was right a moment ago is not the password any more.
                Err(StoreError::NotFound) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if let Some(done) = self.changed_already(who, held, new).await? {
            return Ok(done);
        }
        knock.was_bad(self.clock.now());
        Err(wrong_password("current_password"))
    }

    /// The twin of a request that was carried out: this session got its token by a change of the password a moment ago,
    /// and the password is the one that is asked for.
    async fn changed_already(
        &self,
        who: &Who,
        held: &Held,
        new: Password,
    ) -> Result<Option<PasswordChanged>> {
        let now = self.clock.now();
        let session = self.sessions.session_of(who.user.id, who.session_id, now).await?;
        let session = session.ok_or(Error::Unauthorized)?;
        if session.renewed_at.is_none_or(|at| now.seconds_since(at) >= AGAIN_SECONDS) {
            return Ok(None);
        }
        let stored = self.accounts.password_hash(who.user.id).await?.ok_or(Error::Unauthorized)?;
        if !self.hasher.verify(new.secret().to_owned(), Some(stored)).await? {
            return Ok(None);
        }
        // A twin that came with the old token answers with the same new one as the first, if it can tell it.
        let token = self.seals.renewed(&held.token);
        let renewed = match self.sessions.session(&token_hash(&token), now).await? {
            Some((found, user)) if found.id == session.id => Some(SignedIn {
                user,
                session_id: found.id,
                token,
                expires_at: found.expires_at,
                device: None,
            }),
            _ => None,
        };
        Ok(Some(PasswordChanged { sessions_ended: 0, renewed }))
    }

    /// Asks a signed-in person for the password once more, before something that cannot be undone.
    ///
    /// # Errors
    /// 403 `wrong_password` with the message at `field`; 429 `too_many_attempts`.
    pub async fn confirm_password(&self, who: &Who, password: String, field: &str) -> Result<()> {
        let password = composed(password);
        validate::current_password(&password).map_err(|e| {
            let mut errors = FieldErrors::default();
            errors.take(field, Err::<(), _>(e));
            errors
        })?;
        let knock = self.door.confirm(who, self.clock.now()).await.map_err(too_many)?;
        let stored = self.accounts.password_hash(who.user.id).await?;
        if self.hasher.verify(password, stored).await? {
            return Ok(());
        }
        knock.was_bad(self.clock.now());
        Err(wrong_password(field))
    }
}

fn wrong_password(field: &str) -> Error {
    let sentence = "This is not your current password.";
    let problem = Problem::new(403, "wrong_password", sentence);
    Error::Problem(Box::new(Problem { errors: FieldErrors::one(field, sentence), ..problem }))
}

fn too_many(seconds: u64) -> Error {
    let sentence = format!("Too many wrong passwords. Try again in {}.", message::duration(seconds));
    Error::Problem(Box::new(Problem::too_often("too_many_attempts", sentence, seconds)))
}
