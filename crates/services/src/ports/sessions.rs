//! Sign-in sessions. Whenever one ends, the store tells the bus behind the commit: even when whoever asked for it is
//! gone by then, its streams end. The user's other sessions, where there are any, hear by `settings_changed` of one that
//! begins or ends.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{SessionId, Timestamp, User, UserId, resource::Page};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct NewSession {
    pub id: SessionId,
    pub user_id: UserId,
    /// SHA-256 of the token, hexadecimal; the token itself is only in the cookie.
    pub token_hash: String,
    pub user_agent: String,
    /// The same in plain words, for the person's other browsers, which are told of it.
    pub device: String,
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
    /// When it got its present token, if that is not its first one; by the database's clock.
    pub renewed_at: Option<Timestamp>,
}

/// A live session, and which token it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub id: SessionId,
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    /// How long ago it got that, if it is not its first one; by the database's clock, since it may have been another server that
    /// gave it.
    pub renewed_ago: Option<Duration>,
}

#[async_trait]
pub trait Sessions: Send + Sync {
    async fn create_session(&self, session: NewSession) -> Result<(), StoreError>;

    /// The live session with that token hash, and its user.
    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(SessionInfo, User)>, StoreError>;

    /// The user's live session with that id, whatever its token.
    async fn session_of(
        &self,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionInfo>, StoreError>;

    /// The user's live sessions, newest sign-in first.
    async fn sessions(
        &self,
        user: UserId,
        page: PageQuery,
        now: Timestamp,
    ) -> Result<Page<SessionInfo>, StoreError>;

    /// Those of them that are live, whosever they are.
    async fn live_among(&self, ids: &[SessionId], now: Timestamp) -> Result<Vec<LiveSession>, StoreError>;

    /// Notes that these sessions were used at that moment, or a little later. None of it has to survive a crash, and one that
    /// somebody is changing just now may be left out: its next use is noted.
    async fn touch_sessions(&self, ids: &[SessionId], at: Timestamp) -> Result<(), StoreError>;

    /// Ends it; answers whether it was there.
    async fn end_session(&self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends all live ones but `keep`; answers how many.
    async fn end_other_sessions(
        &self,
        user: UserId,
        keep: SessionId,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Removes those that have expired, a bounded number at a time; answers how many.
    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, StoreError>;
}
