//! Time, ids and randomness are handed in, so that a test decides them.

use async_trait::async_trait;
use domain::Timestamp;
use uuid::Uuid;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// Makes ids: UUIDs of version 7, so that they sort by age.
pub trait Ids: Send + Sync {
    fn uuid(&self) -> Uuid;
}

/// Randomness that nobody can guess.
pub trait Secrets: Send + Sync {
    fn bytes32(&self) -> [u8; 32];
}

/// Hashes passwords; slow on purpose, so it runs apart and a few at a time.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    async fn hash(&self, password: String) -> Result<String, super::StoreError>;
    /// `hash` is `None` for an unknown user: the same work is done all the same, so that the time tells nothing.
    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, super::StoreError>;
}
