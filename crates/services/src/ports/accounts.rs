//! Users and their sign-in sessions.

use super::{NewWorkspace, StoreError};
use async_trait::async_trait;
use domain::{SessionId, Timestamp, User, UserId, resource::Theme, validate};

#[derive(Clone, Debug)]
pub struct NewUser {
    pub id: UserId,
    pub username: validate::Username,
    pub email: validate::Email,
    pub full_name: Option<validate::FullName>,
    pub password_hash: String,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct NewSession {
    pub id: SessionId,
    pub user_id: UserId,
    /// SHA-256 of the token, hexadecimal; the token itself is only in the cookie.
    pub token_hash: String,
    pub user_agent: String,
    pub ip: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub id: SessionId,
    pub user_id: UserId,
    pub user_agent: String,
    pub ip: String,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
}

#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes the user, the user's event counter and the first workspace in one transaction.
    ///
    /// # Errors
    /// `Taken("users_username_key")` (compared without case), `Taken("users_email_key")`.
    async fn create_user(&self, user: NewUser, first: NewWorkspace) -> Result<User, StoreError>;

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user and the stored password hash.
    async fn user_by_email(&self, email: &validate::Email) -> Result<Option<(User, String)>, StoreError>;

    /// Emits `settings_changed`.
    async fn set_theme(&self, id: UserId, theme: Theme, now: Timestamp) -> Result<User, StoreError>;

    async fn create_session(&self, session: NewSession) -> Result<(), StoreError>;

    /// The live session with that token hash, and its user.
    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(SessionInfo, User)>, StoreError>;

    /// Notes that the session was used; called at most once a minute for each.
    async fn touch_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;

    /// Ends it; answers whether it was there. The caller tells the bus.
    async fn end_session(&self, user: UserId, id: SessionId) -> Result<bool, StoreError>;
}
