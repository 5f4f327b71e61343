//! API keys, kept by the hash of the key.

use super::StoreError;
use async_trait::async_trait;
use domain::{ApiKey, ApiKeyId, Timestamp, User, UserId, api_key::ValidApiKey};

#[derive(Clone, Debug)]
pub struct NewKey {
    pub id: ApiKeyId,
    pub user_id: UserId,
    pub valid: ValidApiKey,
    /// SHA-256 of the key, hexadecimal; the key itself is kept nowhere.
    pub secret_hash: String,
    /// The first characters of the key.
    pub prefix: String,
    /// The client's `Idempotency-Key`: a second creation with the same one answers the first one's key.
    pub command_id: Option<String>,
    /// Of what is sent under that key, where it can be told: with another print the key is refused.
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// What became of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMade {
    New(ApiKey),
    /// The same command made it before.
    Before(ApiKey),
}

#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// # Errors
    /// `Taken("api_keys_name_key")` for a name that another key of the user has, compared without case;
    /// `Taken("api_keys_most")` when the user has `most` keys.
    async fn create_key(&self, new: NewKey, most: u32) -> Result<KeyMade, StoreError>;

    /// All of the user, newest first.
    async fn keys(&self, user: UserId) -> Result<Vec<ApiKey>, StoreError>;

    /// The key with that hash and its user, also when it has expired; `None` when the account is being deleted.
    async fn key(&self, secret_hash: &str) -> Result<Option<(ApiKey, User)>, StoreError>;

    /// Which of these were not revoked, whosever they are; also expired ones.
    async fn left_among(&self, ids: &[ApiKeyId]) -> Result<Vec<ApiKeyId>, StoreError>;

    /// Notes that these keys were used at that moment, or a little later, on the terms of `Sessions::touch_sessions`.
    async fn touch_keys(&self, ids: &[ApiKeyId], at: Timestamp) -> Result<(), StoreError>;

    /// Revokes it and tells the bus, so that its streams end; answers whether it was there.
    async fn revoke_key(&self, user: UserId, id: ApiKeyId) -> Result<bool, StoreError>;
}
