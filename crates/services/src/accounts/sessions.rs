//! The browsers that are signed in: listing them, ending them, and whether the stream of one may go on.

use super::{Who, device::device_name};
use crate::{
    Caller, Error, Pass, Result, Services,
    ports::{PageQuery, SessionInfo},
};
use domain::{
    SessionId,
    resource::{Page, Session},
};
use std::time::Duration;

/// How often expired sessions are removed.
const SWEEP: Duration = Duration::from_secs(600);

/// How the session, or the key, of an open stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// It has a new token: whoever has that reconnects, whoever only had the old one is out.
    Renewed,
    Ended,
}

impl Services {
    /// The browsers that are signed in to the account, newest sign-in first.
    pub async fn list_sessions(&self, who: &Who, page: PageQuery) -> Result<Page<Session>> {
        let page = self.sessions.sessions(who.user.id, page, self.clock.now()).await?;
        let shown = |info: SessionInfo| Session {
            id: info.id,
            device: device_name(&info.user_agent),
            user_agent: info.user_agent,
            ip: info.ip,
            created_at: info.created_at,
            last_seen_at: info.last_seen_at,
            expires_at: info.expires_at,
            current: info.id == who.session_id,
        };
        Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
    }

    /// Ends one, with its sockets and streams; answers whether it was the asking one.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn end_session(&self, who: &Who, id: SessionId) -> Result<bool> {
        match self.sessions.end_session(who.user.id, id, self.clock.now()).await? {
            true => Ok(id == who.session_id),
            false => Err(Error::NotFound("session")),
        }
    }

    /// Ends all but the asking one; answers how many.
    pub async fn end_other_sessions(&self, who: &Who) -> Result<u64> {
        Ok(self.sessions.end_other_sessions(who.user.id, who.session_id, self.clock.now()).await?)
    }

    /// Whether a stream that was opened by `caller` with that token may go on. Notes that the session or the key is in
    /// use.
    pub async fn standing(&self, caller: &Caller, token: &str) -> Result<Standing> {
        let session_id = match caller.pass {
            Pass::Key { .. } => return self.standing_of_key(token).await,
            Pass::Session(id) => id,
        };
        if self.authenticate(token).await?.is_some() {
            return Ok(Standing::Good);
        }
        let session = self.sessions.session_of(caller.user.id, session_id, self.clock.now()).await?;
        Ok(if session.is_some() { Standing::Renewed } else { Standing::Ended })
    }

    /// Removes expired sessions now and then, for as long as it is polled.
    pub async fn run_session_sweeper(self) {
        let mut every = tokio::time::interval(SWEEP);
        loop {
            every.tick().await;
            match self.sweep_sessions().await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "expired sessions were removed"),
                Err(error) => tracing::warn!(%error, "expired sessions could not be removed"),
            }
        }
    }

    async fn sweep_sessions(&self) -> Result<u64> {
        let mut removed = 0;
        loop {
            match self.sessions.sweep_sessions(self.clock.now()).await? {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }
}
