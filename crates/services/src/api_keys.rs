//! API keys: making, listing and revoking them, and finding out whose key it is.

use crate::{
    Caller, Error, Pass, Result, Services,
    accounts::token_hash,
    command,
    hex::hex,
    ports::{KeyMade, NewKey, StoreError},
    text::composed,
};
use domain::{
    ApiKey, ApiKeyId, Problem, UserId,
    api_key::{ApiKeyForm, KEY_PREFIX, MOST_KEYS, NewApiKey, VISIBLE},
};

/// What came of making one.
struct Made {
    key: ApiKey,
    /// Else the same command made it before.
    is_new: bool,
}

/// What is kept of a secret, for people to tell their keys apart.
fn visible(secret: &str) -> String {
    secret.chars().take(VISIBLE).collect()
}

impl Services {
    /// Makes a key. Its secret is in the answer and nowhere else; the same `command_id` again answers the same key
    /// without it.
    ///
    /// # Errors
    /// `Invalid` by field; 409 `name_taken` at `name`; 409 `too_many_keys`.
    pub async fn create_key(
        &self,
        user: UserId,
        form: &ApiKeyForm,
        command_id: Option<String>,
    ) -> Result<NewApiKey> {
        let secret = self.new_secret();
        let made = self.make_key(user, form, command_id, &secret).await?;
        Ok(NewApiKey { secret: made.is_new.then_some(secret), key: made.key })
    }

    /// The same for a form, whose twin is answered with the secret as well: of two sendings a browser shows the second.
    ///
    /// # Errors
    /// As those of [`Services::create_key`].
    pub async fn create_key_by_form(
        &self,
        user: UserId,
        form: &ApiKeyForm,
        command_id: Option<String>,
    ) -> Result<NewApiKey> {
        let Some(command) = command_id else { return self.create_key(user, form, None).await };
        let secret = self.key_drafts.secret(user, &command, self.clock.now(), || self.new_secret());
        let Made { key, is_new } = self.make_key(user, form, Some(command), &secret).await?;
        let is_its = is_new || visible(&secret) == key.prefix;
        Ok(NewApiKey { key, secret: is_its.then_some(secret) })
    }

    fn new_secret(&self) -> String {
        format!("{KEY_PREFIX}{}", hex(&self.secrets.bytes32()))
    }

    async fn make_key(
        &self,
        user: UserId,
        form: &ApiKeyForm,
        command_id: Option<String>,
        secret: &str,
    ) -> Result<Made> {
        let now = self.clock.now();
        let form = &ApiKeyForm { name: composed(form.name.clone()), ..form.clone() };
        let valid = form.check(now)?;
        let days = form.expires_in_days.map(|days| days.to_string()).unwrap_or_default();
        let until = form.expires_at.as_deref().unwrap_or_default();
        let content =
            [form.name.trim(), &days, until].into_iter().chain(form.scopes.iter().map(String::as_str));
        let new = NewKey {
            id: ApiKeyId::new(self.ids.uuid()),
            user_id: user,
            valid,
            secret_hash: token_hash(secret),
            prefix: visible(secret),
            command_id,
            command_print: Some(command::print(content)),
            created_at: now,
        };
        match self.api_keys.create_key(new, MOST_KEYS).await {
            Ok(KeyMade::New(key)) => {
                tracing::info!(user_id = %user, key_id = %key.id, "an API key was made");
                Ok(Made { key, is_new: true })
            }
            Ok(KeyMade::Before(key)) => Ok(Made { key, is_new: false }),
            Err(StoreError::Taken("api_keys_name_key")) => Err(Error::Problem(Box::new(Problem::conflict(
                "name_taken",
                "name",
                "You have another key of this name.",
            )))),
            Err(StoreError::Taken("api_keys_most")) => Err(Error::problem(
                409,
                "too_many_keys",
                format!("You have {MOST_KEYS} keys, which is as many as there can be. Revoke one first."),
            )),
            Err(e) => Err(e.into()),
        }
    }

    /// Newest first; expired ones are in it until they are revoked.
    pub async fn list_keys(&self, user: UserId) -> Result<Vec<ApiKey>> {
        Ok(self.api_keys.keys(user).await?)
    }

    /// Ends the key at once, with the streams that it opened.
    pub async fn revoke_key(&self, user: UserId, id: ApiKeyId) -> Result<()> {
        if !self.api_keys.revoke_key(user, id).await? {
            return Err(Error::NotFound("API key"));
        }
        tracing::info!(user_id = %user, key_id = %id, "an API key was revoked");
        Ok(())
    }

    /// Whose key that is.
    ///
    /// # Errors
    /// 401 `key_expired`, or `unauthorized` for everything that is no key.
    pub(crate) async fn authenticate_key(&self, secret: &str) -> Result<Caller> {
        let unknown = || Error::problem(401, "unauthorized", "This API key is not valid.");
        if !is_well_formed(secret) {
            return Err(unknown());
        }
        let (key, user) = self.api_keys.key(&token_hash(secret)).await?.ok_or_else(unknown)?;
        let now = self.clock.now();
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::problem(401, "key_expired", "This API key has expired."));
        }
        self.in_use.keys.note(key.id, key.last_used_at, now);
        let pass = Pass::Key { id: key.id, name: key.name, scopes: key.scopes, expires_at: key.expires_at };
        Ok(Caller { user, pass })
    }
}

/// What is no key is not looked up.
fn is_well_formed(secret: &str) -> bool {
    secret.strip_prefix(KEY_PREFIX).is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_a_key_is_looked_up() {
        let hex = "0a".repeat(32);
        assert!(is_well_formed(&format!("ihk_{hex}")));
        for bad in ["", "ihk_", &hex, &format!("ihk_{hex}0"), &format!("ihk_{}", hex.to_uppercase())] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
