//! Users, their settings and their passwords.

use super::{NewWorkspace, StoreError};
use async_trait::async_trait;
use domain::{
    SessionId, Timestamp, User, UserId,
    resource::{Density, Language, Notifications, Theme},
    validate,
};

#[derive(Clone, Debug)]
pub struct NewUser {
    pub id: UserId,
    pub username: validate::Username,
    pub email: validate::Email,
    pub full_name: Option<validate::FullName>,
    pub password_hash: String,
    pub created_at: Timestamp,
}

/// A change of a person's own settings; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    /// `Some(None)` takes the name away.
    pub full_name: Option<Option<validate::FullName>>,
    pub email: Option<validate::Email>,
    pub theme: Option<Theme>,
    pub density: Option<Density>,
    pub language: Option<Language>,
    pub notifications: NotificationsEdit,
}

/// A change of some of the choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotificationsEdit {
    pub done: Option<bool>,
    pub failed: Option<bool>,
    pub stalled: Option<bool>,
    pub sign_ins: Option<bool>,
    pub desktop: Option<bool>,
}

impl NotificationsEdit {
    /// The choices after the change.
    pub fn of(self, before: Notifications) -> Notifications {
        Notifications {
            done: self.done.unwrap_or(before.done),
            failed: self.failed.unwrap_or(before.failed),
            stalled: self.stalled.unwrap_or(before.stalled),
            sign_ins: self.sign_ins.unwrap_or(before.sign_ins),
            desktop: self.desktop.unwrap_or(before.desktop),
        }
    }
}

/// A new password, and what goes with it.
#[derive(Clone)]
pub struct PasswordChange {
    pub user_id: UserId,
    /// The session that asks; it lives on.
    pub session_id: SessionId,
    /// The change holds only while this is still the stored hash.
    pub old_hash: String,
    pub new_hash: String,
    /// Of the asking session's new token.
    pub token_hash: String,
    /// New end of the asking session.
    pub expires_at: Timestamp,
    pub now: Timestamp,
}

#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes the user, the user's event counter and the first workspace in one transaction.
    ///
    /// # Errors
    /// `Taken("users_username_key")` (compared without case), `Taken("users_email_key")`.
    async fn create_user(&self, user: NewUser, first: NewWorkspace) -> Result<User, StoreError>;

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user and the stored password hash; nobody, when the account is being deleted.
    async fn user_by_email(&self, email: &validate::Email) -> Result<Option<(User, String)>, StoreError>;

    /// Whether somebody has that name (compared without case), and whether somebody has that address.
    async fn taken(
        &self,
        username: &validate::Username,
        email: &validate::Email,
    ) -> Result<(bool, bool), StoreError>;

    /// Emits `settings_changed`, unless everything is so already.
    ///
    /// # Errors
    /// `Taken("users_email_key")`; `NotFound`.
    async fn edit_user(&self, id: UserId, edit: UserEdit, now: Timestamp) -> Result<User, StoreError>;

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError>;

    /// In one transaction: the new hash, the new token of the asking session, and the end of all others, which the bus
    /// is told of. Answers how many were ended.
    ///
    /// # Errors
    /// `NotFound` when the stored hash is another one by now or the session has ended; nothing is changed then.
    async fn change_password(&self, change: PasswordChange) -> Result<u64, StoreError>;
}
